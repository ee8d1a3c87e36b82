import json

import pytest
from typer.testing import CliRunner

from exports import manifest
from zoo.commands.app import app


@pytest.fixture
def command(tmp_path):
    """A function of further words that runs the command over a folder with one export."""
    folder = tmp_path / "exports" / "door" / "1"
    folder.mkdir(parents=True)
    manifest.write(folder, {"format": manifest.FORMAT, "packages": {"tensorflow": "2.21.0"}})

    def run(*words):
        out = ("--out", str(tmp_path / "out"))
        return CliRunner().invoke(app, ["serve-config", str(tmp_path / "exports"), *out, *words])

    return run


def test_it_writes_the_files_and_says_which(command, tmp_path):
    result = command("--max-batch", "3")
    assert result.exit_code == 0, result.stderr
    assert sorted(result.stdout.split()) == sorted(map(str, (tmp_path / "out").iterdir()))
    assert "max_batch_size { value: 3 }" in (tmp_path / "out" / "batching.config").read_text()
    told = json.loads(command("--json").stdout)
    assert told["models"] == ["door"] and len(told["files"]) == 5


def test_a_folder_without_exports_is_wrong_usage(command, tmp_path):
    (tmp_path / "exports" / "door").rename(tmp_path / "door")
    result = command()
    assert result.exit_code == 2 and "zoo: `EXPORTS` must be a folder of versions" in result.stderr
    assert not (tmp_path / "out").exists()
