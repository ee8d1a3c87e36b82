"""Prediction of the frames to come: frames in, figures out, for each step ahead and over all.

Every figure is that of one predicted frame against the true one, both in [0, 1], averaged over
frames: those of one step ahead, or all.

- `mse`, `mae`: mean squared and mean absolute error of a pixel value.
- `mse_per_frame`, `mae_per_frame`: the same errors summed over the pixel values of a frame, which
  is what papers on Moving MNIST print.
- `psnr`: `-10 log10(mse of the frame)` in decibels, peak 1, worked out frame by frame and only
  then averaged. The PSNR of the averaged error, which is another and smaller number, is not given.
- `ssim`: structural similarity, windows of 11x11 pixels weighed by a Gaussian of sigma 1.5,
  k1 = 0.01, k2 = 0.03, those windows that lie in the frame.
- `sharpness`: in decibels, after Mathieu et al. 2016,

      10 log10(1 / mean_ij |(dx_ij + dy_ij) - (dx'_ij + dy'_ij)|)

  with `dx_ij = |v_ij - v_i,j-1|` and `dy_ij = |v_ij - v_i-1,j|` of the true frame and `dx'`, `dy'`
  of the predicted one, the mean over the pixels that have both neighbours, and the channels. A
  blurred prediction scores low.

Decibels end at 100, so that a frame which is met exactly does not make the average infinite.

Reference:
    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to
    structural similarity", 2004; Mathieu, Couprie and LeCun, "Deep multi-scale video prediction
    beyond mean square error", 2016, section 4.1, https://arxiv.org/abs/1511.05440; best of several
    samples: Denton and Fergus 2018, https://arxiv.org/abs/1802.07687
"""

import numpy as np

FIGURES = ("mse", "mae", "mse_per_frame", "mae_per_frame", "psnr", "ssim", "sharpness")
HIGHER_IS_BETTER = ("psnr", "ssim", "sharpness")
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5  # pixels
MOST_DECIBELS = 100.0


def evaluate(windows, context, predict, sample=None, samples=0, seed=0):
    """Measures predictions of the frames that follow a context, beside three baselines.

    Sums are kept, never frames: memory does not grow with the number of windows.

    Args:
        windows: Iterable of batches, float32 `(batch, context + steps, height, width, channels)`
            in [0, 1], all of the same shape but for the batch.
        context: Frames at the start of a window that are shown, at least 1.
        predict: Function of `(context frames, steps)` to `(batch, steps, height, width, channels)`.
        sample: Function of `(context frames, steps, seed)` to one draw of the same shape, or None.
        samples: Draws of each window, 0 for none.
        seed: Integer that the seeds of the draws come from.

    Returns:
        Dict: each of `FIGURES` over all frames; `per_step`, from each of `FIGURES` to a list over
        the steps; `baselines`, from `copy_last_frame`, `mean_of_context` and `empty_frame` (black)
        to the same; `windows` and `steps`. With `samples`, `best_of_N` and `mean_of_N` as well, as
        `best_and_mean` says.

    Raises:
        ValueError: If there is no window, one has no frame after the context, or frames are
            smaller than 11x11.

    Example:
        >>> clips = [np.zeros((2, 5, 16, 16, 1), np.float32)]
        >>> found = evaluate(clips, 3, lambda context, steps: context[:, -1:].repeat(steps, 1))
        >>> found["mse"], len(found["per_step"]["psnr"])
        (0.0, 2)
    """
    totals = {}
    for number, window in enumerate(windows):
        window = np.asarray(window, np.float32)
        shown, future = window[:, :context], window[:, context:]
        _check(shown, future)
        steps = future.shape[1]
        predictions = {"model": predict(shown, steps), **baselines(shown, steps)}
        found = {name: frame_figures(future, frames) for name, frames in predictions.items()}
        if samples:
            # Of its own for each draw of each batch: equal seeds would repeat the noise.
            seeds = [
                int(np.random.SeedSequence([seed, number, draw]).generate_state(1)[0] >> 1)
                for draw in range(samples)
            ]
            draws = [frame_figures(future, sample(shown, steps, one)) for one in seeds]
            found["best_of_N"], found["mean_of_N"] = best_and_mean(draws)
        for name, figures in found.items():
            totals.setdefault(name, _Total(steps)).add(figures)
    if not totals:
        raise ValueError("`windows` must hold at least one window. Received: none")
    result = totals.pop("model").result()
    counts = {"windows": result.pop("windows"), "steps": len(result["per_step"]["mse"])}
    others = {name: total.result() for name, total in totals.items()}
    for other in others.values():
        del other["windows"]
    drawn = {name: others.pop(name) for name in ("best_of_N", "mean_of_N") if name in others}
    return {**result, **drawn, "baselines": others, **counts}


def baselines(context, steps):
    """Predictions that nobody had to learn.

    Args:
        context: float32 `(batch, time, height, width, channels)`.
        steps: Frames to predict.

    Returns:
        Dict from `copy_last_frame`, `mean_of_context` and `empty_frame` to float32
        `(batch, steps, height, width, channels)`.
    """
    last = context[:, -1:]
    found = {
        "copy_last_frame": last,
        "mean_of_context": context.mean(axis=1, keepdims=True, dtype=np.float32),
        "empty_frame": np.zeros_like(last),
    }
    return {name: np.repeat(frame, steps, axis=1) for name, frame in found.items()}


