"""Thresholds for so many events per hour, of made-up maps whose rates are known."""

import functools
import logging
import math
import time

import numpy as np
import pytest

from zoo.evaluation import calibration
from zoo.evaluation.calibration import (
    STEP,
    AlarmCounter,
    check_weights,
    choose,
    settings_for,
)
from zoo.evaluation.events import BEGUN, EventSettings, EventTracker

FPS = 0.25  # Frames are few, so that hours of them take a second.
SETTINGS = EventSettings(high=1.0, min_seconds=0.0, max_gap_seconds=0.0, window=1)


def street(hours, per_hour, seed, burst=1):
    """Maps of noise and events of one frame whose heights fall off as a Pareto distribution.

    Of `per_hour` events a share of `height ** -3` is higher than `height`, for heights from 1 on;
    with `burst`, so many come one after the other, eight seconds apart, all of one height.
    """
    rng = np.random.default_rng(seed)
    heights = np.zeros(round(hours * 3600 * FPS))
    for begin in np.flatnonzero(rng.random(len(heights)) < per_hour / burst / 3600 / FPS):
        heights[begin : begin + 2 * burst : 2] = rng.random() ** (-1 / 3)
    for height in heights:
        score_map = rng.random((4, 6), np.float32) * np.float32(0.1)
        score_map[2, 3] += height
        yield score_map


@functools.cache
def counted(hours, per_hour, seed, **more):
    counter = AlarmCounter(SETTINGS)
    counter.add((n / FPS, m) for n, m in enumerate(street(hours, per_hour, seed, **more)))
    return counter


def test_counts_are_those_of_a_tracker_at_each_threshold(monkeypatch):
    """As `zoo watch` would count them: with hysteresis, length, window, gaps and warm-up."""
    settings = EventSettings(high=1.0, min_seconds=4.0, max_gap_seconds=4.0, window=2,
                             smoothing_seconds=3.0)  # fmt: skip
    maps = [np.repeat(score_map[:, :1], 6, 1) + score_map for score_map in street(1.2, 100, 1)]
    maps = np.cumsum(maps, 0)[4:] - np.cumsum(maps, 0)[:-4]  # Each event lasts for four frames.
    times = np.arange(len(maps)) / FPS
    counter = AlarmCounter(settings)
    for part in (slice(0, 600), slice(600, None)):
        counter.add(zip(times[part], maps[part], strict=True), warm_up=3)
    # Of 2,400 seconds and of 1,904, 144 pieces of 30: seven of them a block, so that there are 20.
    assert len(maps) == 1076 and counter.counts.shape == (21, len(counter.thresholds))
    assert counter.hours == pytest.approx(len(maps) / FPS / 3600)
    for place in range(0, len(counter.thresholds), 5):
        alarms = 0
        for part in (slice(3, 600), slice(603, None)):
            high = float(counter.thresholds[place])
            tracker = EventTracker(
                EventSettings(**settings.to_dict() | {"high": high}), maps.shape[1:])  # fmt: skip
            for score_map, time_sec in zip(maps[part], times[part], strict=True):
                told = tracker.update(score_map, time_sec)
                alarms += sum(event.state == BEGUN for event in told)
        assert counter.counts[:, place].sum() == alarms
    assert counter.counts.sum(0).max() > 15


def test_what_comes_after_a_gap_is_counted_as_another_video():
    maps = list(street(1.2, 100, 1))
    times = np.arange(len(maps)) / FPS
    # After 400 frames the clock is put forward, after 700 back.
    moved = times + 2000.0 * (np.arange(len(maps)) >= 400) - 1000.0 * (np.arange(len(maps)) >= 700)
    whole, apart = AlarmCounter(SETTINGS), AlarmCounter(SETTINGS)
    for part in (slice(0, 400), slice(400, 700), slice(700, None)):
        hour = 3.8 + moved[part][0] / 3600
        apart.add(zip(times[part], maps[part], strict=True), warm_up=3, start_hour=hour)
    whole.add(zip(moved, maps, strict=True), warm_up=3, start_hour=3.8)
    assert whole.seconds == apart.seconds == pytest.approx(len(maps) / FPS)
    assert whole.hours_of_day == apart.hours_of_day == [3, 4, 5]
    for one, other in ((whole, apart), (whole.of_hour(5), apart.of_hour(5))):
        np.testing.assert_array_equal(one.counts, other.counts)
        assert one.counts.sum() > 20


def test_the_rate_asked_for_is_the_rate_that_comes():
    """Of 60 events an hour one in 20 is 20 ** (1 / 3) high, three an hour."""
    highs = [choose(counted(2, 60, seed), 3.0).high for seed in range(4)]
    expected = 20 ** (1 / 3)
    # The rate goes with the third power: half or twice of it is a quarter of the threshold.
    assert np.mean(highs) == pytest.approx(expected, rel=0.12)
    assert np.std(highs) < 0.2 * expected


