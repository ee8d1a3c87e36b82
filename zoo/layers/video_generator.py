"""From noise, a class and maybe a first frame to a video: a still background, a moving part."""

import math

import keras
import tensorflow as tf

from zoo.layers.convolution import convolution, leaky_relu
from zoo.layers.frame_codec import FrameDecoder, FrameEncoder
from zoo.layers.time_axis import fold_time, unfold_time

FREQUENCIES = (0.5, 1.0, 2.0, 4.0)  # waves across the frame by which a place is known


@keras.saving.register_keras_serializable(package="zoo")
class VideoGenerator(keras.Model):
    """Draws a video in two parts (Vondrick et al. 2016) from two codes (Tulyakov et al. 2018).

    The content code, the class and the first frame make a still map at 1/8 of the frame. A GRU
    over the motion noise, started by the first of it, gives a code at each step of time, which
    modulates that map on its way to a moving part and a mask:

        video_t = mask_t * moving_t + (1 - mask_t) * background

    The background is drawn once from the still map, as a change to the first frame where there
    is one, so what does not move costs one frame and stays sharp.

    Args:
        channels: Channels of a frame, 1 or 3.
        num_classes: Classes; class `num_classes` stands for one that is not known.
        sees_frame: Whether there may be a first frame.
        filters: Channels at 1/2, 1/4 and 1/8 of the frame.
        motion_filters: Units of the GRU.
        content_dim, motion_dim: Numbers in the content code and in the motion noise of a step.

    Call arguments:
        codes: Dict of `content` float32 `(batch, content_dim)`, `motion` float32
            `(batch, steps + 1, motion_dim)`, `label` int32 `(batch,)`, `frame` float32
            `(batch, height, width, channels)`, which gives the size, and `has_frame` float32
            `(batch,)`: 1 where `frame` is a first frame, 0 where it is to be overlooked.

    Returns:
        float32 `(batch, steps, height, width, channels)`.

    Reference:
        Vondrick, Pirsiavash and Torralba, "Generating Videos with Scene Dynamics", 2016,
        https://arxiv.org/abs/1609.02612; Tulyakov, Liu, Yang and Kautz, "MoCoGAN", 2018,
        https://arxiv.org/abs/1707.04993
    """

    def __init__(
        self,
        channels,
        num_classes,
        sees_frame,
        filters,
        motion_filters,
        content_dim,
        motion_dim,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.channels = channels
        self.num_classes = num_classes
        self.sees_frame = sees_frame
        self.filters = tuple(filters)
        self.motion_filters = motion_filters
        self.content_dim = content_dim
        self.motion_dim = motion_dim
        policy = self.dtype_policy
        fine, middle, coarse = self.filters
        self.frame_encoder = None
        if sees_frame:
            self.frame_encoder = FrameEncoder(self.filters, name="frame_encoder", dtype=policy)
            self.skip_2 = convolution(fine, 1, "skip_2", policy)
            self.skip_4 = convolution(middle, 1, "skip_4", policy)
        self.class_code = _dense(coarse, "class_code", policy)
        self.places = convolution(coarse, 1, "places", policy, activation=None)
        self.still = _dense(2 * coarse, "still", policy)
        self.mix_still = convolution(coarse, 3, "mix_still", policy)
        self.start = _dense(motion_filters, "start", policy, activation="tanh")
        self.memory = keras.layers.GRU(
            motion_filters, return_sequences=True, name="memory", dtype=policy
        )
        self.move_8 = _dense(2 * coarse, "move_8", policy)
        self.mix_8 = convolution(coarse, 3, "mix_8", policy, activation=None)
        self.move_8_again = _dense(2 * coarse, "move_8_again", policy)
        self.mix_8_again = convolution(coarse, 3, "mix_8_again", policy)
        self.up_4 = convolution(4 * middle, 1, "up_4", policy)
        self.mix_4 = convolution(middle, 3, "mix_4", policy, activation=None)
        self.move_4 = _dense(2 * middle, "move_4", policy)
        self.up_2 = convolution(4 * fine, 1, "up_2", policy)
        self.mix_2 = convolution(fine, 3, "mix_2", policy)
        self.up_1 = convolution(
            4 * (channels + 1), 3, "up_1", policy, activation=None, stddev=2e-2
        )
        self.background = FrameDecoder(self.filters, channels, name="background", dtype=policy)

    def build(self, input_shape=None):
        fine, middle, coarse = self.filters
        if self.frame_encoder is not None:
            self.frame_encoder.build((None, None, None, self.channels))
            self.skip_2.build((None, None, None, fine))
            self.skip_4.build((None, None, None, middle))
        seen = coarse if self.sees_frame else 0
        for layer, inputs in (
            (self.class_code, self.num_classes + 1),
            (self.still, self.content_dim + coarse),
            (self.start, self.motion_dim + coarse + seen),
            (self.move_8, self.motion_filters),
            (self.move_8_again, self.motion_filters),
            (self.move_4, self.motion_filters),
        ):
            layer.build((None, inputs))
        self.memory.build((None, None, self.motion_dim + coarse))
        for layer, inputs in (
            (self.places, 4 * len(FREQUENCIES)),
            (self.mix_still, coarse + seen),
            (self.mix_8, coarse),
            (self.mix_8_again, coarse),
            (self.up_4, coarse),
            (self.mix_4, middle),
            (self.up_2, middle),
            (self.mix_2, fine),
            (self.up_1, fine),
        ):
            layer.build((None, None, None, inputs))
        skips = (fine, middle) if self.sees_frame else (0, 0)
        self.background.build([*((count,) for count in skips), (coarse,)])
        self.built = True

    def call(self, codes):
        steps = codes["motion"].shape[1]
        steps = tf.shape(codes["motion"])[1] - 1 if steps is None else steps - 1
        has_frame = codes["has_frame"][:, None, None, None]
        class_code = self.class_code(tf.one_hot(codes["label"], self.num_classes + 1))
        levels = self._levels(codes["frame"], has_frame)
        still = self._still(codes, class_code, levels)
        motion = self._motion(codes["motion"], class_code, levels)
        moving, mask = self._moving(still, motion, levels, steps)
        drawn = tf.cast(self.background([levels[0], levels[1], still]), tf.float32)
        ground = has_frame * codes["frame"] + (1.0 - has_frame) * 0.5 + drawn
        ground = ground[:, None]
        return ground + mask * (moving - ground)

    def _levels(self, frame, has_frame):
        """Maps of the first frame at 1/2, 1/4 and 1/8, zeros or without channels where none."""
        if self.frame_encoder is not None:
            return [level * tf.cast(has_frame, level.dtype) for level in self.frame_encoder(frame)]
        shape = tf.shape(frame)
        sizes = [(shape[0], shape[1] // side, shape[2] // side, 0) for side in (2, 4, 8)]
        return [tf.zeros(size, self.compute_dtype) for size in sizes]

    def _still(self, codes, class_code, levels):
        """What does not change in time: `(batch, height / 8, width / 8, filters[2])`."""
        size = tf.shape(codes["frame"])[1:3] // 8
        places = self.places(positions(size[0], size[1])[None])
        said = tf.concat([tf.cast(codes["content"], class_code.dtype), class_code], axis=-1)
        maps = leaky_relu(_modulated(places, self.still(said)[:, None, None]))
        return self.mix_still(tf.concat([maps, levels[2]], axis=-1))

    def _motion(self, noise, class_code, levels):
        """The code of each step: `(batch, steps, motion_filters)`."""
        noise = tf.cast(noise, class_code.dtype)
        # Where a moving part starts from is seen in the first frame.
        seen = tf.reduce_mean(levels[2], axis=[1, 2])
        start = self.start(tf.concat([noise[:, 0], class_code, seen], axis=-1))
        steps = tf.shape(noise)[1] - 1
        classes = tf.repeat(class_code[:, None], steps, axis=1)
        return self.memory(tf.concat([noise[:, 1:], classes], axis=-1), initial_state=start)

    def _moving(self, still, motion, levels, steps):
        """Moving part and mask, float32 `(batch, steps, height, width, channels and 1)`."""

        def modulated(maps, layer):
            by_step = unfold_time(maps, steps)
            return fold_time(_modulated(by_step, layer(motion)[:, :, None, None]))

        def with_skip(maps, skip):
            return fold_time(unfold_time(maps, steps) + skip[:, None])

        maps = _modulated(still[:, None], self.move_8(motion)[:, :, None, None])
        maps = self.mix_8(fold_time(leaky_relu(maps)))
        maps = leaky_relu(modulated(maps, self.move_8_again))
        maps = self.mix_8_again(maps)
        maps = tf.nn.depth_to_space(self.up_4(maps), 2)  # 1/4 of the frame
        if self.frame_encoder is not None:
            maps = with_skip(maps, self.skip_4(levels[1]))
        maps = leaky_relu(modulated(self.mix_4(maps), self.move_4))
        maps = tf.nn.depth_to_space(self.up_2(maps), 2)  # 1/2 of the frame
        if self.frame_encoder is not None:
            maps = with_skip(maps, self.skip_2(levels[0]))
        maps = tf.nn.depth_to_space(self.up_1(self.mix_2(maps)), 2)
        maps = unfold_time(tf.cast(maps, tf.float32), steps)
        # At first about three quarters of a pixel are of the background, as sigmoid(-1) is 0.27: in
        # footage of a fixed camera most of a frame stands still.
        return 0.5 + maps[..., :-1], tf.sigmoid(maps[..., -1:] - 1.0)

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "num_classes": self.num_classes,
            "sees_frame": self.sees_frame,
            "filters": self.filters,
            "motion_filters": self.motion_filters,
            "content_dim": self.content_dim,
            "motion_dim": self.motion_dim,
        }


def positions(height, width):
    """What tells a network where in the frame it is: waves down and across, whatever the size.

    Args:
        height, width: Places, ints or scalar integer tensors.

    Returns:
        float32 `(height, width, 16)`: sines and cosines of the place, from -1 to 1.

    Example:

    >>> positions(4, 6).shape
    TensorShape([4, 6, 16])
    """
    down, across = (
        (2.0 * tf.range(size, dtype=tf.float32) + 1.0) / tf.cast(size, tf.float32) - 1.0
        for size in (height, width)
    )
    angles = [
        math.pi * frequency * axis
        for frequency in FREQUENCIES
        for axis in tf.meshgrid(down, across, indexing="ij")
    ]
    return tf.stack([wave(angle) for angle in angles for wave in (tf.sin, tf.cos)], axis=-1)


def _dense(units, name, policy, activation=None):
    return keras.layers.Dense(units, activation=activation, name=name, dtype=policy)


def _modulated(maps, code):
    """Scales and shifts each channel (Perez et al. 2018, https://arxiv.org/abs/1709.07871)."""
    scale, shift = tf.split(code, 2, axis=-1)
    return maps * (1.0 + scale) + shift
