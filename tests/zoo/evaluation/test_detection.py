"""Figures of detection on made-up cases whose answers are worked out by hand beside them."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from zoo.evaluation import detection
from zoo.evaluation.detection import DetectionMeter, MaskTracks, area, overlaps
from zoo.evaluation.events import EventSettings

# Cells of 10 x 10 pixels, thresholded as they are, and events told at once.
GRID, SIZE = (4, 6), (40, 60)
PLAIN = EventSettings(1.0, 1.0, min_seconds=0.0, max_gap_seconds=0.0, window=1)

UPPER_LEFT, LOWER_RIGHT = (0, 0, 10, 10), (30, 50, 40, 60)


def frame(values=None, true=None):
    """A map with `values`, a dict from (row, column), and the mask and boxes of `true`."""
    score_map, mask = np.zeros(GRID, np.float32), np.zeros(SIZE, bool)
    for cell, value in (values or {}).items():
        score_map[cell] = value
    for top, left, bottom, right in (true or {}).values():
        mask[top:bottom, left:right] = True
    return score_map, mask, true or {}


def meter(frames, thresholds=(0.5,), warm_up=0, settings=PLAIN):
    found = DetectionMeter(settings, thresholds, warm_up)
    found.begin(SIZE)
    for number, parts in enumerate(frames):
        found.update(*parts, number / 10)
    found.end()
    return found


def test_a_map_that_is_the_mask_has_every_figure_at_1():
    frames = [frame({(0, 0): 0.7}, {1: UPPER_LEFT}), frame()]
    frames += [frame({(3, 5): 0.9}, {2: LOWER_RIGHT})]
    figures = meter(frames).figures()
    assert (figures.pixel_auc, figures.rbdc, figures.tbdc) == (1, 1, 1)
    assert (figures.event_precision, figures.event_recall) == (1, 1)
    assert (figures.frames, figures.regions, figures.tracks, figures.reason) == (3, 2, 2, None)


def test_rates_against_false_positives_by_hand():
    # Four frames, in each a true region of track 1 at the upper left. It scores 0.8 in frame 0,
    # 0.2 in frame 1, not at all in frames 2 and 3. In frames 0 and 1 the far corner, where nothing
    # is, scores 0.4. So going down:
    #   0.8: no false positive, 1 of 4 regions, and 1 of 4 is over a tenth: the track is found;
    #   0.4: 2 false positives in 4 frames = 0.5 a frame, 1 of 4 regions;
    #   0.2: 0.5 a frame, 2 of 4 regions.
    # RBDC = 0.5 * 1/4 + 0.5 * 2/4 = 0.375; TBDC = 1.
    corner = {(3, 5): 0.4}
    frames = [
        frame({(0, 0): 0.8, **corner}, {1: UPPER_LEFT}),
        frame({(0, 0): 0.2, **corner}, {1: UPPER_LEFT}),
        frame({}, {1: UPPER_LEFT}),
        frame({}, {1: UPPER_LEFT}),
    ]
    figures = meter(frames).figures()
    assert figures.rbdc == pytest.approx(0.375)
    assert figures.tbdc == 1


def test_a_track_needs_a_tenth_of_its_regions():
    # Track 1 is there in 11 frames and hit in one: less than a tenth. Track 2 in 10, hit in one.
    frames = [frame({(0, 0): 0.8, (3, 5): 0.8}, {1: UPPER_LEFT, 2: LOWER_RIGHT})]
    frames += [frame({}, {1: UPPER_LEFT, 2: LOWER_RIGHT}) for _ in range(9)]
    frames += [frame({}, {1: UPPER_LEFT})]
    found = meter(frames)
    assert found.figures().tbdc == 0.5
    assert found.figures().event_recall == 0.5
    assert found.figures().rbdc == pytest.approx(2 / 21)


def test_the_overlap_that_counts_is_a_tenth_of_the_union():
    # One cell of 100 pixels at the corner of a true region of 1,000 pixels: a tenth, which counts.
    # Of 40 x 30 pixels it would be a twelfth, which does not: then it is a false positive as well.
    found = meter([frame({(0, 0): 0.8}, {1: (0, 0, 25, 40)})])
    assert (found.figures().rbdc, found.regions.false.max()) == (1, 1 - 1)
    found = meter([frame({(0, 0): 0.8}, {1: (0, 0, 40, 30)})])
    assert found.regions.false[np.searchsorted(detection.REGION_THRESHOLDS, 0.5)] == 1


def test_several_detected_regions_in_one_true_one_are_no_false_positives():
    # Two cells that do not touch, both within a true region of 30 x 30: a ninth each.
    found = meter([frame({(0, 0): 0.8, (2, 2): 0.8}, {1: (0, 0, 30, 30)})])
    at = np.searchsorted(detection.REGION_THRESHOLDS, 0.5)
    assert (found.regions.false[at], found.regions.found[at]) == (0, 1)


def test_the_area_by_hand():
    # By falling threshold: (0, 0.2), (0.25, 0.6), (0.5, 0.5), (1.5, 0.9), (0.9, 1.0). The fourth
    # has too many false positives: all below it are left out. The third is no better than the
    # second with fewer. At 1, halfway from 0.5 to 1.5, the rate is 0.75:
    # 0.25 * (0.2 + 0.6) / 2 + 0.25 * 0.6 + 0.5 * (0.6 + 0.75) / 2 = 0.1 + 0.15 + 0.3375.
    assert area([0.9, 1.5, 0.5, 0.25, 0.0], [1.0, 0.9, 0.5, 0.6, 0.2]) == pytest.approx(0.5875)
    assert area([1.0, 0.0], [1.0, 0.0]) == 0.5
    assert area([0.0, 0.0], [0.4, 0.0]) == pytest.approx(0.4)
    assert area([0.5, 0.0], [0.2, 0.0]) == pytest.approx(0.25 * 0.2 + 0.5 * 0.2)
    # From nothing to (1.5, 1): 2/3 at 1.
    assert area([2.0, 1.5], [1.0, 1.0]) == pytest.approx(1 / 3)


def test_pixels_are_those_of_scikit_learn():
    draw = np.random.default_rng(0)
    found = detection.PixelHistogram()
    values, labels = [], []
    for _ in range(4):
        score_map = draw.gamma(0.5, size=(4, 6)).astype(np.float32) * 1e-3
        # Not a whole number of pixels per cell.
        mask = draw.uniform(size=(30, 50)) < 0.1
        mask[:9, :9] = score_map[0, 0] > 4e-4
        found.update(score_map, mask)
        rows, columns = (np.arange(n) * m // n for n, m in zip((30, 50), (4, 6), strict=True))
        values.append(score_map[np.ix_(rows, columns)].ravel())
        labels.append(mask.ravel())
    expected = roc_auc_score(np.concatenate(labels), np.concatenate(values))
    assert found.auc() == pytest.approx(expected, abs=1e-4)
    assert 0.5 < expected < 0.9


def test_pixels_of_equal_value_count_half():
    # 3 of 4 abnormal pixels score as high as all normal ones, one higher: (3 * 0.5 + 1) / 4.
    found = detection.PixelHistogram()
    mask = np.zeros((2, 4), bool)
    mask[0] = True
    found.update(np.float32([[1, 1, 1, 2], [1, 1, 1, 1]]), mask)
    assert found.auc() == pytest.approx(0.625)


def test_events_by_hand():
    # A right event of track 1 in frames 0 to 2, one at the corner in frames 1 and 2 which hits
    # nothing, and track 2, which nothing finds: precision 1/2, recall 1/2.
    both = {1: UPPER_LEFT, 2: (0, 50, 10, 60)}
    frames = [
        frame({(0, 0): 0.8}, both),
        frame({(0, 0): 0.8, (3, 5): 0.6}, both),
        frame({(0, 0): 0.8, (3, 5): 0.6}, both),
        frame({}, both),
    ]
    figures = meter(frames).figures()
    assert (figures.event_precision, figures.event_recall) == (0.5, 0.5)
    # A threshold above the false one has the better F1, and is the one that is taken.
    figures = meter(frames, thresholds=(0.5, 0.7, 0.9)).figures()
    assert (figures.event_precision, figures.event_recall, figures.event_threshold) == (1, 0.5, 0.7)
    # None is told: no precision, and no track found.
    figures = meter(frames, thresholds=(0.9,)).figures()
    assert (figures.event_precision, figures.event_recall) == (None, 0)


def test_an_event_is_right_in_a_tenth_of_its_frames():
    # It is told in 11 frames, and something true is there in the first one, or in the first two.
    for true, precision in ((1, 0.0), (2, 1.0)):
        frames = [frame({(0, 0): 0.8}, {1: UPPER_LEFT} if n < true else {}) for n in range(11)]
        assert meter(frames).figures().event_precision == precision


def test_the_warm_up_takes_the_first_map_and_tells_no_event():
    # All of track 1 lies in the warm-up of two frames, whose own maps do not count.
    frames = [frame({}, {1: UPPER_LEFT}), frame({(3, 5): 5.0}, {1: UPPER_LEFT})]
    frames += [frame({(0, 0): 0.8}), frame()]
    figures = meter(frames, warm_up=2).figures()
    # Both regions are found where frame 2 has a false positive, 1 of 4 frames: 0.25 / 2 + 0.75.
    assert (figures.rbdc, figures.tbdc) == (0.875, 0.875)
    # Frame 2 shows 100 normal pixels as high: 9,600 - 200 normal ones, each below but 100 tie.
    normal = 4 * 2400 - 200
    assert figures.pixel_auc == pytest.approx((normal - 100 + 50) / normal)
    assert (figures.event_precision, figures.event_recall) == (0, 0)
    # A video that ends in its warm-up has no score.
    figures = meter(frames, warm_up=4).figures()
    assert (figures.pixel_auc, figures.rbdc, figures.frames) == (0.5, 0, 4)


def test_maps_are_smoothed_as_events_are():
    # A single cell of 0.8 makes windows of 0.2, which cover 3 x 3 cells: a true region of those.
    true = {1: (0, 0, 30, 30)}
    settings = EventSettings(1.0, 1.0, 0.0, 0.0, window=2)
    figures = meter([frame({(1, 1): 0.8}, true)], (0.15, 0.3), settings=settings).figures()
    assert (figures.pixel_auc, figures.rbdc) == (1, 1)
    assert (figures.event_recall, figures.event_threshold) == (1, 0.15)


def test_adding_videos_up_is_measuring_them_together():
    draw = np.random.default_rng(3)

    def video():
        maps = draw.gamma(0.5, size=(12, *GRID)).astype(np.float32) / 8
        return [(m, *frame({}, {1: UPPER_LEFT} if n > 4 else {})[1:]) for n, m in enumerate(maps)]

    first, second = video(), video()
    total = DetectionMeter(PLAIN, (0.1, 0.5))
    total.add(meter(first, (0.1, 0.5)))
    total.add(meter(second, (0.1, 0.5)))
    at_once = DetectionMeter(PLAIN, (0.1, 0.5))
    for frames in (first, second):
        at_once.begin(SIZE)
        for number, parts in enumerate(frames):
            at_once.update(*parts, number / 10)
        at_once.end()
    assert total.figures() == at_once.figures()
    assert total.figures().tracks == 2 and 0 < total.figures().rbdc < 1


def test_without_an_abnormal_region_there_are_reasons_and_no_nan():
    figures = meter([frame({(0, 0): 0.8}), frame()]).figures()
    assert figures.pixel_auc is figures.rbdc is figures.tbdc is figures.event_recall is None
    assert figures.reason == "no abnormal region is in the masks" and figures.frames == 2
    # A mask that is all of the frame leaves no normal pixel.
    figures = meter([frame({(0, 0): 0.8}, {1: (0, 0, *SIZE)})]).figures()
    assert figures.pixel_auc is None and not math.isnan(figures.rbdc)


def test_overlaps_by_hand():
    # 10 x 10 and 10 x 20 that share 5 x 10 = 50: 50 / 250; and boxes that only touch.
    found = overlaps([(0, 0, 10, 10), (20, 0, 30, 5)], [(5, 0, 15, 20), (0, 10, 10, 20)])
    np.testing.assert_allclose(found, [[0.2, 0], [0, 0]])
    assert overlaps([], [(0, 0, 1, 1)]).shape == (0, 1)


def test_masks_become_tracks_by_what_they_share():
    def mask(*boxes):
        return frame({}, dict(enumerate(boxes)))[1]

    tracks = MaskTracks()
    assert tracks.update(mask((0, 0, 10, 10), (20, 20, 30, 40))) == {
        1: (0, 0, 10, 10), 2: (20, 20, 30, 40),
    }  # fmt: skip
    # The first moves by half its width; of the two parts of the second the larger one goes on.
    assert tracks.update(mask((0, 5, 10, 15), (20, 20, 30, 26), (20, 30, 30, 40))) == {
        1: (0, 5, 10, 15), 3: (20, 20, 30, 26), 2: (20, 30, 30, 40),
    }  # fmt: skip
    # What jumps is another track, and so is what comes back after an empty mask.
    assert tracks.update(mask((0, 20, 10, 30))) == {4: (0, 20, 10, 30)}
    assert tracks.update(mask()) == {}
    assert tracks.update(mask((0, 20, 10, 30))) == {5: (0, 20, 10, 30)}
    # Nine pixels are none, ten are.
    assert tracks.update(mask((0, 0, 3, 3), (20, 20, 25, 22))) == {6: (20, 20, 25, 22)}


def test_what_does_not_fit_is_told():
    score_map, mask, true = frame()
    found = DetectionMeter(PLAIN, (0.5,))
    found.begin(SIZE)
    with pytest.raises(ValueError, match=r"`mask` must be as large .*\(30, 60\) after \(40, 60\)"):
        found.update(score_map, mask[:30], true, 0.0)
    with pytest.raises(ValueError, match="finite and not negative. Received: values from -1.0"):
        found.update(score_map - 1, mask, true, 0.0)
    with pytest.raises(ValueError, match="finite and not negative"):
        found.update(score_map * np.nan, mask, true, 0.0)
    found.update(score_map, mask, true, 0.0)
    with pytest.raises(ValueError, match=r"as large as those before. Received: shape \(8, 6\)"):
        found.update(np.zeros((8, 6), np.float32), mask, true, 0.1)
