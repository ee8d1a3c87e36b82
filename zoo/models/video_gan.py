"""A video GAN, conditional on a first frame, on a class, or on both.

After Goodfellow et al. 2014 (https://arxiv.org/abs/1406.2661), Vondrick et al. 2016
(https://arxiv.org/abs/1609.02612: a still background, a moving part and a mask) and Tulyakov et
al. 2018 (MoCoGAN, https://arxiv.org/abs/1707.04993: a content code, a recurrent path of motion
codes, a discriminator of frames and one of videos). What differs: no layer is fully connected to
places, which are told by waves instead, so that frames of any size do; the class enters the
discriminators by projection (Miyato and Koyama 2018, https://arxiv.org/abs/1802.05637), beside
being read off a video, with `class_weight`, as MoCoGAN reads its categories; a first
frame enters by strided convolutions and skips, and a part of each batch is drawn from the first
frame of another clip, so that class and first frame need not belong together; another part is
drawn without noise and compared with what came, not judged, which is what `rollout` and `score`
use; nothing
asks the mask to be sparse, as Vondrick et al. do by its L1 norm with a weight of 0.1; samples of
one class are kept apart (Yang et al. 2019, https://arxiv.org/abs/1901.09024); the kernels of the
discriminators are kept at spectral norm one unless `spectral_norm=False` (Miyato et al. 2018,
https://arxiv.org/abs/1802.05957); the preset has the hinge loss in place of the binary
cross-entropy; and the discriminators see videos shifted and brightened at random (Zhao et al. 2020,
https://arxiv.org/abs/2006.10738), since the footage is little.
"""

import keras
import tensorflow as tf

from zoo.layers import add_draw_counter, fold_time, next_draw_seed, unfold_time
from zoo.layers.frame_codec import check_decoder_filters
from zoo.layers.random_views import shifted_and_lit
from zoo.layers.sizes import check_filters
from zoo.layers.video_discriminator import VideoDiscriminator
from zoo.layers.video_generator import VideoGenerator
from zoo.losses import SharpPrediction, class_loss
from zoo.models.adversarial import AdversarialModel, Drawn
from zoo.models.base import check_seed, free_shapes
from zoo.models.error_scorer import ErrorScorer

FRAMES_AT_ONCE = 16
OWN_SHARE = 0.25  # of a batch: drawn without noise from its own first frame
UNKNOWN_SHARE = 0.25  # of the clips with a first frame: the class is not told
MOST_DIVERSITY = 0.07  # per unit of the content code: more is not asked for
FRAMES_JUDGED = 2  # of each clip, by the discriminator of frames


