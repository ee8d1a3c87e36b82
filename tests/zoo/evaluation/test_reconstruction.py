"""Reconstruction errors and their baselines, against NumPy's singular values."""

import numpy as np
import pytest

from zoo.evaluation.reconstruction import MeanFrame, PatchPCA, reconstruction_errors

RNG = np.random.default_rng(0)


def smooth(batch):
    """Clips of which a few directions explain much."""
    coarse = RNG.uniform(0.2, 0.8, size=(batch, 2, 2, 3, 1))
    fine = np.repeat(np.repeat(np.repeat(coarse, 4, axis=1), 8, axis=2), 8, axis=3)
    return (fine + 0.03 * RNG.normal(size=fine.shape)).clip(0, 1).astype("float32")


TRAIN, HELD_OUT = [smooth(5), smooth(3)], [smooth(2), smooth(4)]


class HalfOfIt:
    """Draws a clip with half the deviation from its mean over time."""

    def code_size(self, time, height, width):
        return 2 * (time // 4) * (height // 8) * (width // 8) - 1

    def reconstruct(self, clip):
        mean = clip.mean(axis=1, keepdims=True)
        return mean + 0.5 * (clip - mean)


def patches(clips, frames, side):
    cut = []
    for clip in np.concatenate(clips):
        for t in range(0, clip.shape[0], frames):
            for y in range(0, clip.shape[1], side):
                for x in range(0, clip.shape[2], side):
                    cut.append(clip[t : t + frames, y : y + side, x : x + side].ravel())
    return np.asarray(cut, "float64")


@pytest.mark.parametrize("frames, side, components", [(4, 8, 2), (8, 8, 4), (4, 16, 7)])
def test_pca_matches_the_singular_values(frames, side, components):
    pca = PatchPCA(frames, side, components)
    train = [clip[..., :16, :] for clip in TRAIN]
    for clip in train:
        pca.add(clip)
    drawn = patches([pca.reconstruct(train[0])], frames, side)
    known = patches(train, frames, side)
    mean = known.mean(axis=0)
    _, _, vectors = np.linalg.svd(known - mean, full_matrices=False)
    basis = vectors[:components].T
    expected = (patches(train[:1], frames, side) - mean) @ basis @ basis.T + mean
    np.testing.assert_allclose(drawn, expected.clip(0, 1), atol=1e-5)


def test_errors_match_numpy_and_the_baselines_see_the_training_clips_alone():
    report = reconstruction_errors(HalfOfIt(), iter(TRAIN), iter(HELD_OUT), ((4, 8), (4, 16)))
    clips = np.concatenate(HELD_OUT).astype("float64")
    mean_frame = np.concatenate(TRAIN).mean(axis=(0, 1))
    assert report["mean_frame_mse"] == pytest.approx(np.square(clips - mean_frame).mean(), rel=1e-5)
    halved = 0.5 * (clips - clips.mean(axis=1, keepdims=True))
    assert report["mse"] == pytest.approx(np.square(halved).mean(), rel=1e-5)
    # 23 numbers in 12 patches: two each; patches of 16 do not fit a width of 24.
    assert report["numbers_per_frame"] == 23 / 8
    (name, error), = report["pca_mse"].items()
    assert name == "4x8x8, 2 components"
    pca = PatchPCA(4, 8, 2)
    for clip in TRAIN:
        pca.add(clip)
    drawn = np.concatenate([pca.reconstruct(clip) for clip in HELD_OUT])
    assert error == pytest.approx(np.square(drawn - clips).mean(), rel=1e-5)
    assert error < report["mean_frame_mse"]


def test_who_draws_best_is_said():
    class Perfect(HalfOfIt):
        def reconstruct(self, clip):
            return clip

    class Black(HalfOfIt):
        def reconstruct(self, clip):
            return np.zeros_like(clip)

    assert reconstruction_errors(Perfect(), TRAIN, HELD_OUT)["beats_baselines"] is True
    assert reconstruction_errors(Black(), TRAIN, HELD_OUT)["beats_baselines"] is False


@pytest.mark.parametrize(
    "train, held_out, name", [([], HELD_OUT, "train"), (TRAIN, [], "held_out")]
)
def test_an_empty_dataset_is_named(train, held_out, name):
    with pytest.raises(ValueError, match=f"`{name}` must hold clips"):
        reconstruction_errors(HalfOfIt(), train, held_out)


def test_a_mean_frame_is_the_mean_of_all_frames():
    mean = MeanFrame()
    for clip in TRAIN:
        mean.add(clip)
    drawn = mean.reconstruct(HELD_OUT[0])
    assert drawn.shape == HELD_OUT[0].shape and drawn.dtype == np.float32
    np.testing.assert_allclose(drawn[1, 3], np.concatenate(TRAIN).mean(axis=(0, 1)), rtol=1e-5)
