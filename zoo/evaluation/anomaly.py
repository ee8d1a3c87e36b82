"""Frame-level anomaly detection: scores in, figures out, under two protocols.

`live` is what a camera needs: causal, and nothing is taken from the video under test. `literature`
is what the papers on UCSD Ped2 print: every test video is smoothed with frames of its future and
rescaled by its own minimum and maximum, so it needs the whole video and an anomaly in most of them.
The two prefer different scores and their figures must not be compared with one another.

Beside them stands the regularity score of Hasan et al. 2016, which too needs the whole video.

Reference:
    Mahadevan et al., Anomaly Detection in Crowded Scenes, CVPR 2010 (the data, and the equal error
    rate over frames); Liu et al., Future Frame Prediction for Anomaly Detection, CVPR 2018
    (rescaling each video, https://arxiv.org/abs/1712.09867); Hasan et al., Learning Temporal
    Regularity in Video Sequences, CVPR 2016 (https://arxiv.org/abs/1604.04574).
"""

import dataclasses

import numpy as np

MEDIAN_FRAMES = 9
GAUSSIAN_SIGMA_FRAMES = 3.0


@dataclasses.dataclass(frozen=True)
class ScoredVideo:
    """What one scorer said about every frame of one video.

    Args:
        name: Name of the video.
        labels: bool `(frames,)`, True where the frame is abnormal.
        score: float `(frames,)`, anomaly score as the scorer gives it, higher is stranger.
        frame_error: float `(frames,)`, mean squared error of the frame against what was predicted
            for it one frame before, pixels in [0, 1].
        warm_up: Number of first frames which have no score yet.

    Raises:
        ValueError: If lengths differ, a score is not finite or the video has no frames.
    """

    name: str
    labels: np.ndarray
    score: np.ndarray
    frame_error: np.ndarray
    warm_up: int = 0

    def __post_init__(self):
        labels = np.asarray(self.labels)
        if labels.ndim != 1 or labels.size == 0:
            raise ValueError(
                f"`labels` must hold one value per frame and at least one. Received: shape "
                f"{labels.shape} for video {self.name!r}"
            )
        for name in ("score", "frame_error"):
            values = np.asarray(getattr(self, name))
            if values.shape != labels.shape:
                raise ValueError(
                    f"`{name}` must have one value per label. Received: shape {values.shape} for "
                    f"{labels.size} labels of video {self.name!r}"
                )
            if not np.isfinite(values).all():
                raise ValueError(
                    f"`{name}` must be finite. Received: {np.sum(~np.isfinite(values))} values of "
                    f"{values.size} which are not, in video {self.name!r}"
                )

    @property
    def live(self):
        """float64 `(frames,)`: the score under the protocol `live`."""
        return live(self.score, self.warm_up)

    @property
    def literature(self):
        """float64 `(frames,)` in [0, 1]: the frame error under the protocol `literature`."""
        return literature(self.frame_error, self.warm_up)

    @property
    def irregularity(self):
        """float64 `(frames,)` in [0, 1]: 1 less the regularity score of the frame errors."""
        return 1 - regularity_score(fill_warm_up(self.frame_error, self.warm_up))


@dataclasses.dataclass(frozen=True)
class Figures:
    """Area under the ROC curve and equal error rate under both protocols, each in [0, 1].

    `auc_regularity` is the area for the regularity score, which is known after a video has ended.

    A figure is None where the frames are of one class only, because neither is defined there.
    """

    auc_live: float | None
    eer_live: float | None
    auc_literature: float | None
    eer_literature: float | None
    auc_regularity: float | None


@dataclasses.dataclass(frozen=True)
class VideoFigures:
    """`Figures` of one video alone, with its counts of frames."""

    name: str
    frames: int
    abnormal_frames: int
    figures: Figures


