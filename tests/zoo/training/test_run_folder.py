import json
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.training import run_folder
from zoo.training.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[3]


def open_run(path, **arguments):
    return RunFolder.open(path, command="zoo train x", arguments=arguments, seed=3)


def test_a_new_run_says_what_was_asked_and_where(tmp_path):
    run = open_run(tmp_path / "a" / "run", steps=5, crop=(64, 64))
    record = json.loads((tmp_path / "a" / "run" / "run.json").read_text())
    assert record == run.record
    assert record["command"] == "zoo train x"
    assert record["arguments"] == {"steps": 5, "crop": [64, 64]}
    assert (record["seed"], record["status"], record["minutes"]) == (3, "started", 0.0)
    assert {"python", "tensorflow", "keras", "numpy"} <= set(record["versions"])
    assert record["machine"]["cores"] >= 1 and record["machine"]["processor"]


def test_the_same_arguments_open_it_again(tmp_path):
    run = open_run(tmp_path, steps=5, crop=(64, 64))
    run.update(status="training", step=3, minutes=1.5)
    run.close()
    again = open_run(tmp_path, steps=5, crop=(64, 64))
    assert (again.record["step"], again.record["minutes"]) == (3, 1.5)
    assert not again.finished
    again.update(status="finished")
    assert again.finished


def test_other_arguments_are_named(tmp_path):
    open_run(tmp_path, steps=5, batch=4).close()
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ValueError) as error:
        open_run(tmp_path, steps=9, batch=4, crop=32)
    assert "`steps` was 5, now 9; `crop` was None, now 32" in str(error.value)
    assert "batch" not in str(error.value)


def test_another_model_is_named_and_none_of_its_settings(tmp_path):
    open_run(tmp_path, name="vae/ped2", kl_warm_up_steps=500).close()
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ValueError) as error:
        open_run(tmp_path, name="pca/ped2", window=4)
    assert str(error.value) == (
        "`out` holds a run of another model, vae/ped2, and pca/ped2 was asked for. Give vae/ped2 "
        f"to go on with it, or another folder. Received: out={tmp_path}"
    )
    with pytest.raises(ValueError, match="`kl_warm_up_steps` was 500, now 9"):
        open_run(tmp_path, name="vae/ped2", kl_warm_up_steps=9)


def test_a_run_that_never_trained_takes_other_arguments(tmp_path):
    open_run(tmp_path, crop=30).close()
    assert open_run(tmp_path, crop=32).record["arguments"] == {"crop": 32}
    assert json.loads((tmp_path / "run.json").read_text())["arguments"] == {"crop": 32}


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "holiday.mp4").write_bytes(b"x")
    with pytest.raises(ValueError, match="holds other files and no run.json"):
        open_run(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.mp4"]


def test_a_file_is_refused(tmp_path):
    (tmp_path / "run").write_text("x")
    with pytest.raises(ValueError, match="`out` must be a folder"):
        open_run(tmp_path / "run")


def test_what_a_kill_at_the_very_start_leaves_is_an_empty_folder(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / ".tmp-run.json").write_text('{"half')
    assert open_run(tmp_path, steps=1).record["status"] == "started"
    assert not list(tmp_path.glob(".tmp-*"))


@pytest.mark.parametrize("text", ["{", "[]", '{"step": 1}'])
def test_a_run_json_of_something_else_is_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match="must be the run.json of a training run"):
        open_run(tmp_path)


def test_a_second_process_is_refused_while_the_first_trains(tmp_path):
    run = open_run(tmp_path, steps=1)
    script = (
        "from zoo.training.run_folder import RunFolder\n"
        f"RunFolder.open({str(tmp_path)!r}, command='', arguments={{'steps': 1}})\n"
    )
    words = [sys.executable, "-c", script]
    second = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert second.returncode == 1
    assert "which another process is training in" in second.stderr
    run.close()
    assert open_run(tmp_path, steps=1).record == run.record


def test_the_commit_is_that_of_the_source_and_says_when_files_differ(tmp_path, monkeypatch):
    def git(*words):
        done = subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path), *words],
            capture_output=True, text=True, check=True,
        )
        return done.stdout.strip()

    package = tmp_path / "zoo" / "training"
    package.mkdir(parents=True)
    source = package / "run_folder.py"
    source.write_text("a")
    monkeypatch.setattr(run_folder, "__file__", str(source))
    assert run_folder.commit() is None
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "a")
    assert run_folder.commit() == git("rev-parse", "HEAD")
    source.write_text("b")
    assert run_folder.commit() == git("rev-parse", "HEAD") + "+changes"
