"""What a clip is (`ClipSpec`) and how a stream of frames becomes clips (`windows`)."""

import collections
import dataclasses
import math

import numpy as np

CROP_MODES = ("motion", "random", "center")

# Frame rates closer than this are one rate: containers store 9.97 or 29.97 for 10 and 30.
_SAME_RATE = 1.01

# Parts of the time between two frames that a live one may come early: networks deliver unevenly.
_EARLY = 0.25


@dataclasses.dataclass(frozen=True)
class ClipSpec:
    """Says how clips are cut from a video: in time, in size and in colour.

    A video is first brought to `fps`, then every `frame_step`-th frame of it is taken. A window
    holds `frames` of these; the next begins `stride` frames of the resampled video later.

    Args:
        frames: Frames per clip, at least 1.
        frame_step: Take every `frame_step`-th frame of the (resampled) video, at least 1.
        fps: Frames per second to resample to by nearest time, or `None` for the video's own.
            Frames are never invented: of a slower video all frames are used, with a warning.
        stride: Frames of the resampled video between the starts of two windows, or `None` for
            windows that do not overlap (`frames * frame_step`).
        size: `(height, width)` in pixels that frames are resized to, or `None` for their own.
        channels: 1 (grey) or 3 (RGB).
        crop: `(height, width)` in pixels cut out of each clip after the resize, or `None`.
        crop_mode: Where to cut: `"motion"` (centres drawn where something moves), `"random"`
            (uniformly) or `"center"`. One draw per clip.

    Raises:
        ValueError: An argument breaks its rule; the message names it.

    Example:
        >>> ClipSpec(frames=10, stride=2, size=(128, 192), crop=(64, 64)).span
        10
    """

    frames: int = 16
    frame_step: int = 1
    fps: float | None = None
    stride: int | None = None
    size: tuple[int, int] | None = None
    channels: int = 1
    crop: tuple[int, int] | None = None
    crop_mode: str = "motion"

    def __post_init__(self):
        for name in ("frames", "frame_step", "stride"):
            value = getattr(self, name)
            if value is None and name == "stride":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(
                    f"`{name}` must be a whole number of at least 1. Received: {name}={value!r}"
                )
        if self.fps is not None and not (self.fps > 0 and math.isfinite(self.fps)):
            raise ValueError(f"`fps` must be above 0. Received: fps={self.fps!r}")
        if self.channels not in (1, 3):
            raise ValueError(
                f"`channels` must be 1 (grey) or 3 (RGB). Received: channels={self.channels!r}"
            )
        for name in ("size", "crop"):
            object.__setattr__(self, name, _pair(name, getattr(self, name)))
        if self.crop_mode not in CROP_MODES:
            raise ValueError(
                f"`crop_mode` must be one of {CROP_MODES}. Received: crop_mode={self.crop_mode!r}"
            )
        if self.size and self.crop:
            check_crop(self.crop, self.size, f"frames of `size` {self.size}")

    @property
    def span(self):
        """Frames of the resampled video that one clip reaches over."""
        return (self.frames - 1) * self.frame_step + 1

    @property
    def window_stride(self):
        """Frames of the resampled video between the starts of two windows."""
        return self.stride or self.frames * self.frame_step


def check_crop(crop, size, what):
    """Raises `ValueError` unless a crop `(height, width)` fits into `size`; `what` is named."""
    if crop[0] > size[0] or crop[1] > size[1]:
        raise ValueError(
            f"`crop` must fit into the frame. Received: crop={tuple(crop)} for {what}; "
            f"the largest that fits is {(min(crop[0], size[0]), min(crop[1], size[1]))}"
        )


def window_starts(num_frames, clip):
    """Returns the first frame of every whole window in a video.

    Args:
        num_frames: Frames of the (resampled) video.
        clip: `ClipSpec`.

    Returns:
        `range` of frame numbers; empty if the video is shorter than `clip.span`.
    """
    return range(0, max(0, num_frames - clip.span + 1), clip.window_stride)


def windows(frames, clip):
    """Cuts a stream of frames into clips; each frame is taken from the stream once.

    Holds `clip.span` frames at most, however long the stream is.

    Args:
        frames: Iterable of arrays `(height, width, channels)`, at the rate of the clip; or of
            `None` where a live video has no frame now.
        clip: `ClipSpec`.

    Yields:
        Arrays `(clip.frames, height, width, channels)` of the dtype of the frames; `None` for
        each `None`.

    Example:
        >>> video = np.zeros((5, 8, 8, 1), np.uint8)
        >>> [w.shape for w in windows(video, ClipSpec(frames=2))]
        [(2, 8, 8, 1), (2, 8, 8, 1)]
    """
    held = collections.deque(maxlen=clip.span)
    number = -1
    for frame in frames:
        if frame is None:
            yield None
            continue
        number += 1
        held.append(frame)
        start = number - clip.span + 1
        if start >= 0 and start % clip.window_stride == 0:
            yield np.stack([held[i] for i in range(0, clip.span, clip.frame_step)])


