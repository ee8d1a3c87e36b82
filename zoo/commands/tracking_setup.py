"""Wires footage with exact tracks and model into an evaluation of tracking by descriptors."""

import time
from pathlib import Path

import numpy as np

import data_pipelines
from data_pipelines.clips import frame_indices
from zoo.commands.anomaly_setup import open_part
from zoo.commands.card_setup import notes
from zoo.commands.detection_setup import boxes_in_frame
from zoo.commands.labelled_setup import RANDOM_SEEDS, graph_of
from zoo.commands.representation_setup import fresh
from zoo.evaluation.detection import MIN_PIXELS
from zoo.evaluation.scoring import to_unit_range
from zoo.evaluation.tracking import MIN_FRAMES, Carrier, Overlaps, is_inside, pixel_grid

# Frames that go through an encoder at once, and those before them that it is given with them.
PIECE_FRAMES, CONTEXT_FRAMES = 32, 16

NOTE = (
    "The box of each track, given in the first frame in which it does not touch the border, is "
    "carried on by nearest descriptors; its overlap with the true box (intersection over union) is "
    f"averaged over the later frames that show it, at least {MIN_FRAMES}, then over tracks. "
    "left_in_place is the given box itself."
)


def open_tracked(data, split=None):
    """Opens footage with exact tracks: its test part where it has one.

    Raises:
        ValueError: If a video has no tracks.
    """
    source = open_part(data, split)
    without = [video.name for video in source.videos if _rows(video) is None]
    if without:
        raise ValueError(
            "`data` must come with tracks, as the test videos of `synthetic_cctv` do. Received: "
            f"{data}, of kind {source.kind}, in which {len(without)} of {len(source.videos)} "
            f"videos have none, {without[0]} among them"
        )
    return source


def evaluate_model(model, source, report=None):
    """Measures tracking by the descriptors of a model, of random weights, and by raw pixels.

    Args:
        model: Model of the zoo with the verb `features`.
        source: `data_pipelines.Source`, of `open_tracked`.
        report: Function of (number, videos, name), called before each video, or None.

    Returns:
        Dict of JSON values: `mean_overlap`, in `baselines` too, None without any track, and then
        `reason` says so.

    Raises:
        NotImplementedError: If the model does not answer `features`.
    """
    began = time.monotonic()
    clip = data_pipelines.ClipSpec(
        fps=model.fps, size=tuple(model.clip_shape[1:3]), channels=model.channels
    )
    models = {"model": model} | {f"random_{seed}": fresh(model, seed) for seed in RANDOM_SEEDS}
    graphs = {name: graph_of(found, "features") for name, found in models.items()}
    measured = {name: Overlaps() for name in [*graphs, "raw_pixels", "left_in_place"]}
    grid = None
    for number, video in enumerate(source.videos, 1):
        if report:
            report(number, len(source.videos), video.name)
        grid = _measure(video, clip, graphs, measured)
    means = {name: found.mean for name, found in measured.items()}
    random = [means[f"random_{seed}"] for seed in RANDOM_SEEDS]
    tracks = len(measured["model"].means)
    baselines = {
        "random_weights": {
            "mean_overlap": float(np.mean(random)) if tracks else None,
            "by_seed": random,
            "seeds": list(RANDOM_SEEDS),
        },
        **{name: {"mean_overlap": means[name]} for name in ("raw_pixels", "left_in_place")},
    }
    return {
        "data": Path(source.path).name,
        "kind": source.kind,
        "mean_overlap": means["model"],
        "baselines": baselines,
        "tracks": tracks,
        "reason": None if tracks else f"no track is seen for more than {MIN_FRAMES} frames",
        "frame": list(model.clip_shape[1:]),
        "grid": grid,
        "frames_per_second_of_video": model.fps,
        "seconds": round(time.monotonic() - began, 2),
        "notes": [NOTE, *notes(source)],
    }


def _measure(video, clip, graphs, measured):
    """Adds one video to `measured`; returns `[height', width']` of the grid."""
    rows, size = _rows(video), next(iter(video.frames())).shape[:2]
    last = dict(zip(rows["track"].tolist(), rows["frame"].tolist()))
    indices = frame_indices(len(video.frame_labels()), video.fps, clip)
    carriers = {name: Carrier(size) for name in measured if name != "left_in_place"}
    given = {}
    for index, grids in zip(indices.tolist(), _grids(video, clip, graphs)):
        boxes = boxes_in_frame(rows, index)
        new = {t: box for t, box in boxes.items() if t not in given and is_inside(box, size)}
        later = {track: box for track, box in boxes.items() if track not in new}
        for name, carrier in carriers.items():
            measured[name].update(carrier.update(grids[name], new), later)
        measured["left_in_place"].update(given, later)
        given |= new
        for track in [track for track in given if last[track] <= index]:
            for carrier in carriers.values():
                carrier.drop(track)
    for found in measured.values():
        found.end()
    return list(grids["model"].shape[:2])


def _grids(video, clip, graphs):
    """Yields, for each frame, a dict from name to its descriptor grid."""
    before = None
    for chunk in data_pipelines.chunks(video, clip, PIECE_FRAMES):
        piece = chunk if before is None else np.concatenate([before, chunk])
        found = {name: graph(piece[None])[0].numpy() for name, graph in graphs.items()}
        found["raw_pixels"] = pixel_grid(to_unit_range(piece), found["model"].shape[1:3])
        for place in range(len(piece) - len(chunk), len(piece)):
            # A grid may have fewer moments than the piece has frames.
            yield {name: grid[place * len(grid) // len(piece)] for name, grid in found.items()}
        before = piece[-CONTEXT_FRAMES:]


def _rows(video):
    rows = video.tracks() if hasattr(video, "tracks") else None
    return None if rows is None else rows[rows["pixels"] >= MIN_PIXELS]
