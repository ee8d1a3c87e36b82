"""The multi-scale adversarial predictor of Mathieu, Couprie and LeCun 2016.

https://arxiv.org/abs/1511.05440. With `X_k` the last frames at scale k, from 1/8 of the frame to
all of it, and `u_k` the enlargement to that scale,

    Y_k = u_k(Y_{k-1}) + G_k(X_k, u_k(Y_{k-1}))

is the next frame, and a discriminator at each scale judges `(X_k, Y_k)`. What differs, to be
trained on a processor: a generator has four convolutions, where the two finer ones of the paper
have six, and at the two coarser scales 3/8 of the paper's channels, at the third a tenth of them
in all and at the finest a twentieth; its kernels are 3x3 but for the first of the three finer
scales, 5x5, where the paper's are 3, 3, 3, 3 at the coarsest, 5, 3, 3, 5 at the next, 5, 3, 3, 3,
3, 5 at the third and 7, 5, 5, 5, 5, 7 at the finest; each begins as a copy of the last frame, and
its output is not squashed by a tanh but cut off at [0, 1] outside training; frames are made
smaller by averages and larger by bilinear interpolation; losses are means over pixels, summed over
scales, with weights for means; a discriminator has three 3x3 convolutions of 24, 48 and 64
channels at every scale, where the paper has from one at the coarsest to four at the finest, of 64
to 512; their kernels are kept at spectral norm one unless `spectral_norm=False` (Miyato et al.
2018, https://arxiv.org/abs/1802.05957); of the frames after the first they see the change from the
one before, four times as large, not the frame; a discriminator judges every place of any frame,
where the paper's has fully connected layers over a crop, and its layers stride where the paper's
pool; both sides are optimised by Adam, not by plain gradient descent, at the same time.
"""

import keras
import tensorflow as tf

from zoo.layers import fold_time, unfold_time
from zoo.layers.pyramid import (
    SCALES,
    PyramidDiscriminator,
    PyramidGenerator,
    as_channels,
    as_scales,
)
from zoo.layers.sizes import check_filters
from zoo.losses import SharpPrediction
from zoo.models.adversarial import AdversarialModel, Drawn
from zoo.models.windowed_predictor import WindowedPredictor


