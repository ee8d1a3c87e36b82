"""What models that predict a few frames ahead at each frame share: scoring, rollout, training."""

import tensorflow as tf

from zoo.layers import fold_time, unfold_time
from zoo.losses import GaussianNegativeLogLikelihood
from zoo.models.base import VideoModel

BLOCK = 8  # pixels: the score map has one number per block of the frame
CHUNK = 8  # frames taken in at once by `score`: enough to fill two cores, little memory


class FuturePredictor(VideoModel):
    """A causal model that predicts the next `horizons` frames after every frame.

    A subclass defines `_observe` and `_predict`; this class makes of them the verbs, all out of
    one function of some frames and a state, so that `score` is `step` by construction.

    The score map is the mean squared error of each 8x8 block of a frame against what was
    predicted for it `score_horizon` frames before, so its mean is the mean squared error of the
    frame. The score is its largest mean over `score_window` x `score_window` pixels
    (`score_pooling="max"`) or over all of it (`"mean"`).

    Args:
        horizons: Frames predicted ahead at each frame, at least 1.
        score_horizon: Which of them scores, from 1 (the next frame) to `horizons`.
        score_pooling: `"max"` or `"mean"`.
        score_window: Side of the window of `"max"` in pixels, a multiple of 8.
        observation_scale: Standard deviation of a pixel about its prediction, in [0, 1] units,
            in the training loss.
    """

    task = "predict_ahead"

    def __init__(
        self,
        horizons=4,
        score_horizon=4,
        score_pooling="max",
        score_window=16,
        observation_scale=0.1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if horizons < 1:
            raise ValueError(f"`horizons` must be at least 1. Received: horizons={horizons}")
        if not 1 <= score_horizon <= horizons:
            raise ValueError(
                f"`score_horizon` must be from 1 to horizons={horizons}. "
                f"Received: score_horizon={score_horizon}"
            )
        if score_pooling not in ("max", "mean"):
            raise ValueError(
                f"`score_pooling` must be 'max' or 'mean'. Received: score_pooling={score_pooling}"
            )
        if score_window < BLOCK or score_window % BLOCK:
            raise ValueError(
                f"`score_window` must be a multiple of {BLOCK} pixels. "
                f"Received: score_window={score_window}"
            )
        if observation_scale <= 0:
            raise ValueError(
                "`observation_scale` must be above 0. "
                f"Received: observation_scale={observation_scale}"
            )
        self.horizons = horizons
        self.score_horizon = score_horizon
        self.score_pooling = score_pooling
        self.score_window = score_window
        self.observation_scale = observation_scale

    @property
    def warm_up(self):
        """Frames that score 0: those without a prediction, or with one made from under four."""
        return self.score_horizon + 3

    def default_loss(self):
        return GaussianNegativeLogLikelihood(self.observation_scale)

    # What a subclass defines.

    def _state_shapes(self, height, width):
        """Dict from name to shape, without the batch, of the tensors that `_observe` carries."""
        raise NotImplementedError

    def _observe(self, frames, state):
        """`(batch, n, ...)` frames and the state before -> (maps, what changed of the state)."""
        raise NotImplementedError

    def _predict(self, maps, frames, seed=None):
        """Maps and their frames -> `(batch, n, horizons, height, width, channels)`, float32.

        Without a seed the prediction is the mean; with one it is a draw.
        """
        raise NotImplementedError

    # Scoring.

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
        predictions = tf.clip_by_value(self._predict(maps, frames), 0.0, 1.0)
        queue = tf.concat([state["pending"], predictions[:, :, self.score_horizon - 1]], axis=1)
        error = tf.square(frames - queue[:, :count])
        index = state["frames_seen"][:, None] + tf.range(count)[None]
        is_scored = tf.cast(index >= self.warm_up, tf.float32)
        score_map = _block_mean(error) * is_scored[:, :, None, None]
        return {
            "prediction": predictions[:, :, 0],
            "score": self._pool(score_map),
            "score_map": score_map,
            "state": {
                **state,
                **changed,
                "pending": queue[:, count:],
                "frames_seen": state["frames_seen"] + count,
            },
        }

    def _pool(self, score_map):
        """`(batch, n, blocks down, blocks across)` -> `(batch, n)`."""
        if self.score_pooling == "mean":
            return tf.reduce_mean(score_map, axis=[2, 3])
        side = self.score_window // BLOCK
        blocks = fold_time(score_map[..., None])
        size = tf.shape(blocks)[1:3]
        # A frame smaller than the window is filled up with zeros, and they are not counted.
        missing = tf.maximum(side - size, 0)
        blocks = tf.pad(blocks, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]])
        counted = tf.reduce_prod(tf.cast(tf.minimum(size, side), tf.float32))
        windows = tf.nn.avg_pool2d(blocks, side, 1, "VALID") * (side**2 / counted)
        return tf.reshape(tf.reduce_max(windows, axis=[1, 2, 3]), tf.shape(score_map)[:2])

    def _step(self, frame, state):
        out = self._advance(frame[:, None], state)
        state = out.pop("state")
        return {**{name: value[:, 0] for name, value in out.items()}, "state": state}

    def _score_with_map(self, clip):
        """Score and score map of a whole clip, a chunk of frames at a time."""
        shape = tf.shape(clip)
        batch, time = shape[0], shape[1]
        state = self._initial_state(batch, shape[2], shape[3])
        chunks = (time + CHUNK - 1) // CHUNK
        scores = tf.TensorArray(
            tf.float32, size=chunks, infer_shape=False, element_shape=[None, None]
        )
        maps = tf.TensorArray(
            tf.float32, size=chunks, infer_shape=False, element_shape=[None, None, None, None]
        )

        def body(index, state, scores, maps):
            frames = clip[:, index * CHUNK : (index + 1) * CHUNK]
            out = self._advance(frames, state)
            # Time first: the array joins along the first axis.
            scores = scores.write(index, tf.transpose(out["score"]))
            maps = maps.write(index, tf.transpose(out["score_map"], [1, 0, 2, 3]))
            return index + 1, out["state"], scores, maps

        _, _, scores, maps = tf.while_loop(
            lambda index, *_: index < chunks,
            body,
            (0, state, scores, maps),
            shape_invariants=(tf.TensorShape([]), _free_shapes(state), None, None),
        )
        score = tf.transpose(scores.concat())
        score_map = tf.transpose(maps.concat(), [1, 0, 2, 3])
        return {
            "score": tf.ensure_shape(score, clip.shape[:2]),
            "score_map": tf.ensure_shape(score_map, [*clip.shape[:2], None, None]),
        }

    def _score(self, clip):
        return self._score_with_map(clip)["score"]

    def _score_map(self, clip):
        return self._score_with_map(clip)["score_map"]

    # Prediction.

    def _rollout(self, context, steps):
        return self._sample(context, steps, seed=None)

    def _sample(self, context, steps, seed):
        shape = tf.shape(context)
        state = self._initial_state(shape[0], shape[2], shape[3])
        draw = self._draw_seed(seed, 0)
        maps, changed = self._observe(context, state)
        state = self._carry(state, changed, shape[1])
        last = {name: value[:, -1:] for name, value in maps.items()}
        frame = self._next_frame(last, context[:, -1:], draw)
        frames = tf.TensorArray(tf.float32, size=steps, element_shape=[None] * 3 + [self.channels])
        frames = frames.write(0, frame[:, 0])

        def body(index, frame, state, frames):
            maps, changed = self._observe(frame, state)
            state = self._carry(state, changed, 1)
            frame = self._next_frame(maps, frame, self._draw_seed(seed, index))
            return index + 1, frame, state, frames.write(index, frame[:, 0])

        frame_shape = tf.TensorShape([None, 1, None, None, self.channels])
        _, _, _, frames = tf.while_loop(
            lambda index, *_: index < steps,
            body,
            (1, frame, state, frames),
            shape_invariants=(tf.TensorShape([]), frame_shape, _free_shapes(state), None),
        )
        future = tf.transpose(frames.stack(), [1, 0, 2, 3, 4])
        return tf.ensure_shape(
            future, [context.shape[0], None, *context.shape[2:4], self.channels]
        )

    def _carry(self, state, changed, count):
        return {**state, **changed, "frames_seen": state["frames_seen"] + count}

    def _next_frame(self, maps, frames, seed):
        return tf.clip_by_value(self._predict(maps, frames, seed)[:, :, 0], 0.0, 1.0)

    @staticmethod
    def _draw_seed(seed, index):
        if seed is None:
            return None
        return tf.random.experimental.stateless_fold_in(tf.stack([seed, 0]), index)

    # Training.

    def _check_training_clip(self, clip):
        return self.check_clip(clip, min_frames=self.horizons + 1)

    def get_config(self):
        return {
            **super().get_config(),
            "horizons": self.horizons,
            "score_horizon": self.score_horizon,
            "score_pooling": self.score_pooling,
            "score_window": self.score_window,
            "observation_scale": self.observation_scale,
        }


def _block_mean(error):
    """Mean over the channels and each block: `(batch, n, height / 8, width / 8)`."""
    count = error.shape[1] or tf.shape(error)[1]
    frames = tf.reduce_mean(fold_time(error), axis=-1, keepdims=True)
    return unfold_time(tf.nn.avg_pool2d(frames, BLOCK, BLOCK, "VALID"), count)[..., 0]


def _free_shapes(state):
    """Shapes of loop variables: everything free but the channels, so that any frame fits."""
    return {
        name: tf.TensorShape([None] * (value.shape.rank - 1) + [value.shape[-1]])
        if value.shape.rank > 1
        else tf.TensorShape([None])
        for name, value in state.items()
    }
