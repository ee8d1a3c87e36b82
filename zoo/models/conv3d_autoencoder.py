"""The spatio-temporal autoencoder of Zhao et al. 2017 (https://doi.org/10.1145/3123266.3123451).

One encoder of convolutions over space and time takes in T frames; from its code one decoder draws
these frames again and another the frames that follow, the sooner weighing the more in its loss.
What differs: space is strided first and by more than time, for the sake of a CPU; strides and
channels that become places stand for pooling and transposed convolutions, and there is no batch
normalisation; the prediction is the change from the last frame; and a frame is scored when it
comes, by what is drawn of it, where the paper averages over all of the window.

Hasan et al. 2016 (https://arxiv.org/abs/1604.04574), whose regularity score
`zoo.evaluation.anomaly` has, draw a stack of frames again as the channels of one picture, by
two-dimensional convolutions: time is gone after their first layer.
"""

import keras
import tensorflow as tf

from zoo.layers import SpaceTimeDecoder, SpaceTimeEncoder, fold_time, recent_windows, unfold_time
from zoo.layers.sizes import check_filters
from zoo.layers.space_time_codec import SPACE_STRIDE, TIME_STRIDE
from zoo.losses import DecayingSquaredError
from zoo.models.windowed_predictor import WindowedPredictor

BRANCHES = ("reconstruction", "prediction")


