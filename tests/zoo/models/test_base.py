"""The rules of a clip, each broken once, on the smallest model there can be."""

import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.models.base import VideoModel
from zoo.registry import resolve


class Mean(VideoModel):
    """Answers `encode` with the mean of the clip."""

    verbs = ("encode",)

    def build(self, input_shape=None):
        self.built = True

    def _encode(self, clip):
        return tf.reduce_mean(clip, axis=[1, 2, 3])


CLIP = np.random.default_rng(0).uniform(size=(2, 4, 16, 24, 1)).astype("float32")


def test_a_verb_runs_on_arrays_and_tensors():
    np.testing.assert_allclose(Mean().encode(CLIP), CLIP.mean(axis=(1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(
        Mean().encode(tf.constant(CLIP, tf.float64)), CLIP.mean(axis=(1, 2, 3)), rtol=1e-5
    )


def with_value(value):
    clip = CLIP.copy()
    clip[1, 2, 3, 4, 0] = value
    return clip


@pytest.mark.parametrize(
    "clip, message",
    [
        (CLIP[0], r"must have the axes \(batch, time, height, width, channels\)"),
        (np.repeat(CLIP, 3, -1), r"must have 1 channel\(s\).*Received: 3 channels"),
        (CLIP[:, :1], "must have at least 2 frames. Received: 1"),
        (CLIP[:, :, :15], "height of `clip` must be a multiple of 8; the nearest that fits is 16"),
        (CLIP[:, :, :, :19], "width of `clip` must be a multiple of 8; the nearest.* is 16"),
        ((CLIP * 255).astype("uint8"), "must be floating point in .0, 1..*Received: dtype uint8"),
        (CLIP * 255, r"must lie in \[0, 1\]. Received: values from 0"),
        (with_value(np.nan), "must be finite. Received: NaN"),
        (with_value(-np.inf), "must be finite"),
        (with_value(-0.5), r"must lie in \[0, 1\]. Received: values from -0.5"),
    ],
)
def test_a_broken_rule_is_named(clip, message):
    with pytest.raises(ValueError, match=message):
        Mean().encode(clip)


def test_a_wrong_size_is_named_in_a_graph_too():
    model = Mean()

    @tf.function(input_signature=[tf.TensorSpec([None, None, 15, 24, 1])], autograph=False)
    def encode(clip):
        return model.encode(clip)

    with pytest.raises(ValueError, match="height of `clip` must be a multiple of 8"):
        encode.get_concrete_function()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"channels": 2}, "`channels` must be 1 or 3. Received: channels=2"),
        ({"clip_shape": (16, 64, 64, 3)}, "`clip_shape` must be .*as many channels"),
        ({"fps": 0}, "`fps` must be above 0. Received: fps=0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Mean(**arguments)


class Counting(Mean):
    """Counts how often its verbs are traced; the state is the sum of the frames."""

    verbs = ("encode", "step")
    traces = 0
    step_sizes = ()

    def _encode(self, clip):
        self.traces += 1
        return super()._encode(clip)

    def _initial_state(self, batch, height, width):
        total = tf.zeros((batch, height, width, self.channels))
        return {"total": total, "frames_seen": tf.zeros((batch,), tf.int32)}

    def _advance(self, frames, state):
        self.traces += 1
        total = state["total"] + tf.reduce_sum(frames, axis=1)
        seen = state["frames_seen"] + tf.shape(frames)[1]
        return {"state": {"total": total, "frames_seen": seen}}

    def _step(self, clip, state):
        self.step_sizes += ((*clip.shape, *state["total"].shape, *state["frames_seen"].shape),)
        return self._advance(clip, state)


SIZES = [(2, 4, 16, 24, 1), (2, 3, 16, 24, 1), (1, 4, 8, 16, 1), (3, 9, 24, 8, 1)]


def test_a_verb_is_traced_once_for_clips_and_states_of_every_size():
    for verb in ("encode", "advance"):
        model = Counting()
        for size in SIZES:
            clip = np.full(size, 0.25, "float32")
            if verb == "encode":
                model.encode(clip)
                continue
            state = model.initial_state(size[0], *size[2:4])
            for _ in range(2):
                state = model.advance(clip, state)["state"]
            np.testing.assert_allclose(state["total"], np.full(size[:1] + size[2:], size[1] / 2))
            np.testing.assert_array_equal(state["frames_seen"], [2 * size[1]] * size[0])
        assert model.traces == 1, verb


def test_a_step_is_traced_for_the_very_size_of_a_camera():
    model = Counting()
    for batch, height, width in ((1, 16, 24), (2, 8, 16)):
        state = model.initial_state(batch, height, width)
        for _ in range(3):
            state = model.step(np.zeros((batch, height, width, 1), "float32"), state)["state"]
    frame = (16, 24, 1)
    assert model.step_sizes == (
        (1, 1, *frame, 1, *frame, 1),
        (2, 1, 8, 16, 1, 2, 8, 16, 1, 2),
    )


class Drawing(Mean):
    """Answers `rollout` and `sample` with the seed that came to the graph."""

    verbs = ("encode", "rollout", "sample")

    def _rollout(self, context, steps):
        return tf.constant(-1)

    def _sample(self, context, steps, seed):
        return seed


@pytest.mark.parametrize("steps", [0, -1, 1.5, None, float("nan"), float("inf"), "two"])
def test_steps_are_a_whole_number_from_one_up(steps):
    for draw in (Drawing().rollout, Drawing().sample):
        with pytest.raises(ValueError, match="`steps` must be a whole number from 1 up. Received"):
            draw(CLIP, steps, seed=0)


def test_steps_may_come_as_any_whole_number():
    for steps in (2, 2.0, np.int64(2), np.float32(2), tf.constant(2)):
        assert int(Drawing().sample(CLIP, steps, seed=7)) == 7


@pytest.mark.parametrize("verb", ["rollout", "sample"])
def test_a_seed_is_a_whole_number_that_the_graph_can_hold(verb):
    draw = getattr(Drawing(), verb)
    for seed in (0, 2**31 - 1, np.int64(7), tf.constant(5)):
        assert int(draw(CLIP, 2, seed=seed)) == int(seed)
    for seed in (-1, 2**31, 1.5, True, "7", (1, 2)):
        with pytest.raises(ValueError, match="`seed` must be a whole number from 0 to 2147483647"):
            draw(CLIP, 2, seed=seed)


FRAME_RULE = re.escape("must have the axes (batch, height, width, channels). Received: shape ")


@pytest.mark.parametrize("frame", [CLIP[0, 0], CLIP, 0.5, None])
def test_a_frame_of_other_axes_is_named(frame):
    model = Counting()
    with pytest.raises(ValueError, match="`frame` " + FRAME_RULE):
        model.step(frame, model.initial_state(2, 16, 24))
    if frame is not None:
        with pytest.raises(ValueError, match="`first_frame` " + FRAME_RULE):
            Drawing().sample({"first_frame": frame}, 2, seed=0)


def test_frames_may_be_lists_as_clips_may():
    model = Counting()
    state = model.initial_state(2, 16, 24)
    found = model.step(CLIP[:, 0].tolist(), state)["state"]["total"]
    np.testing.assert_array_equal(found, CLIP[:, 0])
    drawn = Drawing().sample({"first_frame": CLIP[:, 0].tolist()}, 2, seed=7)
    assert int(drawn) == 7


def test_what_there_must_be_to_draw_from_is_said():
    for conditioning in (None, {}, {"label": [0]}):
        with pytest.raises(ValueError, match="must be frames, or a dict with a `first_frame`. Rec"):
            Drawing().sample(conditioning, 2, seed=0)


@pytest.mark.parametrize(
    "verb, call",
    [
        ("features", lambda model: model.features(CLIP)),
        ("reconstruct", lambda model: model.reconstruct(CLIP)),
        ("rollout", lambda model: model.rollout(CLIP, 2)),
        ("sample", lambda model: model.sample(CLIP, 2, seed=0)),
        ("score", lambda model: model.score(CLIP)),
        ("score_map", lambda model: model.score_map(CLIP)),
        ("score_map", lambda model: model.score_with_map(CLIP)),
        ("step", lambda model: model.initial_state(1, 16, 24)),
        ("step", lambda model: model.step(CLIP[:, 0], {})),
        ("step", lambda model: model.advance(CLIP, {})),
    ],
)
def test_a_missing_verb_names_the_models_that_have_it(verb, call):
    said = (
        f"Mean does not answer `{verb}`; it answers encode. "
        rf"Models that answer `{verb}`: [A-Z]\w+"
    )
    with pytest.raises(NotImplementedError, match=said):
        call(Mean())


def test_keras_does_not_choose_xla_by_itself():
    model = Mean()
    model.compile(optimizer="sgd", loss="mse")
    assert model.jit_compile is False


ALONE = """
import tensorflow as tf
from zoo.models.composite_lstm import CompositeLSTM
model = CompositeLSTM(decoders=("reconstruction",), filters=(4,))
try:
    model.rollout(tf.zeros((1, 2, 8, 8, 1)), 1)
except NotImplementedError as error:
    print(error)
"""


def test_models_that_are_not_imported_are_named_and_those_that_cannot_are_not():
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == (
        "CompositeLSTM does not answer `rollout`; it answers encode, features, reconstruct. Models "
        "that answer `rollout`: Conv3DAutoencoder, ConvLSTMPredictor, ConvLSTMVAE, Foresight, "
        "MultiscaleGAN, VideoGAN, VideoVAE"
    )


@pytest.mark.parametrize("name", ["convlstm_vae", "video_vae", "foresight"])
def test_a_look_at_a_model_in_training_changes_nothing_that_is_reported(name):
    more = {"feature_weight": 0.1} if name == "foresight" else {}
    model = zoo.load(name, weights=None, **resolve(name).small, **more)
    model.compile("sgd", loss=model.default_loss(), run_eagerly=True)
    clip = np.random.default_rng(0).uniform(size=(2, 9, 8, 8, 1)).astype("float32")
    target = model(clip) * 0.0
    for step in (model.train_on_batch, model.test_on_batch):
        model.reset_metrics()
        reported = step(clip, target, return_dict=True)
        assert reported["features" if name == "foresight" else "kl"] > 0
        model(clip**2, training=False)
        again = {term: float(value) for term, value in model.get_metrics_result().items()}
        assert {term: again[term] for term in reported} == pytest.approx(reported, rel=1e-6)
