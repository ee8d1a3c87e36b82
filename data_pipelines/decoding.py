"""From a video to the frames a model sees: rate, colour and size, piece by piece."""

import collections
import itertools
import queue
import threading

import numpy as np

from data_pipelines import clips as clips_lib
from data_pipelines import transforms

# Frames brought to size and colour at once: enough to keep the threads busy, few to hold.
_CHUNK = 32

# What is decoded ahead of one video: so many lots of frames, each of this many bytes at most, or
# one frame.
_LOTS, _LOT_FRAMES, _LOT_BYTES = 8, 32, 4 << 20


def timed_frames(video, clip, start=0):
    """Gives the frames of `prepared_frames`, each with its time, as of `Video.timed`.

    Args:
        video: `Video` that is not live.
        clip: `ClipSpec`.
        start: Frames to leave out at the beginning.

    Yields:
        `(time_sec, frame)`: float or `None`, and uint8 `(height, width, clip.channels)`.
    """
    times = collections.deque()

    def frames():
        for time_sec, frame in video.timed(clip.fps, clip.size, clip.channels, start):
            times.append(time_sec)
            yield frame

    warn_of_rate(video, clip)
    for frame in _brought(video, clip, frames(), _CHUNK):
        yield times.popleft(), frame


def prepared_frames(video, clip, idle_seconds=None):
    """Decodes a video and brings it to the rate, size and colour of a clip.

    A live video is brought to the rate by when its frames arrive; each is given at once.

    Args:
        video: `Video`.
        clip: `ClipSpec`.
        idle_seconds: `None`; or, of a live video, after how long without a frame to give `None`,
            so that whoever waits may think again.

    Yields:
        uint8 arrays `(height, width, clip.channels)`, all frames of the resampled video.

    Raises:
        ValueError: Frames of one video differ in size and `clip.size` does not make them equal.
    """
    # A live frame is wanted now, not with those that come after it.
    at_once = 1 if video.live else _CHUNK
    yield from _brought(video, clip, _at_rate(video, clip, idle_seconds), at_once)


def _brought(video, clip, frames, at_once):
    size, held = clip.size, []
    for frame in frames:
        if frame is None:
            yield None
            continue
        if size and frame.shape == (*size, clip.channels):
            # As it should be, as files give it that were decoded so.
            if held:
                yield from _prepared(held, size, clip.channels)
                held = []
            yield frame
            continue
        if held and frame.shape != held[0].shape:
            yield from _prepared(held, size, clip.channels)
            held = []
        # Without a size asked for, the first frame sets it.
        size = size or frame.shape[:2]
        if clip.size is None and frame.shape[:2] != size:
            raise ValueError(
                f"{video.name}: its frames change from {size} to {frame.shape[:2]}; give `size`"
            )
        held.append(frame)
        if len(held) == at_once:
            yield from _prepared(held, size, clip.channels)
            held = []
    if held:
        yield from _prepared(held, size, clip.channels)


def chunks(video, clip, frames_per_chunk=16):
    """Gives a video piece by piece for scoring, as a model trained on `clip` would see it.

    Brought to rate, size and colour, every `clip.frame_step`-th frame, uncropped, with memory
    that does not grow with the video. `clips.frame_indices` tells which frames they are.

    Args:
        video: `Video`.
        clip: `ClipSpec`.
        frames_per_chunk: Frames at once, at least 1.

    Yields:
        uint8 arrays `(n, height, width, clip.channels)`, `n = frames_per_chunk` but for the last.

    Raises:
        ValueError: `frames_per_chunk` is below 1.
    """
    if frames_per_chunk < 1:
        raise ValueError(
            f"`frames_per_chunk` must be at least 1. Received: frames_per_chunk={frames_per_chunk}"
        )
    held = []
    for number, frame in enumerate(prepared_frames(video, clip)):
        if number % clip.frame_step == 0:
            held.append(frame)
        if len(held) == frames_per_chunk:
            yield np.stack(held)
            held = []
    if held:
        yield np.stack(held)


