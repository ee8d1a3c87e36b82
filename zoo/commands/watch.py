"""`zoo watch`: scores files, folders and cameras live, and tells what is out of the ordinary.

    zoo watch runs/mine gate=rtsp://192.168.1.20/live door=mjpeg+http://192.168.1.21/video

prints a line of JSON for each event when it begins and when it ends, until it is interrupted.
"""

from pathlib import Path
from typing import Annotated

import typer

from zoo.commands.arguments import check_above_0, check_model, check_out, check_there
from zoo.commands.console import columns, emit_json, load_tensorflow, log, printable, say
from zoo.commands.source_names import name_and_place


def watch(
    name_or_run_or_export: Annotated[
        str, typer.Argument(help="Preset, run folder of `zoo train`, or export.")
    ],
    source: Annotated[
        list[str], typer.Argument(help="Files, folders, cameras; each maybe as NAME=SOURCE.")
    ],
    calibration: Annotated[
        Path | None, typer.Option(help="Of `zoo calibrate`; by default that of the run or export.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Score from which an event is one, uncalibrated.")
    ] = None,
    recalibrate: Annotated[
        bool,
        typer.Option("--recalibrate", help="Let the threshold follow what is ordinary, hourly."),
    ] = False,
    alarms: Annotated[
        Path | None, typer.Option(help="File to add alarms to; by default standard output.")
    ] = None,
    stills: Annotated[Path | None, typer.Option(help="Folder for a picture of each alarm.")] = None,
    webhook: Annotated[
        str | None, typer.Option(help="Address that alarms are posted to; needs --alarms.")
    ] = None,
    video: Annotated[
        Path | None, typer.Option(help="Folder for a video of each source, scores drawn in.")
    ] = None,
    page: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of a page on this machine; 0 takes a free one."),
    ] = None,
    window: Annotated[bool, typer.Option("--window", help="Show it on the screen.")] = False,
    max_speed: Annotated[
        bool, typer.Option("--max-speed", help="Files as fast as they are scored, every frame.")
    ] = False,
    max_seconds: Annotated[
        float | None, typer.Option(min=0, help="Seconds after which it ends.")
    ] = None,
    max_frames: Annotated[
        int | None, typer.Option(min=1, help="Frames of each source after which that is left.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
):
    """Score video live, with constant memory, and tell of events.

    What an event is stands in the calibration; that of a camera by its own name counts before that
    of all, that of the hour of the day before that of all hours. Scores that drift from those of
    the calibration are told, and with --recalibrate the threshold follows them. Files play at their
    own pace, and what is not scored in time is dropped and counted, as of cameras; --max-speed
    drops nothing of them. A camera that is not there is waited for. An interrupt ends all events
    that go on, and finishes the videos that are written. Exit code 1 where alarms were lost or a
    source could not be read.
    """
    log()
    if as_json and alarms is None:
        raise ValueError(
            "`alarms` must be a file with --json, as they would go to standard output too. "
            "Received: none"
        )
    if webhook is not None and alarms is None:
        raise ValueError(
            "`webhook` must have --alarms FILE beside it, where alarms wait that are not delivered "
            "yet. Received: --webhook alone"
        )
    check_out(alarms, argument="alarms")
    check_above_0(threshold=threshold)
    if threshold is not None and calibration is not None:
        raise ValueError(
            "`threshold` must not be given beside --calibration, which has one. Received: "
            f"threshold={threshold}"
        )
    if threshold is not None and recalibrate:
        raise ValueError(
            "`recalibrate` must have a calibration to go on from. Received: "
            f"threshold={threshold}"
        )
    check_there(calibration, "calibration")
    check_model(name_or_run_or_export)
    for one in source:
        check_there(name_and_place(one)[1], "source")
    load_tensorflow()
    from zoo.commands.watching import session

    wanted = session.Wanted(alarms, stills, webhook, video, page, window)
    report = session.watch(
        name_or_run_or_export, source, wanted, calibration=calibration, threshold=threshold,
        recalibrate=recalibrate, max_speed=max_speed, max_seconds=max_seconds,
        max_frames=max_frames,
    )  # fmt: skip
    if as_json:
        emit_json(report)
    else:
        for line in lines(report):
            say(line)
    failures = [
        f"{report[count]} alarms could not be {lost}"
        for count, lost in (
            ("alarms_lost", "written"),
            ("webhook_lost", "delivered, or kept to be delivered later"),
        )
        if report[count]
    ]
    failed = [name for name, of in report["sources"].items() if of["failure"]]
    if failed:
        failures.append(f"{len(failed)} of {len(report['sources'])} sources could not be read")
    if failures:
        raise ValueError("; ".join(failures))


def lines(report):
    """Lays out what was watched.

    Args:
        report: Dict, as `session.watch` returns it.

    Returns:
        List of str.
    """
    rows = [("", "frames", "dropped", "seconds", "per second", "events")]
    for name, of in report["sources"].items():
        rate = of["frames_per_second"]
        rows.append((
            printable(name), str(of["frames"]), str(of["dropped"]), f"{of['seconds']:.1f}",
            "-" if rate is None else f"{rate:.1f}", str(of["events"]),
        ))  # fmt: skip
    said = {
        "pictures_dropped": "pictures were not drawn, as drawing was too slow",
        "stills_missed": "alarms have no still, as it could not be written or too many waited",
    }
    return [*columns(rows), *(f"{report[of]} {what}" for of, what in said.items() if report[of])]
