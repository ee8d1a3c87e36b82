"""Names to models: what loads, what does not, and what is said."""

import json

import numpy as np
import pytest

import zoo
from zoo import registry
from zoo.commands.card_setup import DATA_FACTS
from zoo.evaluation.card import file_facts

SMALL = zoo.registry.resolve("convlstm_vae").small


def test_the_short_name_is_the_default():
    assert registry.resolve("convlstm_vae") is registry.resolve("convlstm_vae/ucsd_ped2")


SURVEILLANCE = ("ucsd",)  # kinds of footage in which what is not normal is to be found


def data_kind(card):
    """The kind of footage trained on, of which every card has the name; None of other footage."""
    for kind, facts in DATA_FACTS.items():
        if card["data"]["name"].startswith(facts["name"]):
            return kind
    return None


def beats(figures, measures, signs):
    """Better than each of its baselines by every measure; that there are any is asked for too."""
    assert figures["baselines"]
    return all(
        sign * figures[measure] > sign * baseline[measure]
        for baseline in figures["baselines"].values()
        for measure, sign in zip(measures, signs, strict=True)
    )


@pytest.mark.parametrize("name", zoo.names())
def test_what_is_said_to_be_trained_has_weights_and_a_card(name):
    info, path = zoo.info(name), registry.weights_path(registry.resolve(name))
    json.dumps(info)
    if info["trained"]:
        evaluation = info["card"]["evaluation"]
        # Better than what needs no learning: by AUC over its own window, by squared error.
        if "score" in info["verbs"] and data_kind(info["card"]) in SURVEILLANCE:
            assert "copy_last_frame" in evaluation["baselines"]
            assert beats(evaluation, ["auc_live"], [1])
        if "detection" in evaluation:
            found = evaluation["detection"]
            assert "copy_last_frame" in found["baselines"]
            assert beats(found, ["pixel_auc", "rbdc", "tbdc"], [1, 1, 1])
        if "rollout" in info["verbs"]:
            assert beats(evaluation["prediction"], ["psnr", "mse"], [1, -1])
            # Never on what was trained on.
            assert evaluation["prediction"]["split"] in ("test", "held_out")
        if "latents" in evaluation:
            assert evaluation["latents"]["active_share"] >= 0.5
            assert evaluation["latents"]["smallest_to_free_bits"] >= 0.9
        if "generation" in evaluation:
            assert all(evaluation["generation"]["passes"].values())
        if "sharpness" in evaluation:
            assert all(claim["holds"] for claim in evaluation["sharpness"]["claim"].values())
        if "reconstruction" in evaluation:
            drawn = evaluation["reconstruction"]
            assert drawn["pca_mse"]
            assert drawn["mse"] < min(drawn["mean_frame_mse"], *drawn["pca_mse"].values())
        assert info["card"]["weights"]["sha256"] == file_facts(path)["sha256"]
        assert zoo.load(name).built
    else:
        with pytest.raises(ValueError, match="has no trained weights. Train it .* weights=None"):
            zoo.load(name)


def test_what_is_abnormal_on_ped2_is_localised_better_than_by_the_last_frame():
    # Of every card that has it the test above asks it; this one must have it.
    assert "detection" in zoo.info("convlstm_vae")["card"]["evaluation"]


def test_our_own_model_is_above_the_flagship_for_equal_minutes():
    """Mean of three seeds: live on Ped2, and actions on Weizmann by many labels and by few."""
    found = zoo.info("foresight")["card"]["evaluation"]["seeds"]
    own, flagship = ({row["name"]: row for row in found["rows"]}[name]
                     for name in ("foresight", "convlstm_vae"))  # fmt: skip
    assert own["seeds"] == flagship["seeds"] == 3 and own["parameters"] <= flagship["parameters"]
    assert own["auc_live"]["mean"] > flagship["auc_live"]["mean"]
    for figure in ("accuracy", "accuracy_1_people", "accuracy_2_people"):
        mean = own[f"encode_{figure}"]["mean"]
        assert mean > flagship[f"encode_{figure}"]["mean"]
        assert mean > own["random_weights"]["encode"][figure]


