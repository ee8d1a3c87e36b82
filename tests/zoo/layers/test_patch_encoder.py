"""Patches and states of the encoder that sees frames as grids."""

import numpy as np
import pytest

from zoo.layers import PatchEncoder

CLIP = np.random.default_rng(0).uniform(size=(2, 3, 16, 24, 3)).astype("float32")


def observed(encoder):
    encoder.build()
    state = {
        name: np.zeros((2, *shape), "float32")
        for name, shape in encoder.state_shapes(16, 24).items()
    }
    return encoder.observe(CLIP, state)


@pytest.mark.parametrize("patch", [4, 8])
def test_the_pixels_of_a_patch_become_its_channels(patch):
    maps, state = observed(PatchEncoder(3, (5, 4), patch))
    expected = CLIP.reshape(2, 3, 16 // patch, patch, 24 // patch, patch, 3)
    expected = expected.transpose(0, 1, 2, 4, 3, 5, 6).reshape(*maps["patches"].shape)
    np.testing.assert_array_equal(maps["patches"], expected)
    assert maps["hidden_1"].shape == (2, 3, 16 // patch, 24 // patch, 4)
    np.testing.assert_array_equal(state["cell_0"], maps["cell_0"][:, -1])


def test_every_frame_is_a_start_of_its_own():
    encoder = PatchEncoder(3, (5, 4))
    maps, _ = observed(encoder)
    states = encoder.states(maps)
    assert len(states) == 2
    for index, (hidden, cell) in enumerate(states):
        for row, (batch, time) in enumerate(np.ndindex(2, 3)):
            np.testing.assert_array_equal(hidden[row], maps[f"hidden_{index}"][batch, time])
            np.testing.assert_array_equal(cell[row], maps[f"cell_{index}"][batch, time])


def test_a_patch_that_does_not_divide_the_stride_is_named():
    with pytest.raises(ValueError, match="`patch` must be 1, 2, 4 or 8. Received: patch=5"):
        PatchEncoder(1, (4,), patch=5)
