"""Every check against made-up footage with the fault, and without it."""

import pickle

import cv2
import numpy as np
import pytest

from data_pipelines.background_checks import likeness
from data_pipelines.doctor_checks import (
    MOST_LISTED,
    Checks,
    Clock,
    Stretches,
    blur,
    change,
    doubled,
    is_black,
    is_over_exposed,
    small_size,
)


def examined(frames, times=None, fps=10):
    checks = Checks()
    for number, frame in enumerate(frames):
        checks.add(number / fps if times is None else times[number], frame)
    checks.end()
    return checks


def found(checks):
    kinds = {kind: stretches.kept for kind, stretches in checks.stretches.items()}
    kinds |= {"moved": checks.moves.found.kept, "cut": checks.cuts.found.kept,
              "gap": checks.clock.gaps.kept, "clock": checks.clock.backwards.kept}  # fmt: skip
    return {kind: kept for kind, kept in kinds.items() if kept}


def test_healthy_footage_is_healthy(street):
    assert found(examined(street(200))) == {}
    assert found(examined(street(200, noise=1.0), fps=25)) == {}


def test_footage_of_the_made_up_camera_is_healthy(tmp_path):
    from data_pipelines import open_source
    from data_pipelines.sources import synthetic_cctv

    folder = synthetic_cctv.make(tmp_path / "s", train_videos=1, test_videos=1, frames=150)
    for video in open_source(folder).videos:
        frames = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in video.frames()]
        assert found(examined(frames)) == {}, video.name


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("black", lambda frames: np.clip(frames // 30, 0, 255)),
        ("over-exposed", lambda frames: np.clip(frames * 2.0 + 60, 0, 255)),
        ("blurred", lambda frames: [cv2.GaussianBlur(f, (0, 0), 3.0) for f in frames]),
        ("frozen", lambda frames: np.repeat(frames[:1], len(frames), axis=0)),
        ("doubled", lambda frames: np.repeat(frames[::2], 2, axis=0)),
    ],
)
def test_a_fault_is_found_where_it_is(street, kind, spoil):
    frames = street(240)
    frames[80:160] = np.asarray(spoil(frames[80:160]), np.uint8)
    kinds = found(examined(frames))
    assert list(kinds) == [kind] or set(kinds) == {kind, "cut"}
    ((begin, end),) = kinds[kind]
    assert begin == pytest.approx(8.0, abs=0.5) and end == pytest.approx(16.0, abs=0.5)


@pytest.mark.parametrize("kind", ["black", "over-exposed", "blurred", "frozen", "doubled"])
def test_what_lasts_a_moment_is_no_fault(street, kind):
    frames = street(120)
    spoiled = {
        "black": lambda f: f // 30, "over-exposed": lambda f: f * 0 + 255,
        "blurred": lambda f: np.stack([cv2.GaussianBlur(x, (0, 0), 3.0) for x in f]),
        "frozen": lambda f: np.repeat(f[:1], len(f), axis=0),
        "doubled": lambda f: np.repeat(f[::2], 2, axis=0),
    }[kind]  # fmt: skip
    frames[50:58] = spoiled(frames[50:58])
    assert kind not in found(examined(frames))


