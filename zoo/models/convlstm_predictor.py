"""The ConvLSTM encoder-forecaster of Shi et al. 2015 (https://arxiv.org/abs/1506.04214).

Frames are cut into patches whose pixels become channels; a stack of ConvLSTMs takes them in; a
second stack starts from the states of the first and unrolls the future; a 1x1 convolution over
the states of all its layers gives the patches of each frame ahead. What differs: the cells have
no peephole terms; the forecaster is shown the last frame at each step; its output is the change
from that frame and its loss a squared error, where the paper draws moving digits with a
cross-entropy; and it forecasts at every frame of a clip, not only after the last, so that each
frame can be scored.
"""

import keras
import tensorflow as tf

from zoo.layers import ConvLSTM, fold_time, unfold_time
from zoo.layers.convolution import convolution
from zoo.layers.sizes import check_size
from zoo.models.future_predictor import FuturePredictor

PATCH = 8  # pixels


@keras.saving.register_keras_serializable(package="zoo")
class PatchEncoder(keras.Model):
    """Patches of a frame through a stack of ConvLSTMs.

    Args:
        channels: Channels of a frame, 1 or 3.
        filters: Channels of each ConvLSTM, the first first.

    Call arguments:
        clip: float32 `(batch, time, height, width, channels)` in [0, 1].

    Returns:
        float32 descriptor grid `(batch, time, height / 8, width / 8, sum(filters))`.
    """

    def __init__(self, channels=1, filters=(64, 64), **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.channels = channels
        self.filters = tuple(filters)
        self.cells = [
            ConvLSTM(count, name=f"memory_{index}", dtype=self.dtype_policy)
            for index, count in enumerate(self.filters)
        ]

    @property
    def depth(self):
        """Channels of the descriptor grid."""
        return sum(self.filters)

    def build(self, input_shape=None):
        _build_stack(self.cells, self.channels)
        self.built = True

    def observe(self, frames, state):
        """Takes in `(batch, n, ...)` frames after a state.

        Returns:
            `(maps, state)`: the hidden state and the cell of each layer after each frame, with
            the patches of the frame, and the state after the last frame.
        """
        count = frames.shape[1] or tf.shape(frames)[1]
        sequence = unfold_time(tf.nn.space_to_depth(fold_time(frames), PATCH), count)
        maps, new_state = {"patches": sequence}, {}
        for index, cell in enumerate(self.cells):
            hidden_name, cell_name = f"hidden_{index}", f"cell_{index}"
            sequence, cells, (new_state[hidden_name], new_state[cell_name]) = cell(
                sequence, state=(state[hidden_name], state[cell_name]), return_cells=True
            )
            maps[hidden_name], maps[cell_name] = sequence, cells
        return maps, new_state

    def state_shapes(self, height, width):
        """Shapes, without the batch, of the tensors that `observe` carries on."""
        return {
            f"{kind}_{index}": (height // PATCH, width // PATCH, count)
            for index, count in enumerate(self.filters)
            for kind in ("hidden", "cell")
        }

    def call(self, clip):
        check_size(*clip.shape[2:4], PATCH)
        shape = tf.shape(clip)
        state = {
            name: tf.zeros((shape[0], *sizes), tf.float32)
            for name, sizes in self.state_shapes(shape[2], shape[3]).items()
        }
        maps, _ = self.observe(clip, state)
        hidden = [maps[f"hidden_{index}"] for index in range(len(self.filters))]
        return tf.cast(tf.concat(hidden, axis=-1), tf.float32)

    def compute_output_shape(self, input_shape):
        batch, time, height, width, _ = input_shape
        reduced = (size and size // PATCH for size in (height, width))
        return (batch, time, *reduced, self.depth)

    def get_config(self):
        return {**super().get_config(), "channels": self.channels, "filters": self.filters}


@keras.saving.register_keras_serializable(package="zoo")
class ConvLSTMPredictor(FuturePredictor):
    """ConvLSTM encoder-forecaster.

    Args:
        filters: Channels of each ConvLSTM of the encoder, and of the forecaster.
        **kwargs: Arguments of `FuturePredictor` and `VideoModel`.

    Call arguments:
        clip: float32 `(batch, time, height, width, channels)` in [0, 1], more than `horizons`
            frames; height and width multiples of 8.

    Returns:
        float32 `(batch, time - K, K, height, width, channels)`: `[:, t, k]` is frame t + k + 1
        predicted at frame t.

    Raises:
        ValueError: If an argument or a clip breaks a rule; the message names it.

    Example:

    >>> model = ConvLSTMPredictor(filters=(8, 8), horizons=2, score_horizon=2)
    >>> model(tf.zeros((1, 6, 16, 24, 1))).shape
    TensorShape([1, 4, 2, 16, 24, 1])

    Reference:
        Shi et al., "Convolutional LSTM Network: A Machine Learning Approach for Precipitation
        Nowcasting", 2015, https://arxiv.org/abs/1506.04214
    """

    verbs = ("encode", "features", "rollout", "score", "score_map", "step")
    stride = PATCH

    def __init__(self, filters=(64, 64), **kwargs):
        super().__init__(**kwargs)
        self.filters = tuple(filters)
        policy = self.dtype_policy
        self.encoder = PatchEncoder(self.channels, self.filters, name="encoder", dtype=policy)
        self.forecaster = [
            ConvLSTM(count, name=f"forecast_{index}", dtype=policy)
            for index, count in enumerate(self.filters)
        ]
        self.to_patches = convolution(
            PATCH * PATCH * self.channels, 1, "to_patches", policy, activation=None, stddev=1e-2
        )

    def build(self, input_shape=None):
        self.encoder.build()
        _build_stack(self.forecaster, self.channels)
        self.to_patches.build((None, None, None, self.encoder.depth))
        self.built = True

    def call(self, clip, training=False):
        clip = self._check_training_clip(clip)
        time = clip.shape[1] or tf.shape(clip)[1]
        shape = tf.shape(clip)
        maps, _ = self._observe(clip, self._initial_state(shape[0], shape[2], shape[3]))
        known = {name: value[:, : time - self.horizons] for name, value in maps.items()}
        return self._predict(known, clip[:, : time - self.horizons])

    # What `FuturePredictor` builds the verbs on.

    def _state_shapes(self, height, width):
        return self.encoder.state_shapes(height, width)

    def _observe(self, frames, state):
        return self.encoder.observe(frames, state)

    def _predict(self, maps, frames, seed=None):
        count = frames.shape[1] or tf.shape(frames)[1]
        # Every frame is the start of a forecast of its own: time goes into the batch.
        sequence = tf.repeat(fold_time(maps["patches"])[:, None], self.horizons, axis=1)
        hiddens = []
        for index, cell in enumerate(self.forecaster):
            hidden = tf.cast(fold_time(maps[f"hidden_{index}"]), tf.float32)
            start = (hidden, fold_time(maps[f"cell_{index}"]))
            sequence, _ = cell(sequence, state=start)
            hiddens.append(sequence)
        patches = self.to_patches(fold_time(tf.concat(hiddens, axis=-1)))
        change = tf.cast(tf.nn.depth_to_space(patches, PATCH), tf.float32)
        change = unfold_time(unfold_time(change, self.horizons), count)
        return frames[:, :, None] + change

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


def _build_stack(cells, channels):
    """Builds ConvLSTMs that stand on one another, the first on the patches of a frame."""
    inputs = PATCH * PATCH * channels
    for cell in cells:
        cell.build((None, None, None, None, inputs))
        inputs = cell.filters
