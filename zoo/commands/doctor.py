"""`zoo doctor`: whether everything works here, or what is wrong with footage.

    zoo doctor                                          # packages, codecs and devices
    zoo doctor footage/ --html runs/footage.html        # what is wrong with footage

`installation` and `footage_doctor` do the work.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from zoo.commands import installation
from zoo.commands.arguments import check_above_0, check_out, check_there
from zoo.commands.console import emit_json, load_tensorflow, say

# As of `data_pipelines.doctor`, which is loaded with footage only: it brings TensorFlow.
SECONDS_PER_FILE = 120.0


def doctor(
    path: Annotated[
        Path | None, typer.Argument(help="Footage to examine; without it, this installation.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Of footage: write a page with pictures.", metavar="FILE")
    ] = None,
    seconds_per_file: Annotated[
        float, typer.Option(help="Of footage: longest time for one video.")
    ] = SECONDS_PER_FILE,
):
    """Check that everything works here, or that footage is fit to be trained on.

    Without PATH: packages and whether they go together, video codecs, precision, devices and disk;
    the remedy where one is needed. Exit code 1 when something will not work.

    With PATH: each file below it. What cannot be read, is frozen, black, blurred, over-exposed or
    doubled, where the clock jumps or the camera was moved, and which videos show the same. Exit
    code 1 when training on it would be unsound: something that is to be a video cannot be read or
    is still being written, more than one frame in a hundred is lost or damaged, a clock runs
    backwards or is more than a tenth off the declared rate, more than a tenth of a video's time
    is faulty, training and test side share a video, or no video is left.
    """
    if path is not None:
        _doctor_footage(path, as_json, html, seconds_per_file)
    elif html is not None:
        raise ValueError(f"`html` must come with footage to examine. Received: html={html}")
    else:
        _doctor_installation(as_json)


def _doctor_footage(path, as_json, html, seconds_per_file):
    check_out(html, argument="html")
    check_there(path, "path")
    check_above_0(seconds_per_file=seconds_per_file)
    load_tensorflow()
    from zoo.commands import footage_doctor

    report = footage_doctor.examine(
        path, seconds_per_file=seconds_per_file, with_pictures=html is not None
    )
    if html is not None:
        footage_doctor.write_page(html, report)
    if as_json:
        emit_json(report.to_dict())
    else:
        typer.echo(footage_doctor.as_text(report), nl=False)
    if not report.sound:
        raise typer.Exit(1)


def _doctor_installation(as_json):
    checks = installation.run_checks()
    failed = [check.name for check in checks if check.status == "failed"]
    if as_json:
        emit_json({"healthy": not failed, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            typer.echo(f"{check.status:8}{check.name}: {check.found}")
            if check.remedy:
                typer.echo(f"{'':8}-> {check.remedy}")
    if failed:
        say(f"zoo: will not work until mended: {', '.join(failed)}")
        raise typer.Exit(1)
