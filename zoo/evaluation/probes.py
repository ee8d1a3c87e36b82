"""Classifiers that tell how good a representation is: rows and labels in, decisions out.

`LinearProbe` is a standardised logistic regression; `NearestNeighbours` a vote of the nearest
rows. Rows may be windows of clips: their mean then decides the clip.
"""

import dataclasses

import numpy as np

# Inverse strengths of the L2 penalty that the training split chooses from.
STRENGTHS = (0.003, 0.03, 0.3)
INNER_FOLDS = 3
MOST_FOLDS = 12
NEIGHBOURS = 5
# A class that none of the nearest is of is improbable, not impossible.
LEAST_VOTE = 0.01


@dataclasses.dataclass
class LinearProbe:
    """Standardisation and multinomial logistic regression over embeddings.

    Attributes:
        classes: list of str, in the order of the columns.
        mean: float array (dim,), taken from the embedding.
        scale: float array (dim,), that it is divided by.
        coefficients: float array (classes, dim).
        intercepts: float array (classes,).
        strength: float, the inverse of the L2 penalty (scikit-learn's `C`).

    Example:

    ```python
    probe = LinearProbe.fit(embeddings, labels, groups)
    probe.predict(embeddings, clips)
    ```
    """

    classes: list
    mean: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray
    intercepts: np.ndarray
    strength: float

    @classmethod
    def fit(cls, embeddings, labels, groups, clips=None, strengths=STRENGTHS):
        """Fits the probe; the penalty is chosen inside the given data.

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
            A `LinearProbe`, or the class that this was called on.

        Raises:
            ValueError: If there is one class only, or an embedding is not finite.

        Example:

        ```python
        LinearProbe.fit(np.eye(4), np.array(list("abab")), np.array(list("xxyy")))
        ```
        """
        from threadpoolctl import threadpool_limits

        embeddings, labels = _checked(embeddings, labels)
        groups = np.asarray(groups)
        clips = np.arange(len(labels)) if clips is None else np.asarray(clips)
        # The products are so small that threads spend their time waiting for one another: five
        # to thirty times slower with two where something else runs as well.
        with threadpool_limits(1):
            strength = _choose(embeddings, labels, groups, clips, strengths)
            return cls(**_path(embeddings, labels, [strength])[0])

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
        np.exp(probe.log_probabilities(embeddings)).sum(axis=1)  # ones
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
        probe.predict(embeddings, np.array([0, 0, 1]))  # two decisions
        ```
        """
        return decide(self.log_probabilities(embeddings), clips, self.classes)


@dataclasses.dataclass
class NearestNeighbours:
    """A vote of the nearest rows by the angle between them, after standardisation.

    The nearer of them weigh more: each votes with the inverse of its cosine distance.

    Attributes:
        classes: list of str, in the order of the columns.
        mean, scale: float arrays (dim,), of the standardisation.
        neighbours: scikit-learn's classifier, fitted on the standardised rows.

    Example:

    ```python
    NearestNeighbours.fit(embeddings, labels).predict(embeddings)  # the labels
    ```
    """

    classes: list
    mean: np.ndarray
    scale: np.ndarray
    neighbours: object

    @classmethod
    def fit(cls, embeddings, labels, groups=None, clips=None, most=NEIGHBOURS):
        """Takes in the labelled rows.

        Args:
            embeddings: float array (windows, dim).
            labels: str array (windows,).
            groups, clips: Taken so that any probe can be fitted by one call, and not needed.
            most: int, how many rows vote; no more than there are rows of the rarest class.

        Returns:
            A `NearestNeighbours`.

        Raises:
            ValueError: If there is one class only, or an embedding is not finite.
        """
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.preprocessing import StandardScaler

        embeddings, labels = _checked(embeddings, labels)
        classes, counts = np.unique(labels, return_counts=True)
        scaler = StandardScaler().fit(embeddings)
        neighbours = KNeighborsClassifier(
            min(most, int(counts.min())), metric="cosine", weights="distance"
        ).fit(scaler.transform(embeddings), labels)
        return cls([str(name) for name in classes], scaler.mean_, scaler.scale_, neighbours)

    def votes(self, embeddings):
        """Gives the share of the vote of each class for each window: float64 (windows, classes)."""
        rows = (np.asarray(embeddings, np.float64) - self.mean) / self.scale
        return self.neighbours.predict_proba(rows)

    def log_probabilities(self, embeddings):
        """Gives the logarithm of the votes; of a class without a vote that of `LEAST_VOTE`.

        Args and Returns: As for `LinearProbe.log_probabilities`.
        """
        votes = np.maximum(self.votes(embeddings), LEAST_VOTE)
        return np.log(votes / votes.sum(axis=1, keepdims=True))

    def predict(self, embeddings, clips=None):
        """Decides on a class for each clip by the mean vote of its windows.

        Args and Returns: As for `LinearProbe.predict`.
        """
        return decide(self.votes(embeddings), clips, self.classes)


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


def _checked(embeddings, labels):
    embeddings, labels = np.asarray(embeddings, np.float64), np.asarray(labels)
    if len(set(labels)) < 2:
        raise ValueError(f"`labels` must name at least 2 classes. Received: {set(labels)}")
    if not np.isfinite(embeddings).all():
        raise ValueError("`embeddings` must be finite. Received: NaN or infinity")
    return embeddings, labels


def decide(scores, clips, classes):
    """The class of the largest mean score over the windows of each clip: str array (clips,)."""
    clips = np.arange(len(scores)) if clips is None else np.asarray(clips)
    means = [scores[clips == clip].mean(axis=0) for clip in np.unique(clips)]
    return np.array([classes[int(mean.argmax())] for mean in means])


def _choose(embeddings, labels, groups, clips, strengths):
    """The strength that decides most clips of held-out groups rightly; the smallest of equals."""
    folds = group_folds(labels, groups, INNER_FOLDS) if len(strengths) > 1 else []
    if not folds:
        return sorted(strengths)[len(strengths) // 2]
    right = np.zeros(len(strengths))
    for train, test in folds:
        truth = clip_labels(labels[test], clips[test])
        for index, fitted in enumerate(_path(embeddings[train], labels[train], strengths)):
            probe = LinearProbe(**fitted)
            right[index] += (probe.predict(embeddings[test], clips[test]) == truth).sum()
    return strengths[int(right.argmax())]


def _path(embeddings, labels, strengths):
    """Fits one regression for each strength, each started from the one before: list of dicts."""
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
    # Newton's way: the same decisions as by L-BFGS in a third of the time.
    regression = LogisticRegression(
        solver="newton-cg", max_iter=2000, tol=1e-4, warm_start=True
    )
    fitted = []
    for strength in strengths:
        regression.set_params(C=strength).fit(standardised, labels)
        weights = regression.coef_ if basis is None else regression.coef_ @ basis.T
        intercepts = regression.intercept_
        if len(weights) == 1:
            # Two classes: scikit-learn keeps the difference of the two logits.
            weights = np.concatenate([-weights / 2, weights / 2])
            intercepts = np.concatenate([-intercepts / 2, intercepts / 2])
        fitted.append({
            "classes": [str(name) for name in regression.classes_],
            "mean": scaler.mean_,
            "scale": scaler.scale_,
            "coefficients": weights.copy(),
            "intercepts": np.array(intercepts),
            "strength": float(strength),
        })  # fmt: skip
    return fitted
