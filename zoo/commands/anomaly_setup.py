"""Wires footage, model and protocols into an anomaly evaluation: the command and the quickstart."""

import csv
import dataclasses
import io
import logging
import time
from pathlib import Path

import numpy as np

import data_pipelines
from data_pipelines.clips import frame_indices
from zoo.commands.card_setup import notes
from zoo.evaluation.anomaly import ScoredVideo, evaluate
from zoo.evaluation.scoring import CopyLastFrame, MeanFrame, ModelScorer, score_together
from zoo.training.whole_files import write_whole

_LOG = logging.getLogger(__name__)

SCORE_COLUMNS = (
    "video", "frame", "label", "score_live_raw", "score_live", "frame_error", "score_literature",
)  # fmt: skip

REGULARITY = (
    "auc_regularity is of 1 - s(t), s(t) = 1 - (e(t) - min e) / max e of the frame errors of each "
    "video (Hasan et al. 2016): known only after the video has ended. Theirs are of a frame drawn "
    "again, these of the next frame as predicted, but for models that predict none."
)


@dataclasses.dataclass(frozen=True)
class Scored:
    """Every video of a source, scored by the model and by the baselines.

    Attributes:
        model: List of `ScoredVideo`.
        baselines: Dict from name to such a list.
        frames: List of int arrays: which frames of each video were scored.
        seconds: Seconds of decoding and scoring, baselines included.
    """

    model: list
    baselines: dict
    frames: list
    seconds: float

    @property
    def frames_per_second(self):
        """Frames scored in a second, decoding and baselines included."""
        return sum(map(len, self.frames)) / max(self.seconds, 1e-9)


def open_part(data, split=None):
    """Opens footage: the split asked for, or its test part where it has one."""
    source = data_pipelines.open_source(data)
    if split is None and "test" in source.splits:
        split = "test"
    return data_pipelines.open_source(source, split=split)


def open_labelled(data, split=None):
    """Opens the footage to evaluate on: its test part where it has one.

    Raises:
        ValueError: If there is no footage, no truth with it, or only one of the two classes.
    """
    source = open_part(data, split)
    without = [video.name for video in source.videos if video.frame_labels() is None]
    if without:
        raise ValueError(
            "`data` must come with the truth for every frame: the layout of UCSD with its .m "
            "file, or of `synthetic_cctv`. Without it there is no figure to compute. Received: "
            f"{data}, of kind {source.kind}, in which {len(without)} of {len(source.videos)} "
            f"videos have none, {without[0]} among them"
        )
    labels = np.concatenate([np.asarray(video.frame_labels(), bool) for video in source.videos])
    if labels.all() or not labels.any():
        # Said here, since scoring all of it first takes long.
        raise ValueError(
            "`data` must hold normal and abnormal frames, or no area under the curve exists. "
            f"Received: {data}, split {', '.join(source.splits) or 'none'}, with {labels.sum()} "
            f"abnormal frames of {len(labels)}"
        )
    return source


def score_source(model, source, report=None):
    """Scores all videos of a source in one pass over their frames.

    Frames are brought to the model's size, colour and frame rate. A video whose rate nobody knows
    is taken to be at the model's.

    Args:
        model: Model of the zoo with the verb `step`.
        source: `data_pipelines.Source` whose videos have `frame_labels()`.
        report: Function of (number, videos, name), called before each video, or None.

    Returns:
        `Scored`.

    Raises:
        ValueError: If the model does not score, or the truth does not fit a video.
    """
    clip, scorers = clip_and_scorers(model)
    videos = {name: [] for name in scorers}
    frames, began = [], time.monotonic()
    for number, video in enumerate(source.videos, 1):
        if report:
            report(number, len(source.videos), video.name)
        scored = score_together(scorers, data_pipelines.chunks(video, clip))
        indices, labels = frame_truth(video, clip, len(scored["model"]["score"]))
        frames.append(indices)
        for name, scorer in scorers.items():
            videos[name].append(
                ScoredVideo(video.name, labels, warm_up=scorer.warm_up, **scored[name])
            )
    return Scored(videos.pop("model"), videos, frames, time.monotonic() - began)


def clip_and_scorers(model):
    """What a video is brought to for a model, and what scores it: the model and the baselines.

    Args:
        model: Model of the zoo with the verb `step`.

    Returns:
        `(clip, scorers)`: `data_pipelines.ClipSpec`, and a dict from name to scorer.

    Raises:
        ValueError: If the model does not score.
    """
    if "step" not in model.verbs:
        raise ValueError(
            f"`model` must answer `step` to score video. Received: {type(model).__name__}, which "
            f"answers {', '.join(model.verbs)}"
        )
    clip = data_pipelines.ClipSpec(
        fps=model.fps, size=tuple(model.clip_shape[1:3]), channels=model.channels
    )
    # The baselines pool their error as the model does, so that only the prediction differs.
    pooling = {
        "pooling": getattr(model, "score_pooling", "max"),
        "window": getattr(model, "score_window", 16),
    }
    baselines = {"copy_last_frame": CopyLastFrame(**pooling), "mean_frame": MeanFrame(**pooling)}
    return clip, {"model": ModelScorer(model), **baselines}


def result(scored, model, source, name):
    """Puts figures, baselines and what they were measured on into one dict of JSON values.

    Raises:
        ValueError: If all frames are of one class.
    """
    return {
        "model": str(name),
        "data": Path(source.path).name,
        "kind": source.kind,
        **evaluate(scored.model, scored.baselines).to_dict(),
        "frame": list(model.clip_shape[1:]),
        "frames_per_second_of_video": model.fps,
        "precision": model.dtype_policy.name,
        "warm_up_frames": model.warm_up,
        "seconds": round(scored.seconds, 2),
        "frames_per_second": round(scored.frames_per_second, 1),
        "notes": [REGULARITY, *notes(source)],
    }


def write_scores(path, scored):
    """Writes every frame's score as CSV, whole or not at all.

    `frame` counts from 0 in the video's own frames; `label` is 1 where abnormal. `score_live_raw`
    and `frame_error` are as the model gave them, 0 where it had none yet; `score_live` and
    `score_literature` are what the areas under the curve are computed from.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(SCORE_COLUMNS)
    for video, frames in zip(scored.model, scored.frames, strict=True):
        columns = (video.score, video.live, video.frame_error, video.literature)
        for index, frame in enumerate(frames):
            # As float64 in full: rounded scores would tie, and the figures come out otherwise.
            values = [repr(float(column[index])) for column in columns]
            writer.writerow([video.name, int(frame), int(video.labels[index]), *values])
    write_whole(path, lambda aside: Path(aside).write_text(text.getvalue(), encoding="utf-8"))


def frame_truth(video, clip, count):
    """Which frames were scored, and their labels, for `count` scored frames of a video.

    Raises:
        ValueError: If the video gave more frames than there is truth for.
    """
    truth = np.asarray(video.frame_labels(), bool)
    indices = frame_indices(len(truth), video.fps, clip)
    if count > len(indices):
        raise ValueError(
            f"the truth of {video.name} must cover all of its frames. Received: truth for "
            f"{len(truth)} frames, of which {len(indices)} are scored at {clip.fps:g} frames per "
            f"second, and a video that gives {count}"
        )
    if count < len(indices):
        _LOG.warning("%s breaks off: %d of %d frames were scored", video.name, count, len(indices))
        indices = indices[:count]
    return indices, truth[indices]
