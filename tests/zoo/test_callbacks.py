import io
import itertools
import json
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from zoo import callbacks


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.layers.Input((4, 8, 8, 1)), keras.layers.Dense(1, name="dense")], name="small"
    )
    model.compile(keras.optimizers.SGD(0.5), loss="mse", metrics=["mae"])
    return model


@pytest.fixture
def batches():
    clips = np.random.default_rng(0).random((40, 4, 8, 8, 1), dtype=np.float32)
    return tf.data.Dataset.from_tensor_slices((clips, 1 - clips)).batch(4).repeat()


def fit(model, batches, steps, *chain, first_step=0):
    for callback in chain:
        callback.first_step = first_step
    model.fit(batches, steps_per_epoch=steps, callbacks=list(chain), verbose=0, shuffle=False)


def read_events(folder):
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0, "images": 0})
    return events.Reload()


def scalars(events, tag):
    return {e.step: float(tf.make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)}


def test_progress_writes_lines_with_the_time_left(model, batches, monkeypatch):
    clock = itertools.count(step=2.0)
    # Of the module alone: other threads look at the clock too.
    monkeypatch.setattr(callbacks, "time", types.SimpleNamespace(monotonic=clock.__next__))
    stream = io.StringIO()
    fit(model, batches, 20, callbacks.Progress(40, batch=4, every_sec=30, stream=stream),
        first_step=20)
    lines = stream.getvalue().splitlines()
    # Three readings of the clock a step, two seconds apart: six seconds a step, two of them in it.
    assert 3 <= len(lines) <= 5
    step = int(lines[0].split()[1].split("/")[0])
    assert lines[0].startswith(f"step {step}/40  loss ")
    assert "  mae " in lines[0]
    assert "2.0 clips/s" in lines[0]
    assert lines[0].endswith(f"  0:0{(40 - step) * 6 // 60}:{(40 - step) * 6 % 60:02d} left")
    assert lines[-1].startswith("step 40/40") and lines[-1].endswith("0:00:00 left")


def test_progress_draws_a_bar_on_a_terminal(model, batches):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    fit(model, batches, 3, callbacks.Progress(3, batch=4, stream=stream))
    assert "3/3" in stream.getvalue()
    assert "clips/s" in stream.getvalue()
    assert "step 3/3  loss" not in stream.getvalue()


def test_tensorboard_has_the_loss_its_terms_the_rate_and_the_speed(model, batches, tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path))
    losses = []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: losses.append(dict(logs))
    )
    board = callbacks.TensorBoard(writer, batch=4, every=5)
    fit(model, batches, 10, note, board, callbacks.ResetMetrics(5), first_step=20)
    writer.close()
    events = read_events(tmp_path)
    assert set(events.Tags()["tensors"]) == {
        "train/loss", "train/mae", "learning_rate", "clips_per_sec"
    }
    logged = scalars(events, "train/loss")
    assert list(logged) == [25, 30]
    assert logged[30] == pytest.approx(losses[9]["loss"])
    assert scalars(events, "learning_rate") == {25: 0.5, 30: 0.5}
    assert all(speed > 0 for speed in scalars(events, "clips_per_sec").values())


def test_tensorboard_has_the_rate_of_each_optimiser(model, batches, tmp_path):
    object.__setattr__(model, "discriminator_optimizer", keras.optimizers.SGD(0.25))
    object.__setattr__(
        model, "optimized_variables", {"optimizer": [], "discriminator_optimizer": []}
    )
    writer = tf.summary.create_file_writer(str(tmp_path))
    fit(model, batches, 2, callbacks.TensorBoard(writer, batch=4, every=2))
    writer.close()
    events = read_events(tmp_path)
    assert scalars(events, "learning_rate") == {2: 0.5}
    assert scalars(events, "discriminator_learning_rate") == {2: 0.25}


