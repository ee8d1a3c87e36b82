"""One card for several evaluations: what is kept, what is replaced and what is refused."""

import json
import shutil

import cv2
import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import data_pipelines
import zoo
from data_pipelines import Source
from zoo import registry
from zoo.commands import card_setup
from zoo.commands.app import app
from zoo.evaluation import card


@pytest.fixture(scope="module")
def model(run_folder):
    return zoo.load(run_folder)


@pytest.fixture
def own_run(run_folder, tmp_path):
    """A run folder that may be written to."""
    return shutil.copytree(run_folder, tmp_path / "own")


@pytest.fixture(autouse=True)
def _no_counting(monkeypatch):
    # A second for each card, and tested where it is defined.
    monkeypatch.setattr(card, "multiply_adds_per_frame", lambda *_: 1)


def write(path, name, model, figures, section=None, **arguments):
    source = Source("ucsd", "/elsewhere/corner", [])
    card_setup.write_card(
        path, name, model, source, figures, f"zoo evaluate {section}", section=section, **arguments
    )
    return json.loads(path.read_text())


def test_a_card_holds_several_evaluations_in_any_order(model, run_folder, tmp_path):
    path = tmp_path / "card.json"
    first = write(path, run_folder, model, {"mse": 0.5}, "prediction")
    assert list(first["evaluation"]) == ["prediction"]
    assert first["training"]["minutes"] == 2.5 and first["name"] == "convlstm_vae/ucsd_ped2"
    second = write(path, run_folder, model, {"auc_live": 0.8, "videos": []})
    assert second["evaluation"]["auc_live"] == 0.8
    assert second["evaluation"]["prediction"] == first["evaluation"]["prediction"]
    third = write(path, run_folder, model, {"accuracy": 0.7}, "representation")
    fourth = write(path, run_folder, model, {"mse": 0.4}, "prediction")
    again = write(path, run_folder, model, {"auc_live": 0.9})
    # Replaced as a whole: nothing of the first anomaly evaluation is left.
    assert again["evaluation"]["auc_live"] == 0.9 and "videos" not in again["evaluation"]
    assert again["evaluation"]["prediction"] == fourth["evaluation"]["prediction"]
    assert again["evaluation"]["prediction"]["mse"] == 0.4
    assert again["evaluation"]["representation"] == third["evaluation"]["representation"]
    assert third["evaluation"]["representation"]["command"] == "zoo evaluate representation"
    assert third["evaluation"]["representation"]["machine"]["cores"] >= 1


def test_a_card_tells_of_the_run_that_a_training_began_with(model, own_run, tmp_path):
    record = json.loads((own_run / "run.json").read_text())
    first = tmp_path / "first"
    first.mkdir()
    earlier = {**record, "command": "zoo train convlstm_vae --out /disk/first", "seed": 7}
    (first / "run.json").write_text(json.dumps(earlier))
    record["arguments"]["init"] = str(first)
    (own_run / "run.json").write_text(json.dumps(record))
    training = write(tmp_path / "card.json", own_run, model, {"mse": 0.5}, "prediction")["training"]
    assert training["started_from"]["command"] == "zoo train convlstm_vae --out first"
    assert training["started_from"]["seed"] == 7 and training["seed"] == record["seed"]
    assert training["started_from"]["minutes"] == 2.5
    assert "started_from" not in training["started_from"]
    record["arguments"]["init"] = "convlstm_vae"
    assert card_setup.started_from(record) == {}


def test_figures_of_other_weights_are_not_kept(model, own_run, tmp_path, caplog):
    path = tmp_path / "card.json"
    write(path, own_run, model, {"mse": 0.5}, "prediction")
    write(path, own_run, model, {"auc_live": 0.8})
    keras.utils.set_random_seed(3)
    other = type(model).from_config(model.get_config())
    other.ensure_built()
    other.save_weights(own_run / "model.weights.h5")
    third = write(path, own_run, other, {"accuracy": 0.7}, "representation")
    assert list(third["evaluation"]) == ["representation"]
    assert "held other weights: anomaly, prediction is left out" in caplog.text


