import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import data_pipelines
import exports
from data_pipelines import transforms
from exports import isolated_reader, manifest, verification


@pytest.fixture
def answers(monkeypatch, exported, model):
    """Answers of the clean process, without its cost: as the model's own, to be falsified."""
    found = {}

    def run(folder, clips, through):
        for name, array in clips.items():
            values = transforms.to_float(array)
            found.setdefault(f"{name}/serving_default/embedding", model.encode(values).numpy())
            found.setdefault(f"{name}/features/features", model.features(values).numpy())
            found.setdefault(f"{name}/score/score", model.score(values).numpy())
            future = transforms.to_bytes(model.rollout(values, 3)).numpy()
            found.setdefault(f"{name}/rollout/future", future)
        embedding = found["cut/serving_default/embedding"]
        found.setdefault("cut/encode_jpeg/embedding", embedding)
        frames = model.warm_up + isolated_reader.SCORED_FRAMES
        found.setdefault("cut/step/score", found["cut/score/score"][:, :frames])
        return found, {"refused": {}, "seconds": {}}

    monkeypatch.setattr(verification, "run_isolated", run)
    return found


@pytest.mark.slow
def test_the_numbers_in_a_clean_process_are_those_of_the_model(exported, model):
    report = exports.verify(exported.parent, model)
    assert set(report["differences"]) == {
        "embedding", "features", "score", "score_map", "future", "encode_jpeg/embedding",
        "step/score", "step/score_map",
    }  # fmt: skip
    assert max(report["differences"].values()) <= 1e-3 == report["tolerance"]
    whole, cut = report["shapes"]["whole"], report["shapes"]["cut"]
    assert all(whole[axis] != cut[axis] for axis in (1, 2, 3))
    assert cut[1] > model.warm_up
    assert report["embedding_distance"] > 1e-2
    assert report["files"] == len(exports.load(exported).manifest["files"])


@pytest.mark.slow
def test_the_numbers_through_the_c_api_are_those_of_the_model(exported, model):
    """Without TensorFlow's Python: as a C++ server loads it, every signature."""
    report = exports.verify(exported, model, through="c_api")
    assert set(report["seconds"]) == set(exports.load(exported).manifest["signatures"])
    assert len(report["differences"]) == 8 and max(report["differences"].values()) <= 1e-3


@pytest.mark.slow
def test_what_another_runtime_refuses_is_told_and_the_rest_gives_the_numbers(exported, model):
    pytest.importorskip("openvino", reason="OpenVINO is not installed: the extra is [openvino]")
    report = exports.verify(exported, model, through="openvino")
    assert "DecodeJpeg" in report["refused"]["encode_jpeg"]
    assert {"embedding", "features", "step/score"} <= set(report["differences"])
    assert max(report["differences"].values()) <= 1e-3


def test_a_crash_costs_its_own_signature(answers, exported, model, monkeypatch):
    whole = verification.run_isolated

    def run(folder, clips, through):
        if folder.name == "score":
            raise ValueError(f"{folder} fails in a clean process: it crashes by SIGABRT, after: ?")
        found = whole(folder, clips, through)[0]
        chosen = {k: v for k, v in found.items() if k.split("/")[1] == folder.name}
        return (
            {f"{k.split('/')[0]}/serving_default/{k.split('/')[2]}": v for k, v in chosen.items()},
            {"refused": {}, "seconds": {"serving_default": 0.5}},
        )

    monkeypatch.setattr(verification, "run_isolated", run)
    report = exports.verify(exported, model, through="openvino")
    assert report["refused"] == {"score": "it crashes by SIGABRT, after: ?"}
    assert set(report["seconds"]) == set(exports.load(exported).manifest["signatures"]) - {"score"}
    assert {"embedding", "features", "future", "step/score"} <= set(report["differences"])


def test_who_can_run_nothing_is_told_so_and_no_error(answers, exported, model, monkeypatch):
    def run(folder, clips, through):
        raise ValueError(f"{folder} fails in a clean process: no such operation")

    monkeypatch.setattr(verification, "run_isolated", run)
    report = exports.verify(exported, model, through="litert")
    assert set(report["refused"]) == set(exports.load(exported).manifest["signatures"])
    assert report["differences"] == {} and report["embedding_distance"] is None


