import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import augmentations


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_flip_mirrors_all_frames_in_half_of_the_draws(twice):
    clip, mirrored = noise(3, 4, 5, 1), 0
    twice(augmentations.random_flip, clip, np.array([0, 1], np.int32))
    for seed in range(60):
        found = augmentations.random_flip(clip, tf.constant([0, seed])).numpy()
        if np.array_equal(found, clip[:, :, ::-1]):
            mirrored += 1
        else:
            np.testing.assert_array_equal(found, clip)
    assert 18 <= mirrored <= 42


def test_brightness_is_one_line_for_the_whole_clip(twice):
    levels = np.arange(60, 180, dtype=np.uint8).reshape(2, 6, 10, 1)
    gains, offsets = [], []
    twice(augmentations.random_brightness, levels, np.array([1, 0], np.int32))
    for seed in range(40):
        found = augmentations.random_brightness(levels, tf.constant([1, seed])).numpy()
        gain, offset = np.polyfit(levels.ravel().astype(float), found.ravel().astype(float), 1)
        assert np.abs(found.ravel() - (gain * levels.ravel() + offset)).max() < 0.6
        gains.append(gain - 1)
        offsets.append(offset / 255)
    assert 0.10 < max(np.abs(gains)) <= 0.151
    assert 0.05 < max(np.abs(offsets)) <= 0.085


@pytest.mark.parametrize("name", ["random_flip", "random_brightness"])
def test_the_same_seed_draws_the_same(name):
    clip, seed = noise(3, 8, 8, 1), tf.constant([4, 5])
    function = getattr(augmentations, name)
    np.testing.assert_array_equal(function(clip, seed), function(clip, seed))
