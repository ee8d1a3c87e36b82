import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import exports
import zoo
from exports import isolated_reader, saved_model, verification
from zoo.commands import export
from zoo.commands.app import app
from zoo.evaluation.events import EventSettings

SMALL = {
    "filters": (4, 6, 8), "state_filters": (4, 6), "decoder_filters": (6, 6, 6), "latent_dim": 2,
    "clip_shape": (12, 32, 48, 1), "score_horizon": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return zoo.load("convlstm_vae", weights=None, **SMALL)


@pytest.fixture
def footage(tmp_path):
    """A folder of 20 colour images of 40x60, in which a square moves."""
    folder = tmp_path / "footage" / "gate"
    folder.mkdir(parents=True)
    for number in range(20):
        image = np.full((40, 60, 3), 50, np.uint8)
        image[10:25, 2 * number : 2 * number + 15] = (200, 90, 30)
        cv2.imwrite(str(folder / f"{number:03d}.png"), image)
    return folder.parent


@pytest.fixture
def command(monkeypatch, model):
    monkeypatch.setattr(zoo, "load", lambda name, dtype: model)

    def run(*arguments):
        return CliRunner().invoke(app, ["export", *map(str, arguments)])

    return run


@pytest.mark.slow
def test_a_run_is_exported_and_verified_on_its_own_footage(command, tmp_path, footage):
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"arguments": {"data": str(footage)}}))
    (run / "card.json").write_text("{}")
    calibration = {"events": EventSettings(high=1e-4).to_dict()}
    (run / "calibration.json").write_text(json.dumps(calibration))
    result = command(run, tmp_path / "served", "--rollout-steps", 2, "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["folder"] == str(tmp_path / "served" / "1") and report["version"] == 1
    assert report["clip"] == str(footage) and report["shapes"]["whole"] == [2, 16, 32, 48, 1]
    assert max(report["differences"].values()) <= 1e-3
    assert "step" in report["signatures"]
    loaded = exports.load(tmp_path / "served")
    assert loaded.manifest["model"]["name"] == run.name and loaded.manifest["rollout_steps"] == 2
    assert "assets.extra/card.json" in loaded.manifest["files"]
    assert loaded.calibration == calibration
    clip = np.random.default_rng(0).integers(0, 255, (1, 12, 32, 48, 1), np.uint8)
    above = loaded.above_threshold(clip)
    np.testing.assert_array_equal(above, loaded.score(clip) >= np.float32(1e-4))
    assert above.any() and not above.all()


def test_the_runtimes_are_those_there_are():
    assert ("tensorflow", *export.RUNTIMES) == isolated_reader.READERS


def test_a_run_that_was_trained_on_since_it_was_calibrated_is_refused(command, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    stale = {"events": EventSettings(high=1e-4).to_dict(), "weights_sha256": "1" * 64}
    (run / "calibration.json").write_text(json.dumps(stale))
    result = command(run, tmp_path / "served")
    assert result.exit_code == 1 and not (tmp_path / "served").exists()
    said = result.stderr.splitlines()[-1]
    assert said.startswith(f"zoo: `calibration` must be of the weights of {run}, SHA-256 ")
    assert f"Received: {run}/calibration.json" in said and f"calibrate {run} again (`zoo" in said


@pytest.mark.slow
def test_a_version_that_fails_its_verification_never_appears(
    command, tmp_path, verified_here, monkeypatch
):
    real = verification.run_isolated

    def falsified(folder, clips, through):
        assert saved_model.versions(tmp_path / "served") == []
        answers, about = real(folder, clips, through)
        return {key: array + 1 for key, array in answers.items()}, about

    monkeypatch.setattr(verification, "run_isolated", falsified)
    result = command("convlstm_vae", tmp_path / "served")
    assert result.exit_code == 1
    assert "gives other numbers than the model" in result.stderr
    assert "exported" not in result.stdout
    assert list((tmp_path / "served").iterdir()) == []


def test_real_footage_comes_in_the_size_and_colour_of_the_model(model, footage):
    clip = export.read_clip(footage, model)
    assert clip.shape == (1, 16, 32, 48, 1) and clip.dtype == np.uint8
    assert np.abs(np.diff(clip.astype(int), axis=1)).max() > 20


def test_footage_that_is_too_short_is_named(model, footage):
    for path in sorted((footage / "gate").iterdir())[model.warm_up :]:
        path.unlink()
    with pytest.raises(ValueError, match="must have more than 8 frames to verify on. Received: 7"):
        export.read_clip(footage, model)


@pytest.fixture
def verified(monkeypatch):
    """The clips that exports were verified on, without their cost."""
    clips = []

    def export_verified(model, directory, clip, **_):
        clips.append(clip)
        return directory, {"differences": {"embedding": 0.0}, "signatures": ["serving_default"]}

    monkeypatch.setattr(export, "export_verified", export_verified)
    return clips


def test_of_the_footage_of_a_run_the_first_video_that_is_long_enough_is_taken(
    command, tmp_path, footage, verified
):
    run, short = tmp_path / "run", footage / "arch"
    run.mkdir()
    short.mkdir()
    (run / "run.json").write_text(json.dumps({"arguments": {"data": str(footage)}}))
    for number in range(4):
        cv2.imwrite(str(short / f"{number}.png"), np.full((40, 60, 3), 9, np.uint8))
    result = command(run, tmp_path / "served", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["clip"] == str(footage)
    assert verified[0].shape == (1, 16, 32, 48, 1) and verified[0].max() > 50

    for path in sorted((footage / "gate").iterdir())[6:]:
        path.unlink()
    result = command(run, tmp_path / "served", "--json")
    assert result.exit_code == 0, result.stderr
    assert "the footage of the run is not used: " in result.stderr
    assert "more than 8 frames to verify on. Received: 6 in" in result.stderr
    assert "verifying on a made-up clip" in result.stderr
    assert json.loads(result.stdout)["clip"] == "made up" and verified[1] is None
    # Asked for by the user, it is an error.
    result = command(run, tmp_path / "served", "--clip", footage)
    assert result.exit_code == 2 and "`--clip` must have more than 8 frames" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--precision", "int8"], "`--precision` must be one of"),
        (["--clip", "nowhere"], "`--clip` nowhere does not exist"),
    ],
)
def test_bad_arguments_end_with_one_line_and_no_folder(command, tmp_path, arguments, message):
    result = command("convlstm_vae", tmp_path / "served", *arguments)
    assert result.exit_code == 2 and message in result.stderr
    assert result.stdout == "" and not (tmp_path / "served").exists()


def test_a_preset_without_weights_is_not_exported_in_silence(tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.registry.WEIGHTS_FOLDER", tmp_path / "none")
    result = CliRunner().invoke(app, ["export", "convlstm_vae", str(tmp_path / "served")])
    assert result.exit_code == 2 and "has no trained weights" in result.stderr
    assert not (tmp_path / "served").exists()