@keras.saving.register_keras_serializable(package="zoo")
class Conv3DAutoencoder(WindowedPredictor):
    """Convolutions over space and time, with a reconstruction and a prediction branch.

    Args:
        filters: Channels of encoder and decoders at 1/2, 1/4 and 1/8 of the frame.
        depth: Channels of the code, at 1/8 of the frame and 1/4 of the time.
        score_branch: What a frame is compared with: `"reconstruction"`, itself drawn again as
            the last of its window, or `"prediction"`, what was predicted for it `score_horizon`
            frames before.
        context_frames: Frames of the window, T; a multiple of 4.
        horizons: Frames predicted, at most `context_frames`, as many as which the paper has.
        **kwargs: Arguments of `FuturePredictor`, `ErrorScorer` and `VideoModel`.

    Call arguments:
        context: float32 `(batch, time, height, width, channels)` in [0, 1], at least 2 frames;
            height and width multiples of 8.

    Returns:
        Dict of float32 tensors: `reconstruction`, of the shape of `context`, and `prediction`,
        `(batch, horizons, height, width, channels)`, the frames after it.

    Raises:
        ValueError: If an argument or a clip breaks a rule; the message names it.

    Example:

    >>> model = Conv3DAutoencoder(filters=(4, 8, 8), depth=4)
    >>> out = model(tf.zeros((1, 8, 16, 24, 1)))
    >>> out["reconstruction"].shape, out["prediction"].shape
    (TensorShape([1, 8, 16, 24, 1]), TensorShape([1, 8, 16, 24, 1]))

    Reference:
        Zhao et al., "Spatio-Temporal AutoEncoder for Video Anomaly Detection", 2017,
        https://doi.org/10.1145/3123266.3123451
    """

    verbs = ("encode", "features", "reconstruct", "rollout", "score", "score_map", "step")
    stride = SPACE_STRIDE
    task = "reconstruct_and_predict"
    monitor = "loss"

    def __init__(
        self,
        filters=(16, 24, 48),
        depth=32,
        score_branch="reconstruction",
        context_frames=8,
        horizons=8,
        **kwargs,
    ):
        super().__init__(context_frames=context_frames, horizons=horizons, **kwargs)
        if context_frames % TIME_STRIDE:
            raise ValueError(
                f"`context_frames` must be a multiple of {TIME_STRIDE}. "
                f"Received: context_frames={context_frames}"
            )
        if horizons > context_frames:
            raise ValueError(
                f"`horizons` must be at most context_frames={context_frames}, as the branch draws "
                f"no more. Received: horizons={horizons}"
            )
        if score_branch not in BRANCHES:
            raise ValueError(
                f"`score_branch` must be one of {BRANCHES}. Received: score_branch={score_branch}"
            )
        self.filters = check_filters("filters", filters, 3)
        self.depth = depth
        self.score_branch = score_branch
        policy = self.dtype_policy
        self.encoder = SpaceTimeEncoder(
            self.channels, self.filters, depth, name="encoder", dtype=policy
        )
        self.past, self.future = (
            SpaceTimeDecoder(self.filters, self.channels, name=name, dtype=policy)
            for name in ("past", "future")
        )
        self.prediction_metric = keras.metrics.Mean(name="prediction")

    @property
    def warm_up(self):
        """Frames that score 0: those not drawn or predicted from a whole window."""
        if self.score_branch == "reconstruction":
            return self.context_frames - 1
        return super().warm_up

    @property
    def rollout_block(self):
        """A rollout draws all that the branch predicts, then is fed on it."""
        return self.horizons

    @property
    def score_choices(self):
        ahead = ({"score_branch": "prediction", **choice} for choice in super().score_choices)
        return ({"score_branch": "reconstruction"}, *ahead)

    @property
    def metrics(self):
        # Keras reports each part as NAME_loss as well.
        return [part for part in super().metrics if not part.name.endswith("_loss")]

    def code_size(self, time, height, width):
        steps = -(-time // TIME_STRIDE)
        return steps * (height // SPACE_STRIDE) * (width // SPACE_STRIDE) * self.depth

    def default_loss(self):
        return {
            "reconstruction": super().default_loss(),
            "prediction": DecayingSquaredError(self.observation_scale),
        }

    def build(self, input_shape=None):
        self.encoder.build()
        for decoder in (self.past, self.future):
            decoder.build((None, None, None, None, self.depth))
        self.built = True

    def call(self, context, training=False):
        context = self.check_clip(context)
        code = self.encoder(context)
        reconstruction = self._draw_again(code, context)
        if context.shape[1] != self.context_frames:
            context = self._window(context)
            code = self.encoder(context)
        return {"reconstruction": reconstruction, "prediction": self._draw_ahead(code, context)}

    def _window(self, clip):
        """The last `context_frames` frames; of a shorter clip, the first stood before it."""
        state = self._start(clip)
        before = clip[:, :-1]
        _, recent = recent_windows(
            before, state["recent_frames"], state["frames_seen"], self.context_frames
        )
        seen = state["frames_seen"] + tf.shape(clip)[1] - 1
        return recent_windows(clip[:, -1:], recent, seen, self.context_frames)[0][:, 0]

    def _draw_again(self, code, clip):
        time = clip.shape[1] or tf.shape(clip)[1]
        drawn = tf.cast(self.past(code), tf.float32)[:, -time:] + 0.5
        return tf.ensure_shape(drawn, [None, *clip.shape[1:]])

    def _draw_ahead(self, code, window):
        change = tf.cast(self.future(code), tf.float32)
        return window[:, -1:] + change[:, : self.horizons]

    def _reconstruct(self, clip):
        return tf.clip_by_value(self._draw_again(self.encoder(clip), clip), 0.0, 1.0)

    # What `FuturePredictor` builds the verbs on.

    def _initial_state(self, batch, height, width):
        state = super()._initial_state(batch, height, width)
        if self.score_branch == "reconstruction":
            del state["pending"]
        return state

    def _predict(self, maps, frames, seed=None):
        count = frames.shape[1] or tf.shape(frames)[1]
        ahead = self._draw_ahead(self._code(maps), fold_time(maps["window"]))
        return unfold_time(ahead, count)

    def _expected(self, maps, scored, state):
        if self.score_branch == "prediction":
            return super()._expected(maps, scored, state)
        count = scored.shape[1] or tf.shape(scored)[1]
        drawn = self._draw_again(self._code(maps), fold_time(maps["window"]))[:, -1]
        return unfold_time(tf.clip_by_value(drawn, 0.0, 1.0), count), {}

    def _code(self, maps):
        """The code of each window, time in the batch. Where both branches draw, it is kept."""
        if "code" not in maps:
            maps["code"] = self.encoder(fold_time(maps["window"]))
        return maps["code"]

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "depth": self.depth,
            "score_branch": self.score_branch,
        }
