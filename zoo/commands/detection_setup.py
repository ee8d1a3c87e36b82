"""Wires footage with masks, model and baselines into an evaluation of detection."""

import dataclasses
import time
from pathlib import Path

import numpy as np

import data_pipelines
from data_pipelines.clips import frame_indices, given_rate
from zoo.commands.anomaly_setup import clip_and_scorers, frame_truth, open_part
from zoo.commands.card_setup import notes
from zoo.evaluation.calibration import settings_for
from zoo.evaluation.detection import (
    EVENT_THRESHOLDS,
    MIN_PIXELS,
    DetectionMeter,
    MaskTracks,
)
from zoo.evaluation.events import EventSettings
from zoo.evaluation.scoring import BLOCK_PIXELS, to_unit_range
from zoo.training.whole_files import read_json

DEFINITIONS = (
    "pixel_auc is the area under the ROC curve over all pixels of all frames, each with the value "
    "of its cell of the score map.",
    "rbdc and tbdc are of Ramachandra and Jones 2020: detection rates of regions and of tracks, "
    "area from 0 to 1 false positive region per frame, boxes compared, intersection over union "
    "of at least 0.1, a track found by a tenth of its regions.",
)
BEST = (
    "event_precision and event_recall are at the threshold with the best F1 on these very videos: "
    "what a calibrated threshold can reach at most."
)
JOINED = "Tracks are made from the masks, by joining regions that overlap from frame to frame."
EXACT = "Tracks are exact: the footage comes with them."


def open_masked(data, split=None):
    """Opens the footage to evaluate on: its test part where it has one.

    Raises:
        ValueError: If a video has no masks.
    """
    source = open_part(data, split)
    without = [
        video.name for video in source.videos if video.masks() is None and not _is_normal(video)
    ]
    if without:
        raise ValueError(
            "`data` must come with a mask for every frame: the layout of UCSD with its folders of "
            "masks, TestNNN_gt, or of `synthetic_cctv`, or videos that are known to be normal. "
            f"Received: {data}, of kind {source.kind}, in which {len(without)} of "
            f"{len(source.videos)} videos have none, {without[0]} among them"
        )
    return source


def read_calibration(path):
    """Reads a JSON file whose `events` say what an event is, such as a calibration.

    Args:
        path: Path.

    Returns:
        Dict, of which `settings_for` gives `EventSettings`.

    Raises:
        ValueError: If there are none in the file, or one breaks its rule.
    """
    try:
        found = read_json(path)
        settings_for(found)
    except ValueError as error:
        raise ValueError(
            f"`calibration` must hold the settings of `events`. Received: {path}: {error}"
        ) from error
    return found


