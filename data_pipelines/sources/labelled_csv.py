"""Clips for classification: a CSV file of clips and labels, or of segments within long videos."""

import csv
import itertools
import math
from pathlib import Path

from data_pipelines.sources import frame_folders, video_files
from data_pipelines.sources.base import Source, Video

COLUMNS = ("path", "label")
OPTIONAL = ("begin", "end", "group")
# Frames of a segment that are held at once.
BLOCK = 64
# Lines of a long list that an error names.
MOST_NAMED = 20


class Segment(Video):
    """Part of a video.

    Args:
        name: Name within the source.
        whole: `Video` that it lies in, of known `fps`.
        begin_sec: Where it begins, in seconds from the start of the video.
        end_sec: Where it ends.
        **about: As of `Video`; `fps` is that of the whole, `num_frames` follows from it.

    Attributes:
        whole, begin_sec, end_sec: As given.
    """

    length_is_certain = False

    def __init__(self, name, whole, begin_sec, end_sec, **about):
        self.whole, self.begin_sec, self.end_sec = whole, begin_sec, end_sec
        self._first = round(begin_sec * whole.fps)
        count = max(1, round(end_sec * whole.fps) - self._first)
        super().__init__(name, fps=whole.fps, num_frames=count, **about)

    @property
    def files(self):
        return self.whole.files

    @property
    def part(self):
        return [self.begin_sec, self.end_sec]

    def frames(self, start=0):
        while start < self.num_frames:
            count = min(BLOCK, self.num_frames - start)
            held = self.whole.window(self._first + start, count)
            yield from held
            start += count
            if len(held) < count:
                return


def open_source(path):
    """Opens the clips that a CSV file names.

    Its first line names the columns: `path` (of a video file or a folder of images, from the
    folder of the CSV file on) and `label`; where a line is part of a video, `begin` and `end` in
    seconds; and `group`, what must stay together in a split (a person, a place). Without `group`
    each path is a group, so that the segments of a video stay together.

    Args:
        path: The CSV file, UTF-8.

    Returns:
        `Source` of kind `"labelled_csv"`. Each video has `line`, the number of its line, from 1;
        those of lines with `begin` and `end` are `Segment`s.

    Raises:
        ValueError: The file cannot be read, has other columns or no line; or lines are wrong:
            a file that is missing or no video, no label, times that are no part of the video, a
            line that is there twice. All of them are named.

    Example:
        >>> open_source("actions.csv").videos[0].label  # doctest: +SKIP
        'walk'
    """
    path = Path(path)
    rows = _rows(path)
    wholes, videos, wrong, seen = {}, [], [], {}
    for line, row in rows:
        try:
            video = _video(path.parent, row, line, wholes)
            key = tuple(row.get(name, "") for name in ("path", "begin", "end"))
            if key in seen:
                raise ValueError(f"is of the same part of it as line {seen[key]}")
            seen[key] = line
            videos.append(video)
        except (ValueError, OSError) as error:
            wrong.append(f"line {line} {error}")
    if wrong:
        more = len(wrong) - MOST_NAMED
        tail = f"; and {more} more" if more > 0 else ""
        raise ValueError(
            f"{path} has {len(wrong)} of {len(rows)} lines that cannot be used: "
            f"{'; '.join(wrong[:MOST_NAMED])}{tail}"
        )
    return Source("labelled_csv", path, videos)


def _rows(path):
    """Pairs of the line number and a dict of the columns."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True, strict=True)
            names = reader.fieldnames or []
            rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV file of UTF-8 text: {error}") from error
    known = {*COLUMNS, *OPTIONAL}
    if not set(COLUMNS) <= set(names) or not set(names) <= known or len(names) > len(set(names)):
        raise ValueError(
            f"the first line of {path} must name the columns {', '.join(COLUMNS)} and, where they "
            f"are needed, {', '.join(OPTIONAL)}. Received: {', '.join(map(str, names)) or 'none'}"
        )
    if not rows:
        raise ValueError(f"{path} has no line below the names of its columns")
    return rows


def _video(folder, row, line, wholes):
    if None in row or None in row.values():
        raise ValueError("has another number of values than there are columns")
    values = {name: value.strip() for name, value in row.items()}
    for name in COLUMNS:
        if not values[name]:
            raise ValueError(f"has no {name}")
    begin, end = (_seconds(name, values.get(name, "")) for name in ("begin", "end"))
    if (begin is None) != (end is None):
        raise ValueError("must have both begin and end, or neither")
    named = values["path"]
    if named not in wholes or begin is None:
        # A clip of its own for each line that takes all of it: a clip has one label.
        wholes[named] = _open(folder / named)
    about = {"label": values["label"], "group": values.get("group") or named}
    if begin is None:
        video = wholes.pop(named)
        video.name, video.label, video.group = named, about["label"], about["group"]
    else:
        whole = wholes[named]
        whole.name = named
        _check_span(whole, begin, end)
        video = Segment(f"{named} {begin:g}-{end:g} s", whole, begin, end, **about)
    video.line = line
    return video


def _seconds(name, text):
    try:
        value = float(text) if text else None
    except ValueError:
        value = math.nan
    if value is not None and not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"must have {name} in seconds from the start. Received: {text}")
    return value


def _open(path):
    if not path.exists():
        raise ValueError(f"names a file that is not there: {path}")
    source = (frame_folders if path.is_dir() else video_files).open_source(path)
    if len(source.videos) != 1:
        raise ValueError(f"must name one video. {path} holds {len(source.videos)}")
    return source.videos[0]


def _check_span(whole, begin, end):
    if begin >= end:
        raise ValueError(f"must begin before it ends. Received: {begin:g} to {end:g} s")
    if not whole.fps:
        raise ValueError(f"has times, but nothing tells the frame rate of {whole.name}")
    if not whole.num_frames:
        return
    length = whole.num_frames / whole.fps
    # A second more than there is: times are often rounded.
    if begin >= length or end > length + 1:
        raise ValueError(
            f"must lie within {whole.name}, of {length:.2f} s. Received: {begin:g} to {end:g} s"
        )


def by_video(source):
    """Puts the segments of a source together by the video that they lie in.

    Args:
        source: `Source` of `open_source`, or a subset of it.

    Returns:
        List of `(whole, segments)`: a `Video` and the list of its `Segment`s.

    Example:
        >>> [len(segments) for _, segments in by_video(source)]  # doctest: +SKIP
        [2, 5]
    """
    segments = [video for video in source.videos if isinstance(video, Segment)]
    segments.sort(key=lambda segment: (segment.whole.name, segment.begin_sec))
    return [
        (parts[0].whole, parts)
        for _, group in itertools.groupby(segments, key=lambda segment: segment.whole.name)
        for parts in [list(group)]
    ]
