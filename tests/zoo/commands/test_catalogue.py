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


def test_info_shows_what_a_trained_model_is_and_reached_on_a_page():
    result = run("info", "convlstm_vae")
    assert result.exit_code == 0
    text, entry = result.stdout, zoo.info("convlstm_vae")
    lines, card = text.splitlines(), entry["card"]
    # The page of a printer, with four evaluations.
    assert len(lines) < 55 and max(map(len, lines)) <= 100
    assert lines[0] == "convlstm_vae/ucsd_ped2"
    words = " ".join(text.split())
    for fact in (
        entry["description"], "16 x 128 x 192 x 1", "10 frames per second", "766,408 parameters",
        ", ".join(entry["verbs"]), card["training"]["command"],
        card["data"]["name"], card["data"]["terms"], card["not_for"][0],
    ):  # fmt: skip
        assert fact in words
    figures = card["evaluation"]
    rows = {"convlstm_vae": figures, **figures["baselines"]}
    first = lines.index(next(line for line in lines if line.startswith("anomaly ")))
    anomaly = lines[first : lines.index("", first)]
    for name, row in rows.items():
        starts = (name.replace("_", " ") + "  ", name + "  ")
        (line,) = [line for line in anomaly if line.strip().startswith(starts)]
        numbers = [f"{row[key]:.3f}" for key in list(figures["baselines"]["mean_frame"])]
        assert line.split()[-len(numbers) :] == numbers and len(numbers) >= 4


@pytest.mark.parametrize("name", zoo.names())
def test_info_of_any_preset_fits_on_a_page_and_says_how_to_train_it(name):
    lines = run("info", name).stdout.splitlines()
    assert 8 < len(lines) < 55
    assert any("zoo train " in line for line in lines)
    assert lines[-1] == f"All of it: zoo info {name} --json"
    (weights,) = [line for line in lines if line.startswith("weights ")]
    assert ("none yet" in weights) == (not zoo.info(name)["trained"])


@pytest.mark.parametrize(
    "card", [{}, {"evaluation": {"auc_live": 0.912}}, {"data": None, "training": {"minutes": 3}}]
)
def test_info_takes_a_card_that_lacks_much(monkeypatch, card):
    entry = {**zoo.info("convlstm_vae"), "trained": True, "card": card}
    monkeypatch.setattr(zoo, "info", lambda name: dict(entry))
    result = run("info", "convlstm_vae")
    assert result.exit_code == 0, result.output
    assert ("0.912" in result.stdout) == ("evaluation" in card)


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
