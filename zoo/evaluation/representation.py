"""What a representation of clips is worth: rows and labels in, accuracy out.

Whole groups (people, source videos) are held out, so that no classifier is tested on somebody it
was trained on. Beside the accuracy with all labels stands that with few of them, which tells
representations apart that all labels together make equal.

Reference:
    Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2017,
    https://arxiv.org/abs/1610.01644
"""

import functools

import numpy as np

from zoo.evaluation.probes import LinearProbe, NearestNeighbours, clip_labels, group_folds

# Of whole clips there are fewer rows than of windows, so that each may weigh more.
CLIP_STRENGTHS = (0.03, 0.3, 3.0)
PROBES = {
    "linear_probe": functools.partial(LinearProbe.fit, strengths=CLIP_STRENGTHS),
    "nearest_neighbours": NearestNeighbours.fit,
}
LABELS_PER_CLASS = (1, 2, 5)
PEOPLE = (1, 2, 5, 8)
LABEL_DRAWS, PEOPLE_DRAWS = 5, 40


def evaluate(
    alternatives,
    labels,
    groups,
    transform=None,
    *,
    labels_per_class=LABELS_PER_CLASS,
    people=PEOPLE,
    label_draws=LABEL_DRAWS,
    people_draws=PEOPLE_DRAWS,
    seed=0,
):
    """Measures a linear probe and nearest neighbours on one row per clip, with few labels and all.

    - With all labels each group is held out once, as `cross_validate` does it.
    - `few_labels`: the same folds, but of the training side only some clips of each class, drawn
      anew for each fold, are labelled. A draw is one pass over all folds.
    - `few_people`: all clips of some groups are labelled, those of all others tested on. Each draw
      is another set of groups in which every class occurs, and all of them where they are few.

    Args:
        alternatives: List of float arrays (clips, dim): the rows; or several that differ by chance
            alone, such as those of weights drawn at random. With all labels the accuracy is then
            the mean over them, and draws take them in turn.
        labels: str array (clips,).
        groups: str array (clips,): the person, or the source video.
        transform: Function `(known, unknown) -> (known, unknown)`, fitted without labels on all
            clips that are not tested on.
        labels_per_class, people: How many clips of a class, and how many groups, are labelled.
            What the footage does not have is left out.
        label_draws, people_draws: Draws of each, at least 1.
        seed: Of the draws: equal seeds label equal clips, whatever the rows.

    Returns:
        Dict from `linear_probe` and `nearest_neighbours` to dicts of `accuracy` (share of clips),
        `few_labels` and `few_people` (from the count to `accuracy`, `standard_error` over the
        draws and `draws`); of a single alternative also `per_class`, `confusion` and `strengths`,
        of several `accuracies`.

    Raises:
        ValueError: As `cross_validate`.

    Example:

    ```python
    evaluate([embeddings], labels, groups)["linear_probe"]["few_people"]["1"]["accuracy"]
    ```
    """
    from threadpoolctl import threadpool_limits

    labels, groups = np.asarray(labels), np.asarray(groups)
    folds, _ = split_groups(labels, groups)
    few = {
        "few_labels": {
            str(count): draw_labels(labels, folds, count, label_draws, seed)
            for count in labels_per_class
        },
        "few_people": {
            str(count): _draw_people(labels, groups, count, people_draws, seed) for count in people
        },
    }
    result = {name: _with_all_labels(alternatives, labels, groups, transform, probe)
              for name, probe in PROBES.items()}  # fmt: skip
    # As in the probe itself: on products so small threads only wait for one another.
    with threadpool_limits(1):
        for kind, levels in few.items():
            for name in PROBES:
                result[name][kind] = {}
            for count, draws in levels.items():
                if draws:
                    found = _accuracy_of_draws(alternatives, labels, groups, transform, draws)
                    for name, accuracies in found.items():
                        result[name][kind][count] = summary(accuracies)
    return result


