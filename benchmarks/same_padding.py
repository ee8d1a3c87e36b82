"""How TensorFlow pads, for networks in frameworks that pad otherwise."""


def same_padding(size, kernel, stride):
    """Zeros before and after, as TensorFlow's "SAME" puts them."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
