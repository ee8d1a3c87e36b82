"""Bounds on the likelihood, on a linear Gaussian model whose likelihood has a closed form."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.layers.variational_bounds import (
    evidence_lower_bound,
    free_bits,
    importance_weighted_bound,
)

tfd = tfp.distributions
RNG = np.random.default_rng(0)
NOISE = 0.5
WEIGHTS, OFFSET = RNG.normal(size=(6, 2)), RNG.normal(size=6)
COPIES = 2000  # of each observation, so that means over draws have a known error
OBSERVED = RNG.normal(size=(3, 6)) * 1.5


@pytest.fixture(scope="module")
def linear():
    """Probabilistic PCA (Tipping and Bishop 1999): x = W z + offset + noise, z standard normal.

    Gives log p(x) of each observation, p(x|z) and p(z) for `COPIES` copies of each, and the
    moments of p(z|x).
    """
    covariance = WEIGHTS @ WEIGHTS.T + NOISE**2 * np.eye(6)
    exact = scipy.stats.multivariate_normal(OFFSET, covariance).logpdf(OBSERVED)
    inverse = np.linalg.inv(WEIGHTS.T @ WEIGHTS + NOISE**2 * np.eye(2))
    mean = (OBSERVED - OFFSET) @ WEIGHTS @ inverse.T
    x = tf.constant(np.repeat(OBSERVED, COPIES, axis=0), tf.float32)
    weights, offset = tf.constant(WEIGHTS, tf.float32), tf.constant(OFFSET, tf.float32)

    def log_likelihood(latent):
        decoded = tf.matmul(latent, weights, transpose_b=True) + offset
        return tf.reduce_sum(tfd.Normal(decoded, NOISE).log_prob(x), axis=1)

    prior = tfd.Independent(tfd.Normal(tf.zeros((len(x), 2)), 1.0), 1)
    return exact, log_likelihood, prior, mean, NOISE**2 * inverse


def by_observation(values):
    values = np.asarray(values, "float64").reshape(3, COPIES)
    return values.mean(axis=1), values.std(axis=1) / np.sqrt(COPIES)


def diagonal(mean, shift=0.0):
    """A diagonal posterior that is off by `shift`."""
    copies = np.repeat(mean + shift, COPIES, axis=0).astype("float32")
    return tfd.Independent(tfd.Normal(copies, np.float32(0.4)), 1)


def test_with_the_true_posterior_every_bound_is_the_likelihood(linear):
    exact, log_likelihood, prior, mean, covariance = linear
    copies = np.repeat(mean, COPIES, axis=0).astype("float32")
    scale = np.linalg.cholesky(covariance).astype("float32")
    posterior = tfd.MultivariateNormalTriL(copies, scale)
    # Weighted: every single draw gives the likelihood, whatever the draw.
    for samples in (1, 5):
        bound = importance_weighted_bound(log_likelihood, posterior, prior, samples, (0, 1))
        np.testing.assert_allclose(bound, np.repeat(exact, COPIES), atol=2e-4)


def test_the_lower_bound_falls_short_by_the_divergence_from_the_true_posterior(linear):
    exact, log_likelihood, prior, mean, covariance = linear
    q_mean, q_std = mean + 0.3, 0.4
    precision = np.linalg.inv(covariance)
    short = 0.5 * (
        np.trace(precision) * q_std**2
        + np.einsum("ni,ij,nj->n", q_mean - mean, precision, q_mean - mean)
        - 2
        + np.log(np.linalg.det(covariance) / q_std**4)
    )
    bound = evidence_lower_bound(log_likelihood, diagonal(mean, 0.3), prior, (0, 1))
    average, error = by_observation(bound)
    assert np.all(short > 0.5)
    assert np.all(np.abs(average - (exact - short)) < 4 * error)


def test_more_draws_raise_the_bound_towards_the_likelihood_and_never_above(linear):
    exact, log_likelihood, prior, mean, _ = linear
    averages, errors = [], []
    weighted = tf.function(
        lambda samples: importance_weighted_bound(
            log_likelihood, diagonal(mean, 0.3), prior, samples, tf.stack([7, samples])
        ),
        autograph=False,
    )
    for samples in (1, 4, 16, 128):
        average, error = by_observation(weighted(tf.constant(samples)))
        averages.append(average)
        errors.append(error)
        assert np.all(average < exact + 4 * error), samples
    assert np.all(np.diff(averages, axis=0) > 0)
    assert np.all(exact - averages[0] > 0.5)
    assert np.all(exact - averages[-1] < 0.03 + 4 * errors[-1])
    # One draw is the evidence lower bound with the divergence drawn as well.
    drawn, _ = by_observation(
        evidence_lower_bound(log_likelihood, diagonal(mean, 0.3), prior, (0, 1))
    )
    np.testing.assert_allclose(averages[0], drawn, atol=6 * errors[0].max())


def test_the_weighted_bound_of_some_draws_matches_numpy_and_does_not_overflow():
    mean, seed = np.float32([[0.2, -0.4], [1.0, 0.3]]), tf.constant([5, 6])
    posterior = tfd.Independent(tfd.Normal(mean, np.float32(0.7)), 1)
    prior = tfd.Independent(tfd.Normal(tf.zeros((2, 2)), 1.0), 1)

    def log_likelihood(latent):
        return -2000.0 + 300.0 * latent[:, 0]  # exp of it is 0, or infinity

    draws = [
        np.asarray(
            posterior.sample(seed=tf.random.experimental.stateless_fold_in(seed, k)), "float64"
        )
        for k in range(9)
    ]
    logs = np.stack([
        -2000 + 300 * z[:, 0]
        + scipy.stats.norm.logpdf(z).sum(axis=1)
        - scipy.stats.norm.logpdf(z, mean, 0.7).sum(axis=1)
        for z in draws
    ])  # fmt: skip
    largest = logs.max(axis=0)
    expected = largest + np.log(np.exp(logs - largest).mean(axis=0))
    actual = importance_weighted_bound(log_likelihood, posterior, prior, 9, seed)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    assert actual.dtype == tf.float32


def test_free_bits_match_numpy():
    divergence = RNG.exponential(size=(4, 3, 2, 5, 6)).astype("float32") * np.linspace(0.1, 2, 6)
    by_group = divergence.mean(axis=(0, 1, 2, 3))
    assert np.any(by_group < 0.8) and np.any(by_group > 0.8)
    counted = free_bits(tf.constant(divergence, tf.float32), 0.8)
    np.testing.assert_allclose(counted, np.maximum(by_group, 0.8).sum(), rtol=1e-5)
    np.testing.assert_allclose(
        free_bits(tf.constant(divergence, tf.float32), 0.0), by_group.sum(), rtol=1e-5
    )


def test_a_group_within_its_free_bits_has_no_gradient_and_no_group_no_cost():
    divergence = tf.constant([[0.1, 1.0], [0.3, 2.0]])
    with tf.GradientTape() as tape:
        tape.watch(divergence)
        counted = free_bits(divergence, 0.5)
    np.testing.assert_allclose(tape.gradient(counted, divergence), [[0, 0.5], [0, 0.5]])
    nothing = tf.zeros((2, 0, 3))
    with tf.GradientTape() as tape:
        tape.watch(nothing)
        counted = free_bits(nothing, 0.5)
    assert float(counted) == 0 and np.all(np.isfinite(tape.gradient(counted, nothing)))
