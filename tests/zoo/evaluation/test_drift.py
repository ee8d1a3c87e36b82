"""Drift of made-up scores: none of what is as it was, however bursty, and soon of what is not."""

import json

import numpy as np
import pytest

from zoo.evaluation import drift
from zoo.evaluation.drift import DriftWatch, ScoreBlocks, reference
from zoo.evaluation.events import BEGUN, EventSettings

HIGH = 1.0
PER_MINUTE = 30  # frames: of the fewest that say the same
SECONDS = 60 / PER_MINUTE


def stationary(rng, hours):
    """Noise at a fiftieth of the threshold, each frame like the one before."""
    count = round(3600 * hours / SECONDS)
    steps = rng.normal(size=count)
    level = np.empty(count)
    level[0] = steps[0]
    for number in range(1, count):
        level[number] = 0.7 * level[number - 1] + steps[number]
    return 0.02 * np.exp(0.2 * level)


def bursty(rng, hours):
    """The same with stretches of some minutes in which people of all sizes pass by."""
    scores, number = stationary(rng, hours), 0
    while number < len(scores):
        number += round(rng.exponential(240) / SECONDS) + 1
        length = round(rng.exponential(180) / SECONDS) + 1
        busy = slice(number, number + length)
        passing = rng.random(len(scores[busy])) < rng.uniform(0.3, 0.9)
        scores[busy] += passing * 0.05 * rng.lognormal(0, 0.8, len(scores[busy]))
        number += length
    return scores


def rows_of(scores):
    blocks = ScoreBlocks()
    found = [blocks.add(number * SECONDS, score) for number, score in enumerate(scores)]
    return [row for row in found if row is not None]


def calibrated(scores):
    settings = EventSettings(high=HIGH, window=1)
    return {
        "events": settings.to_dict(), "false_alarms_per_hour": 1.0,
        "scores": reference(rows_of(scores), HIGH),
    }  # fmt: skip


def told(watch, scores, begin_sec=0.0):
    """What is told of scores, one a frame, each of a map of one cell."""
    found = []
    for number, score in enumerate(scores):
        score_map = np.full((1, 1), score, np.float32)
        if drift := watch.update(begin_sec + number * SECONDS, score_map):
            found.append(drift)
    return found


def test_quantiles_are_those_of_each_minute():
    scores = np.random.default_rng(0).random(200)
    expected = [
        np.quantile(scores[begin : begin + PER_MINUTE], drift.QUANTILES)
        for begin in range(0, 180, PER_MINUTE)
    ]
    np.testing.assert_allclose(rows_of(scores), expected)


def test_minutes_with_a_jump_of_the_clock_or_a_pause_are_left_out():
    blocks = ScoreBlocks()
    times = [*np.arange(0, 30, 2), *np.arange(0, 62, 2), *np.arange(200, 250, 2),
             *np.arange(100, 162, 2)]  # fmt: skip
    rows = [row for second in times if (row := blocks.add(second, second)) is not None]
    assert [row[1] for row in rows] == [29.0, 129.0]


@pytest.mark.slow
@pytest.mark.parametrize("process", [stationary, bursty])
def test_what_is_as_it_was_does_not_drift(process):
    """Ten hours after two of calibration: none in twenty of twenty seeds."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        watch = DriftWatch(calibrated(process(rng, 2)))
        assert told(watch, process(rng, 10)) == [], seed


@pytest.mark.parametrize(("process", "most_minutes"), [(stationary, 6), (bursty, 40)])
def test_twice_the_brightness_is_found_and_told_once_until_it_ends(process, most_minutes):
    """Four times the squared error, of noise and of all that moves."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        watch = DriftWatch(calibrated(process(rng, 2)))
        assert told(watch, process(rng, 1)) == []
        (begun,) = told(watch, 4 * process(rng, 2), 3600)
        assert begun.state == "begun" and begun.direction == "up"
        assert 3600 < begun.time_sec <= 3600 + 60 * most_minutes
        assert 1.3 < begun.ratio < 12
        (ended,) = told(watch, process(rng, 2), 3 * 3600)
        assert ended.state == "ended" and 3 * 3600 < ended.time_sec <= 4 * 3600
        assert "has ended" in str(ended)


def test_a_camera_that_is_covered_drifts_down():
    rng = np.random.default_rng(0)
    watch = DriftWatch(calibrated(stationary(rng, 2)))
    (begun,) = told(watch, np.zeros(round(600 / SECONDS)))
    assert begun.direction == "down" and begun.ratio < 0.01 and begun.minutes == 5
    assert str(begun).startswith("scores drift down: their median over 5 minutes is ")


def test_it_tells_events_an_hour_beside():
    watch = DriftWatch(calibrated(stationary(np.random.default_rng(0), 2)))
    event = type("Event", (), {"state": BEGUN})
    for number in range(round(400 / SECONDS)):
        # Six in the first five minutes.
        events = [event] if number % 25 == 0 else []
        found = watch.update(number * SECONDS, np.ones((1, 1), np.float32), events)
        if found:
            break
    assert found.events_per_hour == pytest.approx(72) and found.calibrated_per_hour == 1.0


def test_what_it_remembers_does_not_grow():
    watch = DriftWatch(calibrated(stationary(np.random.default_rng(0), 2)))
    told(watch, np.full(round(3 * 3600 / SECONDS), 0.02))
    assert len(watch._levels) == 60 == len(watch._counts)
    assert len(watch._blocks._scores) <= PER_MINUTE


def test_too_little_footage_has_no_reference_and_that_is_said():
    short = calibrated(stationary(np.random.default_rng(0), 0.3))
    json.dumps(short)
    with pytest.raises(ValueError, match="told by 20 minutes of footage at least, not by 17"):
        DriftWatch(short)
