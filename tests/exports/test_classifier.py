import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import exports
from exports import classifier, heads, saved_model, verification
from exports.classifier import NONE, numbered_windows, padded, windows
from zoo.evaluation.classification import temper

ABOUT = {"window": 16, "window_stride": 8, "clip_fps": 10.0}


@pytest.mark.parametrize(
    ("length", "starts"), [(16, [0]), (17, [0, 1]), (24, [0, 8]), (37, [0, 8, 16, 21]), (9, [0])]
)
def test_windows_cover_the_clip_and_end_with_it(length, starts):
    clip = np.arange(length)[:, None, None, None] * np.ones((1, 2, 2, 1), int)
    cut = list(windows(iter(clip), frames=16, stride=8, min_frames=2))
    assert [part[0, 0, 0, 0] for part in cut] == starts
    assert all(part[-1, 0, 0, 0] == min(start + 15, length - 1) for part, start in zip(cut, starts))
    assert all(np.array_equal(part, clip[s : s + 16]) for part, s in zip(cut, starts))
    ends = [end for end, _ in numbered_windows(clip, frames=16, stride=8)]
    assert ends == [min(start + 16, length) for start in starts]


def test_a_short_window_ends_with_its_last_frame_standing_still():
    window = np.arange(5)[:, None, None, None] * np.ones((1, 2, 3, 1), int)
    assert padded(window, 8)[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 4, 4, 4]
    np.testing.assert_array_equal(padded(window, 5), window)


def test_windows_that_cannot_be_cut_are_named():
    clip = np.zeros((3, 2, 2, 1))
    with pytest.raises(ValueError, match="`clip` must have at least 4 frames. Received: 3"):
        list(windows(clip, frames=8, min_frames=4))
    with pytest.raises(ValueError, match="`frames` must be at least 4. Received: frames=2"):
        list(windows(clip, frames=2, min_frames=4))
    with pytest.raises(ValueError, match="`stride` must be at least 1. Received: stride=0"):
        list(windows(clip, stride=0))
    with pytest.raises(ValueError, match="at least 1 frames. Received: 0"):
        list(windows(clip[:0]))


@pytest.fixture(scope="module")
def encoder(exported):
    return exports.load(exported)


@pytest.fixture(scope="module")
def clips(clip):
    """uint8 (12, 12, 32, 48, 1): two kinds of movement, brighter and darker."""
    return np.concatenate([clip - np.uint8(8 * step) for step in range(6)])


@pytest.fixture(scope="module")
def fitted(encoder, clips):
    """From the name of a head to it, fitted on `clips`."""
    labels, groups = np.array(["right", "down"] * 6), np.repeat(list("abcdef"), 2)
    found = {}
    for head, verb in heads.TAKES.items():
        rows = getattr(encoder, verb)(clips)
        if verb == "features":
            grids = np.empty(len(rows), object)
            grids[:] = list(rows)
            rows = grids
        found[head] = heads.fitter(head)(rows, labels, groups, np.arange(12))
    return found


@pytest.fixture(scope="module")
def served(encoder, fitted, tmp_path_factory):
    """Folder of a classifier with the attention head, its temperature 2."""
    return classifier.save(
        tmp_path_factory.mktemp("actions"), encoder, fitted["attention"], temperature=2.0,
        limit=0.0, about=ABOUT | {"head": "attention"},
    )  # fmt: skip


def test_encoder_and_head_are_one_graph(encoder, fitted, clips, served):
    loaded = classifier.load(served.parent)
    labels, probabilities = loaded.classify(clips)
    assert labels == ["right", "down"] * 6
    grids = np.empty(len(clips), object)
    grids[:] = list(encoder.features(clips))
    expected = np.exp(temper(fitted["attention"].log_probabilities(grids), 2.0))
    assert loaded.classes == ["down", "right"]
    assert np.allclose(probabilities, expected, atol=1e-4)
    untempered = np.exp(fitted["attention"].log_probabilities(grids))
    assert np.allclose(np.exp(loaded.log_probabilities(clips)), untempered, atol=1e-3)
    assert np.allclose(loaded.encode(clips[:2]), encoder.encode(clips[:2]), atol=1e-5)
    assert np.allclose(loaded.features(clips[:2]), encoder.features(clips[:2]), atol=1e-5)
    assert len(loaded.weights) < len(encoder.weights) + 12


