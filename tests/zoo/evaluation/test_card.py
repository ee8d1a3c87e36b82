"""The model card: its numbers against other counts, and that nothing of the machine gets in."""

import hashlib
import json
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.evaluation import card
from zoo.models.convlstm_vae import ConvLSTMVAE

RUN = {
    "command": "zoo train convlstm_vae --data /disk/footage/ped2 --out runs/ped2",
    "arguments": {"name": "convlstm_vae", "data": "/disk/footage/ped2", "steps": 10},
    "seed": 3,
    "minutes": 1.5,
    "versions": {"keras": "3.0"},
    "status": "finished",
    "best": 0.1,
}
PRESET = types.SimpleNamespace(name="convlstm_vae/ped2", description="A model.", paper="A 2015")


@pytest.fixture(scope="module")
def model():
    model = ConvLSTMVAE(
        filters=(4, 6, 8), state_filters=(4, 8), decoder_filters=(4, 8, 8), latent_dim=2,
        clip_shape=(16, 32, 48, 1), fps=10, score_horizon=2,
    )  # fmt: skip
    model.ensure_built()
    return model


def test_multiply_adds_are_half_of_what_the_profiler_counts(model):
    specs = tf.nest.map_structure(
        lambda value: tf.TensorSpec(value.shape, value.dtype), model.initial_state(1, 32, 48)
    )
    frame = tf.TensorSpec((1, 32, 48, 1), tf.float32)
    step = tf.function(model.step).get_concrete_function(frame, specs)
    from tensorflow.python.framework import convert_to_constants

    graph = convert_to_constants.convert_variables_to_constants_v2(
        step, lower_control_flow=True
    ).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder(
        tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    )
    profile = tf.compat.v1.profiler.profile(graph, options=options.with_empty_output().build())
    counted = card.multiply_adds_per_frame(model, 32, 48)
    # The profiler counts biases and other work value by value as well.
    assert counted <= profile.total_float_ops / 2 <= 1.05 * counted


def test_multiply_adds_grow_with_the_frame(model):
    small = card.multiply_adds_per_frame(model, 32, 48)
    assert card.multiply_adds_per_frame(model, 64, 96) == 4 * small


class OneOfEach:
    """Steps of known cost: a convolution, a transposed one, a depthwise one, a product."""

    channels = 2

    def initial_state(self, batch, height, width):
        return {"last": tf.zeros((batch, height, width, 2))}

    def step(self, frame, state):
        values = tf.ones((3, 3, 2, 5)) * tf.reduce_sum(state["last"])
        maps = tf.nn.conv2d(frame, values, 2, "SAME")
        back = tf.nn.conv2d_transpose(maps, values, tf.shape(frame), 2, "SAME")
        back = tf.nn.depthwise_conv2d(back, values[..., :1], [1, 1, 1, 1], "SAME")
        score = tf.matmul(tf.reshape(back, (8, 16)), tf.fill((16, 3), values[0, 0, 0, 0]))
        return {"score": score, "state": {"last": frame}}


def test_multiply_adds_of_every_operation():
    expected = (
        4 * 4 * 5 * (3 * 3 * 2)  # convolution to 4x4x5
        + 4 * 4 * 5 * (3 * 3 * 2)  # the same backwards
        + 8 * 8 * 2 * (3 * 3)  # depthwise at 8x8x2
        + 8 * 3 * 16  # (8, 16) by (16, 3)
    )
    assert card.multiply_adds_per_frame(OneOfEach(), 8, 8) == expected


class LosesBatch(OneOfEach):
    """A convolution whose graph does not say that the batch is 1."""

    def step(self, frame, state):
        some = tf.boolean_mask(frame, tf.reduce_any(state["last"] == 0, axis=[1, 2, 3]))
        return {"score": tf.nn.conv2d(some, tf.ones((3, 3, 2, 5)), 1, "SAME"), "state": state}


def test_a_batch_that_the_graph_has_lost_is_one():
    assert card.multiply_adds_per_frame(LosesBatch(), 8, 8) == 8 * 8 * 5 * (3 * 3 * 2)


class Recurrent(OneOfEach):
    """A layer in a loop of one step that knows no batch: 128 values in, 5 units."""

    def __init__(self):
        self.memory = keras.layers.GRU(5)
        self.memory.build((None, None, 128))

    def step(self, frame, state):
        score = self.memory(tf.reshape(frame, (-1, 1, 128)))
        return {"score": score, "state": {"last": frame}}


def test_multiply_adds_of_a_loop_are_those_of_one_frame():
    # Three gates, from the values and from the units before.
    assert card.multiply_adds_per_frame(Recurrent(), 8, 8) == 3 * 5 * (128 + 5)


