"""Heads of classifiers: what makes the descriptors of a window into log-probabilities, as graphs.

A head is fitted on arrays. `logistic` and `neighbours` take one vector a window and are fitted by
scikit-learn; `attention` (see `exports.attention_head`) takes the grid of local descriptors. Each
fitted head has `classes`, `log_probabilities(rows)` and `predict(rows, clips)`; `as_graph` lays it
into the graph of a served classifier.
"""

import numpy as np
import tensorflow as tf

from exports import attention_head
from exports.attention_head import AttentionHead
from zoo.evaluation.probes import LEAST_VOTE, LinearProbe, NearestNeighbours

# From the name of a head to the verb whose output it takes.
TAKES = {"logistic": "encode", "neighbours": "encode", "attention": "features"}


def fitter(head):
    """The function that fits a head.

    Args:
        head: str, one of `TAKES`.

    Returns:
        Function `(rows, labels, groups, clips)` to a fitted head: rows an array (windows, dim) for
        a head that takes `encode`, an object array of grids for one that takes `features`.

    Raises:
        ValueError: If there is no such head.

    Example:

    ```python
    head = fitter("logistic")(embeddings, labels, groups, clips)
    ```
    """
    if head not in TAKES:
        raise ValueError(f"`head` must be one of {', '.join(TAKES)}. Received: {head}")
    return {
        "logistic": LinearProbe.fit,
        "neighbours": NearestNeighbours.fit,
        "attention": attention_head.fit,
    }[head]


def taught_mirrored(fit):
    """Makes a fitter learn from each window and from its mirror image alike.

    Args:
        fit: Function as of `fitter`.

    Returns:
        Function like it, of rows that are pairs: an array (windows, 2, dim), or an object array of
        arrays (2, ...), each of what a window gives and what its mirror image does. What it gives
        is the fitted head as `head`, and decides by the first of each pair.

    Example:

    ```python
    taught_mirrored(fitter("attention"))(pairs, labels, groups, clips).head
    ```
    """

    def fit_both(rows, labels, groups, clips):
        labels, groups, clips = (np.concatenate([given] * 2) for given in (labels, groups, clips))
        rows = np.concatenate([_side(rows, 0), _side(rows, 1)])
        return _OfPairs(fit(rows, labels, groups, clips))

    return fit_both


class _OfPairs:
    """A fitted head that is given pairs and decides by the first of each."""

    def __init__(self, head):
        self.head, self.classes = head, head.classes

    def log_probabilities(self, rows):
        return self.head.log_probabilities(_side(rows, 0))

    def predict(self, rows, clips=None):
        return self.head.predict(_side(rows, 0), clips)


def _side(rows, number):
    if rows.dtype != object:
        return rows[:, number]
    found = np.empty(len(rows), object)
    for place, row in enumerate(rows):
        found[place] = row[number]
    return found


def as_graph(fitted):
    """Lays a fitted head into TensorFlow.

    Args:
        fitted: What `fitter` gave.

    Returns:
        `tf.Module` or Keras model: called with float32 descriptors (batch, ...) it gives float32
        log-probabilities (batch, classes).

    Example:

    ```python
    tf.exp(as_graph(head)(embeddings))
    ```
    """
    if isinstance(fitted, AttentionHead):
        return fitted
    return (_Linear if isinstance(fitted, LinearProbe) else _Nearest)(fitted)


class _Standardised(tf.Module):
    """What both heads over vectors begin with."""

    def __init__(self, fitted):
        super().__init__()
        self.mean, self.scale = (_variable(array) for array in (fitted.mean, fitted.scale))


class _Linear(_Standardised):
    def __init__(self, fitted):
        super().__init__(fitted)
        self.kernel, self.bias = _variable(fitted.coefficients.T), _variable(fitted.intercepts)

    def __call__(self, embedding):
        return tf.nn.log_softmax((embedding - self.mean) / self.scale @ self.kernel + self.bias)


class _Nearest(_Standardised):
    """As scikit-learn votes: by cosine distance, each of the nearest with its inverse."""

    def __init__(self, fitted):
        super().__init__(fitted)
        voters = fitted.neighbours
        rows = tf.constant(voters._fit_X, tf.float32)
        self.rows = _variable(tf.math.l2_normalize(rows, axis=1))
        self.votes = _variable(tf.one_hot(voters._y, len(fitted.classes)))
        self.count = voters.n_neighbors

    def __call__(self, embedding):
        row = tf.math.l2_normalize((embedding - self.mean) / self.scale, axis=1)
        likeness, nearest = tf.math.top_k(row @ tf.transpose(self.rows), self.count)
        # Of a row that was fitted on the distance is rounding alone, and its vote decides.
        weights = 1.0 / tf.maximum(1.0 - likeness, 1e-6)
        votes = tf.einsum("bk,bkc->bc", weights, tf.gather(self.votes, nearest))
        votes = tf.maximum(votes / tf.reduce_sum(votes, axis=1, keepdims=True), LEAST_VOTE)
        return tf.math.log(votes / tf.reduce_sum(votes, axis=1, keepdims=True))


def _variable(array):
    return tf.Variable(tf.cast(array, tf.float32), trainable=False)
