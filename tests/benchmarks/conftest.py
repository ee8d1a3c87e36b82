"""The scripts of `benchmarks/`, which are no package, as modules."""

import importlib.util
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="session")
def script():
    """Function from the name of a script to its module, which is loaded without being run."""
    found, path = {}, list(sys.path)
    sys.path.insert(0, str(FOLDER))  # as for a script that is run

    def load(name):
        if name not in found:
            spec = importlib.util.spec_from_file_location(f"bench_{name}", FOLDER / f"{name}.py")
            found[name] = importlib.util.module_from_spec(spec)
            # Dataclasses look their module up by its name.
            sys.modules[spec.name] = found[name]
            spec.loader.exec_module(found[name])
        return found[name]

    yield load
    sys.path[:] = path
    for module in found.values():
        sys.modules.pop(module.__name__)
