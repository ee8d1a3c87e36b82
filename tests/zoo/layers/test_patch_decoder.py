"""Decoders of patches against Keras' own ConvLSTM, step by step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.layers.patch_decoder import GENERATED, build_decoder, decoder_layers, unroll

RNG = np.random.default_rng(0)
PATCH, STEPS, OUTPUTS = 2, 3, 4
STATES = [
    tuple(RNG.normal(size=(2, 3, 5, count)).astype("float32") for _ in range(2))
    for count in (3, 6)
]
PATCHES = RNG.uniform(size=(2, 3, 5, OUTPUTS)).astype("float32")


def decoder(inputs):
    cells, draw = decoder_layers((3, 6), OUTPUTS, "cell", "draw", "float32")
    build_decoder(cells, draw, inputs)
    for layer in (*cells, draw):
        layer.set_weights([RNG.normal(scale=0.5, size=w.shape) for w in layer.get_weights()])
    return cells, draw


def by_keras(cells, draw, shown, base):
    """`shown` maps what was drawn before to what the first cell is shown."""
    layers = []
    for cell in cells:
        layer = keras.layers.ConvLSTM2D(
            cell.filters, 3, padding="same", return_sequences=True, return_state=True
        )
        channels = cell.kernel.shape[2] if cell.kernel is not None else OUTPUTS
        layer.build((2, 1, 3, 5, channels))
        kernel = np.zeros((3, 3, OUTPUTS, 4 * cell.filters))
        weights = cell.get_weights()
        layer.set_weights(weights if len(weights) == 3 else [kernel, *weights])
        layers.append(layer)
    states, patches, frames = STATES, np.zeros_like(PATCHES), []
    for _ in range(STEPS):
        sequence, hiddens, new_states = shown(patches)[:, None], [], []
        for layer, state in zip(layers, states, strict=True):
            sequence, *state = layer(sequence, initial_state=list(state))
            hiddens.append(sequence[:, 0])
            new_states.append(state)
        states, drawn = new_states, np.asarray(draw(tf.concat(hiddens, axis=-1)))
        patches = 1 / (1 + np.exp(-drawn)) if base is None else base + drawn
        frames.append(tf.nn.depth_to_space(patches, PATCH))
    return np.stack(frames, axis=1)


@pytest.mark.parametrize("base", [None, PATCHES], ids=["logistic", "change"])
@pytest.mark.parametrize("kind", ["nothing", "the same", "its own"])
def test_what_is_drawn_is_what_keras_layers_draw(kind, base):
    cells, draw = decoder(inputs=0 if kind == "nothing" else OUTPUTS)
    shown, given = {
        "nothing": (lambda drawn: np.zeros_like(PATCHES), None),
        "the same": (lambda drawn: PATCHES, PATCHES),
        "its own": (lambda drawn: drawn, GENERATED),
    }[kind]
    frames = unroll(cells, draw, STATES, STEPS, PATCH, given, base)
    np.testing.assert_allclose(frames, by_keras(cells, draw, shown, base), atol=1e-5)


@pytest.mark.parametrize(
    "given, inputs",
    [(None, 0), (PATCHES, OUTPUTS), (GENERATED, OUTPUTS)],
    ids=["nothing", "the same", "its own"],
)
def test_steps_and_sizes_may_be_unknown_to_the_graph(given, inputs):
    cells, draw = decoder(inputs)
    free = [tf.TensorSpec((None, None, None, count), tf.float32) for count in (3, 3, 6, 6)]
    graph = tf.function(
        lambda steps, *states: unroll(
            cells, draw, [states[:2], states[2:]], steps, PATCH, given
        ),
        input_signature=[tf.TensorSpec((), tf.int32), *free],
        autograph=False,
    )
    frames = graph(STEPS, *STATES[0], *STATES[1])
    np.testing.assert_allclose(
        frames, unroll(cells, draw, STATES, STEPS, PATCH, given), atol=1e-6
    )
