"""A scikit-learn classifier on top of an exported encoder: arrays in, decisions out.

A clip is cut into windows, each window becomes a vector, a standardised logistic regression gives
each window's log-probabilities, and their mean over the windows decides the clip.
"""

import collections
import dataclasses
import json
from pathlib import Path

import numpy as np

# Inverse strengths of the L2 penalty that the training split chooses from.
STRENGTHS = (0.003, 0.03, 0.3)
INNER_FOLDS = 3
MOST_FOLDS = 12


def windows(clip, frames=16, stride=8, min_frames=1):
    """Cuts a clip into overlapping windows; the last one ends with the clip.

    Args:
        clip: iterable of arrays (height, width, channels), or one array of them; read as it
            goes, and never more than a window of it kept.
        frames: int, the length of a window. A clip that is shorter is one window as it is.
        stride: int, frames between the starts of two windows.
        min_frames: int, the shortest clip that the encoder takes.

    Yields:
        Arrays (frames or fewer, height, width, channels).

    Raises:
        ValueError: If `stride` is below 1, `frames` below `min_frames`, or the clip shorter than
            `min_frames`.

    Example:

    ```python
    [len(window) for window in windows(np.zeros((37, 8, 8, 1)))]  # [16, 16, 16, 16]
    ```
    """
    if frames < max(min_frames, 1):
        raise ValueError(f"`frames` must be at least {min_frames}. Received: frames={frames}")
    if stride < 1:
        raise ValueError(f"`stride` must be at least 1. Received: stride={stride}")
    held = collections.deque(maxlen=frames)
    length = given = 0
    for length, frame in enumerate(clip, start=1):
        held.append(frame)
        if length >= frames and (length - frames) % stride == 0:
            yield np.stack(held)
            given = length
    if length < max(min_frames, 1):
        raise ValueError(f"`clip` must have at least {min_frames} frames. Received: {length}")
    if given < length:
        yield np.stack(held)


