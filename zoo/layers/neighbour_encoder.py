"""An encoder over space and time that sees some frames to both sides of each."""

import keras
import tensorflow as tf

from zoo.layers.frame_codec import FrameEncoder
from zoo.layers.sizes import check_size
from zoo.layers.space_time_block import SpaceTimeBlock, with_neighbours
from zoo.layers.time_axis import fold_time, unfold_time


@keras.saving.register_keras_serializable(package="zoo")
class NeighbourEncoder(keras.Model):
    """Strided convolutions, the first three frames deep, then a block over space and time.

    Time is looked at mostly where the maps are small, which costs least and serves best (Xie et
    al. 2018, https://arxiv.org/abs/1712.04851).

    Args:
        channels: Channels of a frame, 1 or 3.
        filters: Channels at 1/2, 1/4 and 1/8 of the frame.

    Call arguments:
        clip: float32 `(batch, time, height, width, channels)` in [0, 1]; height and width
            divisible by 8.

    Returns:
        float32 descriptor grid `(batch, time, height / 8, width / 8, 2 * filters[2])`: maps of
        three frames, and the same behind the block.

    Example:

    >>> NeighbourEncoder(filters=(4, 8, 8))(tf.zeros((1, 5, 32, 48, 1))).shape
    TensorShape([1, 5, 4, 6, 16])
    """

    def __init__(self, channels=1, filters=(16, 48, 80), **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.channels = channels
        self.filters = tuple(filters)
        policy = self.dtype_policy
        self.frame_encoder = FrameEncoder(self.filters, name="frame_encoder", dtype=policy)
        self.block = SpaceTimeBlock(self.filters[2], name="block", dtype=policy)

    @property
    def depth(self):
        """Channels of the descriptor grid."""
        return 2 * self.filters[2]

    def build(self, input_shape=None):
        self.frame_encoder.build((None, None, None, 3 * self.channels))
        self.block.build()
        self.built = True

    def maps(self, clip):
        """Maps of a clip.

        Returns:
            Four tensors `(batch, time, ...)` in the compute dtype: at 1/2, 1/4 and 1/8 of the
            frame, and at 1/8 behind the block.
        """
        time = clip.shape[1] or tf.shape(clip)[1]
        levels = self.frame_encoder(fold_time(with_neighbours(clip)))
        fine, middle, coarse = (unfold_time(level, time) for level in levels)
        return fine, middle, coarse, self.block(coarse)

    def call(self, clip):
        check_size(*clip.shape[2:4], 8)
        _, _, coarse, mixed = self.maps(clip)
        return tf.cast(tf.concat([coarse, mixed], axis=-1), tf.float32)

    def compute_output_shape(self, input_shape):
        batch, time, height, width, _ = input_shape
        return (batch, time, height and height // 8, width and width // 8, self.depth)

    def get_config(self):
        return {**super().get_config(), "channels": self.channels, "filters": self.filters}
