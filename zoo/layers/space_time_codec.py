"""From a clip to a coarser grid over space and time, and back, by kernels three frames deep."""

import keras
import tensorflow as tf

from zoo.layers.convolution import build_chain, convolution, leaky_relu
from zoo.layers.recent_frames import pad_start
from zoo.layers.sizes import check_size
from zoo.layers.space_time_block import with_neighbours
from zoo.layers.time_axis import fold_time, unfold_time

TIME_STRIDE, SPACE_STRIDE = 4, 8


@keras.saving.register_keras_serializable(package="zoo")
class SpaceTimeConvolution(keras.layers.Layer):
    """A three-dimensional convolution whose kernel is three frames deep.

    Before the first frame and behind the last, these two stand still; in space zeros are around
    the frame. It is computed as one over two dimensions, three frames side by side, which is
    faster on a CPU.

    Args:
        filters: Channels of what comes out.
        kernel_size: Height and width of the kernel.
        strides: `(time, space)`. Of each `time` frames the last is the middle of the kernel.
        activation: What follows, or `None`.
        stddev: Of the initial weights; `None` takes that of He et al. 2015.

    Call arguments:
        clip: Tensor `(batch, time, height, width, channels)`; the strides divide its sides.

    Returns:
        Tensor `(batch, time / strides[0], height / strides[1], width / strides[1], filters)`.

    Example:

    >>> SpaceTimeConvolution(4, strides=(2, 2))(tf.zeros((1, 6, 16, 24, 3))).shape
    TensorShape([1, 3, 8, 12, 4])
    """

    def __init__(
        self, filters, kernel_size=3, strides=(1, 1), activation=leaky_relu, stddev=None, **kwargs
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = tuple(strides)
        self.activation = keras.activations.get(activation)
        self.stddev = stddev
        self.convolution = convolution(
            filters, kernel_size, "convolution", self.dtype_policy, self.strides[1],
            activation, stddev,
        )  # fmt: skip

    def build(self, input_shape):
        self.convolution.build((None, None, None, 3 * input_shape[-1]))
        self.built = True

    def call(self, clip):
        beside = with_neighbours(clip)[:, self.strides[0] - 1 :: self.strides[0]]
        time = beside.shape[1] or tf.shape(beside)[1]
        return unfold_time(self.convolution(fold_time(beside)), time)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "activation": keras.activations.serialize(self.activation),
            "stddev": self.stddev,
        }


@keras.saving.register_keras_serializable(package="zoo")
class SpaceTimeEncoder(keras.Model):
    """Four strided convolutions over space and time, to 1/8 of the frame and 1/4 of the time.

    Space is strided first: what is wide in channels is small, as it must be on a CPU.

    Args:
        channels: Channels of a frame, 1 or 3.
        filters: Channels at 1/2, 1/4 and 1/8 of the frame.
        depth: Channels of the descriptor grid, the code.

    Call arguments:
        clip: float32 `(batch, time, height, width, channels)` in [0, 1]; height and width
            divisible by 8. Where 4 does not divide its length, the first frame stands before it.

    Returns:
        float32 descriptor grid `(batch, ceil(time / 4), height / 8, width / 8, depth)`.

    Example:

    >>> SpaceTimeEncoder(filters=(4, 8, 8), depth=6)(tf.zeros((1, 9, 32, 48, 1))).shape
    TensorShape([1, 3, 4, 6, 6])
    """

    def __init__(self, channels=1, filters=(16, 24, 48), depth=32, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.channels = channels
        self.filters = tuple(filters)
        self.depth = depth
        policy = self.dtype_policy
        kernels, strides = (5, 3, 3, 3), ((1, 2), (1, 2), (2, 2), (2, 1))
        self.convolutions = [
            SpaceTimeConvolution(count, size, step, name=f"down_{index}", dtype=policy)
            for index, (count, size, step) in enumerate(
                zip((*self.filters, depth), kernels, strides, strict=True)
            )
        ]

    def build(self, input_shape=None):
        build_chain(self.convolutions, (None, None, None, None, self.channels))
        self.built = True

    def call(self, clip):
        check_size(*clip.shape[2:4], SPACE_STRIDE)
        maps = pad_start(clip, TIME_STRIDE)
        for layer in self.convolutions:
            maps = layer(maps)
        return tf.cast(maps, tf.float32)

    def compute_output_shape(self, input_shape):
        batch, time, height, width, _ = input_shape
        reduced = (size and size // SPACE_STRIDE for size in (height, width))
        return (batch, time and -(-time // TIME_STRIDE), *reduced, self.depth)

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "filters": self.filters,
            "depth": self.depth,
        }


@keras.saving.register_keras_serializable(package="zoo")
class SpaceTimeDecoder(keras.layers.Layer):
    """The way back of `SpaceTimeEncoder`: each stride is undone by channels that become places.

    Args:
        filters: Channels at 1/2, 1/4 and 1/8 of the frame.
        channels: Channels of what is drawn.

    Call arguments:
        grid: Tensor `(batch, time, height, width, depth)`.

    Returns:
        Tensor `(batch, 4 * time, 8 * height, 8 * width, channels)`, unbounded, about 0 at first.

    Example:

    >>> SpaceTimeDecoder((4, 8, 8))(tf.zeros((1, 2, 4, 6, 6))).shape
    TensorShape([1, 8, 32, 48, 1])
    """

    def __init__(self, filters=(16, 24, 48), channels=1, **kwargs):
        super().__init__(**kwargs)
        self.filters = tuple(filters)
        self.channels = channels
        fine, middle, coarse = self.filters
        policy = self.dtype_policy
        self.convolutions = [
            SpaceTimeConvolution(2 * coarse, name="up_0", dtype=policy),
            SpaceTimeConvolution(8 * middle, name="up_1", dtype=policy),
            SpaceTimeConvolution(4 * fine, name="up_2", dtype=policy),
            SpaceTimeConvolution(
                4 * channels, activation=None, stddev=1e-2, name="up_3", dtype=policy
            ),
        ]

    def build(self, input_shape):
        fine, middle, coarse = self.filters
        inputs = (input_shape[-1], coarse, middle, fine)
        for layer, channels in zip(self.convolutions, inputs, strict=True):
            layer.build((None, None, None, None, channels))
        self.built = True

    def call(self, grid):
        maps = double_time(self.convolutions[0](grid))  # 1/2 of the time
        maps = _double_space(double_time(self.convolutions[1](maps)))  # all of it, 1/4 of the frame
        maps = _double_space(self.convolutions[2](maps))
        return _double_space(self.convolutions[3](maps))

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "channels": self.channels}


def double_time(maps):
    """Makes two frames of each: `(batch, n, h, w, 2 c)` -> `(batch, 2 n, h, w, c)`.

    The first half of the channels is the earlier frame.
    """
    count = maps.shape[1] or tf.shape(maps)[1]
    pairs = tf.stack(tf.split(maps, 2, axis=-1), axis=2)
    return unfold_time(fold_time(fold_time(pairs)), 2 * count)


def _double_space(maps):
    count = maps.shape[1] or tf.shape(maps)[1]
    return unfold_time(tf.nn.depth_to_space(fold_time(maps), 2), count)
