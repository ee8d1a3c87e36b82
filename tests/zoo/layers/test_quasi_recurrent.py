"""The quasi-recurrent layer against its equations in NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import correlate2d

from zoo.layers import QuasiRecurrent


@pytest.fixture
def sequence():
    return np.random.default_rng(0).normal(size=(2, 5, 6, 7, 3)).astype("float32")


@pytest.fixture
def layer():
    layer = QuasiRecurrent(4)
    layer.build((None, None, None, None, 3))
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(scale=0.3, size=w.shape) for w in layer.get_weights()])
    return layer


def test_matches_the_equations(layer, sequence):
    kernel, bias = (np.asarray(w, "float64") for w in layer.get_weights())

    def logistic(x):
        return 1 / (1 + np.exp(-x))

    cell = np.zeros((6, 7, 4))
    for t, frame in enumerate(sequence[1].astype("float64")):
        gates = np.zeros((6, 7, 12)) + bias
        for i in range(3):
            for o in range(12):
                gates[..., o] += correlate2d(frame[..., i], kernel[:, :, i, o], mode="same")
        z, f, o = np.split(gates, 3, axis=-1)
        cell = logistic(f) * cell + (1 - logistic(f)) * np.tanh(z)
        hidden = logistic(o) * cell
        np.testing.assert_allclose(layer(sequence)[0][1, t], hidden, atol=1e-5)
    np.testing.assert_allclose(layer(sequence)[1][1], cell, atol=1e-5)


def test_state_carries_on_where_it_was_left(layer, sequence):
    whole, last = layer(sequence)
    first, state = layer(sequence[:, :2])
    one, state = layer(sequence[:, 2:3], state=state)
    rest, state = layer(sequence[:, 3:], state=state)
    np.testing.assert_allclose(tf.concat([first, one, rest], axis=1), whole, atol=1e-6)
    np.testing.assert_allclose(state, last, atol=1e-6)


def test_time_scales_are_spread_up_to_the_longest():
    layer = QuasiRecurrent(5, longest=20)
    layer.build((None, None, None, None, 2))
    # Shown nothing, a channel keeps the share 1 - 1/T of its cell at each frame.
    cell = tf.ones((1, 3, 3, 5))
    _, kept = layer(tf.zeros((1, 1, 3, 3, 2)), state=cell)
    scales = 1 / (1 - np.asarray(kept)[0, 1, 1])
    np.testing.assert_allclose(scales, np.geomspace(1.5, 20, 5), rtol=1e-4)


def test_the_cell_is_float32_under_mixed_precision(sequence):
    layer = QuasiRecurrent(4, dtype="mixed_bfloat16")
    hidden, cell = layer(sequence)
    assert hidden.dtype == tf.bfloat16 and cell.dtype == tf.float32
    # A gate that is almost open still lets go.
    layer.bias.assign(tf.repeat([0.0, 7.0, 0.0], 4))
    _, cell = layer(tf.zeros((1, 1, 2, 2, 3)), state=tf.ones((1, 2, 2, 4)))
    np.testing.assert_allclose(1 - cell, 1 / (1 + np.exp(7)), rtol=1e-3)


@pytest.mark.parametrize("argument", ["filters", "longest"])
def test_bad_arguments_are_named(argument):
    message = f"`{argument}` must be at least 1. Received: {argument}=0"
    with pytest.raises(ValueError, match=message):
        QuasiRecurrent(**{"filters": 4, argument: 0})
