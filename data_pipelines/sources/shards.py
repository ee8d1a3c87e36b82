"""A folder of TFRecord shards, as `data_pipelines.prepare` makes it, here or elsewhere.

Any frame is read by itself, so that windows are read in any order. A record that is cut off, or
not what was written, is not given: its shard is named, once, with the number of frames lost.
Known when the folder is opened are files that are missing or of another length; what is damaged
within, when it is read.
"""

import bisect
import dataclasses
import itertools
import logging
import threading

import numpy as np

from data_pipelines import clips, remote
from data_pipelines.decode_worker import Sampler
from data_pipelines.shard_format import ARRAYS, INDEX, SHARD, Index, frame_of, is_damaged
from data_pipelines.sources.base import Source, TimedVideo

_LOG = logging.getLogger(__name__)

# Records that are read at once where all are read.
_BLOCK = 32


@dataclasses.dataclass(frozen=True)
class _Run:
    """Frames of a video that follow one another in a shard."""

    shard: int
    record: int  # of the first frame
    first: int  # number of the first frame
    count: int

    def cut(self, begin, end):
        return _Run(self.shard, self.record + begin, self.first + begin, end - begin)


class ShardVideo(TimedVideo):
    """A video of a folder of shards, or what is between two gaps of it.

    A frame that cannot be read ends `frames` and `sampled`, with a warning that tells how many are
    behind it; `readable_parts` has those.

    Args:
        name: Name within the source.
        folder: `_Folder`.
        runs: List of `_Run`, one going on where the one before it ends.
        start_hour: Hour of the clock at which the video that was prepared began, or None.
        **about: As of `Video`.
    """

    def __init__(self, name, folder, runs, start_hour=None, **about):
        self._folder, self._runs, self._moments = folder, runs, {}
        self._begins = [run.first for run in runs]
        super().__init__(name, num_frames=sum(run.count for run in runs), **about)
        times = np.concatenate([folder.times(run) for run in runs])
        self._start_hour = start_hour
        # Of what is behind a gap, since the beginning of the video that was prepared.
        even = self._begins[0] / (self.fps or np.nan) if self._begins[0] else 0.0
        self._first_sec = float(even if np.isnan(times[0]) else times[0])
        self._times = None
        if not np.isnan(times).all():
            even = np.arange(self._begins[0], self._begins[0] + len(times)) / (self.fps or np.nan)
            times = np.where(np.isnan(times), even, times)
            self._times = times - times[0]

    @property
    def files(self):
        return [self._folder.path_of(number) for number in sorted({r.shard for r in self._runs})]

    @property
    def part(self):
        return [[run.record, run.count] for run in self._runs]

    @property
    def seekable(self):
        return self._folder.gives_ranges

    indexed = seekable

    @property
    def length_is_certain(self):
        # Where one frame is read after the other, damage ends it.
        return self._folder.gives_ranges

    def start_hour(self):
        if self._start_hour is None or np.isnan(self._first_sec):
            return None
        return (self._start_hour + self._first_sec / 3600) % 24

    def timed(self, fps=None, size=None, channels=None, start=0):
        length = self.length_at(fps)
        for begin in range(start, length, _BLOCK):
            numbers, times = self._wanted(begin, _BLOCK, fps)
            frames = self._read(numbers)
            yield from zip(times, frames, strict=False)
            if len(frames) < len(numbers):
                read = begin + len(frames)
                self.warn_once("%s breaks off at a frame that cannot be read: the first %d of %d "
                               "frames given", self.name, read, length)  # fmt: skip
                return

    def window(self, start, count, fps=None, size=None, channels=None):
        return self._read(self._wanted(start, count, fps)[0])

    def length_at(self, fps=None):
        if self._times is None:
            return super().length_at(fps)
        return len(self._moments_at(fps))

    def readable_parts(self):
        for run in self._runs:
            self._folder.lost(run.shard)
        return self._folder.parts(self.name, self._runs, label=self.label, group=self.group,
                                  split=self.split, fps=self.fps,
                                  start_hour=self._start_hour)  # fmt: skip

    def _wanted(self, start, count, fps):
        """Numbers of the frames that are some of those at a rate, and their times or `None`."""
        if self._times is not None:
            moments = self._moments_at(fps)[start : start + count]
            return moments["number"].tolist(), moments["time_sec"].tolist()
        numbers = clips.source_frames(start, count, self.fps, fps)
        return [n for n in numbers if n < self.num_frames], [None] * len(numbers)

    def _moments_at(self, fps):
        """`time_sec` and `number` of all frames at a rate, by their times as of a video file."""
        if fps not in self._moments:
            timed = zip(self._times, range(self.num_frames), strict=True)
            if fps is not None and self.fps and not clips.is_too_slow(self.fps, fps):
                timed = _sampled(timed, Sampler(fps, self.fps))
            self._moments[fps] = np.fromiter(timed, [("time_sec", float), ("number", int)])
        return self._moments[fps]

    def _read(self, numbers):
        """Frames of rising numbers, up to the first that cannot be read."""
        frames = []
        numbers = [number + self._begins[0] for number in numbers]
        by_run = itertools.groupby(numbers, lambda n: bisect.bisect_right(self._begins, n) - 1)
        for place, wanted in by_run:
            run = self._runs[place]
            records = [run.record + number - run.first for number in wanted]
            found = self._folder.read(run.shard, records)
            frames += found
            if len(found) < len(records):
                break
        return frames


