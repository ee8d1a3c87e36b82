"""Losses against NumPy and closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.losses import GaussianNegativeLogLikelihood, GradientDifference

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
