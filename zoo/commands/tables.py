"""Lays the figures of evaluations out in lines of text, for `zoo evaluate` and `zoo compare`.

Nothing of TensorFlow is needed for it.
"""

from zoo.commands.console import columns

ANOMALY = ("auc_live", "eer_live", "auc_literature", "eer_literature", "auc_regularity")
DETECTION = ("pixel_auc", "rbdc", "tbdc", "event_precision", "event_recall")
PREDICTION = ("mse", "mae", "mse_per_frame", "mae_per_frame", "psnr", "ssim", "sharpness")


def anomaly(figures):
    """Lays out an anomaly evaluation: the model, its baselines, then video by video.

    Args:
        figures: Dict, what `zoo.commands.anomaly_setup.result` returns.

    Returns:
        List of str.
    """
    counts = (str(figures["frames"]), str(figures["abnormal_frames"]))
    rows = [(row[0], *counts, *row[1:]) for row in anomaly_rows(_measured(figures))]
    rows[0] = ("", "frames", "abnormal", *rows[0][3:])
    videos = anomaly_rows({video["name"]: video for video in figures["videos"]})[1:]
    for row, video in zip(videos, figures["videos"], strict=True):
        rows.append((row[0], str(video["frames"]), str(video["abnormal_frames"]), *row[1:]))
    lines = columns(rows)
    # A blank line between what counts and its parts.
    lines.insert(2 + len(figures["baselines"]), "")
    return [
        *lines,
        "",
        f"{figures['frames_per_second']:g} frames per second, decoding and baselines included; "
        "a dash where all frames of a video are of one class",
        *figures["notes"],
    ]


def anomaly_rows(measured):
    """Rows of words, the titles first, for `columns`.

    Args:
        measured: Dict from title to a dict of the figures.

    Returns:
        List of tuples of str.
    """
    rows = [("", *(name.replace("_", " ") for name in ANOMALY))]
    for title, found in measured.items():
        numbers = (found[name] for name in ANOMALY)
        rows.append((title, *("-" if n is None else f"{n:.3f}" for n in numbers)))
    return rows


def detection(figures):
    """Lays out an evaluation of detection: the model, its baselines, then video by video.

    Args:
        figures: Dict, what `zoo evaluate detection --json` prints.

    Returns:
        List of str.
    """
    rows = [("", "frames", "regions", "tracks", *(name.replace("_", " ") for name in DETECTION))]
    measured = _measured(figures)
    for title, found in {**measured, **{v["name"]: v for v in figures["videos"]}}.items():
        counts = (str(found[name]) for name in ("frames", "regions", "tracks"))
        numbers = (found.get(name) for name in DETECTION)
        rows.append((title, *counts, *("-" if n is None else f"{n:.3f}" for n in numbers)))
    lines = columns(rows)
    lines.insert(1 + len(measured), "")
    said = "" if figures["reason"] is None else f": {figures['reason']}"
    return [*lines, "", f"a dash where there is no figure{said}", *figures["notes"]]


def prediction(figures):
    """Lays out an evaluation of prediction: over all steps, then step by step.

    Args:
        figures: Dict, what `zoo.commands.prediction_setup.result` returns.

    Returns:
        List of str.
    """
    model, *baselines = _measured(figures).items()
    drawn = {
        key.replace("N", str(figures["samples"])).replace("_", " "): figures[key]
        for key in ("best_of_N", "mean_of_N")
        if key in figures
    }
    rows = prediction_rows(dict([model, *drawn.items(), *baselines]))
    steps = prediction_rows({
        f"step {step + 1}": {name: figures["per_step"][name][step] for name in PREDICTION}
        for step in range(figures["steps"])
    })  # fmt: skip
    lines = columns(rows + steps[1:])
    lines.insert(len(rows), "")
    return [
        *lines,
        "",
        f"{figures['windows']} windows of {figures['videos']} videos ({figures['split']}), "
        f"{figures['context']} frames shown, {figures['steps']} predicted, at "
        f"{figures['frames_per_second_of_video']:g} frames per second; psnr and sharpness in "
        "decibels",
        *figures["notes"],
    ]


def prediction_rows(measured):
    """As `anomaly_rows`."""
    rows = [("", *(name.replace("_", " ") for name in PREDICTION))]
    for title, found in measured.items():
        rows.append((title, *(_rounded(name, found[name]) for name in PREDICTION)))
    return rows


def representation(figures):
    """Lays out an evaluation of the representation: all labels, then few of them.

    Args:
        figures: Dict, what `zoo.commands.representation_setup.result` returns.

    Returns:
        List of str.
    """
    return [
        *columns(representation_rows(_measured(figures))),
        "",
        f"accuracy on {figures['clips']} clips of {figures['groups']} groups and "
        f"{len(figures['classes'])} classes, {figures['split']}; after the sign the standard "
        "error over the draws of what is labelled",
        *figures["notes"],
    ]


def representation_rows(measured):
    """As `anomaly_rows`, with a row for each probe, and for `features` where they are others."""
    found = {}
    for title, figures in measured.items():
        if "encode" not in figures:
            found[title] = figures
        elif figures["encode"] == figures["features"]:
            found[title] = figures["encode"]
        else:
            found |= {f"{title}, {kind}": figures[kind] for kind in ("encode", "features")}
    few = next(iter(found.values()))["linear_probe"]
    levels = [("few_labels", count, f"{count} a class") for count in few["few_labels"]]
    levels += [
        ("few_people", count, f"{count} {'person' if count == '1' else 'people'}")
        for count in few["few_people"]
    ]
    rows = [("", "all labels", *(title for _, _, title in levels))]
    for title, probes in found.items():
        for probe, accuracies in probes.items():
            # Random weights also tell their seeds.
            if probe in ("linear_probe", "nearest_neighbours"):
                cells = [_with_error(accuracies[kind][count]) for kind, count, _ in levels]
                name = f"{title}: {probe.replace('_', ' ')}"
                rows.append((name, f"{accuracies['accuracy']:.3f}", *cells))
    return rows


def tracking(figures):
    """Lays out an evaluation of tracking.

    Args:
        figures: Dict, what `zoo evaluate tracking --json` prints.

    Returns:
        List of str.
    """
    rows = [("", "mean overlap")]
    for title, found in _measured(figures).items():
        overlap = found["mean_overlap"]
        rows.append((title, "-" if overlap is None else f"{overlap:.3f}"))
    said = [] if figures["reason"] is None else [figures["reason"]]
    return [*columns(rows), "", f"{figures['tracks']} tracks", *said, *figures["notes"]]


def _measured(figures):
    """Dict from title to figures: the model first, then its baselines."""
    baselines = figures.get("baselines", {})
    return {figures["model"]: figures} | {
        name.replace("_", " "): found for name, found in baselines.items()
    }


def _with_error(summary):
    error = summary["standard_error"]
    return f"{summary['accuracy']:.3f}" + ("" if error is None else f"±{error:.3f}")


def _rounded(name, value):
    if name in ("psnr", "sharpness"):
        return f"{value:.2f}"
    return f"{value:.1f}" if name.endswith("per_frame") else f"{value:.4f}"
