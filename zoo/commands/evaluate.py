"""`zoo evaluate`: figures of a model beside its baselines.

    zoo evaluate anomaly convlstm_vae --data footage/ucsd_ped2 --json

prints frame AUC and equal error rate under two protocols; the 2,010 test frames of UCSD Ped2 take
about a minute on two cores.

    zoo evaluate prediction convlstm_vae --data footage/ucsd_ped2 --steps 8

prints how far predicted frames are from those that came.

    zoo evaluate representation convlstm_vae --data footage/weizmann

prints how well actions are told apart by few labels and by all; the 83 clips of Weizmann take about
three minutes on two cores.
"""

import logging
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from zoo.commands.console import columns, emit_json, say

SECONDS_BETWEEN_LINES = 10
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
    from zoo.commands import anomaly_setup, card_setup
    from zoo.training.precision import choose_precision

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    source = anomaly_setup.open_labelled(data, split)
    _check_files(scores=scores, card=card)
    if card is not None:
        card_setup.find_training(card, name, run)
    model = zoo.load(name, dtype=choose_precision(precision))
    scored = anomaly_setup.score_source(
        model, source, lambda number, count, video: say(f"{number}/{count} {video}")
    )
    figures = anomaly_setup.result(scored, model, source, name)
    if scores is not None:
        anomaly_setup.write_scores(scores, scored)
        say(f"scores: {scores}")
    if card is not None:
        card_setup.write_card(card, name, model, source, figures, _command_line(), run)
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
    lines = columns(rows)
    # A blank line between what counts and its parts.
    lines.insert(2 + len(figures["baselines"]), "")
    lines.append("")
    lines.append(
        f"{figures['frames_per_second']:g} frames per second, decoding and baselines included; "
        "a dash where all frames of a video are of one class"
    )
    return lines + figures["notes"]


