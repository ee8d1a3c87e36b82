"""The multi-scale adversarial predictor of Mathieu, Couprie and LeCun 2016.

https://arxiv.org/abs/1511.05440. With `X_k` the last frames at scale k, from 1/8 of the frame to
all of it, and `u_k` the enlargement to that scale,

    Y_k = u_k(Y_{k-1}) + G_k(X_k, u_k(Y_{k-1}))

is the next frame, and a discriminator at each scale judges `(X_k, Y_k)`. What differs: a
generator has four convolutions and a tenth of the channels, to be trained on a processor; its
output is not squashed by a tanh but cut off at [0, 1] outside training; frames are made smaller
by averages and larger by bilinear interpolation; losses are means over pixels, summed over
scales, with weights for means; the verdict of a discriminator is a mean over places instead of
fully connected layers, since frames of any size must do, and its layers stride where the paper's
pool; both sides are optimised by Adam, not by plain gradient descent, at the same time.
"""

import keras
import tensorflow as tf

from zoo.layers import fold_time, recent_windows, unfold_time
from zoo.layers.convolution import convolution
from zoo.layers.sizes import check_size
from zoo.layers.spectral import critic_convolution
from zoo.losses import SharpPrediction
from zoo.models.adversarial import AdversarialModel, Drawn
from zoo.models.windowed_predictor import WindowedPredictor

SCALES = 4  # 1/8, 1/4, 1/2 and 1 of the frame


