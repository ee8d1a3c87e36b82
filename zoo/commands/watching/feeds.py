"""What `zoo watch` reads: each source by a thread of its own, brought to what the model takes."""

import datetime
import math
import threading
import time
from pathlib import Path

import data_pipelines
from data_pipelines import clips, transforms
from data_pipelines.batching import first_frame
from data_pipelines.sources.base import TimedVideo
from data_pipelines.sources.dated_names import moment_in
from zoo.commands.console import is_expected, printable
from zoo.commands.frame_clock import FrameClock
from zoo.commands.source_names import name_and_place, told_apart
from zoo.commands.watching.arrivals import Arrived, Stream
from zoo.evaluation.events import OUTAGE_SECONDS

# After how long without a frame of a camera its state is looked at.
_IDLE_SECONDS = 0.5

# How far the clock of a source may be off when frames arrived, or are wanted.
_CLOCK_SECONDS = 1.0

# Frames after which it is known how fast a camera is.
_RATE_FRAMES = 40
_SLOW = 0.9  # of the rate wanted

# Containers that do not know when they were recorded may say that it was when their clock began.
_FIRST_YEAR = 1990


def open_feeds(given):
    """Opens sources.

    Args:
        given: List of paths and addresses, each maybe as `NAME=SOURCE`, or of `Source`.

    Returns:
        Dict from name, one of a kind each, to `(source, is_named)`: `data_pipelines.Source`, and
        whether the user gave the name.

    Raises:
        ValueError: If one is none that can be read; if two are given one name.
        OSError: If a remote one does not answer.
    """
    opened = []
    for place in given:
        name, place = name_and_place(place) if isinstance(place, str) else (None, place)
        if name is not None and name in [other for other, _ in opened]:
            raise ValueError(
                f"`source` must have another name for each, as in NAME=ADDRESS. Received: {name} "
                "twice"
            )
        opened.append((name, data_pipelines.open_source(place)))
    by_user = [name for name, _ in opened if name is not None]
    others = [(_name_of(source), str(source.path)) for name, source in opened if name is None]
    made = iter(told_apart(others, by_user))
    return {name or next(made): (source, name is not None) for name, source in opened}


def _name_of(source):
    one = len(source.videos) == 1
    return source.videos[0].name if one else Path(source.path).resolve().name


