import csv
import json
import shutil
import threading
import types

import cv2
import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import data_pipelines
import exports
import zoo
from exports import classifier
from zoo.commands import classify_setup, labelled_setup
from zoo.commands.app import app

pytestmark = pytest.mark.usefixtures("all_verified_here")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    # Not a seed of the baseline, which would then be the same model.
    keras.utils.set_random_seed(7)
    model = zoo.load(
        "convlstm_vae",
        weights=None,
        filters=(4, 6, 8),
        state_filters=(4, 6),
        decoder_filters=(6, 6, 6),
        latent_dim=2,
        clip_shape=(12, 32, 48, 1),
    )
    return exports.export(model, tmp_path_factory.mktemp("served"))


def draw(label, number, person):
    """A 24x32 colour image of a square that goes right, or fades in place."""
    image = np.full((24, 32, 3), 40 + 10 * person, np.uint8)
    left = 2 * (number % 12) if label == "move" else 10
    image[6:14, left : left + 8] = 200 if label == "move" else 190 + 3 * (number % 12)
    return image


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Clips by class and person, of 10 to 12 frames."""
    root = tmp_path_factory.mktemp("clips")
    for person in range(3):
        for label in ("move", "still"):
            folder = root / label / f"person{person}" / "first"
            folder.mkdir(parents=True)
            for number in range(10 + person):
                cv2.imwrite(str(folder / f"{number}.png"), draw(label, number, person))
    return root


def write_long(path, labels, frames=24, fps=10.0):
    """A video in which something else happens every `frames` frames."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, (32, 24))
    for place, label in enumerate(labels):
        for number in range(frames):
            writer.write(draw(label, number, 1))
    writer.release()


