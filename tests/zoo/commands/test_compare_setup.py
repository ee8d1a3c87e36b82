"""Several models in one evaluation: baselines once, reasons instead of an abort, the picture."""

import io
import json
import types

import numpy as np
import pytest

import zoo
from data_pipelines import Source, Video
from zoo.commands import compare_setup
from zoo.evaluation import pictures


@pytest.fixture
def models(monkeypatch):
    """`zoo.load` gives what is put in here, and says so of what is not."""
    found = {}

    def load(name, weights="pretrained"):
        if name not in found:
            raise ValueError(f"{name} has no trained weights")
        return found[name]

    monkeypatch.setattr(zoo, "load", load)
    return found


@pytest.fixture
def measured(monkeypatch, models):
    """Evaluations of prediction that give a made-up result, or fail, for each model."""
    asked = []
    source = Source("video_files", "/disk/street", [])
    monkeypatch.setattr(compare_setup.data_pipelines, "open_source", lambda data: source)
    monkeypatch.setattr(
        compare_setup.prediction_setup, "common_footage", lambda data, names: (source, "all")
    )

    def evaluate_model(model, source, **arguments):
        asked.append({key: arguments[key] for key in ("context", "steps", "limit")})
        if model.error:
            raise model.error
        return model.figures

    def result(figures, model, source, name, split, **asked):
        notes = ["Said of all.", *model.notes]
        return {**figures, "data": "street", "kind": "video_files", "notes": notes,
                "frame": [*model.clip_shape[1:]], "frames_per_second_of_video": 10}  # fmt: skip

    monkeypatch.setattr(compare_setup.prediction_setup, "evaluate_model", evaluate_model)
    monkeypatch.setattr(compare_setup.prediction_setup, "result", result)
    return asked


def figures(value):
    names = ("mse", "mae", "mse_per_frame", "mae_per_frame", "psnr", "ssim", "sharpness")
    return {
        **dict.fromkeys(names, value), "per_step": {name: [value, value + 1] for name in names},
    }  # fmt: skip


def model(value, copy, clip_shape=(16, 32, 48, 1), error=None, notes=(), verbs=("rollout",)):
    found = {**figures(value), "baselines": {"copy_last_frame": figures(copy)}}
    return types.SimpleNamespace(
        figures=found, clip_shape=clip_shape, error=error, notes=list(notes), verbs=verbs
    )


def test_a_model_that_does_not_answer_is_listed_with_the_reason(models, measured):
    models["a"] = model(0.1, 0.5)
    models["b"] = model(0.2, 0.5, error=NotImplementedError("B does not answer `rollout`"))
    models["c"] = model(0.3, 0.5)
    models["full"] = model(0.1, 0.5, error=OSError(28, "No space left on device"))
    begun = []
    compared = compare_setup.compare(
        ["a", "untrained", "b", "full", "c"], "/disk/street", "prediction", begin=begun.append
    )
    assert begun == ["a", "untrained", "b", "full", "c"]
    assert {name: found["mse"] for name, found in compared["models"].items()} == {
        "a": 0.1, "c": 0.3,
    }  # fmt: skip
    assert compared["not_measured"] == {
        "untrained": "untrained has no trained weights", "b": "B does not answer `rollout`",
        "full": "No space left on device",
    }  # fmt: skip
    assert list(compared["baselines"]) == ["copy_last_frame"]
    assert "baselines" not in compared["models"]["a"]
    assert json.loads(json.dumps(compared, allow_nan=False)) == compared


def test_where_nothing_can_be_measured_it_fails(models, measured):
    models["b"] = model(0.2, 0.5, error=NotImplementedError("B does not answer `rollout`"))
    with pytest.raises(ValueError, match="none of the models can be measured; b: B does not"):
        compare_setup.compare(["b", "untrained"], "/disk/street", "prediction")


def test_predictions_are_of_the_smallest_length_that_a_model_takes(models, measured):
    models["short"], models["long"] = model(1, 1), model(1, 1, clip_shape=(20, 32, 48, 1))
    compare_setup.compare(["long", "short"], "/disk/street", "prediction", limit=3)
    assert measured == [{"context": 8, "steps": 8, "limit": 3}] * 2
    measured.clear()
    compare_setup.compare(
        ["long", "short"], "/disk/street", "prediction", lengths={"context": None, "steps": 4}
    )
    assert measured == [{"context": 12, "steps": 4, "limit": None}] * 2
    measured.clear()
    # What cannot be measured shortens nothing.
    error = NotImplementedError("it does not answer `rollout`")
    models["none"] = model(1, 1, clip_shape=(4, 32, 48, 1), error=error, verbs=("encode",))
    compare_setup.compare(["long", "none"], "/disk/street", "prediction")
    assert measured[0] == {"context": 10, "steps": 10, "limit": None}


