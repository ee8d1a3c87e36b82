"""What models share that score a frame by a squared error: blocks, pooling, scoring in chunks."""

import tensorflow as tf

from zoo.models.base import VideoModel, free_shapes

BLOCK = 8  # pixels: the score map has one number per block of the frame
CHUNK = 8  # frames taken in at once by `score`: enough to fill two cores, little memory


class ErrorScorer(VideoModel):
    """A causal model that scores each frame by how far it is from what the model made of it.

    A subclass defines `_initial_state` and `_advance`, which takes in some frames after a state;
    `score`, `score_map` and `step` are made of that one function, so that `score` is `step` by
    construction.

    The score map is the mean squared error of each 8x8 block of a frame, so its mean is the mean
    squared error of the frame. The score is its largest mean over `score_window` x
    `score_window` pixels (`score_pooling="max"`) or over all of it (`"mean"`).

    Args:
        score_pooling: `"max"` or `"mean"`.
        score_window: Side of the window of `"max"` in pixels, a multiple of 8.
    """

    def __init__(self, score_pooling="max", score_window=16, **kwargs):
        super().__init__(**kwargs)
        if score_pooling not in ("max", "mean"):
            raise ValueError(
                f"`score_pooling` must be 'max' or 'mean'. Received: score_pooling={score_pooling}"
            )
        if score_window < BLOCK or score_window % BLOCK:
            raise ValueError(
                f"`score_window` must be a multiple of {BLOCK} pixels. "
                f"Received: score_window={score_window}"
            )
        self.score_pooling = score_pooling
        self.score_window = score_window

    @property
    def score_choices(self):
        """What may be chosen when the weights are there: tuple of dicts of constructor arguments.

        They say what a frame is compared with; pooling and window come on top.
        """
        return ({},)

    # What a subclass defines.

    def _initial_state(self, batch, height, width):
        """Dict of zeros, batch first; `frames_seen`, int32 `(batch,)`, among them."""
        raise NotImplementedError

    def _advance(self, frames, state):
        """`(batch, n, ...)` frames and a state -> dict of `score`, `score_map` and `state`.

        Of a model that predicts, `prediction` `(batch, n, ...)` as well: the next frame.
        """
        raise NotImplementedError

    def _scored(self, error, frames_seen):
        """Squared error `(batch, n, height, width, channels)` -> `(score, score_map)`.

        The first `warm_up` frames of a video score 0.
        """
        count = error.shape[1] or tf.shape(error)[1]
        index = frames_seen[:, None] + tf.range(count)[None]
        is_scored = tf.cast(index >= self.warm_up, tf.float32)
        score_map = block_mean(error) * is_scored[:, :, None, None]
        return self._pool(score_map), score_map

    def _pool(self, score_map):
        """`(batch, n, blocks down, blocks across)` -> `(batch, n)`."""
        if self.score_pooling == "mean":
            return tf.reduce_mean(score_map, axis=[2, 3])
        return largest_window(score_map, self.score_window // BLOCK)

    def _step(self, clip, state):
        out = self._advance(clip, state)
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
            shape_invariants=(tf.TensorShape([]), free_shapes(state), None, None),
        )
        score = tf.transpose(scores.concat())
        score_map = tf.transpose(maps.concat(), [1, 0, 2, 3])
        return {
            "score": tf.ensure_shape(score, clip.shape[:2]),
            "score_map": tf.ensure_shape(score_map, [*clip.shape[:2], None, None]),
        }

    def get_config(self):
        return {
            **super().get_config(),
            "score_pooling": self.score_pooling,
            "score_window": self.score_window,
        }


def largest_window(score_map, side):
    """Largest mean over `side` x `side` blocks: `(batch, n, down, across)` -> `(batch, n)`."""
    size = tf.shape(score_map)[2:4]
    # A frame smaller than the window is filled up with zeros, and they are not counted.
    missing = tf.maximum(side - size, 0)
    windows = tf.pad(score_map, [[0, 0], [0, 0], [0, missing[0]], [0, missing[1]]])
    counted = tf.reduce_prod(tf.cast(tf.minimum(size, side), tf.float32))
    # Sums of few blocks, down and then across: a fifth of the time of an average pooling.
    down, across = (tf.maximum(size[axis], side) - side + 1 for axis in (0, 1))
    windows = tf.add_n([windows[:, :, first : first + down] for first in range(side)])
    windows = tf.add_n([windows[:, :, :, first : first + across] for first in range(side)])
    return tf.reduce_max(windows, axis=[2, 3]) / counted


def block_mean(error):
    """Mean over the channels and each block: `(batch, n, height / 8, width / 8)`."""
    size = tf.shape(error)
    down, across = size[2] // BLOCK, size[3] // BLOCK
    # Down first, then across, each a sum along one axis: half the time of an average pooling of
    # one channel.
    rows = tf.reshape(error, [size[0], size[1], down, BLOCK, size[3] * size[4]])
    rows = tf.reduce_mean(rows, axis=3)
    blocks = tf.reshape(rows, [size[0], size[1], down, across, BLOCK * size[4]])
    return tf.reduce_mean(blocks, axis=-1)
