"""A convolution whose kernel is kept at spectral norm one, for discriminators."""

import keras
import tensorflow as tf

from zoo.layers.convolution import convolution, leaky_relu

SMALLEST = 1e-12
CHANGES = 4.0  # how much larger discriminators see changes between frames than they are


@keras.saving.register_keras_serializable(package="zoo")
class SpectralConv2D(keras.layers.Layer):
    """A convolution with "same" padding whose kernel is divided by its largest singular value.

    With the kernel `W` as a matrix of output channels by the rest, one power iteration a call:

        v = W'u / |W'u|,   u = W v / |W v|,   sigma = u'W v

    and the kernel used is `W / sigma`. `u` is a weight, so that a loaded or resumed model goes on
    with it; it changes in training alone. `sigma` is float32 whatever the precision policy. The
    layer of Keras writes the divided kernel over the weight, so that no gradient passes through
    `sigma`; here it does, as in the paper.

    Args:
        filters: Output channels, at least 1.
        kernel_size: Height and width of the kernel in pixels.
        strides: Stride in pixels.
        activation: Function that follows, or `None`.

    Call arguments:
        inputs: Tensor `(batch, height, width, channels)`.
        training: Whether to keep the `u` of this call.

    Returns:
        Tensor `(batch, height / strides, width / strides, filters)` in the compute dtype.

    Example:

    >>> layer = SpectralConv2D(4, 3, strides=2)
    >>> layer(tf.zeros((1, 8, 8, 2))).shape
    TensorShape([1, 4, 4, 4])

    Reference:
        Miyato, Kataoka, Koyama and Yoshida, "Spectral Normalization for Generative Adversarial
        Networks", 2018, https://arxiv.org/abs/1802.05957
    """

    def __init__(self, filters, kernel_size, strides=1, activation=leaky_relu, **kwargs):
        # Without Keras' own casts the kernel is still float32 where its norm is taken.
        super().__init__(autocast=False, **kwargs)
        if filters < 1:
            raise ValueError(f"`filters` must be at least 1. Received: filters={filters}")
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        size = self.kernel_size
        self.kernel = self.add_weight(
            shape=(size, size, input_shape[-1], self.filters),
            initializer="he_normal",
            name="kernel",
        )
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")
        self.left_vector = self.add_weight(
            shape=(self.filters,),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            trainable=False,
            # Equal on all replicas, since their kernels are.
            aggregation="only_first_replica",
            name="left_vector",
        )
        self.built = True

    def normalized_kernel(self, training=False):
        """The kernel divided by its spectral norm, float32."""
        kernel = tf.convert_to_tensor(self.kernel)
        matrix = tf.reshape(kernel, (-1, self.filters))  # (rest, output channels)
        fixed = tf.stop_gradient(matrix)
        right = _unit(tf.linalg.matvec(fixed, tf.convert_to_tensor(self.left_vector)))
        left = _unit(tf.linalg.matvec(fixed, right, transpose_a=True))
        if training:
            self.left_vector.assign(left)
        norm = tf.tensordot(right, tf.linalg.matvec(matrix, left), 1)
        return kernel / tf.maximum(norm, SMALLEST)

    def call(self, inputs, training=False):
        kernel = tf.cast(self.normalized_kernel(training), self.compute_dtype)
        outputs = tf.nn.conv2d(
            tf.cast(inputs, self.compute_dtype), kernel, strides=self.strides, padding="SAME"
        )
        bias = tf.cast(tf.convert_to_tensor(self.bias), self.compute_dtype)
        return self.activation(tf.nn.bias_add(outputs, bias))

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "activation": keras.activations.serialize(self.activation),
        }


def critic_convolution(filters, kernel_size, name, dtype, strides=1, spectral=False):
    """A convolution of a discriminator: `SpectralConv2D` with `spectral`, else `convolution`.

    Args:
        filters, kernel_size, name, dtype, strides: As for `convolution`.
        spectral: Whether the kernel is kept at spectral norm one.

    Returns:
        The layer, not built.
    """
    if spectral:
        return SpectralConv2D(filters, kernel_size, strides=strides, name=name, dtype=dtype)
    return convolution(filters, kernel_size, name, dtype, strides=strides)


def critic_view(frames, changes):
    """Frames and the changes between them, as a discriminator is to see them.

    Kernels of norm one can neither take a mean off nor make small differences large, so that is
    done here.

    Args:
        frames: float32 `(..., channels)` in [0, 1].
        changes: float32 `(..., any)`, differences of frames.

    Returns:
        float32 tensor, both beside each other as channels: the frames in [-1, 1], the changes
        four times as large as they were.

    Example:

    >>> critic_view(tf.constant([[0.0], [1.0]]), tf.constant([[0.5], [-0.5]])).numpy().tolist()
    [[-1.0, 2.0], [1.0, -2.0]]
    """
    return tf.concat([2.0 * frames - 1.0, CHANGES * changes], axis=-1)


def _unit(vector):
    return vector / tf.maximum(tf.norm(vector), SMALLEST)