def test_metrics_start_anew(model, batches):
    model.optimizer.learning_rate = 0.0
    losses = []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: losses.append(float(logs["loss"]))
    )
    fit(model, batches, 4, note, callbacks.ResetMetrics(2))
    each = [model.evaluate(*pair, verbose=0)[0] for pair in batches.take(4)]
    expected = [each[0], np.mean(each[:2]), each[2], np.mean(each[2:])]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_speed_leaves_out_the_pauses_between_steps(monkeypatch):
    now = iter([0.0, 2.0, 50.0, 52.0])
    monkeypatch.setattr(callbacks, "time", types.SimpleNamespace(monotonic=now.__next__))
    throughput = callbacks.Throughput(batch=8)
    assert throughput.clips_per_sec == 0
    for _ in range(2):
        throughput.begin()
        throughput.end()
    assert throughput.clips_per_sec == 4.0


def test_pictures_hold_context_truth_and_prediction_of_each_horizon():
    clips = np.zeros((2, 6, 4, 5, 1), "float32")
    clips[:, 3] = 0.25
    targets = np.zeros((2, 4, 2, 4, 5, 1), "float32")
    targets[:, 3, 0], targets[:, 3, 1] = 0.5, 0.6
    predictions = np.zeros_like(targets)
    predictions[:, 3, 0], predictions[:, 3, 1] = 0.75, 1.5
    pictures = callbacks.side_by_side(clips, targets, predictions)
    assert pictures.shape == (2, 8, 15, 1)
    assert pictures.dtype == np.float32
    for row, values in enumerate([(0.25, 0.5, 0.75), (0.25, 0.6, 1.0)]):
        for column, value in enumerate(values):
            part = pictures[:, 4 * row : 4 * row + 4, 5 * column : 5 * column + 5]
            np.testing.assert_allclose(part, value, rtol=1e-6)


def test_pictures_of_a_reconstruction_show_the_last_frame():
    clips = np.full((1, 3, 4, 5, 1), 0.1, "float32")
    targets, predictions = clips.copy(), clips.copy()
    targets[:, -1], predictions[:, -1] = 0.2, 0.3
    pictures = callbacks.side_by_side(clips, targets, predictions)
    np.testing.assert_allclose(pictures[0, 0, ::5, 0], [0.1, 0.2, 0.3], rtol=1e-6)


def test_pictures_of_two_outputs_hold_the_future_and_the_first_frame():
    clips = np.full((1, 3, 4, 5, 1), 0.1, "float32")
    clips[:, 0], clips[:, -1] = 0.2, 0.3
    targets = {"reconstruction": clips, "prediction": np.full((1, 2, 4, 5, 1), 0.4, "float32")}
    outputs = {"reconstruction": 0.5 * clips, "prediction": np.zeros((1, 2, 4, 5, 1), "float32")}
    outputs["prediction"][:, 1] = 0.6
    pictures = callbacks.side_by_side(clips, targets, outputs)
    expected = [[0.3, 0.4, 0.0], [0.3, 0.4, 0.6], [0.2, 0.2, 0.1]]
    np.testing.assert_allclose(pictures[0, ::4, ::5, 0], expected, rtol=1e-6)
    del outputs["reconstruction"]
    pictures = callbacks.side_by_side(clips, targets, outputs)
    np.testing.assert_allclose(pictures[0, ::4, ::5, 0], expected[:2], rtol=1e-6)


def test_pictures_come_at_the_first_step_and_then_by_steps(model, batches, tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path))
    clips, targets = next(iter(batches))
    images = callbacks.PredictionImages(writer, clips[:2], targets[:2], every=5)
    fit(model, batches, 6, images, first_step=2)
    writer.close()
    [tag] = read_events(tmp_path).Tags()["tensors"]
    stored = read_events(tmp_path).Tensors(tag)
    assert tag == "context_truth_prediction"
    assert [event.step for event in stored] == [3, 5]
    width, height, *pngs = tf.make_ndarray(stored[-1].tensor_proto)
    assert (int(width), int(height), len(pngs)) == (24, 8, 2)
    assert tf.io.decode_png(pngs[0]).shape == (8, 24, 1)


class WithKL(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.kl_weight = self.add_weight(shape=(), trainable=False, name="kl_weight")

    def call(self, clip):
        return self.dense(clip)


@pytest.mark.parametrize(
    ("first_step", "steps", "expected"),
    [(0, 4, [0, 0.5, 1, 1.5, 2, 2]), (2, 4, [1, 1.5, 2, 2]), (9, 4, [2, 2]), (0, 0, [2, 2])],
)
def test_the_kl_weight_follows_the_steps_of_the_whole_run(batches, first_step, steps, expected):
    model, seen = WithKL(), []
    model.compile("sgd", loss="mse")
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(float(model.kl_weight.value))
    )
    fit(model, batches, len(expected), callbacks.KLWarmUp(steps, 2.0), note,
        first_step=first_step)
    np.testing.assert_allclose(seen, expected)


