"""Measures a classifier on held-out groups, beside the baselines of the same protocol."""

import numpy as np

from data_pipelines import transforms
from exports import classifier as classifiers

PCA_COMPONENTS = 64
PCA_SIZE = (64, 64)
# Up to so many windows, all of the distances between them are cheaper than their pixels.
MOST_COMPACT = 2000
GRID = 16


def cross_validate(embeddings, labels, groups, clips, test_groups=None, transform=None):
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
        fitted = classifiers.Classifier.fit(known, labels[train], groups[train], clips[train])
        strengths.append(fitted.strength)
        decisions = fitted.predict(unknown, clips[test])
        truth = classifiers.clip_labels(labels[test], clips[test])
        for true, decided in zip(truth, decisions):
            confusion[classes.index(true), classes.index(decided)] += 1
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
        "folds": len(folds),
        "split": split,
        "strengths": strengths,
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
    folds = classifiers.group_folds(labels, groups)
    if not folds:
        raise ValueError("`groups` must leave every class in training when some are held out")
    if len(folds) == len(set(groups)):
        return folds, "leave one group out"
    return folds, f"{len(folds)} folds of groups"


def pixel_rows(window_list, frames=16):
    """Lays windows of pixels as rows, for `pixel_pca`.

    Args:
        window_list: list of uint8 arrays (time, height, width, channels).
        frames: int, the number of frames each is brought to, by the nearest.

    Returns:
        float32 array (windows, frames * 64 * 64 * channels), values in [0, 1].

    Example:

    ```python
    pixel_rows([np.zeros((16, 64, 64, 1), "uint8")]).shape  # (1, 65536)
    ```
    """
    rows = []
    for window in window_list:
        chosen = np.linspace(0, len(window) - 1, frames).round().astype(int)
        sized = transforms.to_float(transforms.resize(window[chosen], PCA_SIZE))
        rows.append(np.asarray(sized).reshape(-1))
    return np.stack(rows)


def same_distances(rows):
    """Rewrites rows in the space that they span, where there are fewer rows than numbers in one.

    Distances and inner products stay, and with them the principal components: folds then cost
    a hundredth.

    Args:
        rows: float array (windows, dim).

    Returns:
        float32 array (windows, windows), or `rows` where that would be no less work.

    Example:

    ```python
    same_distances(np.random.rand(5, 65536)).shape  # (5, 5)
    ```
    """
    if len(rows) > min(MOST_COMPACT, rows.shape[1]):
        return rows
    values, vectors = np.linalg.eigh((rows @ rows.T).astype(np.float64))
    return (vectors * np.sqrt(np.maximum(values, 0))).astype(np.float32)


def pixel_pca(train, test, components=PCA_COMPONENTS, seed=0):
    """Reduces rows of pixels to principal components fitted on the training part.

    Args:
        train: float array (windows, pixels).
        test: float array (windows, pixels).
        components: int; fewer where there are fewer windows.
        seed: int, of the randomised decomposition.

    Returns:
        `(train, test)`, float arrays (windows, components).

    Example:

    ```python
    pixel_pca(np.random.rand(100, 640), np.random.rand(10, 640))[1].shape  # (10, 64)
    ```
    """
    from sklearn.decomposition import PCA

    components = min(components, *train.shape)
    reduce = PCA(components, svd_solver="randomized", random_state=seed).fit(train)
    return reduce.transform(train), reduce.transform(test)


def motion_energy(window_list, grid=GRID):
    """Averages the absolute difference between frames over a grid.

    Args:
        window_list: list of uint8 arrays (time, height, width, channels), at least `grid` pixels
            high and wide, two frames long.
        grid: int, cells along each side.

    Returns:
        float32 array (windows, grid * grid), values in [0, 1].

    Raises:
        ValueError: If a window is smaller than the grid or has one frame.

    Example:

    ```python
    motion_energy([np.zeros((16, 64, 64, 1), "uint8")]).shape  # (1, 256)
    ```
    """
    rows = []
    for window in window_list:
        if len(window) < 2 or min(window.shape[1:3]) < grid:
            raise ValueError(
                f"`window_list` must hold windows of 2 frames and {grid}x{grid} pixels or more. "
                f"Received: {window.shape}"
            )
        change = np.abs(np.diff(window.astype(np.float32), axis=0)).mean(axis=(0, 3)) / 255
        for axis in (0, 1):
            edges = np.arange(grid + 1) * change.shape[axis] // grid
            sums = np.add.reduceat(change, edges[:-1], axis=axis)
            change = sums / np.expand_dims(np.diff(edges), 1 - axis)
        rows.append(change.reshape(-1))
    return np.stack(rows).astype(np.float32)