class _Folder:
    """The files of a folder of shards, which its videos share.

    Args:
        path: `Path` or `RemotePath`.
        index: `Index`.
        paths: Dict from the names of the files that are there to their paths.
    """

    def __init__(self, path, index, paths):
        self._path, self._shards, self._paths = path, index.shards, paths
        self._lost, self._lock, self._whole = {}, threading.RLock(), (None, b"")
        self.left_out = []
        self._starts = [
            np.concatenate([[0], np.cumsum(shard.lengths, dtype=np.int64)])
            for shard in index.shards
        ]  # fmt: skip
        for number, shard in enumerate(index.shards):
            there = paths.get(shard.name)
            size = None if there is None else _known_size(there)
            if there is None or size not in (None, shard.size):
                self.lost(number)

    def path_of(self, shard):
        return self._paths[self._shards[shard].name]

    def times(self, run):
        return self._shards[run.shard].times[run.record : run.record + run.count]

    @property
    def gives_ranges(self):
        found = next((self._paths[s.name] for s in self._shards if s.name in self._paths), None)
        return not isinstance(found, remote.RemotePath) or bool(found.stat().ranges)

    def read(self, shard, records):
        """Frames of rising records of a shard, up to the first that cannot be read."""
        starts, checks, frames, last = self._starts[shard], self._shards[shard].checks, [], None
        begin = int(starts[records[0]])
        content = memoryview(self._bytes(shard, begin, int(starts[records[-1] + 1])))
        for record in records:
            if record != last:
                framed = content[starts[record] - begin : starts[record + 1] - begin]
                frame, last = frame_of(framed, checks[record]), record
            if frame is None:
                self.lost(shard)
                break
            frames.append(frame)
        return frames

    def lost(self, shard):
        """Says which records of a shard cannot be read, after looking at all of them.

        Returns:
            bool `(records,)`.
        """
        with self._lock:
            if shard not in self._lost:
                self._lost[shard] = lost = self._looked_for(shard)
                if lost.any():
                    name = self._shards[shard].name
                    state = "damaged" if name in self._paths else "missing"
                    self.left_out.append(
                        f"{name} of {self._path} is {state}: {lost.sum()} of its {len(lost)} "
                        "frames are lost"
                    )
                    _LOG.warning("%s", self.left_out[-1])
            return self._lost[shard]

    def parts(self, name, runs, **about):
        """Videos of what is not known to be lost of some runs: one for each row without a gap."""
        rows = []
        for run in runs:
            lost = self._lost.get(run.shard)
            if lost is None:
                whole = [(0, run.count)]
            else:
                lost = lost[run.record : run.record + run.count]
                edges = np.flatnonzero(np.diff(np.r_[True, lost, True]))
                whole = edges.reshape(-1, 2).tolist()
            for begin, end in whole:
                piece = run.cut(begin, end)
                if rows and rows[-1][-1].first + rows[-1][-1].count == piece.first:
                    rows[-1].append(piece)
                else:
                    rows.append([piece])
        return [
            ShardVideo(f"{name} from frame {row[0].first}" if number else name, self, row, **about)
            for number, row in enumerate(rows)
        ]

    def _looked_for(self, shard):
        lost = np.zeros(len(self._shards[shard].lengths), bool)
        for first in range(0, len(lost), _BLOCK):
            starts = self._starts[shard][first : first + _BLOCK + 1]
            content = memoryview(self._bytes(shard, int(starts[0]), int(starts[-1])))
            for number, (begin, end) in enumerate(itertools.pairwise(starts - starts[0]), first):
                framed = content[begin:end]
                lost[number] = is_damaged(framed, self._shards[shard].checks[number])
        return lost

    def _bytes(self, shard, begin, end):
        """The bytes of a shard from one place to another; fewer where it is cut off."""
        path = self._paths.get(self._shards[shard].name)
        if path is None:
            return b""
        if isinstance(path, remote.RemotePath):
            found = path.stat()
            if not found.ranges:
                # Read one after the other: the last is kept, in one piece, as threads share it.
                whole = self._whole
                if whole[0] != shard:
                    self._whole = whole = shard, path.read_bytes()
                return whole[1][begin:end]
            end = min(end, found.st_size)
        return remote.read_range(path, begin, end - begin) if begin < end else b""


