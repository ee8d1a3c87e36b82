import os

import pytest

from zoo.training import whole_files
from zoo.training.whole_files import whole_folder, write_json, write_weights, write_whole


class Killed(BaseException):
    """Stands for signal 9: nothing that a library catches."""


def test_the_file_is_synced_before_it_takes_its_name(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(whole_files.os, "fsync", lambda file: calls.append("sync") or fsync(file))
    monkeypatch.setattr(
        whole_files.os, "replace", lambda a, b: calls.append("rename") or replace(a, b)
    )
    write_json(tmp_path / "a.json", {"b": 1})
    assert calls == ["sync", "rename", "sync"]
    assert (tmp_path / "a.json").read_text() == '{\n  "b": 1\n}\n'


def test_a_kill_or_a_full_disk_leaves_the_older_file(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")

    def write(error):
        def half(aside):
            aside.write_text("ne")
            raise error

        with pytest.raises(type(error)):
            write_whole(path, half)
        assert path.read_text() == "old"

    write(Killed())
    write(OSError(28, "No space left on device"))
    # A full disk gets its space back.
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_hdf5_that_fails_on_closing_is_a_full_disk_too(tmp_path):
    class Model:
        optimizer, trainable_variables = None, ()

        def save_weights(self, path, overwrite):
            path.write_bytes(b"half")
            raise RuntimeError("Unable to flush file's cached information")

    with pytest.raises(OSError, match="cannot write .*model.weights.h5: Unable to flush"):
        write_weights(tmp_path / "model.weights.h5", Model())
    assert not list(tmp_path.iterdir())


def test_a_folder_replaces_the_one_before_only_when_it_is_full(tmp_path):
    path = tmp_path / "step"
    for text in ("old", "new"):
        with whole_folder(path) as folder:
            (folder / "a").write_text(text)
            assert not path.exists() or (path / "a").read_text() == "old"
    assert (path / "a").read_text() == "new"
    with pytest.raises(Killed), whole_folder(path) as folder:
        (folder / "a").write_text("half")
        raise Killed
    assert (path / "a").read_text() == "new"
    # What a kill left is no part of the next.
    with whole_folder(path) as folder:
        assert not list(folder.iterdir())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_has_no_word_for_is_refused_with_the_file(tmp_path, value):
    path = tmp_path / "run.json"
    whole_files.write_json(path, {"step": 1})
    with pytest.raises(ValueError, match="run.json cannot be written as JSON"):
        whole_files.write_json(path, {"best": [value]})
    assert whole_files.read_json(path) == {"step": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [(b'{"step": 1', "is damaged"), (b"", "is damaged"), (b'"\xff"', "is damaged"),
     (b"[1]", "must hold a JSON object. Received: list")],
)  # fmt: skip
def test_damaged_json_is_told_with_its_file(tmp_path, content, message):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(ValueError, match=f"run.json {message}"):
        whole_files.read_json(tmp_path / "run.json")
