import inspect
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.config import disable_op_determinism  # not public yet
from typer.testing import CliRunner

import data_pipelines
import zoo
from data_pipelines.remote import RemotePath
from zoo.commands import training_setup
from zoo.commands.app import app
from zoo.commands.training_setup import parse_setting, prepare, split_videos, with_footage
from zoo.training import fit, whole_files
from zoo.training.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[3]
TINY = (
    "frames=6", "stride=3", "crop=16,16", "size=32,32", "horizons=1", "score_horizon=1",
    "filters=2,2,2", "state_filters=2,2", "decoder_filters=2,2,2",
)
STEPS = 10


def raising(number, at, times=1):
    """An `os.replace` that sends its own process a signal, maybe more than once.

    It comes as the n-th checkpoint is about to take its name.
    """
    replace, seen = os.replace, []

    def watched(source, target):
        if "step-" in str(target):
            seen.append(target)
            for _ in range(times if len(seen) == at else 0):
                try:
                    signal.raise_signal(number)
                except KeyboardInterrupt:
                    pass  # An exception that comes in a destructor, or a callback of C, is lost so.
        replace(source, target)

    return watched


# Footage is streamed, as if it were too large for the memory.
SIGNALLED = f"""
import os, signal, sys
from zoo.commands import training_setup
from zoo.training import fit, whole_files

{inspect.getsource(raising)}
training_setup.CACHE_BYTES = 0
fit.fit.__kwdefaults__["checkpoint_every_sec"] = 0
whole_files.os.replace = raising(*(int(sys.argv.pop(1)) for _ in range(3)))
from zoo.__main__ import main
main()
"""


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    """Four videos of 12 frames, 32x32 grey, in which a square moves."""
    folder = tmp_path_factory.mktemp("footage")
    for video in range(4):
        (folder / f"video_{video}").mkdir()
        for number in range(12):
            frame = np.full((32, 32), 40 + 10 * video, np.uint8)
            frame[8:16, number + video : number + video + 8] = 220
            cv2.imwrite(str(folder / f"video_{video}" / f"{number:03d}.png"), frame)
    return folder


def words(footage, out, *more, steps=STEPS):
    settings = [word for setting in TINY for word in ("--set", setting)]
    return [
        "train", "convlstm_vae", "--data", str(footage), "--out", str(out), "--steps", str(steps),
        "--batch", "2", "--precision", "float32", *settings, *more,
    ]  # fmt: skip


def invoke(*arguments):
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def signalled(number, at, arguments, times=1):
    return subprocess.run(
        [sys.executable, "-c", SIGNALLED, str(int(number)), str(at), str(times), *arguments],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def back_to_any_order():
    """Other tests need not pay for what `--deterministic` sets in this process."""
    yield
    disable_op_determinism()


@pytest.mark.slow
def test_a_run_killed_and_interrupted_ends_with_the_bits_of_an_undisturbed_one(
    footage, tmp_path, monkeypatch, back_to_any_order
):
    monkeypatch.setattr(training_setup, "CACHE_BYTES", 0)
    arguments = words(footage, tmp_path / "run", "--deterministic")
    killed = signalled(signal.SIGKILL, 4, arguments)
    assert killed.returncode == -signal.SIGKILL
    assert json.loads((tmp_path / "run" / "run.json").read_text())["step"] == 3

    with monkeypatch.context() as patch:
        patch.setitem(fit.fit.__kwdefaults__, "checkpoint_every_sec", 0)
        patch.setattr(whole_files.os, "replace", raising(signal.SIGTERM, 2))
        interrupted = invoke(*arguments)
    assert interrupted.exit_code == 130, interrupted.stderr
    last = interrupted.stderr.splitlines()[-1]
    # It went on after step 3: the second checkpoint of its own is that of step 5.
    assert last.startswith("zoo train: interrupted after step 6; the checkpoint is kept")
    assert "Traceback" not in interrupted.stderr
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["status"], record["step"]) == ("interrupted", 6)

    done = invoke(*arguments)
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["status"], record["step"]) == ("finished", STEPS)
    assert record["precision"] == "float32"
    assert record["held_out_videos"] == ["video_3"]
    weights = (tmp_path / "run" / "model.weights.h5").read_bytes()

    again = invoke(*arguments)
    assert again.exit_code == 0
    assert (tmp_path / "run" / "model.weights.h5").read_bytes() == weights

    other = invoke(*words(footage, tmp_path / "run", "--deterministic", "--seed", "3"))
    assert other.exit_code == 2
    assert "`--seed` was 0, now 3" in other.stderr
    assert "Traceback" not in other.stderr

    model = zoo.load(str(tmp_path / "run"))
    assert model.filters == (2, 2, 2) and model.clip_shape == (16, 32, 32, 1)
    assert int(model.draws) == STEPS
    assert invoke(*words(footage, tmp_path / "undisturbed", "--deterministic")).exit_code == 0
    undisturbed = zoo.load(str(tmp_path / "undisturbed"))
    for ours, theirs in zip(model.get_weights(), undisturbed.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)

    events = list((tmp_path / "undisturbed" / "tensorboard").iterdir())
    tags = {
        value.tag
        for record in tf.data.TFRecordDataset([str(path) for path in events])
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value
    }
    assert {"context_truth_prediction", "held_out/loss", "held_out/kl"} <= tags


