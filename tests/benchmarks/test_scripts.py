"""Every benchmark says what it takes, and its functions of plain values do what they say."""

import json
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import Source, Video, tasks
from zoo.evaluation.selection import Candidate
from zoo.registry import resolve

SCRIPTS = (
    "archive", "decoding", "false_alarms", "foresight", "kill_prepare", "kill_train", "latents",
    "live", "malformed_requests", "memory", "moving_mnist", "mutated_videos", "reconstruction",
    "scoring", "select_scoring", "sharpness", "training_feed", "video_gan", "weizmann",
)  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_says_what_it_is_for(script, name, monkeypatch, capsys):
    module = script(name)
    monkeypatch.setenv("COLUMNS", "200")  # no line broken within the sentence
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    said = capsys.readouterr()
    assert ended.value.code == 0 and said.err == ""
    assert said.out.startswith(f"usage: {name}.py")
    first = module.__doc__.partition("\n")[0].split()
    assert " ".join(first) in " ".join(said.out.split())


class Steady(Video):
    """Frames whose brightness is their number."""

    def __init__(self, name, frames):
        super().__init__(name, fps=10.0, num_frames=frames)

    def frames(self, start=0):
        for number in range(start, self.num_frames):
            yield np.full((16, 16, 1), number % 256, np.uint8)


def test_foresight_on_a_conv_lstm_learns_scores_and_loads(script, tmp_path):
    small = {**resolve("foresight").small, "clip_shape": (12, 16, 24, 1)}
    model_class = script("foresight").ConvLSTMForesight
    model, other = model_class(**small), model_class(**small)
    clip = np.random.default_rng(0).uniform(size=(2, 12, 16, 24, 1)).astype("float32")
    inputs, targets = tasks.predict_ahead(frames=model.horizons)(tf.constant(clip))
    model.ensure_built()
    before = [np.array(weight) for weight in model.trainable_variables]
    model.compile("adam", loss=model.default_loss(), jit_compile=False)
    model.train_on_batch(inputs, targets)
    still = [
        weight.path
        for weight, old in zip(model.trainable_variables, before, strict=True)
        if np.array_equal(weight, old)
    ]
    assert not still and model.encode(clip).shape == (2, model.embedding_dim)
    model.save_weights(tmp_path / "one.weights.h5")
    other.ensure_built()
    other.load_weights(tmp_path / "one.weights.h5")
    np.testing.assert_allclose(other.score(clip), model.score(clip), rtol=1e-5)


def test_seeds_are_summed_up(script):
    module = script("foresight")
    row = {"name": "foresight", "steps": 7, "parameters": 3, "auc_literature": 0.5}
    probe = {"accuracy": 0.9, "accuracy_1_people": 0.5, "accuracy_2_people": 0.6}
    rows = [
        {**row, "auc_live": live, "encode": {**probe, "accuracy": accuracy}, "pooled": probe,
         "minutes_taken": minutes}
        for live, accuracy, minutes in ((0.9, 0.8, 5.5), (0.8, 0.7, 6.5))
    ]
    random = {"encode": probe, "pooled": probe}
    found = module.summary("foresight", [*rows, {"name": "another", "auc_live": 0.0}], random)
    assert found["seeds"] == 2 and found["minutes_taken"] == [5.5, 6.5]
    assert found["auc_live"] == pytest.approx({"mean": 0.85, "least": 0.8, "most": 0.9})
    assert found["encode_accuracy"]["mean"] == pytest.approx(0.75)
    (line,) = module.table([found]).splitlines()[1:]
    assert "0.850 (0.800-0.900)" in line and "0.750 0.500 0.600; 0.900 0.500 0.600" in line


def test_trainings_are_timed_in_turn_and_their_fastest_round_counts(script, monkeypatch):
    module = script("equal_minutes")
    clock, order = [0.0], []
    rounds = {"fast": iter([9, 1, 2, 2, 2]), "slow": iter([8, 8, 8, 4, 8])}

    def training(name):
        def train(steps):
            order.append(name)
            clock[0] += steps * next(rounds[name])

        return train

    monkeypatch.setattr(module, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))
    seconds = module.seconds_a_step({name: training(name) for name in rounds})
    assert seconds == {"fast": 1, "slow": 4} and order == ["fast", "slow"] * module.ROUNDS
    assert [module.steps_in(2, value) for value in (1, 4, 1000)] == [120, 30, 1]


