"""Fixtures that all tests share."""

import json
import os
import random
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
REAL_DATA_VARIABLE = "ZOO_REAL_DATA"
# The fixture with one value for each preset, whose tests may go to different workers.
PER_MODEL = "preset_name"
# Arguments that change neither the structure of a small model nor what it scores by.
OF_NO_STRUCTURE = ("clip_shape", "fps", "observation_scale", "pixel_mean")


@pytest.fixture(autouse=True)
def _kernels_of_the_start():
    """`zoo train` sets this for a TensorFlow yet to be loaded, as that of a child process.

    The one of this process has chosen its kernels already, which give other last bits.
    """
    name = "TF_ENABLE_ONEDNN_OPTS"
    before = os.environ.get(name)
    yield
    if before is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = before


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


@pytest.fixture(scope="session")
def shaken_model():
    """Gives a function from a preset's name to its small model: made once, and not to be changed.

    Weights at their initial scale predict almost the last frame; these are shaken, so that a wrong
    state or a wrong horizon shows.
    """
    import keras

    import zoo
    from zoo.registry import resolve

    made = {}

    def shaken(name):
        if name not in made:
            keras.utils.set_random_seed(0)
            rng = np.random.default_rng(0)
            model = zoo.load(name, weights=None, **resolve(name).small)
            model.set_weights([
                w + rng.normal(scale=0.1, size=w.shape) if w.dtype.kind == "f" else w
                for w in model.get_weights()
            ])  # fmt: skip
            if model.kl_weight is not None:
                model.kl_weight.assign(1.0)
            made[name] = model
        return made[name]

    return shaken


@pytest.fixture
def verified_here(monkeypatch):
    """Exports are verified in this process, which has TensorFlow loaded.

    That a clean one gives the same is tested where verifying is.
    """
    _verify_here(monkeypatch)


@pytest.fixture(scope="module")
def all_verified_here():
    """The same for a whole file and the fixtures that it shares."""
    with pytest.MonkeyPatch.context() as patch:
        _verify_here(patch)
        yield


def _verify_here(patch):
    from exports import isolated_reader, verification

    def run(folder, clips, through="tensorflow"):
        with tempfile.TemporaryDirectory() as workplace:
            names = ("clips.npz", "numbers.npz", "about.json")
            inputs, outputs, about = (Path(workplace, name) for name in names)
            np.savez(inputs, **clips)
            isolated_reader.run(through, str(folder), inputs, outputs, about)
            with np.load(outputs) as numbers:
                return dict(numbers), json.loads(about.read_text("utf-8"))

    patch.setattr(isolated_reader, "FORBIDDEN", ())
    patch.setattr(verification, "run_isolated", run)


@pytest.fixture(autouse=True)
def _seeds():
    """Tests that draw without naming a seed still draw the same each time, in any order."""
    _seed_all(0)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef):
    """So do fixtures that several tests share, whichever test comes first."""
    if fixturedef.scope != "function":
        # Not 0, of which random weights are that models are compared with.
        _seed_all(1)


def _seed_all(seed):
    random.seed(seed)
    np.random.seed(seed)
    # Where Keras is not loaded it draws nothing, and loading it takes seconds.
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(seed)


def pytest_generate_tests(metafunc):
    """Runs what asks for a `preset_name` over the catalogue, each structure once.

    Presets of one class that are alike when small differ in size and footage alone.
    """
    if PER_MODEL in metafunc.fixturenames:
        from zoo.presets import PRESETS

        alike = {_structure(preset): name for name, preset in reversed(PRESETS.items())}
        metafunc.parametrize(PER_MODEL, sorted(alike.values()), scope="module")


def _structure(preset):
    arguments = {**preset.arguments, **preset.small}
    return preset.model_class, str(sorted(
        (name, value) for name, value in arguments.items() if name not in OF_NO_STRUCTURE
    ))  # fmt: skip


def pytest_collection_modifyitems(items):
    """Puts first what takes long; skips tests marked `gpu` where TensorFlow sees none."""
    long = {_scope(item.nodeid) for item in items if item.get_closest_marker("slow")}
    # So that no worker is left alone with it at the end.
    items.sort(key=lambda item: _scope(item.nodeid) not in long)
    _skip_gpu(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Deals the tests out to the workers by file, and what runs over the catalogue by model."""
    from xdist.scheduler import LoadScopeScheduling

    class ByModel(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return _scope(nodeid)

    return ByModel(config, log)


def _scope(nodeid):
    """What shares fixtures and so runs in one process: a file, or a preset in whichever file."""
    preset = re.search(r"\[(?:.*-)?(\w+/\w+)[\]-]", nodeid)
    return preset[1] if preset else nodeid.partition("::")[0]


def _skip_gpu(items):
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a GPU; TensorFlow sees none"))
