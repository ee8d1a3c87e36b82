"""Kernels three frames deep, against TensorFlow's three-dimensional convolution."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.layers import SpaceTimeDecoder, SpaceTimeEncoder
from zoo.layers.space_time_codec import SpaceTimeConvolution, double_time

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("time_stride", [1, 2])
@pytest.mark.parametrize(("size", "space_stride"), [(3, 1), (5, 2)])
def test_it_is_a_convolution_over_time_and_space(time_stride, size, space_stride):
    clip = RNG.normal(size=(2, 6, 8, 12, 3)).astype("float32")
    layer = SpaceTimeConvolution(4, size, (time_stride, space_stride), activation=None)
    actual = layer(clip)
    kernel, bias = layer.get_weights()
    kernel = kernel.reshape(size, size, 3, 3, 4).transpose(2, 0, 1, 3, 4)  # time first
    still = np.concatenate([clip[:, :1], clip, clip[:, -1:]], axis=1)
    expected = [
        tf.nn.conv3d(still[:, t : t + 3], kernel, [1, 3, space_stride, space_stride, 1], "SAME")
        for t in range(time_stride - 1, 6, time_stride)
    ]
    # "Same" pads nothing in time, where one step takes in all three frames.
    np.testing.assert_allclose(actual, tf.concat(expected, axis=1) + bias, atol=1e-4)


def test_doubled_time_puts_the_first_half_first():
    maps = RNG.normal(size=(2, 3, 4, 5, 6)).astype("float32")
    doubled = double_time(tf.constant(maps)).numpy()
    assert doubled.shape == (2, 6, 4, 5, 3)
    np.testing.assert_array_equal(doubled[:, 0::2], maps[..., :3])
    np.testing.assert_array_equal(doubled[:, 1::2], maps[..., 3:])


def test_the_encoder_lets_the_first_frame_stand_before_a_clip():
    encoder = SpaceTimeEncoder(filters=(4, 6, 8), depth=5)
    clip = RNG.uniform(size=(2, 9, 16, 24, 1)).astype("float32")
    stood = np.concatenate([np.repeat(clip[:, :1], 3, axis=1), clip], axis=1)
    assert encoder(clip).shape == (2, 3, 2, 3, 5) == encoder.compute_output_shape(clip.shape)
    np.testing.assert_allclose(encoder(clip), encoder(stood), atol=1e-6)
    with pytest.raises(ValueError, match="width of `clip` must be a multiple of 8"):
        encoder(clip[..., :20, :])


def test_the_decoder_answers_the_encoder_with_all_sizes_free():
    encoder, decoder = SpaceTimeEncoder(filters=(4, 6, 8), depth=5), SpaceTimeDecoder((4, 6, 8), 3)
    free = tf.function(
        lambda clip: decoder(encoder(clip)),
        input_signature=[tf.TensorSpec([None, None, None, None, 1])],
        autograph=False,
    )
    for time, height, width in ((1, 8, 16), (8, 16, 8), (10, 24, 8)):
        clip = RNG.uniform(size=(2, time, height, width, 1)).astype("float32")
        assert free(clip).shape == (2, -(-time // 4) * 4, height, width, 3)
        np.testing.assert_allclose(free(clip), decoder(encoder(clip)), atol=1e-6)


def test_what_moves_early_in_a_clip_shows_early_in_its_grid_and_drawing():
    encoder, decoder = SpaceTimeEncoder(filters=(4, 6, 8), depth=5), SpaceTimeDecoder((4, 6, 8))
    clip = RNG.uniform(size=(1, 32, 8, 8, 1)).astype("float32")
    altered = clip.copy()
    altered[:, :2] = 0
    grid, changed = encoder(clip), encoder(altered)
    moved = np.any(np.asarray(grid != changed), axis=(0, 2, 3, 4))
    assert moved[0] and not moved[3:].any()
    drawn = np.any(np.asarray(decoder(grid) != decoder(changed)), axis=(0, 2, 3, 4))
    assert drawn[0] and not drawn[24:].any()
