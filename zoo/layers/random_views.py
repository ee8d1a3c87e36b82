"""Random views of videos, for discriminators that would learn little footage by heart."""

import tensorflow as tf

REACH = 8  # a shift is at most a part in this many of the frame
LIGHT = 0.1


def shifted_and_lit(video, seed):
    """Shifts a batch of videos, all of it by as much, and brightens or darkens each.

    Gradients pass through, so a generator learns from what is made of its videos. What a shift
    lays bare is filled up by mirroring.

    Args:
        video: float32 `(batch, time, height, width, channels)`.
        seed: int32 `(2,)`, for TensorFlow's stateless operations.

    Returns:
        float32 tensor of the same shape: shifted by up to an eighth of the frame down and across,
        with up to 0.1 added to all pixels of a video.

    Example:

    >>> shifted_and_lit(tf.zeros((2, 3, 16, 24, 1)), seed=(0, 1)).shape
    TensorShape([2, 3, 16, 24, 1])

    Reference:
        Zhao, Liu, Lin, Zhu and Han, "Differentiable Augmentation for Data-Efficient GAN
        Training", 2020, https://arxiv.org/abs/2006.10738
    """
    shift_seed, light_seed = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    size = tf.shape(video)[2:4]
    reach = size // REACH
    shift = tf.random.stateless_uniform((2,), shift_seed, maxval=2**20, dtype=tf.int32)
    shift = shift % (2 * reach + 1)
    none = tf.zeros((2,), tf.int32)
    padding = tf.stack([none, none, *tf.unstack(tf.stack([reach, reach], axis=1)), none])
    padded = tf.pad(video, padding, "SYMMETRIC")
    view = padded[:, :, shift[0] : shift[0] + size[0], shift[1] : shift[1] + size[1]]
    shape = (tf.shape(video)[0], 1, 1, 1, 1)
    light = tf.random.stateless_uniform(shape, light_seed, -LIGHT, LIGHT)
    return tf.ensure_shape(view, video.shape) + light
