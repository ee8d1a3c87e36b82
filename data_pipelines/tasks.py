"""What is learned from a clip: functions that split it into `(inputs, targets)`."""

import tensorflow as tf


def predict_ahead(frames=4):
    """Makes the task of predicting, at each frame, the next few.

    Args:
        frames: How many frames ahead, K, at least 1.

    Returns:
        A function from `clip` `(..., time, height, width, channels)`, any dtype, to
        `(clip, targets)` with targets `(..., time - K, K, height, width, channels)`:
        `targets[..., t, k]` is frame `t + k + 1`.

    Raises:
        ValueError: `frames` is below 1; or, in the function, the clip has not more than `frames`.

    Example:
        >>> inputs, targets = predict_ahead(frames=2)(tf.zeros([5, 8, 8, 1]))
        >>> targets.shape.as_list()
        [3, 2, 8, 8, 1]
    """
    if frames < 1:
        raise ValueError(f"`frames` must be at least 1. Received: frames={frames!r}")

    def split(clip):
        time = clip.shape[-4]
        if time is not None and time <= frames:
            raise ValueError(
                f"a clip must have more than the {frames} frames to predict ahead. "
                f"Received: {time} frames"
            )
        steps = tf.shape(clip)[-4] - frames
        ahead = [clip[..., k + 1 : k + 1 + steps, :, :, :] for k in range(frames)]
        targets = tf.stack(ahead, axis=-4)
        if time is not None:
            targets.set_shape(clip.shape[:-4] + [time - frames, frames] + clip.shape[-3:])
        return clip, targets

    return split


def reconstruct():
    """Makes the task of giving the clip back.

    Returns:
        A function from `clip` to `(clip, clip)`.
    """
    return lambda clip: (clip, clip)


def reconstruct_and_predict(frames=4):
    """Makes the task of giving the first frames back and predicting the last.

    Args:
        frames: How many frames are predicted, K, at least 1.

    Returns:
        A function from `clip` `(..., time, height, width, channels)`, any dtype, to `(context,
        targets)`: the first time - K frames, and a dict of `reconstruction`, the same, and
        `prediction`, the last K.

    Raises:
        ValueError: `frames` is below 1; or, in the function, the clip has not more than `frames`.

    Example:
        >>> context, targets = reconstruct_and_predict(frames=2)(tf.zeros([5, 8, 8, 1]))
        >>> context.shape[0], targets["prediction"].shape[0]
        (3, 2)
    """
    if frames < 1:
        raise ValueError(f"`frames` must be at least 1. Received: frames={frames!r}")

    def split(clip):
        time = clip.shape[-4]
        if time is not None and time <= frames:
            raise ValueError(
                f"a clip must have more than the {frames} frames to predict. "
                f"Received: {time} frames"
            )
        context = clip[..., :-frames, :, :, :]
        return context, {"reconstruction": context, "prediction": clip[..., -frames:, :, :, :]}

    return split