@pytest.mark.parametrize("at_once", [1, 2])
def test_steps_are_counted_over_all_epochs(batches, at_once):
    model, weights, steps = WithKL(), [], []
    model.compile("sgd", loss="mse", steps_per_execution=at_once)
    counter = callbacks.StepCallback()
    counter.on_step_end = lambda step, logs: steps.append(step)
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: weights.append(float(model.kl_weight.value))
    )
    warm_up = callbacks.KLWarmUp(6, 3.0)
    model.fit(batches, steps_per_epoch=4, epochs=3, callbacks=[counter, warm_up, note],
              verbose=0, shuffle=False)
    assert steps == list(range(at_once, 13, at_once))
    expected = np.minimum(np.arange(0, 12, at_once) / 6, 1) * 3
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_a_negative_warm_up_is_refused():
    with pytest.raises(ValueError, match="`steps` must be at least 0. Received: steps=-1"):
        callbacks.KLWarmUp(-1, 1.0)


def test_validation_reports_the_best_and_leaves_the_running_means(model, batches):
    results, losses = [], []
    held_out = batches.take(2)
    validation = callbacks.Validation(
        held_out, 2, 5, on_result=lambda *result: results.append(result)
    )
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: losses.append(float(logs["loss"]))
    )
    model.optimizer.learning_rate = 0.0
    fit(model, batches, 5, note, validation)
    assert [step for step, _, _ in results] == [2, 4, 5]
    assert [is_best for _, _, is_best in results] == [True, False, False]
    expected = model.evaluate(held_out, verbose=0, return_dict=True)
    assert results[0][1] == pytest.approx(expected)
    assert validation.best == {"value": pytest.approx(expected["loss"]), "step": 2}
    # After an evaluation the mean is that of one training step, no held-out number in it.
    third = model.evaluate(*list(batches.take(3))[2], verbose=0)[0]
    assert losses[2] == pytest.approx(third, rel=1e-5)


def test_a_loss_that_is_not_a_number_is_never_the_best():
    losses, results = iter([float("nan"), 2.0, float("nan"), 1.0]), []
    validation = callbacks.Validation(None, 1, 4, on_result=lambda *found: results.append(found))

    class Model:
        def evaluate(self, dataset, **_):
            return {"loss": next(losses)}

        def reset_metrics(self):
            pass

    validation.set_model(Model())
    for batch in range(4):
        validation.on_train_batch_end(batch)
    assert [is_best for _, _, is_best in results] == [False, True, False, True]
    assert validation.best == {"value": 1.0, "step": 4}


def test_an_unknown_monitor_is_refused(model, batches):
    validation = callbacks.Validation(batches.take(1), 1, 1, monitor="auc")
    with pytest.raises(ValueError, match="`monitor` must be one of loss, mae. .*monitor=auc"):
        fit(model, batches, 1, validation)


