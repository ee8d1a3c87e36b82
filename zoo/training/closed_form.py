"""Fits a model in a run folder whose weights come in closed form, by one pass over the footage."""

import time

import tensorflow as tf

from zoo import callbacks as zoo_callbacks
from zoo.training.interrupts import Interrupted, stop_on_signals
from zoo.training.whole_files import write_weights


def fit_in_one_pass(model, dataset, run, steps, *, batch, validation=None, preview=None):
    """Fits `model` by its own `fit` and writes its weights.

    There is no checkpoint: a run that is killed or interrupted begins again.

    Args:
        model: a built `VideoModel` with `is_fitted_in_closed_form`.
        dataset: `tf.data.Dataset` of (inputs, targets) batches, one pass.
        run: `zoo.training.run_folder.RunFolder`.
        steps: int, batches to look at, at most.
        batch: int, clips in a batch, for the clips per second.
        validation: finite `tf.data.Dataset` of held-out (inputs, targets) batches, or None.
        preview: (inputs, targets) of a few clips to draw in TensorBoard, or None.

    Returns:
        The run folder, finished: `model.weights.h5` is there, and the held-out loss in `best`.

    Raises:
        ValueError: if the footage is too short for the model.
        Interrupted: after SIGINT or SIGTERM.
        OSError: if a file cannot be written, for one on a full disk.
    """
    batches = int(dataset.cardinality())
    steps = min(steps, batches) if batches >= 0 else steps
    run.update(status="training")
    started = time.monotonic()
    with stop_on_signals() as stop:
        progress = zoo_callbacks.Progress(steps, batch)
        ending = _EndOnRequest(stop)
        try:
            history = model.fit(
                dataset, steps_per_epoch=steps, callbacks=[progress, ending], verbose=0
            ).history
        finally:
            progress.close()
        if stop.requested:
            run.update(status="interrupted")
            raise Interrupted(ending.step, is_kept=False)
        values = {f"train/{name}": value[-1] for name, value in history.items()}
        best = None
        if validation is not None:
            model.compile(loss=model.default_loss(), jit_compile=False)
            held_out = model.evaluate(validation, verbose=0, return_dict=True)
            values |= {f"held_out/{name}": value for name, value in held_out.items()}
            best = {"value": float(held_out["loss"]), "step": ending.step}
        writer = tf.summary.create_file_writer(str(run.path / "tensorboard"))
        with writer.as_default(step=ending.step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        if preview is not None:
            images = zoo_callbacks.PredictionImages(writer, *preview, every=1)
            images.set_model(model)
            images.on_step_end(ending.step, {})
        writer.close()
        write_weights(run.path / "model.weights.h5", model)
        minutes = round((time.monotonic() - started) / 60, 4)
        run.update(status="finished", step=ending.step, minutes=minutes, best=best)
    return run


class _EndOnRequest(zoo_callbacks.StepCallback):
    """Ends the pass when asked to, and counts its steps in `step`."""

    step = 0

    def __init__(self, stop):
        super().__init__()
        self._stop = stop

    def on_step_end(self, step, logs):
        self.step = step
        if self._stop.requested:
            self.model.stop_training = True
