"""One connection to a camera, from its opening to its end: over HTTP, or through OpenCV."""

import dataclasses
import functools
import http.client
import math
import socket
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path

import numpy as np

from data_pipelines.sources import mjpeg

# Answers that stay as they are until somebody changes something.
_FINAL = (401, 403, 404, 410)


class StreamError(Exception):
    """A connection cannot be made or has ended.

    Attributes:
        status: HTTP status, or `None`.
        final: Whether trying again soon is of no use.
    """

    def __init__(self, message, status=None):
        super().__init__(message)
        self.status = status
        self.final = status in _FINAL


@dataclasses.dataclass(frozen=True)
class Taken:
    """What a connection gives.

    Attributes:
        frame: uint8 `(height, width, channels)`, grey or RGB; `None` where it was broken.
        time_sec: When it had come whole, seconds of `time.monotonic()`.
        stream_sec: The same by the clock of the stream, or `None` where it tells none.
        error: Why there is no frame, or `None`.
    """

    frame: np.ndarray | None
    time_sec: float
    stream_sec: float | None = None
    error: str | None = None


def connection(address, connect_seconds, stall_seconds, max_frame_bytes):
    """Returns the connection that fits an `Address`; it opens when its frames are asked for."""
    if address.transport == "mjpeg":
        return MJPEGStream(address, connect_seconds, stall_seconds, max_frame_bytes)
    return CaptureStream(address.target, connect_seconds, stall_seconds)


class MJPEGStream:
    """Motion JPEG over HTTP.

    OpenCV could read it too, but neither be told to stop, nor say which status it was answered.
    Goes to the camera itself, not through a proxy.

    Args:
        address: `Address`, of which `target`, `user` and `password` count.
        connect_seconds: How long connecting, and waiting for the answer, may take each.
        stall_seconds: How long a read may take.
        max_frame_bytes: The largest part that is read.
    """

    def __init__(self, address, connect_seconds, stall_seconds, max_frame_bytes):
        self._address = address
        self._connect_seconds = connect_seconds
        self._stall_seconds = stall_seconds
        self._max_frame_bytes = max_frame_bytes
        self._lock = threading.Lock()
        self._sockets = []
        self._aborted = False

    def frames(self):
        """Yields `Taken` until the stream ends; `StreamError` says what went wrong."""
        try:
            with self._answer() as answer:
                if answer.headers.get_content_maintype() != "multipart":
                    raise StreamError(
                        f"no stream of images: the answer is {answer.headers.get_content_type()}, "
                        "not multipart/x-mixed-replace"
                    )
                self._sockets[-1].settimeout(self._stall_seconds)
                boundary = answer.headers.get_boundary()
                for headers, data in mjpeg.parts(answer.read1, boundary, self._max_frame_bytes):
                    yield _decoded(headers, data)
        finally:
            self.abort()

    def abort(self):
        """Ends the connection from another thread: reads that wait return."""
        with self._lock:
            self._aborted = True
            for connected in self._sockets:
                _shut(connected)

    def _answer(self):
        address = self._address
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        if address.user is not None:
            passwords.add_password(None, address.target, address.user, address.password)
        opener = urllib.request.OpenerDirector()
        # These and no more: a redirect may lead to another page, not to ftp: or file:.
        for handler in (
            _HTTPHandler(self._register), _HTTPSHandler(self._register),
            urllib.request.HTTPRedirectHandler(), _BasicOnce(passwords), _DigestOnce(passwords),
            urllib.request.HTTPErrorProcessor(), urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.UnknownHandler(),
        ):
            opener.add_handler(handler)
        try:
            return opener.open(address.target, timeout=self._connect_seconds)
        except urllib.error.HTTPError as error:
            with error:
                raise StreamError(f"HTTP {error.code} {_phrase(error.code)}", error.code) from None
        except urllib.error.URLError as error:
            raise StreamError(str(error.reason)) from None

    def _register(self, connected):
        with self._lock:
            self._sockets.append(connected)
            if self._aborted:
                _shut(connected)