def test_near_names_are_offered():
    with pytest.raises(ValueError, match="Did you mean convlstm_vae"):
        zoo.load("convlstm_va")
    with pytest.raises(ValueError, match="must be a preset: .*convlstm_predictor"):
        zoo.load("nothing like it")


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(ValueError, match="in which there is no config.json"):
        zoo.load(str(tmp_path))
    with pytest.raises(ValueError, match="Received: runs/mien, which is not there"):
        zoo.load("runs/mien")


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"filter": (4, 4, 4)}, "`filter` is no argument of ConvLSTMVAE; did you mean `filters`"),
        ({"latent_dim": "8"}, "`latent_dim` must be of type int, such as 8. Received: .*'8'"),
        ({"score_horizon": 9}, "`score_horizon` must be from 1 to horizons=4"),
        ({"posterior_share": 0}, "`posterior_share` must be above 0"),
        ({"seed": 2**31}, "`seed` must be a whole number from 0 to 2147483647"),
        ({"score_pooling": "median"}, "must be 'max' or 'mean'"),
        ({"horizons": True}, "`horizons` must be of type int"),
        ({"latent_dim": None}, "`latent_dim` must be of type int, such as 8. Received: .*None"),
        ({"clip_shape": (16, 100, 144, 1)}, "height of `clip_shape` must be a multiple of 8"),
        ({"score_window": 12}, "must be a multiple of 8 pixels"),
    ],
)
def test_bad_overrides_are_named(overrides, message):
    with pytest.raises(ValueError, match=message):
        zoo.load("convlstm_vae", weights=None, **overrides)


@pytest.mark.parametrize("value", ["false", 0, 0.5, None])
def test_a_switch_takes_nothing_but_true_and_false(value):
    with pytest.raises(ValueError, match=f"`mirrored` must be of type bool, .*mirrored={value!r}"):
        zoo.load("foresight", weights=None, mirrored=value)


def test_a_run_folder_loads_with_its_own_arguments(tmp_path):
    model = zoo.load("convlstm_vae", weights=None, **SMALL)
    model.save_weights(tmp_path / registry.RUN_WEIGHTS)
    config = {"preset": "convlstm_vae/ucsd_ped2", "overrides": SMALL}
    (tmp_path / registry.RUN_CONFIG).write_text(json.dumps(config))
    again = registry.load_run(tmp_path)
    for old, new in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    # The folder is also what `weights` may be.
    other = zoo.load("convlstm_vae", weights=tmp_path, **SMALL)
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


def test_weights_of_another_shape_are_told(tmp_path):
    path = tmp_path / "small.weights.h5"
    zoo.load("convlstm_vae", weights=None, **SMALL).save_weights(path)
    with pytest.raises(ValueError, match="do not fit ConvLSTMVAE as it is set up"):
        zoo.load("convlstm_vae", weights=path, **{**SMALL, "latent_dim": 5})
    with pytest.raises(ValueError, match="do not fit ConvLSTMPredictor"):
        zoo.load("convlstm_predictor", weights=path, filters=(8, 6))
    with pytest.raises(FileNotFoundError, match="`weights` must be"):
        zoo.load("convlstm_vae", weights=tmp_path / "missing.h5")


def test_a_file_that_is_no_weights_is_told(tmp_path):
    path = tmp_path / "cut.weights.h5"
    path.write_bytes(b"not an hdf5 file")
    with pytest.raises(ValueError, match="do not fit ConvLSTMVAE"):
        zoo.load("convlstm_vae", weights=path, **SMALL)


def test_with_scoring_changes_the_score_and_not_the_weights():
    model = zoo.load("convlstm_vae", weights=None, **SMALL, score_horizon=4)
    other = registry.with_scoring(model, score_horizon=2, score_pooling="mean")
    assert (other.score_horizon, other.warm_up, model.score_horizon) == (2, 5, 4)
    clip = np.random.default_rng(0).uniform(size=(1, 10, 16, 24, 1)).astype("float32")
    np.testing.assert_allclose(other.encode(clip), model.encode(clip), rtol=1e-6)
    assert float(other.score(clip)[0, 5]) > 0 == float(model.score(clip)[0, 5])


@pytest.mark.parametrize("name", ["config.json", "run.json"])
def test_a_damaged_file_of_a_run_is_named(tmp_path, name):
    config = {"preset": "pca/ucsd_ped2", "overrides": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / name).write_text("{")
    with pytest.raises(ValueError, match=f"{name} is damaged"):
        registry.load(str(tmp_path), weights=None)


def test_a_damaged_card_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "WEIGHTS_FOLDER", tmp_path)
    (tmp_path / "convlstm_vae.ucsd_ped2.card.json").write_text("[]")
    with pytest.raises(ValueError, match="card.json must hold a JSON object. Received: list"):
        registry.info("convlstm_vae")