def test_the_interval_holds_the_truth_and_is_wider_of_bursts():
    found = [choose(counted(2, 60, seed), 3.0) for seed in range(4)]
    truth = 20 ** (1 / 3)
    inside = [threshold.interval[0] <= truth <= threshold.interval[1] for threshold in found]
    assert sum(inside) >= 3
    for threshold in found:
        low, high = threshold.rate_interval
        assert low < 3.0 < high and threshold.rate == 3.0 and threshold.hours == pytest.approx(2)
        assert abs(threshold.counted - 6) <= 4
    bursts = [choose(counted(2, 60, seed, burst=5), 3.0) for seed in range(4)]
    widths = [[np.ptp(np.log(t.rate_interval)) for t in kind] for kind in (found, bursts)]
    assert np.median(widths[1]) > 1.3 * np.median(widths[0])


def test_footage_too_short_is_refused_with_what_is_needed():
    counter = counted(0.1, 300, 0)
    with pytest.raises(ValueError, match=(
            "`data` must hold at least 2.0 hours of normal footage for 1 false alarms per hour: 2 "
            "are the fewest .* Received: 6.0 minutes")):
        choose(counter, 1.0)
    assert choose(counter, 20.0).hours == pytest.approx(0.1)


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, math.inf])
def test_a_rate_that_is_none_is_named(rate):
    with pytest.raises(ValueError, match="`false_alarms_per_hour` must be above 0. Received: "):
        choose(counted(0.01, 0, 0), rate)


def test_footage_in_which_nothing_moves_is_named():
    counter = AlarmCounter(SETTINGS)
    counter.add((number / FPS, np.zeros((2, 2), np.float32)) for number in range(450))
    with pytest.raises(ValueError, match="must hold more that moves: .* Received: 0 at most"):
        choose(counter, 4.0)


def test_cameras_together_are_what_each_has_counted():
    quiet, loud = counted(2, 60, 0), AlarmCounter(SETTINGS)
    loud.add((n / FPS, 5 * m) for n, m in enumerate(street(2, 60, 1)))
    # Far above what the other one has ever reached: nothing of it is lost.
    bright = AlarmCounter(SETTINGS)
    bright.add((n / FPS, 5e4 * m) for n, m in enumerate(street(0.1, 60, 1)))
    assert AlarmCounter.merged([quiet, bright]).thresholds[-1] > 1e4
    both = AlarmCounter.merged([quiet, loud])
    assert both.hours == pytest.approx(4) and len(both.counts) == len(quiet.counts) * 2
    least = loud.thresholds[0]
    assert both.thresholds[0] == least > 3 * quiet.thresholds[0]
    for threshold in (least, 2 * least):
        of = [c.counts.sum(0)[np.argmin(np.abs(c.thresholds - threshold))] for c in (quiet, loud)]
        place = np.argmin(np.abs(both.thresholds - threshold))
        assert both.counts.sum(0)[place] == sum(of) and min(of) > 0


def test_a_black_beginning_costs_nothing():
    """The thresholds go with what is ordinary and with the largest there is, when it comes."""
    black = np.zeros((4, 6), np.float32)
    counter = AlarmCounter(SETTINGS)
    maps = [black] * 700 + list(street(2, 60, 0))
    counter.add((n / FPS, m) for n, m in enumerate(maps))
    assert choose(counter, 3.0).high == pytest.approx(choose(counted(2, 60, 0), 3.0).high, rel=0.25)


def test_a_ground_without_noise_does_not_lift_the_threshold():
    """All events reach all thresholds from nothing on, of which there are hundreds: no tail yet."""
    counter = AlarmCounter(SETTINGS)
    maps = [m * (m > 0.5) for m in street(2, 60, 0)]
    counter.add((n / FPS, m) for n, m in enumerate(maps))
    # Asked for so many that all events are in the tail.
    noisy = choose(counted(2, 60, 0), 30.0).high
    assert choose(counter, 30.0).high == pytest.approx(noisy, rel=0.2)


def test_a_number_that_falls_steeply_is_fitted_from_above_the_step():
    """From 20 to 9 in a step of the thresholds: of the last that are enough, as Hill has it."""
    levels = np.log(STEP) * np.arange(6)
    counts = np.array([52, 31, 20, 9, 2, 0])
    fit = calibration._fit(levels, counts, 2.0)
    assert fit.events == 20 and fit.level == levels[2]
    assert fit.slope == pytest.approx(20 / (np.log(STEP) * (10 + 9 + 2)))
    assert calibration._fit(levels, np.array([9, 9, 2, 0, 0, 0]), 2.0) is None


def test_a_few_minutes_have_an_interval_too():
    """Blocks are shorter then: one block alone would look perfectly sure."""
    counter = counted(0.5, 300, 5)
    assert len(counter.counts) == 20
    threshold = choose(counter, 24.0)
    assert threshold.interval[0] < threshold.high < threshold.interval[1]


