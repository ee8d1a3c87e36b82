"""`zoo calibrate`: normal footage in, a threshold for so many false alarms per hour out."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import zoo
from data_pipelines import Source, Video
from zoo.commands import calibrate, calibrate_setup
from zoo.commands.app import app
from zoo.evaluation.events import EventSettings, find_events
from zoo.evaluation.scoring import ModelScorer, to_unit_range

SIZE = (32, 48)


class Street(Video):
    """Grey with faint noise, in which a square flashes now and then, each time as it likes."""

    def __init__(self, name, minutes=3.0, group=None, abnormal=False, seed=0):
        self.count = round(600 * minutes)
        super().__init__(name, fps=10.0, num_frames=self.count, group=group)
        self.seed, self.abnormal = seed, abnormal

    def frames(self, start=0):
        rng = np.random.default_rng(self.seed)
        height = 0
        for number in range(self.count):
            frame = rng.integers(100, 104, (*SIZE, 1)).astype(np.uint8)
            if number % 60 == 30:
                height = min(120, 10 * rng.random() ** -0.5)
            if number % 60 in range(30, 34):
                frame[8:24, 16:32] += np.uint8(height if number % 2 else 0)
            if number >= start:
                yield frame

    def frame_labels(self):
        return np.full(self.count, self.abnormal)


@pytest.fixture(scope="module")
def model():
    small = zoo.registry.resolve("convlstm_vae").small
    shape = {"clip_shape": (16, *SIZE, 1)}
    return zoo.load("convlstm_vae", weights=None, **{**small, **shape, "score_horizon": 1})


def source(*videos):
    return Source("video_files", "normal", list(videos))


@pytest.mark.slow
def test_the_threshold_gives_about_so_many_events(model):
    videos = [Street("a", group="door", seed=1), Street("b", group="gate", seed=2),
              Street("c", 0.2, group="hall", seed=3)]  # fmt: skip
    settings = calibrate_setup.settings_of(model, 0.1, 0.5)
    assert settings.window == 2
    found = calibrate_setup.calibrate_model(model, source(*videos), settings, 60.0)
    assert found["hours"] == pytest.approx(6.2 / 60)
    assert set(found["cameras"]) == {"door", "gate", "hall"}
    assert "at least 2.0 minutes" in found["cameras"]["hall"]["refused"]
    # Six minutes with a flash every six seconds: sixty flashes, of which six are to be events.
    chosen, events = EventSettings.from_dict(found["events"]), 0
    for video in videos:
        scorer = ModelScorer(model)
        maps = scorer.advance(to_unit_range(np.stack(list(video.frames()))))["score_map"]
        maps = maps[model.warm_up :]
        events += len(find_events(maps, np.arange(len(maps)) / 10, chosen, SIZE))
    assert 2 <= events <= 14
    assert abs(events - found["counted"]) <= 3
    least, most = found["rate_interval"]
    assert least < 60 < most
    shown = calibrate.lines(found)
    assert [line.partition(":")[0] for line in shown] == ["all cameras", "door", "gate", "hall"]
    assert "for 60 false alarms per hour" in shown[0] and "must hold at least" in shown[3]


def test_what_cannot_be_calibrated_on_is_said_before_it_is_scored(model, monkeypatch):
    monkeypatch.setattr(ModelScorer, "advance", None)
    settings = calibrate_setup.settings_of(model, 0.3, 0.5)
    with pytest.raises(ValueError, match="all is normal. Received: a\\\\nb, with 60 abnormal"):
        calibrate_setup.calibrate_model(
            model, source(Street("a\nb", 0.1, abnormal=True)), settings, 60.0)  # fmt: skip
    with pytest.raises(ValueError, match="at least 2.0 hours .* Received: 4.0 minutes"):
        calibrate_setup.calibrate_model(model, source(Street("a", 4.0)), settings, 1.0)


def test_a_calibration_is_written_into_the_run(run_folder, tmp_path, monkeypatch):
    found = {
        "events": EventSettings(high=0.5).to_dict(), "false_alarms_per_hour": 2.0,
        "threshold_interval": [0.4, 0.7], "rate_interval": [1.0, 4.0], "hours": 2.5,
        "cameras": {"door": {"refused": "too short"}},
    }  # fmt: skip
    asked = []

    def made(model, data, settings, rate, **more):
        asked.append((settings, rate, more["split"], more["seed"]))
        return found | {"cameras": {"door": found}}

    monkeypatch.setattr(calibrate_setup, "calibrate_model", made)
    run = tmp_path / "mine"
    run.mkdir()
    for file in run_folder.iterdir():
        if file.is_file():
            (run / file.name).write_bytes(file.read_bytes())
    words = ["calibrate", str(run), "--data", "normal", "--false-alarms-per-hour", "2",
             "--min-seconds", "1", "--seed", "3"]  # fmt: skip
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "door: threshold 0.5 (0.4 to 0.7) for 2 false alarms per hour (1 to 4), from 2.50 hours",
        str(run / "calibration.json"),
    ]
    written = json.loads((run / "calibration.json").read_text())
    assert written["model"] == "mine" and EventSettings.from_dict(written["events"]).high == 0.5
    settings, *others = asked[0]
    assert settings.min_seconds == 1.0 and others == [2.0, None, 3]


def test_a_preset_needs_a_place_for_it():
    words = ["calibrate", "convlstm_vae", "--data", "x", "--false-alarms-per-hour", "1"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2 and "`--out` must be given for a preset" in done.stderr


@pytest.mark.real_data
def test_four_minutes_of_ped2_are_too_short_for_one_an_hour(real_data, tmp_path):
    words = ["calibrate", "convlstm_vae", "--data", str(real_data / "ucsd_ped2"), "--out",
             str(tmp_path / "c.json"), "--false-alarms-per-hour", "1"]  # fmt: skip
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2 and "`--data` must hold at least 2.0 hours" in done.stderr
    assert not (tmp_path / "c.json").exists()
