"""Lines of text that are on the disk when they were added, or wait until the disk takes them."""

import collections
import contextlib
import errno
import fcntl
import os
import stat
import sys
from pathlib import Path

from zoo.training.whole_files import sync_folder

# Of alarms some megabytes; what a disk does not take for longer than that is counted as lost.
MOST_HELD = 10_000


class DurableLines:
    """A file that is appended to, line by line; a full disk costs no line and raises nothing.

    The file is opened anew each time: it may be moved away, as logs are, and its disk may come
    back. A line that was torn by a kill or a power cut is ended, and what a full disk took in part
    is taken back, so that no line is added to the rest of another. Several processes may add to the
    same file, but not several threads through one object.

    Args:
        path: File, which may be there.

    Attributes:
        held: Deque of the lines, bytes, that are not in the file yet.
        lost: Lines that were let go, as `MOST_HELD` waited already.
        trouble: None, or a sentence on why there are some, or that some are lost.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "alarms.jsonl")
        >>> lines = DurableLines(path)
        >>> lines.add(b"{}\\n")
        >>> path.read_bytes(), lines.trouble
        (b'{}\\n', None)
    """

    def __init__(self, path):
        self.path = Path(path)
        self.held = collections.deque()
        self.lost = 0
        self.trouble = None

    def add(self, line):
        """Adds a line.

        Args:
            line: Bytes that end with a line break and hold no other.
        """
        if len(self.held) >= MOST_HELD:
            self.write()  # There may be room just now.
        if len(self.held) < MOST_HELD:
            self.held.append(line)
        else:
            self.lost += 1
        self.write()

    def write(self):
        """Writes what is held, if the disk takes it now."""
        lost = f"; more than {MOST_HELD} waited at once, and later ones are lost" * bool(self.lost)
        if self.held:
            try:
                self._put(b"".join(self.held))
            except OSError as error:
                self.trouble = (
                    f"{self.path} cannot be written: {error.strerror or error}; what is told waits "
                    f"in memory until it can{lost}"
                )
                return
            self.held.clear()
        self.trouble = f"{self.path} was out of reach{lost}" if lost else None

    def _put(self, data):
        _append(self.path, data)


class PrintedLines(DurableLines):
    """The same for standard output: what it does not take waits, and nothing is printed twice.

    Example:
        >>> lines = PrintedLines()
        >>> lines.add(b"{}\\n")
        {}
    """

    def __init__(self):
        super().__init__("standard output")
        self._taken = 0  # Bytes of the first line that is held.

    def _put(self, data):
        try:
            sys.stdout.flush()
            # Else what is not taken would wait in a buffer, and be lost there unseen.
            output = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
            while self._taken < len(data):
                taken = output.write(memoryview(data)[self._taken :])
                if taken is None:
                    raise OSError(errno.EAGAIN, "it takes no more now")
                self._taken += taken
        except (AttributeError, ValueError):
            raise OSError(errno.EBADF, "it is closed") from None
        finally:
            while self.held and self._taken >= len(self.held[0]):
                self._taken -= len(self.held.popleft())


def _append(path, data):
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    with open(descriptor, "rb+", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return _write_all(file, data)
        # Closing the file lets go of it. What another process adds is not taken back with what a
        # full disk took in part. Some network disks have no locks, but they have lines.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if is_new:
            sync_folder(path.parent)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            data = b"\n" + data
        try:
            _write_all(file, data)
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)
            raise


def _write_all(file, data):
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