def is_source(path):
    """Says whether a folder, local or remote, holds shards."""
    names = {file.name for file in path.iterdir()}
    return {ARRAYS, INDEX} <= names or any(SHARD.fullmatch(name) for name in names)


def open_source(path):
    """Opens a folder of shards.

    Args:
        path: Folder, local or remote.

    Returns:
        `Source` of kind `"shards"`; videos have the names, classes, groups and splits that they
        had when they were prepared, and no truth. A video with frames missing between others is
        several, the later ones named `NAME from frame 512`, so that no clip reaches over the gap.

    Raises:
        ValueError: The shards are not finished; the index is damaged or of a later format; not one
            frame can be read.
    """
    path = remote.as_path(path)
    paths = {file.name: file for file in path.iterdir()}
    for name in (ARRAYS, INDEX):
        if name not in paths:
            raise ValueError(
                f"`source` {path} must hold finished shards. Received: a folder without {name}; "
                "what was begun is finished by the same `zoo prepare`; make others anew elsewhere"
            )
    try:
        index = Index.read(lambda name: paths[name].read_bytes())
    except ValueError as error:
        raise ValueError(f"`source` {path} {error}") from None
    folder, runs, videos = _Folder(path, index, paths), [[] for _ in index.videos], []
    for number, shard in enumerate(index.shards):
        record = 0
        for span in shard.spans:
            runs[span.video].append(_Run(number, record, span.first, span.count))
            record += span.count
    for about, row in zip(index.videos, runs, strict=True):
        known = {name: about[name] for name in ("label", "group", "split", "fps")}
        # As it was written before: without.
        known["start_hour"] = about.get("start_hour")
        videos += folder.parts(about["name"], row, **known)
    if not videos:
        raise ValueError(f"`source` {path} holds no frame that can be read")
    return Source("shards", path, videos, tuple(folder.left_out))


def _sampled(timed, sampler):
    for moment in timed:
        yield from sampler.add(*moment)
    yield from sampler.end()


def _known_size(path):
    return path.listed_size() if isinstance(path, remote.RemotePath) else path.stat().st_size
