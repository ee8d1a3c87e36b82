"""Score maps made into events, against labelling of the whole volume and by hand."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
from scipy import ndimage

from zoo.evaluation import events
from zoo.evaluation.events import EventSettings, EventTracker, find_events
from zoo.evaluation.scoring import pool_score_map

# What is thresholded is then the map as it is, and all of it is told at once.
PLAIN = EventSettings(high=2.0, low_share=0.5, min_seconds=0.0, max_gap_seconds=0.0, window=1)
SIZE = (80, 120)


def maps(frames, *blobs, grid=(8, 12)):
    """Maps of zeros with blobs `(first, last, row, column, value)` of 2 x 2 cells."""
    found = np.zeros((frames, *grid), np.float32)
    for first, last, row, column, value in blobs:
        found[first : last + 1, row : row + 2, column : column + 2] = value
    return found


def told(score_maps, settings, times=None):
    tracker = EventTracker(settings, SIZE)
    times = np.arange(len(score_maps)) / 10 if times is None else times
    parts = [tracker.update(m, t) for m, t in zip(score_maps, times, strict=True)]
    return [*parts, tracker.finish()], tracker


def states(parts):
    return [[(event.track, event.state) for event in part] for part in parts]


def test_an_event_is_told_once_it_is_long_enough_then_grows_and_ends():
    settings = dataclasses.replace(PLAIN, min_seconds=0.2)
    score_maps = maps(7, (1, 4, 2, 3, 3.0))
    score_maps[4, 2:4, 5] = 1.5  # It grows by a column.
    parts, _ = told(score_maps, settings)
    assert states(parts) == [
        [], [], [], [(1, "begun")], [(1, "going")], [], [(1, "ended")], [],
    ]  # fmt: skip
    alarm, grown, end = (part[0] for part in (parts[3], parts[4], parts[6]))
    assert (alarm.start_sec, alarm.time_sec, alarm.score, alarm.score_sec) == (0.1, 0.3, 3.0, 0.1)
    assert alarm.box == (20, 30, 40, 50) and grown.box == end.box == (20, 30, 40, 60)
    assert (end.start_sec, end.time_sec) == (0.1, 0.4)
    assert json.loads(json.dumps(dataclasses.asdict(end)))["track"] == 1


def test_one_frame_too_short_is_never_told_and_lengths_of_sums_of_tenths_are():
    settings = dataclasses.replace(PLAIN, min_seconds=0.3)
    assert states(told(maps(9, (2, 4, 2, 3, 3.0)), settings)[0]) == [[]] * 10
    # 1.2 - 0.9 is less than 0.3 to a computer.
    parts = states(told(maps(14, (9, 12, 2, 3, 3.0)), settings)[0])
    assert parts[12] == [(1, "begun")]


def test_the_high_threshold_begins_and_the_low_one_keeps_going():
    blobs = [(0, 1, 2, 3, 1.5), (2, 2, 2, 3, 2.0), (3, 5, 2, 3, 1.0), (6, 6, 2, 3, 0.9)]
    parts = states(told(maps(7, *blobs), PLAIN)[0])
    assert parts == [
        [], [], [(1, "begun")], [(1, "going")], [(1, "going")], [(1, "going")], [], [(1, "ended")],
    ]  # fmt: skip
    # Without the frame that reaches the high one there is no event.
    assert not any(states(told(maps(7, blobs[0], *blobs[2:]), PLAIN)[0]))


@pytest.mark.parametrize("value", [0.1, 0.3, 0.7])
def test_a_cell_reaches_a_threshold_of_its_own_value(value):
    settings = dataclasses.replace(PLAIN, high=value, low_share=1.0)
    assert len(find_events(maps(2, (0, 1, 2, 3, value)), [0, 1], settings, SIZE)) == 1


def test_a_gap_is_bridged_as_long_as_is_allowed():
    score_maps = maps(12, (1, 3, 2, 3, 3.0), (6, 8, 2, 3, 3.0))  # Out of sight for two frames.
    for gap, count in ((0.2, 1), (0.15, 2), (0.0, 2)):
        settings = dataclasses.replace(PLAIN, max_gap_seconds=gap)
        found = find_events(score_maps, np.arange(12) / 10, settings, SIZE)
        assert len(found) == count, gap
        assert found[-1].time_sec == 0.8


def test_it_goes_by_time_and_not_by_frames():
    # Every third frame came: a second of it is as long, and its gap of one frame is of 0.6 s.
    settings = dataclasses.replace(PLAIN, min_seconds=0.6, max_gap_seconds=0.3)
    score_maps = maps(6, (0, 2, 2, 3, 3.0), (4, 5, 2, 3, 3.0))
    parts = states(told(score_maps, settings, np.arange(6) * 0.3)[0])
    assert parts == [[], [], [(1, "begun")], [], [(1, "going")], [(1, "going")], [(1, "ended")]]
    parts = states(told(score_maps, settings, [0, 0.3, 0.6, 0.9, 1.3, 1.6])[0])
    assert parts == [[], [], [(1, "begun")], [], [(1, "ended")], [], []]


def test_a_slow_camera_still_raises_alarms():
    parts = states(told(maps(3, (0, 2, 2, 3, 3.0)), EventSettings(high=2.0), [0, 5, 10])[0])
    assert parts == [[], [(1, "begun")], [(1, "going")], [(1, "ended")]]


@pytest.mark.parametrize("jump, counted", [(-3600.0, 1), (events.OUTAGE_SECONDS + 1, 0)])
def test_a_clock_that_jumps_ends_what_goes_on_and_all_begins_anew(jump, counted):
    times = np.arange(8) / 10 + np.where(np.arange(8) >= 4, jump, 0)
    settings = dataclasses.replace(PLAIN, min_seconds=0.2, smoothing_seconds=0.01)
    parts, tracker = told(maps(8, (0, 7, 2, 3, 3.0)), settings, times)
    assert states(parts) == [
        [], [], [(1, "begun")], [(1, "going")],
        [(1, "ended")], [], [(2, "begun")], [(2, "going")], [(2, "ended")],
    ]  # fmt: skip
    assert (parts[4][0].time_sec, parts[6][0].start_sec) == (0.3, times[4])
    assert tracker.clock_jumps == counted


def test_what_comes_apart_is_still_one_event_and_two_that_meet_become_the_first():
    apart = maps(6, (0, 2, 3, 5, 3.0), (3, 3, 3, 4, 3.0), (3, 3, 3, 6, 3.0))
    apart[4:] = maps(2, (0, 1, 3, 3, 3.0), (0, 1, 3, 7, 3.0))
    found, _ = told(apart, PLAIN)
    assert {event.track for part in found for event in part} == {1}
    assert found[4][0].regions == ((30, 30, 50, 50), (30, 70, 50, 90))
    assert found[4][0].box == (30, 30, 50, 90)
    # Played backwards two meet: the one told first, in the order of rows and columns, goes on.
    met, _ = told(apart[::-1], PLAIN)
    assert states(met)[1:3] == [[(1, "going"), (2, "going")], [(2, "ended"), (1, "going")]]
    assert states(met)[-1] == [(1, "ended")]


def test_a_region_smaller_than_asked_for_does_not_count():
    score_maps = maps(3, (0, 2, 1, 1, 3.0))
    score_maps[:, 5, 8] = 3.0
    for cells, count in ((1, 2), (4, 1), (5, 0)):
        settings = dataclasses.replace(PLAIN, min_cells=cells)
        assert len(find_events(score_maps, np.arange(3), settings, SIZE)) == count


@pytest.mark.parametrize("seed", range(8))
def test_events_are_the_connected_regions_of_space_and_time(seed):
    draw = np.random.default_rng(seed)
    volume = ndimage.gaussian_filter(draw.normal(size=(60, 8, 12)), (1.5, 0.8, 0.8))
    volume = (volume / volume.std() + 2).clip(0).astype(np.float32)
    settings = EventSettings(4.2, 0.8, 0.0, 0.0, window=1)
    labels, count = ndimage.label(volume >= np.float32(settings.low), np.ones((3, 3, 3)))
    expected = []
    for number, (frames, *_) in zip(
        range(1, count + 1), ndimage.find_objects(labels), strict=True
    ):
        score = volume[labels == number].max()
        if score >= np.float32(4.2):
            expected.append((frames.start, frames.stop - 1, float(score)))
    parts, _ = told(volume, settings, np.arange(60))
    # Of two that had been told before they met, the younger one ends there.
    found, met = [], 0
    for part in parts:
        for event in part:
            if event.state == "ended":
                found.append((event.start_sec, event.time_sec, event.score))
    assert len(expected) > 3
    met = len(found) - len(expected)
    assert 0 <= met <= 2
    assert set(expected) <= set(found)


def test_every_cell_above_the_low_threshold_is_in_a_region_of_an_event():
    score_maps = maps(4, (0, 3, 0, 0, 3.0), (1, 3, 6, 10, 3.0), (2, 2, 6, 3, 1.5))
    parts, _ = told(score_maps, PLAIN)
    boxes = [{box for event in part for box in event.regions} for part in parts[:4]]
    first, second = (0, 0, 20, 20), (60, 100, 80, 120)
    assert boxes == [{first}, {first, second}, {first, second}, {first, second}]


def test_cells_that_touch_at_a_corner_are_one_region():
    score_maps = np.zeros((1, 8, 12), np.float32)
    score_maps[0, (2, 3), (4, 5)] = 3.0
    (event,) = told(score_maps, PLAIN)[0][0]
    assert event.regions == ((20, 40, 40, 60),)


def test_windows_make_the_largest_value_the_score_of_the_model():
    score_maps = np.random.default_rng(0).gamma(1.0, size=(5, 6, 7)).astype(np.float32)
    for window in (1, 2, 3, 20):
        smoother = events.MapSmoother(window)
        smooth = np.stack([smoother.update(m, t) for t, m in enumerate(score_maps)])
        assert smooth.shape == score_maps.shape
        np.testing.assert_array_equal(
            smooth.max(axis=(1, 2)), pool_score_map(score_maps, "max", 8 * window)
        )
    # By hand: means of two windows are 1 and 3, and the cells between lie in both.
    smooth = events.MapSmoother(2).update(np.float32([[0, 2, 4], [0, 2, 4]]), 0.0)
    np.testing.assert_array_equal(smooth, [[1, 3, 3], [1, 3, 3]])


def test_the_average_over_time_goes_by_time():
    once = events.MapSmoother(1, seconds=2.0)
    often = events.MapSmoother(1, seconds=2.0)
    zeros, ones = np.zeros((2, 2), np.float32), np.ones((2, 2), np.float32)
    once.update(zeros, 0.0)
    often.update(zeros, 0.0)
    for time_sec in np.arange(1, 11) * 0.1:
        last = often.update(ones, time_sec)
    np.testing.assert_allclose(last, once.update(ones, 1.0), rtol=1e-5)
    np.testing.assert_allclose(last, 1 - np.exp(-0.5), rtol=1e-5)


def test_memory_does_not_grow():
    import tracemalloc

    draw = np.random.default_rng(0)
    tracker = EventTracker(EventSettings(high=2.5, window=1), SIZE)
    peaks = []
    tracemalloc.start()
    for number in range(2000):
        # A region that is there from the first frame to the last, and others that come and go.
        score_map = draw.gamma(1.0, size=(8, 12)).astype(np.float32)
        score_map[2, 3] = 3.0
        tracker.update(score_map, number / 10)
        if number in (499, 1999):
            peaks.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert peaks[1] < peaks[0] + 20_000


def test_a_stream_of_maps_will_do_and_another_video_may_be_of_another_size():
    stream = (m for m in maps(5, (1, 3, 2, 3, 3.0)))
    found = find_events(stream, iter([0.0, 0.1, 0.2, 0.3, 0.4]), PLAIN, SIZE)
    assert [(e.state, e.start_sec, e.time_sec) for e in found] == [("ended", 0.1, 0.3)]
    tracker = EventTracker(PLAIN, SIZE)
    tracker.update(np.full((8, 12), 3, np.float32), 5.0)
    with pytest.raises(ValueError, match=r"as large as those before. Received: shape \(4, 4\)"):
        tracker.update(np.zeros((4, 4), np.float32), 5.1)
    assert len(tracker.finish()) == 1
    assert tracker.update(np.zeros((4, 4), np.float32), 0.0) == []
    assert tracker.clock_jumps == 0


def test_what_is_no_map_or_no_time_is_told():
    tracker = EventTracker(PLAIN, SIZE)
    with pytest.raises(ValueError, match="must be finite. Received: 96 values"):
        tracker.update(np.full((8, 12), np.nan), 0.0)
    with pytest.raises(ValueError, match="must be finite. Received: 0 values .*time_sec=nan"):
        tracker.update(np.zeros((8, 12)), float("nan"))
    with pytest.raises(ValueError, match=r"must be \(height', width'\).*shape \(1, 8, 12\)"):
        tracker.update(np.zeros((1, 8, 12)), 0.0)
    with pytest.raises(ValueError, match="shorter"):
        find_events(maps(3), [0.0, 0.1], PLAIN, SIZE)
    assert list(itertools.chain(*told(maps(3), PLAIN)[0])) == []


@pytest.mark.parametrize(
    "values, message",
    [
        ({"high": 0.0}, "`high` must be above 0"),
        ({"high": float("nan")}, "`high` must be above 0"),
        ({"low_share": 1.5}, "`low_share` must be above 0 and at most 1: .* low_share=1.5"),
        ({"low_share": 0}, "`low_share` must be above 0"),
        ({"min_seconds": -1}, "`min_seconds` must be at least 0 seconds"),
        ({"max_gap_seconds": float("inf")}, "`max_gap_seconds` must be at least 0 seconds"),
        ({"min_cells": 0}, "`min_cells` must be a whole number of at least 1"),
        ({"window": 2.0}, "`window` must be a whole number of at least 1"),
    ],
)
def test_thresholds_out_of_order_and_other_settings_are_told(values, message):
    with pytest.raises(ValueError, match=message):
        EventSettings(**{"high": 1.0, **values})
    kept = EventSettings(high=1.0).to_dict()
    with pytest.raises(ValueError, match=message):
        EventSettings.from_dict({**kept, **values})


def test_settings_go_through_json():
    settings = EventSettings(high=0.25, low_share=0.4, min_cells=3)
    values = json.loads(json.dumps(settings.to_dict()))
    assert EventSettings.from_dict(values) == settings and settings.low == 0.1
    values["hihg"] = values.pop("high")
    with pytest.raises(ValueError, match="`values` must name high, .*Received: hihg"):
        EventSettings.from_dict(values)


def test_another_threshold_counts_from_the_next_frame_on():
    tracker = EventTracker(EventSettings(high=1.0, min_seconds=0.0, window=1), SIZE)
    score_map = np.full((4, 4), 1.5, np.float32)
    assert [event.state for event in tracker.update(score_map, 0.0)] == ["begun"]
    tracker.set_threshold(4.0)
    # Below the low threshold of now, half of the high one, it is out of sight.
    assert tracker.update(score_map, 0.1) == []
    assert tracker.settings == EventSettings(high=4.0, min_seconds=0.0, window=1)
    assert [event.state for event in tracker.update(3 * score_map, 0.2)] == ["going"]
    with pytest.raises(ValueError, match="`high` must be above 0"):
        tracker.set_threshold(0.0)
