"""When in a long video something happens: from windows to segments, and their average precision.

A segment found is right if it overlaps one of its class, that no more probable one has taken, by a
given share: their intersection over their union in time, as in THUMOS (Idrees et al. 2017,
https://arxiv.org/abs/1604.06182) and ActivityNet.
"""

import dataclasses

import numpy as np

OVERLAPS = (0.3, 0.5, 0.7)


@dataclasses.dataclass(frozen=True)
class Found:
    """A segment that was found, or the truth about one.

    Attributes:
        video: str, the video.
        begin_sec, end_sec: float, seconds.
        label: str, the class.
        score: float, how probable it is; of the truth 1.
    """

    video: str
    begin_sec: float
    end_sec: float
    label: str
    score: float = 1.0


def join_windows(video, spans, probabilities, classes, limit=0.0):
    """Joins windows into segments of one class.

    Between the beginnings and ends of windows, each moment has the mean probability of the windows
    over it. Moments in a row whose most probable class is the same, and reaches the limit, are a
    segment of that class; its score is the mean probability over its time.

    Args:
        video: str, the video's name.
        spans: float array (windows, 2), begin and end of each window in seconds.
        probabilities: float array (windows, classes).
        classes: list of str.
        limit: float, below which no class is named.

    Returns:
        List of `Found`, in order of time.

    Example:

    ```python
    join_windows("a", [(0, 2), (1, 3)], [[0.9, 0.1], [0.8, 0.2]], ["run", "walk"])  # one, 0 to 3 s
    ```
    """
    spans, probabilities = np.asarray(spans, float), np.asarray(probabilities, float)
    edges = np.unique(spans)
    found = []
    for begin, end in zip(edges[:-1], edges[1:]):
        over = (spans[:, 0] <= begin) & (spans[:, 1] >= end)
        if not over.any():
            continue
        mean = probabilities[over].mean(axis=0)
        best = int(mean.argmax())
        if mean[best] < limit:
            continue
        last = found[-1] if found else None
        if last and last.label == classes[best] and last.end_sec == begin:
            whole = end - last.begin_sec
            score = (last.score * (begin - last.begin_sec) + mean[best] * (end - begin)) / whole
            found[-1] = dataclasses.replace(last, end_sec=float(end), score=float(score))
        else:
            found.append(
                Found(video, float(begin), float(end), classes[best], float(mean[best]))
            )
    return found


def mean_average_precision(found, truth, overlaps=OVERLAPS):
    """Measures segments that were found against the labelled ones.

    Args:
        found: list of `Found`.
        truth: list of `Found`, at least one.
        overlaps: Shares of overlap from which a segment counts as found, in (0, 1].

    Returns:
        Dict from each overlap, as str, to `mean` and `per_class` (from each class of the truth to
        its average precision).

    Raises:
        ValueError: If there is no truth.

    Example:

    ```python
    mean_average_precision(truth, truth)["0.5"]["mean"]  # 1.0
    ```
    """
    classes = sorted({segment.label for segment in truth})
    if not classes:
        raise ValueError("`truth` must hold at least one segment. Received: none")
    figures = {}
    for overlap in overlaps:
        per_class = {
            name: average_precision(
                [one for one in found if one.label == name],
                [one for one in truth if one.label == name],
                overlap,
            )
            for name in classes
        }
        figures[str(overlap)] = {
            "mean": float(np.mean(list(per_class.values()))), "per_class": per_class,
        }  # fmt: skip
    return figures


def average_precision(found, truth, overlap):
    """The area under the curve of precision over recall, of one class.

    Precision at a recall is the best at that recall or a higher one. Each true segment is found
    once: a second one over it is wrong.

    Args:
        found: list of `Found`.
        truth: list of `Found`, at least one.
        overlap: float, as of `mean_average_precision`.

    Returns:
        float in [0, 1].

    Example:

    ```python
    average_precision(truth[:1], truth[:2], 0.5)  # 0.5
    ```
    """
    left = list(truth)
    right = []
    for segment in sorted(found, key=lambda segment: -segment.score):
        best = max(left, key=lambda one: overlap_of(segment, one), default=None)
        hit = best is not None and overlap_of(segment, best) >= overlap
        if hit:
            left.remove(best)
        right.append(hit)
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(right) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best_from_here[np.array(right, bool)].sum() / len(truth))


def overlap_of(first, second):
    """Intersection over union in time; 0 of segments of two videos.

    Args:
        first, second: `Found`.

    Returns:
        float in [0, 1].

    Example:

    ```python
    overlap_of(Found("a", 0, 2, "run"), Found("a", 1, 3, "run"))  # 0.333
    ```
    """
    if first.video != second.video:
        return 0.0
    begin = max(first.begin_sec, second.begin_sec)
    both = max(0.0, min(first.end_sec, second.end_sec) - begin)
    lengths = (first.end_sec - first.begin_sec) + (second.end_sec - second.begin_sec)
    return both / (lengths - both) if lengths > both else 0.0
