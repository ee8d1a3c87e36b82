"""The encoder of quasi-recurrent layers, in pieces and whole."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.layers import ScanEncoder

CLIP = np.random.default_rng(0).uniform(size=(2, 6, 16, 24, 1)).astype("float32")


def test_observing_in_pieces_gives_the_grid_of_the_whole():
    # With as many channels below as in it, a layer adds to what is below; with others it does not.
    for coarse in (5, 6):
        encoder = ScanEncoder(filters=(3, 4, 5), scan_filters=(2, coarse), scan_layers=2)
        grid = encoder(CLIP)
        assert grid.shape == (2, 6, 2, 3, 7 + coarse) and grid.dtype == tf.float32
        assert encoder.compute_output_shape(CLIP.shape) == grid.shape
        state = {name: tf.zeros((2, *s)) for name, s in encoder.state_shapes(16, 24).items()}
        pieces = []
        for start, stop in ((0, 1), (1, 4), (4, 6)):
            maps, state = encoder.observe(CLIP[:, start:stop], state, tf.fill((2,), start))
            pieces.append(encoder.grid(maps))
        np.testing.assert_allclose(tf.concat(pieces, axis=1), grid, atol=1e-6)


def test_later_layers_see_further():
    encoder = ScanEncoder(filters=(3, 4, 5), scan_filters=(2, 5), scan_layers=3)
    clip = np.full((1, 3, 16, 160, 1), 0.5, "float32")
    altered = clip.copy()
    altered[:, 1, :, :8] = 1.0
    reached = []
    for layers in (1, 3):
        encoder = ScanEncoder(filters=(3, 4, 5), scan_filters=(2, 5), scan_layers=layers)
        differs = np.any(np.asarray(encoder(clip) != encoder(altered)), axis=(0, 1, 2, 4))
        reached.append(np.flatnonzero(differs).max())
    # A 3x3 convolution each, at 1/8 of the frame.
    assert reached[1] == reached[0] + 2


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="`scan_layers` must be at least 1. Received: scan_lay"):
        ScanEncoder(scan_layers=0)
