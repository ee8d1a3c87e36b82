"""What predictors share that see the last few frames and nothing before them."""

from zoo.layers import recent_windows
from zoo.models.future_predictor import FuturePredictor


class WindowedPredictor(FuturePredictor):
    """A predictor whose whole memory is the window of the last `context_frames` frames.

    A subclass defines `_predict(maps, frames, seed)`, where `maps["window"]` is float32
    `(batch, n, context_frames, height, width, channels)`: the window that ends at each frame.

    Args:
        context_frames: Frames of the window, at least 1.
        **kwargs: Arguments of `FuturePredictor`, `ErrorScorer` and `VideoModel`.
    """

    def __init__(self, context_frames=4, **kwargs):
        super().__init__(**kwargs)
        if context_frames < 1:
            raise ValueError(
                f"`context_frames` must be at least 1. Received: context_frames={context_frames}"
            )
        self.context_frames = context_frames

    @property
    def warm_up(self):
        """Frames that score 0: those whose prediction was not made from a whole window."""
        return self.score_horizon + self.context_frames - 1

    def _state_shapes(self, height, width):
        return {"recent_frames": (self.context_frames - 1, height, width, self.channels)}

    def _observe(self, frames, state):
        windows, recent = recent_windows(
            frames, state["recent_frames"], state["frames_seen"], self.context_frames
        )
        return {"window": windows}, {"recent_frames": recent}

    def get_config(self):
        return {**super().get_config(), "context_frames": self.context_frames}
