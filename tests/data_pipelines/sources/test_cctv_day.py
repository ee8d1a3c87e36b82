import dataclasses

import numpy as np
import pytest

from data_pipelines.sources import cctv_day
from data_pipelines.sources.cctv_plan import CONDITIONS, Plan

PLAN = Plan(seed=3, cameras=2, train_hours=24, test_hours=0, events_per_hour=0, start_hour=0.0,
            size=(96, 144), fps=10, minutes_per_file=10, conditions=CONDITIONS, codec="MJPG")
CALM = dataclasses.replace(PLAN, conditions=())


def test_light_follows_the_clock():
    light = np.array([cctv_day.daylight(PLAN, minute) for minute in range(1440)])
    assert light[180] == 0.0 and light[720] == 1.0 and light[1380] == 0.0
    assert (np.diff(light[:720]) >= 0).all() and (np.diff(light[720:]) <= 0).all()
    assert light[390] == pytest.approx(0.5)
    assert np.abs(np.diff(light)).max() < 0.02
    assert cctv_day.daylight(CALM, 180) == 1.0


def test_weather_comes_and_goes_in_spells():
    minutes = np.arange(0, 1440, 0.25)
    found = [cctv_day.weather(PLAN, minute) for minute in minutes]
    kinds, strengths = zip(*found, strict=True)
    assert set(kinds) == {"clear", "rain", "fog", "snow"}
    assert 0.2 < np.mean(np.array(kinds) == "clear") < 0.8
    strengths = np.array(strengths)
    assert 0.8 < strengths.max() <= 1.0 and np.abs(np.diff(strengths)).max() < 0.2
    assert {strength for kind, strength in found if kind == "clear"} == {0.0}
    assert {cctv_day.weather(CALM, minute) for minute in minutes} == {("clear", 0.0)}


def test_there_are_empty_stretches_of_minutes_and_more_people_at_some_hours():
    empty = [cctv_day.is_empty(PLAN, 0, minute) for minute in range(1440)]
    assert 0.1 < np.mean(empty) < 0.4
    changes = np.flatnonzero(np.diff(np.pad(np.array(empty, int), 1)))
    lengths = changes[1::2] - changes[::2]
    assert lengths.min() >= 3
    rates = np.array([cctv_day.arrivals(CALM, 0, minute) for minute in range(1440)])
    assert rates[500] > 3 * rates[180] > 0
    assert cctv_day.arrivals(PLAN, 0, empty.index(True)) == 0.0
    assert rates[500] != cctv_day.arrivals(CALM, 1, 500)


def test_gusts_shift_the_picture_now_and_then_and_within_the_margin():
    shifts = np.stack([cctv_day.shake(PLAN, 0, minute) for minute in range(200)])
    assert shifts.shape == (200, 600, 2)
    assert np.abs(shifts).max() == cctv_day.margin(96)
    assert not shifts[:, [0, -1]].any()
    shaken = shifts.any((1, 2)).mean()
    assert 0.1 < shaken < 0.3
    assert not any(cctv_day.shake(CALM, 0, minute).any() for minute in range(50))


def test_clouds_change_the_light_slowly():
    light = np.array([cctv_day.drift(PLAN, 0, second) for second in range(600)])
    assert light.max() <= 1.0 and np.ptp(light) > 0.1 and np.abs(np.diff(light)).max() < 0.01
