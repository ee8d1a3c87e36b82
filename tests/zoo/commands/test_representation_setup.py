"""Wiring of an evaluation of the representation: what a row is, and what is measured of it."""

import json
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from data_pipelines import Source, Video
from zoo.commands import representation_setup
from zoo.layers import descriptor_statistics


class Clip(Video):
    """A square that goes right ("move") or fades in place ("still"), over a grey of each person."""

    def __init__(self, person, label, frames=10, size=(24, 32)):
        super().__init__(f"{label}/{person}", label=label, group=person, num_frames=frames)
        shade = 40 + 20 * sum(person.encode()) % 60
        self.pixels = np.full((frames, *size, 1), shade, np.uint8)
        for number, frame in enumerate(self.pixels):
            left = 2 * number if label == "move" else 12
            frame[8:16, left : left + 8] = 200 if label == "move" else 150 + 5 * number

    def frames(self, start=0):
        yield from self.pixels[start:]


@pytest.fixture(scope="module")
def model():
    # Not the seed of any fresh weights below, whatever ran before in this process.
    keras.utils.set_random_seed(7)
    return zoo.load(
        "convlstm_vae", weights=None, filters=(4, 4, 8), state_filters=(4, 4),
        decoder_filters=(4, 4, 4), clip_shape=(9, 24, 32, 1),
    )  # fmt: skip


@pytest.fixture
def source():
    clips = [Clip(p, label, 8 + len(p)) for p in ("ann", "bo", "cecil") for label in
             ("move", "still")]  # fmt: skip
    return Source("labelled_folders", "/disk/clips", clips)


class Sketch:
    """Stands in for a model whose features are not what its embedding is pooled from."""

    verbs, channels, stride, min_frames = ("encode", "features"), 1, 8, 3

    def encode(self, clip):
        return tf.reduce_mean(clip, axis=[1, 2, 3])

    def features(self, clip):
        return clip[:, :, ::8, ::8]


def test_a_row_is_encode_of_the_whole_clip_and_pooled_features_are_the_same(model, source):
    rows = representation_setup.describe(source.videos, {"model": model}, {})
    assert set(rows["model"]) == {"encode"}
    for row, video in zip(rows["model"]["encode"], source.videos, strict=True):
        clip = video.pixels[None].astype(np.float32) / 255
        np.testing.assert_allclose(row, model.encode(clip)[0], rtol=1e-3, atol=1e-5)
        pooled = descriptor_statistics(model.features(clip))[0]
        np.testing.assert_allclose(row, pooled, rtol=1e-3, atol=1e-5)


def test_features_that_say_something_else_have_rows_of_their_own(source):
    mean = {"mean": lambda clips: np.stack([clip.mean() for clip in clips])[:, None]}
    rows = representation_setup.describe(source.videos, {"model": Sketch()}, mean)
    pixels = [video.pixels.astype(np.float32) / 255 for video in source.videos]
    means = np.array([clip.mean() for clip in pixels])[:, None]
    np.testing.assert_allclose(rows["model"]["encode"], means, rtol=1e-4)
    np.testing.assert_allclose(rows["mean"] / 255, means, rtol=1e-4)
    grids = [descriptor_statistics(clip[None, :, ::8, ::8])[0] for clip in pixels]
    np.testing.assert_allclose(rows["model"]["features"], np.stack(grids), rtol=1e-4, atol=1e-6)


def test_features_of_one_moment_have_neither_spread_nor_change():
    grid = np.random.default_rng(0).normal(size=(1, 1, 2, 3, 4)).astype(np.float32)
    pooled = representation_setup.pool_features(tf.constant(grid))
    expected = [grid.mean(axis=(0, 1, 2, 3)), grid.max(axis=(0, 1, 2, 3))]
    np.testing.assert_allclose(pooled, np.concatenate(expected), rtol=1e-5)
    assert representation_setup.pool_features(tf.repeat(grid, 2, axis=1)).shape == (16,)


def test_a_long_clip_is_the_mean_of_its_parts_weighed_by_their_frames(monkeypatch):
    monkeypatch.setattr(representation_setup, "MOST_FRAMES", 4)
    lengths = {
        frames: [len(part) for part in representation_setup._parts(np.zeros(frames), 3)]
        for frames in (3, 4, 6, 7, 8, 9)
    }
    assert lengths == {3: [3], 4: [4], 6: [6], 7: [4, 3], 8: [4, 4], 9: [4, 5]}
    video = Clip("ann", "still", frames=11)
    rows = representation_setup.describe([video], {"model": Sketch()}, {})
    assert rows["model"]["encode"][0, 0] == pytest.approx(video.pixels.mean() / 255, rel=1e-5)