class CaptureStream:
    """What OpenCV opens: a device, or an address that FFmpeg understands.

    A read that waits cannot be ended from another thread. FFmpeg ends it after `stall_seconds`
    by itself; a driver may not. Whoever reads must be ready to leave the thread behind: `abort`
    only makes it end when the read returns.

    Args:
        target: Number or path of a device, or address.
        connect_seconds: How long opening may take.
        stall_seconds: How long a read may take.
    """

    def __init__(self, target, connect_seconds, stall_seconds):
        self._target = target
        self._connect_seconds = connect_seconds
        self._stall_seconds = stall_seconds
        self._aborted = False

    def frames(self):
        """Yields `Taken` until the stream ends; `StreamError` says what went wrong."""
        import cv2

        capture = _capture(self._target, self._connect_seconds, self._stall_seconds)
        try:
            if not capture.isOpened():
                raise StreamError("cannot be opened")
            while not self._aborted:
                found, image = capture.read()
                time_sec = time.monotonic()
                if not found:
                    return
                clock_msec = capture.get(cv2.CAP_PROP_POS_MSEC)
                yield Taken(
                    image[..., None] if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB),
                    time_sec,
                    # Where nothing is known, 0 or -1.
                    clock_msec / 1000 if math.isfinite(clock_msec) and clock_msec > 0 else None,
                )
        finally:
            capture.release()

    def abort(self):
        """Makes `frames` end with the read that it is in."""
        self._aborted = True


def _capture(target, connect_seconds, stall_seconds):
    import cv2

    if isinstance(target, str) and not target.startswith("/dev/"):
        return cv2.VideoCapture(target, cv2.CAP_FFMPEG, [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, math.ceil(1000 * connect_seconds),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC, math.ceil(1000 * stall_seconds),
        ])
    if sys.platform != "linux":
        return cv2.VideoCapture(target)
    # OpenCV would print a page of warnings at each try.
    path = Path(f"/dev/video{target}" if isinstance(target, int) else target)
    if not path.exists():
        raise StreamError(f"there is no device {path}")
    return cv2.VideoCapture(target, cv2.CAP_V4L2)


def _decoded(headers, data):
    time_sec, stream_sec = time.monotonic(), None
    try:
        # As mjpg-streamer and what is made after it tell it.
        told = float(headers["x-timestamp"])
        stream_sec = told if math.isfinite(told) else None
    except (KeyError, ValueError):
        pass
    if data is None:
        return Taken(None, time_sec, stream_sec, "a part without a whole JPEG")
    try:
        return Taken(mjpeg.decode_jpeg(data), time_sec, stream_sec)
    except mjpeg.BrokenImage as error:
        return Taken(None, time_sec, stream_sec, str(error))


class _Registered:
    """A connection of `http.client` that hands out its socket, so that it can be shut."""

    def __init__(self, *args, register, **options):
        super().__init__(*args, **options)
        self._register = register

    def connect(self):
        super().connect()
        self._register(self.sock)


class _HTTPConnection(_Registered, http.client.HTTPConnection):
    pass


class _HTTPSConnection(_Registered, http.client.HTTPSConnection):
    pass


class _HTTPHandler(urllib.request.HTTPHandler):
    def __init__(self, register):
        super().__init__()
        self._register = register

    def http_open(self, request):
        return self.do_open(functools.partial(_HTTPConnection, register=self._register), request)


class _HTTPSHandler(urllib.request.HTTPSHandler):
    def __init__(self, register):
        super().__init__()
        self._register = register

    def https_open(self, request):
        return self.do_open(
            functools.partial(_HTTPSConnection, register=self._register), request,
            context=ssl.create_default_context(),
        )


# Once each: cameras lock out whoever comes with a wrong password several times.
class _BasicOnce(urllib.request.HTTPBasicAuthHandler):
    def http_error_401(self, request, *answer):
        if not request.has_header("Authorization"):
            return _logged_in(super().http_error_401, request, *answer)


class _DigestOnce(urllib.request.HTTPDigestAuthHandler):
    def http_error_401(self, request, *answer):
        if not request.has_header("Authorization"):
            return _logged_in(super().http_error_401, request, *answer)


def _logged_in(answered, request, refusal, *about):
    try:
        answer = answered(request, refusal, *about)
    except ValueError:  # A way of logging in that urllib does not know: then it is a plain 401.
        return None
    except BaseException:
        refusal.close()
        raise
    if answer is not None:
        refusal.close()
    return answer


def _phrase(status):
    # The server's own words may be anything.
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "(unknown)"


def _shut(connected):
    try:
        connected.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # It is shut already.
