"""A recurrence that is linear in its state: the convolutions see the video, never the state."""

import keras
import numpy as np
import tensorflow as tf

from zoo.layers.time_axis import fold_time, unfold_time

KERNEL = 3  # pixels, height and width


@keras.saving.register_keras_serializable(package="zoo")
class QuasiRecurrent(keras.layers.Layer):
    """Convolutional quasi-recurrent layer: gated averages over time, at each place.

    With `*` a 3x3 convolution with "same" padding and `s` the logistic function:

        z_t = tanh(W_z * x_t + b_z)
        f_t = s(W_f * x_t + b_f)
        o_t = s(W_o * x_t + b_o)
        c_t = f_t c_{t-1} + (1 - f_t) z_t
        h_t = o_t c_t

    All convolutions are of the frames, which go through them together; what is left for the loop
    over time is a sum and two products. A `ConvLSTM` of as many channels has a convolution of its
    state in the loop, and with as many channels below it more than twice the weights. The cell is
    float32 whatever the precision policy, since it sums over the whole video.

    Args:
        filters: Number of channels of the state, at least 1.
        longest: Frames over which the slowest of several channels averages before training, at
            least one and a half, as the fastest does. The biases of the forget gates are spread
            so that each time scale has its channels from the start (Tallec and Ollivier 2018).

    Call arguments:
        sequence: Tensor `(batch, time, height, width, channels)`.
        state: The cell, float32 `(batch, height, width, filters)`, or `None` for zeros.

    Returns:
        `(hidden_sequence, cell)`: `(batch, time, height, width, filters)` in the compute dtype,
        and the cell after the last frame.

    Raises:
        ValueError: If `filters` or `longest` is below 1.

    Example:

    >>> hidden, cell = QuasiRecurrent(4)(tf.zeros((2, 5, 8, 12, 3)))
    >>> hidden.shape, cell.shape
    (TensorShape([2, 5, 8, 12, 4]), TensorShape([2, 8, 12, 4]))

    Reference:
        Bradbury, Merity, Xiong and Socher, "Quasi-Recurrent Neural Networks", 2017,
        https://arxiv.org/abs/1611.01576 (its fo-pooling, with convolutions over space where the
        paper has them over time); Tallec and Ollivier, "Can recurrent neural networks warp
        time?", 2018, https://arxiv.org/abs/1804.11188
    """

    def __init__(self, filters, longest=16, **kwargs):
        # Keras would cast the float32 state to the compute dtype on the way in; `call` casts.
        super().__init__(autocast=False, **kwargs)
        if filters < 1:
            raise ValueError(f"`filters` must be at least 1. Received: filters={filters}")
        if longest < 1:
            raise ValueError(f"`longest` must be at least 1. Received: longest={longest}")
        self.filters = filters
        self.longest = longest

    def build(self, input_shape):
        size, filters = KERNEL, self.filters
        self.kernel = self.add_weight(
            shape=(size, size, input_shape[-1], 3 * filters),
            initializer="glorot_uniform",
            name="kernel",
        )
        self.bias = self.add_weight(shape=(3 * filters,), initializer="zeros", name="bias")
        # An average over T frames forgets with f = 1 - 1/T, whose logit is log(T - 1).
        scales = np.geomspace(1.5, max(1.5, self.longest), filters)
        self.bias.assign(np.concatenate([np.zeros(filters), np.log(scales - 1), np.zeros(filters)]))
        self.built = True

    def call(self, sequence, state=None):
        time = sequence.shape[1] or tf.shape(sequence)[1]
        kernel, bias = (tf.cast(w, self.compute_dtype) for w in (self.kernel, self.bias))
        frames = tf.cast(fold_time(sequence), self.compute_dtype)
        gates = tf.nn.bias_add(tf.nn.conv2d(frames, kernel, strides=1, padding="SAME"), bias)
        candidate, forget, output = tf.split(gates, 3, axis=-1)
        # In bfloat16 a gate that keeps more than 255 in 256 would round to 1 and never let go.
        forget = tf.sigmoid(tf.cast(forget, tf.float32))
        update = (1.0 - forget) * tf.cast(tf.tanh(candidate), tf.float32)
        if state is None:
            shape = tf.shape(sequence)
            state = tf.zeros((shape[0], shape[2], shape[3], self.filters), tf.float32)
        if isinstance(time, int) and time == 1:
            state = forget * state + update
            cells = state
        else:
            by_frame = (unfold_time(value, time) for value in (forget, update))
            cells, state = self._average(*by_frame, state)
            cells = fold_time(cells)
        hidden = tf.sigmoid(output) * tf.cast(cells, self.compute_dtype)
        return unfold_time(hidden, time), state

    def _average(self, forget, update, cell):
        """`c_t = f_t c_{t-1} + u_t` for all t, and the last of them."""
        by_time = [tf.transpose(value, [1, 0, 2, 3, 4]) for value in (forget, update)]
        time = by_time[0].shape[0] or tf.shape(by_time[0])[0]
        free = tf.TensorShape([None, None, None, self.filters])
        cells = tf.TensorArray(tf.float32, size=time, element_shape=free)

        def body(index, cell, cells):
            cell = by_time[0][index] * cell + by_time[1][index]
            return index + 1, cell, cells.write(index, cell)

        _, cell, cells = tf.while_loop(
            lambda index, *_: index < time,
            body,
            (0, cell, cells),
            shape_invariants=(tf.TensorShape([]), free, None),
        )
        cells = tf.ensure_shape(tf.transpose(cells.stack(), [1, 0, 2, 3, 4]), forget.shape)
        return cells, cell

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "longest": self.longest,
        }
