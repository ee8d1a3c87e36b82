"""What models share that draw a window of frames again, and score by how badly."""

import tensorflow as tf

from zoo.layers import recent_windows, unfold_time
from zoo.models.error_scorer import ErrorScorer


class WindowReconstructor(ErrorScorer):
    """A model that scores each frame by how badly it draws the end of the window up to it.

    The error of a frame is that of the last frame of the `window` frames that end there, drawn
    again by `_reconstruct`: causal, and the same live as in a whole video.

    Args:
        window: Frames of the window, at least 2.
        **kwargs: Arguments of `ErrorScorer` and `VideoModel`.
    """

    def __init__(self, window=8, **kwargs):
        super().__init__(**kwargs)
        if window < 2:
            raise ValueError(f"`window` must be at least 2. Received: window={window}")
        self.window = window

    @property
    def warm_up(self):
        """Frames that score 0: those without a whole window."""
        return self.window - 1

    def _reconstruct(self, clip):
        """`(batch, time, height, width, channels)` in [0, 1] -> the same, drawn again."""
        raise NotImplementedError

    def _last_frames(self, windows):
        """`(n, window, height, width, channels)` -> what their last frames are compared with."""
        return self._reconstruct(windows)[:, -1]

    def _initial_state(self, batch, height, width):
        recent = tf.zeros((batch, self.window - 1, height, width, self.channels), tf.float32)
        return {"recent_frames": recent, "frames_seen": tf.zeros((batch,), tf.int32)}

    def _advance(self, frames, state):
        count = frames.shape[1] or tf.shape(frames)[1]
        windows, recent = recent_windows(
            frames, state["recent_frames"], state["frames_seen"], self.window
        )
        shape = tf.shape(windows)
        windows = tf.reshape(windows, tf.concat([[-1], shape[2:]], axis=0))
        windows = tf.ensure_shape(windows, [None, self.window, *frames.shape[2:]])
        drawn = unfold_time(self._last_frames(windows), count)
        score, score_map = self._scored(tf.square(frames - drawn), state["frames_seen"])
        return {
            "score": score,
            "score_map": score_map,
            "state": {
                "recent_frames": recent,
                "frames_seen": state["frames_seen"] + count,
            },
        }

    def get_config(self):
        return {**super().get_config(), "window": self.window}
