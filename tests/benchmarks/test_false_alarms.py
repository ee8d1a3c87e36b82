"""The bar of false alarms, in small: what it counts, and that it goes on."""

import json
import sys

import pytest

import data_pipelines
from data_pipelines.sources import synthetic_cctv
from zoo.commands import calibrate_setup
from zoo.evaluation.events import EventSettings
from zoo.evaluation.scoring import CopyLastFrame


@pytest.fixture
def script(script):
    return script("false_alarms")


def test_boxes_overlap_by_a_pixel(script):
    assert script.overlap((0, 0, 8, 8), (7, 7, 9, 9))
    assert not script.overlap((0, 0, 8, 8), (8, 0, 9, 9))
    assert not script.overlap((8, 8, 16, 16), (0, 0, 7, 15))


def test_what_is_calibrated_on_is_the_first_or_spread_over_the_day(script):
    assert script.taken_of(72, 12, "first") == list(range(12))
    assert script.taken_of(72, 12, "spread") == list(range(0, 72, 6))
    assert script.taken_of(30, 12, "spread") == [0, 2, 5, 7, 10, 12, 15, 17, 20, 22, 25, 27]


def test_cameras_are_pooled(script):
    hour = {"hours": 1.0, "alarms": 2, "false_alarms": 1, "truth": []}
    truth = [{"kind": "run", "found": True}, {"kind": "run", "found": False}]
    found = [
        {"threshold": 0.1, "normal": [hour, hour], "events": [hour | {"truth": truth}]},
        {"threshold": 0.2, "normal": [hour | {"alarms": 9}, hour], "events": [hour]},
    ]
    report = script.pooled(found, 1.0)
    assert report["alarms_per_hour"] == 15 / 4 and not report["holds"]
    assert report["alarms_per_hour_by_seed"] == [2.0, 5.5]
    assert report["share_found"] == {"run": 0.5} and report["events"] == {"run": 2}
    assert report["false_alarms_per_hour_with_events"] == 1.0
    assert script.pooled(found[:1], 1.0)["holds"]


@pytest.mark.slow
def test_what_happens_is_found_where_and_when_it_does(script, tmp_path):
    """At a threshold that all that moves reaches: every event is found, and so are all walkers."""
    size = (48, 64)
    footage = synthetic_cctv.make_archive(
        tmp_path / "a", 0, cameras=1, train_hours=0, test_hours=2 / 60, events_per_hour=120,
        size=size, fps=5, minutes_per_file=2, conditions=(), workers=1,
    )  # fmt: skip
    (video,) = data_pipelines.open_source(footage).videos
    clip = data_pipelines.ClipSpec(fps=5, size=size, channels=1)
    scoring = calibrate_setup.Scoring(clip, CopyLastFrame(), window=2)
    low, high = (
        script.watched(video, scoring, EventSettings(high=high, min_seconds=0.0))
        for high in (0.004, 9.0)
    )
    assert low["hours"] == pytest.approx(2 / 60, rel=0.01)
    kinds = [event["kind"] for event in video.events()]
    assert [event["kind"] for event in low["truth"]] == kinds and len(kinds) >= 3
    assert sum(event["found"] for event in low["truth"]) >= len(kinds) - 1
    assert low["alarms"] > 0 and low["false_alarms"] < low["alarms"]
    assert high["alarms"] == 0 and not any(event["found"] for event in high["truth"])


def test_it_goes_on_with_the_hours_that_are_there(script, tmp_path, monkeypatch, capsys):
    words = ["false_alarms.py", "--out", str(tmp_path), "--seeds", "1", "--hours", "1", "--json"]
    monkeypatch.setattr(sys, "argv", words)
    seed = tmp_path / "seed0"
    seed.mkdir()
    hour = {"hours": 1.0, "alarms": 1, "false_alarms": 1, "truth": []}
    # Two hours of six files each were calibrated on.
    for number in range(12, 24):
        (seed / f"part{number:03d}.json").write_text(json.dumps(hour))
    threshold = {"events": {"high": 0.5}, "rate_interval": [0.5, 2.0]}
    (seed / "calibration.json").write_text(json.dumps(threshold))
    monkeypatch.setattr(synthetic_cctv, "make_archive", None)
    script.main()
    assert json.loads(capsys.readouterr().out)["alarms_per_hour"] == 1.0
    monkeypatch.setattr(sys, "argv", [*words, "--fps", "5"])
    with pytest.raises(SystemExit, match="begun with the same arguments"):
        script.main()
