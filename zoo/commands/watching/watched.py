"""What `zoo watch` scores with: a preset, a run or an export, and what makes its scores events."""

import dataclasses
from pathlib import Path

from zoo.commands import calibrate_setup
from zoo.commands.calibrate import FILE
from zoo.commands.detection_setup import read_calibration
from zoo.evaluation.calibration import FEWEST_EVENTS, check_weights, entry_for, settings_for
from zoo.evaluation.drift import DriftWatch
from zoo.evaluation.events import EventSettings
from zoo.evaluation.rolling_calibration import RollingCalibration
from zoo.models.weights_digest import weights_digest

# Of live footage, by which a threshold is calibrated anew: half a day, or what the rate needs.
WINDOW_HOURS = 12.0


@dataclasses.dataclass(frozen=True)
class Watched:
    """A model that scores, wherever it comes from.

    Attributes:
        model: What `zoo.evaluation.live_scoring.LiveScorer` takes.
        fps: Frames per second that it was trained at.
        size: `(height, width)` that frames are brought to.
        channels: 1 or 3.
        score_window: Pixels on a side of the window that its score is the largest mean of, or None.
        calibration: `Path` of the calibration that lies beside it, or None.
        weights_sha256: `zoo.models.weights_digest` of it, None where an export does not say.
    """

    model: object
    fps: float
    size: tuple
    channels: int
    score_window: int
    calibration: Path | None
    weights_sha256: str | None = None


def open_watched(name):
    """Opens a preset, a run folder of `zoo train` or an export.

    Args:
        name: Its name or path; of an export, that of a version or of a folder of versions.

    Returns:
        `Watched`.

    Raises:
        ValueError: If it is none of these, does not score, says no size or rate, or is an export
            whose files are not those that its manifest names.
    """
    import zoo

    folder = Path(name)
    if _is_export(folder):
        export, beside = _open_export(folder)
        about = export.manifest
        window = about["model"]["arguments"].get("score_window")
        fps, shape, model = about["fps"], about["clip_shape"], export
        digest = about.get("weights_sha256")
    else:
        beside = folder / FILE
        model = zoo.load(str(name))
        window = getattr(model, "score_window", None)
        fps, shape, digest = model.fps, model.clip_shape, weights_digest(model)
    if not fps or not shape:
        raise ValueError(
            "`name` must be a model that says which frames it takes, `clip_shape` and `fps`. "
            f"Received: {name}, of clip_shape={shape} and fps={fps}"
        )
    return Watched(
        model, fps, tuple(shape[1:3]), shape[3], window,
        beside if beside.is_file() else None, digest,
    )  # fmt: skip


def _is_export(folder):
    return folder.is_dir() and not (folder / "config.json").is_file()


def _open_export(folder):
    import exports
    from exports import manifest, saved_model

    found = saved_model.locate(folder)
    manifest.check_files(found)
    return exports.load(found), found / manifest.EXTRA / FILE


class Thresholds:
    """What an event of each camera is, and whether its scores are still those calibrated on.

    Args:
        calibration: Dict, the content of `calibration.json`; of a threshold by itself its `events`
            alone.
        recalibrate: Whether thresholds follow what is ordinary, in place of the hour of the day.
    """

    def __init__(self, calibration, recalibrate=False):
        self._calibration, self._recalibrate = calibration, recalibrate

    def of(self, names, wall_sec):
        """The settings of a camera at a time.

        Args:
            names: What it may be called, in the order in which they count.
            wall_sec: Seconds since 1970; None where nothing tells the hour of the day.

        Returns:
            `EventSettings`.
        """
        when = None if self._recalibrate else wall_sec
        return settings_for(self._calibration, self.camera(names), when)

    def drift(self, names):
        """`zoo.evaluation.drift.DriftWatch` of a camera, None of a threshold by itself.

        Raises:
            ValueError: If the footage of the calibration was too short to tell drift by.
        """
        entry = entry_for(self._calibration, self.camera(names))
        return DriftWatch(entry) if "false_alarms_per_hour" in entry else None

    def rolling(self, names):
        """`RollingCalibration` of a camera, None where thresholds are to stay."""
        if not self._recalibrate:
            return None
        entry = entry_for(self._calibration, self.camera(names))
        hours = max(WINDOW_HOURS, FEWEST_EVENTS / entry["false_alarms_per_hour"])
        return RollingCalibration(entry, window_hours=hours)

    def camera(self, names):
        """The first of some names that the calibration knows; None where it has that of all."""
        known = self._calibration.get("cameras", {})
        return next((name for name in names if "events" in known.get(name, {})), None)


def thresholds(watched, name, calibration=None, threshold=None, recalibrate=False):
    """What an event is: by a calibration, or from a threshold on.

    Args:
        watched: `Watched`.
        name: How it was called.
        calibration: Path of what `zoo calibrate` wrote; None for that beside the run or in the
            export.
        threshold: float above 0, in place of a calibration; or None.
        recalibrate: As of `Thresholds`.

    Returns:
        `Thresholds`.

    Raises:
        ValueError: If there is neither, the threshold is not above 0, or the calibration is of
            another model or of other weights.
    """
    if threshold is not None:
        try:
            window = calibrate_setup.window_cells(watched.score_window)
            return Thresholds({"events": EventSettings(threshold, window=window).to_dict()})
        except ValueError:
            raise ValueError(f"`threshold` must be above 0. Received: {threshold}") from None
    path = calibration or watched.calibration
    if path is None:
        # An export gets a new version, which has its own.
        file = "`" if _is_export(Path(name)) else " --out FILE` and --calibration FILE"
        raise ValueError(
            f"`name` must be calibrated, or a threshold be given. Received: {name}, which has no "
            f"{FILE}. Either, with normal footage, `zoo calibrate {name} --data NORMAL "
            f"--false-alarms-per-hour 1{file}, or --threshold X"
        )
    found = read_calibration(path)
    for what, of_model in (
        ("frames_per_second_of_video", watched.fps),
        ("frame", [*watched.size, watched.channels]),
    ):
        if found.get(what, of_model) != of_model:
            raise ValueError(
                f"`calibration` must be of this model, whose {what} is {of_model}. Received: "
                f"{path}, of {found[what]}"
            )
    check_weights(found, watched.weights_sha256, name, path)
    return Thresholds(found, recalibrate)