def prepared_window(video, clip, start):
    """Decodes one window of a video, and as little as possible before it.

    Args:
        video: `Video`.
        clip: `ClipSpec`.
        start: Number of its first frame, of the video at the rate of the clip.

    Returns:
        uint8 `(clip.frames, height, width, clip.channels)`; `None` where it cannot be read whole.
    """
    frames = video.window(start, clip.span, clip.fps, clip.size, clip.channels)
    if len(frames) < clip.span:
        return None
    frames = frames[:: clip.frame_step]
    if len({frame.shape for frame in frames}) > 1 and clip.size is None:
        raise ValueError(f"{video.name}: its frames change in size; give `size`")
    size = clip.size or frames[0].shape[:2]
    same = [list(group) for _, group in itertools.groupby(frames, key=np.shape)]
    parts = [
        part if part[0].shape == (*size, clip.channels) else _prepared(part, size, clip.channels)
        for part in same
    ]
    return np.concatenate(parts)


def read_ahead(videos, clip, workers):
    """Prepares the frames of several videos at once, and gives them one video after the other.

    While one is read, those after it are decoded, each by a thread, until 256 frames or 32 MB of
    them wait. What is given, and in which order, does not depend on how many there are.

    Args:
        videos: Iterable of `Video`.
        clip: `ClipSpec`.
        workers: Videos that are decoded at a time, at least 1.

    Yields:
        For each video an iterator over its `prepared_frames`. It is to be read to its end before
        the next is asked for; what is left of it is lost then.

    Raises:
        ValueError: `workers` is below 1; or, where it comes to its frame, what `prepared_frames`
            raises of a video.
    """
    if workers < 1:
        raise ValueError(f"`workers` must be at least 1. Received: workers={workers}")
    videos, waiting = iter(videos), collections.deque()

    def begin():
        for video in videos:
            waiting.append(_Ahead(video, clip))
            return

    try:
        for _ in range(workers):
            begin()
        while waiting:
            # Stays in the row, so that it is stopped if nobody reads on.
            yield waiting[0].frames()
            waiting.popleft().stop()
            begin()
    finally:
        for ahead in waiting:
            ahead.stop()


class _Ahead:
    """A video that a thread decodes until enough frames wait."""

    def __init__(self, video, clip):
        self._lots, self._stopped = queue.Queue(_LOTS), threading.Event()
        self._thread = threading.Thread(target=self._decode, args=(video, clip), daemon=True)
        self._thread.start()

    def frames(self):
        while True:
            lot = self._lots.get()
            if isinstance(lot, BaseException):
                raise lot
            if lot is None:
                return
            yield from lot

    def stop(self):
        """Ends the thread; nothing is to be read afterwards."""
        self._stopped.set()
        while self._thread.is_alive():
            # It may wait for a place to put frames down.
            try:
                self._lots.get_nowait()
            except queue.Empty:
                self._thread.join(0.01)

    def _decode(self, video, clip):
        lot, size, end, frames = [], 0, None, prepared_frames(video, clip)
        try:
            for frame in frames:
                if self._stopped.is_set():
                    return
                lot.append(frame)
                size += frame.nbytes
                if size >= _LOT_BYTES or len(lot) == _LOT_FRAMES:
                    self._lots.put(lot)
                    lot, size = [], 0
        except BaseException as error:
            end = error
        finally:
            frames.close()
        self._lots.put(lot)
        self._lots.put(end)


def _at_rate(video, clip, idle_seconds):
    if video.live:
        timed = ((timed.frame, timed.time_sec) for timed in video.timed_frames(idle_seconds))
        return clips_lib.resample_live(timed, clip.fps)
    warn_of_rate(video, clip)
    return video.sampled(clip.fps, clip.size, clip.channels)


def warn_of_rate(video, clip):
    """Says, once, that a video has fewer frames per second than the clip, or that nobody knows."""
    if clip.fps is not None and video.fps is None:
        video.warn_once("the frame rate is unknown; it is taken as the %g asked for", clip.fps)
    elif clips_lib.is_too_slow(video.fps, clip.fps):
        video.warn_once(
            "%g frames per second is less than the %g asked for; all frames are used, "
            "none invented", video.fps, clip.fps,
        )


def _prepared(frames, size, channels):
    return transforms.prepare(np.stack(frames), size, channels).numpy()
