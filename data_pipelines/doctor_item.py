"""Examines one video, or one file that is none: decodes it, checks it and says what was found.

Decoding is in another process, with limits of time and memory. Whatever happens there, or here,
becomes a finding of the file.
"""

import time

from data_pipelines import near_duplicates, workers
from data_pipelines.doctor_checks import LONG_SIDE, Checks, small_size
from data_pipelines.doctor_files import content
from data_pipelines.doctor_findings import UNSOUND, WARNING, Finding, of_checks, of_decoding
from data_pipelines.doctor_report import FileReport
from data_pipelines.sources.base import stamp
from data_pipelines.sources.video_files import lost_its_index
from data_pipelines.sources.weizmann import SIDE

# Of images nothing tells the rate; their report says frames as if there were so many a second.
ASSUMED_FPS = 25.0

# Pictures kept of one video: the first frame, and one of each kind of finding.
MOST_THUMBNAILS = 6
_THUMBNAIL_SIDE = 160


def examine_item(item, seconds_per_file, thumbnails=False):
    """Examines one `doctor_files.Item`, whatever it is.

    Returns:
        `(FileReport, near_duplicates.Signature)`, the latter None for what is no video.
    """
    report = FileReport(item.name, item.kind, split=item.split, files=len(item.paths))
    signature = None
    try:
        if item.kind == "unreadable":
            report.findings.append(Finding("unreadable", UNSOUND, item.reason))
        elif item.kind == "other":
            _other(report, item.paths[0])
        else:
            signature = _looked_at(report, item, seconds_per_file, thumbnails)
    except OSError as error:
        text = f"it cannot be read: {error.strerror or error}"
        report.findings.append(Finding("unreadable", UNSOUND, text))
    except Exception as error:
        # Whatever it is: one file must not cost the report of all others.
        text = f"it could not be examined: {type(error).__name__}: {error}"
        report.findings.append(Finding("unreadable", UNSOUND, text))
    return report, signature


def _other(report, path):
    what = content(path)
    report.kind = f"other: {what}"
    if what == "video":
        report.findings.append(Finding(
            "no video by its name", WARNING,
            "it is a video by its content and not by its name: it will not be read",
        ))  # fmt: skip


def _looked_at(report, item, seconds, thumbnails):
    began, before = time.monotonic(), [stamp(path) for path in item.paths]
    try:
        signature = _decoded(report, item, began + seconds, thumbnails)
    finally:
        # Before or after whatever else happened: it may be the reason of it.
        if [stamp(path) for path in item.paths] != before:
            report.findings.append(Finding(
                "changed", UNSOUND,
                "it changed while it was read: it is still being written, or was replaced",
            ))  # fmt: skip
    return signature if item.kind != "pictures" and report.frames else None


def _decoded(report, item, until, thumbnails):
    checks, moments = Checks(), near_duplicates.Moments()
    pictures = _Thumbnails(checks) if thumbnails else None
    left = max(0.1, until - time.monotonic())
    if item.kind == "video":
        facts = _probe(report, item.paths[0], left)
        if facts is None:
            return None
        size = small_size(facts["height"], facts["width"])
        left = max(0.1, until - time.monotonic())
        decoding = workers.Decoding(
            item.paths[0], stall_sec=left, limit_sec=left, size=size, channels=1
        )
    else:
        report.codec = "/".join(sorted({path.suffix.lower().lstrip(".") for path in item.paths}))
        report.declared_fps, report.declared_frames = item.fps, len(item.paths)
        decoding = workers.Decoding(
            item.paths, stall_sec=left, limit_sec=left, longest=_longest(item)
        )
    log, last = [], time.monotonic()
    try:
        for time_sec, frame in _frames(decoding, item):
            last = time.monotonic()
            checks.add(time_sec, frame)
            moments.add(checks.clock.now_sec, frame)
            if pictures:
                pictures.look(frame)
            if time.monotonic() > until:
                report.whole, log = False, decoding.said()
                break
    except workers.Unreadable as error:
        report.log = tidied(error.log)
        if item.kind != "video":
            report.lost = len(item.paths)
        report.findings.append(Finding("unreadable", UNSOUND, _without_path(error, item)))
        return None
    finally:
        decoding.close()
    checks.end()
    decoded = decoding.report or {"log": log}
    # Frames came until the limit: no fault of the file, unless it had long given none.
    if decoded.get("limited") and time.monotonic() - last < _silence(left):
        report.whole, decoded = False, {**decoded, "failure": None}
    _fill(report, item, checks, decoded)
    if pictures:
        report.thumbnails = pictures.kept
    report.findings += of_decoding(report, decoded)
    if item.kind != "pictures":
        report.findings += of_checks(report, checks)
    return moments.signature()


