"""An encoder without a convolution in its loop over time: what it averages are single frames."""

import keras

from zoo.layers.convolution import build_chain
from zoo.layers.quasi_recurrent import QuasiRecurrent
from zoo.layers.stream_encoder import StreamEncoder, join_grid


@keras.saving.register_keras_serializable(package="zoo")
class ScanEncoder(StreamEncoder):
    """Strided convolutions on each frame, then quasi-recurrent layers at 1/4 and 1/8 of the frame.

    The layers at 1/8 stand on one another, each adding to what is below it; a convolution of what
    the layer below has gathered over time takes the place of the convolution of the state in a
    ConvLSTM, so that things which move are followed from place to place.

    Args:
        channels: Channels of a frame, 1 or 3.
        filters: Channels of the frame maps at 1/2, 1/4 and 1/8.
        scan_filters: Channels of the layer at 1/4 and of those at 1/8.
        scan_layers: Layers at 1/8, at least 1.
        longest: Frames over which the slowest channels average before training.

    Call arguments and Returns: As of `StreamEncoder`; the depth is `filters[2]` and both of
    `scan_filters`.

    Example:

    >>> encoder = ScanEncoder(filters=(4, 8, 8), scan_filters=(4, 8))
    >>> encoder(tf.zeros((1, 5, 32, 48, 1))).shape
    TensorShape([1, 5, 4, 6, 20])
    """

    def __init__(
        self,
        channels=1,
        filters=(16, 48, 80),
        scan_filters=(24, 80),
        scan_layers=3,
        longest=16,
        **kwargs,
    ):
        super().__init__(channels, filters, **kwargs)
        if scan_layers < 1:
            raise ValueError(
                f"`scan_layers` must be at least 1. Received: scan_layers={scan_layers}"
            )
        self.scan_filters = tuple(scan_filters)
        self.scan_layers = scan_layers
        self.longest = longest
        policy = self.dtype_policy
        fine, coarse = self.scan_filters
        self.scan_4 = QuasiRecurrent(fine, longest=longest, name="scan_4", dtype=policy)
        self.scans_8 = [
            QuasiRecurrent(coarse, longest=longest, name=f"scan_8_{index}", dtype=policy)
            for index in range(scan_layers)
        ]

    @property
    def depth(self):
        return self.filters[2] + sum(self.scan_filters)

    def build(self, input_shape=None):
        super().build()
        self.scan_4.build((None, None, None, None, self.filters[1]))
        build_chain(self.scans_8, (None, None, None, None, self.filters[2]))

    def _memory_shapes(self, height, width):
        fine, coarse = self.scan_filters
        return {
            "cell_4": (height // 4, width // 4, fine),
            **{
                f"cell_8_{index}": (height // 8, width // 8, coarse)
                for index in range(self.scan_layers)
            },
        }

    def _remember(self, maps, state):
        """The maps over time are `scan_4` and `scan_8`."""
        new_state = {}
        scan_4, new_state["cell_4"] = self.scan_4(maps["frame_4"], state=state["cell_4"])
        scan_8 = maps["frame_8"]
        for index, scan in enumerate(self.scans_8):
            name = f"cell_8_{index}"
            gathered, new_state[name] = scan(scan_8, state=state[name])
            scan_8 = scan_8 + gathered if scan_8.shape[-1] == scan.filters else gathered
        return {"scan_4": scan_4, "scan_8": scan_8}, new_state

    def grid(self, maps):
        return join_grid([maps["frame_8"], maps["scan_8"]], maps["scan_4"])

    def get_config(self):
        return {
            **super().get_config(),
            "scan_filters": self.scan_filters,
            "scan_layers": self.scan_layers,
            "longest": self.longest,
        }
