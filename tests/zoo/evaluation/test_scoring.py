"""Scorers against loops in NumPy, and streaming against the whole video at once."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.evaluation import scoring


def _video(frames=21, height=32, width=40, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (frames, height, width, channels), dtype=np.uint8)


def _chunks(video, length):
    return [video[i : i + length] for i in range(0, len(video), length)]


def _largest_window_loop(error, window=16):
    """Largest mean of `error` (H, W) over windows which start at every eighth pixel."""
    height, width = error.shape
    return max(
        error[y : y + window, x : x + window].mean()
        for y in range(0, height - window + 1, 8)
        for x in range(0, width - window + 1, 8)
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("chunk", [1, 4, 21])
def test_copy_last_frame_against_a_loop(channels, chunk):
    video = _video(channels=channels)
    scored = scoring.score_video(scoring.CopyLastFrame(), _chunks(video, chunk))
    clip = video / 255.0
    score, frame_error = np.zeros(21), np.zeros(21)
    for t in range(1, 21):
        error = ((clip[t] - clip[t - 1]) ** 2).mean(-1)
        score[t] = _largest_window_loop(error)
        frame_error[t] = error.mean()
    np.testing.assert_allclose(scored["score"], score, rtol=1e-5)
    np.testing.assert_allclose(scored["frame_error"], frame_error, rtol=1e-5)


@pytest.mark.parametrize("chunk", [1, 4, 21])
def test_mean_frame_against_a_loop(chunk):
    video = _video(seed=1)
    scored = scoring.score_video(scoring.MeanFrame(), _chunks(video, chunk))
    clip = video / 255.0
    score, frame_error = np.zeros(21), np.zeros(21)
    for t in range(1, 21):
        error = ((clip[t] - clip[:t].mean(0)) ** 2).mean(-1)
        score[t] = _largest_window_loop(error)
        frame_error[t] = error.mean()
    np.testing.assert_allclose(scored["score"], score, rtol=1e-5)
    np.testing.assert_allclose(scored["frame_error"], frame_error, rtol=1e-5)


@pytest.mark.parametrize("baseline", [scoring.CopyLastFrame, scoring.MeanFrame])
def test_pooling_by_the_mean_scores_the_frame_error(baseline):
    scored = scoring.score_video(baseline("mean"), [_video()])
    np.testing.assert_array_equal(scored["score"], scored["frame_error"])
    assert scored["score"][1:].min() > 0


@pytest.mark.parametrize("baseline", [scoring.CopyLastFrame, scoring.MeanFrame])
def test_the_video_before_is_forgotten(baseline):
    scorer = baseline()
    first = scoring.score_video(scorer, [_video(seed=2)])
    scoring.score_video(scorer, [_video(seed=3)])
    again = scoring.score_video(scorer, [_video(seed=2)])
    np.testing.assert_array_equal(first["score"], again["score"])


def test_float_and_bytes_score_the_same():
    video = _video()
    as_bytes = scoring.score_video(scoring.CopyLastFrame(), [video])
    as_float = scoring.score_video(scoring.CopyLastFrame(), [video.astype(np.float32) / 255])
    np.testing.assert_array_equal(as_bytes["score"], as_float["score"])


def test_pooling_windows():
    score_map = np.zeros((1, 4, 5), np.float32)
    score_map[0, 1, 2] = 4
    score_map[0, 2, 3] = 4
    assert scoring.pool_score_map(score_map, "max", 8) == 4
    assert scoring.pool_score_map(score_map, "max", 16) == 2
    assert scoring.pool_score_map(score_map, "max", 24) == pytest.approx(8 / 9)
    assert scoring.pool_score_map(score_map, "max", 800) == pytest.approx(8 / 20)
    assert scoring.pool_score_map(score_map, "mean") == pytest.approx(8 / 20)


def test_wrong_arguments_are_named():
    score_map = np.zeros((1, 4, 5), np.float32)
    with pytest.raises(ValueError, match="`pooling` must be 'max' or 'mean'.*pooling='median'"):
        scoring.pool_score_map(score_map, "median")
    with pytest.raises(ValueError, match="`window` must be a multiple of 8.*window=12"):
        scoring.pool_score_map(score_map, "max", 12)
    with pytest.raises(ValueError, match="`chunks` must hold at least one frame"):
        scoring.score_video(scoring.CopyLastFrame(), [])
    with pytest.raises(ValueError, match=r"`clip` must have shape .*shape \(4, 8, 8\)"):
        scoring.score_video(scoring.CopyLastFrame(), [np.zeros((4, 8, 8), np.uint8)])
    with pytest.raises(ValueError, match="divisible by 8. Received: 12x8"):
        scoring.score_video(scoring.CopyLastFrame(), [np.zeros((4, 12, 8, 1), np.uint8)])


class LastFrameModel:
    """Smallest thing with the streaming verbs: predicts that the frame before comes again."""

    warm_up = 1

    def __init__(self):
        self.traces = 0

    def initial_state(self, batch, height, width):
        return {
            "last": tf.zeros((batch, height, width, 1)),
            "frames": tf.zeros((batch,), tf.int32),
        }

    def advance(self, clip, state):
        self.traces += 1
        before = tf.concat([state["last"][:, None], clip[:, :-1]], axis=1)
        error = tf.reduce_mean(tf.square(clip - before), axis=-1, keepdims=True)
        shape = tf.shape(error)
        flat = tf.reshape(error, (-1, shape[2], shape[3], 1))
        score_map = tf.nn.avg_pool2d(flat, 8, 8, "VALID")
        windows = tf.nn.avg_pool2d(score_map, 2, 1, "VALID")
        score = tf.reshape(tf.reduce_max(windows, axis=(1, 2, 3)), (shape[0], shape[1]))
        state = {"last": clip[:, -1], "frames": state["frames"] + shape[1]}
        first = tf.equal(state["frames"][:, None] - shape[1] + tf.range(shape[1])[None], 0)
        return {
            "prediction": clip,
            "score": tf.where(first, 0.0, score),
            "score_map": tf.reshape(
                score_map, tf.concat([shape[:2], tf.shape(score_map)[1:3]], axis=0)
            ),
            "state": state,
        }


def test_a_model_streams_as_its_baseline_and_is_traced_once_a_size():
    model = LastFrameModel()
    scorer = scoring.ModelScorer(model)
    for seed in (4, 5):
        video = _video(seed=seed)
        scored = scoring.score_video(scorer, _chunks(video, 8))
        expected = scoring.score_video(scoring.CopyLastFrame(), [video])
        np.testing.assert_allclose(scored["score"], expected["score"], rtol=1e-5)
        np.testing.assert_allclose(scored["frame_error"], expected["frame_error"], rtol=1e-5)
    # 21 frames in chunks of 8 end in one of 5: still the same trace.
    assert model.traces == 1
    scoring.score_video(scorer, [_video(height=16, width=16)])
    assert model.traces == 2


def test_scoring_together_reads_the_video_once():
    video = _video(seed=6)
    once = iter(_chunks(video, 5))
    scored = scoring.score_together(
        {"model": scoring.ModelScorer(LastFrameModel()), "copy": scoring.CopyLastFrame()}, once
    )
    np.testing.assert_allclose(scored["model"]["score"], scored["copy"]["score"], rtol=1e-5)
    assert scored["copy"]["score"].shape == (21,)
