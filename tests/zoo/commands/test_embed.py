import csv
import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import zoo
from zoo.commands import embed
from zoo.commands.app import app

FRAMES = 4


@pytest.fixture(scope="module")
def model():
    return zoo.load("convlstm_vae", weights=None, clip_shape=(FRAMES, 16, 24, 1))


@pytest.fixture
def footage(tmp_path):
    """Two folders of grey images of the size of the model: 9 frames and 4 frames."""
    draw = np.random.default_rng(0)
    for name, length in (("gate", 9), ("yard", 4)):
        folder = tmp_path / "footage" / name
        folder.mkdir(parents=True)
        for number in range(length):
            pixels = draw.integers(0, 256, (16, 24), np.uint8)
            cv2.imwrite(str(folder / f"{number}.png"), pixels)
    return tmp_path / "footage"


def read_npz(path):
    with np.load(path) as file:
        return dict(file)


def run(monkeypatch, model, *arguments):
    monkeypatch.setattr(zoo, "load", lambda name: model)
    return CliRunner().invoke(app, ["embed", "convlstm_vae", *map(str, arguments)])


def test_a_row_per_clip_holds_what_encode_gives_of_those_frames(
    monkeypatch, tmp_path, model, footage
):
    out = tmp_path / "new" / "rows.npz"
    result = run(monkeypatch, model, "--data", footage, "--out", out, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {
        "out": str(out), "clips": 3, "embedding_dim": model.embedding_dim,
    }  # fmt: skip
    rows = read_npz(out)
    assert rows["video"].tolist() == ["gate", "gate", "yard"]
    # Images tell no frame rate, so they are taken to come at the model's.
    assert rows["start_sec"].tolist() == [0.0, FRAMES / model.fps, 0.0]
    pixels = [
        cv2.imread(str(footage / "gate" / f"{number}.png"), cv2.IMREAD_GRAYSCALE)
        for number in range(FRAMES, 2 * FRAMES)
    ]
    clip = (np.stack(pixels) / 255).astype(np.float32)[None, ..., None]
    np.testing.assert_allclose(rows["embedding"][1], model.encode(clip)[0], rtol=1e-3, atol=1e-5)
    assert np.abs(rows["embedding"][0] - rows["embedding"][1]).max() > 1e-3


def test_csv_has_the_same_rows(monkeypatch, tmp_path, model, footage):
    for name in ("rows.npz", "rows.csv"):
        result = run(monkeypatch, model, "--data", footage, "--out", tmp_path / name)
        assert result.exit_code == 0, result.stderr
    with open(tmp_path / "rows.csv", newline="") as file:
        header, *rows = csv.reader(file)
    arrays = read_npz(tmp_path / "rows.npz")
    assert header == [
        "video", "label", "start_sec", *(f"embedding_{n}" for n in range(model.embedding_dim)),
    ]  # fmt: skip
    assert [row[0] for row in rows] == arrays["video"].tolist()
    vectors = np.array([row[3:] for row in rows], np.float32)
    np.testing.assert_array_equal(vectors, arrays["embedding"])


def test_the_last_clip_may_be_shorter_down_to_the_shortest_that_the_model_takes(model, footage):
    from data_pipelines import open_source

    gate = open_source(footage).videos[0]
    assert (len(embed.embed_video(model, gate)), gate.num_frames) == (2, 9)
    (footage / "gate" / "9.png").write_bytes((footage / "gate" / "0.png").read_bytes())
    gate = open_source(footage).videos[0]
    assert model.min_frames == 2
    assert [row.start_sec for row in embed.embed_video(model, gate)] == [0.0, 0.4, 0.8]


@pytest.mark.parametrize(("fps", "rate"), [(10.05, 10.05), (5.0, 5.0), (20.0, 10.0)])
def test_clips_begin_where_they_do_in_the_video(model, footage, fps, rate):
    from data_pipelines import open_source

    gate = open_source(footage).videos[0]
    gate.fps = fps
    rows = embed.embed_video(model, gate)
    assert [row.start_sec for row in rows] == [n * FRAMES / rate for n in range(len(rows))]
    assert model.fps == 10 and len(rows) == (1 if fps == 20 else 2)


@pytest.mark.parametrize("name", ["rows.txt", "rows"])
def test_an_unknown_ending_is_named(monkeypatch, tmp_path, model, footage, name):
    result = run(monkeypatch, model, "--data", footage, "--out", tmp_path / name)
    assert result.exit_code == 2
    assert "`--out` must end in .npz or .csv" in result.stderr


def test_a_file_that_is_there_is_not_written_over(monkeypatch, tmp_path, model, footage):
    out = tmp_path / "rows.npz"
    out.write_text("kept")
    result = run(monkeypatch, model, "--data", footage, "--out", out)
    assert result.exit_code == 2
    assert "which exists" in result.stderr
    assert out.read_text() == "kept"


def test_a_folder_that_cannot_be_made_is_said_before_the_work(
    monkeypatch, tmp_path, model, footage
):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(embed, "embed_video", lambda *_: pytest.fail("it was embedded"))
    result = run(monkeypatch, model, "--data", footage, "--out", tmp_path / "file" / "rows.npz")
    assert result.exit_code == 2 and "`--out` must be in a folder" in result.stderr


def test_footage_too_short_for_one_clip_is_an_error(monkeypatch, tmp_path, model, footage):
    for folder in footage.iterdir():
        for path in list(folder.iterdir())[1:]:
            path.unlink()
    out = tmp_path / "rows.npz"
    result = run(monkeypatch, model, "--data", footage, "--out", out)
    assert result.exit_code == 2
    assert "`--data` must hold a video of at least 2 frames" in result.stderr
    assert not out.exists()
