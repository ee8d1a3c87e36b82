"""The encoder over space and time: what a place of its grid sees."""

import keras
import numpy as np

from zoo.layers import NeighbourEncoder

CLIP = np.random.default_rng(0).uniform(size=(1, 11, 16, 24, 1)).astype("float32")


def test_reaches_one_frame_at_the_entrance_and_one_more_in_the_block():
    encoder = NeighbourEncoder(filters=(4, 6, 8))
    moved = CLIP.copy()
    moved[:, 5] = 1 - moved[:, 5]
    grid, other = np.asarray(encoder(CLIP)), np.asarray(encoder(moved))
    assert grid.shape == (1, 11, 2, 3, 16) and encoder.depth == 16
    for part, reached in ((slice(8), [4, 5, 6]), (slice(8, 16), [3, 4, 5, 6, 7])):
        differs = np.any(grid[..., part] != other[..., part], axis=(0, 2, 3, 4))
        np.testing.assert_array_equal(differs.nonzero()[0], reached)


def test_configuration_and_shape_are_known_without_a_call():
    encoder = NeighbourEncoder(channels=3, filters=(4, 6, 8))
    again = keras.layers.deserialize(keras.layers.serialize(encoder))
    assert again.get_config() == encoder.get_config()
    assert again.compute_output_shape((None, 5, 16, None, 3)) == (None, 5, 2, None, 16)
