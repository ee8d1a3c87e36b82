"""The command line of `zoo`: which command calls which function, and an example of each.

Command modules load TensorFlow inside their functions only, so that `zoo --help` answers at once.
"""

from typing import Annotated

import typer

import zoo
from zoo.commands import catalogue, doctor
from zoo.commands.console import Commands, TensorFlowCommand

# Shown at the end of each `--help`.
EXAMPLES = {
    "list": "zoo list",
    "info": "zoo info convlstm_vae",
    "doctor": "zoo doctor",
}

# Plain help, without boxes: it is read in logs and over slow lines too.
STYLE = {
    "rich_markup_mode": None,
    "add_completion": False,
    "no_args_is_help": True,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


def _version(wanted: bool):
    if wanted:
        typer.echo(f"zoo {zoo.__version__}")
        raise typer.Exit()


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of errors.")] = False,
):
    """Learn space and time from unlabelled video; score, export and classify with it.

    Results go to standard output, progress and messages to standard error. Exit code 0: done,
    1: failed, 2: wrong usage, 130: interrupted.
    """


def _add(group, name, function, path=None, loads_tensorflow=True):
    group.command(
        name,
        cls=TensorFlowCommand if loads_tensorflow else None,
        epilog=f"Example: {EXAMPLES[path or name]}",
    )(function)


app = typer.Typer(cls=Commands, **STYLE)
app.callback(epilog=f"Start here: {EXAMPLES['list']}")(_root)
_add(app, "list", catalogue.list_presets)
_add(app, "info", catalogue.info)
_add(app, "doctor", doctor.doctor, loads_tensorflow=False)
