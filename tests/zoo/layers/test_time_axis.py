"""Folding time into the batch and back."""

import numpy as np
import tensorflow as tf

from zoo.layers import fold_time, unfold_time


def test_folds_frames_in_order_and_back():
    clip = np.arange(2 * 3 * 4 * 5, dtype="float32").reshape(2, 3, 4, 5, 1)
    folded = fold_time(clip)
    np.testing.assert_array_equal(folded[4], clip[1, 1])
    np.testing.assert_array_equal(unfold_time(folded, 3), clip)
    np.testing.assert_array_equal(unfold_time(folded, tf.constant(3)), clip)


def test_keeps_the_static_shape_that_is_known():
    @tf.function(input_signature=[tf.TensorSpec([None, None, 4, None, 2])], autograph=False)
    def fold(clip):
        folded = fold_time(clip)
        assert folded.shape.as_list() == [None, 4, None, 2]
        assert unfold_time(folded, 3).shape.as_list() == [None, 3, 4, None, 2]
        return folded

    assert fold(tf.zeros((2, 3, 4, 5, 2))).shape == (6, 4, 5, 2)


def test_folds_whatever_comes_after_time():
    for rest in ((), (3,), (4, 5), (3, 4, 5, 2)):
        values = np.random.default_rng(0).normal(size=(2, 6, *rest)).astype("float32")
        folded = fold_time(tf.constant(values))
        np.testing.assert_array_equal(folded, values.reshape(12, *rest))
        np.testing.assert_array_equal(unfold_time(folded, 6), values)
