"""The encoder of the recurrent models: frames in, local spatio-temporal descriptors out."""

import keras

from zoo.layers.conv_lstm import ConvLSTM
from zoo.layers.stream_encoder import StreamEncoder, join_grid


@keras.saving.register_keras_serializable(package="zoo")
class RecurrentEncoder(StreamEncoder):
    """Strided convolutions on each frame, then a ConvLSTM at 1/4 and one at 1/8 of the frame.

    Args:
        channels: Channels of a frame, 1 or 3.
        filters: Channels of the frame maps at 1/2, 1/4 and 1/8.
        state_filters: Channels of the ConvLSTM at 1/4 and of the one at 1/8.

    Call arguments:
        clip: float32 tensor `(batch, time, height, width, channels)` in [0, 1]; height and width
            divisible by 8.

    Returns:
        float32 descriptor grid `(batch, time, height / 8, width / 8, depth)`, with `depth`
        `filters[2] + state_filters[0] + state_filters[1]`.

    Example:

    >>> encoder = RecurrentEncoder(filters=(4, 8, 8), state_filters=(4, 8))
    >>> encoder(tf.zeros((1, 5, 32, 48, 1))).shape
    TensorShape([1, 5, 4, 6, 20])
    """

    def __init__(self, channels=1, filters=(16, 48, 80), state_filters=(24, 80), **kwargs):
        super().__init__(channels, filters, **kwargs)
        self.state_filters = tuple(state_filters)
        policy = self.dtype_policy
        self.memory_4 = ConvLSTM(self.state_filters[0], name="memory_4", dtype=policy)
        self.memory_8 = ConvLSTM(self.state_filters[1], name="memory_8", dtype=policy)

    @property
    def depth(self):
        return self.filters[2] + sum(self.state_filters)

    def build(self, input_shape=None):
        super().build()
        self.memory_4.build((None, None, None, None, self.filters[1]))
        self.memory_8.build((None, None, None, None, self.filters[2]))

    def _memory_shapes(self, height, width):
        fine = (height // 4, width // 4, self.state_filters[0])
        coarse = (height // 8, width // 8, self.state_filters[1])
        return {"hidden_4": fine, "cell_4": fine, "hidden_8": coarse, "cell_8": coarse}

    def _remember(self, maps, state):
        """The maps over time are `memory_4` and `memory_8`."""
        memory_4, (hidden_4, cell_4) = self.memory_4(
            maps["frame_4"], state=(state["hidden_4"], state["cell_4"])
        )
        memory_8, (hidden_8, cell_8) = self.memory_8(
            maps["frame_8"], state=(state["hidden_8"], state["cell_8"])
        )
        new_state = {
            "hidden_4": hidden_4, "cell_4": cell_4, "hidden_8": hidden_8, "cell_8": cell_8
        }  # fmt: skip
        return {"memory_4": memory_4, "memory_8": memory_8}, new_state

    def grid(self, maps):
        return join_grid([maps["frame_8"], maps["memory_8"]], maps["memory_4"])

    def get_config(self):
        return {**super().get_config(), "state_filters": self.state_filters}
