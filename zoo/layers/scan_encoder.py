"""An encoder of frames by convolutions and of time by quasi-recurrent layers."""

import keras
import tensorflow as tf

from zoo.layers.frame_codec import FrameEncoder
from zoo.layers.quasi_recurrent import QuasiRecurrent
from zoo.layers.conv_lstm import ConvLSTM
from zoo.layers.sizes import check_size
from zoo.layers.time_axis import fold_time, unfold_time


@keras.saving.register_keras_serializable(package="zoo")
class ScanEncoder(keras.Model):
    def __init__(self, channels=1, filters=(16, 48, 80), scan_filters=(24, 80), blocks=3,
                 longest=16, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.channels = channels
        self.filters = tuple(filters)
        self.scan_filters = tuple(scan_filters)
        self.blocks = blocks
        self.longest = longest
        policy = self.dtype_policy
        self.frame_encoder = FrameEncoder(self.filters, name="frame_encoder", dtype=policy)
        self.scan_4 = QuasiRecurrent(self.scan_filters[0], longest=longest, name="scan_4", dtype=policy)
        self.scans_8 = [
            QuasiRecurrent(self.scan_filters[1], longest=longest, name=f"scan_8_{i}", dtype=policy)
            for i in range(blocks)
        ]

    @property
    def depth(self):
        return self.filters[2] + self.scan_filters[0] + self.scan_filters[1]

    def build(self, input_shape=None):
        self.frame_encoder.build((None, None, None, 2 * self.channels))
        self.scan_4.build((None, None, None, None, self.filters[1]))
        inputs = self.filters[2]
        for scan in self.scans_8:
            scan.build((None, None, None, None, inputs))
            inputs = self.scan_filters[1]
        self.built = True

    def state_shapes(self, height, width):
        coarse = (height // 8, width // 8, self.scan_filters[1])
        return {
            "previous_frame": (height, width, self.channels),
            "cell_4": (height // 4, width // 4, self.scan_filters[0]),
            **{f"cell_8_{i}": coarse for i in range(self.blocks)},
        }

    def observe(self, frames, state, frames_seen):
        count = frames.shape[1] or tf.shape(frames)[1]
        before = state["previous_frame"][:, None]
        if frames.shape[1] != 1:
            before = tf.concat([before, frames[:, :-1]], axis=1)
        has_before = tf.cast(frames_seen[:, None] + tf.range(count)[None] > 0, tf.float32)
        change = (frames - before) * has_before[:, :, None, None, None]
        seen = tf.concat([frames, change], axis=-1)
        frame_2, frame_4, frame_8 = (
            unfold_time(level, count) for level in self.frame_encoder(fold_time(seen))
        )
        new_state = {"previous_frame": frames[:, -1]}
        scan_4, new_state["cell_4"] = self.scan_4(frame_4, state=state["cell_4"])
        sequence = frame_8
        for index, scan in enumerate(self.scans_8):
            hidden, new_state[f"cell_8_{index}"] = scan(sequence, state=state[f"cell_8_{index}"])
            same = sequence.shape[-1] == hidden.shape[-1]
            sequence = sequence + hidden if same else hidden
        maps = {"frame_2": frame_2, "frame_4": frame_4, "frame_8": frame_8,
                "scan_4": scan_4, "scan_8": sequence}
        return maps, new_state

    def grid(self, maps):
        pooled = tf.nn.avg_pool2d(fold_time(maps["scan_4"]), 2, 2, "VALID")
        count = maps["scan_4"].shape[1] or tf.shape(maps["scan_4"])[1]
        joined = [maps["frame_8"], maps["scan_8"], unfold_time(pooled, count)]
        return tf.cast(tf.concat(joined, axis=-1), tf.float32)

    def call(self, clip):
        check_size(*clip.shape[2:4], 8)
        shape = tf.shape(clip)
        state = {
            name: tf.zeros((shape[0], *sizes), tf.float32)
            for name, sizes in self.state_shapes(shape[2], shape[3]).items()
        }
        maps, _ = self.observe(clip, state, tf.zeros((shape[0],), tf.int32))
        return self.grid(maps)

    def compute_output_shape(self, input_shape):
        batch, time, height, width, _ = input_shape
        reduced = (size and size // 8 for size in (height, width))
        return (batch, time, *reduced, self.depth)

    def get_config(self):
        return {**super().get_config(), "channels": self.channels, "filters": self.filters,
                "scan_filters": self.scan_filters, "blocks": self.blocks, "longest": self.longest}
