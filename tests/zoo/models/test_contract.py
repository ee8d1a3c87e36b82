"""What every model of the catalogue promises, checked on each of them by what it declares."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.presets import PRESETS
from zoo.registry import resolve
from zoo.training.optimizers import optimized_variables

RNG = np.random.default_rng(0)
BATCH, TIME, HEIGHT, WIDTH = 2, 13, 16, 24

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(preset_name):
    keras.utils.set_random_seed(0)
    preset = resolve(preset_name)
    model = zoo.load(preset.name, weights=None, **preset.small)
    # Weights at their initial scale predict almost the last frame: shake them, so that a wrong
    # state or a wrong horizon shows.
    shaken = [
        w + RNG.normal(scale=0.1, size=w.shape) if w.dtype.kind == "f" else w
        for w in model.get_weights()
    ]
    model.set_weights(shaken)
    if hasattr(model, "kl_weight"):
        model.kl_weight.assign(1.0)
    return model


@pytest.fixture(scope="module")
def clip(model):
    # Moving blobs rather than noise: something that a prediction can be about.
    grid = np.stack(np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), indexing="ij"), -1)
    frames = [
        [np.exp(-((grid - [8, 3 + 1.5 * t + 2 * b]) ** 2).sum(-1) / 12) for t in range(TIME)]
        for b in range(BATCH)
    ]
    clip = np.asarray(frames, "float32")[..., None]
    return np.repeat(0.1 + 0.8 * clip, model.channels, axis=-1)


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


def test_verbs_give_the_promised_shapes_in_float32(model, clip):
    assert set(model.verbs) >= {"encode", "features"}
    out = {"encode": model.encode(clip), "features": model.features(clip)}
    assert out["encode"].shape == (BATCH, model.embedding_dim)
    assert out["features"].shape[:1] == (BATCH,) and out["features"].shape.rank == 5
    close(model.encoder(clip), out["features"])
    if "reconstruct" in model.verbs:
        out["reconstruct"] = model.reconstruct(clip)
        assert out["reconstruct"].shape == clip.shape
    if "rollout" in model.verbs:
        out["rollout"] = model.rollout(clip, 3)
        assert out["rollout"].shape == (BATCH, 3, *clip.shape[2:])
    if "score" in model.verbs:
        out["score"], out["score_map"] = model.score(clip), model.score_map(clip)
        assert out["score"].shape == (BATCH, TIME)
        assert out["score_map"].shape[:2] == (BATCH, TIME)
        together = model.score_with_map(clip)
        np.testing.assert_array_equal(together["score"], out["score"])
        np.testing.assert_array_equal(together["score_map"], out["score_map"])
        assert np.all(out["score"][:, : model.warm_up] == 0)
        assert np.all(out["score"][:, model.warm_up :] > 0)
    for verb, value in out.items():
        assert value.dtype == tf.float32, verb
        assert np.all(np.isfinite(value)), verb
    for verb in {"reconstruct", "rollout"} & set(out):
        assert 0 <= np.min(out[verb]) and np.max(out[verb]) <= 1, verb


@pytest.mark.parametrize("size", [(1, 8, 8), (2, 40, 16)])
def test_any_legal_size_and_length(model, size):
    batch, height, width = size
    for time in (model.min_frames, TIME + 4):
        clip = RNG.uniform(size=(batch, time, height, width, model.channels)).astype("float32")
        code = model.encode(clip)
        assert code.shape == (batch, model.embedding_dim)
        assert np.all(np.isfinite(code))
        if "score" in model.verbs:
            assert model.score(clip).shape == (batch, time)


def test_step_is_score_far_beyond_the_length_of_training(model):
    if not answers(model, "step"):
        return
    rng = np.random.default_rng(1)
    clip = rng.uniform(size=(1, 300, 16, 16, model.channels)).astype("float32")
    score, score_map = model.score(clip), model.score_map(clip)
    state = model.initial_state(1, 16, 16)
    assert all(not np.any(tensor) and tensor.shape[0] == 1 for tensor in state.values())
    for t in range(clip.shape[1]):
        out = model.step(clip[:, t], state)
        state = out["state"]
        assert abs(float(out["score"][0] - score[0, t])) <= 1e-4 * float(np.max(score)), t
    close(out["score_map"], score_map[:, -1])
    pieces, state = [], model.initial_state(1, 16, 16)
    for start in range(0, 300, 77):
        out = model.advance(clip[:, start : start + 77], state)
        state = out["state"]
        pieces.append(out["score"])
    close(np.concatenate(pieces, axis=1), score)


def altered_after(clip, cut):
    altered = clip.copy()
    altered[:, cut:] = RNG.uniform(size=altered[:, cut:].shape)
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
        before, after = (
            model.advance(c, model.initial_state(BATCH, HEIGHT, WIDTH)) for c in (clip, altered)
        )
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


def test_samples_follow_their_seed(model, clip):
    if not answers(model, "sample"):
        return
    one, again, other = (model.sample(clip[:, :5], 4, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.any(np.asarray(one) != np.asarray(other))
    np.testing.assert_array_equal(model.rollout(clip[:, :5], 4, seed=1), one)
    with pytest.raises(ValueError, match="needs an integer `seed`"):
        model.sample(clip, 4, seed=None)


def test_bad_steps_and_sizes_are_named(model, clip):
    if not answers(model, "rollout"):
        return
    with pytest.raises(ValueError, match="`steps` must be a whole number from 1 up.*steps=0"):
        model.rollout(clip, 0)
    with pytest.raises(ValueError, match="height of `context` must be a multiple of 8"):
        model.rollout(clip[:, :, :9], 2)


def test_bad_states_are_named(model, clip):
    if not answers(model, "step"):
        return
    with pytest.raises(ValueError, match="`state` must be a dict of .*frames_seen"):
        model.step(clip[:, 0], {"frames_seen": tf.zeros((BATCH,), tf.int32)})
    with pytest.raises(ValueError, match="`state` must be a dict of .*Received: list"):
        model.step(clip[:, 0], [])
    for batch, height in ((BATCH, HEIGHT + 8), (BATCH + 1, HEIGHT)):
        with pytest.raises(ValueError, match="`state` must be that of frames like these"):
            model.step(clip[:, 0], model.initial_state(batch, height, WIDTH))
        with pytest.raises(ValueError, match="`state` must be that of frames like these"):
            model.advance(clip, model.initial_state(batch, height, WIDTH))
    with pytest.raises(ValueError, match="The width of `frame` must be a multiple of"):
        model.initial_state(1, HEIGHT, WIDTH + 1)
    with pytest.raises(ValueError, match="`frame` must have the axes"):
        model.step(clip, model.initial_state(BATCH, HEIGHT, WIDTH))


def inputs(model, clip):
    if model.task == "generate" and model.labels:
        return {"clip": clip, "label": np.arange(len(clip), dtype="int32")}
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


def loss_of(loss, target, out):
    """The sum over the parts, each by its own loss where there is a dict of them."""
    if not isinstance(out, dict):
        return loss(target, out)
    losses = loss if isinstance(loss, dict) else dict.fromkeys(out, loss)
    return sum(losses[name](target[name], part) for name, part in out.items())


def test_configuration_round_trip(model, clip):
    again = type(model).from_config(model.get_config())
    again.ensure_built()
    again.set_weights(model.get_weights())
    assert again.get_config() == model.get_config()
    np.testing.assert_array_equal(again.encode(clip), model.encode(clip))


def test_keras_file_and_weights_file_round_trip(model, clip, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.encode(clip), model.encode(clip))
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = type(model).from_config(model.get_config())
    fresh.ensure_built()
    assert np.any(np.asarray(fresh.encode(clip)) != np.asarray(model.encode(clip)))
    fresh.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(fresh.encode(clip), model.encode(clip))


def copied(model):
    """The same model with weights of its own, compiled."""
    copy = type(model).from_config(model.get_config())
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


def losses(model, clip):
    """What each optimiser of a compiled model minimises, by the attribute that holds it."""
    x, y = inputs(model, clip), targets(model, clip)
    if hasattr(model, "objectives"):
        return model.objectives(x, y)[0]
    prediction = model(x, training=True)
    return {"optimizer": model.compute_loss(x, y, prediction)}


def test_every_weight_gets_a_finite_gradient_that_is_not_zero(model, clip):
    if model.is_fitted_in_closed_form:
        assert model.weights and not model.trainable_variables
        return
    model = copied(model)
    has_latent = hasattr(model, "kl_weight")
    with tf.GradientTape(persistent=True) as tape:
        minimised = losses(model, clip)
        # Of a latent with a divergence: what the drawn frames alone say.
        drawn = minimised["optimizer"] - tf.add_n(model.losses) if has_latent else None
    trained = []
    for name, variables in optimized_variables(model).items():
        gradients = tape.gradient(minimised[name], variables)
        for variable, gradient in zip(variables, gradients, strict=True):
            assert gradient is not None, variable.path
            assert np.all(np.isfinite(gradient)), variable.path
            assert np.any(np.asarray(gradient) != 0), variable.path
        trained += [variable.path for variable in variables]
    assert sorted(trained) == sorted(variable.path for variable in model.trainable_variables)
    for variable in model.posterior.trainable_variables if has_latent else ():
        # A latent that the decoder does not see still has a divergence with a gradient.
        assert np.any(np.asarray(tape.gradient(drawn, variable)) != 0), variable.path


def test_keras_fit_lowers_the_loss_and_reports_its_terms(model, clip):
    trained = copied(model)
    x, y = inputs(model, clip), targets(model, clip)
    # Three clips: the last batch is smaller than the one before it.
    three = np.concatenate([clip, clip[:1] ** 2])
    held_out = inputs(model, three), targets(model, three)
    before = trained.evaluate(*held_out, batch_size=2, verbose=0, return_dict=True)
    # One pass is all there is where no gradients are followed.
    epochs = 1 if trained.is_fitted_in_closed_form else 8
    history = trained.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0).history
    after = trained.evaluate(*held_out, batch_size=2, verbose=0, return_dict=True)
    assert after["loss"] < before["loss"]
    assert trained.monitor in after
    parts = sum(after[name] for name in (y if isinstance(y, dict) else ["reconstruction"]))
    extra = 0.0
    if hasattr(trained, "kl_weight"):
        assert history["kl"][-1] > 0
        extra = float(trained.kl_weight) * after["kl"]
    if getattr(trained, "feature_weight", 0):
        assert history["features"][-1] > 0
        extra = trained.feature_weight * after["features"]
    assert parts + extra == pytest.approx(after["loss"], rel=1e-4)


def test_mixed_precision_keeps_losses_and_scores_in_float32(model, clip):
    config = {**model.get_config(), "dtype": "mixed_bfloat16"}
    mixed = type(model).from_config(config)
    mixed.ensure_built()
    mixed.set_weights(model.get_weights())
    # Keras would round the pixels before anything here sees them.
    assert mixed.autocast is False and mixed.encoder.autocast is False
    assert all(part.dtype == tf.float32 for part in tf.nest.flatten(mixed(clip)))
    assert all(loss.dtype == tf.float32 for loss in mixed.losses)
    assert mixed.encode(clip).dtype == tf.float32
    close(mixed.encode(clip), model.encode(clip), tolerance=0.05)
    if "score" in model.verbs:
        score = mixed.score(clip)
        assert score.dtype == tf.float32
        # The error is taken of float32 pixels: a rounded frame would put 1e-5 into each block.
        close(score, model.score(clip), tolerance=0.1)


def test_wrong_sizes_are_named_when_called_as_a_keras_model_too(model, clip):
    for call in (model, model.encoder):
        with pytest.raises(ValueError, match="height of `clip` must be a multiple of .*nearest"):
            call(clip[:, :, :11])
    with pytest.raises(ValueError, match="must have at least .* frames. Received: 1"):
        model(clip[:, :1])
