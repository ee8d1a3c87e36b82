"""Keras callbacks of a training: progress, TensorBoard, held-out loss, checkpoints, KL warm-up,
and a watch over adversaries.

A step is counted over the whole run: `first_step` steps were done before this `fit`.
"""

import math
import sys
import time

import keras
import numpy as np
import tensorflow as tf

from zoo.training.optimizers import optimized_variables

# Steps for which a loss may stand still before checkpoints wait: two of the means that are logged.
STILL_STEPS = 40


class StepCallback(keras.callbacks.Callback):
    """A callback that counts steps over the whole run, all epochs of it.

    Attributes:
        first_step: int, steps done by earlier processes of this run; `fit` sets it.
    """

    first_step = 0
    # Keras counts the batches of each epoch from 0.
    _of_epochs_before = _of_this_epoch = 0

    def steps_before(self, batch):
        """Steps of the run that were done before a batch of this epoch, counted from 0."""
        return self.first_step + self._of_epochs_before + batch

    def on_train_batch_end(self, batch, logs=None):
        self._of_this_epoch = batch + 1
        self.on_step_end(self.steps_before(batch) + 1, logs or {})

    def on_epoch_end(self, epoch, logs=None):
        self._of_epochs_before += self._of_this_epoch
        self._of_this_epoch = 0

    def on_step_end(self, step, logs):
        """Called after each step; `step` counts from 1, `logs` holds means since the last reset."""


class Throughput:
    """Measures clips per second, the wait for data included and pauses between steps left out.

    Args:
        batch: int, clips in a step.
    """

    def __init__(self, batch):
        self._batch = batch
        self._started = 0.0
        self.restart()

    def restart(self):
        """Forgets what was measured."""
        self._seconds, self._clips = 0.0, 0

    def begin(self):
        """Marks the begin of a step, before its data are asked for."""
        self._started = time.monotonic()

    def end(self):
        """Marks the end of a step."""
        self._seconds += time.monotonic() - self._started
        self._clips += self._batch

    @property
    def clips_per_sec(self):
        """Clips per second since the last restart; 0 before the first step."""
        return self._clips / self._seconds if self._seconds else 0.0