def prediction(
    name: Annotated[str, typer.Argument(help="Preset, or run folder of `zoo train`.")],
    data: Annotated[Path, typer.Option(help="Footage; no truth is needed.")],
    steps: Annotated[
        int | None, typer.Option(min=1, help="Frames to predict; by default half a clip.")
    ] = None,
    context: Annotated[
        int | None, typer.Option(min=1, help="Frames shown; by default the rest of the clip.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, help="Futures drawn of each window, where the model draws.")
    ] = 0,
    split: Annotated[
        str | None,
        typer.Option(help="train, test or held_out; by default what was not trained on."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most windows, shared evenly among the videos.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of the draws.")] = 0,
    card: Annotated[Path | None, typer.Option(help="Model card to add the figures to.")] = None,
    run: Annotated[
        Path | None, typer.Option(help="Run folder of the weights, for a new card of a preset.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
):
    """Measure how well a model predicts the frames to come.

    Windows of the footage are cut into context and truth. Given are mean squared and mean absolute
    error (of a pixel value, and summed over a frame), PSNR (of each frame, then averaged), SSIM
    and the sharpness of Mathieu et al., for each step ahead and over all, beside a copy of the
    last frame, the mean of the context and an empty frame. By default the clip that the model was
    trained on is halved into context and truth.
    """
    import zoo
    from zoo.commands import card_setup, prediction_setup

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    source, split = prediction_setup.open_footage(data, name, split)
    _check_files(card=card)
    if card is not None:
        card_setup.find_training(card, name, run)
    model = zoo.load(name)
    context, steps = prediction_setup.lengths(model, context, steps)
    asked = {"context": context, "samples": samples, "limit": limit, "seed": seed}
    figures = prediction_setup.evaluate_model(
        model, source, steps=steps, report=progress(), **asked
    )
    figures = prediction_setup.result(figures, model, source, name, split, **asked)
    if card is not None:
        card_setup.write_card(
            card, name, model, source, figures, _command_line(), run, section="prediction"
        )
        say(f"card: {card}")
    if as_json:
        emit_json(figures)
        return
    for line in prediction_table(figures):
        typer.echo(line)


def prediction_table(figures):
    """Lays out the figures of a prediction in lines of text: over all steps, then step by step.

    Args:
        figures: Dict, what `zoo.commands.prediction_setup.result` returns.

    Returns:
        List of str.
    """
    from zoo.evaluation.prediction import FIGURES as names

    rows = [("", *(name.replace("_", " ") for name in names))]

    def add(title, values):
        rows.append((title, *(_rounded(name, values[name]) for name in names)))

    add(figures["model"], figures)
    for key in ("best_of_N", "mean_of_N"):
        if key in figures:
            add(key.replace("N", str(figures["samples"])).replace("_", " "), figures[key])
    for name, baseline in figures["baselines"].items():
        add(name.replace("_", " "), baseline)
    count = len(rows)
    for step in range(figures["steps"]):
        add(f"step {step + 1}", {name: figures["per_step"][name][step] for name in names})
    lines = columns(rows)
    lines.insert(count, "")
    lines += [
        "",
        f"{figures['windows']} windows of {figures['videos']} videos ({figures['split']}), "
        f"{figures['context']} frames shown, {figures['steps']} predicted, at "
        f"{figures['frames_per_second_of_video']:g} frames per second; psnr and sharpness in "
        "decibels",
    ]
    return lines + figures["notes"]


def representation(
    name: Annotated[str, typer.Argument(help="Preset, or run folder of `zoo train`.")],
    data: Annotated[
        Path, typer.Option(help="Folder of one folder per class, or the Weizmann strips.")
    ],
    baselines: Annotated[bool, typer.Option(help="Measure the baselines as well.")] = True,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws of labelled clips.")] = 0,
    card: Annotated[Path | None, typer.Option(help="Model card to add the figures to.")] = None,
    run: Annotated[
        Path | None, typer.Option(help="Run folder of the weights, for a new card of a preset.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
):
    """Measure what the embeddings of a model tell about the class of a clip.

    A linear probe and nearest neighbours on `encode` of the clip and on pooled `features`, on
    groups (people, source videos) that were held out: with all labels, with one, two and five
    labelled clips of a class, and with the clips of one, two, five and eight people labelled.
    Beside them stand the same model with random weights, principal components of the pixels, and
    motion energy.
    """
    import zoo
    from zoo.commands import card_setup, representation_setup
    from zoo.commands.classify import open_labelled

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    source = open_labelled(data)
    _check_files(card)
    model = zoo.load(name)
    figures = representation_setup.evaluate_model(
        model, source, with_baselines=baselines, seed=seed, report=progress()
    )
    figures = representation_setup.result(figures, model, source, name)
    if card is not None:
        card_setup.write_card(
            card, name, model, source, figures, _command_line(), run, section="representation"
        )
        say(f"card: {card}")
    if as_json:
        emit_json(figures)
        return
    for line in representation_table(figures):
        typer.echo(line)


def representation_table(figures):
    """Lays out the accuracies of a representation in lines of text: all labels, then few of them.

    Args:
        figures: Dict, what `zoo.commands.representation_setup.result` returns.

    Returns:
        List of str.
    """
    measured = {}
    for title, found in {figures["model"]: figures, **figures.get("baselines", {})}.items():
        title = title.replace("_", " ") if found is not figures else title
        if "encode" not in found:
            measured[title] = found
        elif found["encode"] == found["features"]:
            measured[title] = found["encode"]
        else:
            measured |= {f"{title}, {kind}": found[kind] for kind in ("encode", "features")}
    few = figures["encode"]["linear_probe"]
    levels = [("few_labels", count, f"{count} a class") for count in few["few_labels"]]
    levels += [
        ("few_people", count, f"{count} {'person' if count == '1' else 'people'}")
        for count in few["few_people"]
    ]
    rows = [("", "all labels", *(title for _, _, title in levels))]
    for title, probes in measured.items():
        for probe, found in probes.items():
            cells = [_with_error(found[kind][count]) for kind, count, _ in levels]
            name = f"{title}: {probe.replace('_', ' ')}"
            rows.append((name, f"{found['accuracy']:.3f}", *cells))
    return [
        *columns(rows),
        "",
        f"accuracy on {figures['clips']} clips of {figures['groups']} groups and "
        f"{len(figures['classes'])} classes, {figures['split']}; after the sign the standard "
        "error over the draws of what is labelled",
        *figures["notes"],
    ]


def _with_error(summary):
    error = summary["standard_error"]
    return f"{summary['accuracy']:.3f}" + ("" if error is None else f"±{error:.3f}")


def progress():
    """A function of (number, count, name) that says so, but not more often than is of use."""
    said = time.monotonic()

    def report(number, count, name):
        nonlocal said
        if time.monotonic() - said > SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            say(f"{number}/{count} {name}")

    return report


def _rounded(name, value):
    if name in ("psnr", "sharpness"):
        return f"{value:.2f}"
    return f"{value:.1f}" if name.endswith("per_frame") else f"{value:.4f}"


def _check_files(**files):
    for option, file in files.items():
        if file is not None and not file.resolve().parent.is_dir():
            raise ValueError(f"`{option}` must be in a folder that is there. Received: {file}")


def _command_line():
    return shlex.join(["zoo", *sys.argv[1:]])


def _numbers(figures):
    return [f"{figures[name]:.3f}" if figures[name] is not None else "-" for name in FIGURES]
