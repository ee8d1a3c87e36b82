import io
import json
import types

import numpy as np
import pytest
from typer.testing import CliRunner

from data_pipelines import ClipSpec, beam, load, open_source, shards
from zoo.commands import prepare
from zoo.commands.app import app


@pytest.fixture
def footage(tmp_path):
    import cv2

    writer = cv2.VideoWriter(
        str(tmp_path / "line\nbreak.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 20, (96, 64)
    )
    for number in range(60):
        writer.write(np.full((64, 96, 3), 4 * number, np.uint8))
    writer.release()
    (tmp_path / "footage").mkdir()
    (tmp_path / "line\nbreak.avi").rename(tmp_path / "footage" / "line\nbreak.avi")
    return tmp_path / "footage"


def run(*words):
    return CliRunner().invoke(app, ["prepare", *map(str, words)])


def test_footage_is_prepared_as_a_preset_is_trained(footage, tmp_path):
    words = (footage, "--out", tmp_path / "shards", "--preset", "convlstm_vae")
    ended = run(*words, "--json")
    assert ended.exit_code == 0
    found = json.loads(ended.stdout)
    size = found.pop("bytes")
    assert found == {
        "out": str(tmp_path / "shards"), "videos": 1, "frames": 30, "shards": 1, "kept": 0,
        "incomplete": [], "left_out": [],
    }  # fmt: skip
    again = run(*words)
    assert again.exit_code == 0 and again.stdout == (
        f"1 videos, 30 frames in 1 shards of {size / 1e6:.1f} MB, 1 of which were there: "
        f"{tmp_path / 'shards'}\n"
    )
    (video,) = open_source(tmp_path / "shards").videos
    assert video.fps == 10 and next(video.frames()).shape == (128, 192, 1)


def test_what_is_lost_is_said_by_every_run(footage, tmp_path):
    """A recording cut off in the middle, and a file in which no video is."""
    whole = (footage / "line\nbreak.avi").read_bytes()
    (footage / "cut\noff.avi").write_bytes(whole[: len(whole) // 2])
    (footage / "bad\none.avi").write_bytes(b"RIFF\0" * 40)
    lost = {"name": "cut\noff.avi", "declared": 60}
    for _ in range(2):
        ended = run(footage, "--out", tmp_path / "shards", "--json")
        assert ended.exit_code == 0
        found = json.loads(ended.stdout)
        (incomplete,), (left_out,) = found["incomplete"], found["left_out"]
        assert incomplete.items() >= lost.items() and 10 < incomplete["frames"] < 40
        assert f"{footage}/bad\none.avi" in left_out
        ended = run(footage, "--out", tmp_path / "shards")
        assert ended.exit_code == 0
        assert f"cut\\noff.avi: {incomplete['frames']} frames, 60 declared\n" in ended.stderr
    # A rate that is made by the clock of uneven frames may give one more or one less.
    found = json.loads(run(footage, "--out", tmp_path / "slow", "--fps", 10, "--json").stdout)
    assert [video["declared"] for video in found["incomplete"]] == [30]


def test_what_shards_have_lost_is_lost_in_those_made_of_them(footage, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_FRAMES", 20)
    assert run(footage, "--out", tmp_path / "first").exit_code == 0
    gone = tmp_path / "first" / "shard-00000-00001.tfrecord"
    gone.unlink()
    found = json.loads(run(tmp_path / "first", "--out", tmp_path / "second", "--json").stdout)
    assert found["frames"] == 40 and found["left_out"] == [
        f"{gone.name} of {gone.parent} is missing: 20 of its 20 frames are lost"
    ]


def test_options_say_the_form(footage, tmp_path):
    ended = run(footage, "--out", tmp_path / "shards", "--size", "32", "48", "--fps", "5",
                "--channels", "3", "--quality", "lossless", "--kind", "video_files")  # fmt: skip
    assert ended.exit_code == 0
    clip = ClipSpec(frames=15, fps=5, size=(32, 48), channels=3)
    (found,), (expected,) = (load(path, clip) for path in (tmp_path / "shards", footage))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("words, code, message", [
    (["--quality", "best"], 2, "`--quality` must be a whole number from 1 to 100, or 'lossless'"),
    (["--preset", "convlstm_vae", "--fps", "5"], 2, "`--preset` must be left out where `size`"),
    (["--preset", "convlstm_vae", "--channels", "3"], 2, "must be left out where `--channels`"),
    (["--kind", "films"], 2, "`--kind` must be one of"),
    (["--out", "s3://bucket/shards"], 2, "`--out` must be a folder on this machine"),
    (["--out", "{file}/shards"], 2, "`--out` must be in a folder that can be written to. Received"),
])  # fmt: skip
def test_what_is_wrong_is_named_by_its_option(footage, tmp_path, words, code, message):
    (tmp_path / "file").write_bytes(b"")
    words = [word.replace("{file}", str(tmp_path / "file")) for word in words]
    ended = run(footage, "--out", tmp_path / "shards", *words)
    assert ended.exit_code == code
    assert message.replace("`size`", "`--size`") in ended.stderr


def test_a_pipeline_is_given_its_options(footage, tmp_path, monkeypatch):
    asked = {}

    def made(path, out, **given):
        asked.update(given, out=out)
        return {"videos": 1, "frames": 30, "shards": 1, "bytes": 9, "kept": 0, "incomplete": []}

    monkeypatch.setattr(beam, "prepare", made)
    ended = run(footage, "--out", "s3://bucket/shards", "--fps", "5", "--beam",
                "--runner=FlinkRunner --job_name='a b'")  # fmt: skip
    assert ended.exit_code == 0 and ended.stdout.endswith("0 of which were there: s3://bucket/shards\n")
    assert asked == {
        "out": "s3://bucket/shards", "options": ["--runner=FlinkRunner", "--job_name=a b"],
        "size": None, "fps": 5, "channels": 1, "kind": None, "quality": 95,
    }  # fmt: skip
    ended = run(footage, "--out", tmp_path / "shards", "--beam", "", "--workers", "2")
    assert ended.exit_code == 2 and "`--workers` must be left out with `--beam`" in ended.stderr


def test_on_a_terminal_there_is_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    with prepare.shown(stream) as report:
        report(7, 30, "line\nbreak.avi")
    assert "line\\nbreak.avi" in stream.getvalue() and "7/30" in stream.getvalue()


def test_elsewhere_there_are_lines(monkeypatch, capsys):
    moments = iter([0.0, 11.0, 11.0, 12.0, 23.0, 23.0])
    clock = types.SimpleNamespace(monotonic=moments.__next__)
    monkeypatch.setattr("zoo.commands.console.time", clock)
    with prepare.shown(io.StringIO()) as report:
        report(7, 30, "line\nbreak.avi")
        report(8, 30, "line\nbreak.avi")
        report(9, None, "b")
    assert capsys.readouterr().err == "7/30 line\\nbreak.avi\n9/? b\n"
