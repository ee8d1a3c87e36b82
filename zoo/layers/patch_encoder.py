"""The encoder of the models that see frames as grids of patches: ConvLSTMs over the patches."""

import keras
import tensorflow as tf

from zoo.layers.conv_lstm import ConvLSTM
from zoo.layers.convolution import build_chain
from zoo.layers.sizes import check_size
from zoo.layers.time_axis import fold_time, unfold_time

PATCH = 8  # pixels


@keras.saving.register_keras_serializable(package="zoo")
class PatchEncoder(keras.Model):
    """Patches of a frame, whose pixels become channels, through a stack of ConvLSTMs.

    Args:
        channels: Channels of a frame, 1 or 3.
        filters: Channels of each ConvLSTM, the first first.
        patch: Side of a patch in pixels: 1, 2, 4 or 8.

    Call arguments:
        clip: float32 `(batch, time, height, width, channels)` in [0, 1].

    Returns:
        float32 descriptor grid `(batch, time, height / patch, width / patch, sum(filters))`.

    Raises:
        ValueError: If `patch` is another number.
    """

    def __init__(self, channels=1, filters=(64, 64), patch=PATCH, **kwargs):
        super().__init__(autocast=False, **kwargs)
        # The models' own stride is 8: their score map has a number for each 8x8 pixels.
        if patch not in (1, 2, 4, PATCH):
            raise ValueError(f"`patch` must be 1, 2, 4 or {PATCH}. Received: patch={patch}")
        self.channels = channels
        self.filters = tuple(filters)
        self.patch = patch
        self.cells = [
            ConvLSTM(count, name=f"memory_{index}", dtype=self.dtype_policy)
            for index, count in enumerate(self.filters)
        ]

    @property
    def depth(self):
        """Channels of the descriptor grid."""
        return sum(self.filters)

    def build(self, input_shape=None):
        build_chain(self.cells, (None, None, None, None, self.patch**2 * self.channels))
        self.built = True

    def observe(self, frames, state):
        """Takes in `(batch, n, ...)` frames after a state.

        Returns:
            `(maps, state)`: the hidden state and the cell of each layer after each frame, with
            the patches of the frame, and the state after the last frame.
        """
        count = frames.shape[1] or tf.shape(frames)[1]
        sequence = unfold_time(tf.nn.space_to_depth(fold_time(frames), self.patch), count)
        maps, new_state = {"patches": sequence}, {}
        for index, cell in enumerate(self.cells):
            hidden_name, cell_name = f"hidden_{index}", f"cell_{index}"
            sequence, cells, (new_state[hidden_name], new_state[cell_name]) = cell(
                sequence, state=(state[hidden_name], state[cell_name]), return_cells=True
            )
            maps[hidden_name], maps[cell_name] = sequence, cells
        return maps, new_state

    def states(self, maps):
        """What `observe` gave after each frame, as states that decoders start from.

        Args:
            maps: Dict of maps `(batch, n, ...)`.

        Returns:
            List of pairs `(hidden, cell)`, one a layer, float32 `(batch * n, height, width,
            filters)`: every frame is a start of its own, time goes into the batch.
        """
        return [
            (
                tf.cast(fold_time(maps[f"hidden_{index}"]), tf.float32),
                fold_time(maps[f"cell_{index}"]),
            )
            for index in range(len(self.cells))
        ]

    def state_shapes(self, height, width):
        """Shapes, without the batch, of the tensors that `observe` carries on."""
        return {
            f"{kind}_{index}": (height // self.patch, width // self.patch, count)
            for index, count in enumerate(self.filters)
            for kind in ("hidden", "cell")
        }

    def nothing_seen(self, clip):
        """The state before the first frame of a clip `(batch, n, ...)`."""
        shape = tf.shape(clip)
        height, width = (clip.shape[axis] or shape[axis] for axis in (2, 3))
        return {
            name: tf.zeros((shape[0], *sizes), tf.float32)
            for name, sizes in self.state_shapes(height, width).items()
        }

    def call(self, clip):
        check_size(*clip.shape[2:4], self.patch)
        maps, _ = self.observe(clip, self.nothing_seen(clip))
        hidden = [maps[f"hidden_{index}"] for index in range(len(self.filters))]
        return tf.cast(tf.concat(hidden, axis=-1), tf.float32)

    def compute_output_shape(self, input_shape):
        batch, time, height, width, _ = input_shape
        reduced = (size and size // self.patch for size in (height, width))
        return (batch, time, *reduced, self.depth)

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "filters": self.filters,
            "patch": self.patch,
        }
