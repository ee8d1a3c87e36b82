"""Judges what was measured of a video: findings, each with how serious it is."""

import dataclasses

NOTE, WARNING, UNSOUND = "note", "warning", "unsound"

# More than one frame in a hundred lost or damaged, and clips hold breaks that nobody sees.
LOST_SHARE = 0.01
# A tenth of the time without sound pictures, and a model learns them as what is normal.
FAULTY_SHARE = 0.1
# Recorders' clocks are off by less than one in a hundred; beyond a tenth clips last otherwise.
RATE_NOTED, RATE_UNSOUND = 0.02, 0.1
# So many frames less than declared are told and no loss: many containers count by their length.
COUNT_SLACK = 2


@dataclasses.dataclass
class Finding:
    """One thing that was found.

    Attributes:
        kind: `"frozen"`, `"black"`, `"gap"`, ... in a word or two.
        severity: `"note"`, `"warning"` or `"unsound"`.
        text: What it is, to be read after the name of the file.
        stretches: List of `[begin_sec, end_sec]`, seconds from the first frame.
    """

    kind: str
    severity: str
    text: str
    stretches: list = dataclasses.field(default_factory=list)


def of_decoding(report, decoded):
    """What the decoding itself tells.

    Args:
        report: `doctor_report.FileReport`, filled in but for its findings.
        decoded: Dict, `workers.Decoding.report`; empty where it was broken off.

    Returns:
        List of `Finding`.
    """
    found, failure = [], decoded.get("failure")
    declared, at_least = report.declared_frames, max(report.frames, 1)
    if not report.whole:
        text = f"only its first {report.length_sec:.1f} seconds were looked at: no time for more"
        found.append(Finding("not whole", NOTE, text))
    missing = 0
    if report.whole and declared:
        missing = max(0, declared - report.frames - report.lost)
    if 0 < missing <= COUNT_SLACK:
        text = f"{report.frames} frames can be read, {declared} are declared"
        found.append(Finding("count", NOTE, text))
        missing = 0
    elif missing and report.fills_its_time():
        # Containers may declare places in time, many of them empty.
        text = f"{report.frames} frames can be read, {declared} are declared: some are empty places"
        found.append(Finding("empty places", NOTE, text))
        missing = 0
    bad = report.lost + report.damaged + missing
    serious = UNSOUND if failure or bad > LOST_SHARE * (at_least + report.lost) else WARNING
    if failure:
        found.append(Finding("breaks off", UNSOUND,
                             f"it breaks off after {report.frames} frames: {failure}"))  # fmt: skip
    elif missing:
        text = f"it breaks off: {report.frames} frames can be read, {declared} are declared"
        found.append(Finding("breaks off", serious, text))
    if report.lost:
        unit = "packets" if report.kind == "video" else "images"
        text = f"{report.lost} {unit} cannot be decoded"
        if names := decoded.get("unreadable"):
            text += ": " + ", ".join(names)
        found.append(Finding("lost", serious, text))
    if report.damaged:
        found.append(Finding("damaged", serious, f"{report.damaged} frames are damaged"))
    if report.log and not (failure or bad):
        found.append(Finding("reported", WARNING, f"its decoder reported: {report.log[0]}"))
    if count := decoded.get("other_sizes"):
        text = f"{count} images have another size than the first"
        found.append(Finding("sizes", WARNING, text))
    if report.frames == 1 and report.kind != "pictures":
        found.append(Finding("one frame", WARNING, "it holds one frame: nothing moves in it"))
    return found


def of_checks(report, checks):
    """What the pictures and their times tell.

    Args:
        report: `doctor_report.FileReport`.
        checks: `doctor_checks.Checks`, ended.

    Returns:
        List of `Finding`.
    """
    found, faulty_sec = [], 0.0
    length_sec = max(report.length_sec, 1e-9)
    for kind, stretches in checks.stretches.items():
        if stretches.count:
            faulty_sec += stretches.total_sec
            share = stretches.total_sec / length_sec
            text = f"{kind} for {stretches.total_sec:.1f} seconds, {min(1, share):.0%} of it"
            found.append(Finding(kind, WARNING, text, _rounded(stretches.kept)))
    if faulty_sec > FAULTY_SHARE * length_sec:
        for finding in found:
            finding.severity = UNSOUND
    clock = checks.clock
    if clock.gaps.count:
        text = f"{_times(clock.gaps.count, 'gap')} in time"
        found.append(Finding("gap", WARNING, text, _rounded(clock.gaps.kept)))
    if clock.backwards.count:
        text = f"its clock runs backwards or stands still {_times(clock.backwards.count, 'time')}"
        found.append(Finding("clock", UNSOUND, text, _rounded(clock.backwards.kept)))
    found += _of_rate(report)
    if checks.moves.found.count:
        text = f"the camera was moved {_times(checks.moves.found.count, 'time')}"
        found.append(Finding("camera moved", WARNING, text, _rounded(checks.moves.found.kept)))
    if checks.cuts.found.count:
        text = f"it holds {_times(checks.cuts.found.count, 'cut')} to another scene"
        found.append(Finding("scene cut", NOTE, text, _rounded(checks.cuts.found.kept)))
    return found


def _of_rate(report):
    declared, measured = report.declared_fps, report.measured_fps
    if report.kind != "video" or measured is None:
        return []
    if not declared:
        return [Finding("rate", WARNING, f"it declares no rate; its clock gives {measured:.6g}")]
    off = abs(measured - declared) / declared
    if off <= RATE_NOTED:
        return []
    text = f"it declares {declared:.6g} frames per second; its clock gives {measured:.6g}"
    # A container may declare places in time of which many are empty: then the rate is no error.
    severity = UNSOUND if off > RATE_UNSOUND and not report.fills_its_time() else NOTE
    return [Finding("rate", severity, text)]


def _times(count, word):
    return f"{count} {word}{'' if count == 1 else 's'}"


def _rounded(stretches):
    return [[round(begin, 3), round(end, 3)] for begin, end in stretches]
