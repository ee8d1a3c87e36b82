import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from exports.classifier import Classifier, clip_labels, group_folds, windows


def blobs(classes="abc", groups=4, windows_each=3, dim=6, spread=0.6, seed=0):
    """Windows of one clip for each class and group, around a centre of the class."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(len(classes), dim))
    rows, labels, names, clips = [], [], [], []
    for group in range(groups):
        for index, label in enumerate(classes):
            rows.append(centres[index] + spread * draw.normal(size=(windows_each, dim)))
            labels += [label] * windows_each
            names += [f"person{group}"] * windows_each
            clips += [group * len(classes) + index] * windows_each
    return np.concatenate(rows), np.array(labels), np.array(names), np.array(clips)


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


@pytest.mark.parametrize("classes", ["ab", "abcd"])
@pytest.mark.parametrize("dim", [5, 90])
def test_it_is_scikit_learns_standardised_regression(classes, dim):
    rows, labels, groups, clips = blobs(classes, dim=dim, spread=1.5)
    fitted = Classifier.fit(rows, labels, groups, clips, strengths=(0.1,))
    pipeline = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.1, tol=1e-8, max_iter=5000)
    ).fit(rows, labels)
    other = np.random.default_rng(1).normal(size=(20, dim))
    assert fitted.classes == sorted(classes) and fitted.coefficients.shape == (len(classes), dim)
    np.testing.assert_allclose(
        fitted.log_probabilities(other), pipeline.predict_log_proba(other), atol=2e-2
    )
    assert fitted.predict(other).tolist() == pipeline.predict(other).tolist()


def test_a_clip_is_decided_by_the_mean_log_probability_of_its_windows():
    classifier = Classifier(
        classes=["left", "right"],
        mean=np.zeros(1),
        scale=np.ones(1),
        coefficients=np.array([[-1.0], [1.0]]),
        intercepts=np.zeros(2),
        strength=1.0,
    )
    # Two windows lean a little to the left, one far to the right.
    rows = np.array([[-0.1], [-0.1], [3.0], [-2.0]])
    assert classifier.predict(rows, np.array([5, 5, 5, 7])).tolist() == ["right", "left"]
    assert classifier.predict(rows).tolist() == ["left", "left", "right", "left"]
    odds = np.exp(classifier.log_probabilities(rows))
    np.testing.assert_allclose(odds[:, 1], 1 / (1 + np.exp(-2 * rows[:, 0])))


def test_the_strength_is_chosen_on_groups_that_were_held_out():
    """Numbers that tell the person tempt a weak penalty; held-out people reveal it."""
    rows, labels, groups, clips = blobs("ab", groups=6, dim=4, spread=1.2, seed=3)
    draw = np.random.default_rng(0)
    personal = {key: 5 * draw.normal(size=80) for key in zip(groups.tolist(), labels.tolist())}
    leak = np.array([personal[key] for key in zip(groups.tolist(), labels.tolist())])
    chosen = Classifier.fit(np.hstack([rows, leak]), labels, groups, clips).strength
    accuracy = {}
    for strength in (0.003, 0.03, 0.3):
        right = 0
        for train, test in group_folds(labels, groups, most=3):
            fitted = Classifier.fit(
                np.hstack([rows, leak])[train], labels[train], groups[train], strengths=(strength,)
            )
            truth = clip_labels(labels[test], clips[test])
            right += (fitted.predict(np.hstack([rows, leak])[test], clips[test]) == truth).sum()
        accuracy[strength] = right
    assert accuracy[chosen] == max(accuracy.values())


def test_one_group_leaves_the_middle_strength():
    rows, labels, groups, clips = blobs(groups=1)
    assert Classifier.fit(rows, labels, groups, clips, strengths=(0.1, 1.0, 10.0)).strength == 1.0


def test_saved_and_loaded_it_decides_the_same(tmp_path):
    rows, labels, groups, clips = blobs()
    fitted = Classifier.fit(rows, labels, groups, clips)
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


def test_a_file_that_holds_no_classifier_is_named(tmp_path):
    np.savez(tmp_path / "other.npz", rows=np.zeros(3))
    with pytest.raises(ValueError, match="other.npz holds no classifier"):
        Classifier.load(tmp_path / "other.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(ValueError, match="text.npz holds no classifier"):
        Classifier.load(tmp_path / "text.npz")


def test_what_cannot_be_fitted_is_named():
    rows, labels, groups, clips = blobs()
    with pytest.raises(ValueError, match="`labels` must name at least 2 classes"):
        Classifier.fit(rows, np.full(len(rows), "a"), groups, clips)
    with pytest.raises(ValueError, match="`embeddings` must be finite"):
        Classifier.fit(np.full_like(rows, np.nan), labels, groups, clips)
    fitted = Classifier.fit(rows, labels, groups, clips)
    with pytest.raises(ValueError, match=r"must be \(windows, 6\). Received: \(36, 5\)"):
        fitted.predict(rows[:, :5])


@pytest.mark.parametrize(("groups", "folds"), [(5, 5), (40, 12)])
def test_no_group_is_on_both_sides_of_a_fold(groups, folds):
    _, labels, names, _ = blobs(groups=groups)
    split = group_folds(labels, names)
    assert len(split) == folds
    for train, test in split:
        assert not set(names[train]) & set(names[test])
        assert sorted([*train, *test]) == list(range(len(labels)))
    assert sorted(np.concatenate([test for _, test in split])) == list(range(len(labels)))


def test_a_class_of_one_group_has_no_folds():
    labels, groups = np.array(list("aabbb")), np.array(list("xyxxx"))
    assert group_folds(labels, groups) == []
