"""Sources become frames as the model takes them, with their times, each read by a thread."""

import datetime
import itertools
import time
import types

import cv2
import numpy as np
import pytest

import data_pipelines
from data_pipelines import ClipSpec, Source, Video
from data_pipelines.sources.base import TimedVideo
from data_pipelines.sources.camera import TimedFrame
from zoo.commands.watching import feeds
from zoo.commands.watching.arrivals import Arrivals
from zoo.commands.watching.feeds import Feed, SourceClock, StateNews, open_feeds, recorded_frames

CLIP = ClipSpec(fps=10.0, size=(16, 24), channels=1)


@pytest.fixture
def film(tmp_path):
    """A function that writes a video file of a square that goes right, and returns its path."""

    def write(name="gate.avi", frames=30, fps=25.0, size=(48, 72)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, size[::-1])
        for number in range(frames):
            image = np.full((*size, 3), 40, np.uint8)
            image[8:24, number : number + 16] = (200, 100, 50)
            writer.write(image)
        writer.release()
        return path

    return write


def test_sources_have_names_each_one_of_a_kind(film, tmp_path, monkeypatch):
    film("a/gate.avi"), film("b/gate.avi"), film("b/door.avi")
    (tmp_path / "x=y").mkdir()
    film("x=y/hall.avi")
    monkeypatch.chdir(tmp_path)
    found = open_feeds([
        "a/gate.avi", "b/gate.avi", "b", "hall=b/door.avi", "x=y/hall.avi",
        "gate 2=rtsp://user:secret@10.0.0.9/live?a=b", "rtsp://user:secret@10.0.0.9/live?a=b",
    ])  # fmt: skip
    assert [(name, is_named) for name, (_, is_named) in found.items()] == [
        ("a/gate.avi", False), ("b/gate.avi", False), ("b", False), ("hall", True),
        ("hall.avi", False), ("gate 2", True), ("rtsp://***@10.0.0.9/live?a=***", False),
    ]  # fmt: skip
    assert [video.name for video in found["b"][0].videos] == ["door.avi", "gate.avi"]
    with pytest.raises(ValueError, match="`source` must have another name .* gate twice"):
        open_feeds(["gate=a/gate.avi", "gate=b/gate.avi"])
    with pytest.raises(ValueError, match="`source` nowhere.avi does not exist"):
        open_feeds(["gate=nowhere.avi"])


@pytest.mark.parametrize("images", [False, True])
def test_a_file_gives_the_frames_that_a_calibration_sees(film, images):
    (video,) = data_pipelines.open_source(film()).videos
    seen = np.concatenate(list(data_pipelines.chunks(video, CLIP)))
    assert len(seen) == 12
    found = list(recorded_frames(video, CLIP, 10.0, images))
    np.testing.assert_array_equal([frame for _, frame, _, _ in found], seen)
    np.testing.assert_allclose([time_sec for time_sec, *_ in found], np.arange(12) / 10)
    assert {size for *_, size in found} == {(48, 72)}
    if not images:
        assert {type(image) for _, _, image, _ in found} == {type(None)}
        return
    every = list(video.frames())
    # The nearest in time of 25 frames a second.
    for (_, _, image, _), number in zip(found, (0, 3, 5, 8, 10, 13, 15, 18, 20, 23, 25, 28)):
        np.testing.assert_array_equal(image, every[number])


