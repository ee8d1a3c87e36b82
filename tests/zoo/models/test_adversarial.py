"""Two optimisers in one `fit`: steps, saving, precision, resumption and the moving average."""

import json

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo import callbacks
from zoo.layers import fold_time, unfold_time
from zoo.layers.convolution import convolution
from zoo.layers.spectral import critic_convolution
from zoo.models.adversarial import AdversarialModel, Drawn
from zoo.training.fit import fit
from zoo.training.run_folder import RunFolder
from zoo.training.whole_files import write_weights

CLIPS = np.random.default_rng(0).uniform(size=(12, 4, 8, 16, 1)).astype("float32")
TARGETS = 1 - CLIPS


@keras.saving.register_keras_serializable(package="tests")
class Painter(keras.Model):
    """Frames to frames."""

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.first = convolution(3, 3, "first", self.dtype_policy)
        self.last = convolution(1, 3, "last", self.dtype_policy, activation=None)

    def build(self, input_shape=None):
        self.first.build((None, None, None, 1))
        self.last.build((None, None, None, 3))
        self.built = True

    def call(self, frames):
        return tf.cast(self.last(self.first(frames)), tf.float32)


@keras.saving.register_keras_serializable(package="tests")
class Critics(keras.Model):
    """Two discriminators of frames."""

    def __init__(self, spectral_norm, **kwargs):
        super().__init__(autocast=False, **kwargs)
        policy = self.dtype_policy
        self.first = [
            critic_convolution(4, 3, f"first_{n}", policy, strides=2, spectral=spectral_norm)
            for n in range(2)
        ]
        self.heads = [convolution(1, 1, f"head_{n}", policy, activation=None) for n in range(2)]

    def build(self, input_shape=None):
        for first, head in zip(self.first, self.heads, strict=True):
            first.build((None, None, None, 1))
            head.build((None, None, None, 4))
        self.built = True

    def call(self, frames, training=False):
        maps = [first(frames, training=training) for first in self.first]
        verdicts = [head(each) for head, each in zip(self.heads, maps, strict=True)]
        return [tf.reduce_mean(tf.cast(each, tf.float32), axis=[1, 2, 3]) for each in verdicts]


@keras.saving.register_keras_serializable(package="tests")
class SmallGAN(AdversarialModel):
    """Draws each frame of a clip again, with a term of its own besides."""

    def __init__(self, **kwargs):
        super().__init__(**{"adversarial_weight": 0.5, **kwargs})
        policy = self.dtype_policy
        self._adopt(
            lambda name: Painter(name=name, dtype=policy),
            lambda name: Critics(self.spectral_norm, name=name, dtype=policy),
        )

    def default_loss(self):
        return keras.losses.MeanSquaredError(dtype="float32")

    def call(self, clip, training=False):
        return unfold_time(self._generator_for(training)(fold_time(clip)), clip.shape[1])

    def _draw(self, x, y, training):
        targets, drawn = fold_time(y), self._generator_for(training)(fold_time(x))
        return Drawn(targets, drawn, targets, drawn, extra=0.1 * tf.reduce_mean(tf.square(drawn)))


class Killed(BaseException):
    """Stands for signal 9."""


class KillAfter(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 == self.step:
            raise Killed


def make(seed=0, **arguments):
    keras.utils.set_random_seed(seed)
    model = SmallGAN(**arguments)
    model.ensure_built()
    return model


def compiled(model, rate=0.1, other_rate=0.3):
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.5),
        keras.optimizers.SGD(other_rate),
        loss=model.default_loss(),
        jit_compile=False,
    )
    return model


def batches(skip):
    data = tf.data.Dataset.from_tensor_slices((CLIPS, TARGETS))
    return data.repeat().batch(2).skip(skip)


def values(variables):
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def assert_equal(ours, theirs, **tolerance):
    for one, other in zip(values(ours), values(theirs), strict=True):
        np.testing.assert_allclose(one, other, **{"rtol": 1e-6, "atol": 1e-7, **tolerance})


