"""Pure functions on one clip: the one resize and grey conversion of training, scoring and export.

Bytes stay bytes (`uint8`, rounded) until `to_float`, last of all, so that what a served model is
sent is what training saw. Crops that are drawn take a stateless seed and draw once per clip; what
else training draws is in `augmentations`. All run eagerly and inside `tf.data` or any other graph.

Truth follows the frames: in the place of a clip, crops take a dict of the clip and its truth, and
give such a dict; see `move`.
"""

import tensorflow as tf

# ITU-R BT.601 luma, the weights of grey in JPEG, TensorFlow and OpenCV.
_LUMA = (0.299, 0.587, 0.114)

# Motion is measured on cells of this many pixels: finer than a person, coarser than noise.
_CELL = 8

# Share of the mean motion that every cell is given, so that still places are seen now and then.
_MOTION_FLOOR = 0.1


def to_grey(frames):
    """Turns RGB frames grey by BT.601 luma, rounded.

    Args:
        frames: uint8 `(..., height, width, 3)`, or `(..., 1)`, which is returned as it is.

    Returns:
        uint8 `(..., height, width, 1)`.

    Raises:
        ValueError: The channels are neither 1 nor 3.
    """
    return to_channels(frames, 1)


def to_channels(frames, channels):
    """Brings frames to 1 (grey) or 3 (RGB) channels; grey becomes RGB by repeating.

    Args:
        frames: uint8 `(..., height, width, 1 or 3)`.
        channels: 1 or 3.

    Returns:
        uint8 `(..., height, width, channels)`.

    Raises:
        ValueError: `channels`, or those of the frames, are neither 1 nor 3.

    Example:
        >>> to_channels(tf.constant([[[[255, 0, 0]]]], tf.uint8), 1).numpy().item()
        76
    """
    frames = check_bytes(frames)
    if channels not in (1, 3):
        raise ValueError(f"`channels` must be 1 or 3. Received: channels={channels!r}")
    if frames.shape[-1] not in (1, 3):
        raise ValueError(f"`frames` must have 1 or 3 channels. Received: shape {frames.shape}")
    if frames.shape[-1] == channels:
        return frames
    if channels == 3:
        return tf.repeat(frames, 3, axis=-1)
    # A matrix product over the pixels: half the time of taking the three channels apart.
    pixels = tf.reshape(tf.cast(frames, tf.float32), [-1, 3])
    grey = rounded(tf.linalg.matmul(pixels, tf.constant(_LUMA, shape=[3, 1])))
    grey = tf.reshape(grey, tf.concat([tf.shape(frames)[:-1], [1]], 0))
    return tf.ensure_shape(grey, frames.shape[:-1] + [1])


def resize(frames, size):
    """Resizes frames bilinearly, with antialiasing where they shrink.

    Args:
        frames: uint8 `(..., height, width, channels)`, of rank 3 or more.
        size: `(height, width)` in pixels.

    Returns:
        uint8 `(..., *size, channels)`, rounded; the frames themselves if they have that size.
    """
    frames = check_bytes(frames)
    size = tuple(int(s) for s in size)
    if tuple(frames.shape[-3:-1]) == size:
        return frames
    shape = tf.shape(frames)
    channels = frames.shape[-1]
    flat = tf.reshape(frames, tf.concat([[-1], shape[-3:]], 0))
    flat = rounded(tf.image.resize(flat, size, method="bilinear", antialias=True))
    resized = tf.reshape(flat, tf.concat([shape[:-3], size, shape[-1:]], 0))
    return tf.ensure_shape(resized, frames.shape[:-3] + [*size, channels])


def prepare(frames, size=None, channels=1):
    """Brings decoded frames to the colour and size of a model: the order everything keeps.

    Args:
        frames: uint8 `(..., height, width, 1 or 3)`.
        size: `(height, width)` or `None` to leave the size.
        channels: 1 or 3.

    Returns:
        uint8 `(..., height, width, channels)`.
    """
    frames = to_channels(frames, channels)
    return frames if size is None else resize(frames, size)


def to_float(frames):
    """Turns bytes into float32 in [0, 1].

    Args:
        frames: uint8, any shape.

    Returns:
        float32 of the same shape, `frames / 255`.
    """
    return tf.cast(check_bytes(frames), tf.float32) / 255.0