@pytest.mark.parametrize("images", [False, True])
def test_frames_in_a_folder_are_those_that_a_calibration_sees(tmp_path, images):
    rng = np.random.default_rng(0)
    for number in range(5):
        image = rng.integers(0, 256, (48, 72, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    (video,) = data_pipelines.open_source(tmp_path).videos
    seen = np.concatenate(list(data_pipelines.chunks(video, CLIP)))
    found = list(recorded_frames(video, CLIP, 10.0, images))
    np.testing.assert_array_equal([frame for _, frame, _, _ in found], seen)
    assert {size for *_, size in found} == {(48, 72)}
    if images:
        np.testing.assert_array_equal([image for _, _, image, _ in found], list(video.frames()))


class Clocked(TimedVideo):
    """A video whose container has such times."""

    def __init__(self, times):
        super().__init__("gate", fps=10.0, num_frames=len(times))
        self.times = times

    def timed(self, fps=None, size=None, channels=None, start=0):
        for time_sec in self.times[start:]:
            yield time_sec, np.zeros((16, 24, 1), np.uint8)


def test_times_go_by_the_clock_of_the_video():
    times = [0.0, 0.104, 0.196, 7.5, 7.6, 0.3, 0.4]
    found = [time_sec for time_sec, *_ in recorded_frames(Clocked(times), CLIP, 10.0)]
    np.testing.assert_allclose(found, times)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("2024-05-01T06:30:00Z", (2024, 5, 1, 6, 30)),
        ("2024-05-01T08:30:00+02:00", (2024, 5, 1, 6, 30)),
        ("2024-05-01T06:30:00", (2024, 5, 1, 6, 30)),
        ("1904-01-01T00:00:00Z", None), ("in May", None), (None, None),
    ],
)  # fmt: skip
def test_a_file_may_say_when_it_was_recorded(said, expected):
    video = Video("gate")
    video.facts = {"creation_time": said}
    if expected is not None:
        expected = datetime.datetime(*expected, tzinfo=datetime.UTC).timestamp()
    assert feeds.recorded_at(video) == expected
    assert feeds.recorded_at(Video("gate")) is None


def test_when_it_was_recorded_agrees_with_the_hour_that_calibrations_take(read):
    video = Video("gate_2024-05-01_20-30-00.mp4")
    video.facts = {"creation_time": "2024-05-01T14:30:00Z"}
    assert feeds.recorded_at(video) == datetime.datetime(2024, 5, 1, 20, 30).timestamp()
    video = Clocked([0.0])
    video.start_hour = lambda: 7.25
    moment = datetime.datetime.fromtimestamp(feeds.recorded_at(video))
    assert (moment.hour, moment.minute) == (7, 15)
    hours = []
    for video in (video, Clocked([0.0])):
        arrivals, _, _ = read(Source("video_files", "gate", [video]))
        hours += [one.stream.tells_hour for one in all_of(arrivals)]
    assert hours == [True, False]


class Twice(Clocked):
    """Breaks off earlier when frames are asked for as they are."""

    def timed(self, fps=None, size=None, channels=None, start=0):
        return itertools.islice(super().timed(fps), 3 if size else 1)


def test_a_file_that_is_shorter_the_second_time_is_told_and_the_next_is_read(read):
    source = Source("video_files", "gate", [Twice([0.0, 0.1, 0.2]), Clocked([0.0, 0.1])])
    arrivals, feed, _ = read(source, images=True, max_speed=True)
    assert len(all_of(arrivals)) == 1 + 2
    assert "broke off as it was decoded a second time" in feed.failure


def test_a_camera_without_its_clock_for_a_moment_does_not_go_back():
    clock = SourceClock()
    times = [(50.0, 7.0), (50.1, 8.5), (50.2, None), (51.5, None)]
    found = [clock.seconds(timed(arrived, stream)) for arrived, stream in times]
    np.testing.assert_allclose(found, [50.0, 51.1, 51.1, 51.5])


def timed(arrived, stream=None):
    return TimedFrame(np.zeros((4, 4, 1), np.uint8), arrived, stream, "live")


@pytest.mark.parametrize(
    ("arrivals", "stream", "expected"),
    [
        ([50.0, 50.3, 50.3], [7.0, 7.1, 7.2], [50.0, 50.1, 50.2]),  # held up by the network
        ([50.0, 50.1, 53.0], [7.0, 7.0, 7.0], [50.0, 50.0, 52.0]),  # stands still
        ([50.0, 50.1, 50.2], [7.0, 99.0, 99.1], [50.0, 51.1, 51.2]),  # was put forward
        ([50.0, 50.1, 50.2], [None, None, None], [50.0, 50.1, 50.2]),
    ],
)
def test_a_camera_tells_the_time_as_far_as_it_agrees_with_what_arrives(arrivals, stream, expected):
    clock = SourceClock()
    found = [clock.seconds(timed(*both)) for both in zip(arrivals, stream, strict=True)]
    np.testing.assert_allclose(found, expected)


