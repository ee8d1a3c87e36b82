import json

import cv2
import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import exports
import zoo
from exports.classifier import Classifier
from zoo.commands import classify, labelled_setup
from zoo.commands.app import app


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


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Clips of 20x28 colour images by class and person: a square goes right, or fades in place."""
    root = tmp_path_factory.mktemp("clips")
    for person in range(3):
        for label in ("move", "still"):
            folder = root / label / f"person{person}" / "first"
            folder.mkdir(parents=True)
            for number in range(10 + person):
                image = np.full((20, 28, 3), 40 + 10 * person, np.uint8)
                left = 2 * number if label == "move" else 10
                image[6:14, left : left + 8] = 200 if label == "move" else 190 + number
                cv2.imwrite(str(folder / f"{number}.png"), image)
    return root


def run(*arguments):
    return CliRunner().invoke(app, ["classify", "train", *map(str, arguments)])


def test_clips_are_classified_beside_the_baselines(encoder, data, tmp_path):
    out = tmp_path / "new" / "movement.npz"
    result = run(
        "--encoder", encoder.parent, "--data", data, "--out", out, "--window", 8, "--stride", 4,
        "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["classes"] == ["move", "still"] and report["clips"] == 6
    assert report["accuracy"] == 1.0 and report["confusion"] == [[3, 0], [0, 3]]
    assert (report["split"], report["folds"]) == ("leave one group out", 3)
    # 10, 11 and 12 frames: windows at 0, at 4 where it fits, and at the end.
    assert report["windows"] == 2 * (2 + 2 + 2)
    baselines = report["baselines"]
    assert set(baselines) == {"random_weights", "pixel_pca", "motion_energy"}
    assert len(baselines["random_weights"]["accuracies"]) == 3
    assert baselines["random_weights"]["accuracy"] == pytest.approx(
        np.mean(baselines["random_weights"]["accuracies"])
    )
    saved = Classifier.load(out)
    assert saved.classes == ["move", "still"] and saved.encoder["window"] == 8
    digest = exports.load(encoder).manifest["files"]["saved_model.pb"]["sha256"]
    assert saved.encoder["saved_model_sha256"] == digest


def test_given_groups_are_tested_and_the_others_trained_on(encoder, data, tmp_path):
    result = run(
        "--encoder", encoder, "--data", data, "--test-groups", "person1", "--no-baselines",
        "--window", 8, "--out", tmp_path / "kept.npz",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("accuracy 1.000, 2 clips, given groups: person1\n")
    assert "baseline" not in result.stdout


def test_random_encoders_differ_by_seed_and_from_the_export(encoder):
    loaded = exports.load(encoder)
    window = [np.random.default_rng(0).integers(0, 256, (8, 16, 24, 1), np.uint8)]
    first, again, other = (
        np.asarray(classify._random_encoder(loaded.manifest, seed)(window)) for seed in (0, 0, 1)
    )
    assert first.shape == (1, loaded.manifest["embedding_dim"])
    assert np.array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    assert np.abs(first - loaded.encode(np.stack(window))).max() > 1e-3


def test_a_model_that_is_not_in_the_zoo_has_no_random_baseline():
    with pytest.raises(ValueError, match="model Elsewhere is not in this zoo"):
        classify._random_encoder({"model": {"class": "Elsewhere", "arguments": {}}}, 0)


def write_clips(root, lengths):
    for name, length in lengths.items():
        folder = root / name
        folder.mkdir(parents=True)
        for number in range(length):
            cv2.imwrite(str(folder / f"{number}.png"), np.full((16, 16), 9 * number, np.uint8))
    return root


def test_a_clip_that_is_too_short_is_named(encoder, tmp_path):
    root = write_clips(tmp_path / "in", {"a/x/1": 9, "a/y/1": 9, "b/x/1": 9, "b/y/1": 1})
    result = run("--encoder", encoder, "--data", root)
    assert result.exit_code == 1
    assert "b/y/1: `clip` must have at least 2 frames. Received: 1" in result.stderr


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ({"a/x/1": 9, "a/y/1": 9}, "`labels` must name at least 2 classes"),
        ({"a/x/1": 9, "a/y/1": 9, "b/x/1": 9}, "Received one group for: b"),
        ({"a/x/1": 9, "b/x/1": 9}, "`groups` must name at least 2 groups"),
    ],
)
def test_labels_that_cannot_be_split_are_named(encoder, tmp_path, lengths, message):
    result = run("--encoder", encoder, "--data", write_clips(tmp_path / "in", lengths))
    assert result.exit_code == 1 and message in result.stderr and result.stdout == ""


def test_an_existing_file_is_not_overwritten(encoder, data, tmp_path):
    (tmp_path / "kept.npz").write_text("mine")
    result = run("--encoder", encoder, "--data", data, "--out", tmp_path / "kept.npz")
    assert result.exit_code == 2 and "`--out` must be a new file" in result.stderr
    deep = tmp_path / "kept.npz" / "deep.npz"
    result = run("--encoder", encoder, "--data", data, "--out", deep)
    assert result.exit_code == 2 and "`--out` must be in a folder" in result.stderr
    assert (tmp_path / "kept.npz").read_text() == "mine"


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
    report, _ = classify.train_classifier(exports.load(encoder), videos, with_baselines=False)
    assert report["clips"] == 6 and report["folds"] == 3
    assert report["accuracy"] >= 5 / 6
