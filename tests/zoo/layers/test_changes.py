"""Frames ahead as changes from a frame."""

import numpy as np

from zoo.layers import add_change, add_changes


def test_changes_are_laid_out_by_horizon_and_channel():
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(2, 3, 4, 5, 3)).astype("float32")
    changes = rng.normal(size=(6, 4, 5, 12)).astype("float32")
    ahead = np.asarray(add_changes(frames, changes, 4))
    assert ahead.shape == (2, 3, 4, 4, 5, 3)
    for horizon in range(4):
        expected = frames + changes.reshape(2, 3, 4, 5, 4, 3)[..., horizon, :]
        np.testing.assert_allclose(ahead[:, :, horizon], expected, rtol=1e-6)
        np.testing.assert_allclose(add_change(frames, changes, horizon + 1), expected, rtol=1e-6)
