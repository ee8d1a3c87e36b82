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
    rows = np.arange(2)[:, None]
    total = moved.sum(axis=(2, 3), keepdims=True)
    centre = (moved * rows).sum(axis=(2, 3), keepdims=True) / total
    spread = np.sqrt((moved * (rows - centre) ** 2).sum(axis=(2, 3), keepdims=True) / total)
    expected = []
    for sign in (-1, 1):
        share = 1 / (1 + np.exp(-sign * 4 * (rows - centre) / (spread + 0.5)))
        weights = share * moved
        weights = (weights / weights.sum(axis=(2, 3), keepdims=True))[..., None]
        mean = (weights * grid[:, 1:]).sum(axis=(2, 3))
        change = (weights * np.abs(np.diff(grid, axis=1))).sum(axis=(2, 3))
        expected += [mean.mean(axis=1), mean.std(axis=1), change.mean(axis=1)]
    expected = np.concatenate(expected, axis=-1)
    np.testing.assert_allclose(motion_statistics(grid, clip), expected, rtol=1e-3, atol=1e-4)
    # What stands still has no part in it.
    still = clip.copy()
    still[:, :, :, 8:] = 0.5
    other = grid.copy()
    other[:, :, :, 1:] += 9.0
    np.testing.assert_allclose(
        motion_statistics(grid, still), motion_statistics(other, still), atol=1e-3
    )


def test_upper_and_lower_half_follow_what_moves():
    clip = np.zeros((2, 6, 64, 32, 1), "float32")
    grid = np.zeros((2, 6, 8, 4, 2), "float32")
    # The same figure, three descriptors high, at two heights of the frame: a head and feet.
    for number, top in enumerate((1, 4)):
        flicker = np.arange(6)[:, None, None, None] % 2
        clip[number, :, 8 * top : 8 * top + 24, 8:16] = flicker
        grid[number, :, top, 1, 0] = grid[number, :, top + 2, 1, 1] = 1.0
    found = motion_statistics(grid, clip).numpy()
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)
    upper, lower = found[0, :2], found[0, 6:8]
    assert upper[0] > 0.6 and upper[1] < 0.05
    assert lower[1] > 0.6 and lower[0] < 0.05


def test_where_nothing_moves_all_places_count_alike():
    grid = np.random.default_rng(0).normal(size=(1, 4, 2, 3, 5)).astype("float32")
    found = motion_statistics(grid, np.full((1, 4, 16, 24, 1), 0.3, "float32"))
    # Of two rows, half is above the centre and half below.
    upper, lower = found[:, :5], found[:, 15:20]
    np.testing.assert_allclose((upper + lower) / 2, grid[:, 1:].mean(axis=(1, 2, 3)), atol=1e-5)


def test_of_a_single_frame_there_is_no_motion():
    with pytest.raises(tf.errors.InvalidArgumentError, match="`clip` must have at least 2 frames"):
        motion_statistics(np.zeros((1, 1, 2, 3, 5)), np.zeros((1, 1, 16, 24, 1), "float32"))
