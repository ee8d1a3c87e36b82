"""Fixtures that all tests share."""

import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
REAL_DATA_VARIABLE = "ZOO_REAL_DATA"
# The fixture with one value for each preset, whose tests may go to different workers.
PER_MODEL = "preset_name"


@pytest.fixture(scope="session")
def real_data():
    """`Path` of the folder of recorded footage; a test that asks for it skips where there is none.

    It is what the environment variable `ZOO_REAL_DATA` names, else `shared/data` beside the
    repository.
    """
    named = os.environ.get(REAL_DATA_VARIABLE)
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(
            f"no recorded footage at {folder}; set {REAL_DATA_VARIABLE} to a folder that holds "
            "ucsd_ped2, weizmann, mnist and clips"
        )
    return folder


@pytest.fixture(autouse=True)
def _seeds():
    """Tests that draw without naming a seed still draw the same each time, in any order."""
    random.seed(0)
    np.random.seed(0)
    # Where Keras is not loaded it draws nothing, and loading it takes seconds.
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


def pytest_generate_tests(metafunc):
    """Runs what asks for a `preset_name` over the catalogue, each structure once.

    Presets of one class that are alike when small differ in size and footage alone.
    """
    if PER_MODEL in metafunc.fixturenames:
        from zoo.presets import PRESETS

        alike = {(preset.model_class, str(preset.small)): name
                 for name, preset in reversed(PRESETS.items())}  # fmt: skip
        metafunc.parametrize(PER_MODEL, sorted(alike.values()), scope="module")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Deals the tests out to the workers; skips those marked `gpu` where TensorFlow sees none."""
    groups = {}
    for item in items:
        groups.setdefault(_group(item), []).append(item)
    for name, group in groups.items():
        for item in group:
            item.add_marker(pytest.mark.xdist_group(name))

    # What takes long goes first, so that no worker is left alone with it at the end.
    def lasts(group):
        return any(item.get_closest_marker("slow") for item in group)

    ordered = sorted(groups.values(), key=lasts, reverse=True)
    items[:] = [item for group in ordered for item in group]
    _skip_gpu(items)


def _group(item):
    """What shares fixtures and so runs in one process: a file, or a model within one."""
    parameters = getattr(item, "callspec", None)
    model = parameters.params.get(PER_MODEL) if parameters else None
    path = str(item.path.relative_to(ROOT))
    # xdist takes no group from a name with a bracket in it.
    return f"{path}:{model}" if model else path


def _skip_gpu(items):
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a GPU; TensorFlow sees none"))
