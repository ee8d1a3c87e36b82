"""One vector per clip."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.layers import descriptor_statistics, motion_statistics


def test_matches_numpy():
    grid = np.random.default_rng(0).normal(size=(2, 5, 3, 4, 6)).astype("float32")
    expected = np.concatenate(
        [
            grid.mean(axis=(1, 2, 3)),
            grid.max(axis=(2, 3)).mean(axis=1),
            grid.std(axis=1).mean(axis=(1, 2)),
            np.abs(np.diff(grid, axis=1)).mean(axis=(1, 2, 3)),
        ],
        axis=-1,
    )
    np.testing.assert_allclose(descriptor_statistics(grid), expected, atol=1e-5)


def test_tells_the_order_of_frames_from_what_is_in_them():
    rng = np.random.default_rng(0)
    slow = np.linspace(0, 1, 8)[None, :, None, None, None] * rng.normal(size=(1, 1, 3, 4, 6))
    shuffled = slow[:, [0, 4, 1, 5, 2, 6, 3, 7]]
    difference = np.abs(descriptor_statistics(slow) - descriptor_statistics(shuffled))[0]
    assert difference[:18].max() < 1e-5 and difference[18:].max() > 0.1


def test_a_single_moment_does_not_change():
    grid = np.random.default_rng(0).normal(size=(2, 1, 3, 4, 6)).astype("float32")
    mean, largest = grid.mean(axis=(1, 2, 3)), grid.max(axis=(2, 3))[:, 0]
    expected = np.concatenate([mean, largest, np.zeros((2, 12))], axis=-1)
    np.testing.assert_allclose(descriptor_statistics(grid), expected, atol=1e-5)


def test_motion_weighs_the_places():
    rng = np.random.default_rng(0)
    grid = rng.normal(size=(2, 5, 2, 3, 6)).astype("float32")
    clip = rng.uniform(size=(2, 5, 16, 24, 3)).astype("float32")
    moved = np.abs(np.diff(clip, axis=1)).mean(axis=-1).reshape(2, 4, 2, 8, 3, 8).mean(axis=(3, 5))
    weights = (moved / moved.sum(axis=(2, 3), keepdims=True))[..., None]
    expected = np.concatenate(
        [
            (weights * grid[:, 1:]).sum(axis=(2, 3)).mean(axis=1),
            (weights * np.abs(np.diff(grid, axis=1))).sum(axis=(2, 3)).mean(axis=1),
        ],
        axis=-1,
    )
    np.testing.assert_allclose(motion_statistics(grid, clip), expected, rtol=1e-3, atol=1e-4)
    # What stands still has no part in it.
    still = clip.copy()
    still[:, :, :, 8:] = 0.5
    other = grid.copy()
    other[:, :, :, 1:] += 9.0
    np.testing.assert_allclose(
        motion_statistics(grid, still), motion_statistics(other, still), atol=1e-3
    )


def test_where_nothing_moves_all_places_count_alike():
    grid = np.random.default_rng(0).normal(size=(1, 4, 2, 3, 5)).astype("float32")
    found = motion_statistics(grid, np.full((1, 4, 16, 24, 1), 0.3, "float32"))
    np.testing.assert_allclose(found[:, :5], grid[:, 1:].mean(axis=(1, 2, 3)), atol=1e-5)


def test_of_a_single_frame_there_is_no_motion():
    with pytest.raises(tf.errors.InvalidArgumentError, match="`clip` must have at least 2 frames"):
        motion_statistics(np.zeros((1, 1, 2, 3, 5)), np.zeros((1, 1, 16, 24, 1), "float32"))
