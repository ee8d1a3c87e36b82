"""Ordinary video files, one or a folder of them, decoded by FFmpeg."""

import logging
import struct

from data_pipelines import clips, remote, workers
from data_pipelines.sources.base import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    Source,
    TimedVideo,
    files_below,
    stamp,
)

_LOG = logging.getLogger(__name__)

# What MP4 begins with, and QuickTime files older than that.
_FIRST_BOXES = (b"ftyp", b"mdat", b"moov", b"wide", b"free", b"skip", b"pnot")


class NoVideo(ValueError):
    """A file is text, empty or an image: no damage to a recording has made it so."""


class VideoFile(TimedVideo):
    """A video file, decoded in a process of its own.

    The frames before a break are given; that some are missing is said by a warning, once, with
    the file, the frames read and the frames declared. That a file on this machine was written to
    or replaced while it was read is said too: a server's is an error then.

    Args:
        name: Name within the source.
        path: File, or a `remote.RemotePath`.
        **about: As of `Video`; `fps` and `num_frames` are taken from the container.

    Attributes:
        facts: Dict of what the file says of itself, as of `data_pipelines.workers.probe`.

    Raises:
        ValueError: It cannot be opened, or not one frame can be decoded.
        OSError: It cannot be read.
    """

    length_is_certain = False

    @property
    def files(self):
        return [self.path]

    @property
    def seekable(self):
        return not isinstance(self.path, remote.RemotePath) or bool(self.path.stat().ranges)

    def __init__(self, name, path, **about):
        self.path = remote.as_path(path)
        _refuse_what_is_no_video(self.path)
        try:
            self.facts = workers.probe(self.path)
        except ValueError:
            if not lost_its_index(self.path):
                raise
            raise ValueError(
                f"{self.path} cannot be opened as a video: it has no whole `moov` box, the index "
                "that a recorder writes last, so it was probably cut off while it was recorded or "
                "copied"
            ) from None
        super().__init__(
            name, fps=self.facts["fps"], num_frames=self.facts["num_frames"], **about
        )

    def timed(self, fps=None, size=None, channels=None, start=0):
        decoding = workers.Decoding(
            self.path, fps=self._made_rate(fps), size=size, channels=channels, start=start
        )
        is_here = not remote.is_remote(self.path)
        before = stamp(self.path) if is_here else None
        try:
            yield from decoding
            self._say_loss(decoding.report)
        finally:
            decoding.close()
        if is_here and stamp(self.path) != before:
            self.warn_once(
                "%s has changed while it was read: it is still being written, or was replaced; its "
                "frames may be of before and after", self.path,
            )

    def window(self, start, count, fps=None, size=None, channels=None):
        fps = self._made_rate(fps)
        rate = fps or self.fps
        if not rate:
            raise ValueError(
                f"{self.path}: nothing tells its frame rate, so no window of it can be found"
            )
        return workers.window(
            self.path, start / rate, count, fps=fps, size=size, channels=channels
        )

    def _made_rate(self, fps):
        """The rate that the decoder makes, or None where all frames are given."""
        # One that varies is made even where there are frames enough.
        is_even = fps is None or not self.facts["varies"] or clips.is_too_slow(self.fps, fps)
        return None if is_even and clips.keeps_all_frames(self.fps, fps) else fps

    def _say_loss(self, report):
        if report["failure"]:
            self.warn_once(
                "%s breaks off: %s; %d frames given", self.path, report["failure"], report["read"]
            )
            return
        read, at_sec = report["read"], report["end_sec"]
        if not self.num_frames or read >= self.num_frames:
            return
        # Containers may declare places in time, many of them empty: then the last frame lies at
        # the end of the declared time, and nothing was lost.
        if self.fps and at_sec * self.fps > self.num_frames - 1.5:
            self.warn_once(
                "%s: %d frames read, %d declared; they reach to its end in time, so the others "
                "are empty places and the frames are not evenly spaced",
                self.path, read, self.num_frames,
            )
        else:
            self.warn_once(
                "%s breaks off: %d frames read, %d declared", self.path, read, self.num_frames
            )


def open_source(path):
    """Opens a video file, or all those in a folder and the folders below.

    In a folder, a file that cannot be read as video is left out with a warning.

    Args:
        path: File or folder, local or remote.

    Returns:
        `Source` of kind `"video_files"`; videos are named by their path within the folder and
        each is a group of its own.

    Raises:
        ValueError: The file is no video, or one that cannot be read; or the folder holds none.
    """
    path = remote.as_path(path)
    if not path.is_dir():
        return Source("video_files", path, [_only_file(path)])
    videos, left_out, others = [], [], []
    for file in files_below(path):
        if file.suffix.lower() not in VIDEO_SUFFIXES:
            others.append(file.name)
            continue
        name = file.relative_to(path).as_posix()
        try:
            videos.append(VideoFile(name, file, group=name))
        except ValueError as error:
            left_out.append(str(error))
            _LOG.warning("%s; left out", error)
    if not videos:
        raise ValueError(f"{path} holds no video file that can be read")
    if others:
        _LOG.warning(
            "%s: %d files left out that are no video by their names: %s",
            path, len(others), ", ".join(others[:5]) + (", ..." if len(others) > 5 else ""),
        )
    return Source("video_files", path, videos, tuple(left_out))


def _only_file(path):
    try:
        return VideoFile(path.name, path, group=path.name)
    except ValueError as error:
        recorded = path.suffix.lower() in VIDEO_SUFFIXES or lost_its_index(path)
        if recorded and not isinstance(error, NoVideo):
            raise  # The right file was given; it is damaged.
        raise ValueError(
            f"`source` must be a video file, or a folder of videos or images. Received: {error}"
        ) from error


def _refuse_what_is_no_video(path):
    # FFmpeg would read an image as a video of one frame.
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise NoVideo(f"{path} is an image, not a video")
    # FFmpeg draws plain text as the screen of a terminal; every container has a zero byte early.
    with remote.open_binary(path) as file:
        if b"\0" not in file.read(4096):
            raise NoVideo(f"{path} is text or empty, not a video")


def check_written(path, frames):
    """Reads a video back that was written with OpenCV, which is silent on a full disk.

    Args:
        path: File.
        frames: Number of frames that were written.

    Raises:
        OSError: Fewer or more frames can be read back.
    """
    import cv2

    reader = cv2.VideoCapture(str(path))
    try:
        count = sum(1 for _ in iter(reader.grab, False))
    finally:
        reader.release()
    if count != frames:
        raise OSError(
            f"{path} could not be written whole: {count} of {frames} frames can be read back; "
            "the disk may be full"
        )


def lost_its_index(path):
    """Says whether a file begins as MP4 or QuickTime does and ends before its `moov` box does.

    Such files are rows of boxes: the size of the box (4 bytes, big-endian; 1 where 8 bytes after
    the name hold it, 0 where it reaches to the end of the file), its name (4 bytes), its content.

    Args:
        path: File.
    """
    length, at = remote.size_of(path), 0
    with remote.open_binary(path) as file:
        while at + 8 <= length:
            file.seek(at)
            header = file.read(16)
            size, name = struct.unpack(">I4s", header[:8])
            if size == 1 and len(header) == 16:
                (size,) = struct.unpack(">Q", header[8:])
            elif size == 0:
                size = length - at
            if size < 8 or not name.isalnum() or (at == 0 and name not in _FIRST_BOXES):
                return False
            if name == b"moov":
                return at + size > length
            at += size
    return at > 0