@pytest.mark.parametrize("kind", ["non_saturating", "hinge"])
def test_a_step_follows_both_gradients_at_the_weights_before_it(kind):
    model = compiled(make(adversarial_loss=kind, r1_weight=0.2, spectral_norm=False))
    # As the gradients below are taken: a graph rounds otherwise, and what lies at a kink may fall
    # to its other side.
    model.run_eagerly = True
    x, y = CLIPS[:3], TARGETS[:3]
    generator, discriminator = model.generator, model.discriminator
    with tf.GradientTape(persistent=True) as tape:
        drawn = model._draw(x, y, training=True)
        count = len(drawn.real)
        both = discriminator(tf.concat([drawn.real, drawn.fake], axis=0))
        real, fake = [part[:count] for part in both], [part[count:] for part in both]
        if kind == "hinge":
            theirs = sum(-tf.reduce_mean(f) for f in discriminator(drawn.fake))
            ours = sum(
                tf.reduce_mean(tf.maximum(0.0, 1 - r)) + tf.reduce_mean(tf.maximum(0.0, 1 + f))
                for r, f in zip(real, fake, strict=True)
            )
        else:
            theirs = sum(
                -tf.reduce_mean(tf.math.log_sigmoid(f)) for f in discriminator(drawn.fake)
            )
            ours = sum(
                -tf.reduce_mean(tf.math.log_sigmoid(r)) - tf.reduce_mean(tf.math.log_sigmoid(-f))
                for r, f in zip(real, fake, strict=True)
            )
        penalty = 0.0
        for critic in range(2):
            with tf.GradientTape() as inner:
                inner.watch(drawn.real)
                verdict = discriminator(drawn.real)[critic]
            slope = inner.gradient(verdict, drawn.real)
            penalty += 0.5 * tf.reduce_sum(tf.square(slope)) / len(slope)
        ours_with_penalty = ours + 0.2 * penalty
        reconstruction = model.default_loss()(drawn.targets, drawn.predictions)
        total = reconstruction + drawn.extra + 0.5 * theirs
    expected = [
        weight - rate * gradient
        for side, loss, rate in ((generator, total, 0.1), (discriminator, ours_with_penalty, 0.3))
        for weight, gradient in zip(
            values(side.trainable_variables),
            values(tape.gradient(loss, side.trainable_variables)),
            strict=True,
        )
    ]
    logs = model.train_on_batch(x, y, return_dict=True)
    assert_equal(
        [*generator.trainable_variables, *discriminator.trainable_variables],
        expected,
        rtol=1e-4,
        atol=1e-6,
    )
    assert logs["generator"] == pytest.approx(float(theirs), rel=1e-4)
    assert logs["discriminator"] == pytest.approx(float(ours), rel=1e-4)
    assert logs["gradient_penalty"] == pytest.approx(float(penalty), rel=1e-4)
    assert logs["reconstruction"] == pytest.approx(float(reconstruction), rel=1e-4)
    assert logs["loss"] == pytest.approx(float(total), rel=1e-4)


def test_evaluation_changes_nothing_and_its_loss_is_the_reconstruction():
    model = compiled(make())
    before = values(model.discriminator.variables + model.generator.variables)
    logs = model.evaluate(CLIPS, TARGETS, batch_size=5, verbose=0, return_dict=True)
    assert_equal(before, model.discriminator.variables + model.generator.variables)
    assert logs["loss"] == pytest.approx(logs["reconstruction"])
    drawn = model._draw(CLIPS, TARGETS, training=False)
    fake, real = (np.stack(model.discriminator(v)) for v in (drawn.fake, drawn.real))
    theirs = np.log1p(np.exp(-fake)).mean(axis=1).sum()
    ours = (np.log1p(np.exp(-real)) + np.log1p(np.exp(fake))).mean(axis=1).sum()
    assert logs["generator"] == pytest.approx(theirs, rel=1e-4)
    assert logs["discriminator"] == pytest.approx(ours, rel=1e-4)


def test_a_smaller_last_batch_weighs_less_in_every_term():
    def terms(batch_size):
        model = compiled(make(r1_weight=0.2, spectral_norm=False), rate=0.0, other_rate=0.0)
        history = model.fit(clips, TARGETS, batch_size=batch_size, shuffle=False, verbose=0)
        return {name: value for name, (value,) in history.history.items()}

    clips = CLIPS * np.linspace(0, 1, 12, dtype="float32")[:, None, None, None, None]
    assert terms(5) == pytest.approx(terms(12), rel=1e-4)