def test_every_model_predicts_the_videos_that_all_runs_held_out(models, monkeypatch, tmp_path):
    """Two runs that held out other videos, and a preset that nothing is known of."""
    footage = Source("video_files", tmp_path / "street", [Plain(name) for name in "abcd"])
    monkeypatch.setattr(
        compare_setup.data_pipelines, "open_source", lambda data, split=None: footage
    )
    held_out = {"one": "cd", "two": "bc", "three": "ab"}
    for name, kept in held_out.items():
        (tmp_path / name).mkdir()
        record = {
            "arguments": {"data": str(footage.path)}, "held_out_videos": list(kept),
            "train_videos": sorted(set("abcd") - set(kept)),
        }  # fmt: skip
        (tmp_path / name / "run.json").write_text(json.dumps(record))
    seen = []

    def evaluate_model(model, source, **arguments):
        seen.append("".join(video.name for video in source.videos))
        return {**figures(0.1), "baselines": {}}

    monkeypatch.setattr(compare_setup.prediction_setup, "evaluate_model", evaluate_model)

    def compare(*names):
        seen.clear()
        names = [name if name == "pca" else str(tmp_path / name) for name in names]
        for name in names:
            models[name] = model(0.1, 0.5)
            models[name].fps = 10
        return compare_setup.compare(names, footage.path, "prediction")

    assert compare("one", "two", "pca")["notes"] == [] and seen == ["c"] * 3
    # Nothing is common to all three: everything, and of each that it has seen some of it.
    compared = compare("one", "pca", "two", "three")
    assert seen == ["abcd"] * 4
    assert compared["models"]["pca"]["split"] == "all"
    assert compared["notes"] == [
        f"{tmp_path / name}: 2 of these videos were trained on." for name in held_out
    ]


def test_what_is_said_of_one_model_stands_under_its_name(models, measured):
    models["a"] = model(1, 1, notes=["3 of these videos were trained on."])
    models["b"] = model(1, 2, clip_shape=(16, 64, 64, 1))
    notes = compare_setup.compare(["a", "b"], "/disk/street", "prediction")["notes"]
    assert notes[0].startswith("Frames are of another size or rate for some of the models")
    assert notes[1:] == ["Said of all.", "a: 3 of these videos were trained on."]


def test_equal_baselines_stand_once_and_others_under_their_model():
    first = {"copy": {"mse": 0.1, "per_step": [0.1, 0.2]}, "mean": {"mse": 0.5}}
    rounded = {"copy": {"mse": 0.1 + 1e-12, "per_step": [0.1, 0.2]}, "mean": {"mse": 0.6}}
    third = {"copy": {"mse": 0.1, "per_step": [0.1, 0.3]}, "mean": {"mse": 0.6}}
    found = compare_setup.once({"a": first, "b": rounded, "c": third})
    assert found == {
        "copy": first["copy"], "mean": {"mse": 0.5}, "mean (b)": {"mse": 0.6},
        "copy (c)": third["copy"],
    }  # fmt: skip


class Plain(Video):
    def __init__(self, name, label=None, group=None, split=None, truth=False):
        super().__init__(name, label=label, group=group, split=split, num_frames=2)
        self.truth = np.zeros(2, bool) if truth else None

    def frame_labels(self):
        return self.truth


@pytest.mark.parametrize(
    ("videos", "expected"),
    [
        ([Plain("a", split="train"), Plain("b", split="test", truth=True)], "anomaly"),
        ([Plain("a", "walk", "ann"), Plain("b", "run", "bob")], "representation"),
        ([Plain("a", "walk", "ann"), Plain("b", "run")], "prediction"),
        ([Plain("a")], "prediction"),
    ],
)
def test_the_evaluation_is_the_one_that_the_footage_has_truth_for(monkeypatch, videos, expected):
    source = Source("any", "/disk/any", videos)
    monkeypatch.setattr(compare_setup.data_pipelines, "open_source", lambda data: source)
    assert compare_setup.fitting_evaluation("/disk/any") == expected


