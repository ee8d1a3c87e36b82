"""Models that see the last few frames: the window that ends at each frame of a video."""

import tensorflow as tf


def recent_windows(frames, recent, frames_seen, length):
    """Cuts the window of `length` frames that ends at each of some frames.

    Before the first frame of a video the first frame is taken to have stood still.

    Args:
        frames: float32 `(batch, n, height, width, channels)`, the next frames of each video.
        recent: float32 `(batch, length - 1, height, width, channels)`, the frames before them,
            the oldest first; what is older than the video is not looked at.
        frames_seen: int32 `(batch,)`, how many frames of each video came before these.
        length: Frames of a window, at least 1.

    Returns:
        `(windows, recent)`: float32 `(batch, n, length, height, width, channels)`, and the frames
        to hand over to the next call.

    Example:

    >>> frames = tf.reshape([1.0, 2.0, 3.0], (1, 3, 1, 1, 1))
    >>> windows, recent = recent_windows(
    ...     frames, tf.zeros((1, 1, 1, 1, 1)), tf.zeros((1,), tf.int32), length=2)
    >>> windows[0, :, :, 0, 0, 0].numpy().tolist(), recent[0, :, 0, 0, 0].numpy().tolist()
    ([[1.0, 1.0], [1.0, 2.0], [2.0, 3.0]], [3.0])
    """
    count = frames.shape[1] or tf.shape(frames)[1]
    joined = tf.concat([recent, frames], axis=1)
    places = tf.range(count)[:, None] + tf.range(length)[None]
    oldest = tf.maximum(length - 1 - frames_seen, 0)  # (batch,): the first place of the video
    places = tf.maximum(places[None], oldest[:, None, None])  # (batch, n, length)
    windows = tf.gather(joined, places, axis=1, batch_dims=1)
    static = [None, count if isinstance(count, int) else None, length, *frames.shape[2:]]
    return tf.ensure_shape(windows, static), joined[:, count:]


def pad_start(clip, multiple):
    """Puts copies of the first frame before it, until the frames are a multiple of a number.

    Args:
        clip: float32 `(batch, time, height, width, channels)`, at least one frame.
        multiple: Of which the number of frames is to be one, at least 1.

    Returns:
        float32 `(batch, time', height, width, channels)`.

    Example:

    >>> pad_start(tf.zeros((1, 5, 8, 8, 1)), 4).shape
    TensorShape([1, 8, 8, 8, 1])
    """
    time = clip.shape[1] or tf.shape(clip)[1]
    return tf.concat([tf.repeat(clip[:, :1], -time % multiple, axis=1), clip], axis=1)
