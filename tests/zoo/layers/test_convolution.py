"""The shared convolution."""

import numpy as np
import tensorflow as tf

from zoo.layers.convolution import build_chain, convolution, leaky_relu


def test_leaky_relu_has_slope_a_tenth():
    np.testing.assert_allclose(leaky_relu(tf.constant([-2.0, 3.0])), [-0.2, 3.0], rtol=1e-6)


def test_strides_and_initial_scale():
    layer = convolution(64, 3, "small", "float32", strides=2, activation=None, stddev=1e-2)
    assert layer(tf.zeros((1, 8, 12, 16))).shape == (1, 4, 6, 64)
    assert 0.009 < float(np.std(layer.kernel)) < 0.011


def test_each_layer_of_a_chain_takes_what_the_one_before_gives():
    chain = [convolution(count, 1, f"layer_{count}", "float32") for count in (5, 3, 4)]
    build_chain(chain, (None, None, None, 2))
    assert [layer.kernel.shape[2:] for layer in chain] == [(2, 5), (5, 3), (3, 4)]