def evaluate_model(model, source, settings=None, report=None):
    """Measures detection by a model and by the baselines in one pass over the footage.

    Args:
        model: Model of the zoo with the verb `step`.
        source: `data_pipelines.Source`, of `open_masked`.
        settings: `EventSettings`, or None for windows as the score of the model has them, no
            smoothing over time, and the threshold with the best F1.
        report: Function of (number, videos, name), called before each video, or None.

    Returns:
        Dict of JSON values.

    Raises:
        ValueError: If the model does not score, or truth and video do not fit.
    """
    clip, scorers = clip_and_scorers(model)
    thresholds, said = EVENT_THRESHOLDS, BEST
    if settings is None:
        window = max(1, getattr(model, "score_window", 2 * BLOCK_PIXELS) // BLOCK_PIXELS)
        settings = EventSettings(high=1.0, window=window)
        kept = {name: value for name, value in settings.to_dict().items() if name != "high"}
    else:
        thresholds, kept = (settings.high,), settings.to_dict()
        said = "event_precision and event_recall are at the threshold of the calibration."
    totals = {name: DetectionMeter(settings, thresholds) for name in scorers}
    videos, ways, began = [], [], time.monotonic()
    for number, video in enumerate(source.videos, 1):
        if report:
            report(number, len(source.videos), video.name)
        meters = {
            name: DetectionMeter(settings, thresholds, scorer.warm_up)
            for name, scorer in scorers.items()
        }
        ways.append(_measure(video, clip, scorers, meters))
        for name, meter in meters.items():
            totals[name].add(meter)
        found = dataclasses.asdict(meters["model"].figures())
        # A threshold of its own for each video would tell nothing.
        videos.append(
            {"name": video.name}
            | {key: value for key, value in found.items() if not key.startswith("event_")}
        )
    figures = {name: dataclasses.asdict(total.figures()) for name, total in totals.items()}
    return {
        "data": Path(source.path).name,
        "kind": source.kind,
        **figures.pop("model"),
        "baselines": figures,
        "events": kept,
        "videos": videos,
        "frame": list(model.clip_shape[1:]),
        "frames_per_second_of_video": model.fps,
        "precision": model.dtype_policy.name,
        "warm_up_frames": model.warm_up,
        "seconds": round(time.monotonic() - began, 2),
        "notes": [*DEFINITIONS, said, *dict.fromkeys(ways), *notes(source)],
    }


def _measure(video, clip, scorers, meters):
    """Has all scorers measured on one video; returns how its tracks are known."""
    size = next(iter(video.frames())).shape[:2]
    for name, scorer in scorers.items():
        scorer.begin()
        meters[name].begin(size)
    is_exact, truth = _truth(video, clip, size)
    rate, count = given_rate(video.fps, clip.fps), 0
    for chunk in data_pipelines.chunks(video, clip):
        frames = to_unit_range(chunk)
        score_maps = {name: scorer.advance(frames)["score_map"] for name, scorer in scorers.items()}
        # More frames than truth are told below.
        for place, (mask, boxes) in zip(range(len(frames)), truth):
            for name, meter in meters.items():
                meter.update(score_maps[name][place], mask, boxes, (count + place) / rate)
        count += len(frames)
    frame_truth(video, clip, count)
    for meter in meters.values():
        meter.end()
    return EXACT if is_exact else JOINED


def _truth(video, clip, size):
    """Whether tracks are exact, and an iterator of `(mask, boxes)` of the frames to be scored."""
    rows = video.tracks() if hasattr(video, "tracks") else None
    if rows is not None:
        rows = rows[rows["abnormal"] & (rows["pixels"] >= MIN_PIXELS)]
    return rows is not None, _masks_and_boxes(video, clip, size, rows)


def _masks_and_boxes(video, clip, size, rows):
    labels = np.asarray(video.frame_labels(), bool)
    wanted = set(frame_indices(len(labels), video.fps, clip).tolist())
    masks = video.masks() or (np.zeros(size, bool) for _ in labels)
    joined = MaskTracks()
    for number, mask in enumerate(masks):
        if mask.shape != size:
            raise ValueError(
                f"the masks of {video.name} must be as large as its frames. Received: a mask of "
                f"{mask.shape[0]}x{mask.shape[1]} for frames of {size[0]}x{size[1]} pixels"
            )
        boxes = joined.update(mask) if rows is None else boxes_in_frame(rows, number)
        if number in wanted:
            yield mask, boxes


def boxes_in_frame(rows, number):
    """The boxes of one frame.

    Args:
        rows: What `tracks()` of a video gives, or some of it.
        number: Of the frame.

    Returns:
        Dict from track to `(top, left, bottom, right)`, the edges.
    """
    first, last = np.searchsorted(rows["frame"], [number, number + 1])
    found = rows[first:last]
    # The last row and column are in a box of the truth; its edges lie behind them.
    edges = (found["box"] + np.int16([0, 0, 1, 1])).tolist()
    return dict(zip(found["track"].tolist(), map(tuple, edges)))


def _is_normal(video):
    labels = video.frame_labels()
    return labels is not None and not np.any(labels)