def test_tensorflow_alone_gives_labels_with_probabilities(served, clips):
    program = (
        "import sys, json, numpy as np, tensorflow as tf\n"
        "loaded = tf.saved_model.load(sys.argv[1])\n"
        "clip = np.load(sys.argv[2])\n"
        "frames = tf.stack([tf.stack([tf.io.encode_png(f) for f in c]) for c in clip])\n"
        "a = loaded.signatures['serving_default'](clip=tf.constant(clip))\n"
        "b = loaded.signatures['classify_jpeg'](frames=frames)\n"
        "assert not {'zoo', 'exports', 'data_pipelines'} & set(sys.modules)\n"
        "say = lambda r: {k: v.numpy().astype(str).tolist() if v.dtype == tf.string\n"
        "                 else v.numpy().tolist() for k, v in r.items()}\n"
        "print(json.dumps([say(a), say(b)]))\n"
    )
    path = served.parent.parent / "clips.npy"
    np.save(path, clips[:2])
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(served), str(path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    of_bytes, of_images = json.loads(done.stdout.splitlines()[-1])
    assert of_bytes["label"] == ["right", "down"] == of_images["label"]
    assert of_bytes["labels"] == [["right", "down"], ["down", "right"]]
    for found in (of_bytes, of_images):
        assert np.allclose(np.sum(found["probabilities"], axis=1), 1, atol=1e-5)
        assert np.allclose(np.max(found["probabilities"], axis=1), found["probability"])
    assert np.allclose(of_bytes["probabilities"], of_images["probabilities"], atol=1e-5)


@pytest.mark.parametrize("head", ["logistic", "neighbours"])
def test_below_the_limit_it_is_none_of_these(
    encoder, fitted, clips, tmp_path, head, verified_here
):
    folder = classifier.save(
        tmp_path / "new" / "actions", encoder, fitted[head], temperature=4.0, limit=0.8,
        about=ABOUT | {"head": head},
    )  # fmt: skip
    assert folder.name == "1"
    # A clip in which nothing moves, beside those that it knows.
    asked = np.concatenate([clips[:4], np.full_like(clips[:2], 128)])
    labels, probabilities = classifier.load(folder).classify(asked)
    expected = np.exp(temper(fitted[head].log_probabilities(encoder.encode(asked)), 4.0))
    assert np.allclose(probabilities, expected, atol=1e-4)
    names = np.array(["down", "right"])[expected.argmax(axis=1)]
    assert labels == [name if sure.max() >= 0.8 else NONE for name, sure in zip(names, expected)]
    assert NONE in labels


def test_the_manifest_is_that_of_an_export(served, encoder):
    assert exports.manifest.check_files(served) >= 2
    described = exports.manifest.read(served)
    assert described["signatures"] == ["serving_default", "classify_jpeg", "encode", "features"]
    assert described["state"] is None and described["fps"] == encoder.manifest["fps"]
    assert described["classifier"]["temperature"] == 2.0
    assert described["classifier"]["encoder_sha256"] == (
        encoder.manifest["files"]["saved_model.pb"]["sha256"]
    )


def test_a_classifier_that_cannot_be_checked_never_appears(
    encoder, fitted, tmp_path, verified_here, monkeypatch
):
    answers = verification.run_isolated

    def wrong(folder, clips):
        assert folder.name.startswith(saved_model.PARTIAL)
        found, about = answers(folder, clips)
        return {name: 1 - array if name.endswith("classify_jpeg/probabilities") else array
                for name, array in found.items()}, about  # fmt: skip

    monkeypatch.setattr(verification, "run_isolated", wrong)
    with pytest.raises(ValueError, match="`classify_jpeg` gives other probabilities"):
        classifier.save(
            tmp_path, encoder, fitted["logistic"], temperature=1.0, limit=0.5,
            about=ABOUT | {"head": "logistic"},
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("temperature", "limit"), [(0.0, 0.5), (1.0, 1.5)])
def test_arguments_out_of_range_are_named(encoder, fitted, tmp_path, temperature, limit):
    with pytest.raises(ValueError, match="`temperature` must be above|`limit` must be from 0"):
        classifier.save(
            tmp_path, encoder, fitted["logistic"], temperature=temperature, limit=limit,
            about=ABOUT | {"head": "logistic"},
        )  # fmt: skip


def test_one_kind_of_export_is_not_taken_for_another(served, exported):
    with pytest.raises(ValueError, match="must be a classifier.* an export of ConvLSTMVAE"):
        classifier.load(exported)
    with pytest.raises(ValueError, match="must be an exported model. Received: .*, a classifier"):
        exports.load(served)


def test_clips_that_do_not_fit_are_named(served):
    loaded = classifier.load(served)
    with pytest.raises(ValueError, match="must be divisible by 8"):
        loaded.classify(np.zeros((1, 8, 20, 48, 1), np.uint8))
    with pytest.raises(ValueError, match="at least 2 frames. Received: 1"):
        loaded.classify(np.zeros((1, 1, 16, 16, 1), np.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError, match="must have at least 2 frames"):
        loaded.signature("serving_default")(clip=tf.zeros((1, 1, 16, 16, 1), tf.uint8))
