import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import zoo
from zoo.commands import app as app_module
from zoo.commands.app import app

ROOT = Path(zoo.__file__).parents[1]


def run(*arguments):
    return CliRunner().invoke(app, arguments)


def leaves(command, path=()):
    """(path, command) of every command, those of groups included."""
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, child in command.commands.items():
        yield from leaves(child, (*path, name))


COMMANDS = [path for path, _ in leaves(typer.main.get_command(app))]


def test_version():
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"zoo {zoo.__version__}\n")


def test_help_names_every_command():
    result = run("--help")
    assert result.exit_code == 0
    listed = [line.split()[0] for line in result.stdout.splitlines() if line.startswith("  ")]
    assert {path[0] for path in COMMANDS} <= set(listed)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_help_has_an_example_of_that_very_command(path):
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert f"Example: zoo {' '.join(path)}" in " ".join(result.stdout.split())


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_and_argument_is_explained(path):
    command = dict(leaves(typer.main.get_command(app)))[path]
    unexplained = [
        parameter.name for parameter in command.params if not getattr(parameter, "help", None)
    ]
    assert unexplained == []


@pytest.mark.parametrize(
    "arguments", [(), ("bogus",), ("info",), ("list", "--bogus"), ("--bogus",), ("classify",)]
)
def test_wrong_usage_exits_with_2(arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.output


def test_no_example_is_left_over():
    groups = {path[0] for path in COMMANDS if len(path) > 1}
    assert set(app_module.EXAMPLES) == {" ".join(path) for path in COMMANDS} | groups


def test_python_m_zoo_is_the_same():
    ended = subprocess.run(
        [sys.executable, "-m", "zoo", "--version"], cwd=ROOT, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"zoo {zoo.__version__}\n", "")


# Of each command that takes something that can be wrong: THERE is a folder that holds a file.
WRONG_ARGUMENTS = {
    "quickstart --out THERE": "`--out` must be a new or an empty folder. Received: --out=THERE",
    "quickstart --out new --data nowhere": "`--data` nowhere does not exist",
    "info convlstm_vea": "`NAME` must be a preset: .*Did you mean convlstm_vae",
    "train convlstm_vea --data THERE --out new": "`NAME` must be a preset: .*convlstm_vae",
    "train pca --data nowhere --out new": "`--data` nowhere does not exist",
    "train pca --data THERE --out THERE": "`--out` must be a new or empty folder, or one of a run",
    "train pca --data THERE --out new --steps 0": "Invalid value for '--steps'",
    "train pca --out new": "Missing option '--data'",
    "train pca --data THERE --out new --learning-rate nan": "`--learning-rate` must be above 0",
    "train pca --data THERE --out new --precision half": "`--precision` must be one of auto, float",
    "train pca --data THERE --out new --distribution tpu": "`--distribution` must be one of auto",
    "train pca --data THERE --out new --init THERE": "`--init` must have trained weights",
    "train pca --data THERE --out new --hold-out a --validation-videos 1":
        "`--validation-videos` must be left out where `--hold-out` says which",
    "evaluate anomaly pca --data THERE --precision half": "`--precision` must be one of auto",
    "evaluate anomaly pca --data THERE --scores no/scores.csv": "`--scores` must be in a folder",
    "evaluate detection pca --data THERE --calibration no": "`--calibration` no does not exist",
    "evaluate prediction pca --data nowhere": "`--data` nowhere does not exist",
    "evaluate representation convlstm_vea --data THERE": "`NAME` must be a preset: .*Did you mean",
    "evaluate tracking pca --data THERE --card THERE": "`--card` must be a file. Received: THERE",
    "compare pca pca --data THERE": "`NAMES` must differ. Received: pca 2 times",
    "compare pca --data THERE --out all.jpg": "`--out` must end in .png. Received: all.jpg",
    "compare pca --data THERE --evaluation all": "`--evaluation` must be one of anomaly, predict",
    "calibrate pca --data THERE --false-alarms-per-hour 1": "`--out` must be given for a preset",
    "calibrate runs/no --data THERE --false-alarms-per-hour 1": "`NAME` must be a preset or a run",
    "watch pca nowhere.avi": "`SOURCE` nowhere.avi does not exist",
    "watch pca gate=nowhere.avi": "`SOURCE` nowhere.avi does not exist",
    "watch pca rtsp://gate --threshold 0": "`--threshold` must be above 0. Received: --threshold",
    "watch pca rtsp://gate --threshold 1 --calibration THERE/file.csv":
        "`--threshold` must not be given beside --calibration, which has one. Received",
    "watch pca rtsp://gate --threshold 1 --recalibrate":
        "`--recalibrate` must have a calibration to go on from. Received",
    "watch pca rtsp://gate --json": "`--alarms` must be a file with --json",
    "watch convlstm_vae/synthetic_cctv 0": "`NAME_OR_RUN_OR_EXPORT` must be trained",
    "embed pca --data s3://bucket/day --out rows.txt": "`--out` must end in .npz or .csv",
    "embed pca --data THERE --out THERE/file.csv": "`--out` must be a new file. Received",
    "export pca THERE/file.csv": "`DIRECTORY` must be a folder. Received: THERE/file.csv, which",
    "export pca new --clip nowhere": "`--clip` nowhere does not exist",
    "export pca new --through c_api --through bogus": "`--through` must be one of .*ived: bogus",
    "serve nowhere": "`EXPORTS` nowhere does not exist",
    "serve-config THERE --out THERE/file.csv": "`--out` must be a folder. Received: THERE/file",
    "classify train --encoder convlstm_vea --data THERE": "`--encoder` must be a preset",
    "classify predict nowhere THERE": "`MODEL` nowhere does not exist",
    "classify predict THERE nowhere.avi": "`PATH` nowhere.avi does not exist",
    "classify evaluate THERE --data nowhere": "`--data` nowhere does not exist",
    "prepare THERE --out new --preset convlstm_vea": "`--preset` must be a preset: .*Did you mean",
    "prepare THERE --out new --fps 0": "`--fps` must be above 0. Received: --fps=0.0",
    "preview THERE --out THERE/pictures": "`--out` must not be in the footage. Received: --out=",
    "preview nowhere --out new": "`PATH` nowhere does not exist",
    "doctor nowhere": "`PATH` nowhere does not exist",
}  # fmt: skip

TELL = """
import json, os, pathlib, sys
class Refused:
    # An ImportError ends a command with 1, and not with 2.
    def find_spec(name, path=None, target=None):
        if name in ("tensorflow", "keras"):
            raise ImportError(name)
sys.meta_path.insert(0, Refused)
from typer.testing import CliRunner
from zoo.commands.app import app
os.chdir(sys.argv[1])
pathlib.Path("THERE").mkdir()
pathlib.Path("THERE/file.csv").touch()
told = {}
for words in CASES:
    ended = CliRunner().invoke(app, words.split())
    told[words] = [ended.exit_code, ended.stderr]
left = sorted(map(str, pathlib.Path().rglob("*")))
print(json.dumps([told, left]))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What each of `WRONG_ARGUMENTS` ends with, in one process without TensorFlow."""
    ended = subprocess.run(
        [sys.executable, "-c", f"CASES = {list(WRONG_ARGUMENTS)!r}\n{TELL}",
         tmp_path_factory.mktemp("told")],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=500,
    )  # fmt: skip
    return json.loads(ended.stdout)


@pytest.mark.parametrize("words", WRONG_ARGUMENTS)
def test_a_wrong_argument_is_told_before_tensorflow_is_loaded(told, words):
    code, stderr = told[0][words]
    assert code == 2, stderr
    assert re.search(WRONG_ARGUMENTS[words], stderr)


def test_a_wrong_argument_leaves_nothing_behind(told):
    assert told[1] == ["THERE", "THERE/file.csv"]


def test_every_command_with_an_argument_has_a_wrong_one():
    without = {("list",), ("data-service",)}
    told = {tuple(words.split()) for words in WRONG_ARGUMENTS}
    assert {path for path in COMMANDS if not any(t[: len(path)] == path for t in told)} == without
