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
        _check_scale(scale)
        self.scale = scale

    def call(self, y_true, y_pred):
        squared = tf.square(tf.cast(y_true, tf.float32) - tf.cast(y_pred, tf.float32))
        constant = math.log(self.scale) + 0.5 * math.log(2 * math.pi)
        return squared / (2 * self.scale**2) + constant

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable(package="zoo")
class DecayingSquaredError(keras.losses.Loss):
    """Squared error of predicted frames, those further ahead weighing less.

        1 / T**2 * sum_{t=0}^{T-1} (T - t) * mean((y_true_t - y_pred_t)**2) / (2 scale**2)

    over T frames ahead, the first being t = 0: counted from 1 the last frame would weigh nothing.
    The mean is over the pixel values of a frame; the paper's equation sums over them, and has no
    scale. One number per clip, averaged over the batch; float32.

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
        super().__init__(name=name, dtype=kwargs.pop("dtype", "float32"), **kwargs)
        _check_scale(scale)
        self.scale = scale

    def call(self, y_true, y_pred):
        squared = tf.square(tf.cast(y_true, tf.float32) - tf.cast(y_pred, tf.float32))
        by_frame = tf.reduce_mean(squared, axis=[2, 3, 4])
        frames = by_frame.shape[1] or tf.shape(by_frame)[1]
        weights = tf.cast(tf.range(frames, 0, -1), tf.float32)
        total = tf.reduce_sum(weights * by_frame, axis=1)
        return total / (tf.cast(frames, tf.float32) ** 2 * 2 * self.scale**2)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


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
            error = tf.abs(true - predicted) ** self.exponent
            # Of a frame one pixel wide there is no gradient across: the mean of nothing is 0.
            total = tf.reduce_sum(error, axis=[-3, -2, -1])
            count = tf.reduce_prod(tf.shape(error)[-3:])
            return tf.math.divide_no_nan(total, tf.cast(count, tf.float32))

        return difference(-3) + difference(-2)

    def get_config(self):
        return {**super().get_config(), "exponent": self.exponent}


@keras.saving.register_keras_serializable(package="zoo")
class SharpPrediction(keras.losses.Loss):
    """A power of the pixel error and the gradient difference, each with a weight.

        lp_weight * mean |y_true - y_pred| ** exponent
            + gradient_weight * GradientDifference(gradient_exponent)(y_true, y_pred)

    averaged over frames; float32. A term of weight 0 is not computed.

    Args:
        lp_weight: Weight of the pixel error, not negative.
        gradient_weight: Weight of the gradient difference, not negative.
        exponent: Of the pixel error, at least 1. The paper calls it p.
        gradient_exponent: As `exponent` of `GradientDifference`.

    Raises:
        ValueError: If a weight is negative or both are 0, or an exponent is below 1.

    Example:

    >>> loss = SharpPrediction(gradient_weight=0.0, exponent=2)
    >>> float(loss(tf.zeros((1, 8, 8, 1)), tf.fill((1, 8, 8, 1), 0.5)))
    0.25

    Reference:
        Mathieu, Couprie and LeCun, "Deep multi-scale video prediction beyond mean square
        error", 2016, equations 1 and 7, https://arxiv.org/abs/1511.05440
    """

    def __init__(
        self,
        lp_weight=1.0,
        gradient_weight=1.0,
        exponent=2,
        gradient_exponent=1,
        name="sharp_prediction",
        **kwargs,
    ):
        super().__init__(name=name, dtype=kwargs.pop("dtype", "float32"), **kwargs)
        if lp_weight < 0 or gradient_weight < 0 or lp_weight + gradient_weight == 0:
            raise ValueError(
                "`lp_weight` and `gradient_weight` must not be negative, nor both 0. "
                f"Received: lp_weight={lp_weight}, gradient_weight={gradient_weight}"
            )
        for power, value in (("exponent", exponent), ("gradient_exponent", gradient_exponent)):
            if value < 1:
                raise ValueError(f"`{power}` must be at least 1. Received: {power}={value}")
        self.lp_weight = lp_weight
        self.gradient_weight = gradient_weight
        self.exponent = exponent
        self.gradient_exponent = gradient_exponent
        self.gradient_difference = GradientDifference(gradient_exponent)

    def call(self, y_true, y_pred):
        total = 0.0
        if self.lp_weight:
            error = tf.abs(tf.cast(y_true, tf.float32) - tf.cast(y_pred, tf.float32))
            lp = tf.reduce_mean(error**self.exponent, axis=[-3, -2, -1])
            total = total + self.lp_weight * lp
        if self.gradient_weight:
            difference = self.gradient_difference.call(y_true, y_pred)
            total = total + self.gradient_weight * difference
        return total

    def get_config(self):
        return {
            **super().get_config(),
            "lp_weight": self.lp_weight,
            "gradient_weight": self.gradient_weight,
            "exponent": self.exponent,
            "gradient_exponent": self.gradient_exponent,
        }


def class_loss(logits, labels):
    """Cross-entropy of the classes of those samples whose class is told.

    Args:
        logits: `(batch, num_classes)`.
        labels: int32 `(batch,)`; `num_classes` stands for a class that is not told.

    Returns:
        float32 scalar, the mean over the samples whose class is told; 0 where there are none.

    Example:

    >>> round(float(class_loss(tf.zeros((3, 4)), tf.constant([0, 3, 4]))), 4)
    1.3863

    Reference:
        Odena, Olah and Shlens, "Conditional Image Synthesis with Auxiliary Classifier GANs", 2017,
        https://arxiv.org/abs/1610.09585
    """
    count = logits.shape[-1]
    told = labels < count
    each = tf.nn.sparse_softmax_cross_entropy_with_logits(
        tf.where(told, labels, 0), tf.cast(logits, tf.float32)
    )
    told = tf.cast(told, tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(told * each), tf.reduce_sum(told))


ADVERSARIAL_LOSSES = ("hinge", "non_saturating")


def discriminator_loss(real, fake, kind="non_saturating"):
    """What a discriminator minimises, given its verdicts on real and on drawn videos.

        hinge:          mean max(0, 1 - real) + mean max(0, 1 + fake)
        non_saturating: mean softplus(-real) + mean softplus(fake)

    The second is the binary cross-entropy of Goodfellow et al. 2014 with verdicts as logits; it
    is 2 log 2 where the discriminator knows nothing, and the hinge loss 2.

    Args:
        real, fake: Tensors of verdicts, any shape; the larger, the more real.
        kind: One of `ADVERSARIAL_LOSSES`.

    Returns:
        float32 scalar.

    Example:

    >>> round(float(discriminator_loss(tf.zeros((4,)), tf.zeros((4,)))), 4)
    1.3863

    Reference:
        Goodfellow et al., "Generative Adversarial Networks", 2014,
        https://arxiv.org/abs/1406.2661; Lim and Ye, "Geometric GAN", 2017,
        https://arxiv.org/abs/1705.02894
    """
    real, fake = tf.cast(real, tf.float32), tf.cast(fake, tf.float32)
    if kind == "hinge":
        return tf.reduce_mean(tf.nn.relu(1 - real)) + tf.reduce_mean(tf.nn.relu(1 + fake))
    return tf.reduce_mean(tf.nn.softplus(-real)) + tf.reduce_mean(tf.nn.softplus(fake))


def generator_loss(fake, kind="non_saturating"):
    """What a generator minimises, given the verdicts on what it drew.

        hinge:          -mean fake
        non_saturating: mean softplus(-fake)

    Args:
        fake: Tensor of verdicts, any shape.
        kind: One of `ADVERSARIAL_LOSSES`.

    Returns:
        float32 scalar.
    """
    fake = tf.cast(fake, tf.float32)
    if kind == "hinge":
        return -tf.reduce_mean(fake)
    return tf.reduce_mean(tf.nn.softplus(-fake))


def gradient_penalty(judge, videos):
    """The R1 penalty: half the squared length of a verdict's gradient at real videos.

    Args:
        judge: Function of `videos` to a list of verdicts, each `(batch,)` or `(batch, n)`.
        videos: Tensor with the batch first, or a nest of such; of whole numbers (labels) no
            gradient is taken.

    Returns:
        float32 scalar: summed over the verdicts, averaged over the batch.

    Example:

    >>> float(gradient_penalty(lambda x: [tf.reduce_sum(x, axis=1)], tf.zeros((5, 3))))
    1.5

    Reference:
        Mescheder, Geiger and Nowozin, "Which Training Methods for GANs do actually Converge?",
        2018, equation 9, https://arxiv.org/abs/1801.04406
    """
    pixels = [tensor for tensor in tf.nest.flatten(videos) if tensor.dtype.is_floating]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(pixels)
        verdicts = [tf.cast(verdict, tf.float32) for verdict in judge(videos)]
    penalty = 0.0
    for verdict in verdicts:
        for gradient in tape.gradient(verdict, pixels):
            if gradient is not None:
                axes = list(range(1, gradient.shape.rank))
                length = tf.reduce_sum(tf.square(tf.cast(gradient, tf.float32)), axis=axes)
                penalty = penalty + 0.5 * tf.reduce_mean(length)
    return penalty


def _check_scale(scale):
    if scale <= 0:
        raise ValueError(f"`scale` must be above 0. Received: scale={scale}")


def _absolute_gradient(video, axis):
    size = video.shape[axis] or tf.shape(video)[axis]
    ahead = tf.gather(video, tf.range(1, size), axis=axis)
    return tf.abs(ahead - tf.gather(video, tf.range(size - 1), axis=axis))