def to_bytes(frames):
    """Turns values in [0, 1] into bytes, rounded and clipped; the inverse of `to_float`.

    Args:
        frames: floating, any shape.

    Returns:
        uint8 of the same shape.
    """
    return rounded(tf.cast(frames, tf.float32) * 255.0)


def rounded(levels):
    """Turns grey levels into bytes: clipped to 0 to 255, halves rounded up.

    Args:
        levels: float32, any shape.

    Returns:
        uint8 of the same shape.
    """
    # The cast cuts off what is behind the point, and is faster than tf.round.
    return tf.cast(tf.clip_by_value(levels, 0.0, 255.0) + 0.5, tf.uint8)


def check_bytes(frames):
    """Gives `frames` as a tensor; raises `ValueError` unless they are uint8."""
    frames = tf.convert_to_tensor(frames)
    if frames.dtype != tf.uint8:
        raise ValueError(f"`frames` must be uint8. Received: dtype {frames.dtype.name}")
    return frames


def move(clip, frames, boxes):
    """Moves the pixels or the frames of a clip, and those of its truth in the same way.

    Args:
        clip: `(time, height, width, channels)`; or a dict that holds it as `"clip"` and, as far as
            there are any, `"masks"`, bool or uint8 `(time, height, width)`, and `"boxes"`, float32
            `(time, n, 4)`: top, left, bottom and right in pixels, the last two the first outside.
        frames: Function that moves the clip, and the masks, which have no channels.
        boxes: Function that moves the boxes.

    Returns:
        The clip, or a dict of the same keys. A box with nothing in it is all zeros.

    Raises:
        ValueError: A dict without a clip, or with anything else in it.

    Example:
        >>> known = {"clip": tf.zeros([1, 4, 6, 1]), "boxes": tf.constant([[[0.0, 1.0, 2.0, 3.0]]])}
        >>> lower = move(known, lambda frames: frames[:, 1:], lambda boxes: boxes - [1, 0, 1, 0])
        >>> lower["clip"].shape.as_list(), lower["boxes"].numpy().tolist()
        ([1, 3, 6, 1], [[[-1.0, 1.0, 1.0, 3.0]]])
    """
    alone = pixels_of(clip)
    if alone is clip:
        return frames(tf.convert_to_tensor(clip))
    moved = {
        name: frames(tf.convert_to_tensor(part)) for name, part in clip.items() if name != "boxes"
    }
    if "boxes" in clip:
        found = boxes(tf.convert_to_tensor(clip["boxes"], tf.float32))
        holds = tf.reduce_all(found[..., :2] < found[..., 2:], -1, keepdims=True)
        moved["boxes"] = tf.where(holds, found, 0.0)
    return moved


def pixels_of(clip):
    """Gives the clip alone of what `move` takes; `ValueError` for a dict that it does not take."""
    if not isinstance(clip, dict):
        return clip
    if "clip" not in clip or set(clip) - {"clip", "masks", "boxes"}:
        raise ValueError(
            "`clip` must be a clip, or a dict of 'clip' and maybe 'masks' and 'boxes'. "
            f"Received: a dict of {sorted(clip)}"
        )
    return clip["clip"]


def frame_size(clip):
    """Gives `[height, width]` of a clip: int where that is known, else int32."""
    clip = tf.convert_to_tensor(pixels_of(clip))
    shape = tf.shape(clip)
    return [clip.shape[i] or shape[i] for i in (1, 2)]


def crop(clip, top, left, size):
    """Cuts the same rectangle out of every frame.

    Args:
        clip: `(time, height, width, channels)`, or a dict with its truth, as of `move`.
        top: First row.
        left: First column.
        size: `(height, width)` of the rectangle.

    Returns:
        `(time, *size, channels)`, same dtype; or a dict. Boxes end where the rectangle does; those
        wholly outside are all zeros.
    """

    def cut(frames):
        found = frames[:, top : top + size[0], left : left + size[1]]
        return tf.ensure_shape(found, [frames.shape[0], *size, *frames.shape[3:]])

    def cut_boxes(boxes):
        corner = tf.cast(tf.stack([top, left, top, left]), tf.float32)
        return tf.clip_by_value(boxes - corner, 0.0, tf.constant([*size, *size], tf.float32))

    return move(clip, cut, cut_boxes)


