"""`zoo calibrate`: an alarm threshold from footage of what is normal, for so many false alarms.

    zoo calibrate runs/mine --data normal/ --false-alarms-per-hour 1

writes `runs/mine/calibration.json`, and of an export its next version. Two hours of footage at ten
frames per second take as long as `zoo evaluate anomaly` takes for them, and a third more.
"""

from pathlib import Path
from typing import Annotated

import typer

from zoo.commands.arguments import check_above_0, check_model, check_out, check_there
from zoo.commands.console import emit_json, load_tensorflow, log, progress, say

FILE = "calibration.json"


def calibrate(
    name: Annotated[
        str, typer.Argument(help="Preset, run folder of `zoo train`, or exported model.")
    ],
    data: Annotated[Path, typer.Option(help="Footage in which all is normal.")],
    false_alarms_per_hour: Annotated[
        float, typer.Option(help="That many events of normal footage, of one camera, raise alarms.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="File to write; of a run, by default its calibration.json.")
    ] = None,
    min_seconds: Annotated[
        float, typer.Option(help="How long something goes on before it is an event.")
    ] = 0.3,
    max_gap_seconds: Annotated[
        float, typer.Option(help="How long it may be out of sight and still be the same.")
    ] = 0.5,
    split: Annotated[
        str | None, typer.Option(help="train or test; by default the training part, or all.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of the intervals.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
):
    """Choose the threshold that normal footage reaches so often, in events and not in frames.

    The interval takes into account that events come in bursts. Of several cameras there is one
    threshold for all, and one for each that has enough footage; a camera is a group of videos, and
    each of a folder of plain video files is one by itself. Where names of videos tell the time of
    day at which they began, there is one for each hour of the day that has enough. Footage too
    short for the rate is refused, with how much it takes.

    An exported model, a folder of versions or one of them, gets another version, whose `score` and
    `step` give `above_threshold` too, by the threshold for all cameras.
    """
    log()
    folder, export = Path(name), None
    is_run = folder.is_dir() and (folder / "config.json").is_file()
    is_export = folder.is_dir() and not is_run
    if is_export and out is not None:
        raise ValueError(
            f"`out` must be left out for an export, which gets a new version. Received: {out}"
        )
    check_model(name)
    if not is_export:
        if out is None and not is_run:
            raise ValueError(f"`out` must be given for a preset. Received: {name} without it")
        out = out or folder / FILE
        check_out(out)
    check_there(data)
    check_above_0(false_alarms_per_hour=false_alarms_per_hour)
    load_tensorflow()
    import zoo
    from zoo.commands import calibrate_setup
    from zoo.training.whole_files import write_json

    if is_export:
        import exports
        from exports import calibrated

        export = exports.load(folder)
        calibrated.check(export)
        scoring = calibrate_setup.of_export(export)
        known_as = export.manifest["model"]["name"]
    else:
        scoring = calibrate_setup.of_model(zoo.load(name))
        known_as = folder.name if is_run else name
    settings = scoring.settings(min_seconds, max_gap_seconds)
    found = calibrate_setup.calibrate(
        scoring, data, settings, false_alarms_per_hour, split=split, seed=seed, report=progress()
    )
    found = {"model": known_as, **found}
    if export is None:
        write_json(out, found)
    else:
        say("scored; writing the next version and comparing it with this one")
        out = calibrated.save(export, found)
    if as_json:
        emit_json(found | {"out": str(out)})
        return
    for line in lines(found):
        typer.echo(line)
    typer.echo(str(out))


def lines(found):
    """Lays out a calibration.

    Args:
        found: Dict, as `calibrate_setup.calibrate` returns it.

    Returns:
        List of str.
    """
    rows = [("all cameras", found)] if len(found["cameras"]) > 1 else []
    rows += found["cameras"].items()
    shown = []
    for name, of in rows:
        shown.append(_line(name, of))
        enough = {hour: at for hour, at in of["hours"].items() if "events" in at}
        shown += [_line(f"{name}, from {hour}:00 on", at) for hour, at in enough.items()]
        if short := [hour for hour in of["hours"] if hour not in enough]:
            why = of["hours"][short[0]]["refused"]
            shown.append(f"{name}, at the hours {', '.join(short)}: as all day; {why}")
    if not found["hours"]:
        shown.append("by hour of the day: none, as no name of a video tells when it began")
    return shown


def _line(name, of):
    if "refused" in of:
        return f"{name}: {of['refused']}"
    (low, high), (least, most) = of["threshold_interval"], of["rate_interval"]
    return (
        f"{name}: threshold {of['events']['high']:.4g} ({low:.4g} to {high:.4g}) for "
        f"{of['false_alarms_per_hour']:g} false alarms per hour ({least:.2g} to {most:.2g}), "
        f"from {of['footage_hours']:.2f} hours"
    )
