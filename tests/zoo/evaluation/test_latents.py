"""Activity and divergence of latents, on a model whose latents are known."""

import numpy as np
import pytest

from zoo.evaluation.latents import active_latents

RNG = np.random.default_rng(0)
SPREAD = np.array([0.0, 0.05, 0.3, 2.0])  # standard deviation of each posterior mean


class KnownLatents:
    free_bits = 0.5

    def __init__(self):
        self.given = []

    def latents(self, clip):
        shape = (len(clip), clip.shape[1] // 4, 2, 3, 4)
        latents = {
            # Far from zero: a variance by the mean of squares would lose its digits.
            "mean": (1000 + SPREAD * RNG.normal(size=shape)).astype("float32"),
            "divergence": RNG.exponential(size=shape).astype("float32") * [0.5, 1, 2, 3],
        }
        self.given.append(latents)
        return latents


def test_matches_numpy_over_all_clips_at_once():
    model = KnownLatents()
    clips = [np.zeros((n, 12, 16, 24, 1), "float32") for n in (3, 40, 1)]
    report = active_latents(model, [clips[0], (clips[1], clips[1]), clips[2]])
    means = np.concatenate([g["mean"].reshape(-1, 4) for g in model.given]).astype("float64")
    np.testing.assert_allclose(report["variance"], means.var(axis=0), rtol=1e-9)
    assert report["active_share"] == 0.5 and report["clips"] == 44
    for name, part in (("standard_prior", slice(1)), ("learned_prior", slice(1, None))):
        expected = np.concatenate([g["divergence"][:, part].reshape(-1, 4) for g in model.given])
        np.testing.assert_allclose(report["divergence"][name], expected.mean(axis=0), rtol=1e-9)
    smallest = min(min(group) for group in report["divergence"].values())
    assert report["smallest_to_free_bits"] == pytest.approx(smallest / 0.5)
    assert report["finite"]


def test_clips_of_one_segment_have_no_learned_prior():
    report = active_latents(KnownLatents(), [np.zeros((2, 4, 16, 24, 1), "float32")])
    assert report["divergence"]["learned_prior"] is None
    assert len(report["divergence"]["standard_prior"]) == 4


def test_a_divergence_without_end_is_not_finite():
    model = KnownLatents()
    known = model.latents

    def without_end(clip):
        latents = known(clip)
        latents["divergence"][0, 1, 0, 0, 0] = np.inf
        return latents

    model.latents = without_end
    assert not active_latents(model, [np.zeros((2, 8, 16, 24, 1), "float32")])["finite"]


def test_an_empty_dataset_is_named():
    with pytest.raises(ValueError, match="`dataset` must hold clips"):
        active_latents(KnownLatents(), [])
