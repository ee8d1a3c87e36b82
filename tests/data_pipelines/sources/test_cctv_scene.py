import dataclasses

import numpy as np
import pytest

from data_pipelines.sources.cctv_drawing import Figure
from data_pipelines.sources.cctv_people import draw_mover
from data_pipelines.sources.cctv_plan import Plan
from data_pipelines.sources.cctv_scene import Scene

NOON, MIDNIGHT = 0.0, 12 * 3600.0
PLAN = Plan(seed=2, cameras=3, train_hours=24, test_hours=0, events_per_hour=0, start_hour=12.0,
            size=(96, 144), fps=10, minutes_per_file=10, conditions=("night",), codec="MJPG")
RAINY = dataclasses.replace(PLAN, conditions=("night", "weather"))


@pytest.fixture(scope="module")
def scene():
    return Scene(PLAN, 0)


def figures(scene, count=8):
    rng = np.random.default_rng(0)
    movers = [draw_mover(rng, scene.view, ("walk", "run", "left", "against")[n % 4], -4.0 + 0.2 * n)
              for n in range(count)]
    return [Figure(scene.view, mover, np.zeros(1)) for mover in movers]


def drawn(scene, people, look):
    ids = np.zeros((scene.view.height, scene.view.width), np.uint8)
    return scene.draw(people, 0, look, ids).astype(int), ids


def test_cameras_see_streets_of_their_own(scene):
    again, other = Scene(PLAN, 0), Scene(PLAN, 1)
    street = scene.look(NOON).street
    np.testing.assert_array_equal(again.look(NOON).street, street)
    assert np.abs(other.look(NOON).street.astype(float) - street).mean() > 10
    assert other.view != scene.view


def test_night_is_darker_than_day_and_lamps_are_lit_in_it(scene):
    day, night = scene.look(NOON), scene.look(MIDNIGHT)
    assert night.street.mean() < 0.6 * day.street.mean()
    # Under the lamps it is several times as light as away from them; by day it is even.
    assert night.light.max() > 3 * night.light.min()
    assert day.light.max() - day.light.min() < 0.01
    assert night.noise.std() > 1.7 * day.noise.std()
    people = figures(scene)
    by_day, by_night = (drawn(scene, people, look)[0] for look in (day, night))
    where = drawn(scene, people, day)[1] > 0
    assert by_night[where].mean() < 0.7 * by_day[where].mean()


@pytest.mark.parametrize("second", [NOON, MIDNIGHT])
def test_ids_lie_on_the_pixels_that_a_figure_changes(scene, second):
    look, people = scene.look(second), figures(scene)
    picture, ids = drawn(scene, people, look)
    checked = 0
    for place in range(len(people)):
        others = people[:place] + people[place + 1 :]
        without = drawn(scene, others, look)[0]
        changed = np.abs(picture - without).max(-1) > 0
        own = ids == place + 1
        if not own.any():
            continue
        checked += 1
        # Clothes may have the colour of what is behind them, here and there.
        assert changed[own].mean() > 0.97
        # The figure is where it covers half a pixel; else only soft edges and the shadow change.
        alone = np.zeros((*own.shape, 4), np.uint8)
        people[place].draw(alone, 0)
        shadow = np.zeros((*own.shape, 3), np.uint8)
        people[place].draw_shadow(shadow, 0)
        assert (alone[own, 3] >= 128).all()
        assert not changed[(alone[..., 3] == 0) & ~shadow.any(-1)].any()
    assert checked >= 5


def test_a_figure_is_drawn_as_it_is_by_make(scene):
    # In even light and without haze both ways of drawing give the same, but for rounding.
    look, (figure, *_) = scene.look(NOON), figures(scene)
    picture, _ = drawn(scene, [figure], look)
    direct = look.street.copy()
    light = look.light[0, 0].tolist()
    figure.draw_shadow(direct, 0, light)
    figure.draw(direct, 0, light)
    figure_pixels = (direct != look.street).any(-1)
    difference = np.abs(picture - direct)
    assert difference.max() <= 8 and difference[figure_pixels].mean() < 1.0
    assert np.abs(picture - look.street.astype(int))[figure_pixels].mean() > 20


def test_weather_shows():
    scene = Scene(RAINY, 1)
    found = {}
    for minute in range(10, 360, 20):
        look = scene.look(60.0 * minute)
        found.setdefault("fog" if look.fog else look.falling is not None and look.fall, look)
    assert len(found) == 4  # clear, rain, fog and snow
    clear, fog = found.pop(False), found.pop("fog")
    assert fog.street.std() < 0.7 * clear.street.std()
    people = figures(scene)
    (bright, ids), (pale, _) = (drawn(scene, people, look) for look in (clear, fog))
    assert pale[ids > 0].std() < 0.7 * bright[ids > 0].std()
    for falling in found.values():
        assert 0.002 < (falling.falling > 20).mean() < 0.2
        assert 0 < falling.fall[0] and falling.street.mean() < clear.street.mean()
