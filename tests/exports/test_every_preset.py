"""Every model of the catalogue, exported and read back: the same numbers, sizes left free."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from data_pipelines import transforms
from exports import signatures
from zoo.registry import resolve

SIZES = ((2, 12, 16, 24), (1, 17, 32, 16))  # batch, time, height, width
STEPS = 3


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(preset_name, tmp_path_factory):
    keras.utils.set_random_seed(0)
    model = zoo.load(preset_name, weights=None, **resolve(preset_name).small)
    module, functions = signatures.build(model, rollout_steps=STEPS)
    folder = tmp_path_factory.mktemp("served")
    tf.saved_model.save(module, str(folder), signatures=functions)
    return model, tf.saved_model.load(str(folder)).signatures


def clips(model):
    rng = np.random.default_rng(0)
    for size in SIZES:
        yield rng.integers(0, 256, (*size, model.channels), np.uint8)


def close(actual, expected):
    expected = np.asarray(expected)
    np.testing.assert_allclose(actual, expected, atol=1e-4 * np.abs(expected).max())


def test_every_signature_gives_what_the_verb_gives(served):
    model, signature = served
    assert {"serving_default", "features"} <= set(signature)
    for clip in clips(model):
        unit, clip = transforms.to_float(clip), tf.constant(clip)
        embedding = signature["serving_default"](clip=clip)["embedding"]
        close(embedding, model.encode(unit))
        close(signature["features"](clip=clip)["features"], model.features(unit))
        if len(embedding) > 1:
            assert np.any(np.asarray(embedding[0]) != np.asarray(embedding[1]))
        if "score" in model.verbs:
            out = signature["score"](clip=clip)
            close(out["score"], model.score(unit))
            close(out["score_map"], model.score_map(unit))
        if "rollout" in model.verbs:
            future = signature["rollout"](clip=clip)["future"].numpy().astype(int)
            expected = np.asarray(transforms.to_bytes(model.rollout(unit, STEPS))).astype(int)
            # A value on the edge between two bytes may fall to either side.
            assert np.abs(future - expected).max() <= 1


def test_step_from_zeros_gives_what_score_gives(served):
    model, signature = served
    if "step" not in signature:
        assert "step" not in model.verbs
        return
    clip = next(clips(model))
    specs = signature["step"].structured_input_signature[1]
    zeros = model.initial_state(*clip.shape[:1], *clip.shape[2:4])
    assert set(specs) == {"frame", *(f"state_{name}" for name in zeros)}
    state = {f"state_{name}": tf.zeros_like(value) for name, value in zeros.items()}
    expected = np.asarray(model.score(transforms.to_float(clip)))
    for t in range(clip.shape[1]):
        out = dict(signature["step"](frame=tf.constant(clip[:, t]), **state))
        np.testing.assert_allclose(out["score"], expected[:, t], atol=1e-4 * expected.max())
        state = {name: value for name, value in out.items() if name.startswith("state_")}
