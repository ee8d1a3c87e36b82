"""Pictures of an evaluation: scores over time, score maps over frames, models side by side."""

import dataclasses

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
    score = np.asarray(score, np.float64)
    if score.ndim != 1 or not score.size:
        raise ValueError(f"`score` must hold one value per frame. Received: shape {score.shape}")
    for name, values in (("labels", labels), ("baseline", baseline)):
        if values is not None and np.shape(values) != score.shape:
            raise ValueError(
                f"`{name}` must be as long as `score`. Received: shape {np.shape(values)} "
                f"for {score.size} frames"
            )
    figure = _figure(width=10, height=3)
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
    _save(figure, path)


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
    weight = opacity * heat
    return np.round(picture + weight * (heat_colours(heat[..., 0]) - picture)).astype(np.uint8)


def heat_colours(heat):
    """Colours from red to yellow: readable on grey footage and by the colour-blind.

    Args:
        heat: float array in [0, 1].

    Returns:
        float array, of one axis more: RGB up to 255.

    Example:
        >>> heat_colours(np.array([0.0, 1.0]))
        array([[255.,   0.,   0.],
               [255., 255.,   0.]])
    """
    heat = np.asarray(heat)
    return 255 * np.stack(
        [np.ones_like(heat), np.clip(2 * heat - 1, 0, 1), np.zeros_like(heat)], axis=-1
    )


@dataclasses.dataclass(frozen=True)
class Panel:
    """One of the diagrams of `draw_lines`.

    Args:
        title: str above it.
        label: str under its x axis.
        lines: Dict from name to a list of points `(place, value, error)`: what stands at the
            place, the value, and half of the length of its error bar or None. The places of the
            first line are those of all.
        log: Whether the y axis is logarithmic, where all values are above 0.
    """

    title: str
    label: str
    lines: dict
    log: bool = False


def draw_lines(path, panels, *, baselines=(), title=None):
    """Saves a picture of panels of lines, one for each model and baseline, as PNG.

    Args:
        path: File to write, or a binary file object.
        panels: Sequence of `Panel`.
        baselines: Names of the lines that are drawn thin and grey.
        title: str above the picture, or None.

    Raises:
        ValueError: If there is no panel, or one without lines.

    Example:
        >>> import io
        >>> points = [("1", 0.5, 0.1), ("2", 0.7, None)]
        >>> draw_lines(io.BytesIO(), [Panel("accuracy", "clips", {"mine": points})])
    """
    panels = list(panels)
    if not panels or not all(panel.lines for panel in panels):
        raise ValueError(f"`panels` must be panels with lines in them. Received: {panels}")
    figure = _figure(width=4 * len(panels), height=3.6)
    for index, panel in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), index + 1)
        places = [place for place, _, _ in next(iter(panel.lines.values()))]
        for (name, points), style in zip(
            panel.lines.items(), _styles(panel.lines, baselines), strict=True
        ):
            at = [places.index(place) for place, _, _ in points]
            errors = [error or 0 for _, _, error in points]
            axes.errorbar(
                at, [value for _, value, _ in points], errors if any(errors) else None,
                marker=".", capsize=2, label=_title(name, baselines), **style,
            )  # fmt: skip
        values = [value for points in panel.lines.values() for _, value, _ in points]
        if panel.log and min(values) > 0:
            axes.set_yscale("log")
        axes.set_xticks(range(len(places)), places)
        axes.set_xlabel(panel.label)
        axes.set_title(panel.title, fontsize="medium")
    # The same lines in every panel: said once, beside them.
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right upper", fontsize="small")
    _save(figure, path, title)


def draw_bars(path, groups, *, baselines=(), title=None):
    """Saves a picture of bars from 0 to 1, one for each model and baseline, as PNG.

    Args:
        path: File to write, or a binary file object.
        groups: Dict from what is measured to a dict from name to a number in [0, 1]; each is a
            diagram of its own, all with the same names.
        baselines: Names of the bars that are drawn grey.
        title: str above the picture, or None.

    Raises:
        ValueError: If there is no group, or one without bars.

    Example:
        >>> import io
        >>> draw_bars(io.BytesIO(), {"AUC": {"mine": 0.9, "copy": 0.8}}, baselines={"copy"})
    """
    if not groups or not all(groups.values()):
        raise ValueError(f"`groups` must be groups with bars in them. Received: {groups}")
    count = len(next(iter(groups.values())))
    figure = _figure(width=4 * len(groups) + 2, height=1.2 + 0.4 * count)
    for index, (what, bars) in enumerate(groups.items()):
        axes = figure.add_subplot(1, len(groups), index + 1)
        colours = [style["color"] for style in _styles(bars, baselines)]
        drawn = axes.barh(
            [_title(name, baselines) for name in bars], list(bars.values()), color=colours
        )
        axes.bar_label(drawn, fmt="%.3f", padding=3, fontsize="small")
        axes.invert_yaxis()
        axes.set_xlim(0, 1.15)
        axes.set_title(what, fontsize="medium")
        if index:
            axes.set_yticklabels([])
    _save(figure, path, title)


def _title(name, baselines):
    return name.replace("_", " ") if name in baselines else name


def _styles(names, baselines):
    """How each is drawn: models in colours of their own, baselines grey, of other dashes."""
    models = iter([f"C{number % 10}" for number in range(len(names))])
    dashes = iter(["--", ":", "-.", (0, (5, 1)), (0, (1, 3))] * len(names))
    return [
        {"color": "0.55", "linestyle": next(dashes), "linewidth": 1}
        if name in baselines
        else {"color": next(models), "linestyle": "-", "linewidth": 1.8}
        for name in names
    ]


def intervals(labels):
    """Returns the runs of True as a list of `(start, stop)`, `stop` not included."""
    padded = np.concatenate([[False], np.asarray(labels, bool), [False]]).astype(np.int8)
    change = np.diff(padded)
    starts, stops = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    return [(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)]


def _figure(width, height):
    """An empty picture of a size in inches."""
    # The object interface: pyplot keeps figures in a global list and picks a window system.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure, path, title=None):
    if title:
        figure.suptitle(title)
    # Fixed metadata: the same numbers give the same file.
    figure.savefig(path, format="png", metadata={"Software": None})


def _to_peak(values):
    values = np.asarray(values, np.float64)
    return values / max(values.max(), 1e-12)