def test_what_was_timed_once_is_not_timed_again(script, monkeypatch, tmp_path):
    module, timed = script("equal_minutes"), []
    monkeypatch.setattr(
        module, "seconds_a_step",
        lambda trainings, say, steps: timed.append(trainings) or dict.fromkeys(trainings, steps),
    )  # fmt: skip
    ask = lambda *names: module.recorded_seconds(  # noqa: E731
        tmp_path / "speeds.json", names, str.upper, print, 10 + len(timed)
    )
    assert ask("a") == {"a": 10} and ask("a", "b") == {"a": 10, "b": 11} == ask("b", "a")
    assert timed == [{"a": "A"}, {"b": "B"}]


def test_each_person_is_tested_by_the_encoder_that_has_not_seen_them(script):
    module = script("weizmann")
    labels = np.array(["walk", "wave"] * 4)
    people = np.repeat(["a", "b", "c", "d"], 2)
    good = np.where(labels == "walk", 1.0, -1.0)[:, None] * np.ones((1, 3))
    mixed = dict.fromkeys("abc", good)
    found = module.accuracies(dict.fromkeys("abcd", good), labels, people)
    assert found == {"all": 1.0, "1": 1.0, "2": 1.0}
    # One person, described as nobody else is, is named wrongly, and the others are not.
    mixed["d"] = np.where((people == "d")[:, None], -good, good)
    found = module.accuracies(mixed, labels, people)
    assert found == {"all": 0.75, "1": 0.75, "2": 0.75}


def test_labelled_people_are_drawn_without_a_set_twice(script):
    some = script("weizmann").some
    sets = some("abcdefgh", 2, 8, seed=0)
    assert len({tuple(one) for one in sets}) == 8 and sets == some("abcdefgh", 2, 8, seed=0)
    assert some("abc", 1, 8, seed=0) == [["a"], ["b"], ["c"]]


def test_seeds_of_batches_differ_and_come_from_the_seed(script):
    seed = script("latents").batch_seed
    seeds = [seed(one, number) for one in (0, 1) for number in range(8)]
    assert len(set(seeds)) == 16 and seed(1, 7) == seeds[-1]
    assert all(0 <= value < 2**31 for value in seeds)


def test_the_draws_of_the_bounds_are_of_the_batch(script, monkeypatch, capsys):
    module = script("latents")
    drawn = []

    def bound(clip, *rest):
        drawn.append(rest)
        return types.SimpleNamespace(numpy=lambda: np.zeros(2))

    model = types.SimpleNamespace(latents=1, elbo=bound, importance_weighted_bound=bound)
    videos = Source("video_files", "street", [Steady("a", 4)])
    monkeypatch.setattr(module.zoo, "load", lambda name: model)
    monkeypatch.setattr(module, "recorded_split", lambda names, data: (None, videos))
    monkeypatch.setattr(module, "record_of", lambda name: {"arguments": {"frames": 4}})
    monkeypatch.setattr(module, "clips", lambda source, model, training, count: [0, 1, 2])
    monkeypatch.setattr(module, "active_latents", lambda model, dataset: {})
    monkeypatch.setattr(sys, "argv", ["latents.py", "runs/mine", "--data", "street"])
    module.main()
    assert '"held_out_videos": [\n    "a"\n  ]' in capsys.readouterr().out
    seeds = [rest[-1] for rest in drawn]
    assert seeds[::2] == seeds[1::2] == [module.batch_seed(0, number) for number in range(3)]


def test_latents_are_measured_on_clips_cut_as_in_the_training(script):
    model = types.SimpleNamespace(fps=10.0, channels=1)
    asked = {"frames": 3, "stride": 2, "size": [16, 16], "crop": [8, 12], "crop_mode": "center"}
    source = Source("video_files", "street", [Steady("a", 20)])
    (batch,) = script("latents").clips(source, model, asked, 8)
    assert batch.shape == (8, 3, 8, 12, 1)


