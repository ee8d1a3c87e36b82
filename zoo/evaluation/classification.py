"""What a classifier of windows of clips is worth: accuracy, calibration, curves of few labels.

Whole groups (people, source videos) are held out, as in `representation`. Probabilities of groups
that are held out are also what a temperature is fitted on: those of what was trained on are always
too sure.

Reference:
    Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", 2017,
    https://arxiv.org/abs/1706.04599
"""

import numpy as np

from zoo.evaluation.probes import clip_labels
from zoo.evaluation.representation import (
    LABEL_DRAWS,
    LABELS_PER_CLASS,
    draw_labels,
    split_groups,
    summary,
    told,
)

BINS = 10
# Of which a temperature is chosen: three percent apart, from sharper to flatter than any of use.
TEMPERATURES = np.geomspace(0.05, 20.0, 201)


def held_out(rows, labels, groups, clips, fit, test_groups=None):
    """Has each group decided on by a classifier that was fitted on the others.

    Args:
        rows: Array (windows, ...), what `fit` takes.
        labels, groups: str arrays (windows,).
        clips: int array (windows,): which clip a window is of.
        fit: Function `(rows, labels, groups, clips)` that gives an object with `classes` and
            `log_probabilities(rows)`.
        test_groups: As of `representation.cross_validate`.

    Returns:
        `(log_probabilities, folds, split)`: float64 (windows, classes), columns in the order of
        the sorted classes, NaN in the rows that are in no test part; the list of index arrays
        `(train, test)`; and the split in words.

    Raises:
        ValueError: As `representation.split_groups`.

    Example:

    ```python
    held_out(embeddings, labels, groups, clips, LinearProbe.fit)[0].shape
    ```
    """
    labels, groups, clips = (np.asarray(array) for array in (labels, groups, clips))
    folds, split = split_groups(labels, groups, test_groups)
    classes = sorted(set(labels.tolist()))
    found = np.full((len(labels), len(classes)), np.nan)
    for train, test in folds:
        fitted = fit(rows[train], labels[train], groups[train], clips[train])
        # A class that none of a fold was taught is one that the fold's classifier never decides on.
        found[test] = -np.inf
        columns = [classes.index(name) for name in fitted.classes]
        found[np.ix_(test, columns)] = fitted.log_probabilities(rows[test])
    return found, folds, split


def measure(log_probabilities, labels, clips, classes):
    """Compares decisions with the truth.

    Args:
        log_probabilities: float array (windows, classes).
        labels: str array (windows,), each one of `classes`.
        clips: int array (windows,): the mean log-probability of its windows decides a clip.
        classes: list of str, in the order of the columns.

    Returns:
        Dict: `accuracy` (share of clips), `per_class` (from class to accuracy, `None` where none
        was tested), `classes`, `confusion` (rows the truth, columns the decision), `clips`,
        `windows` and `calibration_error` (of the probabilities of windows).

    Example:

    ```python
    measure(np.log([[0.9, 0.1]]), ["run"], [0], ["run", "walk"])["accuracy"]  # 1.0
    ```
    """
    classes, clips, labels = list(classes), np.asarray(clips), np.asarray(labels)
    decided = [log_probabilities[clips == clip].mean(axis=0) for clip in np.unique(clips)]
    truth = [classes.index(name) for name in clip_labels(labels, clips)]
    confusion = np.zeros((len(classes), len(classes)), int)
    np.add.at(confusion, (truth, np.argmax(decided, axis=1)), 1)
    right = np.array(classes)[log_probabilities.argmax(axis=1)] == labels
    return told(confusion, classes) | {
        "windows": len(labels),
        "calibration_error": calibration_error(np.exp(log_probabilities.max(axis=1)), right),
    }


def calibration_error(confidences, right, bins=BINS):
    """The expected calibration error: how far shares of right decisions are from what was said.

    Args:
        confidences: float array (n,), the probability of each decision, in [0, 1].
        right: bool array (n,).
        bins: int, the number of equal parts of [0, 1] in which the two are averaged.

    Returns:
        float in [0, 1], the mean over the decisions of the gap in the bin of each.

    Example:

    ```python
    calibration_error(np.array([0.75, 0.75]), np.array([True, False]))  # 0.25
    ```
    """
    confidences, right = np.asarray(confidences, float), np.asarray(right, float)
    places = np.minimum((confidences * bins).astype(int), bins - 1)
    gaps = np.bincount(places, confidences - right, bins)
    return float(np.abs(gaps).sum() / len(confidences))