@dataclasses.dataclass(frozen=True)
class AnomalyResult:
    """Figures of a model over all frames of all videos, beside its baselines and video by video."""

    figures: Figures
    baselines: dict[str, Figures]
    videos: tuple[VideoFigures, ...]

    def to_dict(self):
        """Returns plain values for JSON: the five figures, `baselines`, `videos` and counts."""
        videos = [
            {"name": v.name, "frames": v.frames, "abnormal_frames": v.abnormal_frames}
            | dataclasses.asdict(v.figures)
            for v in self.videos
        ]
        return dataclasses.asdict(self.figures) | {
            "baselines": {name: dataclasses.asdict(f) for name, f in self.baselines.items()},
            "frames": sum(v.frames for v in self.videos),
            "abnormal_frames": sum(v.abnormal_frames for v in self.videos),
            "videos": videos,
        }


def evaluate(videos, baselines=None):
    """Computes the figures of one model and of the baselines beside it.

    Args:
        videos: Sequence of `ScoredVideo` of the model.
        baselines: Dict from name to the sequence of `ScoredVideo` of that baseline.

    Returns:
        `AnomalyResult`.

    Raises:
        ValueError: If there are no videos, or all frames together are of one class.

    Example:
        >>> import numpy as np
        >>> labels = np.arange(40) >= 20
        >>> video = ScoredVideo("door", labels, labels * 1.0, labels * 1.0)
        >>> evaluate([video]).figures.auc_literature
        1.0
    """
    videos = list(videos)
    if not videos:
        raise ValueError("`videos` must hold at least one video. Received: none")
    abnormal = sum(int(np.sum(np.asarray(v.labels, bool))) for v in videos)
    frames = sum(len(v.labels) for v in videos)
    if abnormal in (0, frames):
        raise ValueError(
            "`videos` must hold normal and abnormal frames, or no area under the curve exists. "
            f"Received: {abnormal} abnormal frames of {frames}"
        )
    return AnomalyResult(
        figures=figures(videos),
        baselines={name: figures(scored) for name, scored in (baselines or {}).items()},
        videos=tuple(
            VideoFigures(
                v.name, len(v.labels), int(np.sum(np.asarray(v.labels, bool))), figures([v])
            )
            for v in videos
        ),
    )


def figures(videos):
    """Returns the `Figures` over all frames of `videos` (a sequence of `ScoredVideo`) together."""
    labels = np.concatenate([np.asarray(v.labels, bool) for v in videos])
    if labels.all() or not labels.any():
        return Figures(None, None, None, None, None)
    scores_live = np.concatenate([v.live for v in videos])
    scores_literature = np.concatenate([v.literature for v in videos])
    return Figures(
        auc_live=frame_auc(labels, scores_live),
        eer_live=equal_error_rate(labels, scores_live),
        auc_literature=frame_auc(labels, scores_literature),
        eer_literature=equal_error_rate(labels, scores_literature),
        auc_regularity=frame_auc(labels, np.concatenate([v.irregularity for v in videos])),
    )


def live(score, warm_up=0):
    """Protocol `live` for one video: fill the warm-up, then a causal median over 9 frames.

    Args:
        score: float `(frames,)`, raw anomaly scores.
        warm_up: Number of first frames without a score; they take the first real one.

    Returns:
        float64 `(frames,)`. Frame t is the median of frames t-8 to t, fewer at the start.
    """
    filled = fill_warm_up(score, warm_up)
    before = np.full(MEDIAN_FRAMES - 1, np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.concatenate([before, filled]), MEDIAN_FRAMES
    )
    return np.nanmedian(windows, axis=-1)


def literature(frame_error, warm_up=0):
    """Protocol `literature` for one video: fill, centred Gaussian, min-max of this video.

    Args:
        frame_error: float `(frames,)`, mean squared error of each frame.
        warm_up: Number of first frames without an error; they take the first real one.

    Returns:
        float64 `(frames,)` in [0, 1]; all 0 where the error does not change at all.
    """
    smooth = gaussian_smooth(fill_warm_up(frame_error, warm_up), GAUSSIAN_SIGMA_FRAMES)
    low, high = smooth.min(), smooth.max()
    # A constant error leaves rounding noise after the filter; dividing by it would invent a signal.
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        return np.zeros_like(smooth)
    return (smooth - low) / (high - low)


