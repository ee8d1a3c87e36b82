"""What `import zoo` and `zoo --help` load, each seen in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

LOADED = """
import sys
def loaded():
    tops = {name.partition(".")[0] for name in list(sys.modules)}
    return {name for name in tops - set(sys.stdlib_module_names) if not name.startswith("_")}
"""


def loaded_by(code):
    """Runs `code`, which prints JSON in its last line, in a fresh process in the repository."""
    ended = subprocess.run(
        [sys.executable, "-c", LOADED + code],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=500,
    )  # fmt: skip
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def new_packages():
    """What `import zoo` adds to Keras and TFP, and what using its public names adds to that."""
    return loaded_by(
        "import json, keras, tensorflow_probability as tfp\n"
        "before = loaded()\n"
        "import zoo\n"
        "imported = loaded() - before\n"
        "tfp.distributions.Normal  # TFP loads what it stands for when first used\n"
        "before = loaded()\n"
        "for name in zoo.__all__: getattr(zoo, name)\n"
        "zoo.info('convlstm_vae')\n"
        "print(json.dumps([sorted(imported), sorted(loaded() - before)]))"
    )


def test_import_zoo_loads_no_package_that_keras_and_tfp_do_not(new_packages):
    assert new_packages[0] == ["zoo"]


def test_the_public_names_of_zoo_load_no_further_package(new_packages):
    assert new_packages[1] == []


def test_the_command_line_answers_without_tensorflow():
    loaded = loaded_by("import json, zoo.__main__\nprint(json.dumps(sorted(loaded())))")
    heavy = {"tensorflow", "keras", "tensorflow_probability", "cv2", "sklearn", "matplotlib"}
    assert not heavy & set(loaded)
    assert {"zoo", "typer"} <= set(loaded)
