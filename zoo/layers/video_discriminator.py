"""Discriminators of frames and of videos, each told the class by projection."""

import keras
import tensorflow as tf

from zoo.layers.convolution import build_chain
from zoo.layers.sizes import check_size
from zoo.layers.space_time_block import with_neighbours
from zoo.layers.spectral import critic_convolution, critic_view
from zoo.layers.time_axis import fold_time, unfold_time


@keras.saving.register_keras_serializable(package="zoo")
class ClipEncoder(keras.Model):
    """The trunk of the discriminator of videos: frames, with their changes, to descriptors.

    Args:
        channels: Channels of a frame, 1 or 3.
        filters: Channels at 1/2, 1/4 and 1/8 of the frame.
        spectral_norm: Whether the kernels are kept at spectral norm one.

    Call arguments:
        clip: float32 `(batch, time, height, width, channels)`; height and width multiples of 8.
        training: Whether the spectral norms are brought up to date.

    Returns:
        float32 descriptor grid `(batch, time / 2, height / 8, width / 8, filters[2])`, time
        rounded up: each has seen three frames about its own.
    """

    def __init__(self, channels, filters, spectral_norm, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.channels = channels
        self.filters = tuple(filters)
        self.spectral_norm = spectral_norm
        self.down = [
            critic_convolution(
                count,
                5 if level == 0 else 3,
                f"down_{2 ** (level + 1)}",
                self.dtype_policy,
                strides=2,
                spectral=spectral_norm,
            )
            for level, count in enumerate(self.filters)
        ]
        self.over_time = critic_convolution(
            self.filters[2], 1, "over_time", self.dtype_policy, spectral=spectral_norm
        )

    @property
    def depth(self):
        """Channels of the descriptor grid."""
        return self.filters[2]

    def build(self, input_shape=None):
        build_chain(self.down, (None, None, None, 2 * self.channels))
        self.over_time.build((None, None, None, 3 * self.filters[-1]))
        self.built = True

    def call(self, clip, training=False):
        check_size(*clip.shape[2:4], 8)
        count = clip.shape[1] or tf.shape(clip)[1]
        before = tf.concat([clip[:, :1], clip[:, :-1]], axis=1)
        maps = fold_time(critic_view(clip, clip - before))
        for layer in self.down:
            maps = layer(maps, training=training)
        # Neighbours are joined where maps are small: at 1/4 of the frame that alone would cost
        # as much as all the convolutions.
        maps = with_neighbours(unfold_time(maps, count), stride=2)
        maps = self.over_time(fold_time(maps), training=training)
        return tf.cast(unfold_time(maps, (count + 1) // 2), tf.float32)

    def compute_output_shape(self, input_shape):
        batch, time, height, width, _ = input_shape
        reduced = (size and size // 8 for size in (height, width))
        return (batch, time and (time + 1) // 2, *reduced, self.depth)

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "filters": self.filters,
            "spectral_norm": self.spectral_norm,
        }


@keras.saving.register_keras_serializable(package="zoo")
class VideoDiscriminator(keras.Model):
    """A discriminator of single frames and one of videos.

    Each place is judged by itself, as by the discriminators of MoCoGAN: a mean over the frame
    would hardly tell a person from a smear, and little of its gradient would reach either. With
    `f` what the last layer says of a place and `e_y` a vector for the class, a verdict is
    `v'f + e_y'f`: that of Miyato and Koyama 2018 but for the bias. `spectral_norm` is of the
    convolutions; `v` and `e_y` are not kept at norm one: their scale is that of the verdicts.

    Args:
        channels, spectral_norm: As of `ClipEncoder`.
        num_classes: Classes; class `num_classes` stands for one that is not known.
        filters: As of `ClipEncoder`.
        frame_filters: Channels of the discriminator of frames at 1/2, 1/4 and 1/8.
        names_class: Whether the class of a video is named too, as MoCoGAN's discriminator of videos
            does where there are categories.

    Call arguments:
        videos: Dict of `clip` float32 `(batch, time, height, width, channels)`, `frames`
            `(batch, n, height, width, channels)`, some frames of it, and `label` int32
            `(batch,)`.
        training: Whether the spectral norms are brought up to date.

    Returns:
        Dict of float32: `verdicts`, those on frames `(batch, n * height / 8 * width / 8)` and those
        on videos `(batch, time / 4 * height / 16 * width / 16)`, sizes rounded up, the larger the
        more real; and, with `names_class`, `classes`, logits `(batch, num_classes)`.

    Reference:
        Tulyakov, Liu, Yang and Kautz, "MoCoGAN", 2018, https://arxiv.org/abs/1707.04993; Miyato
        and Koyama, "cGANs with Projection Discriminator", 2018, https://arxiv.org/abs/1802.05637
    """

    def __init__(
        self,
        channels,
        num_classes,
        filters,
        frame_filters,
        spectral_norm,
        names_class=False,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.channels = channels
        self.num_classes = num_classes
        self.frame_filters = tuple(frame_filters)
        policy = self.dtype_policy
        self.encoder = ClipEncoder(
            channels, filters, spectral_norm, name="encoder", dtype=policy
        )
        self.last = critic_convolution(
            2 * filters[2], 3, "last", policy, strides=2, spectral=spectral_norm
        )
        self.video_head = _Projection(num_classes, name="video_head", dtype=policy)
        self.frame_layers = [
            critic_convolution(
                count, 3, f"frame_{2 ** (level + 1)}", policy, strides=2, spectral=spectral_norm
            )
            for level, count in enumerate(self.frame_filters)
        ]
        self.frame_head = _Projection(num_classes, name="frame_head", dtype=policy)
        self.class_head = None
        if names_class:
            self.class_head = keras.layers.Dense(num_classes, name="class_head", dtype="float32")

    def build(self, input_shape=None):
        self.encoder.build()
        depth = self.encoder.depth
        self.last.build((None, None, None, 3 * depth))
        self.video_head.build((None, 2 * depth))
        build_chain(self.frame_layers, (None, None, None, self.channels))
        self.frame_head.build((None, self.frame_filters[-1]))
        if self.class_head is not None:
            self.class_head.build((None, 2 * depth))
        self.built = True

    def call(self, videos, training=False):
        grid = self.encoder(videos["clip"], training=training)
        maps = with_neighbours(grid, stride=2)
        count = maps.shape[1] or tf.shape(maps)[1]
        maps = unfold_time(self.last(fold_time(maps), training=training), count)
        of_video = self.video_head(maps, videos["label"])
        # Over all of the video: a class shows in what changes.
        pooled = tf.reduce_mean(tf.cast(maps, tf.float32), axis=[1, 2, 3])
        count = videos["frames"].shape[1]
        maps = 2.0 * fold_time(videos["frames"]) - 1.0
        for layer in self.frame_layers:
            maps = layer(maps, training=training)
        of_frames = self.frame_head(unfold_time(maps, count), videos["label"])
        judged = {"verdicts": [of_frames, of_video]}
        if self.class_head is not None:
            judged["classes"] = self.class_head(pooled)
        return judged


@keras.saving.register_keras_serializable(package="zoo")
class _Projection(keras.layers.Layer):
    """`(batch, ..., depth)` features and `(batch,)` classes -> `(batch, n)` verdicts, float32."""

    def __init__(self, num_classes, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.num_classes = num_classes
        # No bias: while all verdicts lie within the margin of the hinge loss, real and drawn videos
        # pull it both ways alike, and its gradient is 0.
        self.verdict = keras.layers.Dense(1, use_bias=False, name="verdict", dtype="float32")

    def build(self, input_shape):
        self.verdict.build(input_shape)
        self.class_vectors = self.add_weight(
            shape=(self.num_classes + 1, input_shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=0.05),
            name="class_vectors",
        )
        self.built = True

    def call(self, features, labels):
        depth = features.shape[-1]
        shape = tf.concat([tf.shape(features)[:1], [-1, depth]], axis=0)
        features = tf.reshape(tf.cast(features, tf.float32), shape)
        vectors = tf.matmul(
            tf.one_hot(labels, self.num_classes + 1), tf.convert_to_tensor(self.class_vectors)
        )
        by_class = tf.reduce_sum(vectors[:, None] * features, axis=-1)
        return self.verdict(features)[..., 0] + by_class

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}