class Feed:
    """A source that a thread of its own reads, until its end or until no more is wanted.

    Args:
        name: Of the source.
        source: `data_pipelines.Source`; its videos are read one after the other.
        clip: `ClipSpec` that says what the model takes: `fps`, `size`, `channels`.
        arrivals: `Arrivals` that frames are put into.
        say: Function of a line for people.
        max_speed: Whether videos that are not live are read as fast as their frames are taken,
            none dropped, or at their own pace.
        images: Whether frames are wanted as the source gives them, too.
        is_named: Whether the user has chosen the name.

    Attributes:
        failure: Why it could not be read to its end, or None.
    """

    def __init__(self, name, source, clip, arrivals, say, *, max_speed=False, images=False,
                 is_named=False):
        self.name, self.source, self.failure = name, source, None
        self._clip, self._arrivals, self._say = clip, arrivals, say
        self._max_speed, self._images, self._is_named = max_speed, images, is_named
        self._stopped, self._unseen_at_end = threading.Event(), None
        self._thread = threading.Thread(target=self._run, name=f"feed {name}", daemon=True)

    @property
    def live(self):
        """Whether frames come as they happen."""
        return any(video.live for video in self.source.videos)

    @property
    def dropped(self):
        """Frames so far that came too late: to be scored, or to be looked at."""
        return self._arrivals.dropped[self.name] + (
            self._unseen() if self._unseen_at_end is None else self._unseen_at_end
        )

    def _unseen(self):
        return sum(video.statistics().dropped for video in self.source.videos if video.live)

    def start(self):
        """Begins to read."""
        self._thread.start()

    def end(self):
        """Says that no more is wanted, without waiting."""
        # What still waits in a camera that is closed counts there as dropped.
        self._unseen_at_end = self._unseen()
        self._stopped.set()
        for video in self.source.videos:
            if video.live:
                video.close()

    def join(self, seconds=5.0):
        """Waits for the thread to end, so long at most."""
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _run(self):
        fault = None
        try:
            for video in self.source.videos:
                if not self._read(video):
                    break
        except Exception as error:
            fault = error
        finally:
            self._arrivals.end(self.name, fault)

    def _read(self, video):
        """Puts the frames of a video; returns whether more is wanted."""
        try:
            return (self._live if video.live else self._recorded)(video, self._stream(video))
        except Exception as error:
            if not is_expected(error):
                raise
            # Of a folder the other videos are read.
            self.failure = str(error)
            self._say(f"{self.name}: {error}")
            return True

    def _stream(self, video):
        one = len(self.source.videos) == 1
        name = self.name if one else f"{self.name}/{video.name}"
        known_as = [self.name] * self._is_named + [video.group, video.name]
        tells_hour = video.live or video.start_hour() is not None
        return Stream(name, tuple(one for one in known_as if one is not None), tells_hour)

    def _recorded(self, video, stream):
        fps, rate = self._clip.fps, clips.given_rate(video.fps, self._clip.fps)
        if video.fps is None:
            self._say(f"{stream.name}: nothing tells its frame rate, which is taken as {rate:g}")
        elif clips.is_too_slow(video.fps, fps):
            self._say_slow(stream.name, video.fps)
        began, begin_wall = -math.inf, recorded_at(video) or time.time()
        for time_sec, frame, image, size in recorded_frames(video, self._clip, rate, self._images):
            if not self._max_speed:
                # As a camera would give it; what is not scored in time is late then, too. But where
                # the file itself was late nothing comes in a rush to make up for it, and what it
                # leaves out is not waited for.
                now = time.monotonic()
                if not -OUTAGE_SECONDS < now - began - time_sec < _CLOCK_SECONDS:
                    began = now - time_sec
                self._stopped.wait(max(0.0, began + time_sec - now))
            arrived = Arrived(stream, time_sec, begin_wall + time_sec, frame, image, size)
            if self._stopped.is_set() or not self._arrivals.put(
                self.name, arrived, wait=self._max_speed
            ):
                return False
        return True

    def _live(self, camera, stream):
        began, last_sec, is_slow = None, None, False
        news = StateNews(stream.name, camera, self._say)
        clock = SourceClock()

        def arriving():
            for timed in camera.timed_frames(timeout_seconds=_IDLE_SECONDS):
                news.look(timed.state)
                time_sec = None if timed.frame is None else clock.seconds(timed)
                yield None if time_sec is None else (timed, time_sec), time_sec

        for number, found in enumerate(clips.resample_live(arriving(), self._clip.fps)):
            now = time.monotonic()
            if found is None:
                if last_sec is not None and now - last_sec > OUTAGE_SECONDS:
                    last_sec = None
                    lost = Arrived(stream, now, time.time())
                    if not self._arrivals.put(self.name, lost, wait=True):
                        return False
                elif not self._arrivals.is_wanted(self.name):
                    return False
                continue
            timed, time_sec = found
            last_sec = now
            began = time_sec if began is None else began
            if not is_slow and number >= _RATE_FRAMES and self._clip.fps is not None:
                rate = camera.statistics().fps
                is_slow = rate is not None and rate < _SLOW * self._clip.fps
                if is_slow:
                    self._say_slow(stream.name, rate)
            wall_sec = time.time() - now + timed.time_sec
            frame = prepared(timed.frame, self._clip)
            arrived = Arrived(
                stream, time_sec - began, wall_sec, frame,
                timed.frame if self._images else None, timed.frame.shape[:2],
            )
            if not self._arrivals.put(self.name, arrived, wait=False):
                return False
        return True

    def _say_slow(self, name, rate):
        self._say(
            f"{name}: {rate:.3g} frames per second are fewer than the {self._clip.fps:g} of the "
            "model; all are used, none invented"
        )


