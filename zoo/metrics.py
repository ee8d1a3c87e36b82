"""Metrics on video, float32 whatever the precision policy."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="zoo")
class PeakSignalToNoiseRatio(keras.metrics.Metric):
    """Peak signal-to-noise ratio in decibels, `-10 log10(mean squared error)`, peak 1.

    The squared error is averaged over everything seen since the last reset, then turned into
    decibels once, so the figure does not depend on the size of the batches.

    Example:

    >>> metric = PeakSignalToNoiseRatio()
    >>> metric.update_state(tf.zeros((1, 8)), tf.fill((1, 8), 0.1))
    >>> round(float(metric.result()), 3)
    20.0
    """

    def __init__(self, name="psnr", dtype="float32"):
        super().__init__(name=name, dtype=dtype)
        self.squared_error = self.add_weight(name="squared_error", initializer="zeros")
        self.count = self.add_weight(name="count", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None:
            raise ValueError(
                "`sample_weight` must be None: this metric weighs every pixel the same. "
                f"Received: sample_weight={sample_weight}"
            )
        error = tf.square(tf.cast(y_true, tf.float32) - tf.cast(y_pred, tf.float32))
        self.squared_error.assign_add(tf.reduce_sum(error))
        self.count.assign_add(tf.cast(tf.size(error), tf.float32))

    def result(self):
        mean = tf.math.divide_no_nan(
            tf.convert_to_tensor(self.squared_error), tf.convert_to_tensor(self.count)
        )
        return -10.0 * tf.math.log(tf.maximum(mean, 1e-12)) / tf.math.log(10.0)
