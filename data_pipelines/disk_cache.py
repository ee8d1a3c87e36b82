"""Frames decoded once into a folder, and read back by memory map.

`FOLDER/KEY/` holds `frames.bin`, the bytes of all frames one after the other, and `index.json`,
where each video begins. The key is made of the files (path, size, time of change or tag), and of
the rate, size and colour of the clip: how long clips are and where they begin changes nothing of
what is kept. A file that changes gets another key; folders of keys no longer used are for whoever
owns the disk to delete, at any time but while they are written.

A key is there whole or not at all: it is written aside, then renamed, under a lock, so that of two
processes the second waits and takes what the first has decoded.
"""

import dataclasses
import hashlib
import json
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import tensorflow as tf

from data_pipelines.decoding import prepared_frames
from data_pipelines.remote import RemotePath, state_of
from data_pipelines.whole_files import locked, write_all

_LOG = logging.getLogger(__name__)

_FORMAT = 1
_FRAMES, _INDEX = "frames.bin", "index.json"


@dataclasses.dataclass(frozen=True)
class Kept:
    """Frames of videos on disk.

    Attributes:
        path: File of the bytes of all frames.
        num_bytes: Its length.
        videos: For each video `(begin, length, shape)`: the byte where it begins, its frames, and
            `(height, width, channels)` of each, `None` of a video without a frame.
    """

    path: Path
    num_bytes: int
    videos: list

    def mapped(self):
        """Returns all bytes as a tensor, uint8 `(num_bytes,)`, that takes no memory of its own."""
        # Copy on write, since only what may be written to is lent; nothing writes.
        return tf.experimental.dlpack.from_dlpack(
            np.memmap(self.path, np.uint8, "c").__dlpack__()
        )


def folder_of(cache):
    """Returns the folder that a `cache` of `load` names.

    Args:
        cache: `"disk"` for `unsupervised-video-zoo/frames` where the user's caches are
            (`XDG_CACHE_HOME`, else `~/.cache`); a `pathlib.Path`, or a text with a slash in it.

    Raises:
        ValueError: It is none of these.

    Example:
        >>> folder_of("runs/cache").as_posix()
        'runs/cache'
    """
    if isinstance(cache, os.PathLike) or (isinstance(cache, str) and os.sep in cache):
        return Path(cache)
    if cache == "disk":
        caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(caches) / "unsupervised-video-zoo" / "frames"
    raise ValueError(
        "`cache` must be None, 'memory', 'disk' or a folder (a Path, or a text with a slash). "
        f"Received: cache={cache!r}"
    )


def kept_frames(videos, clip, folder, check):
    """Gives the frames of videos on disk, decoded now unless they are there.

    Args:
        videos: List of `Video`, each with `files`.
        clip: `ClipSpec`; `fps`, `size` and `channels` count.
        folder: Folder for all keys; made where it is not there.
        check: Function of `(video, length, shape)`, called for each video as soon as its frames
            are known; what it raises ends the decoding, and nothing is kept.

    Returns:
        `Kept`.

    Raises:
        ValueError: A video is made of no files, or of one whose server tells neither a tag nor a
            time, so that nothing tells whether it changed.
        OSError: The folder cannot be written to, the disk is full, or a file changed while it was
            decoded.
    """
    folder = Path(folder)
    known = _known(videos)
    place = folder / _key(known, clip)
    # A folder that is whole is there at once, and need not be one that can be written to.
    kept = _read(place)
    try:
        if kept is None:
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder / f"{place.name}.lock", "decodes the same videos"):
                kept = _read(place)
                if kept is None:
                    kept = _written(videos, clip, place, check, known)
                    check = None
    except _Unwritable as error:
        raise OSError(
            f"{folder} cannot take the decoded frames: {error}; nothing of them was kept. Give "
            "`cache` a folder on a disk with room, or None to decode while streaming"
        ) from None
    if check is not None:
        for video, (_, length, shape) in zip(videos, kept.videos, strict=True):
            check(video, length, shape)
    return kept


def is_kept(videos, clip, folder):
    """Says whether frames are in a folder already; arguments and errors as of `kept_frames`."""
    return _read(Path(folder) / key_of(videos, clip)) is not None


def key_of(videos, clip):
    """Returns the name of the folder for these videos and this clip: 32 hexadecimal digits.

    Raises:
        ValueError: As of `kept_frames`.
    """
    return _key(_known(videos), clip)


class _Unwritable(Exception):
    pass


def _known(videos):
    known = []
    for video in videos:
        if video.files is None:
            raise ValueError(
                "`cache` must be None or 'memory' for a video that is made of no files. "
                f"Received: {video.name}"
            )
        states = [_state(path) for path in video.files]
        known.append([type(video).__name__, video.fps, states, video.part])
    return known


def _key(known, clip):
    text = json.dumps([_FORMAT, clip.fps, clip.size, clip.channels, known])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _state(path):
    if isinstance(path, RemotePath):
        size, version = state_of(path)
        if version is None:
            raise ValueError(
                "`cache` must be None or 'memory' for a file whose server gives neither ETag nor "
                f"Last-Modified: nothing tells when it changes. Received: {path}"
            )
        # The address itself, which nobody can read from a key: as it is shown, without what may
        # be secret, another file's would be the same.
        return [path.url, size, version]
    return [str(Path(path).resolve()), *state_of(path)]


def _read(place):
    try:
        index = json.loads((place / _INDEX).read_text())
        size, expected = (place / _FRAMES).stat().st_size, index["bytes"]
        videos = [(at, length, shape and tuple(shape)) for at, length, shape in index["videos"]]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        _LOG.warning("%s is damaged: its %s cannot be read; decoded again", place, _INDEX)
        return None
    if size != expected:
        _LOG.warning("%s is damaged: %d bytes of %d; decoded again", place, size, expected)
        return None
    return Kept(place / _FRAMES, size, videos)


def _written(videos, clip, place, check, known):
    aside = place.with_name(f"{place.name}.part")
    shutil.rmtree(aside, ignore_errors=True)  # of a process that was killed; ours is the lock
    aside.mkdir()
    found, at = [], 0
    try:
        # Not buffered by Python: what cannot be written is an error where it is written.
        with open(aside / _FRAMES, "wb", buffering=0) as file:
            for video in videos:
                begin, length, shape = at, 0, None
                for frame in prepared_frames(video, clip):
                    at += _write(file, np.ascontiguousarray(frame).data.cast("B"), at)
                    length, shape = length + 1, tuple(int(n) for n in frame.shape)
                check(video, length, shape)
                found.append((begin, length, shape))
            _flush(file, at)
        for video, before, now in zip(videos, known, _known(videos), strict=True):
            if now != before:
                raise OSError(
                    f"{video.name} has changed while it was decoded: it is still being written, or "
                    "was replaced. Nothing was kept; leave it out, or give `cache` None"
                )
        index = json.dumps({"bytes": at, "videos": found}).encode()
        with open(aside / _INDEX, "wb", buffering=0) as file:
            _write(file, memoryview(index), at)
            _flush(file, at)
        shutil.rmtree(place, ignore_errors=True)  # damaged
        aside.rename(place)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    _LOG.info("%d MB of decoded frames kept in %s", at >> 20, place)
    return Kept(place / _FRAMES, at, found)


def _write(file, content, at):
    try:
        write_all(file, content)
    except OSError as error:
        raise _Unwritable(f"{error.strerror} after {at >> 20} MB") from None
    return len(content)


def _flush(file, at):
    try:
        os.fsync(file.fileno())
    except OSError as error:
        raise _Unwritable(f"{error.strerror} after {at >> 20} MB") from None
