"""Scoring and rollout of predictions, on a model whose predictions are known."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.models.future_predictor import FuturePredictor


class Darkening(FuturePredictor):
    """Says that frame t + k will be frame t darker by k tenths."""

    verbs = ("rollout", "score", "score_map", "step")

    def _state_shapes(self, height, width):
        return {}

    def _observe(self, frames, state):
        return {}, {}

    def _predict(self, maps, frames, seed=None):
        darker = 0.1 * tf.range(1.0, self.horizons + 1)
        return frames[:, :, None] - darker[:, None, None, None]


def darkening(**arguments):
    model = Darkening(score_pooling="mean", **arguments)
    model.built = True
    return model


@pytest.mark.parametrize("horizon", [1, 3])
def test_the_horizon_that_scores_is_the_one_asked_for(horizon):
    clip = np.full((1, 12, 8, 8, 1), 0.5, "float32")
    score = np.asarray(darkening(score_horizon=horizon).score(clip))[0]
    first = horizon + 3
    np.testing.assert_array_equal(score[:first], 0)
    # The frames stand still: each is off by what it was to darken by, horizon tenths.
    np.testing.assert_allclose(score[first:], (0.1 * horizon) ** 2, rtol=1e-4)


def test_a_rollout_is_clipped_to_what_a_frame_may_be():
    future = darkening().rollout(np.full((1, 2, 8, 8, 1), 0.25, "float32"), 4)
    np.testing.assert_allclose(np.asarray(future)[0, :, 0, 0, 0], [0.15, 0.05, 0, 0], atol=1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"horizons": 0}, "`horizons` must be at least 1.*horizons=0"),
        ({"score_horizon": 5}, "`score_horizon` must be from 1 to horizons=4.*score_horizon=5"),
        ({"observation_scale": 0.0}, "`observation_scale` must be above 0"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Darkening(**arguments)