def test_pieces_to_choose_on_are_bounded_and_spread_over_all_videos(script):
    module = script("select_scoring")
    model = types.SimpleNamespace(fps=10.0, clip_shape=(4, 16, 16, 1), channels=1)
    few = module.pieces(Source("v", "s", [Steady("a", 250), Steady("b", 90)]), model)
    assert [piece.shape for piece in few] == [(n, 16, 16, 1) for n in (200, 50, 90)]
    long = [Steady("a", 8 * module.PIECE), Steady("b", 10 * module.PIECE + 7)]
    many = module.pieces(Source("v", "s", long), model)
    assert len(many) == module.MOST_PIECES
    assert many[0][0, 0, 0, 0] == 0 and len(many[-1]) == 7
    row = module.row(
        Candidate("best.weights.h5", 2, "max", 24, 0.75, dict(speed=0.5, backwards=1, place=0.25))
    )
    assert row.split() == [
        "best.weights.h5", "-", "2", "max", "24", "0.750", "0.500", "1.000", "0.250",
    ]  # fmt: skip


def test_choosing_keeps_what_there_was_to_choose_from(script, tmp_path):
    module = script("select_scoring")
    config = {"overrides": {}, "arguments": {"score_horizon": 1}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    for name in ("best", "model"):
        (tmp_path / f"{name}.weights.h5").write_text(name)
    chosen = Candidate("best.weights.h5", 3, "max", 24, 0.75, {})
    for _ in range(2):
        files = module.weight_files(tmp_path)
        assert [file.read_text() for file in files] == ["best", "model"]
        module.adopt(tmp_path, chosen, {file.name: file for file in files})
        assert (tmp_path / "model.weights.h5").read_text() == "best"
    assert json.loads((tmp_path / "config.json").read_text())["arguments"]["score_horizon"] == 3


def test_windows_to_measure_sharpness_on_are_spread_over_the_footage(script, monkeypatch):
    module = script("sharpness")
    monkeypatch.setattr(module, "MOST_WINDOWS", 3)
    seen = []
    model = types.SimpleNamespace(
        context_frames=1, fps=10.0, clip_shape=(4, 16, 16, 1), channels=1,
        rollout=lambda context, steps: types.SimpleNamespace(numpy=lambda: context),
    )  # fmt: skip

    def evaluate(batches, context, predict):
        batches = list(batches)
        seen.extend(np.round(255 * np.concatenate(batches)[:, 0, 0, 0, 0]).astype(int))
        return module_evaluate(batches, context, predict)

    module_evaluate = module.prediction.evaluate
    monkeypatch.setattr(module.prediction, "evaluate", evaluate)
    found = module.measure(model, Source("v", "s", [Steady("a", 18)]))
    # Nine windows of two frames: the first, the middle one and the last.
    assert seen == [0, 8, 16] and found["windows"] == 3
    assert found["psnr"] == found["copy_last_frame"]["psnr"]


def test_the_claim_of_sharpness_needs_both_figures(script):
    module = script("sharpness")

    def row(psnr, sharpness):
        figures = {"psnr": psnr, "sharpness": sharpness}
        return {"minutes_taken": 1.0, "held out": {**figures, "copy_last_frame": figures}}

    rows = {"l2": row(30, 20), "sharp": row(29.5, 21), "worse": row(28, 22), "soft": row(31, 19)}
    claim = module.claim(rows)
    assert {name: found["holds"] for name, found in claim.items()} == {
        "sharp, held out": True, "worse, held out": False, "soft, held out": False,
    }  # fmt: skip
    assert module.claim({"sharp": row(1, 1)}) == {}
    lines = list(module.table({"rows": rows, "claim": claim}))
    assert lines[-1] == "soft, held out: sharpness -1.00 dB, PSNR +1.00 dB: does not hold"


def test_distances_of_a_video_gan_are_root_mean_squares(script):
    module = script("video_gan")
    left, right = np.random.default_rng(0).normal(size=(2, 5, 7))
    expected = np.sqrt(np.square(left[:, None] - right[None]).mean(axis=-1))
    np.testing.assert_allclose(module.between(left, right), expected, rtol=1e-6)
    frames = np.random.default_rng(1).random((module.FRAMES + 3, 4, 4, 1)).astype(np.float32)
    # Clips trained on may begin at any frame, and be mirrored.
    copies = [frames[1 : module.FRAMES + 1], frames[3:, :, ::-1], 0 * frames[3:]]
    found = module.to_nearest(np.stack([copy.ravel() for copy in copies]), [frames])
    assert np.allclose(found[:2], 0, atol=1e-3) and found[2] > 0.4
    named = module.naming(
        ["walk", "run"], {"walk": np.array(["walk", "run"]), "run": np.array(["run", "run"])}
    )
    assert named["named_as_asked"] == 0.75 and named["by_class"] == {"walk": 0.5, "run": 1.0}
    assert named["most_often_named"]["run"] == "run"


def test_errors_on_moving_mnist_are_sums_over_a_frame(script):
    module = script("moving_mnist")
    shape = (3, module.CONTEXT + module.FUTURE, 4, 4, 1)
    test = np.random.default_rng(0).random(shape).astype(np.float32)
    zeros = np.square(test[:, module.CONTEXT :]).sum(axis=(2, 3, 4)).mean()
    found = {row["name"]: row["error"] for row in module.baselines(test)}
    assert found["a frame of zeros"] == pytest.approx(zeros, abs=0.01)
    last = np.square(test[:, module.CONTEXT :] - test[:, module.CONTEXT - 1 : module.CONTEXT])
    assert found["copy of the last frame"] == pytest.approx(
        last.sum(axis=(2, 3, 4)).mean(), abs=0.01
    )
    sums = np.square(test[:, module.CONTEXT :]).sum(axis=(2, 3, 4)).mean(axis=1)
    _, standard_error = module.error_of(tf.zeros_like, test, batch=2)
    assert standard_error == pytest.approx(sums.std() / np.sqrt(3), abs=0.01)


def test_a_predictor_of_moving_mnist_is_judged_by_what_it_rolls_out(script):
    module = script("moving_mnist")
    rows = [
        {"name": "zeros", "error": 170.0},
        {"name": "good", "steps": 9, "error": 75.0},
        {"name": "poor", "steps": 9, "error": 75.1},
        {"name": module.STACK, "steps": 9, "error": 100.0},
    ]
    judged = {row["name"]: row.get("passes") for row in module.judged(rows)}
    assert judged == {"zeros": None, "good": True, "poor": False, module.STACK: None}
    assert [line.split()[-1] for line in module.table(rows).splitlines()[1:]] == [
        "+70.0%", "-25.0%", "-24.9%", "+0.0%",
    ]  # fmt: skip
    preset, overrides = module.overridden("composite_lstm/moving_mnist:decoders=prediction")
    assert preset.name == "composite_lstm/moving_mnist"
    assert overrides == {"decoders": ("prediction",)}
    with pytest.raises(ValueError, match="must name a setting"):
        module.overridden("composite_lstm/moving_mnist:decoder=prediction")


@pytest.mark.parametrize(("size", "kernel", "stride"), [(8, 3, 1), (8, 3, 2), (7, 3, 2), (9, 5, 2)])
def test_padding_by_hand_is_that_of_tensorflow(script, size, kernel, stride):
    signal = np.random.default_rng(0).normal(size=(1, size, 1)).astype("float32")
    weights = np.arange(1, kernel + 1, dtype="float32").reshape(kernel, 1, 1)
    padding = script("same_padding").same_padding(size, kernel, stride)
    padded = np.pad(signal, ((0, 0), padding, (0, 0)))
    by_hand = tf.nn.conv1d(padded, weights, stride, "VALID")
    np.testing.assert_allclose(by_hand, tf.nn.conv1d(signal, weights, stride, "SAME"), rtol=1e-5)


def test_windows_are_cut_and_ways_set_side_by_side(script):
    module = script("decoding")
    assert list(module.starts(24)) == [0, 4, 8] and not module.starts(15)
    assert module.cut([np.zeros((2, 3), np.uint8)] * 21) == 2
    passes = module.verdicts(
        {"zoo": 30.0, "PyAV, one by one": 10.0, "PyAV, decoded once": 40.0},
        {"zoo": 90.0, "OpenCV, bare loop": 100.0},
    )
    assert {way: (found["ratio"], found["holds"]) for way, found in passes.items()} == {
        "PyAV, one by one": (3.0, True), "PyAV, decoded once": (0.75, False),
        "OpenCV, bare loop": (0.9, True),
    }  # fmt: skip


def test_feeds_are_set_beside_memory_round_by_round(script):
    module = script("training_feed")
    # A slow round slows all alike; the median leaves out one that hits a feed alone.
    seconds = {"memory": [1.0, 4.0, 1.0], "shards": [1.25, 5.0, 9.0], "video files": [1.0] * 3}
    rows = module.rows_of(seconds, dict.fromkeys(seconds, 2.0))
    assert rows["shards"] == {"steps_per_second": 0.2, "ratio": 0.8, "clip_ms": 2.0}
    assert (rows["memory"]["ratio"], rows["video files"]["ratio"]) == (1.0, 1.0)
    assert [line.split()[0] for line in module.table(rows)] == ["feed", "memory", "shards", "video"]


def test_processor_time_counts_what_decodes(script, monkeypatch):
    module = script("training_feed")
    monkeypatch.setattr(module.memory, "decoders", lambda pid: [])
    own = module.processor_seconds()
    monkeypatch.setattr(module.memory, "decoders", lambda pid: [pid])
    # As if this process were its own decoder: counted twice, to a tick.
    assert module.processor_seconds() == pytest.approx(2 * own, rel=0.1)


def test_moments_of_kills_are_spread_over_all_of_the_time(script):
    import random

    found = script("killing").shares(4, random.Random(0))
    assert [int(4 * share) for share in found] == [0, 1, 2, 3]


def test_growth_of_memory_is_that_from_the_first_frames_on_and_has_no_slope(script):
    def summary(mib_per_1000_frames, jump=0.0, early=0.0):
        numbers = np.arange(1000, 101000, 1000)
        mib = 500 + mib_per_1000_frames * numbers / 1000 + jump * (numbers == 100000)
        mib += early * np.minimum(numbers / 40000, 1)
        return script("live").summary(np.stack([numbers, mib], axis=1), 100000)

    found = summary(0.2)
    assert found["mib_after_first_frames"] == 500.2 and found["mib_at_the_end"] == 520
    assert found["mib_per_1000_frames"] == pytest.approx(0.2)
    assert found["growth"] == pytest.approx(19.8 / 500.2, abs=1e-4)
    # Within five hundredths, and yet a leak.
    assert not found["passes"] and summary(0.05)["passes"] and summary(-0.2)["passes"]
    # At the end alone; and taken once, at the beginning.
    assert not summary(0.0, jump=30.0)["passes"] and summary(0.0, early=20.0)["passes"]


def test_what_watching_must_keep_up_with_follows_the_units_of_the_processor(script, monkeypatch):
    module, asked, no = script("live"), [], {"passes": False}
    for units in ("float32", "mixed_bfloat16"):
        monkeypatch.setattr(module, "choose_precision", lambda compute_capabilities: units)
        monkeypatch.setattr(module, "speed", lambda *given: asked.append(given[-1]) or no)
        monkeypatch.setattr(module, "streams", lambda *given: asked.append(given[2::2]) or no)
        for part in ("speed", "streams"):
            monkeypatch.setattr(sys, "argv", ["live.py", part])
            with pytest.raises(SystemExit, match="True"):
                module.main()
    assert asked == [50, (4, 4), 100, (8, 8)]


def test_fewer_streams_than_the_bar_asks_for_do_not_pass(script, monkeypatch):
    module = script("live")
    scored = {"sources": {"a": {"frames": 10, "dropped": 0}}}
    monkeypatch.setattr(module, "looped", lambda *given: None)
    monkeypatch.setattr(module.session, "watch", lambda *given, **options: scored)
    for least, passes in ((1, True), (2, False)):
        assert module.streams("any", None, 1, 1.0, least)["passes"] is passes


def test_what_step_is_from_score_is_a_share_of_the_largest(script):
    class Counting:
        def initial_state(self, batch, height, width):
            return 0

        def step(self, frame, state):
            return {"score": [float(frame.mean()) + (state == 3) * 0.5], "state": state + 1}

    clip = np.arange(6.0)[:, None, None, None] * np.ones((1, 2, 2, 1))
    module = script("live")
    assert module.step_from_score(Counting(), clip, np.arange(6.0)) == pytest.approx(0.1)
    clip[1] = np.nan
    assert np.isnan(module.step_from_score(Counting(), clip, np.arange(6.0)))


def test_rounds_time_one_model_and_its_watch_in_turn(script, monkeypatch):
    module, timed = script("live"), []
    rates = iter([40.0, 60.0, 50.0])
    monkeypatch.setattr(module, "open_watched", lambda name: name)
    monkeypatch.setattr(module, "looped", lambda *given: None)
    monkeypatch.setattr(module, "step_alone", lambda opened, frames: timed.append(opened) or 62.5)
    monkeypatch.setattr(module.session, "watch", lambda *given, **options: {
        "sources": {"a": {"frames_per_second": next(rates)}}})  # fmt: skip
    found = module.speed("any", None, 10, 3, 50)
    assert timed == ["any"] * 3
    assert (found["watch_frames_per_second"], found["share_of_step"]) == (50.0, 0.8)
    assert found["passes"]


def test_memory_is_not_judged_by_its_first_frames(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["live.py", "memory"])
    with pytest.raises(SystemExit, match="2"):
        script("live").main()
    assert "--frames must be at least 2000 for `memory`" in capsys.readouterr().err


@pytest.mark.slow
def test_step_alone_is_timed_of_an_export_as_of_a_model(script, shaken_model, tmp_path):
    module, watched = script("live"), []
    model = shaken_model("convlstm_vae")
    module.exports.export(model, tmp_path, rollout_steps=2)
    for opened in (model, module.exports.load(tmp_path)):
        watched.append(types.SimpleNamespace(model=opened, size=(16, 24), channels=1))
    assert all(module.step_alone(one, 3) > 0 for one in watched)


def test_a_looped_video_begins_again_until_its_frames_are_given(script):
    looked = []
    looped = script("live").Looped(Steady("steady", 3), 8, looked.append)
    levels = [frame[0, 0, 0] for _, frame in looped.timed()]
    assert levels == [0, 1, 2, 0, 1, 2, 0, 1] and looked == list(range(1, 9))


def test_calls_are_timed_side_by_side_for_so_long(script):
    import threading
    import time

    met = threading.Barrier(2, timeout=20)  # Each waits for the other: neither goes alone.
    calls = [0, 0]

    def call(number):
        calls[number] += 1
        if calls[number] == 1:
            met.wait()
        time.sleep(0.001)

    latencies, elapsed = script("serving").time_calls(
        [lambda: call(0), lambda: call(1)], seconds=0.2
    )
    assert len(latencies) == sum(calls) and min(calls) >= 1
    assert elapsed >= 0.2 and all(0.001 <= took <= elapsed for took in latencies)
    # However short the time, each is called once.
    assert len(script("serving").time_calls([lambda: None] * 3, seconds=0)[0]) == 3


def test_served_windows_are_set_beside_those_in_process_round_by_round(script):
    module = script("serving")
    timed = {
        # A slow round slows both.
        ("grpc", 2, 4): [([0.1] * 95 + [0.5] * 5, 10.0), ([0.2] * 100, 40.0)],
        ("predict", 2, 1): [([0.1] * 20, 2.0), ([0.4] * 20, 8.0)],
    }
    served, local = module.rows_of(timed)
    assert served["requests"] == 200 and served["windows_per_second"] == 12.5
    assert (served["p50_ms"], served["p99_ms"]) == (200, 500)
    assert served["of_predict"] == 1.0 and local["of_predict"] == 1.0
    head, first, _ = module.table([served, local]).splitlines()
    assert head.split()[0] == "way" and first.split()[:3] == ["grpc", "2", "4"]
    assert len(first) == len(head)


@pytest.mark.slow
def test_every_way_gives_the_embedding_of_the_model(script, shaken_model, tmp_path):
    import contextlib

    from exports.server import Server

    module = script("serving")
    model = shaken_model("convlstm_vae")
    folder = module.exports.export(model, tmp_path / module.NAME, rollout_steps=2)
    windows = module.pattern(2, 6, 16, 24, 1)
    assert windows.shape == (2, 6, 16, 24, 1) and np.ptp(windows) > 60
    expected = model.encode(windows.astype(np.float32) / 255).numpy()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server(folder.parent, grpc_port=0, rest_port=0))
        ports = server.grpc_port, server.rest_port
        ways = {way: module.served(stack, way, ports, 2) for way in module.SERVED}
        ways["predict"] = module.in_keras(model)
        if (openvino := module.in_openvino(folder, tmp_path)) is not None:
            ways["openvino"] = openvino
        found = {way: [make(windows)() for make in made] for way, made in ways.items()}
    assert [len(answers) for answers in found.values()][:4] == [2, 2, 2, 1]
    for way, answers in found.items():
        # JPEG loses some of the pixels.
        loss = 0.05 if way == "jpeg" else 1e-3
        for answer in answers:
            assert np.abs(answer - expected).max() <= loss * np.abs(expected).max(), way


