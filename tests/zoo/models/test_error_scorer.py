"""Scoring out of errors: the pooling, against NumPy."""

import numpy as np
import pytest

from zoo.models.error_scorer import ErrorScorer, block_mean


def pool(score_map, **arguments):
    return np.asarray(ErrorScorer(**arguments)._pool(score_map))


@pytest.mark.parametrize("window", [8, 16, 24])
@pytest.mark.parametrize("size", [(2, 3), (4, 5), (1, 1), (1, 4)])
def test_the_score_is_the_largest_window(window, size):
    score_map = np.random.default_rng(0).uniform(size=(2, 3, *size)).astype("float32")
    down, across = (min(window // 8, side) for side in size)
    views = np.lib.stride_tricks.sliding_window_view(score_map, (down, across), axis=(2, 3))
    expected = views.mean(axis=(-2, -1)).max(axis=(2, 3))
    np.testing.assert_allclose(pool(score_map, score_window=window), expected, rtol=1e-5)


def test_mean_pooling_is_the_mean_squared_error_of_the_frame():
    error = np.random.default_rng(0).uniform(size=(2, 3, 16, 24, 3)).astype("float32")
    score = pool(block_mean(error), score_pooling="mean")
    np.testing.assert_allclose(score, error.mean(axis=(2, 3, 4)), rtol=1e-5)


def test_blocks_are_of_eight_pixels():
    error = np.zeros((1, 1, 16, 24, 1), "float32")
    error[0, 0, 9, 17] = 64.0
    expected = np.zeros((1, 1, 2, 3))
    expected[0, 0, 1, 2] = 1.0
    np.testing.assert_allclose(block_mean(error), expected)
