"""What every source yields: `Video`s in a `Source`."""

import dataclasses
import itertools
import logging
import re
from pathlib import Path

import numpy as np

from data_pipelines import clips
from data_pipelines.sources.dated_names import moment_in

_LOG = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
VIDEO_SUFFIXES = frozenset(
    {".avi", ".mp4", ".m4v", ".mkv", ".mov", ".mpg", ".mpeg", ".webm", ".wmv", ".flv", ".ts",
     ".mts", ".3gp", ".ogv"}
)

# Of folders within each other; a link that leads back to its own folder makes endlessly many.
MOST_LEVELS = 32


class Video:
    """One video: frames in order, and what is known about them.

    Attributes:
        name: Name within the source, unique there.
        label: Class of the whole video, or `None`.
        group: What must stay together when videos are split (a person, a file), or `None`.
        split: `"train"`, `"test"` or `None`.
        fps: Frames per second, or `None` where nothing tells.
        num_frames: Number of frames; of video files the number declared by the container, which
            a broken file does not hold; `None` where nothing tells.
        live: Whether frames come as they happen, and never again. Such a video has
            `timed_frames` and `close` too, as `Camera` has.
        endless: Whether frames come without end.
        files: List of the paths that its frames are read from and from nothing else, or `None`.
        part: Which part of its files it is, as values of JSON; `None` where it is all of them.
        seekable: Whether a window can be read without the rest of the video.
        indexed: Whether windows are read in any order as fast as one after the other, and their
            number is certain.
    """

    live = False
    endless = False
    files = None
    part = None
    seekable = True
    indexed = False

    def __init__(self, name, *, label=None, group=None, split=None, fps=None, num_frames=None):
        self.name = name
        self.label = label
        self.group = group
        self.split = split
        self.fps = fps
        self.num_frames = num_frames
        self._said = set()

    def __repr__(self):
        return f"{type(self).__name__}({self.name!r}, num_frames={self.num_frames})"

    @property
    def length_is_certain(self):
        """Whether `num_frames` was counted, not merely declared by a container."""
        return self.num_frames is not None

    def warn_once(self, message, *values):
        """Logs a warning unless a video of the same source has logged the very same one."""
        if (message, values) not in self._said:
            self._said.add((message, values))
            _LOG.warning(message, *values)

    def frames(self, start=0):
        """Decodes the frames one by one.

        Args:
            start: Number of the first frame wanted, from 0.

        Yields:
            uint8 arrays `(height, width, channels)`, grey (1) or RGB (3).
        """
        raise NotImplementedError

    def sampled(self, fps=None, size=None, channels=None):
        """Decodes the frames that a rate asks for.

        Args:
            fps: Frames per second, or `None` for all frames. As `clips.resample` brings a video
                to it; a source that knows the time of each frame goes by that.
            size: `(height, width)` that the frames will be brought to, or `None`.
            channels: 1 or 3 that they will be brought to, or `None`.

        Yields:
            uint8 arrays `(height, width, channels)`: brought to size and colour where the source
            can do that sooner than others, as it is otherwise.
        """
        return clips.resample(self.frames(), self.fps, fps)

    def timed(self, fps=None, size=None, channels=None, start=0):
        """Decodes the frames that `sampled` gives, each with its time where the source knows it.

        Args:
            fps, size, channels: As of `sampled`.
            start: Number of the first frame wanted, of the video at the rate asked for, from 0.

        Yields:
            `(time_sec, frame)`, the time counted from the first frame of the video; `None` where
            frame `k` is of the time `k / fps`.
        """
        for frame in itertools.islice(self.sampled(fps, size, channels), start, None):
            yield None, frame

    def length_at(self, fps=None):
        """Returns the number of frames at a rate, by `num_frames`, which must be known.

        Args:
            fps: As of `sampled`.
        """
        return clips.resampled_length(self.num_frames, self.fps, fps)

    def readable_parts(self):
        """Returns a list of videos: what of this one can be read, after looking at all of it.

        Of most kinds it is the video itself, unlooked at, as they tell damage while they are read.
        Where frames are missing between others, each row of frames without a gap is a video.
        """
        return [self]

    def window(self, start, count, fps=None, size=None, channels=None):
        """Decodes some of the frames that `sampled` gives, and not those before.

        Args:
            start: Number of the first, of the video at the rate asked for, from 0.
            count: How many.
            fps, size, channels: As of `sampled`.

        Returns:
            List of uint8 arrays `(height, width, channels)`; fewer than `count` where the video
            ends, or cannot be read any further.
        """
        first, *_ = wanted = clips.source_frames(start, count, self.fps, fps)
        wanted = {number - first for number in wanted}
        frames = itertools.islice(self.frames(first), max(wanted) + 1)
        return [frame for number, frame in enumerate(frames) if number in wanted]

    def start_hour(self):
        """Returns the hour of the clock at which it began, in [0, 24); `None` where nothing tells.

        It is told by the last date with a time of day in the name, in the time zone of whoever
        named it, as most recorders do. The time of creation in a container is not asked: it may be
        that of a copy, and is in whatever time zone the recorder took for UTC.
        """
        moment, is_timed = moment_in(self.name) or (None, False)
        return moment.hour + moment.minute / 60 + moment.second / 3600 if is_timed else None

    def frame_labels(self):
        """Returns the truth per frame, bool `(num_frames,)`, True = abnormal; `None` if unknown."""
        return None

    def masks(self):
        """Returns an iterator of bool `(height, width)` masks, one per frame; `None` if unknown."""
        return None


