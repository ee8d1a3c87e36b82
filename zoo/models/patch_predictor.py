"""What predictors share whose state is a stack of ConvLSTMs over the patches of a frame."""

import math

import keras

from zoo.layers import PatchEncoder, fold_time
from zoo.layers.patch_decoder import build_decoder, decoder_layers, unroll
from zoo.layers.patch_encoder import PATCH
from zoo.layers.sizes import check_filters
from zoo.models.future_predictor import FuturePredictor


class PatchPredictor(FuturePredictor):
    """A `FuturePredictor` that encodes by a `PatchEncoder` and decodes from its states.

    Args:
        filters: Channels of each ConvLSTM of the encoder, and of each decoder.
        patch: Side of a patch in pixels: 1, 2, 4 or 8.
        residual: Whether a frame is predicted as its change from the last, with a squared error;
            else as it is, through a logistic function, with a cross-entropy. Where things move
            all over an empty frame the last is little to go by.
        pixel_mean: Mean of a pixel, which a frame drawn as it is starts from before training.
        **kwargs: Arguments of `FuturePredictor`, `ErrorScorer` and `VideoModel`.
    """

    stride = PATCH

    def __init__(self, filters=(64, 64), patch=PATCH, residual=True, pixel_mean=0.5, **kwargs):
        super().__init__(**kwargs)
        if not 0 < pixel_mean < 1:
            raise ValueError(
                f"`pixel_mean` must be between 0 and 1. Received: pixel_mean={pixel_mean}"
            )
        self.filters = check_filters("filters", filters)
        self.patch, self.residual, self.pixel_mean = patch, residual, pixel_mean
        self.encoder = PatchEncoder(
            self.channels, self.filters, patch, name="encoder", dtype=self.dtype_policy
        )

    @property
    def rollout_block(self):
        """All frames ahead: a decoder is trained to draw them from one state of the encoder."""
        return self.horizons

    def default_loss(self):
        return super().default_loss() if self.residual else keras.losses.BinaryCrossentropy()

    # Decoders: the layers are the subclass's own, so that it decides on the layout of its weights.

    @property
    def _patch_values(self):
        return self.patch**2 * self.channels

    def _decoder_layers(self, cell_name, draw_name):
        """ConvLSTMs and what draws patches from their states; see `decoder_layers`."""
        return decoder_layers(
            self.filters, self._patch_values, cell_name, draw_name, self.dtype_policy
        )

    def _build_decoder(self, cells, draw, is_shown, is_change):
        """Builds a decoder that is shown patches or not, and draws changes or frames."""
        logit = math.log(self.pixel_mean / (1 - self.pixel_mean))
        inputs = self._patch_values if is_shown else 0
        build_decoder(cells, draw, inputs, start=0.0 if is_change else logit)

    def _decode(self, cells, draw, maps, steps, shown, is_change):
        """Maps `(batch, n, ...)` -> `(batch * n, steps, height, width, channels)`, float32."""
        base = fold_time(maps["patches"]) if is_change else None
        return unroll(cells, draw, self.encoder.states(maps), steps, self.patch, shown, base)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "patch": self.patch,
            "residual": self.residual,
            "pixel_mean": self.pixel_mean,
        }
