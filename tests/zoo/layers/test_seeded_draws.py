"""Draws that a resumed run repeats."""

import keras
import numpy as np
import tensorflow as tf

from zoo.layers import add_draw_counter, next_draw_seed


def drawn(seed, draws):
    return np.asarray(tf.random.stateless_normal((4,), next_draw_seed(seed, draws)))


def test_the_count_and_the_seed_decide_what_is_drawn():
    layer = keras.layers.Layer()
    draws = add_draw_counter(layer)
    assert layer.non_trainable_weights == [draws] and int(draws.value) == 0
    first, second = drawn(3, draws), drawn(3, draws)
    assert int(draws.value) == 2 and np.all(first != second)
    # A run that goes on after one draw gets its count from the checkpoint.
    resumed = add_draw_counter(keras.layers.Layer())
    resumed.assign(1)
    np.testing.assert_array_equal(drawn(3, resumed), second)
    resumed.assign(0)
    assert np.all(drawn(4, resumed) != first)
