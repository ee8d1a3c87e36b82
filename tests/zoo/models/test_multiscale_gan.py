"""What is particular to the multi-scale predictor."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.layers.pyramid import as_channels, as_scales
from zoo.models.multiscale_gan import MultiscaleGAN
from zoo.registry import resolve

# One frame ahead, as it is trained.
SMALL = {**resolve("multiscale_gan").small, "horizons": 1, "score_horizon": 1}
CLIP = np.random.default_rng(0).uniform(size=(2, 6, 16, 24, 1)).astype("float32")


@pytest.fixture
def model():
    return zoo.load("multiscale_gan", weights=None, **SMALL)


@pytest.mark.parametrize("channels", [1, 3])
def test_training_begins_with_copies_of_the_last_frame(channels):
    filters = 4 * ((8, 8, 8),)
    model = MultiscaleGAN(filters, discriminator_filters=(4, 4, 6), channels=channels)
    clip = np.random.default_rng(0).uniform(size=(2, 5, 16, 24, channels)).astype("float32")
    predicted = np.asarray(model(clip)[:, 3, 0])
    # Nearer than the frame before it is, or a mean of the four; not equal, or nothing would learn.
    assert 0 < np.abs(predicted - clip[:, 3]).max() < 0.05
    for scale, drawn in enumerate(model.generator(as_scales(as_channels(clip[:, None, :4])))):
        expected = as_scales(clip[:, 3])[scale]
        np.testing.assert_allclose(drawn, expected, atol=0.05)


def test_a_model_may_be_built_within_a_graph():
    model = MultiscaleGAN(4 * ((4, 6, 4),), discriminator_filters=(4, 4, 6))
    grid = tf.function(model.encoder)(CLIP)
    assert grid.shape == (2, 6, 2, 3, 24)
    kernel = np.array(model.encoder.into[0][0].kernel)
    assert kernel[1, 1, 3, 0] == 1.0 and np.count_nonzero(kernel[..., 0]) == 1


def test_scales_are_averages_of_blocks():
    frames = CLIP[0]
    for scale, smaller in zip((8, 4, 2, 1), as_scales(frames), strict=True):
        blocks = frames.reshape(6, 16 // scale, scale, 24 // scale, scale, 1).mean(axis=(2, 4))
        np.testing.assert_allclose(smaller, blocks, rtol=1e-5)


def test_the_frames_of_a_window_become_channels_in_order():
    windows = np.random.default_rng(1).random((2, 3, 4, 8, 8, 3), dtype=np.float32)
    stacked = as_channels(tf.constant(windows))
    assert stacked.shape == (6, 8, 8, 12)
    for frame in range(4):
        expected = windows[:, :, frame].reshape(6, 8, 8, 3)
        np.testing.assert_array_equal(stacked[..., 3 * frame : 3 * frame + 3], expected)


def test_each_scale_corrects_the_enlarged_prediction_of_the_one_below(model):
    """The equation of the paper: Y_k = u_k(Y_{k-1}) + G_k(X_k, u_k(Y_{k-1}))."""
    contexts = as_scales(as_channels(tf.constant(CLIP[:, None, 2:])))
    encoder, enlarged = model.encoder, None
    for scale, prediction in enumerate(model.generator(contexts)):
        maps = contexts[scale]
        if scale:
            maps = tf.concat([maps, enlarged], axis=-1)
        out_of = encoder.out_of[scale] if scale < 3 else model.generator.finest
        for layer in (*encoder.into[scale], *out_of):
            maps = layer(maps)
        expected = maps if enlarged is None else enlarged + maps
        np.testing.assert_allclose(prediction, expected, atol=1e-6)
        enlarged = tf.image.resize(prediction, 2 * np.array(prediction.shape[1:3]))


def test_training_takes_whole_windows_and_the_frame_after_each(model):
    targets = CLIP[:, 1:, None]
    drawn = model._draw(CLIP, targets, training=True)
    # Of six frames two windows of four lie within the clip and have a frame after them.
    assert drawn.predictions.shape == (4, 16, 24, 1)
    frames = np.concatenate([CLIP[:1, 4:], CLIP[1:, 4:]], axis=1).reshape(4, 16, 24, 1)
    np.testing.assert_allclose(drawn.targets, frames, atol=1e-6)
    np.testing.assert_allclose(
        drawn.predictions, tf.reshape(model(CLIP)[:, 3:], (4, 16, 24, 1)), atol=1e-6
    )
    # A discriminator sees the window and the frame after it.
    judged = np.asarray(drawn.real[3])
    np.testing.assert_allclose(judged[0], CLIP[0, :5, :, :, 0].transpose(1, 2, 0), atol=1e-6)
    np.testing.assert_array_equal(drawn.fake[3][..., :4], judged[..., :4])
    with pytest.raises(ValueError, match="`clip` must have at least 5 frames. Received: 4"):
        model._draw(CLIP[:, :4], targets[:, :3], training=True)


@pytest.mark.parametrize(("exponent", "gradient_exponent"), [(1, 1), (2, 2)])
def test_the_terms_of_the_loss_are_summed_over_the_scales(exponent, gradient_exponent):
    model = MultiscaleGAN(
        **SMALL, exponent=exponent, lp_weight=0.5, gradient_weight=0.25, adversarial_weight=0.0,
        gradient_exponent=gradient_exponent,
    )  # fmt: skip
    model.compile("sgd", loss=model.default_loss())
    # The last batch is smaller than the one before it.
    clip = np.concatenate([CLIP, CLIP[:1] ** 3])
    targets = clip[:, 1:, None]
    drawn = model._draw(clip, targets, training=True)
    predictions = model.generator(as_scales(as_channels(model._windows(clip)[:, 3:-1])))
    expected = []
    for true, predicted in zip(as_scales(drawn.targets), predictions, strict=True):
        true, predicted = np.asarray(true), np.asarray(predicted)
        slopes = sum(
            np.mean(
                np.abs(np.abs(np.diff(true, axis=a)) - np.abs(np.diff(predicted, axis=a)))
                ** gradient_exponent
            )
            for a in (1, 2)
        )
        expected.append((np.mean(np.abs(true - predicted) ** exponent), slopes))
    logs = model.evaluate(clip, targets, batch_size=2, verbose=0, return_dict=True)
    assert logs["lp"] == pytest.approx(expected[3][0], rel=1e-4)
    assert logs["gradient_difference"] == pytest.approx(expected[3][1], rel=1e-4)
    sums = [0.5 * lp + 0.25 * slopes for lp, slopes in expected]
    assert logs["reconstruction"] == pytest.approx(sums[3], rel=1e-4)
    assert logs["coarse_scales"] == pytest.approx(sum(sums[:3]), rel=1e-4)


MIRRORED = """
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from zoo.models.multiscale_gan import MultiscaleGAN
from zoo.registry import resolve
from zoo.training.distribution import choose_strategy
strategy = choose_strategy("mirrored")
clip = np.random.default_rng(0).uniform(size=(2, 6, 16, 24, 1)).astype("float32")
with strategy.scope():
    model = MultiscaleGAN(**resolve("multiscale_gan").small, adversarial_weight=0.0)
    model.compile("sgd", loss=model.default_loss())
