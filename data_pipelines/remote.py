"""Footage that is not on this machine: `s3://`, `gs://`, `http://` and `https://`.

A remote file is read by ranges: a few blocks of it are held, never the whole, however long the
video. What fails for a moment (no connection, no answer, HTTP status 408, 429 or 5xx) is tried
again after pauses that grow, a few times; then, and at once where trying again would not help
(401, 403, 404), it is an `OSError` that names the path.

Who goes to the network is in `data_pipelines.remote_ways`.
"""

import collections
import contextlib
import hashlib
import io
import logging
import os
import pathlib
import re
import tempfile
import time
import urllib.parse

from data_pipelines import remote_ways
from data_pipelines.sources import camera_address
from data_pipelines.sources.base import IMAGE_SUFFIXES, VIDEO_SUFFIXES

_LOG = logging.getLogger(__name__)

SCHEMES = ("s3", "gs", "http", "https")

# What is asked for at once, and how many such blocks of a file are held. FFmpeg goes back and
# forth between sound, picture and index.
BLOCK_BYTES, BLOCKS = 1 << 20, 4

# The pause doubles: with these numbers 3.5 seconds of pauses in all.
TRIES, FIRST_PAUSE_SEC = 4, 0.5

# Of a file on a server that gives no ranges, so that it must be fetched whole; on disk.
SPOOL_BYTES = 4 << 30


def is_remote(source):
    """Says whether `source` is an address that `RemotePath` takes, of a file, a folder or neither.

    Args:
        source: What was given as a source.

    Example:
        >>> [is_remote(s) for s in ("s3://b/1.avi", "http://gate/video", "rtsp://gate", "b/1.avi")]
        [True, True, False, False]
    """
    return isinstance(source, RemotePath) or _scheme(_text(source)) in SCHEMES


def as_path(source):
    """Returns a `RemotePath` of what is remote, a `pathlib.Path` of everything else."""
    if isinstance(source, RemotePath):
        return source
    return RemotePath(source) if is_remote(source) else pathlib.Path(source)


def open_binary(path):
    """Opens a file for reading, wherever it is.

    Args:
        path: Local path, address or `RemotePath`.

    Returns:
        A buffered binary file object that can seek, to be closed by the caller. Of a remote file
        it holds some MB, and reads what is asked for in blocks of `BLOCK_BYTES`; where the server
        gives no ranges, the file was copied to a temporary one of `SPOOL_BYTES` at most.

    Raises:
        OSError: It is not there, must not be read, or could not be read in `TRIES` tries.
        ImportError: The package that reads such an address is not installed; the extra is named.

    Example:
        >>> with open_binary("s3://footage/day/1.mp4") as file:  # doctest: +SKIP
        ...     file.seek(-8, 2)
        ...     file.read()
    """
    path = as_path(path)
    if not isinstance(path, RemotePath):
        return open(path, "rb")
    return io.BufferedReader(RemoteFile(path), 1 << 16)


def size_of(path):
    """Returns the bytes of a file, local or remote; `OSError` as of `open_binary`."""
    return as_path(path).stat().st_size


def state_of(path):
    """Returns `[bytes, version]` of a file as it is now: another where it may have changed.

    The version is the time of change in nanoseconds, of a remote file its tag or time as its
    server tells it; `None` where that tells neither.
    """
    if is_remote(path):
        # Of another object: a path remembers what it was told when it was first asked.
        found = RemotePath(as_path(path).url).stat()
        return [found.st_size, found.version]
    found = pathlib.Path(path).stat()
    return [found.st_size, found.st_mtime_ns]


def read_range(path, offset, length):
    """Reads some bytes of a file, wherever it is, and no others.

    Args:
        path: Local path or `RemotePath`, of a server that gives ranges (`RemotePath.stat`).
        offset: Number of the first byte.
        length: How many, at least 1.

    Returns:
        Bytes; fewer where the file ends.

    Raises:
        OSError: As of `open_binary`.
    """
    if isinstance(path, RemotePath):
        return tried(path, "read", lambda way: way.read(path.url, offset, length))
    with open(path, "rb", buffering=0) as file:
        return os.pread(file.fileno(), length, offset)


