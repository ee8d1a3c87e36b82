"""The shared convolution."""

import numpy as np
import tensorflow as tf

from zoo.layers.convolution import convolution, leaky_relu


def test_leaky_relu_has_slope_a_tenth():
    np.testing.assert_allclose(leaky_relu(tf.constant([-2.0, 3.0])), [-0.2, 3.0], rtol=1e-6)


def test_strides_and_initial_scale():
    layer = convolution(64, 3, "small", "float32", strides=2, activation=None, stddev=1e-2)
    assert layer(tf.zeros((1, 8, 12, 16))).shape == (1, 4, 6, 64)
    assert 0.009 < float(np.std(layer.kernel)) < 0.011
