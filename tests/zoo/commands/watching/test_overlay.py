import dataclasses

import numpy as np
import pytest

from zoo.commands.watching.overlay import Overlay
from zoo.evaluation.events import ENDED, Event
from zoo.evaluation.pictures import heat_colours

RED = (255, 40, 40)
YELLOW = (255, 220, 60)


@pytest.fixture
def bare(scored):
    """Makes a frame of some size, grey 90, in which nothing was found."""

    def make(height=240, width=360, channels=3, **fields):
        image = np.full((height, width, channels), 90, np.uint8)
        usual = {"score": None, "score_map": None, "threshold": None, "events": ()}
        return scored(image=image, **{**usual, **fields})

    return make


def event_at(*box, track=3, state="going"):
    return Event(track, state, 9.0, 10.0, 0.3, 10.0, box, (box,))


def pixels_of(picture, colour):
    return (picture == colour).all(axis=-1)


@pytest.mark.parametrize("box", [(8, 16, 24, 40), (0, 0, 240, 360), (100, 200, 101, 201)])
def test_the_edges_of_a_box_are_its_outermost_pixels(bare, box):
    top, left, bottom, right = box
    expected = np.zeros((240, 360), bool)
    expected[top:bottom, left:right] = True
    expected[top + 1 : bottom - 1, left + 1 : right - 1] = False
    found = pixels_of(Overlay().draw(bare(events=(event_at(*box),))), RED)
    assert np.array_equal(found, expected)


def test_boxes_are_as_much_thicker_as_the_frame_is_larger(bare):
    picture = Overlay().draw(bare(2160, 3840, events=(event_at(500, 1000, 900, 1600),)))
    found = pixels_of(picture, RED)
    assert found[500:505, 1000:1600].all() and not found[505, 1010:1590].any()
    assert found[500:900, 1595:1600].all() and not found[510:890, 1594].any()


def test_a_box_smaller_than_its_edges_is_filled_and_nothing_beside_it(bare):
    picture = Overlay().draw(bare(2160, 3840, events=(event_at(1000, 1000, 1002, 1003),)))
    found = pixels_of(picture, RED)
    assert found[1000:1002, 1000:1003].all() and found.sum() == 6


def test_an_event_that_ended_is_no_more_to_be_seen(bare):
    with_it = Overlay().draw(bare(events=(event_at(8, 16, 24, 40, state=ENDED),)))
    assert np.array_equal(with_it, Overlay().draw(bare()))


def test_the_number_of_a_track_is_beside_its_box(bare):
    one, other = (
        Overlay().draw(bare(events=(event_at(120, 160, 160, 200, track=track),)))
        for track in (1, 8)
    )
    rows, columns = np.nonzero((one != other).any(axis=-1))
    assert 100 < rows.min() and rows.max() < 120 and 160 < columns.min() and columns.max() < 200


