"""A file that is no footage at all is wrong usage, of every command that takes footage."""

import pytest
import typer
from typer.testing import CliRunner

import exports
from zoo.commands.app import app

# What stands before the footage in each command that takes some; RUN is a run folder.
COMMANDS = {
    "quickstart": "--out OUT",
    "train": "convlstm_vae --out OUT",
    "evaluate anomaly": "RUN",
    "calibrate": "RUN --out OUT.json --false-alarms-per-hour 1",
    "evaluate detection": "RUN",
    "evaluate prediction": "RUN",
    "evaluate representation": "RUN",
    "evaluate tracking": "RUN",
    "compare": "RUN",
    "embed": "RUN --out OUT.npz",
    "export": "RUN OUT",
    "classify train": "--encoder convlstm_vae",
    "classify evaluate": "RUN",
}


def options(command, path=()):
    """(words of the command, its option for footage) of every command that has one."""
    for name, child in getattr(command, "commands", {}).items():
        yield from options(child, (*path, name))
    for parameter in command.params:
        if parameter.name in ("data", "clip"):
            yield " ".join(path), parameter.opts[0]


OPTIONS = dict(options(typer.main.get_command(app)))


@pytest.fixture
def given(run_folder, tmp_path, monkeypatch):
    """A function of a command and a file: the exit code and the last line of its errors."""
    # Of an encoder nothing is asked before the footage is opened.
    monkeypatch.setattr(exports, "load", lambda folder: None)

    def run(command, file):
        words = COMMANDS[command].replace("RUN", str(run_folder))
        words = words.replace("OUT", str(tmp_path / "out")).split()
        words = [*command.split(), *words, OPTIONS[command], str(file)]
        result = CliRunner().invoke(app, words, catch_exceptions=False)
        assert not list(tmp_path.glob("out*"))
        return result.exit_code, result.stderr.splitlines()[-1]

    return run


def test_every_command_that_takes_footage_is_here():
    assert set(COMMANDS) == set(OPTIONS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_text_file_is_wrong_usage_and_the_option_is_named(given, tmp_path, command):
    (tmp_path / "notes.txt").write_text("what I saw\n" * 50)
    code, line = given(command, tmp_path / "notes.txt")
    assert code == 2
    assert line.startswith(f"zoo: `{OPTIONS[command]}` must be a ")
    assert f"Received: {tmp_path / 'notes.txt'}" in line


@pytest.mark.parametrize("command", ["train", "embed", "export"])
def test_a_damaged_recording_is_the_right_usage(given, tmp_path, command):
    (tmp_path / "gate.mp4").write_bytes(b"\0\1garbage" * 500)
    code, line = given(command, tmp_path / "gate.mp4")
    assert code == 1
    assert line == (
        f"zoo: {tmp_path / 'gate.mp4'} cannot be opened as a video: Invalid data found when "
        "processing input"
    )