@dataclasses.dataclass
class Classifier:
    """Standardisation and multinomial logistic regression over embeddings.

    Attributes:
        classes: list of str, in the order of the columns.
        mean: float array (dim,), taken from the embedding.
        scale: float array (dim,), that it is divided by.
        coefficients: float array (classes, dim).
        intercepts: float array (classes,).
        strength: float, the inverse of the L2 penalty (scikit-learn's `C`).
        encoder: dict, what says which export and which windows it was fitted on.

    Example:

    ```python
    classifier = Classifier.fit(embeddings, labels, groups)
    classifier.predict(embeddings, clips)
    ```
    """

    classes: list
    mean: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray
    intercepts: np.ndarray
    strength: float
    encoder: dict = dataclasses.field(default_factory=dict)

    @classmethod
    def fit(cls, embeddings, labels, groups, clips=None, strengths=STRENGTHS):
        """Fits the classifier; the penalty is chosen inside the given data.

        The choice is by cross-validation that never has a group on both sides, on the accuracy
        of clips. Where there is one group only, or a class is in one group only, nothing can be
        held out: the middle strength is taken.

        Args:
            embeddings: float array (windows, dim).
            labels: str array (windows,).
            groups: str array (windows,): the person, or the source video.
            clips: int array (windows,): which clip a window is of. Default: one window each.
            strengths: tuple of float, ascending.

        Returns:
            A `Classifier`.

        Raises:
            ValueError: If there is one class only, or an embedding is not finite.

        Example:

        ```python
        Classifier.fit(np.eye(4), np.array(list("abab")), np.array(list("xxyy")))
        ```
        """
        from threadpoolctl import threadpool_limits

        embeddings = np.asarray(embeddings, np.float64)
        labels, groups = np.asarray(labels), np.asarray(groups)
        clips = np.arange(len(labels)) if clips is None else np.asarray(clips)
        if len(set(labels)) < 2:
            raise ValueError(f"`labels` must name at least 2 classes. Received: {set(labels)}")
        if not np.isfinite(embeddings).all():
            raise ValueError("`embeddings` must be finite. Received: NaN or infinity")
        # The products are so small that threads spend their time waiting for one another: five
        # to thirty times slower with two where something else runs as well.
        with threadpool_limits(1):
            strength = _choose(embeddings, labels, groups, clips, strengths)
            return _path(embeddings, labels, [strength])[0]

    def log_probabilities(self, embeddings):
        """Gives the log-probability of each class for each window.

        Args:
            embeddings: float array (windows, dim).

        Returns:
            float64 array (windows, classes); its exponentials sum to 1 in each row.

        Raises:
            ValueError: If the embeddings have another length than those fitted on.

        Example:

        ```python
        np.exp(classifier.log_probabilities(embeddings)).sum(axis=1)  # ones
        ```
        """
        embeddings = np.asarray(embeddings, np.float64)
        if embeddings.ndim != 2 or embeddings.shape[1] != len(self.mean):
            raise ValueError(
                f"`embeddings` must be (windows, {len(self.mean)}). Received: {embeddings.shape}"
            )
        logits = (embeddings - self.mean) / self.scale @ self.coefficients.T + self.intercepts
        logits -= logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def predict(self, embeddings, clips=None):
        """Decides on a class for each clip by the mean log-probability of its windows.

        Args:
            embeddings: float array (windows, dim).
            clips: int array (windows,): which clip a window is of. Default: one window each.

        Returns:
            str array (clips,), in the order of the sorted clip numbers.

        Raises:
            ValueError: If the embeddings have another length than those fitted on.

        Example:

        ```python
        classifier.predict(embeddings, np.array([0, 0, 1]))  # two decisions
        ```
        """
        scores = self.log_probabilities(embeddings)
        clips = np.arange(len(scores)) if clips is None else np.asarray(clips)
        means = [scores[clips == clip].mean(axis=0) for clip in np.unique(clips)]
        return np.array([self.classes[int(mean.argmax())] for mean in means])

    def save(self, path):
        """Writes the classifier as one `.npz`: arrays, and JSON for the rest. No pickle.

        Args:
            path: Path of the file; written whole, then renamed.

        Returns:
            pathlib.Path of the file.

        Example:

        ```python
        classifier.save("actions.npz")
        ```
        """
        # Here, since reading a classifier needs nothing of the zoo.
        from zoo.training.whole_files import write_whole

        path = Path(path)
        plain = {name: getattr(self, name) for name in ("classes", "strength", "encoder")}
        arrays = {name: getattr(self, name) for name in _ARRAYS}

        def write(aside):
            with open(aside, "wb") as file:
                np.savez(file, description=np.array(json.dumps(plain)), **arrays)

        write_whole(path, write)
        return path

    @classmethod
    def load(cls, path):
        """Reads a classifier that `save` wrote.

        Args:
            path: Path of the file.

        Returns:
            A `Classifier`.

        Raises:
            ValueError: If the file is not one.

        Example:

        ```python
        Classifier.load("actions.npz").classes
        ```
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                plain = json.loads(str(file["description"]))
                return cls(**plain, **{name: file[name] for name in _ARRAYS})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} holds no classifier: {error}") from error


_ARRAYS = ("mean", "scale", "coefficients", "intercepts")


def group_folds(labels, groups, most=MOST_FOLDS):
    """Splits windows into training and test parts with every group on one side only.

    One fold for each group where there are at most `most` groups, otherwise folds of several
    groups with the classes spread evenly.

    Args:
        labels: array (windows,).
        groups: array (windows,).
        most: int, the largest number of folds.

    Returns:
        List of `(train, test)` index arrays; empty where no split keeps every class of the test
        part in the training part.

    Example:

    ```python
    group_folds(np.array(list("abab")), np.array(list("xxyy")))  # two folds
    ```
    """
    from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold

    labels, groups = np.asarray(labels), np.asarray(groups)
    by_class = [len(set(groups[labels == label])) for label in sorted(set(labels))]
    if min(by_class) < 2:
        return []
    if len(set(groups)) <= most:
        splitter = LeaveOneGroupOut()
    else:
        splitter = StratifiedGroupKFold(n_splits=min(most, min(by_class)))
    folds = list(splitter.split(labels, labels, groups))
    known = all(set(labels[test]) <= set(labels[train]) for train, test in folds)
    return folds if known else []


def clip_labels(labels, clips):
    """Gives the label of each clip from those of its windows.

    Args:
        labels: array (windows,).
        clips: int array (windows,).

    Returns:
        Array (clips,), in the order of the sorted clip numbers.

    Example:

    ```python
    clip_labels(np.array(list("aab")), np.array([0, 0, 1]))  # ["a", "b"]
    ```
    """
    return np.asarray(labels)[np.unique(clips, return_index=True)[1]]


def _choose(embeddings, labels, groups, clips, strengths):
    """The strength that decides most clips of held-out groups rightly; the smallest of equals."""
    folds = group_folds(labels, groups, INNER_FOLDS) if len(strengths) > 1 else []
    if not folds:
        return sorted(strengths)[len(strengths) // 2]
    right = np.zeros(len(strengths))
    for train, test in folds:
        truth = clip_labels(labels[test], clips[test])
        for index, model in enumerate(_path(embeddings[train], labels[train], strengths)):
            right[index] += (model.predict(embeddings[test], clips[test]) == truth).sum()
    return strengths[int(right.argmax())]


def _path(embeddings, labels, strengths):
    """Fits one regression for each strength, each started from the one before."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(embeddings)
    # Fewer windows than numbers: the fit under an L2 penalty lies in the span of the windows, so
    # it is the same in their own coordinates, at a fraction of the cost.
    standardised = scaler.transform(embeddings)
    basis = None
    if standardised.shape[0] < standardised.shape[1]:
        basis = np.linalg.qr(standardised.T)[0]
        standardised = standardised @ basis
    regression = LogisticRegression(max_iter=2000, tol=1e-4, warm_start=True)
    fitted = []
    for strength in strengths:
        regression.set_params(C=strength).fit(standardised, labels)
        weights = regression.coef_ if basis is None else regression.coef_ @ basis.T
        intercepts = regression.intercept_
        if len(weights) == 1:
            # Two classes: scikit-learn keeps the difference of the two logits.
            weights = np.concatenate([-weights / 2, weights / 2])
            intercepts = np.concatenate([-intercepts / 2, intercepts / 2])
        fitted.append(
            Classifier(
                classes=[str(name) for name in regression.classes_],
                mean=scaler.mean_,
                scale=scaler.scale_,
                coefficients=weights.copy(),
                intercepts=np.array(intercepts),
                strength=float(strength),
            )
        )
    return fitted
