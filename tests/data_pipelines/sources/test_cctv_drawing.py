import dataclasses

import numpy as np
import pytest

from data_pipelines.sources.cctv_drawing import Camera, Figure, draw_background, draw_people
from data_pipelines.sources.cctv_people import FAR, NEAR, draw_mover


@pytest.fixture
def camera():
    return Camera(96, 144)


def walker(camera, z, x=0.0, seed=0):
    """A walker who is at `x` at second 0."""
    mover = draw_mover(np.random.default_rng(seed), camera, "walk", 0.0, z)
    start = -(mover.half_view + x) / mover.speed
    return dataclasses.replace(mover, start_sec=start, drift=0.0)


def extent(mask):
    rows, columns = np.nonzero(mask)
    return np.ptp(rows) + 1, rows.max(), columns.mean()


def drawn(camera, movers, marked):
    frame, ids = np.zeros((96, 144, 3), np.uint8), np.zeros((96, 144), np.uint8)
    draw_people(frame, [Figure(camera, mover, np.zeros(1)) for mover in movers], 0, ids)
    return frame, ids == 1 + next(n for n, mover in enumerate(movers) if mover is marked)


def test_a_person_is_as_tall_as_the_distance_makes_them(camera):
    for z in (NEAR, 10.0, FAR):
        mover = walker(camera, z)
        height, foot, column = extent(drawn(camera, [mover], mover)[1])
        assert height == pytest.approx(1.5 * 96 / z * mover.body, rel=0.12)
        assert foot == pytest.approx(camera.project(0, z)[1], abs=2)
        assert column == pytest.approx(72, abs=2.5)


def test_a_nearer_person_hides_a_farther_one(camera):
    far, near = walker(camera, 8.0, seed=1), walker(camera, 7.0, seed=2)
    alone = drawn(camera, [far], far)[1].sum()
    for order in ([far, near], [near, far]):
        assert drawn(camera, order, far)[1].sum() < 0.6 * alone
    behind = walker(camera, 14.0, seed=2)
    np.testing.assert_array_equal(drawn(camera, [far, behind], far)[1],
                                  drawn(camera, [far], far)[1])


def test_people_walk_in_and_out_of_view(camera):
    mover = walker(camera, 10.0)
    times = np.linspace(mover.start_sec - 1, mover.end_sec + 1, 200)
    figure = Figure(camera, mover, times)
    assert times[figure.first - 1] < mover.start_sec <= times[figure.first]
    assert times[figure.last] <= mover.end_sec < times[figure.last + 1]
    for number in (figure.first, figure.last):
        ids = np.zeros((96, 144), np.uint8)
        draw_people(np.zeros((96, 144, 3), np.uint8), [figure], number, ids)
        assert ids.sum() == 0


@pytest.mark.parametrize("kind", ["walk", "cycle", "left"])
def test_a_figure_stays_within_its_extent_and_may_be_drawn_from_any_corner(camera, kind):
    mover = draw_mover(np.random.default_rng(4), camera, kind, 0.0, 8.0)
    figure = Figure(camera, mover, np.arange(0.0, mover.end_sec, 0.1))
    for number in range(20, figure.last - 20, 7):
        whole = np.zeros((96, 144, 4), np.uint8)
        figure.draw(whole, number)
        left, top, right, bottom = figure.extent(number)
        part = np.zeros((bottom - top, right - left, 4), np.uint8)
        figure.draw(part, number, corner=(left, top))
        rows, columns = np.nonzero(whole[..., 3])
        assert top <= rows.min() and rows.max() < bottom and bottom - top < np.ptp(rows) + 8
        assert left <= columns.min() and columns.max() < right
        assert right - left < np.ptp(columns) + 8
        np.testing.assert_array_equal(part[:, : 144 - left], whole[top:bottom, left:right])


def test_a_mirrored_camera_sees_the_mirror_image():
    mover = walker(Camera(96, 144), 8.0, x=2.0)
    seen = {}
    for flow in (1, -1):
        seen[flow] = np.zeros((96, 145), np.uint8)
        Figure(Camera(96, 144, flow=flow), mover, np.zeros(1)).draw(seen[flow], 0, value=1)
    # Column 72 is the middle.
    differ = seen[1] != seen[-1][:, ::-1]
    assert seen[1].sum() > 200 and differ.sum() < 0.1 * seen[1].sum()


def test_the_street_is_textured_and_the_same_for_a_seed(camera):
    first, again = (draw_background(np.random.default_rng(2), camera) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (96, 144, 3) and first.dtype == np.uint8
    assert first[:20].std() > 8 and first[60:].std() > 4