@keras.saving.register_keras_serializable(package="zoo")
class VideoGAN(AdversarialModel, ErrorScorer):
    """Draws videos of a class, from a first frame, or of a class from a first frame.

    The loss of the generator is `reconstruction_weight` times the mean error, to the power of
    `reconstruction_exponent`, of what is drawn without noise from a clip's own first frame, plus
    `adversarial_weight` times the adversarial loss of what is drawn with noise and `class_weight`
    times the cross-entropy of the class read off it, less `diversity_weight` times how far apart
    two samples of one class, from one first frame or from none, are, as a share of how far apart
    their codes are. Beside the terms of `AdversarialModel`, `diversity`, `class_real` and
    `class_drawn` are reported where they have weight.

    `rollout` draws blocks of 16 frames, each from the last frame of the one before; without a
    seed, without noise. The anomaly score of a frame is the squared error of the frame drawn
    from the one before it, without noise and class.

    Args:
        labels: Names of the classes, or `()` for none.
        first_frame: Whether a video may be drawn from a first frame. Without it the model
            neither rolls out nor scores.
        reconstruction_weight: Weight of the error of what is drawn without noise, above 0.
        reconstruction_exponent: 2 for the squared error, 1 for the absolute one, or between: the
            smaller, the stiller what stands still, and the sharper what might move.
        filters: Channels of the generator at 1/2, 1/4 and 1/8 of the frame, the first even.
        motion_filters: Units of the GRU of its motion codes.
        content_dim, motion_dim: Numbers in the content code and in the motion noise of a frame.
        discriminator_filters: Channels of the discriminator of videos at 1/2, 1/4 and 1/8.
        frame_filters: The same of the discriminator of frames.
        diversity_weight: Weight of the distance between samples; needs labels.
        class_weight: Weight, in the generator's loss, of the cross-entropy of the class that the
            discriminator of videos reads off what was drawn; needs labels. The discriminator
            learns to read it off real videos.
        seed: Of the draws in training, a whole number from 0 up to 2**31 - 1.
        **kwargs: Arguments of `AdversarialModel`, `ErrorScorer` and `VideoModel`.

    Call arguments:
        inputs: Dict of `clip` float32 `(batch, time, height, width, channels)` in [0, 1] and,
            with labels, `label` int32 `(batch,)`; or the clip alone, of which then no class is
            known. Height and width multiples of 8. From `data_pipelines.tasks.generate()`.

    Returns:
        float32, the shape of the clip: what is drawn of it without noise. With `first_frame` it
        begins with the clip's own.

    Raises:
        ValueError: If an argument or a clip breaks a rule; the message names it.

    Example:

    >>> model = VideoGAN(labels=("walk", "run"), clip_shape=(16, 64, 64, 1))
    >>> model.sample({"first_frame": None, "label": [0, 1, 1]}, steps=8, seed=0).shape
    TensorShape([3, 8, 64, 64, 1])

    Reference:
        Vondrick, Pirsiavash and Torralba, "Generating Videos with Scene Dynamics", 2016;
        Tulyakov, Liu, Yang and Kautz, "MoCoGAN: Decomposing Motion and Content for Video
        Generation", 2018
    """

    verbs = ("encode", "features", "rollout", "sample", "score", "score_map", "step")
    task = "generate"
    stride = 8
    min_frames = 3
    rollout_block = FRAMES_AT_ONCE
    layout = 2  # 1 judged means over frames and videos

    def __init__(
        self,
        labels=(),
        first_frame=True,
        reconstruction_weight=100.0,
        reconstruction_exponent=2.0,
        filters=(16, 32, 64),
        motion_filters=64,
        content_dim=32,
        motion_dim=16,
        discriminator_filters=(16, 32, 64),
        frame_filters=(16, 32, 64),
        diversity_weight=0.0,
        class_weight=0.0,
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.labels = tuple(labels)
        if len(set(self.labels)) < len(self.labels):
            raise ValueError(f"`labels` must be distinct. Received: labels={self.labels}")
        if not self.labels and not first_frame:
            raise ValueError(
                "A video must be drawn from something: give `labels` or first_frame=True. "
                "Received: labels=(), first_frame=False"
            )
        if not self.adversarial_weight:
            raise ValueError(
                "`adversarial_weight` must be above 0: the features are those of the "
                f"discriminator. Received: adversarial_weight={self.adversarial_weight}"
            )
        if reconstruction_weight <= 0:
            raise ValueError(
                "`reconstruction_weight` must be above 0. "
                f"Received: reconstruction_weight={reconstruction_weight}"
            )
        if not 1 <= reconstruction_exponent <= 2:
            raise ValueError(
                "`reconstruction_exponent` must be from 1 to 2. "
                f"Received: reconstruction_exponent={reconstruction_exponent}"
            )
        for name, value, why in (
            ("diversity_weight", diversity_weight, "samples are compared that are of one class"),
            ("class_weight", class_weight, "there is no class to be read off a video"),
        ):
            if value < 0:
                raise ValueError(f"`{name}` must not be negative. Received: {name}={value}")
            if value and not self.labels:
                raise ValueError(
                    f"`{name}` must be 0 without `labels`: {why}. "
                    f"Received: {name}={value}, labels=()"
                )
        self.first_frame = first_frame
        self.filters = check_decoder_filters("filters", filters)
        self.motion_filters = motion_filters
        self.content_dim = content_dim
        self.motion_dim = motion_dim
        self.discriminator_filters = check_filters(
            "discriminator_filters", discriminator_filters, 3
        )
        self.frame_filters = check_filters("frame_filters", frame_filters, 3)
        self.reconstruction_weight = reconstruction_weight
        self.reconstruction_exponent = reconstruction_exponent
        self.diversity_weight = diversity_weight
        self.class_weight = class_weight
        check_seed(seed)
        self.seed = seed
        if not first_frame:
            self.verbs = ("encode", "features", "sample")
        policy = self.dtype_policy
        self._adopt(
            lambda name: VideoGenerator(
                self.channels, self.num_classes, self.first_frame, self.filters,
                self.motion_filters, self.content_dim, self.motion_dim, name=name, dtype=policy,
            ),
            lambda name: VideoDiscriminator(
                self.channels, self.num_classes, self.discriminator_filters, self.frame_filters,
                self.spectral_norm, bool(self.class_weight), name=name, dtype=policy,
            ),
        )  # fmt: skip
        self.diversity_metric = (
            keras.metrics.Mean(name="diversity") if diversity_weight else None
        )
        self.class_metrics = (
            [keras.metrics.Mean(name=f"class_{side}") for side in ("real", "drawn")]
            if class_weight
            else []
        )

    @property
    def num_classes(self):
        """How many classes there are; 0 where videos are not drawn by class."""
        return len(self.labels)

    @property
    def warm_up(self):
        """Frames that score 0: the first, before which there is none."""
        return 1

    @property
    def encoder(self):
        """The trunk of the discriminator of videos."""
        return self.discriminator.encoder

    def build(self, input_shape=None):
        super().build(input_shape)
        self.draws = add_draw_counter(self)

    def default_loss(self):
        return SharpPrediction(
            lp_weight=self.reconstruction_weight,
            gradient_weight=0.0,
            exponent=self.reconstruction_exponent,
        )

    def call(self, inputs, training=False):
        clip, label = self._unpacked(inputs)
        time = clip.shape[1] or tf.shape(clip)[1]
        steps = time - 1 if self.first_frame else time
        drawn = self._without_noise(clip[:, 0], label, steps, self._generator_for(training))
        return tf.concat([clip[:, :1], drawn], axis=1) if self.first_frame else drawn

    def _unpacked(self, inputs):
        """Clip, and class or where none is told the number that stands for it."""
        inputs = inputs if isinstance(inputs, dict) else {"clip": inputs}
        clip = self.check_clip(inputs["clip"])
        label = inputs.get("label")
        if label is None or not self.labels:
            return clip, tf.fill(tf.shape(clip)[:1], self.num_classes)
        return clip, self._checked_label(label)

    def _without_noise(self, frame, label, steps, generator):
        batch = tf.shape(frame)[0]
        motion = tf.zeros((batch, steps + 1, self.motion_dim))
        if isinstance(steps, int):
            motion = tf.ensure_shape(motion, [None, steps + 1, self.motion_dim])
        return generator(
            {
                "content": tf.zeros((batch, self.content_dim)),
                "motion": motion,
                "label": label,
                "frame": frame,
                "has_frame": tf.fill([batch], float(self.first_frame)),
            }
        )

    # Training.

    def _draw(self, x, y, training):
        clip, label = self._unpacked(x)
        real = clip[:, 1:] if self.first_frame else clip
        if training:
            seed = next_draw_seed(self.seed, self.draws)
        else:
            seed = tf.constant([self.seed, -1])
        seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 8))
        codes, own, alone = self._training_codes(clip, label, seeds)
        drawn = self._generator_for(training)(codes)
        extra = 0.0
        if self.diversity_metric is not None:
            diversity = self._diversity(drawn, codes["content"], (alone, tf.shape(clip)[0] - own))
            self._note(self.diversity_metric, diversity, clip)
            extra = -self.diversity_weight * diversity
        real_label = codes.pop("real_label")
        places = tf.random.stateless_uniform(
            (FRAMES_JUDGED,), seeds[4], maxval=tf.shape(real)[1], dtype=tf.int32
        )
        # What is drawn without noise is to be the likeliest, not one that might be real: it is
        # compared with what came, and not judged.
        judged = tf.maximum(tf.shape(clip)[0] - own, 1)
        shown = [
            self._shown(video[:judged], labels[:judged], places, seed)
            for video, labels, seed in (
                (real, real_label, seeds[5]),
                (drawn, codes["label"], seeds[6]),
            )
        ]
        return Drawn(real[-own:], drawn[-own:], *shown, extra=extra)

    def _training_codes(self, clip, label, seeds):
        """Codes of a batch: by class alone; of a class from another's frame; its own, no noise."""
        batch, time = tf.shape(clip)[0], clip.shape[1] or tf.shape(clip)[1]
        steps = time - 1 if self.first_frame else time
        place = tf.range(batch)
        own = tf.maximum(tf.cast(OWN_SHARE * tf.cast(batch, tf.float32), tf.int32), 1)
        alone = batch - own
        if self.first_frame:
            alone = (alone + 1) // 2 if self.labels else 0
        is_own, is_alone = place >= batch - own, place < alone
        noise = tf.cast(~is_own, tf.float32)[:, None]
        content = noise * tf.random.stateless_normal((batch, self.content_dim), seeds[0])
        motion = tf.random.stateless_normal((batch, steps + 1, self.motion_dim), seeds[1])
        has_frame = tf.cast(~is_alone if self.first_frame else tf.zeros_like(is_alone), tf.float32)
        # Two and two are of one class and from one first frame, if any, to be kept apart.
        within = place - tf.where(is_alone, 0, alone)
        pair = tf.where(is_own, place, place - within % 2)
        other = tf.gather(tf.roll(clip[:, 0], 1, axis=0), pair)
        frame = tf.where(is_own[:, None, None, None], clip[:, 0], other)
        # The class is left out for the discriminator too, real videos included.
        told = tf.random.stateless_uniform((batch,), seeds[2]) >= UNKNOWN_SHARE
        told = tf.gather(told | is_alone, pair)
        return {
            "content": content,
            "motion": noise[:, None] * motion,
            "label": tf.where(told, tf.gather(label, pair), self.num_classes),
            "real_label": tf.where(told, label, self.num_classes),
            "frame": frame,
            "has_frame": has_frame,
        }, own, alone

    def _diversity(self, drawn, content, ends):
        """How far apart two samples of one pair are per unit of their content codes.

        Pairs stand one after another from the first sample and from `ends[0]`, up to `ends[0]` and
        to `ends[1]`; what is left over of each part has none.
        """
        parts = ((0, ends[0]), (ends[0], ends[1]))
        pairs = [start + 2 * tf.range((end - start) // 2) for start, end in parts]
        first = tf.concat(pairs, axis=0)
        apart = tf.abs(tf.gather(drawn, first) - tf.gather(drawn, first + 1))
        codes_apart = tf.abs(tf.gather(content, first) - tf.gather(content, first + 1))
        ratio = tf.reduce_mean(apart, axis=[1, 2, 3, 4]) / tf.reduce_mean(codes_apart, axis=1)
        ratio = tf.minimum(ratio, MOST_DIVERSITY)
        return tf.math.divide_no_nan(tf.reduce_sum(ratio), tf.cast(tf.size(first), tf.float32))

    def _shown(self, video, label, places, seed):
        """What the discriminators see: the video shifted and brightened, and frames of it."""
        clip = shifted_and_lit(video, seed)
        return {"clip": clip, "frames": tf.gather(clip, places, axis=1), "label": label}

    def _verdicts(self, judged):
        return judged["verdicts"]

    def _beside_verdicts(self, judged, videos, x, is_drawn):
        if not self.class_weight:
            return 0.0
        loss = class_loss(judged["classes"], videos["label"])
        self._note(self.class_metrics[is_drawn], loss, x)
        return self.class_weight * loss if is_drawn else loss

    # Drawing.

    @property
    def _conditions(self):
        if not self.labels:
            return super()._conditions
        if not self.first_frame:
            return "a dict with a `label`"
        return "frames, or a dict with a `first_frame`, a `label` or both"

    def conditioning(self, inputs):
        """What `sample` takes, of a batch of the training stream: its classes, or first frames."""
        clip, label = self._unpacked(inputs)
        if self.labels:
            return {"first_frame": None, "label": label}
        return {"first_frame": clip[:, 0], "label": None}

    def check_conditioning(self, conditioning):
        unknown = set(conditioning) - {"first_frame", "label"}
        frame, label = (conditioning.get(name) for name in ("first_frame", "label"))
        if unknown or (frame is None and label is None):
            raise ValueError(
                f"`conditioning` must be {self._conditions}. Received: {sorted(conditioning)}"
                + ("" if unknown else ", all None")
            )
        if label is not None:
            label = self._checked_label(label)
        if frame is not None:
            self._check_sees_frames()
            frame = self.check_frame(frame, "first_frame")[:, 0]
        else:
            if self.clip_shape is None:
                raise ValueError(
                    "`conditioning` must hold a `first_frame`, as `clip_shape` says no size. "
                    "Received: first_frame=None, clip_shape=None"
                )
            frame = tf.zeros((tf.shape(label)[0], *self.clip_shape[1:3], self.channels))
        batch = tf.shape(frame)[0]
        if label is None:
            label = tf.fill([batch], self.num_classes)
        if tf.executing_eagerly() and len(label) != len(frame):
            raise ValueError(
                "`first_frame` and `label` must be of one batch. "
                f"Received: {len(frame)} frames and {len(label)} labels"
            )
        has_frame = tf.fill([batch], float(conditioning.get("first_frame") is not None))
        return {"frame": frame, "has_frame": has_frame, "label": label}

    def _checked_label(self, label):
        if not self.labels:
            raise ValueError(
                f"`label` must be None: this model knows no classes. Received: label={label}"
            )
        label = tf.convert_to_tensor(label)
        if not label.dtype.is_integer or label.shape.rank not in (1, None):
            raise ValueError(
                "`label` must be whole numbers of the shape (batch,). "
                f"Received: dtype {label.dtype.name}, shape {tuple(label.shape)}"
            )
        rule = f"`label` must be from 0 to {self.num_classes - 1}: {', '.join(self.labels)}."
        if tf.executing_eagerly():
            wrong = [int(number) for number in label if not 0 <= number < self.num_classes]
            if wrong:
                raise ValueError(f"{rule} Received: {wrong[0]}")
            return tf.cast(label, tf.int32)
        # Of a class that there is not the one-hot code would be zeros, and nobody would know.
        checks = [
            tf.debugging.assert_non_negative(label, rule),
            tf.debugging.assert_less(label, tf.cast(self.num_classes, label.dtype), rule),
        ]
        with tf.control_dependencies(checks):
            return tf.cast(tf.identity(label), tf.int32)

    def _check_context(self, context, name):
        self._check_sees_frames()
        return super()._check_context(context, name)

    def _check_sees_frames(self):
        if not self.first_frame:
            raise ValueError(
                "`first_frame` must be None: this model was made with first_frame=False"
            )

    def _from_last_frame(self, context):
        batch = tf.shape(context)[0]
        return {
            "frame": context[:, -1],
            "has_frame": tf.ones([batch]),
            "label": tf.fill([batch], self.num_classes),
        }

    def _rollout(self, context, steps):
        return self._sample(context, steps, seed=None)

    def _sample(self, conditioning, steps, seed):
        if not isinstance(conditioning, dict):
            conditioning = self._from_last_frame(conditioning)
        generator = self._generator_for(training=False)
        frame, label = conditioning["frame"], conditioning["label"]
        batch = tf.shape(frame)[0]
        # Without first frames nothing can go on from what was drawn: all is drawn at once.
        count = tf.minimum(steps, FRAMES_AT_ONCE) if self.first_frame else steps
        blocks = (steps + count - 1) // count
        content = self._noise(seed, 0, (batch, self.content_dim))
        written = tf.TensorArray(
            tf.float32, size=blocks, element_shape=[None] * 4 + [self.channels]
        )

        def body(index, frame, has_frame, written):
            motion = self._noise(seed, index + 1, (batch, count + 1, self.motion_dim))
            codes = {"content": content, "motion": motion, "label": label}
            drawn = generator({**codes, "frame": frame, "has_frame": has_frame})
            drawn = tf.clip_by_value(drawn, 0.0, 1.0)
            by_time = tf.transpose(drawn, [1, 0, 2, 3, 4])
            return index + 1, drawn[:, -1], tf.ones([batch]), written.write(index, by_time)

        loop = {"frame": frame, "has_frame": conditioning["has_frame"]}
        shapes = free_shapes(loop)
        _, _, _, written = tf.while_loop(
            lambda index, *_: index < blocks,
            body,
            (0, loop["frame"], loop["has_frame"], written),
            shape_invariants=(tf.TensorShape([]), shapes["frame"], shapes["has_frame"], None),
        )
        future = tf.transpose(written.concat(), [1, 0, 2, 3, 4])[:, :steps]
        return tf.ensure_shape(future, [frame.shape[0], None, *frame.shape[1:]])

    def _noise(self, seed, index, shape):
        if seed is None:
            return tf.zeros(shape)
        folded = tf.random.experimental.stateless_fold_in(tf.stack([seed, 0]), index)
        return tf.random.stateless_normal(shape, folded)

    # Scoring.

    def _initial_state(self, batch, height, width):
        return {
            "pending": tf.zeros((batch, 1, height, width, self.channels), tf.float32),
            "frames_seen": tf.zeros((batch,), tf.int32),
        }

    def _advance(self, frames, state):
        count = frames.shape[1] or tf.shape(frames)[1]
        each = fold_time(frames)
        unknown = tf.fill(tf.shape(each)[:1], self.num_classes)
        ahead = self._without_noise(each, unknown, 1, self._generator_for(training=False))
        ahead = unfold_time(fold_time(tf.clip_by_value(ahead, 0.0, 1.0)), count)
        queue = tf.concat([state["pending"], ahead], axis=1)
        score, score_map = self._scored(
            tf.square(frames - queue[:, :count]), state["frames_seen"]
        )
        new_state = {"pending": queue[:, -1:], "frames_seen": state["frames_seen"] + count}
        return {"prediction": ahead, "score": score, "score_map": score_map, "state": new_state}

    def get_config(self):
        return {
            **super().get_config(),
            "labels": self.labels,
            "first_frame": self.first_frame,
            "filters": self.filters,
            "motion_filters": self.motion_filters,
            "content_dim": self.content_dim,
            "motion_dim": self.motion_dim,
            "discriminator_filters": self.discriminator_filters,
            "frame_filters": self.frame_filters,
            "reconstruction_weight": self.reconstruction_weight,
            "reconstruction_exponent": self.reconstruction_exponent,
            "diversity_weight": self.diversity_weight,
            "class_weight": self.class_weight,
            "seed": self.seed,
        }
