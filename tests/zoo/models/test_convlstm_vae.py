"""What is particular to the ConvLSTM VAE."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.registry import resolve

SMALL = resolve("convlstm_vae").small
CLIP = np.random.default_rng(0).uniform(size=(4, 8, 16, 24, 1)).astype("float32")


@pytest.fixture
def model():
    return zoo.load("convlstm_vae", weights=None, **SMALL, score_horizon=4)


def test_predictions_line_up_with_the_frames_they_are_of(model):
    # A decoder silenced predicts no change: frame t for each of the frames after it.
    for weight in model.decoder.weights:
        weight.assign(tf.zeros_like(weight))
    predicted = np.asarray(model(CLIP))
    assert predicted.shape == (4, 4, 4, 16, 24, 1)
    for k in range(4):
        np.testing.assert_allclose(predicted[:, :, k], CLIP[:, :4], atol=1e-6)
    # So the score is the squared difference to the frame `score_horizon` before.
    clip = np.concatenate([CLIP, CLIP[::-1]], axis=1)
    difference = np.square(clip[:, 8] - clip[:, 4]).mean(axis=-1)
    blocks = difference.reshape(4, 2, 8, 3, 8).mean(axis=(2, 4))
    np.testing.assert_allclose(model.score_map(clip)[:, 8], blocks, rtol=1e-4)
    windows = np.maximum(blocks[:, :, :2].mean(axis=(1, 2)), blocks[:, :, 1:].mean(axis=(1, 2)))
    np.testing.assert_allclose(model.score(clip)[:, 8], windows, rtol=1e-4)


def test_a_live_frame_is_predicted_as_at_all_horizons():
    model = zoo.load("convlstm_vae", weights=None, **SMALL, score_horizon=3)
    start = model.initial_state(4, 16, 24)
    predictions, _ = model.predict_ahead(CLIP, start)
    for clip in (CLIP[:, :1], CLIP):
        out, last = model.advance(clip, start), clip.shape[1] - 1
        np.testing.assert_allclose(out["prediction"], predictions[:, : last + 1, 0], atol=1e-6)
        pending = out["state"]["pending"]
        np.testing.assert_allclose(pending[:, -1], predictions[:, last, 2], atol=1e-6)
    assert np.abs(predictions[:, :, 2] - predictions[:, :, 0]).max() > 1e-4


def test_half_precision_leaves_the_last_frame_as_it_was():
    model = zoo.load("convlstm_vae", weights=None, dtype="mixed_bfloat16", **SMALL)
    for weight in model.decoder.weights:
        weight.assign(tf.zeros_like(weight))
    np.testing.assert_allclose(model(CLIP)[:, :, 0], CLIP[:, :4], atol=1e-6)
    out = model.step(CLIP[:, 0], model.initial_state(4, 16, 24))
    np.testing.assert_allclose(out["prediction"], CLIP[:, 0], atol=1e-6)


def test_divergence_is_per_predicted_value(model):
    model(CLIP)
    per_value = float(model.losses[0])
    states = {name: tf.zeros((4, *s)) for name, s in model._state_shapes(16, 24).items()}
    maps, _ = model.encoder.observe(CLIP, states, tf.zeros((4,), tf.int32))
    memory = tf.reshape(maps["memory_8"][:, :4], (16, 2, 3, 8))
    prior = model.prior(memory)
    posterior = model._posterior(maps["memory_8"][:, :4], maps["frame_8"], 4)
    q_mean, p_mean, q_std, p_std = (
        np.asarray(x, "float64")
        for x in (posterior.mean(), prior.mean(), posterior.stddev(), prior.stddev())
    )
    closed = np.log(p_std / q_std) + (q_std**2 + (q_mean - p_mean) ** 2) / (2 * p_std**2) - 0.5
    expected = closed.sum(axis=(1, 2, 3)).mean() / (4 * 16 * 24)
    assert per_value == pytest.approx(expected, rel=1e-3)


def test_posterior_share_one_always_draws_and_equal_seeds_draw_the_same():
    def outputs(**arguments):
        tf.random.set_seed(0)
        model = zoo.load("convlstm_vae", weights=None, **SMALL, **arguments)
        model.set_weights(reference.get_weights())
        first = np.asarray(model(CLIP, training=True))
        return first, np.asarray(model(CLIP, training=True)), np.asarray(model(CLIP))

    reference = zoo.load("convlstm_vae", weights=None, **SMALL)
    first, second, mean = outputs(posterior_share=1.0, seed=3)
    again, _, _ = outputs(posterior_share=1.0, seed=3)
    np.testing.assert_array_equal(first, again)
    drawn = np.any(first != mean, axis=(1, 2, 3, 4, 5))
    assert drawn.all() and np.any(first != second)
    halves = [outputs(posterior_share=0.5, seed=s) for s in range(4)]
    share = np.mean([np.any(a != m, axis=(1, 2, 3, 4, 5)).mean() for a, _, m in halves])
    assert 0.1 < share < 0.9


def test_reconstruction_sees_the_frame_through_the_posterior(model):
    weights = [
        w + np.random.default_rng(1).normal(scale=0.1, size=w.shape) if w.dtype.kind == "f" else w
        for w in model.get_weights()
    ]
    model.set_weights(weights)
    altered = CLIP.copy()
    altered[:, 5] = 1 - altered[:, 5]
    before, after = np.asarray(model.reconstruct(CLIP)), np.asarray(model.reconstruct(altered))
    assert np.any(before[:, 5] != after[:, 5])
    # The posterior of a frame looks `horizons` frames ahead of the one before it, no further.
    np.testing.assert_array_equal(before[:, 0], after[:, 0])


def test_too_short_a_clip_to_train_on_is_named(model):
    with pytest.raises(ValueError, match="`clip` must have at least 5 frames. Received: 4"):
        model(CLIP[:, :4])


MIRRORED = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import zoo
from zoo.registry import resolve
from zoo.training.distribution import choose_strategy
strategy = choose_strategy("mirrored")
assert strategy.num_replicas_in_sync == 2
clip = np.random.default_rng(0).uniform(size=(4, 8, 16, 24, 1)).astype("float32")
targets = np.stack([clip[:, k + 1 : k + 5] for k in range(4)], axis=2)
with strategy.scope():
    model = zoo.load("convlstm_vae", weights=None, **resolve("convlstm_vae").small)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=model.default_loss())
    model.optimizer.build(model.trainable_variables)  # else the step is traced twice
logs = model.evaluate(clip, targets, batch_size=4, return_dict=True, verbose=0)
np.testing.assert_allclose(logs["reconstruction"] + logs["kl"], logs["loss"], rtol=1e-4)
before = model.get_weights()
model.fit(clip, targets, batch_size=4, epochs=1, verbose=0)
assert int(model.draws.numpy()) == 1
assert any(np.any(a != b) for a, b in zip(before, model.get_weights()))
print("terms add up")
"""


def test_the_terms_of_the_loss_add_up_over_two_devices():
    done = subprocess.run([sys.executable, "-c", MIRRORED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "terms add up" in done.stdout