def resample(frames, source_fps, fps):
    """Brings a stream of frames to another rate, by the frame nearest in time.

    Args:
        frames: Iterable of frames at `source_fps`.
        source_fps: Frames per second of the stream, or `None` where nobody knows.
        fps: Frames per second asked for, or `None` for those of the stream.

    Yields:
        Some of the frames, each at most once, in order. All of them where the stream is not
        faster than `fps` or its rate is unknown.
    """
    if keeps_all_frames(source_fps, fps):
        yield from frames
        return
    ratio, wanted = source_fps / fps, 0
    for number, frame in enumerate(frames):
        if number == _nearest(wanted, ratio):
            wanted += 1
            yield frame


def resample_live(timed_frames, fps):
    """Brings frames to a rate as they arrive, by the first that comes when one is due.

    Args:
        timed_frames: Iterable of pairs of a frame and when it arrived, in seconds; of `None` and
            the present where there is no frame.
        fps: Frames per second wanted, or `None` for all frames.

    Yields:
        Some of the frames, each at most once, in order: on average `fps` a second, all of them
        where they arrive more slowly; and each `None`.

    Example:
        >>> arrived = [(number, number / 25) for number in range(25)]
        >>> list(resample_live(arrived, fps=10))
        [0, 2, 5, 7, 10, 12, 15, 17, 20, 22]
    """
    due_sec = None
    for frame, time_sec in timed_frames:
        if fps is not None and frame is not None:
            if due_sec is not None and time_sec < due_sec - _EARLY / fps:
                continue
            # After a gap the beat begins anew; nothing is given in a rush to make up for it.
            behind = due_sec is None or time_sec > due_sec + 1 / fps
            due_sec = (time_sec if behind else due_sec) + 1 / fps
        yield frame


def frame_indices(num_frames, source_fps, clip):
    """Returns which frames of a video `chunks` gives: truth per frame is taken at these.

    Args:
        num_frames: Frames of the video.
        source_fps: Its frames per second, or `None`.
        clip: `ClipSpec`; `fps` and `frame_step` count.

    Returns:
        int64 array of increasing frame numbers.

    Example:
        >>> frame_indices(10, 30.0, ClipSpec(fps=10)).tolist()
        [0, 3, 6, 9]
    """
    if keeps_all_frames(source_fps, clip.fps):
        return np.arange(0, num_frames, clip.frame_step)
    ratio = source_fps / clip.fps
    indices, wanted = [], 0
    while _nearest(wanted, ratio) < num_frames:
        indices.append(_nearest(wanted, ratio))
        wanted += 1
    return np.array(indices[:: clip.frame_step], np.int64)


def resampled_length(num_frames, source_fps, fps):
    """Returns how many frames `resample` gives of so many.

    Args:
        num_frames: Frames of the video.
        source_fps, fps: As of `resample`.

    Example:
        >>> resampled_length(10, 30.0, 10), resampled_length(10, 10.0, 25)
        (4, 10)
    """
    if keeps_all_frames(source_fps, fps):
        return num_frames
    return len(frame_indices(num_frames, source_fps, ClipSpec(fps=fps)))


def source_frames(start, count, source_fps, fps):
    """Returns which frames of a video are some of those at another rate.

    Args:
        start: Number of the first, of the resampled video.
        count: How many, one after the other.
        source_fps, fps: As of `resample`.

    Returns:
        List of frame numbers of the video.

    Example:
        >>> source_frames(2, 3, 30.0, 10), source_frames(2, 3, 10.0, 25)
        ([6, 9, 12], [2, 3, 4])
    """
    ratio = 1.0 if keeps_all_frames(source_fps, fps) else source_fps / fps
    return [_nearest(wanted, ratio) for wanted in range(start, start + count)]


def keeps_all_frames(source_fps, fps):
    """Says whether resampling from `source_fps` to `fps` leaves every frame."""
    return fps is None or source_fps is None or source_fps <= fps * _SAME_RATE


def given_rate(source_fps, fps):
    """Returns the frames per second that `resample` gives of a video: what seconds count by.

    Args:
        source_fps: Frames per second of the video, or `None` where nobody knows.
        fps: Frames per second asked for, or `None` for those of the video.

    Returns:
        The video's own rate where all of its frames are left, else the one asked for; `None` where
        neither is known.

    Example:
        >>> given_rate(30.0, 10), given_rate(10.05, 10), given_rate(5.0, 10), given_rate(None, 10)
        (10, 10.05, 5.0, 10)
    """
    if source_fps is None:
        return fps
    return source_fps if keeps_all_frames(source_fps, fps) else fps


def is_too_slow(source_fps, fps):
    """Says whether a video of `source_fps` has fewer frames per second than the `fps` asked for."""
    return fps is not None and source_fps is not None and source_fps * _SAME_RATE < fps


def _nearest(wanted, ratio):
    # Halves go up: Python's round() would take the even neighbour and so step unevenly.
    return math.floor(wanted * ratio + 0.5)


def _pair(name, value):
    if value is None:
        return None
    try:
        height, width = (int(v) for v in value)
    except (TypeError, ValueError):
        height = width = 0
    if height < 1 or width < 1:
        raise ValueError(
            f"`{name}` must be (height, width) in pixels, each at least 1. "
            f"Received: {name}={value!r}"
        )
    return height, width