def cross_validate(
    embeddings, labels, groups, clips, test_groups=None, transform=None, fit=LinearProbe.fit
):
    """Measures the accuracy per clip with whole groups held out.

    Args:
        embeddings: float array (windows, dim), or what `transform` makes embeddings of.
        labels: str array (windows,).
        groups: str array (windows,): the person, or the source video.
        clips: int array (windows,): which clip a window is of.
        test_groups: iterable of str, the groups of the one test part. Default: leave one group
            out, or folds of several groups where there are many.
        transform: Function `(train, test) -> (train, test)` fitted on the training part of each
            fold, such as `pixel_pca`. Default: none.
        fit: Function `(embeddings, labels, groups, clips)` that gives an object with `predict`,
            as those of `zoo.evaluation.probes` do.

    Returns:
        Dict: `accuracy` (share of clips), `per_class` (from class to accuracy), `classes`,
        `confusion` (rows the truth, columns the decision), `clips` (tested), `folds`, `split`
        (in words) and `strengths` (chosen, one a fold).

    Raises:
        ValueError: If there is one class or one group, a class that is tested is not trained on,
            or a test group is unknown.

    Example:

    ```python
    cross_validate(embeddings, labels, groups, clips)["accuracy"]
    ```
    """
    labels, groups, clips = (np.asarray(array) for array in (labels, groups, clips))
    folds, split = split_groups(labels, groups, test_groups)
    classes = sorted(set(labels.tolist()))
    confusion = np.zeros((len(classes), len(classes)), int)
    strengths = []
    for train, test in folds:
        known, unknown = embeddings[train], embeddings[test]
        if transform is not None:
            known, unknown = transform(known, unknown)
        fitted = fit(known, labels[train], groups[train], clips[train])
        strengths.append(getattr(fitted, "strength", None))
        decisions = fitted.predict(unknown, clips[test])
        truth = clip_labels(labels[test], clips[test])
        for true, decided in zip(truth, decisions):
            confusion[classes.index(true), classes.index(decided)] += 1
    return told(confusion, classes) | {
        "folds": len(folds),
        "split": split,
        "strengths": strengths,
    }


def told(confusion, classes):
    """What a confusion matrix says, as JSON values.

    Args:
        confusion: int array (classes, classes): clips, rows the truth, columns the decision.
        classes: list of str.

    Returns:
        Dict: `accuracy` (share of clips), `per_class` (from class to accuracy, `None` where none
        was tested), `classes`, `confusion` and `clips`.
    """
    tested = confusion.sum(axis=1)
    return {
        "accuracy": float(confusion.trace() / confusion.sum()),
        "per_class": {
            name: float(confusion[i, i] / tested[i]) if tested[i] else None
            for i, name in enumerate(classes)
        },
        "classes": classes,
        "confusion": confusion.tolist(),
        "clips": int(confusion.sum()),
    }