class RemotePath:
    """An address, with as much of `pathlib.Path` as sources need.

    Shown (`str`) it is without user, password and what may be secret in its query; it is no
    `os.PathLike`, so that nothing takes it for a local path.

    Args:
        address: `s3://BUCKET/KEY`, `gs://BUCKET/KEY`, `http://...` or `https://...`.
        entry: What a listing has told of it, or `None` to ask when it is needed.

    Attributes:
        url: The address itself, with its secrets.
        name, suffix: As of `pathlib.Path`.

    Raises:
        ValueError: It is none of these, or has no host or bucket.

    Example:
        >>> path = RemotePath("https://me:secret@host/day%201/clip.mp4?token=12")
        >>> path.name, path.suffix, str(path)
        ('clip.mp4', '.mp4', 'https://***@host/day%201/clip.mp4?token=***')
    """

    def __init__(self, address, entry=None):
        self.url, self._entry, self._below = _text(address), entry, None
        if _scheme(self.url) not in SCHEMES or not re.match(r"[a-z0-9]+://[^/?#]", self.url, re.I):
            raise ValueError(
                f"`source` must be an address of {', '.join(f'{s}://' for s in SCHEMES)} with a "
                f"host or a bucket. Received: {camera_address.redacted(address)}"
            )
        self._is_web = _scheme(self.url) in ("http", "https")
        # A key of S3 may hold anything, `day=3` too; what may be secret is in addresses of the web.
        self._shown = camera_address.redacted(self.url) if self._is_web else self.url
        path = remote_ways.without_query(self.url) if self._is_web else self.url
        name = path.rstrip("/").rpartition("/")[2]
        self.name = urllib.parse.unquote(name) if self._is_web else name
        self.suffix = pathlib.PurePosixPath(self.name).suffix

    def __str__(self):
        return self._shown

    def __repr__(self):
        return f"RemotePath({self._shown!r})"

    def __eq__(self, other):
        return isinstance(other, RemotePath) and self.url == other.url

    def __hash__(self):
        return hash(self.url)

    def stat(self):
        """Returns `st_size` in bytes, `version`, `is_folder` and `ranges`: a `remote_ways.Entry`.

        Raises:
            OSError: As of `open_binary`.
        """
        if self._entry is None or self._entry.ranges is None:
            self._entry = tried(self, "found", lambda way: way.stat(self.url))
        return self._entry

    def listed_size(self):
        """Returns the bytes that a listing has told, or `None`; nothing is asked."""
        return self._entry.st_size if self._entry is not None else None

    def exists(self):
        try:
            self.is_dir()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self):
        is_folder = (self._entry if self._entry is not None else self.stat()).is_folder
        # There are servers that call all they do not know HTML.
        by_name = self.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES
        return is_folder and not (by_name and self._is_web and not self.url.endswith("/"))

    def iterdir(self):
        """Yields what is directly in this folder; of a web server, what its page links to.

        It is asked for once: who tells the kind of a folder, and who then reads it, both walk it.
        """
        if self._below is None:
            found = tried(self, "listed", lambda way: way.list(self.url))
            self._below = [RemotePath(entry.url, entry) for entry in found]
        yield from self._below

    def relative_to(self, folder):
        """Returns the `pathlib.PurePosixPath` from a folder above to this path."""
        above = remote_ways.without_query(folder.url) if self._is_web else folder.url
        above = above.rstrip("/") + "/"
        if not self.url.startswith(above) and self.url.rstrip("/") + "/" != above:
            raise ValueError(f"{self} is not below {folder}")
        rest = self.url[len(above) :].rstrip("/")
        rest = urllib.parse.unquote(remote_ways.without_query(rest)) if self._is_web else rest
        return pathlib.PurePosixPath(rest)

    def read_bytes(self):
        """Reads a small file, an image for instance, whole."""
        with RemoteFile(self) as file:
            return file.read_at(0, file.size)


