"""The Gaussian latent: its divergence against the closed form, its precision."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.layers import GaussianLatent


def _latent(seed, dtype="float32"):
    layer = GaussianLatent(3, dtype=dtype)
    layer.build((None, None, None, 4))
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(scale=0.15, size=w.shape) for w in layer.get_weights()])
    return layer


def test_divergence_matches_the_closed_form():
    features = np.random.default_rng(2).normal(size=(2, 4, 6, 4)).astype("float32")
    q, p = _latent(0)(features), _latent(1)(features)
    q_mean, p_mean = np.asarray(q.mean(), "float64"), np.asarray(p.mean(), "float64")
    q_std, p_std = np.asarray(q.stddev(), "float64"), np.asarray(p.stddev(), "float64")
    closed = (
        np.log(p_std / q_std) + (q_std**2 + (q_mean - p_mean) ** 2) / (2 * p_std**2) - 0.5
    ).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(tfp.distributions.kl_divergence(q, p), closed, rtol=1e-4)


def test_one_distribution_per_element_of_the_batch():
    prior = _latent(0)(tf.zeros((2, 4, 6, 4)))
    assert prior.batch_shape == (2,) and prior.event_shape == (4, 6, 3)


def test_moments_are_float32_in_mixed_precision():
    features = np.random.default_rng(2).normal(size=(1, 4, 6, 4)).astype("float32")
    latent = _latent(0, "mixed_bfloat16")(features)
    assert latent.mean().dtype == latent.stddev().dtype == tf.float32
    rounded = tf.cast(tf.cast(latent.stddev(), tf.bfloat16), tf.float32)
    assert np.any(np.asarray(latent.stddev()) != np.asarray(rounded))


def test_log_variance_is_bounded():
    latent = _latent(0)(tf.fill((1, 4, 6, 4), 1e4))
    log_variance = 2 * np.log(np.asarray(latent.stddev()))
    assert log_variance.min() >= -8.001 and log_variance.max() <= 4.001


def test_bad_latent_dim_is_named():
    with pytest.raises(ValueError, match="`latent_dim` must be at least 1. Received: latent_dim=0"):
        GaussianLatent(0)


def test_an_offset_moves_the_mean_alone():
    features = np.random.default_rng(2).normal(size=(2, 4, 6, 4)).astype("float32")
    offset = np.random.default_rng(3).normal(size=(2, 4, 6, 3)).astype("float32")
    layer = _latent(0)
    plain, moved = layer(features), layer(features, offset=offset)
    np.testing.assert_allclose(moved.mean(), plain.mean() + offset, rtol=1e-6)
    np.testing.assert_array_equal(moved.stddev(), plain.stddev())
