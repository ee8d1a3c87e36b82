"""Losses against NumPy and closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.losses import DecayingSquaredError, GaussianNegativeLogLikelihood, GradientDifference

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


@pytest.mark.parametrize("loss", [GaussianNegativeLogLikelihood(0.3), GradientDifference(2)])
def test_configuration_round_trip(loss):
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert float(again(TRUE, PREDICTED)) == float(loss(TRUE, PREDICTED))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: GaussianNegativeLogLikelihood(0), "`scale` must be above 0. Received: scale=0"),
        (lambda: GradientDifference(0.5), "`exponent` must be at least 1. Received: exponent=0.5"),
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
