import json
import math
import os
import signal
import types

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo import callbacks as zoo_callbacks
from zoo.training import fit as fit_module
from zoo.training import whole_files
from zoo.training.fit import fit, learning_rate_schedule
from zoo.training.interrupts import Interrupted, stop_on_signals

STEPS = 6


class Killed(BaseException):
    """Stands for signal 9: nothing that a library catches or tidies up after."""


class At(keras.callbacks.Callback):
    """Does something after the n-th step of a process."""

    def __init__(self, step, action):
        super().__init__()
        self.step, self.action = step, action

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 == self.step:
            self.action()


def kill():
    raise Killed


def train(model, batches, run, **arguments):
    arguments = {"learning_rate": 1e-2, "loss": "mse", "batch": 4, **arguments}
    return fit(model, batches, run, STEPS, **arguments)


def weights(model):
    return [keras.ops.convert_to_tensor(v).numpy() for v in model.variables]


def assert_equal_weights(model, other):
    for ours, theirs in zip(weights(model), weights(other), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_a_run_leaves_weights_a_config_and_its_record(make_model, batches, open_run):
    model = make_model()
    before = weights(model)
    run = train(model, batches, open_run(), config={"preset": "small"})
    record = json.loads((run.path / "run.json").read_text())
    assert (record["status"], record["step"]) == ("finished", STEPS)
    assert record["minutes"] > 0
    assert json.loads((run.path / "config.json").read_text()) == {"preset": "small"}
    loaded = make_model(seed=9)
    loaded.load_weights(run.path / "model.weights.h5")
    np.testing.assert_array_equal(loaded.last.kernel.numpy(), model.last.kernel.numpy())
    with h5py.File(run.path / "model.weights.h5") as file:
        # Nothing of the optimizer, which would make the file three times as large.
        assert "optimizer" not in file
    assert max(np.abs(a - b).max() for a, b in zip(before, weights(model), strict=True)) > 1e-3


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_a_killed_run_goes_on_to_the_weights_of_an_undisturbed_one(
    make_model, batches, open_run, dtype
):
    undisturbed = make_model(dtype=dtype)
    train(undisturbed, batches, open_run("undisturbed"))
    with pytest.raises(Killed):
        # No checkpoint by the clock in so short a run, hence one at each step.
        train(make_model(dtype=dtype), batches, open_run(), callbacks=[At(4, kill)],
              checkpoint_every_sec=0)
    asked = []

    def counted(skip):
        asked.append(skip)
        return batches(skip)

    resumed = make_model(seed=1, dtype=dtype)
    train(resumed, counted, open_run())
    # Killed in the fourth step, so three are kept: the stream goes on at the fourth batch.
    assert asked == [3]
    assert_equal_weights(undisturbed, resumed)
    assert int(resumed.optimizer.iterations) == STEPS


def test_held_out_evaluation_changes_nothing_and_keeps_the_best(make_model, batches, open_run):
    undisturbed = make_model()
    train(undisturbed, batches, open_run("undisturbed"))
    model = make_model()
    held_out = batches(50).take(2).cache()
    run = train(model, batches, open_run(), validation=held_out, validate_every=2)
    assert_equal_weights(undisturbed, model)
    best = run.record["best"]
    assert best["step"] in (2, 4, 6)
    loaded = make_model(seed=9)
    loaded.load_weights(run.path / "best.weights.h5")
    loaded.compile("sgd", loss="mse")
    assert loaded.evaluate(held_out, verbose=0) == pytest.approx(best["value"], rel=1e-5)


def test_the_best_of_a_killed_run_is_remembered(make_model, batches, open_run):
    held_out = batches(50).take(2).cache()
    arguments = {"validation": held_out, "validate_every": 2, "learning_rate": 0.5}
    with pytest.raises(Killed):
        train(make_model(), batches, open_run(), callbacks=[At(4, kill)],
              checkpoint_every_sec=0, **arguments)
    path = open_run().path / "checkpoints" / "step-00000003" / "state.json"
    state = json.loads(path.read_text())
    state["best"] = {"value": -1.0, "step": 2}
    path.write_text(json.dumps(state))
    run = train(make_model(), batches, open_run(), **arguments)
    assert run.record["best"] == {"value": -1.0, "step": 2}


@pytest.mark.parametrize("number", [1, 4, 5, 14])
def test_a_kill_at_any_write_costs_no_finished_checkpoint(
    make_model, batches, open_run, monkeypatch, number
):
    """At the renaming of the config, of the second checkpoint, of its record, of the weights."""
    open_run()
    kept = []
    replace = os.replace

    def killing(source, target):
        kept.append(target)
        if len(kept) == number:
            raise Killed
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(whole_files.os, "replace", killing)
        with pytest.raises(Killed):
            train(make_model(), batches, open_run(), config={}, checkpoint_every_sec=0)
    folders = [target for target in kept[:-1] if "step-" in target.name]
    resumed, asked = make_model(seed=1), []
    run = train(resumed, lambda skip: asked.append(skip) or batches(skip), open_run(), config={})
    assert asked == ([len(folders)] if len(folders) < STEPS else [])
    assert run.finished
    assert not list(run.path.rglob(".tmp-*"))
    loaded = make_model(seed=9)
    loaded.load_weights(run.path / "model.weights.h5")
    np.testing.assert_array_equal(loaded.last.kernel.numpy(), resumed.last.kernel.numpy())


def test_a_finished_run_is_not_trained_again(make_model, batches, open_run):
    train(make_model(), batches, open_run())

    def never(skip):
        raise AssertionError("asked for data")

    model = make_model()
    before = weights(model)
    assert train(model, never, open_run()).finished
    for ours, theirs in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_kill_between_the_last_checkpoint_and_the_weights(
    make_model, batches, open_run, monkeypatch
):
    def killing(path, model):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(fit_module, "write_weights", killing)
        with pytest.raises(Killed):
            train(make_model(), batches, open_run())
    assert open_run().record["step"] == STEPS
    model = make_model(seed=1)

    def never(skip):
        raise AssertionError("asked for data")

    assert train(model, never, open_run()).finished
    undisturbed = make_model()
    train(undisturbed, batches, open_run("undisturbed"))
    assert_equal_weights(undisturbed, model)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_a_checkpoint_of_that_step(make_model, batches, open_run, number):
    before = signal.getsignal(number)
    interrupt = At(3, lambda: signal.raise_signal(number))
    with pytest.raises(Interrupted) as error:
        train(make_model(), batches, open_run(), callbacks=[interrupt])
    assert error.value.step == 3
    assert signal.getsignal(number) == before
    run = open_run()
    assert (run.record["status"], run.record["step"]) == ("interrupted", 3)
    resumed, undisturbed = make_model(seed=1), make_model()
    train(resumed, batches, run)
    train(undisturbed, batches, open_run("undisturbed"))
    assert_equal_weights(undisturbed, resumed)


def test_a_second_interrupt_does_not_wait():
    with stop_on_signals() as stop:
        assert not stop.requested
        signal.raise_signal(signal.SIGTERM)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_second_interrupt_goes_to_whoever_took_them_before():
    taken = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: taken.append(number))
    try:
        with stop_on_signals():
            signal.raise_signal(signal.SIGTERM)
            assert taken == []
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert taken == [signal.SIGTERM]


