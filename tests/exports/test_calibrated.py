"""A calibrated export: the version before, bit for bit, and which frames reach the threshold."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

import exports
from exports import calibrated, manifest, saved_model, verification, warm_up
from zoo.evaluation.events import EventSettings
from zoo.evaluation.scoring import pool_score_map


def calibration(high, **more):
    return {"events": EventSettings(high=high, **more).to_dict(), "cameras": {}, "hours": {}}


@pytest.fixture
def quick(monkeypatch):
    """Signatures are run in this process, without the start of another one."""

    def run(folder, clips, through="tensorflow"):
        loaded = tf.saved_model.load(str(folder)).signatures
        clip = tf.constant(clips["whole"])
        found = {
            f"whole/{name}/{output}": value.numpy()
            for name in ("serving_default", "score", "rollout")
            for output, value in loaded[name](clip=clip).items()
        }
        return found, {"refused": {}, "seconds": {}}

    monkeypatch.setattr(verification, "run_isolated", run)


@pytest.mark.slow
def test_all_outputs_stay_to_the_bit_and_each_calibration_is_a_version(exported, clip, tmp_path):
    first = shutil.copytree(exported, tmp_path / "1")
    (first / saved_model.CARD).write_text('{"auc_live": 0.5}')
    manifest.write(first, {k: v for k, v in manifest.read(first).items() if k != "files"})
    before = exports.load(tmp_path)
    whole = before.score(clip)
    highs = [float(np.quantile(whole[whole > 0], share)) for share in (0.5, 0.8)]
    folders = [calibrated.save(exports.load(tmp_path), calibration(high)) for high in highs]
    assert [folder.name for folder in folders] == ["2", "3"]
    for folder, high in zip(folders, highs, strict=True):
        after = exports.load(folder)
        assert exports.verify(folder)["files"] == len(after.manifest["files"])
        assert (folder / saved_model.CARD).read_text() == '{"auc_live": 0.5}'
        assert after.calibration == calibration(high) and before.calibration is None
        for name in before.manifest["signatures"]:
            if name in ("step", "encode_jpeg"):
                continue
            old = before.signature(name)(clip=tf.constant(clip))
            new = after.signature(name)(clip=tf.constant(clip))
            assert set(new) - set(old) == ({"above_threshold"} if name == "score" else set())
            for output, value in old.items():
                np.testing.assert_array_equal(new[output], value)
        above = after.above_threshold(clip)
        assert above.dtype == bool and 0 < above.mean() < 1
        np.testing.assert_array_equal(above, whole >= np.float32(high))
        states = [one.initial_state(2, 32, 48) for one in (before, after)]
        for time in range(clip.shape[1]):
            old, new = (
                one.step(clip[:, time], state)
                for one, state in zip((before, after), states, strict=True)
            )
            states = [old.pop("state"), new.pop("state")]
            np.testing.assert_array_equal(
                new.pop("above_threshold"), old["score"] >= np.float32(high)
            )
            for kind in ("score", "score_map", "prediction"):
                np.testing.assert_array_equal(new[kind], old[kind])
            for name, value in states[0].items():
                np.testing.assert_array_equal(states[1][name], value)
    # The threshold before is not carried along, nor a graph around a graph.
    sizes = [(folder / "saved_model.pb").stat().st_size for folder in folders]
    assert abs(sizes[1] - sizes[0]) < 2000
    records = list(tf.data.TFRecordDataset(str(folders[1] / warm_up.NAME)))
    assert len(records) == len(before.manifest["signatures"])
    assert not any(b".py" in path.read_bytes() for path in folders[1].rglob("*") if path.is_file())


@pytest.mark.slow
@pytest.mark.parametrize("through", ["c_api", "openvino"])
def test_other_runtimes_give_it_too(brightness, tmp_path, through):
    if through == "openvino":
        pytest.importorskip("openvino", reason="the extra is [openvino]")
    brightness(tmp_path)
    folder = calibrated.save(exports.load(tmp_path), calibration(0.4))
    clips = {"whole": verification.made_up_clip(manifest.read(folder))}
    run = verification.run_isolated if through == "c_api" else verification.run_one_by_one
    answers, _ = run(folder, clips, through)
    assert answers["whole/score/above_threshold"].dtype == bool
    assert "whole/step/above_threshold" in answers
    verification.check_threshold(folder, manifest.read(folder), answers)


def test_a_model_that_scores_by_its_mean_has_its_windows_compared(quick, brightness, tmp_path):
    """`score` is no mean of a window there."""

    class Checked(type(brightness.model())):
        score_pooling = "mean"

        def get_config(self):
            return {"score_pooling": "mean"}

        def score_with_map(self, clip):
            score_map = tf.reduce_mean(clip, axis=-1)[:, :, ::4, ::4]
            return {"score": tf.reduce_mean(score_map, axis=[2, 3]), "score_map": score_map}

        def step(self, frame, state):
            found = self.score_with_map(frame[:, None])
            return {**{k: v[:, 0] for k, v in found.items()}, "state": state}

    clip = np.random.default_rng(0).integers(0, 255, (2, 9, 16, 24, 1), np.uint8)
    folder = exports.export(Checked(), tmp_path, rollout_steps=2, calibration=calibration(0.7))
    found = exports.load(folder)
    maps = found.score_map(clip)
    expected = np.stack([pool_score_map(one, "max", 16) for one in maps]) >= 0.7
    assert 0 < expected.mean() < 1 and not (found.score(clip) >= 0.7).any()
    np.testing.assert_array_equal(found.above_threshold(clip), expected)
    above = found.step(clip[:, 3], found.initial_state(2, 16, 24))["above_threshold"]
    np.testing.assert_array_equal(above, expected[:, 3])
    answers, _ = verification.run_isolated(folder, {"whole": clip})
    verification.check_threshold(folder, found.manifest, answers)


def test_of_a_version_in_the_middle_the_next_one_is_made(quick, brightness, tmp_path):
    brightness(tmp_path)
    brightness(tmp_path, 0.5)
    folder = calibrated.save(exports.load(tmp_path / "1"), calibration(0.4))
    assert folder == tmp_path / "3"
    clip = np.full((1, 4, 16, 16, 1), 128, np.uint8)
    assert exports.load(folder).score(clip) == pytest.approx(128 / 255)
    assert exports.load(folder).above_threshold(clip).all()
    with pytest.raises(ValueError, match="2 must be calibrated to have a threshold"):
        exports.load(tmp_path / "2").above_threshold(clip)


def test_an_export_that_gives_other_numbers_never_appears(quick, brightness, tmp_path, monkeypatch):
    brightness(tmp_path)
    real = verification.run_isolated

    def falsified(folder, clips):
        found, about = real(folder, clips)
        if folder.name == ".partial-2":
            found["whole/score/score"] = np.nextafter(found["whole/score/score"], 1)
        return found, about

    monkeypatch.setattr(verification, "run_isolated", falsified)
    with pytest.raises(ValueError, match="gives other numbers than .*1: whole/score/score$"):
        calibrated.save(exports.load(tmp_path), calibration(0.4))
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_what_cannot_be_calibrated_is_named(brightness, tmp_path):
    folder = brightness(tmp_path / "door")
    export = exports.load(folder)
    with pytest.raises(ValueError, match="`calibration` must hold `events`"):
        calibrated.save(export, {"high": 0.5})
    with pytest.raises(ValueError, match="`high` must be above 0"):
        calibrated.save(export, {"events": EventSettings(1.0).to_dict() | {"high": -1.0}})
    (tmp_path / "alone").mkdir()
    shutil.copytree(folder, tmp_path / "alone" / "mine")
    with pytest.raises(ValueError, match="or a folder of versions, .* holds: mine"):
        calibrated.check(exports.load(tmp_path / "alone" / "mine"))
    (folder / "assets.extra" / "interface.json").write_text("{}")
    with pytest.raises(ValueError, match="unlike its manifest's: assets.extra/interface.json"):
        calibrated.check(export)
    assert saved_model.versions(tmp_path / "door") == [1]


def test_a_calibration_goes_into_exports_of_its_weights_alone(quick, brightness, tmp_path):
    brightness(tmp_path / "door")
    brightness(tmp_path / "gate", 0.5)
    door, gate = (exports.load(tmp_path / name) for name in ("door", "gate"))
    of_door = calibration(0.4) | {
        "model": "door", "weights_sha256": door.manifest["weights_sha256"],
    }  # fmt: skip
    said = "of the weights of {}, .* Received: the calibration given, of door, SHA-256"
    with pytest.raises(ValueError, match=said.format(gate.folder)):
        calibrated.save(gate, of_door)
    with pytest.raises(ValueError, match=said.format("my gate")):
        exports.export(brightness.model(0.5), tmp_path / "gate", name="my gate",
                       calibration=of_door)  # fmt: skip
    assert saved_model.versions(tmp_path / "gate") == [1]
    # Of these weights, whichever way they come; the next version is of the same.
    calibrated.save(door, of_door)
    exports.export(brightness.model(), tmp_path / "door", rollout_steps=2, calibration=of_door)
    digests = {manifest.read(tmp_path / "door" / n)["weights_sha256"] for n in "123"}
    assert digests == {of_door["weights_sha256"]}


def test_of_an_export_that_does_not_know_its_weights_a_calibration_need_not_either(
    quick, brightness, tmp_path, caplog
):
    folder = brightness(tmp_path)
    known = manifest.read(folder)
    digest = known.pop("weights_sha256")
    manifest.write(folder, {key: value for key, value in known.items() if key != "files"})
    made = calibration(0.4) | {"false_alarms_per_hour": 1.0, "weights_sha256": None}
    calibrated.save(exports.load(folder), made)
    assert not caplog.records
    calibrated.save(exports.load(folder), made | {"weights_sha256": digest})
    (record,) = caplog.records
    assert f"whether the calibration given is of the weights of {folder} cannot" in record.message


def test_above_threshold_and_a_calibration_go_together(brightness, tmp_path):
    folder = brightness(tmp_path)
    description = manifest.read(folder)
    score = np.array([[0.1, 0.5]], np.float32)
    answers = {"whole/score/score": score, "whole/score/above_threshold": score > 0.3}
    with pytest.raises(ValueError, match="or neither. Received: the other alone"):
        verification.check_threshold(folder, description, answers)
    (folder / saved_model.CALIBRATION).write_text(json.dumps(calibration(0.4)))
    verification.check_threshold(folder, description, answers)
    with pytest.raises(ValueError, match="gives whole/score/above_threshold unlike its score"):
        wrong = answers | {"whole/score/above_threshold": score > 0.6}
        verification.check_threshold(folder, description, wrong)
    with pytest.raises(ValueError, match="Received: the one alone"):
        verification.check_threshold(folder, description, {"whole/score/score": score})
    (folder / saved_model.CALIBRATION).write_text("{")
    with pytest.raises(ValueError, match="calibration.json is not JSON"):
        saved_model.read_calibration(folder)
