"""What is particular to the model of many horizons."""

import numpy as np
import pytest
import tensorflow as tf

import zoo
from data_pipelines import tasks
from zoo.layers import motion_statistics
from zoo.registry import resolve

SMALL = {**resolve("foresight").small, "feature_weight": 0.1, "feature_horizon": 2}
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


def test_the_target_encoder_follows_by_its_average(model):
    start = [np.array(weight) for weight in model.encoder.weights]
    for target, weight in zip(model.target_encoder.weights, start, strict=True):
        np.testing.assert_array_equal(target, weight)
    inputs, targets = tasks.predict_ahead(frames=model.horizons)(tf.constant(CLIP))
    # One step is not worth a graph.
    model.compile("adam", loss=model.default_loss(), run_eagerly=True)
    model.train_on_batch(inputs, targets)
    first = [np.array(weight) for weight in model.encoder.weights]
    # decay = (1 + 1) / (10 + 1) after the first step, while the average is young.
    expected = [2 / 11 * old + 9 / 11 * new for old, new in zip(start, first, strict=True)]
    for target, weight in zip(model.target_encoder.weights, expected, strict=True):
        np.testing.assert_allclose(target, weight, atol=1e-6)
    assert not model.target_encoder.trainable_variables


def test_descriptors_predict_those_of_the_target_encoder(model):
    """The reported error against the equation, in NumPy."""
    ahead = model.feature_horizon
    rng = np.random.default_rng(1)
    for weight in model.target_encoder.weights:
        weight.assign(weight + rng.normal(scale=0.1, size=weight.shape))

    def descriptors(encoder, clip):
        shapes = encoder.state_shapes(*clip.shape[2:4]).items()
        state = {name: tf.zeros((len(clip), *shape)) for name, shape in shapes}
        maps, _ = encoder.observe(tf.constant(clip), state, tf.zeros((len(clip),), tf.int32))
        return np.asarray(maps["scan_8"])

    known = descriptors(model.encoder, CLIP[:, :-ahead])
    folded = known.reshape(-1, *known.shape[2:])
    predicted = np.asarray(model.feature_out(model.feature_hidden(folded))).reshape(known.shape)
    target = descriptors(model.target_encoder, CLIP)[:, ahead:]

    def standardised(values):
        axes = (0, 1, 2, 3)
        return (values - values.mean(axes)) / np.sqrt(values.var(axes) + 1e-4)

    expected = np.square(standardised(predicted) - standardised(target)).mean()
    inputs, targets = tasks.predict_ahead(frames=model.horizons)(tf.constant(CLIP))
    model.compile("adam", loss=model.default_loss(), jit_compile=False)
    found = model.evaluate(inputs, targets, verbose=0, return_dict=True)
    assert found["features"] == pytest.approx(expected, rel=1e-3)
    added = found["loss"] - found["reconstruction"]
    assert added == pytest.approx(model.feature_weight * expected, rel=1e-2)


def test_pixels_are_predicted_as_without_descriptors(model):
    plain = zoo.load("foresight", weights=None, **resolve("foresight").small)
    assert not hasattr(plain, "target_encoder")
    plain.encoder.set_weights(model.encoder.get_weights())
    plain.decoder.set_weights(model.decoder.get_weights())
    np.testing.assert_allclose(plain(CLIP), model(CLIP), atol=1e-6)
    np.testing.assert_allclose(plain.score(CLIP), model.score(CLIP), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"feature_weight": -0.1}, "`feature_weight` must be at least 0"),
        ({"feature_horizon": 5}, "`feature_horizon` must be from 1 to horizons=4"),
        ({"target_decay": 1.0}, "`target_decay` must be from 0 to below 1"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.load("foresight", weights=None, **{**SMALL, **arguments})


def test_settings_reach_the_layers():
    model = zoo.load("foresight", weights=None, **{**SMALL, "scan_layers": 3, "longest": 4})
    assert len(model.encoder.scans_8) == 3
    assert {scan.longest for scan in [model.encoder.scan_4, *model.encoder.scans_8]} == {4}
    with pytest.raises(ValueError, match="`scan_layers` must be at least 1"):
        zoo.load("foresight", weights=None, **{**SMALL, "scan_layers": 0})