def test_a_runtime_that_cannot_be_imported_is_an_error_and_no_refusal(exported, tmp_path):
    (tmp_path / "openvino.py").write_text("raise ImportError('libtbb.so.12: cannot open')")
    path = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    reader = tmp_path / "isolated_reader.py"
    source = Path(isolated_reader.__file__)
    reader.write_text(path + source.read_text())
    shutil.copy(source.with_name("reader_openvino.py"), tmp_path)
    clips = {"whole": np.zeros((1, 4, 16, 16, 1), np.uint8)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(isolated_reader, "__file__", str(reader))
        with pytest.raises(ImportError, match="openvino cannot be imported: ImportError: libtbb"):
            verification.run_one_by_one(exported, clips, "openvino")


def test_who_takes_float32_alone_is_told_of_others(exported, tmp_path, monkeypatch):
    folder = shutil.copytree(exported, tmp_path / "1")
    path = folder / manifest.NAME
    path.write_text(json.dumps(manifest.read(folder) | {"dtype": "mixed_bfloat16"}))
    said = "`through` litert must be given a float32 export.*computes in mixed_bfloat16"
    with pytest.raises(ValueError, match=said):
        exports.verify(folder, through="litert")
    with pytest.raises(ValueError, match="`through` must be one of .*through='onnx'"):
        exports.verify(folder, through="onnx")


@pytest.mark.slow
@pytest.mark.real_data
def test_the_numbers_on_recorded_footage_are_those_of_the_model(exported, model, real_data):
    videos = data_pipelines.open_source(real_data / "ucsd_ped2").videos
    frames = np.stack([frame for _, frame in zip(range(16), videos[0].frames())])
    report = exports.verify(exported, model, transforms.prepare(frames, (128, 192), 1).numpy())
    assert report["shapes"]["whole"] == [2, 16, 128, 192, 1]
    assert max(report["differences"].values()) <= 1e-3


@pytest.mark.slow
def test_a_signature_that_fails_in_the_clean_process_is_told(exported, clip):
    with pytest.raises(ValueError, match="fails in a clean process: .*divisible by 8"):
        verification.run_isolated(exported, {"odd": clip[:, :, :30]})


def test_honest_answers_pass(answers, exported, model):
    assert max(exports.verify(exported, model)["differences"].values()) <= 1e-3


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("cut/serving_default/embedding", "'embedding'"),
        ("whole/score/score", "'score'"),
        ("cut/step/score", "'step/score'"),
        ("cut/encode_jpeg/embedding", "'encode_jpeg/embedding'"),
    ],
)
def test_other_numbers_are_told(answers, exported, model, key, said):
    exports.verify(exported, model)
    answers[key] = answers[key] + 3e-3 * np.abs(answers[key]).max()
    with pytest.raises(ValueError, match=f"other numbers than the model.*{said}"):
        exports.verify(exported, model)


@pytest.mark.parametrize("signature", ["step", "encode_jpeg"])
def test_a_signature_that_was_not_run_is_told(answers, exported, model, signature):
    exports.verify(exported, model)
    run = verification.run_isolated

    def without(*given):
        found, about = run(*given)
        return {k: v for k, v in found.items() if f"/{signature}/" not in k}, about

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "run_isolated", without)
        with pytest.raises(ValueError, match=f"signatures unlike its manifest's: {signature}"):
            exports.verify(exported, model)


def test_a_level_of_a_byte_beyond_rounding_is_told(answers, exported, model):
    exports.verify(exported, model)
    future = answers["cut/rollout/future"]
    answers["cut/rollout/future"] = np.where(future > 127, future - 2, future + 2)
    with pytest.raises(ValueError, match="other numbers than the model.*future"):
        exports.verify(exported, model)


def test_another_shape_is_told(answers, exported, model):
    exports.verify(exported, model)
    answers["cut/score/score"] = answers["cut/score/score"][:, 1:]
    with pytest.raises(ValueError, match="cut/score/score has the shape"):
        exports.verify(exported, model)


def test_values_that_are_not_finite_are_told(answers, exported, model):
    exports.verify(exported, model)
    answers["whole/score/score"] = np.full_like(answers["whole/score/score"], np.nan)
    with pytest.raises(ValueError, match="whole/score/score has values that are not finite"):
        exports.verify(exported)


def test_equal_embeddings_of_different_clips_are_told(answers, exported):
    exports.verify(exported)
    embedding = answers["whole/serving_default/embedding"]
    answers["whole/serving_default/embedding"] = np.repeat(embedding[:1], 2, axis=0)
    with pytest.raises(ValueError, match="gives different clips the same embedding"):
        exports.verify(exported)


def test_a_changed_file_is_told_before_anything_runs(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "1")
    (folder / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ValueError, match="unlike its manifest's: saved_model.pb"):
        exports.verify(folder)


@pytest.mark.parametrize("shape", [(1, 8, 32, 48, 1), (12, 8, 48, 1), (12, 36, 48, 1)])
def test_a_clip_that_cannot_be_cut_is_told(exported, shape):
    with pytest.raises(ValueError, match="must have more than 8 frames, and a height and width"):
        exports.verify(exported, clip=np.zeros(shape, np.uint8))


def test_a_clip_of_floats_is_told(exported):
    with pytest.raises(ValueError, match="`clip` must be uint8 .* Received: float32"):
        exports.verify(exported, clip=np.zeros((12, 32, 48, 1), np.float32))


def test_the_clean_process_fails_where_the_project_was_imported(exported, clip, tmp_path):
    """This process has imported it, so that the reader run here must object."""
    np.savez(tmp_path / "clips.npz", whole=clip)
    with pytest.raises(RuntimeError, match="imported data_pipelines, exports, zoo"):
        isolated_reader.run(
            "tensorflow", str(exported), tmp_path / "clips.npz", tmp_path / "numbers.npz",
            tmp_path / "about.json",
        )  # fmt: skip
    assert not (tmp_path / "numbers.npz").exists()
