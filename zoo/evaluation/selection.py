"""Chooses how to score, and with which weights, on synthetic anomalies in held-out footage.

Nothing here may see a test video: what is chosen on them is no longer measured by them.
"""

import dataclasses
import logging
import statistics

import numpy as np

from zoo.evaluation.anomaly import frame_auc, live
from zoo.evaluation.scoring import (
    BLOCK_PIXELS,
    CopyLastFrame,
    ModelScorer,
    block_error,
    pool_score_map,
    to_unit_range,
)
from zoo.evaluation.synthetic_anomalies import KINDS, AlteredClip, insert_anomaly
from zoo.registry import with_scoring

POOLINGS = (("max", 8), ("max", 16), ("max", 24), ("max", 32), ("max", 48), ("mean", None))
CHUNK_FRAMES = 8


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One way of scoring, and how well it finds synthetic anomalies.

    Args:
        weights: Label of the weights.
        score_horizon: Frames ahead of the prediction that scores, None where none does.
        score_pooling: "max" or "mean".
        score_window: Side of the window of "max" in pixels, None for "mean".
        auc_live: Frame AUC under the protocol `live`, the mean over the kinds of anomaly.
        auc_by_kind: Dict from kind to its frame AUC: the altered frames of that kind against all
            frames as filmed.
        score_branch: What scores of a model that reconstructs and predicts, None of any other.
    """

    weights: str
    score_horizon: int | None
    score_pooling: str
    score_window: int | None
    auc_live: float
    auc_by_kind: dict[str, float]
    score_branch: str | None = None

    @property
    def arguments(self):
        """Dict of the model's constructor arguments that this candidate stands for."""
        names = ("score_branch", "score_horizon", "score_pooling", "score_window")
        chosen = {name: getattr(self, name) for name in names}
        return {name: value for name, value in chosen.items() if value is not None}


@dataclasses.dataclass(frozen=True)
class Trial:
    """A held-out clip as filmed, and the altered clips made of it.

    Args:
        clip: uint8 or float in [0, 1], `(frames, height, width, channels)`.
        altered: Sequence of `AlteredClip`, as many frames each.
    """

    clip: np.ndarray
    altered: tuple[AlteredClip, ...]


def make_trials(clips, seeds=(0, 1)):
    """Makes the footage to choose by: every clip with each kind of anomaly, once per seed.

    Args:
        clips: Sequence of held-out normal clips, each uint8 or float
            `(frames, height, width, channels)`.
        seeds: Integers; each gives another draw of every anomaly.

    Returns:
        List of `Trial`. A clip in which nothing moves, or which is too short, is left out with a
        warning.

    Raises:
        ValueError: If no clip can be used.
    """
    trials = []
    for number, clip in enumerate(clips):
        clip = np.asarray(clip)
        try:
            altered = [
                # Clips of the same size must not get the same patches.
                insert_anomaly(clip, kind, seed * 100_003 + number)
                for seed in seeds
                for kind in KINDS
            ]
        except ValueError as error:
            logging.getLogger(__name__).warning(
                "held-out clip %d is left out of the choice: %s", number, error
            )
            continue
        trials.append(Trial(clip, tuple(altered)))
    if not trials:
        raise ValueError(
            "`clips` must hold a clip in which something moves. Received: "
            f"{len(clips)} clips, none of which can be used"
        )
    return trials


def select(models, trials, poolings=POOLINGS, report=None):
    """Measures every candidate on altered clips.

    Args:
        models: Iterable of `(label, model)`: models with the weights to choose from. All that is
            in a model's `score_choices` is tried. Taken one at a time, so a generator may load
            them.
        trials: Sequence of `Trial`, from `make_trials`.
        poolings: Sequence of `(score_pooling, score_window)`.
        report: Function called with each `Candidate` when it is measured, or None.

    Returns:
        List of `Candidate`, best first. Equal ones keep the order in which they were tried.

    Raises:
        ValueError: If there are no models.

    Example:
        >>> best = select([("last", model)], make_trials(held_out))[0]  # doctest: +SKIP
        >>> best.arguments  # doctest: +SKIP
        {'score_horizon': 4, 'score_pooling': 'max', 'score_window': 16}
    """
    candidates = []
    for label, model in models:
        for candidate in _measure(_model_maps(model), label, trials, poolings):
            candidates.append(candidate)
            if report:
                report(candidate)
    if not candidates:
        raise ValueError("`models` must hold at least one model. Received: none")
    return sorted(candidates, key=lambda candidate: -candidate.auc_live)


