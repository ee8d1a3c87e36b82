import dataclasses

import numpy as np
import pytest

from data_pipelines.sources.cctv_drawing import Camera
from data_pipelines.sources.cctv_people import FAR, KINDS, NEAR, draw_mover, pose

CAMERA = Camera(96, 144)


def movers(kind, count=40):
    return [draw_mover(np.random.default_rng(n), CAMERA, kind, 2.0) for n in range(count)]


def test_speeds_tell_the_kinds_apart():
    speeds = {kind: np.array([m.speed for m in movers(kind)]) for kind in KINDS}
    assert speeds["against"].max() < 0 < speeds["walk"].min()
    assert speeds["walk"].max() < speeds["run"].min()
    np.testing.assert_allclose(np.sort(-speeds["against"]), np.sort(speeds["walk"]))
    assert speeds["run"].mean() < speeds["cycle"].mean()


@pytest.mark.parametrize("kind", KINDS)
def test_the_view_is_crossed_in_the_time_said(kind):
    for mover in movers(kind, 5):
        start, end = (mover.position(t)[0] for t in (mover.start_sec, mover.end_sec))
        assert abs(start) == pytest.approx(mover.half_view)
        assert end == pytest.approx(-start)
        assert (end > start) == (kind != "against")
        assert NEAR <= mover.z <= FAR
        assert abs(mover.position(5.0)[1] - mover.z) <= mover.drift


def test_who_goes_against_the_flow_is_dressed_as_who_goes_with_it():
    for one, two in zip(movers("walk"), movers("against"), strict=True):
        np.testing.assert_array_equal(one.colours, two.colours)


def test_contrast_is_not_what_sets_fast_people_apart():
    contrast = {k: np.mean([np.abs(m.colours[:4] - 140).mean() for m in movers(k)]) for k in KINDS}
    assert max(contrast["run"], contrast["cycle"]) < contrast["walk"]


@pytest.mark.parametrize("kind", KINDS)
def test_limbs_hang_together_and_stay_above_the_ground(kind):
    mover = movers(kind, 1)[0]
    for x in np.linspace(-3, 3, 25):
        quads, colours, circles = pose(mover, np.array([x]))
        assert quads.shape == (1, len(colours), 4, 2)
        assert -0.15 < quads[..., 1].min() and quads[..., 1].max() < mover.body
        assert max(circles) <= len(colours)


def test_legs_swing_in_walkers_and_not_the_wheels_of_cyclists():
    def spread(kind):
        mover = movers(kind, 1)[0]
        feet = [np.ptp(pose(mover, np.array([x]))[0][..., 0]) for x in np.linspace(0, 1.5, 30)]
        return np.ptp(feet)

    assert spread("walk") > 0.3
    assert spread("run") > spread("walk")
    assert len(pose(movers("cycle", 1)[0], np.zeros(1))[2][0]) == 2


@pytest.mark.parametrize("kind", ["loiter", "left"])
def test_who_stays_stops_where_and_as_long_as_said(kind):
    mover = dataclasses.replace(movers(kind, 1)[0], pause_x=1.5, pause_sec=20.0)
    times = np.arange(mover.start_sec, mover.end_sec, 0.1)
    places = mover.position(times)[0]
    first, last = mover.abnormal_sec
    inside = (times >= first) & (times <= last)
    assert last - first == 20.0
    np.testing.assert_allclose(places[inside], 1.5)
    np.testing.assert_allclose(np.diff(places[~inside])[np.diff(times[~inside]) < 0.15],
                               0.1 * mover.speed)
    assert places[-1] == pytest.approx(mover.half_view, abs=0.2)


def test_only_walkers_are_normal_and_a_bag_is_put_down():
    assert movers("walk", 1)[0].abnormal_sec is None
    cyclist = movers("cycle", 1)[0]
    assert cyclist.abnormal_sec == (cyclist.start_sec, cyclist.end_sec)
    bag = dataclasses.replace(movers("left", 1)[0], pause_x=1.0, pause_sec=20.0)
    lowest = pose(bag, np.array([-3.0, 0.9, 1.0, 3.0]))[0][..., 1].min((1, 2))
    np.testing.assert_allclose(lowest, [0.3, 0.06, 0.0, 0.3], atol=1e-9)
