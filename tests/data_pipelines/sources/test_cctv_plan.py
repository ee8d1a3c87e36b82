import dataclasses

import pytest

from data_pipelines.sources.cctv_plan import CONDITIONS, Plan

PLAN = Plan(seed=1, cameras=2, train_hours=0.5, test_hours=0.25, events_per_hour=6,
            start_hour=22.0, size=(48, 64), fps=10, minutes_per_file=20, conditions=CONDITIONS,
            codec="MJPG")


def test_files_are_numbered_through_both_parts_and_cover_every_minute():
    assert PLAN.files() == [
        (f"{split}/camera{camera}/{number:03d}", camera, first, behind)
        for camera in range(2)
        for split, number, first, behind in (
            ("train", 0, 0, 20), ("train", 1, 20, 30), ("test", 2, 30, 45))
    ]  # fmt: skip


def test_minutes_have_a_clock_and_frames():
    assert PLAN.frames_per_minute == 600
    assert PLAN.hour(0) == 22.0 and PLAN.hour(90) == 23.5 and PLAN.hour(150.0) == 0.5


def test_draws_depend_on_seed_thing_and_place_alone():
    other = dataclasses.replace(PLAN, cameras=5, train_hours=2)
    first = PLAN.draws("crowd", 1, 7).random()
    assert other.draws("crowd", 1, 7).random() == first
    others = [PLAN.draws("crowd", 1, 8), PLAN.draws("crowd", 0, 7), PLAN.draws("shake", 1, 7),
              dataclasses.replace(PLAN, seed=2).draws("crowd", 1, 7)]
    assert len({first, *(rng.random() for rng in others)}) == 5


@pytest.mark.parametrize(
    "argument,message",
    [
        ({"seed": -1}, "`seed` must be a whole number, at least 0. Received: seed=-1"),
        ({"cameras": 0}, "`cameras` must be a whole number, at least 1. Received: cameras=0"),
        ({"minutes_per_file": 1.5}, "`minutes_per_file` must be a whole number"),
        ({"train_hours": -1}, "`train_hours` must be whole minutes, not negative"),
        ({"test_hours": 0.01}, r"`test_hours` must be whole minutes.* Received: test_hours=0.01"),
        ({"test_hours": float("nan")}, "`test_hours` must be whole minutes"),
        ({"train_hours": 0, "test_hours": 0}, "must be a minute or more together"),
        ({"start_hour": 24}, "`start_hour` must be at least 0 and below 24. Received: "),
        ({"events_per_hour": -1}, "`events_per_hour` must be between 0 and 360"),
        ({"size": (20, 64)}, r"`size` must be .*at least \(48, 48\)"),
        ({"fps": 0}, "`fps` must be above 0"),
        ({"fps": 29.97}, "`fps` must .*give whole frames per minute. Received: fps=29.97"),
        ({"conditions": ("hail",)}, r"`conditions` must be some of .*conditions=\('hail'"),
        ({"conditions": "night"}, "`conditions` must be some of"),
        ({"codec": "H265"}, "`codec` must be one of"),
    ],
)
def test_what_breaks_a_rule_is_named(argument, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PLAN, **argument)


@pytest.mark.parametrize("hours", [1 / 60, 7 / 60, 0.1, 1.3, 24])
def test_hours_of_whole_minutes_are_taken_whatever_their_rounding(hours):
    assert dataclasses.replace(PLAN, train_hours=hours).minutes("train") == round(hours * 60)
