"""Wiring of an evaluation of prediction: which windows, of which videos, at which rate."""

import json

import numpy as np
import pytest
import tensorflow as tf

import zoo
from data_pipelines import ClipSpec, Source, Video
from zoo.commands import prediction_setup
from zoo.evaluation.prediction import FIGURES

SIZE = (16, 24)


class Drawn(Video):
    """Noise of its own for each name."""

    def __init__(self, name, frames, fps=10.0, split=None):
        super().__init__(name, fps=fps, num_frames=frames, split=split)
        self.pixels = np.random.default_rng(list(name.encode())).integers(
            0, 256, (frames, *SIZE, 1), np.uint8
        )

    def frames(self, start=0):
        yield from self.pixels[start:]


@pytest.fixture(scope="module")
def model():
    return zoo.load(
        "convlstm_vae", weights=None, filters=(4, 4, 8), state_filters=(4, 4),
        decoder_filters=(4, 4, 4), clip_shape=(9, *SIZE, 1),
    )  # fmt: skip


def source(*videos, path="/disk/street"):
    return Source("video_files", path, list(videos))


def test_figures_are_those_of_rollout_on_the_windows_of_the_videos(model):
    # 13 frames hold two windows of six; at 20 frames per second every second frame is taken.
    slow, fast = Drawn("slow", 13), Drawn("fast", 25, fps=20.0)
    found = prediction_setup.evaluate_model(model, source(slow, fast), context=4, steps=2)
    taken = [slow.pixels[:6], slow.pixels[6:12], fast.pixels[:12:2], fast.pixels[12:24:2]]
    windows = np.stack(taken).astype(np.float32) / 255
    predicted = model.rollout(windows[:, :4], 2).numpy()
    errors = np.square(windows[:, 4:] - predicted).mean(axis=(0, 2, 3, 4))
    assert (found["windows"], found["steps"]) == (4, 2)
    assert found["per_step"]["mse"] == pytest.approx(errors, rel=1e-4)
    copied = np.square(windows[:, 4:] - windows[:, 3:4]).mean()
    assert found["baselines"]["copy_last_frame"]["mse"] == pytest.approx(copied, rel=1e-5)


def test_draws_are_those_of_the_model(model):
    videos = source(Drawn("one", 14))
    found = prediction_setup.evaluate_model(model, videos, context=4, steps=3, samples=2, seed=4)
    seeds = [int(np.random.SeedSequence([4, 0, n]).generate_state(1)[0] >> 1) for n in range(2)]
    windows = np.stack([videos.videos[0].pixels[:7], videos.videos[0].pixels[7:]]) / 255
    windows = windows.astype(np.float32)
    draws = [model.sample(windows[:, :4], 3, seed).numpy() for seed in seeds]
    errors = np.square(windows[:, 4:] - np.stack(draws)).mean(axis=(2, 3, 4, 5))
    assert found["mean_of_N"]["mse"] == pytest.approx(errors.mean(), rel=1e-4)
    assert found["best_of_N"]["mse"] == pytest.approx(errors.min(axis=0).mean(), rel=1e-4)
    assert set(FIGURES) < set(found["best_of_N"])


@pytest.mark.parametrize(
    ("limit", "counts"),
    [(None, [3, 3, 3]), (9, [3, 3, 3]), (4, [1, 1, 2]), (2, [0, 1, 1]), (1, [0, 0, 1])],
)
def test_a_limit_is_shared_evenly(limit, counts):
    videos = [Drawn(name, 8) for name in "abc"]
    told = []
    batches = list(
        prediction_setup.window_batches(
            source(*videos), ClipSpec(frames=2, stride=3), limit, lambda *what: told.append(what)
        )
    )
    expected = [v.pixels[s : s + 2] for v, n in zip(videos, counts) for s in (0, 3, 6)[:n]]
    found = np.concatenate(batches)
    assert found.dtype == np.float32 and len(batches) == (2 if len(expected) > 8 else 1)
    np.testing.assert_allclose(found, np.stack(expected) / 255, rtol=1e-6)
    assert [name for _, _, name in told] == [v.name for v, n in zip(videos, counts) if n]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [((None, None), (5, 4)), ((None, 3), (6, 3)), ((None, 8), (4, 8)), ((2, None), (2, 4)),
     ((3, 20), (3, 20))],
)  # fmt: skip
def test_context_and_steps_share_the_clip_of_the_training(model, asked, expected):
    assert prediction_setup.lengths(model, *asked) == expected


