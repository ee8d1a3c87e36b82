import numpy as np
import pytest

from exports.classifier import Classifier, windows


@pytest.mark.parametrize(
    ("length", "starts"), [(16, [0]), (17, [0, 1]), (24, [0, 8]), (37, [0, 8, 16, 21]), (9, [0])]
)
def test_windows_cover_the_clip_and_end_with_it(length, starts):
    clip = np.arange(length)[:, None, None, None] * np.ones((1, 2, 2, 1), int)
    cut = list(windows(iter(clip), frames=16, stride=8, min_frames=2))
    assert [part[0, 0, 0, 0] for part in cut] == starts
    assert all(part[-1, 0, 0, 0] == min(start + 15, length - 1) for part, start in zip(cut, starts))
    assert all(np.array_equal(part, clip[s : s + 16]) for part, s in zip(cut, starts))


def test_windows_that_cannot_be_cut_are_named():
    clip = np.zeros((3, 2, 2, 1))
    with pytest.raises(ValueError, match="`clip` must have at least 4 frames. Received: 3"):
        list(windows(clip, frames=8, min_frames=4))
    with pytest.raises(ValueError, match="`frames` must be at least 4. Received: frames=2"):
        list(windows(clip, frames=2, min_frames=4))
    with pytest.raises(ValueError, match="`stride` must be at least 1. Received: stride=0"):
        list(windows(clip, stride=0))
    with pytest.raises(ValueError, match="at least 1 frames. Received: 0"):
        list(windows(clip[:0]))


@pytest.fixture
def fitted():
    draw = np.random.default_rng(0)
    labels = np.array(list("abc") * 8)
    rows = draw.normal(size=(24, 6)) + 2 * np.eye(3, 6)[np.arange(24) % 3]
    return Classifier.fit(rows, labels, np.repeat(["ann", "bob", "cy", "dan"], 6))


def test_saved_and_loaded_it_decides_the_same(fitted, tmp_path):
    rows, clips = np.random.default_rng(1).normal(size=(20, 6)), np.repeat(np.arange(5), 4)
    fitted.encoder = {"window": 16, "stride": 8}
    fitted.save(tmp_path / "actions.npz")
    with np.load(tmp_path / "actions.npz", allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
    again = Classifier.load(tmp_path / "actions.npz")
    assert (again.classes, again.strength, again.encoder) == (
        fitted.classes, fitted.strength, fitted.encoder,
    )  # fmt: skip
    assert np.array_equal(again.log_probabilities(rows), fitted.log_probabilities(rows))
    assert again.predict(rows, clips).tolist() == fitted.predict(rows, clips).tolist()
    assert [path.name for path in tmp_path.iterdir()] == ["actions.npz"]


def test_a_file_that_holds_no_classifier_is_named(fitted, tmp_path):
    np.savez(tmp_path / "other.npz", rows=np.zeros(3))
    with pytest.raises(ValueError, match="other.npz holds no classifier"):
        Classifier.load(tmp_path / "other.npz")
    fitted.save(tmp_path / "cut.npz")
    whole = (tmp_path / "cut.npz").read_bytes()
    # Cut off in the middle, with a byte changed in an array, and empty.
    at = whole.index(b"coefficients") + 200
    for content in (whole[: len(whole) // 2], whole[:at] + b"?" + whole[at + 1 :], b""):
        (tmp_path / "cut.npz").write_bytes(content)
        with pytest.raises(ValueError, match="cut.npz holds no classifier"):
            Classifier.load(tmp_path / "cut.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(ValueError, match="text.npz holds no classifier"):
        Classifier.load(tmp_path / "text.npz")
