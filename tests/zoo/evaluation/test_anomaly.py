"""Protocols and figures against slow references, scikit-learn and closed forms."""

import dataclasses
import json

import numpy as np
import pytest
from scipy import ndimage
from sklearn import metrics

from zoo.evaluation import anomaly


def _scores(seed, frames=300, abnormal=0.4):
    rng = np.random.default_rng(seed)
    labels = rng.random(frames) < abnormal
    return labels, rng.normal(size=frames) + labels


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ties", [False, True])
def test_auc_is_that_of_scikit_learn(seed, ties):
    labels, scores = _scores(seed)
    scores = np.round(scores) if ties else scores
    assert anomaly.frame_auc(labels, scores) == pytest.approx(
        metrics.roc_auc_score(labels, scores), abs=1e-12
    )


def test_auc_counts_the_pairs_in_the_right_order():
    labels = np.array([False, True, False, True, True])
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.3])
    # Of 6 pairs normal-abnormal: 4 in order, 1 tie, 1 reversed.
    assert anomaly.frame_auc(labels, scores) == pytest.approx(4.5 / 6)


def test_equal_error_rate_closed_forms():
    labels = np.array([False] * 4 + [True] * 4)
    assert anomaly.equal_error_rate(labels, np.arange(8.0)) == 0
    assert anomaly.equal_error_rate(labels, -np.arange(8.0)) == 1
    # All scores tied: the curve is the diagonal, crossed in its middle.
    assert anomaly.equal_error_rate(labels, np.zeros(8)) == pytest.approx(0.5)
    # One of four on each side is on the wrong side.
    assert anomaly.equal_error_rate(labels, np.array([0, 1, 2, 5, 3, 6, 7, 8.0])) == pytest.approx(
        0.25
    )


def test_equal_error_rate_lies_between_points_of_the_curve():
    # Curve through (0, 0), (0, 1/2), (1, 1): 1 - TPR = FPR at FPR = 1/3, on no point of the curve.
    labels = np.array([True, True, False, False])
    assert anomaly.equal_error_rate(labels, np.array([2.0, 1, 1, 1])) == pytest.approx(1 / 3)


def test_equal_error_rate_balances_both_errors_of_normal_scores():
    rng = np.random.default_rng(0)
    labels = np.arange(200_000) % 2 == 0
    scores = rng.normal(size=labels.size) + 2 * labels
    # Two unit normals two apart cross at one standard deviation from each: 1 - Phi(1).
    assert anomaly.equal_error_rate(labels, scores) == pytest.approx(0.158655, abs=3e-3)


def test_figures_refuse_one_class():
    with pytest.raises(ValueError, match="`labels` must hold both classes. Received: 0 abnormal"):
        anomaly.frame_auc(np.zeros(5, bool), np.arange(5.0))


@pytest.mark.parametrize("warm_up", [0, 1, 4])
def test_live_is_a_causal_median_after_the_fill(warm_up):
    _, scores = _scores(3, frames=60)
    filled = scores.copy()
    for t in range(warm_up):
        filled[t] = scores[warm_up]
    expected = [np.median(filled[max(0, t - 8) : t + 1]) for t in range(60)]
    np.testing.assert_allclose(anomaly.live(scores, warm_up), expected, rtol=1e-12)


def test_live_never_looks_ahead():
    _, scores = _scores(4, frames=50)
    changed = scores.copy()
    changed[30:] += 100
    np.testing.assert_array_equal(anomaly.live(scores, 2)[:30], anomaly.live(changed, 2)[:30])
    assert anomaly.live(changed, 2)[40] > 50


@pytest.mark.parametrize("frames", [5, 20, 150])
def test_literature_is_scipys_gaussian_and_min_max(frames):
    _, scores = _scores(5, frames=frames)
    filled = scores.copy()
    filled[:2] = scores[2]
    smooth = ndimage.gaussian_filter1d(filled, 3.0)
    expected = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    np.testing.assert_allclose(anomaly.literature(scores, 2), expected, atol=1e-9)


def test_literature_of_a_constant_error_is_zero():
    np.testing.assert_array_equal(anomaly.literature(np.full(40, 0.1)), np.zeros(40))