def test_checkpoints_come_by_the_clock(make_model, batches, open_run, monkeypatch):
    saved = []
    save = fit_module.Checkpoints.save

    def noted(self, model, step, *arguments, **more):
        saved.append(step)
        save(self, model, step, *arguments, **more)

    monkeypatch.setattr(fit_module.Checkpoints, "save", noted)
    passed = []
    clock = types.SimpleNamespace(monotonic=lambda: 15.0 * len(passed))
    monkeypatch.setattr(zoo_callbacks, "time", clock)
    slow = [At(step, lambda: passed.append(1)) for step in range(1, STEPS + 1)]
    train(make_model(), batches, open_run(), callbacks=slow, checkpoint_every_sec=20)
    # The first and the last; between them after two steps of a quarter of a minute each.
    assert saved == [1, 3, 5, 6]


def test_a_full_disk_ends_the_run_and_keeps_the_older_checkpoint(
    make_model, batches, open_run, monkeypatch
):
    written = []
    savez = np.savez

    def filling(path, **arrays):
        written.append(path)
        if len(written) == 3:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device", str(path))
        savez(path, **arrays)

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", filling)
        with pytest.raises(OSError, match="No space left on device"):
            train(make_model(), batches, open_run(), checkpoint_every_sec=0)
    asked = []
    train(make_model(), lambda skip: asked.append(skip) or batches(skip), open_run())
    assert asked == [2]


def test_a_loss_that_is_not_finite_ends_the_run_with_the_checkpoint_before(
    make_model, batches, open_run
):
    bad = tf.data.Dataset.from_tensors(
        (tf.zeros((4, 8, 8, 1)), tf.fill((4, 8, 8, 1), math.nan))
    )
    with pytest.raises(FloatingPointError, match="the loss at step 3 is nan"):
        train(make_model(), lambda skip: batches(skip).take(2).concatenate(bad), open_run(),
              checkpoint_every_sec=0)
    run = open_run()
    assert (run.record["status"], run.record["step"]) == ("failed", 2)
    assert "the loss at step 3 is nan" in run.record["reason"]
    assert (run.path / "checkpoints" / "step-00000002").is_dir()
    assert not (run.path / "checkpoints" / "step-00000003").exists()


