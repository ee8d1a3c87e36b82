"""Which frame sizes fit a network that strides."""


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
