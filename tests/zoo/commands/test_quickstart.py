"""The quickstart's command: what it refuses before anything is made."""

import pytest
from typer.testing import CliRunner

from zoo.commands.app import app


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_output_that_is_not_empty_is_refused_and_left_alone(tmp_path, kind):
    out = tmp_path / "out"
    if kind == "folder":
        out.mkdir()
    kept = out / "precious" if kind == "folder" else out
    kept.write_text("mine")
    result = CliRunner().invoke(app, ["quickstart", "--out", str(out)])
    assert result.exit_code == 2
    assert "`--out` must be a new or an empty folder" in result.stderr
    assert kept.read_text() == "mine"


def test_footage_that_is_not_there_is_named(tmp_path):
    arguments = ["quickstart", "--out", str(tmp_path / "out"), "--data", str(tmp_path / "none")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert str(tmp_path / "none") in result.stderr
