"""The variational autoencoder of Kingma and Welling 2014 on video.

https://arxiv.org/abs/1312.6114, with convolutions over space and time. A clip is cut into segments
of a few frames; each has a code, a grid of Gaussian latents, so that the codes of a clip are a
grid over time and space. What differs from the paper: the first segment has the standard Gaussian
prior, every other one a prior learned from the segment before it, which its decoder sees as well
(a conditional VAE, Sohn et al. 2015), so a clip of any length has one bound and one way to be
drawn; latents have some nats free (Kingma et al. 2016); and beside the networks there is a linear
path from pixels to code and back, so that with the networks silenced the model is a linear one,
probabilistic PCA.
"""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.layers import (
    FrameDecoder,
    GaussianLatent,
    NeighbourEncoder,
    PatchTransform,
    SpaceTimeBlock,
    add_draw_counter,
    add_kl_weight,
    cut_segments,
    fold_time,
    join_segments,
    next_draw_seed,
    segment_count,
    segments_before,
    unfold_time,
)
from zoo.layers.convolution import convolution
from zoo.layers.frame_codec import check_decoder_filters
from zoo.layers.sizes import check_filters
from zoo.layers.variational_bounds import (
    evidence_lower_bound,
    free_bits,
    importance_weighted_bound,
)
from zoo.models.base import check_seed
from zoo.models.windowed_predictor import WindowedPredictor