class Progress(StepCallback):
    """Shows step, loss terms, clips per second and the time left on standard error.

    A bar where standard error is a terminal, elsewhere one plain line every `every_sec` seconds.

    Args:
        steps: int, steps of the whole run.
        batch: int, clips in a step.
        every_sec: float, seconds between two lines.
        stream: text stream, by default standard error.
    """

    def __init__(self, steps, batch, every_sec=10.0, stream=None):
        super().__init__()
        self.steps, self.every_sec = steps, every_sec
        self._stream = stream
        self._throughput = Throughput(batch)
        self._bar = None

    def on_train_begin(self, logs=None):
        self._stream = self._stream or sys.stderr
        self._said = time.monotonic()
        self._done = 0
        if self._stream.isatty():
            self._bar, self._task = _open_bar(self._stream, self.first_step, self.steps)

    def on_train_batch_begin(self, batch, logs=None):
        self._throughput.begin()

    def on_step_end(self, step, logs):
        self._throughput.end()
        now = time.monotonic()
        self._done += 1
        if self._done == 1:
            # The first step also traces the graph; counted in, it would spoil the time left.
            self._after_first = now
        if self._bar is not None:
            words = f"{_terms(logs)}  {self._throughput.clips_per_sec:.1f} clips/s"
            self._bar.update(self._task, completed=step, words=words)
        elif step == self.steps or (self._done > 1 and now - self._said >= self.every_sec):
            self._stream.write(
                f"step {step}/{self.steps}  {_terms(logs)}  "
                f"{self._throughput.clips_per_sec:.1f} clips/s  {self._left(step, now)} left\n"
            )
            self._stream.flush()
            self._said = now
            self._throughput.restart()

    def on_train_end(self, logs=None):
        self.close()

    def close(self):
        """Takes the bar away; also needed when the training ends by an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _left(self, step, now):
        per_step = (now - self._after_first) / max(1, self._done - 1)
        minutes, seconds = divmod(round(per_step * (self.steps - step)), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02d}:{seconds:02d}"


class KLWarmUp(StepCallback):
    """Raises the model's variable `kl_weight` from 0 to its final value over the first steps.

    The weight is a function of the step alone, so that a resumed run goes on with the same.

    Args:
        steps: int, length of the warm-up in steps; 0 sets the final weight at once.
        final_weight: float, the weight from then on.

    Raises:
        ValueError: if `steps` is below 0.
    """

    def __init__(self, steps, final_weight):
        super().__init__()
        if steps < 0:
            raise ValueError(f"`steps` must be at least 0. Received: steps={steps}")
        self.steps, self.final_weight, self._share = steps, final_weight, None

    def on_train_batch_begin(self, batch, logs=None):
        share = min(1.0, self.steps_before(batch) / self.steps) if self.steps else 1.0
        if batch == 0 or share != self._share:
            self.model.kl_weight.assign(self.final_weight * share)
            self._share = share


class Validation(StepCallback):
    """Evaluates held-out batches every so many steps and reports the best.

    Args:
        dataset: `tf.data.Dataset` of (inputs, targets) batches, finite.
        every: int, steps between two evaluations.
        steps: int, steps of the whole run; the last is always evaluated.
        monitor: str, name of the value to keep the smallest of.
        on_result: function of (step, values dict, is_best bool), called after each.

    Attributes:
        best: dict of `value` and `step`, or None before the first.
    """

    def __init__(self, dataset, every, steps, monitor="loss", on_result=None):
        super().__init__()
        self.dataset, self.every, self.steps = dataset, every, steps
        self.monitor, self.on_result = monitor, on_result
        self.best = None

    def on_step_end(self, step, logs):
        if step % self.every and step != self.steps:
            return
        values = self.model.evaluate(self.dataset, verbose=0, return_dict=True)
        # The training's own running means go on from nothing, not from held-out numbers.
        self.model.reset_metrics()
        if self.monitor not in values:
            known = ", ".join(values)
            raise ValueError(
                f"`monitor` must be one of {known}. Received: monitor={self.monitor}"
            )
        value = float(values[self.monitor])
        # Nothing would ever be below NaN.
        is_best = math.isfinite(value) and (self.best is None or value < self.best["value"])
        if is_best:
            self.best = {"value": value, "step": step}
        if self.on_result is not None:
            self.on_result(step, values, is_best)


class TensorBoard(StepCallback):
    """Writes the loss and each of its terms, the learning rate and clips per second as scalars.

    Each value is the mean over the steps since the one before. Of a model with two optimisers the
    second rate is there too, as `discriminator_learning_rate`.

    Args:
        writer: `tf.summary.SummaryWriter`.
        batch: int, clips in a step.
        every: int, steps between two values.
    """

    def __init__(self, writer, batch, every=20):
        super().__init__()
        self.writer, self.every = writer, every
        self._throughput = Throughput(batch)

    def on_train_batch_begin(self, batch, logs=None):
        self._throughput.begin()

    def on_step_end(self, step, logs):
        self._throughput.end()
        if step % self.every:
            return
        with self.writer.as_default(step=step):
            for name, value in logs.items():
                tf.summary.scalar(f"train/{name}", value)
            for name in optimized_variables(self.model):
                rate = keras.ops.convert_to_numpy(getattr(self.model, name).learning_rate)
                tf.summary.scalar(name.replace("optimizer", "learning_rate"), float(rate))
            tf.summary.scalar("clips_per_sec", self._throughput.clips_per_sec)
        self._throughput.restart()

    def on_train_end(self, logs=None):
        self.writer.flush()


class PredictionImages(StepCallback):
    """Writes pictures of what the model predicts: context, truth and prediction side by side.

    One picture per clip, made by `side_by_side`.

    Args:
        writer: `tf.summary.SummaryWriter`.
        clips: float32 (batch, time, height, width, channels) in [0, 1].
        targets: float32, or a dict of such, as the model is trained on.
        every: int, steps between two pictures.
    """

    def __init__(self, writer, clips, targets, every=500):
        super().__init__()
        self.writer, self.every = writer, every
        self.clips, self.targets = clips, targets

    def on_step_end(self, step, logs):
        if step % self.every and step != self.first_step + 1:
            return
        predictions = self.model(self.clips, training=False)
        pictures = side_by_side(
            *tf.nest.map_structure(
                keras.ops.convert_to_numpy, (self.clips, self.targets, predictions)
            )
        )
        with self.writer.as_default(step=step):
            tf.summary.image("context_truth_prediction", pictures, max_outputs=len(pictures))


class SampleStrips(StepCallback):
    """Writes a picture of what the model draws: one row per sample, its frames side by side.

    Drawn by `sample`, or by `rollout` where the model answers no other; with equal seeds at every
    step, so that only the weights make the difference.

    Args:
        writer: `tf.summary.SummaryWriter`.
        conditioning: what the verb takes: float32 frames (batch, time, height, width, channels)
            in [0, 1], or a dict of the parts.
        steps: int, frames to draw.
        every: int, steps between two pictures.
        seed: int, of the draws.
    """

    def __init__(self, writer, conditioning, steps, every=500, seed=0):
        super().__init__()
        self.writer, self.every = writer, every
        self.conditioning, self.steps, self.seed = conditioning, steps, seed

    def on_step_end(self, step, logs):
        if step % self.every and step != self.first_step + 1:
            return
        if "sample" in self.model.verbs:
            drawn = self.model.sample(self.conditioning, self.steps, seed=self.seed)
        else:
            drawn = self.model.rollout(self.conditioning, self.steps)
        with self.writer.as_default(step=step):
            tf.summary.image("samples", as_strips(keras.ops.convert_to_numpy(drawn)))


class AdversarialWatch(StepCallback):
    """Ends a training in which one side of a GAN has won: nothing would be learned any more.

    Looks at the losses `generator` and `discriminator`: one that is not finite ends it at once,
    one that has stood still for `patience` steps ends it then. A discriminator that tells all
    real videos from all drawn ones stands still at a loss of 0; one that cannot tell them at all
    stands still too.

    Args:
        patience: int, steps of standing still that end the training, at least 1.
        tolerance: float, values within this of one another are equal.

    Attributes:
        still: int, steps for which a loss has stood still up to now.
        sound_step: int, the last step at which none stood still; 0 before the first.
        spans: dict of JSON values, what is known of each loss; set again, a run that is taken up
            goes on counting.

    Raises:
        FloatingPointError: in training, as said above; the message gives the reason.
    """

    def __init__(self, patience=200, tolerance=1e-4):
        super().__init__()
        if patience < 1:
            raise ValueError(f"`patience` must be at least 1. Received: patience={patience}")
        self.patience, self.tolerance = patience, tolerance
        self.spans = {}
        self._step = 0

    @property
    def still(self):
        return max((span["steps"] for span in self.spans.values()), default=0)

    @property
    def sound_step(self):
        # Before its first step a process knows what the one before it counted.
        return max(0, (self._step or self.first_step) - self.still)

    def on_step_end(self, step, logs):
        self._step = step
        for name in ("generator", "discriminator"):
            if name not in logs:
                continue
            value = float(logs[name])
            if not np.isfinite(value):
                raise FloatingPointError(self._reason(f"`{name}` at step {step} is {value}"))
            span = self.spans.get(name, {"low": value, "high": value, "steps": -1})
            low, high = min(span["low"], value), max(span["high"], value)
            if high - low > self.tolerance:
                low, high, span = value, value, {"steps": -1}
            self.spans[name] = {"low": low, "high": high, "steps": span["steps"] + 1}
            if self.spans[name]["steps"] >= self.patience:
                won = name == "discriminator" and value < 0.1
                meaning = "it has won" if won else "neither side learns from the other"
                raise FloatingPointError(
                    self._reason(
                        f"`{name}` has stood still at {value:.4g} for {self.patience} steps up "
                        f"to step {step}: {meaning}"
                    )
                )

    @staticmethod
    def _reason(what):
        return (
            f"{what}. Give spectral_norm=true, a larger r1_weight or a smaller "
            "discriminator_learning_rate, and train into another folder; the last checkpoint "
            "from before is kept"
        )


class FiniteLoss(StepCallback):
    """Ends a training whose loss is no longer finite.

    Raises:
        FloatingPointError: in training, as said above.
    """

    def on_step_end(self, step, logs):
        if not np.isfinite(float(logs.get("loss", 0.0))):
            raise FloatingPointError(
                f"the loss at step {step} is {float(logs['loss'])}: give a smaller learning rate "
                "and train into another folder; the last checkpoint is kept"
            )


class ResetMetrics(StepCallback):
    """Starts the running means of loss and metrics anew every so many steps.

    Without it, in a `fit` of one long epoch, a logged loss would be the mean of the whole run.

    Args:
        every: int, steps between two resets.
    """

    def __init__(self, every):
        super().__init__()
        self.every = every

    def on_step_end(self, step, logs):
        if step % self.every == 0:
            self.model.reset_metrics()


class Checkpointing(StepCallback):
    """Saves a checkpoint by the clock, at the last step, and when asked to stop.

    Args:
        save: function of the step that writes a checkpoint.
        steps: int, steps of the whole run.
        every_sec: float, seconds from one checkpoint to the next.
        stop: object with the attribute `requested`; once true, a checkpoint is saved and the
            training stops.
        watch: `AdversarialWatch`, or None; while it sees a loss stand still, no checkpoint comes
            by the clock, so that those from before stay.

    Attributes:
        done: int, steps of the run that are done.
    """

    def __init__(self, save, steps, every_sec=20.0, stop=None, watch=None):
        super().__init__()
        self.save, self.steps, self.every_sec, self.stop = save, steps, every_sec, stop
        self.watch = watch
        self.done = 0
        self._saved = None

    def on_train_begin(self, logs=None):
        self.done = self.first_step

    def on_step_end(self, step, logs):
        self.done = step
        stopping = self.stop is not None and self.stop.requested
        now = time.monotonic()
        # The first step is slow (the graph is traced in it), so it is worth a checkpoint too.
        is_due = self._saved is None or (
            now - self._saved >= self.every_sec and not self._is_still()
        )
        if is_due or stopping or step == self.steps:
            self.save(step)
            self._saved = time.monotonic()
        if stopping:
            self.model.stop_training = True

    def _is_still(self):
        return self.watch is not None and self.watch.still >= STILL_STEPS


def as_strips(clips):
    """Lays clips under one another, the frames of each side by side.

    Args:
        clips: float (batch, time, height, width, channels) in [0, 1].

    Returns:
        float32 (1, batch * height, time * width, channels) in [0, 1].

    Example:
        >>> as_strips(np.zeros((2, 8, 16, 24, 1), "float32")).shape
        (1, 32, 192, 1)
    """
    batch, time, height, width, channels = clips.shape
    rows = np.transpose(clips, [0, 2, 1, 3, 4]).reshape(1, batch * height, time * width, channels)
    return np.clip(rows.astype("float32"), 0.0, 1.0)


def side_by_side(clips, targets, predictions):
    """Puts context, truth and prediction beside one another.

    K frames predicted ahead at each frame give K rows, one per horizon, at the last place: the
    last frame shown, the frame that came, the frame predicted. A reconstruction gives one row of
    the last frame: input, target, output. A dict gives the rows of `prediction`, the K frames
    after the clip, and below them one of `reconstruction`, of the first frame, which a model that
    draws the past backwards draws last.

    Args:
        clips: float (batch, time, height, width, channels) in [0, 1].
        targets: float, (batch, time - K, K, height, width, channels) or the shape of `clips`; or a
            dict of `reconstruction`, the shape of `clips`, and `prediction`, (batch, K, height,
            width, channels).
        predictions: float, the shape of `targets`; of a dict either may be missing.

    Returns:
        float32 (batch, rows * height, 3 * width, channels) in [0, 1].

    Example:
        >>> clip = np.zeros((2, 8, 16, 24, 1), "float32")
        >>> side_by_side(clip, clip, clip).shape
        (2, 16, 72, 1)
    """
    if isinstance(predictions, dict):
        rows = []
        if "prediction" in predictions:
            rows += _rows_ahead(clips[:, -1], targets["prediction"], predictions["prediction"])
        if "reconstruction" in predictions:
            truth, drawn = targets["reconstruction"], predictions["reconstruction"]
            rows.append([clips[:, 0], truth[:, 0], drawn[:, 0]])
    elif predictions.ndim == 6:
        # At the last place in time: frame t, then frames t + 1 ... t + K.
        rows = _rows_ahead(clips[:, targets.shape[1] - 1], targets[:, -1], predictions[:, -1])
    else:
        rows = [[clips[:, -1], targets[:, -1], predictions[:, -1]]]
    pictures = np.concatenate([np.concatenate(row, axis=2) for row in rows], axis=1)
    return np.clip(pictures.astype("float32"), 0.0, 1.0)


def _rows_ahead(context, truth, predicted):
    return [[context, truth[:, k], predicted[:, k]] for k in range(truth.shape[1])]


def _open_bar(stream, done, steps):
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("step"),
        MofNCompleteColumn(),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[words]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(file=stream),
    )
    bar.start()
    return bar, bar.add_task("train", total=steps, completed=done, words="")


def _terms(logs):
    names = sorted(logs, key=lambda name: (name != "loss", name))
    return "  ".join(f"{name} {float(logs[name]):.4g}" for name in names)
