"""What is particular to the model of many horizons."""

import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.layers import motion_statistics
from zoo.registry import resolve

SMALL = resolve("foresight").small
CLIP = np.random.default_rng(0).uniform(size=(2, 9, 16, 24, 1)).astype("float32")


@pytest.fixture
def model():
    return zoo.load("foresight", weights=None, **SMALL)


def test_predictions_line_up_with_the_frames_they_are_of(model):
    # A decoder silenced but for a bias per horizon predicts that much change at each.
    for weight in model.decoder.weights:
        weight.assign(tf.zeros_like(weight))
    # Its last layer draws 2x2 pixels at once: the channels of each follow one another.
    model.decoder.up_1.bias.assign(tf.tile([0.1, 0.2, 0.3, 0.4], [4]))
    predicted = np.asarray(model(CLIP))
    assert predicted.shape == (2, 5, 4, 16, 24, 1)
    for ahead in range(4):
        expected = CLIP[:, :5] + 0.1 * (ahead + 1)
        np.testing.assert_allclose(predicted[:, :, ahead], expected, atol=1e-6)
    # So the score at frame t is the error of frame t - 4 with the change of the fourth.
    error = np.square(CLIP[:, 4:] - np.clip(CLIP[:, :5] + 0.4, 0, 1)).mean(axis=-1)
    blocks = error.reshape(2, 5, 2, 8, 3, 8).mean(axis=(3, 5))
    scored = model.score_map(CLIP)[:, model.warm_up :]
    np.testing.assert_allclose(scored, blocks[:, model.warm_up - 4 :], rtol=1e-4)


def test_a_live_frame_is_predicted_as_at_all_horizons(model):
    start = model.initial_state(2, 16, 24)
    predictions, _ = model.predict_ahead(CLIP, start)
    state = start
    for time in range(CLIP.shape[1]):
        out = model.step(CLIP[:, time], state)
        state = out["state"]
        np.testing.assert_allclose(out["prediction"], predictions[:, time, 0], atol=1e-5)
        np.testing.assert_allclose(state["pending"][:, -1], predictions[:, time, 3], atol=1e-5)
    assert np.abs(predictions[:, :, 3] - predictions[:, :, 0]).max() > 1e-4


def test_a_clip_is_described_where_something_moves(model):
    mirror = CLIP[:, :, :, ::-1]
    here, there = (motion_statistics(model.features(clip), clip) for clip in (CLIP, mirror))
    np.testing.assert_allclose(model.encode(CLIP), (here + there) / 2, atol=1e-5)
    assert here.shape == (2, model.embedding_dim)


def test_a_clip_and_its_mirror_image_have_one_vector_unless_told_otherwise(model):
    mirror = CLIP[:, :, :, ::-1]
    np.testing.assert_allclose(model.encode(CLIP), model.encode(mirror), atol=1e-5)
    facing = zoo.load("foresight", weights=None, **SMALL, mirrored=False)
    facing.set_weights(model.get_weights())
    expected = motion_statistics(facing.features(CLIP), CLIP)
    np.testing.assert_allclose(facing.encode(CLIP), expected, atol=1e-5)
    assert np.abs(facing.encode(CLIP) - facing.encode(mirror)).max() > 1e-3


def test_settings_reach_the_layers():
    model = zoo.load("foresight", weights=None, **{**SMALL, "scan_layers": 3, "longest": 4})
    assert len(model.encoder.scans_8) == 3
    assert {scan.longest for scan in [model.encoder.scan_4, *model.encoder.scans_8]} == {4}
    with pytest.raises(ValueError, match="`scan_layers` must be at least 1"):
        zoo.load("foresight", weights=None, **{**SMALL, "scan_layers": 0})
