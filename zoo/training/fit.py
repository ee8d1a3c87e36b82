"""Trains a model in a run folder, so that a kill at any moment costs less than a minute."""

import logging
import time

import keras
import tensorflow as tf

from zoo import callbacks as zoo_callbacks
from zoo.training.checkpoint import Checkpoints, check_finite
from zoo.training.closed_form import fit_in_one_pass
from zoo.training.interrupts import Interrupted, stop_on_signals
from zoo.training.optimizers import optimized_variables
from zoo.training.whole_files import write_json, write_weights

CHECKPOINT_EVERY_SEC = 20.0
LOG_EVERY = 20


def fit(
    model,
    dataset_factory,
    run,
    steps,
    *,
    batch,
    loss=None,
    learning_rate=1e-3,
    warm_up_steps=None,
    clip_norm=1.0,
    beta_1=0.9,
    discriminator_learning_rate=None,
    config=None,
    validation=None,
    validate_every=None,
    monitor="loss",
    preview=None,
    callbacks=(),
    checkpoint_every_sec=CHECKPOINT_EVERY_SEC,
):
    """Trains `model` for `steps` steps by Keras' `compile` and `fit`, resumably.

    Adam, one for each side of an adversarial model, with a linear warm-up and a cosine decay of
    the learning rate, and gradients clipped by their global norm. A checkpoint is written after
    the first step, then by the clock, at the end and on SIGINT or SIGTERM. Called again with the
    same run folder, it goes on behind the last whole one, with the same batch of the data stream
    that would have come next. A model that is fitted in closed form goes another way, see
    `zoo.training.closed_form`.

    Args:
        model: a built `keras.Model`, built under the strategy's scope where it is to be mirrored.
        dataset_factory: function of `skip` (int, batches already used) that gives an endless
            `tf.data.Dataset` of (inputs, targets) batches.
        run: `zoo.training.run_folder.RunFolder`.
        steps: int, training steps of the whole run, at least 1.
        batch: int, clips in a batch, for the clips per second.
        loss: a Keras loss; None takes `model.default_loss()`. Terms of `add_loss` come on top.
        learning_rate: float, its peak.
        warm_up_steps: int, steps of rising learning rate; None takes a twentieth of `steps`, at
            most 100.
        clip_norm: float, largest global norm of the gradients; None does not clip.
        beta_1: float, Adam's decay of the first moment.
        discriminator_learning_rate: float, the peak of the second optimiser of a model that has
            one; None takes `learning_rate`.
        config: dict of JSON values, written as `config.json`, from which the model is built again.
        validation: finite `tf.data.Dataset` of held-out (inputs, targets) batches, or None.
        validate_every: int, steps between two evaluations, and between two pictures in
            TensorBoard; None takes a twentieth of `steps`, at least 100.
        monitor: str, the held-out value whose smallest decides on `best.weights.h5`.
        preview: (inputs, targets) of a few clips to draw in TensorBoard, or None.
        callbacks: more Keras callbacks; a `StepCallback` is told the steps done before.
        checkpoint_every_sec: float, seconds between two checkpoints.

    Returns:
        The run folder, finished: `model.weights.h5` and `config.json` are there.

    Raises:
        ValueError: if `steps` is below 1, or the checkpoint is one of another model.
        Interrupted: after SIGINT or SIGTERM, with the checkpoint written.
        FloatingPointError: if the loss or a weight is no longer finite, or one side of an
            adversarial model has won. `run.json` then says so; called again, it goes on from the
            last checkpoint from before that.
        OSError: if a file cannot be written, for one on a full disk; the older checkpoint stays.

    Example:
        >>> run = RunFolder.open("run", command="fit", arguments={"steps": 100})
        >>> fit(model, lambda skip: clips.skip(skip), run, 100, batch=8, loss="mse")
    """
    if steps < 1:
        raise ValueError(f"`steps` must be at least 1. Received: steps={steps}")
    if run.finished:
        return run
    if config is not None:
        write_json(run.path / "config.json", config)
    if getattr(model, "is_fitted_in_closed_form", False):
        return fit_in_one_pass(
            model,
            dataset_factory(0),
            run,
            steps,
            batch=batch,
            validation=validation,
            preview=preview,
        )
    rates = {"discriminator_optimizer": discriminator_learning_rate or learning_rate}
    rates["optimizer"] = learning_rate
    _compile(model, loss, rates, steps, warm_up_steps, clip_norm, beta_1)
    checkpoints = Checkpoints(run.path / "checkpoints")
    if run.record["status"] == "failed":
        _take_up_failed(run, checkpoints)
    with model.distribute_strategy.scope():
        state = checkpoints.restore(model) or {"step": 0, "seconds": 0.0, "best": None}
    first_step = last_saved = state["step"]
    if first_step:
        logging.getLogger(__name__).info("go on after step %d of %d", first_step, steps)
    started = time.monotonic() - state["seconds"]

    held_out = watch = None
    every = validate_every or max(100, steps // 20)
    writer = tf.summary.create_file_writer(str(run.path / "tensorboard"))

    def save(step):
        nonlocal last_saved
        seconds = time.monotonic() - started
        best = held_out.best if held_out else None
        facts = {"seed": run.record["seed"], "seconds": seconds, "best": best}
        if watch is not None:
            facts["watch"] = watch.spans
        checkpoints.save(model, step, facts, sound_step=watch and watch.sound_step)
        last_saved = step
        run.update(status="training", step=step, minutes=round(seconds / 60, 4), best=best)

    def validated(step, values, is_best):
        with writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(f"held_out/{name}", value)
        # The loss at hand is from before the last update of the weights.
        check_finite(model, step)
        # Usable while the training goes on: evaluated, exported, looked at.
        write_weights(run.path / "model.weights.h5", model)
        if is_best:
            write_weights(run.path / "best.weights.h5", model)

    with stop_on_signals() as stop:
        progress = zoo_callbacks.Progress(steps, batch)
        chain = [*callbacks, progress, zoo_callbacks.TensorBoard(writer, batch, LOG_EVERY)]
        # Before anything is written of what has gone wrong.
        chain.append(zoo_callbacks.FiniteLoss())
        if "discriminator_optimizer" in optimized_variables(model):
            watch = zoo_callbacks.AdversarialWatch()
            watch.spans = state.get("watch") or {}
            chain.append(watch)
        if preview is not None:
            chain.extend(_pictures(model, writer, preview, every))
        chain.append(zoo_callbacks.ResetMetrics(LOG_EVERY))
        if validation is not None:
            held_out = zoo_callbacks.Validation(validation, every, steps, monitor, validated)
            held_out.best = state["best"]
            chain.append(held_out)
        # Last, so that a checkpoint holds what the others did at its step.
        saving = zoo_callbacks.Checkpointing(save, steps, checkpoint_every_sec, stop, watch)
        chain.append(saving)
        for callback in chain:
            if isinstance(callback, zoo_callbacks.StepCallback):
                callback.first_step = first_step
        try:
            if first_step < steps:
                model.fit(
                    dataset_factory(first_step),
                    steps_per_epoch=steps - first_step,
                    callbacks=chain,
                    shuffle=False,
                    verbose=0,
                )
            check_finite(model, saving.done or first_step)
        except FloatingPointError as error:
            sound = last_saved if watch is None else min(last_saved, watch.sound_step)
            run.update(status="failed", reason=str(error), sound_step=sound)
            raise
        finally:
            progress.close()
            writer.close()
        if last_saved < steps:
            write_weights(run.path / "model.weights.h5", model)
            if stop.requested:
                run.update(status="interrupted")
                raise Interrupted(last_saved)
            raise ValueError(
                f"`dataset_factory` must give endless batches. Received: one that ended after "
                f"step {saving.done} of {steps}"
            )
        write_weights(run.path / "model.weights.h5", model)
        run.update(status="finished")
    return run


def _take_up_failed(run, checkpoints):
    """Says why a run failed, and leaves what it has from before that."""
    sound = run.record.pop("sound_step", 0)
    reason = run.record.pop("reason", "for a reason that is not known")
    logging.getLogger(__name__).warning("the run failed before: %s", reason)
    checkpoints.drop_after(sound)


def learning_rate_schedule(learning_rate, steps, warm_up_steps=None):
    """Gives the learning rate by step: linear warm-up, then cosine decay to a hundredth.

    Args:
        learning_rate: float, the peak, reached after the warm-up.
        steps: int, steps of the whole run.
        warm_up_steps: int; None takes a twentieth of `steps`, at most 100.

    Returns:
        `keras.optimizers.schedules.LearningRateSchedule`.

    Example:
        >>> float(learning_rate_schedule(1e-3, 1000)(50))
        0.001
    """
    if warm_up_steps is None:
        warm_up_steps = min(100, steps // 20)
    return keras.optimizers.schedules.CosineDecay(
        learning_rate / (warm_up_steps + 1) if warm_up_steps else learning_rate,
        decay_steps=max(1, steps - warm_up_steps),
        alpha=0.01,
        warmup_target=learning_rate if warm_up_steps else None,
        warmup_steps=warm_up_steps,
    )


def _compile(model, loss, learning_rates, steps, warm_up_steps, clip_norm, beta_1):
    strategy = model.distribute_strategy
    with strategy.scope():
        optimizers = {
            name: keras.optimizers.Adam(
                learning_rate_schedule(learning_rates[name], steps, warm_up_steps),
                beta_1=beta_1,
                # Keras clips the gradients of each replica before it adds them up; this way the
                # sum keeps within the norm.
                global_clipnorm=clip_norm and clip_norm / strategy.num_replicas_in_sync,
            )
            for name in optimized_variables(model)
        }
        # Never "auto": XLA makes convolutions on a CPU 2 to 20 times slower.
        model.compile(**optimizers, loss=loss or model.default_loss(), jit_compile=False)
        # Under mixed_float16 `compile` wraps the optimizers for loss scaling, hence the model's.
        for name, variables in optimized_variables(model).items():
            getattr(model, name).build(variables)


def _pictures(model, writer, preview, every):
    """Callbacks that draw a few clips: context, truth and prediction, and what is made up."""
    inputs, targets = preview
    found = []
    if isinstance(inputs, dict):
        inputs = model.conditioning(inputs)
    else:
        found.append(zoo_callbacks.PredictionImages(writer, inputs, targets, every=every))
    if "discriminator_optimizer" in optimized_variables(model):
        steps = targets.shape[1]
        found.append(zoo_callbacks.SampleStrips(writer, inputs, steps, every=every))
    return found