@keras.saving.register_keras_serializable(package="zoo")
class VideoVAE(WindowedPredictor):
    """Variational autoencoder of clips, segment by segment.

    With `x_s` segment s of a clip and `z_s` its latents:

        log p(x) >= sum_s E_q(z_s | x_s) [log p(x_s | z_s, x_{s-1})]
                          - KL(q(z_s | x_s) || p(z_s | x_{s-1}))

    where `p(z_0)` is the standard Gaussian, and the decoder of the first segment sees zeros in
    the place of one before it. The loss is the negative of this bound in nats per pixel value,
    with `free_bits`: a group is one latent channel at all places of a batch, those of the first
    segments (under the standard Gaussian) and those of the others (under the learned prior)
    counted apart; its divergence is the mean over these places, in nats.

    Reported are `reconstruction`, `kl`, without free bits, and their sum `bound`, whose smallest
    held-out value is the best; there the posterior's mean stands for a draw.

    Scores, `rollout` and `sample` go by the learned prior: at each frame the last segment is the
    context of the next. `reconstruct` draws each segment from its own code alone.

    Args:
        filters: Channels of the encoder at 1/2, 1/4 and 1/8 of the frame.
        decoder_filters: Channels of the decoder at 1/2, 1/4 and 1/8.
        latent_dim: Latents of a segment at each place of 1/8 of the frame.
        free_bits: Nats of each group, at one place, that cost nothing in training; at least 0.
        horizons: Frames of a segment.
        context_frames: Frames of the context; `horizons`, which it is by default, as a segment is
            the context of the next.
        seed: Of the draws in training, a whole number from 0 up to 2**31 - 1.
        **kwargs: Arguments of `FuturePredictor` and `VideoModel`.

    Call arguments:
        clip: float32 `(batch, time, height, width, channels)` in [0, 1], at least two frames;
            height and width multiples of 8. Where its length is no multiple of a segment, the
            last frame stands still in the last segment.
        training: Whether to draw from the posterior; otherwise its mean is decoded.

    Returns:
        float32 of the shape of `clip`: each segment decoded from its latents and the segment
        before it.

    Raises:
        ValueError: If an argument or a clip breaks a rule; the message names it.

    Example:

    >>> model = VideoVAE(filters=(4, 8, 8), decoder_filters=(8, 8, 8), clip_shape=(8, 32, 48, 1))
    >>> clip = tf.random.stateless_uniform((1, 12, 32, 48, 1), seed=(0, 0))
    >>> model.reconstruct(clip).shape, model.elbo(clip, seed=0).shape
    (TensorShape([1, 12, 32, 48, 1]), TensorShape([1]))
    >>> model.sample(None, steps=6, seed=0).shape
    TensorShape([1, 6, 32, 48, 1])

    Reference:
        Kingma and Welling, "Auto-Encoding Variational Bayes", 2014,
        https://arxiv.org/abs/1312.6114; Sohn, Lee and Yan, "Learning Structured Output
        Representation using Deep Conditional Generative Models", 2015
    """

    verbs = (
        "encode", "features", "reconstruct", "rollout", "sample", "score", "score_map", "step",
    )  # fmt: skip
    task = "reconstruct"
    samples_without_context = True
    monitor = "bound"

    def __init__(
        self,
        filters=(16, 48, 80),
        decoder_filters=(24, 48, 80),
        latent_dim=16,
        free_bits=0.05,
        horizons=4,
        seed=0,
        **kwargs,
    ):
        kwargs.setdefault("context_frames", horizons)
        super().__init__(horizons=horizons, **kwargs)
        if self.context_frames != horizons:
            raise ValueError(
                "`context_frames` must be `horizons`: each segment is the context of the next. "
                f"Received: context_frames={self.context_frames}, horizons={horizons}"
            )
        if free_bits < 0:
            raise ValueError(f"`free_bits` must be at least 0. Received: free_bits={free_bits}")
        self.latent_dim = latent_dim
        self.free_bits = free_bits
        check_seed(seed)
        self.seed = seed
        self.filters = check_filters("filters", filters, 3)
        self.decoder_filters = check_decoder_filters("decoder_filters", decoder_filters)
        coarse, policy = self.decoder_filters[2], self.dtype_policy
        self.encoder = NeighbourEncoder(self.channels, self.filters, name="encoder", dtype=policy)
        self.posterior = GaussianLatent(latent_dim, name="posterior", dtype=policy)
        self.prior = GaussianLatent(latent_dim, name="prior", dtype=policy)
        self.patches = PatchTransform(horizons, latent_dim, self.channels, name="patches")
        self.to_frames = convolution(horizons * coarse, 1, "to_frames", policy)
        self.block = SpaceTimeBlock(coarse, name="block", dtype=policy)
        self.decoder = FrameDecoder(
            self.decoder_filters, self.channels, name="decoder", dtype=policy
        )
        self.kl_metric = keras.metrics.Mean(name="kl")

    @property
    def rollout_block(self):
        """A rollout draws a segment, then is fed on it."""
        return self.horizons

    def code_size(self, time, height, width):
        segments = -(-time // self.horizons)
        return segments * (height // 8) * (width // 8) * self.latent_dim

    def build(self, input_shape=None):
        fine, middle, coarse = self.filters
        self.encoder.build()
        self.posterior.build((None, None, None, self.horizons * coarse))
        # A standard deviation of about 0.1: a code that begins as noise is first unlearned.
        self.posterior.moments.bias.assign([0.0] * self.latent_dim + [-3.0] * self.latent_dim)
        self.prior.build((None, None, None, self.horizons * coarse))
        self.patches.build()
        self.to_frames.build((None, None, None, self.latent_dim + self.horizons * coarse))
        self.block.build()
        self.decoder.build([(fine,), (middle,), (self.decoder_filters[2],)])
        self.draws = add_draw_counter(self)
        self.kl_weight = add_kl_weight(self)
        self.built = True

    def call(self, clip, training=False):
        clip = self.check_clip(clip)
        _, posterior, prior, context = self._infer(clip)
        seed = next_draw_seed(self.seed, self.draws) if training else None
        drawn = self._decode(_draw(posterior, seed), context)
        divergence = self._divergence(posterior, prior, clip)  # (batch, segments, ..., latents)
        values = tf.cast(tf.size(clip), tf.float32)
        per_value = tf.reduce_sum(divergence) / values
        self._note_in_step(self.kl_metric, per_value, clip)
        if training:
            places = tf.cast(tf.size(divergence) // self.latent_dim, tf.float32)
            segments = tf.cast(tf.shape(divergence)[1], tf.float32)
            first, others = (
                free_bits(part, self.free_bits) for part in (divergence[:, :1], divergence[:, 1:])
            )
            per_segment = (first + (segments - 1.0) * others) / segments
            per_value = per_segment * places / values
        self.add_loss(self.kl_weight * per_value)
        return join_segments(drawn, clip)

    def get_metrics_result(self):
        terms = super().get_metrics_result()
        # Whatever `kl_weight` is: a good reconstruction may be of a code that costs too much.
        return {**terms, "bound": terms["reconstruction"] + terms["kl"]}

    # The bounds, and what is known of the latents.

    def elbo(self, clip, seed):
        """The evidence lower bound of each clip, by one draw.

        Args:
            clip: float32 `(batch, time, height, width, channels)` in [0, 1].
            seed: Of the draw, a whole number from 0 up to 2**31 - 1.

        Returns:
            float32 `(batch,)` in nats per pixel value; `default_loss` holds the density.

        Raises:
            ValueError: If the seed or the clip breaks a rule.
        """
        check_seed(seed)
        return self._run("elbo", self.check_clip(clip), tf.stack([seed, 2]))

    def importance_weighted_bound(self, clip, samples, seed):
        """The importance-weighted bound of each clip, of every segment by `samples` draws.

        It is at least the evidence lower bound, in expectation, and rises with `samples` towards
        the log-likelihood. Memory does not grow with `samples`.

        Args:
            clip: float32 `(batch, time, height, width, channels)` in [0, 1].
            samples: Draws for each segment, at least 1.
            seed: Of the draws, a whole number from 0 up to 2**31 - 1.

        Returns:
            float32 `(batch,)` in nats per pixel value.

        Raises:
            ValueError: If `samples` is below 1, or the seed or the clip breaks a rule.
        """
        check_seed(seed)
        if not tf.is_tensor(samples) and samples < 1:
            raise ValueError(f"`samples` must be at least 1. Received: samples={samples}")
        return self._run(
            "importance_weighted_bound",
            self.check_clip(clip),
            tf.convert_to_tensor(samples, tf.int32),
            tf.stack([seed, 2]),
        )

    def latents(self, clip):
        """The posterior of a clip and how far it is from the prior.

        Args:
            clip: float32 `(batch, time, height, width, channels)` in [0, 1].

        Returns:
            Dict of float32 `(batch, segments, height / 8, width / 8, latent_dim)`: `mean` and
            `stddev` of the posterior, and `divergence` of each latent from its prior in nats:
            the standard Gaussian in the first segment, the learned one in the others.
        """
        return self._run("latents", self.check_clip(clip))

    def _latents(self, clip):
        _, posterior, prior, _ = self._infer(clip)
        segments = self._segments(clip)
        return {
            "mean": unfold_time(posterior.mean(), segments),
            "stddev": unfold_time(posterior.stddev(), segments),
            "divergence": self._divergence(posterior, prior, clip),
        }

    def _elbo(self, clip, seed):
        frames, posterior, prior, context = self._infer(clip)
        density = self._density(frames, context, clip)
        return self._by_clip(evidence_lower_bound(density, posterior, prior, seed), clip)

    def _importance_weighted_bound(self, clip, samples, seed):
        frames, posterior, prior, context = self._infer(clip)
        density = self._density(frames, context, clip)
        # Given the clip the latents of its segments are independent, and so are their bounds.
        bound = importance_weighted_bound(density, posterior, prior, samples, seed)
        return self._by_clip(bound, clip)

    def _density(self, frames, context, clip):
        """Function from latents to `log p(x_s | z_s, x_{s-1})`, float32 `(batch * segments,)`."""
        segments, time = self._segments(clip), tf.shape(clip)[1]
        # Frames that only fill the last segment are none of the clip.
        is_real = tf.cast(tf.range(segments * self.horizons) < time, tf.float32)
        is_real = tf.tile(tf.reshape(is_real, (segments, self.horizons)), (tf.shape(clip)[0], 1))
        loss = self.default_loss()

        def log_likelihood(latent):
            nats = loss.call(frames, self._decode(latent, context))
            return -tf.reduce_sum(tf.reduce_sum(nats, axis=[2, 3, 4]) * is_real, axis=1)

        return log_likelihood

    def _by_clip(self, nats, clip):
        values = tf.cast(tf.reduce_prod(tf.shape(clip)[1:]), tf.float32)
        return tf.reduce_sum(tf.reshape(nats, (-1, self._segments(clip))), axis=1) / values

    def _segments(self, clip):
        return segment_count(clip, self.horizons)

    def _infer(self, clip):
        """Frames `(batch * segments, horizons, ...)`, their q(z_s | x_s), p(z_s | x_{s-1}), maps.

        The maps are those of the segment before, zeros for the first of each clip.
        """
        frames = cut_segments(clip, self.horizons)
        maps = self._maps(frames)
        context = {
            name: segments_before(value, self._segments(clip)) for name, value in maps.items()
        }
        return frames, self._posterior(frames, maps), self._prior(context), context

    def _divergence(self, posterior, prior, clip):
        """Of each latent in nats: `(batch, segments, height / 8, width / 8, latent_dim)`."""
        nats = tfp.distributions.kl_divergence(posterior.distribution, prior.distribution)
        return unfold_time(nats, self._segments(clip))

    # The networks.

    def _maps(self, frames):
        """What the code of a segment is made of, and what the next one is told of it."""
        fine, middle, _, mixed = self.encoder.maps(frames)
        return {
            # About mid grey: that is what a segment without one before it starts from.
            "last_frame": frames[:, -1] - 0.5,
            "still_code": self.patches.analyse(
                tf.repeat(frames[:, -1:] - 0.5, self.horizons, axis=1)
            ),
            "fine": fine[:, -1],
            "middle": middle[:, -1],
            "features": tf.concat(tf.unstack(mixed, self.horizons, axis=1), axis=-1),
            "known": tf.ones((tf.shape(frames)[0], 1, 1, 1)),
        }

    def _posterior(self, frames, maps):
        return self.posterior(maps["features"], offset=self.patches.analyse(frames - 0.5))

    def _prior(self, context):
        """Learned from the context where there is one, else the standard Gaussian.

        What is learned is how the code departs from that of the last frame standing still.
        """
        learned = self.prior(context["features"], offset=context["still_code"]).distribution
        known = context["known"] > 0
        normal = tfp.distributions.Normal(
            tf.where(known, learned.loc, 0.0), tf.where(known, learned.scale, 1.0)
        )
        return tfp.distributions.Independent(normal, reinterpreted_batch_ndims=3)

    def _decode(self, latent, context):
        """Latents `(n, ...)` and maps of the segment before -> `(n, horizons, ...)`, float32."""
        features = context["features"]
        joined = tf.concat([tf.cast(latent, features.dtype), features], axis=-1)
        maps = tf.stack(tf.split(self.to_frames(joined), self.horizons, axis=-1), axis=1)
        levels = [
            tf.repeat(context["fine"], self.horizons, axis=0),
            tf.repeat(context["middle"], self.horizons, axis=0),
            fold_time(self.block(maps)),
        ]
        change = unfold_time(tf.cast(self.decoder(levels), tf.float32), self.horizons)
        linear = self.patches.synthesise(latent - context["still_code"])
        return 0.5 + context["last_frame"][:, None] + linear + change

    # What the verbs are built on.

    def _predict(self, maps, frames, seed=None):
        count = frames.shape[1] or tf.shape(frames)[1]
        context = self._maps(fold_time(maps["window"]))
        latent = _draw(self._prior(context), seed)
        return unfold_time(self._decode(latent, context), count)

    def _reconstruct(self, clip):
        frames = cut_segments(clip, self.horizons)
        maps = self._maps(frames)
        nothing = {name: tf.zeros_like(value) for name, value in maps.items()}
        drawn = self._decode(self._posterior(frames, maps).mean(), nothing)
        return tf.clip_by_value(join_segments(drawn, clip), 0.0, 1.0)

    def _sample_without_context(self, steps, seed):
        maps = self._maps(tf.zeros((1, self.horizons, *self.clip_shape[1:])))
        nothing = {name: tf.zeros_like(value) for name, value in maps.items()}
        latent = self._prior(nothing).sample(seed=tf.stack([seed, 1]))
        first = tf.clip_by_value(self._decode(latent, nothing), 0.0, 1.0)
        others = self._sample(first, tf.maximum(steps - self.horizons, 1), seed)
        return tf.concat([first, others], axis=1)[:, :steps]

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "decoder_filters": self.decoder_filters,
            "latent_dim": self.latent_dim,
            "free_bits": self.free_bits,
            "seed": self.seed,
        }


def _draw(distribution, seed):
    return distribution.mean() if seed is None else distribution.sample(seed=seed)
