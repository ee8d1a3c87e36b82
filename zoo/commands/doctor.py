"""`zoo doctor`: whether everything that the other commands need works here, and the remedy if not."""

from dataclasses import asdict
from typing import Annotated

import typer

from zoo.commands import installation
from zoo.commands.console import emit_json, say


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
):
    """Check that everything works here.

    Packages and whether they go together, video codecs, precision, devices and disk; the remedy
    where one is needed. Exit code 1 when something will not work.
    """
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
