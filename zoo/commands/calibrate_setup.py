"""Wires normal footage and what scores it into a calibration: the work behind `zoo calibrate`."""

import dataclasses
from pathlib import Path

import numpy as np

import data_pipelines
from data_pipelines.clips import given_rate
from data_pipelines.decoding import timed_frames
from zoo.commands.anomaly_setup import clip_and_scorers
from zoo.commands.console import printable
from zoo.commands.frame_clock import FrameClock
from zoo.evaluation import calibration
from zoo.evaluation.calibration import AlarmCounter
from zoo.evaluation.events import OUTAGE_SECONDS, EventSettings
from zoo.evaluation.scoring import BLOCK_PIXELS, to_unit_range
from zoo.models.weights_digest import weights_digest

_FRAMES_AT_ONCE = 16


@dataclasses.dataclass(frozen=True)
class Scoring:
    """What scores footage.

    Attributes:
        clip: `data_pipelines.ClipSpec`, what frames are brought to.
        scorer: A scorer as those of `zoo.evaluation.scoring`.
        window: Cells on a side of the windows that the score of a frame is the largest mean of.
        weights_sha256: `zoo.models.weights_digest` of the model, None where it is not known.
    """

    clip: object
    scorer: object
    window: int
    weights_sha256: str | None = None

    def settings(self, min_seconds, max_gap_seconds):
        """What an event is, but for the threshold: its windows are those of the score."""
        return EventSettings(
            high=1.0, min_seconds=min_seconds, max_gap_seconds=max_gap_seconds, window=self.window
        )


def of_model(model):
    """`Scoring` by a model of the zoo; a ValueError if it does not score."""
    clip, scorers = clip_and_scorers(model)
    window = window_cells(getattr(model, "score_window", None))
    return Scoring(clip, scorers["model"], window, weights_digest(model))


def of_export(export):
    """`Scoring` by an `exports.Export`; a ValueError if it does not score, or has no size."""
    about = export.manifest
    export.signature("step")
    if about["clip_shape"] is None:
        raise ValueError(
            "`model` must be an export that prefers a size of frame, which footage is brought to. "
            f"Received: {export.folder}, without `clip_shape` in its manifest"
        )
    clip = data_pipelines.ClipSpec(
        fps=about["fps"], size=tuple(about["clip_shape"][1:3]), channels=about["channels"]
    )
    window = about["model"]["arguments"].get("score_window")
    digest = about.get("weights_sha256")
    return Scoring(clip, ExportScorer(export), window_cells(window), digest)


def window_cells(pixels):
    """Cells on a side of a score's window of so many pixels; None is that of most models."""
    return max(1, (pixels or 2 * BLOCK_PIXELS) // BLOCK_PIXELS)


class ExportScorer:
    """Scores videos by the signature `step` of an export, as those of `zoo.evaluation.scoring`.

    Args:
        export: `exports.Export`.
    """

    def __init__(self, export):
        self.export = export
        self.warm_up = export.manifest["warm_up"]
        self._state = None

    def begin(self):
        """Forgets the video before."""
        self._state = None

    def advance(self, clip):
        """Scores the next frames of the video.

        Args:
            clip: float32 `(frames, height, width, channels)` in [0, 1], made of bytes.

        Returns:
            Dict of float32 arrays: `score` `(frames,)` and `score_map` `(frames, height', width')`.
        """
        frames = np.rint(clip * np.float32(255)).astype(np.uint8)
        if self._state is None:
            self._state = self.export.initial_state(1, *frames.shape[1:3])
        found = {"score": [], "score_map": []}
        for frame in frames:
            outputs = self.export.step(frame[None], self._state)
            self._state = outputs["state"]
            for name, held in found.items():
                held.append(outputs[name][0])
        return {name: np.stack(held) for name, held in found.items()}


def calibrate(scoring, data, settings, false_alarms_per_hour, *, split=None, seed=0, report=None):
    """Chooses thresholds on normal footage: for all cameras, for each, and by hour of the day.

    Args:
        scoring: `Scoring`.
        data: Path of the footage, or a `data_pipelines.Source`.
        settings: `EventSettings` whose threshold is left open.
        false_alarms_per_hour: float above 0, of one camera.
        split: "train", "test", or None for the training part where there is one, else for all.
        seed: int, of the intervals.
        report: Function of (number, videos, name), called before each video, or None.

    Returns:
        Dict of JSON values: what `calibration.to_dict` gives, of all cameras; `hours`, a dict of
        the same by hour of the clock, "0" to "23", or of `refused`, the reason, with no hour where
        no video tells when it began; `cameras`, a dict by camera of the same with its `hours`, or
        of `refused`; `weights_sha256`, of the model; `data`, `seed`, `frames_per_second_of_video`
        and `frame`, what a frame is brought to.

    Raises:
        ValueError: If the footage is too short or is known to be abnormal, or an argument breaks
            its rule.
    """
    clip, scorer = scoring.clip, scoring.scorer
    source = data_pipelines.open_source(data)
    if split is None and "train" in source.splits:
        split = "train"
    source = data_pipelines.open_source(source, split=split)
    _check(source, clip, false_alarms_per_hour)
    counters = {}
    for number, video in enumerate(source.videos, 1):
        if report:
            report(number, len(source.videos), printable(video.name))
        scorer.begin()
        counter = counters.setdefault(video.group or video.name, AlarmCounter(settings))
        counter.add(timed_maps(video, clip, scorer), scorer.warm_up, video.start_hour())

    def chosen(counter):
        threshold = calibration.choose(counter, false_alarms_per_hour, seed)
        return calibration.to_dict(threshold, settings, counter.score_rows)

    def chosen_or_refused(counter):
        try:
            return chosen(counter)
        except ValueError as error:
            return {"refused": str(error)}

    def hours(counter):
        by_hour = {hour: counter.of_hour(hour) for hour in counter.hours_of_day}
        return {"hours": {str(hour): chosen_or_refused(of) for hour, of in by_hour.items()}}

    together = AlarmCounter.merged(list(counters.values()))
    return {
        **chosen(together),
        **hours(together),
        "cameras": {
            camera: chosen_or_refused(counter) | hours(counter)
            for camera, counter in counters.items()
        },
        "weights_sha256": scoring.weights_sha256,
        "data": Path(source.path).name,
        "seed": seed,
        "frames_per_second_of_video": clip.fps,
        "frame": [*clip.size, clip.channels],
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


def timed_maps(video, clip, scorer):
    """Gives the score maps of a video, each with the seconds since its beginning.

    Times are those of `FrameClock`, and what comes after a gap is scored as another video is, both
    as `zoo watch` has it.

    Args:
        video: `data_pipelines.Video`.
        clip, scorer: As of `Scoring`; the scorer has forgotten the video before.

    Yields:
        `(time_sec, score_map)`.
    """
    clock = FrameClock(given_rate(video.fps, clip.fps))
    times, frames = [], []

    def scored():
        if frames:
            maps = scorer.advance(to_unit_range(np.stack(frames)))["score_map"]
            yield from zip(times[-len(frames) :], maps, strict=True)
            frames.clear()
            del times[:-1]

    for said_sec, frame in timed_frames(video, clip):
        time_sec = clock.seconds(said_sec)
        if times and not 0 <= time_sec - times[-1] <= OUTAGE_SECONDS:
            yield from scored()
            scorer.begin()
        times.append(time_sec)
        frames.append(frame)
        if len(frames) == _FRAMES_AT_ONCE:
            yield from scored()
    yield from scored()
