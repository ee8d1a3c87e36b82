"""Splits footage into a training and a test side that share no camera, recording, day or group."""

import copy
import datetime
import logging
import random
import re

from data_pipelines.near_duplicates import groups
from data_pipelines.sources.dated_names import DATE, moment_in

_LOG = logging.getLogger(__name__)

BY = ("camera", "source", "day", "group")

# cam1, camera-02, ch_07: one or two digits count cameras, more of them clips.
_NUMBERED_CAMERA = re.compile(
    r".*?(?<![a-z])(?:cam|camera|cctv|ch|channel|view)[-_. ]?\d\d?(?!\d)", re.IGNORECASE
)

# Layouts of which all is seen by one camera.
_ONE_CAMERA = ("camera", "moving_mnist", "ucsd", "weizmann")

# Folders that tell a side of a split, and no camera.
_SIDES = {"train", "training", "test", "testing", "val", "validation", "normal", "abnormal"}

_NAMED = 5  # videos in an error


def split(source, by="camera", test=0.2, seed=0, *, near_duplicates=()):
    """Splits videos into training and test, so that nothing of one camera (or day) is on both.

    What counts as one is told

    - `"camera"`: by the first folder of the name that is neither a date, a side of a split nor a
      class; of a file in no such folder by what its name begins with, before a date or a number:
      `gate/2024-05-01.mp4` and `gate_0001.mp4` are both of `gate`, `cam2_0001.mp4` is of `cam2`;
    - `"source"`, the recording that clips were cut from: by the name without the number at its
      end, `street_001.mp4` and `street_002.mp4`; clips that have nothing but a number are of one
      recording with all others in their folder;
    - `"day"`: by a date in the name (2024-05-01 or 20240501; of several the last), else by the
      time of creation in the container, which is in UTC. A recording that goes on over midnight
      keeps both days on its side;
    - `"group"`: by `Video.group`, a person or a file.

    Args:
        source: `Source`.
        by: One of `BY`.
        test: Share of the videos for the test side, above 0 and below 1; reached as nearly as whole
            cameras allow. At least one stays on each side.
        seed: Seed of the choice, an int. The same arguments give the same split.
        near_duplicates: Lists of names of videos that show the same, such as
            `doctor.Report.near_duplicates`: they stay on one side, with all that belongs to them.

    Returns:
        `(train, test)`, two `Source`, in the order of `source`; each of their videos is a copy
        whose `split` tells the side, whatever it was before.

    Raises:
        ValueError: An argument breaks its rule; a video does not tell its camera, source or day
            (those are named); a name of `near_duplicates` is not in the source; or all videos
            belong together, so that there is nothing to split.

    Example:
        >>> from data_pipelines import Source, Video
        >>> videos = [Video(f"{gate}/{n}.mp4") for gate in ("north", "south") for n in range(3)]
        >>> train, test = split(Source("video_files", "footage", videos), by="camera", test=0.5)
        >>> sorted({video.name.split("/")[0] for video in test.videos})
        ['north']
    """
    if by not in BY:
        raise ValueError(f"`by` must be one of {list(BY)}. Received: by={by!r}")
    if not 0 < test < 1:
        raise ValueError(f"`test` must be above 0 and below 1. Received: test={test!r}")
    if source.splits:
        _LOG.warning(
            "%s has the splits %s of its own, which are not kept", source.path, source.splits
        )
    tell = {"camera": _cameras, "source": _recordings, "day": _days, "group": _groups}[by]
    keys = {video.name: tell(video, source) for video in source.videos}
    unknown = [name for name, found in keys.items() if not found]
    if unknown:
        what = "a date in its name or a time of creation in its container" if by == "day" else (
            "a folder, or letters before the number in its name"
        )
        raise ValueError(
            f"`source` must tell the {by} of each video, by {what}. Of {len(unknown)} it is not "
            f"known: {_listed(unknown)}"
        )
    units = _units(source, keys, near_duplicates)
    if len(units) < 2:
        raise ValueError(
            f"`source` must have videos of at least two {by}s that share nothing. Received: "
            f"{len(source.videos)} videos of {source.path}, which all belong together"
        )
    chosen = _chosen(units, test * len(source.videos), seed)
    sides = []
    for side in ("train", "test"):
        videos = []
        for video in source.videos:
            if (video.name in chosen) == (side == "test"):
                video = copy.copy(video)
                video.split = side
                videos.append(video)
        sides.append(source.subset(videos))
    return tuple(sides)


