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
