"""`zoo classify train`: a classifier of labelled clips on top of an exported encoder.

    zoo classify train --encoder served/convlstm_vae --data footage_by_class/

prints the accuracy on clips of people (or source videos) that it was not trained on, beside three
baselines. The 83 clips of Weizmann take about two minutes on two cores.
"""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from zoo.commands.console import SECONDS_BETWEEN_LINES, check_out, emit_json, say
from zoo.commands.labelled_setup import RANDOM_SEEDS, graph_of, open_labelled, prepared_frames

# Windows that go through an encoder at once: enough to fill two cores.
BATCH = 16


def train(
    encoder: Annotated[Path, typer.Option(help="Export: a folder of versions, or one version.")],
    data: Annotated[
        Path, typer.Option(help="Folder of one folder per class, or the Weizmann strips.")
    ],
    out: Annotated[Path | None, typer.Option(help="Write the fitted classifier here.")] = None,
    test_groups: Annotated[
        str | None,
        typer.Option(help="Groups to test on, as a,b; by default each is left out in turn."),
    ] = None,
    window: Annotated[int, typer.Option(min=1, help="Frames in a window.")] = 16,
    stride: Annotated[int, typer.Option(min=1, help="Frames between windows.")] = 8,
    baselines: Annotated[bool, typer.Option(help="Measure the baselines as well.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
):
    """Train and measure a classifier of clips on an exported encoder.

    The encoder stays as it is; a logistic regression on its embeddings is fitted, its
    regularisation chosen inside the training part. Frames come at their own rate and size, so
    clips should be of one rate. A class folder holds clips, or one folder per
    group (a person, a source video) of clips that must stay on one side of the split.
    """
    import exports

    check_out(out, is_new=True)
    export = exports.load(encoder)
    report, classifier = train_classifier(
        export,
        open_labelled(data).videos,
        window=window,
        stride=stride,
        test_groups=[name.strip() for name in test_groups.split(",")] if test_groups else None,
        with_baselines=baselines,
    )
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        classifier.save(out)
        report["classifier"] = str(out)
    if as_json:
        emit_json(report)
        return
    for line in report_lines(report):
        typer.echo(line)


def train_classifier(
    export, videos, window=16, stride=8, test_groups=None, with_baselines=True
):
    """Fits and measures a classifier on an export.

    Args:
        export: `exports.Export`.
        videos: list of `data_pipelines.Video` with `label` and `group`.
        window: int, frames in a window.
        stride: int, frames between windows.
        test_groups: list of str, the groups of the test part. Default: every group in turn.
        with_baselines: bool.

    Returns:
        `(report, classifier)`: a dict of plain values with `accuracy`, `per_class`, `confusion`,
        `baselines` and so on; and an `exports.classifier.Classifier` fitted on all clips, or on
        those outside of `test_groups`.

    Raises:
        ValueError: If a clip is too short, or labels and groups allow no split.

    Example:

    ```python
    report, classifier = train_classifier(exports.load("served/1"), source.videos)
    ```
    """
    from exports import comparison
    from exports.classifier import Classifier
    from zoo.evaluation.representation import cross_validate, split_groups

    started = time.monotonic()
    labels = np.array([str(video.label) for video in videos])
    groups = np.array([str(video.group or video.name) for video in videos])
    # What cannot be split is said before an hour of footage is read.
    split_groups(labels, groups, test_groups)
    describers = {"encoder": lambda windows: export.encode(np.stack(windows))}
    if with_baselines:
        for seed in RANDOM_SEEDS:
            describers[f"random_{seed}"] = _random_encoder(export.manifest, seed)
        describers["motion_energy"] = comparison.motion_energy
        describers["pixels"] = comparison.pixel_rows
    rows, clips = _describe(videos, describers, export.manifest, window, stride)
    labels, groups = labels[clips], groups[clips]

    def measure(name, transform=None):
        return cross_validate(rows[name], labels, groups, clips, test_groups, transform)

    say("measuring the classifier" + (" and its baselines" if with_baselines else ""))
    report = measure("encoder")
    if with_baselines:
        rows["pixels"] = comparison.same_distances(rows["pixels"])
        seeds = [measure(f"random_{seed}") for seed in RANDOM_SEEDS]
        report["baselines"] = {
            "random_weights": {
                "accuracy": float(np.mean([result["accuracy"] for result in seeds])),
                "accuracies": [result["accuracy"] for result in seeds],
                "seeds": list(RANDOM_SEEDS),
            },
            "pixel_pca": {"accuracy": measure("pixels", comparison.pixel_pca)["accuracy"]},
            "motion_energy": {"accuracy": measure("motion_energy")["accuracy"]},
        }
    kept = slice(None) if test_groups is None else ~np.isin(groups, test_groups)
    classifier = Classifier.fit(rows["encoder"][kept], labels[kept], groups[kept], clips[kept])
    graph = export.manifest["files"]["saved_model.pb"]["sha256"]
    classifier.encoder = {
        "model": export.manifest["model"]["class"],
        "saved_model_sha256": graph,
        "window": window,
        "stride": stride,
    }
    report |= {
        "windows": len(clips),
        "window": window,
        "window_stride": stride,
        "encoder": {"folder": str(export.folder), "model": export.manifest["model"]["class"]},
        "seconds": round(time.monotonic() - started, 1),
    }
    return report, classifier


def report_lines(report):
    """Puts a report of `train_classifier` into lines for people.

    Args:
        report: dict.

    Returns:
        List of str.

    Example:

    ```python
    print("\\n".join(report_lines(report)))
    ```
    """
    lines = [f"accuracy {report['accuracy']:.3f}, {report['clips']} clips, {report['split']}"]
    for name, result in report.get("baselines", {}).items():
        lines.append(f"  baseline {name} {result['accuracy']:.3f}")
    width = max(len(name) for name in report["classes"])
    lines.append("truth by row, decision by column, accuracy of the class:")
    for name, row in zip(report["classes"], report["confusion"]):
        share = report["per_class"][name]
        cells = " ".join(f"{count:4d}" for count in row)
        tail = "not tested" if share is None else f"{share:.2f}"
        lines.append(f"  {name.ljust(width)} {cells}  {tail}")
    if "classifier" in report:
        lines.append(f"classifier: {report['classifier']}")
    return lines


def _describe(videos, describers, manifest, window, stride):
    """Runs every window of every video through every describer.

    Returns:
        `(rows, clips)`: dict from the describer's name to array (windows, dim), and the number
        of the video that each window is of.
    """
    from exports.classifier import windows

    parts = {name: [] for name in describers}
    clips = []
    started = said = time.monotonic()
    for number, video in enumerate(videos):
        held = []

        def flush():
            if held:
                for name, describe in describers.items():
                    parts[name].append(np.asarray(describe(held)))
                clips.extend([number] * len(held))
                held.clear()

        try:
            frames = prepared_frames(video, manifest["stride"], manifest["channels"])
            for part in windows(frames, window, stride, manifest["min_frames"]):
                held.append(part)
                if len(held) == BATCH:
                    flush()
        except ValueError as error:
            raise ValueError(f"{video.name}: {error}") from error
        flush()
        if time.monotonic() - said > SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            left = (said - started) / (number + 1) * (len(videos) - number - 1)
            say(f"{number + 1} of {len(videos)} clips described, {left:.0f} s left")
    return {name: np.concatenate(found) for name, found in parts.items()}, np.array(clips)


def _random_encoder(manifest, seed):
    """`encode` on bytes of the model that a manifest names, with fresh weights."""
    import keras

    import zoo

    model_class = getattr(zoo, manifest["model"]["class"], None)
    if model_class is None:
        raise ValueError(
            f"the export's model {manifest['model']['class']} is not in this zoo, so that it "
            "cannot be initialised at random; --no-baselines goes without"
        )
    keras.utils.set_random_seed(seed)
    model = model_class.from_config(manifest["model"]["arguments"])
    model.ensure_built()

    encode = graph_of(model, "encode")
    return lambda windows: encode(np.stack(windows))