def test_a_saved_model_keeps_both_optimisers_and_goes_on_alike(tmp_path):
    model = compiled(make(average_decay=0.5))
    model.fit(batches(0), steps_per_epoch=2, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert float(loaded.optimizer.learning_rate) == pytest.approx(0.1)
    assert float(loaded.discriminator_optimizer.learning_rate) == pytest.approx(0.3)
    assert_equal(model.optimizer.variables, loaded.optimizer.variables)
    assert_equal(model.discriminator_optimizer.variables, loaded.discriminator_optimizer.variables)
    assert int(loaded.discriminator_optimizer.iterations) == 2
    for each in (model, loaded):
        each.fit(batches(2), steps_per_epoch=2, shuffle=False, verbose=0)
    assert_equal(model.weights, loaded.weights, rtol=1e-5, atol=1e-6)


def test_one_optimiser_alone_lends_its_settings_to_the_other():
    model = make()
    model.compile(keras.optimizers.Adam(2e-3, beta_1=0.5), loss=model.default_loss())
    other = model.discriminator_optimizer
    assert other is not model.optimizer and isinstance(other, keras.optimizers.Adam)
    assert other.get_config()["beta_1"] == 0.5
    assert float(other.learning_rate) == pytest.approx(2e-3)
    counts = [len(v) for v in model.optimized_variables.values()]
    assert counts == [len(side.trainable_variables) for side in (model.generator,
                                                                 model.discriminator)]


def test_half_precision_scales_both_losses():
    model = compiled(make(dtype="mixed_float16", r1_weight=0.1))
    for optimizer in (model.optimizer, model.discriminator_optimizer):
        assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    before = values(model.trainable_variables)
    logs = model.train_on_batch(CLIPS[:3], TARGETS[:3], return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())
    # The first step may overflow: it is left out then, and the scale halved.
    model.train_on_batch(CLIPS[:3], TARGETS[:3])
    for side in (model.generator, model.discriminator):
        assert all(v.dtype == "float32" for v in side.trainable_variables)
    moved = [np.any(a != b) for a, b in zip(before, values(model.trainable_variables),
                                            strict=True)]
    assert all(moved)
    whole = compiled(make(r1_weight=0.1))
    expected = whole.train_on_batch(CLIPS[:3], TARGETS[:3], return_dict=True)
    assert logs["discriminator"] == pytest.approx(expected["discriminator"], rel=0.02)


def test_the_average_follows_its_recursion_and_is_what_predicts():
    model = compiled(make(average_decay=0.3))
    average = values(model.average.weights)
    assert_equal(average, model.generator.weights)
    for step in range(1, 4):
        model.train_on_batch(CLIPS[:3], TARGETS[:3])
        decay = min(0.3, (1 + step) / (10 + step))
        average = [
            decay * a + (1 - decay) * w
            for a, w in zip(average, values(model.generator.weights), strict=True)
        ]
    assert_equal(average, model.average.weights, rtol=1e-5, atol=1e-6)
    predicted = np.asarray(model(CLIPS))
    assert np.any(predicted != np.asarray(model(CLIPS, training=True)))
    plain = make()
    for weight, value in zip(plain.generator.weights, average, strict=True):
        weight.assign(value)
    np.testing.assert_allclose(predicted, plain(CLIPS), atol=1e-5)
    assert all(weight.path.split("/")[1] != "average" for weight in model.trainable_variables)


def train(model, folder, steps=5, **arguments):
    run = RunFolder.open(folder, command="", arguments={"steps": steps})
    try:
        return fit(
            model, batches, run, steps, batch=2, learning_rate=1e-2,
            discriminator_learning_rate=3e-2, beta_1=0.5, checkpoint_every_sec=0, **arguments,
        )  # fmt: skip
    finally:
        run.close()


def test_a_killed_run_goes_on_to_the_weights_of_an_undisturbed_one(tmp_path):
    undisturbed = make(average_decay=0.9)
    train(undisturbed, tmp_path / "undisturbed")
    with pytest.raises(Killed):
        train(make(average_decay=0.9), tmp_path / "run", callbacks=[KillAfter(4)])
    resumed = make(seed=1, average_decay=0.9)
    train(resumed, tmp_path / "run")
    assert_equal(undisturbed.weights, resumed.weights, rtol=1e-5, atol=1e-6)
    assert int(resumed.discriminator_optimizer.iterations) == 5
    for name in ("optimizer", "discriminator_optimizer"):
        ours, theirs = (getattr(model, name).variables for model in (undisturbed, resumed))
        assert_equal(ours, theirs, rtol=1e-4, atol=1e-6)
    rates = [float(o.learning_rate) for o in (resumed.optimizer, resumed.discriminator_optimizer)]
    assert rates[1] == pytest.approx(3 * rates[0])


def test_a_weights_file_holds_neither_optimiser(tmp_path):
    model = compiled(make())
    write_weights(tmp_path / "model.weights.h5", model)
    with h5py.File(tmp_path / "model.weights.h5") as file:
        assert not [name for name in file if "optimizer" in name]
    assert isinstance(model.discriminator_optimizer, keras.optimizers.SGD)
    assert isinstance(model.optimizer, keras.optimizers.SGD)


def test_a_discriminator_that_won_ends_the_run_with_the_checkpoint_from_before(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("zoo.callbacks.STILL_STEPS", 2)
    watched = []

    class Watch(callbacks.AdversarialWatch):
        def __init__(self):
            super().__init__(patience=4)
            watched.append(self)

    monkeypatch.setattr("zoo.callbacks.AdversarialWatch", Watch)
    # Verdicts that no input changes: both losses stand still, and no gradient mends it.
    model = make(spectral_norm=False)
    for head in model.discriminator.heads:
        for weight in head.weights:
            weight.assign(tf.zeros_like(weight))
        head.trainable = False
    with pytest.raises(FloatingPointError, match="has stood still at .* for 4 steps up to step 5"):
        train(model, tmp_path / "run", steps=8)
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    # Steps 1 and 2 stand at the end of one step and none of standing still.
    assert kept == ["step-00000001", "step-00000002"]
    assert watched[0].still == 4


def kept_steps(folder):
    return sorted(int(path.name[5:]) for path in (folder / "checkpoints").iterdir())


def test_the_checkpoint_from_before_a_stand_still_outlives_it_and_a_restart(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("zoo.callbacks.STILL_STEPS", 4)
    original, stands = callbacks.AdversarialWatch, [True]

    class Watch(original):
        def __init__(self):
            super().__init__(patience=6)

        def on_step_end(self, step, logs):
            # The discriminator moves for three steps, and then no more.
            moves = step <= 3 or not stands[0]
            super().on_step_end(
                step, {"generator": float(step), "discriminator": float(step if moves else 0)}
            )

    monkeypatch.setattr("zoo.callbacks.AdversarialWatch", Watch)
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        train(make(), folder, steps=20, callbacks=[KillAfter(7)])
    # It has stood since step 4; two newer ones are kept beside.
    assert kept_steps(folder) == [4, 5, 6]
    with pytest.raises(FloatingPointError, match="for 6 steps up to step 10: it has won"):
        train(make(seed=1), folder, steps=20)
    assert kept_steps(folder) == [4, 6, 7]
    record = json.loads((folder / "run.json").read_text())
    assert (record["status"], record["sound_step"]) == ("failed", 4)
    assert "`discriminator` has stood still" in record["reason"]

    stands[0] = False
    seen = []
    note = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    train(make(seed=1), folder, steps=20, callbacks=[note])
    assert "the run failed before: `discriminator` has stood still" in caplog.text
    assert len(seen) == 16
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "finished" and not {"reason", "sound_step"} & set(record)


def test_without_weight_there_is_no_discriminator():
    model = make(adversarial_weight=0.0)
    model.compile("sgd", loss=model.default_loss())
    assert model.discriminator is None and model.discriminator_optimizer is None
    assert list(model.optimized_variables) == ["optimizer"]
    assert not [w.path for w in model.weights if "head" in w.path]
    logs = model.train_on_batch(CLIPS[:3], TARGETS[:3], return_dict=True)
    assert not {"generator", "discriminator", "gradient_penalty"} & set(logs)


@pytest.mark.parametrize(
    ("argument", "value", "rule"),
    [
        ("adversarial_weight", -1, "must not be negative"),
        ("r1_weight", -0.1, "must not be negative"),
        ("adversarial_loss", "wasserstein", "must be one of hinge, non_saturating"),
        ("average_decay", 1.0, "must be from 0 to below 1"),
    ],
)
def test_bad_arguments_are_named(argument, value, rule):
    with pytest.raises(ValueError, match=f"`{argument}` {rule}.*Received: {argument}={value}"):
        SmallGAN(**{argument: value})


def test_weights_of_clips_are_refused():
    model = compiled(make())
    message = "`sample_weight` and `class_weight` of `fit` must be None.*weights of the shape .2,"
    with pytest.raises(ValueError, match=message):
        model.fit(CLIPS, TARGETS, batch_size=2, sample_weight=np.ones(12), verbose=0)
    with pytest.raises(ValueError, match=message):
        model.evaluate(CLIPS, TARGETS, batch_size=2, sample_weight=np.ones(12), verbose=0)