def spoil(model):
    """A callback's action: what an update that overflows does to a weight."""
    return lambda: model.last.bias.assign([math.nan])


@pytest.mark.parametrize("step", [4, STEPS])
def test_weights_that_are_not_finite_are_never_written(
    make_model, batches, open_run, step, caplog
):
    model = make_model()
    run, held_out = open_run(), batches(50).take(2).cache()
    with pytest.raises(FloatingPointError, match=f"bias` is not finite after step {step}"):
        # The loss of that step is from before, and finite.
        train(model, batches, run, callbacks=[At(step, spoil(model))], checkpoint_every_sec=0,
              validation=held_out, validate_every=2)
    record = json.loads((run.path / "run.json").read_text())
    assert (record["status"], record["step"]) == ("failed", step - 1)
    assert "is not finite" in record["reason"]
    assert not (run.path / "checkpoints" / f"step-{step:08d}").exists()
    loaded = make_model(seed=9)
    loaded.load_weights(run.path / "model.weights.h5")
    assert all(np.all(np.isfinite(value)) for value in loaded.get_weights())

    asked, resumed = [], make_model(seed=1)
    run = train(resumed, lambda skip: asked.append(skip) or batches(skip), open_run())
    assert asked == [step - 1]
    assert "the run failed before: `" in caplog.text
    assert run.finished and "reason" not in run.record
    undisturbed = make_model()
    train(undisturbed, batches, open_run("undisturbed"))
    assert_equal_weights(undisturbed, resumed)


def test_a_loss_that_is_not_finite_leaves_the_weights_of_before(make_model, batches, open_run):
    bad = tf.data.Dataset.from_tensors(
        (tf.zeros((4, 8, 8, 1)), tf.fill((4, 8, 8, 1), math.nan))
    )
    run, before = open_run(), []
    file = run.path / "model.weights.h5"
    with pytest.raises(FloatingPointError, match="the loss at step 3 is nan"):
        train(make_model(), lambda skip: batches(skip).take(2).concatenate(bad), run,
              validation=batches(50).take(1), validate_every=1,
              callbacks=[At(3, lambda: before.append(file.read_bytes()))])
    assert file.read_bytes() == before[0]


def test_a_checkpoint_of_another_model_is_refused(make_model, batches, open_run):
    with pytest.raises(Killed):
        train(make_model(filters=4), batches, open_run(), callbacks=[At(2, kill)])
    with pytest.raises(ValueError, match="`model` must be the one the checkpoint"):
        train(make_model(filters=5), batches, open_run())


def test_a_stream_that_ends_is_an_error(make_model, batches, open_run):
    with pytest.warns(UserWarning, match="ran out of data"):
        # By the clock the last checkpoint was that of the first step.
        with pytest.raises(ValueError, match="must give endless batches.* after step 2 of 6"):
            train(make_model(), lambda skip: batches(skip).take(2), open_run(),
                  checkpoint_every_sec=1000)


def test_no_step_is_refused(make_model, batches, open_run):
    with pytest.raises(ValueError, match="`steps` must be at least 1. Received: steps=0"):
        fit(make_model(), batches, open_run(), 0, loss="mse", batch=4)


def test_xla_is_never_used_on_the_way(make_model, batches, open_run):
    model = make_model()
    train(model, batches, open_run())
    assert model.jit_compile is False


def test_gradients_are_clipped_and_float16_is_scaled(make_model, batches, open_run):
    model = make_model(dtype="mixed_float16")
    train(model, batches, open_run(), clip_norm=0.5)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert model.optimizer.inner_optimizer.global_clipnorm == 0.5


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, 0.1 / 11),
        (5, 0.1 / 11 + 5 / 10 * (0.1 - 0.1 / 11)),
        (10, 0.1),
        # Half way down: the mean of the peak and the hundredth it ends at.
        (55, 0.1 * (1 + 0.01) / 2),
        (100, 0.001),
    ],
)
def test_the_learning_rate_rises_and_follows_a_cosine(step, expected):
    schedule = learning_rate_schedule(0.1, 100, warm_up_steps=10)
    assert float(schedule(step)) == pytest.approx(expected, rel=1e-5)


def test_the_learning_rate_without_warm_up_starts_at_its_peak():
    assert float(learning_rate_schedule(0.1, 10)(0)) == pytest.approx(0.1)