def _units(source, keys, near_duplicates):
    """Lists of the names of videos that must stay on one side, in the order of the source."""
    duplicates = [list(group) for group in near_duplicates]
    missing = sorted({name for group in duplicates for name in group} - set(keys))
    if missing:
        raise ValueError(
            "`near_duplicates` must name videos of the source. Received: "
            f"{_listed(missing)}, which {'is' if len(missing) == 1 else 'are'} not in it"
        )
    # Videos and what they are of are names alike here; the marks keep them apart.
    joined = [[("video", name), *(("of", key) for key in found)] for name, found in keys.items()]
    joined += [[("video", name) for name in group] for group in duplicates]
    return [[name for kind, name in unit if kind == "video"] for unit in groups(joined)]


def _chosen(units, wanted, seed):
    """The names of the units whose videos together come nearest to `wanted`, taken at random."""
    units = list(units)
    random.Random(seed).shuffle(units)
    chosen = list(units.pop(min(range(len(units)), key=lambda n: max(0, len(units[n]) - wanted))))
    for unit in units[:-1]:
        if abs(len(chosen) + len(unit) - wanted) < abs(len(chosen) - wanted):
            chosen += unit
    return set(chosen)


def _cameras(video, source):
    if source.kind in _ONE_CAMERA:
        return [str(source.path)]
    *folders, name = video.name.split("/")
    for folder in folders:
        told = DATE.sub("", folder).strip(" -_.")
        if told and told.lower() not in _SIDES and folder != video.label:
            return [told]
    if source.kind == "synthetic_cctv":
        return [str(source.path)]  # Only an archive of it has folders of cameras.
    # Where images are, the folder itself is the video.
    return [told] if (told := _before_number(name)) else []


def _recordings(video, source):
    *folders, name = video.name.split("/")
    stem = _stem(name)
    told = re.sub(r"[-_. ]*(?:\(?\d+\)?)$", "", stem)
    told = re.sub(r"[-_. ]*(?:part|clip|pt|seg|segment|chunk)$", "", told, flags=re.IGNORECASE)
    return ["/".join([*folders, told])] if told or folders else []


def _days(video, source):
    begin = moment_in(video.name)
    if begin is None:
        facts = getattr(video, "facts", {})
        try:
            moment = datetime.datetime.fromisoformat(facts.get("creation_time") or "")
        except ValueError:
            return []
        # The zero of QuickTime's clock is what a recorder without a clock writes.
        if moment.year < 1971:
            return []
        begin = moment, True
    moment, is_timed = begin
    days = [moment.date()]
    if is_timed:
        days.append((moment + datetime.timedelta(seconds=_length_sec(video))).date())
    return [day.isoformat() for day in dict.fromkeys(days)]


def _groups(video, source):
    return [video.name if video.group is None else video.group]


def _length_sec(video):
    declared = getattr(video, "facts", {}).get("duration_sec")
    if declared:
        return declared
    return video.num_frames / video.fps if video.num_frames and video.fps else 0.0


def _before_number(name):
    date = DATE.search(name)
    told = name[: date.start()] if date else _stem(name)
    # Of other numbers nothing tells whether they count cameras or clips: then they count clips.
    numbered = _NUMBERED_CAMERA.match(told)
    told = numbered[0] if numbered else re.match(r"\D*", told)[0]
    return told.strip(" -_.")


def _stem(name):
    return re.sub(r"\.[A-Za-z]\w{1,4}$", "", name)


def _listed(names):
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
