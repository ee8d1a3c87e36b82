"""A grid of local descriptors that foresee: the model of this zoo's own.

Each descriptor is a gated average of what was seen at its place and around it, and is asked for
eight frames at once, near and far: what is about to happen close by can be drawn from the last
change, what happens in most of a second needs to know what moves, which way, and how it goes on.
The averages are linear in their state, as in quasi-recurrent networks (Bradbury et al. 2017), so
that all convolutions are of frames and go through together, with time scales from one frame to
many in each layer from the start (Tallec and Ollivier 2018); what a ConvLSTM spends on convolving
its state goes into more layers and more steps of training. A frame is scored by what was foreseen
of it some frames before, as motion that people do not make shows with the horizon (multi-step
prediction of Shi et al. 2015; scored ahead as `convlstm_vae` is). The vector of a clip
pools the upper and the lower half of what moves apart, and is the same for its mirror image: what
somebody does is the same whichever way they face.
"""

import keras
import tensorflow as tf

from zoo.layers import FrameDecoder, ScanEncoder, add_change, add_changes, fold_time
from zoo.layers.pooling import MOTION_STATISTICS, motion_statistics
from zoo.models.future_predictor import FuturePredictor


@keras.saving.register_keras_serializable(package="zoo")
class Foresight(FuturePredictor):
    """Quasi-recurrent layers whose descriptors predict many horizons at once.

    Args:
        filters: Channels of the frame maps at 1/2, 1/4 and 1/8 of the frame.
        scan_filters: Channels of the quasi-recurrent layer at 1/4 and of those at 1/8.
        scan_layers: Quasi-recurrent layers at 1/8.
        longest: Frames over which the slowest channels average before training.
        mirrored: Whether `encode` gives a clip and its mirror image the same vector, the mean of
            what is seen in both, for twice the time. `features` tell left from right in either
            case.
        decoder_filters: Channels of the decoder at 1/2, 1/4 and 1/8.
        horizons, score_horizon: As of `FuturePredictor`.
        **kwargs: Arguments of `FuturePredictor`, `ErrorScorer` and `VideoModel`.

    Call arguments, Returns and Raises: As of `ConvLSTMPredictor`, a change from the last known
    frame at each of the horizons.

    Example:

    >>> model = Foresight(filters=(4, 8, 8), scan_filters=(4, 8), decoder_filters=(8, 8, 8))
    >>> model(tf.zeros((1, 12, 32, 48, 1))).shape
    TensorShape([1, 4, 8, 32, 48, 1])
    >>> model.encode(tf.zeros((1, 12, 32, 48, 1))).shape
    TensorShape([1, 120])
    """

    verbs = ("encode", "features", "rollout", "score", "score_map", "step")
    found_on = ("weizmann",)  # how it pools a clip

    def __init__(
        self,
        filters=(16, 48, 80),
        scan_filters=(24, 80),
        scan_layers=3,
        longest=16,
        mirrored=True,
        decoder_filters=(32, 48, 96),
        horizons=8,
        score_horizon=8,
        **kwargs,
    ):
        super().__init__(horizons=horizons, score_horizon=score_horizon, **kwargs)
        self.filters = tuple(filters)
        self.scan_filters = tuple(scan_filters)
        self.scan_layers = scan_layers
        self.longest = longest
        self.mirrored = mirrored
        self.decoder_filters = tuple(decoder_filters)
        policy = self.dtype_policy
        self.encoder = ScanEncoder(
            self.channels,
            self.filters,
            self.scan_filters,
            scan_layers,
            longest,
            name="encoder",
            dtype=policy,
        )
        self.decoder = FrameDecoder(
            self.decoder_filters, self.horizons * self.channels, name="decoder", dtype=policy
        )

    def build(self, input_shape=None):
        self.encoder.build()
        frame_2, frame_4, _ = self.filters
        scan_4, scan_8 = self.scan_filters
        self.decoder.build([(frame_2,), (frame_4 + scan_4,), (scan_8,)])
        self.built = True

    @property
    def embedding_dim(self):
        return MOTION_STATISTICS * self.encoder.depth

    def _encode(self, clip):
        views = [clip, tf.reverse(clip, axis=[3])] if self.mirrored else [clip]
        found = [motion_statistics(self._run("features", view), view) for view in views]
        return tf.add_n(found) / len(found)

    def call(self, clip, training=False):
        return self._call_on_known(clip)

    def _observe(self, frames, state):
        return self.encoder.observe(frames, state, state["frames_seen"])

    def _changes(self, maps):
        levels = [
            fold_time(maps["frame_2"]),
            [fold_time(maps["frame_4"]), fold_time(maps["scan_4"])],
            fold_time(maps["scan_8"]),
        ]
        return tf.cast(self.decoder(levels), tf.float32)

    def _predict(self, maps, frames, seed=None):
        return add_changes(frames, self._changes(maps), self.horizons)

    def _predict_at(self, maps, frames, horizons, seed=None):
        changes = self._changes(maps)
        return [add_change(frames, changes, horizon) for horizon in horizons]

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "scan_filters": self.scan_filters,
            "scan_layers": self.scan_layers,
            "longest": self.longest,
            "mirrored": self.mirrored,
            "decoder_filters": self.decoder_filters,
        }
