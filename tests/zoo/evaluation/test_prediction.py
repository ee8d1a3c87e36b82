"""Figures of predicted frames, each against its definition in NumPy, written out pixel by pixel."""

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import convolve2d

from zoo.evaluation import prediction

CONTEXT, STEPS = 3, 2


@pytest.fixture(scope="module")
def clips():
    """Seven smooth clips: noise that is blurred a little, so that structure is left."""
    draw = np.random.default_rng(0)
    clips = draw.random((7, CONTEXT + STEPS, 20, 24, 1), np.float32)
    return 0.5 * clips + 0.25 * np.roll(clips, 1, axis=2) + 0.25 * np.roll(clips, 1, axis=3)


@pytest.fixture(scope="module")
def predicted(clips):
    noise = np.random.default_rng(1).normal(0, 0.1, clips[:, CONTEXT:].shape)
    return np.clip(clips[:, CONTEXT:] + noise, 0, 1).astype(np.float32)


def structural_similarity(one, other):
    """Wang et al. 2004, with the weights and constants of the paper, of two grey frames."""
    offsets = np.arange(11) - 5
    line = np.exp(-0.5 * (offsets / 1.5) ** 2)
    weights = np.outer(line, line) / np.outer(line, line).sum()

    def local_mean(image):
        return convolve2d(image, weights, mode="valid")

    one, other = one.astype(np.float64), other.astype(np.float64)
    mean_one, mean_other = local_mean(one), local_mean(other)
    variance_one = local_mean(one**2) - mean_one**2
    variance_other = local_mean(other**2) - mean_other**2
    covariance = local_mean(one * other) - mean_one * mean_other
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_one * mean_other + c1) / (mean_one**2 + mean_other**2 + c1)
    structure = (2 * covariance + c2) / (variance_one + variance_other + c2)
    return (luminance * structure).mean()


def sharpness(true, predicted):
    """The equation of Mathieu et al. 2016, pixel by pixel."""
    total, count = 0.0, 0
    for i in range(1, true.shape[0]):
        for j in range(1, true.shape[1]):
            gradients = [
                abs(float(v[i, j]) - float(v[i - 1, j])) + abs(float(v[i, j]) - float(v[i, j - 1]))
                for v in (true, predicted)
            ]
            total += abs(gradients[0] - gradients[1])
            count += 1
    return 10 * math.log10(1 / (total / count))


def test_every_figure_of_every_frame_is_its_definition(clips, predicted):
    future = clips[:, CONTEXT:]
    figures = prediction.frame_figures(future, predicted)
    assert set(figures) == set(prediction.FIGURES)
    for index in np.ndindex(len(clips), STEPS):
        true, guess = (video[index][..., 0].astype(np.float64) for video in (future, predicted))
        squared = ((true - guess) ** 2).sum()
        absolute = np.abs(true - guess).sum()
        expected = {
            "mse": squared / 480,
            "mae": absolute / 480,
            "mse_per_frame": squared,
            "mae_per_frame": absolute,
            "psnr": 10 * math.log10(1 / (squared / 480)),
            "ssim": structural_similarity(true, guess),
            "sharpness": sharpness(true, guess),
        }
        for name, value in expected.items():
            assert figures[name][index] == pytest.approx(value, rel=2e-4), name


def test_colour_is_averaged_over_the_channels(clips, predicted):
    rgb = np.concatenate([clips[:3, CONTEXT:]] * 2 + [predicted[:3]], axis=-1)
    guess = np.concatenate([predicted[:3]] * 3, axis=-1)
    figures = prediction.frame_figures(rgb, guess)
    grey = prediction.frame_figures(clips[:3, CONTEXT:], predicted[:3])
    np.testing.assert_allclose(figures["mse"], grey["mse"] * 2 / 3, rtol=1e-5)
    np.testing.assert_allclose(figures["mse_per_frame"], grey["mse_per_frame"] * 2, rtol=1e-5)
    np.testing.assert_allclose(figures["ssim"], (2 * grey["ssim"] + 1) / 3, rtol=1e-5)


def test_structural_similarity_is_that_of_tensorflow():
    draw = np.random.default_rng(2)
    true = np.clip(draw.normal(0.5, 0.2, (2, 3, 32, 48, 3)), 0, 1).astype(np.float32)
    true[:, :, :16] = 0.9
    guess = np.clip(true + draw.normal(0, 0.05, true.shape), 0, 1).astype(np.float32)
    expected = tf.image.ssim(true, guess, max_val=1.0).numpy()
    assert 0.1 < expected.mean() < 0.95
    ours = prediction.frame_figures(true, guess)["ssim"]
    # Flat parts cost TensorFlow digits: there the variance is a small difference of large numbers.
    np.testing.assert_allclose(ours, expected, atol=5e-5)


def test_a_frame_that_is_met_scores_the_most_and_no_infinity(clips):
    figures = prediction.frame_figures(clips, clips)
    assert (figures["psnr"] == 100).all() and (figures["sharpness"] == 100).all()
    np.testing.assert_allclose(figures["ssim"], 1, atol=1e-6)
    assert (figures["mse"] == 0).all()


