"""Wires footage and model into an evaluation of prediction, for `zoo evaluate` and `compare`."""

import itertools
import time
from pathlib import Path

import numpy as np

import data_pipelines
from data_pipelines.clips import windows
from data_pipelines.decoding import prepared_frames
from zoo.commands.card_setup import notes, training_on
from zoo.evaluation.prediction import evaluate

BATCH = 8  # windows that are predicted at once: enough to fill two cores
SAMPLES = 4  # futures drawn of each window, of a model that draws
HELD_OUT = "held_out"


def open_footage(data, name, split=None):
    """Opens the footage to predict: what the model was not trained on, where that is known.

    Args:
        data: Path of footage.
        name: Preset or run folder.
        split: "train", "test" or "held_out" (the videos that the training of `name` held out);
            None takes test where there is one, else held_out where `data` is what the model was
            trained on, else everything.

    Returns:
        `(source, split)`: `data_pipelines.Source` and the split taken, "all" for everything.

    Raises:
        ValueError: If there is no footage, or no such split.
    """
    source = data_pipelines.open_source(data)
    record = training_on(name, source)
    held_out = set(record.get("held_out_videos", ()))
    if split is None:
        split = "test" if "test" in source.splits else HELD_OUT if held_out else None
    if split != HELD_OUT:
        return data_pipelines.open_source(source, split=split), split or "all"
    if not held_out:
        raise ValueError(
            "`split` can be held_out only for a model on the footage that it was trained on, of "
            f"which it held some out. Received: {name} on {data}"
        )
    return source.subset([v for v in source.videos if v.name in held_out]), split


def common_footage(data, names):
    """Opens the footage to predict with several models: the same videos for each of them.

    Args:
        data: Path of footage.
        names: List of presets and run folders.

    Returns:
        As `open_footage`: test where there is one; else what every model that was trained on
        `data` held out, where they have some in common; else everything.

    Raises:
        ValueError: If there is no footage.
    """
    source = data_pipelines.open_source(data)
    if "test" in source.splits:
        return data_pipelines.open_source(source, split="test"), "test"
    records = [record for name in names if (record := training_on(name, source))]
    kept = [set(record.get("held_out_videos", ())) for record in records]
    common = set.intersection(*kept) if kept else set()
    videos = [video for video in source.videos if video.name in common]
    return (source.subset(videos), HELD_OUT) if videos else (source, "all")


def lengths(model, context=None, steps=None):
    """How many frames are shown and how many predicted.

    Without `steps` it is half of the clip that the model was trained on, rounded down; without
    `context` it is the rest of that clip, but never less than half of it: 10 to 10 for a clip of
    20 frames, 10 to 20 if 20 steps are asked for.

    Args:
        model: Model of the zoo.
        context, steps: Frames, or None.

    Returns:
        `(context, steps)`.
    """
    half = max(1, model.clip_shape[0] // 2)
    steps = half if steps is None else steps
    return max(model.clip_shape[0] - steps, half) if context is None else context, steps


def draws(model, samples=None):
    """How many futures are drawn of each window: `samples`, or by default what the model allows."""
    return (SAMPLES if "sample" in model.verbs else 0) if samples is None else samples


def evaluate_model(model, source, *, context, steps, samples=0, limit=None, seed=0, report=None):
    """Measures the predictions of a model on windows of footage that do not overlap.

    Frames are brought to the model's size, colour and frame rate. Memory does not grow with the
    footage.

    Args:
        model: Model of the zoo with the verb `rollout`, and `sample` where `samples` is not 0.
        source: `data_pipelines.Source`.
        context, steps: Frames shown and predicted in each window.
        samples: Draws of each window.
        limit: Most windows, shared evenly among the videos and taken from their starts; None
            takes all.
        seed: Of the draws.
        report: Function of (number, videos, name), called before each video, or None.

    Returns:
        Dict, as `zoo.evaluation.prediction.evaluate` gives it, and `seconds`.

    Raises:
        NotImplementedError: If the model does not answer a verb; the models that do are named.
        ValueError: If no video is as long as a window.
    """
    clip = data_pipelines.ClipSpec(
        frames=context + steps,
        fps=model.fps,
        size=tuple(model.clip_shape[1:3]),
        channels=model.channels,
    )
    began = time.monotonic()
    batches = window_batches(source, clip, limit, report)
    first = next(batches, None)
    if first is None:
        raise ValueError(
            f"`data` must hold a video of at least {clip.frames} frames at {clip.fps:g} frames per "
            f"second: {context} of context and {steps} to predict. Received: {source.path}"
        )
    figures = evaluate(
        itertools.chain([first], batches),
        context,
        lambda shown, steps: model.rollout(shown, steps).numpy(),
        lambda shown, steps, seed: model.sample(shown, steps, seed).numpy(),
        samples=samples,
        seed=seed,
    )
    return {**figures, "seconds": round(time.monotonic() - began, 2)}


def window_batches(source, clip, limit=None, report=None):
    """Cuts the videos of a source into windows that follow one another.

    Args:
        source, limit, report: As for `evaluate_model`.
        clip: `data_pipelines.ClipSpec` of a window.

    Yields:
        float32 arrays `(batch, clip.frames, height, width, channels)` in [0, 1].
    """
    held, count = [], len(source.videos)
    # Evenly over all videos, also where they are more than windows are wanted.
    for number, video in enumerate(source.videos):
        share = None if limit is None else (number + 1) * limit // count - number * limit // count
        if share == 0:
            continue
        if report:
            report(number + 1, count, video.name)
        for window in itertools.islice(windows(prepared_frames(video, clip), clip), share):
            held.append(window)
            if len(held) == BATCH:
                yield _to_float(held)
                held = []
    if held:
        yield _to_float(held)


def result(
    figures, model, source, name, split, *, context, samples=0, limit=None, seed=0, run=None
):
    """Puts figures and what they were measured on into one dict of JSON values.

    `run` is the run folder of the weights, where a preset has no card yet that tells of them.
    """
    drawn = {"samples": samples, "seed": seed} if samples else {}
    trained_on = set(training_on(run or name, source).get("train_videos", ()))
    seen = sum(video.name in trained_on for video in source.videos)
    said = [f"{seen} of these videos were trained on."] if seen else []
    return {
        "model": str(name),
        "data": Path(source.path).name,
        "kind": source.kind,
        "split": split,
        "context": context,
        **figures,
        **drawn,
        "limit": limit,
        "videos": len(source.videos) if limit is None else min(limit, len(source.videos)),
        "frame": list(model.clip_shape[1:]),
        "frames_per_second_of_video": model.fps,
        "notes": said + notes(source),
    }


def _to_float(held):
    return data_pipelines.transforms.to_float(np.stack(held)).numpy()
