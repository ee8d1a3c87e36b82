"""What `zoo watch` scores with: a preset, a run or an export, and what makes its scores events."""

import dataclasses
from pathlib import Path

from zoo.commands import calibrate_setup
from zoo.commands.detection_setup import read_settings
from zoo.evaluation.events import EventSettings
from zoo.training.whole_files import read_json

EXPORT_FORMAT = 1

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
    """

    model: object
    fps: float
    size: tuple
    channels: int
    score_window: int
    calibration: Path | None


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

    folder, export = Path(name), None
    if folder.is_dir() and not (folder / "config.json").is_file():
        export, beside = _open_export(folder)
        about = export.manifest
        window = about["model"]["arguments"].get("score_window")
        fps, shape, model = about["fps"], about["clip_shape"], export
    else:
        beside = folder / calibrate_setup.FILE
        model = zoo.load(str(name))
        window = getattr(model, "score_window", None)
        fps, shape = model.fps, model.clip_shape
    if not fps or not shape:
        raise ValueError(
            "`name` must be a model that says which frames it takes, `clip_shape` and `fps`. "
            f"Received: {name}, of clip_shape={shape} and fps={fps}"
        )
    return Watched(
        model, fps, tuple(shape[1:3]), shape[3], window,
        beside if beside.is_file() else None,
    )  # fmt: skip


def _open_export(folder):
    import exports
    from exports import manifest, saved_model

    found = saved_model.locate(folder)
    written = manifest.read(found).get("format")
    if written != EXPORT_FORMAT:
        raise ValueError(
            f"`name` must be an export of format {EXPORT_FORMAT}, which this version reads; it is "
            f"to be exported again. Received: {found}, of format {written}"
        )
    manifest.check_files(found)
    return exports.load(found), found / manifest.EXTRA / calibrate_setup.FILE


class Thresholds:
    """What an event of each camera is.

    Args:
        everywhere: `EventSettings` of cameras that have none of their own.
        cameras: Dict from names of cameras to theirs.
    """

    def __init__(self, everywhere, cameras=()):
        self._everywhere, self._cameras = everywhere, dict(cameras)

    def of(self, names):
        """The settings of a camera.

        Args:
            names: What it may be called, in the order in which they count.

        Returns:
            `EventSettings`.
        """
        own = (self._cameras[name] for name in names if name in self._cameras)
        return next(own, self._everywhere)


def thresholds(watched, name, calibration=None, threshold=None):
    """What an event is: by a calibration, or from a threshold on.

    Args:
        watched: `Watched`.
        name: How it was called.
        calibration: Path of what `zoo calibrate` wrote; None for that beside the run or in the
            export.
        threshold: float above 0, in place of a calibration; or None.

    Returns:
        `Thresholds`.

    Raises:
        ValueError: If there is neither, both are given, or the calibration is of another model.
    """
    if threshold is not None:
        if calibration is not None:
            raise ValueError(
                "`threshold` must not be given beside --calibration, which has one. Received: "
                f"threshold={threshold}"
            )
        try:
            window = calibrate_setup.window_cells(watched.score_window)
            return Thresholds(EventSettings(threshold, window=window))
        except ValueError:
            raise ValueError(f"`threshold` must be above 0. Received: {threshold}") from None
    path = calibration or watched.calibration
    if path is None:
        raise ValueError(
            f"`name` must be calibrated, or a threshold be given. Received: {name}, which has no "
            f"{calibrate_setup.FILE}. Either --calibration FILE, which is written from normal "
            f"footage by `zoo calibrate {name} --data NORMAL --false-alarms-per-hour 1 --out "
            "FILE`, or --threshold X"
        )
    everywhere, found = read_settings(path), read_json(path)
    for what, of_model in (
        ("frames_per_second_of_video", watched.fps),
        ("frame", [*watched.size, watched.channels]),
    ):
        if found.get(what, of_model) != of_model:
            raise ValueError(
                f"`calibration` must be of this model, whose {what} is {of_model}. Received: "
                f"{path}, of {found[what]}"
            )
    # Of a camera with too little footage there is only a refusal; that of all counts for it.
    cameras = {
        camera: EventSettings.from_dict(of["events"])
        for camera, of in found.get("cameras", {}).items() if "events" in of
    }  # fmt: skip
    return Thresholds(everywhere, cameras)
