"""Scoring by windows drawn again, on a model that draws the mean of its window."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.evaluation.scoring import score_video
from zoo.models.window_reconstructor import WindowReconstructor


class MeanOfWindow(WindowReconstructor):
    verbs = ("reconstruct", "score", "score_map", "step")

    def _reconstruct(self, clip):
        return tf.repeat(tf.reduce_mean(clip, axis=1, keepdims=True), clip.shape[1], axis=1)


@pytest.fixture
def model():
    model = MeanOfWindow(window=4, score_pooling="mean")
    model.built = True
    return model


def test_a_frame_is_scored_by_the_window_that_ends_there(model):
    clip = np.random.default_rng(0).uniform(size=(2, 19, 8, 16, 1)).astype("float32")
    expected = np.zeros((2, 19))
    for t in range(3, 19):
        drawn = clip[:, t - 3 : t + 1].mean(axis=1)
        expected[:, t] = np.square(clip[:, t] - drawn).mean(axis=(1, 2, 3))
    assert model.warm_up == 3
    np.testing.assert_allclose(model.score(clip), expected, rtol=1e-4)
    state = model.initial_state(2, 8, 16)
    for t in range(19):
        out = model.step(clip[:, t], state)
        state = out["state"]
        assert "prediction" not in out
        np.testing.assert_allclose(out["score"], expected[:, t], rtol=1e-4)
    # Without a prediction the papers' error of a frame is that of what was drawn of it.
    scored = score_video(model, [clip[0, :7], clip[0, 7:]])
    np.testing.assert_allclose(scored["frame_error"], expected[0], rtol=1e-4)


def test_a_window_of_one_frame_is_refused():
    with pytest.raises(ValueError, match="`window` must be at least 2.*window=1"):
        MeanOfWindow(window=1)