class RemoteFile(io.RawIOBase):
    """A remote file, read by ranges; one reader at a time.

    Args:
        path: `RemotePath`.

    Attributes:
        size: Its bytes.
        identity: Text that no other file has, nor this one opened again once its size, tag or time
            has changed; nothing of the address can be read from it. A change after the opening is
            an error of `read_at` on the web, where each answer tells size and tag or time; of
            object storage, only one that leaves fewer bytes is noticed.
    """

    def __init__(self, path):
        self._at, self._blocks, self._spool = 0, collections.OrderedDict(), None
        self._path, entry = path, path.stat()
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder, not a file")
        self.size, self._version = entry.st_size, entry.version
        if not entry.ranges:
            self._spool = _spooled(path)
            self.size = self._spool.seek(0, io.SEEK_END)
        known = "\n".join((path.url, str(self.size), str(entry.version)))
        self.identity = hashlib.sha256(known.encode()).hexdigest()

    def read_at(self, offset, length):
        """Returns `length` bytes from `offset` on, fewer only where the file ends."""
        end = min(self.size, offset + length)
        if self._spool is not None:
            self._spool.seek(offset)
            return self._spool.read(max(0, end - offset))
        parts = []
        while offset < end:
            number = offset // BLOCK_BYTES
            begin = number * BLOCK_BYTES
            part = self._block(number)[offset - begin : end - begin]
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def _block(self, number):
        if number not in self._blocks:
            begin = number * BLOCK_BYTES
            length = min(BLOCK_BYTES, self.size - begin)
            block = tried(
                self._path, "read",
                lambda way: way.read(self._path.url, begin, length, self.size, self._version),
            )  # fmt: skip
            if len(block) != length:
                raise OSError(
                    f"{self._path} has changed while it was read: {len(block)} bytes came of "
                    f"{length} from {begin} on"
                )
            self._blocks[number] = block
            if len(self._blocks) > BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        self._at = max(0, offset + {0: 0, 1: self._at, 2: self.size}[whence])
        return self._at

    def readinto(self, buffer):
        found = self.read_at(self._at, len(buffer))
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def close(self):
        self._blocks = collections.OrderedDict()
        if self._spool is not None:
            self._spool.close()
        super().close()


def tried(path, what, function):
    """Calls a function of the `remote_ways` way of a path, again where that may help.

    Args:
        path: `RemotePath`.
        what: What it does, as in "could not be read".
        function: Function of a way.

    Raises:
        OSError: `FileNotFoundError` and `PermissionError` at once, others after `TRIES` tries;
            the message names the path.
        ImportError: As of `open_binary`.
    """
    way, pause_sec = remote_ways.way_of(_scheme(path.url)), FIRST_PAUSE_SEC
    for number in range(1, TRIES + 1):
        try:
            return function(way)
        except remote_ways.Refused as refused:
            raise refused.error(f"{path} {refused}") from None
        except remote_ways.Failed as failed:
            # Not `from`: what a library says of it may hold the secrets of the address.
            if number == TRIES:
                raise OSError(
                    f"{path} could not be {what}, tried {TRIES} times: {failed}"
                ) from None
            _LOG.info("%s could not be %s: %s; again in %g s", path, what, failed, pause_sec)
        time.sleep(pause_sec)
        pause_sec *= 2
    raise ValueError("`TRIES` must be at least 1")


def _spooled(path):
    spool = tempfile.TemporaryFile()  # closed by RemoteFile

    def fetch(way):
        spool.seek(0)
        spool.truncate()
        for part in way.stream(path.url):
            if spool.tell() + len(part) > SPOOL_BYTES:
                raise remote_ways.Refused(
                    "must be fetched whole, as its server gives no ranges, and is larger than the "
                    f"{SPOOL_BYTES / 2**30:g} GiB that this is done for"
                )
            try:
                spool.write(part)
            except OSError as error:
                raise remote_ways.Refused(
                    "must be fetched whole, as its server gives no ranges, and does not fit into "
                    f"{tempfile.gettempdir()}: {error.strerror}"
                ) from None

    try:
        tried(path, "read", fetch)
    except BaseException:
        with contextlib.suppress(OSError):  # of what was still to be written
            spool.close()
        raise
    return spool


def _scheme(text):
    return text.partition("://")[0].lower() if "://" in text else ""


def _text(source):
    # A `Path` makes one slash of the two after the scheme.
    text = source.url if isinstance(source, RemotePath) else str(source)
    return re.sub(rf"^((?:{'|'.join(SCHEMES)}):/)(?=[^/])", r"\1/", text, flags=re.IGNORECASE)
