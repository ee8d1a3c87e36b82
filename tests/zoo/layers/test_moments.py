"""Running moments against those that NumPy finds of everything at once."""

import numpy as np
import pytest

from zoo.layers.moments import Moments

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("mean", [0.0, 1000.0])
def test_batches_make_no_difference(mean):
    rows = mean + RNG.normal(size=(50, 4)) @ RNG.normal(size=(4, 4))
    alone, joint = Moments(), Moments(joint=True)
    for batch in np.split(rows, [1, 20, 20, 45]):  # one of them is empty
        given = batch.reshape(-1, 1, 4).astype("float64")
        kept = given.copy()
        alone.add(given)
        joint.add(given)
        np.testing.assert_array_equal(given, kept)
    assert alone.count == joint.count == 50
    for moments in (alone, joint):
        np.testing.assert_allclose(moments.mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(alone.scatter / 50, rows.var(axis=0), rtol=1e-9)
    np.testing.assert_allclose(joint.scatter / 49, np.cov(rows.T), rtol=1e-8)


def test_a_spread_far_below_the_mean_keeps_its_digits():
    rows = 0.9 + 1e-8 * RNG.normal(size=(300, 3))
    moments = Moments(joint=True)
    for batch in np.split(rows, 30):
        moments.add(batch)
    np.testing.assert_allclose(moments.scatter / 299, np.cov(rows.T), rtol=1e-6)


def test_what_is_not_finite_shows():
    moments = Moments()
    for value in (1.0, np.inf, 2.0):
        moments.add(np.array([[value, 0.0]]))
    assert not np.isfinite(moments.mean[0]) and moments.mean[1] == 0
