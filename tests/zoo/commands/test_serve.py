import gc
import importlib.util
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from typer.testing import CliRunner

import exports
from zoo.commands.app import app

ROOT = Path(__file__).resolve().parents[3]
pytest.importorskip("tensorflow_serving.apis")


@pytest.fixture
def folder(tmp_path):
    path = ROOT / "tests" / "exports" / "conftest.py"
    spec = importlib.util.spec_from_file_location("of_exports_models", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    exports.export(module.Brightness(), tmp_path / "door", rollout_steps=2)
    return tmp_path / "door"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_serves_and_ends_when_told_to(folder, number):
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo", "serve", str(folder), "--port", "0", "--rest-port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        grpc, rest = (process.stdout.readline().strip() for _ in range(2))
        assert re.fullmatch(r"127\.0\.0\.1:\d+", grpc)
        states = requests.get(f"{rest}/v1/models/door").json()["model_version_status"]
        assert [(one["version"], one["state"]) for one in states] == [("1", "AVAILABLE")]
        process.send_signal(number)
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0 and "Traceback" not in said
    finally:
        process.kill()
        process.communicate()


def test_what_was_imported_is_not_looked_through_for_garbage(tmp_path, monkeypatch):
    """Or a request of many numbers in JSON would wait for that."""
    frozen = []

    class Server:
        def __init__(self, *given, **options):
            frozen.append(gc.get_freeze_count())
            raise OSError("as asked")

    monkeypatch.setattr("exports.server.Server", Server)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert CliRunner().invoke(app, ["serve", str(tmp_path)]).exit_code == 1
    finally:
        gc.unfreeze()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert frozen[0] > 100_000


def test_a_folder_without_exports_is_wrong_usage(tmp_path):
    result = CliRunner().invoke(app, ["serve", str(tmp_path)])
    assert result.exit_code == 2 and "zoo: `EXPORTS` must be a folder of versions" in result.stderr
