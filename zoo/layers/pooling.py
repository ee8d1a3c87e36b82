"""One vector per clip from a grid of local descriptors."""

import tensorflow as tf

STATISTICS = 4
MOTION_STATISTICS = 6


def descriptor_statistics(grid):
    """Pools a grid of descriptors over space and time, keeping how things move.

    Four numbers per channel: the mean over time and space; the largest value over space,
    averaged over time; the standard deviation over time, averaged over space; and the mean
    absolute change from one moment to the next, averaged over space. The last two carry the
    action: means alone confuse a person waving with one standing. Of a single moment the
    change is 0.

    Args:
        grid: Tensor `(batch, time, height, width, depth)`, at least one moment.

    Returns:
        float32 tensor `(batch, 4 * depth)`.

    Example:

    >>> descriptor_statistics(tf.random.normal((2, 8, 4, 6, 16))).shape
    TensorShape([2, 64])
    """
    grid = tf.cast(grid, tf.float32)
    mean = tf.reduce_mean(grid, axis=[1, 2, 3])
    largest = tf.reduce_mean(tf.reduce_max(grid, axis=[2, 3]), axis=1)
    over_time = tf.reduce_mean(grid, axis=1, keepdims=True)
    variance = tf.reduce_mean(tf.square(grid - over_time), axis=1)
    spread = tf.reduce_mean(tf.sqrt(variance + 1e-12), axis=[1, 2])
    change = tf.reduce_mean(tf.abs(grid[:, 1:] - grid[:, :-1]), axis=[2, 3])
    changes = tf.cast(tf.shape(change)[1], tf.float32)
    change = tf.math.divide_no_nan(tf.reduce_sum(change, axis=1), changes)
    return tf.concat([mean, largest, spread, change], axis=-1)


def motion_statistics(grid, clip):
    """Pools a grid of descriptors over the upper and over the lower half of what moves.

    Three numbers per channel and half: the mean of the descriptors, how much that mean varies over
    time (a standard deviation), and the mean absolute change of a descriptor from one moment to
    the next. Means over space are weighted by how much the pixels under a descriptor change: a
    person fills a small part of a frame, and an average over all of it is about the ground that
    the person walks on. The halves lie about the centre of what moves, frame by frame, so that arms
    and legs stay apart wherever the person goes. Where nothing moves all places of a half count
    alike.

    Args:
        grid: Tensor `(batch, time, height / s, width / s, depth)`, a moment for each frame.
        clip: float32 `(batch, time, height, width, channels)` that the grid is of, two frames or
            more.

    Returns:
        float32 tensor `(batch, 6 * depth)`: mean, variation and change of the upper half, then of
        the lower.

    Example:

    >>> clip = tf.random.uniform((2, 8, 32, 48, 1))
    >>> motion_statistics(tf.random.normal((2, 8, 4, 6, 16)), clip).shape
    TensorShape([2, 96])
    """
    grid = tf.cast(grid, tf.float32)
    rule = "`clip` must have at least 2 frames"
    with tf.control_dependencies([tf.debugging.assert_greater(tf.shape(clip)[1], 1, rule)]):
        shape, size = tf.shape(grid), tf.shape(clip)
    motion = tf.reduce_mean(tf.abs(clip[:, 1:] - clip[:, :-1]), axis=-1)
    # Mean over the pixels under each descriptor.
    motion = tf.reshape(
        motion,
        [shape[0], shape[1] - 1, shape[2], size[2] // shape[2], shape[3], size[3] // shape[3]],
    )
    motion = tf.reduce_mean(motion, axis=[3, 5]) + 1e-6
    now, change = grid[:, 1:], tf.abs(grid[:, 1:] - grid[:, :-1])
    found = []
    below = below_centre(motion)
    for share in (tf.sigmoid(-below), tf.sigmoid(below)):
        weights = share * motion
        weights = (weights / tf.reduce_sum(weights, axis=[2, 3], keepdims=True))[..., None]
        mean = tf.reduce_sum(weights * now, axis=[2, 3])
        variation = tf.sqrt(tf.math.reduce_variance(mean, axis=1) + 1e-12)
        change_here = tf.reduce_mean(tf.reduce_sum(weights * change, axis=[2, 3]), axis=1)
        found += [tf.reduce_mean(mean, axis=1), variation, change_here]
    return tf.concat(found, axis=-1)


def below_centre(motion):
    """How far each place is below the centre of what moves in its frame.

    The unit is a quarter of the spread of what moves, or more, so that the edge between the halves
    of something small does not jump from one row of descriptors to the next.

    Args:
        motion: float32 tensor (batch, time, height, width), above 0.

    Returns:
        float32 tensor (batch, time, height, 1); its sigmoid is how much a place is below.
    """
    total = tf.reduce_sum(motion, axis=[2, 3], keepdims=True)
    rows = tf.range(tf.shape(motion)[2], dtype=tf.float32)[:, None]
    centre = tf.reduce_sum(motion * rows, axis=[2, 3], keepdims=True) / total
    spread = tf.reduce_sum(motion * tf.square(rows - centre), axis=[2, 3], keepdims=True) / total
    # Half a row: what moves within one row has no halves to tell apart.
    return 4.0 * (rows - centre) / (tf.sqrt(spread) + 0.5)
