"""Losses against NumPy and closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.losses import (
    DecayingSquaredError,
    GaussianNegativeLogLikelihood,
    GradientDifference,
    SharpPrediction,
    class_loss,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)

RNG = np.random.default_rng(0)
TRUE = RNG.uniform(size=(2, 3, 6, 7, 1)).astype("float32")
PREDICTED = RNG.uniform(size=(2, 3, 6, 7, 1)).astype("float32")


def test_gaussian_matches_tfp():
    expected = -tfp.distributions.Normal(PREDICTED, 0.2).log_prob(TRUE)
    loss = GaussianNegativeLogLikelihood(scale=0.2)(TRUE, PREDICTED)
    np.testing.assert_allclose(loss, tf.reduce_mean(expected), rtol=1e-5)


def test_gaussian_is_float32_whatever_comes():
    half = tf.cast(PREDICTED, tf.bfloat16)
    assert GaussianNegativeLogLikelihood()(TRUE, half).dtype == tf.float32


@pytest.mark.parametrize("exponent", [1, 2])
def test_gradient_difference_matches_the_equation(exponent):
    expected = 0
    for axis in (2, 3):
        true = np.abs(np.diff(TRUE, axis=axis))
        predicted = np.abs(np.diff(PREDICTED, axis=axis))
        expected = expected + np.mean(np.abs(true - predicted) ** exponent)
    loss = GradientDifference(exponent)(TRUE, PREDICTED)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_gradient_difference_sees_blur_and_not_brightness():
    loss = GradientDifference()
    assert float(loss(TRUE, TRUE + 0.1)) < 1e-6
    assert float(loss(TRUE, np.full_like(TRUE, TRUE.mean()))) > 0.1


def test_gradient_difference_of_a_frame_without_neighbours_is_zero():
    assert float(GradientDifference()(TRUE[:, :, :1, :1], PREDICTED[:, :, :1, :1])) == 0
    down_alone = np.abs(np.diff(TRUE, axis=2)) - np.abs(np.diff(PREDICTED, axis=2))
    loss = GradientDifference()(TRUE[:, :, :, :1], PREDICTED[:, :, :, :1])
    np.testing.assert_allclose(loss, np.abs(down_alone[:, :, :, :1]).mean(), rtol=1e-5)


@pytest.mark.parametrize(("lp_weight", "gradient_weight"), [(1.0, 0.0), (0.0, 2.0), (0.5, 0.25)])
@pytest.mark.parametrize("exponent", [1, 2])
def test_sharp_prediction_is_the_weighted_sum(lp_weight, gradient_weight, exponent):
    loss = SharpPrediction(lp_weight, gradient_weight, exponent)
    expected = lp_weight * np.mean(np.abs(TRUE - PREDICTED) ** exponent)
    expected += gradient_weight * float(GradientDifference()(TRUE, PREDICTED))
    np.testing.assert_allclose(loss(TRUE, PREDICTED), expected, rtol=1e-5)


def test_a_term_without_weight_is_not_computed():
    # Its value would be infinite or not a number: had it been computed, the sum would tell.
    huge = np.full_like(TRUE, 1e30)
    loss = SharpPrediction(lp_weight=0.0, gradient_weight=1.0, exponent=2)
    assert float(loss(TRUE - TRUE, huge)) == 0
    checkers = np.indices(TRUE.shape).sum(axis=0) % 2 * np.float32(3e38)
    loss = SharpPrediction(lp_weight=1.0, gradient_weight=0.0, exponent=1, gradient_exponent=2)
    assert np.isfinite(float(loss(TRUE, checkers / 1e4)))


VERDICTS = np.random.default_rng(1).normal(scale=3, size=(2, 5, 3)).astype("float32")


def test_adversarial_losses_match_numpy():
    real, fake = VERDICTS.astype("float64")
    chance = 1 / (1 + np.exp(-VERDICTS.astype("float64")))
    expected = -np.mean(np.log(chance[0])) - np.mean(np.log(1 - chance[1]))
    np.testing.assert_allclose(discriminator_loss(*VERDICTS), expected, rtol=1e-5)
    np.testing.assert_allclose(generator_loss(VERDICTS[1]), -np.log(chance[1]).mean(), rtol=1e-5)
    expected = np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean()
    np.testing.assert_allclose(discriminator_loss(*VERDICTS, "hinge"), expected, rtol=1e-5)
    np.testing.assert_allclose(generator_loss(VERDICTS[1], "hinge"), -fake.mean(), rtol=1e-5)


@pytest.mark.parametrize("kind", ["hinge", "non_saturating"])
def test_adversarial_losses_are_float32_and_finite_far_out(kind):
    far = tf.constant([3e4, -3e4], tf.float16)
    for loss in (discriminator_loss(far, far, kind), generator_loss(far, kind)):
        assert loss.dtype == tf.float32
        assert np.isfinite(loss)


def test_the_penalty_is_half_the_squared_gradient_summed_over_verdicts():
    rng = np.random.default_rng(2)
    clips = rng.normal(size=(4, 2, 3, 3, 1)).astype("float32")
    weights = rng.normal(size=clips.shape[1:]).astype("float32")

    def judge(videos):
        linear = tf.reduce_sum(videos["clip"] * weights, axis=[1, 2, 3, 4])
        return [linear, tf.reduce_sum(tf.square(videos["clip"]), axis=[2, 3, 4])]

    penalty = gradient_penalty(judge, {"clip": tf.constant(clips), "label": tf.zeros(4, tf.int32)})
    expected = 0.5 * np.sum(weights**2) + 0.5 * np.mean(np.sum((2 * clips) ** 2, axis=(1, 2, 3, 4)))
    assert penalty.dtype == tf.float32
    np.testing.assert_allclose(penalty, expected, rtol=1e-5)


def test_the_penalty_has_a_gradient_of_its_own():
    weight = tf.Variable(1.5)
    with tf.GradientTape() as tape:
        penalty = gradient_penalty(
            lambda x: [tf.reduce_sum(weight * tf.square(x), axis=1)], tf.ones((2, 3))
        )
    # Half of (2 w)**2 over three places.
    np.testing.assert_allclose(penalty, 0.5 * 3 * (2 * 1.5) ** 2, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(penalty, weight), 3 * 4 * 1.5, rtol=1e-6)


@pytest.mark.parametrize(
    "loss",
    [GaussianNegativeLogLikelihood(0.3), GradientDifference(2), SharpPrediction(0.5, 2.0, 3)],
)
def test_configuration_round_trip(loss):
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert float(again(TRUE, PREDICTED)) == float(loss(TRUE, PREDICTED))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: GaussianNegativeLogLikelihood(0), "`scale` must be above 0. Received: scale=0"),
        (lambda: GradientDifference(0.5), "`exponent` must be at least 1. Received: exponent=0.5"),
        (lambda: SharpPrediction(0, 0), "nor both 0. Received: lp_weight=0, gradient_weight=0"),
        (lambda: SharpPrediction(exponent=0), "`exponent` must be at least 1. Received"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_decaying_error_is_the_equation_of_the_paper():
    rng = np.random.default_rng(0)
    true, predicted = rng.uniform(size=(2, 3, 5, 4, 6, 1))  # three clips of five frames
    expected = 0.0
    for clip in range(3):
        for t in range(5):
            norm = np.sum((true[clip, t] - predicted[clip, t]) ** 2)
            expected += (5 - t) * norm / (4 * 6)
    expected /= 3 * 5**2
    loss = DecayingSquaredError(scale=2**-0.5)
    assert float(loss(true, predicted)) == pytest.approx(expected, rel=1e-5)
    scaled = DecayingSquaredError(scale=0.1)
    assert float(scaled(true, predicted)) == pytest.approx(expected / (2 * 0.1**2), rel=1e-5)
    assert DecayingSquaredError.from_config(scaled.get_config()).scale == 0.1
    with pytest.raises(ValueError, match="`scale` must be above 0. Received: scale=0"):
        DecayingSquaredError(scale=0)
    # It shares no more than the scale with the likelihood of a Gaussian.
    assert not isinstance(scaled, GaussianNegativeLogLikelihood)
    assert set(scaled.get_config()) == {"name", "reduction", "scale"}


def test_the_loss_of_classes_is_of_those_that_are_told():
    logits = RNG.normal(size=(5, 3)).astype("float32")
    labels = np.array([2, 3, 0, 3, 1], "int32")
    log_softmax = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -np.mean([log_softmax[0, 2], log_softmax[2, 0], log_softmax[4, 1]])
    found = class_loss(tf.cast(logits, tf.float32), labels)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert class_loss(tf.cast(logits, tf.bfloat16), labels).dtype == tf.float32
    assert float(class_loss(logits, np.full(5, 3, "int32"))) == 0
