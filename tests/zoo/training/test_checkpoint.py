import errno
import json

import keras
import numpy as np
import pytest

from zoo.training import checkpoint, whole_files
from zoo.training.checkpoint import Checkpoints


class Killed(BaseException):
    """Stands for signal 9: nothing that a library catches."""


def compiled(model):
    model.compile(keras.optimizers.Adam(1e-2), loss="mse")
    model.optimizer.build(model.trainable_variables)
    return model


def train_a_little(model, batches):
    model.fit(batches(0), steps_per_epoch=3, verbose=0, shuffle=False)


def values(model):
    variables = (*model.variables, *model.optimizer.variables)
    return [keras.ops.convert_to_tensor(variable).numpy() for variable in variables]


def test_every_variable_comes_back(tmp_path, make_model, batches):
    model = compiled(make_model())
    train_a_little(model, batches)
    Checkpoints(tmp_path / "c").save(model, 3, {"seed": 4})
    other = compiled(make_model(seed=1))
    state = Checkpoints(tmp_path / "c").restore(other)
    assert (state["step"], state["seed"]) == (3, 4)
    for ours, theirs in zip(values(model), values(other), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert int(other.optimizer.iterations) == 3
    assert int(other.calls) == 3


def test_the_newest_are_kept(tmp_path, make_model):
    model = compiled(make_model())
    checkpoints = Checkpoints(tmp_path / "c", keep=2)
    for step in (5, 40, 300):
        checkpoints.save(model, step)
    assert checkpoints.steps() == [40, 300]
    assert checkpoints.restore(model)["step"] == 300


def test_the_newest_sound_one_is_kept_too(tmp_path, make_model):
    model = compiled(make_model())
    checkpoints = Checkpoints(tmp_path / "c", keep=2)
    for step, sound in ((1, 1), (2, 2), (3, 2), (4, 2), (5, 2)):
        checkpoints.save(model, step, sound_step=sound)
    assert checkpoints.steps() == [2, 4, 5]
    checkpoints.drop_after(4)
    assert checkpoints.steps() == [2, 4]
    checkpoints.save(model, 6, sound_step=6)
    assert checkpoints.steps() == [4, 6]


@pytest.mark.parametrize("part", ["model", "optimizer"])
def test_what_is_not_finite_is_not_saved(tmp_path, make_model, part):
    model = compiled(make_model())
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save(model, 1)
    variable = model.last.bias if part == "model" else model.optimizer.variables[-1]
    variable.assign(np.full(variable.shape, np.nan))
    said = f"`{variable.path}` is not finite after step 2: .*the last checkpoint is kept"
    with pytest.raises(FloatingPointError, match=said):
        checkpoints.save(model, 2)
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["step-00000001"]


def test_one_that_holds_what_is_not_finite_is_skipped(tmp_path, make_model, monkeypatch, caplog):
    model = compiled(make_model())
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save(model, 1)
    model.last.bias.assign([np.inf])
    # As versions did that did not look.
    monkeypatch.setattr(checkpoint, "_check_finite", lambda *_: None)
    checkpoints.save(model, 2)
    assert checkpoints.restore(model)["step"] == 1
    assert "is not finite" in caplog.text


def test_nothing_there_restores_nothing(tmp_path, make_model):
    assert Checkpoints(tmp_path / "c").restore(compiled(make_model())) is None


@pytest.mark.parametrize("damage", ["cut", "flipped", "no_state", "state_cut", "empty"])
def test_a_broken_checkpoint_is_skipped_for_the_one_before(
    tmp_path, make_model, damage, caplog
):
    model = compiled(make_model())
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save(model, 1)
    checkpoints.save(model, 2)
    folder = tmp_path / "c" / "step-00000002"
    arrays, state = folder / "arrays.npz", folder / "state.json"
    whole = arrays.read_bytes()
    if damage == "cut":
        arrays.write_bytes(whole[: len(whole) // 2])
    elif damage == "flipped":
        # Within the values of the first array: only the archive's checksum can tell.
        arrays.write_bytes(whole[:200] + bytes([whole[200] ^ 255]) + whole[201:])
    elif damage == "no_state":
        state.unlink()
    elif damage == "state_cut":
        state.write_text(state.read_text()[:20])
    else:
        arrays.write_bytes(b"")
    assert checkpoints.restore(model)["step"] == 1
    assert "skip broken checkpoint" in caplog.text


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_kill_while_writing_leaves_the_older_one(tmp_path, make_model, monkeypatch, call):
    model = compiled(make_model())
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save(model, 1)
    with monkeypatch.context() as patch:

        def kill(*arguments):
            raise Killed

        patch.setattr(whole_files.os, call, kill)
        with pytest.raises(Killed):
            checkpoints.save(model, 2)
    assert checkpoints.steps() == [1]
    assert checkpoints.restore(model)["step"] == 1
    assert [p.name for p in (tmp_path / "c").glob(".tmp-*")] == [".tmp-step-00000002"]
    checkpoints.save(model, 2)
    assert not list((tmp_path / "c").glob(".tmp-*"))
    assert checkpoints.restore(model)["step"] == 2


def test_a_full_disk_leaves_the_older_one_and_no_rest(tmp_path, make_model, monkeypatch):
    model = compiled(make_model())
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save(model, 1)

    def full(path, **arrays):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(checkpoint.np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(model, 2)
    assert [p.name for p in (tmp_path / "c").iterdir()] == ["step-00000001"]


def test_a_checkpoint_of_another_model_is_refused(tmp_path, make_model):
    Checkpoints(tmp_path / "c").save(compiled(make_model(filters=4)), 1)
    with pytest.raises(ValueError, match="made of, SmallModel; its config and shapes differ"):
        Checkpoints(tmp_path / "c").restore(compiled(make_model(filters=5)))


def test_a_checkpoint_of_another_optimizer_is_refused(tmp_path, make_model):
    model = compiled(make_model())
    Checkpoints(tmp_path / "c").save(model, 1)
    model.compile(keras.optimizers.SGD(), loss="mse")
    model.optimizer.build(model.trainable_variables)
    with pytest.raises(ValueError, match="the optimizer must be the one.*optimizer=SGD"):
        Checkpoints(tmp_path / "c").restore(model)


def test_the_name_and_precision_of_a_model_are_no_part_of_its_signature(make_model):
    ours = checkpoint.signature(make_model())
    assert checkpoint.signature(make_model(name="other", dtype="mixed_bfloat16")) == ours
    assert checkpoint.signature(make_model(filters=5)) != ours


def test_nothing_is_pickled(tmp_path, make_model):
    Checkpoints(tmp_path / "c").save(compiled(make_model()), 1)
    folder = tmp_path / "c" / "step-00000001"
    assert sorted(p.name for p in folder.iterdir()) == ["arrays.npz", "state.json"]
    assert json.loads((folder / "state.json").read_text())["step"] == 1
    with np.load(folder / "arrays.npz", allow_pickle=False) as stored:
        assert all(stored[key].dtype != object for key in stored.files)


def test_keeping_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`keep` must be at least 1. Received: keep=0"):
        Checkpoints(tmp_path, keep=0)