def frame_figures(future, predicted):
    """The figures of every frame.

    Args:
        future: float32 `(batch, steps, height, width, channels)` in [0, 1], the truth.
        predicted: The same shape.

    Returns:
        Dict from each of `FIGURES` to float64 `(batch, steps)`.

    Raises:
        ValueError: If the shapes differ, or a predicted value is NaN or infinite.
    """
    future, predicted = np.asarray(future, np.float32), np.asarray(predicted, np.float32)
    if future.shape != predicted.shape:
        raise ValueError(
            f"`predicted` must have the shape of the truth, {future.shape}. Received: shape "
            f"{predicted.shape}"
        )
    if broken := np.count_nonzero(~np.isfinite(predicted)):
        raise ValueError(
            f"`predicted` must be finite. Received: {broken} values that are not, of "
            f"{predicted.size}"
        )
    difference = future - predicted
    axes, values = (2, 3, 4), int(np.prod(future.shape[2:]))
    squared = np.square(difference).mean(axis=axes, dtype=np.float64)
    absolute = np.abs(difference).mean(axis=axes, dtype=np.float64)
    gradients = np.abs(_gradient_sum(future) - _gradient_sum(predicted))
    return {
        "mse": squared,
        "mae": absolute,
        "mse_per_frame": squared * values,
        "mae_per_frame": absolute * values,
        "psnr": _decibels(squared),
        "ssim": _structural_similarity(future, predicted),
        "sharpness": _decibels(gradients.mean(axis=axes, dtype=np.float64)),
    }


def best_and_mean(draws):
    """Puts the figures of several draws of the same windows together.

    Args:
        draws: List of what `frame_figures` gives, one for each draw.

    Returns:
        `(best, mean)`, each like one of `draws`. Best: for each window and each figure, all steps
        of the draw that is best in this figure on the average over the steps, so that different
        figures may come from different draws. Mean: the average over the draws.
    """
    best, mean = {}, {}
    for name in FIGURES:
        values = np.stack([draw[name] for draw in draws])  # (draws, batch, steps)
        of_window = values.mean(axis=2)
        choose = np.argmax if name in HIGHER_IS_BETTER else np.argmin
        best[name] = values[choose(of_window, axis=0), np.arange(values.shape[1])]
        mean[name] = values.mean(axis=0)
    return best, mean


class _Total:
    """Sums of figures over windows, one for each step."""

    def __init__(self, steps):
        self.windows = 0
        self.sums = {name: np.zeros(steps) for name in FIGURES}

    def add(self, figures):
        self.windows += len(figures["mse"])
        for name in FIGURES:
            self.sums[name] += figures[name].sum(axis=0)

    def result(self):
        per_step = {name: total / self.windows for name, total in self.sums.items()}
        return {
            **{name: float(values.mean()) for name, values in per_step.items()},
            "per_step": {name: values.tolist() for name, values in per_step.items()},
            "windows": self.windows,
        }


def _check(context, future):
    if not context.shape[1] or not future.shape[1]:
        raise ValueError(
            "`windows` must hold frames of context and frames after it. Received: "
            f"{context.shape[1]} and {future.shape[1]}"
        )
    if min(future.shape[2:4]) < SSIM_WINDOW:
        raise ValueError(
            f"`windows` must have frames of {SSIM_WINDOW}x{SSIM_WINDOW} pixels or more, which "
            f"structural similarity needs. Received: {future.shape[2]}x{future.shape[3]}"
        )


def _structural_similarity(one, other):
    """float64 `(batch, steps)`; the numbers of `tf.image.ssim` in a tenth of the time."""
    # Channels before the pixels: each is a picture of its own. float64, since the variance of a
    # flat part is a small difference of large numbers.
    one, other = (np.moveaxis(video, -1, 2).astype(np.float64) for video in (one, other))
    down, across = (_window_averages(size) for size in one.shape[-2:])

    def local_mean(pictures):
        # One large product each way: many small ones, a frame each, take ten times as long.
        return np.tensordot(np.tensordot(pictures, down, ([-2], [1])), across, ([-2], [1]))

    means = local_mean(one), local_mean(other)
    product, squares = means[0] * means[1], np.square(means[0]) + np.square(means[1])
    covariance = local_mean(one * other) - product
    variances = local_mean(np.square(one) + np.square(other)) - squares
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * product + c1) / (squares + c1)
    structure = (2 * covariance + c2) / (variances + c2)
    return (luminance * structure).mean(axis=(2, 3, 4))


def _window_averages(size):
    """float64 `(size - 10, size)`: row i weighs the pixels of the window that starts at i.

    The Gaussian window is the product of one down and one across, so two products of matrices
    average over it.
    """
    offsets = np.arange(SSIM_WINDOW) - (SSIM_WINDOW - 1) / 2
    weights = np.exp(-0.5 * (offsets / SSIM_SIGMA) ** 2)
    averages = np.zeros((size - SSIM_WINDOW + 1, size))
    for row in range(len(averages)):
        averages[row, row : row + SSIM_WINDOW] = weights / weights.sum()
    return averages


def _gradient_sum(video):
    """Absolute differences to the pixel before, across and down, added up."""
    here = video[..., 1:, 1:, :]
    return np.abs(here - video[..., 1:, :-1, :]) + np.abs(here - video[..., :-1, 1:, :])


def _decibels(error):
    return -10 * np.log10(np.maximum(error, 10 ** (-MOST_DECIBELS / 10)))