def test_a_blurred_prediction_is_less_sharp_than_a_noisy_one_of_the_same_error(clips):
    future = clips[:, CONTEXT:]
    neighbours = [np.roll(future, (i, j), (2, 3)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    blurred = np.mean(neighbours, axis=0)
    shift = np.sqrt(np.square(blurred - future).mean())
    figures = [prediction.frame_figures(future, guess) for guess in (blurred, future + shift)]
    assert figures[0]["mse"].mean() == pytest.approx(figures[1]["mse"].mean(), rel=1e-4)
    assert figures[0]["sharpness"].max() < figures[1]["sharpness"].min()


def test_figures_are_means_over_all_windows_whatever_the_batches(clips, predicted):
    """Batches of 4, 2 and 1: a mean of the means of batches would be another number."""
    guesses = iter((predicted[:4], predicted[4:6], predicted[6:]))

    def predict(context, steps):
        assert context.shape[1:] == (CONTEXT, 20, 24, 1) and steps == STEPS
        return next(guesses)

    found = prediction.evaluate([clips[:4], clips[4:6], clips[6:]], CONTEXT, predict)
    figures = prediction.frame_figures(clips[:, CONTEXT:], predicted)
    for name in prediction.FIGURES:
        assert found[name] == pytest.approx(figures[name].mean(), rel=1e-6)
        assert found["per_step"][name] == pytest.approx(figures[name].mean(axis=0), rel=1e-6)
    assert (found["windows"], found["steps"]) == (7, STEPS)
    assert "best_of_N" not in found


def test_the_average_psnr_is_not_that_of_the_average_error(clips, predicted):
    found = prediction.evaluate([clips], CONTEXT, lambda *_: predicted * np.float32(0.9))
    errors = np.square(clips[:, CONTEXT:] - predicted * np.float32(0.9)).mean(axis=(2, 3, 4))
    assert found["psnr"] == pytest.approx((-10 * np.log10(errors)).mean(), rel=1e-5)
    assert found["psnr"] > -10 * np.log10(errors.mean())


def test_baselines_are_what_their_names_say(clips, predicted):
    found = prediction.evaluate([clips], CONTEXT, lambda *_: predicted)["baselines"]
    future = clips[:, CONTEXT:].astype(np.float64)
    expected = {
        "copy_last_frame": clips[:, CONTEXT - 1 : CONTEXT],
        "mean_of_context": clips[:, :CONTEXT].astype(np.float64).mean(axis=1, keepdims=True),
        "empty_frame": np.zeros((7, 1, 20, 24, 1)),
    }
    assert set(found) == set(expected)
    for name, frame in expected.items():
        errors = np.square(future - frame).mean(axis=(0, 2, 3, 4))
        assert found[name]["per_step"]["mse"] == pytest.approx(errors, rel=1e-5)
        assert "windows" not in found[name]


def test_best_of_n_is_chosen_for_each_window_and_figure_over_its_steps():
    def draw(mse, ssim):
        values = {name: np.zeros((2, 2)) for name in prediction.FIGURES}
        return values | {"mse": np.array(mse, float), "ssim": np.array(ssim, float)}

    draws = [
        # The first window: the one has the best single step, the other the best average.
        draw([[0, 9], [1, 1]], [[0.1, 0.1], [0.9, 0.9]]),
        draw([[3, 3], [5, 5]], [[0.2, 0.8], [0.1, 0.1]]),
    ]
    best, mean = prediction.best_and_mean(draws)
    assert best["mse"].tolist() == [[3, 3], [1, 1]]
    assert best["ssim"].tolist() == [[0.2, 0.8], [0.9, 0.9]]
    assert mean["mse"].tolist() == [[1.5, 6], [3, 3]]


def test_draws_come_from_the_seed_and_differ(clips, predicted):
    asked = []

    def sample(context, steps, seed):
        asked.append(seed)
        noise = np.random.default_rng(seed).normal(0, 0.1, (len(context), *predicted.shape[1:]))
        return 0.5 + noise

    def run(seed):
        return prediction.evaluate(
            [clips[:4], clips[4:]], CONTEXT, lambda context, steps: predicted[: len(context)],
            sample, samples=3, seed=seed,
        )  # fmt: skip

    first = run(5)
    seeds = list(asked)
    assert len(set(seeds)) == 6 and all(0 <= seed < 2**31 for seed in seeds)
    assert run(5) == first and asked[6:] == seeds
    assert run(6)["mean_of_N"]["mse"] != first["mean_of_N"]["mse"]
    assert first["best_of_N"]["mse"] < first["mean_of_N"]["mse"]
    assert first["best_of_N"]["ssim"] > first["mean_of_N"]["ssim"]


@pytest.mark.parametrize(
    ("shape", "context", "message"),
    [
        ((1, 3, 16, 16, 1), 3, "frames of context and frames after it. Received: 3 and 0"),
        ((1, 3, 16, 16, 1), 0, "Received: 0 and 3"),
        ((1, 3, 8, 16, 1), 2, "frames of 11x11 pixels or more.* Received: 8x16"),
    ],
)
def test_windows_that_cannot_be_measured_are_named(shape, context, message):
    with pytest.raises(ValueError, match=message):
        prediction.evaluate([np.zeros(shape, np.float32)], context, None)


def test_no_window_and_another_shape_are_named(clips, predicted):
    with pytest.raises(ValueError, match="`windows` must hold at least one window"):
        prediction.evaluate([], CONTEXT, None)
    with pytest.raises(ValueError, match=r"`predicted` must have the shape of the truth, \(7, 2"):
        prediction.frame_figures(clips[:, CONTEXT:], predicted[:, :1])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_predictions_that_are_not_finite_are_told(value):
    future = np.zeros((2, 3, 16, 16, 1), np.float32)
    predicted = future.copy()
    predicted[0, 1, 2, :5] = value
    with pytest.raises(ValueError, match="`predicted` must be finite. Received: 5 values that are"):
        prediction.frame_figures(future, predicted)