def test_ten_frames_are_predicted_from_ten_where_clips_have_twenty(model):
    longer = type(model).from_config({**model.get_config(), "clip_shape": (20, *SIZE, 1)})
    assert prediction_setup.lengths(longer) == (10, 10)


def test_what_was_held_out_is_predicted(tmp_path, monkeypatch, model):
    run, footage = tmp_path / "run", tmp_path / "footage"
    run.mkdir()
    record = {
        "arguments": {"data": str(footage)}, "train_videos": ["a", "b"], "held_out_videos": ["c"],
    }  # fmt: skip
    (run / "run.json").write_text(json.dumps(record))
    videos = [Drawn(name, 8) for name in "abc"]

    def opened(data, split=None):
        found = source(*videos, path=getattr(data, "path", data))
        return found.subset([v for v in videos if v.split == split]) if split else found

    monkeypatch.setattr(prediction_setup.data_pipelines, "open_source", opened)

    def names(data, name, split=None):
        found, said = prediction_setup.open_footage(data, name, split)
        return [video.name for video in found.videos], said

    assert names(footage, run) == (["c"], "held_out")
    # Elsewhere, and for a preset, nothing was held out.
    assert names(tmp_path / "other", run) == (["a", "b", "c"], "all")
    assert names(footage, "convlstm_vae") == (["a", "b", "c"], "all")
    with pytest.raises(ValueError, match="held_out only for a model on the footage"):
        names(footage, "convlstm_vae", "held_out")
    # A preset's card says what its training held out.
    with monkeypatch.context() as patched:
        patched.setattr(prediction_setup, "training_on", lambda name, source: record)
        assert names(footage, "convlstm_vae/weizmann") == (["c"], "held_out")
    videos[1].split = "test"
    assert names(footage, run) == (["b"], "test")
    assert names(footage, run, "held_out") == (["c"], "held_out")

    def notes(split):
        found, said = prediction_setup.open_footage(footage, run, split)
        stated = prediction_setup.result({}, model, found, run, said, context=4)
        assert (stated["split"], stated["videos"]) == (said, len(found.videos))
        return stated["notes"]

    assert notes("test") == ["1 of these videos were trained on."]
    # A preset that has no card yet: its run tells.
    stated = prediction_setup.result(
        {}, model, source(*videos, path=footage), "convlstm_vae", "all", context=4, run=run
    )
    assert stated["model"] == "convlstm_vae"
    assert stated["notes"] == ["2 of these videos were trained on."]
    assert notes("held_out") == []


@pytest.mark.real_data
def test_baselines_on_moving_mnist_are_those_of_the_digits(real_data):
    class Zeros:
        clip_shape, fps, channels = (20, 64, 64, 1), 10.0, 1

        def rollout(self, context, steps):
            return tf.zeros((len(context), steps, 64, 64, 1))

    digits, split = prediction_setup.open_footage(real_data / "mnist", "convlstm_predictor")
    context, steps = prediction_setup.lengths(Zeros())
    found = prediction_setup.evaluate_model(
        Zeros(), digits, context=context, steps=steps, limit=100
    )
    assert (split, context, steps, found["windows"]) == ("test", 10, 10, 100)
    # One of every hundred sequences.
    frames = np.stack([np.stack(list(video.frames())) for video in digits.videos[99::100]]) / 255
    future = frames[:, 10:]
    expected = {
        "empty_frame": future,
        "copy_last_frame": future - frames[:, 9:10],
        "mean_of_context": future - frames[:, :10].mean(axis=1, keepdims=True),
    }
    for name, difference in expected.items():
        error = np.square(difference).sum(axis=(2, 3, 4)).mean()
        assert found["baselines"][name]["mse_per_frame"] == pytest.approx(error, rel=1e-5)
    assert found["mse_per_frame"] == found["baselines"]["empty_frame"]["mse_per_frame"]
    # Of all 10,000 sequences it is 176 with a spread of 46.
    assert found["mse_per_frame"] == pytest.approx(176, abs=15)
