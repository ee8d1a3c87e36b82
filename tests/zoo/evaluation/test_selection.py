"""The choice by synthetic anomalies: what it measures, what it picks, and that it keeps weights."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from zoo.evaluation import selection
from zoo.evaluation.anomaly import live
from zoo.evaluation.scoring import CopyLastFrame, ModelScorer, block_error, score_video
from zoo.evaluation.synthetic_anomalies import KINDS
from zoo.models.conv3d_autoencoder import Conv3DAutoencoder
from zoo.models.convlstm_vae import ConvLSTMVAE
from zoo.models.future_predictor import FuturePredictor
from zoo.models.pca import PCA
from zoo.registry import with_scoring


class Repeater(FuturePredictor):
    """Predicts that the frame stays as it is; one that is `blind` that all is grey."""

    verbs = ("score", "score_map", "step")

    def __init__(self, blind=False, horizons=3, score_horizon=2, **kwargs):
        super().__init__(horizons=horizons, score_horizon=score_horizon, **kwargs)
        self.blind = blind
        self.built = True

    @property
    def warm_up(self):
        return self.score_horizon

    def _state_shapes(self, height, width):
        return {}

    def _observe(self, frames, state):
        return {}, {}

    def _predict(self, maps, frames, seed=None):
        shown = tf.fill(tf.shape(frames), 0.5) if self.blind else frames
        return tf.repeat(shown[:, :, None], self.horizons, axis=2)

    def get_config(self):
        return {**super().get_config(), "blind": self.blind}


@pytest.fixture(scope="module")
def held_out():
    """Two clips of three small squares that walk over an even floor with noise."""
    rng = np.random.default_rng(0)
    clip = np.full((60, 96, 96, 1), 90.0)
    for t in range(60):
        for top, left, shade in ((6, 0, 200), (40, 30, 20), (76, 50, 180)):
            clip[t, top : top + 12, (left + t + np.arange(8)) % 96] = shade
    clip = clip + rng.normal(0, 2, clip.shape)
    return [clip.clip(0, 255).astype(np.uint8), clip[:, :, ::-1].clip(0, 255).astype(np.uint8)]


@pytest.fixture(scope="module")
def trials(held_out):
    return selection.make_trials(held_out, seeds=(0, 1))


def test_every_clip_gets_every_kind_and_seeds_differ(held_out):
    trials = selection.make_trials(held_out, seeds=(5, 6))
    assert [trial.clip is clip for trial, clip in zip(trials, held_out, strict=True)] == 2 * [True]
    for trial in trials:
        assert sorted(altered.kind for altered in trial.altered) == sorted(2 * KINDS)
    places = [
        (altered.box, int(np.argmax(altered.labels)))
        for trial in trials
        for altered in trial.altered
        if altered.kind == "place"
    ]
    assert len(set(places)) == 4


def test_still_clips_are_left_out_with_a_warning(held_out, caplog):
    still = np.zeros_like(held_out[0])
    trials = selection.make_trials([still, held_out[0]], seeds=(0,))
    assert len(trials) == 1 and trials[0].clip is held_out[0]
    assert "held-out clip 0 is left out" in caplog.text
    with pytest.raises(ValueError, match="`clips` must hold a clip in which something moves"):
        selection.make_trials([still])


def test_a_candidate_has_the_auc_of_altered_frames_against_all_as_filmed(trials):
    measured = selection.copy_last_frame(trials, poolings=[("max", 24)])[0]

    def scores(clip):
        return live(score_video(CopyLastFrame("max", 24), [clip])["score"], 1)

    aucs = []
    for kind in KINDS:
        normal, abnormal = [], []
        for trial in trials:
            normal += list(scores(trial.clip))
            for altered in trial.altered:
                if altered.kind == kind:
                    abnormal += list(scores(altered.clip)[altered.labels])
        labels = [0] * len(normal) + [1] * len(abnormal)
        aucs.append(roc_auc_score(labels, normal + abnormal))
        assert measured.auc_by_kind[kind] == pytest.approx(aucs[-1])
    assert measured.auc_live == pytest.approx(np.mean(aucs))


def test_the_best_is_first_and_all_are_tried(trials):
    seen = []
    sighted, blind = Repeater(), Repeater(blind=True)
    ranked = selection.select([("blind", blind), ("sighted", sighted)], trials, report=seen.append)
    assert len(ranked) == len(seen) == 2 * 3 * len(selection.POOLINGS)
    assert {(c.weights, c.score_horizon) for c in seen} == {
        (label, horizon) for label in ("sighted", "blind") for horizon in (1, 2, 3)
    }
    aucs = [candidate.auc_live for candidate in ranked]
    assert aucs == sorted(aucs, reverse=True)
    assert max(c.auc_live for c in ranked if c.weights == "blind") < 0.53
    assert ranked[0].weights == "sighted" and aucs[0] > 0.55
    assert max(c.auc_by_kind["speed"] for c in ranked) > 0.7
    # One frame ahead the repeater is the copy of the last frame.
    baseline = selection.copy_last_frame(trials)
    same = [c for c in ranked if c.weights == "sighted" and c.score_horizon == 1]
    assert [c.auc_live for c in same] == pytest.approx([c.auc_live for c in baseline], abs=5e-3)


@pytest.mark.parametrize("frames", range(57, 65))
def test_horizons_that_reach_past_the_end_of_the_clip_score_what_there_is(frames):
    clip = np.random.default_rng(frames).random((frames, 16, 16, 1)).astype(np.float32)
    found = selection._errors_ahead(Repeater(horizons=12, score_horizon=10), clip)
    assert sorted(found) == list(range(1, 13))
    for horizon, score_map in found.items():
        assert not score_map[:horizon].any()
        expected = block_error(clip[horizon:], clip[:-horizon])
        np.testing.assert_allclose(score_map[horizon:], expected, atol=1e-6)


def test_arguments_are_those_of_the_constructor():
    best = selection.Candidate("last", 3, "mean", None, 0.9, {})
    assert best.arguments == {"score_horizon": 3, "score_pooling": "mean"}
    best = selection.Candidate("last", 2, "max", 24, 0.9, {})
    assert best.arguments == {"score_horizon": 2, "score_pooling": "max", "score_window": 24}
    best = selection.Candidate("last", None, "mean", None, 0.9, {}, "reconstruction")
    assert best.arguments == {"score_branch": "reconstruction", "score_pooling": "mean"}


def test_no_models():
    with pytest.raises(ValueError, match="`models` must hold at least one"):
        selection.select([], [])


def vae():
    return ConvLSTMVAE(
        filters=(4, 8, 8), state_filters=(4, 8), decoder_filters=(4, 8, 8), horizons=2,
        score_horizon=1, score_window=24,
    )  # fmt: skip


def autoencoder():
    return Conv3DAutoencoder(filters=(4, 4, 4), depth=4, horizons=2, score_horizon=2)


def components():
    return PCA(window=3, components=8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "choices"),
    [
        (vae, [(None, 1), (None, 2)]),
        (autoencoder, [("prediction", 1), ("prediction", 2), ("reconstruction", None)]),
        (components, [("prediction", 1), ("prediction", 2), ("reconstruction", None)]),
    ],
)
def test_every_choice_of_a_real_model_scores_as_a_model_of_that_choice(held_out, make, choices):
    model = make()
    model.ensure_built()
    (trial,) = selection.make_trials(held_out[:1], seeds=(0,))
    measured = selection.select([("random", model)], [trial], poolings=[("max", 24)])
    found = [(candidate.score_branch, candidate.score_horizon) for candidate in measured]
    assert sorted(found, key=str) == sorted(choices, key=str)
    for candidate in measured:
        scorer = ModelScorer(with_scoring(model, **candidate.arguments))
        as_filmed = live(score_video(scorer, [trial.clip])["score"], scorer.warm_up)
        normal, abnormal = list(as_filmed), []
        for altered in trial.altered:
            if altered.kind == "speed":
                score = live(score_video(scorer, [altered.clip])["score"], scorer.warm_up)
                abnormal += list(score[altered.labels])
        auc = roc_auc_score([0] * len(normal) + [1] * len(abnormal), normal + abnormal)
        # Another order of summing may differ in the last digit and so swap two frames.
        assert candidate.auc_by_kind["speed"] == pytest.approx(auc, abs=5e-3)
