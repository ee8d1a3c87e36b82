"""What is particular to the autoencoder of two branches: windows, blocks, scores, losses."""

import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.models.conv3d_autoencoder import Conv3DAutoencoder
from zoo.registry import resolve, with_scoring

SMALL = {
    **resolve("conv3d_autoencoder").small,
    "context_frames": 8,
    "horizons": 8,
    "score_branch": "reconstruction",
    "score_horizon": 1,
}
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model():
    model = zoo.load("conv3d_autoencoder", weights=None, **SMALL)
    model.set_weights([RNG.normal(scale=0.15, size=w.shape) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def clip():
    return RNG.uniform(size=(2, 21, 16, 24, 1)).astype("float32")


def still(clip, frames):
    """The last frames of a clip; where there are too few, the first stood before it."""
    return np.concatenate([np.repeat(clip[:, :1], frames, axis=1), clip], axis=1)[:, -frames:]


@pytest.mark.parametrize("frames", [2, 7, 8, 13])
def test_both_branches_draw_from_the_code_of_the_encoder(model, clip, frames):
    context = clip[:, :frames]
    out = model(context)
    drawn = model.past(model.encoder(context))[:, -frames:] + 0.5
    np.testing.assert_allclose(out["reconstruction"], drawn, atol=1e-5)
    np.testing.assert_allclose(model.reconstruct(context), np.clip(drawn, 0, 1), atol=1e-5)
    window = still(context, 8)
    ahead = window[:, -1:] + model.future(model.encoder(window))
    np.testing.assert_allclose(out["prediction"], ahead, atol=1e-5)
    assert np.std(ahead - window[:, -1:]) > 1e-3
    assert model.code_size(frames, 16, 24) == np.size(model.features(context)[0])


def test_a_rollout_is_fed_on_whole_blocks(model, clip):
    first = np.clip(model(clip[:, :8])["prediction"], 0, 1)
    second = np.clip(model(first)["prediction"], 0, 1)
    expected = np.concatenate([first, second], axis=1)[:, :11]
    np.testing.assert_allclose(model.rollout(clip[:, :8], 11), expected, atol=1e-5)


def block_error(frames, drawn):
    squared = np.square(frames - drawn)[..., 0]
    return squared.reshape(2, 2, 8, 3, 8).mean(axis=(2, 4))


def test_a_frame_is_scored_as_the_last_of_its_window_drawn_again(model, clip):
    assert model.warm_up == 7 and "pending" not in model.initial_state(1, 8, 8)
    score_map = model.score_map(clip)
    np.testing.assert_array_equal(score_map[:, :7], 0)
    for t in (7, 12, 20):
        drawn = model.reconstruct(clip[:, t - 7 : t + 1])[:, -1]
        np.testing.assert_allclose(score_map[:, t], block_error(clip[:, t], drawn), atol=1e-5)


@pytest.mark.parametrize("horizon", [1, 8])
def test_or_by_what_was_predicted_for_it(model, clip, horizon):
    other = with_scoring(model, score_branch="prediction", score_horizon=horizon)
    assert other.warm_up == horizon + 7
    score_map = other.score_map(clip)
    np.testing.assert_array_equal(score_map[:, : horizon + 7], 0)
    for t in (horizon + 7, 19):
        shown = clip[:, t - horizon - 7 : t - horizon + 1]
        ahead = np.clip(model(shown)["prediction"][:, horizon - 1], 0, 1)
        np.testing.assert_allclose(score_map[:, t], block_error(clip[:, t], ahead), atol=1e-5)


def test_the_loss_is_the_sum_of_both_parts_of_the_paper(model, clip):
    context, future = clip[:, :8], clip[:, 8:16]
    targets = {"reconstruction": context, "prediction": future}
    trained = with_scoring(model)
    trained.compile("sgd", loss=trained.default_loss(), jit_compile=False)
    found = trained.evaluate(context, targets, verbose=0, return_dict=True)
    out = model(context)
    scale = model.observation_scale
    squared = np.square(out["reconstruction"] - context).mean()
    reconstruction = squared / (2 * scale**2) + np.log(scale) + np.log(2 * np.pi) / 2
    by_frame = np.square(out["prediction"] - future).mean(axis=(0, 2, 3, 4))
    prediction = sum((8 - t) * by_frame[t] for t in range(8)) / 8**2 / (2 * scale**2)
    assert set(found) == {"loss", "reconstruction", "prediction"}
    assert found["reconstruction"] == pytest.approx(reconstruction, rel=1e-4)
    assert found["prediction"] == pytest.approx(prediction, rel=1e-4)
    assert found["loss"] == pytest.approx(reconstruction + prediction, rel=1e-4)


def test_kernels_are_three_frames_deep(model):
    kernels = [w for w in model.trainable_variables if w.path.endswith("kernel")]
    assert len(kernels) == 4 + 2 * 4
    inputs = sorted({kernel.shape[2] for kernel in kernels})
    assert inputs == [3 * channels for channels in (1, 4, 6, 8)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"context_frames": 6}, "`context_frames` must be a multiple of 4.*context_frames=6"),
        ({"horizons": 9}, "`horizons` must be at most context_frames=8.*horizons=9"),
        ({"score_branch": "both"}, "`score_branch` must be one of .*score_branch=both"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Conv3DAutoencoder(**arguments)


def test_fewer_frames_may_be_predicted_than_shown(clip):
    model = zoo.load("conv3d_autoencoder", weights=None, **{**SMALL, "horizons": 3})
    assert model(clip[:, :8])["prediction"].shape == (2, 3, 16, 24, 1)
    assert model.rollout(clip[:, :8], 4).shape == (2, 4, 16, 24, 1)
    assert tf.reduce_all(model.score(clip)[:, model.warm_up :] > 0)


@pytest.mark.parametrize("branch", ["reconstruction", "prediction"])
def test_each_window_is_encoded_once(model, branch):
    other = with_scoring(model, score_branch=branch)
    frame, state = tf.zeros((1, 1, 16, 24, 1)), other.initial_state(1, 16, 24)
    graph = tf.function(other._step, autograph=False).get_concrete_function(frame, state).graph
    convolutions = [op.name for op in graph.get_operations() if op.type == "Conv2D"]
    # Four of the encoder, and four of each decoder that draws.
    assert len(convolutions) == (12 if branch == "reconstruction" else 8), convolutions
