"""Generators and discriminators at 1/8, 1/4, 1/2 and 1 of the frame, after Mathieu et al. 2016.

https://arxiv.org/abs/1511.05440
"""

import keras
import numpy as np
import tensorflow as tf

from zoo.layers.convolution import build_chain, convolution
from zoo.layers.recent_frames import recent_windows
from zoo.layers.sizes import check_size
from zoo.layers.spectral import critic_convolution, critic_view
from zoo.layers.time_axis import unfold_time

SCALES = 4


@keras.saving.register_keras_serializable(package="zoo")
class PyramidEncoder(keras.Model):
    """All of the four generators but the last two convolutions of the finest.

    Args:
        channels: Channels of a frame, 1 or 3.
        context_frames: Frames that a prediction is made from.
        filters: For each scale, the coarsest first, the channels of three convolutions.

    Call arguments:
        clip: float32 `(batch, time, height, width, channels)` in [0, 1]; height and width
            multiples of 8.

    Returns:
        float32 descriptor grid `(batch, time, height / 8, width / 8, depth)`: at each frame the
        middle layers of the generators, averaged to 1/8 of the frame.
    """

    def __init__(self, channels, context_frames, filters, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.channels = channels
        self.context_frames = context_frames
        self.filters = tuple(tuple(counts) for counts in filters)
        policy = self.dtype_policy
        last = channels * (context_frames - 1)  # of frames stacked as channels
        self.into = [
            _pair(counts, scale, channels, last, policy)
            for scale, counts in enumerate(self.filters)
        ]
        self.out_of = [
            _to_frame(counts, scale, channels, f"scale_{scale}", policy)
            for scale, counts in enumerate(self.filters[:-1])
        ]

    @property
    def depth(self):
        """Channels of the descriptor grid."""
        return sum(counts[1] for counts in self.filters)

    def build(self, input_shape=None):
        for scale, layers in enumerate(self.into):
            inputs = self.channels * (self.context_frames + (scale > 0))
            build_chain(layers, (None, None, None, inputs))
        for counts, layers in zip(self.filters, self.out_of, strict=False):
            build_chain(layers, (None, None, None, counts[1]))
        self.built = True

    def pyramid(self, contexts):
        """Runs the generators from coarse to fine.

        Args:
            contexts: For each scale `(n, height, width, context_frames * channels)`.

        Returns:
            `(predictions, middles, enlarged)`: the next frame at the scales below the finest,
            float32; the middle layer at each scale; and the enlarged prediction that the finest
            generator has to correct.
        """
        predictions, middles, enlarged = [], [], None
        for scale, context in enumerate(contexts):
            maps = context
            if scale:
                size = tf.shape(context)[1:3]
                enlarged = tf.image.resize(predictions[-1], size, method="bilinear")
                enlarged = tf.ensure_shape(enlarged, [*context.shape[:3], self.channels])
                maps = tf.concat([context, enlarged], axis=-1)
            middles.append(_chained(self.into[scale], maps))
            if scale < SCALES - 1:
                change = tf.cast(_chained(self.out_of[scale], middles[-1]), tf.float32)
                predictions.append(change if enlarged is None else enlarged + change)
        return predictions, middles, enlarged

    def call(self, clip):
        check_size(*clip.shape[2:4], 2 ** (SCALES - 1))
        count = clip.shape[1] or tf.shape(clip)[1]
        shape = tf.shape(clip)
        recent = tf.zeros((shape[0], self.context_frames - 1, *_unstacked(shape[2:])))
        seen = tf.zeros((shape[0],), tf.int32)
        windows, _ = recent_windows(clip, recent, seen, self.context_frames)
        _, middles, _ = self.pyramid(as_scales(as_channels(windows)))
        grids = [
            tf.nn.avg_pool2d(middle, 2**scale, 2**scale, "VALID") if scale else middle
            for scale, middle in enumerate(middles)
        ]
        return tf.cast(unfold_time(tf.concat(grids, axis=-1), count), tf.float32)

    def compute_output_shape(self, input_shape):
        batch, time, height, width, _ = input_shape
        reduced = (size and size // 2 ** (SCALES - 1) for size in (height, width))
        return (batch, time, *reduced, self.depth)

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "context_frames": self.context_frames,
            "filters": self.filters,
        }


@keras.saving.register_keras_serializable(package="zoo")
class PyramidGenerator(keras.Model):
    """The four generators: contexts at all scales to the next frame at all scales.

    Args:
        channels, context_frames, filters: As of `PyramidEncoder`.
    """

    def __init__(self, channels, context_frames, filters, **kwargs):
        super().__init__(autocast=False, **kwargs)
        policy = self.dtype_policy
        self.encoder = PyramidEncoder(
            channels, context_frames, filters, name="encoder", dtype=policy
        )
        self.finest = _to_frame(filters[-1], SCALES - 1, channels, "finest", policy)

    def build(self, input_shape=None):
        self.encoder.build()
        build_chain(self.finest, (None, None, None, self.encoder.filters[-1][1]))
        self.built = True

    def call(self, contexts):
        predictions, middles, enlarged = self.encoder.pyramid(contexts)
        change = tf.cast(_chained(self.finest, middles[-1]), tf.float32)
        return [*predictions, enlarged + change]


@keras.saving.register_keras_serializable(package="zoo")
class PyramidDiscriminator(keras.Model):
    """A discriminator for each scale, each ending at 1/8 of the frame.

    Args:
        channels: Channels of a frame, 1 or 3.
        context_frames: Frames before the one that is judged.
        filters: Channels of the three convolutions of each discriminator.
        spectral_norm: Whether the kernels are kept at spectral norm one.

    Call arguments:
        videos: For each scale, the coarsest first, `(batch, height, width, (context_frames + 1)
            * channels)`: the frames behind one another.

    Returns:
        For each scale float32 `(batch, n)`, one verdict for each of the n places at 1/8 of the
        frame, the larger the more real.
    """

    def __init__(self, channels, context_frames, filters, spectral_norm, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.channels = channels
        self.context_frames = context_frames
        policy = self.dtype_policy
        self.judges = []
        for scale in range(SCALES):
            layers = [
                critic_convolution(
                    count,
                    3,
                    f"judge_{scale}_{index}",
                    policy,
                    # The finest strides three times, the coarsest never.
                    strides=2 if index >= len(filters) - scale else 1,
                    spectral=spectral_norm,
                )
                for index, count in enumerate(filters)
            ]
            # Not kept at norm one: its scale is that of the verdicts, which go into a loss.
            verdict = convolution(1, 1, f"verdict_{scale}", "float32", activation=None)
            self.judges.append([*layers, verdict])

    def build(self, input_shape=None):
        for layers in self.judges:
            build_chain(layers, (None, None, None, self.channels * (self.context_frames + 1)))
        self.built = True

    def _with_changes(self, frames):
        """The first frame, then the change to each of the others: what a prediction lacks is small.

        The same numbers otherwise told.
        """
        changes = frames[..., self.channels :] - frames[..., : -self.channels]
        return critic_view(frames[..., : self.channels], changes)

    def call(self, videos, training=False):
        verdicts = []
        for layers, maps in zip(self.judges, videos, strict=True):
            maps = self._with_changes(maps)
            for layer in layers[:-1]:
                maps = layer(maps, training=training)
            maps = layers[-1](tf.cast(maps, tf.float32))
            # Place by place: a mean would hardly tell a blurred person before a sharp wall.
            verdicts.append(tf.reshape(maps, (tf.shape(maps)[0], -1)))
        return verdicts


def as_channels(windows):
    """`(batch, n, frames, height, width, channels)` -> `(batch * n, ..., frames * channels)`."""
    shape = tf.shape(windows)
    frames, channels = windows.shape[2], windows.shape[5]
    stacked = tf.transpose(windows, [0, 1, 3, 4, 2, 5])
    stacked = tf.reshape(stacked, [-1, shape[3], shape[4], frames * channels])
    return tf.ensure_shape(stacked, [None, *windows.shape[3:5], frames * channels])


def as_scales(frames):
    """Frames at 1/8, 1/4, 1/2 and 1 of their size, by averages."""
    scales = [frames]
    for _ in range(SCALES - 1):
        scales.insert(0, tf.nn.avg_pool2d(scales[0], 2, 2, "VALID"))
    return scales


@keras.saving.register_keras_serializable(package="zoo")
class Carrying(keras.initializers.Initializer):
    """Random weights of a convolution, but for a few that carry channels through it.

    Args:
        stddev: Standard deviation of the random ones; `None` takes that of He et al. 2015.
        taps: Tuples `(input channel, output channel, weight)`: the weight between these two in
            the middle of the kernel.
        cleared: Number of output channels, from the first, that get nothing else.
    """

    def __init__(self, stddev, taps, cleared):
        self.stddev = stddev
        self.taps = tuple(tuple(tap) for tap in taps)
        self.cleared = cleared

    def __call__(self, shape, dtype=None):
        random = (
            keras.initializers.HeNormal()
            if self.stddev is None
            else keras.initializers.RandomNormal(stddev=self.stddev)
        )(shape, dtype)
        carried = np.zeros(shape, "float32")
        kept = np.arange(shape[-1]) >= self.cleared
        kept = np.broadcast_to(kept, shape).astype("float32")
        for source, target, weight in self.taps:
            carried[shape[0] // 2, shape[1] // 2, source, target] = weight
            kept[shape[0] // 2, shape[1] // 2, source, target] = 0.0
        return random * kept + carried

    def get_config(self):
        return {"stddev": self.stddev, "taps": self.taps, "cleared": self.cleared}


# A generator begins as a copy of the last frame: the background of a fixed camera is there from
# the first step, and what is learned is what moves. The first channels of its layers carry the last
# frame, and the enlarged prediction from below, as rectifiers let through what is not negative;
# its last layer gives the one less the other. A scale with too few channels begins at random.


def _carried(counts, scale, channels):
    """How many channels carry: none where they do not fit in."""
    carried = channels * (2 if scale else 1)
    return carried if min(counts) >= carried else 0


def _pair(counts, scale, channels, last, policy):
    carried = _carried(counts, scale, channels)
    size, name = 3 if scale == 0 else 5, f"scale_{scale}"
    first = Carrying(None, [(last + n, n, 1.0) for n in range(carried)], carried)
    second = Carrying(None, [(n, n, 1.0) for n in range(carried)], carried)
    return [
        convolution(counts[0], size, f"{name}_into_0", policy, initializer=first),
        convolution(counts[1], 3, f"{name}_into_1", policy, initializer=second),
    ]


def _to_frame(counts, scale, channels, name, policy):
    carried = _carried(counts, scale, channels)
    first = Carrying(None, [(n, n, 1.0) for n in range(carried)], carried)
    taps = [(n, n % channels, 1.0 if n < channels else -1.0) for n in range(carried)]
    second = Carrying(1e-3, taps, 0)
    return [
        convolution(counts[2], 3, f"{name}_out_0", policy, initializer=first),
        convolution(channels, 3, f"{name}_out_1", policy, activation=None, initializer=second),
    ]


def _chained(layers, maps):
    for layer in layers:
        maps = layer(maps)
    return maps


def _unstacked(sizes):
    return [sizes[index] for index in range(sizes.shape[0])]