def fit_temperature(log_probabilities, labels, classes):
    """The temperature that makes what was held out most probable.

    Args:
        log_probabilities: float array (windows, classes), of windows that were held out.
        labels: str array (windows,).
        classes: list of str, in the order of the columns.

    Returns:
        float, above 1 where the classifier is too sure: log-probabilities are divided by it.

    Example:

    ```python
    fit_temperature(found, labels, classes)
    ```
    """
    truth = np.array([list(classes).index(name) for name in labels])

    def loss(temperature):
        return -temper(log_probabilities, temperature)[np.arange(len(truth)), truth].mean()

    return float(min(TEMPERATURES, key=loss))


def temper(log_probabilities, temperature):
    """Divides log-probabilities by a temperature; their exponentials sum to 1 again.

    Args:
        log_probabilities: float array (windows, classes).
        temperature: float above 0.

    Returns:
        float64 array (windows, classes).

    Example:

    ```python
    temper(np.log([[0.5, 0.5]]), 2.0)  # the same
    ```
    """
    scaled = np.maximum(np.asarray(log_probabilities, np.float64), -1e3) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))


def tempered_by_others(log_probabilities, labels, classes, folds):
    """Calibrates each test part by the temperature of the other test parts.

    A temperature is not tested on what it was fitted on. Of a single test part one half, every
    other window, is fitted for the other, and the other way round.

    Args:
        log_probabilities: float array (windows, classes), as `held_out` gives it.
        labels: str array (windows,).
        classes: list of str.
        folds: list of `(train, test)` index arrays.

    Returns:
        float64 array (windows, classes), NaN where no window was tested.

    Example:

    ```python
    tempered_by_others(found, labels, classes, folds)
    ```
    """
    labels = np.asarray(labels)
    parts = [test for _, test in folds]
    if len(parts) == 1:
        parts = [parts[0][::2], parts[0][1::2]] if len(parts[0]) > 1 else parts * 2
    found = np.full(np.shape(log_probabilities), np.nan)
    for number, test in enumerate(parts):
        others = np.concatenate(parts[:number] + parts[number + 1 :])
        temperature = fit_temperature(log_probabilities[others], labels[others], classes)
        found[test] = temper(log_probabilities[test], temperature)
    return found


def few_labels(
    ways, labels, groups, clips, counts=LABELS_PER_CLASS, draws=LABEL_DRAWS, seed=0
):
    """Accuracy with few labelled clips of each class, of several descriptors on equal draws.

    Each group is held out once, and of the others some clips of each class, drawn anew for each
    group and draw, are labelled.

    Args:
        ways: Dict from name to `(alternatives, fit, transform)`: a list of arrays (windows, ...)
            that differ by chance alone, such as those of random weights, which draws take in
            turn; what is fitted, as for `held_out`, with `predict(rows, clips)`; and a function
            `(known, unknown) -> (known, unknown)` fitted without labels on all windows that are
            not tested on, or None.
        labels, groups, clips: Arrays (windows,).
        counts: How many clips of a class are labelled. What the footage lacks is left out.
        draws: int.
        seed: int. Equal seeds label equal clips.

    Returns:
        Dict from each name to a dict from the count to `accuracy`, `standard_error` and `draws`.

    Example:

    ```python
    few_labels({"encode": ([rows], LinearProbe.fit, None)}, labels, groups, clips)
    ```
    """
    labels, groups, clips = (np.asarray(array) for array in (labels, groups, clips))
    numbers = np.unique(clips)
    of_clip, group_of = clip_labels(labels, clips), clip_labels(groups, clips)
    folds, _ = split_groups(of_clip, group_of)
    curves = {name: {} for name in ways}
    for count in counts:
        found = {name: [] for name in ways}
        drawn = draw_labels(of_clip, folds, count, draws, seed)
        for draw, parts in enumerate(drawn):
            right = dict.fromkeys(ways, 0)
            for known, labelled, test in parts:
                train = np.flatnonzero(np.isin(clips, numbers[known]))
                unseen = np.flatnonzero(np.isin(clips, numbers[test]))
                kept = np.isin(clips[train], numbers[labelled])
                own = train[kept]
                for name, (alternatives, fit, transform) in ways.items():
                    rows = alternatives[draw % len(alternatives)]
                    if transform is None:
                        taught, asked = rows[own], rows[unseen]
                    else:
                        taught, asked = transform(rows[train], rows[unseen])
                        taught = taught[kept]
                    fitted = fit(taught, labels[own], groups[own], clips[own])
                    decided = fitted.predict(asked, clips[unseen])
                    right[name] += int((decided == of_clip[test]).sum())
            tested = sum(len(test) for _, _, test in parts)
            for name in ways:
                found[name].append(right[name] / tested)
        for name in ways if drawn else ():
            curves[name][str(count)] = summary(found[name])
    return curves
