"""A ConvLSTM state, a Gaussian latent with a learned prior, a decoder several frames ahead.

After Chung et al. 2015 (https://arxiv.org/abs/1506.02216), Denton and Fergus 2018
(https://arxiv.org/abs/1802.07687) and Lu et al. 2019 (convolutional VRNN for anomaly detection,
https://arxiv.org/abs/1909.02168). What differs: the latent is a grid, one small Gaussian at each
place of 1/8 of the frame; it tells the decoder about all `horizons` frames to come, not one; it
does not enter the recurrence, which takes in frames alone (a rollout feeds back the frames drawn
with it); and some clips of each batch are decoded from the mean of the prior, as scoring is (the
hybrid objective of Sohn et al. 2015), so that training and scoring use the same path.
"""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from zoo.layers import (
    FrameDecoder,
    GaussianLatent,
    RecurrentEncoder,
    add_change,
    add_changes,
    add_draw_counter,
    add_kl_weight,
    fold_time,
    next_draw_seed,
    unfold_time,
)
from zoo.layers.convolution import convolution
from zoo.layers.frame_codec import check_decoder_filters
from zoo.layers.sizes import check_filters
from zoo.models.base import check_seed
from zoo.models.future_predictor import FuturePredictor


@keras.saving.register_keras_serializable(package="zoo")
class ConvLSTMVAE(FuturePredictor):
    """Convolutional variational recurrent network that predicts several frames ahead.

    At frame t the state `h_t` has taken in all frames up to t. The prior `p(z_t | h_t)` and, in
    training, the posterior `q(z_t | h_t, frames t+1..t+K)` are Gaussians over a grid of latents;
    the decoder makes of `h_t`, `z_t` and the maps of frame t the change from frame t to each of
    the K frames to come. With `posterior_share=1` the training loss is the negative evidence lower
    bound in nats per predicted pixel value. Clips decoded from the mean of the prior, as all are
    outside training, add their negative log-likelihood given that mean instead; outside training
    the divergence is counted beside it.

    Args:
        filters: Channels of the frame maps at 1/2, 1/4 and 1/8 of the frame.
        state_filters: Channels of the ConvLSTM at 1/4 and of the one at 1/8.
        decoder_filters: Channels of the decoder at 1/2, 1/4 and 1/8.
        latent_dim: Latents at each place of 1/8 of the frame.
        posterior_share: Share of the clips of a training batch decoded from the posterior, in
            (0, 1]; the others are decoded from the mean of the prior.
        seed: Of the draws in training, a whole number from 0 up to 2**31 - 1.
        **kwargs: Arguments of `FuturePredictor` and `VideoModel`.

    Call arguments:
        clip: float32 `(batch, time, height, width, channels)` in [0, 1], more than `horizons`
            frames; height and width multiples of 8.
        training: Whether to draw from the posterior; otherwise the mean of the prior is used.

    Returns:
        float32 `(batch, time - K, K, height, width, channels)`: `[:, t, k]` is frame t + k + 1
        predicted at frame t. Targets of the same shape come from
        `data_pipelines.tasks.predict_ahead(frames=K)`.

    Raises:
        ValueError: If an argument or a clip breaks a rule; the message names it.

    Example:

    >>> model = ConvLSTMVAE(filters=(4, 8, 8), state_filters=(4, 8), decoder_filters=(8, 8, 8))
    >>> clip = tf.random.stateless_uniform((1, 12, 32, 48, 1), seed=(0, 0))
    >>> model(clip).shape, model.score(clip).shape
    (TensorShape([1, 8, 4, 32, 48, 1]), TensorShape([1, 12]))
    """

    verbs = (
        "encode", "features", "reconstruct", "rollout", "sample", "score", "score_map", "step",
    )  # fmt: skip

    def __init__(
        self,
        filters=(16, 48, 80),
        state_filters=(24, 80),
        decoder_filters=(32, 48, 96),
        latent_dim=8,
        posterior_share=0.5,
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 0 < posterior_share <= 1:
            raise ValueError(
                "`posterior_share` must be above 0 and at most 1. "
                f"Received: posterior_share={posterior_share}"
            )
        check_seed(seed)
        self.filters = check_filters("filters", filters, 3)
        self.state_filters = check_filters("state_filters", state_filters, 2)
        self.decoder_filters = check_decoder_filters("decoder_filters", decoder_filters)
        self.latent_dim = latent_dim
        self.posterior_share = posterior_share
        self.seed = seed
        policy = self.dtype_policy
        self.encoder = RecurrentEncoder(
            self.channels, self.filters, self.state_filters, name="encoder", dtype=policy
        )
        self.prior = GaussianLatent(latent_dim, name="prior", dtype=policy)
        self.future_summary = convolution(24, 1, "future_summary", policy)
        self.posterior = GaussianLatent(latent_dim, name="posterior", dtype=policy)
        self.decoder = FrameDecoder(
            self.decoder_filters, self.horizons * self.channels, name="decoder", dtype=policy
        )
        self.kl_metric = keras.metrics.Mean(name="kl")

    def build(self, input_shape=None):
        self.encoder.build()
        memory_4, memory_8 = self.state_filters
        self.prior.build((None, None, None, memory_8))
        self.future_summary.build((None, None, None, self.filters[2]))
        self.posterior.build((None, None, None, memory_8 + 24 * self.horizons))
        frame_2, frame_4, _ = self.filters
        self.decoder.build(
            [(frame_2,), (frame_4 + memory_4,), (memory_8 + self.latent_dim,)]
        )
        self.draws = add_draw_counter(self)
        self.kl_weight = add_kl_weight(self)
        self.built = True

    def call(self, clip, training=False):
        clip = self._check_training_clip(clip)
        frames = self._known(clip)
        known = frames.shape[1] or tf.shape(frames)[1]
        shape = tf.shape(clip)
        maps, _ = self._observe(clip, self._start(clip))
        context = self._first(maps, frames)
        prior = self.prior(fold_time(context["memory_8"]))
        posterior = self._posterior(context["memory_8"], maps["frame_8"], known)
        # KL in nats, summed over the grid: `(batch, known)`.
        divergence = tf.reshape(
            tfp.distributions.kl_divergence(posterior, prior), (shape[0], known)
        )
        latent = prior.mean()
        if training:
            latent, share = self._training_latent(prior, posterior, shape[0], known)
            # Clips decoded from the prior have no latent to pay for.
            divergence = divergence * share[:, None]
        values = tf.cast(self.horizons * self.channels * shape[2] * shape[3], tf.float32)
        divergence = tf.reduce_mean(divergence) / values
        self.add_loss(self.kl_weight * divergence)
        self._note_in_step(self.kl_metric, divergence, clip)
        return self._decode(context, latent, frames)

    def _training_latent(self, prior, posterior, batch, known):
        """Draws the latent of each frame, and says which clips `(batch,)` drew it."""
        seed = next_draw_seed(self.seed, self.draws)
        which, noise = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
        share = tf.random.stateless_uniform((batch,), which) < self.posterior_share
        drawn = posterior.sample(seed=noise)
        by_frame = tf.repeat(share, known)[:, None, None, None]
        return tf.where(by_frame, drawn, prior.mean()), tf.cast(share, tf.float32)

    def _posterior(self, memory, frame_maps, known):
        """`q(z_t | h_t, frames t+1..t+K)` for the first `known` frames, time in the batch."""
        time = frame_maps.shape[1] or tf.shape(frame_maps)[1]
        summary = unfold_time(self.future_summary(fold_time(frame_maps)), time)
        ahead = [summary[:, k + 1 : k + 1 + known] for k in range(self.horizons)]
        return self.posterior(fold_time(tf.concat([memory, *ahead], axis=-1)))

    def _changes(self, maps, latent):
        """Maps and latents (time in the batch) -> the change to each frame ahead, float32.

        The shape is `(batch * n, height, width, horizons * channels)`.
        """
        dtype = self.compute_dtype
        levels = [
            fold_time(maps["frame_2"]),
            [fold_time(maps["frame_4"]), fold_time(maps["memory_4"])],
            [fold_time(maps["memory_8"]), tf.cast(latent, dtype)],
        ]
        return tf.cast(self.decoder(levels), tf.float32)

    def _decode(self, maps, latent, frames):
        """Maps, latents (time in the batch) and frames -> the frames ahead of each."""
        return add_changes(frames, self._changes(maps, latent), self.horizons)

    # What `FuturePredictor` builds the verbs on.

    def _observe(self, frames, state):
        return self.encoder.observe(frames, state, state["frames_seen"])

    def _predict(self, maps, frames, seed=None):
        return self._decode(maps, self._prior_latent(maps, seed), frames)

    def _predict_at(self, maps, frames, horizons, seed=None):
        changes = self._changes(maps, self._prior_latent(maps, seed))
        return [add_change(frames, changes, horizon) for horizon in horizons]

    def _prior_latent(self, maps, seed):
        """The mean of the prior, or with a seed a draw from it."""
        prior = self.prior(fold_time(maps["memory_8"]))
        return prior.mean() if seed is None else prior.sample(seed=seed)

    def _reconstruct(self, clip):
        """Each frame decoded from the state before it and the posterior mean given it."""
        time = clip.shape[1] or tf.shape(clip)[1]
        # The first frame has none before it and the last none after: both are held still.
        still = tf.repeat(clip[:, -1:], self.horizons - 1, axis=1)
        held = tf.concat([clip[:, :1], clip, still], axis=1)
        maps, _ = self._observe(held, self._start(held))
        frames = held[:, :time]
        context = self._first(maps, frames)
        latent = self._posterior(context["memory_8"], maps["frame_8"], time).mean()
        drawn = self._decode(context, latent, frames)[:, :, 0]
        return tf.ensure_shape(tf.clip_by_value(drawn, 0.0, 1.0), clip.shape)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "state_filters": self.state_filters,
            "decoder_filters": self.decoder_filters,
            "latent_dim": self.latent_dim,
            "posterior_share": self.posterior_share,
            "seed": self.seed,
        }
