"""Footage turned into a folder of TFRecord shards, as `shard_format` lays them out.

Three steps, each a function of its arguments alone: `plan` says which videos go together,
`unit_shards` makes the shards of one such unit, `index_of` tells what all of them hold. `prepare`
runs them on this machine, several units at a time; on others they give the same bytes.

While it works, `OUT/.progress/` tells what is done: of each shard that is whole a file. It goes
when the index is written.
"""

import concurrent.futures
import dataclasses
import hashlib
import json
import logging
import os
import shutil
import threading
import zlib
from pathlib import Path

import numpy as np

from data_pipelines import remote
from data_pipelines.clips import ClipSpec, given_rate
from data_pipelines.decoding import timed_frames
from data_pipelines.shard_format import FORMAT, INDEX, SHARD, Index, Shard, Span, encoded, record
from data_pipelines.sources import open_source
from data_pipelines.whole_files import PART, locked, write_whole

_LOG = logging.getLogger(__name__)

# A shard ends with the first of these. It is held in memory until it is whole.
SHARD_FRAMES, SHARD_BYTES = 1024, 64 << 20

MOST_WORKERS = 4

# A frame whose time is further off than this part of the time between two has it written down.
_OFF = 0.1

_PROGRESS, _ASKED = ".progress", "asked.json"


