"""A grid of local descriptors that foresee: the model of this zoo's own.

Each descriptor is a gated average of what was seen at its place and around it, and is asked for
eight frames at once, near and far: what is about to happen close by can be drawn from the last
change, what happens in most of a second needs to know what moves, which way, and how it goes on.
The averages are linear in their state, as in quasi-recurrent networks (Bradbury et al. 2017), so
that all convolutions are of frames and go through together, with time scales from one frame to many
in each layer from the start (Tallec and Ollivier 2018); what a ConvLSTM spends on convolving its
state goes into more layers and more steps of training. A frame is scored by what was foreseen of it
some frames before, as motion that people do not make shows with the horizon (multi-step prediction
of Shi et al. 2015; scored ahead as `convlstm_vae` is). For equal minutes no part was seen to pay by
itself (the table in its card). The vector of a clip pools the upper and the lower half of what
moves apart, and is the same for its mirror image: what somebody does is the same whichever way they
face.
"""

import keras
import tensorflow as tf

from zoo.layers import (
    FrameDecoder,
    ScanEncoder,
    add_change,
    add_changes,
    fold_time,
    follow,
    unfold_time,
)
from zoo.layers.convolution import convolution
from zoo.layers.frame_codec import check_decoder_filters
from zoo.layers.pooling import MOTION_STATISTICS, motion_statistics
from zoo.layers.sizes import check_filters
from zoo.models.future_predictor import FuturePredictor