def regularity_score(errors):
    """How regular each frame of a video is, once all of it is known.

        s(t) = 1 - (e(t) - min e) / max e

    Args:
        errors: float `(frames,)`, error of each frame, not negative; Hasan et al. sum the errors of
            its pixels, but neither sum nor mean changes the score.

    Returns:
        float64 `(frames,)` in [0, 1], 1 for the most regular frame; all 1 where there is no error.

    Raises:
        ValueError: If there are no frames or an error is negative.

    Example:
        >>> regularity_score([1.0, 2.0, 4.0]).tolist()
        [1.0, 0.75, 0.25]
    """
    errors = np.asarray(errors, np.float64)
    if errors.size == 0 or errors.min() < 0:
        raise ValueError(
            "`errors` must hold one value per frame, at least one and none negative. Received: "
            f"{errors.size} values{f', the least {errors.min():g}' if errors.size else ''}"
        )
    largest = errors.max()
    return 1 - (errors - errors.min()) / (largest if largest > 0 else 1)


def fill_warm_up(values, warm_up):
    """Gives the first `warm_up` frames the first real value; a video with none keeps its zeros."""
    if warm_up < 0:
        raise ValueError(f"`warm_up` must not be negative. Received: warm_up={warm_up}")
    values = np.array(values, dtype=np.float64)
    if warm_up < len(values):
        values[:warm_up] = values[warm_up]
    return values


def gaussian_smooth(values, sigma):
    """Centred Gaussian over time, cut at 4 sigma, the ends mirrored about the edge of the frame.

    Args:
        values: float `(frames,)`.
        sigma: Standard deviation in frames, above 0.

    Returns:
        float64 `(frames,)`.
    """
    if sigma <= 0:
        raise ValueError(f"`sigma` must be above 0 frames. Received: sigma={sigma}")
    radius = int(4 * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    padded = np.pad(np.asarray(values, np.float64), radius, mode="symmetric")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")


def frame_auc(labels, scores):
    """Area under the ROC curve over frames; 0.5 is chance.

    Args:
        labels: bool `(frames,)`, True where abnormal; both classes are needed.
        scores: float `(frames,)`, higher is stranger.

    Returns:
        float in [0, 1].
    """
    from sklearn.metrics import auc

    return float(auc(*_roc(labels, scores)))


def equal_error_rate(labels, scores):
    """Rate at which as many normal frames are flagged as abnormal ones are missed.

    Args:
        labels: bool `(frames,)`, True where abnormal; both classes are needed.
        scores: float `(frames,)`, higher is stranger.

    Returns:
        float in [0, 1]: the false positive rate where it equals one minus the true positive rate,
        on the ROC curve with straight lines between its points.
    """
    false_positive, true_positive = _roc(labels, scores)
    # Rises from -1 to 1 along the curve, so the first point at or above 0 closes the crossing.
    difference = false_positive - (1 - true_positive)
    after = int(np.argmax(difference >= 0))
    before = after - 1
    share = -difference[before] / (difference[after] - difference[before])
    return float(false_positive[before] + share * (false_positive[after] - false_positive[before]))


def _roc(labels, scores):
    from sklearn.metrics import roc_curve

    labels = np.asarray(labels, bool)
    if labels.all() or not labels.any():
        raise ValueError(
            "`labels` must hold both classes. Received: "
            f"{int(labels.sum())} abnormal frames of {labels.size}"
        )
    false_positive, true_positive, _ = roc_curve(labels, scores, drop_intermediate=False)
    return false_positive, true_positive
