"""What models that predict a few frames ahead at each frame share: scoring, rollout, training."""

import tensorflow as tf

from zoo.losses import GaussianNegativeLogLikelihood
from zoo.models.base import free_shapes
from zoo.models.error_scorer import ErrorScorer


class FuturePredictor(ErrorScorer):
    """A causal model that predicts the next `horizons` frames after every frame.

    A subclass defines `_predict`, and `_observe` where its encoder has none; this class makes of
    them the verbs. The error that scores a frame is that against what was predicted for it
    `score_horizon` frames before.

    Args:
        horizons: Frames predicted ahead at each frame, at least 1.
        score_horizon: Which of them scores, from 1 (the next frame) to `horizons`.
        observation_scale: Standard deviation of a pixel about its prediction, in [0, 1] units,
            in the training loss.
        **kwargs: Arguments of `ErrorScorer` and `VideoModel`.
    """

    task = "predict_ahead"

    def __init__(self, horizons=4, score_horizon=4, observation_scale=0.1, **kwargs):
        super().__init__(**kwargs)
        if horizons < 1:
            raise ValueError(f"`horizons` must be at least 1. Received: horizons={horizons}")
        if not 1 <= score_horizon <= horizons:
            raise ValueError(
                f"`score_horizon` must be from 1 to horizons={horizons}. "
                f"Received: score_horizon={score_horizon}"
            )
        if observation_scale <= 0:
            raise ValueError(
                "`observation_scale` must be above 0. "
                f"Received: observation_scale={observation_scale}"
            )
        self.horizons = horizons
        self.score_horizon = score_horizon
        self.observation_scale = observation_scale

    @property
    def warm_up(self):
        """Frames that score 0: those without a prediction, or with one made from under four."""
        return self.score_horizon + 3

    def default_loss(self):
        return GaussianNegativeLogLikelihood(self.observation_scale)

    # What a subclass defines; what it carries on is its encoder's state unless it says otherwise.

    def _state_shapes(self, height, width):
        """Dict from name to shape, without the batch, of the tensors that `_observe` carries."""
        return self.encoder.state_shapes(height, width)

    def _observe(self, frames, state):
        """`(batch, n, ...)` frames and the state before -> (maps, what changed of the state)."""
        return self.encoder.observe(frames, state)

    def _predict(self, maps, frames, seed=None):
        """Maps and their frames -> `(batch, n, horizons, height, width, channels)`, float32.

        Without a seed the prediction is the mean; with one it is a draw.
        """
        raise NotImplementedError

    def _predict_at(self, maps, frames, horizons, seed=None):
        """Some horizons alone of what `_predict` gives: a list of `(batch, n, ...)` frames.

        A live frame needs no more than two of them, and a subclass may do without the others.
        """
        predictions = self._predict(maps, frames, seed)
        return [predictions[:, :, ahead - 1] for ahead in horizons]

    # Scoring.

    @property
    def score_choices(self):
        return tuple({"score_horizon": ahead + 1} for ahead in range(self.horizons))

    def predict_ahead(self, clip, state):
        """What is predicted at each of the next frames, at all horizons.

        Args:
            clip: float32 `(batch, n, height, width, channels)` in [0, 1]: the next n frames.
            state: What `initial_state`, or this before, gave.

        Returns:
            `(predictions, state)`: float32 `(batch, n, horizons, height, width, channels)` in
            [0, 1], and the state after the last frame.
        """
        clip, state = self.check_clip(clip, min_frames=1), self._check_state(state)
        self._check_state_sizes(clip, state)
        return self._run("predict_ahead", clip, state)

    def _predict_ahead(self, frames, state):
        count = frames.shape[1] or tf.shape(frames)[1]
        maps, changed = self._observe(frames, state)
        predictions = tf.clip_by_value(self._predict(maps, frames), 0.0, 1.0)
        return predictions, self._carry(state, changed, count)

    def _initial_state(self, batch, height, width):
        shapes = {
            **self._state_shapes(height, width),
            "pending": (self.score_horizon, height, width, self.channels),
        }
        state = {
            name: tf.zeros((batch, *shape), tf.float32) for name, shape in shapes.items()
        }
        return {**state, "frames_seen": tf.zeros((batch,), tf.int32)}

    def _advance(self, frames, state):
        count = frames.shape[1] or tf.shape(frames)[1]
        maps, changed = self._observe(frames, state)
        following, scored = (
            tf.clip_by_value(ahead, 0.0, 1.0)
            for ahead in self._predict_at(maps, frames, (1, self.score_horizon))
        )
        expected, waiting = self._expected(maps, scored, state)
        error = tf.square(frames - expected)
        score, score_map = self._scored(error, state["frames_seen"])
        return {
            "prediction": following,
            "score": score,
            "score_map": score_map,
            "state": {
                **state,
                **changed,
                **waiting,
                "frames_seen": state["frames_seen"] + count,
            },
        }

    def _expected(self, maps, scored, state):
        """What each frame is compared with, and the predictions for frames still to come.

        `scored` `(batch, n, ...)` is what is predicted at each frame for `score_horizon` later.
        """
        if scored.shape[1] == 1:
            # A live frame: what is expected of it is there already, and is not copied.
            pending = state["pending"]
            return pending[:, :1], {"pending": tf.concat([pending[:, 1:], scored], axis=1)}
        count = scored.shape[1] or tf.shape(scored)[1]
        queue = tf.concat([state["pending"], scored], axis=1)
        return queue[:, :count], {"pending": queue[:, count:]}

    # Prediction.

    def _rollout(self, context, steps):
        return self._sample(context, steps, seed=None)

    def _sample(self, context, steps, seed):
        shape, state = tf.shape(context), self._start(context)
        free = tf.TensorShape([None, None, None, None, self.channels])
        count = (steps + self.rollout_block - 1) // self.rollout_block
        blocks = tf.TensorArray(
            tf.float32, size=count, element_shape=[None, self.rollout_block, *free[2:]]
        )

        def body(index, frames, state, blocks):
            """Takes in the context or the block before, and predicts the next."""
            maps, changed = self._observe(frames, state)
            state = self._carry(state, changed, tf.shape(frames)[1])
            frames = self._next_frames(maps, frames, self._draw_seed(seed, index))
            return index + 1, frames, state, blocks.write(index, frames)

        _, _, _, blocks = tf.while_loop(
            lambda index, *_: index < count,
            body,
            (0, context, state, blocks),
            shape_invariants=(tf.TensorShape([]), free, free_shapes(state), None),
        )
        shape = tf.concat([[shape[0], count * self.rollout_block], shape[2:]], axis=0)
        future = tf.reshape(tf.transpose(blocks.stack(), [1, 0, 2, 3, 4, 5]), shape)[:, :steps]
        return tf.ensure_shape(
            future, [context.shape[0], None, *context.shape[2:4], self.channels]
        )

    def _carry(self, state, changed, count):
        return {**state, **changed, "frames_seen": state["frames_seen"] + count}

    def _next_frames(self, maps, frames, seed):
        """The `rollout_block` frames behind the last of some frames."""
        last = {name: value[:, -1:] for name, value in maps.items()}
        ahead = self._predict_at(last, frames[:, -1:], range(1, self.rollout_block + 1), seed)
        return tf.clip_by_value(tf.concat(ahead, axis=1), 0.0, 1.0)

    @staticmethod
    def _draw_seed(seed, index):
        if seed is None:
            return None
        return tf.random.experimental.stateless_fold_in(tf.stack([seed, 0]), index)

    # Training.

    def _check_training_clip(self, clip):
        return self.check_clip(clip, min_frames=self.horizons + 1)

    def _start(self, clip):
        """The state before the first frame of a clip."""
        shape = tf.shape(clip)
        return self._initial_state(shape[0], shape[2], shape[3])

    def _known(self, clip):
        """All but the last frames, which are there to be predicted: nothing is, from them."""
        return clip[:, : -self.horizons]

    def _call_on_known(self, clip):
        """What `call` of a model gives that learns from its predictions alone."""
        known = self._known(self._check_training_clip(clip))
        maps, _ = self._observe(known, self._start(known))
        return self._predict(maps, known)

    def _first(self, maps, frames):
        """Of the maps of some frames and of further ones, those of the frames."""
        count = frames.shape[1] or tf.shape(frames)[1]
        return {name: value[:, :count] for name, value in maps.items()}

    def get_config(self):
        return {
            **super().get_config(),
            "horizons": self.horizons,
            "score_horizon": self.score_horizon,
            "observation_scale": self.observation_scale,
        }