def test_regularity_is_the_equation_of_the_paper():
    errors = np.random.default_rng(0).uniform(3, 9, 50)
    expected = [1 - (error - min(errors)) / max(errors) for error in errors]
    np.testing.assert_allclose(anomaly.regularity_score(errors), expected, rtol=1e-12)
    # The unit of the error does not matter: summed over a frame or its mean.
    np.testing.assert_allclose(anomaly.regularity_score(1e4 * errors), expected, rtol=1e-12)
    np.testing.assert_array_equal(anomaly.regularity_score(np.zeros(3)), np.ones(3))
    np.testing.assert_array_equal(anomaly.regularity_score([5.0, 5.0]), np.ones(2))
    with pytest.raises(ValueError, match="`errors` must hold.*Received: 2 values, the least -1"):
        anomaly.regularity_score([-1.0, 2.0])
    with pytest.raises(ValueError, match="`errors` must hold.*Received: 0 values$"):
        anomaly.regularity_score([])


def test_fill_keeps_the_zeros_of_a_video_with_no_score_and_leaves_its_input():
    scores = np.zeros(3)
    np.testing.assert_array_equal(anomaly.fill_warm_up(scores, 5), scores)
    scores = np.array([0.0, 0, 7, 8])
    np.testing.assert_array_equal(anomaly.fill_warm_up(scores, 2), [7, 7, 7, 8])
    np.testing.assert_array_equal(scores, [0, 0, 7, 8])
    with pytest.raises(ValueError, match="`warm_up` must not be negative. Received: warm_up=-1"):
        anomaly.fill_warm_up(scores, -1)


def _videos(names=("one", "two"), seed=0):
    videos = []
    for index, name in enumerate(names):
        labels, score = _scores(seed + index, frames=80)
        _, error = _scores(seed + index + 50, frames=80)
        videos.append(
            anomaly.ScoredVideo(
                name, labels, score, np.abs(error) + 3 * index + labels, warm_up=1
            )
        )
    return videos


def test_evaluation_joins_the_frames_of_all_videos():
    videos = _videos()
    result = anomaly.evaluate(videos, {"copy_last_frame": _videos(seed=9)})
    labels = np.concatenate([v.labels for v in videos])
    live = np.concatenate([anomaly.live(v.score, 1) for v in videos])
    literature = np.concatenate([anomaly.literature(v.frame_error, 1) for v in videos])
    assert result.figures.auc_live == pytest.approx(metrics.roc_auc_score(labels, live))
    assert result.figures.auc_literature == pytest.approx(metrics.roc_auc_score(labels, literature))
    assert result.figures.eer_live == anomaly.equal_error_rate(labels, live)
    assert result.figures.eer_literature == anomaly.equal_error_rate(labels, literature)
    irregular = np.concatenate(
        [1 - anomaly.regularity_score(anomaly.fill_warm_up(v.frame_error, 1)) for v in videos]
    )
    assert result.figures.auc_regularity == pytest.approx(metrics.roc_auc_score(labels, irregular))
    assert result.baselines["copy_last_frame"] == anomaly.figures(_videos(seed=9))


def test_a_video_of_one_class_has_null_figures_and_still_counts():
    normal_and_not = _videos(("both",))[0]
    abnormal = dataclasses.replace(normal_and_not, name="all", labels=np.ones(80, bool))
    result = anomaly.evaluate([normal_and_not, abnormal]).to_dict()
    read_back = json.loads(json.dumps(result, allow_nan=False))
    assert read_back == result
    both, whole = result["videos"]
    assert whole["name"] == "all" and whole["abnormal_frames"] == 80
    for key in ("auc_live", "eer_live", "auc_literature", "eer_literature", "auc_regularity"):
        assert whole[key] is None
        assert 0 <= both[key] <= 1
        assert 0 <= result[key] <= 1
    assert result["frames"] == 160
    assert result["abnormal_frames"] == 80 + int(normal_and_not.labels.sum())


def test_evaluation_needs_both_classes_and_a_video():
    video = dataclasses.replace(_videos()[0], labels=np.zeros(80, bool))
    with pytest.raises(ValueError, match="normal and abnormal.*Received: 0 abnormal frames of 80"):
        anomaly.evaluate([video])
    with pytest.raises(ValueError, match="`videos` must hold at least one"):
        anomaly.evaluate([])


def test_a_scored_video_is_checked():
    labels = np.zeros(4, bool)
    good = np.arange(4.0)
    with pytest.raises(ValueError, match="`score` must have one value per label"):
        anomaly.ScoredVideo("v", labels, good[:3], good)
    with pytest.raises(ValueError, match="`frame_error` must be finite. Received: 1 values of 4"):
        anomaly.ScoredVideo("v", labels, good, np.array([0, 1, np.nan, 2]))
    with pytest.raises(ValueError, match="`labels` must hold one value per frame"):
        anomaly.ScoredVideo("v", labels[:0], good[:0], good[:0])