def test_what_loads_elsewhere_is_measured_once_and_what_failed_again(
    script, monkeypatch, tmp_path, capsys
):
    module, asked = script("loads_elsewhere"), []
    good = {"differences": {"embedding": 2e-7}, "refused": {}, "seconds": {"score": 0.25},
            "tolerance": 1e-3}  # fmt: skip
    partly = good | {"refused": {"encode_jpeg": "no rule for DecodeJpeg"}}
    answers = {"tensorflow": good, "c_api": good, "openvino": partly, "litert": {"error": "gone"}}

    def measure(name, precision, runtimes):
        asked.append((precision, runtimes))
        for runtime in runtimes:
            if answers[runtime] is KeyboardInterrupt:
                raise KeyboardInterrupt
            yield runtime, answers[runtime]

    def run():
        with pytest.raises(SystemExit) as ended:
            module.main()
        return ended.value.code, capsys.readouterr().out

    monkeypatch.setattr(module, "measure", measure)
    words = ["--presets", "pca/ucsd_ped2", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["loads_elsewhere.py", *words])
    answers["openvino"] = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        module.main()
    answers["openvino"] = partly
    failed, said = run()
    assert not failed and asked[1:] == [
        ("float32", ["openvino", "litert"]), ("mixed_bfloat16", ["tensorflow", "c_api"]),
    ]  # fmt: skip
    head, float32, mixed, *rest = said.splitlines()
    assert head.split()[2:] == ["tensorflow", "c_api", "openvino", "litert"]
    assert float32.split()[2:] == ["1", "of", "1", "1", "of", "1", "1", "of", "2", "no"]
    assert mixed.split()[2:] == ["1", "of", "1", "1", "of", "1", "-", "-"]
    assert "not openvino, encode_jpeg: no rule for DecodeJpeg" in rest
    told = rest.index("not litert, everything: gone")
    assert rest[told + 1].strip() == "pca/ucsd_ped2 in float32"
    answers["litert"], asked[:] = good, []
    assert not run()[0] and asked == [("float32", ["litert"])]
    assert not run()[0] and len(asked) == 1
    answers["c_api"] = {"error": "other numbers"}
    (tmp_path / "pca.ucsd_ped2.mixed_bfloat16.json").unlink()
    assert run()[0]


def test_presets_without_weights_are_not_looked_for_elsewhere(
    script, monkeypatch, tmp_path, capsys
):
    words = ["--out", str(tmp_path), "--presets", "convlstm_vae/synthetic_cctv"]
    monkeypatch.setattr(sys, "argv", ["loads_elsewhere.py", *words])
    with pytest.raises(SystemExit, match="2"):
        script("loads_elsewhere").main()
    assert "invalid choice: 'convlstm_vae/synthetic_cctv'" in capsys.readouterr().err
