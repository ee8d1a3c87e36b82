"""The linear transform of patches, against SciPy's cosine transform."""

import keras
import numpy as np
import pytest
import scipy.fft
import tensorflow as tf

from zoo.layers import PatchTransform

RNG = np.random.default_rng(0)
CLIP = RNG.normal(size=(2, 4, 16, 24, 1)).astype("float32")


def built(*arguments, **keywords):
    transform = PatchTransform(*arguments, **keywords)
    transform.build()
    return transform


def blocks(clip):
    """Cosine transform of each block of 4x8x8 of one channel: `(batch, down, across, 4, 8, 8)`."""
    grid = clip[..., 0].reshape(len(clip), 4, 2, 8, 3, 8).transpose(0, 2, 4, 1, 3, 5)
    return scipy.fft.dctn(grid, axes=(3, 4, 5), norm="ortho")


def test_starts_as_the_lowest_frequencies_of_the_cosine_transform():
    code = np.asarray(built(4, 7).analyse(CLIP))
    cosines = blocks(CLIP)
    # By frequency: brightness, one half-cycle across and down, both, two, two, two and one.
    order = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (0, 0, 2), (0, 2, 0), (0, 1, 2)]
    for index, place in enumerate(order):
        scale = 0.4 / max(np.linalg.norm(place), 0.15)
        expected = cosines[(..., *place)] / scale
        np.testing.assert_allclose(code[..., index], expected, rtol=1e-3, atol=1e-4)


def test_draws_the_projection_on_them_at_first():
    transform = built(4, 16)
    kept = np.zeros((4, 8, 8), bool)
    for place in np.ndindex(kept.shape):
        kept[place] = np.linalg.norm(np.multiply(place, (3, 1, 1))) < 3.2
    assert kept.sum() == 16 and kept[1, 0, 1]  # some of them move
    projected = scipy.fft.idctn(blocks(CLIP) * kept, axes=(3, 4, 5), norm="ortho")
    expected = projected.transpose(0, 3, 1, 4, 2, 5).reshape(CLIP.shape)
    np.testing.assert_allclose(transform(CLIP), expected, atol=1e-4)
    # All of them lose nothing.
    np.testing.assert_allclose(built(4, 256)(CLIP), CLIP, atol=1e-4)


def test_colour_starts_grey():
    colour = np.repeat(CLIP, 3, axis=-1)
    drawn = np.asarray(built(4, 256, channels=3)(colour))
    np.testing.assert_allclose(drawn, colour, atol=1e-4)


def test_is_linear_float32_and_reaches_into_the_patches_beside():
    transform = built(4, 5, dtype="mixed_bfloat16")
    transform.set_weights([RNG.normal(size=w.shape) for w in transform.get_weights()])
    one, other = (transform.analyse(tf.cast(c, tf.bfloat16)) for c in (CLIP, CLIP[::-1]))
    assert one.dtype == tf.float32 and transform.synthesise(one).dtype == tf.float32
    both = transform.synthesise(2.0 * one - other)
    expected = 2.0 * transform.synthesise(one) - transform.synthesise(other)
    np.testing.assert_allclose(both, expected, rtol=1e-3, atol=1e-2)
    moved = CLIP.copy()
    moved[:, :, :, 8:16] += 1  # the middle of three patches
    differs = np.asarray(transform.analyse(moved) != transform.analyse(CLIP))
    np.testing.assert_array_equal(np.any(differs, axis=(0, 1, 3)), [True, True, True])


def test_configuration_round_trip():
    transform = PatchTransform(4, 5, channels=3, name="patches")
    again = keras.layers.deserialize(keras.layers.serialize(transform))
    assert again.get_config() == transform.get_config() and again.dim == 5


@pytest.mark.parametrize("dim", [0, 129])
def test_a_dim_out_of_range_is_named(dim):
    with pytest.raises(ValueError, match=f"`dim` must be from 1 to 128.*dim={dim}"):
        PatchTransform(2, dim)
