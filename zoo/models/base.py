"""The verbs that every model of the zoo answers, and the rules that a clip must meet."""

import importlib
import math
import pkgutil

import keras
import numpy as np
import tensorflow as tf

from zoo.layers.pooling import STATISTICS, descriptor_statistics
from zoo.layers.sizes import check_size
from zoo.models.weights_layout import (
    check_file_layout,
    check_layout,
    modified,
    note_layout,
)

CLIP_AXES = "(batch, time, height, width, channels)"
FRAME_AXES = "(batch, height, width, channels)"


class VideoModel(keras.Model):
    """A Keras model of video with the verbs of the zoo.

    A model is fully convolutional: any height and width that `stride` divides, any time from
    `min_frames` up. `clip` is float32 `(batch, time, height, width, channels)` in [0, 1]. A
    subclass lists the verbs it answers in `verbs` and defines a method `_VERB` for each, written
    in TensorFlow operations; the public verb checks its arguments and runs that as a graph.
    `features` and `encode` need none: they come from `encoder`, a `keras.Model` with the attribute
    `depth`, from clip to descriptor grid. `score` and `score_map` are both `_score_with_map`'s.

    Args:
        channels: Channels of a frame: 1 (grey) or 3 (RGB).
        clip_shape: Preferred `(time, height, width, channels)`, or `None`.
        fps: Frames per second that the model is trained at, or `None`.

    Attributes:
        verbs: Names of the verbs that this model answers.
        stride: Height and width must be multiples of it.
        min_frames: Frames of the shortest clip that `encode`, `features` and `reconstruct` take.
        warm_up: Frames at the start of a video that score 0.
        task: What the training targets are: `"predict_ahead"`, `"reconstruct"`, `"generate"` or
            `"reconstruct_and_predict"`, a dict of both, as then is what `model(context)` gives.
        monitor: Name of the reported term whose smallest held-out value is the best.
        rollout_block: Frames that a rollout predicts at once before it is fed on them.
        samples_without_context: Whether `sample` takes `None` for its conditioning.
        layout: Which version of its structure the weights are of; a class whose weights of before
            no longer fit, or mean something else, raises it.
        found_on: Kinds of footage on which a part of the model was found by trial, so that figures
            measured there are no test of it.
        posterior: Layer whose Gaussian the latents are drawn from in training, or `None`.
        kl_weight: Variable, the weight of the divergence of that from the prior, or `None`.
        is_fitted_in_closed_form: Whether `fit` computes the weights in one pass over the footage.
            Such a model has no gradients, no learning rate and nothing to resume.
    """

    verbs = ()
    stride = 8
    min_frames = 2
    warm_up = 0
    task = "reconstruct"
    rollout_block = 1
    samples_without_context = False
    monitor = "reconstruction"
    layout = 1
    found_on = ()
    posterior = None
    kl_weight = None
    is_fitted_in_closed_form = False

    def __init__(self, channels=1, clip_shape=None, fps=None, **kwargs):
        # Keras would round pixels, and the targets made of them, to the compute dtype on the way
        # in; the layers inside cast where that costs nothing.
        super().__init__(autocast=False, **kwargs)
        if channels not in (1, 3):
            raise ValueError(f"`channels` must be 1 or 3. Received: channels={channels}")
        if clip_shape is not None:
            clip_shape = tuple(clip_shape)
            if len(clip_shape) != 4 or clip_shape[-1] != channels:
                raise ValueError(
                    "`clip_shape` must be (time, height, width, channels) with as many channels "
                    f"as `channels`. Received: clip_shape={clip_shape}, channels={channels}"
                )
            check_size(*clip_shape[1:3], self.stride, name="clip_shape")
        if fps is not None and fps <= 0:
            raise ValueError(f"`fps` must be above 0. Received: fps={fps}")
        self.channels = channels
        self.clip_shape = clip_shape
        self.fps = fps
        self.reconstruction_metric = keras.metrics.Mean(name="reconstruction")
        # What `jit_compile="auto"` looks at. XLA makes convolutions on a CPU two to twenty times
        # slower; who wants it elsewhere can still ask `compile` for it.
        self.supports_jit = False
        self._graphs = {}
        self._steps = {}
        self._state_dtypes = None
        self._in_step = False

    # What a subclass defines beside `call` and `_VERB` for each of its verbs.

    @property
    def embedding_dim(self):
        """Numbers in what `encode` gives."""
        return STATISTICS * self.encoder.depth

    @property
    def added_terms(self):
        """What training adds to the compiled loss: dict from reported name to weight."""
        return {} if self.kl_weight is None else {"kl": float(self.kl_weight)}

    def code_size(self, time, height, width):
        """Numbers in the code that `reconstruct` draws a clip from, of an autoencoder.

        Args:
            time: Frames of the clip.
            height, width: Of its frames in pixels.

        Returns:
            int.

        Raises:
            NotImplementedError: If what the model draws is made of more than a code.
        """
        raise NotImplementedError(f"{type(self).__name__} does not draw from a code alone.")

    def default_loss(self):
        """The `keras.losses.Loss` that the model is trained with unless told otherwise."""
        raise NotImplementedError(f"{type(self).__name__} does not define `default_loss`.")

    @property
    def _conditions(self):
        """What `sample` draws from, in words."""
        return "frames, or a dict with a `first_frame`"

    # The verbs.

    def encode(self, clip):
        """One vector per clip.

        Args:
            clip: float32 `(batch, time, height, width, channels)` in [0, 1].

        Returns:
            float32 tensor `(batch, embedding_dim)`.

        Raises:
            ValueError: If the clip breaks a rule; the message names it and what came.
            NotImplementedError: If the model does not answer this verb.
        """
        return self._answer("encode", clip)

    def features(self, clip):
        """A grid of local spatio-temporal descriptors.

        Args:
            clip: float32 `(batch, time, height, width, channels)` in [0, 1].

        Returns:
            float32 tensor `(batch, time', height', width', depth)`.
        """
        return self._answer("features", clip)

    def reconstruct(self, clip):
        """The clip as the model's code lets it be drawn again.

        Args:
            clip: float32 `(batch, time, height, width, channels)` in [0, 1].

        Returns:
            float32 tensor of the same shape in [0, 1].
        """
        return self._answer("reconstruct", clip)

    def rollout(self, context, steps, seed=None):
        """Predicts the frames after a context, fed on its own output.

        Args:
            context: float32 `(batch, time, height, width, channels)` in [0, 1], at least one
                frame.
            steps: Number of frames to predict, at least 1.
            seed: Seed of the draws from the prior, a whole number from 0 up to 2**31 - 1; `None`
                takes the prior's mean.

        Returns:
            float32 tensor `(batch, steps, height, width, channels)` in [0, 1].

        Raises:
            ValueError: If `steps`, `seed` or the context breaks a rule.
        """
        self._check_verb("rollout")
        return self._generate("context", context, steps, seed)

    def sample(self, conditioning, steps, seed):
        """Draws one possible future.

        Args:
            conditioning: Context frames, float32 `(batch, time, height, width, channels)` in
                [0, 1], at least one; or `None`, of a model with `samples_without_context`: one
                clip of the height and width of `clip_shape`, drawn from nothing; or a dict of
                `first_frame`, float32 `(batch, height, width, channels)` or `None`, and `label`,
                whole numbers `(batch,)` or `None`, of a model that is conditional on a class.
            steps: Number of frames to draw, at least 1.
            seed: Seed of the draws, a whole number from 0 up to 2**31 - 1. Equal seeds give
                equal samples.

        Returns:
            float32 tensor `(batch, steps, height, width, channels)` in [0, 1].

        Raises:
            ValueError: If `seed` is `None`, `steps`, `seed` or the frames break a rule, or there
                are no frames and the model needs them or has no `clip_shape`.
        """
        self._check_verb("sample")
        if seed is None:
            raise ValueError(
                "`sample` draws at random and needs an integer `seed`; `rollout` with seed=None "
                "gives the prior's mean. Received: seed=None"
            )
        if conditioning is not None:
            return self._generate("conditioning", conditioning, steps, seed)
        if not self.samples_without_context:
            raise ValueError(
                f"`conditioning` must be {self._conditions}. Received: conditioning=None"
            )
        if self.clip_shape is None:
            raise ValueError(
                "`conditioning` must be frames, as `clip_shape` says no size. "
                "Received: conditioning=None, clip_shape=None"
            )
        check_seed(seed)
        seed = tf.convert_to_tensor(seed, tf.int32)
        return self._run("sample_without_context", _steps(steps), seed)

    def check_conditioning(self, conditioning):
        """Turns a dict of conditions into what the model samples from, or says what is wrong.

        Args:
            conditioning: As the dict that `sample` takes.

        Returns:
            A context `(batch, 1, height, width, channels)`; a model that is conditional on more
            gives what its own `_sample` takes.

        Raises:
            ValueError: If there is no first frame, or a label.
        """
        frame = conditioning.get("first_frame")
        if set(conditioning) - {"first_frame", "label"} or frame is None:
            raise ValueError(
                f"`conditioning` must be {self._conditions}. Received: {sorted(conditioning)}"
            )
        if conditioning.get("label") is not None:
            raise ValueError(
                f"`label` must be None: {type(self).__name__} knows no classes. "
                f"Received: label={conditioning['label']}"
            )
        return self.check_frame(frame, "first_frame")

    def score(self, clip):
        """Anomaly score of each frame: causal, the same numbers as `step` frame by frame.

        Args:
            clip: float32 `(batch, time, height, width, channels)` in [0, 1], any length.

        Returns:
            float32 tensor `(batch, time)`; the first `warm_up` frames score 0.
        """
        return self._score_parts("score", clip)["score"]

    def score_map(self, clip):
        """Where in the frame the score comes from.

        Args:
            clip: float32 `(batch, time, height, width, channels)` in [0, 1], any length.

        Returns:
            float32 tensor `(batch, time, height', width')`.
        """
        return self._score_parts("score_map", clip)["score_map"]

    def score_with_map(self, clip):
        """`score` and `score_map` in one pass.

        Args:
            clip: As for `score`.

        Returns:
            Dict of `score` and `score_map`, as the verbs of these names give them.
        """
        return self._score_parts("score_map", clip)

    def initial_state(self, batch, height, width):
        """The state before the first frame of a video: a dict of tensors, all zeros.

        Args:
            batch: Number of videos side by side.
            height, width: Of the frames in pixels, multiples of `stride`.

        Returns:
            Dict from name to tensor, every one with the batch first.
        """
        self._check_verb("step")
        check_size(height, width, self.stride, name="frame")
        return self._initial_state(batch, height, width)

    def step(self, frame, state):
        """Takes in one frame of live video.

        Args:
            frame: float32 `(batch, height, width, channels)` in [0, 1].
            state: What `initial_state` or the step before gave.

        Returns:
            Dict of `score` `(batch,)`, `score_map` `(batch, height', width')`, `state` and, of a
            model that predicts, `prediction`: the next frame `(batch, height, width, channels)`.
        """
        self._check_verb("step")
        # A clip of one frame: taken apart again it would cost a live camera an operation a frame.
        clip = self.check_frame(frame)
        state = self._check_state(state)
        if not tf.executing_eagerly():
            return self._run("step", clip, state)
        # A camera's frames are all of one size: the graph of that size is called at once, where
        # `tf.function` would first look at every tensor of the state to find it again.
        sizes = (*clip.shape, *(value.shape for value in state.values()))
        if sizes not in self._steps:
            self._check_state_sizes(clip, state)
            self._run("step", clip, state)
            self._steps[sizes] = self._graphs["step"].get_concrete_function(clip, state)
        return self._steps[sizes](clip, state)

    def advance(self, clip, state):
        """`step` for several frames at once: a long video goes in piece by piece.

        Args:
            clip: float32 `(batch, n, height, width, channels)` in [0, 1]: the next n frames.
            state: What `initial_state`, `step` or `advance` gave before.

        Returns:
            Dict of `score` `(batch, n)`, `score_map` `(batch, n, height', width')`, `state` and,
            of a model that predicts, `prediction` `(batch, n, height, width, channels)`.
        """
        self._check_verb("step")
        clip, state = self.check_clip(clip, min_frames=1), self._check_state(state)
        self._check_state_sizes(clip, state)
        return self._run("advance", clip, state)

    # The rules.

    def check_clip(self, clip, min_frames=None, name="clip"):
        """Turns a clip into a float32 tensor, or says which rule it breaks.

        Values are looked at where there are any (not while a graph is traced).

        Args:
            clip: Array or tensor `(batch, time, height, width, channels)`.
            min_frames: Fewest frames; `None` takes the model's.
            name: What to call it in an error.

        Returns:
            float32 tensor of the same shape.

        Raises:
            ValueError: If the rank, dtype, channels, size, length or a value is wrong.
        """
        if not tf.is_tensor(clip):
            clip = np.asarray(clip)
        if not tf.as_dtype(clip.dtype).is_floating:
            raise ValueError(
                f"`{name}` must be floating point in [0, 1]; bytes are divided by 255 first "
                f"(data_pipelines.transforms.to_float). Received: dtype {clip.dtype}"
            )
        if len(clip.shape) != 5:
            raise ValueError(f"`{name}` must have the axes {CLIP_AXES}. Received: {clip.shape}")
        _, time, height, width, channels = clip.shape
        if channels != self.channels:
            raise ValueError(
                f"`{name}` must have {self.channels} channel(s), as the model was made for. "
                f"Received: {channels} channels, shape {clip.shape}"
            )
        fewest = self.min_frames if min_frames is None else min_frames
        if time is not None and time < fewest:
            raise ValueError(f"`{name}` must have at least {fewest} frames. Received: {time}")
        check_size(height, width, self.stride, name)
        if tf.executing_eagerly() and 0 not in clip.shape:
            # By NumPy, which shares the memory of a tensor on the CPU: no operation is launched
            # for each frame of live video.
            values = np.asarray(clip)
            low, high = float(values.min()), float(values.max())
            # A NaN is neither below nor above anything; the minimum or maximum shows it.
            if not math.isfinite(low) or not math.isfinite(high):
                raise ValueError(f"`{name}` must be finite. Received: NaN or infinity in it")
            if low < -1e-3 or high > 1 + 1e-3:
                raise ValueError(
                    f"`{name}` must lie in [0, 1]. Received: values from {low:g} to {high:g}"
                )
        clip = tf.convert_to_tensor(clip)
        return clip if clip.dtype == tf.float32 else tf.cast(clip, tf.float32)

    def check_frame(self, frame, name="frame"):
        """As `check_clip`, for one frame of each video.

        Args:
            frame: Array or tensor `(batch, height, width, channels)`.
            name: What to call it in an error.

        Returns:
            float32 `(batch, 1, height, width, channels)`: clips of one frame.

        Raises:
            ValueError: If the rank, dtype, channels, size or a value is wrong.
        """
        if not tf.is_tensor(frame):
            frame = np.asarray(frame)
        if len(frame.shape) != 4:
            raise ValueError(
                f"`{name}` must have the axes {FRAME_AXES}. Received: shape {tuple(frame.shape)}"
            )
        return self.check_clip(frame[:, None], min_frames=1, name=name)

    def _check_context(self, context, name):
        """Checks frames that `rollout` or `sample` is to go on from."""
        return self.check_clip(context, min_frames=1, name=name)

    def _check_state(self, state):
        if self._state_dtypes is None:
            zeros = self._initial_state(1, self.stride, self.stride)
            self._state_dtypes = {name: value.dtype for name, value in zeros.items()}
        if not isinstance(state, dict) or state.keys() != self._state_dtypes.keys():
            came = sorted(state) if isinstance(state, dict) else type(state).__name__
            raise ValueError(
                f"`state` must be a dict of {sorted(self._state_dtypes)}. Received: {came}"
            )
        state = {
            name: value if tf.is_tensor(value) else tf.convert_to_tensor(value)
            for name, value in state.items()
        }
        for name, value in state.items():
            if value.dtype != self._state_dtypes[name]:
                raise ValueError(
                    f"`state` must be of the dtypes of `initial_state`: `{name}` must be "
                    f"{self._state_dtypes[name].name}. Received: {value.dtype.name}"
                )
        return state

    def _check_state_sizes(self, clip, state):
        if not tf.executing_eagerly():
            return
        expected = self._initial_state(clip.shape[0], *clip.shape[2:4])
        for name, value in state.items():
            if value.shape != expected[name].shape:
                raise ValueError(
                    f"`state` must be that of frames like these, {tuple(clip.shape[2:4])} in a "
                    f"batch of {clip.shape[0]}: `{name}` must have the shape "
                    f"{tuple(expected[name].shape)}. Received: {tuple(value.shape)}"
                )

    def _check_verb(self, verb):
        if verb in self.verbs:
            return
        # A process may have imported some of the models alone.
        for module in pkgutil.iter_modules(importlib.import_module(__package__).__path__):
            importlib.import_module(f"{__package__}.{module.name}")
        others = [model for model in _subclasses(VideoModel) if model is not type(self)]
        able = sorted({model.__name__ for model in others if verb in model.verbs})
        raise NotImplementedError(
            f"{type(self).__name__} does not answer `{verb}`; it answers {', '.join(self.verbs)}. "
            f"Models that answer `{verb}`: {', '.join(able) or 'none'}"
        )

    # How a verb runs.

    def _features(self, clip):
        return self.encoder(clip)

    def _encode(self, clip):
        return descriptor_statistics(self._run("features", clip))

    def _answer(self, verb, clip):
        self._check_verb(verb)
        return self._run(verb, self.check_clip(clip))

    def _score_parts(self, verb, clip):
        """Both scores by one graph, whichever was asked for: one is most of the other's work."""
        self._check_verb(verb)
        return self._run("score_with_map", self.check_clip(clip, min_frames=1))

    def _generate(self, name, context, steps, seed):
        steps = _steps(steps)
        if isinstance(context, dict):
            self.ensure_built()
            context = self.check_conditioning(context)
        else:
            context = self._check_context(context, name)
        if seed is None:
            return self._run("rollout", context, steps)
        check_seed(seed)
        return self._run("sample", context, steps, tf.convert_to_tensor(seed, tf.int32))

    def _run(self, verb, *arguments):
        """Runs `_VERB` as a graph, traced once for clips and states of every size and length.

        Graphs that are made of verbs, such as those of an export, call that one. But for `step`,
        whose graph is that of one size, and is laid into the graph that asks for it.
        """
        self.ensure_built()
        method = getattr(self, f"_{verb}")
        any_size = verb != "step"
        if not any_size and not tf.executing_eagerly():
            return method(*arguments)
        if verb not in self._graphs:
            # Left to itself TensorFlow would trace the first clip's size and then, at the next
            # one, a graph for all; tracing takes seconds. Live frames are all of one size.
            # Never XLA: it makes convolutions on a CPU two to twenty times slower.
            self._graphs[verb] = tf.function(
                method, reduce_retracing=any_size, jit_compile=False, autograph=False
            )
            if any_size:
                self._graphs[verb].get_concrete_function(*map(_of_any_size, arguments))
        return self._graphs[verb](*arguments)

    def ensure_built(self):
        """Creates the weights if they are not there yet."""
        if not self.built:
            self.build((None, None, None, None, self.channels))

    def train_step(self, data):
        self._in_step = True
        try:
            return super().train_step(data)
        finally:
            self._in_step = False

    def test_step(self, data):
        self._in_step = True
        try:
            return super().test_step(data)
        finally:
            self._in_step = False

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        """Keras' loss; the part that `compile(loss=...)` gave is reported as `reconstruction`.

        Of a model that gives a dict it is the sum over what is in the dict, and each part is
        reported under its name, by the metric `NAME_metric` that the model has for it.
        """
        # Keras has divided each term by the number of replicas, whose gradients are summed.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if isinstance(y_pred, dict):
            # A part may be left out, though its target comes.
            y = {name: y[name] for name in y_pred}
            total = super().compute_loss(x, y, y_pred, sample_weight, training)
            for name, part in y_pred.items():
                loss = self.loss[name] if isinstance(self.loss, dict) else self.loss
                metric = getattr(self, f"{name}_metric")
                self._note(metric, keras.losses.get(loss)(y[name], part) * replicas, x)
            return total
        total = super().compute_loss(x, y, y_pred, sample_weight, training)
        self._note(self.reconstruction_metric, total * replicas - sum(self.losses), x)
        return total

    def _note_in_step(self, metric, value, batch):
        """Notes what `call` finds, but of no other call than a step of training or evaluation.

        What is reported of an epoch is not changed by a look at the model in the middle of it.
        """
        if self._in_step:
            self._note(metric, value, batch)

    @staticmethod
    def _note(metric, value, batch):
        """Adds a batch's mean to a reported term, weighed by its clips as Keras weighs `loss`."""
        metric.update_state(value, sample_weight=tf.shape(tf.nest.flatten(batch)[0])[0])

    # Files.

    def save_weights(self, filepath, overwrite=True, **kwargs):
        """As Keras does it, and says in a `.weights.h5` file which layout it is of."""
        # One written over an older one within a tick of the disk's clock is of the same time.
        before = None if overwrite else modified(filepath)
        super().save_weights(filepath, overwrite=overwrite, **kwargs)
        # Not into a file that Keras was told to leave, nor where it wrote shards or elsewhere.
        is_one_file = kwargs.get("max_shard_size") is None
        if is_one_file and modified(filepath) != before:
            note_layout(filepath, self)

    def load_weights(self, filepath, **kwargs):
        """As Keras does it.

        Raises:
            ValueError: If the file is of another model, or of another layout of this one.
        """
        check_file_layout(filepath, self)
        super().load_weights(filepath, **kwargs)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        check_layout(cls, config.pop("layout", 1), "The saved model")
        return super().from_config(config, custom_objects)

    def get_config(self):
        return {
            **super().get_config(),
            "layout": self.layout,
            "channels": self.channels,
            "clip_shape": self.clip_shape,
            "fps": self.fps,
        }