def test_a_video_as_short_as_the_warm_up_counts_nothing():
    short = AlarmCounter(SETTINGS)
    short.add(((n / FPS, np.ones((4, 6), np.float32)) for n in range(3)), warm_up=3)
    both = AlarmCounter.merged([short, counted(2, 60, 0)])
    assert (both.counts == counted(2, 60, 0).counts).all() and both.hours > 2
    with pytest.raises(ValueError, match="must hold frames with a score"):
        choose(AlarmCounter.merged([short]), 1e4)


def test_hours_of_the_clock_are_counted_apart_and_together_are_all():
    counter = AlarmCounter(SETTINGS)
    maps = list(street(2, 60, 0))
    counter.add(((n / FPS, m) for n, m in enumerate(maps)), start_hour=23.5)
    assert counter.hours_of_day == [0, 1, 23]
    parts = {hour: counter.of_hour(hour) for hour in (23, 0, 1)}
    assert [round(part.hours, 6) for part in parts.values()] == [0.5, 1.0, 0.5]
    whole = counter.counts.sum(0)
    np.testing.assert_array_equal(sum(part.counts.sum(0) for part in parts.values()), whole)
    # Counted by itself, the middle hour has the same events.
    alone = AlarmCounter(SETTINGS)
    alone.add((n / FPS, m) for n, m in enumerate(maps[450:1350]))
    place = np.argmin(np.abs(counter.thresholds - 1.5))
    own = np.argmin(np.abs(alone.thresholds - 1.5))
    assert parts[0].counts[:, place].sum() == alone.counts[:, own].sum() > 5
    assert counted(2, 60, 0).hours_of_day == []


def test_times_that_are_left_out_take_their_events_along():
    counter = counted(2, 60, 0)
    less = counter.without([(0.0, 3599.0), (7100.0, 7300.0)])
    assert less.hours == pytest.approx((3600 - 120) / 3600)
    place = np.argmin(np.abs(counter.thresholds - 1.2))
    assert 0 < less.counts[:, place].sum() < counter.counts[:, place].sum()
    assert counter.without([]).hours == counter.hours


def test_settings_are_those_of_the_camera_and_the_hour_as_far_as_there_are_such():
    def entry(high, **more):
        return {"events": EventSettings(high=high).to_dict(), **more}

    calibrated = entry(1.0, hours={"8": entry(2.0)}, cameras={
        "door": entry(3.0, hours={"8": entry(4.0), "9": {"refused": "too short"}}),
        "hall": {"refused": "too short", "hours": {}},
    })  # fmt: skip
    eight, nine = (time.mktime((2024, 5, 1, hour, 59, 0, 0, 0, -1)) for hour in (8, 9))
    for camera, wall_sec, high in (
        (None, None, 1.0), (None, eight, 2.0), (None, nine, 1.0), ("door", None, 3.0),
        ("door", eight, 4.0), ("door", nine, 3.0), ("hall", eight, 2.0), ("other", nine, 1.0),
    ):  # fmt: skip
        assert settings_for(calibrated, camera, wall_sec).high == high


@pytest.mark.parametrize(
    "calibrated",
    [{}, [], {"events": 5}, {"events": {}, "hours": 2.5}, {"events": {}, "cameras": 3}],
)
def test_a_calibration_of_another_layout_is_named(calibrated):
    with pytest.raises(ValueError, match="`calibration` must hold `events`, .* calibrate anew"):
        settings_for(calibrated, "door", 0.0)


def test_a_calibration_goes_to_json_and_back():
    threshold = choose(counted(2, 60, 3), 3.0)
    values = calibration.to_dict(threshold, SETTINGS)
    settings = EventSettings.from_dict(values["events"])
    assert settings.high == threshold.high and settings.min_seconds == 0.0
    assert values["rate_interval"][0] < values["false_alarms_per_hour"] == 3.0


def test_a_calibration_of_other_weights_is_refused_and_one_that_does_not_say_warned_of(caplog):
    mine, other = "1" * 64, "2" * 64
    calibrated = {"model": "street", "false_alarms_per_hour": 0.5, "weights_sha256": mine}
    check_weights(calibrated, mine, "runs/mine")
    assert not caplog.records
    said = (
        "^`calibration` must be of the weights of runs/mine, SHA-256 222222222222.... Received: "
        "c.json, of street, SHA-256 111111111111..., .* since; calibrate runs/mine again "
        r"\(`zoo calibrate`\)$"
    )
    with pytest.raises(ValueError, match=said):
        check_weights(calibrated, other, "runs/mine", "c.json")
    # With an export of before, and one of before; a threshold by hand is of no weights.
    again = "an export of an earlier version does not say; export it again, then calibrate that"
    for noted, digest, why in (
        (mine, None, again), (None, None, again),
        (None, mine, "a calibration of an earlier version does not say; `zoo calibrate` again"),
    ):  # fmt: skip
        caplog.clear()
        check_weights({**calibrated, "weights_sha256": noted}, digest, "runs/mine", "c.json")
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        said = "whether c.json is of the weights of runs/mine cannot be told, as "
        assert record.message.startswith(said + why)
    caplog.clear()
    check_weights({"events": EventSettings(high=1.0).to_dict()}, mine, "runs/mine")
    assert not caplog.records
