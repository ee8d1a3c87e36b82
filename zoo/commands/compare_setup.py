"""Wires several models into one evaluation, for `zoo compare`."""

import logging
import math

import data_pipelines
import zoo
from zoo.commands import anomaly_setup, labelled_setup, prediction_setup, representation_setup
from zoo.commands.console import error_line, is_expected
from zoo.evaluation import pictures

_LOG = logging.getLogger(__name__)

# Figures of the picture: from the key to what stands over it.
BARS = {"auc_live": "frame AUC, live", "auc_literature": "frame AUC, literature"}
STEPS = {
    "mse_per_frame": "squared error of a frame", "psnr": "PSNR (dB)", "ssim": "SSIM",
    "sharpness": "sharpness (dB)",
}  # fmt: skip
FEW = {"few_labels": "labelled clips of a class", "few_people": "people labelled"}


def fitting_evaluation(data):
    """The evaluation that footage has the truth for.

    Args:
        data: Path of footage.

    Returns:
        "anomaly" where every frame has its truth, "representation" where every clip has a class
        and a group, else "prediction".
    """
    source = data_pipelines.open_source(data)
    videos = [video for video in source.videos if video.split in (None, "test")] or source.videos
    if all(video.frame_labels() is not None for video in videos):
        return "anomaly"
    if all(video.label is not None and video.group is not None for video in videos):
        return "representation"
    return "prediction"


def compare(names, data, evaluation, *, lengths=None, limit=None, begin=None, report=None):
    """Measures several models on the same footage, one after the other.

    Predictions are of the same videos, as `prediction_setup.common_footage` chooses them, and of
    equal lengths, or they could not be compared: what is not given is the smallest that any of the
    models takes by itself. Of each model that was trained on some of the videos that is noted.

    Args:
        names: List of presets and run folders.
        data: Path of footage.
        evaluation: "anomaly", "prediction" or "representation".
        lengths: Dict of `context` and `steps` of a prediction, each a number or None.
        limit: Most windows of a prediction, or None.
        begin: Function of a name, called before it is measured, or None.
        report: As the evaluations take it, or None.

    Returns:
        Dict of JSON values: `evaluation`, `data`, `kind`; `models`, from name to what
        `zoo evaluate` gives, without the baselines; `baselines`, as `once` gives them;
        `not_measured`, from name to the reason; and `notes`.

    Raises:
        ValueError: If the footage cannot be used, or none of the models can be measured.
    """
    prepare = {
        "anomaly": _anomaly, "prediction": _prediction, "representation": _representation
    }[evaluation]  # fmt: skip
    options = {"lengths": lengths or {}, "limit": limit, "report": report}
    measure = prepare(data, names, options)
    models, reasons = {}, {}
    for name in names:
        if begin:
            begin(name)
        try:
            models[str(name)] = measure(name)
        except Exception as error:
            # What one model cannot do does not cost the figures of the others.
            if not (isinstance(error, NotImplementedError) or is_expected(error)):
                raise
            reasons[str(name)] = error_line(error)
    if not models:
        name, reason = next(iter(reasons.items()))
        raise ValueError(f"none of the models can be measured; {name}: {reason}")
    some = next(iter(models.values()))
    return {
        "evaluation": evaluation,
        "data": some["data"],
        "kind": some["kind"],
        "baselines": once({name: found.pop("baselines") for name, found in models.items()}),
        "models": models,
        "not_measured": reasons,
        "notes": _notes(models),
    }


def once(baselines):
    """Puts the baselines of several models together, those that are equal only once.

    Args:
        baselines: Dict from the name of a model to a dict from baseline to its figures.

    Returns:
        Dict from the name of the baseline to its figures. Where a model has other figures for
        it, they stand there as well, as `BASELINE (MODEL)`.

    Example:

    >>> once({"a": {"copy": 1, "mean": 2}, "b": {"copy": 1, "mean": 3}})
    {'copy': 1, 'mean': 2, 'mean (b)': 3}
    """
    found, seen = {}, {}
    for model, own in baselines.items():
        for name, figures in own.items():
            before = seen.setdefault(name, [])
            if not any(_equal(figures, other) for other in before):
                found[f"{name} ({model})" if before else name] = figures
                before.append(figures)
    return found


