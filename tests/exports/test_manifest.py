import hashlib
import json
import shutil

import pytest

import zoo
from exports import manifest
from zoo.models.weights_digest import weights_digest


@pytest.fixture
def copy(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "1")


def test_it_says_what_the_model_needs(exported, model):
    content = manifest.read(exported)
    assert content["model"]["class"] == "ConvLSTMVAE"
    assert content["clip_shape"] == [12, 32, 48, 1] and content["channels"] == 1
    assert (content["stride"], content["fps"]) == (8, 10)
    assert content["min_frames"] == model.min_frames and content["warm_up"] == model.warm_up
    assert content["rollout_steps"] == 3 and content["dtype"] == "float32"
    assert content["embedding_dim"] == model.embedding_dim
    assert content["packages"]["tensorflow"].startswith("2.")
    assert content["weights_sha256"] == weights_digest(model)


def test_the_arguments_build_the_model_again(exported, model):
    content = manifest.read(exported)["model"]
    again = getattr(zoo, content["class"]).from_config(content["arguments"])
    assert json.dumps(again.get_config()) == json.dumps(model.get_config())


def test_sizes_and_hashes_are_those_of_the_files(exported):
    files = manifest.read(exported)["files"]
    assert "saved_model.pb" in files and "variables/variables.index" in files
    for name, expected in files.items():
        content = (exported / name).read_bytes()
        assert expected == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert manifest.check_files(exported) == len(files)


def test_a_changed_file_is_named(copy):
    with open(copy / "variables" / "variables.index", "r+b") as file:
        file.write(b"\xff")
    with pytest.raises(ValueError, match="unlike its manifest's: variables/variables.index"):
        manifest.check_files(copy)


def test_a_missing_file_is_named(copy):
    (copy / "saved_model.pb").unlink()
    with pytest.raises(ValueError, match="lacks files that its manifest names: saved_model.pb"):
        manifest.check_files(copy)


def test_a_file_too_many_is_named(copy):
    (copy / "extra.bin").write_bytes(b"")
    with pytest.raises(ValueError, match="holds files that its manifest lacks: extra.bin"):
        manifest.check_files(copy)


def test_a_folder_without_a_manifest_is_no_export(tmp_path):
    with pytest.raises(ValueError, match="must be an export with assets.extra/manifest.json"):
        manifest.read(tmp_path)
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / manifest.NAME).write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        manifest.read(tmp_path)


@pytest.mark.parametrize("layout", [2, None])
def test_an_export_of_another_version_of_the_project_is_named(copy, layout):
    content = json.loads((copy / manifest.NAME).read_text())
    content["format"] = layout
    (copy / manifest.NAME).write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"of the layout 1, .* Received: the layout {layout}"):
        manifest.read(copy)
