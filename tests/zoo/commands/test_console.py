import json
import os
import subprocess
import sys
import types
from typing import Annotated

import pytest
import tensorflow as tf
import typer
from typer.testing import CliRunner

from zoo.commands import console


def outcome(action, *options):
    """Runs a `console.Command` with arguments and options that does `action`."""
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.callback()
    def root(debug: bool = False):
        pass

    @app.command(cls=console.Command)
    def act(
        name_or_run: str = "convlstm_vae",
        target: Annotated[str, typer.Argument()] = "there",
        data: str = "footage",
        validation_videos: int = 2,
        settings: Annotated[str, typer.Option("-s", "--set")] = "",
        baselines: bool = True,
    ):
        action()

    return CliRunner().invoke(app, [*options, "act"])


def raising(error):
    def action():
        raise error

    return action


def test_a_command_that_ends_well_exits_with_0_and_keeps_its_outputs_apart():
    def action():
        console.say("at work")
        console.emit_json({"auc": 0.5})

    result = outcome(action)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"auc": 0.5}
    assert result.stderr == "at work\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("The weights in a.h5 do not fit.\n Received: `data` of b"),
         "The weights in a.h5 do not fit. Received: `--data` of b"),
        (ValueError("`model` must be the one of the checkpoint. Received: model=A"),
         "`model` must be the one of the checkpoint. Received: model=A"),
        (OSError("`data` must be on a disk that is there"),
         "`--data` must be on a disk that is there"),
        (FileNotFoundError(2, "No such file or directory", "a/b"),
         "a/b: No such file or directory"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (NotImplementedError("no `sample` here"), "no `sample` here"),
        (ImportError("no cv2"), "no cv2"),
        (ValueError(), "ValueError"),
    ],
)  # fmt: skip
def test_what_fails_is_one_line_on_standard_error_and_exit_code_1(error, line):
    result = outcome(raising(error))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == f"zoo: {line}\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("`data` footage does not exist", "`--data` footage does not exist"),
        ("`validation_videos` must leave videos.\nReceived: validation_videos=4",
         "`--validation-videos` must leave videos. Received: --validation-videos=4"),
        ("`--set crop` must fit. Received: crop=3", "`--set crop` must fit. Received: crop=3"),
        ("`settings` and `frames` must go together", "`--set` and `frames` must go together"),
        ("`baselines` must be few", "`--baselines` must be few"),
        ("`target` must be new", "`TARGET` must be new"),
        # What the library calls by another name than the command.
        ("`source` footage is empty. Received: source=footage",
         "`--data` footage is empty. Received: --data=footage"),
        ("`name` must be a preset", "`--name-or-run` must be a preset"),
    ],
)  # fmt: skip
def test_wrong_usage_names_the_option_that_was_typed_and_exits_with_2(error, line):
    result = outcome(raising(ValueError(error)))
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"zoo: {line}\n")


def test_an_error_inside_a_dataset_shows_only_what_the_source_said():
    def frames():
        yield 1.0
        raise ValueError("walk.avi breaks off after frame 1")

    dataset = tf.data.Dataset.from_generator(frames, output_signature=tf.TensorSpec((), tf.float32))
    result = outcome(lambda: list(dataset))
    assert result.exit_code == 1
    assert result.stderr == "zoo: walk.avi breaks off after frame 1\n"


def test_debug_keeps_the_error():
    error = ValueError("wrong")
    result = outcome(raising(error), "--debug")
    assert result.exception is error


def test_a_fault_of_the_project_is_not_hidden():
    error = TypeError("a fault")
    result = outcome(raising(error))
    assert result.exception is error
    assert result.exit_code == 1


@pytest.mark.parametrize(("text", "line"), [("", "interrupted"), ("at step 7", "at step 7")])
def test_an_interrupt_is_one_line_and_exit_code_130(text, line):
    result = outcome(raising(KeyboardInterrupt(*([text] if text else []))))
    assert result.exit_code == 130
    assert result.stderr == f"zoo: {line}\n"


