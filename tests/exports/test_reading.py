import numpy as np
import pytest

import exports
from data_pipelines import transforms


@pytest.fixture(scope="module")
def loaded(exported):
    return exports.load(exported.parent)


def test_it_answers_as_the_model_does(loaded, model, clip):
    values = transforms.to_float(clip)
    for verb in ("encode", "features", "score", "score_map"):
        expected = getattr(model, verb)(values).numpy()
        answer = getattr(loaded, verb)(clip)
        assert isinstance(answer, np.ndarray) and answer.dtype == np.float32
        np.testing.assert_allclose(answer, expected, atol=1e-3 * np.abs(expected).max())
    future = loaded.rollout(clip)
    assert future.dtype == np.uint8 and future.shape == (2, 3, 32, 48, 1)
    assert np.abs(future / 255 - model.rollout(values, 3).numpy()).max() <= 0.5 / 255 + 1e-3


def test_one_clip_needs_no_batch_axis(loaded, clip):
    np.testing.assert_allclose(loaded.encode(clip[0]), loaded.encode(clip)[0], rtol=1e-4, atol=1e-5)


def test_step_from_zeros_scores_the_stream(loaded, clip):
    state = loaded.initial_state(2, 32, 48)
    assert all(not array.any() for array in state.values())
    scores = []
    for time in range(clip.shape[1]):
        result = loaded.step(clip[:, time], state)
        state = result["state"]
        scores.append(result["score"])
    assert set(result) == {"score", "score_map", "prediction", "state"}
    whole = loaded.score(clip)
    np.testing.assert_allclose(np.stack(scores, axis=1), whole, atol=1e-4 * whole.max())


def test_verbs_and_manifest(loaded):
    assert set(loaded.verbs) == {"encode", "encode_jpeg", "features", "score", "rollout", "step"}
    assert loaded.manifest["stride"] == 8


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((1, 8, 32, 48, 1), np.float32, "`clip` must be uint8. Received: float32"),
        ((1, 8, 32, 48, 3), np.uint8, "the last of 1 channels. Received the shape"),
        ((8, 32, 48), np.uint8, "`clip` must have 5 axes"),
        ((1, 1, 32, 48, 1), np.uint8, "must have at least 2 frames. Received: 1"),
        ((1, 8, 33, 44, 1), np.uint8, "Received: 33x44. The nearest that fits: 32x48"),
        ((1, 8, 36, 12, 1), np.uint8, "Received: 36x12. The nearest that fits: 40x16"),
        ((1, 8, 0, 48, 1), np.uint8, "Received: 0x48. The nearest that fits: 8x48"),
    ],
)
def test_clips_that_do_not_fit_are_named(loaded, shape, dtype, message):
    with pytest.raises(ValueError, match=message):
        loaded.encode(np.zeros(shape, dtype))


def test_a_signature_that_is_not_there_is_named(exported, clip):
    loaded = exports.load(exported)
    loaded._loaded.signatures = {"serving_default": None}
    with pytest.raises(ValueError, match="has no signature `rollout`"):
        loaded.rollout(clip)


def test_a_folder_that_holds_no_export_is_named(tmp_path):
    with pytest.raises(ValueError, match="must be a folder with an export"):
        exports.load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="must hold a version. .* holds: none"):
        exports.load(tmp_path)
