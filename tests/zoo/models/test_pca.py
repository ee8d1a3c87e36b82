"""The principal components, against scikit-learn, and the prediction, against the Gaussian."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.decomposition import PCA as SklearnPCA
from sklearn.decomposition import IncrementalPCA

from zoo.evaluation.scoring import score_video
from zoo.models.pca import PATCH, PCA
from zoo.registry import with_scoring

WINDOW, COMPONENTS = 3, 10
VALUES = WINDOW * PATCH * PATCH


@pytest.fixture(scope="module")
def clips():
    """Waves of a few frequencies that travel over a bright floor, with a little noise."""
    rng = np.random.default_rng(0)
    t, y, x = np.meshgrid(np.arange(7), np.arange(24), np.arange(32), indexing="ij")
    clips = []
    for _ in range(12):
        waves = [
            np.sin(rng.uniform(0.1, 1.2) * (x * np.cos(a) + y * np.sin(a) - rng.normal() * t))
            for a in rng.uniform(0, 6, 3)
        ]
        clips.append(0.6 + 0.1 * sum(waves) + rng.normal(0, 0.01, t.shape))
    return np.clip(clips, 0, 1).astype("float32")[..., None]


@pytest.fixture(scope="module")
def model(clips):
    model = PCA(window=WINDOW, components=COMPONENTS)
    model.fit(clips, batch_size=5, verbose=0)
    return model


def cut(clips):
    """Patches of a whole number of windows, by plain slicing: `(n, frame * row * column)`."""
    rows = []
    for clip in clips:
        for t in range(0, len(clip) - WINDOW + 1, WINDOW):
            for y in range(0, clip.shape[1], PATCH):
                for x in range(0, clip.shape[2], PATCH):
                    rows.append(clip[t : t + WINDOW, y : y + PATCH, x : x + PATCH].ravel())
    return np.asarray(rows, np.float64)


def test_components_are_those_of_scikit_learn(model, clips):
    rows = cut(clips)
    whole = SklearnPCA(COMPONENTS, svd_solver="full").fit(rows)
    ours = model.encoder
    np.testing.assert_allclose(ours.mean, whole.mean_, atol=1e-6)
    np.testing.assert_allclose(ours.explained_variance, whole.explained_variance_, rtol=1e-5)
    np.testing.assert_allclose(float(ours.noise_variance), whole.noise_variance_, rtol=1e-5)
    # Each one up to its sign.
    products = np.abs(np.sum(ours.components.numpy() * whole.components_.T, axis=0))
    np.testing.assert_allclose(products, 1, atol=1e-4)
    # The incremental one forgets what it leaves out of a batch, so it keeps many and is near.
    leading = IncrementalPCA(96, batch_size=96).fit(rows).components_[:COMPONENTS]
    cosines = np.linalg.svd(leading @ ours.components.numpy(), compute_uv=False)
    assert cosines.min() > 0.999


def test_batches_and_old_weights_make_no_difference(model, clips):
    again = PCA(window=WINDOW, components=COMPONENTS)
    again.ensure_built()
    again.set_weights([np.full(w.shape, 3.0) for w in again.get_weights()])
    pairs = tf.data.Dataset.from_tensor_slices((clips, clips)).batch(1)
    again.fit(pairs, verbose=0)
    for ours, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_small_variance_about_a_large_mean_is_kept():
    clips = 0.9 + np.random.default_rng(0).normal(0, 1e-4, (20, WINDOW, 24, 32, 1))
    model = PCA(window=WINDOW, components=COMPONENTS)
    model.fit(clips, batch_size=1, verbose=0)
    rows = cut(clips.astype("float32"))
    expected = SklearnPCA(COMPONENTS, svd_solver="full").fit(rows).explained_variance_
    np.testing.assert_allclose(model.encoder.explained_variance, expected, rtol=1e-4)


def test_features_are_codes_of_the_windows_that_end_at_each_frame(model, clips):
    sklearn = SklearnPCA(COMPONENTS, svd_solver="full").fit(cut(clips))
    signs = np.sign(np.sum(model.encoder.components.numpy() * sklearn.components_.T, axis=0))
    clip = clips[1]
    stood = np.concatenate([clip[:1], clip[:1], clip])
    grid = model.features(clip[None])
    assert grid.shape == (1, 7, 3, 4, COMPONENTS)
    for t in range(7):
        codes = sklearn.transform(cut([stood[t : t + WINDOW]])) * signs
        np.testing.assert_allclose(grid[0, t], codes.reshape(3, 4, COMPONENTS), atol=1e-4)


def test_what_is_drawn_is_the_inverse_transform(model, clips):
    sklearn = SklearnPCA(COMPONENTS, svd_solver="full").fit(cut(clips))

    def drawn(window):
        rows = sklearn.inverse_transform(sklearn.transform(cut([window])))
        blocks = rows.reshape(3, 4, WINDOW, PATCH, PATCH).transpose(2, 0, 3, 1, 4)
        return blocks.reshape(WINDOW, 24, 32, 1)

    clip = clips[2]
    expected = np.concatenate([drawn(clip[:3]), drawn(clip[3:6])])
    np.testing.assert_allclose(model.reconstruct(clip[None, :6])[0], expected, atol=1e-4)
    assert model.code_size(6, 24, 32) == 2 * 3 * 4 * COMPONENTS
    assert model.code_size(7, 24, 32) == 3 * 3 * 4 * COMPONENTS
    # Seven frames are two copies of the first before them.
    first = drawn(np.concatenate([clip[:1], clip[:1], clip[:1]]))[2:]
    np.testing.assert_allclose(model.reconstruct(clip[None])[0, :1], first, atol=1e-4)
    error = np.square(clip[4] - drawn(clip[2:5])[-1])
    blocks = error.reshape(3, PATCH, 4, PATCH).mean(axis=(1, 3))
    np.testing.assert_allclose(model.score_map(clip[None])[0, 4], blocks, rtol=1e-2, atol=1e-7)


@pytest.mark.parametrize("horizon", [1, 2])
def test_prediction_is_the_conditional_mean_of_the_gaussian(model, clips, horizon):
    predicting = with_scoring(model, score_branch="prediction", score_horizon=horizon)
    sklearn = SklearnPCA(COMPONENTS, svd_solver="full").fit(cut(clips))
    covariance, mean = sklearn.get_covariance(), sklearn.mean_
    known, frame = VALUES - horizon * 64, VALUES - 64
    rows = cut([clips[3, 1:4]])
    gain = np.linalg.solve(covariance[:known, :known], covariance[:known, frame:])
    expected = mean[frame:] + (rows[:, :known] - mean[:known]) @ gain
    given = clips[3, 1:4].copy()
    given[WINDOW - horizon :] = 0.3  # what is predicted is not looked at
    last = predicting._last_frames(tf.constant(given[None]))[0].numpy()
    np.testing.assert_allclose(cut_frame(last), expected, atol=1e-4)
    # The score of frame 3 is its distance from that.
    error = np.square(rows[:, frame:] - expected).mean(axis=1).reshape(3, 4)
    score_map = predicting.score_map(clips[3][None])[0, 3]
    np.testing.assert_allclose(score_map, error, rtol=1e-2, atol=1e-7)


def cut_frame(frame):
    blocks = frame.reshape(3, PATCH, 4, PATCH).transpose(0, 2, 1, 3)
    return blocks.reshape(12, PATCH * PATCH)


def test_history_tells_the_loss_that_evaluate_finds(clips):
    model = PCA(window=WINDOW, components=COMPONENTS)
    history = model.fit(clips[:, :6], verbose=0).history
    model.compile(loss=model.default_loss())
    found = model.evaluate(clips[:, :6], clips[:, :6], verbose=0, return_dict=True)
    assert history["loss"][0] == pytest.approx(found["loss"], rel=1e-3)
    sklearn = SklearnPCA(COMPONENTS, svd_solver="full").fit(cut(clips))
    ratio = sklearn.explained_variance_ratio_.sum()
    assert history["explained_variance_ratio"][0] == pytest.approx(ratio, rel=1e-5)


def test_callbacks_are_told_and_can_end_the_pass(clips):
    class StopAfterTwo(keras.callbacks.Callback):
        seen = ()

        def on_train_batch_end(self, batch, logs=None):
            self.seen += (logs["patches"],)
            self.model.stop_training = batch == 1

    stop = StopAfterTwo()
    model = PCA(window=WINDOW, components=COMPONENTS)
    model.fit(clips, batch_size=3, verbose=0, callbacks=[stop])
    assert stop.seen == (72, 144)
    rows = cut(clips[:6])
    np.testing.assert_allclose(model.encoder.mean, rows.mean(axis=0), atol=1e-6)
    fewer = PCA(window=WINDOW, components=COMPONENTS)
    fewer.fit(clips, batch_size=3, verbose=0, steps_per_epoch=2)
    np.testing.assert_array_equal(fewer.encoder.mean, model.encoder.mean)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"components": 192}, "`components` must be from 1 to 191.*components=192"),
        ({"components": 0}, "`components` must be from 1 to 191.*components=0"),
        ({"score_branch": "both"}, "`score_branch` must be 'reconstruction' or 'prediction'"),
        ({"window": 1}, "`window` must be at least 2. Received: window=1"),
        ({"score_horizon": 3}, "`score_horizon` must be from 1 to 2.*score_horizon=3"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        PCA(**{"window": WINDOW, **arguments})


def test_bad_footage_is_named(clips):
    model = PCA(window=WINDOW, components=COMPONENTS)
    with pytest.raises(ValueError, match="`epochs` must be 1.*epochs=2"):
        model.fit(clips, epochs=2)
    with pytest.raises(ValueError, match="must have at least 3 frames. Received: 2"):
        model.fit(clips[:, :2], verbose=0)
    with pytest.raises(ValueError, match="more patches .* components=10. Received: 4 patches"):
        model.fit(clips[:1, :3, :16, :16], verbose=0)


@pytest.mark.parametrize("branch", ["reconstruction", "prediction"])
def test_a_frame_is_scored_by_the_window_that_ends_there(model, clips, branch):
    scoring = with_scoring(model, score_pooling="mean", score_branch=branch)
    clip = clips[:2]
    expected = np.zeros((2, 7))
    for t in range(WINDOW - 1, 7):
        drawn = scoring._last_frames(tf.constant(clip[:, t - WINDOW + 1 : t + 1]))
        expected[:, t] = np.square(clip[:, t] - drawn).mean(axis=(1, 2, 3))
    assert scoring.warm_up == WINDOW - 1
    np.testing.assert_allclose(scoring.score(clip), expected, rtol=1e-3)
    state = scoring.initial_state(2, 24, 32)
    for t in range(7):
        out = scoring.step(clip[:, t], state)
        state = out["state"]
        assert "prediction" not in out
        np.testing.assert_allclose(out["score"], expected[:, t], rtol=1e-3)
    # Without a prediction the papers' error of a frame is that of what was drawn of it.
    scored = score_video(scoring, [clip[0, :3], clip[0, 3:]])
    np.testing.assert_allclose(scored["frame_error"], expected[0], rtol=1e-3)
