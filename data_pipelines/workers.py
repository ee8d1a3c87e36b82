"""Video files decoded in processes of their own: what a damaged file does to one stays there.

A process takes one file after another and is kept for the next, up to `MOST_IDLE` of them. One
that ends, or that says nothing for `STALL_SEC`, is given up with the file that it was reading: the
frames before are given, and what happened is said in the report.

A remote file is read here, in the blocks of `data_pipelines.remote`, and given to the process range
by range as it asks: how long the network takes is no stall of the decoder.
"""

import atexit
import collections
import json
import math
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from data_pipelines import remote
from data_pipelines.decode_worker import FRAME, HEADER, LENGTH, RANGE

MOST_IDLE = 4
STALL_SEC = 60.0  # for one frame, or for opening a file
MEMORY_BYTES = 8 << 30  # of addresses: a frame of 16K with all that a decoder keeps of it
LOG_LINES = 100

_PROGRAM = Path(__file__).with_name("decode_worker.py")


class Unreadable(ValueError):
    """A file cannot be opened, or not one frame of it be decoded.

    Attributes:
        log: The last lines that FFmpeg, or the process as it ended, has said.
    """

    def __init__(self, message, log=()):
        super().__init__(message)
        self.log = list(log)


class Decoding:
    """A file as it is decoded: an iterator of `(time_sec, frame)`.

    Args:
        path: File, or a `remote.RemotePath`; or a list of image files, each of which is a frame:
            then `time_sec` is the number in the list, and those that cannot be read are left out.
        stall_sec: How long to wait for one frame.
        limit_sec: How long to wait for all of them, from when the first is asked for, the network
            aside; or None.
        **request: Arguments of `decode_worker.decode`, or of `decode_worker.images`.

    Attributes:
        report: None until the last frame; then a dict of `read`, the frames decoded, `end_sec`,
            the time of the last one, `errors`, packets that could not be decoded, `corrupt`,
            frames given with damage, `interlaced`, `failure`, a text or None, `limited`, whether
            that is the limit of time, and `log`, the last lines that FFmpeg has said; of images
            also what `decode_worker.images` tells.

    Raises:
        Unreadable: A `ValueError`, at the first frame, if the file cannot be opened as a video.
        OSError: At any frame, if a remote file can no longer be read.
    """

    def __init__(self, path, *, stall_sec=STALL_SEC, limit_sec=None, **request):
        self.path, self.report, self._worker, self._file = path, None, None, None
        self._file = _remote_file(path)
        self._worker = _pool.take()
        if isinstance(path, list):
            asked = {"operation": "images", "paths": [os.path.abspath(image) for image in path]}
        else:
            asked = {"operation": "decode", **_file_asked(path, self._file)}
        self._messages = self._worker.ask({**asked, **request}, stall_sec, self._file, limit_sec)
        self._read, self._end_sec = 0, 0.0

    def __iter__(self):
        return self

    def __next__(self):
        if self.report is not None:
            raise StopIteration
        try:
            message = next(self._messages)
        except _Failed as failed:
            if not self._read:
                raise self._unreadable(f"cannot be read as a video: {failed}") from None
            self._finish({"failure": str(failed), "limited": failed.limited})
        else:
            if not isinstance(message, dict):
                self._read, self._end_sec = self._read + 1, message[0]
                return message
            if "error" in message and not self._read:
                what = f"cannot be opened as a video: {message['error']}"
                raise self._unreadable(what, is_whole=True)
            self._finish(
                {"failure": message["error"]} if "error" in message else message, is_whole=True
            )
        raise StopIteration

    def said(self):
        """The last lines that FFmpeg has said until now of a file that is being read."""
        return self._worker.said() if self._worker else []

    def _unreadable(self, what, is_whole=False):
        error = Unreadable(f"{self.path} {what}", self._worker.said())
        self.close(is_whole)
        return error

    def _finish(self, found, is_whole=False):
        known = {
            "read": self._read, "end_sec": self._end_sec, "errors": 0, "corrupt": 0,
            "interlaced": False, "failure": None, "limited": False,
        }  # fmt: skip
        self.report = {**known, **found, "log": self._worker.said()}
        self.close(is_whole)

    def close(self, is_whole=False):
        """Lets go of the process; it is ended unless it has answered to the end (`is_whole`)."""
        worker, self._worker = self._worker, None
        if worker is not None:
            _pool.give_back(worker, is_whole)
        if self._file is not None:
            self._file.close()
        if self.report is None:
            self.report = {}

    def __del__(self):
        self.close()


def probe(path, stall_sec=STALL_SEC):
    """What a video file says of itself, as `decode_worker.probe` gives it, and `log`.

    Raises:
        Unreadable: A `ValueError`, if it cannot be opened, or no frame of it be decoded.
        OSError: If it is remote and cannot be read.
    """
    file = _remote_file(path)
    worker = _pool.take()
    is_whole = False
    try:
        request = {"operation": "probe", **_file_asked(path, file)}
        (message,) = worker.ask(request, stall_sec, file)
        is_whole = True
        if "error" in message:
            raise Unreadable(
                f"{path} cannot be opened as a video: {message['error']}", worker.said()
            )
        return {**message, "log": worker.said()}
    except _Failed as failed:
        raise Unreadable(f"{path} cannot be read as a video: {failed}", worker.said()) from None
    finally:
        _pool.give_back(worker, is_whole)
        if file is not None:
            file.close()


def _remote_file(path):
    return remote.RemoteFile(path) if isinstance(path, remote.RemotePath) else None


def _file_asked(path, file):
    if file is None:
        # A worker may have begun in another folder than the one worked in now.
        return {"path": os.path.abspath(path)}
    return {"path": path.name, "served": {"size": file.size, "identity": file.identity}}


