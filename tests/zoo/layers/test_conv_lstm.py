"""The ConvLSTM against Keras' own layer and against its equations in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import correlate2d

from zoo.layers import ConvLSTM


@pytest.fixture
def sequence():
    return np.random.default_rng(0).normal(size=(2, 5, 6, 7, 3)).astype("float32")


@pytest.fixture
def layer():
    layer = ConvLSTM(4)
    layer.build((None, None, None, None, 3))
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(scale=0.3, size=w.shape) for w in layer.get_weights()])
    return layer


def test_matches_keras_conv_lstm(layer, sequence):
    reference = keras.layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True)
    reference.build(sequence.shape)
    reference.set_weights(layer.get_weights())
    hidden, _ = layer(sequence)
    np.testing.assert_allclose(hidden, reference(sequence), atol=1e-5)


def test_matches_the_equations(layer, sequence):
    kernel, recurrent, bias = (np.asarray(w, "float64") for w in layer.get_weights())

    def convolve(image, weights):
        out = np.zeros((*image.shape[:2], weights.shape[-1]))
        for i in range(weights.shape[2]):
            for o in range(weights.shape[3]):
                out[..., o] += correlate2d(image[..., i], weights[:, :, i, o], mode="same")
        return out

    def logistic(x):
        return 1 / (1 + np.exp(-x))

    hidden = cell = np.zeros((6, 7, 4))
    for frame in sequence[0].astype("float64"):
        gates = convolve(frame, kernel) + convolve(hidden, recurrent) + bias
        i, f, g, o = np.split(gates, 4, axis=-1)
        cell = logistic(f) * cell + logistic(i) * np.tanh(g)
        hidden = logistic(o) * np.tanh(cell)
    out, (last_hidden, last_cell) = layer(sequence)
    np.testing.assert_allclose(out[0, -1], hidden, atol=1e-5)
    np.testing.assert_allclose(last_hidden[0], hidden, atol=1e-5)
    np.testing.assert_allclose(last_cell[0], cell, atol=1e-5)


def test_state_carries_on_where_it_was_left(layer, sequence):
    whole, cells, _ = layer(sequence, return_cells=True)
    first, state = layer(sequence[:, :2])
    one, state = layer(sequence[:, 2:3], state=state)
    rest, (hidden, cell) = layer(sequence[:, 3:], state=state)
    np.testing.assert_allclose(tf.concat([first, one, rest], axis=1), whole, atol=1e-6)
    np.testing.assert_allclose(cells[:, -1], cell, atol=1e-6)
    np.testing.assert_allclose(whole[:, -1], hidden, atol=1e-6)


def test_built_for_no_channels_it_runs_on_from_its_state_alone(layer, sequence):
    alone = ConvLSTM(4)
    alone.build((None, None, None, None, 0))
    alone.set_weights(layer.get_weights()[1:])
    _, state = layer(sequence)
    expected, _ = layer(np.zeros_like(sequence), state=state)
    hidden, _ = alone(sequence[..., :0], state=state)
    np.testing.assert_allclose(hidden, expected, atol=1e-6)


def test_forget_gate_starts_open():
    layer = ConvLSTM(2)
    layer.build((None, None, None, None, 1))
    np.testing.assert_array_equal(layer.bias, [0, 0, 1, 1, 0, 0, 0, 0])


def test_cell_stays_float32_in_mixed_precision(sequence):
    layer = ConvLSTM(4, dtype="mixed_bfloat16")
    hidden, cells, (_, cell) = layer(sequence, return_cells=True)
    assert hidden.dtype == tf.bfloat16
    assert cells.dtype == cell.dtype == tf.float32
    # A cell that went through bfloat16 would be a multiple of 2**-8 of its own size.
    assert np.any(np.asarray(cell) != np.asarray(tf.cast(tf.cast(cell, tf.bfloat16), tf.float32)))


def test_a_gate_that_is_nearly_open_still_forgets_in_mixed_precision():
    """Rounded to bfloat16, the logistic function of 6.5 is 1."""
    layer = ConvLSTM(1, dtype="mixed_bfloat16")
    layer.build((None, None, None, None, None))
    weights = [np.zeros(weight.shape, "float32") for weight in layer.get_weights()]
    weights[-1][1] = 6.5
    layer.set_weights(weights)
    ones = tf.ones((1, 1, 1, 1))
    _, (_, cell) = layer(tf.zeros((1, 600, 1, 1, 0)), (ones, ones))
    np.testing.assert_allclose(cell, (1 / (1 + np.exp(-6.5))) ** 600, rtol=1e-3)


def test_runs_with_every_axis_free_in_a_graph(layer, sequence):
    graph = tf.function(
        lambda x: layer(x)[0],
        input_signature=[tf.TensorSpec([None, None, None, None, 3])],
        autograph=False,
    )
    np.testing.assert_allclose(graph(sequence), layer(sequence)[0], atol=1e-6)
    assert graph(sequence[:1, :2, :4]).shape == (1, 2, 4, 7, 4)


def test_a_layer_without_channels_is_refused():
    with pytest.raises(ValueError, match="`filters` must be at least 1. Received: filters=0"):
        ConvLSTM(0)
