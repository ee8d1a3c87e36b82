"""Layers that several models share."""

from zoo.layers.averaging import follow
from zoo.layers.changes import add_change, add_changes
from zoo.layers.conv_lstm import ConvLSTM
from zoo.layers.frame_codec import FrameDecoder, FrameEncoder
from zoo.layers.gaussian_latent import GaussianLatent, add_kl_weight
from zoo.layers.neighbour_encoder import NeighbourEncoder
from zoo.layers.patch_encoder import PatchEncoder
from zoo.layers.patch_transform import PatchTransform
from zoo.layers.pooling import descriptor_statistics, motion_statistics
from zoo.layers.quasi_recurrent import QuasiRecurrent
from zoo.layers.recent_frames import pad_start, recent_windows
from zoo.layers.recurrent_encoder import RecurrentEncoder
from zoo.layers.scan_encoder import ScanEncoder
from zoo.layers.seeded_draws import add_draw_counter, next_draw_seed
from zoo.layers.segments import cut_segments, join_segments, segment_count, segments_before
from zoo.layers.space_time_block import SpaceTimeBlock, with_neighbours
from zoo.layers.space_time_codec import SpaceTimeDecoder, SpaceTimeEncoder
from zoo.layers.spectral import SpectralConv2D
from zoo.layers.time_axis import fold_time, unfold_time

__all__ = [
    "ConvLSTM",
    "FrameDecoder",
    "FrameEncoder",
    "GaussianLatent",
    "NeighbourEncoder",
    "PatchEncoder",
    "PatchTransform",
    "QuasiRecurrent",
    "RecurrentEncoder",
    "ScanEncoder",
    "SpaceTimeBlock",
    "SpaceTimeDecoder",
    "SpaceTimeEncoder",
    "SpectralConv2D",
    "add_change",
    "add_changes",
    "add_draw_counter",
    "add_kl_weight",
    "cut_segments",
    "descriptor_statistics",
    "fold_time",
    "follow",
    "join_segments",
    "motion_statistics",
    "next_draw_seed",
    "pad_start",
    "recent_windows",
    "segment_count",
    "segments_before",
    "unfold_time",
    "with_neighbours",
]
