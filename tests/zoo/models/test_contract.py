"""What every model of the catalogue promises, checked on each of them by what it declares."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.python.framework.config import disable_op_determinism  # not public yet

import zoo
from zoo.presets import PRESETS
from zoo.registry import model_arguments, resolve
from zoo.training.optimizers import optimized_variables

BATCH, TIME = 2, 13
# Enough for pairs of one class, first frames of other clips and clips drawn without noise.
GENERATED = 8
DOWN, ACROSS = 2, 3  # size of a frame in strides of the model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(preset_name, shaken_model):
    return shaken_model(preset_name)


@pytest.fixture(scope="module")
def clip(model):
    return blobs(model, BATCH)


@pytest.fixture(scope="module")
def training_clip(model):
    return blobs(model, GENERATED if model.task == "generate" else BATCH)


def blobs(model, batch):
    """Moving blobs rather than noise: something that a prediction can be about."""
    height, width = DOWN * model.stride, ACROSS * model.stride
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1)
    grid = grid * 16 / height
    frames = [
        [np.exp(-((grid - [8 - b // 2, 3 + 1.5 * t + b % 2 * 2]) ** 2).sum(-1) / 12)
         for t in range(TIME)]
        for b in range(batch)
    ]  # fmt: skip
    clip = np.asarray(frames, "float32")[..., None]
    return np.repeat(0.1 + 0.8 * clip, model.channels, axis=-1)


def noise(model, batch, time, down, across, seed=0):
    size = (batch, time, down * model.stride, across * model.stride, model.channels)
    return np.random.default_rng(seed).uniform(size=size).astype("float32")


def answers(model, verb):
    """Whether the model answers a verb; one that does not must say who does."""
    if verb in model.verbs:
        return True
    with pytest.raises(NotImplementedError) as refused:
        getattr(model, verb)(*[None] * {"step": 2, "rollout": 2, "sample": 3}.get(verb, 1))
    said, _, named = str(refused.value).partition(f"Models that answer `{verb}`: ")
    assert f"does not answer `{verb}`; it answers {', '.join(model.verbs)}. " in said
    classes = {preset.model_class for preset in PRESETS.values()} - {type(model)}
    able = {model_class.__name__ for model_class in classes if verb in model_class.verbs}
    # Classes that other tests define may be among them.
    assert able and able <= set(named.split(", ")) and type(model).__name__ not in named
    return False


def close(actual, expected, tolerance=1e-4):
    """Differs by at most `tolerance` of the largest value."""
    expected = np.asarray(expected)
    np.testing.assert_allclose(actual, expected, atol=tolerance * np.abs(expected).max())


def start_of(model, clip):
    """The state before the first frame of clips of this size."""
    return model.initial_state(len(clip), *clip.shape[2:4])


def ask(model, verb, clip, steps=3):
    """What a verb gives of a clip; of `step`, of its first frame."""
    if verb == "step":
        return model.step(clip[:, 0], start_of(model, clip))
    return getattr(model, verb)(clip, *{"rollout": (steps,), "sample": (steps, 1)}.get(verb, ()))


def check_answers(model, clip, steps=3):
    """Asks every verb, looks at shapes, dtypes and values, and gives what came."""
    batch, time, *frame = clip.shape
    out = {verb: ask(model, verb, clip, steps) for verb in model.verbs}
    assert out["encode"].shape == (batch, model.embedding_dim)
    assert out["features"].shape[0] == batch and out["features"].shape.rank == 5
    assert out["features"].shape[-1] == model.encoder.depth
    shapes = {"reconstruct": clip.shape, "score": (batch, time)}
    shapes |= dict.fromkeys(("rollout", "sample"), (batch, steps, *frame))
    for verb in set(shapes) & set(out):
        assert out[verb].shape == shapes[verb], verb
    if "score_map" in out:
        assert out["score_map"].shape[:2] == (batch, time) and out["score_map"].shape.rank == 4
    if "step" in out:
        start = start_of(model, clip)
        out["advance"] = model.advance(clip, start)
        for name, value in out["advance"].items():
            if name != "state":
                # A step gives what the same of several frames is without the axis of time.
                assert value.shape[:2] == (batch, time), name
                assert out["step"][name].shape == value[:, 0].shape, name
        for verb in ("step", "advance"):
            # Whoever predicts says what comes next, and says the same in a rollout.
            assert ("prediction" in out[verb]) == ("rollout" in model.verbs)
            assert out[verb]["state"].keys() == start.keys()
            for name, value in out[verb]["state"].items():
                assert (value.shape, value.dtype) == (start[name].shape, start[name].dtype), name
        if "prediction" in out["step"]:
            # Sums in another order; where activations are rounded, they are so by up to 1/256.
            apart = 2e-5 if model.compute_dtype == "float32" else 2e-2
            for shown, verb in ((clip, "advance"), (clip[:, :1], "step")):
                last = out[verb]["prediction"]
                last = last[:, -1] if verb == "advance" else last
                np.testing.assert_allclose(last, model.rollout(shown, 1)[:, 0], atol=apart)
        out |= {f"{verb} {name}": value for verb in ("step", "advance")
                for name, value in out.pop(verb).items() if name != "state"}  # fmt: skip
    for verb, value in out.items():
        assert value.dtype == tf.float32, verb
        assert np.all(np.isfinite(value)), verb
        if verb in ("reconstruct", "rollout", "sample") or verb.endswith("prediction"):
            assert 0 <= np.min(value) and np.max(value) <= 1, verb
    return out


def test_verbs_give_the_promised_shapes_in_float32(model, clip):
    assert set(model.verbs) >= {"encode", "features"}
    out = check_answers(model, clip)
    close(model.encoder(clip), out["features"])
    if "score" in model.verbs:
        together = model.score_with_map(clip)
        np.testing.assert_array_equal(together["score"], out["score"])
        np.testing.assert_array_equal(together["score_map"], out["score_map"])
        assert np.all(out["score"][:, : model.warm_up] == 0)
        assert np.all(out["score"][:, model.warm_up :] > 0)


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 5, 2)])
def test_any_legal_size_and_length(model, size):
    batch, down, across = size
    for time in (model.min_frames, TIME + 4):
        check_answers(model, noise(model, batch, time, down, across), steps=2)


def test_step_is_score_far_beyond_the_length_of_training(model):
    if not answers(model, "step"):
        return
    clip = noise(model, 1, 1000, 2, 2, seed=1)
    score, score_map = model.score(clip), model.score_map(clip)
    state = start_of(model, clip)
    assert all(not np.any(tensor) and tensor.shape[0] == 1 for tensor in state.values())
    for t in range(clip.shape[1]):
        out = model.step(clip[:, t], state)
        state = out["state"]
        assert abs(float(out["score"][0] - score[0, t])) <= 1e-4 * float(np.max(score)), t
    close(out["score_map"], score_map[:, -1])
    pieces, state = [], start_of(model, clip)
    for start in range(0, 1000, 277):
        out = model.advance(clip[:, start : start + 277], state)
        state = out["state"]
        pieces.append(out["score"])
    close(np.concatenate(pieces, axis=1), score)


def altered_after(clip, cut):
    altered = clip.copy()
    altered[:, cut:] = np.random.default_rng(2).uniform(size=altered[:, cut:].shape)
    return altered


def test_the_future_never_alters_a_prediction(model, clip):
    if not answers(model, "rollout"):
        return
    cut = TIME - 2
    altered = altered_after(clip, cut)
    if model.task == "predict_ahead":
        # What was predicted for the frames before the cut.
        known = cut - model.horizons
        np.testing.assert_array_equal(model(clip)[:, :known], model(altered)[:, :known])
    if answers(model, "step"):
        before, after = (model.advance(c, start_of(model, c)) for c in (clip, altered))
        for name in ("prediction", "score", "score_map"):
            np.testing.assert_array_equal(before[name][:, :cut], after[name][:, :cut])
            assert np.any(np.asarray(before[name][:, cut:]) != np.asarray(after[name][:, cut:]))


def test_the_future_never_alters_a_score(model, clip):
    if not answers(model, "score"):
        return
    for cut in (model.warm_up + 1, TIME - 2):
        altered = altered_after(clip, cut)
        for verb in (model.score, model.score_map):
            before, after = np.asarray(verb(clip)), np.asarray(verb(altered))
            np.testing.assert_array_equal(before[:, :cut], after[:, :cut])
            assert np.any(before[:, cut:] != after[:, cut:])


def test_a_rollout_feeds_on_its_own_output(model, clip):
    if not answers(model, "rollout"):
        return
    block = model.rollout_block
    future = model.rollout(clip[:, :5], block + 3)
    first = model.rollout(clip[:, :5], block)
    np.testing.assert_allclose(future[:, :block], first, atol=1e-6)
    # Shown its own first frames as context, it goes on in the same way.
    shown = np.concatenate([clip[:, :5], first], axis=1)
    close(model.rollout(shown, 3), future[:, block:])


def test_draws_follow_their_seed(model, clip):
    if not answers(model, "sample"):
        return
    for draw in (model.sample, model.rollout):
        one, again, other = (draw(clip[:, :5], 4, seed=s) for s in (1, 1, 2))
        np.testing.assert_array_equal(one, again)
        assert np.any(np.asarray(one) != np.asarray(other))
    np.testing.assert_array_equal(model.sample(clip[:, :5], 4, seed=2), other)
    with pytest.raises(ValueError, match="needs an integer `seed`"):
        model.sample(clip, 4, seed=None)


def test_bad_steps_and_sizes_are_named(model, clip):
    if not answers(model, "rollout"):
        return
    for steps in (0, None, float("nan")):
        with pytest.raises(ValueError, match=f"`steps` must be a whole number from 1 up.*{steps}"):
            model.rollout(clip, steps)
    said = f"height of `context` must be a multiple of {model.stride}"
    with pytest.raises(ValueError, match=said):
        model.rollout(clip[:, :, : model.stride + 1], 2)


def spoiled(clip):
    """Clips that break a rule, and a word of what must be said of each."""
    nan = clip.copy()
    nan[-1, 0, -1, -1, -1] = np.nan
    return {
        "floating point": (255 * clip).astype("uint8"),
        r"lie in \[0, 1\]": 255 * clip,
        "finite": nan,
        "channel": np.repeat(clip, 2, axis=-1),
        "axes": clip[0],
    }


def test_every_verb_names_what_is_wrong_with_a_clip(model, clip):
    names = {"rollout": "context", "sample": "conditioning", "step": "frame"}
    for rule, bad in spoiled(clip).items():
        for verb in model.verbs:
            with pytest.raises(ValueError, match=f"`{names.get(verb, 'clip')}` must .*{rule}"):
                if verb == "step":
                    model.step(bad[:, 0], start_of(model, clip))
                else:
                    ask(model, verb, bad)
        with pytest.raises(ValueError, match=f"`clip` must .*{rule}"):
            model(bad)
        if "step" in model.verbs:
            with pytest.raises(ValueError, match=f"`clip` must .*{rule}"):
                model.advance(bad, start_of(model, clip))
        for verb in {"rollout", "sample"} & set(model.verbs):
            with pytest.raises(ValueError, match=f"`first_frame` must .*{rule}"):
                ask(model, verb, {"first_frame": bad[:, 0], "label": None})


def test_bad_states_are_named(model, clip):
    if not answers(model, "step"):
        return
    start = start_of(model, clip)
    with pytest.raises(ValueError, match="`state` must be a dict of .*frames_seen"):
        model.step(clip[:, 0], {"frames_seen": start["frames_seen"]})
    with pytest.raises(ValueError, match="`state` must be a dict of .*Received: list"):
        model.step(clip[:, 0], [])
    for name, value in start.items():
        wrong = {**start, name: tf.cast(value, tf.float64)}
        said = f"`{name}` must be {value.dtype.name}. Received: float64"
        with pytest.raises(ValueError, match=said):
            model.step(clip[:, 0], wrong)
        with pytest.raises(ValueError, match=said):
            model.advance(clip, wrong)
    _, _, height, width, _ = clip.shape
    for batch, taller in ((BATCH, height + model.stride), (BATCH + 1, height)):
        with pytest.raises(ValueError, match="`state` must be that of frames like these"):
            model.step(clip[:, 0], model.initial_state(batch, taller, width))
        with pytest.raises(ValueError, match="`state` must be that of frames like these"):
            model.advance(clip, model.initial_state(batch, taller, width))
    with pytest.raises(ValueError, match="The width of `frame` must be a multiple of"):
        model.initial_state(1, height, width + 1)
    with pytest.raises(ValueError, match="`frame` must have the axes"):
        model.step(clip, start)


def inputs(model, clip):
    if model.task == "generate" and model.labels:
        return {"clip": clip, "label": np.arange(len(clip), dtype="int32") % len(model.labels)}
    if model.task == "reconstruct_and_predict":
        return clip[:, : -model.horizons]
    return clip


def targets(model, clip):
    if model.task in ("reconstruct", "generate"):
        return clip
    if model.task == "reconstruct_and_predict":
        return {"reconstruction": inputs(model, clip), "prediction": clip[:, -model.horizons :]}
    known = clip.shape[1] - model.horizons
    return np.stack([clip[:, k + 1 : k + 1 + known] for k in range(model.horizons)], axis=2)


def same_weights(model, other):
    for ours, theirs in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)


def same_answers(model, other, clip):
    """As a Keras model, and by the last verb that draws frames."""
    x = inputs(model, clip)
    tf.nest.map_structure(np.testing.assert_array_equal, model(x), other(x))
    drawing = [verb for verb in ("reconstruct", "rollout", "sample") if verb in model.verbs]
    for verb in drawing[-1:]:
        np.testing.assert_array_equal(ask(model, verb, clip), ask(other, verb, clip))
    np.testing.assert_array_equal(other.encode(clip), model.encode(clip))


def test_configuration_round_trip(model, clip):
    config = model.get_config()
    assert set(model_arguments(type(model))) <= set(config)
    again = type(model).from_config(config)
    again.ensure_built()
    again.set_weights(model.get_weights())
    assert again.get_config() == config
    same_weights(model, again)
    x = inputs(model, clip)
    tf.nest.map_structure(np.testing.assert_array_equal, model(x), again(x))


def test_keras_file_and_weights_file_round_trip(model, clip, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    same_weights(model, loaded)
    same_answers(model, loaded, clip)
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = type(model).from_config(model.get_config())
    fresh.ensure_built()
    differ = [np.any(ours != theirs) for ours, theirs in
              zip(model.get_weights(), fresh.get_weights(), strict=True)]  # fmt: skip
    assert np.mean(differ) > 0.5
    fresh.load_weights(tmp_path / "model.weights.h5")
    same_weights(model, fresh)
    x = inputs(model, clip)
    tf.nest.map_structure(np.testing.assert_array_equal, model(x), fresh(x))


def test_equal_seeds_make_equal_models(preset_name):
    made = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        made.append(zoo.load(preset_name, weights=None, **resolve(preset_name).small))
    same_weights(*made)


def copied(model, **config):
    """The same model with weights of its own, compiled."""
    copy = type(model).from_config({**model.get_config(), **config})
    copy.ensure_built()
    copy.set_weights(model.get_weights())
    copy.compile(
        optimizer=keras.optimizers.Adam(3e-3, clipnorm=1.0),
        loss=copy.default_loss(),
        jit_compile=False,
    )
    # Slots that were made while a step is traced would have it traced twice.
    for name, variables in optimized_variables(copy).items():
        getattr(copy, name).build(variables)
    return copy


@pytest.fixture(scope="module")
def trained(model):
    """A compiled copy, whose training is traced once, and what all its variables begin as."""
    copy = copied(model)
    return copy, values_of(copy)


def values_of(model):
    optimizers = [getattr(model, name) for name in optimized_variables(model)]
    variables = [*model.variables, *(v for optimizer in optimizers for v in optimizer.variables)]
    return [(variable, keras.ops.convert_to_numpy(variable)) for variable in variables]


def put_back(values):
    for variable, value in values:
        variable.assign(value)


def losses(model, clip):
    """What each optimiser of a compiled model minimises, by the attribute that holds it."""
    x, y = inputs(model, clip), targets(model, clip)
    if len(optimized_variables(model)) > 1:
        return model.objectives(x, y)[0]
    prediction = model(x, training=True)
    return {"optimizer": model.compute_loss(x, y, prediction)}


def test_every_weight_gets_a_finite_gradient_that_is_not_zero(trained, training_clip):
    model, start = trained
    if model.is_fitted_in_closed_form:
        assert model.weights and not model.trainable_variables
        return
    put_back(start)
    has_latent = model.posterior is not None
    assert has_latent == ("kl" in model.added_terms)
    with tf.GradientTape(persistent=True) as tape:
        minimised = losses(model, training_clip)
        # Of a latent with a divergence: what the drawn frames alone say.
        drawn = minimised["optimizer"] - tf.add_n(model.losses) if has_latent else None
    found = []
    for name, variables in optimized_variables(model).items():
        gradients = tape.gradient(minimised[name], variables)
        for variable, gradient in zip(variables, gradients, strict=True):
            assert gradient is not None, variable.path
            assert np.all(np.isfinite(gradient)), variable.path
            assert np.any(np.asarray(gradient) != 0), variable.path
        found += [variable.path for variable in variables]
    assert sorted(found) == sorted(variable.path for variable in model.trainable_variables)
    for variable in model.posterior.trainable_variables if has_latent else ():
        # A latent that the decoder does not see still has a divergence with a gradient.
        gradient = tape.gradient(drawn, variable)
        assert gradient is not None and np.any(np.asarray(gradient) != 0), variable.path


def fit_on_one_batch(model, clip, epochs=1):
    x, y = inputs(model, clip), targets(model, clip)
    # A fit in closed form has no say in the order of clips, and no need of one.
    order = {} if model.is_fitted_in_closed_form else {"shuffle": False}
    return model.fit(x, y, batch_size=len(clip), epochs=epochs, verbose=0, **order).history


def take_one_step(model, clip, learning_rate):
    for name in optimized_variables(model):
        getattr(model, name).learning_rate = learning_rate
    fit_on_one_batch(model, clip)
    return [(variable, keras.ops.convert_to_numpy(variable)) for variable in model.weights]


def test_one_step_lowers_what_each_optimiser_minimises(trained, training_clip, monkeypatch):
    model, start = trained
    if model.is_fitted_in_closed_form:
        return
    put_back(start)
    before = noted_losses(model, training_clip, monkeypatch)
    put_back(start)
    after_step = {id(v): value for v, value in take_one_step(model, training_clip, 1e-4)}
    for name, variables in optimized_variables(model).items():
        # The same batch and draws, and of the weights those alone changed that it trains.
        put_back(start)
        for variable in variables:
            variable.assign(after_step[id(variable)])
        after = noted_losses(model, training_clip, monkeypatch)
        # What a side is reported by falls too: what is minimised has the sign that it should.
        for told in {name, name.removesuffix("_optimizer")} & set(before):
            assert float(after[told]) < float(before[told]), told


@pytest.fixture
def fixed_order():
    """Sums are added up in the same order every time, as `zoo train --deterministic` has it."""
    tf.config.experimental.enable_op_determinism()
    yield
    disable_op_determinism()


def test_equal_draws_make_equal_steps_bit_for_bit(trained, training_clip, fixed_order):
    model, start = trained
    found = []
    for _ in range(2):
        put_back(start)
        found.append(take_one_step(model, training_clip, 1e-3))
    moved = False
    begun = {id(variable): value for variable, value in start}
    for (variable, one), (_, other) in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=variable.path)
        moved = moved or np.abs(one - begun[id(variable)]).max() > 5e-4
    assert moved


def test_keras_fit_lowers_the_loss_and_reports_its_terms(trained, clip, training_clip):
    model, start = trained
    put_back(start)
    # Three clips: the last batch is smaller than the one before it.
    three = np.concatenate([clip, clip[:1] ** 2])
    held_out = inputs(model, three), targets(model, three)
    before = model.evaluate(*held_out, batch_size=2, verbose=0, return_dict=True)
    # One pass is all there is where no gradients are followed.
    epochs = 1 if model.is_fitted_in_closed_form else 8
    history = fit_on_one_batch(model, training_clip, epochs)
    after = model.evaluate(*held_out, batch_size=2, verbose=0, return_dict=True)
    assert after["loss"] < before["loss"]
    assert model.monitor in after
    y = held_out[1]
    parts = sum(after[name] for name in (y if isinstance(y, dict) else ["reconstruction"]))
    extra = 0.0
    for name, weight in model.added_terms.items():
        assert history[name][-1] > 0
        extra += weight * after[name]
    assert parts + extra == pytest.approx(after["loss"], rel=1e-4)


def noted_losses(model, clip, monkeypatch):
    """What each optimiser minimises and what is reported, as it comes, by name."""
    noted = {}
    update = keras.metrics.Mean.update_state

    def note(metric, values, *arguments, **more):
        noted[metric.name] = values
        return update(metric, values, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(keras.metrics.Mean, "update_state", note)
        return {**losses(model, clip), **noted}


def noted_divergences(monkeypatch):
    """A list of each divergence that is computed from now on, as it comes.

    That is `(nats, closed, moments)`: what the code has, the sum of the same in closed form in
    float64, and the means and deviations that it is of.
    """
    noted, divergence = [], tfp.distributions.kl_divergence

    def note(posterior, prior, *arguments, **more):
        nats = divergence(posterior, prior, *arguments, **more)
        moments = [part() for of in (posterior, prior) for part in (of.mean, of.stddev)]
        mean, deviation, prior_mean, prior_deviation = (np.asarray(m, "float64") for m in moments)
        ratio = (deviation / prior_deviation) ** 2
        away = ((mean - prior_mean) / prior_deviation) ** 2
        noted.append((nats, 0.5 * np.sum(ratio + away - 1 - np.log(ratio)), moments))
        return nats

    monkeypatch.setattr(tfp.distributions, "kl_divergence", note)
    return noted


def was_half(values):
    """Whether float32 values, not all of them 0, could have been of a half precision before."""
    return any(
        np.array_equal(values, tf.cast(tf.cast(values, half), tf.float32))
        for half in (tf.bfloat16, tf.float16)
    )


def test_mixed_precision_keeps_what_is_named_in_float32(
    model, clip, trained, training_clip, monkeypatch
):
    full, start = trained
    put_back(start)
    divergences = noted_divergences(monkeypatch)
    mixed = copied(model, dtype="mixed_bfloat16")
    # Keras would round the pixels before anything here sees them.
    assert mixed.autocast is False and mixed.encoder.autocast is False
    assert all(part.dtype == tf.float32 for part in tf.nest.flatten(mixed(inputs(model, clip))))
    expected = noted_losses(full, training_clip, monkeypatch)
    divergences.clear()
    found = noted_losses(mixed, training_clip, monkeypatch)
    assert bool(divergences) == ("kl" in model.added_terms)
    for nats, closed, moments in divergences:
        assert nats.dtype == tf.float32
        np.testing.assert_allclose(np.sum(nats, dtype="float64"), closed, rtol=1e-4)
        assert not any(was_half(values) for values in moments)
    assert all(loss.dtype == tf.float32 for loss in mixed.losses)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert value.dtype == tf.float32 and (value == 0 or not was_half(value)), name
        # An activation is rounded by up to 1/256 in each of about a dozen layers, which is 2 % of
        # it when they add up at random, and twice that of what is squared.
        size = max(abs(float(expected[name])), 0.1)
        assert abs(float(value) - float(expected[name])) < 0.1 * size, name
    out = check_answers(mixed, clip)
    close(out["encode"], model.encode(clip), tolerance=0.1)
    if "score" in model.verbs:
        # The error is taken of float32 pixels: a rounded frame would put 1e-5 into each block.
        close(out["score"], model.score(clip), tolerance=0.1)


def test_wrong_sizes_are_named_when_called_as_a_keras_model_too(model, clip):
    for call in (model, model.encoder):
        with pytest.raises(ValueError, match="height of `clip` must be a multiple of .*nearest"):
            call(clip[:, :, : model.stride + 3])
    with pytest.raises(ValueError, match="must have at least .* frames. Received: 1"):
        model(clip[:, :1])
