"""The one way in which the models make a two-dimensional convolution."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="zoo")
def leaky_relu(inputs):
    """Leaky rectifier of slope 0.1: plain relu beside a small residual branch can die at once."""
    return tf.nn.leaky_relu(inputs, alpha=0.1)


def convolution(
    filters,
    kernel_size,
    name,
    dtype,
    strides=1,
    activation=leaky_relu,
    stddev=None,
    initializer=None,
):
    """A `keras.layers.Conv2D` with "same" padding.

    Args:
        filters: Output channels.
        kernel_size: Height and width of the kernel in pixels.
        name: Name of the layer.
        dtype: Its dtype policy.
        strides: Stride in pixels.
        activation: What follows, or `None`.
        stddev: Standard deviation of the initial weights; `None` takes that of He et al. 2015.
        initializer: Of the kernel, instead.

    Returns:
        The layer, not built.
    """
    if initializer is None:
        normal = keras.initializers.RandomNormal
        initializer = "he_normal" if stddev is None else normal(stddev=stddev)
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        activation=activation,
        kernel_initializer=initializer,
        name=name,
        dtype=dtype,
    )


def build_chain(layers, input_shape):
    """Builds layers that stand on one another.

    Args:
        layers: List of layers with the attribute `filters`, the first first.
        input_shape: What the first takes; the others take as many axes, and the channels that the
            one before gives.

    Example:

    >>> chain = [convolution(count, 3, f"layer_{count}", "float32") for count in (4, 6)]
    >>> build_chain(chain, (None, None, None, 2))
    >>> [tuple(layer.kernel.shape) for layer in chain]
    [(3, 3, 2, 4), (3, 3, 4, 6)]
    """
    for layer in layers:
        layer.build(input_shape)
        input_shape = (*input_shape[:-1], layer.filters)