@pytest.fixture
def drawn(monkeypatch):
    """What is given to the functions that draw, which draw nevertheless."""
    given = []
    for name in ("draw_bars", "draw_lines"):
        draw = getattr(pictures, name)

        def noted(path, parts, draw=draw, **arguments):
            given.append((parts, arguments))
            draw(path, parts, **arguments)

        monkeypatch.setattr(pictures, name, noted)
    return given


def test_the_picture_of_predictions_has_a_line_for_each_over_the_steps(models, measured, drawn):
    models["a"], models["b"] = model(0.1, 0.5), model(0.2, 0.5)
    compared = compare_setup.compare(["a", "b"], "/disk/street", "prediction")
    file = io.BytesIO()
    compare_setup.draw(file, compared)
    assert file.getvalue().startswith(b"\x89PNG")
    (panels, arguments), = drawn  # fmt: skip
    assert [panel.title for panel in panels] == [
        "squared error of a frame", "PSNR (dB)", "SSIM", "sharpness (dB)",
    ]  # fmt: skip
    for panel in panels:
        assert panel.lines["b"] == [("1", 0.2, None), ("2", 1.2, None)]
        assert list(panel.lines) == ["a", "b", "copy_last_frame"]
    assert [panel.log for panel in panels] == [True, False, False, False]
    assert arguments == {"baselines": {"copy_last_frame"}, "title": "prediction on street"}


def test_the_pictures_of_the_other_evaluations(drawn):
    auc = {"auc_live": 0.9, "auc_literature": 0.8}
    low = {"auc_live": 0.7, "auc_literature": 0.6}
    compared = {"evaluation": "anomaly", "data": "ped2", "models": {"a": auc},
                "baselines": {"copy_last_frame": low}}  # fmt: skip
    compare_setup.draw(io.BytesIO(), compared)
    assert drawn.pop()[0] == {
        "frame AUC, live": {"a": 0.9, "copy_last_frame": 0.7},
        "frame AUC, literature": {"a": 0.8, "copy_last_frame": 0.6},
    }
    few = {"1": {"accuracy": 0.5, "standard_error": 0.1}}
    probe = {"linear_probe": {"accuracy": 0.75, "few_labels": few, "few_people": few}}
    compared = {"evaluation": "representation", "data": "actions",
                "models": {"a": {"encode": probe}},
                "baselines": {"motion_energy": probe}}  # fmt: skip
    compare_setup.draw(io.BytesIO(), compared)
    panels, arguments = drawn.pop()
    assert [panel.label for panel in panels] == ["labelled clips of a class", "people labelled"]
    assert panels[0].lines["motion_energy"] == [("1", 0.5, 0.1), ("all", 0.75, None)]
    assert arguments["baselines"] == {"motion_energy"}


def test_each_evaluation_measures_every_model_on_the_same_footage(models, monkeypatch):
    models["a"], models["b"] = object(), object()
    source = Source("ucsd", "/disk/corner", [])
    asked = []
    stated = {"data": "corner", "kind": "ucsd", "notes": [], "baselines": {"copy": 1}}

    def score_source(model, source, report):
        asked.append((model, source, report))
        return "scored"

    monkeypatch.setattr(compare_setup.anomaly_setup, "open_labelled", lambda data: source)
    monkeypatch.setattr(compare_setup.anomaly_setup, "score_source", score_source)
    monkeypatch.setattr(
        compare_setup.anomaly_setup, "result",
        lambda scored, model, source, name: {**stated, "scored": scored, "model": name},
    )  # fmt: skip
    compared = compare_setup.compare(["a", "b"], "/disk/corner", "anomaly", report=print)
    assert asked == [(models["a"], source, print), (models["b"], source, print)]
    assert compared["models"]["b"]["scored"] == "scored"
    assert compared["models"]["b"]["model"] == "b" and compared["baselines"] == {"copy": 1}

    kept = []

    def evaluate_model(model, source, report, known):
        # What the first model leaves here saves the second the same baselines.
        known[len(known)] = model
        kept.append(dict(known))
        return {}

    monkeypatch.setattr(compare_setup.labelled_setup, "open_labelled", lambda data: source)
    monkeypatch.setattr(compare_setup.representation_setup, "evaluate_model", evaluate_model)
    monkeypatch.setattr(
        compare_setup.representation_setup, "result", lambda *_: {**stated, "baselines": {}}
    )
    compared = compare_setup.compare(["a", "b"], "/disk/clips", "representation")
    assert list(compared["models"]) == ["a", "b"]
    assert kept == [{0: models["a"]}, {0: models["a"], 1: models["b"]}]
