"""Weights of another structure are told by a sentence, not by shapes."""

import h5py
import keras
import numpy as np
import pytest

import zoo
from zoo.models import weights_layout
from zoo.models.convlstm_vae import ConvLSTMVAE
from zoo.registry import resolve

SMALL = resolve("convlstm_vae").small


@pytest.fixture
def model():
    return zoo.load("convlstm_vae", weights=None, **SMALL)


@pytest.fixture
def weights(model, tmp_path):
    model.save_weights(tmp_path / "one.weights.h5")
    return tmp_path / "one.weights.h5"


def test_a_file_says_what_it_is_of(weights):
    with h5py.File(weights) as file:
        found = dict(file.attrs)
    assert (found["model"], found["layout"]) == ("ConvLSTMVAE", 1)
    assert found["zoo_version"] == zoo.__version__


def test_an_older_layout_is_named_with_the_version_that_wrote_it(weights, model, monkeypatch):
    monkeypatch.setattr(ConvLSTMVAE, "layout", 2)
    said = (
        r"one.weights.h5 must be of layout 2 of ConvLSTMVAE.* Received: layout 1 written by "
        rf"version {zoo.__version__} of the zoo; train again"
    )
    with pytest.raises(ValueError, match=said):
        zoo.load("convlstm_vae", weights=weights, **SMALL)
    with pytest.raises(ValueError, match=said):
        model.load_weights(weights)


def test_a_newer_layout_asks_for_a_newer_zoo(weights):
    with h5py.File(weights, "a") as file:
        file.attrs["layout"] = 3
    with pytest.raises(ValueError, match="layout 1 of .* Received: layout 3 .* newer version"):
        zoo.load("convlstm_vae", weights=weights, **SMALL)


def test_a_file_that_says_nothing_is_of_the_first_layout(weights, model, monkeypatch):
    with h5py.File(weights, "a") as file:
        for name in list(file.attrs):
            del file.attrs[name]
    other = zoo.load("convlstm_vae", weights=weights, **SMALL)
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])
    monkeypatch.setattr(ConvLSTMVAE, "layout", 2)
    with pytest.raises(ValueError, match="Received: layout 1; train again, or use the version"):
        zoo.load("convlstm_vae", weights=weights, **SMALL)


def test_a_keras_file_of_an_older_layout_is_named(model, tmp_path, monkeypatch):
    model.save(tmp_path / "one.keras")
    monkeypatch.setattr(ConvLSTMVAE, "layout", 2)
    with pytest.raises(ValueError, match="must be of layout 2 of ConvLSTMVAE"):
        keras.models.load_model(tmp_path / "one.keras")


def test_weights_of_another_model_are_named(weights):
    with pytest.raises(ValueError, match="do not fit ConvLSTMPredictor: they are of ConvLSTMVAE"):
        zoo.load("convlstm_predictor", weights=weights, filters=(8, 6))


def test_weights_of_a_class_fit_what_is_made_from_it(weights, model):
    class Mine(ConvLSTMVAE):
        pass

    mine = Mine(**{**resolve("convlstm_vae").arguments, **SMALL})
    mine.ensure_built()
    mine.load_weights(weights)
    np.testing.assert_array_equal(mine.get_weights()[0], model.get_weights()[0])


def test_a_file_that_keras_did_not_write_is_left_alone(weights, model, monkeypatch):
    before = weights.read_bytes()
    monkeypatch.setattr("builtins.input", lambda *_: "n")
    monkeypatch.setattr(ConvLSTMVAE, "layout", 2)
    model.save_weights(weights, overwrite=False)
    assert weights.read_bytes() == before


def test_a_file_written_over_another_at_once_says_what_it_is_of(weights, model, monkeypatch):
    # A disk whose clock ticks slowly.
    monkeypatch.setattr("zoo.models.base.modified", lambda path: 7 if path.is_file() else None)
    monkeypatch.setattr(ConvLSTMVAE, "layout", 2)
    model.save_weights(weights)
    with h5py.File(weights) as file:
        assert file.attrs["layout"] == 2


def test_shards_beside_an_older_file_leave_it_alone(weights, model):
    before = weights.read_bytes()
    with pytest.warns(UserWarning, match="renamed to .*one.weights.json"):
        model.save_weights(weights, max_shard_size=0.001)
    assert weights.read_bytes() == before


def test_shards_are_written_as_keras_writes_them(model, tmp_path):
    with pytest.warns(UserWarning, match="renamed to .*one.weights.json"):
        model.save_weights(tmp_path / "one.weights.h5", max_shard_size=0.001)
    assert not (tmp_path / "one.weights.h5").exists()
    assert list(tmp_path.glob("one*.h5"))
    model.load_weights(tmp_path / "one.weights.json")


def test_a_file_is_checked_once(weights, monkeypatch):
    checked = []
    monkeypatch.setattr(weights_layout, "check_layout", lambda *given: checked.append(given[2]))
    zoo.load("convlstm_vae", weights=weights, **SMALL)
    assert checked == [weights]