def draw(path, compared):
    """Draws a comparison as PNG.

    Args:
        path: File to write, or a binary file object.
        compared: Dict, what `compare` returns.
    """
    kind = compared["evaluation"]
    found = {**compared["models"], **compared["baselines"]}
    baselines = set(compared["baselines"])
    title = f"{kind} on {compared['data']}"
    if kind == "anomaly":
        pictures.draw_bars(
            path,
            {over: {name: own[key] for name, own in found.items()} for key, over in BARS.items()},
            baselines=baselines,
            title=title,
        )
        return
    if kind == "prediction":
        panels = [
            pictures.Panel(
                over, "frames ahead",
                {name: _points(own["per_step"][key]) for name, own in found.items()},
                log=key == "mse_per_frame",
            )
            for key, over in STEPS.items()
        ]  # fmt: skip
    else:
        probes = {name: own.get("encode", own)["linear_probe"] for name, own in found.items()}
        panels = [
            pictures.Panel(
                "accuracy of a linear probe", label,
                {name: _few_points(probe, level) for name, probe in probes.items()},
            )
            for level, label in FEW.items()
        ]  # fmt: skip
    pictures.draw_lines(path, panels, baselines=baselines, title=title)


def _anomaly(data, names, options):
    source = anomaly_setup.open_labelled(data)

    def measure(name):
        model = zoo.load(name)
        scored = anomaly_setup.score_source(model, source, options["report"])
        return anomaly_setup.result(scored, model, source, name)

    return measure


def _prediction(data, names, options):
    lengths = _common_lengths(names, **options["lengths"])
    # Of the same videos for all, or a model would be better by having easier ones.
    source, split = prediction_setup.common_footage(data, names)

    def measure(name):
        model = zoo.load(name)
        context, steps = lengths
        asked = {"context": context, "limit": options["limit"]}
        figures = prediction_setup.evaluate_model(
            model, source, steps=steps, report=options["report"], **asked
        )
        return prediction_setup.result(figures, model, source, name, split, **asked)

    return measure


def _common_lengths(names, context=None, steps=None):
    """The smallest number of frames shown, and of frames predicted, that any model would take."""
    found = []
    for name in names:
        try:
            model = zoo.load(name)
        except (ValueError, OSError):
            _LOG.debug("%s cannot be loaded, which is said when it is measured", name)
            continue
        # One that does not predict does not shorten what the others are measured on.
        if "rollout" in model.verbs:
            found.append(prediction_setup.lengths(model, context, steps))
    return tuple(min(part) for part in zip(*found, strict=True)) if found else (context, steps)


def _representation(data, names, options):
    source, known = labelled_setup.open_labelled(data), {}

    def measure(name):
        model = zoo.load(name)
        figures = representation_setup.evaluate_model(
            model, source, report=options["report"], known=known
        )
        return representation_setup.result(figures, model, source, name)

    return measure


def _notes(models):
    """What is said of all models once, of one alone under its name."""
    settings = {
        (tuple(found.get("frame", ())), found.get("frames_per_second_of_video"))
        for found in models.values()
    }
    said = [
        "Frames are of another size or rate for some of the models: compare each of them with "
        "its own baselines alone."
    ]
    said = said if len(settings) > 1 else []
    for name, found in models.items():
        for note in found["notes"]:
            by_all = all(note in other["notes"] for other in models.values())
            said.append(note if by_all else f"{name}: {note}")
    return list(dict.fromkeys(said))


def _equal(one, other):
    """Whether figures are equal but for the rounding of sums."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6)
    return one == other


def _points(values):
    return [(str(step), value, None) for step, value in enumerate(values, 1)]


def _few_points(probe, level):
    points = [
        (count, found["accuracy"], found["standard_error"])
        for count, found in probe[level].items()
    ]
    return [*points, ("all", probe["accuracy"], None)]
