"""Presets, runs and exports are opened alike, and the settings of events found for each camera."""

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import pytest

import exports
import zoo
from zoo.commands.watching.watched import Thresholds, Watched, open_watched, thresholds
from zoo.evaluation import drift
from zoo.evaluation.events import EventSettings
from zoo.models.weights_digest import weights_digest

EVENTS = EventSettings(high=0.5, min_seconds=1.0)
WATCHED = Watched(None, 10.0, (32, 48), 1, 24, None)


def calibration(path, high=0.5, **more):
    events = dataclasses.replace(EVENTS, high=high).to_dict()
    path.write_text(json.dumps({"events": events, **more}))
    return path


def test_a_run_is_opened_with_the_calibration_in_it(run_folder, tmp_path):
    run = tmp_path / "mine"
    run.mkdir()
    for file in run_folder.iterdir():
        if file.is_file():
            (run / file.name).write_bytes(file.read_bytes())
    found = open_watched(str(run))
    assert type(found.model).__name__ == "ConvLSTMVAE" and found.calibration is None
    assert (found.fps, found.size, found.channels, found.score_window) == (10.0, (32, 48), 1, 16)
    path = calibration(run / "calibration.json")
    found = open_watched(str(run))
    assert found.calibration == path
    assert found.weights_sha256 == weights_digest(zoo.load(str(run)))


@pytest.mark.slow
def test_an_export_is_opened_as_it_is_in_its_manifest_or_not_at_all(run_folder, tmp_path):
    model = zoo.registry.with_scoring(zoo.load(str(run_folder)), score_window=24)

    def check(partial):
        calibration(partial / "assets.extra" / "calibration.json")
        exports.manifest.write(partial, exports.manifest.read(partial))

    version = exports.export(model, tmp_path / "gate", check=check)
    found = open_watched(str(tmp_path / "gate"))
    assert isinstance(found.model, exports.Export)
    assert dataclasses.replace(found, model=None) == dataclasses.replace(
        WATCHED, calibration=version / "assets.extra" / "calibration.json",
        weights_sha256=weights_digest(model),
    )  # fmt: skip
    assert thresholds(found, "gate").of(["gate"], 0.0).high == 0.5
    manifest = version / "assets.extra" / "manifest.json"
    content = manifest.read_text()
    manifest.write_text(content.replace('"format": 1', '"format": 2'))
    with pytest.raises(ValueError, match="must be an export of the layout 1,.* the layout 2"):
        open_watched(str(version))
    manifest.write_text(content)
    (version / "saved_model.pb").write_bytes(b"another")
    with pytest.raises(ValueError, match="files unlike its manifest's: saved_model.pb"):
        open_watched(str(version))


def test_what_does_not_say_which_frames_it_takes_is_refused(monkeypatch):
    model = zoo.load("pca", weights=None, **zoo.registry.resolve("pca").small)
    model.clip_shape = None
    monkeypatch.setattr(zoo, "load", lambda name: model)
    with pytest.raises(ValueError, match="`name` must be a model that says which frames"):
        open_watched("pca")


def test_the_settings_of_a_camera_and_of_an_hour_count_before_those_of_all():
    def of(high):
        return {"events": dataclasses.replace(EVENTS, high=high).to_dict()}

    hour = str(time.localtime(0.0).tm_hour)
    calibrated = {**of(0.5), "cameras": {"gate": {**of(0.7), "hours": {hour: of(0.8)}}}}
    found = Thresholds(calibrated)
    assert found.of(["gate"], 0.0) == dataclasses.replace(EVENTS, high=0.8)
    assert found.of(["somewhere", "gate"], 3600.0).high == 0.7
    assert found.of(["door"], 0.0).high == found.of([], 0.0).high == 0.5
    # What follows all hours has none of its own.
    assert Thresholds(calibrated, recalibrate=True).of(["gate"], 0.0).high == 0.7


