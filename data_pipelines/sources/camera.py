"""A camera as a source: a device, an RTSP stream, or motion JPEG over HTTP.

A camera that is not there, refuses, stalls or goes away is a state, never an error: frames come
again when it does. Whoever reads slowly is given recent frames, not all of them.
"""

import math
import threading
import time
import weakref

from data_pipelines.sources import camera_address
from data_pipelines.sources.base import Source, Video
from data_pipelines.sources.camera_session import STATES, Session, Statistics, TimedFrame
from data_pipelines.sources.camera_streams import connection


class Camera(Video):
    """A camera.

    It is opened by whoever reads its frames first, and closed when nobody does any longer; as a
    context manager (or between `open` and `close`) it stays open between two readings, and what
    reads in another thread ends with it. Several may read at once: each frame goes to one of them.

    Address, user and password are shown nowhere; `name` leaves out what may be secret.

    Args:
        address: Device number (`0`, `"0"`, `"camera:0"`, `"/dev/video0"`), `"rtsp://..."`,
            `"http://..."` or `"https://..."` for motion JPEG (also after `mjpeg+`), or `ffmpeg+`
            before anything that FFmpeg opens. User and password as in `rtsp://user:password@host`,
            `@`, `:` and `/` in them as `%40`, `%3A` and `%2F`.
        queue_frames: Frames that wait for whoever reads, at least 1. A newer one drops the oldest,
            so this is how many frames late a frame can be.
        max_frames: Frames after which `frames` ends, or `None`.
        max_seconds: Seconds after which `frames` ends, whether any came or not, or `None`.
        stall_seconds: Seconds without a frame after which the connection is given up.
        connect_seconds: Seconds that a new connection may take until its first frame.
        first_pause_seconds: Pause before the first new try. It doubles with each that fails, and
            is up to a quarter shorter by lot. A connection that gave frames for `stall_seconds`
            sets it back.
        longest_pause_seconds: The longest pause. A camera that answers 401, 403, 404 or 410 is
            asked again after as long at once.
        max_frame_bytes: Motion JPEG: the largest image that is read, in bytes.
        seed: Seed of the lots of the pauses, not negative; each address has lots of its own.
        **about: As of `Video`.

    Raises:
        ValueError: An argument breaks its rule. Not that the camera is not there: see `statistics`.

    Example:
        >>> with Camera("rtsp://user:password@gate/live", max_frames=100) as camera:
        ...     for frame in camera.frames():  # doctest: +SKIP
        ...         print(frame.shape, camera.statistics().dropped)
    """

    live = True

    def __init__(self, address, *, queue_frames=4, max_frames=None, max_seconds=None,
                 stall_seconds=5.0, connect_seconds=10.0, first_pause_seconds=0.5,
                 longest_pause_seconds=30.0, max_frame_bytes=16 << 20, seed=0, **about):
        parsed = camera_address.parse(address)
        for name, value in (("queue_frames", queue_frames), ("max_frames", max_frames),
                            ("max_frame_bytes", max_frame_bytes)):
            if (name, value) != ("max_frames", None) and not _is_count(value):
                raise ValueError(
                    f"`{name}` must be a whole number of at least 1. Received: {name}={value!r}"
                )
        for name, value in (("max_seconds", max_seconds), ("stall_seconds", stall_seconds),
                            ("connect_seconds", connect_seconds),
                            ("first_pause_seconds", first_pause_seconds),
                            ("longest_pause_seconds", longest_pause_seconds)):
            if (name, value) != ("max_seconds", None) and not (value > 0 and math.isfinite(value)):
                raise ValueError(
                    f"`{name}` must be a number of seconds above 0. Received: {name}={value!r}"
                )
        if longest_pause_seconds < first_pause_seconds:
            raise ValueError(
                "`longest_pause_seconds` must be at least `first_pause_seconds`. Received: "
                f"longest_pause_seconds={longest_pause_seconds!r}, "
                f"first_pause_seconds={first_pause_seconds!r}"
            )
        if seed < 0:
            raise ValueError(f"`seed` must be at least 0. Received: seed={seed!r}")
        super().__init__(parsed.name, **about)
        self.max_frames = max_frames
        self.max_seconds = max_seconds
        self._new_session = lambda: Session(
            lambda: connection(parsed, connect_seconds, stall_seconds, max_frame_bytes), parsed,
            queue_frames, stall_seconds, connect_seconds, first_pause_seconds,
            longest_pause_seconds, seed,
        )
        # Reentrant: generators that were left give up the session wherever they are collected.
        self._lock = threading.RLock()
        self._session = self._finalizer = None
        self._users = 0
        self._held_open = False
        self._closed = False

    @property
    def endless(self):
        return self.max_frames is None and self.max_seconds is None

    def open(self):
        """Connects, and stays connected until `close`.

        Returns:
            The camera itself.

        Raises:
            ValueError: It was closed.
        """
        with self._lock:
            if self._closed:
                raise ValueError(f"{self.name} was closed; make another `Camera` of its address")
            if not self._held_open:
                self._held_open = True
                self._enter()
        return self

    def close(self):
        """Closes the camera for good, in less than a second whatever it is doing.

        What reads its frames ends, in other threads too. Closing twice is no error.
        """
        with self._lock:
            self._closed, session = True, self._session
        if session is not None:
            session.stop()

    def __enter__(self):
        return self.open()

    def __exit__(self, *error):
        self.close()

    def frames(self, start=0):
        """Gives frames as they come; waits for them while there are none.

        Args:
            start: Frames to leave out at first.

        Yields:
            uint8 arrays `(height, width, channels)`, grey (1) or RGB (3), of the size that the
            camera sends, which may change; `max_frames` of them, for `max_seconds`, or until the
            camera is closed.
        """
        for number, timed in enumerate(self.timed_frames()):
            if number >= start:
                yield timed.frame

    def timed_frames(self, timeout_seconds=None):
        """Gives frames with their times, and the state of the camera; ends as `frames` does.

        Args:
            timeout_seconds: `None`; or after how many seconds without a frame to give one that is
                `None`, which tells the state of a camera that is not there.

        Yields:
            `TimedFrame`s: `frame`, `time_sec`, `stream_sec`, `state`.

        Example:
            >>> for timed in camera.timed_frames(timeout_seconds=1.0):  # doctest: +SKIP
            ...     if timed.frame is None:
            ...         print(timed.state, camera.statistics().last_error)
        """
        if timeout_seconds is not None and not timeout_seconds > 0:
            raise ValueError(
                "`timeout_seconds` must be above 0 or None. "
                f"Received: timeout_seconds={timeout_seconds!r}"
            )
        return self._timed_frames(timeout_seconds)

    def statistics(self):
        """Returns the `Statistics` of this moment; of the last opening where it is closed."""
        session = self._session
        return Statistics() if session is None else session.statistics()

    def _timed_frames(self, timeout_seconds):
        ends = None if self.max_seconds is None else time.monotonic() + self.max_seconds
        session, given = self._enter(), 0
        try:
            while session is not None and given != self.max_frames:
                left = None if ends is None else ends - time.monotonic()
                if left is not None and left <= 0:
                    return
                timed = session.take(min(
                    (seconds for seconds in (left, timeout_seconds) if seconds is not None),
                    default=None,
                ))
                if timed is None:
                    return
                if timed.frame is not None:
                    given += 1
                    yield timed
                elif ends is None or time.monotonic() < ends:
                    yield timed
        finally:
            self._leave(session)

    def _enter(self):
        with self._lock:
            if self._closed:
                return None
            if self._session is None or self._session.stopped:
                if self._finalizer is not None:
                    self._finalizer.detach()
                self._session = self._new_session()
                # Closes also where the camera was forgotten, and before Python ends.
                self._finalizer = weakref.finalize(self, self._session.stop, wait=False)
                self._session.start()
            self._users += 1
            return self._session

    def _leave(self, session):
        if session is None:
            return
        with self._lock:
            self._users -= 1
            if not self._users:
                session.stop()


def open_source(address, **options):
    """Opens a camera.

    Args:
        address: As of `Camera`.
        **options: As of `Camera`: `max_frames`, `max_seconds`, `stall_seconds`, ...

    Returns:
        `Source` of kind `"camera"` with one video, the `Camera`; it connects when it is read.

    Raises:
        ValueError: An argument breaks its rule.

    Example:
        >>> source = open_source("mjpeg+http://gate/video", max_seconds=60)
        >>> [camera.name for camera in source.videos]
        ['http://gate/video']
    """
    camera = Camera(address, **options)
    return Source("camera", camera.name, [camera])


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


__all__ = ["STATES", "Camera", "Statistics", "TimedFrame", "open_source"]