def test_heat_is_above_half_the_threshold_alone_and_as_hot_as_the_map(bare):
    """A slow reference, pixel by pixel, below the words and above the graph."""
    score_map = np.linspace(0, 5, 15 * 9, dtype=np.float32).reshape(15, 9)
    image = np.random.default_rng(0).integers(0, 256, (250, 130, 3), np.uint8)
    frame = dataclasses.replace(bare(), image=image, score_map=score_map, threshold=2.0)
    picture = Overlay().draw(frame)
    for row in range(100, 208, 3):
        for column in range(0, 130, 3):
            value = score_map[row * 15 // 250, column * 9 // 130]
            found, before = picture[row, column].astype(float), image[row, column].astype(float)
            heat = np.clip((value - 1.0) / 3.0, 0, 1)
            weight = 0.25 + 0.35 * heat if value > 1.0 else 0.0
            expected = before + weight * (heat_colours(heat) - before)
            assert np.abs(found - expected).max() <= 1.51
            if value <= 1.0:
                assert np.array_equal(found, before)


@pytest.mark.parametrize("field", ["score_map", "threshold"])
def test_without_a_map_or_a_threshold_there_is_no_heat(bare, field):
    fields = {"score_map": np.full((30, 45), 9.0, np.float32), "threshold": 1.0, field: None}
    picture = Overlay().draw(bare(**fields))
    assert (picture[80:199] == 90).all()


def test_the_graph_is_the_score_over_time_and_the_threshold(bare):
    overlay = Overlay(history_seconds=10)
    for second, score in ((0.0, 1.0), (5.0, 0.5), (10.0, 0.0)):
        picture = overlay.draw(bare(time_sec=second, score=score, threshold=0.25))
    strip = slice(200, 240)
    line = pixels_of(picture[strip], YELLOW)
    # Of 40 rows the top one is the largest score, the bottom one 0; time goes from left to right.
    assert line[0, 0] and line[39, 359]
    assert np.abs(line.argmax(axis=0) - np.linspace(0, 39, 360)).max() <= 1
    threshold = pixels_of(picture[strip], RED)
    assert threshold.sum(axis=1).argmax() == round(39 * 0.75)
    assert (picture[:200][100:] == 90).all() and (picture[201, 300:] == 45).all()


def test_the_graph_forgets_what_is_long_ago_and_what_was_before_the_clock_was_put_back(bare):
    overlay = Overlay(history_seconds=1)
    fresh = bare(time_sec=5.0, score=0.3, threshold=0.2)
    expected = Overlay(history_seconds=1).draw(fresh)
    for earlier in (3.9, 7.0):
        overlay.draw(bare(time_sec=earlier, score=0.9))
        assert np.array_equal(overlay.draw(fresh), expected)


def test_memory_is_bounded_where_a_clock_stands_still(bare):
    overlay = Overlay()
    for _ in range(5000):
        overlay._remember(bare(16, 16, time_sec=1.0, score=0.3))
    assert len(overlay._points) < 5000


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(16, 16), (17, 95), (96, 96), (241, 361), (2160, 3840)])
def test_any_frame_is_drawn_and_left_as_it_was(scored, channels, size):
    image = np.random.default_rng(0).integers(0, 256, (*size, channels), np.uint8)
    before = image.copy()
    score_map = np.ones((max(1, size[0] // 8), max(1, size[1] // 8)), np.float32)
    box = (size[0] // 2, size[1] // 2, size[0], size[1])
    image.flags.writeable = False
    picture = Overlay().draw(
        scored(image=image, score_map=score_map, events=(event_at(*box),), camera="é\n" * 200)
    )
    assert picture.dtype == np.uint8 and picture.shape == (*size, 3)
    assert np.array_equal(image, before)
    assert pixels_of(picture, RED)[size[0] // 2, size[1] // 2 :].all()
    assert not np.array_equal(picture, np.broadcast_to(image, picture.shape))


def test_words_are_of_the_size_of_the_frame(bare):
    """What is brighter than the frame is the words: they grow with it."""
    heights = [
        np.ptp(np.nonzero((Overlay().draw(bare(size, size)) > 200).any(axis=(1, 2)))[0])
        for size in (240, 480, 960)
    ]
    assert heights[1] > 1.5 * heights[0] and heights[2] > 1.5 * heights[1]


def test_the_camera_and_the_time_are_written(bare):
    plain, *others = (
        Overlay().draw(bare(**fields))
        for fields in ({}, {"camera": "gare"}, {"wall_sec": 1_700_000_001.0}, {"score": 0.5})
    )
    for other in others:
        rows, columns = np.nonzero((plain != other)[:199].any(axis=-1))
        assert rows.max() < 80 and columns.max() < 200


def test_of_a_name_that_is_too_long_the_end_is_shown(bare):
    picture, same, other = (
        Overlay().draw(bare(camera=name))
        for name in ("x" * 500 + "end", "y" + "x" * 499 + "end", "x" * 500 + "out")
    )
    assert np.array_equal(picture, same) and not np.array_equal(picture, other)