@dataclasses.dataclass(frozen=True)
class Form:
    """How frames are kept in shards.

    Args:
        fps: Frames per second, or `None` for those of each video.
        size: `(height, width)` in pixels, or `None` for that of each video.
        channels: 1 (grey) or 3 (RGB).
        quality: Of JPEG, from 1 to 100; or `"lossless"` for PNG.
        shard_frames: A shard ends at so many frames, at least 1,
        shard_bytes: and at the frame that brings it to so many bytes.

    Raises:
        ValueError: An argument breaks its rule.
    """

    fps: float | None = None
    size: tuple[int, int] | None = None
    channels: int = 1
    quality: int | str = 95
    shard_frames: int = SHARD_FRAMES
    shard_bytes: int = SHARD_BYTES

    def __post_init__(self):
        is_number = isinstance(self.quality, int) and not isinstance(self.quality, bool)
        if self.quality != "lossless" and not (is_number and 1 <= self.quality <= 100):
            raise ValueError(
                "`quality` must be a whole number from 1 to 100, or 'lossless'. "
                f"Received: quality={self.quality!r}"
            )
        object.__setattr__(self, "size", self.clip.size)
        if self.fps is not None:  # 10 and 10.0 are to be one in what is written.
            object.__setattr__(self, "fps", float(self.fps))

    @property
    def clip(self):
        """The `ClipSpec` of one frame at this rate, size and colour."""
        return ClipSpec(frames=1, fps=self.fps, size=self.size, channels=self.channels)

    def to_dict(self):
        """Returns it as values of JSON."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


@dataclasses.dataclass(frozen=True)
class Unit:
    """Videos whose frames are put into shards one after the other, by one worker.

    Attributes:
        number: From 0, in the order of the videos.
        first: Number of its first video in the source.
        videos: List of `Video`.
        about: List of dicts, what the index tells of each video, but for its frames.
    """

    number: int
    first: int
    videos: list
    about: list

    def key(self, form):
        """Returns what is another where the shards may be: 64 hexadecimal digits."""
        known = json.dumps([FORMAT, form.to_dict(), self.first, self.about])
        return hashlib.sha256(known.encode()).hexdigest()

    def shard_name(self, part):
        """Returns the file name of one of its shards, counted from 0."""
        return f"shard-{self.number:05d}-{part:05d}.tfrecord"


def plan(videos, form):
    """Says which videos go into shards together.

    Consecutive videos share a unit as long as their declared frames fit into one shard; a longer
    one, or one whose length is unknown, is a unit by itself, of several shards. That depends on
    the videos and the form alone.

    Args:
        videos: List of `Video`, none of them live.
        form: `Form`.

    Returns:
        List of `Unit`.

    Raises:
        OSError: A file cannot be looked at.
    """
    units, first, held = [], 0, 0

    def close(end):
        if first < end:
            together = videos[first:end]
            about = [_described(video, form) for video in together]
            units.append(Unit(len(units), first, together, about))

    for number, video in enumerate(videos):
        length = form.shard_frames
        if video.num_frames is not None:
            length = video.length_at(form.fps)
        if held + length > form.shard_frames:
            close(number)
            first, held = number, 0
        held += length
    close(len(videos))
    return units


def unit_shards(unit, form, done=(), frame_done=lambda video: None):
    """Makes the shards of a unit, one after the other, each held in memory.

    Args:
        unit: `Unit`.
        form: `Form`.
        done: List of `Shard`: those that are there already, from the first on; frames that they
            hold are decoded, where they must be, but not encoded.
        frame_done: Function of the video, called after each of its frames.

    Yields:
        `(shard, content, is_last)`: `Shard`, the bytes of its file, and whether it is the last.
        There is at least one, if one without a record.

    Raises:
        ValueError: A video cannot be read.
        OSError: A remote one cannot be read.
    """
    part, held = len(done), _Held()
    spans = [span for shard in done for span in shard.spans]
    last, start = (spans[-1].video, spans[-1].first + spans[-1].count) if spans else (-1, 0)
    for number, video in enumerate(unit.videos, unit.first):
        if number < last:
            continue
        rate, begin = given_rate(video.fps, form.fps), start if number == last else 0
        for at, (time_sec, frame) in enumerate(timed_frames(video, form.clip, begin), begin):
            if len(held.lengths) == form.shard_frames or held.size >= form.shard_bytes:
                yield *held.shard(unit.shard_name(part)), False
                part, held = part + 1, _Held()
            is_even = time_sec is None or (rate and abs(time_sec - at / rate) * rate < _OFF)
            held.add(number, at, np.nan if is_even else time_sec, encoded(frame, form.quality))
            frame_done(video)
    yield *held.shard(unit.shard_name(part)), True


class _Held:
    """Records of a shard that is not whole yet."""

    def __init__(self):
        self.content, self.spans, self.lengths, self.checks, self.times = [], [], [], [], []
        self.size = 0

    def add(self, video, number, time_sec, image):
        framed = record(image)
        self.content.append(framed)
        self.size += len(framed)
        self.lengths.append(len(framed))
        self.checks.append(zlib.crc32(framed))
        self.times.append(time_sec)
        if not self.spans or self.spans[-1].video != video:
            self.spans.append(Span(video, number, 0))
        self.spans[-1] = dataclasses.replace(self.spans[-1], count=self.spans[-1].count + 1)

    def shard(self, name):
        content = b"".join(self.content)
        return Shard(
            name, len(content), hashlib.sha256(content).hexdigest(), self.spans,
            np.array(self.lengths, np.uint32), np.array(self.checks, np.uint32),
            np.array(self.times, np.float64),
        ), content  # fmt: skip


def check_unchanged(units, form):
    """Raises `OSError` where a file is another than when its unit was planned.

    Args:
        units: List of `Unit`, whose shards are made.
        form: `Form`.
    """
    for unit in units:
        for video, known in zip(unit.videos, unit.about, strict=True):
            if _described(video, form) != known:
                raise OSError(
                    f"{video.name} has changed while it was prepared: it is still being written, "
                    "or was replaced. Once it is at rest, the same command goes on"
                )


def index_of(units, shards, form):
    """Tells what the shards of all units hold.

    Args:
        units: List of `Unit`, all of them.
        shards: List of `Shard`, all of them, in the order of the units and of their parts.
        form: `Form`.

    Returns:
        `Index`; its `files()` belong beside the shards.

    Raises:
        ValueError: There is not one frame.
    """
    frames = [0] * sum(len(unit.videos) for unit in units)
    for shard in shards:
        for span in shard.spans:
            frames[span.video] += span.count
    if not any(frames):
        raise ValueError("`source` must hold a frame that can be read. Received: none")
    about = [known for unit in units for known in unit.about]
    videos = [{**known, "frames": n} for known, n in zip(about, frames, strict=True)]
    return Index(form.to_dict(), videos, shards)


def prepare(source, out, *, fps=None, size=None, channels=1, kind=None, split=None, quality=95,
            workers=None, progress=None):
    """Turns footage into a folder of shards that `load` reads as any other source.

    Broken off at any moment, the same call goes on after the last shard that was whole, and ends
    with the same bytes; shards of files that have changed meanwhile are made anew. A folder that
    is finished is left as it is. Classes, groups and splits are kept; truth per frame and masks
    are not: measure detection on the footage itself.

    Args:
        source: Path or address of footage, or a `Source`, as of `load`; no camera.
        out: Folder on this machine for the shards: new, empty or of this very call.
        fps: Frames per second, or `None` for those of each video.
        size: `(height, width)` in pixels, or `None` for that of each video.
        channels: 1 (grey) or 3 (RGB).
        kind, split: As of `load`.
        quality: Of JPEG, from 1 to 100; or `"lossless"` for PNG.
        workers: Units that are decoded at a time, by threads and, of video files, a process each;
            `None` for as many as there are cores, four at most. The shards do not depend on it.
        progress: `None`, or a function of `(done, total, name)`: frames that are done, those that
            all videos declare (`None` where one does not), and the video that is read.

    Returns:
        Dict of `videos`, `frames`, `shards`, `bytes`; `kept`, the shards that were there;
        `incomplete`, a list of dicts `name`, `frames` and `declared` of the videos that gave fewer
        frames than they declare; and `left_out`, as of `Source`.

    Raises:
        ValueError: An argument breaks its rule; the footage cannot be read; the folder holds
            something else, or finished shards of other footage or arguments.
        OSError: The folder cannot be written to, the disk is full, a file changes while it is
            prepared, or remote footage cannot be read.

    Example:
        >>> prepare("footage/", "shards/", fps=10, size=(128, 192))  # doctest: +SKIP
        {'videos': 12, 'frames': 36000, 'shards': 36, 'bytes': 214748364, 'kept': 0,
         'incomplete': [], 'left_out': []}
        >>> load("shards/", ClipSpec(fps=10), shuffle=True, batch=16)  # doctest: +SKIP
    """
    form = Form(fps, size, channels, quality, SHARD_FRAMES, SHARD_BYTES)
    if workers is not None and workers < 1:
        raise ValueError(f"`workers` must be at least 1 or None. Received: workers={workers!r}")
    if remote.is_remote(out):
        raise ValueError(
            "`out` must be a folder on this machine; copy it to where it is read. Received: "
            f"out={remote.as_path(out)}"
        )
    out = Path(out)
    file = next((path for path in (out, *out.parents) if path.is_file()), None)
    if file is not None:
        raise ValueError(f"`out` must be a folder. Received: out={out}, where {file} is a file")
    opened = recorded(source, out, kind, split)
    units = plan(opened.videos, form)

    there = _Folder(out)
    index, kept = finished(there, units, form), 0
    if index is None and _holds_something_else(out):
        # Unless another process has just finished it.
        index = finished(there, units, form)
        if index is None:
            raise not_empty(out, next(out.iterdir()).name)
    if index is not None:
        kept = len(index.shards)
    if index is None or (out / _PROGRESS).exists():
        try:
            (out / _PROGRESS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise type(error)(f"`out` {out} cannot be written to: {error.strerror}") from None
        with locked(out / _PROGRESS / "lock", "prepares shards in this folder"):
            index = finished(there, units, form)
            if index is None:
                asked = {"source": _place(opened), "kind": kind, "split": split, **form.to_dict()}
                _check_asked(out, asked)
                index, kept = _made(out, units, form, workers, progress)
            # Of a run that was killed at the very end, too.
            shutil.rmtree(out / _PROGRESS, ignore_errors=True)
    return summary(index, kept, opened)


def recorded(source, out, kind=None, split=None):
    """Opens footage whose shards are to go to `out`.

    Args:
        source, out, kind, split: As of `prepare`.

    Returns:
        `Source`.

    Raises:
        ValueError: It is a camera, or `out` lies in it; as of `sources.open_source`.
    """
    opened = open_source(source, kind, split)
    is_here = isinstance(opened.path, Path) and "://" not in str(out)
    if is_here and opened.path.resolve() in Path(out).resolve().parents:
        raise ValueError(f"`out` must not be in the footage. Received: out={out}")
    live = [video.name for video in opened.videos if video.live]
    if live:
        raise ValueError(
            f"`source` must be recorded footage; a camera's comes once. Received: {live[0]}"
        )
    return opened


def summary(index, kept, source):
    """What `prepare` returns of an `Index` and the `Source` that it was made of."""
    # How many frames another rate makes may be one off, where frames are unevenly spaced.
    spare = 0 if index.arguments["fps"] is None else 1
    short = [
        {name: video[name] for name in ("name", "frames", "declared")}
        for video in index.videos
        if video["declared"] is not None and video["frames"] + spare < video["declared"]
    ]
    return {
        "videos": len(index.videos),
        "frames": sum(video["frames"] for video in index.videos),
        "shards": len(index.shards),
        "bytes": sum(shard.size for shard in index.shards),
        "kept": kept,
        "incomplete": short,
        "left_out": list(source.left_out),
    }


def _described(video, form):
    """What the index tells of a video before its frames are counted, as values of JSON."""
    found = None
    if video.files:
        state, size = hashlib.sha256(), 0
        for path in video.files:
            length, version = remote.state_of(path)
            state.update(json.dumps([path.name, length, version]).encode())
            size += length
        found = {"file": video.files[0].name, "files": len(video.files), "bytes": size,
                 "state": state.hexdigest()}  # fmt: skip
    return json.loads(json.dumps({
        "name": video.name, "label": video.label, "group": video.group, "split": video.split,
        "fps": given_rate(video.fps, form.fps), "source": found,
        "declared": None if video.num_frames is None else video.length_at(form.fps),
        "start_hour": video.start_hour(),
    }))  # fmt: skip


def finished(folder, units, form):
    """Looks whether a folder holds all shards of a plan.

    Args:
        folder: Object with `path`, as shown in errors; `read`, a function from the name of a file
            to its bytes (`FileNotFoundError`); and `sizes`, one that gives a dict from the names
            of all files to their bytes.
        units: List of `Unit`.
        form: `Form`.

    Returns:
        `Index`; `None` where it is not there yet.

    Raises:
        ValueError: There are shards of other footage or arguments, or something of them is
            damaged or missing.
    """
    out = folder.path
    try:
        folder.read(INDEX)
    except FileNotFoundError:
        return None
    try:
        index = Index.read(folder.read)
        sizes = folder.sizes()
        lost = [shard.name for shard in index.shards if sizes.get(shard.name) != shard.size]
        if lost:
            raise ValueError(f"has lost {len(lost)} of its shards or a part of them: {lost[0]}")
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(f"`out` {out} {error}; give another folder, or delete it") from None
    _check_same(out, index.arguments, form.to_dict())
    there = {video["name"]: {**video, "frames": 0} for video in index.videos}
    wanted = {known["name"]: {**known, "frames": 0} for unit in units for known in unit.about}
    other = [name for name in {**wanted, **there} if there.get(name) != wanted.get(name)]
    if other:
        raise ValueError(
            f"`out` must be a new folder where the footage is another: {len(other)} videos have "
            f"changed, come or gone since the shards in it were made. Received: out={out}, and "
            f"{other[0]}"
        )
    return index


def _check_same(out, there, wanted):
    differs = [name for name in wanted if there.get(name) != wanted[name]]
    if differs:
        name = differs[0]
        raise ValueError(
            f"`out` must be a new folder where `{name}` is another: it holds shards of "
            f"{name}={there.get(name)!r}. Received: out={out}, {name}={wanted[name]!r}"
        )


class _Folder:
    """A folder on this machine, as `finished` looks at it."""

    def __init__(self, path):
        self.path = path

    def read(self, name):
        return (self.path / name).read_bytes()

    def sizes(self):
        return {path.name: path.stat().st_size for path in self.path.iterdir()}


def not_empty(out, name):
    """The `ValueError` of a folder that holds something else than shards."""
    return ValueError(
        f"`out` must be a new or an empty folder. Received: out={out}, which holds {name}"
    )


def _holds_something_else(out):
    return out.is_dir() and not (out / _PROGRESS).exists() and any(out.iterdir())


def _place(source):
    return str(source.path.resolve() if isinstance(source.path, Path) else source.path)


def _check_asked(out, asked):
    """Notes what a folder is for; `ValueError` where it is for something else."""
    noted = out / _PROGRESS / _ASKED
    if noted.exists():
        _check_same(out, json.loads(noted.read_text()), asked)
    else:
        write_whole(noted, json.dumps(asked).encode())


def _made(out, units, form, workers, progress):
    """Makes the shards that are not there, and the index; returns it and how many were there."""
    done = {unit.number: _kept(out, unit, form) for unit in units}
    names = {shard.name for shards, _ in done.values() for shard in shards}
    stale = [path for path in out.iterdir()
             if SHARD.fullmatch(path.name.removesuffix(PART)) and path.name not in names]
    for path in stale:
        path.unlink()
    _LOG.info("%d shards are there already, %d that are not whole or out of date are gone",
              len(names), len(stale))  # fmt: skip
    count = _Count(units, form, done, progress)

    def make(unit):
        there, is_whole = done[unit.number]
        if is_whole:
            return
        for shard, content, is_last in unit_shards(unit, form, list(there), count.frame_done):
            write_whole(out / shard.name, content)
            _note(out, unit, form, shard, is_last)
            there.append(shard)

    workers = workers or min(MOST_WORKERS, os.cpu_count() or 1)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(make, unit) for unit in units]
        try:
            for future in concurrent.futures.as_completed(waiting):
                future.result()
        except BaseException:
            count.stopped.set()
            for future in waiting:
                future.cancel()
            raise
    check_unchanged(units, form)
    index = index_of(units, [shard for shards, _ in done.values() for shard in shards], form)
    for name, content in index.files().items():
        write_whole(out / name, content)
    return index, len(names)


def _note(out, unit, form, shard, is_last):
    """Writes down that a shard is whole."""
    arrays = {name: getattr(shard, name).tolist() for name in ("lengths", "checks", "times")}
    noted = {"unit": unit.key(form), "is_last": is_last, "shard": shard.to_dict(), **arrays}
    write_whole(out / _PROGRESS / f"{shard.name}.json", json.dumps(noted).encode())


def _kept(out, unit, form):
    """The shards of a unit that are whole, of its files as they are now; whether these are all."""
    shards, is_last = [], False
    while not is_last:
        name = unit.shard_name(len(shards))
        try:
            noted = json.loads((out / _PROGRESS / f"{name}.json").read_text())
            is_whole = (out / name).stat().st_size == noted["shard"]["bytes"]
        except FileNotFoundError:
            break
        if not is_whole or noted["unit"] != unit.key(form):
            break
        arrays = (np.array(noted[name], dtype) for name, dtype in (
            ("lengths", np.uint32), ("checks", np.uint32), ("times", np.float64)))  # fmt: skip
        shards.append(Shard.from_dict(noted["shard"], *arrays))
        is_last = noted["is_last"]
    return shards, is_last


class _Count:
    """Counts frames for `progress`, and stops the threads that make them."""

    def __init__(self, units, form, done, progress):
        self.stopped, self._lock, self._progress = threading.Event(), threading.Lock(), progress
        self._done = sum(len(shard.lengths) for shards, _ in done.values() for shard in shards)
        videos = [video for unit in units for video in unit.videos]
        is_known = all(video.num_frames is not None for video in videos)
        self._total = sum(video.length_at(form.fps) for video in videos) if is_known else None

    def frame_done(self, video):
        if self.stopped.is_set():
            raise InterruptedError("another unit failed")
        with self._lock:
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, self._total, video.name)
