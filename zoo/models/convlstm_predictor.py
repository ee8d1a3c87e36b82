"""The ConvLSTM encoder-forecaster of Shi et al. 2015 (https://arxiv.org/abs/1506.04214).

Frames are cut into patches whose pixels become channels; a stack of ConvLSTMs takes them in; a
second stack starts from the states of the first and unrolls the future; a 1x1 convolution over
the states of all its layers gives the patches of each frame ahead. What differs: the cells have
no peephole terms; the forecaster is shown the last frame at each step; its output is the change
from that frame and its loss a squared error, where the paper draws moving digits with a
cross-entropy (as `residual=False` does); and it forecasts at every frame of a clip, not only
after the last, so that each frame can be scored.
"""

import keras
import tensorflow as tf

from zoo.layers import fold_time, unfold_time
from zoo.models.patch_predictor import PatchPredictor


@keras.saving.register_keras_serializable(package="zoo")
class ConvLSTMPredictor(PatchPredictor):
    """ConvLSTM encoder-forecaster.

    Args:
        **kwargs: Arguments of `PatchPredictor`, `FuturePredictor`, `ErrorScorer` and `VideoModel`.

    Call arguments:
        clip: float32 `(batch, time, height, width, channels)` in [0, 1], more than `horizons`
            frames; height and width multiples of 8.

    Returns:
        float32 `(batch, time - K, K, height, width, channels)`: `[:, t, k]` is frame t + k + 1
        predicted at frame t.

    Raises:
        ValueError: If an argument or a clip breaks a rule; the message names it.

    Example:

    >>> model = ConvLSTMPredictor(filters=(8, 8), horizons=2, score_horizon=2)
    >>> model(tf.zeros((1, 6, 16, 24, 1))).shape
    TensorShape([1, 4, 2, 16, 24, 1])

    Reference:
        Shi et al., "Convolutional LSTM Network: A Machine Learning Approach for Precipitation
        Nowcasting", 2015, https://arxiv.org/abs/1506.04214
    """

    verbs = ("encode", "features", "rollout", "score", "score_map", "step")

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.forecaster, self.to_patches = self._decoder_layers("forecast", "to_patches")

    def build(self, input_shape=None):
        self.encoder.build()
        self._build_decoder(
            self.forecaster, self.to_patches, is_shown=True, is_change=self.residual
        )
        self.built = True

    def call(self, clip, training=False):
        return self._call_on_known(clip)

    def _predict(self, maps, frames, seed=None):
        count = frames.shape[1] or tf.shape(frames)[1]
        future = self._decode(
            self.forecaster,
            self.to_patches,
            maps,
            self.horizons,
            shown=fold_time(maps["patches"]),
            is_change=self.residual,
        )
        return unfold_time(future, count)