def split_groups(labels, groups, test_groups=None):
    """Chooses the folds of `cross_validate`.

    Args:
        labels: str array (windows,).
        groups: str array (windows,).
        test_groups: iterable of str. Default: every group is held out once.

    Returns:
        `(folds, split)`: a list of `(train, test)` index arrays, and the split in words.

    Raises:
        ValueError: As `cross_validate`.

    Example:

    ```python
    split_groups(labels, groups, test_groups=["lena"])[1]  # "given groups: lena"
    ```
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    if len(set(labels)) < 2:
        raise ValueError(f"`labels` must name at least 2 classes. Received: {sorted(set(labels))}")
    if len(set(groups)) < 2:
        raise ValueError(f"`groups` must name at least 2 groups. Received: {sorted(set(groups))}")
    if test_groups is not None:
        wanted = sorted(set(test_groups))
        known = sorted(set(groups.tolist()))
        if not wanted or not set(wanted) < set(known):
            raise ValueError(
                f"`test_groups` must be some of the groups, not all. Received: {wanted}; the "
                f"groups are: {known}"
            )
        held = np.isin(groups, wanted)
        untrained = sorted(set(labels[held].tolist()) - set(labels[~held].tolist()))
        if untrained:
            raise ValueError(
                f"`test_groups` must leave clips of every class to train on. None of: {untrained}"
            )
        return [(np.flatnonzero(~held), np.flatnonzero(held))], f"given groups: {', '.join(wanted)}"
    lonely = [name for name in sorted(set(labels)) if len(set(groups[labels == name])) < 2]
    if lonely:
        raise ValueError(
            "each class must have clips of at least 2 groups (people, source videos), so that "
            f"one can be held out. Received one group for: {', '.join(lonely)}"
        )
    folds = group_folds(labels, groups)
    if not folds:
        raise ValueError("`groups` must leave every class in training when some are held out")
    if len(folds) == len(set(groups)):
        return folds, "leave one group out"
    return folds, f"{len(folds)} folds of groups"


def _with_all_labels(alternatives, labels, groups, transform, fit):
    clips = np.arange(len(labels))
    found = [
        cross_validate(rows, labels, groups, clips, transform=transform, fit=fit)
        for rows in alternatives
    ]
    if len(found) == 1:
        names = ("accuracy", "per_class", "confusion", "strengths")
        return {name: found[0][name] for name in names}
    accuracies = [result["accuracy"] for result in found]
    return {"accuracy": float(np.mean(accuracies)), "accuracies": accuracies}


def draw_labels(labels, folds, count, draws, seed):
    """Draws of some labelled clips of each class; empty where a fold has too few of one.

    A draw is a list of `(known, labelled, test)`: the numbers of the clips that are not tested on,
    of those among them that are labelled, and of those that are tested on.
    """
    classes = sorted(set(labels))
    if any(min((labels[train] == name).sum() for name in classes) < count for train, _ in folds):
        return []
    found = []
    for draw in range(draws):
        rng = np.random.default_rng([seed, count, draw])
        parts = []
        for train, test in folds:
            chosen = [
                rng.choice(train[labels[train] == name], count, replace=False) for name in classes
            ]
            parts.append((train, np.concatenate(chosen), test))
        found.append(parts)
    return found


def _draw_people(labels, groups, count, draws, seed):
    """Draws of some labelled groups, no set twice; as `draw_labels`, each of one part."""
    names, classes = sorted(set(groups)), set(labels)
    rng = np.random.default_rng([seed, count])
    found = {}
    # Sets that lack a class, or were drawn before, are drawn again, so often that none of a
    # handful is missed.
    for _ in range(100 * draws if count < len(names) else 0):
        chosen = tuple(sorted(rng.choice(names, count, replace=False).tolist()))
        labelled = np.isin(groups, chosen)
        if chosen not in found and set(labels[labelled]) == classes:
            known = np.flatnonzero(labelled)
            found[chosen] = [(known, known, np.flatnonzero(~labelled))]
        if len(found) == draws:
            break
    return list(found.values())


def _accuracy_of_draws(alternatives, labels, groups, transform, draws):
    """Dict from the name of each probe to one accuracy for each draw."""
    accuracies = {name: [] for name in PROBES}
    for number, parts in enumerate(draws):
        rows = alternatives[number % len(alternatives)]
        right, tested = dict.fromkeys(PROBES, 0), 0
        for known, labelled, test in parts:
            train, unseen = rows[known], rows[test]
            if transform is not None:
                train, unseen = transform(train, unseen)
            kept = np.isin(known, labelled)
            own = known[kept]
            for name, fit in PROBES.items():
                fitted = fit(train[kept], labels[own], groups[own])
                right[name] += int((fitted.predict(unseen) == labels[test]).sum())
            tested += len(test)
        for name in PROBES:
            accuracies[name].append(right[name] / tested)
    return accuracies


def summary(accuracies):
    """The mean over draws with its standard error: dict of JSON values."""
    count = len(accuracies)
    error = float(np.std(accuracies, ddof=1) / np.sqrt(count)) if count > 1 else None
    return {"accuracy": float(np.mean(accuracies)), "standard_error": error, "draws": count}
