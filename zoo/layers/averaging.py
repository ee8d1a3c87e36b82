"""Weights that follow others by an exponential moving average."""

import tensorflow as tf


def follow(averages, weights, decay, steps):
    """Moves averages towards the weights that they follow, by one step.

    Called within a training step, on one device or on many.

    Args:
        averages: List of Keras variables.
        weights: List of Keras variables of the same shapes, in the same order.
        decay: Of the average, from 0 to below 1. The first steps of a training move far, so the
            averages follow more closely at first.
        steps: int tensor, training steps done.

    Raises:
        ValueError: If the lists are of different lengths.
    """
    done = tf.cast(steps, tf.float32)
    decay = tf.minimum(decay, (1.0 + done) / (10.0 + done))
    pairs = [
        (average.value, weight.value) for average, weight in zip(averages, weights, strict=True)
    ]

    def update(strategy, decay):
        for average, weight in pairs:
            strategy.extended.update(
                average,
                lambda average, weight, decay: average.assign(
                    decay * average + (1.0 - decay) * weight
                ),
                args=(weight, decay),
                group=False,
            )

    tf.distribute.get_replica_context().merge_call(update, args=(decay,))
