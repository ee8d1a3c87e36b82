"""Pictures of an evaluation: the score over time, and the score map over the frames."""

import numpy as np

_TRUTH_COLOUR = "#d62728"


def draw_score(path, score, labels=None, baseline=None, *, fps=None, title=None, threshold=None):
    """Saves a picture of a score over time, the truth shaded, as PNG.

    Args:
        path: File to write, or a binary file object.
        score: float `(frames,)`, score of the model.
        labels: bool `(frames,)`, True where abnormal, or None where nobody knows.
        baseline: float `(frames,)`, score of a baseline, or None. Both lines are scaled to their
            own largest value, since their units differ.
        fps: Frames per second for an axis in seconds, or None for frame numbers.
        title: str above the picture, or None.
        threshold: float in the unit of `score`, drawn as a line, or None.

    Raises:
        ValueError: If the lengths differ or the score is empty.

    Example:
        >>> import io
        >>> draw_score(io.BytesIO(), [0.1, 0.5, 0.2], labels=[False, True, False])
    """
    # The object interface: pyplot keeps figures in a global list and picks a window system.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    score = np.asarray(score, np.float64)
    if score.ndim != 1 or not score.size:
        raise ValueError(f"`score` must hold one value per frame. Received: shape {score.shape}")
    for name, values in (("labels", labels), ("baseline", baseline)):
        if values is not None and np.shape(values) != score.shape:
            raise ValueError(
                f"`{name}` must be as long as `score`. Received: shape {np.shape(values)} "
                f"for {score.size} frames"
            )
    figure = Figure(figsize=(10, 3), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    time = np.arange(score.size) / (fps or 1)
    if labels is not None:
        for start, stop in intervals(labels):
            axes.axvspan(
                time[start],
                (stop / (fps or 1)),
                color=_TRUTH_COLOUR,
                alpha=0.15,
                lw=0,
                label="abnormal" if start == intervals(labels)[0][0] else None,
            )
    if baseline is not None:
        axes.plot(time, _to_peak(baseline), color="0.6", lw=1, label="copy of the last frame")
    axes.plot(time, _to_peak(score), color="#1f77b4", lw=1.5, label="model")
    if threshold is not None:
        axes.axhline(
            threshold / max(score.max(), 1e-12), color="k", lw=1, ls="--", label="threshold"
        )
    axes.set_xlim(0, score.size / (fps or 1))
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("seconds" if fps else "frame")
    axes.set_ylabel("score / its largest")
    if title:
        axes.set_title(title)
    axes.legend(loc="upper left", fontsize="small")
    # Fixed metadata: the same numbers give the same file.
    figure.savefig(path, format="png", metadata={"Software": None})


def overlay(frames, score_map, largest, opacity=0.6):
    """Draws a score map as heat over frames.

    Args:
        frames: uint8 `(frames, height, width, channels)`, grey or RGB.
        score_map: float `(frames, height', width')`, not negative; each value covers the same
            share of the frame.
        largest: Value of the map which is drawn hottest, above 0; the same for a whole video, or
            the noise of its quiet frames would glow.
        opacity: Of the hottest places, in [0, 1].

    Returns:
        uint8 RGB `(frames, height, width, 3)`.

    Raises:
        ValueError: If the shapes do not go together or `largest` is not above 0.

    Example:
        >>> import numpy as np
        >>> overlay(np.zeros((2, 16, 24, 1), np.uint8), np.ones((2, 2, 3)), largest=1.0).shape
        (2, 16, 24, 3)
    """
    frames, score_map = np.asarray(frames), np.asarray(score_map, np.float32)
    if frames.ndim != 4 or frames.dtype != np.uint8 or frames.shape[-1] not in (1, 3):
        raise ValueError(
            "`frames` must be uint8 (frames, height, width, 1 or 3). Received: "
            f"{frames.dtype} {frames.shape}"
        )
    if score_map.ndim != 3 or len(score_map) != len(frames):
        raise ValueError(
            "`score_map` must be (frames, height', width') with as many frames. Received: "
            f"shape {score_map.shape} for {len(frames)} frames"
        )
    if not largest > 0:
        raise ValueError(f"`largest` must be above 0. Received: largest={largest}")
    height, width = frames.shape[1:3]
    rows = np.arange(height) * score_map.shape[1] // height
    columns = np.arange(width) * score_map.shape[2] // width
    heat = np.clip(score_map / largest, 0, 1)[:, rows][:, :, columns][..., None]
    picture = np.broadcast_to(frames, (*frames.shape[:3], 3)).astype(np.float32)
    # From nothing over red to yellow: readable on grey footage and by the colour-blind.
    colour = 255 * np.concatenate(
        [np.ones_like(heat), np.clip(2 * heat - 1, 0, 1), np.zeros_like(heat)], axis=-1
    )
    weight = opacity * heat
    return np.round(picture + weight * (colour - picture)).astype(np.uint8)


def intervals(labels):
    """Returns the runs of True as a list of `(start, stop)`, `stop` not included."""
    padded = np.concatenate([[False], np.asarray(labels, bool), [False]]).astype(np.int8)
    change = np.diff(padded)
    starts, stops = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    return [(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)]


def _to_peak(values):
    values = np.asarray(values, np.float64)
    return values / max(values.max(), 1e-12)
