"""Wiring of an anomaly evaluation: labels at the scored frames, scores in a file, broken video."""

import csv

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import zoo
from data_pipelines import Source, Video
from zoo.commands import anomaly_setup

HEIGHT, WIDTH = 16, 24


@pytest.fixture(scope="module")
def model():
    return zoo.load(
        "convlstm_vae", weights=None, filters=(4, 4, 8), state_filters=(4, 4),
        decoder_filters=(4, 4, 4), clip_shape=(16, HEIGHT, WIDTH, 1), score_horizon=1,
    )  # fmt: skip


class Drawn(Video):
    """Noise; frames of the second half are abnormal. `missing` frames break off."""

    def __init__(self, name, frames, fps=10.0, missing=0, labels=True):
        super().__init__(name, fps=fps, num_frames=frames, split="test")
        self.pixels = np.random.default_rng(len(name)).integers(
            0, 256, (frames, HEIGHT, WIDTH, 1), np.uint8
        )
        self.missing, self.labels = missing, labels

    def frames(self, start=0):
        yield from self.pixels[start : self.num_frames - self.missing]

    def frame_labels(self):
        return np.arange(self.num_frames) >= self.num_frames // 2 if self.labels else None


def _source(tmp_path, *videos):
    return Source("synthetic_cctv", tmp_path / "street", list(videos))


def test_labels_are_those_of_the_frames_that_are_scored(model, tmp_path):
    # The model takes 10 frames per second: of a video at 20 every second frame.
    fast, own = Drawn("fast", 40, fps=20.0), Drawn("own", 22)
    scored = anomaly_setup.score_source(model, _source(tmp_path, fast, own))
    np.testing.assert_array_equal(scored.frames[0], np.arange(0, 40, 2))
    np.testing.assert_array_equal(scored.frames[1], np.arange(22))
    np.testing.assert_array_equal(scored.model[0].labels, np.arange(0, 40, 2) >= 20)
    clip = fast.pixels[None, ::2].astype(np.float32) / 255
    np.testing.assert_allclose(scored.model[0].score, model.score(clip)[0], rtol=1e-4)
    difference = np.square(np.diff(clip[0], axis=0)).mean(axis=(1, 2, 3))
    copy = scored.baselines["copy_last_frame"][0]
    np.testing.assert_allclose(copy.frame_error[1:], difference, rtol=1e-4)


def test_a_video_that_breaks_off_counts_as_far_as_it_goes(model, tmp_path, caplog):
    scored = anomaly_setup.score_source(model, _source(tmp_path, Drawn("cut", 30, missing=8)))
    assert "cut breaks off: 22 of 30 frames were scored" in caplog.text
    np.testing.assert_array_equal(scored.model[0].labels, np.arange(22) >= 15)


def test_truth_that_ends_before_the_video(model, tmp_path):
    video = Drawn("longer", 20)
    video.pixels = np.concatenate([video.pixels, video.pixels])
    video.missing = -20
    with pytest.raises(ValueError, match="the truth of longer must cover all of its frames"):
        anomaly_setup.score_source(model, _source(tmp_path, video))


def test_figures_can_be_computed_again_from_the_file_of_scores(model, tmp_path):
    source = _source(tmp_path, Drawn("one", 40, fps=20.0), Drawn("another", 30))
    scored = anomaly_setup.score_source(model, source)
    figures = anomaly_setup.result(scored, model, source, "convlstm_vae")
    anomaly_setup.write_scores(tmp_path / "scores.csv", scored)
    with open(tmp_path / "scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(anomaly_setup.SCORE_COLUMNS)
    assert [row["frame"] for row in rows[:3]] == ["0", "2", "4"]
    labels = [int(row["label"]) for row in rows]
    for protocol in ("live", "literature"):
        scores = [float(row[f"score_{protocol}"]) for row in rows]
        assert figures[f"auc_{protocol}"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    raw = [float(row["score_live_raw"]) for row in rows if row["video"] == "another"]
    np.testing.assert_array_equal(np.float32(raw), scored.model[1].score)
    assert figures["frames"] == len(rows) == 50
    assert figures["data"] == "street" and figures["warm_up_frames"] == model.warm_up


def test_baselines_pool_as_the_model_does(tmp_path):
    mean = zoo.load(
        "convlstm_vae", weights=None, filters=(4, 4, 8), state_filters=(4, 4),
        decoder_filters=(4, 4, 4), clip_shape=(16, HEIGHT, WIDTH, 1), score_pooling="mean",
    )  # fmt: skip
    scored = anomaly_setup.score_source(mean, _source(tmp_path, Drawn("v", 20)))
    for videos in scored.baselines.values():
        np.testing.assert_array_equal(videos[0].score, videos[0].frame_error)
