"""Frames ahead as changes from a frame: what decoders draw, and what is made of it."""

import tensorflow as tf

from zoo.layers.time_axis import unfold_time


def add_changes(frames, changes, horizons):
    """Adds to each frame its change to every horizon.

    Args:
        frames: float32 `(batch, n, height, width, channels)`.
        changes: float32 `(batch * n, height, width, horizons * channels)`, the first horizon
            first.
        horizons: int.

    Returns:
        float32 `(batch, n, horizons, height, width, channels)`.

    Example:

    >>> add_changes(tf.zeros((2, 3, 8, 8, 1)), tf.zeros((6, 8, 8, 4)), 4).shape
    TensorShape([2, 3, 4, 8, 8, 1])
    """
    count = frames.shape[1] or tf.shape(frames)[1]
    shape = tf.shape(changes)
    changes = tf.reshape(
        changes, (-1, count, shape[1], shape[2], horizons, frames.shape[-1])
    )
    return frames[:, :, None] + tf.transpose(changes, [0, 1, 4, 2, 3, 5])


def add_change(frames, changes, horizon):
    """As `add_changes`, for one horizon alone.

    Args:
        frames, changes: As of `add_changes`.
        horizon: int, from 1.

    Returns:
        float32 `(batch, n, height, width, channels)`.
    """
    count = frames.shape[1] or tf.shape(frames)[1]
    channels = frames.shape[-1]
    return frames + unfold_time(
        changes[..., (horizon - 1) * channels : horizon * channels], count
    )
