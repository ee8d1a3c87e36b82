"""`zoo evaluate anomaly`: figures of a model on footage with truth, beside its baselines.

    zoo evaluate anomaly convlstm_vae --data footage/ucsd_ped2 --json

prints frame AUC and equal error rate under two protocols; the 2,010 test frames of UCSD Ped2 take
about a minute on two cores.
"""

import logging
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from zoo.commands.console import emit_json, say

FIGURES = ("auc_live", "eer_live", "auc_literature", "eer_literature", "auc_regularity")


def anomaly(
    name: Annotated[str, typer.Argument(help="Preset, or run folder of `zoo train`.")],
    data: Annotated[Path, typer.Option(help="Footage with truth for every frame.")],
    split: Annotated[
        str | None, typer.Option(help="train or test; by default test where there is one.")
    ] = None,
    precision: Annotated[
        str, typer.Option(help="float32, mixed_bfloat16, mixed_float16 or auto.")
    ] = "float32",
    scores: Annotated[
        Path | None, typer.Option(help="CSV file to write every frame's score to.")
    ] = None,
    card: Annotated[Path | None, typer.Option(help="Model card to write.")] = None,
    run: Annotated[
        Path | None, typer.Option(help="Run folder of the weights, for the card of a preset.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
):
    """Measure how well a model finds abnormal frames.

    Frame AUC and equal error rate under two protocols. `live` is causal: the model's score, a
    median over the last 9 frames. `literature` is that of papers: the mean squared error of the
    frame, smoothed over time and rescaled by each test video's own minimum and maximum;
    `regularity` is their older score, without smoothing. The same is given for a copy of the last
    frame and for the mean of the frames so far.
    """
    import zoo
    from zoo.commands import anomaly_setup
    from zoo.training.precision import choose_precision

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    source = anomaly_setup.open_labelled(data, split)
    for file in (scores, card):
        if file is not None and not file.resolve().parent.is_dir():
            raise ValueError(f"{file} must be in a folder that is there")
    model = zoo.load(name, dtype=choose_precision(precision))
    scored = anomaly_setup.score_source(
        model, source, lambda number, count, video: say(f"{number}/{count} {video}")
    )
    figures = anomaly_setup.result(scored, model, source, name)
    if scores is not None:
        anomaly_setup.write_scores(scores, scored)
        say(f"scores: {scores}")
    if card is not None:
        command = shlex.join(["zoo", *sys.argv[1:]])
        anomaly_setup.write_card(card, name, model, source, figures, command, run)
        say(f"card: {card}")
    if as_json:
        emit_json(figures)
        return
    for line in table(figures):
        typer.echo(line)


def table(figures):
    """Lays out the figures in lines of text: the model, its baselines, then video by video.

    Args:
        figures: Dict, what `zoo.commands.anomaly_setup.result` returns.

    Returns:
        List of str.
    """
    rows = [("", "frames", "abnormal", *(name.replace("_", " ") for name in FIGURES))]
    counts = (str(figures["frames"]), str(figures["abnormal_frames"]))
    rows.append((figures["model"], *counts, *_numbers(figures)))
    for name, baseline in figures["baselines"].items():
        rows.append((name.replace("_", " "), *counts, *_numbers(baseline)))
    for video in figures["videos"]:
        rows.append(
            (video["name"], str(video["frames"]), str(video["abnormal_frames"]), *_numbers(video))
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
    # A blank line between what counts and its parts.
    lines.insert(2 + len(figures["baselines"]), "")
    lines.append("")
    lines.append(
        f"{figures['frames_per_second']:g} frames per second, decoding and baselines included; "
        "a dash where all frames of a video are of one class"
    )
    return [line.rstrip() for line in lines + figures["notes"]]


def _numbers(figures):
    return [f"{figures[name]:.3f}" if figures[name] is not None else "-" for name in FIGURES]