def test_drift_and_rolling_are_of_the_camera_and_of_a_calibration_alone():
    events = EVENTS.to_dict()
    alone = Thresholds({"events": events})
    assert alone.drift(["gate"]) is None and alone.rolling(["gate"]) is None
    maps = np.random.default_rng(0).lognormal(size=(30, 3))
    whole = {"events": events, "false_alarms_per_hour": 0.1, "slope": 4.0}
    own = {**whole, "events": {**events, "high": 0.7}}
    found = Thresholds(
        {**whole, "scores": drift.reference(maps, 0.5), "cameras": {"gate": own}}, recalibrate=True
    )
    assert isinstance(found.drift(["door"]), drift.DriftWatch)
    with pytest.raises(ValueError, match="it was written without"):
        found.drift(["gate"])
    # Half a day is too little for one alarm in ten hours.
    assert [found.rolling([name]).settings.high for name in ("gate", "door")] == [0.7, 0.5]


def test_a_calibration_is_taken_from_a_file_or_from_beside_the_model(tmp_path):
    cameras = {
        "gate": {"events": dataclasses.replace(EVENTS, high=0.7).to_dict()},
        "door": {"refused": "too short"},
    }
    about = {"frames_per_second_of_video": 10.0, "frame": [32, 48, 1]}
    given = calibration(tmp_path / "given.json", cameras=cameras, **about)
    beside = dataclasses.replace(WATCHED, calibration=calibration(tmp_path / "beside.json", 0.3))
    assert thresholds(beside, "mine").of(["gate"], 0.0).high == 0.3
    found = thresholds(beside, "mine", given)
    assert [found.of([name], 0.0).high for name in ("gate", "door", "hall")] == [0.7, 0.5, 0.5]
    assert found.of(["hall"], 0.0) == EVENTS


def test_a_threshold_takes_its_place_with_the_windows_of_the_model():
    found = thresholds(WATCHED, "mine", threshold=0.2).of(["gate"], 0.0)
    assert found == EventSettings(high=0.2, window=3)
    with pytest.raises(ValueError, match="`threshold` must be above 0. Received: -1.0"):
        thresholds(WATCHED, "mine", threshold=-1.0)


def test_without_either_the_two_ways_are_named(tmp_path):
    """Of an export a new version is written, and no file."""
    for name, file in (("pca", " --out FILE` and --calibration FILE"), (tmp_path, "`")):
        said = f"`name` must be calibrated.*`zoo calibrate {name} .* 1{file}, or --threshold X$"
        with pytest.raises(ValueError, match=said):
            thresholds(WATCHED, name)


@pytest.mark.parametrize(
    "about", [{"frames_per_second_of_video": 25.0}, {"frame": [128, 192, 1]}]
)
def test_a_calibration_of_another_model_is_refused(tmp_path, about):
    (name,) = about
    path = calibration(tmp_path / "other.json", **about)
    with pytest.raises(ValueError, match=f"`calibration` must be of this model, whose {name}"):
        thresholds(WATCHED, "mine", path)


def test_a_calibration_of_other_weights_is_refused_by_both_names(tmp_path, monkeypatch, caplog):
    about = {"model": "street", "weights_sha256": "1" * 64, "false_alarms_per_hour": 2.0}
    path, read = calibration(tmp_path / "c.json", **about), []

    def read_text(self, *words, read_text=Path.read_text, **more):
        read.append(self)
        return read_text(self, *words, **more)

    monkeypatch.setattr(Path, "read_text", read_text)
    mine = dataclasses.replace(WATCHED, weights_sha256="1" * 64)
    assert thresholds(mine, "runs/mine", path).of(["gate"], 0.0).high == 0.5
    assert read == [path] and not caplog.records
    said = "of the weights of runs/mine, SHA-256 2+.*c.json, of street, SHA-256 1+.*zoo calibrate"
    with pytest.raises(ValueError, match=said):
        thresholds(dataclasses.replace(mine, weights_sha256="2" * 64), "runs/mine", path)
    thresholds(WATCHED, "runs/mine", path)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_what_is_no_calibration_is_refused(tmp_path):
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(ValueError, match="`calibration` must hold the settings of `events`"):
        thresholds(WATCHED, "mine", tmp_path / "c.json")