def window(path, time_sec, count, *, stall_sec=STALL_SEC, **request):
    """Decodes some frames of a video file from a time on, and little before them.

    Args:
        path: File, or a `remote.RemotePath`.
        time_sec: When the first of them is shown, counted from the first frame of the file.
        count: How many are wanted.
        stall_sec: How long to wait for one frame.
        **request: Other arguments of `decode_worker.window`.

    Returns:
        List of at most `count` uint8 arrays `(height, width, channels)`: fewer at the end of the
        file, before a pause of the recording, and where no more could be decoded.

    Raises:
        ValueError: If the file cannot be opened as a video.
        OSError: If it is remote and cannot be read.
    """
    file = _remote_file(path)
    worker, frames, is_whole = _pool.take(), [], False
    asked = {"operation": "window", **_file_asked(path, file), "time_sec": time_sec, "count": count}
    try:
        for message in worker.ask({**asked, **request}, stall_sec, file):
            if isinstance(message, dict):
                is_whole = True
                if "error" in message and not frames:
                    raise ValueError(f"{path} cannot be opened as a video: {message['error']}")
            else:
                frames.append(message[1])
    except _Failed:
        pass  # What it gave before counts.
    finally:
        _pool.give_back(worker, is_whole)
        if file is not None:
            file.close()
    return frames


class _Failed(Exception):
    """The process ended, or was ended, before it had answered."""

    def __init__(self, what, limited=False):
        super().__init__(what)
        self.limited = limited


class _Worker:
    """One process and the pipes to it."""

    def __init__(self):
        self.process = subprocess.Popen(
            # Isolated: nothing of the caller's folder or settings comes between.
            [sys.executable, "-I", "-X", "utf8", str(_PROGRAM)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        self._log, self._said, self._line = collections.deque(maxlen=LOG_LINES), 0, b""

    def said(self):
        """The last lines on standard error since the request, and how many came before them."""
        self._drain(0)
        before = self._said - len(self._log)
        return [f"{before} lines before these are not kept"] * bool(before) + list(self._log)

    def ask(self, request, stall_sec, file=None, limit_sec=None):
        """Yields the messages that answer a request: `(time_sec, frame)`, last of all a dict.

        Args:
            request: Dict.
            stall_sec: How long to wait for one message.
            file: `remote.RemoteFile` that is read for the process, or None.
            limit_sec: How long to wait for all of them, or None.
        """
        self._until = math.inf if limit_sec is None else time.monotonic() + limit_sec
        self.said()
        self._log.clear()
        self._said, self._line = 0, b""
        request["memory_bytes"] = MEMORY_BYTES
        self._write(json.dumps(request).encode() + b"\n")
        header = bytearray(HEADER.size)
        while True:
            self._fill(header, stall_sec)
            kind, size, time_sec, *shape = HEADER.unpack(header)
            content = np.empty(size, np.uint8)
            self._fill(content, stall_sec)
            if kind == RANGE:
                found = file.read_at(**json.loads(content.tobytes()))
                self._write(LENGTH.pack(len(found)) + found)
                continue
            if kind != FRAME:
                yield json.loads(content.tobytes())
                return
            yield time_sec, content.reshape(shape)

    def _write(self, content):
        left = memoryview(content)
        try:
            while left:
                left = left[self.process.stdin.write(left) :]
        except BrokenPipeError:
            raise _Failed(self._end()) from None

    def _fill(self, buffer, stall_sec):
        view = memoryview(buffer).cast("B")
        began = time.monotonic()
        until = min(began + stall_sec, self._until)
        while len(view):
            if not self._drain(max(0.0, until - time.monotonic())):
                if time.monotonic() < until:
                    continue
                self.process.kill()
                self.process.wait()
                limited = until == self._until
                waited = max(0.0, until - began) if limited else stall_sec
                raise _Failed(
                    f"its decoder gave nothing for {waited:.4g} seconds and was ended", limited
                )
            count = os.readv(self.process.stdout.fileno(), [view])
            if not count:
                raise _Failed(self._end())
            view = view[count:]
            until = min(time.monotonic() + stall_sec, self._until)

    def _drain(self, wait_sec):
        """Keeps what is on standard error, and says whether there is something to read beside."""
        pipes = [self.process.stdout, self.process.stderr]
        ready, _, _ = select.select(pipes, [], [], wait_sec)
        if self.process.stderr in ready:
            lines = (self._line + os.read(self.process.stderr.fileno(), 1 << 16)).split(b"\n")
            self._line = lines.pop()[-1000:]
            self._log.extend(line.decode("utf-8", "replace")[:1000] for line in lines)
            self._said += len(lines)
        return self.process.stdout in ready

    def _end(self):
        code = self.process.wait()
        if code >= 0:
            return f"its decoder ended with status {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"its decoder crashed ({name})"

    def close(self):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()


class _Pool:
    """Processes that wait for work."""

    def __init__(self):
        self._idle, self._lock, self._owner = [], threading.Lock(), os.getpid()

    def take(self):
        with self._lock:
            if self._owner != os.getpid():
                # The pipes of a process that this one was forked from are that one's.
                self._idle, self._owner = [], os.getpid()
            while self._idle:
                worker = self._idle.pop()
                if worker.process.poll() is None:
                    return worker
                worker.close()
        return _Worker()

    def give_back(self, worker, is_whole):
        with self._lock:
            if is_whole and len(self._idle) < MOST_IDLE and self._owner == os.getpid():
                self._idle.append(worker)
                return
        worker.close()

    def close(self):
        with self._lock:
            while self._idle and self._owner == os.getpid():
                self._idle.pop().close()


_pool = _Pool()
atexit.register(_pool.close)
