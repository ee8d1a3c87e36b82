"""Keeps a camera connected and its newest frames at hand, from one opening to one closing."""

import collections
import dataclasses
import logging
import threading
import time
import typing
import zlib

import numpy as np

from data_pipelines.sources.camera_streams import StreamError

_LOG = logging.getLogger(__name__)

STATES = ("connecting", "live", "stalled", "waiting", "closed")

# Threads left behind in a read that does not return; more are not begun.
_MOST_HANGING = 4

# Frames over which the rate is measured.
_RATE_FRAMES = 33

# How long closing waits for the threads to end, in seconds; each ends by itself later.
_CLOSE_SECONDS = 0.4

# A server's words may be of any length.
_LONGEST_ERROR = 200


class TimedFrame(typing.NamedTuple):
    """A frame and when it was.

    Attributes:
        frame: uint8 `(height, width, channels)`, grey (1) or RGB (3); `None` where none came in
            the time given.
        time_sec: When it had arrived, in seconds of `time.monotonic()`, never less than that of
            the frame before; the present where there is no frame.
        stream_sec: The same by the clock of the stream, in seconds from any zero, or `None`
            where the stream tells none. Where that clock jumps back, or begins anew with a new
            connection, it is shifted so that it goes on from the frame before.
        state: State of the camera as this was given, one of `STATES`.
    """

    frame: np.ndarray | None
    time_sec: float
    stream_sec: float | None
    state: str


@dataclasses.dataclass(frozen=True)
class Statistics:
    """How a camera is doing; counts are since it was opened.

    Attributes:
        state: `"connecting"` (no frame yet), `"live"`, `"stalled"` (no frame for half of
            `stall_seconds`), `"waiting"` (between two tries) or `"closed"`.
        received: Frames that came whole: those given, dropped and queued together.
        given: Frames given to whoever reads.
        dropped: Frames that were too late, or still there at the end.
        queued: Frames that wait to be given.
        broken: Images that could not be decoded; these count nowhere else.
        reconnections: Tries to connect after the first.
        size_changes: How often a frame was of another size than the one before.
        clock_jumps: How often the clock of the stream went back within a connection.
        size: `(height, width)` of the last frame, or `None`.
        fps: Frames per second of late, measured as they arrive; `None` unless live.
        seconds_since_frame: Since the last whole frame arrived; `None` before the first.
        last_error: Why the last connection ended, or what was wrong with the last broken image;
            `None` where nothing went wrong. Never holds user or password.
        http_status: HTTP status that refused the last connection, or `None`.
    """

    state: str = "closed"
    received: int = 0
    given: int = 0
    dropped: int = 0
    queued: int = 0
    broken: int = 0
    reconnections: int = 0
    size_changes: int = 0
    clock_jumps: int = 0
    size: tuple[int, int] | None = None
    fps: float | None = None
    seconds_since_frame: float | None = None
    last_error: str | None = None
    http_status: int | None = None


