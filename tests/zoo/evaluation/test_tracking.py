"""Boxes carried through made-up descriptors, whose answer is known."""

import numpy as np
import pytest

from zoo.evaluation import tracking
from zoo.evaluation.tracking import Carrier, Overlaps, pixel_grid

SIZE = (80, 120)  # cells of 10 x 10 pixels


def street(places, seed=0, noise=0.0, alike=False):
    """Grids `(frames, 8, 12, 64)` with a thing of 2 x 2 cells at each of `places`."""
    draw = np.random.default_rng(seed)
    background, thing = draw.normal(size=(8, 12, 64)), draw.normal(size=(2, 2, 64))
    if alike:
        thing = background[:2, :2]
    grids = np.repeat(background[None], len(places), axis=0)
    grids = grids + noise * draw.normal(size=grids.shape)
    for grid, (row, column) in zip(grids, places, strict=True):
        grid[row : row + 2, column : column + 2] = thing
    return grids.astype(np.float32)


def carry(grids, box, track=1):
    carrier = Carrier(SIZE)
    first = carrier.update(grids[0], {track: box})
    return [first[track]] + [carrier.update(grid)[track] for grid in grids[1:]]


def test_a_box_goes_where_its_descriptors_go():
    places = [(3, 1), (3, 2), (4, 3), (4, 5), (3, 6), (2, 7), (2, 9), (1, 10)]
    found = carry(street(places), (30, 10, 50, 30))
    expected = [(10 * r, 10 * c, 10 * r + 20, 10 * c + 20) for r, c in places]
    np.testing.assert_allclose(found, expected, atol=2.0)
    # With noise as well.
    np.testing.assert_allclose(carry(street(places, noise=0.3), found[0]), expected, atol=4.0)


def test_a_box_that_covers_parts_of_cells_keeps_its_place_in_them():
    places = [(3, 1), (3, 2), (3, 3)]
    found = carry(street(places), (33, 12, 48, 27))
    np.testing.assert_allclose(found[0], (33, 12, 48, 27))
    np.testing.assert_allclose(found[2], (33, 32, 48, 47), atol=2.0)


def test_a_thing_out_of_sight_for_a_frame_is_found_again():
    grids = street([(3, 3), (3, 4), (3, 4), (3, 5), (3, 6)])
    grids[2] = street([(3, 4)], alike=True)[0]
    found = carry(grids, (30, 30, 50, 50))
    np.testing.assert_allclose(found[4], (30, 60, 50, 80), atol=3.0)


def test_where_nothing_tells_places_apart_the_box_stays_in_the_frame():
    found = carry(np.ones((6, 8, 12, 4), np.float32), (30, 10, 50, 30))
    assert all(0 <= top < bottom <= 80 and -10 <= left < right <= 120
               for top, left, bottom, right in found)  # fmt: skip


def test_what_is_carried_is_given_later_too_and_dropped():
    grids = street([(3, 1)] * 4)
    carrier = Carrier(SIZE)
    assert carrier.update(grids[0]) == {}
    assert set(carrier.update(grids[1], {5: (30, 10, 50, 30)})) == {5}
    assert set(carrier.update(grids[2], {6: (10, 60, 30, 80)})) == {5, 6}
    carrier.drop(5)
    assert set(carrier.update(grids[3])) == {6}


def test_unit_takes_away_what_all_places_share():
    grid = tracking.unit(np.random.default_rng(0).normal(size=(4, 5, 6)) * 3 + 100)
    np.testing.assert_allclose(np.linalg.norm(grid, axis=-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(tracking.unit(np.ones((4, 5, 6))), np.zeros((4, 5, 6)))


def test_the_pixels_of_a_cell_are_its_descriptor():
    frames = np.random.default_rng(0).uniform(size=(2, 16, 24, 3)).astype(np.float32)
    grid = pixel_grid(frames, (2, 4))
    assert grid.shape == (2, 2, 4, 8 * 6 * 3)
    np.testing.assert_array_equal(grid[1, 1, 2], frames[1, 8:16, 12:18].ravel())
    with pytest.raises(ValueError, match="`grid` must divide the frame"):
        pixel_grid(frames, (3, 4))


def test_overlaps_are_averaged_over_frames_and_then_over_tracks():
    found = Overlaps()
    true = (0, 0, 10, 10)
    for number in range(20):
        # Track 1 is right in half of its 20 frames, and in the others a third of the union. Track
        # 2 is always right, but only true in 10 of them. Track 3 is too short, 4 is not carried.
        carried = {1: true if number % 2 else (0, 5, 10, 15), 2: true, 3: true}
        boxes = {1: true} | ({2: true, 4: true} if number < 10 else {})
        found.update(carried, boxes | ({3: true} if number < 9 else {}))
    found.end()
    assert found.means == pytest.approx([0.5 + 0.5 / 3, 1.0])
    assert found.mean == pytest.approx((0.5 + 0.5 / 3 + 1) / 2)
    assert Overlaps().mean is None


@pytest.mark.parametrize(
    "box, inside",
    [((1, 1, 79, 119), True), ((0, 1, 9, 9), False), ((1, 0, 9, 9), False),
     ((1, 1, 80, 9), False), ((1, 1, 9, 120), False)],
)  # fmt: skip
def test_a_box_at_the_border_is_not_given(box, inside):
    assert tracking.is_inside(box, SIZE) == inside
