"""Windows drawn at random against those that are cut from the whole video."""

import itertools
import logging

import numpy as np
import pytest

import data_pipelines
from data_pipelines import ClipSpec, Source, workers
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
