"""One small model, exported once for all tests that only read it."""

import numpy as np
import pytest

import exports
import zoo


@pytest.fixture(scope="session")
def model():
    return zoo.load(
        "convlstm_vae",
        weights=None,
        filters=(4, 6, 8),
        state_filters=(4, 6),
        decoder_filters=(6, 6, 6),
        latent_dim=2,
        score_horizon=4,
        clip_shape=(12, 32, 48, 1),
    )


@pytest.fixture(scope="session")
def exported(model, tmp_path_factory):
    """Folder of version 1 of `model`, whose `rollout` predicts 3 frames."""
    return exports.export(model, tmp_path_factory.mktemp("served"), rollout_steps=3)


@pytest.fixture(scope="session")
def clip():
    """uint8 (2, 12, 32, 48, 1): a square that goes right, and one that goes down faster."""
    frames = np.full((2, 12, 32, 48, 1), 60, np.uint8)
    for time in range(12):
        frames[0, time, 8:20, 2 * time : 2 * time + 12] = 220
        frames[1, time, time : time + 8, 20:30] = 140
    return frames