def test_a_card_that_is_there_needs_no_run_folder(tmp_path):
    """The one that comes with the zoo, whose run folder nobody has."""
    shipped = registry.card_path(registry.resolve("convlstm_vae"))
    path = tmp_path / "card.json"
    shutil.copy(shipped, path)
    before = json.loads(path.read_text())
    before["evaluation"].pop("prediction", None)
    after = write(path, "convlstm_vae", None, {"mse": 0.5}, "prediction")
    assert after["evaluation"].pop("prediction")["mse"] == 0.5
    assert after == before


def test_a_new_card_needs_to_know_the_training(model, own_run, tmp_path):
    path = tmp_path / "card.json"
    message = "`card` needs the run folder that the weights come from"
    with pytest.raises(ValueError, match=message):
        write(path, "convlstm_vae", None, {}, "prediction")
    # A card of other weights tells nothing of these.
    path.write_text(json.dumps({"weights": {"sha256": "0"}, "evaluation": {}}))
    with pytest.raises(ValueError, match=message):
        write(path, "convlstm_vae", None, {}, "prediction")
    record = json.loads((own_run / "run.json").read_text())
    (own_run / "run.json").write_text(json.dumps({**record, "status": "interrupted"}))
    with pytest.raises(ValueError, match="needs a finished run.* status interrupted"):
        write(tmp_path / "new.json", own_run, model, {})
    assert not (tmp_path / "new.json").exists()


def test_a_run_that_the_weights_are_not_of_is_refused(model, own_run, tmp_path):
    path = tmp_path / "card.json"
    with pytest.raises(ValueError, match="`run` must hold the weights of convlstm_vae/ucsd_ped2"):
        write(path, "convlstm_vae", model, {}, run=own_run)
    with pytest.raises(ValueError, match="`run` must be of convlstm_predictor/ucsd_ped2. .*vae"):
        write(path, "convlstm_predictor", model, {}, run=own_run)
    assert not path.exists()
    shipped = registry.weights_path(registry.resolve("convlstm_vae"))
    shutil.copy(shipped, own_run / "model.weights.h5")
    assert write(path, "convlstm_vae", model, {}, run=own_run)["name"] == "convlstm_vae/ucsd_ped2"


def test_the_data_facts_are_those_of_the_training(model, own_run, tmp_path):
    """Evaluated on UCSD, trained on Weizmann: the card says what was trained on."""
    record = json.loads((own_run / "run.json").read_text())
    record |= {"arguments": {"data": "/disk/actions"}, "data_kind": "weizmann"}
    (own_run / "run.json").write_text(json.dumps(record))
    written = write(tmp_path / "card.json", own_run, model, {"mse": 0.1}, "prediction")
    assert written["data"] == card_setup.DATA_FACTS["weizmann"]


def test_a_run_that_does_not_say_its_layout_is_told_by_the_footage(tmp_path):
    corner = {"arguments": {"data": "/disk/corner"}}
    source = Source("ucsd", tmp_path / "corner", [])
    assert card_setup.training_data(corner, source) == card_setup.DATA_FACTS["ucsd"]
    other = Source("weizmann", tmp_path / "actions", [])
    unknown = {"name": "corner", "terms": "not stated", "reference": None}
    assert card_setup.training_data(corner, other) == unknown
    assert card_setup.training_data({}, None)["terms"] == "not stated"


@pytest.mark.parametrize(
    ("folder", "size", "scene"),
    [
        ("ucsd_ped1", (240, 360), ", Ped1"),  # resized: what the folder says counts
        ("UCSDped2", (128, 192), ", Ped2"),
        ("corner", (158, 238), ", Ped1"),
        ("corner", (240, 360), ", Ped2"),
        ("corner", (120, 180), ""),
        ("ped1_and_ped2", (240, 360), ""),
    ],
)
def test_the_scenes_of_ucsd_are_told_apart_where_that_can_be(tmp_path, folder, size, scene):
    frames = tmp_path / folder / "training" / "frames" / "01"
    frames.mkdir(parents=True)
    cv2.imwrite(str(frames / "000.jpg"), np.zeros(size, np.uint8))
    record = {"arguments": {"data": str(tmp_path / folder)}, "data_kind": "ucsd"}
    elsewhere = Source("ucsd", tmp_path / "elsewhere", [])
    # By the footage that is evaluated on, where it is the same, or by what the run names.
    for source in (data_pipelines.open_source(tmp_path / folder), elsewhere, None):
        facts = card_setup.training_data(record, source)
        assert facts["name"] == f"UCSD anomaly detection dataset{scene}"
        assert facts["reference"].startswith("Mahadevan")


