"""The pipeline writes what `prepare` writes, byte for byte."""

import sys

import pytest

from data_pipelines import beam, load, shards
from data_pipelines.clips import ClipSpec


@pytest.fixture
def footage(tmp_path, write_video, monkeypatch):
    """A folder of three videos whose shards hold 16 frames: 40 in one of three, 7 and 5 in one."""
    monkeypatch.setattr(shards, "SHARD_FRAMES", 16)
    for name, frames in (("day 1/ä.avi", 40), ("day 1/b.avi", 7), ("c.avi", 5)):
        write_video(tmp_path / "footage" / name, frames=frames)
    return tmp_path / "footage"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_shards_are_those_of_prepare(tmp_path, footage):
    by_hand = shards.prepare(footage, tmp_path / "one", size=(24, 32), quality="lossless")
    found = beam.prepare(str(footage), str(tmp_path / "two") + "/", size=(24, 32),
                         quality="lossless")  # fmt: skip
    assert found == by_hand and (found["frames"], found["shards"]) == (52, 4)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert len(list(load(tmp_path / "two", ClipSpec(frames=5, stride=5)))) == 8 + 1 + 1


def test_workers_are_as_many_as_the_options_say(tmp_path, footage):
    options = ["--direct_num_workers=2", "--direct_running_mode=multi_threading"]
    beam.prepare(footage, tmp_path / "two", options=options)
    shards.prepare(footage, tmp_path / "one")
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    with pytest.raises(ValueError, match="Unexpected pipeline runner: NoSuchRunner"):
        beam.prepare(footage, tmp_path / "none", options=["--runner=NoSuchRunner"])


@pytest.mark.parametrize("out, message", [
    ("{}/o [1]", r"`out` must have none of \* \? \[ for a pipeline"),
    ("{}/footage/in", "`out` must not be in the footage"),
])  # fmt: skip
def test_a_folder_that_cannot_be_is_named(tmp_path, footage, out, message):
    with pytest.raises(ValueError, match=message):
        beam.prepare(footage, out.format(tmp_path))


def test_an_address_is_in_no_folder_here(footage, monkeypatch):
    monkeypatch.chdir(footage)
    assert len(shards.recorded(footage, "s3://bucket/shards").videos) == 3


def test_a_finished_folder_is_left_and_another_is_refused(tmp_path, footage):
    out = tmp_path / "shards"
    beam.prepare(footage, out)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert beam.prepare(footage, out)["kept"] == 4
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before
    with pytest.raises(ValueError, match="must be a new folder where `fps` is another: .*fps=5.0"):
        beam.prepare(footage, out, fps=5)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("all of it")
    with pytest.raises(ValueError, match="`out` must be a new or an empty .* holds thesis.txt"):
        beam.prepare(footage, tmp_path / "other")


def test_what_a_broken_pipeline_left_is_replaced(tmp_path, footage, monkeypatch):
    out = tmp_path / "shards"
    encoded, given = shards.encoded, []

    def breaks(frame, quality):
        given.append(frame)
        if len(given) > 40:
            raise MemoryError("the worker is gone")
        return encoded(frame, quality)

    monkeypatch.setattr(shards, "encoded", breaks)
    with pytest.raises(Exception, match="the worker is gone"):
        beam.prepare(footage, out)
    left = contents(out)
    assert left and "index.json" not in left
    monkeypatch.setattr(shards, "encoded", encoded)
    # Of a worker that was killed while it wrote, and of other arguments.
    for name in ("shard-00000-00000.tfrecord.part-12ab", "shard-00007-00000.tfrecord",
                 "index.npz", "index.npz.part-34cd", "index.json.part-56ef"):  # fmt: skip
        (out / name).write_bytes(b"half")
    beam.prepare(footage, out)
    shards.prepare(footage, tmp_path / "one")
    assert contents(out) == contents(tmp_path / "one")


def test_the_package_is_named_with_its_extra(tmp_path, footage, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(ImportError, match=r"needs the package apache-beam: .*zoo\[beam\]"):
        beam.prepare(footage, tmp_path / "shards")
    assert not (tmp_path / "shards").exists()
