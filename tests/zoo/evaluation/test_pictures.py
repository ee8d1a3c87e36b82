"""Pictures: what they show, read back as pixels."""

import io

import matplotlib.image
import numpy as np
import pytest

from zoo.evaluation import pictures


def _drawn(**arguments):
    file = io.BytesIO()
    pictures.draw_score(file, **arguments)
    file.seek(0)
    return matplotlib.image.imread(file, format="png")[..., :3]


def test_the_truth_is_shaded_where_it_is():
    score = np.linspace(0, 1, 100)
    plain, shaded = _drawn(score=score), _drawn(score=score, labels=np.arange(100) >= 50)
    assert plain.shape == shaded.shape and plain.shape[1] > 800
    differ = (plain != shaded).any(axis=-1)
    middle = slice(100, 250)
    left, right = np.array_split(differ[middle], 2, axis=1)
    assert right.mean() > 0.7
    # The legend grows by a line on the left, nothing else changes there.
    assert left.mean() < 0.35
    red = shaded[middle][:, -200:-60].reshape(-1, 3).mean(axis=0)
    assert red[0] > red[1] + 0.05 and red[0] > red[2] + 0.05


def test_baseline_threshold_and_seconds_change_the_picture():
    score = np.linspace(0, 1, 100)
    plain = _drawn(score=score)
    for more in ({"baseline": score[::-1]}, {"threshold": 0.5}, {"fps": 10.0}, {"title": "door"}):
        assert (_drawn(score=score, **more) != plain).any(), more


def test_the_same_numbers_give_the_same_file(tmp_path):
    for name in ("one.png", "two.png"):
        pictures.draw_score(tmp_path / name, [0.0, 1.0, 0.5], labels=[False, True, True])
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_pyplot_is_left_alone():
    import matplotlib.pyplot as plt

    _drawn(score=[0.0, 1.0])
    assert plt.get_fignums() == []


def test_intervals():
    assert pictures.intervals([]) == []
    assert pictures.intervals([False, True, True, False, True]) == [(1, 3), (4, 5)]
    assert pictures.intervals([True]) == [(0, 1)]


def test_overlay_heats_the_place_of_the_score_alone():
    frames = np.full((2, 16, 24, 1), 100, np.uint8)
    score_map = np.zeros((2, 2, 3))
    score_map[1, 1, 2] = 5.0
    drawn = pictures.overlay(frames, score_map, largest=5.0, opacity=0.5)
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn[0], np.full((16, 24, 3), 100))
    hot = drawn[1, 8:, 16:]
    # Half of the frame's 100 and half of yellow (255, 255, 0), rounded to even.
    np.testing.assert_array_equal(hot, np.broadcast_to([178, 178, 50], hot.shape))
    cold = drawn[1].copy()
    cold[8:, 16:] = 100
    np.testing.assert_array_equal(cold, np.full((16, 24, 3), 100))


def test_overlay_is_red_half_way_and_keeps_colour():
    frames = np.zeros((1, 8, 8, 3), np.uint8)
    frames[..., 2] = 200
    drawn = pictures.overlay(frames, np.full((1, 1, 1), 0.5), largest=1.0, opacity=1.0)
    np.testing.assert_array_equal(drawn[0, 0, 0], [128, 0, 100])


def test_wrong_arguments_are_named():
    frames = np.zeros((2, 16, 24, 1), np.uint8)
    with pytest.raises(ValueError, match="`frames` must be uint8"):
        pictures.overlay(frames / 255, np.zeros((2, 2, 3)), 1.0)
    with pytest.raises(ValueError, match=r"`score_map` must be .*shape \(1, 2, 3\) for 2 frames"):
        pictures.overlay(frames, np.zeros((1, 2, 3)), 1.0)
    with pytest.raises(ValueError, match="`largest` must be above 0. Received: largest=0"):
        pictures.overlay(frames, np.zeros((2, 2, 3)), 0)
    with pytest.raises(ValueError, match="`score` must hold one value per frame"):
        _drawn(score=[])
    with pytest.raises(ValueError, match=r"`labels` must be as long as `score`.*\(2,\) for 3"):
        _drawn(score=[0, 1, 2], labels=[True, False])


def _comparison(draw, parts, **arguments):
    file = io.BytesIO()
    draw(file, parts, **arguments)
    file.seek(0)
    return matplotlib.image.imread(file, format="png")[..., :3]


def _share_of_blue(picture):
    """Of the pixels, those in the colour of the first model."""
    return (np.abs(picture - np.array([0.122, 0.467, 0.706])).max(axis=-1) < 0.1).mean()


def test_bars_are_as_long_as_their_numbers_and_baselines_grey():
    def bars(number, **arguments):
        return _comparison(
            pictures.draw_bars, {"AUC": {"mine": number, "copy": 0.5}}, **arguments
        )

    # The other bar is of the second colour, or grey, and so not counted.
    blue = {number: _share_of_blue(bars(number)) for number in (0.25, 0.5, 1.0)}
    assert blue[0.5] == pytest.approx(2 * blue[0.25], rel=0.05)
    assert blue[1.0] == pytest.approx(2 * blue[0.5], rel=0.05)
    assert _share_of_blue(bars(1.0, baselines={"mine", "copy"})) == 0


def test_lines_rise_with_their_numbers_and_every_panel_is_drawn():
    def panel(*values):
        return pictures.Panel("SSIM", "frames ahead", {
            "mine": [(str(n), value, None) for n, value in enumerate(values)],
            "copy_last_frame": [("0", 0.0, None), ("1", 1.0, None)],
        })  # fmt: skip

    def drawn(*panels, **arguments):
        return _comparison(pictures.draw_lines, panels, baselines={"copy_last_frame"}, **arguments)

    high = np.argwhere(np.abs(drawn(panel(0.9, 0.9)) - [0.122, 0.467, 0.706]).max(axis=-1) < 0.1)
    low = np.argwhere(np.abs(drawn(panel(0.1, 0.1)) - [0.122, 0.467, 0.706]).max(axis=-1) < 0.1)
    assert np.median(high[:, 0]) < np.median(low[:, 0]) - 100  # rows are counted from the top
    one, two = drawn(panel(0.9, 0.9)), drawn(panel(0.9, 0.9), panel(0.1, 0.1))
    assert two.shape[0] == one.shape[0] and two.shape[1] == 2 * one.shape[1]
    with_error = pictures.Panel("a", "b", {"mine": [("0", 0.5, 0.4), ("1", 0.5, None)]})
    without = pictures.Panel("a", "b", {"mine": [("0", 0.5, None), ("1", 0.5, None)]})
    assert _share_of_blue(drawn(with_error)) > 1.1 * _share_of_blue(drawn(without))


def test_a_logarithmic_axis_is_taken_where_all_values_allow_it():
    def drawn(values, log):
        lines = {"mine": [(str(n), value, None) for n, value in enumerate(values)]}
        return _comparison(pictures.draw_lines, [pictures.Panel("a", "b", lines, log)])

    assert (drawn([1.0, 10.0, 100.0], True) != drawn([1.0, 10.0, 100.0], False)).any()
    assert (drawn([0.0, 10.0, 100.0], True) == drawn([0.0, 10.0, 100.0], False)).all()


def test_nothing_to_draw_is_said():
    with pytest.raises(ValueError, match="`panels` must be panels with lines in them"):
        pictures.draw_lines(io.BytesIO(), [pictures.Panel("a", "b", {})])
    with pytest.raises(ValueError, match="`groups` must be groups with bars in them"):
        pictures.draw_bars(io.BytesIO(), {"AUC": {}})
