"""Losses on video, each a `keras.losses.Loss` that needs no model."""

import math

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="zoo")
class GaussianNegativeLogLikelihood(keras.losses.Loss):
    """Negative log-likelihood of pixels under a Gaussian of known scale about the prediction.

        (y_true - y_pred)**2 / (2 scale**2) + log(scale) + log(2 pi) / 2

    in nats per pixel value, averaged over all values of the batch; float32. With the
    Kullback-Leibler term per value it is the negative evidence lower bound of a VAE.

    Args:
        scale: Standard deviation of a pixel value about its prediction, above 0.

    Raises:
        ValueError: If `scale` is not above 0.

    Example:

    >>> loss = GaussianNegativeLogLikelihood(scale=1.0)
    >>> round(float(loss(tf.zeros((1, 4)), tf.zeros((1, 4)))), 4)
    0.9189

    Reference:
        Kingma and Welling, "Auto-Encoding Variational Bayes", 2014, appendix C,
        https://arxiv.org/abs/1312.6114
    """

    def __init__(self, scale=0.1, name="gaussian_negative_log_likelihood", **kwargs):
        super().__init__(name=name, dtype=kwargs.pop("dtype", "float32"), **kwargs)
        if scale <= 0:
            raise ValueError(f"`scale` must be above 0. Received: scale={scale}")
        self.scale = scale

    def call(self, y_true, y_pred):
        squared = tf.square(tf.cast(y_true, tf.float32) - tf.cast(y_pred, tf.float32))
        constant = math.log(self.scale) + 0.5 * math.log(2 * math.pi)
        return squared / (2 * self.scale**2) + constant

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable(package="zoo")
class DecayingSquaredError(GaussianNegativeLogLikelihood):
    """Squared error of predicted frames, those further ahead weighing less.

        1 / T**2 * sum_{t=0}^{T-1} (T - t) * mean((y_true_t - y_pred_t)**2) / (2 scale**2)

    over T frames ahead, the first being t = 0; the mean is over the pixel values of a frame. The
    paper's equation sums over them, and has no scale. One number per clip, averaged over the
    batch; float32.

    Args:
        scale: Standard deviation of a pixel value about its prediction, above 0: the error is
            then that of `GaussianNegativeLogLikelihood` but for its constant.

    Call arguments:
        y_true, y_pred: `(batch, T, height, width, channels)`.

    Raises:
        ValueError: If `scale` is not above 0.

    Example:

    >>> loss = DecayingSquaredError(scale=2**-0.5)
    >>> frames = tf.reshape([1.0, 0.0], (1, 2, 1, 1, 1))  # wrong in the first of two
    >>> float(loss(frames, tf.zeros_like(frames))), float(loss(frames, tf.ones_like(frames)))
    (0.5, 0.25)

    Reference:
        Zhao et al., "Spatio-Temporal AutoEncoder for Video Anomaly Detection", 2017, the
        weight-decreasing prediction loss, https://doi.org/10.1145/3123266.3123451
    """

    def __init__(self, scale=0.1, name="decaying_squared_error", **kwargs):
        super().__init__(scale, name=name, **kwargs)

    def call(self, y_true, y_pred):
        squared = tf.square(tf.cast(y_true, tf.float32) - tf.cast(y_pred, tf.float32))
        by_frame = tf.reduce_mean(squared, axis=[2, 3, 4])
        frames = by_frame.shape[1] or tf.shape(by_frame)[1]
        weights = tf.cast(tf.range(frames, 0, -1), tf.float32)
        total = tf.reduce_sum(weights * by_frame, axis=1)
        return total / (tf.cast(frames, tf.float32) ** 2 * 2 * self.scale**2)

@keras.saving.register_keras_serializable(package="zoo")
class GradientDifference(keras.losses.Loss):
    """Difference of the image gradients of two videos, which a blurred prediction fails.

    The absolute differences between neighbouring pixels, down and across, are compared:
    `| |dy_true| - |dy_pred| | ** exponent`, the sum of both directions averaged over pixels;
    float32.

    Args:
        exponent: Of the difference, at least 1. The paper calls it alpha.

    Raises:
        ValueError: If `exponent` is below 1.

    Example:

    >>> frames = tf.random.uniform((1, 2, 8, 8, 1))
    >>> float(GradientDifference()(frames, frames))
    0.0

    Reference:
        Mathieu, Couprie and LeCun, "Deep multi-scale video prediction beyond mean square
        error", 2016, equation 6, https://arxiv.org/abs/1511.05440
    """

    def __init__(self, exponent=1, name="gradient_difference", **kwargs):
        super().__init__(name=name, dtype=kwargs.pop("dtype", "float32"), **kwargs)
        if exponent < 1:
            raise ValueError(f"`exponent` must be at least 1. Received: exponent={exponent}")
        self.exponent = exponent

    def call(self, y_true, y_pred):
        y_true, y_pred = tf.cast(y_true, tf.float32), tf.cast(y_pred, tf.float32)

        def difference(axis):
            true, predicted = (_absolute_gradient(video, axis) for video in (y_true, y_pred))
            return tf.reduce_mean(tf.abs(true - predicted) ** self.exponent, axis=[-3, -2, -1])

        return difference(-3) + difference(-2)

    def get_config(self):
        return {**super().get_config(), "exponent": self.exponent}


def _absolute_gradient(video, axis):
    size = video.shape[axis] or tf.shape(video)[axis]
    ahead = tf.gather(video, tf.range(1, size), axis=axis)
    return tf.abs(ahead - tf.gather(video, tf.range(size - 1), axis=axis))
