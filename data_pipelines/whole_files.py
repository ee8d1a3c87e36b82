"""Files that are there whole or not at all, and a lock between processes."""

import contextlib
import fcntl
import logging
import os
from pathlib import Path

_LOG = logging.getLogger(__name__)

PART = ".part"  # ends the name of what is being written


def write_whole(path, content):
    """Writes a file aside, brings it to the disk and renames it.

    A kill at any moment leaves the older file, or the new one; beside it maybe a `NAME.part`, that
    the next `write_whole` of it replaces.

    Args:
        path: File.
        content: Bytes.

    Raises:
        OSError: It cannot be written, as on a full disk; the file is named, and nothing is left
            beside the older one.
    """
    path = Path(path)
    aside = path.with_name(path.name + PART)
    try:
        # Not buffered by Python: what cannot be written is an error where it is written.
        with open(aside, "wb", buffering=0) as file:
            write_all(file, content)
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        if isinstance(error, OSError):
            raise OSError(f"{path} cannot be written: {error.strerror}") from None
        raise
    # The name is safe once the folder is on the disk, too.
    with contextlib.ExitStack() as stack:
        folder = os.open(path.parent, os.O_RDONLY)
        stack.callback(os.close, folder)
        os.fsync(folder)


def write_all(file, content):
    """Writes all bytes to a file that is not buffered, which may take fewer at a time."""
    left = memoryview(content).cast("B")
    while left:
        left = left[file.write(left) :]


@contextlib.contextmanager
def locked(path, what):
    """Keeps other processes out while a file of that path is locked; waits for who is in.

    Args:
        path: File, made where it is not there.
        what: What others would be doing, said while it waits, as in "decodes the same videos".
    """
    # The kernel lets go of it when a process ends, however that ends.
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _LOG.info("waiting for another process that %s", what)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