def test_a_clip_that_is_too_short_is_named(source):
    source.videos[1].pixels = source.videos[1].pixels[:2]
    with pytest.raises(ValueError, match="still/ann: `clip` must have at least 3 frames. .*: 2"):
        representation_setup.describe(source.videos, {"model": Sketch()}, {})


def test_fresh_weights_are_those_of_the_seed(model):
    first, again, other = (representation_setup.fresh(model, seed) for seed in (0, 0, 1))
    clip = np.random.default_rng(0).random((1, 6, 24, 32, 1), np.float32)
    vectors = [np.asarray(one.encode(clip)) for one in (first, again, other, model)]
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert np.abs(vectors[0] - vectors[2]).max() > 1e-3
    assert np.abs(vectors[0] - vectors[3]).max() > 1e-3


def test_model_and_baselines_are_measured_alike(model, source, monkeypatch):
    known = {}
    figures = representation_setup.evaluate_model(model, source, known=known)
    assert (figures["clips"], figures["groups"], figures["split"]) == (6, 3, "leave one group out")
    assert figures["features"] == figures["encode"]
    assert figures["notes"] == ["Pooled `features` are the same numbers as `encode`."]
    baselines = figures["baselines"]
    assert set(baselines) == {"random_weights", "pixel_pca", "motion_energy"}
    for found in (figures["encode"], baselines["random_weights"]["encode"],
                  baselines["pixel_pca"], baselines["motion_energy"]):  # fmt: skip
        for probe in ("linear_probe", "nearest_neighbours"):
            # Of two classes and three people: two clips of a class are left, and two people.
            assert set(found[probe]["few_labels"]) == {"1", "2"}
            assert set(found[probe]["few_people"]) == {"1", "2"}
            assert found[probe]["few_people"]["1"]["draws"] == 3
    for found in (figures, baselines["random_weights"]):
        probe = found["encode"]["linear_probe"]
        assert found["accuracy"] == probe["accuracy"]
        assert found["accuracy_2_people"] == probe["few_people"]["2"]["accuracy"]
    assert "accuracy_1_people" in baselines["pixel_pca"]
    assert len(baselines["random_weights"]["encode"]["linear_probe"]["accuracies"]) == 3
    # A square that moves and one that does not differ in where anything changes.
    assert baselines["motion_energy"]["linear_probe"]["accuracy"] == 1.0

    def refuse(*_):
        raise AssertionError("measured again")

    for name in ("pixel_rows", "motion_energy", "pixel_pca"):
        monkeypatch.setattr(representation_setup.comparison, name, refuse)
    monkeypatch.setattr(representation_setup, "fresh", refuse)
    again = representation_setup.evaluate_model(model, source, known=known)
    assert again["baselines"] == baselines and again["encode"] == figures["encode"]
    alone = representation_setup.evaluate_model(model, source, with_baselines=False)
    assert "baselines" not in alone and alone["encode"] == figures["encode"]


def test_what_cannot_be_split_is_said_before_anything_is_read(model, source, monkeypatch):
    def refuse(*_):
        raise AssertionError("a clip was read")

    monkeypatch.setattr(representation_setup, "describe", refuse)
    with pytest.raises(ValueError, match="`groups` must name at least 2 groups"):
        representation_setup.evaluate_model(model, source.subset(source.videos[:2]))


def test_an_encoder_that_was_trained_with_the_classes_is_noted(source, tmp_path):
    record = {
        "arguments": {"data": source.path}, "train_videos": ["move/ann", "still/bo", "still/eve"],
    }  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps(record))
    trained = types.SimpleNamespace(labels=("move", "still"), found_on=(), embedding_dim=4)

    def notes(model, footage, name=tmp_path):
        return representation_setup.result({"notes": []}, model, footage, name)["notes"]

    (note,) = notes(trained, source)
    assert "trained with the classes of these videos, on 2 of the 6" in note
    elsewhere = Source("labelled_folders", "/disk/others", source.videos)
    without = types.SimpleNamespace(labels=(), found_on=(), embedding_dim=4)
    assert notes(trained, elsewhere) == notes(without, elsewhere) == []
    (note,) = notes(without, source)
    assert "trained without classes on these videos, on 2 of the 6: an encoder that has" in note
    assert notes(trained, source, "convlstm_vae") == []
    tried = types.SimpleNamespace(labels=(), found_on=("labelled_folders",), embedding_dim=4)
    assert "found by trial on this footage" in notes(tried, source)[-1]