def test_emit_json_refuses_what_json_has_no_word_for(capsys):
    with pytest.raises(ValueError, match="not JSON compliant"):
        console.emit_json({"auc": float("nan")})
    assert capsys.readouterr().out == ""


def test_tensorflow_is_loaded_without_noise_and_standard_error_works_afterwards():
    ended = subprocess.run(
        [sys.executable, "-c",
         "import sys\n"
         "from zoo.commands.console import import_tensorflow_quietly, say\n"
         "import_tensorflow_quietly()\n"
         "assert 'tensorflow' in sys.modules\n"
         # Where CUDA is looked for.
         "import tensorflow as tf\n"
         "tf.config.list_physical_devices('GPU')\n"
         "say('afterwards')"],
        capture_output=True, text=True, timeout=500,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == "afterwards\n"
    assert ended.stdout == ""


FAKE_TENSORFLOW = """
import os, types
def look(kind):
    os.write(2, b'E0000 00:00:1.1 1 cuda_platform.cc:52] failed call to cuInit: INTERNAL\\n')
    os.write(2, b'E0000 00:00:1.1 1 cuda_dnn.cc:52] DNN library is not found\\n')
config = types.SimpleNamespace(list_physical_devices=look)
"""


@pytest.mark.parametrize("gpu", [False, True])
def test_that_cuda_does_not_start_is_shown_only_where_there_is_a_gpu(
    tmp_path, monkeypatch, capfd, gpu
):
    (tmp_path / "tensorflow.py").write_text(FAKE_TENSORFLOW)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorflow")
    monkeypatch.setattr(console, "has_gpu", lambda: gpu)
    console.import_tensorflow_quietly()
    shown = capfd.readouterr().err
    assert ("failed call to cuInit" in shown) == gpu
    assert "DNN library is not found" in shown


def test_what_is_no_known_noise_is_shown_when_tensorflow_does_not_load(tmp_path):
    (tmp_path / "tensorflow.py").write_text(
        "import os\n"
        "os.write(2, b'I0000 00:00:1.1 1 cudart_stub.cc:31] no drivers\\n')\n"
        "os.write(2, b'F0000 00:00:1.1 1 cpu.cc:1] no AVX\\n')\n"
        "raise ImportError('broken')\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(console.__file__))))
    ended = subprocess.run(
        [sys.executable, "-c",
         "from zoo.commands.console import import_tensorflow_quietly\n"
         "import_tensorflow_quietly()"],
        capture_output=True, text=True, timeout=500,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), root))},
    )  # fmt: skip
    assert ended.returncode == 1
    assert "no AVX" in ended.stderr
    assert "no drivers" not in ended.stderr
    assert "ImportError: broken" in ended.stderr


def test_columns_stand_below_one_another():
    rows = [("", "auc", "frames"), ("door", "0.5", "12"), ("back yard", "-", "1000")]
    assert console.columns(rows) == [
        "           auc  frames",
        "door       0.5      12",
        "back yard    -    1000",
    ]


def test_progress_is_told_now_and_then(monkeypatch, capsys):
    clock = [0.0]
    monkeypatch.setattr(console, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))
    report = console.progress()
    for number in range(1, 6):
        clock[0] += 0.4 * console.SECONDS_BETWEEN_LINES
        report(number, 5, f"video{number}")
    assert capsys.readouterr().err == "3/5 video3\n"


def test_the_command_that_is_kept_shows_no_secret(monkeypatch):
    words = ["zoo", "train", "--data", "https://me:word@gate/a.mp4?sig=12", "--out", "runs/my run",
             "--init=http://gate/a?key=34", "--set", "augment=flip", "--"]  # fmt: skip
    monkeypatch.setattr(sys, "argv", words)
    assert console.command_line() == (
        "zoo train --data 'https://***@gate/a.mp4?sig=***' --out 'runs/my run' "
        "'--init=http://gate/a?key=***' --set augment=flip --"
    )
