import shutil

import numpy as np
import pytest

import data_pipelines
import exports
from data_pipelines import transforms
from exports import isolated_reader, verification


@pytest.fixture
def answers(monkeypatch, exported, model):
    """Answers of the clean process, without its cost: as the model's own, to be falsified."""
    found = {}

    def run(folder, clips):
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
        return found

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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            verification, "run_isolated",
            lambda *given: {k: v for k, v in run(*given).items() if f"/{signature}/" not in k},
        )  # fmt: skip
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
        isolated_reader.run(str(exported), tmp_path / "clips.npz", tmp_path / "numbers.npz")
    assert not (tmp_path / "numbers.npz").exists()
