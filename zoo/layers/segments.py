"""Clips cut into segments of a few frames, which go into the batch one after the other."""

import tensorflow as tf

from zoo.layers.time_axis import fold_time, unfold_time


def segment_count(clip, length):
    """Segments that hold all frames of a clip: an int, or a tensor where its time is free."""
    time = clip.shape[1] or tf.shape(clip)[1]
    return (time + length - 1) // length


def cut_segments(clip, length):
    """Cuts clips into segments that do not overlap.

    Args:
        clip: Tensor `(batch, time, height, width, channels)`.
        length: Frames of a segment. Where they do not divide the time, the last frame stands
            still until the last segment is full.

    Returns:
        Tensor `(batch * segments, length, height, width, channels)`.

    Example:

    >>> clip = tf.reshape([1.0, 2.0, 3.0], (1, 3, 1, 1, 1))
    >>> cut_segments(clip, 2)[:, :, 0, 0, 0].numpy().tolist()
    [[1.0, 2.0], [3.0, 3.0]]
    """
    missing = segment_count(clip, length) * length - (clip.shape[1] or tf.shape(clip)[1])
    filled = tf.concat([clip, tf.repeat(clip[:, -1:], missing, axis=1)], axis=1)
    return unfold_time(fold_time(filled), length)


def join_segments(segments, clip):
    """The inverse of `cut_segments`, for segments of the length they have here.

    Args:
        segments: Tensor `(batch * segments, length, height, width, channels)`.
        clip: The clip that they were cut from: what only filled the last segment is left out.

    Returns:
        Tensor of the shape of `clip`.
    """
    length = segments.shape[1]
    joined = unfold_time(fold_time(segments), segment_count(clip, length) * length)
    return tf.ensure_shape(joined[:, : clip.shape[1] or tf.shape(clip)[1]], clip.shape)


def segments_before(values, count):
    """Of each segment what was found of the one before it, zeros for the first of each clip.

    Args:
        values: Tensor `(batch * count, ...)`.
        count: Segments of a clip.

    Returns:
        Tensor of the same shape.

    Example:

    >>> segments_before(tf.constant([[1.0], [2.0], [3.0], [4.0]]), 2)[:, 0].numpy().tolist()
    [0.0, 1.0, 0.0, 3.0]
    """
    by_clip = unfold_time(values, count)
    return fold_time(tf.concat([tf.zeros_like(by_clip[:, :1]), by_clip[:, :-1]], axis=1))
