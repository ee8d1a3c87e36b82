"""Weights that follow others."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.layers import follow


def step(average, weight, decay, done):
    run = tf.function(lambda: follow([average], [weight], decay, tf.constant(done)))
    run()
    return np.asarray(average.value)


@pytest.mark.parametrize(("done", "decay"), [(0, 0.1), (1, 2 / 11), (10**6, 0.99)])
def test_an_average_moves_by_what_the_decay_leaves(done, decay):
    average, weight = keras.Variable([1.0, -2.0]), keras.Variable([3.0, 5.0])
    expected = decay * np.array([1.0, -2.0]) + (1 - decay) * np.array([3.0, 5.0])
    np.testing.assert_allclose(step(average, weight, 0.99, done), expected, rtol=1e-5)
    np.testing.assert_array_equal(weight.value, [3.0, 5.0])


def test_as_many_averages_as_weights():
    weight = keras.Variable([1.0])
    with pytest.raises(ValueError, match="zip"):
        follow([], [weight], 0.9, tf.constant(0))
