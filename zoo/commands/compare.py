"""`zoo compare`: several models on the same footage, in one table and one picture.

    zoo compare convlstm_vae runs/mine --data footage/ucsd_ped2 --out runs/comparison.png

measures one model after the other; it takes as long as `zoo evaluate` does for each.
"""

from pathlib import Path
from typing import Annotated

import typer

from zoo import registry
from zoo.commands import tables
from zoo.commands.arguments import check_out, check_there
from zoo.commands.console import columns, emit_json, load_tensorflow, log, progress, say

EVALUATIONS = ("anomaly", "prediction", "representation")


def compare(
    names: Annotated[list[str], typer.Argument(help="Presets, or run folders of `zoo train`.")],
    data: Annotated[Path, typer.Option(help="Footage to measure all of them on.")],
    evaluation: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(EVALUATIONS)}; by default what the footage has truth for."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Of prediction: frames to predict.")
    ] = None,
    context: Annotated[
        int | None, typer.Option(min=1, help="Of prediction: frames shown.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Of prediction: most windows.")] = None,
    out: Annotated[Path | None, typer.Option(help="Picture to write, .png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
):
    """Compare several models on the same footage.

    One table, and a picture if asked for, of any of the evaluations of `zoo evaluate`, the
    baselines once. A model that does not answer what the evaluation needs, or has no trained
    weights, is listed with the reason.
    """
    log()
    if evaluation is not None and evaluation not in EVALUATIONS:
        raise ValueError(
            f"`evaluation` must be one of {', '.join(EVALUATIONS)}. Received: {evaluation}"
        )
    check_out(out, suffixes=(".png",))
    check_names(names)
    check_there(data)
    load_tensorflow()
    from zoo.commands import compare_setup
    from zoo.training.whole_files import write_whole

    evaluation = evaluation or compare_setup.fitting_evaluation(data)
    if evaluation != "prediction" and (steps, context, limit) != (None, None, None):
        raise ValueError(
            "`steps`, `context` and `limit` are of the evaluation prediction. "
            f"Received: {evaluation}"
        )
    compared = compare_setup.compare(
        names,
        data,
        evaluation,
        lengths={"steps": steps, "context": context},
        limit=limit,
        begin=lambda name: say(f"{name}: {evaluation}"),
        report=progress(),
    )
    # Told first: what was measured in hours must not be lost to a picture that fails.
    if as_json:
        emit_json(compared)
    else:
        for line in lines(compared):
            typer.echo(line)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, lambda aside: compare_setup.draw(aside, compared))
        say(f"picture: {out}")


def check_names(names):
    """Refuses a name that is neither a preset nor a folder, before anything is measured.

    Raises:
        ValueError: If there is one, or a name stands twice.
    """
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"`names` must differ. Received: {name} {names.count(name)} times")
        if not Path(name).is_dir():
            registry.resolve(name)


def lines(compared):
    """Lays a comparison out in lines of text.

    Args:
        compared: Dict, what `zoo.commands.compare_setup.compare` returns.

    Returns:
        List of str.
    """
    rows = {
        "anomaly": tables.anomaly_rows,
        "prediction": tables.prediction_rows,
        "representation": tables.representation_rows,
    }[compared["evaluation"]]
    baselines = {name.replace("_", " "): found for name, found in compared["baselines"].items()}
    laid_out = columns(rows({**compared["models"], **baselines})) if compared["models"] else []
    reasons = [f"{name}: {reason}" for name, reason in compared["not_measured"].items()]
    return [*laid_out, *([""] if reasons else []), *reasons, "", *compared["notes"]]
