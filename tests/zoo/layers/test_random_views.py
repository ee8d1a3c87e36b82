import numpy as np
import pytest
import tensorflow as tf

from zoo.layers.random_views import shifted_and_lit


def test_a_video_is_shifted_as_a_whole_and_lit_as_a_whole():
    video = np.zeros((2, 3, 16, 24, 1), "float32")
    video[:, :, 8, 12] = 0.5
    seen = set()
    for seed in range(12):
        view = np.asarray(shifted_and_lit(tf.constant(video), tf.constant([seed, 1])))
        light = view.min(axis=(1, 2, 3, 4), keepdims=True)
        assert np.all(np.abs(light) <= 0.1) and light[0] != light[1]
        places = np.argwhere(view - light > 0.4)
        assert len(places) == 6, "one in each frame of each video"
        place = {tuple(p[2:4]) for p in places}
        [(row, column)] = place
        assert abs(row - 8) <= 2 and abs(column - 12) <= 3
        seen |= place
    assert len(seen) > 5


def test_equal_seeds_give_equal_views_and_a_gradient_passes():
    video = tf.random.stateless_uniform((1, 2, 16, 16, 1), (0, 0))
    np.testing.assert_array_equal(shifted_and_lit(video, (3, 4)), shifted_and_lit(video, (3, 4)))
    with tf.GradientTape() as tape:
        tape.watch(video)
        total = tf.reduce_sum(shifted_and_lit(video, (3, 4)))
    gradient = tape.gradient(total, video)
    # Mirrored pixels count twice and those shifted out not at all: as many as there are.
    assert float(tf.reduce_sum(gradient)) == pytest.approx(2 * 16 * 16)
