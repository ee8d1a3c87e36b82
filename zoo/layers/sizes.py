"""Which frame sizes fit a network that strides, and how many channels it may have."""

import numbers


def nearest_size(size, stride):
    """The multiple of `stride` nearest to `size`, at least one stride; halves round up.

    Args:
        size: Pixels along one side.
        stride: Of the network in pixels.

    Returns:
        int.

    Example:

    >>> nearest_size(20, 8), nearest_size(3, 8)
    (24, 8)
    """
    return max(1, (int(size) + stride // 2) // stride) * stride


def check_size(height, width, stride, name="clip"):
    """Checks that a stride divides both sides of a frame.

    Args:
        height, width: In pixels; `None` where a graph does not know them.
        stride: Of the network in pixels.
        name: What to call the frames in an error.

    Raises:
        ValueError: If it does not; the nearest size that fits is named.
    """
    for axis, size in (("height", height), ("width", width)):
        if size is not None and (size < 1 or size % stride):
            raise ValueError(
                f"The {axis} of `{name}` must be a multiple of {stride}; the nearest that fits "
                f"is {nearest_size(size, stride)}. Received: {axis}={size}"
            )


def check_filters(name, values, count=None):
    """Checks an argument that holds the channels of several layers.

    Args:
        name: What the argument is called.
        values: Its value.
        count: How many layers there are; `None` for one or more.

    Returns:
        The values as a tuple.

    Raises:
        ValueError: If they are not as many whole numbers of at least 1.

    Example:

    >>> check_filters("filters", [16, 48, 80], 3)
    (16, 48, 80)
    """
    filters = tuple(values) if isinstance(values, (tuple, list)) else ()
    whole = all(
        isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= 1
        for value in filters
    )
    if not whole or not filters or (count is not None and len(filters) != count):
        wanted = "one or more" if count is None else count
        raise ValueError(
            f"`{name}` must hold {wanted} whole numbers of at least 1. Received: {name}={values!r}"
        )
    return filters