class Session:
    """Connects, reads, and connects again, until it is stopped.

    One thread (`_supervise`) connects, waits and watches; another for each connection (`_read`)
    reads. Why not read in the first: a read of OpenCV may last half a minute or for ever, and
    nothing ends it from outside. Such a thread is left behind. It cannot do harm: each connection
    has a number, and what comes under an old one is thrown away. All are daemons, which do not
    hold the process at its end. A process for each camera could be killed instead, but every
    frame would have to be copied between processes.

    Args:
        connect: Function that returns a new connection, of `camera_streams`.
        address: `Address`, for its name and to scrub what is shown.
        queue_frames: Frames that wait at most; a newer one drops the oldest.
        stall_seconds: Without a frame for as long, the connection is given up.
        connect_seconds: Without a first frame for as long, it is given up too.
        first_pause_seconds: Pause before the first new try; doubles with each.
        longest_pause_seconds: No pause is longer.
        seed: Seed of the jitter of the pauses.
    """

    def __init__(self, connect, address, queue_frames, stall_seconds, connect_seconds,
                 first_pause_seconds, longest_pause_seconds, seed):
        self._connect = connect
        self._address = address
        self._stall_seconds = stall_seconds
        self._connect_seconds = connect_seconds
        self._first_pause = first_pause_seconds
        self._longest_pause = longest_pause_seconds
        # Cameras behind one switch come back together; they must not all ask at once.
        self._rng = np.random.default_rng([seed, zlib.crc32(address.name.encode())])
        # Reentrant: `stop` may be called by the garbage collector from within any line.
        lock = threading.RLock()
        self._arrived = threading.Condition(lock)  # a frame, a new state or the end
        self._changed = threading.Condition(lock)  # what the supervisor waits for
        self._queue = collections.deque()
        self._queue_frames = queue_frames
        self._counts = collections.Counter()
        self._state = "connecting"
        self._stopped = False
        self._last_error = self._http_status = self._size = None
        self._last_time = self._last_clock = None
        self._clock_offset = 0.0
        # Of the present connection:
        self._generation = 0
        self._stream = self._ended = None
        self._began = self._first_time = self._raw_clock = None
        self._times = collections.deque(maxlen=_RATE_FRAMES)
        self._readers = []
        self._supervisor = threading.Thread(
            target=self._supervise, name=f"camera {address.name}", daemon=True
        )

    @property
    def stopped(self):
        return self._stopped

    def start(self):
        """Starts connecting."""
        self._supervisor.start()

    def stop(self, wait=True):
        """Ends all; what waits for a frame returns. May be called again, and from anywhere.

        Args:
            wait: Whether to wait a moment for the threads to end.
        """
        with self._arrived:
            self._stopped = True
            self._generation += 1
            self._state = "closed"
            self._counts["dropped"] += len(self._queue)
            self._queue.clear()
            stream, readers = self._stream, list(self._readers)
            self._arrived.notify_all()
            self._changed.notify_all()
        if stream is not None:
            stream.abort()
        deadline = time.monotonic() + _CLOSE_SECONDS
        for thread in [self._supervisor, *readers] if wait else []:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def take(self, timeout_seconds=None):
        """Waits for a frame.

        Args:
            timeout_seconds: How long, or `None` for as long as it takes.

        Returns:
            `TimedFrame`, without a frame where none came; `None` once the session is stopped.
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        with self._arrived:
            while not self._queue and not self._stopped:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return TimedFrame(None, time.monotonic(), None, self._state)
                self._arrived.wait(left)
            if self._stopped:
                return None
            self._counts["given"] += 1
            return TimedFrame(*self._queue.popleft(), self._state)

    def statistics(self):
        """Returns `Statistics` of this moment."""
        with self._arrived:
            since, fps = None, None
            if self._last_time is not None:
                since = max(0.0, time.monotonic() - self._last_time)
            if self._state == "live" and len(self._times) > 1:
                spent = self._times[-1] - self._times[0]
                fps = (len(self._times) - 1) / spent if spent > 0 else None
            return Statistics(
                state=self._state, queued=len(self._queue), size=self._size, fps=fps,
                seconds_since_frame=since, last_error=self._last_error,
                http_status=self._http_status, **self._counts,
            )

    def _supervise(self):
        pause, said = self._first_pause, None
        while True:
            with self._changed:
                if self._stopped:
                    return
                error = self._begin()
            error = error or self._watch()
            if error is None:
                return
            with self._changed:
                healthy = self._times and self._times[-1] - self._first_time >= self._stall_seconds
                pause = self._first_pause if healthy else pause
                wait = self._longest_pause if error.final else pause
                wait *= self._rng.uniform(0.75, 1)
                pause = min(2 * pause, self._longest_pause)
                if self._stopped:
                    return
                self._state = "waiting"
                self._last_error, self._http_status = self._shown(error), error.status
                # The same again and again is said once; that it was live between makes it new.
                level = logging.DEBUG if said == self._last_error and not self._times else (
                    logging.WARNING
                )
                said = self._last_error
                self._arrived.notify_all()
            _LOG.log(level, "%s: %s; a new try in %.1f s", self._address.name, said, wait)
            with self._changed:
                self._changed.wait_for(lambda: self._stopped, wait)
                self._counts["reconnections"] += not self._stopped

    def _begin(self):
        self._readers = [reader for reader in self._readers if reader.is_alive()]
        self._times.clear()
        if len(self._readers) >= _MOST_HANGING:
            return StreamError(f"{len(self._readers)} earlier connections hang in a read")
        self._generation += 1
        self._state, self._ended = "connecting", None
        self._began, self._first_time, self._raw_clock = time.monotonic(), None, None
        self._stream = self._connect()
        reader = threading.Thread(
            target=self._read, args=(self._stream, self._generation),
            name=f"reader {self._generation} of camera {self._address.name}", daemon=True,
        )
        try:
            reader.start()
        except RuntimeError as error:
            return StreamError(f"no thread to read it: {error}")
        self._readers.append(reader)
        return None

    def _watch(self):
        """Waits until the connection is over; returns why, or `None` where all is stopped."""
        with self._changed:
            while not self._stopped and self._ended is None:
                live = self._first_time is not None
                limit = self._stall_seconds if live else self._connect_seconds
                idle = time.monotonic() - (self._times[-1] if live else self._began)
                if idle >= limit:
                    self._generation += 1
                    self._ended = StreamError(
                        f"no {'' if live else 'first '}frame for {limit:g} s"
                    )
                    break
                if live and idle >= limit / 2 and self._state == "live":
                    self._state = "stalled"
                    self._arrived.notify_all()
                # Woken for the half, then for the whole.
                self._changed.wait((limit / 2 if live and idle < limit / 2 else limit) - idle)
            ended, stream = self._ended, self._stream
            if self._stopped:
                return None
        stream.abort()
        return ended

    def _read(self, stream, generation):
        try:
            for taken in stream.frames():
                if not self._deliver(taken, generation):
                    break
            error = StreamError("the stream ended")
        except StreamError as failed:
            error = failed
        except Exception as failed:  # Whatever a library raises is a state of the camera.
            error = StreamError(f"{type(failed).__name__}: {failed}")
        with self._changed:
            if generation == self._generation:
                self._ended = error
                self._changed.notify_all()

    def _deliver(self, taken, generation):
        with self._arrived:
            if generation != self._generation:
                return False
            if taken.frame is None:
                self._counts["broken"] += 1
                self._last_error = self._shown(taken.error)
                return True
            time_sec = max(taken.time_sec, self._last_time or taken.time_sec)
            stream_sec = self._going_on(taken.stream_sec, time_sec)
            size = taken.frame.shape[:2]
            self._counts["received"] += 1
            self._counts["size_changes"] += self._size not in (None, size)
            self._size, self._last_time = size, time_sec
            self._times.append(time_sec)
            if len(self._queue) >= self._queue_frames:
                self._queue.popleft()
                self._counts["dropped"] += 1
            self._queue.append((taken.frame, time_sec, stream_sec))
            if self._state != "live":
                if self._first_time is None:
                    self._first_time, self._http_status = time_sec, None
                    if self._counts["reconnections"]:
                        _LOG.info("%s: frames come again", self._address.name)
                self._state = "live"
                self._changed.notify_all()
            self._arrived.notify_all()
            return True

    def _going_on(self, raw, time_sec):
        """Returns the clock of the stream, shifted where it does not go on by itself."""
        if raw is None:
            return None
        if self._raw_clock is not None and raw < self._raw_clock:
            self._counts["clock_jumps"] += 1
        self._raw_clock = raw
        if self._last_clock is not None:
            shown, at_sec = self._last_clock
            if raw + self._clock_offset < shown:
                self._clock_offset = shown + (time_sec - at_sec) - raw
        self._last_clock = (raw + self._clock_offset, time_sec)
        return self._last_clock[0]

    def _shown(self, error):
        text = self._address.scrub(str(error))[:_LONGEST_ERROR]
        return "".join(letter if letter.isprintable() else "?" for letter in text)
