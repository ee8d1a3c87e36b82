"""Frames to maps and maps to frames."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.layers import FrameDecoder, FrameEncoder


def test_encoder_halves_at_each_level():
    levels = FrameEncoder((3, 4, 5))(tf.zeros((2, 16, 24, 1)))
    assert [tuple(level.shape) for level in levels] == [
        (2, 8, 12, 3), (2, 4, 6, 4), (2, 2, 3, 5),
    ]  # fmt: skip


def test_decoder_uses_every_level_and_gives_the_full_size():
    decoder = FrameDecoder((4, 6, 8), outputs=2)
    rng = np.random.default_rng(0)
    levels = [
        tf.Variable(rng.normal(size=(1, 16 // 2**i, 24 // 2**i, 3 + i)), dtype=tf.float32)
        for i in (1, 2, 3)
    ]
    decoder.build([level.shape for level in levels])
    with tf.GradientTape() as tape:
        image = decoder(levels)
        total = tf.reduce_sum(tf.square(image))
    assert image.shape == (1, 16, 24, 2)
    for gradient in tape.gradient(total, levels):
        assert float(tf.reduce_max(tf.abs(gradient))) > 0


def test_decoder_starts_near_zero_but_not_at_it():
    decoder = FrameDecoder((4, 6, 8))
    levels = [tf.random.stateless_normal((1, s, s, 4), (0, s)) for s in (16, 8, 4)]
    decoder.build([level.shape for level in levels])
    largest = float(tf.reduce_max(tf.abs(decoder(levels))))
    assert 0 < largest < 1


@pytest.mark.parametrize("filters", [(5, 6, 8), (4, 6), (4, 6, 8, 8), (0, 6, 8), (4, 6, 0)])
def test_decoder_filters_that_do_not_fit_are_named(filters):
    message = r"`filters` must (hold 3 whole numbers of at least 1|be even, since).*filters=\("
    with pytest.raises(ValueError, match=message):
        FrameDecoder(filters)
