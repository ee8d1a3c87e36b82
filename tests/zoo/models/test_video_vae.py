"""What is particular to the video VAE: its segments, priors, bounds and free bits."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import zoo
from zoo.models.video_vae import VideoVAE
from zoo.registry import resolve

SMALL = {**resolve("video_vae").small, "observation_scale": 0.2}
RNG = np.random.default_rng(0)
# The third segment is one frame short.
CLIP = RNG.uniform(size=(2, 11, 16, 24, 1)).astype("float32")


def shaken(scale=0.1, **arguments):
    model = VideoVAE(**{**SMALL, **arguments})
    model.ensure_built()
    rng = np.random.default_rng(1)
    model.set_weights([
        w + rng.normal(scale=scale, size=w.shape) if w.dtype.kind == "f" and w.ndim else w
        for w in model.get_weights()
    ])  # fmt: skip
    return model


@pytest.fixture(scope="module")
def model():
    return shaken()


def altered(frames):
    clip = CLIP.copy()
    clip[:, frames] = 1 - clip[:, frames]
    return clip


def changed(before, after):
    """Which frames of two clips differ."""
    return np.any(np.asarray(before) != np.asarray(after), axis=(0, 2, 3, 4)).nonzero()[0].tolist()


def segment(index):
    return list(range(4 * index, min(4 * index + 4, 11)))


def test_a_segment_is_drawn_from_its_code_and_the_segment_before(model):
    # Its own code alone where a clip is reconstructed ...
    assert changed(model.reconstruct(CLIP), model.reconstruct(altered([5]))) == segment(1)
    # ... and the segment before as well where the model is trained.
    assert changed(model(CLIP), model(altered([5]))) == segment(1) + segment(2)
    assert model(CLIP).shape == CLIP.shape


def test_the_code_has_as_many_numbers_as_it_says(model):
    assert model.code_size(11, 16, 24) == np.size(model.latents(CLIP)["mean"][0])


def test_the_first_segment_has_the_standard_prior_and_the_others_one_of_the_segment_before(model):
    latents = {name: np.asarray(v, "float64") for name, v in model.latents(CLIP).items()}
    assert latents["mean"].shape == (2, 3, 2, 3, 3)
    mean, std = latents["mean"][:, 0], latents["stddev"][:, 0]
    closed = 0.5 * (mean**2 + std**2 - 1) - np.log(std)
    np.testing.assert_allclose(latents["divergence"][:, 0], closed, rtol=1e-4, atol=1e-5)
    # The second segment's prior is the one that a rollout behind the first goes by.
    context = model._maps(tf.constant(CLIP[:, :4]))
    prior = model._prior(context)
    p_mean, p_std = np.asarray(prior.mean(), "float64"), np.asarray(prior.stddev(), "float64")
    mean, std = latents["mean"][:, 1], latents["stddev"][:, 1]
    closed = np.log(p_std / std) + (std**2 + (mean - p_mean) ** 2) / (2 * p_std**2) - 0.5
    np.testing.assert_allclose(latents["divergence"][:, 1], closed, rtol=1e-3, atol=1e-5)
    future = model._decode(prior.mean(), context)
    np.testing.assert_allclose(
        model.rollout(CLIP[:, :4], 4), np.clip(future, 0, 1), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("nats", [0.0, 2.73])
def test_the_loss_counts_free_bits_by_channel_and_prior(nats):
    model = shaken(free_bits=nats)
    divergence = np.asarray(model.latents(CLIP)["divergence"], "float64")
    first = divergence[:, :1].mean(axis=(0, 1, 2, 3))
    others = divergence[:, 1:].mean(axis=(0, 1, 2, 3))
    if nats:
        groups = np.concatenate([first, others])
        assert np.any(groups < nats) and np.any(groups > nats)
    per_place = np.maximum(first, nats).sum() + 2 * np.maximum(others, nats).sum()
    model(CLIP, training=True)
    assert float(model.losses[0]) == pytest.approx(per_place * 6 / (11 * 16 * 24), rel=1e-4)
    # Held-out loss and the metric know no free bits.
    model(CLIP)
    plain = divergence.sum() / CLIP.size
    assert float(model.losses[0]) == pytest.approx(plain, rel=1e-4)
    model.compile("sgd", loss=model.default_loss(), run_eagerly=True)
    reported = model.test_on_batch(CLIP, CLIP, return_dict=True)
    assert reported["kl"] == pytest.approx(plain, rel=1e-4)


NOISE = 0.2
PATCHES = RNG.uniform(size=(5, 4, 8, 8, 1)).astype("float32")


def linear(shift=0.0):
    """Probabilistic PCA: the networks silenced, one place, one segment, and its true posterior.

    Returns the model, with a posterior mean that is off by `shift`, log p(x) of each of `PATCHES`
    in nats, and the variances of p(z|x).
    """
    model = shaken(observation_scale=NOISE)
    for part in (model.decoder, model.posterior):
        for weight in part.weights:
            weight.assign(tf.zeros_like(weight))
    # Columns at right angles: the true posterior is then diagonal, as the model's.
    columns = np.linalg.qr(RNG.normal(size=(256, 3)))[0] * [0.3, 0.8, 2.0]
    synthesis = np.zeros((16, 16, 4, 3))
    synthesis[4:12, 4:12] = columns.reshape(4, 8, 8, 3).transpose(1, 2, 0, 3)
    model.patches.synthesis.set_weights([synthesis])
    variance = 1 / (1 + np.square(columns).sum(axis=0) / NOISE**2)
    analysis = np.zeros((16, 16, 4, 3))
    analysis[4:12, 4:12] = synthesis[4:12, 4:12] * variance / NOISE**2
    model.patches.analysis.set_weights([analysis])
    raw = 6 * np.arctanh((np.log(variance) + 2) / 6)
    model.posterior.moments.bias.assign(np.concatenate([np.zeros(3) + shift, raw]))
    covariance = columns @ columns.T + NOISE**2 * np.eye(256)
    normal = scipy.stats.multivariate_normal(np.full(256, 0.5), covariance)
    return model, normal.logpdf(PATCHES.reshape(5, 256)), variance


def test_with_the_true_posterior_of_a_linear_decoder_the_bound_is_the_likelihood():
    model, exact, _ = linear()
    bound = model.importance_weighted_bound(PATCHES, samples=1, seed=0)
    assert bound.dtype == tf.float32
    np.testing.assert_allclose(bound, exact / 256, rtol=1e-4)
    drawn = np.mean([model.elbo(PATCHES, seed=s) for s in range(200)], axis=0)
    np.testing.assert_allclose(256 * drawn, exact, atol=0.6)


def test_the_bounds_of_a_linear_decoder_fall_short_and_rise_towards_the_likelihood():
    shift = np.array([0.3, -0.2, 0.02])
    model, exact, variance = linear(shift)
    short = 0.5 * np.sum(shift**2 / variance)  # the divergence from the true posterior
    assert short > 0.5
    drawn = np.mean([model.elbo(PATCHES, seed=s) for s in range(200)], axis=0)
    np.testing.assert_allclose(256 * drawn, exact - short, atol=0.6)
    bounds = [
        256 * np.mean([model.importance_weighted_bound(PATCHES, k, seed=s) for s in range(n)])
        for k, n in ((1, 100), (4, 50), (64, 5))
    ]
    assert bounds[0] < bounds[1] < bounds[2] < exact.mean() + 0.05
    assert exact.mean() - bounds[2] < 0.2 * short


def test_frames_that_only_fill_a_segment_are_none_of_the_clip():
    model = shaken()
    for weight in [*model.decoder.weights, *model.patches.synthesis.weights]:
        weight.assign(tf.zeros_like(weight))
    # Nothing depends on the latents: log p(x|z) is that of the last frame of the segment before.
    start = np.repeat(CLIP[:, 3:8:4], 4, axis=1)
    known = np.concatenate([np.full_like(CLIP[:, :4], 0.5), start], axis=1)[:, :11]
    exact = scipy.stats.norm.logpdf(CLIP, known, 0.2).mean(axis=(1, 2, 3, 4))
    divergence = np.asarray(model.latents(CLIP)["divergence"]).sum(axis=(1, 2, 3, 4))
    bound = model.elbo(CLIP, seed=0)
    np.testing.assert_allclose(bound, exact - divergence / CLIP[0].size, rtol=1e-4)


def test_the_bound_by_one_draw_matches_the_equation(model):
    latents = {n: np.asarray(v, "float64") for n, v in model.latents(CLIP[:, :8]).items()}
    bound = model.elbo(CLIP[:, :8], seed=3)
    draws = latents["mean"].reshape(4, 2, 3, 3) + latents["stddev"].reshape(4, 2, 3, 3) * (
        np.asarray(tf.random.stateless_normal((4, 2, 3, 3), (3, 2)))
    )
    frames, _, _, context = model._infer(tf.constant(CLIP[:, :8]))
    decoded = model._decode(tf.constant(draws, tf.float32), context)
    density = scipy.stats.norm.logpdf(np.asarray(frames), decoded, 0.2).reshape(2, -1)
    divergence = latents["divergence"].reshape(2, -1)
    expected = (density.sum(axis=1) - divergence.sum(axis=1)) / CLIP[0, :8].size
    np.testing.assert_allclose(bound, expected, rtol=1e-4)
    np.testing.assert_array_equal(bound, model.elbo(CLIP[:, :8], seed=3))
    assert np.all(np.asarray(bound) != np.asarray(model.elbo(CLIP[:, :8], seed=4)))


def test_the_weighted_bound_rises_and_equal_seeds_give_equal_bounds(model):
    one, many = (model.importance_weighted_bound(CLIP, samples, seed=1) for samples in (1, 64))
    assert np.all(np.asarray(many) > np.asarray(one))
    np.testing.assert_array_equal(one, model.importance_weighted_bound(CLIP, 1, seed=1))
    with pytest.raises(ValueError, match="`samples` must be at least 1.*samples=0"):
        model.importance_weighted_bound(CLIP, 0, seed=1)


def test_a_bound_needs_a_seed_that_the_graph_can_hold(model):
    for seed in (-1, 2**31, 0.5):
        with pytest.raises(ValueError, match="`seed` must be a whole number from 0 to 2147483647"):
            model.elbo(CLIP, seed=seed)
        with pytest.raises(ValueError, match="`seed` must be a whole number from 0 to 2147483647"):
            model.importance_weighted_bound(CLIP, 2, seed=seed)


def test_the_best_weights_pay_for_their_code_in_full():
    model = shaken()
    model.kl_weight.assign(0.25)
    model.compile("sgd", loss=model.default_loss())
    logs = model.evaluate(CLIP, CLIP, verbose=0, return_dict=True)
    divergence = np.asarray(model.latents(CLIP)["divergence"], "float64").sum() / CLIP.size
    density = scipy.stats.norm.logpdf(CLIP, np.asarray(model(CLIP)), 0.2).mean()
    assert logs[model.monitor] == pytest.approx(divergence - density, rel=1e-4)
    assert logs["loss"] == pytest.approx(0.25 * divergence - density, rel=1e-4)


def test_a_sample_without_context_is_drawn_from_the_standard_gaussian():
    model = shaken(clip_shape=(8, 16, 32, 1))
    drawn = model.sample(None, steps=7, seed=1)
    assert drawn.shape == (1, 7, 16, 32, 1) and drawn.dtype == tf.float32
    np.testing.assert_array_equal(drawn, model.sample(None, steps=7, seed=1))
    np.testing.assert_array_equal(drawn[:, :3], model.sample(None, steps=3, seed=1))
    assert np.any(np.asarray(drawn) != np.asarray(model.sample(None, steps=7, seed=2)))
    # The first segment by hand; the others are what follows it.
    context = model._maps(tf.zeros((1, 4, 16, 32, 1)))
    nothing = {name: tf.zeros_like(value) for name, value in context.items()}
    latent = tf.random.stateless_normal((1, 2, 4, 3), (1, 1))
    first = np.clip(model._decode(latent, nothing), 0, 1)
    np.testing.assert_allclose(drawn[:, :4], first, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(drawn[:, 4:], model.sample(first, 3, seed=1), rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="`conditioning` must be frames.*clip_shape=None"):
        shaken().sample(None, steps=3, seed=0)
    other = zoo.load("convlstm_vae", weights=None, **resolve("convlstm_vae").small)
    with pytest.raises(ValueError, match="must be frames, or a dict with a `first_frame`. Rec"):
        other.sample(None, steps=3, seed=0)


def test_futures_of_one_context_differ_from_each_other(model):
    futures = [np.asarray(model.sample(CLIP[:, :6], 5, seed=s)) for s in range(3)]
    spread = np.std(futures, axis=0).mean(axis=(0, 2, 3, 4))
    assert np.all(spread > 1e-3)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"context_frames": 8}, "`context_frames` must be `horizons`.*context_frames=8"),
        ({"free_bits": -0.1}, "`free_bits` must be at least 0. Received: free_bits=-0.1"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        VideoVAE(**SMALL, **arguments)


def test_the_context_is_a_segment_whatever_its_length():
    assert VideoVAE(horizons=2, score_horizon=1).context_frames == 2
