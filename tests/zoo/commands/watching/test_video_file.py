import collections
import os
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest

from zoo.commands.watching import video_file
from zoo.commands.watching.video_file import VideoFile


@pytest.fixture(autouse=True)
def _any_disk(monkeypatch):
    """The disk that the tests run on may be nearly full."""
    monkeypatch.setattr(video_file, "SPARED_BYTES", 0)


def frames_of(path):
    reader = cv2.VideoCapture(str(path))
    found = []
    while (frame := reader.read()[1]) is not None:
        found.append(frame[..., ::-1])
    fps = reader.get(cv2.CAP_PROP_FPS)
    reader.release()
    return found, fps


def levels_of(path):
    return [round(float(frame.mean())) for frame in frames_of(path)[0]]


def level(number, size=(48, 64), channels=3):
    return np.full((*size, channels), number, np.uint8)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(48, 64), (49, 65), (16, 16)])
def test_pictures_come_back_in_their_order_and_colours(tmp_path, suffix, channels, size):
    video = VideoFile(tmp_path / "new" / f"gate{suffix}", fps=12.5)
    pictures = [level(10 * number, size, channels) for number in range(20)]
    for number, picture in enumerate(pictures):
        picture[..., 0] = 200  # Red, or all there is.
        video.show(picture, number / 12.5)
    assert names_in(tmp_path / "new") == [f"gate.unfinished{suffix}"]
    video.close()
    assert names_in(tmp_path / "new") == [f"gate{suffix}"] and video.trouble is None
    found, fps = frames_of(tmp_path / "new" / f"gate{suffix}")
    assert len(found) == 20 and fps == pytest.approx(12.5)
    for frame, picture in zip(found, pictures, strict=True):
        assert np.abs(frame.mean(axis=(0, 1)) - picture.mean(axis=(0, 1))).max() < 12


@pytest.mark.parametrize("every_sec", [0.04, 0.1, 0.5])
def test_the_video_takes_as_long_as_what_it_shows(tmp_path, every_sec):
    video = VideoFile(tmp_path / "gate.avi", fps=10)
    for number in range(int(20 / every_sec)):
        video.show(level(100), 1.7e9 + number * every_sec)
    video.close()
    assert abs(len(levels_of(tmp_path / "gate.avi")) / 10 - 20) < 1.0


def test_what_comes_unevenly_is_kept_as_it_is(tmp_path):
    video = VideoFile(tmp_path / "gate.avi", fps=10)
    late = np.random.default_rng(0).uniform(0, 0.4, 20)
    for number in range(20):
        video.show(level(10 * number), 1.7e9 + number / 10 + late[number] * (number % 3 == 0))
    video.close()
    assert np.abs(np.subtract(levels_of(tmp_path / "gate.avi"), range(0, 200, 10))).max() <= 3


@pytest.mark.parametrize("jump_sec", [3600.0, -3600.0])
def test_a_long_time_without_pictures_and_a_clock_put_back_are_cut_out(tmp_path, jump_sec):
    video = VideoFile(tmp_path / "gate.avi", fps=10)
    for number in range(20):
        video.show(level(10 * number), number / 10 + jump_sec * (number >= 10))
    video.close()
    assert len(levels_of(tmp_path / "gate.avi")) == 20


def test_no_file_of_before_is_written_over(tmp_path):
    (tmp_path / "gate-2.unfinished.mp4").write_bytes(b"of a killed run")
    for _ in range(3):
        video = VideoFile(tmp_path / "gate.mp4", fps=10)
        video.show(level(100), 0.0)
        video.close()
    names = ["gate-2.unfinished.mp4", "gate-3.mp4", "gate-4.mp4", "gate.mp4"]
    assert names_in(tmp_path) == names
    assert (tmp_path / names[0]).read_bytes() == b"of a killed run"


def test_another_size_begins_another_file_at_once(tmp_path):
    video = VideoFile(tmp_path / "gate.avi", fps=10)
    for number, size in enumerate([(48, 64)] * 3 + [(96, 64)] * 4 + [(48, 64)]):
        video.show(level(100, size), number / 10)
    video.close()
    names = ["gate.avi", "gate-2.avi", "gate-3.avi"]
    found = [frames_of(tmp_path / name)[0] for name in names]
    assert [len(frames) for frames in found] == [3, 4, 1]
    assert [frames[0].shape for frames in found] == [(48, 64, 3), (96, 64, 3), (48, 64, 3)]


