"""Sizes that fit."""

import numpy as np
import pytest

from zoo.layers.sizes import check_filters, check_size, nearest_size


@pytest.mark.parametrize("size, nearest", [(1, 8), (11, 8), (12, 16), (16, 16), (19, 16), (20, 24)])
def test_nearest_size(size, nearest):
    assert nearest_size(size, 8) == nearest


def test_a_size_that_does_not_fit_is_named():
    check_size(16, None, 8)
    with pytest.raises(ValueError, match="The width of `frame` must be a multiple of 8; the "
                       "nearest that fits is 24. Received: width=20"):  # fmt: skip
        check_size(16, 20, 8, "frame")
    with pytest.raises(ValueError, match="The height of `clip` must be .* Received: height=0"):
        check_size(0, 16, 8)


def test_channels_come_as_a_tuple():
    assert check_filters("filters", [4, np.int64(6)], 2) == (4, 6)
    assert check_filters("filters", (4,)) == (4,)


@pytest.mark.parametrize("values", [(4,), (4, 6, 8), (4, 0), (4, -1), (4, 6.0), (4, True), 4, "46"])
def test_channels_that_do_not_fit_are_named(values):
    message = "`state_filters` must hold 2 whole numbers of at least 1. Received: state_filters="
    with pytest.raises(ValueError, match=message):
        check_filters("state_filters", values, 2)
    with pytest.raises(ValueError, match="`filters` must hold one or more whole numbers"):
        check_filters("filters", ())
