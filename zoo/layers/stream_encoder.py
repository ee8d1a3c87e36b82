"""What encoders share that take in a video frame by frame and carry a state."""

import keras
import tensorflow as tf

from zoo.layers.frame_codec import FrameEncoder
from zoo.layers.sizes import check_size
from zoo.layers.time_axis import fold_time, unfold_time

STRIDE = 8


class StreamEncoder(keras.Model):
    """An encoder of a video, whole or piece by piece, at 1/8 of the frame.

    Strided convolutions on each frame give maps at 1/2, 1/4 and 1/8 of it. Each frame comes with
    its difference to the frame before it, so that slow motion is there at full resolution before
    anything is strided away. What goes on over time is the subclass's, which defines `depth`,
    `_memory_shapes`, `_remember` and `grid`, and builds its layers after these.

    Args:
        channels: Channels of a frame, 1 or 3.
        filters: Channels of the frame maps at 1/2, 1/4 and 1/8.
        **kwargs: Arguments of `keras.Model`.

    Call arguments:
        clip: float32 tensor `(batch, time, height, width, channels)` in [0, 1]; height and width
            divisible by 8.

    Returns:
        float32 descriptor grid `(batch, time, height / 8, width / 8, depth)`.
    """

    def __init__(self, channels=1, filters=(16, 48, 80), **kwargs):
        # Keras would round the pixels to bfloat16 on the way in; the layers inside cast.
        super().__init__(autocast=False, **kwargs)
        self.channels = channels
        self.filters = tuple(filters)
        self.frame_encoder = FrameEncoder(
            self.filters, name="frame_encoder", dtype=self.dtype_policy
        )

    def build(self, input_shape=None):
        self.frame_encoder.build((None, None, None, 2 * self.channels))
        self.built = True

    @property
    def depth(self):
        """Channels of the descriptor grid."""
        raise NotImplementedError

    def _memory_shapes(self, height, width):
        """Shapes, without the batch, of the tensors that `_remember` carries on."""
        raise NotImplementedError

    def _remember(self, maps, state):
        """Maps of single frames and a state -> (maps of the video up to each frame, state)."""
        raise NotImplementedError

    def state_shapes(self, height, width):
        """Shapes, without the batch, of the tensors that `observe` carries on."""
        previous = (height, width, self.channels)
        return {"previous_frame": previous, **self._memory_shapes(height, width)}

    def observe(self, frames, state, frames_seen):
        """Takes in some frames after a state.

        Args:
            frames: float32 `(batch, n, height, width, channels)`.
            state: Dict of float32 tensors as `state_shapes` names them, zeros at first.
            frames_seen: int32 `(batch,)`, frames taken in before these.

        Returns:
            `(maps, state)`: a dict of maps `(batch, n, ...)` in the compute dtype, and the state
            after the last frame. The maps are `frame_2`, `frame_4` and `frame_8`, of single
            frames, and what the subclass makes of them over time.
        """
        count = frames.shape[1] or tf.shape(frames)[1]
        seen = self.with_change(frames, state, frames_seen)
        levels = self.frame_encoder(fold_time(seen))
        maps = {
            name: unfold_time(level, count)
            for name, level in zip(("frame_2", "frame_4", "frame_8"), levels, strict=True)
        }
        remembered, new_state = self._remember(maps, state)
        return {**maps, **remembered}, {"previous_frame": frames[:, -1], **new_state}

    def grid(self, maps):
        """Joins the maps of `observe` into the descriptor grid."""
        raise NotImplementedError

    def with_change(self, frames, state, frames_seen):
        """Frames and, as further channels, their difference to the frame before, 0 of the first.

        Args:
            frames: float32 `(batch, n, height, width, channels)`.
            state: Dict with `previous_frame`, float32 `(batch, height, width, channels)`.
            frames_seen: int32 `(batch,)`.

        Returns:
            float32 `(batch, n, height, width, 2 * channels)`.
        """
        count = frames.shape[1] or tf.shape(frames)[1]
        before = state["previous_frame"][:, None]
        if frames.shape[1] != 1:
            before = tf.concat([before, frames[:, :-1]], axis=1)
        has_before = tf.cast(frames_seen[:, None] + tf.range(count)[None] > 0, tf.float32)
        change = (frames - before) * has_before[:, :, None, None, None]
        return tf.concat([frames, change], axis=-1)

    def call(self, clip):
        check_size(*clip.shape[2:4], STRIDE)
        shape = tf.shape(clip)
        state = {
            name: tf.zeros((shape[0], *sizes), tf.float32)
            for name, sizes in self.state_shapes(shape[2], shape[3]).items()
        }
        maps, _ = self.observe(clip, state, tf.zeros((shape[0],), tf.int32))
        return self.grid(maps)

    def compute_output_shape(self, input_shape):
        batch, time, height, width, _ = input_shape
        reduced = (size and size // STRIDE for size in (height, width))
        return (batch, time, *reduced, self.depth)

    def get_config(self):
        return {**super().get_config(), "channels": self.channels, "filters": self.filters}


def join_grid(coarse, fine):
    """Joins maps at 1/8 of the frame and maps at 1/4, averaged to 1/8, along the channels.

    Args:
        coarse: List of tensors `(batch, n, height, width, any)`.
        fine: Tensor `(batch, n, 2 * height, 2 * width, any)`.

    Returns:
        float32 tensor `(batch, n, height, width, depth)`.
    """
    count = fine.shape[1] or tf.shape(fine)[1]
    pooled = unfold_time(tf.nn.avg_pool2d(fold_time(fine), 2, 2, "VALID"), count)
    return tf.cast(tf.concat([*coarse, pooled], axis=-1), tf.float32)
