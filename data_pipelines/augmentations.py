"""Changes of a clip that training draws anew each time: pure functions `(clip, seed) -> clip`.

Each draws once per clip from a stateless seed; all run eagerly and inside `tf.data` or any other
graph.
"""

import tensorflow as tf

from data_pipelines import transforms


def random_flip(clip, seed):
    """Mirrors the whole clip left to right in half of the draws.

    Not for a scene in which the direction of movement carries the meaning.

    Args:
        clip: `(time, height, width, channels)`.
        seed: int32 `(2,)`, stateless.

    Returns:
        The clip or its mirror image, same shape and dtype.
    """
    clip = tf.convert_to_tensor(clip)
    return tf.cond(
        tf.random.stateless_uniform([], seed) < 0.5, lambda: tf.reverse(clip, [2]), lambda: clip
    )


def random_brightness(clip, seed, gain=0.15, offset=0.08):
    """Changes contrast and brightness as a camera's exposure does, once for the whole clip.

    Args:
        clip: uint8 `(time, height, width, channels)`.
        seed: int32 `(2,)`, stateless.
        gain: Values are multiplied by 1 plus a number drawn from [-gain, gain].
        offset: Then a number drawn from [-offset, offset] of full white is added.

    Returns:
        uint8 of the same shape, rounded and clipped.
    """
    draw = tf.random.stateless_uniform([2], seed, -1.0, 1.0)
    values = tf.cast(transforms.check_bytes(clip), tf.float32)
    return transforms.rounded(values * (1.0 + gain * draw[0]) + 255.0 * offset * draw[1])


AUGMENTATIONS = {"flip": random_flip, "brightness": random_brightness}
