"""A convolutional LSTM whose height, width, time and batch are all free.

`keras.layers.ConvLSTM2D` computes the same numbers but wants a static height and width, so it
cannot be exported for frames of any size.
"""

import keras
import tensorflow as tf

from zoo.layers.time_axis import fold_time, unfold_time

KERNEL = 3  # pixels, height and width


@keras.saving.register_keras_serializable(package="zoo")
class ConvLSTM(keras.layers.Layer):
    """Long short-term memory over time with convolutions over space.

    With `*` a 3x3 convolution with "same" padding, `s` the logistic function and `.` the product
    element by element, the gates in the order of Keras (input, forget, candidate, output):

        i_t = s(W_i * x_t + U_i * h_{t-1} + b_i)
        f_t = s(W_f * x_t + U_f * h_{t-1} + b_f)
        g_t = tanh(W_g * x_t + U_g * h_{t-1} + b_g)
        o_t = s(W_o * x_t + U_o * h_{t-1} + b_o)
        c_t = f_t . c_{t-1} + i_t . g_t
        h_t = o_t . tanh(c_t)

    The input's part of all gates and frames is one convolution outside the loop over time. The
    cell is float32 whatever the precision policy, since it sums over the whole video.

    Args:
        filters: Number of channels of the state, at least 1.

    Call arguments:
        sequence: Tensor `(batch, time, height, width, channels)`. Built for 0 channels the layer
            has no input kernel (`W`): it runs on from its state alone.
        state: Pair `(hidden, cell)` of float32 tensors `(batch, height, width, filters)`, or
            `None` for zeros.
        return_cells: Whether to give the cell after each frame as well.

    Returns:
        `(hidden_sequence, (hidden, cell))`: `(batch, time, height, width, filters)` in the
        compute dtype, and the state after the last frame. With `return_cells`,
        `(hidden_sequence, cell_sequence, (hidden, cell))`, the cells float32.

    Raises:
        ValueError: If `filters` is below 1.

    Example:

    >>> layer = ConvLSTM(4)
    >>> hidden, state = layer(tf.zeros((2, 5, 8, 12, 3)))
    >>> hidden.shape
    TensorShape([2, 5, 8, 12, 4])

    Reference:
        Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997; Shi et al., "Convolutional
        LSTM Network", 2015, https://arxiv.org/abs/1506.04214 (without its peephole terms).
    """

    def __init__(self, filters, **kwargs):
        # Keras would cast the float32 state to the compute dtype on the way in; `call` casts.
        super().__init__(autocast=False, **kwargs)
        if filters < 1:
            raise ValueError(f"`filters` must be at least 1. Received: filters={filters}")
        self.filters = filters

    def build(self, input_shape):
        size, filters = KERNEL, self.filters
        self.kernel = None
        if input_shape[-1]:
            self.kernel = self.add_weight(
                shape=(size, size, input_shape[-1], 4 * filters),
                initializer="glorot_uniform",
                name="kernel",
            )
        self.recurrent_kernel = self.add_weight(
            shape=(size, size, filters, 4 * filters),
            initializer="orthogonal",
            name="recurrent_kernel",
        )
        self.bias = self.add_weight(shape=(4 * filters,), initializer="zeros", name="bias")
        # A forget gate that starts open lets gradients reach early frames from the first step.
        self.bias.assign(tf.concat([tf.zeros(filters), tf.ones(filters), tf.zeros(2 * filters)], 0))
        self.built = True

    def call(self, sequence, state=None, return_cells=False):
        time = sequence.shape[1] or tf.shape(sequence)[1]
        if state is None:
            shape = tf.shape(sequence)
            zeros = tf.zeros((shape[0], shape[2], shape[3], self.filters), tf.float32)
            state = (zeros, zeros)
        if isinstance(time, int) and time == 1:
            hidden, cell = self._cell(self._from_input(sequence[:, 0]), *state)
            hiddens, cells = self._cast(hidden)[:, None], cell[:, None]
        else:
            from_input = unfold_time(self._from_input(fold_time(sequence)), time)
            hiddens, cells, hidden, cell = self._loop(from_input, time, state, return_cells)
        if return_cells:
            return hiddens, cells, (hidden, cell)
        return hiddens, (hidden, cell)

    def _from_input(self, frames):
        """The part of the gates that the state has none in, `(n, height, width, 4 * filters)`."""
        bias = self._cast(self.bias)
        if self.kernel is None:
            gates = tf.broadcast_to(bias, tf.concat([tf.shape(frames)[:-1], bias.shape], axis=0))
            return tf.ensure_shape(gates, [*frames.shape[:-1], 4 * self.filters])
        frames = self._cast(frames)
        gates = tf.nn.conv2d(frames, self._cast(self.kernel), strides=1, padding="SAME")
        return tf.nn.bias_add(gates, bias)

    def _cast(self, tensor):
        return tf.cast(tensor, self.compute_dtype)

    def _cell(self, from_input, hidden, cell):
        """One frame: the gates of the input `(batch, height, width, 4 * filters)` and a state."""
        # In this order TensorFlow makes one operation of a convolution of the input, its bias and
        # this sum, where nothing stands between them.
        gates = from_input + tf.nn.conv2d(
            self._cast(hidden), self._cast(self.recurrent_kernel), strides=1, padding="SAME"
        )
        gate_in, gate_forget, candidate, gate_out = tf.split(gates, 4, axis=-1)
        # In half precision it would round to 1 and never let go.
        forget = tf.sigmoid(tf.cast(gate_forget, tf.float32))
        update = tf.cast(tf.sigmoid(gate_in) * tf.tanh(candidate), tf.float32)
        cell = forget * cell + update
        hidden = tf.cast(tf.sigmoid(gate_out), tf.float32) * tf.tanh(cell)
        return hidden, cell

    def _loop(self, from_input, time, state, return_cells):
        by_time = tf.transpose(from_input, [1, 0, 2, 3, 4])
        free = tf.TensorShape([None, None, None, self.filters])

        def body(index, hidden, cell, *written):
            hidden, cell = self._cell(by_time[index], hidden, cell)
            values = (self._cast(hidden), cell)
            written = [
                array.write(index, value) for array, value in zip(written, values, strict=False)
            ]
            return index + 1, hidden, cell, *written

        dtypes = (self.compute_dtype, "float32") if return_cells else (self.compute_dtype,)
        arrays = [tf.TensorArray(dtype, size=time, element_shape=free) for dtype in dtypes]
        _, hidden, cell, *arrays = tf.while_loop(
            lambda index, *_: index < time,
            body,
            (0, *state, *arrays),
            shape_invariants=(tf.TensorShape([]), free, free, *(None for _ in arrays)),
        )
        batch, static_time, height, width, _ = from_input.shape
        sequences = [
            tf.ensure_shape(
                tf.transpose(array.stack(), [1, 0, 2, 3, 4]),
                [batch, static_time, height, width, self.filters],
            )
            for array in arrays
        ]
        return sequences[0], sequences[1] if return_cells else None, hidden, cell

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}
