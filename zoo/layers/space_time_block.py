"""Convolutions over space and time, factorised: fast on a CPU with height, width and time free."""

import keras
import tensorflow as tf

from zoo.layers.convolution import convolution
from zoo.layers.time_axis import fold_time, unfold_time


def with_neighbours(clip, stride=1):
    """Puts the frames before and after each frame beside it, as channels.

    A two-dimensional convolution of what comes out, time folded into the batch, is a
    three-dimensional one whose kernel is three frames deep. Before the first frame and behind the
    last, these two stand still.

    Args:
        clip: Tensor `(batch, time, height, width, channels)`, any dtype.
        stride: Every so many frames one is given, the first of all first.

    Returns:
        Tensor `(batch, time / stride, height, width, 3 * channels)`, time rounded up, the earliest
        frame first.

    Example:

    >>> with_neighbours(tf.reshape([1.0, 2.0, 4.0], (1, 3, 1, 1, 1)))[0, :, 0, 0].numpy().tolist()
    [[1.0, 1.0, 2.0], [1.0, 2.0, 4.0], [2.0, 4.0, 4.0]]
    """
    time = clip.shape[1] or tf.shape(clip)[1]
    padded = tf.concat([clip[:, :1], clip, clip[:, -1:]], axis=1)
    return tf.concat([padded[:, shift : shift + time : stride] for shift in range(3)], axis=-1)


@keras.saving.register_keras_serializable(package="zoo")
class SpaceTimeBlock(keras.layers.Layer):
    """A residual block: a 3x3 convolution over space, then one over three frames of time.

    With `s` the convolution over space, `t` the one over time (a kernel of 3x1x1) and `a` the
    leaky rectifier: `x + a(t(a(s(x))))`.

    Args:
        filters: Channels of what comes in and goes out.

    Call arguments:
        clip: Tensor `(batch, time, height, width, filters)`.

    Returns:
        Tensor of the same shape.

    Example:

    >>> SpaceTimeBlock(4)(tf.zeros((1, 5, 8, 12, 4))).shape
    TensorShape([1, 5, 8, 12, 4])

    Reference:
        Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", 2018,
        https://arxiv.org/abs/1711.11248
    """

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.over_space = convolution(filters, 3, "over_space", self.dtype_policy)
        self.over_time = convolution(filters, 1, "over_time", self.dtype_policy)

    def build(self, input_shape=None):
        self.over_space.build((None, None, None, self.filters))
        self.over_time.build((None, None, None, 3 * self.filters))
        self.built = True

    def call(self, clip):
        time = clip.shape[1] or tf.shape(clip)[1]
        maps = unfold_time(self.over_space(fold_time(clip)), time)
        return clip + unfold_time(self.over_time(fold_time(with_neighbours(maps))), time)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}
