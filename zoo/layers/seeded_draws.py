"""Draws in training that a resumed run repeats: seeds folded from the run's seed and a count."""

import tensorflow as tf


def add_draw_counter(layer):
    """Gives a layer the weight that counts its draws.

    It is a weight so that checkpoints hold it; the state of a `keras.random.SeedGenerator` is in
    no weights file.

    Args:
        layer: A `keras.layers.Layer` that is being built.

    Returns:
        int32 variable, 0 at first, not trainable.
    """
    return layer.add_weight(
        shape=(),
        dtype="int32",
        initializer="zeros",
        trainable=False,
        aggregation="only_first_replica",
        name="draws",
    )


def next_draw_seed(seed, draws):
    """Counts a draw and gives its seed, another on each replica.

    Args:
        seed: int, of the run.
        draws: The variable of `add_draw_counter`.

    Returns:
        int32 tensor `(2,)` for TensorFlow's stateless operations.

    Example:

    >>> draws = tf.Variable(0)
    >>> tf.random.stateless_normal((3,), next_draw_seed(0, draws)).shape, int(draws)
    (TensorShape([3]), 1)
    """
    replica = tf.distribute.get_replica_context()
    index = replica.replica_id_in_sync_group if replica else 0
    folded = tf.random.experimental.stateless_fold_in(
        tf.stack([seed, index]), tf.convert_to_tensor(draws)
    )
    draws.assign_add(1)
    return folded
