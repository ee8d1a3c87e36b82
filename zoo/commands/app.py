"""The command line of `zoo`: which command calls which function, and an example of each.

Command modules load TensorFlow inside their functions only, so that `zoo --help` answers at once,
and after what can be checked without it, so that a wrong argument is told at once.
"""

from typing import Annotated

import typer

import zoo
from zoo.commands import (
    calibrate,
    catalogue,
    classify,
    compare,
    data_service,
    doctor,
    embed,
    evaluate,
    export,
    prepare,
    preview,
    quickstart,
    serve,
    serve_config,
    train,
    watch,
)
from zoo.commands.console import Command

# Shown at the end of each `--help`.
EXAMPLES = {
    "quickstart": "zoo quickstart --out runs/quickstart",
    "list": "zoo list",
    "info": "zoo info convlstm_vae",
    "train": "zoo train convlstm_vae --data footage/ --out runs/mine --init convlstm_vae",
    "evaluate": "zoo evaluate anomaly convlstm_vae --data ucsd_ped2/ --json",
    "evaluate anomaly": "zoo evaluate anomaly convlstm_vae --data ucsd_ped2/ --json",
    "evaluate detection": "zoo evaluate detection convlstm_vae --data ucsd_ped2/ --json",
    "evaluate prediction": "zoo evaluate prediction convlstm_vae --data footage/ --steps 8 --json",
    "evaluate representation": "zoo evaluate representation convlstm_vae --data clips_by_class/",
    "evaluate tracking": "zoo evaluate tracking convlstm_vae --data street/ --json",
    "calibrate": "zoo calibrate runs/mine --data normal/ --false-alarms-per-hour 1",
    "watch": "zoo watch runs/mine gate=rtsp://192.168.1.20/live --alarms runs/alarms.jsonl",
    "compare": "zoo compare convlstm_vae runs/mine --data ucsd_ped2/ --out runs/comparison.png",
    "embed": "zoo embed convlstm_vae --data footage/ --out runs/embeddings.npz",
    "export": "zoo export runs/mine exported/mine",
    "serve": "zoo serve exported/",
    "serve-config": "zoo serve-config exported/ --out serving/",
    "prepare": "zoo prepare footage/ --out shards/ --preset convlstm_vae",
    "preview": "zoo preview footage/ --out runs/preview",
    "classify": "zoo classify train --encoder exported/mine --data clips_by_class/",
    "classify train": "zoo classify train --encoder exported/mine --data clips_by_class/",
    "classify predict": "zoo classify predict exported/actions footage/ --out labels.csv",
    "classify evaluate": "zoo classify evaluate exported/actions --data clips_by_class/ --json",
    "data-service": "zoo data-service --workers 2 --port 5050",
    "doctor": "zoo doctor footage/ --html runs/footage.html",
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


def _add(name, function, group=None):
    """Adds a command to the app or, given the `(name, app)` of a group, to that."""
    group_name, group = group or ("", app)
    group.command(
        name,
        cls=Command,
        epilog=f"Example: {EXAMPLES[f'{group_name} {name}'.strip()]}",
    )(function)


def _group(name, summary):
    group = typer.Typer(help=summary, epilog=f"Example: {EXAMPLES[name]}", **STYLE)
    app.add_typer(group, name=name)
    return name, group


app = typer.Typer(**STYLE)
app.callback(epilog=f"Start here: {EXAMPLES['quickstart']}")(_root)
_add("quickstart", quickstart.quickstart)
_add("list", catalogue.list_presets)
_add("info", catalogue.info)
_add("train", train.train)
_evaluate = _group("evaluate", "Measure a model beside its baselines.")
_add("anomaly", evaluate.anomaly, group=_evaluate)
_add("detection", evaluate.detection, group=_evaluate)
_add("prediction", evaluate.prediction, group=_evaluate)
_add("representation", evaluate.representation, group=_evaluate)
_add("tracking", evaluate.tracking, group=_evaluate)
_add("compare", compare.compare)
_add("calibrate", calibrate.calibrate)
_add("watch", watch.watch)
_add("embed", embed.embed)
_add("export", export.export)
_add("serve", serve.serve)
_add("serve-config", serve_config.serve_config)
_classify = _group("classify", "Classify clips with an encoder and few labels.")
_add("train", classify.train, group=_classify)
_add("predict", classify.predict, group=_classify)
_add("evaluate", classify.evaluate, group=_classify)
_add("prepare", prepare.prepare)
_add("preview", preview.preview)
_add("data-service", data_service.data_service)
_add("doctor", doctor.doctor)