@keras.saving.register_keras_serializable(package="zoo")
class PyramidEncoder(keras.Model):
    """All of the four generators but the last two convolutions of the finest.

    Args:
        channels: Channels of a frame, 1 or 3.
        context_frames: Frames that a prediction is made from.
        filters: For each scale, the coarsest first, the channels of three convolutions.

    Call arguments:
        clip: float32 `(batch, time, height, width, channels)` in [0, 1]; height and width
            multiples of 8.

    Returns:
        float32 descriptor grid `(batch, time, height / 8, width / 8, depth)`: at each frame the
        middle layers of the generators, averaged to 1/8 of the frame.
    """

    def __init__(self, channels, context_frames, filters, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.channels = channels
        self.context_frames = context_frames
        self.filters = tuple(tuple(counts) for counts in filters)
        policy = self.dtype_policy
        self.into = [
            _pair(counts, 3 if scale == 0 else 5, f"scale_{scale}", policy)
            for scale, counts in enumerate(self.filters)
        ]
        self.out_of = [
            _to_frame(counts, channels, f"scale_{scale}", policy)
            for scale, counts in enumerate(self.filters[:-1])
        ]

    @property
    def depth(self):
        """Channels of the descriptor grid."""
        return sum(counts[1] for counts in self.filters)

    def build(self, input_shape=None):
        for scale, layers in enumerate(self.into):
            _build_chain(layers, self.channels * (self.context_frames + (scale > 0)))
        for counts, layers in zip(self.filters, self.out_of, strict=False):
            _build_chain(layers, counts[1])
        self.built = True

    def pyramid(self, contexts):
        """Runs the generators from coarse to fine.

        Args:
            contexts: For each scale `(n, height, width, context_frames * channels)`.

        Returns:
            `(predictions, middles, enlarged)`: the next frame at the scales below the finest,
            float32; the middle layer at each scale; and the enlarged prediction that the finest
            generator has to correct.
        """
        predictions, middles, enlarged = [], [], None
        for scale, context in enumerate(contexts):
            maps = context
            if scale:
                size = tf.shape(context)[1:3]
                enlarged = tf.image.resize(predictions[-1], size, method="bilinear")
                enlarged = tf.ensure_shape(enlarged, [*context.shape[:3], self.channels])
                maps = tf.concat([context, enlarged], axis=-1)
            middles.append(_chained(self.into[scale], maps))
            if scale < SCALES - 1:
                change = tf.cast(_chained(self.out_of[scale], middles[-1]), tf.float32)
                predictions.append(change if enlarged is None else enlarged + change)
        return predictions, middles, enlarged

    def call(self, clip):
        check_size(*clip.shape[2:4], 2 ** (SCALES - 1))
        count = clip.shape[1] or tf.shape(clip)[1]
        shape = tf.shape(clip)
        recent = tf.zeros((shape[0], self.context_frames - 1, *_unstacked(shape[2:])))
        seen = tf.zeros((shape[0],), tf.int32)
        windows, _ = recent_windows(clip, recent, seen, self.context_frames)
        _, middles, _ = self.pyramid(as_scales(as_channels(windows)))
        grids = [
            tf.nn.avg_pool2d(middle, 2**scale, 2**scale, "VALID") if scale else middle
            for scale, middle in enumerate(middles)
        ]
        return tf.cast(unfold_time(tf.concat(grids, axis=-1), count), tf.float32)

    def compute_output_shape(self, input_shape):
        batch, time, height, width, _ = input_shape
        reduced = (size and size // 2 ** (SCALES - 1) for size in (height, width))
        return (batch, time, *reduced, self.depth)

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "context_frames": self.context_frames,
            "filters": self.filters,
        }


@keras.saving.register_keras_serializable(package="zoo")
class PyramidGenerator(keras.Model):
    """The four generators: contexts at all scales to the next frame at all scales.

    Args:
        channels, context_frames, filters: As of `PyramidEncoder`.
    """

    def __init__(self, channels, context_frames, filters, **kwargs):
        super().__init__(autocast=False, **kwargs)
        policy = self.dtype_policy
        self.encoder = PyramidEncoder(
            channels, context_frames, filters, name="encoder", dtype=policy
        )
        self.finest = _to_frame(filters[-1], channels, "finest", policy)

    def build(self, input_shape=None):
        self.encoder.build()
        _build_chain(self.finest, self.encoder.filters[-1][1])
        self.built = True

    def call(self, contexts):
        predictions, middles, enlarged = self.encoder.pyramid(contexts)
        change = tf.cast(_chained(self.finest, middles[-1]), tf.float32)
        return [*predictions, enlarged + change]


@keras.saving.register_keras_serializable(package="zoo")
class PyramidDiscriminator(keras.Model):
    """A discriminator for each scale, each ending at 1/8 of the frame.

    Args:
        channels: Of what is judged: the context and the frame after it.
        filters: Channels of the three convolutions of each discriminator.
        spectral_norm: Whether the kernels are kept at spectral norm one.

    Call arguments:
        videos: For each scale, the coarsest first, `(batch, height, width, channels)`.

    Returns:
        For each scale float32 `(batch,)`, the larger the more real.
    """

    def __init__(self, channels, filters, spectral_norm, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.channels = channels
        policy = self.dtype_policy
        self.judges = []
        for scale in range(SCALES):
            layers = [
                critic_convolution(
                    count,
                    3,
                    f"judge_{scale}_{index}",
                    policy,
                    # The finest strides three times, the coarsest never.
                    strides=2 if index >= len(filters) - scale else 1,
                    spectral=spectral_norm,
                )
                for index, count in enumerate(filters)
            ]
            verdict = critic_convolution(
                1, 1, f"verdict_{scale}", policy, activation=None, spectral=spectral_norm
            )
            self.judges.append([*layers, verdict])

    def build(self, input_shape=None):
        for layers in self.judges:
            _build_chain(layers, self.channels)
        self.built = True

    def call(self, videos, training=False):
        verdicts = []
        for layers, maps in zip(self.judges, videos, strict=True):
            for layer in layers:
                maps = layer(maps, training=training)
            verdicts.append(tf.reduce_mean(tf.cast(maps, tf.float32), axis=[1, 2, 3]))
        return verdicts


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
        lp_weight, gradient_weight, exponent: As of `SharpPrediction`; the paper calls the
            exponent p.
        horizons, score_horizon: 1: this model predicts the next frame.
        **kwargs: Arguments of `AdversarialModel` and `WindowedPredictor`.

    Call arguments:
        clip: float32 `(batch, time, height, width, channels)` in [0, 1], two frames or more, and
            more than `context_frames` in training; height and width multiples of 8.

    Returns:
        float32 `(batch, time - 1, 1, height, width, channels)`: the frame after each. Targets of
        the same shape come from `data_pipelines.tasks.predict_ahead(frames=1)`.

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
        horizons=1,
        score_horizon=1,
        **kwargs,
    ):
        super().__init__(horizons=horizons, score_horizon=score_horizon, **kwargs)
        if horizons != 1:
            raise ValueError(
                "`horizons` must be 1, since the next frame is what is predicted; `rollout` goes "
                f"on from there. Received: horizons={horizons}"
            )
        self.filters = tuple(tuple(counts) for counts in filters)
        if [len(counts) for counts in self.filters] != [3] * SCALES:
            raise ValueError(
                f"`filters` must hold three numbers for each of {SCALES} scales. "
                f"Received: filters={self.filters}"
            )
        self.discriminator_filters = tuple(discriminator_filters)
        if len(self.discriminator_filters) != SCALES - 1:
            raise ValueError(
                f"`discriminator_filters` must hold {SCALES - 1} numbers. "
                f"Received: discriminator_filters={self.discriminator_filters}"
            )
        self.lp_weight = lp_weight
        self.gradient_weight = gradient_weight
        self.exponent = exponent
        self.scale_loss = self.default_loss()
        policy = self.dtype_policy
        self._adopt(
            lambda name: PyramidGenerator(
                self.channels, self.context_frames, self.filters, name=name, dtype=policy
            ),
            lambda name: PyramidDiscriminator(
                self.channels * (self.context_frames + 1),
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
        return SharpPrediction(self.lp_weight, self.gradient_weight, self.exponent)

    def call(self, clip, training=False):
        clip = self._check_training_clip(clip)
        windows = self._windows(clip)[:, :-1]
        count = windows.shape[1] or tf.shape(windows)[1]
        contexts = as_scales(as_channels(windows))
        return unfold_time(self._generator_for(training)(contexts)[-1], count)[:, :, None]

    def _windows(self, clip):
        shape = tf.shape(clip)
        maps, _ = self._observe(clip, self._initial_state(shape[0], shape[2], shape[3]))
        return maps["window"]

    def _predict(self, maps, frames, seed=None):
        count = frames.shape[1] or tf.shape(frames)[1]
        contexts = as_scales(as_channels(maps["window"]))
        predictions = self._generator_for(training=False)(contexts)
        return unfold_time(predictions[-1], count)[:, :, None]

    def _draw(self, x, y, training):
        clip = self.check_clip(x, min_frames=self.context_frames + 1)
        first = self.context_frames - 1  # of the windows that lie within the clip
        contexts = as_scales(as_channels(self._windows(clip)[:, first:-1]))
        targets = as_scales(fold_time(y[:, first:, 0]))
        predictions = self._generator_for(training)(contexts)
        coarse = sum(
            self.scale_loss(true, drawn)
            for true, drawn in zip(targets[:-1], predictions[:-1], strict=True)
        )
        self.coarse_metric.update_state(coarse)
        loss = self.scale_loss
        if self.lp_metric is not None:
            error = tf.abs(targets[-1] - predictions[-1])
            self.lp_metric.update_state(tf.reduce_mean(error**self.exponent))
        if self.gradient_metric is not None:
            difference = loss.gradient_difference(targets[-1], predictions[-1])
            self.gradient_metric.update_state(difference)
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
        }


def as_channels(windows):
    """`(batch, n, frames, height, width, channels)` -> `(batch * n, ..., frames * channels)`."""
    shape = tf.shape(windows)
    frames, channels = windows.shape[2], windows.shape[5]
    stacked = tf.transpose(windows, [0, 1, 3, 4, 2, 5])
    stacked = tf.reshape(stacked, [-1, shape[3], shape[4], frames * channels])
    return tf.ensure_shape(stacked, [None, *windows.shape[3:5], frames * channels])


def as_scales(frames):
    """Frames at 1/8, 1/4, 1/2 and 1 of their size, by averages."""
    scales = [frames]
    for _ in range(SCALES - 1):
        scales.insert(0, tf.nn.avg_pool2d(scales[0], 2, 2, "VALID"))
    return scales


def _pair(counts, kernel_size, name, policy):
    return [
        convolution(counts[0], kernel_size, f"{name}_into_0", policy),
        convolution(counts[1], 3, f"{name}_into_1", policy),
    ]


def _to_frame(counts, channels, name, policy):
    return [
        convolution(counts[2], 3, f"{name}_out_0", policy),
        convolution(channels, 3, f"{name}_out_1", policy, activation=None, stddev=1e-2),
    ]


def _build_chain(layers, channels):
    for layer in layers:
        layer.build((None, None, None, channels))
        channels = layer.filters


def _chained(layers, maps):
    for layer in layers:
        maps = layer(maps)
    return maps


def _unstacked(sizes):
    return [sizes[index] for index in range(sizes.shape[0])]
