"""`zoo classify`: a classifier of labelled clips on top of an encoder.

    zoo classify train --encoder served/convlstm_vae --data footage_by_class/ --out served/actions
    zoo classify predict served/actions footage/ --out labels.csv
    zoo classify evaluate served/actions --data other_footage_by_class/

`train` prints the accuracy on clips of people (or source videos) that it was not trained on, beside
its baselines. The 83 clips of Weizmann take about two minutes on two cores.
"""

import contextlib
import csv
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from zoo.commands.arguments import check_folder, check_model, check_out, check_there
from zoo.commands.console import emit_json, load_tensorflow

COLUMNS = ("path", "begin_sec", "end_sec", "label", "probability")
HEADS = "logistic, neighbours (both on pooled descriptors) or attention (on local ones)."
DATA_HELP = "Folder of one folder per class, the Weizmann strips, or a CSV file."
MODEL_HELP = "Classifier: a folder of versions, or one version."


def train(
    encoder: Annotated[
        str, typer.Option(help="Export (a folder of versions, or one), preset or run folder.")
    ],
    data: Annotated[Path, typer.Option(help=DATA_HELP)],
    out: Annotated[
        Path | None, typer.Option(help="Folder of versions to write the classifier into.")
    ] = None,
    head: Annotated[str, typer.Option(help=HEADS)] = "logistic",
    mirrored: Annotated[
        bool, typer.Option(help="Learn from mirror images too: left and right mean the same.")
    ] = False,
    fine_tune: Annotated[
        int, typer.Option(min=0, help="Steps to train encoder and attention head together.")
    ] = 0,
    limit: Annotated[
        float, typer.Option(min=0, max=1, help="What is less probable is none of the classes.")
    ] = 0.5,
    test_groups: Annotated[
        str | None,
        typer.Option(help="Groups to test on, as a,b; by default each is left out in turn."),
    ] = None,
    window: Annotated[int, typer.Option(min=1, help="Frames in a window.")] = 16,
    stride: Annotated[int, typer.Option(min=1, help="Frames between windows.")] = 8,
    baselines: Annotated[bool, typer.Option(help="Measure the baselines as well.")] = True,
    seed: Annotated[int, typer.Option(min=0, help="Of the order in fine-tuning.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
):
    """Train and measure a classifier of clips on an encoder.

    The encoder stays as it is, but for `--fine-tune`; a head on its descriptors is fitted, its
    regularisation chosen inside the training part, and its probabilities calibrated on groups that
    it was not fitted on. A class folder holds clips, or one folder per group (a person, a source
    video) of clips that must stay on one side of the split. A CSV file has the columns path and
    label, begin and end in seconds where lines are parts of videos, and group.
    """
    if out is not None:
        check_folder(out)
    check_there(data)
    check_model(encoder, "encoder")
    load_tensorflow()
    from exports import classifier, heads, saved_model
    from zoo.commands import classify_setup
    from zoo.commands.labelled_setup import open_labelled

    heads.fitter(head)
    if out is not None:
        try:
            saved_model.check_directory(out)
        except ValueError as error:
            # Of the two folders of exports that the command is given it is this one.
            raise ValueError(str(error).replace("`directory`", "`out`")) from None
    videos = open_labelled(data).videos
    with classify_setup.open_encoder(encoder) as (export, model):
        report, fitted = classify_setup.train_classifier(
            export,
            videos,
            window=window,
            stride=stride,
            test_groups=[name.strip() for name in test_groups.split(",")] if test_groups else None,
            with_baselines=baselines,
            head=head,
            mirrored=mirrored,
            model=model,
            fine_tune=fine_tune,
            seed=seed,
        )
        report["limit"] = limit
        if out is not None:
            with contextlib.ExitStack() as stack:
                if fine_tune:
                    export = stack.enter_context(classify_setup.exported(model))
                folder = classifier.save(
                    out, export, fitted, temperature=report["temperature"], limit=limit,
                    about=classify_setup.about(report),
                )  # fmt: skip
            report["classifier"] = str(folder)
    if as_json:
        emit_json(report)
        return
    for line in report_lines(report):
        typer.echo(line)


def predict(
    model: Annotated[Path, typer.Argument(help=MODEL_HELP)],
    path: Annotated[list[str], typer.Argument(help="Video files, folders, cameras.")],
    out: Annotated[
        Path | None, typer.Option(help="New file, .csv or .json; by default CSV on stdout.")
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option(min=0, help="Seconds to watch each camera; by default no end.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
):
    """Name what happens along videos, window by window.

    A row for each window: the video, begin and end in seconds (in frames where nothing tells the
    rate of a video), the label ("none of these" below the limit of the classifier) and the
    probability of the most probable class; JSON has that of each class. Rows are written as they
    come, of however long a video and of several cameras at once, and an interrupt ends the file as
    a whole one.
    """
    check_out(out, is_new=True, suffixes=(".csv", ".json"))
    check_there(model, "model")
    for one in path:
        check_there(one, "path")
    load_tensorflow()
    import data_pipelines
    from data_pipelines.sources import camera
    from exports import classifier
    from zoo.commands import classify_setup

    sources = [data_pipelines.open_source(one) for one in path]
    if max_seconds is not None:
        sources = [
            camera.open_source(one, max_seconds=max_seconds) if source.kind == "camera" else source
            for one, source in zip(path, sources)
        ]
    videos = classify_setup.named_videos(sources)
    loaded = classifier.load(model)
    with contextlib.ExitStack() as stack:
        file = sys.stdout
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open(out, "x", newline="", encoding="utf-8"))
        is_json = as_json if out is None else out.suffix == ".json"
        put = stack.enter_context((json_rows if is_json else csv_rows)(file, str(model), loaded))
        count, failed = classify_setup.classify_all(loaded, videos, put)
    if as_json and out is not None:
        emit_json({"out": str(out), "windows": count, "failed": failed})
    if failed:
        raise ValueError(f"{len(failed)} of {len(videos)} videos could not be classified")


@contextlib.contextmanager
def csv_rows(file, model, loaded):
    """A function that writes a window as a line of CSV, at once."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)

    def put(name, begin, end, label, sure):
        writer.writerow([name, f"{begin:.3f}", f"{end:.3f}", label, f"{sure.max():.4f}"])
        file.flush()

    yield put


@contextlib.contextmanager
def json_rows(file, model, loaded):
    """A function that writes a window into one JSON object, which is closed whatever happens."""
    head = {"model": model, "classes": loaded.classes, "limit": loaded.about["limit"]}
    file.write(json.dumps(head)[:-1] + ', "windows": [')
    between = "\n"

    def put(name, begin, end, label, sure):
        nonlocal between
        row = dict(zip(COLUMNS, (name, round(begin, 3), round(end, 3), label, float(sure.max()))))
        row["probabilities"] = dict(zip(loaded.classes, map(float, sure)))
        file.write(between + json.dumps(row, allow_nan=False))
        between = ",\n"
        file.flush()

    try:
        yield put
    finally:
        file.write("\n]}\n")


def evaluate(
    model: Annotated[Path, typer.Argument(help=MODEL_HELP)],
    data: Annotated[Path, typer.Option(help=DATA_HELP)],
    baselines: Annotated[
        bool, typer.Option(help="Measure curves of few labels and their baselines as well.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws of labelled clips.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
):
    """Measure a classifier on labelled footage.

    Accuracy of each class, confusion and calibration error; how its head and encoder do with 1, 2
    and 5 labels of each class, beside baselines; and, where a CSV file labels segments of long
    videos, the mean average precision of finding them, at overlaps in time of 0.3, 0.5 and 0.7.
    """
    check_there(model, "model")
    check_there(data)
    load_tensorflow()
    from exports import classifier
    from zoo.commands import classify_setup
    from zoo.commands.labelled_setup import open_labelled

    source = open_labelled(data)
    report = classify_setup.evaluate_classifier(
        classifier.load(model), source, with_baselines=baselines, seed=seed
    )
    report = {"model": str(model), "data": data.name, **report}
    if as_json:
        emit_json(report)
        return
    for line in report_lines(report):
        typer.echo(line)


def report_lines(report):
    """Puts a report of a training or an evaluation into lines for people.

    Args:
        report: dict.

    Returns:
        List of str.

    Example:

    ```python
    report_lines(report)[0]  # "accuracy 0.952, 83 clips"
    ```
    """
    split = f", {report['split']}" if "split" in report else ""
    lines = [f"accuracy {report['accuracy']:.3f}, {report['clips']} clips{split}"]
    if "accuracy_before_fine_tuning" in report:
        lines.append(f"  before fine-tuning {report['accuracy_before_fine_tuning']:.3f}")
    for name, result in report.get("baselines", {}).items():
        lines.append(f"  baseline {name} {result['accuracy']:.3f}")
    lines.append(f"calibration error {report['calibration_error']:.3f}")
    width = max(len(name) for name in report["classes"])
    lines.append("truth by row, decision by column, accuracy of the class:")
    for name, row in zip(report["classes"], report["confusion"]):
        share = report["per_class"][name]
        cells = " ".join(f"{count:4d}" for count in row)
        tail = "not tested" if share is None else f"{share:.2f}"
        lines.append(f"  {name.ljust(width)} {cells}  {tail}")
    for name, curve in report.get("few_labels", {}).items():
        points = ", ".join(f"{count}: {found['accuracy']:.3f}" for count, found in curve.items())
        lines.append(f"labels of each class, {name}: {points}")
    for overlap, found in report.get("localisation", {}).items():
        lines.append(f"mean average precision at overlap {overlap}: {found['mean']:.3f}")
    lines += report.get("notes", [])
    if "classifier" in report:
        lines.append(f"classifier: {report['classifier']}")
    return lines
