import cv2
import numpy as np
import pytest

from data_pipelines import ClipSpec, load, open_source


def write_strip(path, frames):
    path.parent.mkdir(parents=True, exist_ok=True)
    strip = np.concatenate([np.full((64, 64, 3), 20 * n, np.uint8) for n in range(frames)], 1)
    cv2.imwrite(str(path), strip)


@pytest.fixture
def strips(tmp_path):
    for name in ("walk/ann_walk.jpg", "walk/lena_walk1.jpg", "walk/lena_walk2.jpg",
                 "wave1/ann_wave1.jpg"):
        write_strip(tmp_path / name, 5)
    return tmp_path


def test_strips_are_told_by_their_names(strips):
    source = open_source(strips)
    assert source.kind == "weizmann" and source.fps == 25.0
    assert [(v.name, v.label, v.group) for v in source.videos] == [
        ("walk/ann_walk", "walk", "ann"),
        ("walk/lena_walk1", "walk", "lena"),
        ("walk/lena_walk2", "walk", "lena"),
        ("wave1/ann_wave1", "wave1", "ann"),
    ]


def test_frames_lie_side_by_side(strips):
    video = open_source(strips).videos[0]
    assert video.num_frames == 5
    frames = list(video.frames())
    assert [f.shape for f in frames] == [(64, 64, 3)] * 5
    assert np.abs([f.mean() for f in frames] - 20 * np.arange(5)).max() < 2
    assert np.abs([f.mean() for f in video.frames(3)] - np.array([60, 80])).max() < 2


def test_other_sizes_and_names_are_refused(strips):
    cv2.imwrite(str(strips / "walk" / "bob_walk.jpg"), np.zeros((64, 100, 3), np.uint8))
    with pytest.raises(ValueError, match="must be a strip of 64x64 .* Received: 64x100"):
        open_source(strips)
    (strips / "walk" / "bob_walk.jpg").unlink()
    write_strip(strips / "walk" / "zoe_run.jpg", 2)
    with pytest.raises(ValueError, match="zoe_run.jpg is not named PERSON_walk"):
        open_source(strips, kind="weizmann")


@pytest.mark.real_data
def test_the_actions_are_as_their_readme_counts(real_data):
    videos = open_source(real_data / "weizmann").videos
    assert len(videos) == 83
    assert len({v.label for v in videos}) == len({v.group for v in videos}) == 9
    lengths = [v.num_frames for v in videos]
    assert (min(lengths), max(lengths)) == (23, 146)


@pytest.mark.real_data
def test_the_actions_train_a_grey_model_with_and_without_their_labels(real_data):
    source = open_source(real_data / "weizmann")
    clip = ClipSpec(frames=16, fps=25, size=(64, 64), channels=1)
    options = dict(shuffle=64, seed=1, batch=8)
    stream = load(source, clip, labels=source.labels, **options).take(2)
    alone = load(source, clip, **options).take(2)
    # The shortest clip has 23 frames: every video gives one window at least.
    windows = {}
    for video in source.videos:
        grey = [np.rint(frame @ [0.299, 0.587, 0.114]) for frame in video.frames()]
        windows[source.labels.index(video.label), video.name] = np.stack(grey)[..., None]
    for (clips, labels), unlabelled in zip(stream, alone, strict=True):
        assert clips.shape == (8, 16, 64, 64, 1) and labels.shape == (8,)
        np.testing.assert_array_equal(clips, unlabelled)
        for pixels, label in zip(255 * clips.numpy(), labels.numpy(), strict=True):
            found = {
                number for (number, _), frames in windows.items()
                for start in range(0, len(frames) - 15, 16)
                if np.abs(frames[start : start + 16] - pixels).max() < 1.01
            }
            assert found == {label}
