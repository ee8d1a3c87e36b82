"""Wires labelled footage and model into an evaluation of its representation."""

import time
from pathlib import Path

import keras
import numpy as np

from exports import comparison
from zoo.commands.card_setup import notes, training_on
from zoo.commands.labelled_setup import RANDOM_SEEDS, graph_of, prepared_frames
from zoo.evaluation.representation import evaluate, split_groups
from zoo.layers import descriptor_statistics

# Frames that go through an encoder at once: any clip of an action, and a bound for longer ones.
MOST_FRAMES = 256
SAME = 1e-4


def evaluate_model(model, source, *, with_baselines=True, seed=0, report=None, known=None):
    """Measures what the embeddings of a model tell about the class of a clip, beside baselines.

    Every clip is one row: `encode` of the whole clip, and `features` pooled as
    `zoo.layers.descriptor_statistics` does. A clip of more than 256 frames is cut into parts that
    long, whose rows are averaged. Frames come at their own rate, as `zoo classify` takes them, at
    the nearest size that fits the model; its accuracy is another, since it decides by windows.

    Args:
        model: Model of the zoo with the verb `encode`.
        source: `data_pipelines.Source` whose videos have `label` and `group`.
        with_baselines: Whether to measure the baselines.
        seed: Of the draws of labelled clips.
        report: Function of (number, videos, name), called before each video, or None.
        known: Dict in which baselines of models that are set up alike are found and kept, or None.

    Returns:
        Dict of JSON values: `encode` and `features`, each as
        `zoo.evaluation.representation.evaluate` gives it; `accuracy` and `accuracy_N_people`,
        those of the linear probe on `encode`; `baselines`, from `random_weights` (the model with
        fresh weights: `encode` and `features`), `pixel_pca` and `motion_energy` to the same;
        `classes`, `clips`, `groups`, `split`, `seconds` and `notes`.

    Raises:
        NotImplementedError: If the model does not answer `encode`.
        ValueError: If labels and groups allow no split, or a clip is too short.
    """
    began = time.monotonic()
    labels = np.array([str(video.label) for video in source.videos])
    groups = np.array([str(video.group or video.name) for video in source.videos])
    # What cannot be split is said before an hour of footage is read.
    _, split = split_groups(labels, groups)
    known = {} if known is None else known
    setting = repr((type(model).__name__, sorted(_config(model).items(), key=str)))
    pixels = repr((model.stride, model.channels))
    encoders, others = {"model": model}, {}
    if with_baselines:
        if setting not in known:
            encoders |= {f"random_{seed}": fresh(model, seed) for seed in RANDOM_SEEDS}
        if pixels not in known:
            others = {
                "pixel_pca": comparison.pixel_rows, "motion_energy": comparison.motion_energy
            }  # fmt: skip
    rows = describe(source.videos, encoders, others, report)

    def measure(*found, transform=None):
        return evaluate(found, labels, groups, transform, seed=seed)

    def measure_encoders(names):
        measured = {"encode": measure(*(rows[name]["encode"] for name in names))}
        # Where they are one and the same, so are their figures.
        both = "features" in rows[names[0]]
        found = measure(*(rows[name]["features"] for name in names)) if both else None
        measured["features"] = found or measured["encode"]
        return headline(measured["encode"]) | measured

    result = measure_encoders(["model"])
    if with_baselines:
        if setting not in known:
            known[setting] = measure_encoders([f"random_{seed}" for seed in RANDOM_SEEDS])
        if pixels not in known:
            compact = comparison.same_distances(rows["pixel_pca"])
            found = {
                "pixel_pca": measure(compact, transform=comparison.pixel_pca),
                "motion_energy": measure(rows["motion_energy"]),
            }
            known[pixels] = {name: headline(part) | part for name, part in found.items()}
        random = {"random_weights": {**known[setting], "seeds": list(RANDOM_SEEDS)}}
        result["baselines"] = {**random, **known[pixels]}
    same = "features" not in rows["model"]
    said = ["Pooled `features` are the same numbers as `encode`."] if same else []
    return {
        **result,
        "classes": sorted(set(labels.tolist())),
        "clips": len(labels),
        "groups": len(set(groups.tolist())),
        "split": split,
        "seed": seed,
        "seconds": round(time.monotonic() - began, 1),
        "notes": said,
    }


