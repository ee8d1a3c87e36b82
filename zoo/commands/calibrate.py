"""`zoo calibrate`: an alarm threshold from footage of what is normal, for so many false alarms.

    zoo calibrate runs/mine --data normal/ --false-alarms-per-hour 1

writes `runs/mine/calibration.json`. Two hours of footage at ten frames per second take as long as
`zoo evaluate anomaly` takes for them, and a third more.
"""

from pathlib import Path
from typing import Annotated

import typer

from zoo.commands.console import check_out, emit_json, log, progress


def calibrate(
    name_or_run: Annotated[str, typer.Argument(help="Preset, or run folder of `zoo train`.")],
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
    each of a folder of plain video files is one by itself. Footage too short for the rate is
    refused, with how much it takes.
    """
    import zoo
    from zoo.commands import calibrate_setup
    from zoo.training.whole_files import write_json

    log()
    model, run = zoo.load(name_or_run), Path(name_or_run)
    if out is None and not run.is_dir():
        raise ValueError(f"`out` must be given for a preset. Received: {name_or_run} without it")
    out = out or run / calibrate_setup.FILE
    check_out(out)
    settings = calibrate_setup.settings_of(model, min_seconds, max_gap_seconds)
    found = calibrate_setup.calibrate_model(
        model, data, settings, false_alarms_per_hour, split=split, seed=seed, report=progress()
    )
    found = {"model": run.name if run.is_dir() else name_or_run, **found}
    write_json(out, found)
    if as_json:
        emit_json(found | {"out": str(out)})
        return
    for line in lines(found):
        typer.echo(line)
    typer.echo(str(out))


def lines(found):
    """Lays out a calibration.

    Args:
        found: Dict, as `calibrate_setup.calibrate_model` returns it.

    Returns:
        List of str.
    """
    rows = [("all cameras", found)] if len(found["cameras"]) > 1 else []
    rows += found["cameras"].items()
    shown = []
    for name, of in rows:
        if "refused" in of:
            shown.append(f"{name}: {of['refused']}")
            continue
        (low, high), (least, most) = of["threshold_interval"], of["rate_interval"]
        shown.append(
            f"{name}: threshold {of['events']['high']:.4g} ({low:.4g} to {high:.4g}) for "
            f"{of['false_alarms_per_hour']:g} false alarms per hour ({least:.2g} to {most:.2g}), "
            f"from {of['hours']:.2f} hours"
        )
    return shown
