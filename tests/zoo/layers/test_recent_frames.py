import numpy as np
import pytest
import tensorflow as tf

from zoo.layers import recent_windows

LENGTH = 4


def reference(video):
    """The windows of a whole video `(time, ...)`, one by one."""
    padded = np.concatenate([np.repeat(video[:1], LENGTH - 1, axis=0), video])
    return np.stack([padded[t : t + LENGTH] for t in range(len(video))])


@pytest.mark.parametrize("pieces", [[9], [1] * 9, [2, 7], [5, 1, 3]])
def test_windows_are_the_same_however_the_video_is_cut(pieces):
    videos = np.random.default_rng(0).normal(size=(2, 9, 2, 3, 1)).astype("float32")
    windows = tf.function(recent_windows, autograph=False)
    # What stands in the state before a video begins is not looked at.
    recent, seen, parts, start = tf.fill((2, LENGTH - 1, 2, 3, 1), 7.0), 0, [], 0
    for count in pieces:
        frames = tf.constant(videos[:, start : start + count])
        part, recent = windows(frames, recent, tf.fill((2,), seen), LENGTH)
        parts.append(part)
        seen, start = seen + count, start + count
    expected = np.stack([reference(video) for video in videos])
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), expected)


def test_videos_side_by_side_may_be_of_different_age():
    videos = np.random.default_rng(1).normal(size=(2, 8, 1, 1, 1)).astype("float32")
    recent = np.zeros((2, LENGTH - 1, 1, 1, 1), "float32")
    recent[1] = videos[1, 1:4]
    frames = np.stack([videos[0, :2], videos[1, 4:6]])
    windows, _ = recent_windows(frames, recent, tf.constant([0, 4]), LENGTH)
    np.testing.assert_array_equal(windows[0], reference(videos[0])[:2])
    np.testing.assert_array_equal(windows[1], reference(videos[1])[4:6])
