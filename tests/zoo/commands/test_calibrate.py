"""`zoo calibrate`: normal footage in, a threshold for so many false alarms per hour out."""

import json
import shutil
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from typer.testing import CliRunner

import exports
import zoo
from data_pipelines import ClipSpec, Source, Video
from data_pipelines.sources.base import TimedVideo
from exports import manifest, verification
from zoo.commands import calibrate, calibrate_setup
from zoo.commands.app import app
from zoo.commands.watching.feeds import recorded_frames
from zoo.evaluation.calibration import AlarmCounter, choose, settings_for
from zoo.evaluation.events import EventSettings, find_events
from zoo.evaluation.scoring import CopyLastFrame, ModelScorer, to_unit_range
from zoo.models.weights_digest import weights_digest

SIZE = (32, 48)
FOUND = {
    "events": EventSettings(high=0.5).to_dict(), "false_alarms_per_hour": 2.0,
    "threshold_interval": [0.4, 0.7], "rate_interval": [1.0, 4.0], "footage_hours": 2.5,
    "hours": {},
}  # fmt: skip


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
    scoring = calibrate_setup.of_model(model)
    settings = scoring.settings(0.1, 0.5)
    assert settings.window == 2
    found = calibrate_setup.calibrate(scoring, source(*videos), settings, 60.0)
    assert found["footage_hours"] == pytest.approx(6.2 / 60) and found["hours"] == {}
    assert set(found["cameras"]) == {"door", "gate", "hall"}
    assert found["weights_sha256"] == weights_digest(model)
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
    names = ["all cameras", "door", "gate", "hall", "by hour of the day"]
    assert [line.partition(":")[0] for line in shown] == names
    assert "for 60 false alarms per hour" in shown[0] and "must hold at least" in shown[3]


def test_what_cannot_be_calibrated_on_is_said_before_it_is_scored(model, monkeypatch):
    monkeypatch.setattr(ModelScorer, "advance", None)
    scoring = calibrate_setup.of_model(model)
    settings = scoring.settings(0.3, 0.5)
    with pytest.raises(ValueError, match="all is normal. Received: a\\\\nb, with 60 abnormal"):
        calibrate_setup.calibrate(
            scoring, source(Street("a\nb", 0.1, abnormal=True)), settings, 60.0)  # fmt: skip
    with pytest.raises(ValueError, match="at least 2.0 hours .* Received: 4.0 minutes"):
        calibrate_setup.calibrate(scoring, source(Street("a", 4.0)), settings, 1.0)


class Gapped(TimedVideo):
    """A street in which 100 seconds are left out after 20 frames, and 5 after 30."""

    fps = 10.0

    def __init__(self):
        super().__init__("gapped", fps=10.0, num_frames=50)
        self.street = list(Street("a", 50 / 600, seed=4).frames())

    def timed(self, fps=None, size=None, channels=None, start=0):
        for number, frame in enumerate(self.street):
            yield number / 10 + 100 * (number >= 20) + 5 * (number >= 30), frame


