import dataclasses

import numpy as np
import pytest

from data_pipelines.sources.cctv_drawing import Camera, draw_background, draw_people
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
    frame, mask = np.zeros((96, 144, 3), np.uint8), np.zeros((96, 144), np.uint8)
    draw_people(frame, camera, movers, 0.0, mask, marked)
    return frame, mask


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
    mask = np.zeros((96, 144), np.uint8)
    for second in (mover.start_sec, mover.end_sec):
        draw_people(np.zeros((96, 144, 3), np.uint8), camera, [mover], second, mask, mover)
    assert mask.sum() == 0


def test_the_street_is_textured_and_the_same_for_a_seed(camera):
    first, again = (draw_background(np.random.default_rng(2), camera) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (96, 144, 3) and first.dtype == np.uint8
    assert first[:20].std() > 8 and first[60:].std() > 4
