import dataclasses

import numpy as np
import pytest

from data_pipelines.sources import cctv_day
from data_pipelines.sources.cctv_drawing import Camera
from data_pipelines.sources.cctv_plan import CONDITIONS, Plan
from data_pipelines.sources.cctv_schedule import EVENTS, movers

PLAN = Plan(seed=0, cameras=2, train_hours=1, test_hours=1, events_per_hour=120, start_hour=8.0,
            size=(96, 144), fps=10, minutes_per_file=10, conditions=CONDITIONS, codec="MJPG")
VIEW = Camera(96, 144)


@pytest.fixture(scope="module")
def by_minute():
    return [movers(PLAN, 0, VIEW, minute) for minute in range(120)]


def test_minutes_agree_on_who_is_in_view(by_minute):
    found = {}
    for minute, known in enumerate(by_minute):
        for track, mover in known:
            found.setdefault(track, {})[minute] = mover
    for seen in found.values():
        first, *others = seen.values()
        for other in others:
            np.testing.assert_array_equal(other.colours, first.colours)
            assert dataclasses.replace(other, colours=0) == dataclasses.replace(first, colours=0)
        # In every minute in which it is in view, and in no other.
        begin, end = max(0.0, first.start_sec), min(first.end_sec, 7199.9)
        assert list(seen) == list(range(int(begin // 60), int(end // 60) + 1))
    assert len(found) > 300


def test_the_archive_begins_with_people_in_view():
    seen = [mover for camera in range(4) for _, mover in movers(PLAN, camera, VIEW, 0)]
    assert any(mover.start_sec < 0 for mover in seen)


def test_the_training_part_is_normal_and_the_test_part_has_every_kind_in_turns(by_minute):
    assert {mover.kind for known in by_minute[:60] for _, mover in known} == {"walk"}
    begun = {track: mover for known in by_minute[60:] for track, mover in known
             if mover.kind in EVENTS}  # fmt: skip
    assert [mover.kind for _, mover in sorted(begun.items())] == list(EVENTS) * 24
    assert min(mover.start_sec for mover in begun.values()) >= 3600
    normal = dataclasses.replace(PLAN, events_per_hour=0)
    seen = [mover for minute in (70, 80, 90) for _, mover in movers(normal, 0, VIEW, minute)]
    assert {mover.kind for mover in seen} == {"walk"}


def test_nobody_comes_in_an_empty_stretch():
    normal = dataclasses.replace(PLAN, events_per_hour=0)
    empty = [m for m in range(1, 120) if cctv_day.is_empty(PLAN, 0, m)
             and cctv_day.is_empty(PLAN, 0, m - 1)]
    assert len(empty) > 5
    for minute in empty:
        assert movers(normal, 0, VIEW, minute) == []


def test_a_bag_is_brought_left_and_taken(by_minute):
    known = dict(pair for minute in by_minute for pair in minute)
    track, bag = next((track, mover) for track, mover in known.items() if mover.kind == "left")
    carrier, taker = known[track + 1], known[track + 2]
    put_down, taken = bag.abnormal_sec
    for person, first, last in ((carrier, bag.start_sec, put_down), (taker, taken, bag.end_sec)):
        for second in np.linspace(first, last, 5):
            np.testing.assert_allclose(person.position(second)[0], bag.position(second)[0])
            np.testing.assert_allclose(person.position(second)[1], bag.position(second)[1] + 0.01)
    assert abs(bag.pause_x) < VIEW.half_view(bag.z) - 1.0
    assert carrier.kind == taker.kind == "walk"
    assert not np.array_equal(carrier.colours, taker.colours)


def test_people_come_as_often_as_they_should():
    calm = dataclasses.replace(PLAN, conditions=(), events_per_hour=0)
    minutes = range(0, 90)
    begun = {track for minute in minutes for track, mover in movers(calm, 1, VIEW, minute)
             if mover.start_sec >= 0}  # fmt: skip
    expected = 1.3 * 60 * sum(cctv_day.arrivals(calm, 1, minute) for minute in minutes)
    assert len(begun) == pytest.approx(expected, rel=0.15)