@keras.saving.register_keras_serializable(package="zoo")
class MultiscaleGAN(AdversarialModel, WindowedPredictor):
    """Predicts the next frame at four scales, against a discriminator at each.

    The loss of the generators is, summed over the scales,

        lp_weight * mean |Y - y| ** exponent + gradient_weight * gradient difference
            + adversarial_weight * adversarial loss

    and a term of weight 0 is not computed. Training uses the windows of `context_frames` frames
    that lie within a clip, with the frame after each. Reported beside the terms of
    `AdversarialModel` are `coarse_scales` (the part of the loss at the three scales below the
    finest, whose own is `reconstruction`) and, without weight and at the finest scale, `lp` and
    `gradient_difference`.

    Args:
        filters: For each scale, the coarsest first, the channels of three convolutions.
        discriminator_filters: Channels of the three convolutions of each discriminator.
        lp_weight, gradient_weight, exponent, gradient_exponent: As of `SharpPrediction`; the
            paper calls the exponents p and alpha.
        horizons: Frames predicted at each frame. The first is what is trained; the others come of
            it by recursion, as in `rollout`, for a score that looks further ahead.
        score_horizon: Which of them scores.
        **kwargs: Arguments of `AdversarialModel` and `WindowedPredictor`.

    Call arguments:
        clip: float32 `(batch, time, height, width, channels)` in [0, 1], more than `horizons`
            frames, and more than `context_frames` in training; height and width multiples of 8.

    Returns:
        float32 `(batch, time - K, K, height, width, channels)`, K the horizons: `[:, t, k]` is
        frame t + k + 1 predicted at frame t.

    Raises:
        ValueError: If an argument or a clip breaks a rule; the message names it.

    Example:

    >>> model = MultiscaleGAN(filters=4 * ((4, 8, 4),), discriminator_filters=(4, 4, 4))
    >>> model(tf.zeros((1, 5, 16, 24, 1))).shape
    TensorShape([1, 4, 1, 16, 24, 1])

    Reference:
        Mathieu, Couprie and LeCun, "Deep multi-scale video prediction beyond mean square
        error", 2016, https://arxiv.org/abs/1511.05440
    """

    verbs = ("encode", "features", "rollout", "score", "score_map", "step")
    stride = 2 ** (SCALES - 1)

    def __init__(
        self,
        filters=((48, 96, 48), (48, 96, 48), (32, 64, 32), (16, 32, 16)),
        discriminator_filters=(24, 48, 64),
        lp_weight=1.0,
        gradient_weight=1.0,
        exponent=2,
        gradient_exponent=1,
        horizons=1,
        score_horizon=1,
        **kwargs,
    ):
        super().__init__(horizons=horizons, score_horizon=score_horizon, **kwargs)
        if not isinstance(filters, (tuple, list)) or len(filters) != SCALES:
            raise ValueError(
                f"`filters` must hold three numbers for each of {SCALES} scales. "
                f"Received: filters={filters!r}"
            )
        self.filters = tuple(
            check_filters(f"filters[{scale}]", counts, 3) for scale, counts in enumerate(filters)
        )
        self.discriminator_filters = check_filters(
            "discriminator_filters", discriminator_filters, SCALES - 1
        )
        self.lp_weight = lp_weight
        self.gradient_weight = gradient_weight
        self.exponent = exponent
        self.gradient_exponent = gradient_exponent
        self.scale_loss = self.default_loss()
        policy = self.dtype_policy
        self._adopt(
            lambda name: PyramidGenerator(
                self.channels, self.context_frames, self.filters, name=name, dtype=policy
            ),
            lambda name: PyramidDiscriminator(
                self.channels,
                self.context_frames,
                self.discriminator_filters,
                self.spectral_norm,
                name=name,
                dtype=policy,
            ),
        )
        self.coarse_metric = keras.metrics.Mean(name="coarse_scales")
        self.lp_metric = keras.metrics.Mean(name="lp") if lp_weight else None
        self.gradient_metric = (
            keras.metrics.Mean(name="gradient_difference") if gradient_weight else None
        )

    @property
    def encoder(self):
        """`PyramidEncoder` of the generators that predictions are made with."""
        return self._generator_for(training=False).encoder

    def default_loss(self):
        return SharpPrediction(
            self.lp_weight, self.gradient_weight, self.exponent, self.gradient_exponent
        )

    def call(self, clip, training=False):
        clip = self._check_training_clip(clip)
        windows = self._known(self._windows(clip))
        return self._ahead(windows, self.horizons, self._generator_for(training))

    def _windows(self, clip):
        maps, _ = self._observe(clip, self._start(clip))
        return maps["window"]

    def _predict(self, maps, frames, seed=None):
        return self._ahead(maps["window"], self.horizons, self._generator_for(training=False))

    def _predict_at(self, maps, frames, horizons, seed=None):
        ahead = self._ahead(maps["window"], max(horizons), self._generator_for(training=False))
        return [ahead[:, :, horizon - 1] for horizon in horizons]

    def _ahead(self, windows, steps, generator):
        """Windows `(batch, n, context_frames, ...)` -> `(batch, n, steps, ...)` frames ahead."""
        count = windows.shape[1] or tf.shape(windows)[1]
        frames = []
        for _ in range(steps):
            following = unfold_time(generator(as_scales(as_channels(windows)))[-1], count)
            frames.append(following[:, :, None])
            # As a rollout has it, which is fed on frames.
            seen = tf.clip_by_value(frames[-1], 0.0, 1.0)
            windows = tf.concat([windows[:, :, 1:], seen], axis=2)
        return tf.concat(frames, axis=2)

    def _draw(self, x, y, training):
        clip = self.check_clip(x, min_frames=self.context_frames + 1)
        first = self.context_frames - 1  # of the windows that lie within the clip
        contexts = as_scales(as_channels(self._windows(clip)[:, first:-1]))
        targets = as_scales(fold_time(clip[:, first + 1 :]))
        predictions = self._generator_for(training)(contexts)
        # By `call`: called as Keras has it, a loss divides by the replicas, as `objectives` does.
        loss = self.scale_loss
        coarse = sum(
            tf.reduce_mean(loss.call(true, drawn))
            for true, drawn in zip(targets[:-1], predictions[:-1], strict=True)
        )
        self._note(self.coarse_metric, coarse, clip)
        if self.lp_metric is not None:
            error = tf.abs(targets[-1] - predictions[-1])
            self._note(self.lp_metric, tf.reduce_mean(error**self.exponent), clip)
        if self.gradient_metric is not None:
            difference = loss.gradient_difference.call(targets[-1], predictions[-1])
            self._note(self.gradient_metric, tf.reduce_mean(difference), clip)
        shown = [
            [tf.concat(pair, axis=-1) for pair in zip(contexts, frames, strict=True)]
            for frames in (targets, predictions)
        ]
        return Drawn(targets[-1], predictions[-1], *shown, extra=coarse)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "discriminator_filters": self.discriminator_filters,
            "lp_weight": self.lp_weight,
            "gradient_weight": self.gradient_weight,
            "exponent": self.exponent,
            "gradient_exponent": self.gradient_exponent,
        }
