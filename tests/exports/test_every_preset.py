"""Every model of the catalogue, exported and read back: the same numbers, sizes left free."""

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import transforms
from exports import isolated_reader, signatures

SIZES = ((2, 12, 16, 24), (1, 17, 32, 16))  # batch, time, height, width
STEPS = 3


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(preset_name, shaken_model, tmp_path_factory):
    model = shaken_model(preset_name)
    module, functions = signatures.build(model, rollout_steps=STEPS)
    folder = tmp_path_factory.mktemp("served")
    tf.saved_model.save(module, str(folder), signatures=functions)
    return model, tf.saved_model.load(str(folder)).signatures, folder


def clips(model):
    rng = np.random.default_rng(0)
    for size in SIZES:
        yield rng.integers(0, 256, (*size, model.channels), np.uint8)


def close(actual, expected):
    expected = np.asarray(expected)
    np.testing.assert_allclose(actual, expected, atol=1e-4 * np.abs(expected).max())


def test_every_signature_gives_the_same_through_the_c_api(served):
    """As a server in C++ loads it: what no Python function, and nothing of this project, is in."""
    model, signature, folder = served
    tensors = signatures.tensors(folder)
    assert set(tensors) == set(signature)
    reader = isolated_reader.reader_module("c_api")
    opened = reader.open_export(folder, {"tensors": tensors})
    clip = next(clips(model))
    given = {"frames": isolated_reader.as_png(clip), "clip": clip, "frame": clip[:, 0]}
    zeros = {}
    if "step" in signature:
        zeros = model.initial_state(*clip.shape[:1], *clip.shape[2:4])
    given |= {f"state_{name}": np.asarray(value) for name, value in zeros.items()}
    for name, function in signature.items():
        takes = function.structured_input_signature[1]
        inputs = {key: given[key] for key in takes}
        answer = opened(name, None)(**inputs)
        expected = function(**{key: tf.constant(value) for key, value in inputs.items()})
        assert set(answer) == set(expected)
        for key, value in answer.items():
            assert value.dtype == expected[key].dtype.as_numpy_dtype
            close(value, expected[key])


def test_every_signature_gives_what_the_verb_gives(served):
    model, signature, _ = served
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


def test_images_are_encoded_as_their_pixels_are(served):
    model, signature, _ = served
    clip = next(clips(model))[:, : model.min_frames + 1]
    images = [[tf.io.encode_png(frame).numpy() for frame in frames] for frames in clip]
    embedding = signature["encode_jpeg"](frames=tf.constant(images))["embedding"]
    close(embedding, model.encode(transforms.to_float(clip)))


def test_step_gives_what_score_gives_over_a_thousand_frames(served):
    model, signature, _ = served
    assert ("step" in signature) == ("score" in model.verbs)
    if "step" not in signature:
        return
    size = (1, 1000, 2 * model.stride, 2 * model.stride, model.channels)
    clip = np.random.default_rng(1).integers(0, 256, size, np.uint8)
    score = np.asarray(model.score(transforms.to_float(clip)))
    zeros = model.initial_state(1, *size[2:4])
    state = {f"state_{name}": tf.zeros_like(value) for name, value in zeros.items()}
    stepped = []
    for t in range(size[1]):
        out = dict(signature["step"](frame=tf.constant(clip[:, t]), **state))
        stepped.append(out["score"].numpy())
        state = {name: out[name] for name in state}
    np.testing.assert_allclose(np.stack(stepped, axis=1), score, atol=1e-4 * score.max(), rtol=0)


def test_step_from_zeros_gives_what_score_and_rollout_give(served):
    model, signature, _ = served
    assert ("step" in signature) == ("step" in model.verbs)
    if "step" not in signature:
        return
    clip = next(clips(model))
    specs = signature["step"].structured_input_signature[1]
    zeros = model.initial_state(*clip.shape[:1], *clip.shape[2:4])
    assert set(specs) == {"frame", *(f"state_{name}" for name in zeros)}
    state = {f"state_{name}": tf.zeros_like(value) for name, value in zeros.items()}
    unit = transforms.to_float(clip)
    expected = {name: np.asarray(value) for name, value in model.score_with_map(unit).items()}
    predicts = "rollout" in model.verbs
    for t in range(clip.shape[1]):
        out = dict(signature["step"](frame=tf.constant(clip[:, t]), **state))
        for name, value in expected.items():
            np.testing.assert_allclose(out[name], value[:, t], atol=1e-4 * value.max())
        assert ("prediction" in out) == predicts
        if predicts and t in (0, clip.shape[1] - 1):
            following = transforms.to_bytes(model.rollout(unit[:, : t + 1], 1))[:, 0]
            apart = out["prediction"].numpy().astype(int) - np.asarray(following).astype(int)
            assert np.abs(apart).max() <= 1
        state = {name: value for name, value in out.items() if name.startswith("state_")}
