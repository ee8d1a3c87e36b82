"""What is particular to the encoder-forecaster."""

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.registry import resolve

SMALL = resolve("convlstm_predictor").small
CLIP = np.random.default_rng(0).uniform(size=(1, 6, 16, 24, 1)).astype("float32")


def test_forecaster_starts_from_the_states_and_unrolls():
    """The prediction after the third frame, by Keras' own ConvLSTM layers."""
    model = zoo.load("convlstm_predictor", weights=None, **SMALL)
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(scale=0.1, size=w.shape) for w in model.get_weights()])

    def layer(ours):
        reference = keras.layers.ConvLSTM2D(
            ours.filters, 3, padding="same", return_sequences=True, return_state=True
        )
        reference.build((1, 3, 2, 3, ours.kernel.shape[2]))
        reference.set_weights(ours.get_weights())
        return reference

    sequence = np.stack([tf.nn.space_to_depth(CLIP[:, t], 8) for t in range(3)], axis=1)
    last, states = np.repeat(sequence[:, -1:], 4, axis=1), []
    for cell in model.encoder.cells:
        sequence, *state = layer(cell)(sequence)
        states.append(state)
    sequence, hiddens = last, []
    for cell, state in zip(model.forecaster, states, strict=True):
        sequence, *_ = layer(cell)(sequence, initial_state=state)
        hiddens.append(sequence)
    patches = model.to_patches(tf.concat(hiddens, axis=-1)[0])
    expected = CLIP[0, 2] + tf.nn.depth_to_space(patches, 8)
    known = np.concatenate([CLIP[:, :3], np.zeros((1, 4, 16, 24, 1), "float32")], axis=1)
    np.testing.assert_allclose(model(known)[0, 2], expected, atol=1e-5)


def test_verbs_of_autoencoders_are_not_its_own():
    model = zoo.load("convlstm_predictor", weights=None, **SMALL)
    able = "Models that answer `reconstruct`: .*ConvLSTMVAE"
    with pytest.raises(NotImplementedError, match=able):
        model.reconstruct(CLIP)


def test_a_frame_predicted_as_it_is_goes_through_a_logistic_function():
    arguments = {**SMALL, "patch": 4}
    change = zoo.load("convlstm_predictor", weights=None, **arguments)
    whole = zoo.load("convlstm_predictor", weights=None, **arguments, residual=False)
    whole.set_weights(change.get_weights())
    drawn = change(CLIP) - CLIP[:, :2, None]
    np.testing.assert_allclose(whole(CLIP), tf.sigmoid(drawn), atol=1e-5)


def test_the_layout_of_a_weights_file_is_that_of_the_trained_ones(tmp_path):
    """Keras finds weights by these paths: to change one is to lose the files that there are."""
    model = zoo.load("convlstm_predictor", weights=None, **SMALL)
    model.save_weights(tmp_path / "model.weights.h5")
    cells = [f"{stack}/conv_lstm{index}" for stack in ("encoder/cells", "forecaster")
             for index in ("", "_1")]
    expected = [f"{cell}/vars/{number}" for cell in cells for number in range(3)]
    expected += [f"layers/conv2d/vars/{number}" for number in range(2)]
    found = []
    with h5py.File(tmp_path / "model.weights.h5") as file:
        file.visititems(
            lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None
        )
    # `vars` of the metric that counts the loss are no weights.
    assert [name for name in found if "metric" not in name] == expected