@pytest.fixture(scope="module")
def actions(encoder, data, tmp_path_factory):
    """A classifier of windows of 8 frames with the attention head; `(folder, report)`."""
    out = tmp_path_factory.mktemp("classifiers") / "new" / "movement"
    result = run(
        "train", "--encoder", encoder.parent, "--data", data, "--out", out, "--window", 8,
        "--stride", 4, "--head", "attention", "--no-baselines", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    return out, json.loads(result.stdout)


def run(*arguments):
    return CliRunner().invoke(app, ["classify", *map(str, arguments)])


@pytest.mark.slow
def test_clips_are_classified_beside_the_baselines(encoder, data):
    result = run(
        "train", "--encoder", encoder, "--data", data, "--window", 8, "--head", "neighbours",
        "--mirrored", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    baselines = json.loads(result.stdout)["baselines"]
    assert set(baselines) == {"random_weights", "pixel_pca", "motion_energy", "linear_probe"}
    assert baselines["random_weights"]["accuracy"] == pytest.approx(
        np.mean(baselines["random_weights"]["accuracies"])
    )


def test_clips_are_classified_and_the_classifier_says_how(actions, encoder):
    out, report = actions
    assert report["classes"] == ["move", "still"] and report["clips"] == 6
    assert report["accuracy"] == 1.0 and report["confusion"] == [[3, 0], [0, 3]]
    assert (report["split"], report["folds"]) == ("leave one group out", 3)
    # 10, 11 and 12 frames: windows at 0, at 4 where it fits, and at the end.
    assert report["windows"] == 2 * (2 + 2 + 2)
    assert 0 <= report["calibration_error"] < 0.3
    about = classifier.load(out).about
    assert about["classes"] == ["move", "still"] and about["window"] == 8
    assert about["temperature"] == report["temperature"] and about["head"] == "attention"
    assert len(about["clips"]) == 6 and "move/person0/first" in about["clips"]
    digest = exports.load(encoder).manifest["files"]["saved_model.pb"]["sha256"]
    assert about["encoder_sha256"] == digest


def test_windows_are_described_beside_their_mirror_images():
    first_column = {name: lambda windows: np.stack([w[0, 0, 0] for w in windows])
                    for name in ("encoder", "pixels")}  # fmt: skip
    found = classify_setup.in_pairs(first_column)
    windows = [draw("move", number, 0)[None] for number in range(3)]
    pairs = found["encoder"](windows)
    assert pairs.shape == (3, 2, windows[0].shape[-1])
    for window, (own, image) in zip(windows, pairs, strict=True):
        assert (own == window[0, 0, 0]).all() and (image == window[0, 0, -1]).all()
    assert found["pixels"](windows).ndim == 2


def test_given_groups_are_tested_and_the_others_trained_on(encoder, data, tmp_path):
    result = run(
        "train", "--encoder", encoder, "--data", data, "--test-groups", "person1",
        "--no-baselines", "--window", 8, "--head", "neighbours", "--mirrored",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("accuracy 1.000, 2 clips, given groups: person1\n")
    assert "baseline" not in result.stdout
    about = classifier.load(tmp_path / "out").about
    clips = about["clips"]
    assert about["mirrored"] and len(clips) == 4 and not any("person1" in name for name in clips)


def test_what_happens_in_files_and_folders_is_told_with_times(actions, data, tmp_path):
    folder, _ = actions
    write_long(tmp_path / "long.avi", ["move", "still"])
    result = run("predict", folder, tmp_path / "long.avi", data / "still" / "person0")
    assert result.exit_code == 0, result.stderr
    rows = list(csv.DictReader(result.stdout.splitlines()))
    long = [row for row in rows if row["path"] == "long.avi"]
    assert [float(row["begin_sec"]) for row in long] == pytest.approx(np.arange(0, 4.1, 0.4))
    assert [float(row["end_sec"]) for row in long] == pytest.approx(np.arange(0.8, 4.9, 0.4))
    assert [row["label"] for row in long][:2] == ["move", "move"]
    assert [row["label"] for row in long][-3:] == ["still"] * 3
    # Nothing tells the rate of images: frames are counted.
    stills = [row for row in rows if row["path"] == "first"]
    assert [(row["begin_sec"], row["end_sec"]) for row in stills] == [
        ("0.000", "8.000"), ("2.000", "10.000"),
    ]  # fmt: skip
    out = tmp_path / "new" / "labels.json"
    result = run("predict", folder, tmp_path / "long.avi", "--out", out)
    assert result.exit_code == 0, result.stderr
    report = json.loads(out.read_text())
    assert report["classes"] == ["move", "still"] and len(report["windows"]) == len(long)
    for row, window in zip(long, report["windows"]):
        assert window["label"] == row["label"]
        assert max(window["probabilities"].values()) == pytest.approx(window["probability"])
        assert float(row["probability"]) == pytest.approx(window["probability"], abs=1e-4)


def test_a_video_that_is_too_short_is_named_and_the_rest_go_on(actions, data, tmp_path):
    folder, _ = actions
    (tmp_path / "one").mkdir()
    cv2.imwrite(str(tmp_path / "one" / "1.png"), draw("move", 1, 1))
    result = run("predict", folder, tmp_path / "one", data / "move" / "person1", "--json")
    assert result.exit_code == 1
    assert "one: `clip` must have at least 2 frames. Received: 1" in result.stderr
    assert len(json.loads(result.stdout)["windows"]) == 2


def test_a_short_clip_is_named_as_the_clips_that_were_fitted_are(monkeypatch):
    """Its last frame stands still to the end of the window; its time is that of its own frames."""
    given = []

    class Named:
        about, manifest = {"window": 8, "window_stride": 4}, {"min_frames": 2}

        def classify(self, clips):
            given.append(clips)
            return ["move"] * len(clips), np.ones((len(clips), 1))

    def timed_frames(model, video, times):
        for number in range(5):
            times.append(number / 10)
            yield np.full((2, 2, 1), number, np.uint8)

    monkeypatch.setattr(classify_setup, "timed_frames", timed_frames)
    ((begin, end, label, _),) = classify_setup.classified(Named(), None)
    assert given[0][0, :, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 4, 4, 4]
    assert (begin, end, label) == (0, pytest.approx(0.5), "move")


def test_of_a_long_video_only_a_few_windows_are_held(actions):
    taken = []

    class Endless:
        name, fps, live = "endless", 10.0, False

        def timed(self, fps=None):
            number = 0
            while True:
                taken.append(number)
                yield None, draw("move", number, 0)
                number += 1

    loaded = classifier.load(actions[0])
    found = classify_setup.classified(loaded, Endless(), batch=3)
    for place in range(40):
        begin, end, *_ = next(found)
        assert (begin, end) == pytest.approx((0.4 * place, 0.4 * place + 0.8))
        # Windows of 8 every 4: no more is read than the batch that a window is in.
        assert len(taken) == 8 + 4 * (place // 3 * 3 + 2)


def test_a_camera_is_watched_as_it_goes(actions):
    """Frames of other sizes, faster than the classifier's rate, with no end of their own."""
    import dataclasses

    @dataclasses.dataclass
    class Timed:
        frame: object
        time_sec: float

    class Camera:
        name, fps, live = "gate", None, True

        def timed_frames(self):
            for number in range(64):
                image = draw("move", number // 2, 0)
                image = image if number < 30 else cv2.resize(image, (64, 48))
                yield Timed(image, 100 + number / 20)

    loaded = classifier.load(actions[0])
    loaded.about = loaded.about | {"clip_fps": 10.0}
    found = list(classify_setup.classified(loaded, Camera(), batch=1))
    assert [begin for begin, *_ in found] == pytest.approx([0, 0.4, 0.8, 1.2, 1.6, 2.0, 2.4])
    assert {label for *_, label, _ in found} <= {"move", "still", classifier.NONE}


class Endless:
    """A camera that sends until it is closed."""

    live = True

    def __init__(self):
        self.closed = threading.Event()

    def close(self):
        self.closed.set()


def test_cameras_without_an_end_are_watched_at_once_and_end_with_an_interrupt(monkeypatch):
    cameras, told = {"gate": Endless(), "yard": Endless()}, []
    recorded = types.SimpleNamespace(live=False)

    def classified(model, video, batch):
        number = 0
        while not (video.live and video.closed.wait(0.01)) and (video.live or number < 3):
            yield number, number + 1, "move", np.ones(1)
            number += 1

    def put(name, begin, *rest):
        told.append((name, begin))
        watched = {name for name, begin in told if begin >= 5}
        if {"gate", "yard"} <= watched and ("file", 2) in told:
            raise KeyboardInterrupt

    monkeypatch.setattr(classify_setup, "classified", classified)
    with pytest.raises(KeyboardInterrupt):
        classify_setup.classify_all(None, [*cameras.items(), ("file", recorded)], put)
    assert all(camera.closed.is_set() for camera in cameras.values())
    assert [begin for name, begin in told if name == "file"] == [0, 1, 2]
    count = len(told)
    assert classify_setup.classify_all(None, [("file", recorded)], lambda *row: None) == (3, [])
    assert len(told) == count


def test_videos_of_one_name_in_two_folders_are_told_apart(tmp_path):
    write_long(tmp_path / "a.avi", ["move"])
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        shutil.copy(tmp_path / "a.avi", tmp_path / folder / "b.avi")
    places = tmp_path / "a.avi", tmp_path / "one", tmp_path / "two" / "b.avi"
    found = classify_setup.named_videos([data_pipelines.open_source(place) for place in places])
    assert [name for name, _ in found] == [
        "a.avi", str(tmp_path / "one" / "b.avi"), str(tmp_path / "two" / "b.avi"),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def segments(tmp_path_factory):
    """A CSV file of segments of two videos, eight in all."""
    root = tmp_path_factory.mktemp("segments")
    lines = ["path,begin,end,label"]
    for number, order in enumerate((["move", "still"] * 2, ["still", "move"] * 2)):
        write_long(root / f"{number}.avi", order)
        lines += [f"{number}.avi,{2.4 * k:.1f},{2.4 * (k + 1):.1f},{name}"
                  for k, name in enumerate(order)]  # fmt: skip
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root / "labels.csv"


def test_segments_of_long_videos_are_learnt_and_found_again(encoder, segments, tmp_path):
    result = run(
        "train", "--encoder", encoder, "--data", segments, "--out", tmp_path / "actions",
        "--window", 8, "--stride", 4, "--no-baselines",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert classifier.load(tmp_path / "actions").about["clip_fps"] == 10.0
    result = run("evaluate", tmp_path / "actions", "--data", segments, "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["clips"] == 8 and report["accuracy"] == 1.0
    assert "trained on 8 of the 8 clips" in report["notes"][0]
    assert list(report["localisation"]) == ["0.3", "0.5", "0.7"]
    assert report["localisation"]["0.5"]["mean"] > 0.8
    assert set(report["few_labels"]) == {
        "head", "random_weights", "pixel_pca", "motion_energy",
    }  # fmt: skip
    assert set(report["few_labels"]["head"]) == {"1", "2"}
    text = run("evaluate", tmp_path / "actions", "--data", segments, "--no-baselines").stdout
    assert "mean average precision at overlap 0.5" in text and "labels of each class" not in text


def test_bad_lines_are_named_before_any_work(encoder, segments, tmp_path):
    bad = segments.parent / "bad.csv"
    bad.write_text("path,label\n0.avi,move\ngone.avi,move\n1.avi,\n")
    result = run("train", "--encoder", tmp_path, "--data", bad)
    assert result.exit_code == 1
    assert "line 3 names a file that is not there" in result.stderr
    assert "line 4 has no label" in result.stderr


def test_a_class_of_one_example_is_named_with_its_line(encoder, segments):
    lines = segments.read_text().splitlines()
    few = segments.parent / "few.csv"
    few.write_text("\n".join([*lines[:4], "1.avi,0,2,fall"]) + "\n")
    result = run("train", "--encoder", encoder, "--data", few)
    assert result.exit_code == 1
    assert "each class must have at least 2 clips" in result.stderr
    assert "still (line 3)" in result.stderr and "fall (line 5)" in result.stderr
    assert "move" not in result.stderr


def test_classes_that_the_classifier_was_not_taught_are_named(actions, segments):
    other = segments.parent / "other.csv"
    other.write_text("path,label\n0.avi,move\n1.avi,fall\n")
    result = run("evaluate", actions[0], "--data", other)
    assert result.exit_code == 2
    assert "`--data` must be of the classes move, still" in result.stderr
    assert "fall (line 3)" in result.stderr


def test_a_class_that_is_only_tested_is_named(encoder, data, tmp_path):
    root = write_clips(tmp_path / "in", {"a/x/1": 9, "a/y/1": 9, "b/x/1": 9, "b/x/2": 9})
    result = run("train", "--encoder", encoder, "--data", root, "--test-groups", "x")
    assert result.exit_code == 2
    assert "`--test-groups` must leave clips of every class to train on. None of: ['b']" in (
        result.stderr
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--head", "forest"], "`--head` must be one of logistic, neighbours, attention"),
        (["--fine-tune", 5], "`--fine-tune` must be 0 with an export, whose weights are frozen"),
        (["--encoder", "convlstm_vea"], "convlstm_vae"),
    ],
)
def test_what_cannot_be_trained_is_wrong_usage(encoder, data, arguments, message):
    result = run("train", "--encoder", encoder, "--data", data, *arguments)
    assert result.exit_code == 2 and message in result.stderr


@pytest.mark.slow
def test_the_encoder_of_a_run_is_fine_tuned(run_folder, data, tmp_path):
    arguments = ["--encoder", run_folder, "--data", data, "--window", 8, "--no-baselines", "--json"]
    result = run("train", *arguments, "--fine-tune", 2)
    assert result.exit_code == 2 and "`--fine-tune` must be 0 but with the head" in result.stderr
    out = tmp_path / "tuned"
    result = run("train", *arguments, "--head", "attention", "--fine-tune", 4, "--out", out)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["split"].startswith("given groups: person") and report["clips"] == 2
    assert 0 <= report["accuracy_before_fine_tuning"] <= 1
    window = np.stack([draw("move", number, 0)[..., :1] for number in range(8)])
    tuned = classifier.load(out).features(window)
    frozen = zoo.load(str(run_folder)).features(window[None].astype("float32") / 255)[0]
    assert tuned.shape == frozen.shape and np.abs(tuned - frozen).max() > 1e-5


def write_clips(root, lengths):
    for name, length in lengths.items():
        folder = root / name
        folder.mkdir(parents=True)
        for number in range(length):
            cv2.imwrite(str(folder / f"{number}.png"), np.full((16, 16), 9 * number, np.uint8))
    return root


def test_a_clip_that_is_too_short_is_named(encoder, tmp_path):
    root = write_clips(tmp_path / "in", {"a/x/1": 9, "a/y/1": 9, "b/x/1": 9, "b/y/1": 1})
    result = run("train", "--encoder", encoder, "--data", root)
    assert result.exit_code == 1
    assert "b/y/1: `clip` must have at least 2 frames. Received: 1" in result.stderr


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ({"a/x/1": 9, "a/y/1": 9}, "`labels` must name at least 2 classes"),
        ({"a/x/1": 9, "a/y/1": 9, "b/x/1": 9, "b/x/2": 9}, "Received one group for: b"),
        ({"a/x/1": 9, "a/x/2": 9, "b/x/1": 9, "b/x/2": 9}, "`groups` must name at least 2 groups"),
    ],
)
def test_labels_that_cannot_be_split_are_named(encoder, tmp_path, lengths, message):
    result = run("train", "--encoder", encoder, "--data", write_clips(tmp_path / "in", lengths))
    assert result.exit_code == 1 and message in result.stderr and result.stdout == ""


def test_what_is_no_folder_of_versions_is_not_written_to(encoder, data, tmp_path):
    (tmp_path / "kept.npz").write_text("mine")
    arguments = ["train", "--encoder", encoder, "--data", data, "--out"]
    result = run(*arguments, tmp_path / "kept.npz")
    assert result.exit_code == 2 and "`--out` must be a folder. Received: " in result.stderr
    result = run(*arguments, tmp_path)
    assert result.exit_code == 2 and "kept.npz" in result.stderr
    assert (tmp_path / "kept.npz").read_text() == "mine"


def test_a_model_that_is_none_is_named_as_it_is_typed(data, tmp_path):
    for words in (["predict", tmp_path / "nowhere", data],
                  ["evaluate", tmp_path / "nowhere", "--data", data]):  # fmt: skip
        result = run(*words)
        assert result.exit_code == 2
        assert f"`MODEL` {tmp_path / 'nowhere'} does not exist" in result.stderr


def test_weizmann_is_known_by_its_strips(tmp_path):
    for label in ("run", "walk"):
        (tmp_path / label).mkdir()
        for person in ("ann", "bob"):
            strip = np.zeros((64, 64 * 3), np.uint8)
            cv2.imwrite(str(tmp_path / label / f"{person}_{label}.jpg"), strip)
    source = labelled_setup.open_labelled(tmp_path)
    assert source.kind == "weizmann"
    assert {video.group for video in source.videos} == {"ann", "bob"}


@pytest.mark.slow
@pytest.mark.real_data
def test_some_actions_of_weizmann_are_told_apart(encoder, real_data):
    videos = [
        video
        for video in labelled_setup.open_labelled(real_data / "weizmann").videos
        if video.label in ("bend", "run") and video.group in ("daria", "denis", "eli")
    ]
    report, _ = classify_setup.train_classifier(exports.load(encoder), videos, with_baselines=False)
    assert report["clips"] == 6 and report["folds"] == 3
    assert report["accuracy"] >= 5 / 6
