"""What encoders share that carry a state from frame to frame."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.layers import RecurrentEncoder, ScanEncoder

CLIP = np.random.default_rng(0).uniform(size=(2, 6, 16, 24, 1)).astype("float32")
ENCODERS = {
    "recurrent": lambda: RecurrentEncoder(filters=(3, 4, 5), state_filters=(2, 6)),
    "scan": lambda: ScanEncoder(filters=(3, 4, 5), scan_filters=(2, 6), scan_layers=2),
    # With as many channels below as in it, a layer adds to what is below.
    "residual scan": lambda: ScanEncoder(filters=(3, 4, 6), scan_filters=(1, 6), scan_layers=2),
}


@pytest.fixture(params=ENCODERS)
def encoder(request):
    return ENCODERS[request.param]()


@pytest.fixture
def state(encoder):
    return {name: tf.zeros((2, *shape)) for name, shape in encoder.state_shapes(16, 24).items()}


def test_observing_in_pieces_gives_the_grid_of_the_whole(encoder, state):
    grid = encoder(CLIP)
    assert grid.shape == (2, 6, 2, 3, 13) and grid.dtype == tf.float32
    assert encoder.compute_output_shape(CLIP.shape) == grid.shape
    pieces = []
    for start, stop in ((0, 1), (1, 4), (4, 6)):
        maps, state = encoder.observe(CLIP[:, start:stop], state, tf.fill((2,), start))
        pieces.append(encoder.grid(maps))
    np.testing.assert_allclose(tf.concat(pieces, axis=1), grid, atol=1e-6)


def test_the_first_frame_does_not_count_as_a_change(encoder, state):
    still = np.repeat(CLIP[:, :1], 2, axis=1)
    maps, _ = encoder.observe(still, state, tf.zeros((2,), tf.int32))
    np.testing.assert_allclose(maps["frame_8"][:, 0], maps["frame_8"][:, 1], atol=1e-6)


def test_a_size_that_does_not_fit_is_named(encoder):
    with pytest.raises(ValueError, match="height of `clip` must be a multiple of 8"):
        encoder(CLIP[:, :, :9])
