import subprocess
import sys
from pathlib import Path

import pytest

from exports import isolated_reader

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["zoo", "zoo.models.base", "data_pipelines", "exports.reading"])
def test_the_project_is_refused(name):
    with pytest.raises(ModuleNotFoundError, match=f"an export is read without {name}"):
        isolated_reader.ProjectBlocker().find_spec(name)


@pytest.mark.parametrize("name", ["numpy", "zoology", "tensorflow.data"])
def test_everything_else_is_left_to_others(name):
    assert isolated_reader.ProjectBlocker().find_spec(name) is None


@pytest.mark.parametrize("package", isolated_reader.FORBIDDEN)
def test_a_process_that_could_import_the_project_cannot(package):
    """The package lies first on the path, as an editable install would put it."""
    program = f"""
import runpy, sys
sys.path.insert(0, {str(ROOT)!r})
reader = runpy.run_path({str(Path(isolated_reader.__file__))!r})
sys.meta_path.insert(0, reader["ProjectBlocker"]())
import {package}
"""
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"an export is read without {package}" in done.stderr
