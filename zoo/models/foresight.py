"""Prototype."""

import keras
import tensorflow as tf

from zoo.layers import FrameDecoder, fold_time, unfold_time
from zoo.layers.scan_encoder import ScanEncoder
from zoo.models.future_predictor import FuturePredictor


@keras.saving.register_keras_serializable(package="zoo")
class Foresight(FuturePredictor):
    verbs = ("encode", "features", "rollout", "score", "score_map", "step")

    def __init__(self, filters=(16, 48, 80), scan_filters=(24, 80), blocks=3, longest=16,
                 decoder_filters=(32, 48, 96), horizons=8, score_horizon=8, **kwargs):
        super().__init__(horizons=horizons, score_horizon=score_horizon, **kwargs)
        self.filters, self.scan_filters = tuple(filters), tuple(scan_filters)
        self.blocks, self.longest = blocks, longest
        self.decoder_filters = tuple(decoder_filters)
        policy = self.dtype_policy
        self.encoder = ScanEncoder(self.channels, self.filters, self.scan_filters, blocks, longest,
                                   name="encoder", dtype=policy)
        self.decoder = FrameDecoder(self.decoder_filters, self.horizons * self.channels,
                                    name="decoder", dtype=policy)

    def build(self, input_shape=None):
        self.encoder.build()
        self.decoder.build([(self.filters[0],), (self.filters[1] + self.scan_filters[0],),
                            (self.scan_filters[1],)])
        self.built = True

    def call(self, clip, training=False):
        clip = self._check_training_clip(clip)
        known = clip[:, : -self.horizons]
        shape = tf.shape(known)
        maps, _ = self._observe(known, self._initial_state(shape[0], shape[2], shape[3]))
        return self._predict(maps, known)

    def _observe(self, frames, state):
        return self.encoder.observe(frames, state, state["frames_seen"])

    def _changes(self, maps):
        levels = [fold_time(maps["frame_2"]),
                  [fold_time(maps["frame_4"]), fold_time(maps["scan_4"])],
                  fold_time(maps["scan_8"])]
        return tf.cast(self.decoder(levels), tf.float32)

    def _predict(self, maps, frames, seed=None):
        count = frames.shape[1] or tf.shape(frames)[1]
        change = self._changes(maps)
        shape = tf.shape(change)
        change = tf.reshape(change, (-1, count, shape[1], shape[2], self.horizons, self.channels))
        return frames[:, :, None] + tf.transpose(change, [0, 1, 4, 2, 3, 5])

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "scan_filters": self.scan_filters,
                "blocks": self.blocks, "longest": self.longest,
                "decoder_filters": self.decoder_filters}