def test_frames_are_timed_by_the_clock_and_after_a_gap_the_model_begins_anew(model):
    video, scoring = Gapped(), calibrate_setup.of_model(model)
    scoring.scorer.begin()
    found = list(calibrate_setup.timed_maps(video, scoring.clip, scoring.scorer))
    times, frames = zip(*video.timed(), strict=True)
    np.testing.assert_allclose([time_sec for time_sec, _ in found], times)
    watched = [time_sec for time_sec, *_ in recorded_frames(video, scoring.clip, 10.0)]
    assert watched == [time_sec for time_sec, _ in found]
    scorer, expected = ModelScorer(model), []
    for part in (frames[:20], frames[20:]):
        scorer.begin()
        expected += list(scorer.advance(to_unit_range(np.stack(part)))["score_map"])
    maps = np.stack([score_map for _, score_map in found])
    np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-5 * np.max(expected))
    assert np.ptp(maps[20 : 20 + model.warm_up]) == 0 < np.ptp(maps[30 : 30 + model.warm_up])


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Folder of version 1 of an export that scores what is brighter than the street."""

    class Bright(keras.Model):
        verbs, clip_shape, embedding_dim = ("encode", "score", "step"), (4, *SIZE, 1), 1
        stride, min_frames, warm_up, channels, fps = 8, 1, 2, 1, 10

        def encode(self, clip):
            return tf.reduce_mean(clip, axis=[1, 2, 3])

        def score(self, clip):
            return tf.reduce_max(tf.nn.relu(clip - 104 / 255), axis=[2, 3, 4])

        def initial_state(self, batch, height, width):
            return {"frames": tf.zeros((batch,), tf.int32)}

        def step(self, frame, state):
            score_map = tf.nn.relu(frame[:, ::8, ::8, 0] - 104 / 255)
            state = {"frames": state["frames"] + 1}
            return {"score": tf.reduce_max(score_map, [1, 2]), "score_map": score_map,
                    "state": state}  # fmt: skip

    return exports.export(Bright(), tmp_path_factory.mktemp("served"), name="street").parent


def test_an_export_is_scored_by_its_own_step(served):
    """As the very maps that its `step` is known to give, by another way of computing them."""
    scoring = calibrate_setup.of_export(exports.load(served))
    settings = scoring.settings(0.1, 0.5)
    video = Street("a", 4.0, seed=1)
    counter = AlarmCounter(settings)
    frames = np.stack(list(video.frames()))[:, ::8, ::8, 0]
    maps = np.maximum(np.float32(frames) / 255 - 104 / 255, 0)
    counter.add(((n / 10, m) for n, m in enumerate(maps)), warm_up=2)
    found = calibrate_setup.calibrate(scoring, source(video), settings, 90.0)
    assert found["frame"] == [*SIZE, 1] and found["frames_per_second_of_video"] == 10
    assert found["weights_sha256"] == manifest.read(served / "1")["weights_sha256"]
    assert found["events"]["high"] == pytest.approx(choose(counter, 90.0).high, rel=1e-5)
    assert found["counted"] == choose(counter, 90.0).counted > 0


def test_an_export_gets_another_version(served, tmp_path, monkeypatch):
    copy = shutil.copytree(served, tmp_path / "door")
    asked = []

    def made(scoring, data, settings, rate, **more):
        asked.append((scoring.scorer.export.folder, settings.min_seconds, rate))
        return FOUND | {"cameras": {}}

    monkeypatch.setattr(calibrate_setup, "calibrate", made)
    words = ["calibrate", str(copy), "--data", str(tmp_path), "--false-alarms-per-hour", "2"]
    monkeypatch.setattr(verification, "run_isolated", lambda *_: ({}, {}))
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == str(copy / "2")
    assert asked == [(copy / "1", 0.3, 2.0)]
    after = exports.load(copy)
    assert after.calibration["model"] == "street" and after.calibration["events"]["high"] == 0.5
    clip = np.full((1, 3, *SIZE, 1), 104, np.uint8)
    clip[:, 1] = 255
    np.testing.assert_array_equal(after.above_threshold(clip), [[False, True, False]])

    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "c.json")])
    assert done.exit_code == 2 and "`--out` must be left out for an export" in done.stderr
    (copy / "2" / "assets.extra" / "interface.json").write_text("{}")
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1 and "unlike its manifest's: assets.extra/interface" in done.stderr
    about = json.loads((copy / "2" / manifest.NAME).read_text()) | {"format": 7}
    (copy / "2" / manifest.NAME).write_text(json.dumps(about))
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1 and "Received: the layout 7" in done.stderr
    assert len(asked) == 1 and sorted(path.name for path in copy.iterdir()) == ["1", "2"]


class Dated(Street):
    """The flashes of the one hour of the clock are twice as bright."""

    def __init__(self, name, hour, seed):
        super().__init__(name, 3.0, group="door", seed=seed)
        self.hour = hour

    def start_hour(self):
        return self.hour

    def frames(self, start=0):
        for frame in super().frames(start):
            yield 100 + 2 * (frame - 100).clip(0, 77) if self.hour >= 22 else frame


def test_hours_of_the_day_that_have_enough_have_a_threshold_of_their_own():
    clip = ClipSpec(fps=10, size=SIZE, channels=1)
    scoring = calibrate_setup.Scoring(clip, CopyLastFrame(), window=2)
    videos = [Dated("a", 8.0, 1), Dated("b", 22.0, 2), Dated("c", 23.99, 3)]
    found = calibrate_setup.calibrate(scoring, source(*videos), scoring.settings(0.1, 0.5), 60.0)
    hours = found["cameras"]["door"]["hours"]
    assert set(hours) == set(found["hours"]) == {"0", "8", "22", "23"}
    # Of the last three minutes 36 seconds are before midnight.
    assert "at least 2.0 minutes" in hours["23"]["refused"]
    assert hours["0"]["footage_hours"] == pytest.approx(2 / 60)
    assert hours["22"]["events"]["high"] > 1.3 * hours["8"]["events"]["high"]
    at = {hour: time.mktime((2024, 5, 1, hour, 30, 0, 0, 0, -1)) for hour in (8, 22, 23)}
    for hour, entry in ((8, hours["8"]), (22, hours["22"]), (23, found["cameras"]["door"])):
        assert settings_for(found, "door", at[hour]).high == entry["events"]["high"]
    shown = calibrate.lines(found)
    assert shown[1].startswith("door, from 0:00 on: threshold")
    assert shown[-1].startswith("door, at the hours 23: as all day; `data` must hold at least")


def test_a_calibration_is_written_into_the_run(run_folder, tmp_path, monkeypatch):
    asked = []

    def made(scoring, data, settings, rate, **more):
        asked.append((settings, rate, more["split"], more["seed"]))
        return FOUND | {"cameras": {"door": FOUND}}

    monkeypatch.setattr(calibrate_setup, "calibrate", made)
    run = tmp_path / "mine"
    run.mkdir()
    for file in run_folder.iterdir():
        if file.is_file():
            (run / file.name).write_bytes(file.read_bytes())
    words = ["calibrate", str(run), "--data", str(tmp_path), "--false-alarms-per-hour", "2",
             "--min-seconds", "1", "--seed", "3"]  # fmt: skip
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "door: threshold 0.5 (0.4 to 0.7) for 2 false alarms per hour (1 to 4), from 2.50 hours",
        "by hour of the day: none, as no name of a video tells when it began",
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
