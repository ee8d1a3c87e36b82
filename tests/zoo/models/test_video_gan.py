"""What is particular to the video GAN: conditions, codes in training, blocks, scores."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.layers.random_views import shifted_and_lit
from zoo.losses import class_loss, discriminator_loss
from zoo.models.video_gan import VideoGAN
from zoo.registry import resolve

SMALL = resolve("video_gan").small
NAMES = ("walk", "run", "bend")
CLIP = np.random.default_rng(0).uniform(size=(8, 6, 16, 24, 1)).astype("float32")
LABEL = np.arange(8, dtype="int32") % 3
FRAME = CLIP[:, 0]


def make(**arguments):
    keras.utils.set_random_seed(0)
    model = VideoGAN(**{"labels": NAMES, "clip_shape": (8, 16, 24, 1), **SMALL, **arguments})
    model.ensure_built()
    # Layers near zero at first would hide what does not reach the video.
    for weight in model.generator.trainable_variables:
        weight.assign(weight + tf.random.normal(weight.shape, stddev=0.2))
    return model


@pytest.fixture(scope="module")
def model():
    return make()


def test_samples_of_a_class_of_a_frame_and_of_both(model):
    by_label = model.sample({"first_frame": None, "label": LABEL}, 5, seed=0)
    assert by_label.shape == (8, 5, 16, 24, 1) and by_label.dtype == tf.float32
    both = model.sample({"first_frame": FRAME, "label": LABEL}, 5, seed=0)
    by_frame = model.sample({"first_frame": FRAME, "label": None}, 5, seed=0)
    assert by_frame.shape == both.shape == (8, 5, 16, 24, 1)
    for one, other in ((by_label, both), (both, by_frame), (by_label, by_frame)):
        assert np.all(np.any(np.asarray(one) != np.asarray(other), axis=(1, 2, 3, 4)))
    # Frames are those after the first one: as context they say the same.
    np.testing.assert_array_equal(model.sample(CLIP[:, :1], 5, seed=0), by_frame)
    larger = model.sample({"first_frame": CLIP[:, 0, :8, :16], "label": LABEL}, 5, seed=0)
    assert larger.shape == (8, 5, 8, 16, 1)


def test_each_sample_of_a_batch_has_noise_of_its_own(model):
    drawn = np.asarray(model.sample({"first_frame": None, "label": [1, 1]}, 4, seed=3))
    assert np.any(drawn[0] != drawn[1])
    again = model.sample({"first_frame": None, "label": [1, 1]}, 4, seed=3)
    np.testing.assert_array_equal(drawn, again)
    assert np.any(drawn != np.asarray(model.sample({"label": [1, 1]}, 4, seed=4)))


@pytest.mark.parametrize(
    ("conditioning", "message"),
    [
        ({"label": [0, 3]}, "`label` must be from 0 to 2: walk, run, bend. Received: 3"),
        ({"label": [-1]}, "`label` must be from 0 to 2.*Received: -1"),
        ({"label": [0.5]}, "`label` must be whole numbers of the shape .*float32"),
        ({"label": 1}, "`label` must be whole numbers of the shape .batch,.*shape \\(\\)"),
        ({"first_frame": FRAME[:, :9]}, "height of `first_frame` must be a multiple of 8"),
        ({"first_frame": CLIP}, "`first_frame` must have the axes"),
        ({"first_frame": FRAME[0]}, "`first_frame` must have the axes .batch, height, width, cha"),
        ({"first_frame": FRAME, "label": [0]}, "must be of one batch. .*8 frames and 1 labels"),
        ({"first_frame": None, "label": None}, "must be frames, or a dict with a `first_frame`, a"),
        ({"frame": FRAME}, "dict with a `first_frame`, a `label` or both. Received: ..frame"),
        (None, "dict with a `first_frame`, a `label` or both. Received: conditioning=None"),
    ],
)
def test_bad_conditions_are_named(model, conditioning, message):
    with pytest.raises(ValueError, match=message):
        model.sample(conditioning, 2, seed=0)


def test_bad_steps_and_seeds_are_named(model):
    with pytest.raises(ValueError, match="`steps` must be a whole number from 1 up.*steps=0"):
        model.sample({"label": [0]}, 0, seed=0)
    with pytest.raises(ValueError, match="needs an integer `seed`"):
        model.sample({"label": [0]}, 2, seed=None)


def test_a_model_of_classes_alone_draws_at_once_and_neither_rolls_out_nor_scores():
    model = make(first_frame=False)
    assert set(model.verbs) == {"encode", "features", "sample"}
    drawn = model.sample({"first_frame": None, "label": [0, 1]}, 20, seed=0)
    assert drawn.shape == (2, 20, 16, 24, 1)
    for frames in ({"first_frame": FRAME, "label": LABEL}, CLIP, tf.constant(CLIP)):
        with pytest.raises(ValueError, match="`first_frame` must be None: this model was made wi"):
            model.sample(frames, 2, seed=0)
    for nothing in (None, {}, {"first_frame": None, "label": None}):
        with pytest.raises(ValueError, match="`conditioning` must be a dict with a `label`. Rec"):
            model.sample(nothing, 2, seed=0)
    with pytest.raises(NotImplementedError, match="does not answer `rollout`"):
        model.rollout(CLIP, 2)
    model.compile("sgd", loss=model.default_loss())
    logs = model.train_on_batch({"clip": CLIP, "label": LABEL}, CLIP, return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())


def test_a_model_without_classes_takes_no_label():
    model = make(labels=())
    assert model.num_classes == 0
    with pytest.raises(ValueError, match="`label` must be None: this model knows no classes"):
        model.sample({"first_frame": FRAME, "label": LABEL}, 2, seed=0)
    assert model.sample({"first_frame": FRAME}, 2, seed=0).shape == (8, 2, 16, 24, 1)
    with pytest.raises(ValueError, match="must be frames, or a dict with a `first_frame`. Rec"):
        model.sample(None, 2, seed=0)
    model.compile("sgd", loss=model.default_loss())
    logs = model.train_on_batch({"clip": CLIP}, CLIP, return_dict=True)
    assert "diversity" not in logs and all(np.isfinite(value) for value in logs.values())


def test_a_context_predictor_takes_a_first_frame_too_and_no_label():
    model = zoo.load("convlstm_vae", weights=None, **resolve("convlstm_vae").small)
    drawn = model.sample({"first_frame": FRAME, "label": None}, 2, seed=0)
    np.testing.assert_array_equal(drawn, model.sample(CLIP[:, :1], 2, seed=0))
    with pytest.raises(ValueError, match="`label` must be None: ConvLSTMVAE knows no classes"):
        model.sample({"first_frame": FRAME, "label": LABEL}, 2, seed=0)
    with pytest.raises(ValueError, match="must be frames, or a dict with a `first_frame`"):
        model.sample({"label": LABEL}, 2, seed=0)


def training_codes(model, seed=0):
    seeds = tf.unstack(tf.random.experimental.stateless_split(tf.constant([seed, 0]), 8))
    codes, own, alone = model._training_codes(tf.constant(CLIP), tf.constant(LABEL), seeds)
    return {name: np.asarray(value) for name, value in codes.items()}, int(own), int(alone)


def test_a_batch_is_drawn_in_three_ways(model):
    codes, own, alone = training_codes(model)
    assert (own, alone) == (2, 3)
    np.testing.assert_array_equal(codes["has_frame"], [0, 0, 0, 1, 1, 1, 1, 1])
    # By class alone: two and two of one class, and it is always told.
    np.testing.assert_array_equal(codes["label"][:3], [LABEL[0], LABEL[0], LABEL[2]])
    np.testing.assert_array_equal(codes["real_label"][:3], LABEL[:3])
    # From the first frame of the clip before in the batch.
    np.testing.assert_array_equal(codes["frame"][3:6], CLIP[[2, 2, 4], 0])
    known = codes["label"] != 3
    assert known[3] == known[4]
    expected = np.where(known[3:6], LABEL[[3, 3, 5]], 3)
    np.testing.assert_array_equal(codes["label"][3:6], expected)
    assert np.all(np.any(codes["motion"][:6] != 0, axis=(1, 2)))
    # Its own first frame, and no noise.
    np.testing.assert_array_equal(codes["frame"][6:], CLIP[6:, 0])
    assert not np.any(codes["content"][6:]) and not np.any(codes["motion"][6:])
    assert np.all(np.any(codes["content"][:6] != 0, axis=1))


def test_a_class_left_out_is_left_out_for_real_videos_too(model):
    left_out = 0
    for seed in range(20):
        codes, _, alone = training_codes(model, seed)
        unknown = codes["label"] == 3
        np.testing.assert_array_equal(unknown, codes["real_label"] == 3)
        assert not unknown[:alone].any()
        left_out += unknown.sum()
    # A quarter of five clips in each of twenty batches.
    assert 12 <= left_out <= 40


def test_the_reconstruction_is_of_clips_drawn_from_their_own_first_frame(model):
    model.compile("sgd", loss=model.default_loss())
    drawn = model._draw({"clip": CLIP, "label": LABEL}, CLIP, training=False)
    np.testing.assert_array_equal(drawn.targets, CLIP[6:, 1:])
    seeds = tf.random.experimental.stateless_split([model.seed, -1], 8)
    codes, _, _ = model._training_codes(tf.constant(CLIP), tf.constant(LABEL), tf.unstack(seeds))
    told = np.asarray(codes["label"])[6:]
    # Neither they nor as many of the real ones are judged.
    assert {len(shown["clip"]) for shown in (drawn.real, drawn.fake)} == {6}
    np.testing.assert_array_equal(drawn.fake["label"], codes["label"][:6])
    expected = model._without_noise(CLIP[6:, 0], tf.constant(told), 5, model.generator)
    np.testing.assert_allclose(drawn.predictions, expected, atol=1e-5)
    logs = model.evaluate({"clip": CLIP, "label": LABEL}, CLIP, verbose=0, return_dict=True)
    error = np.square(CLIP[6:, 1:] - np.asarray(expected)).mean()
    assert logs["reconstruction"] == pytest.approx(model.reconstruction_weight * error, rel=1e-3)


def test_the_error_of_the_reconstruction_may_be_absolute():
    loss = make(reconstruction_weight=5.0, reconstruction_exponent=1.0).default_loss()
    drawn = np.clip(CLIP + np.float32(0.25), 0, 1)
    np.testing.assert_allclose(loss(CLIP, drawn), 5 * np.abs(CLIP - drawn).mean(), rtol=1e-5)


def test_diversity_is_the_distance_of_samples_by_that_of_their_codes(model):
    drawn = np.random.default_rng(2).uniform(size=(6, 2, 4, 4, 1)).astype("float32") * 0.05
    content = np.random.default_rng(3).normal(size=(6, 4)).astype("float32")
    ratios = [
        np.abs(drawn[a] - drawn[b]).mean() / np.abs(content[a] - content[b]).mean()
        for a, b in ((0, 1), (2, 3))
    ]
    found = model._diversity(tf.constant(drawn), tf.constant(content), (5, 5))
    np.testing.assert_allclose(found, np.mean(np.minimum(ratios, 0.07)), rtol=1e-5)
    far = model._diversity(tf.constant(40 * drawn), tf.constant(content), (5, 5))
    np.testing.assert_allclose(far, 0.07, rtol=1e-6)
    assert float(model._diversity(tf.constant(drawn), tf.constant(content), (1, 2))) == 0
    # Those drawn from first frames follow, in pairs of their own.
    apart = np.abs(drawn[3] - drawn[4]).mean() / np.abs(content[3] - content[4]).mean()
    found = model._diversity(tf.constant(drawn), tf.constant(content), (3, 6))
    expected = np.mean(np.minimum([ratios[0], apart], 0.07))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("number", [3, -1])
def test_a_class_that_there_is_not_is_named_in_training_too(model, number):
    label = np.array([0, 1, number, 2, 0, 1, 2, 0], "int32")
    with pytest.raises(ValueError, match=f"`label` must be from 0 to 2: walk.*Received: {number}"):
        model({"clip": CLIP, "label": label})
    model.compile("sgd", loss=model.default_loss())
    with pytest.raises(tf.errors.InvalidArgumentError, match="`label` must be from 0 to 2: walk"):
        model.evaluate({"clip": CLIP, "label": label}, CLIP, batch_size=8, verbose=0)


def test_a_class_must_be_a_whole_number_in_training_too(model):
    with pytest.raises(ValueError, match="`label` must be whole numbers of the shape .batch,"):
        model({"clip": CLIP, "label": LABEL[:, None]})


@pytest.mark.parametrize("weight", [0.0, 5.0])
def test_the_loss_is_its_terms_and_diversity_and_class_are_where_they_have_weight(weight):
    model = make(diversity_weight=weight, class_weight=weight / 10)
    model.compile(keras.optimizers.SGD(0.0), loss=model.default_loss())
    # Two batches, the last smaller.
    history = model.fit(
        {"clip": CLIP, "label": LABEL}, CLIP, batch_size=5, shuffle=False, verbose=0
    ).history
    logs = {name: value for name, (value,) in history.items()}
    assert ("diversity" in logs) == ("class_drawn" in logs) == (weight > 0)
    expected = logs["reconstruction"] + model.adversarial_weight * logs["generator"]
    if weight:
        assert weight * logs["diversity"] > 0.01
        expected -= weight * logs["diversity"] - weight / 10 * logs["class_drawn"]
    assert logs["loss"] == pytest.approx(expected, rel=1e-4)


def test_the_discriminator_learns_the_classes_of_real_videos_and_the_generator_those_of_its_own():
    model = make(class_weight=0.5, adversarial_weight=1e-9, spectral_norm=False)
    model.compile(keras.optimizers.SGD(0.0), loss=model.default_loss())
    batch = {"clip": tf.constant(CLIP), "label": tf.constant(LABEL)}
    with tf.GradientTape(persistent=True) as tape:
        losses, drawn = model.objectives(batch, tf.constant(CLIP))
        of_real, of_drawn = (
            class_loss(model.discriminator(videos)["classes"], videos["label"])
            for videos in (drawn.real, drawn.fake)
        )
        verdicts = discriminator_loss_of(model, drawn)
    reconstruction = np.square(drawn.targets - np.asarray(drawn.predictions)).mean()
    expected = model.reconstruction_weight * reconstruction + 0.5 * of_drawn
    np.testing.assert_allclose(losses["optimizer"], expected, rtol=1e-4)
    np.testing.assert_allclose(losses["discriminator_optimizer"], verdicts + of_real, rtol=1e-4)
    head = model.discriminator.class_head.kernel
    np.testing.assert_allclose(
        tape.gradient(losses["discriminator_optimizer"], head), tape.gradient(of_real, head),
        rtol=1e-3, atol=1e-6,
    )  # fmt: skip


def discriminator_loss_of(model, drawn):
    real, fake = (model.discriminator(videos)["verdicts"] for videos in (drawn.real, drawn.fake))
    return sum(
        discriminator_loss(r, f, kind=model.adversarial_loss)
        for r, f in zip(real, fake, strict=True)
    )


def test_both_discriminators_see_one_view_of_a_video(model):
    places = tf.constant([2, 0])
    shown = model._shown(tf.constant(CLIP), tf.constant(LABEL), places, tf.constant([0, 1]))
    np.testing.assert_array_equal(shown["frames"], np.asarray(shown["clip"])[:, [2, 0]])
    np.testing.assert_array_equal(shown["clip"], shifted_and_lit(CLIP, (0, 1)))


def test_a_frame_is_scored_by_what_was_drawn_from_the_one_before(model):
    unknown = tf.fill((8,), 3)
    drawn = model._without_noise(CLIP[:, 3], unknown, 1, model.generator)
    error = np.square(CLIP[:, 4] - np.clip(drawn[:, 0], 0, 1))[..., 0]
    blocks = error.reshape(8, 2, 8, 3, 8).mean(axis=(2, 4))
    np.testing.assert_allclose(model.score_map(CLIP)[:, 4], blocks, rtol=1e-4, atol=1e-7)
    ahead = model.advance(CLIP, model.initial_state(8, 16, 24))["prediction"][:, 3]
    np.testing.assert_allclose(ahead, model.rollout(CLIP[:, :4], 1)[:, 0], atol=1e-5)


def test_draws_of_a_resumed_training_are_those_of_an_undisturbed_one():
    model = make()
    model.compile("sgd", loss=model.default_loss())
    assert int(model.draws) == 0
    model.train_on_batch({"clip": CLIP, "label": LABEL}, CLIP)
    assert int(model.draws) == 1
    other = make()
    other.set_weights(model.get_weights())
    x = {"clip": CLIP, "label": LABEL}
    one, two = (m._draw(x, CLIP, training=True).fake["clip"] for m in (model, other))
    np.testing.assert_array_equal(one, two)
    assert np.any(np.asarray(one) != np.asarray(model._draw(x, CLIP, training=True).fake["clip"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": ("a", "a")}, "`labels` must be distinct"),
        ({"labels": (), "first_frame": False}, "give `labels` or first_frame=True"),
        ({"adversarial_weight": 0.0}, "`adversarial_weight` must be above 0"),
        ({"reconstruction_exponent": 3}, "`reconstruction_exponent` must be from 1 to 2"),
        ({"reconstruction_weight": 0.0}, "`reconstruction_weight` must be above 0"),
        ({"diversity_weight": -1.0}, "`diversity_weight` must not be negative"),
        ({"diversity_weight": 0.5, "labels": ()}, "must be 0 without `labels`.*=0.5, labels="),
        ({"class_weight": -1.0}, "`class_weight` must not be negative"),
        ({"class_weight": 0.5, "labels": ()}, "`class_weight` must be 0 without `labels`"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        VideoGAN(**{"labels": NAMES, **SMALL, **arguments})
