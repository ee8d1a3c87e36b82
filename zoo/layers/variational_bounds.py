"""Bounds on the log-likelihood of latent variable models, and free bits: float32, in nats."""

import tensorflow as tf
import tensorflow_probability as tfp


def evidence_lower_bound(log_likelihood, posterior, prior, seed):
    """The evidence lower bound by one draw: `log p(x|z) - KL(q(z|x) || p(z))`, z drawn of q.

    Its expectation is at most `log p(x)`; the divergence is that of the closed form.

    Args:
        log_likelihood: Function from latents, as `posterior` draws them, to `log p(x|z)`, float32
            `(batch,)`.
        posterior: `tfp.distributions.Distribution` q(z|x) of batch shape `(batch,)`.
        prior: The same, p(z).
        seed: int32 tensor `(2,)`, as stateless operations take it.

    Returns:
        float32 tensor `(batch,)` in nats.

    Example:

    >>> normal = tfp.distributions.Normal([0.0], 1.0)
    >>> evidence_lower_bound(lambda z: 0.0 * z, normal, normal, (0, 0)).numpy()
    array([0.], dtype=float32)

    Reference:
        Kingma and Welling, "Auto-Encoding Variational Bayes", 2014, equation 7,
        https://arxiv.org/abs/1312.6114
    """
    divergence = tfp.distributions.kl_divergence(posterior, prior)
    return log_likelihood(posterior.sample(seed=seed)) - divergence


def importance_weighted_bound(log_likelihood, posterior, prior, samples, seed):
    """The bound by K draws: `log mean_k p(x|z_k) p(z_k) / q(z_k|x)`.

    Its expectation rises with K towards `log p(x)`. One draw is in memory at a time, so memory
    does not grow with K.

    Args:
        log_likelihood, posterior, prior: As for `evidence_lower_bound`; both distributions have a
            `log_prob`.
        samples: K, int or scalar int32 tensor, at least 1.
        seed: int32 tensor `(2,)`, as stateless operations take it.

    Returns:
        float32 tensor `(batch,)` in nats.

    Example:

    >>> normal = tfp.distributions.Normal([0.0], 1.0)
    >>> importance_weighted_bound(lambda z: 0.0 * z, normal, normal, 5, (0, 0)).numpy()
    array([0.], dtype=float32)

    Reference:
        Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders", 2016, equation 8,
        https://arxiv.org/abs/1509.00519
    """

    def body(index, largest, total):
        draw = tf.random.experimental.stateless_fold_in(seed, index)
        latent = posterior.sample(seed=draw)
        weight = log_likelihood(latent) + prior.log_prob(latent) - posterior.log_prob(latent)
        # The sum of the weights so far, in units of the largest: none overflows.
        above = tf.maximum(largest, weight)
        total = total * tf.exp(largest - above) + tf.exp(weight - above)
        return index + 1, above, total

    samples = tf.convert_to_tensor(samples, tf.int32)
    shape = posterior.batch_shape_tensor()
    lowest = tf.fill(shape, tf.float32.min)
    free = tf.TensorShape([None] * posterior.batch_shape.rank)
    _, largest, total = tf.while_loop(
        lambda index, *_: index < samples,
        body,
        (0, lowest, tf.zeros(shape)),
        shape_invariants=(tf.TensorShape([]), free, free),
        parallel_iterations=1,
    )
    return largest + tf.math.log(total) - tf.math.log(tf.cast(samples, tf.float32))


def free_bits(divergence, nats):
    """What of a divergence counts in training where each group of latents has some nats free.

    A group is one latent of the last axis at all places: its divergence is averaged over all
    other axes, elements of the batch among them, and counts as `nats` where it is less. So
    nothing is gained by making a latent useless below that.

    Args:
        divergence: float32 tensor `(..., groups)`, of each single latent, in nats.
        nats: Free nats of each group, at least 0.

    Returns:
        float32 scalar in nats: the sum over the groups, at one place; 0 of an empty tensor.

    Example:

    >>> float(free_bits(tf.constant([[0.0, 1.0], [0.2, 3.0]]), 0.5))
    2.5

    Reference:
        Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow", 2016,
        appendix C.8, https://arxiv.org/abs/1606.04934
    """
    axes = list(range(divergence.shape.rank - 1))
    places = tf.cast(tf.reduce_prod(tf.shape(divergence)[:-1]), tf.float32)
    by_group = tf.math.divide_no_nan(tf.reduce_sum(divergence, axis=axes), places)
    counted = tf.reduce_sum(tf.maximum(by_group, nats))
    return tf.where(places > 0, counted, 0.0)