def check_seed(seed):
    """Raises `ValueError` unless a graph can hold the seed: a whole number from 0 to 2**31 - 1."""
    if tf.is_tensor(seed):
        return
    whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if not whole or not 0 <= seed < 2**31:
        raise ValueError(
            f"`seed` must be a whole number from 0 to {2**31 - 1}. Received: seed={seed!r}"
        )


def _steps(steps):
    if tf.is_tensor(steps):
        return tf.convert_to_tensor(steps, tf.int32)
    try:
        whole = int(steps)
        is_whole = whole == steps and whole >= 1
    except (TypeError, ValueError, OverflowError):  # None, a word, NaN or infinity
        is_whole = False
    if not is_whole:
        raise ValueError(f"`steps` must be a whole number from 1 up. Received: steps={steps!r}")
    return tf.convert_to_tensor(whole, tf.int32)


def free_shapes(state):
    """Shapes with everything free but the channels: a state or conditions of frames of any size.

    Args:
        state: Dict from name to tensor, the batch first; of a vector that is all there is.

    Returns:
        Dict from name to `tf.TensorShape`.
    """
    return {
        name: tf.TensorShape([None] * (value.shape.rank - 1) + [value.shape[-1]])
        if value.shape.rank > 1
        else tf.TensorShape([None])
        for name, value in state.items()
    }


def _of_any_size(argument):
    """The argument, or of a clip or a dict of tensors what stands for those of every size."""
    if isinstance(argument, dict):
        return {
            name: tf.TensorSpec(shape, tf.as_dtype(argument[name].dtype))
            for name, shape in free_shapes(argument).items()
        }
    if not tf.is_tensor(argument) or argument.shape.rank != 5:
        return argument
    return tf.TensorSpec([None] * 4 + [argument.shape[-1]], argument.dtype)


def _subclasses(parent):
    for child in parent.__subclasses__():
        yield child
        yield from _subclasses(child)
