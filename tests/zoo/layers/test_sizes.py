"""Sizes that fit."""

import pytest

from zoo.layers.sizes import check_size, nearest_size


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
