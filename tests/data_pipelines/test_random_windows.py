"""Windows drawn at random against those that are cut from the whole video."""

import itertools
import logging

import cv2
import numpy as np
import pytest

import data_pipelines
from data_pipelines import ClipSpec, Source, open_source, remote, workers
from data_pipelines.decoding import prepared_window
from data_pipelines.sources.video_files import VideoFile

SPEC = ClipSpec(frames=3, size=(16, 24))


@pytest.fixture(autouse=True)
def _no_process_stays():
    yield
    workers._pool.close()


@pytest.fixture
def source(numbered):
    return numbered(12, 24)


def clips(source, spec=SPEC, *, count=40, **arguments):
    stream = data_pipelines.load(source, spec, windows_per_epoch=count, **arguments)
    return [np.asarray(clip) for clip in stream]


def test_every_place_is_drawn_alike(source):
    starts = [round(float(clip[0].mean()) * 255) for clip in clips(source, count=3200, seed=3)]
    counts = np.bincount(starts, minlength=72)
    # 10 places in the one, 22 in the other: a hundred of each, give or take ten.
    assert set(np.flatnonzero(counts)) == {*range(10), *range(50, 72)}
    drawn = counts[np.flatnonzero(counts)]
    assert ((drawn - 100) ** 2 / 100).sum() < 61  # Chi-square of 31 degrees at 1 in 1000.


def test_windows_are_those_of_the_video(source):
    whole = data_pipelines.load(source, ClipSpec(frames=3, size=(16, 24), stride=1))
    known = {np.asarray(clip).tobytes() for clip in whole}
    assert {clip.tobytes() for clip in clips(source, count=200)} <= known


def test_an_element_is_found_again_without_those_before_it(source):
    stream = clips(source, seed=5, augment=("noise",))
    assert len({clip.tobytes() for clip in stream}) > 20
    for workers_ in (1, 3):
        again = clips(source, seed=5, augment=("noise",), skip=33, workers=workers_)
        np.testing.assert_array_equal(again, stream[33:])
    endless = data_pipelines.load(
        source, SPEC, windows_per_epoch=40, seed=5, augment=("noise",), repeat=True, skip=39,
        batch=1,
    )  # fmt: skip
    found = [np.asarray(clip)[0] for clip in itertools.islice(endless, 3)]
    np.testing.assert_array_equal(found[0], stream[39])
    later = clips(source, seed=5, augment=("noise",), first_epoch=1)
    np.testing.assert_array_equal(found[1:], later[:2])
    assert not np.array_equal(later, stream)


def test_nothing_is_read_before_the_window(numbered):
    (video,) = numbered(250).videos
    read = []
    frames = video.frames
    video.frames = lambda start=0: (read.append(start), frames(start))[1]
    clip = prepared_window(video, ClipSpec(frames=2, frame_step=2, size=(16, 24)), 200)
    assert read == [200] and clip.shape == (2, 16, 24, 1)
    assert [round(float(frame.mean())) for frame in clip] == [200, 202]


def test_classes_and_batches_come_along(source):
    source.videos[0].label, source.videos[1].label = "one", "two"
    stream = data_pipelines.load(source, SPEC, windows_per_epoch=10, labels=["two", "one"], batch=4)
    batches = [(np.asarray(clip), np.asarray(label)) for clip, label in stream]
    assert [len(clip) for clip, _ in batches] == [4, 4, 2] == [len(label) for _, label in batches]
    for clip, label in batches:
        np.testing.assert_array_equal(label, clip[:, 0].mean((1, 2, 3)) * 255 < 40)


def test_a_place_that_cannot_be_read_is_told_and_drawn_anew(tmp_path, write_video, caplog):
    path = write_video(tmp_path / "cut.avi", frames=60, size=(96, 128))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    video = VideoFile("cut.avi", path)
    assert video.num_frames == 60 and sum(1 for _ in video.frames()) < 40
    with caplog.at_level(logging.WARNING):
        found = clips(Source("video_files", tmp_path, [video]), count=30, seed=1)
    assert len(found) == 30
    told = [line for line in caplog.messages if "a window drawn from it cannot be read" in line]
    assert len(told) == 1 and told[0].startswith("cut.avi")


def test_footage_of_which_nothing_can_be_read_ends_it(numbered):
    source = numbered(30)
    source.videos[0].window = lambda *_: []
    with pytest.raises(Exception, match="no whole window could be read in 20 draws, .* of video0"):
        clips(source)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "`windows_per_epoch` must be at least 1 or None. Received: .*=0"),
        ({"cache": "memory"}, "`cache` must be None where `windows_per_epoch` is given"),
        ({"cache": "disk"}, "`cache` must be None where `windows_per_epoch` is given"),
        ({"spec": ClipSpec(frames=30, size=(16, 24))}, "no video is as long as a clip of 30"),
        ({"spec": ClipSpec(frames=3, size=(16, 24), crop=None, stride=2), "skip": -1}, "`skip`"),
    ],
)
def test_what_cannot_be_is_refused(source, arguments, message):
    with pytest.raises(ValueError, match=message):
        clips(source, **arguments)


