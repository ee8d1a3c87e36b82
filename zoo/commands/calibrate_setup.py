"""Wires normal footage and model into a calibration: the work behind `zoo calibrate`."""

import itertools
from pathlib import Path

import numpy as np

import data_pipelines
from data_pipelines.clips import given_rate
from zoo.commands.anomaly_setup import clip_and_scorers
from zoo.commands.console import printable
from zoo.evaluation import calibration
from zoo.evaluation.calibration import AlarmCounter
from zoo.evaluation.events import EventSettings
from zoo.evaluation.scoring import BLOCK_PIXELS, to_unit_range

FILE = "calibration.json"


def settings_of(model, min_seconds, max_gap_seconds):
    """What an event of a model is, but for the threshold: its windows are those of its score."""
    return EventSettings(
        high=1.0,
        min_seconds=min_seconds,
        max_gap_seconds=max_gap_seconds,
        window=max(1, getattr(model, "score_window", 2 * BLOCK_PIXELS) // BLOCK_PIXELS),
    )


def calibrate_model(model, data, settings, false_alarms_per_hour, *, split=None, seed=0,
                    report=None):
    """Chooses thresholds on normal footage, for all cameras and for each.

    Args:
        model: Model of the zoo with the verb `step`.
        data: Path of the footage, or a `data_pipelines.Source`.
        settings: `EventSettings` whose threshold is left open.
        false_alarms_per_hour: float above 0, of one camera.
        split: "train", "test", or None for the training part where there is one, else for all.
        seed: int, of the intervals.
        report: Function of (number, videos, name), called before each video, or None.

    Returns:
        Dict of JSON values: what `calibration.to_dict` gives, of all cameras, and `cameras`, a dict
        of the same by camera, or of `refused`, the reason; `data`, `seed`,
        `frames_per_second_of_video` and `frame`, what a frame is brought to.

    Raises:
        ValueError: If the model does not score, the footage is too short or is known to be
            abnormal, or an argument breaks its rule.
    """
    clip, scorers = clip_and_scorers(model)
    source = data_pipelines.open_source(data)
    if split is None and "train" in source.splits:
        split = "train"
    source = data_pipelines.open_source(source, split=split)
    _check(source, clip, false_alarms_per_hour)
    counters, scorer = {}, scorers["model"]
    for number, video in enumerate(source.videos, 1):
        if report:
            report(number, len(source.videos), printable(video.name))
        scorer.begin()
        counter = counters.setdefault(video.group or video.name, AlarmCounter(settings))
        counter.add(_timed_maps(video, clip, scorer), warm_up=scorer.warm_up)
    found = {}
    for camera, counter in counters.items():
        try:
            threshold = calibration.choose(counter, false_alarms_per_hour, seed)
            found[camera] = calibration.to_dict(threshold, settings)
        except ValueError as error:
            found[camera] = {"refused": str(error)}
    together = AlarmCounter.merged(list(counters.values()))
    threshold = calibration.choose(together, false_alarms_per_hour, seed)
    return {
        **calibration.to_dict(threshold, settings),
        "cameras": found,
        "data": Path(source.path).name,
        "seed": seed,
        "frames_per_second_of_video": model.fps,
        "frame": list(model.clip_shape[1:]),
    }


def _check(source, clip, false_alarms_per_hour):
    """Says what is wrong with the footage before hours of it are scored."""
    seconds = 0.0
    for video in source.videos:
        labels = video.frame_labels()
        if labels is not None and np.any(labels):
            raise ValueError(
                "`data` must be footage in which all is normal. Received: "
                f"{printable(video.name)}, with {np.sum(labels)} abnormal frames"
            )
        rate = given_rate(video.fps, clip.fps)
        if seconds is not None:
            known = video.num_frames is not None
            seconds = seconds + video.length_at(clip.fps) / rate if known else None
    if seconds is not None:
        calibration.check_hours(seconds / 3600, false_alarms_per_hour)


def _timed_maps(video, clip, scorer):
    """Gives the score maps of a video, each with the seconds since its beginning."""
    rate, count = given_rate(video.fps, clip.fps), itertools.count()
    for chunk in data_pipelines.chunks(video, clip):
        for score_map in scorer.advance(to_unit_range(chunk))["score_map"]:
            yield next(count) / rate, score_map