def test_news_of_a_camera_is_told_once():
    said, statistics = [], types.SimpleNamespace(clock_jumps=0, last_error="HTTP 404\nNot Found")
    news = StateNews("gate", types.SimpleNamespace(statistics=lambda: statistics), said.append)
    for state in "connecting waiting connecting waiting live live stalled live".split():
        news.look(state)
    assert said == [
        r"gate: not there: HTTP 404\nNot Found", "gate: frames come", "gate: no frame comes",
        "gate: frames come",
    ]  # fmt: skip
    statistics.clock_jumps = 2
    news.look("live"), news.look("live")
    assert said[4:] == ["gate: its clock was put back; time goes on by when frames arrive"]


@pytest.fixture
def read():
    """A function that reads a source to its end; what arrived, and the feed. Each ends."""
    made = []

    def start(source, limit=1000, **options):
        arrivals, said = Arrivals(["gate"], limit=limit), []
        feed = Feed("gate", source, CLIP, arrivals, said.append, **options)
        made.append((arrivals, feed))
        feed.start()
        return arrivals, feed, said

    yield start
    for arrivals, feed in made:
        arrivals.stop()
        feed.end()
        feed.join(20)
        assert not feed._thread.is_alive()


def all_of(arrivals):
    found = []
    while (one := arrivals.take().get("gate")) is not None:
        found.append(one)
    return found


def test_the_videos_of_a_folder_are_read_one_after_the_other(film, tmp_path, read):
    film("door.avi", frames=10), film("gate.avi", fps=5.0, frames=4)
    source = data_pipelines.open_source(tmp_path)
    arrivals, feed, said = read(source, max_speed=True, is_named=True)
    found = all_of(arrivals)
    assert [one.stream.name for one in found] == ["gate/door.avi"] * 4 + ["gate/gate.avi"] * 4
    assert found[0].stream.known_as == ("gate", "door.avi", "door.avi")
    np.testing.assert_allclose([one.time_sec for one in found[4:]], [0.0, 0.2, 0.4, 0.6])
    assert said == [
        "gate/gate.avi: 5 frames per second are fewer than the 10 of the model; all are used, none "
        "invented"
    ]
    assert feed.dropped == 0 and not feed.live and feed.failure is None


def test_a_file_at_its_own_pace_waits_for_each_frame_and_drops_those_not_taken(film, read):
    source = data_pipelines.open_source(film(frames=25))
    began = time.monotonic()
    arrivals, feed, _ = read(source, limit=2)
    feed._thread.join(20)
    assert time.monotonic() - began >= 0.85
    assert feed.dropped == 8
    np.testing.assert_allclose([one.time_sec for one in all_of(arrivals)], [0.8, 0.9])


class Late(Video):
    """A video whose first frames take long to be decoded."""

    def frames(self, start=0):
        for number in range(12):
            time.sleep(1.2 if number in (0, 6) else 0.0)
            yield np.full((16, 24, 1), number, np.uint8)


def test_a_file_that_is_late_itself_gives_nothing_in_a_rush(read, monkeypatch):
    at, put = [], Arrivals.put

    def noted(self, source, arrived, wait):
        at.append(time.monotonic())
        return put(self, source, arrived, wait)

    monkeypatch.setattr(Arrivals, "put", noted)
    arrivals, _, _ = read(Source("video_files", "gate", [Late("gate", fps=10.0)]))
    assert [one.frame.max() for one in all_of(arrivals)] == list(range(12))
    # Frames 0 to 5, and after the second wait 6 to 11, a tenth of a second apart; not at once.
    assert at[5] - at[0] > 0.1 and at[11] - at[6] > 0.1


