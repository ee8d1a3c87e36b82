"""A threshold that follows the street, and neither alarms nor a camera that sees nothing."""

import dataclasses

import numpy as np
import pytest

from zoo.evaluation import calibration
from zoo.evaluation.calibration import AlarmCounter, choose, entry_for
from zoo.evaluation.events import EventSettings, EventTracker
from zoo.evaluation.rolling_calibration import RollingCalibration

FPS = 0.25
SETTINGS = EventSettings(high=1.0, min_seconds=0.0, max_gap_seconds=0.0, window=1)


def street(hours, seed, scale=1.0, alarms_per_hour=0.0):
    """Sixty events an hour, a share of `height ** -3` of them higher; and what is far above all."""
    rng = np.random.default_rng(seed)
    for _ in range(round(hours * 3600 * FPS)):
        score_map = rng.random((4, 6), np.float32) * np.float32(0.1)
        if rng.random() < 60 / 3600 / FPS:
            score_map[2, 3] += rng.random() ** (-1 / 3)
        score_map *= scale
        if rng.random() < alarms_per_hour / 3600 / FPS:
            score_map[0, 0] = 100.0
        yield score_map


@pytest.fixture(scope="module")
def calibrated():
    counter = AlarmCounter(SETTINGS)
    counter.add((n / FPS, score_map) for n, score_map in enumerate(street(4, 0)))
    return calibration.to_dict(choose(counter, 3.0), SETTINGS, counter.score_rows)


def watched(rolling, maps, begin_sec=0.0):
    """The thresholds that are told while a camera is watched, and the events of the last hour."""
    tracker, told, events = EventTracker(rolling.settings, (4, 6)), [], []
    for number, score_map in enumerate(maps):
        time_sec = begin_sec + number / FPS
        events += (now := tracker.update(score_map, time_sec))
        if settings := rolling.update(time_sec, score_map, now):
            told.append(settings.high)
            tracker = EventTracker(settings, (4, 6))
    return told, [event for event in events if event.time_sec > time_sec - 3600]


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, 1.6, 0.7])
def test_it_goes_with_what_is_ordinary(calibrated, scale):
    rolling = RollingCalibration(calibrated, window_hours=8)
    told, _ = watched(rolling, street(12, 1, scale))
    # Of 3 events an hour counted a few are missing or too many: their third root matters.
    assert rolling.settings.high == pytest.approx(scale * calibrated["events"]["high"], rel=0.2)
    assert all(high > 0.5 * scale for high in told)
    assert dataclasses.replace(rolling.settings, high=1.0) == SETTINGS


@pytest.mark.slow
def test_alarms_do_not_raise_it(calibrated):
    """Twelve an hour, where three are allowed: a burglar must not wear the threshold out."""
    rolling = RollingCalibration(calibrated, window_hours=8)
    told, events = watched(rolling, street(10, 2, alarms_per_hour=12))
    assert sum(event.state == "begun" and event.score > 50 for event in events) >= 6
    assert max(told, default=0) < 1.25 * calibrated["events"]["high"]


@pytest.mark.slow
def test_it_is_never_below_its_share_of_the_first(calibrated):
    rolling = RollingCalibration(calibrated, window_hours=4, least_share=0.6)
    told, _ = watched(rolling, street(6, 3, scale=0.1))
    assert told[-1] == pytest.approx(0.6 * calibrated["events"]["high"])


def test_nothing_moves_it_before_there_is_enough_or_where_nothing_moves(calibrated):
    rolling = RollingCalibration(calibrated, window_hours=8, every_hours=0.25)
    # Two thirds of an hour are what three an hour need.
    assert watched(rolling, street(0.5, 4, scale=3.0))[0] == []
    still = (np.zeros((4, 6), np.float32) for _ in range(round(2 * 3600 * FPS)))
    assert watched(RollingCalibration(calibrated), still)[0] == []


def test_it_outlives_jumps_pauses_and_frames_of_another_size(calibrated):
    rolling = RollingCalibration(calibrated, window_hours=1, every_hours=0.25)
    for begin, shape in ((0, (4, 6)), (1e6, (4, 6)), (5, (4, 6)), (400, (2, 3))):
        for number in range(90):
            rolling.update(begin + number / FPS, np.full(shape, 0.1, np.float32))
    # The one that goes on is not among them.
    assert [round(part.seconds) for part in rolling._parts] == [360, 360, 360]
    # What it remembers does not grow: an hour, however often the camera breaks off.
    for _ in range(200):
        for number in range(20):
            rolling.update(number / FPS, np.full((4, 6), 0.1, np.float32))
    assert sum(part.hours for part in rolling._parts) <= 1.0
    assert len(rolling._parts) <= 3600 / 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window_hours": 0.5}, "`window_hours` must be at least 0.666.* for 3 false alarms"),
        ({"every_hours": 13.0}, "`every_hours` must be above 0 and at most `window_hours`"),
        ({"least_share": 0.0}, "`least_share` must be above 0 and at most 1. Received: least_sh"),
    ],
)
def test_arguments_out_of_range_are_named(calibrated, arguments, message):
    with pytest.raises(ValueError, match=message):
        RollingCalibration(entry_for(calibrated), **arguments)


def test_after_the_first_look_no_frame_waits_for_more_than_one_map_to_be_counted(
    calibrated, monkeypatch
):
    """Live, all cameras would wait too; nor at the end of an hour, or of what breaks off."""
    counted, update = [], EventTracker.update

    def noted(self, score_map, time_sec):
        counted.append(time_sec)
        return update(self, score_map, time_sec)

    monkeypatch.setattr(EventTracker, "update", noted)
    rolling = RollingCalibration(calibrated, window_hours=1, every_hours=0.5)
    most, counters = 0, set()
    for number, score_map in enumerate(street(1.5, 5)):
        counted.clear()
        # It breaks off for a minute, too, after few maps of the second half hour.
        rolling.update(number / FPS + 60 * (number > 460), score_map)
        counters.add(id(rolling._counter))
        if number >= calibration.MAPS_A_LOOK:
            most = max(most, len(set(counted)))
            assert all(time_sec >= (number - 1) / FPS for time_sec in counted)
    assert most == 1 and len(rolling._parts) >= 2


def test_what_was_ordinary_is_handed_on_but_not_for_ever(calibrated):
    """A loud half hour must not hide for good what is ordinary after it."""
    rolling = RollingCalibration(calibrated, window_hours=1, every_hours=0.5)
    watched(rolling, street(0.75, 6, scale=5.0))
    watched(rolling, street(2.0, 7), begin_sec=1e5)
    leasts = [part.thresholds[0] for part in rolling._parts]
    assert leasts[-1] < 0.5