def copy_last_frame(trials, poolings=POOLINGS):
    """Measures the copy of the last frame in the same way: what a model must be better than.

    Args and Returns: As for `select`; the label is "copy_last_frame" and the horizon 1.
    """

    def maps(clip):
        scorer = CopyLastFrame()
        score_map = scorer.advance(to_unit_range(clip))["score_map"]
        return {(None, 1): (score_map, scorer.warm_up)}

    measured = _measure(maps, "copy_last_frame", trials, poolings)
    return sorted(measured, key=lambda candidate: -candidate.auc_live)


def _measure(maps, label, trials, poolings):
    # Normal are all frames as filmed, the busiest too: an alarm must not be raised by any. They
    # stand in for the frames of an altered clip outside its patch, which a model still remembers.
    normal, abnormal = {}, {}
    for trial in trials:
        for way, score in _live_scores(maps, trial.clip, poolings).items():
            normal.setdefault(way, []).append(score)
        for altered in trial.altered:
            for way, score in _live_scores(maps, altered.clip, poolings).items():
                abnormal.setdefault((way, altered.kind), []).append(score[altered.labels])
    for way in normal:
        by_kind = {
            kind: _auc(normal[way], abnormal[way, kind])
            for kind in KINDS
            if (way, kind) in abnormal
        }
        branch, *way = way
        yield Candidate(label, *way, statistics.fmean(by_kind.values()), by_kind, branch)


def _auc(normal, abnormal):
    normal, abnormal = np.concatenate(normal), np.concatenate(abnormal)
    labels = np.repeat([False, True], [len(normal), len(abnormal)])
    return frame_auc(labels, np.concatenate([normal, abnormal]))


def _live_scores(maps, clip, poolings):
    """Dict from `(branch, horizon, pooling, window)` to a clip's scores by the protocol `live`."""
    return {
        (*choice, pooling, window): live(pool_score_map(score_map, pooling, window), warm_up)
        for choice, (score_map, warm_up) in maps(clip).items()
        for pooling, window in poolings
    }


def _model_maps(model):
    """Function from a clip to a dict from `(branch, horizon)` to its score map and its warm-up."""
    # What is predicted comes of one pass for all horizons, where scoring would take one for each.
    in_one_pass, scorers = {}, {}
    for choice in model.score_choices:
        branch, horizon = choice.get("score_branch"), choice.get("score_horizon")
        scoring = with_scoring(model, **choice)
        if horizon is not None and hasattr(model, "predict_ahead"):
            in_one_pass[branch, horizon] = scoring.warm_up
        else:
            scorers[branch, horizon] = ModelScorer(scoring)

    def maps(clip):
        clip = to_unit_range(clip)
        found = {}
        if in_one_pass:
            errors = _errors_ahead(model, clip)
            found = {key: (errors[key[1]], warm_up) for key, warm_up in in_one_pass.items()}
        for key, scorer in scorers.items():
            scorer.begin()
            found[key] = scorer.advance(clip)["score_map"], scorer.warm_up
        return found

    return maps


def _errors_ahead(model, clip):
    """Dict from horizon to the score map of a clip; its first frames, not predicted, have 0."""
    height, width = clip.shape[1:3]
    size = (len(clip), height // BLOCK_PIXELS, width // BLOCK_PIXELS)
    found = {ahead + 1: np.zeros(size, np.float32) for ahead in range(model.horizons)}
    state = model.initial_state(1, height, width)
    # A few frames at a time: the predictions of a whole video would not fit into memory.
    for start in range(0, len(clip), CHUNK_FRAMES):
        predicted, state = model.predict_ahead(clip[None, start : start + CHUNK_FRAMES], state)
        for horizon, score_map in found.items():
            # Those of frames after the end, maybe all of them, have nothing to be held against.
            inside = max(0, len(clip) - start - horizon)
            ahead = predicted[0, :, horizon - 1].numpy()[:inside]
            first = start + horizon
            score_map[first : first + len(ahead)] = block_error(
                clip[first : first + len(ahead)], ahead
            )
    return found