def loss():
    return model.objectives(clip, clip[:, 1:, None])[0]["optimizer"]
each = strategy.experimental_local_results(strategy.run(loss))
assert len(each) == 2
logs = {name: float(value) for name, value in model.get_metrics_result().items()}
reconstruction, coarse = logs["reconstruction"], logs["coarse_scales"]
np.testing.assert_allclose(sum(each), reconstruction + coarse, rtol=1e-5)
np.testing.assert_allclose(reconstruction, logs["lp"] + logs["gradient_difference"], rtol=1e-5)
model.reset_metrics()
np.testing.assert_allclose(loss(), sum(each), rtol=1e-5)
np.testing.assert_allclose(model.get_metrics_result()["coarse_scales"], coarse, rtol=1e-5)
print("as on one device")
"""


def test_the_loss_over_two_devices_is_that_on_one():
    done = subprocess.run([sys.executable, "-c", MIRRORED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "as on one device" in done.stdout


def test_a_term_of_weight_zero_is_not_reported():
    model = MultiscaleGAN(**SMALL, gradient_weight=0.0, adversarial_weight=0.0)
    model.compile("sgd", loss=model.default_loss())
    logs = model.train_on_batch(CLIP, CLIP[:, 1:, None], return_dict=True)
    assert set(logs) == {"loss", "reconstruction", "coarse_scales", "lp"}


def test_every_discriminator_ends_at_an_eighth_of_the_frame(model):
    videos = model._draw(CLIP, CLIP[:, 1:, None], training=True).real
    for layers, maps in zip(model.discriminator.judges, videos, strict=True):
        changes = [maps[..., k + 1 : k + 2] - maps[..., k : k + 1] for k in range(4)]
        maps = tf.concat([2 * maps[..., :1] - 1, *(4 * change for change in changes)], axis=-1)
        for layer in layers:
            maps = layer(maps)
        assert maps.shape == (4, 2, 3, 1)
    verdicts = model.discriminator(videos)
    assert [verdict.shape for verdict in verdicts] == [(4, 6)] * 4
    np.testing.assert_allclose(verdicts[3], np.reshape(maps, (4, 6)), rtol=1e-5)


def test_further_ahead_it_predicts_as_a_rollout_does():
    clip = np.concatenate([CLIP, CLIP[:, ::-1]], axis=1)
    model = MultiscaleGAN(**{**SMALL, "horizons": 3, "score_horizon": 3})
    start = model.initial_state(len(clip), *clip.shape[2:4])
    predictions, _ = model.predict_ahead(clip, start)
    future = model.rollout(clip, 3)
    np.testing.assert_allclose(predictions[:, -1], future, atol=1e-5)
    assert np.abs(future[:, 2] - future[:, 0]).max() > 1e-4
    # As a Keras model it gives the same where there are frames to compare with.
    np.testing.assert_allclose(
        tf.clip_by_value(model(clip), 0.0, 1.0), predictions[:, :-3], atol=1e-5
    )
    # And a frame is scored by what was predicted three frames before.
    error = np.square(clip[:, 3:] - predictions[:, :-3, 2]).mean(axis=-1)
    blocks = error.reshape(*error.shape[:2], -1, 8, error.shape[3] // 8, 8).mean(axis=(3, 5))
    scored = model.score_map(clip)[:, model.warm_up :]
    np.testing.assert_allclose(scored, blocks[:, model.warm_up - 3 :], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("argument", "value", "rule"),
    [
        ("horizons", 0, "must be at least 1"),
        ("filters", ((4, 4, 4),), "must hold three numbers for each of 4 scales"),
        ("discriminator_filters", (4, 4), "must hold 3 whole numbers"),
        ("gradient_exponent", 0.5, "must be at least 1"),
        ("lp_weight", -1.0, "and `gradient_weight` must not be negative"),
    ],
)
def test_bad_arguments_are_named(argument, value, rule):
    with pytest.raises(ValueError, match=f"`{argument}` {rule}.*Received: "):
        MultiscaleGAN(**{**SMALL, argument: value})