class TimedVideo(Video):
    """A video whose source knows the time of each frame: `timed` is what it is told by."""

    def frames(self, start=0):
        return self.sampled(start=start)

    def sampled(self, fps=None, size=None, channels=None, start=0):
        for _, frame in self.timed(fps, size, channels, start):
            yield frame


class ImageFiles(Video):
    """A video kept as one image file per frame.

    Args:
        name: Name within the source.
        paths: Image files, in order.
        **about: As of `Video`.
    """

    def __init__(self, name, paths, **about):
        super().__init__(name, num_frames=len(paths), **about)
        self.paths = list(paths)

    @property
    def files(self):
        return self.paths

    def frames(self, start=0):
        for path in self.paths[start:]:
            yield read_image(path)


@dataclasses.dataclass(frozen=True)
class Source:
    """Videos of one place.

    Attributes:
        kind: Name of the layout, one of `data_pipelines.sources.KINDS`.
        path: Where it is; of a camera its name, without what may be secret in its address.
        videos: List of `Video`.
        left_out: What of the place is in no video, though it should be: a sentence for each file.
        fps: Frames per second where all videos share one, else `None`.
    """

    kind: str
    path: Path | str
    videos: list
    left_out: tuple = ()

    def __post_init__(self):
        said = set().union(*(video._said for video in self.videos))
        for video in self.videos:
            video._said = said

    @property
    def fps(self):
        rates = {video.fps for video in self.videos}
        return rates.pop() if len(rates) == 1 else None

    @property
    def splits(self):
        """The splits that the videos belong to: `("test", "train")` or `()`."""
        return tuple(sorted({video.split for video in self.videos if video.split}))

    @property
    def labels(self):
        """The classes that the videos belong to, sorted; `()` where none has a label."""
        return tuple(sorted({video.label for video in self.videos if video.label is not None}))

    def subset(self, videos):
        """Returns the same source with only `videos` in it."""
        return dataclasses.replace(self, videos=list(videos))


def read_image(path):
    """Reads an image file.

    Args:
        path: `pathlib.Path`, or a `remote.RemotePath`.

    Returns:
        uint8 `(height, width, channels)`, grey (1) or RGB (3).

    Raises:
        ValueError: The file is no image that can be read.
    """
    import cv2

    if isinstance(path, Path):
        image = _as_rgb(cv2.imread(str(path), cv2.IMREAD_ANYCOLOR))
    else:
        image = decoded_image(path.read_bytes())
    if image is None:
        raise ValueError(f"{path} cannot be read as an image")
    return image


def decoded_image(content):
    """Decodes the bytes of an image file, as `read_image` does; `None` of what is no image."""
    import cv2

    content = np.frombuffer(content, np.uint8)
    return _as_rgb(cv2.imdecode(content, cv2.IMREAD_ANYCOLOR)) if len(content) else None


def _as_rgb(image):
    if image is None or image.ndim == 3:
        return image if image is None else np.ascontiguousarray(image[..., ::-1])
    return image[..., None]


def stamp(path):
    """What changes when a file on this machine is written to or replaced; its errno if it is gone.

    Args:
        path: `pathlib.Path`.
    """
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return found.st_ino, found.st_size, found.st_mtime_ns


def natural_order(paths):
    """Sorts names as people number them: `frame2` before `frame10`.

    Args:
        paths: Iterable of paths or strings.

    Returns:
        List of the same, sorted by all parts of the path.

    Example:
        >>> natural_order(["10.jpg", "9.jpg", "1.jpg"])
        ['1.jpg', '9.jpg', '10.jpg']
    """
    return sorted(paths, key=lambda path: (_natural_key(str(path)), str(path)))


def visible(paths):
    """Leaves out hidden files, among them the `._NAME` that macOS puts into archives."""
    return [path for path in paths if not path.name.startswith(".")]


def files_below(folder, levels=MOST_LEVELS):
    """Yields the visible files in `folder` and the folders below it, in natural order.

    Raises:
        ValueError: Folders lie within each other more than `levels` deep: a link that leads back,
            or a web server that answers any address.
    """
    if not levels:
        raise ValueError(
            f"`source` must have at most {MOST_LEVELS} levels of folders, without links that lead "
            f"back. Received: {folder}"
        )
    for path in natural_order(visible(folder.iterdir())):
        if path.is_dir():
            yield from files_below(path, levels - 1)
        else:
            yield path


def images_in(folder):
    """Returns the image files directly in `folder`, in natural order."""
    return natural_order(
        p for p in visible(folder.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES
    )


def folders_in(folder):
    """Returns the folders directly in `folder`, in natural order."""
    return natural_order(p for p in visible(folder.iterdir()) if p.is_dir())


def _natural_key(text):
    # Separators are split off first, so that a folder sorts before its longer-named neighbour.
    return [
        [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part.lower())
         for part in re.split(r"([0-9]+)", name) if part]
        for name in re.split(r"[/\\]", text)
    ]