@keras.saving.register_keras_serializable(package="zoo")
class Foresight(FuturePredictor):
    """Quasi-recurrent layers whose descriptors predict many horizons at once.

    Args:
        filters: Channels of the frame maps at 1/2, 1/4 and 1/8 of the frame.
        scan_filters: Channels of the quasi-recurrent layer at 1/4 and of those at 1/8.
        scan_layers: Quasi-recurrent layers at 1/8.
        longest: Frames over which the slowest channels average before training.
        feature_weight: Of the error of predicting descriptors, see below, beside that of the
            pixels; 0 leaves it out, and the layers that it takes.
        feature_horizon: Frames ahead of the descriptors predicted, from 1 to `horizons`.
        target_decay: Of the average that the target encoder is.
        mirrored: Whether `encode` gives a clip and its mirror image the same vector, the mean of
            what is seen in both, for twice the time. `features` tell left from right in either
            case.
        decoder_filters: Channels of the decoder at 1/2, 1/4 and 1/8.
        horizons, score_horizon: As of `FuturePredictor`.
        **kwargs: Arguments of `FuturePredictor`, `ErrorScorer` and `VideoModel`.

    With `feature_weight` each descriptor also predicts the one at its place `feature_horizon`
    frames on, as a second encoder has it that follows the first by an average and has no gradient
    (Grill et al. 2020, "Bootstrap Your Own Latent", https://arxiv.org/abs/2006.07733, there for two
    views of an image). Both are standardised over the batch, so that a constant is no way out, and
    no negative pairs are needed. The error is reported as `features`.

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
        feature_weight=0.0,
        feature_horizon=4,
        target_decay=0.99,
        mirrored=True,
        decoder_filters=(32, 48, 96),
        horizons=8,
        score_horizon=8,
        **kwargs,
    ):
        super().__init__(horizons=horizons, score_horizon=score_horizon, **kwargs)
        self.filters = check_filters("filters", filters, 3)
        self.scan_filters = check_filters("scan_filters", scan_filters, 2)
        self.scan_layers = scan_layers
        self.longest = longest
        if feature_weight < 0:
            raise ValueError(
                f"`feature_weight` must be at least 0. Received: feature_weight={feature_weight}"
            )
        if not 1 <= feature_horizon <= horizons:
            raise ValueError(
                f"`feature_horizon` must be from 1 to horizons={horizons}. "
                f"Received: feature_horizon={feature_horizon}"
            )
        if not 0 <= target_decay < 1:
            raise ValueError(
                f"`target_decay` must be from 0 to below 1. Received: target_decay={target_decay}"
            )
        self.feature_weight = feature_weight
        self.feature_horizon = feature_horizon
        self.target_decay = target_decay
        self.mirrored = mirrored
        self.decoder_filters = check_decoder_filters("decoder_filters", decoder_filters)
        policy = self.dtype_policy
        self.encoder = self._make_encoder("encoder")
        if feature_weight:
            self.target_encoder = self._make_encoder("target_encoder")
            self.target_encoder.trainable = False
            coarse = self.scan_filters[1]
            self.feature_hidden = convolution(2 * coarse, 1, "feature_hidden", policy)
            self.feature_out = convolution(coarse, 1, "feature_out", policy, activation=None)
            self.feature_metric = keras.metrics.Mean(name="features")
        self.decoder = FrameDecoder(
            self.decoder_filters, self.horizons * self.channels, name="decoder", dtype=policy
        )

    def _make_encoder(self, name):
        return ScanEncoder(
            self.channels,
            self.filters,
            self.scan_filters,
            self.scan_layers,
            self.longest,
            name=name,
            dtype=self.dtype_policy,
        )

    def build(self, input_shape=None):
        self.encoder.build()
        if self.feature_weight:
            self.target_encoder.build()
            self.target_encoder.set_weights(self.encoder.get_weights())
            self.feature_hidden.build((None, None, None, self.scan_filters[1]))
            self.feature_out.build((None, None, None, 2 * self.scan_filters[1]))
        frame_2, frame_4, _ = self.filters
        scan_4, scan_8 = self.scan_filters
        self.decoder.build([(frame_2,), (frame_4 + scan_4,), (scan_8,)])
        self.built = True

    @property
    def added_terms(self):
        return {"features": self.feature_weight} if self.feature_weight else {}

    @property
    def embedding_dim(self):
        return MOTION_STATISTICS * self.encoder.depth

    def _encode(self, clip):
        views = [clip, tf.reverse(clip, axis=[3])] if self.mirrored else [clip]
        found = [motion_statistics(self._run("features", view), view) for view in views]
        return tf.add_n(found) / len(found)

    def call(self, clip, training=False):
        if not self.feature_weight:
            return self._call_on_known(clip)
        clip = self._check_training_clip(clip)
        known, start = self._known(clip), self._start(clip)
        # Known are more frames to the descriptors than to the pixels, which look further ahead.
        maps, _ = self._observe(clip[:, : -self.feature_horizon], start)
        self._predict_features(maps["scan_8"], clip, start)
        return self._predict(self._first(maps, known), known)

    def _predict_features(self, descriptors, clip, start):
        """Adds the error of the descriptors that are predicted from `(batch, n, ...)` ones."""
        count = descriptors.shape[1] or tf.shape(descriptors)[1]
        predicted = self.feature_out(self.feature_hidden(fold_time(descriptors)))
        ahead, _ = self.target_encoder.observe(clip, start, start["frames_seen"])
        target = tf.stop_gradient(ahead["scan_8"][:, self.feature_horizon :])
        error = _standardised(unfold_time(predicted, count)) - _standardised(target)
        error = tf.reduce_mean(tf.square(error))
        self.add_loss(self.feature_weight * error)
        self._note_in_step(self.feature_metric, error, clip)

    def train_step(self, data):
        report = super().train_step(data)
        if self.feature_weight:
            follow(
                self.target_encoder.weights,
                self.encoder.weights,
                self.target_decay,
                self.optimizer.iterations,
            )
        return report

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
            "feature_weight": self.feature_weight,
            "feature_horizon": self.feature_horizon,
            "target_decay": self.target_decay,
            "mirrored": self.mirrored,
            "decoder_filters": self.decoder_filters,
        }


def _standardised(values):
    """Each channel about its mean and by its deviation over batch, time and space, float32."""
    values = tf.cast(values, tf.float32)
    mean, variance = tf.nn.moments(values, [0, 1, 2, 3])
    return (values - mean) * tf.math.rsqrt(variance + 1e-4)
