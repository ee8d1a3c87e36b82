"""The spectral norm against the singular values that NumPy finds."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.layers.spectral import SpectralConv2D, critic_convolution, critic_view

INPUTS = np.random.default_rng(0).normal(size=(2, 6, 8, 3)).astype("float32")


@pytest.fixture
def layer():
    layer = SpectralConv2D(5, 3, strides=2, activation=None)
    layer.build((None, None, None, 3))
    return layer


def largest_singular_value(kernel):
    return np.linalg.svd(np.reshape(kernel, (-1, kernel.shape[-1])), compute_uv=False)[0]


def test_the_kernel_used_has_norm_one_and_the_convolution_is_with_it(layer):
    for _ in range(100):
        layer(INPUTS, training=True)
    kernel = np.asarray(layer.kernel)
    divided = kernel / largest_singular_value(kernel)
    np.testing.assert_allclose(layer.normalized_kernel(), divided, rtol=1e-4, atol=1e-6)
    expected = tf.nn.conv2d(INPUTS, divided, strides=2, padding="SAME")
    np.testing.assert_allclose(layer(INPUTS), expected, rtol=1e-3, atol=1e-4)


def test_one_power_iteration_a_call_kept_in_training_alone(layer):
    matrix = np.reshape(np.asarray(layer.kernel), (-1, 5))
    left = np.asarray(layer.left_vector)
    layer(INPUTS)
    np.testing.assert_array_equal(layer.left_vector, left)
    layer(INPUTS, training=True)
    # By sums: the matrix products of some BLAS raise flags for lanes that they do not use.
    right = (matrix * left).sum(axis=1)
    expected = (matrix * (right / np.linalg.norm(right))[:, None]).sum(axis=0)
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(layer.left_vector, expected, rtol=1e-4, atol=1e-6)


def test_the_gradient_passes_through_the_norm(layer):
    for _ in range(100):
        layer(INPUTS, training=True)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(tf.square(layer(INPUTS)))
    gradient = np.asarray(tape.gradient(total, layer.kernel.value))
    # The divided kernel does not change with the kernel's scale: no gradient along it.
    along = np.sum(gradient * np.asarray(layer.kernel))
    length = np.linalg.norm(gradient) * np.linalg.norm(layer.kernel)
    assert length > 0 and abs(along) < 1e-3 * length


def test_norm_in_float32_and_output_in_half_precision():
    layer = SpectralConv2D(5, 3, dtype="mixed_bfloat16")
    assert layer(INPUTS).dtype == tf.bfloat16
    assert layer.normalized_kernel().dtype == tf.float32


def test_configuration_round_trip(layer):
    again = SpectralConv2D.from_config(layer.get_config())
    again.build((None, None, None, 3))
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(INPUTS), layer(INPUTS))


def test_a_plain_convolution_where_no_norm_is_asked_for():
    plain = critic_convolution(5, 3, "judge", "float32", strides=2)
    assert not isinstance(plain, SpectralConv2D)
    assert (
        plain(INPUTS).shape
        == critic_convolution(5, 3, "judge", "float32", strides=2, spectral=True)(INPUTS).shape
    )
    with pytest.raises(ValueError, match="`filters` must be at least 1. Received: filters=0"):
        SpectralConv2D(0, 3)


def test_a_critic_sees_frames_about_nought_and_changes_made_larger():
    frames, changes = np.float32([[[0.0, 0.5]]]), np.float32([[[0.25, -0.5, 0.0]]])
    seen = critic_view(frames, changes)
    np.testing.assert_allclose(seen, [[[-1.0, 0.0, 1.0, -2.0, 0.0]]])
