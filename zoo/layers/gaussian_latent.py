"""A diagonal Gaussian over a grid of latents, as a TensorFlow Probability distribution."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.layers.convolution import convolution

HIDDEN = 64  # channels of the layer between features and latents


@keras.saving.register_keras_serializable(package="zoo")
class GaussianLatent(keras.layers.Layer):
    """Maps features to a distribution `N(mean, exp(log_variance))` at each place.

    Mean and log-variance are float32 whatever the precision policy; the log-variance is kept
    within [-8, 4] by a smooth bound, so neither the density nor the divergence overflows.

    Args:
        latent_dim: Latents at each place, at least 1.

    Call arguments:
        features: Tensor `(batch, height, width, channels)`.
        offset: float32 `(batch, height, width, latent_dim)`, added to the mean; or `None`.

    Returns:
        `tfp.distributions.Independent` over `(height, width, latent_dim)`, batch shape
        `(batch,)`: `sample`, `mean`, `log_prob` and `kl_divergence` in nats, summed over the
        grid.

    Raises:
        ValueError: If `latent_dim` is below 1.

    Example:

    >>> prior = GaussianLatent(4)(tf.zeros((2, 6, 8, 16)))
    >>> prior.mean().shape, prior.batch_shape
    (TensorShape([2, 6, 8, 4]), TensorShape([2]))

    Reference:
        Kingma and Welling, "Auto-Encoding Variational Bayes", 2014,
        https://arxiv.org/abs/1312.6114
    """

    def __init__(self, latent_dim, **kwargs):
        # Keras would round an offset to the compute dtype on the way in; the layers inside cast.
        super().__init__(autocast=False, **kwargs)
        if latent_dim < 1:
            raise ValueError(f"`latent_dim` must be at least 1. Received: latent_dim={latent_dim}")
        self.latent_dim = latent_dim
        self.mix = convolution(HIDDEN, 1, "mix", self.dtype_policy)
        # float32: a bfloat16 log-variance has three significant digits.
        self.moments = convolution(
            2 * latent_dim, 3, "moments", "float32", activation=None, stddev=1e-2
        )

    def build(self, input_shape):
        self.mix.build((None, None, None, input_shape[-1]))
        self.moments.build((None, None, None, HIDDEN))
        self.built = True

    def call(self, features, offset=None):
        mean, raw = tf.split(self.moments(self.mix(features)), 2, axis=-1)
        mean = mean if offset is None else mean + offset
        log_variance = 6.0 * tf.tanh(raw / 6.0) - 2.0
        normal = tfp.distributions.Normal(mean, tf.exp(0.5 * log_variance))
        return tfp.distributions.Independent(normal, reinterpreted_batch_ndims=3)

    def get_config(self):
        return {**super().get_config(), "latent_dim": self.latent_dim}


def add_kl_weight(layer):
    """Gives a layer the weight of its divergence in the loss, which `KLWarmUp` raises.

    Args:
        layer: A `keras.layers.Layer` that is being built.

    Returns:
        float32 variable, 1 at first, not trainable.
    """
    return layer.add_weight(
        shape=(), dtype="float32", initializer="ones", trainable=False, name="kl_weight"
    )
