import numpy as np
import pytest

from zoo.evaluation.localisation import (
    Found,
    average_precision,
    join_windows,
    mean_average_precision,
    overlap_of,
)


def run(begin, end, score=1.0, video="a", label="run"):
    return Found(video, begin, end, label, score)


@pytest.mark.parametrize(
    ("first", "second", "share"),
    [
        (run(0, 2), run(1, 3), 1 / 3),
        (run(0, 4), run(1, 3), 1 / 2),
        (run(0, 1), run(1, 3), 0),
        (run(0, 2), run(0, 2, video="b"), 0),
        (run(1, 3), run(1, 3), 1),
    ],
)
def test_overlap_is_intersection_over_union(first, second, share):
    assert overlap_of(first, second) == overlap_of(second, first) == pytest.approx(share)


def test_average_precision_of_cases_known_by_hand():
    truth = [run(0, 10), run(20, 30)]
    # Right, wrong, right: precision 1 at recall 1/2 and 2/3 at recall 1.
    found = [run(0, 10, 0.9), run(40, 50, 0.8), run(20, 30, 0.7)]
    assert average_precision(found, truth, 0.5) == pytest.approx((1 + 2 / 3) / 2)
    # The wrong one first: 1/2 and 2/3, and what comes later lifts what was before.
    found = [run(0, 10, 0.7), run(40, 50, 0.9), run(20, 30, 0.6)]
    assert average_precision(found, truth, 0.5) == pytest.approx(2 / 3)
    # A second over the same segment is wrong, the more probable is taken: 1 at recall 1/2.
    assert average_precision([run(0, 10, 0.5), run(0, 9, 0.9)], truth, 0.5) == 0.5
    assert average_precision([], truth, 0.5) == 0
    # Found at another time of the same video, and at that time of another.
    assert average_precision([run(20, 30, video="b"), run(50, 60)], truth, 0.5) == 0


def test_the_overlap_decides_and_classes_are_averaged():
    truth = [run(0, 10), run(0, 10, label="walk"), run(50, 60, label="walk")]
    # 0.6 of the union for run; of walk one of two, exactly.
    found = [run(4, 10, 0.9), run(0, 10, 0.4, label="walk"), run(0, 10, 0.9, label="jump")]
    figures = mean_average_precision(found, truth)
    assert list(figures) == ["0.3", "0.5", "0.7"]
    assert figures["0.5"] == {"mean": 0.75, "per_class": {"run": 1.0, "walk": 0.5}}
    assert figures["0.7"] == {"mean": 0.25, "per_class": {"run": 0.0, "walk": 0.5}}


def test_without_truth_nothing_is_measured():
    with pytest.raises(ValueError, match="`truth` must hold at least one segment"):
        mean_average_precision([run(0, 1)], [])


def test_windows_of_one_class_are_joined():
    spans = [(0, 2), (1, 3), (2, 4), (6, 8), (7, 9)]
    sure = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.1, 0.9], [0.45, 0.55]])
    # Moments: 0-1 .9, 1-2 .8, 2-3 .45 run and .55 walk, 3-4 .8 walk; a gap; 6-7 .9, 7-8 .725,
    # 8-9 .55.
    found = join_windows("a", spans, sure, ["run", "walk"], limit=0.6)
    assert [(one.begin_sec, one.end_sec, one.label) for one in found] == [
        (0, 2, "run"), (3, 4, "walk"), (6, 8, "walk"),
    ]  # fmt: skip
    assert [one.score for one in found] == pytest.approx([0.85, 0.8, 0.8125])
    found = join_windows("a", spans, sure, ["run", "walk"])
    assert [(one.begin_sec, one.end_sec) for one in found] == [(0, 2), (2, 4), (6, 9)]
