import errno
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import tensorflow as tf

import exports
from exports import manifest, saved_model

ROOT = Path(__file__).resolve().parents[2]

# A model of one verb stands in for those of the zoo: what is tested is the writing.
KILLED = """
import os, signal, sys
import keras, tensorflow as tf
import exports
from exports import manifest, saved_model

class Brightness(keras.Model):
    verbs, stride, min_frames, warm_up = ("encode",), 8, 2, 0
    channels, fps, clip_shape, embedding_dim = 1, 10, (4, 16, 16, 1), 1
    def encode(self, clip):
        return tf.reduce_mean(clip, axis=[1, 2, 3])

def kill(*arguments, **named):
    os.kill(os.getpid(), signal.SIGKILL)

directory, moment = sys.argv[1:]
if moment == "graph on disk":
    manifest.write = kill
elif moment == "before the rename":
    os.rename = kill
elif moment == "inside the writing":
    saved_model.manifest.describe = kill
    real = tf.saved_model.save
    def save(module, folder, **named):
        os.makedirs(folder + "/variables")
        open(folder + "/saved_model.pb", "wb").write(b"half")
        kill()
    tf.saved_model.save = save
print(exports.export(Brightness(), directory))
"""


@pytest.fixture
def quick(monkeypatch):
    """Writes a file in place of a SavedModel, untraced, for tests of what is around it."""

    def save(module, folder, signatures):
        Path(folder, "variables").mkdir(parents=True)
        # A SavedModel with one graph, in which nothing is.
        Path(folder, "saved_model.pb").write_bytes(b"\x12\x00")

    monkeypatch.setattr(tf.saved_model, "save", save)
    monkeypatch.setattr(
        saved_model.signatures, "build", lambda model, steps: (None, {"serving_default": None})
    )


def test_versions_count_up_from_the_largest(model, quick, tmp_path):
    directory = tmp_path / "served" / "camera"
    assert exports.export(model, directory) == directory / "1"
    assert exports.export(model, directory, version=9) == directory / "9"
    assert exports.export(model, directory) == directory / "10"
    assert saved_model.versions(directory) == [1, 9, 10]
    assert saved_model.locate(directory) == directory / "10"
    assert saved_model.locate(directory, 9) == saved_model.locate(directory / "9")
    with pytest.raises(ValueError, match=r"must hold version 4\. .* holds: \[1, 9, 10\]"):
        saved_model.locate(directory, 4)
    for version in (10, 4):
        with pytest.raises(ValueError, match=f"must be above 10, .*version={version}"):
            exports.export(model, directory, version=version)


def test_the_card_comes_along(model, quick, tmp_path):
    card = tmp_path / "mine.card.json"
    card.write_text('{"auc_live": 0.5}')
    folder = exports.export(model, tmp_path / "served", card=card)
    assert (folder / "assets.extra" / "card.json").read_text() == card.read_text()
    assert "assets.extra/card.json" in manifest.read(folder)["files"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 0}, "`version` must be at least 1. Received: version=0"),
        ({"rollout_steps": 0}, "`rollout_steps` must be at least 1. Received: 0"),
        ({"card": "nowhere.json"}, "`card` must be a file. Received: nowhere.json"),
    ],
)
def test_arguments_out_of_range_leave_no_folder(model, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        exports.export(model, tmp_path / "served", **change)
    assert not (tmp_path / "served").exists()


def test_a_file_or_a_single_version_is_no_folder_of_versions(model, exported, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="must be a folder. Received a file"):
        exports.export(model, tmp_path / "file")
    with pytest.raises(ValueError, match="not one version of a SavedModel"):
        exports.export(model, exported)
    (tmp_path / "1").mkdir()
    for name in ("2", ".hidden"):
        (tmp_path / name).mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match="or a folder of versions, .* holds: file$"):
        exports.export(model, tmp_path)
    assert sorted(tmp_path.iterdir()) == before


def test_a_version_that_fails_its_check_never_appears(model, quick, tmp_path):
    exports.export(model, tmp_path)
    seen = []

    def check(folder):
        seen.append(folder)
        assert manifest.check_files(folder) > 0
        assert saved_model.versions(tmp_path) == [1]
        raise ValueError("other numbers")

    with pytest.raises(ValueError, match="other numbers"):
        exports.export(model, tmp_path, check=check)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    # A name of digits would be served while it is being written.
    assert not seen[0].name.isdecimal() and seen[0].parent == tmp_path


@pytest.mark.parametrize("place", ["save", "fsync"])
def test_a_full_disk_is_an_oserror_and_leaves_nothing(model, quick, tmp_path, monkeypatch, place):
    def full(*arguments, **named):
        if place == "save":
            raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((tf.saved_model, "save") if place == "save" else (os, "fsync")), full)
    with pytest.raises(OSError, match="No space left on device"):
        exports.export(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_file_is_on_the_disk_before_the_rename(model, quick, tmp_path, monkeypatch):
    order = []
    fsync, rename = os.fsync, os.rename

    def record_fsync(descriptor):
        order.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def record_rename(source, target):
        order.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "rename", record_rename)
    exports.export(model, tmp_path)
    before = order[: order.index("rename")]
    assert {"saved_model.pb", "manifest.json", "assets.extra", ".partial-1"} <= set(before)
    assert order[-1] == tmp_path.name


def test_two_exports_at_once_are_refused(model, quick, tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(ValueError, match="another export into .* is under way"):
        exports.export(model, tmp_path)
    os.close(descriptor)
    assert exports.export(model, tmp_path).name == "1"


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["inside the writing", "graph on disk", "before the rename"])
def test_a_killed_export_leaves_no_version_and_the_next_one_works(model, quick, tmp_path, moment):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), moment],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [".partial-1"]
    assert exports.export(model, tmp_path) == tmp_path / "1"
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    assert manifest.check_files(tmp_path / "1") > 0


def test_no_file_names_this_machine(exported):
    places = {str(ROOT), sys.prefix, sys.base_prefix, tempfile.gettempdir(), str(Path.home())}
    for path in exported.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert [place for place in places if place.encode() in content] == []
        assert b".py" not in content
