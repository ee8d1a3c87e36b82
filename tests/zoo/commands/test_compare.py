"""`zoo compare` from the command line, on real evaluations of small models."""

import json

import cv2
import matplotlib.image
import numpy as np
import pytest
from typer.testing import CliRunner

from zoo import registry
from zoo.commands import compare, compare_setup
from zoo.commands.app import app

SIZE = (32, 48)


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    """Two folders of frames in which a bright square goes right."""
    root = tmp_path_factory.mktemp("footage")
    for video in range(2):
        folder = root / f"video{video}"
        folder.mkdir()
        for number in range(18):
            image = np.full(SIZE, 60, np.uint8)
            image[8:24, 2 * number : 2 * number + 8] = 200
            cv2.imwrite(str(folder / f"{number:02d}.png"), image)
    return root


@pytest.fixture
def untrained(tmp_path, monkeypatch):
    """The name of a preset without weights, as no preset has any here."""
    monkeypatch.setattr(registry, "WEIGHTS_FOLDER", tmp_path)
    return "video_gan"


def _run(*arguments):
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def test_models_side_by_side_with_a_reason_for_the_others(
    footage, run_folder, untrained, tmp_path
):
    out = tmp_path / "new" / "comparison.png"
    done = _run(run_folder, untrained, "--data", footage, "--steps", 3, "--context", 4,
                "--out", out, "--json")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    compared = json.loads(done.stdout)
    assert compared["evaluation"] == "prediction" and compared["kind"] == "frame_folders"
    assert list(compared["models"]) == [str(run_folder)]
    assert "has no trained weights" in compared["not_measured"][untrained]
    assert set(compared["baselines"]) == {"copy_last_frame", "mean_of_context", "empty_frame"}
    assert compared["models"][str(run_folder)]["windows"] == 4
    picture = matplotlib.image.imread(out)[..., :3]
    assert picture.shape[1] > 3 * picture.shape[0] and picture.std() > 0.05


def test_the_table_lists_models_then_baselines_then_reasons(footage, run_folder, untrained):
    done = _run(untrained, run_folder, "--data", footage, "--steps", 2, "--limit", 1)
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition("  ")[0] for line in lines[1:5]] == [
        str(run_folder), "copy last frame", "mean of context", "empty frame",
    ]  # fmt: skip
    assert lines[5] == "" and lines[6].startswith(f"{untrained}: `name` must be trained")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["convlstm_vea"], 2, "Did you mean convlstm_vae"),
        (["convlstm_vae", "convlstm_vae"], 2, "must differ"),
        (["convlstm_vae", "--evaluation", "tracking"], 2,
         "must be one of anomaly, prediction, rep"),
        (["convlstm_vae", "--out", "picture.jpg"], 2, "must end in .png"),
        (["convlstm_vae", "--evaluation", "anomaly", "--steps", "3"], 2,
         "of the evaluation predict"),
        (["convlstm_vae", "--evaluation", "anomaly"], 2,
         "must come with the truth for every frame"),
    ],
)
def test_bad_input_is_said(footage, arguments, code, message):
    done = _run(*arguments, "--data", footage)
    assert message in done.stderr
    assert done.exit_code == code and not done.stdout


def test_that_none_can_be_measured_is_said_with_the_reason(footage, untrained):
    done = _run(untrained, "--data", footage)
    reason = f"none of the models can be measured; {untrained}: `NAMES` must be trained"
    assert reason in done.stderr and done.exit_code == 1 and not done.stdout


def test_an_out_that_cannot_be_written_is_said_before_anything_is_measured(
    footage, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(compare_setup, "compare", lambda *_, **__: pytest.fail("it was measured"))
    done = _run("convlstm_vae", "--data", footage, "--out", tmp_path / "file" / "a.png")
    assert done.exit_code == 2 and "`--out` must be in a folder" in done.stderr
    (tmp_path / "b.png").mkdir()
    done = _run("convlstm_vae", "--data", footage, "--out", tmp_path / "b.png")
    assert done.exit_code == 2 and "which is a folder" in done.stderr


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_figures_are_told_and_the_older_picture_kept_where_drawing_fails(
    footage, tmp_path, monkeypatch, options
):
    compared = {
        "evaluation": "prediction", "models": {}, "baselines": {}, "not_measured": {},
        "notes": ["A note."],
    }  # fmt: skip

    def draw(path, compared):
        path.write_bytes(b"half")
        raise OSError("the disk is full")

    monkeypatch.setattr(compare_setup, "compare", lambda *_, **__: compared)
    monkeypatch.setattr(compare_setup, "draw", draw)
    (tmp_path / "a.png").write_bytes(b"older")
    done = _run("convlstm_vae", "--data", footage, "--out", tmp_path / "a.png", *options)
    assert done.exit_code == 1 and "the disk is full" in done.stderr
    assert "A note." in done.stdout
    assert (tmp_path / "a.png").read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_names_are_checked_before_anything_is_measured(tmp_path):
    compare.check_names(["convlstm_vae", str(tmp_path)])
    with pytest.raises(ValueError, match="Did you mean convlstm_vae"):
        compare.check_names(["convlstm_vea"])
    with pytest.raises(ValueError, match="`names` must differ. Received: pca 2 times"):
        compare.check_names(["pca", "convlstm_vae", "pca"])