def test_checkpoints_stop_where_asked(model, batches):
    class Stop:
        requested = False

    stop, saved = Stop(), []

    def save(step):
        saved.append(step)

    class Ask(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            stop.requested = batch == 2

    chain = [callbacks.Checkpointing(save, 10, every_sec=1000, stop=stop)]
    for callback in chain:
        callback.first_step = 4
    model.fit(batches, steps_per_epoch=6, callbacks=[Ask(), *chain], verbose=0, shuffle=False)
    assert saved == [5, 7]


def test_strips_lay_frames_side_by_side_and_clips_under_one_another():
    clips = np.random.default_rng(0).random((2, 3, 4, 5, 3), dtype=np.float32)
    strips = callbacks.as_strips(clips)
    assert strips.shape == (1, 8, 15, 3)
    for row, column in itertools.product(range(2), range(3)):
        cut = strips[0, 4 * row : 4 * row + 4, 5 * column : 5 * column + 5]
        np.testing.assert_array_equal(cut, clips[row, column])


@pytest.mark.parametrize(("verbs", "shown"), [(("sample", "rollout"), 0.75), (("rollout",), 0.25)])
def test_samples_are_drawn_with_equal_seeds(tmp_path, batches, model, verbs, shown):
    asked = []

    def sample(conditioning, steps, seed):
        asked.append(seed)
        return tf.fill((2, steps, 8, 8, 1), 0.75)

    # Of a Keras model that answers these verbs nothing else is asked.
    object.__setattr__(model, "verbs", verbs)
    object.__setattr__(model, "sample", sample)
    object.__setattr__(model, "rollout", lambda context, steps: tf.fill((2, steps, 8, 8, 1), 0.25))
    writer = tf.summary.create_file_writer(str(tmp_path))
    fit(model, batches, 4, callbacks.SampleStrips(writer, {"label": 1}, 3, every=2, seed=5))
    writer.close()
    assert asked == ([5, 5, 5] if "sample" in verbs else [])
    events = read_events(tmp_path).Tensors("samples")
    assert [event.step for event in events] == [1, 2, 4]
    picture = tf.io.decode_png(events[0].tensor_proto.string_val[2])
    assert picture.shape == (16, 24, 1)
    np.testing.assert_allclose(picture, round(shown * 255), atol=1)


def watch(values, **arguments):
    """Shows a watch the values of a run, one dict of logs a step; gives it back."""
    watch = callbacks.AdversarialWatch(**arguments)
    for step, logs in enumerate(values, 1):
        watch.on_step_end(step, logs)
    return watch


def test_a_watch_ends_a_run_whose_loss_is_not_finite():
    moving = [{"generator": 0.1 * n, "discriminator": 1.0} for n in range(3)]
    with pytest.raises(FloatingPointError, match="`generator` at step 4 is nan.*r1_weight"):
        watch([*moving, {"generator": np.nan, "discriminator": 1.0}])


@pytest.mark.parametrize(
    ("value", "meaning"), [(0.0, "it has won"), (1.386, "neither side learns")]
)
def test_a_watch_ends_a_run_whose_loss_stands_still(value, meaning):
    steps = [{"generator": float(n), "discriminator": value} for n in range(201)]
    assert watch(steps[:-1]).still == 199
    with pytest.raises(FloatingPointError, match=f"for 200 steps up to step 201: {meaning}"):
        watch(steps)
    # One step off in the middle, and the count starts anew.
    steps[100] = {"generator": 1e3, "discriminator": value + 0.1}
    assert watch(steps).still == 99


def test_a_watch_goes_on_counting_where_another_ended():
    first = watch([{"generator": float(n), "discriminator": 0.0} for n in range(5)])
    assert (first.still, first.sound_step) == (4, 1)
    again = callbacks.AdversarialWatch(patience=6)
    again.first_step, again.spans = 5, json.loads(json.dumps(first.spans))
    assert again.sound_step == 1
    again.on_step_end(6, {"generator": 6.0, "discriminator": 0.0})
    assert (again.still, again.sound_step) == (5, 1)
    with pytest.raises(FloatingPointError, match="for 6 steps up to step 7"):
        again.on_step_end(7, {"generator": 7.0, "discriminator": 0.0})
    assert again.sound_step == 1


def test_a_loss_that_creeps_is_not_still():
    creeping = [{"generator": 2e-6 * n, "discriminator": float(n)} for n in range(400)]
    assert watch(creeping).still < 60
    assert watch([{"loss": 1.0}] * 400).still == 0


def test_checkpoints_wait_while_a_loss_stands_still(model, batches):
    class Still:
        still = 0

    saved, still = [], Still()

    class Stand(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            still.still = callbacks.STILL_STEPS if 2 <= batch < 5 else 0

    model.fit(
        batches,
        steps_per_epoch=8,
        callbacks=[Stand(), callbacks.Checkpointing(saved.append, 8, every_sec=0, watch=still)],
        verbose=0,
        shuffle=False,
    )
    assert saved == [1, 2, 6, 7, 8]


def test_a_patience_of_nothing_is_refused():
    with pytest.raises(ValueError, match="`patience` must be at least 1. Received: patience=0"):
        callbacks.AdversarialWatch(patience=0)
