"""What the benchmark calls a whole file, on files broken on purpose."""

import json

import h5py
import numpy as np
import pytest


@pytest.fixture
def run(tmp_path):
    """A finished run folder with two arrays in its weights file."""
    with h5py.File(tmp_path / "model.weights.h5", "w") as file:
        for name in ("first", "second"):
            values = np.random.default_rng(0).random(4096)
            file.create_dataset(f"layers/{name}", data=values, chunks=(512,), fletcher32=True)
    step = tmp_path / "checkpoints" / "step-10"
    step.mkdir(parents=True)
    (step / "state.json").write_text(json.dumps({"step": 10}))
    np.savez(step / "arrays.npz", weight=np.ones(8))
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def test_a_run_that_can_be_read_is_whole_unless_something_half_written_is_left(script, run):
    assert script("kill_train").are_whole(run)
    (run / "checkpoints" / ".tmp-step-20").mkdir()
    assert not script("kill_train").are_whole(run)


@pytest.mark.parametrize("name", ["first", "second"])
def test_every_array_is_read(script, run, name):
    path = run / "model.weights.h5"
    with h5py.File(path) as file:
        chunk = file[f"layers/{name}"].id.get_chunk_info(3)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(OSError, match="[Cc]an't|[Cc]hecksum|filter"):
        script("kill_train").are_whole(run)


def test_one_bit_makes_other_weights(script, run):
    arrays_of, path = script("kill_train").arrays_of, run / "model.weights.h5"
    before = arrays_of(path)
    assert {name: len(content) for name, content in before.items()} == {
        "layers/first": 32768, "layers/second": 32768,
    }  # fmt: skip
    with h5py.File(path, "r+") as file:
        file["layers/second"][7] = np.nextafter(file["layers/second"][7], 1.0)
    assert arrays_of(path)["layers/first"] == before["layers/first"] and arrays_of(path) != before


def test_steps_of_finished_checkpoints_in_order(script, run):
    for name in ("step-9", "step-100", ".tmp-step-200"):
        (run / "checkpoints" / name).mkdir()
    assert script("kill_train").steps_of(run) == [9, 10, 100]


def test_a_kill_that_came_too_late_is_tried_earlier_in_another_folder(script, tmp_path):
    benchmark = script("kill_train")
    tried = []

    def kill(words, folder, moment, share, seconds):
        tried.append((words, folder.name, share))
        left = "nothing" if len(tried) == 3 else benchmark.ENDED
        return benchmark.Row("export", moment, left, "exit 0", left == "nothing")

    row = benchmark.in_time(kill, lambda there: [there.name], tmp_path / "e", "at random", 1.0, 9)
    assert row.is_good
    assert [(words, name) for words, name, _ in tried] == [
        (["e"], "e"), (["e_1"], "e_1"), (["e_2"], "e_2"),
    ]  # fmt: skip
    assert tried[0][2] > tried[1][2] > tried[2][2] > 0
    tried.clear()
    late = benchmark.in_time(
        lambda *_: benchmark.Row("export", "at random", benchmark.ENDED, "", False),
        lambda there: [], tmp_path / "e", "at random", 1.0, 9,
    )  # fmt: skip
    assert not late.is_good