def center_crop(clip, size):
    """Cuts `size` out of the middle of `clip`, as of `crop`."""
    height, width = frame_size(clip)
    return crop(clip, (height - size[0]) // 2, (width - size[1]) // 2, size)


def random_crop(clip, size, seed):
    """Cuts `size` out of `clip` at a place drawn uniformly, once for the whole clip.

    Args:
        clip: `(time, height, width, channels)`, or a dict with its truth, as of `move`.
        size: `(height, width)`, at most that of the frames.
        seed: int32 `(2,)`, stateless.

    Returns:
        `(time, *size, channels)`, same dtype; or a dict, as of `crop`.
    """
    height, width = frame_size(clip)
    draw = tf.random.stateless_uniform([2], seed)
    top = _floor(draw[0] * tf.cast(height - size[0] + 1, tf.float32))
    left = _floor(draw[1] * tf.cast(width - size[1] + 1, tf.float32))
    # A float32 draw close to 1 may round up to the number itself.
    return crop(clip, tf.minimum(top, height - size[0]), tf.minimum(left, width - size[1]), size)


def motion_crop(clip, size, seed):
    """Cuts `size` out of `clip` around a centre drawn where something moves.

    The probability of a centre is proportional to `motion_energy` of its cell of 8x8 pixels plus
    a tenth of the mean, uniform inside the cell; a crop that would leave the frame is moved in.
    One draw for the whole clip.

    Args:
        clip: uint8 `(time, height, width, channels)`, or a dict with its truth, as of `move`.
        size: `(height, width)`, at most that of the frames.
        seed: int32 `(2,)`, stateless.

    Returns:
        uint8 `(time, *size, channels)`; or a dict, as of `crop`.
    """
    energy = motion_energy(pixels_of(clip))
    columns = tf.shape(energy)[1]
    weights = tf.reshape(energy, [-1])
    # The constant makes all places equal where nothing moves at all.
    weights += _MOTION_FLOOR * tf.reduce_mean(weights) + 1e-6
    cumulated = tf.cumsum(weights)
    draw = tf.random.stateless_uniform([3], seed)
    cell = tf.searchsorted(cumulated, draw[:1] * cumulated[-1], side="right")[0]
    cell = tf.minimum(cell, tf.size(weights) - 1)
    row = _floor((tf.cast(cell // columns, tf.float32) + draw[1]) * _CELL)
    column = _floor((tf.cast(cell % columns, tf.float32) + draw[2]) * _CELL)
    height, width = frame_size(clip)
    top = tf.clip_by_value(row - size[0] // 2, 0, height - size[0])
    left = tf.clip_by_value(column - size[1] // 2, 0, width - size[1])
    return crop(clip, top, left, size)


def motion_energy(clip):
    """Measures how much moves in each cell of 8x8 pixels.

    The squared difference between three frames (first, middle, last), averaged over the pixels of
    a cell. Squares, because they let a person stand out from the sensor's noise.

    Args:
        clip: uint8 `(time, height, width, channels)`.

    Returns:
        float32 `(ceil(height / 8), ceil(width / 8))`, in squared grey levels.
    """
    clip = check_bytes(clip)
    height, width = frame_size(clip)
    last = tf.shape(clip)[0] - 1
    first, middle, final = [tf.cast(clip[i], tf.float32) for i in (0, last // 2, last)]
    squares = tf.square(middle - first) + tf.square(final - middle)
    squares = squares[..., 0] if clip.shape[-1] == 1 else tf.reduce_mean(squares, -1)
    # Averages as matrix products: several times faster here than reductions over a reshape.
    return _averaging(height) @ (squares / 2.0) @ tf.transpose(_averaging(width))


def _averaging(length):
    # (cells, length): row c averages the pixels of cell c; what sticks out counts as zero.
    cells = tf.range(length)[None] // _CELL == tf.range(-(-length // _CELL))[:, None]
    return tf.cast(cells, tf.float32) / _CELL


def _floor(value):
    return tf.cast(tf.floor(value), tf.int32)
