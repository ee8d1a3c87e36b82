"""What `import zoo` and `zoo --help` load, each seen in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

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
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return json.loads(ended.stdout.splitlines()[-1])


def test_import_zoo_loads_no_package_that_keras_and_tfp_do_not():
    new = loaded_by(
        "import json, keras, tensorflow_probability\n"
        "before = loaded()\n"
        "import zoo\n"
        "print(json.dumps(sorted(loaded() - before)))"
    )
    assert new == ["zoo"]


def test_every_public_name_of_zoo_loads_only_tensorflow_keras_and_tfp():
    new = loaded_by(
        "import json, keras, tensorflow as tf, tensorflow_probability as tfp\n"
        "tfp.distributions.Normal, tf.data  # both load what they stand for when first used\n"
        "before = loaded()\n"
        "import zoo\n"
        "for name in zoo.__all__: getattr(zoo, name)\n"
        "zoo.info('convlstm_vae')\n"
        "print(json.dumps(sorted(loaded() - before)))"
    )
    assert new == ["zoo"]


def test_the_command_line_answers_without_tensorflow():
    loaded = loaded_by("import json, zoo.__main__\nprint(json.dumps(sorted(loaded())))")
    heavy = {"tensorflow", "keras", "tensorflow_probability", "cv2", "sklearn", "matplotlib"}
    assert not heavy & set(loaded)
    assert {"zoo", "typer"} <= set(loaded)
