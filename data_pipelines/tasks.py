"""What is learned from a clip: functions that split it into `(inputs, targets)`.

With the labels of `data_pipelines.load` a function is given two arguments, clip and class.
"""

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
    _check_frames(frames)

    def split(clip):
        time = _checked_time(clip, frames)
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


def reconstruct_and_predict(frames=10):
    """Makes the task of giving the first frames back and predicting the last ones from them.

    Args:
        frames: How many frames are predicted, K, at least 1.

    Returns:
        A function from `clip` `(..., time, height, width, channels)`, any dtype, to
        `(context, {"reconstruction": context, "prediction": future})`: the first `time - K` frames
        and the last K, both in the order of time.

    Raises:
        ValueError: `frames` is below 1; or, in the function, the clip has not more than `frames`.

    Example:
        >>> context, targets = reconstruct_and_predict(frames=2)(tf.zeros([5, 8, 8, 1]))
        >>> context.shape[0], targets["prediction"].shape[0]
        (3, 2)

    Reference: Srivastava, Mansimov and Salakhutdinov, ICML 2015, https://arxiv.org/abs/1502.04681
    """
    _check_frames(frames)

    def split(clip):
        _checked_time(clip, frames)
        context = clip[..., :-frames, :, :, :]
        return context, {"reconstruction": context, "prediction": clip[..., -frames:, :, :, :]}

    return split


def generate():
    """Makes the task of generating clips, of a class where there are labels.

    Returns:
        A function from `clip` to `({"clip": clip}, clip)`, and from `clip` and int32 `label` to
        `({"clip": clip, "label": label}, clip)`.
    """

    def pair(clip, label=None):
        return {"clip": clip} if label is None else {"clip": clip, "label": label}, clip

    return pair


def _check_frames(frames):
    if frames < 1:
        raise ValueError(f"`frames` must be at least 1. Received: frames={frames!r}")


def _checked_time(clip, frames):
    time = clip.shape[-4]
    if time is not None and time <= frames:
        raise ValueError(
            f"a clip must have more than the {frames} frames to predict ahead. "
            f"Received: {time} frames"
        )
    return time
