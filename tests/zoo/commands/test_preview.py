"""`zoo preview` from the command line, and the pictures it draws."""

import io
import json
import re

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import data_pipelines
from zoo.commands import preview_setup
from zoo.commands.app import app
from zoo.commands.preview_setup import GAP, LABEL, Row

SIZE = (96, 128)


def write_video(path, frames, fps, first=0):
    """A video whose frame f is of level 4 (first + f), blue alone."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, SIZE[::-1])
    for number in range(first, first + frames):
        frame = np.zeros((*SIZE, 3), np.uint8)
        frame[..., 0] = 4 * number
        writer.write(frame)
    writer.release()


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    """Two videos of 40 frames at 20 frames per second, and one of 3."""
    folder = tmp_path_factory.mktemp("footage")
    write_video(folder / "gate.avi", 40, 20.0)
    write_video(folder / "yard.avi", 40, 20.0, first=15)
    write_video(folder / "blink.avi", 3, 20.0)
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["preview", *map(str, arguments)])


def cells(image, row, frames, size):
    """The frames in a row of a sheet."""
    top = LABEL + row * (LABEL + size[0] + GAP)
    lefts = [GAP + number * (size[1] + GAP) for number in range(frames)]
    return [image[top : top + size[0], left : left + size[1]] for left in lefts]


def test_pictures_show_clips_at_rate_size_and_colour(footage, tmp_path):
    out = tmp_path / "new" / "preview"
    done = run(footage, "--out", out, "--size", 96, 144, "--fps", 10, "--frames", 5, "--clips", 3,
               "--augment", "flip", "--augment", "speed", "--json")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    names = ["contact_sheet.png", "clips.gif", "augmentations.png"]
    assert found["files"] == [str(out / name) for name in names]
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    assert sorted(path.name for path in out.parent.iterdir()) == ["preview"]
    assert found["videos"][1] == {
        "video": "gate.avi", "fps": 20.0, "fed_fps": 10.0, "frames": 40, "fed_frames": 20,
        "clips": 4, "declared": True, "size": [96, 128], "fed_size": [96, 144],
    }  # fmt: skip
    # A video too short is told of, and not shown.
    assert (found["videos"][0]["fed_frames"], found["videos"][0]["clips"]) == (2, 0)
    assert len(found["shown"]) == 3
    sheet = np.asarray(Image.open(out / "contact_sheet.png")).astype(int)
    assert sheet.shape == (3 * (LABEL + 96 + GAP), GAP + 5 * (144 + GAP), 3)
    for row, label in enumerate(found["shown"]):
        name, _, start = label.partition(", from ")
        first = round(20 * float(start.removesuffix(" s"))) + {"gate.avi": 0, "yard.avi": 15}[name]
        levels = np.array([cell.mean((0, 1)) for cell in cells(sheet, row, 5, (96, 144))])
        # Blue as it was filmed, and every second frame.
        assert np.abs(levels[:, 2] - 4 * (first + 2 * np.arange(5))).max() < 5
        assert levels[:, :2].max() < 8
    page = np.asarray(Image.open(out / "augmentations.png"))
    assert page.shape == (3 * (LABEL + 96 + GAP), GAP + 5 * (144 + GAP), 3)
    with Image.open(out / "clips.gif") as moving:
        assert moving.size == (2 * 144 + GAP, 2 * 96 + GAP) and moving.n_frames == 5
        assert moving.info["duration"] == 100


def test_a_preset_is_fed_as_it_is_trained(footage, tmp_path):
    done = run(footage, "--out", tmp_path / "out", "--augment", "noise", "--clips", 1)
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["VIDEO", "FPS", "FED", "AT", "FRAMES", "FED", "CLIPS", "SIZE",
                                "FED", "AS"]  # fmt: skip
    # Twelve frames at ten per second, begun every four, of crops of the resized frames.
    assert " ".join(lines[2].split()) == "gate.avi 20 10 40 20 3 96x128 128x192, crops 64x64"
    assert lines[-1] == str(tmp_path / "out" / "augmentations.png")
    sheet = np.asarray(Image.open(tmp_path / "out" / "contact_sheet.png"))
    assert sheet.shape == (LABEL + 64 + GAP, GAP + 12 * (64 + GAP), 3)
    (cell, *_) = cells(sheet, 0, 12, (64, 64))
    assert np.ptp(cell, -1).max() == 0  # grey


def test_the_same_seed_draws_the_same_pictures(footage, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        done = run(footage, "--out", tmp_path / name, "--frames", 4, "--seed", seed,
                   "--augment", "noise")  # fmt: skip
        assert done.exit_code == 0, done.stderr
    for picture in ("contact_sheet.png", "clips.gif", "augmentations.png"):
        a, b, c = ((tmp_path / name / picture).read_bytes() for name in "abc")
        assert a == b != c


def test_each_augmentation_is_shown_on_the_same_clip(footage):
    videos = data_pipelines.open_source(footage).videos
    clip = data_pipelines.ClipSpec(frames=6, channels=3)
    names = tuple(data_pipelines.augmentations.AUGMENTATIONS)
    first, *others = preview_setup.augmented(videos, clip, names, seed=0)
    assert first.label.startswith("as it is: ") and [row.label for row in others] == list(names)
    shown = {row.label: row.pixels for row in others}
    assert all(pixels.shape == first.pixels.shape == (6, *SIZE, 3) for pixels in shown.values())
    np.testing.assert_array_equal(shown["reverse"], first.pixels[::-1])
    np.testing.assert_array_equal(shown["flip"], first.pixels[:, :, ::-1])
    # Frames of one level are their own mirror image, and nothing in them can be blurred.
    unchanged = {name for name in names if np.array_equal(shown[name], first.pixels)}
    assert unchanged == {"flip", "blur"}


def test_what_needs_longer_footage_is_left_out_and_that_is_said(footage, capsys):
    videos = data_pipelines.open_source(footage).videos
    clip = data_pipelines.ClipSpec(frames=30)
    rows = preview_setup.augmented(videos, clip, ("speed", "blur"), seed=0)
    assert [row.label for row in rows[1:]] == ["blur"]
    assert "speed is left out: no video has the 59 frames that it needs" in capsys.readouterr().err


def test_clips_are_spread_over_the_videos_and_lie_apart(footage):
    videos = data_pipelines.open_source(footage).videos
    rows = preview_setup.draw_clips(videos, data_pipelines.ClipSpec(frames=5, stride=1), 10, seed=3)
    assert len({row.label for row in rows}) == len(rows) == 10
    assert {row.label.partition(",")[0] for row in rows} == {"gate.avi", "yard.avi"}
    starts = {round(20 * float(row.label.split()[-2])) for row in rows}
    assert all(start % 5 == 0 for start in starts)


def test_a_gif_keeps_the_rate_where_a_frame_is_no_whole_number_of_its_clock():
    pixels = np.arange(30, dtype=np.uint8).reshape(30, 1, 1, 1) * np.ones((1, 8, 8, 1), np.uint8)
    with Image.open(io.BytesIO(preview_setup.gif([Row("", pixels)], 30.0))) as moving:
        durations = []
        for number in range(moving.n_frames):
            moving.seek(number)
            durations.append(moving.info["duration"])
        assert moving.size == (96, 96)
    assert len(durations) == 30 and set(durations) == {30, 40} and sum(durations) == 1000


def test_where_no_rate_is_told_that_of_the_gif_is_said(tmp_path):
    folder = tmp_path / "frames" / "one"
    folder.mkdir(parents=True)
    for number in range(4):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((8, 8), 60 * number, np.uint8))
    done = run(tmp_path / "frames", "--out", tmp_path / "out", "--frames", 2, "--augment", "flip")
    assert done.exit_code == 0, done.stderr
    assert "clips.gif goes at 10 frames per second" in done.stderr
    assert done.stdout.splitlines()[1].split() == ["one", "unknown", "unknown", "4", "4", "2",
                                                   "8x8", "8x8"]  # fmt: skip
    assert "declare" not in done.stdout


def test_what_is_declared_alone_is_called_so_and_names_are_one_line(footage, tmp_path):
    (footage / "gate.avi").rename(footage / "gate\n\x1b[2J.avi")
    done = run(footage, "--out", tmp_path / "out", "--frames", 5, "--augment", "flip")
    assert done.exit_code == 0, done.stderr
    assert "FRAMES are those that files declare" in done.stdout
    assert "gate\\n\\x1b[2J.avi" in done.stdout and "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "convlstm_vea"], "`--preset` must be a preset: .*Did you mean convlstm_vae"),
        (["--augment", "warp"], "`--augment` must be of blur, .* Received: --augment=warp"),
        (["--preset", "pca", "--fps", "5"],
         "`--preset` must be left out where `--size`, `--fps` or `--frames` is given. Received: "
         "--preset=pca"),
        (["--fps", "0"], "`--fps` must be above 0"),
        (["--size", "0", "9"], r"`--size` must be \(height, width\)"),
        (["--frames", "0"], "--frames"),
        (["--clips", "0"], "--clips"),
        (["--frames", "50", "--fps", "10"],
         "`PATH` must hold a video of at least 50 frames at 10 per second. Received: "),
    ],
)  # fmt: skip
def test_wrong_usage_is_said_and_nothing_written(footage, tmp_path, arguments, message):
    done = run(footage, "--out", tmp_path / "out", *arguments)
    assert done.exit_code == 2
    assert re.search(message, done.stderr), done.stderr
    assert not list(tmp_path.iterdir())


def test_nothing_to_read_is_said(tmp_path):
    done = run(tmp_path / "nowhere", "--out", tmp_path / "out")
    assert done.exit_code == 2 and "zoo: `PATH` " in done.stderr and "not exist" in done.stderr
    (tmp_path / "notes.txt").write_text("what I saw\n" * 50)
    done = run(tmp_path / "notes.txt", "--out", tmp_path / "out")
    assert done.exit_code == 2 and "zoo: `PATH` must be a video file" in done.stderr
    (tmp_path / "gate.mp4").write_bytes(b"\0\1garbage" * 500)
    done = run(tmp_path / "gate.mp4", "--out", tmp_path / "out")
    assert done.exit_code == 1 and "gate.mp4 cannot be opened as a video" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_in_use_or_in_the_footage_is_refused(footage, tmp_path, monkeypatch):
    monkeypatch.setattr(preview_setup, "make", lambda *_, **__: pytest.fail("it was drawn"))
    (tmp_path / "file").write_text("mine")
    for out, message in (
        (tmp_path / "file", "must be a new or an empty folder"),
        (tmp_path, "must be a new or an empty folder"),
        (tmp_path / "file" / "out", "must be in a folder that can be written to"),
        (footage / "pictures", "must not be in the footage"),
        (footage / ".." / footage.name / "deep" / "pictures", "must not be in the footage"),
    ):
        done = run(footage, "--out", out)
        assert done.exit_code == 2 and f"`--out` {message}" in done.stderr
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("broken")])
def test_pictures_are_written_whole_or_not_at_all(footage, tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(preview_setup, "gif", fail)
    done = run(footage, "--out", tmp_path / "out", "--frames", 4, "--augment", "flip")
    assert done.exit_code == 1
    assert not list((tmp_path / "out").iterdir()) and len(list(tmp_path.iterdir())) == 1