def test_a_short_video_that_is_nothing_but_the_fault_is_one(street):
    assert found(examined(street(5) // 30))["black"] == [[0.0, pytest.approx(0.5)]]
    assert found(examined(np.repeat(street(1), 6, axis=0)))["frozen"] == [[0, pytest.approx(0.5)]]
    assert "frozen" not in found(examined(street(1)))


@pytest.mark.parametrize(("pattern", "is_doubled"), [
    ([0, 0], True), ([0, 0, 0], True), ([0, 1, 2, 3, 3], True), ([0, 1, 1, 2], True),
    (list(range(12)), False),
])  # fmt: skip
def test_patterns_of_repeats(street, pattern, is_doubled):
    """Twice, three times, 24 as 30 and one in four; and none."""
    frames = street(240, per_second=25)
    step = max(pattern) + 1
    order = [step * part + n for part in range(240 // step) for n in pattern]
    assert ("doubled" in found(examined(frames[order][:240], fps=25))) is is_doubled


def test_a_quiet_place_is_neither_frozen_nor_doubled(street):
    quiet = np.repeat(street(1, noise=0), 100, axis=0)
    noise = np.random.default_rng(0).normal(0, 1.5, quiet.shape)
    assert found(examined(np.clip(quiet + noise, 0, 255).astype(np.uint8))) == {}
    assert doubled([1.0, 0.0] * 12) == []  # What moves too little tells nothing.
    assert doubled([20.0, 0.0] * 11) == []  # Nor do too few frames.


@pytest.mark.parametrize("shift", [(3, 0), (0, -4), (9, 6), (40, 20)])
def test_a_camera_that_is_pushed_is_found_once(street, shift):
    wide = street(300, size=(144, 240))
    frames = wide[:, 24:120, 48:192].copy()
    right, down = shift
    frames[160:] = wide[160:, 24 + down : 120 + down, 48 + right : 192 + right]
    checks = examined(frames)
    assert len(checks.moves.found.kept) == 1
    assert checks.moves.found.kept[0][0] == pytest.approx(16.0, abs=2.1)
    if max(map(abs, shift)) < 20:
        np.testing.assert_allclose(checks.moves.shifts[0], (-right, -down), atol=0.7)


def test_neither_light_nor_shaking_nor_a_large_car_is_a_moved_camera(street):
    light = street(300).astype(float)
    light[150:] = light[150:] * 0.6 + 20
    assert "moved" not in found(examined(light.astype(np.uint8)))
    wide = street(300, size=(102, 150))
    steps = np.random.default_rng(0).integers(2, 5, (300, 2))
    shaken = [frame[r : r + 96, c : c + 144] for frame, (r, c) in zip(wide, steps, strict=True)]
    assert "moved" not in found(examined(shaken))
    car = street(300)
    car[150:200, 30:80, 20:100] = 15
    assert "moved" not in found(examined(car))


def test_a_camera_that_moves_all_the_time_is_not_moved(street):
    wide = street(300, size=(96, 480))
    assert "moved" not in found(examined([wide[n, :, n : n + 144] for n in range(300)]))


def test_cuts_are_found_and_a_flash_is_none(street):
    frames = street(150)
    frames[60:] = street(90, place=1)
    assert found(examined(frames))["cut"] == [[6.0, 6.0]]
    flash = street(150)
    flash[60] = 255 - flash[60]
    assert "cut" not in found(examined(flash))
    light = street(150).astype(float)
    light[60:] = np.clip(light[60:] + 50, 0, 255)
    assert "cut" not in found(examined(light.astype(np.uint8)))


def test_the_clock_tells_rate_gaps_and_backward_steps():
    times = [0.0, 0.1, 0.2, 0.3, 5.3, 5.4, 5.5, 2.0, 2.1, 2.1, 2.2]
    clock = Clock()
    follows = [clock.add(time) for time in times]
    assert follows == [False, True, True, True, False, True, True, False, True, False, True]
    assert clock.gaps.kept == [[pytest.approx(0.3), pytest.approx(5.3)]]
    assert [begin for begin, _ in clock.backwards.kept] == pytest.approx([5.5, 5.7])
    assert clock.fps == pytest.approx(10.0)


def test_a_clock_that_stands_still_from_the_start_goes_on_by_a_guess():
    clock = Clock()
    for _ in range(51):
        clock.add(7.0)
    assert clock.now_sec == pytest.approx(2.0) and clock.fps is None
    assert clock.backwards.count == 50


def test_a_picture_every_five_seconds_has_no_gaps():
    clock = Clock()
    for number in range(20):
        clock.add(5.0 * number)
    assert clock.gaps.count == 0 and clock.fps == pytest.approx(0.2)


def test_frames_do_not_stand_still_through_a_gap(street):
    frames = np.repeat(street(2), 2, axis=0)
    assert "frozen" not in found(examined(frames, times=[0.0, 0.1, 60.0, 60.1]))


def test_the_measures_themselves():
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 255, (60, 60), dtype=np.uint8)
    assert blur(sharp) < 0.3 < 0.55 < blur(cv2.GaussianBlur(sharp, (0, 0), 4))
    assert blur(np.full((60, 60), 90, np.uint8)) is None and blur(sharp[:5, :5]) is None
    other = sharp.copy()
    other[8:16, 8:16] = np.clip(other[8:16, 8:16].astype(int) + 20, 0, 255)
    assert change(sharp, sharp) == 0 and change(sharp[:56, :56], other[:56, :56]) > 15
    dark = np.full((10, 100), 25, np.uint8)
    dark[0, :19] = 200
    assert is_black(dark) and not is_black(dark + 1)
    dark[0, :21] = 200
    assert not is_black(dark)
    bright = np.full((10, 10), 100, np.uint8)
    bright[:4] = 250
    assert is_over_exposed(bright) and not is_over_exposed(np.minimum(bright, 249))
    assert likeness(sharp, sharp) == pytest.approx(1.0)
    assert small_size(4320, 7680) == (108, 192) and small_size(1, 1) == (1, 1)
    assert small_size(3, 10_000) == (1, 192) and small_size(100, 90) == (100, 90)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 3), (17, 12)])
def test_frames_of_any_size_are_looked_at(size):
    rng = np.random.default_rng(0)
    checks = examined(rng.integers(30, 220, (80, *size), dtype=np.uint8))
    assert checks.frames == 80 and "frozen" not in found(checks)


def test_a_change_of_size_begins_anew(street):
    frames = [*street(40), *street(40, size=(48, 72))]
    assert set(found(examined(frames))) <= {"cut"}


def test_lists_of_stretches_are_joined_where_they_are_nearest():
    stretches = Stretches(least_sec=1.0)
    for number in range(4 * MOST_LISTED):
        stretches.add(5 * number, 5 * number + 2, True)
        stretches.add(5 * number + 2, 5 * number + 5, False)
    assert len(stretches.kept) == MOST_LISTED and stretches.count == 4 * MOST_LISTED
    assert stretches.total_sec == 8 * MOST_LISTED
    assert stretches.kept[0][0] == 0 and stretches.kept[-1][1] == 20 * MOST_LISTED - 3


def test_what_is_kept_does_not_grow_with_the_video(street):
    """State after ten minutes against state after one, of footage that is full of faults."""
    frames, sizes = street(100, size=(24, 36)), []
    frames[40:70] = 0
    for count in (600, 6000):
        checks = Checks()
        for number in range(count):
            checks.add(number / 10 + 3 * (number // 97), frames[number % 100])
        sizes.append(len(pickle.dumps(checks)))
    assert sizes[1] < 1.1 * sizes[0]