def test_info_shows_every_evaluation(model, run_folder, tmp_path, monkeypatch):
    path = tmp_path / "convlstm_vae.ucsd_ped2.card.json"
    write(path, run_folder, model, {"auc_live": 0.8125})
    write(path, run_folder, model, {"mse": 0.015625, "per_step": {"mse": [1.5, 2.5]}}, "prediction")
    told = {"accuracy": 0.75, "encode": {}, "embedding_dim": 8,
            "baselines": {"motion_energy": {"accuracy": 0.5, "linear_probe": {}}}}  # fmt: skip
    write(path, run_folder, model, told, "representation")
    monkeypatch.setattr(registry, "WEIGHTS_FOLDER", tmp_path)
    done = CliRunner().invoke(app, ["info", "convlstm_vae"])
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    anomaly, prediction, representation = (
        next(number for number, line in enumerate(lines) if line.split()[:1] == [name])
        for name in ("anomaly", "prediction", "representation")
    )
    assert lines[anomaly].split() == ["anomaly", "auc", "live"]
    assert lines[anomaly + 1].split() == ["convlstm_vae/ucsd_ped2", "0.812"]
    assert anomaly < prediction and lines[prediction + 1].split()[-1] == "0.016"
    assert lines[representation].split() == ["representation", "accuracy"]
    assert lines[representation + 1].split()[-1] == "0.750"
    assert lines[representation + 2].split() == ["motion", "energy", "0.500"]


def test_the_training_on_the_same_footage_is_found(tmp_path, monkeypatch):
    run, actions = tmp_path / "run", Source("weizmann", tmp_path / "actions", [])
    run.mkdir()

    def found(source, **record):
        (run / "run.json").write_text(json.dumps(record))
        return card_setup.training_on(run, source).get("train_videos")

    known = {"arguments": {"data": "/disk/copy"}, "train_videos": ["walk/ann"]}
    assert found(actions, **known, data_kind="weizmann") == ["walk/ann"]
    assert found(actions, **known, data_kind="ucsd") is None
    assert found(actions, **known) is None
    # Made-up scenes differ from one another, so that the place must be the same.
    street = Source("synthetic_cctv", tmp_path / "street", [])
    assert found(street, **known, data_kind="synthetic_cctv") is None
    known["arguments"] = {"data": str(street.path)}
    assert found(street, **known, data_kind="synthetic_cctv") == ["walk/ann"]

    card = {"data": {"name": "UCSD anomaly detection dataset, Ped2"}, "training": known}
    (tmp_path / "convlstm_vae.ucsd_ped2.card.json").write_text(json.dumps(card))
    monkeypatch.setattr(registry, "WEIGHTS_FOLDER", tmp_path)
    named = {scene: Source("ucsd", tmp_path / scene, []) for scene in ("ped1", "ped2")}
    assert card_setup.training_on("convlstm_vae", named["ped2"]) == known
    assert card_setup.training_on("convlstm_vae", named["ped1"]) == {}
    assert card_setup.training_on("pca", named["ped2"]) == {}
    assert card_setup.training_on("neither", named["ped2"]) == {}


@pytest.mark.parametrize("name", ["config.json", "run.json", "selection.json", "card.json"])
def test_a_damaged_file_is_named(model, own_run, name):
    write(own_run / "card.json", own_run, model, {"mse": 0.1}, "prediction")
    (own_run / name).write_text("{")
    with pytest.raises(ValueError, match=f"{name} is damaged"):
        write(own_run / "card.json", own_run, model, {"mse": 0.1}, "prediction")
    (own_run / name).write_text("[]")
    with pytest.raises(ValueError, match=f"{name} must hold a JSON object"):
        write(own_run / "card.json", own_run, model, {"mse": 0.1}, "prediction")