def _silence(limit):
    # After so long without a frame a file is said to hang.
    return max(1.0, 0.5 * limit)


def _probe(report, path, left):
    """What the container says, put into the report; None where it is no video that can be read."""
    what = content(path)
    # What begins as an image may be motion JPEG: FFmpeg tells.
    if what not in ("video", "video or sound", "image", "unknown"):
        article = "" if what in ("empty", "text") else "a "
        report.findings.append(Finding("no video", UNSOUND, f"it is {article}{what}, not a video"))
        return None
    try:
        facts = workers.probe(path, left)
    except workers.Unreadable as error:
        report.log = tidied(error.log)
        text = _without_path(error, None, path)
        if lost_its_index(path):
            text += ("; it has no whole `moov` box, the index that a recorder writes last, so it "
                     "was probably cut off while it was recorded or copied")  # fmt: skip
        report.findings.append(Finding("unreadable", UNSOUND, text))
        return None
    report.codec, report.declared_fps = facts["codec"], facts["fps"]
    report.declared_frames, report.declared_sec = facts["num_frames"], facts["duration_sec"]
    report.height, report.width, report.log = facts["height"], facts["width"], facts["log"]
    return facts


def _longest(item):
    # Of a strip each frame is to be looked at, and it is one image.
    return None if item.kind == "strip" else LONG_SIDE


def _frames(decoding, item):
    fps = item.fps or ASSUMED_FPS
    for time_sec, frame in decoding:
        frame = frame[..., 0]
        if item.kind == "video":
            yield time_sec, frame
        elif item.kind == "strip":
            if frame.shape[0] != SIDE or frame.shape[1] % SIDE:
                raise ValueError(f"it must be a strip of {SIDE}x{SIDE} frames side by side")
            for number in range(frame.shape[1] // SIDE):
                yield number / fps, frame[:, number * SIDE : (number + 1) * SIDE]
        else:
            yield time_sec / fps, frame


def _fill(report, item, checks, decoded):
    report.frames, report.measured_fps = checks.frames, checks.clock.fps
    report.length_sec = round(checks.clock.now_sec + checks.clock.frame_sec, 6)
    report.lost, report.damaged = decoded.get("errors", 0), decoded.get("corrupt", 0)
    report.log = tidied([*report.log, *decoded.get("log", ())])
    if item.kind != "video":
        report.measured_fps = None
        report.height, report.width = decoded.get("height"), decoded.get("width")
    if item.kind == "strip":
        report.height = report.width = SIDE
        report.declared_frames = report.frames


def _without_path(error, item, path=None):
    return str(error).replace(f"{path or item.paths} ", "it ", 1)


def tidied(lines):
    """Lines of FFmpeg's log, without addresses of memory, each once and with how often it came."""
    import re

    counts = {}
    for line in lines:
        line = re.sub(r" @ 0x[0-9a-fA-F]+", "", line).strip()
        if repeated := re.search(r"Last message repeated (\d+) times", line):
            if counts:
                counts[next(reversed(counts))] += int(repeated[1])
        elif line:
            counts[line] = counts.get(line, 0) + 1
    return [line if count == 1 else f"{line} ({count} times)" for line, count in counts.items()]


class _Thumbnails:
    """Keeps the first frame, and the first one in which each kind of fault is seen."""

    def __init__(self, checks):
        self.checks, self.kept, self._seen = checks, [], set()

    def look(self, frame):
        seen = {kind for kind, stretches in self.checks.stretches.items() if stretches.goes_on}
        seen |= {"moved"} if self.checks.moves.found.count else set()
        if self.kept and seen <= self._seen:
            return
        new, self._seen = sorted(seen - self._seen), self._seen | seen
        if len(self.kept) < MOST_THUMBNAILS:
            caption = f"{self.checks.clock.now_sec:.1f} s" + "".join(f", {kind}" for kind in new)
            self.kept.append((caption, _jpeg(frame)))


def _jpeg(frame):
    import cv2

    scale = min(1.0, _THUMBNAIL_SIDE / max(frame.shape))
    size = tuple(max(1, round(scale * length)) for length in frame.shape[::-1])
    frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 70])[1].tobytes()
