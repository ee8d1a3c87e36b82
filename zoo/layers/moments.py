"""Mean and variance of values that come batch by batch: memory does not grow with them."""

import numpy as np


class Moments:
    """Running moments of rows of values, float64.

    Batches are merged as by Chan, Golub and LeVeque 1979, which loses no digits where the mean is
    large beside the spread, as of pixels that hardly change.

    Args:
        joint: Whether to keep how each two values vary together, not each by itself.

    Attributes:
        count: int, rows seen.
        mean: `(d,)`, or 0 before the first row.
        scatter: Sum of the squares about the mean `(d,)`, or with `joint` of the products
            `(d, d)`; 0 before the first row.

    Example:

    >>> moments = Moments()
    >>> for batch in ([[1.0, 5.0]], [[3.0, 5.0], [5.0, 5.0]]):
    ...     moments.add(np.asarray(batch))
    >>> moments.mean.tolist(), moments.scatter.tolist()
    ([3.0, 5.0], [8.0, 0.0])

    Reference:
        Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
        Variances", 1979
    """

    def __init__(self, joint=False):
        self.joint = joint
        self.count, self.mean, self.scatter = 0, 0.0, 0.0

    def add(self, rows):
        """Takes in an array `(..., d)`, each of its last axis a row; it may be empty."""
        rows = np.asarray(rows, np.float64)
        rows = rows.reshape(-1, rows.shape[-1])
        if not len(rows):
            return
        total = self.count + len(rows)
        # What is not finite shows in the moments, and is not warned of.
        with np.errstate(invalid="ignore"):
            mean = rows.mean(axis=0)
            rows = rows - mean
            apart = mean - self.mean
            within = rows.T @ rows if self.joint else np.square(rows).sum(axis=0)
            between = np.outer(apart, apart) if self.joint else np.square(apart)
            self.scatter = self.scatter + within + between * (self.count * len(rows) / total)
            self.mean = self.mean + apart * (len(rows) / total)
        self.count = total