def recorded_frames(video, clip, rate, images=False):
    """The frames of a video that is not live, as `data_pipelines.chunks` brings them to a clip.

    Args:
        video: `data_pipelines.Video`.
        clip: `ClipSpec`; `fps`, `size` and `channels` count.
        rate: Frames per second that this gives.
        images: Whether frames are wanted as the source gives them, too: a file whose decoder
            scales, so that the frames are those of the calibration, is decoded a second time.

    Yields:
        `(time_sec, frame, image, size)`: seconds since the first, as of `FrameClock`; uint8 as the
        model takes it; uint8 as it was, or None; `(height, width)` as it was.
    """
    scales = isinstance(video, TimedVideo)
    size = first_frame(video, clip).shape[:2] if scales else None
    also = video.timed(clip.fps) if scales and images else None
    clock = FrameClock(rate)
    for said_sec, frame in video.timed(clip.fps, clip.size, clip.channels):
        _, image = next(also, (None, None)) if also else (None, frame)
        if image is None:
            raise OSError(f"{video.name} broke off as it was decoded a second time, for pictures")
        yield (
            clock.seconds(said_sec), prepared(frame, clip), image if images else None,
            size if size and not images else image.shape[:2],
        )  # fmt: skip


def prepared(frame, clip):
    """A frame at the size and colour of a clip: uint8 `(*clip.size, clip.channels)`."""
    if frame.shape == (*clip.size, clip.channels):
        return frame
    return transforms.prepare(frame[None], clip.size, clip.channels)[0].numpy()


def recorded_at(video):
    """When a video was recorded, in seconds since 1970; None where nothing tells.

    What calibrations take its hour from counts before what its container says.

    Args:
        video: `data_pipelines.Video`.
    """
    moment, is_timed = moment_in(video.name) or (None, False)
    if is_timed:
        return moment.timestamp()
    if (hour := video.start_hour()) is not None:
        today = datetime.datetime.now().replace(hour=0, minute=0, second=0, microsecond=0)
        return (today + datetime.timedelta(hours=hour)).timestamp()
    said = (getattr(video, "facts", None) or {}).get("creation_time")
    try:
        at = datetime.datetime.fromisoformat(said)
    except (TypeError, ValueError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=datetime.UTC)
    return at.timestamp() if at.year >= _FIRST_YEAR else None


class SourceClock:
    """The time of a camera's frames: by its own clock, as far as that agrees with their arrival.

    Its clock is even where the network is not; but it may stand still, run off or be put.
    """

    def __init__(self):
        self._offset_sec, self._last_sec = None, -math.inf

    def seconds(self, timed):
        """The time of a frame in seconds of `time.monotonic()`, never before that of the last.

        Args:
            timed: `TimedFrame` that has a frame.
        """
        time_sec = timed.time_sec
        if timed.stream_sec is not None:
            if self._offset_sec is None:
                self._offset_sec = time_sec - timed.stream_sec
            own_sec = timed.stream_sec + self._offset_sec
            time_sec = min(max(own_sec, time_sec - _CLOCK_SECONDS), time_sec + _CLOCK_SECONDS)
        self._last_sec = max(self._last_sec, time_sec)
        return self._last_sec


class StateNews:
    """Says what becomes of a camera, each piece of news once.

    Args:
        name: Of the camera.
        camera: `data_pipelines.Camera`.
        say: Function of a line for people.
    """

    def __init__(self, name, camera, say):
        self._name, self._camera, self._say = name, camera, say
        self._said, self._jumps = None, 0

    def look(self, state):
        """Says what is new.

        Args:
            state: One of `data_pipelines.sources.camera.STATES`.
        """
        statistics = self._camera.statistics()
        if statistics.clock_jumps > self._jumps:
            self._say(f"{self._name}: its clock was put back; time goes on by when frames arrive")
        self._jumps = statistics.clock_jumps
        if state in ("connecting", "closed"):
            return  # Between two other states, the second of which is said.
        text = {
            "live": "frames come",
            "stalled": "no frame comes",
            "waiting": f"not there: {printable(str(statistics.last_error))}",
        }[state]
        if text != self._said:
            self._said = text
            self._say(f"{self._name}: {text}")
