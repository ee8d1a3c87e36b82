"""From frames to a pyramid of feature maps, and from feature maps back to frames."""

import keras
import tensorflow as tf

from zoo.layers.convolution import build_chain, convolution
from zoo.layers.sizes import check_filters


@keras.saving.register_keras_serializable(package="zoo")
class FrameEncoder(keras.layers.Layer):
    """Three strided convolutions: maps at 1/2, 1/4 and 1/8 of the frame.

    The wide maps are the small ones, as elementwise work at full resolution costs as much as a
    convolution on a CPU.

    Args:
        filters: Channels of the three maps, the finest first.

    Call arguments:
        frames: Tensor `(batch, height, width, channels)`; height and width divisible by 8.

    Returns:
        List of three tensors `(batch, height / 2**i, width / 2**i, filters[i - 1])`, i = 1, 2, 3.

    Example:

    >>> [tuple(level.shape) for level in FrameEncoder((4, 8, 16))(tf.zeros((1, 32, 48, 1)))]
    [(1, 16, 24, 4), (1, 8, 12, 8), (1, 4, 6, 16)]
    """

    def __init__(self, filters=(16, 48, 80), **kwargs):
        super().__init__(**kwargs)
        self.filters = tuple(filters)
        self.convolutions = [
            convolution(
                count,
                5 if level == 0 else 3,
                name=f"down_{2 ** (level + 1)}",
                dtype=self.dtype_policy,
                strides=2,
            )
            for level, count in enumerate(self.filters)
        ]

    def build(self, input_shape):
        build_chain(self.convolutions, (None, None, None, input_shape[-1]))
        self.built = True

    def call(self, frames):
        levels = []
        for layer in self.convolutions:
            frames = layer(frames)
            levels.append(frames)
        return levels

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable(package="zoo")
class FrameDecoder(keras.layers.Layer):
    """From maps at 1/8, 1/4 and 1/2 of the frame to images, by sub-pixel convolutions.

    Each step up is a convolution to four times the channels whose groups of four become 2x2
    pixels (Shi et al. 2016, https://arxiv.org/abs/1609.05158), so nothing wide is ever computed
    at full resolution.

    Args:
        filters: Channels at 1/2, 1/4 and 1/8 of the frame, the finest first; that one even.
        outputs: Channels of the image.

    Call arguments:
        levels: Three tensors, or lists of tensors to be joined, the finest first: `(batch,
            height / 2**i, width / 2**i, any)`.

    Returns:
        Tensor `(batch, height, width, outputs)`, linear (no activation), near zero at first.

    Raises:
        ValueError: If `filters` breaks a rule.
    """

    def __init__(self, filters=(32, 48, 96), outputs=1, **kwargs):
        super().__init__(**kwargs)
        self.filters = check_decoder_filters("filters", filters)
        self.outputs = outputs
        policy = self.dtype_policy
        fine, middle, coarse = self.filters
        self.merge_8 = convolution(coarse, 3, "merge_8", policy)
        self.up_4 = convolution(4 * middle, 1, "up_4", policy)
        self.merge_4 = convolution(middle, 3, "merge_4", policy)
        self.up_2 = convolution(2 * fine, 1, "up_2", policy)
        self.merge_2 = convolution(fine, 3, "merge_2", policy)
        # Small, not zero: a zero branch leaves the layers below it without a gradient.
        self.up_1 = convolution(4 * outputs, 3, "up_1", policy, activation=None, stddev=1e-2)

    def build(self, level_shapes):
        fine, middle, coarse = self.filters
        in_2, in_4, in_8 = (shape[-1] for shape in level_shapes)
        for layer, channels in (
            (self.merge_8, in_8),
            (self.up_4, coarse),
            (self.merge_4, middle + in_4),
            (self.up_2, middle),
            (self.merge_2, fine // 2 + in_2),
            (self.up_1, fine),
        ):
            layer.build((None, None, None, channels))
        self.built = True

    def call(self, levels):
        level_2, level_4, level_8 = (
            level if isinstance(level, list) else [level] for level in levels
        )
        maps = self.merge_8(tf.concat(level_8, axis=-1))
        maps = tf.nn.depth_to_space(self.up_4(maps), 2)  # 1/4 of the frame
        maps = self.merge_4(tf.concat([maps, *level_4], axis=-1))
        maps = tf.nn.depth_to_space(self.up_2(maps), 2)  # 1/2 of the frame
        maps = self.merge_2(tf.concat([maps, *level_2], axis=-1))
        return tf.nn.depth_to_space(self.up_1(maps), 2)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "outputs": self.outputs}


def check_decoder_filters(name, values):
    """Checks the channels of a `FrameDecoder`.

    Args:
        name: What the argument is called.
        values: Its value.

    Returns:
        The values as a tuple.

    Raises:
        ValueError: If they are not three whole numbers of at least 1, the first even.
    """
    filters = check_filters(name, values, 3)
    if filters[0] % 2:
        raise ValueError(
            f"The first of `{name}` must be even, since half of it comes from the level below. "
            f"Received: {name}={filters}"
        )
    return filters