@pytest.mark.slow
def test_a_run_on_shards_that_was_killed_ends_with_the_bits_of_an_undisturbed_one(
    footage, tmp_path, monkeypatch, back_to_any_order
):
    """Of shards each epoch is a shuffle of all windows; the run goes on in the middle of one."""
    monkeypatch.setattr(training_setup, "CACHE_BYTES", 0)
    assert invoke("prepare", str(footage), "--out", str(tmp_path / "shards")).exit_code == 0
    # Nine windows are trained on: four batches and a half, so that two epochs are begun.
    arguments = words(tmp_path / "shards", tmp_path / "killed", "--deterministic")
    assert signalled(signal.SIGKILL, 4, arguments).returncode == -signal.SIGKILL
    assert invoke(*arguments).exit_code == 0
    undisturbed = words(tmp_path / "shards", tmp_path / "undisturbed", "--deterministic")
    assert invoke(*undisturbed).exit_code == 0
    killed, whole = (zoo.load(str(tmp_path / run)) for run in ("killed", "undisturbed"))
    for ours, theirs in zip(killed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Strips of two actions by three people, twelve frames of 64x64 pixels each."""
    folder = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(0)
    for label in ("run", "walk"):
        (folder / label).mkdir()
        for person in ("ann", "bob", "eve"):
            strip = rng.integers(0, 256, (64, 12 * 64), np.uint8)
            cv2.imwrite(str(folder / label / f"{person}_{label}.png"), strip)
    return folder


def logged(run):
    """The last value of each tag in TensorBoard."""
    values = {}
    for path in sorted((run / "tensorboard").iterdir()):
        for record in tf.data.TFRecordDataset(str(path)):
            for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value:
                values[value.tag] = tf.make_ndarray(value.tensor)
    return values


def test_a_gan_trains_on_labelled_footage_and_shows_its_losses_and_samples(
    labelled, tmp_path, monkeypatch
):
    monkeypatch.setattr("zoo.training.fit.LOG_EVERY", 1)
    settings = (
        "frames=5", "stride=4", "size=16,16", "labels=run,walk", "filters=2,2,2",
        "motion_filters=2", "content_dim=2", "motion_dim=2", "discriminator_filters=2,2,2",
        "frame_filters=2,2,2",
    )  # fmt: skip
    run = tmp_path / "run"
    done = invoke(
        "train", "video_gan", "--data", str(labelled), "--out", str(run), "--steps", "2",
        "--batch", "4", "--precision", "float32",
        *[word for setting in settings for word in ("--set", setting)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], record["step"]) == ("finished", 2)
    values = logged(run)
    assert {"learning_rate", "discriminator_learning_rate", "clips_per_sec"} <= set(values)
    for name in ("loss", "reconstruction", "generator", "discriminator", "diversity"):
        assert np.isfinite(values[f"train/{name}"]), name
    assert {"held_out/generator", "held_out/discriminator"} <= set(values)
    # One row for each held-out clip shown, as many frames in it as a training clip has.
    width, height, *strips = values["samples"]
    assert (int(width), int(height) % 16, len(strips)) == (5 * 16, 0, 1)
    assert tf.io.decode_png(strips[0]).shape == (int(height), 5 * 16, 1)
    model = zoo.load(str(run))
    assert model.labels == ("run", "walk")
    assert model.sample({"first_frame": None, "label": [1]}, 3, seed=0).shape == (1, 3, 16, 16, 1)


def test_a_model_of_two_outputs_trains_and_keeps_what_predicts_best(footage, tmp_path):
    settings = ("frames=6", "crop=16,16", "size=32,32", "horizons=2", "score_horizon=1",
                "filters=2")  # fmt: skip
    done = invoke(
        "train", "composite_lstm", "--data", str(footage), "--out", str(tmp_path / "run"),
        "--steps", "2", "--batch", "2", "--precision", "float32",
        *[word for setting in settings for word in ("--set", setting)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    values = logged(tmp_path / "run")
    best = json.loads((tmp_path / "run" / "run.json").read_text())["best"]["value"]
    assert best == pytest.approx(float(values["held_out/prediction"]))
    assert best != pytest.approx(float(values["held_out/reconstruction"]))
    # Width and height of a row of three frames; two frames ahead and the first one.
    assert values["context_truth_prediction"][:2].tolist() == [b"48", b"48"]


@pytest.mark.slow
def test_a_second_interrupt_ends_at_once_and_keeps_the_older_checkpoint(footage, tmp_path):
    run = tmp_path / "run"
    ended = signalled(signal.SIGINT, 3, words(footage, run), times=2)
    assert ended.returncode == 130, ended.stderr
    assert "Traceback" not in ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last == f"zoo train: interrupted; the same command goes on: {run}"
    # The third checkpoint, of step 3, never took its name.
    assert sorted(path.name for path in (run / "checkpoints").glob("step-*")) == [
        "step-00000001", "step-00000002",
    ]  # fmt: skip
    done = invoke(*words(footage, run))
    assert done.exit_code == 0, done.output
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], record["step"]) == ("finished", STEPS)
    assert not list(run.rglob(".tmp-*"))


def run_of(footage, tmp_path, *more, code=2):
    """What `zoo train` says of wrong usage, in a process that never gets to train."""
    result = invoke(*words(footage, tmp_path / "run", *more))
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert not (tmp_path / "run" / "checkpoints").exists()
    return result.stderr


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "filtres=3"], "near: filters"),
        (["--set", "latent_dim=many"], "`--set latent_dim` must be of the type int"),
        (["--set", "frames"], "`--set` must be KEY=VALUE"),
        (["--precision", "foo"], "`--precision` must be one of auto"),
        (["--distribution", "tpu"], "`--distribution` must be one of auto"),
        (["--learning-rate", "0"], "`--learning-rate` must be above 0"),
        (["--validation-videos", "4"], "`--validation-videos` must leave videos to train on"),
        (["--hold-out", "nobody"], "`--hold-out` must name groups or videos of the footage"),
        (
            ["--hold-out", "a", "--validation-videos", "1"],
            "`--validation-videos` must be left out where `--hold-out` says which",
        ),
        (["--init", "convlstm_vea"], "`--init` must be a preset: convlstm_vae"),
        (["--init", "."], "without any"),
        (["--set", "frames=0"], "`--set frames` must be a whole number"),
        (["--set", "augment=flop"], "`--set augment` must be of blur, brightness, colour"),
        (["--set", "score_horizon=3"], "`--set score_horizon` must be"),
        (["--set", "clip_shape=8,30,32,1"], "`--set` must hold what the model takes: The height"),
        (["--set", "crop=64,64"], "`--set crop` must fit into the frame"),
        (["--set", "crop=20,20"], "the nearest that fits is"),
    ],
)
def test_wrong_usage_is_one_line_and_trains_nothing(footage, tmp_path, more, message):
    assert message in run_of(footage, tmp_path, *more)


@pytest.mark.parametrize("setting", ["steps=0", "batch=0"])
def test_a_setting_with_an_option_of_its_own_is_called_by_that(footage, setting):
    name = setting.partition("=")[0]
    with pytest.raises(ValueError, match=f"^`{name}` must be at least 1. Received: {setting}$"):
        prepare("convlstm_vae", footage, settings=[setting])


def test_footage_elsewhere_keeps_its_address_and_tells_no_secret():
    for given in ("s3://bucket/day", Path("s3://bucket/day")):
        setup = prepare("convlstm_predictor", given)
        assert setup.data == RemotePath("s3://bucket/day")
        assert setup.arguments["data"] == "s3://bucket/day"
    setup = prepare("convlstm_predictor", "https://me:word@gate/a.mp4?sig=12")
    assert setup.arguments["data"] == "https://***@gate/a.mp4?sig=***"
    assert prepare("convlstm_predictor", "footage").arguments["data"] == str(Path.cwd() / "footage")


def test_every_augmentation_can_be_set(footage):
    names = tuple(data_pipelines.augmentations.AUGMENTATIONS)
    setup = prepare("convlstm_vae", footage, settings=[f"augment={','.join(names)}"])
    assert setup.training["augment"] == names and len(names) == 9


def test_footage_that_cannot_be_used_fails(footage, tmp_path):
    line = run_of(footage, tmp_path, "--set", "frames=20", code=1)
    assert "no video is as long as a clip of 20 frames" in line
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "gate.mp4").write_bytes(b"\0\1garbage" * 500)
    result = invoke(*words(tmp_path / "bad", tmp_path / "run"))
    assert result.exit_code == 1
    assert "holds no video file that can be read" in result.stderr


def test_a_missing_path_is_one_line(tmp_path):
    nowhere = tmp_path / "nowhere"
    assert f"`--data` {nowhere} does not exist" in run_of(nowhere, tmp_path)


def test_a_folder_of_something_else_is_left_alone(footage, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "holiday.mp4").write_bytes(b"x")
    assert "holds other files" in run_of(footage, tmp_path)


def test_an_unknown_preset_is_one_line_with_near_names(footage, tmp_path):
    result = invoke("train", "convlstm_vea", "--data", str(footage), "--out", str(tmp_path / "r"))
    assert result.exit_code == 2
    assert "Did you mean convlstm_vae" in result.stderr


@pytest.mark.parametrize("more", [("--steps", "0"), ("--seed", "-1"), ("--seed", str(2**31))])
def test_numbers_out_of_range_are_wrong_usage(footage, tmp_path, more):
    assert invoke(*words(footage, tmp_path / "run", *more)).exit_code == 2


def test_a_run_folder_is_looked_at_before_the_footage(footage, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(
        training_setup, "fit", lambda model, factory, run, *_, **__: run.update(status="finished")
    )
    assert invoke(*words(footage, tmp_path / "run")).exit_code == 0
    before = (tmp_path / "run" / "run.json").read_bytes()

    def opened(*arguments, **more):
        raise AssertionError("footage was opened")

    monkeypatch.setattr(data_pipelines, "open_source", opened)
    caplog.clear()
    with caplog.at_level("INFO"):
        assert invoke(*words(footage, tmp_path / "run")).exit_code == 0
    assert f"{tmp_path / 'run'} is finished" in caplog.text
    assert "`--seed` was 0, now 3" in run_of(footage, tmp_path, "--seed", "3")
    # Nor are the weights that it may have begun from.
    assert "`--init` was None, now gone" in run_of(footage, tmp_path, "--init", "gone")
    assert (tmp_path / "run" / "run.json").read_bytes() == before
    with pytest.raises(AssertionError, match="footage was opened"):
        invoke(*words(footage, tmp_path / "another"))
    assert not (tmp_path / "another").exists()


def test_a_run_folder_of_another_model_is_said_without_settings(footage, tmp_path):
    run = tmp_path / "run"
    RunFolder.open(run, command="", arguments=prepare("convlstm_vae", footage).arguments).close()
    (run / "checkpoints").mkdir()
    result = invoke("train", "convlstm_predictor", "--data", str(footage), "--out", str(run))
    trained, asked = "convlstm_vae/ucsd_ped2", "convlstm_predictor/ucsd_ped2"
    assert (result.exit_code, result.stderr) == (2, (
        f"zoo: `--out` holds a run of another model, {trained}, and {asked} was asked for. Give "
        f"{trained} to go on with it, or another folder. Received: --out={run}\n"
    ))  # fmt: skip


def test_a_full_disk_is_one_line_and_keeps_the_checkpoint(footage, tmp_path, monkeypatch):
    def fills(model, factory, run, *arguments, **more):
        (run.path / "checkpoints").mkdir()
        raise OSError(28, "No space left on device", str(run.path / "checkpoints" / "a"))

    monkeypatch.setattr(training_setup, "fit", fills)
    result = invoke(*words(footage, tmp_path / "run"))
    assert result.exit_code == 1
    [line] = [line for line in result.stderr.splitlines() if "No space left" in line]
    assert "The last checkpoint is kept" in line
    assert "Traceback" not in result.stderr


def test_a_loss_that_is_not_finite_is_one_line(footage, tmp_path, monkeypatch):
    def diverges(*arguments, **more):
        raise FloatingPointError("the loss at step 3 is nan")

    monkeypatch.setattr(training_setup, "fit", diverges)
    result = invoke(*words(footage, tmp_path / "run"))
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        1, "zoo: the loss at step 3 is nan",
    )  # fmt: skip


def test_init_starts_from_trained_weights(footage, tmp_path, monkeypatch):
    started = []

    def note(model, factory, run, steps, **more):
        started.append((model.get_weights(), more))

    monkeypatch.setattr(training_setup, "fit", note)
    settings = {
        "filters": (2, 2, 2), "state_filters": (2, 2), "decoder_filters": (2, 2, 2),
        "horizons": 1, "score_horizon": 1,
    }  # fmt: skip
    trained = zoo.load("convlstm_vae", weights=None, **settings)
    trained.save_weights(tmp_path / "a.weights.h5")
    init = ["--init", str(tmp_path / "a.weights.h5")]
    assert invoke(*words(footage, tmp_path / "run", *init)).exit_code == 0
    weights, arguments = started[0]
    for ours, theirs in zip(weights, trained.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # Scoring and export build the model again from these.
    config = arguments["config"]
    assert config["preset"] == "convlstm_vae/ucsd_ped2"
    assert config["overrides"]["filters"] == (2, 2, 2)
    assert config["class"] == "ConvLSTMVAE"

    wider = [word for word in words(footage, tmp_path / "wider", *init)]
    wider[wider.index("filters=2,2,2")] = "filters=2,2,3"
    result = invoke(*wider)
    assert result.exit_code == 1
    assert "do not fit ConvLSTMVAE" in result.stderr


def test_equal_seeds_start_from_equal_weights(footage, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(
        training_setup, "fit", lambda model, *rest, **more: started.append(model.get_weights())
    )
    for number, seed in enumerate(("3", "3", "4")):
        invoke(*words(footage, tmp_path / str(number), "--seed", seed))
    first, same, other = started
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("feed", ["memory", "streamed", "shards"])
def test_the_stream_of_a_resumed_run_goes_on_at_the_same_clips(
    footage, tmp_path, monkeypatch, feed
):
    given = []
    if feed != "memory":
        monkeypatch.setattr(training_setup, "CACHE_BYTES", 0)
    if feed == "shards":
        data_pipelines.prepare(footage, tmp_path / "shards")
        footage = tmp_path / "shards"
    monkeypatch.setattr(
        training_setup, "fit", lambda model, factory, *rest, **more: given.append(factory)
    )
    invoke(*words(footage, tmp_path / "run"))
    [factory] = given
    whole = [inputs.numpy() for inputs, _ in factory(0).take(7)]
    rest = [inputs.numpy() for inputs, _ in factory(4).take(3)]
    np.testing.assert_array_equal(whole[4:], rest)
    assert not np.array_equal(whole[0], whole[1])


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ("a=3", 1, 3),
        ("a=3", 1.5, 3.0),
        ("a = 1e-3", 1.5, 1e-3),
        ("a=false", True, False),
        ("a=max", "mean", "max"),
        ("a=8,16", (1, 2, 3), (8, 16)),
        ("a=flip,brightness", (), ("flip", "brightness")),
        ("a=none", (64, 64), None),
        ("a=5", None, 5),
        ("a=64,48", None, (64, 48)),
    ],
)
def test_settings_take_the_type_of_what_they_replace(text, known, expected):
    key, value = parse_setting(text, {"a": known})
    assert (key, value, type(value)) == ("a", expected, type(expected))


@pytest.mark.parametrize(
    ("text", "known"), [("a=1.5", 1), ("a=x", 1.5), ("a=yes", True), ("a=1,x", (1, 2))]
)
def test_settings_of_another_type_are_refused(text, known):
    with pytest.raises(ValueError, match=f"`--set a` must be of the type .*Received: {text}"):
        parse_setting(text, {"a": known})


@pytest.mark.parametrize(
    ("held_out", "expected"), [(None, 1), (0, 0), (2, 2), (3, 3)]
)
def test_the_last_videos_are_held_out(footage, held_out, expected):
    source = data_pipelines.open_source(footage)
    train, rest = split_videos(source, held_out)
    names = [video.name for video in source.videos]
    assert [video.name for video in train.videos] == names[: 4 - expected]
    if expected:
        assert [video.name for video in rest.videos] == names[4 - expected :]
    else:
        assert rest is None


class Named:
    """A video of which nothing but its name, its group and its class is looked at."""

    def __init__(self, name, group, label=None):
        self.name, self.group, self.label = name, group, label
        self.split, self.fps, self._said = None, 25.0, set()


def people(*groups):
    videos = [Named(f"{action}/{group}", group) for action in ("run", "walk") for group in groups]
    return data_pipelines.Source("weizmann", Path("."), videos)


def test_people_are_held_out_whole_and_spread():
    train, rest = split_videos(people("ann", "bob", "cid", "dan"), 3)
    # Three videos were asked for; two people have four.
    assert {video.group for video in train.videos} == {"ann", "cid"}
    assert {video.group for video in rest.videos} == {"bob", "dan"}
    assert len(train.videos) + len(rest.videos) == 8


def test_of_two_people_one_is_left_whole_to_train_on():
    train, rest = split_videos(people("ann", "bob"), 3)
    assert {video.group for video in train.videos} == {"ann"}
    assert {video.group for video in rest.videos} == {"bob"}


def test_people_and_videos_are_held_out_by_name():
    train, rest = split_videos(people("ann", "bob", "cid"), names=("cid", "run/ann"))
    assert {video.name for video in rest.videos} == {"run/cid", "walk/cid", "run/ann"}
    assert {video.name for video in train.videos} == {"walk/ann", "run/bob", "walk/bob"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("ann", "dan"), "whose groups are ann, bob. Received: hold_out=dan$"),
        (("ann", "bob"), "`hold_out` must leave videos to train on, of 4"),
    ],
)
def test_names_held_out_are_of_the_footage_and_not_all_of_it(names, message):
    with pytest.raises(ValueError, match=message):
        split_videos(people("ann", "bob"), names=names)


def test_of_clips_by_class_every_class_is_held_out():
    videos = [Named(f"{label}/{n}", f"{label}/{n}", label) for label in "abc" for n in range(10)]
    train, rest = split_videos(data_pipelines.Source("labelled_folders", Path("."), videos), 3)
    assert {video.label for video in rest.videos} == set("abc") and len(rest.videos) == 3
    assert len(train.videos) == 27


@pytest.mark.real_data
def test_of_the_actions_no_person_is_on_both_sides(real_data):
    source = data_pipelines.open_source(real_data / "weizmann", "weizmann")
    train, rest = split_videos(source)
    seen, unseen = ({video.group for video in part.videos} for part in (train, rest))
    assert len(train.videos) + len(rest.videos) == len(source.videos)
    assert not seen & unseen and (len(seen), len(unseen)) == (7, 2)
    assert set(rest.labels) == set(source.labels)


def test_one_group_alone_is_split_by_video():
    train, rest = split_videos(people("ann"), 1)
    assert [video.name for video in train.videos] == ["run/ann"]
    assert [video.name for video in rest.videos] == ["walk/ann"]


def test_of_two_videos_none_is_held_out(footage):
    source = data_pipelines.open_source(footage)
    train, rest = split_videos(source.subset(source.videos[:2]))
    assert len(train.videos) == 2 and rest is None


@pytest.mark.real_data
def test_only_the_train_split_is_trained_on(real_data):
    setup = with_footage(prepare("convlstm_vae", real_data / "ucsd_ped2"))
    assert len(setup.train.videos) == 14
    assert [video.name for video in setup.held_out.videos] == ["train/15", "train/16"]
    assert {video.split for video in setup.train.videos} == {"train"}


def test_arguments_of_a_run_are_json_and_tell_settings_apart(footage, tmp_path):
    one = prepare("convlstm_vae", footage, settings=["crop=16,16"])
    two = prepare("convlstm_vae", footage, settings=["crop=16,24", "latent_dim=3"])
    RunFolder.open(tmp_path, command="", arguments=one.arguments).close()
    (tmp_path / "checkpoints").mkdir()
    RunFolder.open(tmp_path, command="", arguments=one.arguments).close()
    with pytest.raises(ValueError, match=r"`crop` was \[16, 16\], now \[16, 24\]; `model.l"):
        RunFolder.open(tmp_path, command="", arguments=two.arguments)


def test_a_model_in_closed_form_trains_by_the_same_command(footage, tmp_path):
    settings = ("frames=4", "stride=1", "size=32,32", "window=2", "components=5")
    arguments = [
        "train", "pca", "--data", str(footage), "--out", str(tmp_path / "run"), "--batch", "4",
        *(word for setting in settings for word in ("--set", setting)),
    ]  # fmt: skip
    for option in ("--learning-rate=0.1", "--init=pca"):
        refused = invoke(*arguments, option)
        assert refused.exit_code == 2
        said = f"`{option.partition('=')[0]}` must be left out: pca/ucsd_ped2 is fitted in closed"
        assert said in refused.stderr
    assert invoke(*arguments).exit_code == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    # Three videos of 12 frames have nine windows of four frames each, four to a batch.
    assert (record["status"], record["step"]) == ("finished", 7)
    assert 0 < record["best"]["value"] < 0.05
    model = zoo.load(str(tmp_path / "run"))
    assert (model.window, model.components) == (2, 5)
    clips = data_pipelines.load(
        data_pipelines.open_source(footage).subset(
            data_pipelines.open_source(footage).videos[:3]
        ),
        data_pipelines.ClipSpec(frames=4, stride=1, size=(32, 32), channels=1),
    )
    alone = zoo.load("pca", weights=None, window=2, components=5)
    alone.fit(np.stack([clip.numpy() for clip in clips]), verbose=0)
    np.testing.assert_allclose(
        model.encoder.explained_variance, alone.encoder.explained_variance, rtol=1e-4
    )