def test_what_a_file_leaves_out_is_not_waited_for(read):
    video = Clocked([0.0, 0.1, 5000.0, 5000.1, 0.2])
    arrivals, _, _ = read(Source("video_files", "gate", [video]))
    assert [one.time_sec for one in all_of(arrivals)] == [0.0, 0.1, 5000.0, 5000.1, 0.2]


def test_nothing_is_dropped_at_the_highest_speed(film, read):
    arrivals, feed, _ = read(data_pipelines.open_source(film(frames=25)), limit=2, max_speed=True)
    assert len(all_of(arrivals)) == 10 and feed.dropped == 0


class Breaking(Video):
    def __init__(self, error):
        super().__init__("gate", fps=10.0)
        self.error = error

    def frames(self, start=0):
        yield np.zeros((16, 24, 1), np.uint8)
        raise self.error


def test_a_source_that_breaks_off_is_told_and_a_fault_is_raised(read):
    videos = [Breaking(OSError("the server has gone")), Clocked([0.0, 0.1])]
    arrivals, feed, said = read(Source("video_files", "gate", videos), max_speed=True)
    assert len(all_of(arrivals)) == 1 + 2
    assert feed.failure == "the server has gone" and said == ["gate: the server has gone"]
    arrivals, feed, _ = read(Source("video_files", "gate", [Breaking(KeyError("a fault"))]))
    with pytest.raises(KeyError, match="a fault"):
        all_of(arrivals)


class FakeCamera(Video):
    """Gives such `TimedFrame`s and then none, until it is closed."""

    live = True

    def __init__(self, given, fps=25.0):
        super().__init__("gate")
        self.given, self.rate, self.closed = given, fps, False

    def statistics(self):
        return types.SimpleNamespace(clock_jumps=0, last_error=None, fps=self.rate, dropped=3)

    def timed_frames(self, timeout_seconds):
        yield from self.given
        while not self.closed:
            time.sleep(0.01)
            yield TimedFrame(None, time.monotonic(), None, "stalled")

    def close(self):
        self.closed = True


def test_a_camera_is_brought_to_the_rate_and_its_loss_told_once(read, monkeypatch):
    monkeypatch.setattr(feeds, "OUTAGE_SECONDS", 0.05)
    given = [
        TimedFrame(np.full((48, 72, 3), 200, np.uint8), 50 + n / 25, 7 + n / 25, "live")
        for n in range(25)
    ]
    arrivals, feed, said = read(Source("camera", "gate", [FakeCamera(given)]), images=True)
    found = [arrivals.take()["gate"] for _ in range(11)]
    assert [one.frame is None for one in found] == [False] * 10 + [True]
    np.testing.assert_allclose(
        [one.time_sec for one in found[:10]],
        [number / 25 for number in (0, 2, 5, 7, 10, 12, 15, 17, 20, 22)],
    )
    first = found[0]
    assert first.frame.shape == (16, 24, 1) and first.frame.mean() == 200
    assert first.image.shape == (48, 72, 3) and first.size == (48, 72)
    # When it arrived, by the clock of the day.
    assert first.wall_sec - found[9].wall_sec == pytest.approx(-22 / 25, abs=0.1)
    assert said == ["gate: frames come", "gate: no frame comes"]
    time.sleep(0.1)
    assert len(arrivals._queues["gate"]) == 0
    assert feed.live and feed.dropped == 3


def test_a_slow_camera_is_told_once(read):
    endless = (
        TimedFrame(np.zeros((16, 24, 1), np.uint8), 50 + n / 4, None, "live")
        for n in itertools.count()
    )
    arrivals, _, said = read(Source("camera", "gate", [FakeCamera(endless, fps=4.04)]))
    while len(said) < 2:
        assert arrivals.take()
    for _ in range(50):
        assert arrivals.take()
    assert said[1:] == [
        "gate: 4.04 frames per second are fewer than the 10 of the model; all are used, none "
        "invented"
    ]