def test_a_card_states_what_it_must_and_no_path_of_the_machine(model, tmp_path):
    weights = tmp_path / "model.weights.h5"
    weights.write_bytes(b"weights")
    written = card.model_card(
        model, PRESET, RUN, {"auc_live": 0.9, "baselines": {"copy_last_frame": {}}},
        data={"name": "Ped2", "terms": "cite", "reference": "M 2010"},
        command=f"zoo evaluate anomaly {tmp_path} --data ../../footage/ped2 --json",
        versions={"keras": "3.1"}, weights=weights, selection={"arguments": {"score_horizon": 2}},
    )  # fmt: skip
    text = json.dumps(written, allow_nan=False)
    assert "/disk" not in text and str(tmp_path.parent) not in text and "../" not in text
    assert written["training"]["command"] == ("zoo train convlstm_vae --data ped2 --out runs/ped2")
    assert written["training"]["arguments"] == {"name": "convlstm_vae", "data": "ped2", "steps": 10}
    assert written["training"]["seed"] == 3 and written["training"]["minutes"] == 1.5
    assert written["evaluation"]["auc_live"] == 0.9
    assert written["evaluation"]["command"] == (
        f"zoo evaluate anomaly {tmp_path.name} --data ped2 --json"
    )
    assert written["evaluation"]["versions"] == {"keras": "3.1"}
    assert written["weights"] == {
        "file": "model.weights.h5",
        "bytes": 7,
        "sha256": hashlib.sha256(b"weights").hexdigest(),
    }
    assert written["score"] == {
        "score_horizon": 2, "score_pooling": "max", "score_window": 16,
    }  # fmt: skip
    assert written["parameters"] == sum(int(tf.size(v.value)) for v in model.trainable_variables)
    assert written["data"]["terms"] == "cite" and written["paper"] == "A 2015"
    assert len(written["not_for"]) >= 3


def test_a_run_that_does_not_say_how_it_was_trained(model):
    with pytest.raises(ValueError, match="`run` must state seed, minutes. Received"):
        card.model_card(
            model, PRESET, {"command": "x", "versions": {}}, {}, data={}, command="", versions={}
        )


def test_portable_keeps_paths_of_the_working_folder_and_quotes():
    assert card.portable("zoo x '/a b/c d' ~/e ../f runs/g") == "zoo x 'c d' e f runs/g"


def test_portable_sees_the_paths_behind_equals_signs():
    said = "zoo x --data=/disk/ped2 --out=runs/one --set=crop=64,64 --init=~/a=b/c data=/kept"
    expected = "zoo x --data=ped2 --out=runs/one --set=crop=64,64 --init=c data=/kept"
    assert card.portable(said) == expected


def test_an_evaluation_of_its_own_section_leaves_the_others(model):
    stated = {"data": {}, "command": "zoo evaluate x", "versions": {}}
    first = card.model_card(
        model, PRESET, RUN, {"mse": 0.5, "model": "/disk/runs/a"}, section="prediction", **stated
    )
    assert set(first["evaluation"]) == {"prediction"}
    assert first["evaluation"]["prediction"]["model"] == "a"
    assert first["evaluation"]["prediction"]["command"] == "zoo evaluate x"
    both = card.with_evaluation(first, {"auc_live": 0.7}, command="zoo y", versions={"keras": "4"})
    assert both["evaluation"]["auc_live"] == 0.7 and both["evaluation"]["command"] == "zoo y"
    assert both["evaluation"]["prediction"] == first["evaluation"]["prediction"]
    assert "auc_live" not in first["evaluation"]
    with pytest.raises(ValueError, match="must be None or one of .* Received: 'walking'"):
        card.with_evaluation(first, {}, command="", versions={}, section="walking")


def test_evaluations_that_only_the_other_card_holds_are_taken_over():
    def holding(**evaluation):
        return {"name": "a/b", "evaluation": evaluation}

    flat = {"auc_live": 0.5, "frames": 3}
    other = holding(**flat, prediction={"mse": 1}, representation={"accuracy": 1})
    merged, names = card.with_sections_of(holding(prediction={"mse": 2}), other)
    assert names == ["anomaly", "representation"]
    assert merged["evaluation"] == {
        **flat, "representation": {"accuracy": 1}, "prediction": {"mse": 2},
    }  # fmt: skip
    merged, names = card.with_sections_of(holding(auc_live=0.9), other)
    assert names == ["prediction", "representation"]
    assert merged["evaluation"]["auc_live"] == 0.9 and "frames" not in merged["evaluation"]
    assert card.with_sections_of(holding(auc_live=1), holding())[1] == []


def test_a_model_that_takes_no_single_frames_has_no_operations_per_frame(model):
    whole = types.SimpleNamespace(
        verbs=("encode",), clip_shape=model.clip_shape, channels=1, fps=10,
        trainable_variables=[], weights=[np.zeros((3, 4)), np.zeros(5)],
    )  # fmt: skip
    written = card.model_card(whole, PRESET, RUN, {}, data={}, command="", versions={})
    assert written["parameters"] == 17  # fitted, though not by gradients
    assert written["operations_per_frame"] == {"frame": [32, 48, 1], "multiply_adds": None}