def test_a_camera_is_refused():
    camera = data_pipelines.sources.camera.open_source("http://localhost:1/a.mjpg")
    with pytest.raises(ValueError, match="`windows_per_epoch` must be None for a camera"):
        clips(camera)


@pytest.fixture
def long_videos(tmp_path, monkeypatch):
    """A folder of two files of noise, many of the blocks that remote files are read by."""
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1 << 15)
    folder = tmp_path / "web" / "archive"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("a.mp4", "b.mp4"):
        write_noise(folder / name, 120, (120, 160))
    return folder


def write_noise(path, count, size):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, size[::-1])
    rng = np.random.default_rng(list(path.name.encode()))
    for _ in range(count):
        writer.write(rng.integers(0, 256, (*size, 3), np.uint8))
    writer.release()


@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_windows_of_remote_files_are_those_of_local_ones(
    request, tmp_path, web, long_videos, scheme
):
    spec = ClipSpec(frames=3, frame_step=2, fps=5, size=(16, 24))
    expected = clips(long_videos, spec, count=12, seed=2)
    address = f"{web.url}/archive"
    if scheme == "s3":
        address = request.getfixturevalue("bucket")(long_videos)
    # One after the other, so that files stay open in one process.
    np.testing.assert_array_equal(clips(address, spec, count=12, seed=2, workers=1), expected)
    np.testing.assert_array_equal(clips(address, spec, count=12, seed=2, workers=2), expected)


def test_of_a_long_remote_file_little_is_read_for_a_window(tmp_path, web, monkeypatch):
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1 << 15)
    write_noise(tmp_path / "web" / "a.mp4", 240, (240, 320))
    length = (tmp_path / "web" / "a.mp4").stat().st_size
    (video,) = open_source(f"{web.url}/a.mp4").videos
    assert len(video.window(100, 3)) == 3
    web.sent, asked = 0, len(web.asked)
    for start in (60, 20, 150):
        assert len(video.window(start, 3)) == 3
    assert length > 4 << 20 and 0 < web.sent < length / 2
    # Nor is the index of the file, at its end, read for each of them.
    last = f"bytes={length - length % (1 << 15)}-{length - 1}"
    assert last not in [wanted for _, wanted in web.asked[asked:]]
    assert last in [wanted for _, wanted in web.asked[:asked]]


@pytest.mark.parametrize("name,codec", [("a.avi", "MJPG"), ("a.mp4", "mp4v")])
def test_before_its_first_frames_a_remote_file_is_opened_again(
    tmp_path, web, write_video, name, codec
):
    write_video(tmp_path / "web" / name, frames=40, codec=codec)
    (video,) = open_source(f"{web.url}/{name}").videos
    expected = list(video.frames())
    for start in (30, 0, 20, 1):
        np.testing.assert_array_equal(video.window(start, 4), expected[start : start + 4])


def test_a_file_that_was_replaced_at_its_server_is_opened_anew(tmp_path, web, write_video):
    path = write_video(tmp_path / "web" / "a.avi", frames=20)
    spec = ClipSpec(frames=20, channels=1)
    (clip,) = clips(f"{web.url}/a.avi", spec, count=1, workers=1)
    assert np.abs(255 * clip.mean((1, 2, 3)) - 5 * np.arange(20)).max() < 4
    write_video(path, frames=30)
    found = clips(f"{web.url}/a.avi", ClipSpec(frames=30, channels=1), count=1, workers=1)
    assert np.abs(255 * found[0].mean((1, 2, 3)) - 5 * np.arange(30)).max() < 4


def test_a_server_that_fails_between_windows_is_an_error_that_names_the_file(
    web, long_videos, hasty
):
    source = open_source(f"{web.url}/archive/a.mp4")
    stream = iter(data_pipelines.load(source, SPEC, windows_per_epoch=60, workers=1))
    next(stream)
    web.answers["/archive/a.mp4"] = [503] * 999
    with pytest.raises(Exception, match="/a.mp4 could not be read, tried 4 times: HTTP status 503"):
        list(stream)
    web.answers.clear()
    assert len(clips(source, count=3)) == 3


def test_a_server_without_ranges_is_refused(web, long_videos):
    web.ranges = False
    message = "`windows_per_epoch` must be None for a file whose .* no ranges.* for a.mp4"
    with pytest.raises(ValueError, match=message):
        clips(f"{web.url}/archive")


def test_folders_of_remote_images_are_drawn_from(tmp_path, web, write_images):
    names = [f"{number}.png" for number in range(30)]
    write_images(tmp_path / "web" / "day", names, range(30))
    expected = clips(tmp_path / "web", count=6, seed=1)
    asked = len(web.asked)
    found = clips(f"{web.url}/", count=6, seed=1, workers=1)
    np.testing.assert_array_equal(found, expected)
    images = {path for path, _ in web.asked[asked:] if path.endswith(".png")}
    assert len(images) <= 6 * SPEC.frames
