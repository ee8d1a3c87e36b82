import json

import pytest
from typer.testing import CliRunner

import zoo
from zoo.commands.app import app


def run(*arguments):
    return CliRunner().invoke(app, arguments)


def test_list_has_a_row_per_preset_that_says_whether_it_is_trained():
    result = run("list")
    assert result.exit_code == 0
    header, *rows = result.stdout.splitlines()
    assert header.split()[:4] == ["NAME", "WEIGHTS", "CLIP", "FPS"]
    assert [row.split()[0] for row in rows] == zoo.names()
    for row in rows:
        entry = zoo.info(row.split()[0])
        assert row.split()[1] == ("trained" if entry["trained"] else "none")
        assert row.split()[2] == "x".join(str(n) for n in entry["clip_shape"])
        assert row.endswith(entry["description"])


def test_list_json_is_one_object_and_nothing_else():
    result = run("list", "--json")
    assert result.exit_code == 0
    presets = json.loads(result.stdout)["presets"]
    assert [preset["name"] for preset in presets] == zoo.names()
    assert presets[0]["clip_shape"] == list(zoo.info(zoo.names()[0])["clip_shape"])


def test_info_shows_the_card_of_the_default_of_a_model():
    result = run("info", "convlstm_vae")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "name: convlstm_vae/ucsd_ped2"
    assert "model: ConvLSTMVAE" in lines
    assert "  fps: 10.0" in lines  # of the arguments


@pytest.mark.parametrize(
    ("trained", "card", "said"),
    [
        (False, None, "weights: none yet: zoo.load needs weights=None"),
        (True, {"figures": {"auc_live": 0.9}}, "weights: trained"),
    ],
)
def test_info_says_whether_there_are_trained_weights(monkeypatch, trained, card, said):
    entry = {**zoo.info("convlstm_vae"), "trained": trained, "card": card}
    monkeypatch.setattr(zoo, "info", lambda name: dict(entry))
    lines = run("info", "convlstm_vae").stdout.splitlines()
    assert said in lines
    assert ("    auc_live: 0.9" in lines) == trained


def test_info_json_is_one_object_with_the_keys_of_zoo_info():
    result = run("info", "convlstm_vae", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout).keys() == zoo.info("convlstm_vae").keys()


def test_an_unknown_preset_offers_near_names_and_exits_with_2():
    result = run("info", "convlstm_vea", "--json")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Did you mean convlstm_vae" in result.stderr
    assert len(result.stderr.splitlines()) == 1
