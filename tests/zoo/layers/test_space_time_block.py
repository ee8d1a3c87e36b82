"""Factorised convolutions over space and time, against TensorFlow's three-dimensional ones."""

import numpy as np
import tensorflow as tf

from zoo.layers import SpaceTimeBlock, fold_time, unfold_time, with_neighbours

RNG = np.random.default_rng(0)


def shaken_block(filters):
    block = SpaceTimeBlock(filters)
    block.build()
    block.set_weights([RNG.normal(scale=0.3, size=w.shape) for w in block.get_weights()])
    return block


def test_a_convolution_of_neighbours_is_a_three_dimensional_one():
    clip = RNG.normal(size=(2, 6, 8, 10, 3)).astype("float32")
    kernel = RNG.normal(size=(3, 3, 3, 3, 4)).astype("float32")  # time first
    still = np.concatenate([clip[:, :1], clip, clip[:, -1:]], axis=1)
    padded = np.pad(still, [(0, 0), (0, 0), (1, 1), (1, 1), (0, 0)])
    expected = tf.nn.conv3d(padded, kernel, [1] * 5, "VALID")
    flat = np.transpose(kernel, (1, 2, 0, 3, 4)).reshape(3, 3, 9, 4)
    actual = tf.nn.conv2d(fold_time(with_neighbours(clip)), flat, 1, "SAME")
    np.testing.assert_allclose(unfold_time(actual, 6), expected, atol=1e-4)


def test_a_block_is_a_residual_of_two_three_dimensional_convolutions():
    block = shaken_block(4)
    over_space, space_bias, over_time, time_bias = block.get_weights()
    clip = RNG.normal(size=(2, 5, 6, 8, 4)).astype("float32")

    def leaky(values):
        return np.where(values > 0, values, 0.1 * values)

    maps = leaky(tf.nn.conv3d(clip, over_space[None], [1] * 5, "SAME") + space_bias)
    still = np.concatenate([maps[:, :1], maps, maps[:, -1:]], axis=1)
    kernel = over_time.reshape(3, 1, 1, 4, 4)
    expected = clip + leaky(tf.nn.conv3d(still, kernel, [1] * 5, "VALID") + time_bias)
    np.testing.assert_allclose(block(clip), expected, atol=1e-5)


def test_time_height_and_width_may_be_free():
    block = shaken_block(4)
    free = tf.function(
        block, input_signature=[tf.TensorSpec([None, None, None, None, 4])], autograph=False
    )
    for shape in ((1, 1, 8, 8, 4), (2, 5, 6, 4, 4)):
        clip = RNG.normal(size=shape).astype("float32")
        np.testing.assert_allclose(free(clip), block(clip), atol=1e-5)
