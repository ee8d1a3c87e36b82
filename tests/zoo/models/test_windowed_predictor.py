"""The memory of windows, on a model whose predictions are known: the mean of its window."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.models.windowed_predictor import WindowedPredictor


class MeanOfWindow(WindowedPredictor):
    verbs = ("rollout", "score", "score_map", "step")

    def _predict(self, maps, frames, seed=None):
        return tf.repeat(tf.reduce_mean(maps["window"], axis=2)[:, :, None], self.horizons, axis=2)


@pytest.fixture
def model():
    model = MeanOfWindow(context_frames=3, horizons=2, score_horizon=2, score_pooling="mean")
    model.built = True
    return model


def test_a_frame_is_scored_against_what_its_window_said(model):
    clip = np.random.default_rng(0).uniform(size=(2, 12, 8, 16, 1)).astype("float32")
    expected = np.zeros((2, 12))
    for t in range(model.warm_up, 12):
        predicted = clip[:, t - 4 : t - 1].mean(axis=1)  # made at t - 2 from the three up to it
        expected[:, t] = np.square(clip[:, t] - predicted).mean(axis=(1, 2, 3))
    assert model.warm_up == 4
    np.testing.assert_allclose(model.score(clip), expected, rtol=1e-4)
    state = model.initial_state(2, 8, 16)
    for t in range(12):
        out = model.step(clip[:, t], state)
        state = out["state"]
        np.testing.assert_allclose(out["score"], expected[:, t], rtol=1e-4)


def test_a_rollout_sees_its_own_frames_in_the_window(model):
    clip = np.random.default_rng(0).uniform(size=(1, 5, 8, 8, 1)).astype("float32")
    frames = list(clip[0])
    for _ in range(4):
        frames.append(np.mean(frames[-3:], axis=0))
    np.testing.assert_allclose(model.rollout(clip, 4)[0], frames[5:], rtol=1e-5)


def test_a_window_of_no_frames_is_refused():
    with pytest.raises(ValueError, match="`context_frames` must be at least 1.*context_frames=0"):
        MeanOfWindow(context_frames=0)
