"""Layers that several models share."""

from zoo.layers.conv_lstm import ConvLSTM
from zoo.layers.frame_codec import FrameDecoder, FrameEncoder
from zoo.layers.gaussian_latent import GaussianLatent
from zoo.layers.pooling import descriptor_statistics
from zoo.layers.recent_frames import pad_start, recent_windows
from zoo.layers.recurrent_encoder import RecurrentEncoder
from zoo.layers.space_time_block import SpaceTimeBlock, with_neighbours
from zoo.layers.space_time_codec import SpaceTimeDecoder, SpaceTimeEncoder
from zoo.layers.time_axis import fold_time, unfold_time

__all__ = [
    "ConvLSTM",
    "FrameDecoder",
    "FrameEncoder",
    "GaussianLatent",
    "RecurrentEncoder",
    "SpaceTimeBlock",
    "SpaceTimeDecoder",
    "SpaceTimeEncoder",
    "descriptor_statistics",
    "fold_time",
    "pad_start",
    "recent_windows",
    "unfold_time",
    "with_neighbours",
]
