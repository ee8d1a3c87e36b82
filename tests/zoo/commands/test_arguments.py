from pathlib import Path

import pytest

from zoo import registry
from zoo.commands import arguments


def test_a_file_that_cannot_be_written_is_said_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file.npz").write_text("mine")
    arguments.check_out(None)
    arguments.check_out(tmp_path / "file.npz")
    arguments.check_out(tmp_path / "new" / "deep" / "rows.npz", is_new=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.npz"]
    with pytest.raises(ValueError, match="`out` must be a new file. Received: .*file.npz, which"):
        arguments.check_out(tmp_path / "file.npz", is_new=True)
    with pytest.raises(ValueError, match="`scores` must be a file. Received: .*which is a folder"):
        arguments.check_out(tmp_path, argument="scores")
    with pytest.raises(ValueError, match="`out` must be in a folder .*file.npz is a file"):
        arguments.check_out(tmp_path / "file.npz" / "deep" / "rows.npz")
    # To the administrator every folder may be written.
    monkeypatch.setattr(arguments.os, "access", lambda path, mode: str(path) != str(tmp_path))
    with pytest.raises(ValueError, match=f"but {tmp_path} cannot be written to"):
        arguments.check_out(tmp_path / "new" / "rows.npz")


def test_a_file_must_end_as_it_is_written(tmp_path):
    arguments.check_out(tmp_path / "rows.csv", suffixes=(".npz", ".csv"))
    with pytest.raises(ValueError, match="^`out` must end in .npz or .csv. Received: .*rows$"):
        arguments.check_out(tmp_path / "rows", suffixes=(".npz", ".csv"))


def test_a_folder_that_cannot_be_written_is_said_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    arguments.check_folder(tmp_path / "full")
    arguments.check_folder(tmp_path / "new" / "deep", is_new=True)
    assert not (tmp_path / "new").exists()
    with pytest.raises(ValueError, match="^`out` must be a new or an empty folder. Received: out="):
        arguments.check_folder(tmp_path / "full", is_new=True)
    with pytest.raises(ValueError, match="^`to` must be a folder. Received: .*file, which is a f"):
        arguments.check_folder(tmp_path / "full" / "file", argument="to")
    with pytest.raises(ValueError, match="^`out` must be in a folder .*file is a file$"):
        arguments.check_folder(tmp_path / "full" / "file" / "deep")
    monkeypatch.setattr(arguments.os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match="full cannot be written to$"):
        arguments.check_folder(tmp_path / "full")


def test_a_path_where_nothing_is_is_told_and_an_address_is_left_alone(tmp_path):
    addresses = ("0", "camera:0", "/dev/video7", "rtsp://gate/live", "mjpeg+http://gate/video",
                 "s3://bucket/day", Path("s3://bucket/day"))  # fmt: skip
    for place in (None, tmp_path, *addresses):
        arguments.check_there(place)
    for place in (tmp_path / "no", "no.avi", "C:/no", "2026-11-28/no", "a:b"):
        with pytest.raises(ValueError, match=f"^`clip` {place} does not exist$"):
            arguments.check_there(place, "clip")


def test_a_model_is_a_preset_with_weights_or_a_folder(tmp_path, monkeypatch):
    arguments.check_model(str(tmp_path))
    arguments.check_model("convlstm_vae")
    with pytest.raises(ValueError, match="^`encoder` must be a preset: .* mean convlstm_vae"):
        arguments.check_model("convlstm_vea", "encoder")
    with pytest.raises(ValueError, match="^`name` must be a preset or a run folder .* not there$"):
        arguments.check_model(tmp_path / "no")
    monkeypatch.setattr(registry, "WEIGHTS_FOLDER", tmp_path)
    with pytest.raises(ValueError, match="^`name` must be trained: convlstm_vae has no trained"):
        arguments.check_model("convlstm_vae")


@pytest.mark.parametrize("number", [0, -1.5, float("nan")])
def test_a_number_that_is_not_above_0_is_named(number):
    arguments.check_above_0(fps=None, learning_rate=1e-9)
    with pytest.raises(ValueError, match=f"^`fps` must be above 0. Received: fps={number}$"):
        arguments.check_above_0(learning_rate=1.0, fps=number)