def result(figures, model, source, name, run=None):
    """Puts figures and what they were measured on into one dict of JSON values.

    `run` is the run folder of the weights, where a preset has no card yet that tells of them.
    """
    said = []
    trained_on = set(training_on(run or name, source).get("train_videos", ()))
    if seen := sum(video.name in trained_on for video in source.videos):
        how, therefore = (
            ("with the classes of", "it is no test of what is learnt without labels")
            if getattr(model, "labels", ())
            else ("without classes on", "an encoder that has not seen the clips may do worse")
        )
        said.append(
            f"The encoder was trained {how} these videos, on {seen} of the "
            f"{len(source.videos)}: {therefore}."
        )
    if source.kind in model.found_on:
        said.append(
            f"Part of {type(model).__name__} was found by trial on this footage: compare it with "
            "its own random weights, which gain by it too."
        )
    return {
        "model": str(name),
        "data": Path(source.path).name,
        "kind": source.kind,
        **figures,
        "embedding_dim": model.embedding_dim,
        "notes": figures["notes"] + said + notes(source),
    }


def headline(probes):
    """What of the figures of one descriptor is told first: a dict of numbers."""
    probe = probes["linear_probe"]
    return {"accuracy": probe["accuracy"]} | {
        f"accuracy_{count}_people": found["accuracy"]
        for count, found in probe["few_people"].items()
    }


def fresh(model, seed):
    """The same model with weights drawn anew.

    Args:
        model: Model of the zoo.
        seed: Of the weights.

    Returns:
        A built model of the same class and arguments.
    """
    keras.utils.set_random_seed(seed)
    other = type(model).from_config(model.get_config())
    other.ensure_built()
    return other


def describe(videos, encoders, others, report=None):
    """Sends every clip through every encoder once.

    Args:
        videos: List of `data_pipelines.Video`.
        encoders: Dict from name to model, all of one stride and number of channels.
        others: Dict from name to function of a list of uint8 clips to rows.
        report: As for `evaluate_model`.

    Returns:
        Dict from the name of an encoder to a dict of `encode` and `features`, float arrays
        (clips, dim), without `features` where the two are the same numbers; and from the name of
        each of `others` to its array.

    Raises:
        ValueError: If a clip is too short.
    """
    first = next(iter(encoders.values()))
    parts = {name: {"encode": [], "features": []} for name in encoders}
    flat = {name: [] for name in others}
    with_features = "features" in first.verbs
    graphs = {
        name: {verb: graph_of(encoder, verb) for verb in ("encode", "features")}
        for name, encoder in encoders.items()
    }
    for number, video in enumerate(videos):
        if report:
            report(number + 1, len(videos), video.name)
        try:
            frames = list(prepared_frames(video, first.stride, first.channels))
            if len(frames) < first.min_frames:
                raise ValueError(
                    f"`clip` must have at least {first.min_frames} frames. Received: {len(frames)}"
                )
            clip = np.stack(frames)
            for name, verbs in graphs.items():
                for kind, row in _rows(verbs, clip, first.min_frames, with_features).items():
                    parts[name][kind].append(row)
            for name, describer in others.items():
                flat[name].append(describer([clip])[0])
        except ValueError as error:
            raise ValueError(f"{video.name}: {error}") from error
        if not number and with_features:
            # Half of the work saved: of most models the one is the other.
            encode, features = (parts[next(iter(encoders))][kind][0] for kind in parts["model"])
            if encode.shape == features.shape and np.allclose(encode, features, SAME, SAME):
                with_features = False
    described = {
        name: {kind: np.stack(found) for kind, found in kinds.items() if len(found) == len(videos)}
        for name, kinds in parts.items()
    }
    return described | {name: np.stack(found) for name, found in flat.items()}


def pool_features(grid):
    """One row of a descriptor grid `(1, time', height', width', depth)`: float32 `(dim,)`."""
    if grid.shape[1] > 1:
        return descriptor_statistics(grid)[0].numpy()
    # A single moment has neither spread nor change.
    grid = np.asarray(grid, np.float32)[0, 0]
    return np.concatenate([grid.mean(axis=(0, 1)), grid.max(axis=(0, 1))])


def _rows(verbs, clip, min_frames, with_features):
    """Dict of `encode` and `features`: each the mean over parts, weighed by their frames."""
    found, weights = {}, []
    for part in _parts(clip, min_frames):
        weights.append(len(part))
        found.setdefault("encode", []).append(verbs["encode"](part[None])[0].numpy())
        if with_features:
            found.setdefault("features", []).append(pool_features(verbs["features"](part[None])))
    return {kind: np.average(rows, axis=0, weights=weights) for kind, rows in found.items()}


def _parts(clip, min_frames):
    starts = list(range(0, len(clip), MOST_FRAMES))
    # A rest too short for the model stays with the part before it.
    if len(starts) > 1 and len(clip) - starts[-1] < min_frames:
        starts.pop()
    return [clip[start:stop] for start, stop in zip(starts, [*starts[1:], len(clip)])]


def _config(model):
    # What has no part in fresh weights or in what they make of a clip.
    return {k: v for k, v in model.get_config().items() if k not in ("name", "trainable")}