def test_before_the_disk_is_full_the_file_is_finished_and_another_follows(tmp_path, monkeypatch):
    free = 10**9
    usage = collections.namedtuple("usage", "free")
    monkeypatch.setattr(video_file.shutil, "disk_usage", lambda path: usage(free))
    monkeypatch.setattr(video_file, "SPARED_BYTES", 64 << 20)
    video = VideoFile(tmp_path / "gate.mp4", fps=10)
    said = []
    # Room, hardly any, less than begins a file, room.
    for number, free in enumerate([10**9] * 5 + [10**7] * 5 + [10**8] * 5 + [10**9] * 5):
        video.show(level(10 * number), number / 10)
        said.append(video.trouble)
    video.close()
    assert said[:5] == said[15:] == [None] * 5
    assert set(said[5:15]) == {
        f"{tmp_path} has less than 128 MiB left: no video is written until it has more"
    }
    assert names_in(tmp_path) == ["gate-2.mp4", "gate.mp4"]
    assert levels_of(tmp_path / "gate.mp4") == pytest.approx(range(0, 50, 10), abs=5)
    assert levels_of(tmp_path / "gate-2.mp4") == pytest.approx(range(150, 200, 10), abs=5)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_disk_that_takes_no_more_of_a_sudden_is_said_and_tried_again_later(
    tmp_path, full_disk, suffix
):
    noise = np.random.default_rng(0).integers(0, 256, (240, 360, 3), np.uint8)
    video = VideoFile(tmp_path / f"gate{suffix}", fps=10)
    with full_disk(most_bytes=200_000):
        for number in range(100):
            video.show(noise, number / 10)
        video.close()
    assert f"gate{suffix} cannot be written: " in video.trouble
    # One of another attempt at most: those are half a minute apart.
    assert names_in(tmp_path) in ([f"gate.unfinished{suffix}"], [])
    for number in range(5):
        video.show(noise, 100 + number / 10)
    assert video.trouble is None
    video.close()
    assert video.trouble is None
    (whole,) = (name for name in names_in(tmp_path) if "unfinished" not in name)
    assert len(frames_of(tmp_path / whole)[0]) == 5


def test_a_folder_that_cannot_be_is_trouble(tmp_path):
    (tmp_path / "file").write_text("")
    video = VideoFile(tmp_path / "file" / "gate.mp4", fps=10)
    video.show(level(100), 0.0)
    assert video.trouble == f"{tmp_path}/file/gate.mp4 cannot be written: File exists"
    video.close()


@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
def test_what_a_kill_leaves_can_be_played(tmp_path, suffix):
    program = (
        "import sys, numpy as np\n"
        "from zoo.commands.watching.video_file import VideoFile\n"
        "video = VideoFile(sys.argv[1], 10)\n"
        "noise = np.random.default_rng(0).integers(0, 256, (240, 360, 3), np.uint8)\n"
        "for number in range(10**6):\n"
        "    video.show(noise, number / 10)\n"
        "    print(number, flush=True)\n"
    )
    command = [sys.executable, "-c", program, tmp_path / f"gate{suffix}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        while int(child.stdout.readline()) < 100:
            pass
        os.kill(child.pid, signal.SIGKILL)
    assert names_in(tmp_path) == [f"gate.unfinished{suffix}"]
    # The last seconds are in no cluster yet.
    assert len(frames_of(tmp_path / f"gate.unfinished{suffix}")[0]) > 40


def test_without_a_picture_there_is_no_file(tmp_path):
    VideoFile(tmp_path / "gate.mp4", fps=10).close()
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "fps", "message"),
    [("gate.webm", 10, r"`path` must end in .avi, .mkv, .mp4. Received: path=gate.webm"),
     ("gate", 10, "`path` must end in"),
     ("gate.mp4", 0, "`fps` must be above 0. Received: fps=0")],
)  # fmt: skip
def test_what_cannot_be_a_video_is_refused(name, fps, message):
    with pytest.raises(ValueError, match=message):
        VideoFile(name, fps)
