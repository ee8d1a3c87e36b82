"""Fixtures that tests of several commands share."""

import json

import pytest

import zoo

OVERRIDES = {
    "filters": [4, 4, 8],
    "state_filters": [4, 4],
    "decoder_filters": [4, 4, 4],
    "clip_shape": [16, 32, 48, 1],
    "score_horizon": 2,
}


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """A finished run folder with a small model that learnt nothing; not to be written to."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    folder.mkdir()
    arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in OVERRIDES.items()}
    model = zoo.load("convlstm_vae", weights=None, **arguments)
    model.save_weights(folder / "model.weights.h5")
    config = {"preset": "convlstm_vae/ucsd_ped2", "overrides": OVERRIDES}
    (folder / "config.json").write_text(json.dumps(config))
    record = {
        "command": "zoo train convlstm_vae --data /disk/corner --out runs/small",
        "arguments": {"data": "/disk/corner"}, "seed": 0, "minutes": 2.5, "versions": {},
        "status": "finished",
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    return folder
