"""What is particular to the composite model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.registry import resolve

SMALL = resolve("composite_lstm").small
CLIP = np.random.default_rng(0).uniform(size=(2, 9, 16, 24, 1)).astype("float32")
CONTEXT = CLIP[:, :5]
TARGETS = {"reconstruction": CONTEXT, "prediction": CLIP[:, 5:]}


def load(**arguments):
    model = zoo.load("composite_lstm", weights=None, **{**SMALL, **arguments})
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(scale=0.1, size=w.shape) for w in model.get_weights()])
    return model


def test_the_code_is_the_final_state():
    model = load()
    _, state = model.encoder.observe(CONTEXT[:1], model.encoder.nothing_seen(CONTEXT[:1]))
    expected = sum(np.size(part) for part in state.values())
    assert model.code_size(5, 16, 24) == model.code_size(9, 16, 24) == expected


def test_both_decoders_start_from_the_final_state_and_the_past_comes_last_frame_first():
    """The first step of each decoder, by Keras' own ConvLSTM layers."""
    model = load()

    def layer(ours, channels):
        reference = keras.layers.ConvLSTM2D(
            ours.filters, 3, padding="same", return_sequences=True, return_state=True
        )
        reference.build((1, 5, 2, 3, channels))
        weights = ours.get_weights()
        kernel = np.zeros((3, 3, channels, 4 * ours.filters))  # of a decoder that is shown nothing
        reference.set_weights(weights if len(weights) == 3 else [kernel, *weights])
        return reference

    def first_step(cells, draw):
        sequence, hiddens = np.zeros((1, 1, 2, 3, 64), "float32"), []
        for cell, state in zip(cells, states, strict=True):
            sequence, *_ = layer(cell, sequence.shape[-1])(sequence, initial_state=state)
            hiddens.append(sequence[:, 0])
        return tf.nn.depth_to_space(draw(tf.concat(hiddens, axis=-1)), 8)[0]

    sequence = np.stack([tf.nn.space_to_depth(CONTEXT[:1, t], 8) for t in range(5)], axis=1)
    states = []
    for cell in model.encoder.cells:
        sequence, *state = layer(cell, sequence.shape[-1])(sequence)
        states.append(state)
    out = model(CONTEXT[:1])
    future = CONTEXT[0, -1] + first_step(model.forecaster, model.to_future)
    np.testing.assert_allclose(out["prediction"][0, 0], future, atol=1e-5)
    past = tf.sigmoid(first_step(model.reconstructor, model.to_past))
    np.testing.assert_allclose(out["reconstruction"][0, -1], past, atol=1e-5)
    np.testing.assert_array_equal(model.reconstruct(CONTEXT[:1]), out["reconstruction"])


def test_scoring_predicts_at_every_frame_what_training_predicts_after_the_last():
    """From the frames of a context alone: those before it change nothing."""
    model = load(score_horizon=1, context_frames=5)
    out = model.advance(CLIP, model.initial_state(2, 16, 24))
    for t in (4, 5, 8):
        after = model(CLIP[:, t - 4 : t + 1])["prediction"]
        np.testing.assert_allclose(
            out["prediction"][:, t], np.clip(after[:, 0], 0, 1), atol=1e-5
        )


@pytest.mark.parametrize("conditional", [(), ("reconstruction",), ("prediction",)])
def test_a_decoder_shown_its_own_frames_draws_others_from_the_second_on(conditional):
    """What it is shown first is nothing; of one never shown anything the kernel is not there."""
    model = load(conditional=conditional)
    cells = {"reconstruction": model.reconstructor[0], "prediction": model.forecaster[0]}
    assert {name for name in cells if cells[name].kernel is not None} == set(conditional)
    before = model(CONTEXT)
    for name in conditional:
        kernel = cells[name].kernel
        kernel.assign(2 * kernel)
    after = model(CONTEXT)
    for name in cells:
        drawn = [np.asarray(out[name]) for out in (before, after)]
        if name == "reconstruction":
            drawn = [past[:, ::-1] for past in drawn]
        np.testing.assert_array_equal(drawn[0][:, 0], drawn[1][:, 0])
        assert np.any(drawn[0][:, 1] != drawn[1][:, 1]) == (name in conditional)


@pytest.mark.parametrize("residual", [True, False])
def test_the_loss_is_the_sum_of_its_two_reported_terms(residual):
    model = load(residual=residual, observation_scale=0.2)
    model.compile(loss=model.default_loss(), jit_compile=False)
    values = model.evaluate(CONTEXT, TARGETS, verbose=0, return_dict=True)
    assert set(values) == {"loss", "reconstruction", "prediction"}
    out = model(CONTEXT)
    for name, truth in TARGETS.items():
        drawn = np.asarray(out[name], "float64")
        if residual:
            expected = ((truth - drawn) ** 2).mean() / (2 * 0.2**2)
            expected += np.log(0.2 * np.sqrt(2 * np.pi))
        else:
            expected = -(truth * np.log(drawn) + (1 - truth) * np.log(1 - drawn)).mean()
        assert values[name] == pytest.approx(expected, rel=1e-4)
    assert values["loss"] == pytest.approx(values["reconstruction"] + values["prediction"])


def test_one_decoder_alone_is_compared_with_its_part_of_the_targets_and_answers_for_itself():
    both = load()
    alone = {name: load(decoders=(name,)) for name in TARGETS}
    for name, model in alone.items():
        model.compile(loss=model.default_loss(), jit_compile=False)
        values = model.evaluate(CONTEXT, TARGETS, verbose=0, return_dict=True)
        assert set(values) == {"loss", name} and values["loss"] == values[name]
        assert model.monitor == name
        assert set(model(CONTEXT)) == {name}
        assert len(model.weights) < len(both.weights)
    assert both.monitor == "prediction"
    with pytest.raises(NotImplementedError, match="does not answer `reconstruct`"):
        alone["prediction"].reconstruct(CONTEXT)
    for verb in ("rollout", "score", "score_map", "step"):
        assert verb in alone["prediction"].verbs
        assert verb not in alone["reconstruction"].verbs
    assert alone["reconstruction"].reconstruct(CONTEXT).shape == CONTEXT.shape


def test_a_frame_drawn_as_it_is_starts_from_the_mean_of_a_pixel():
    keras.utils.set_random_seed(0)
    model = zoo.load("composite_lstm", weights=None, **SMALL, pixel_mean=0.05)
    out = model(CONTEXT)
    np.testing.assert_allclose(out["reconstruction"], 0.05, atol=0.01)
    # A change from the last frame starts from none.
    np.testing.assert_allclose(out["prediction"][:, 0], CONTEXT[:, -1], atol=0.1)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"decoders": ("future",)}, "`decoders` must hold names of .*decoders=.'future',"),
        ({"decoders": ()}, "`decoders` must name at least one decoder"),
        ({"pixel_mean": 1.0}, "`pixel_mean` must be between 0 and 1. Received: pixel_mean=1.0"),
        ({"conditional": ("past",)}, "`conditional` must hold names of .*conditional=.'past',"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.CompositeLSTM(**arguments)
