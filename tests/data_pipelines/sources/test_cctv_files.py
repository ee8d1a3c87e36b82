import tracemalloc

import numpy as np
import pytest

from data_pipelines.sources.cctv_files import CCTVVideo, Truth, write_video

SIZE = (48, 64)


def video(folder, count=3):
    frames = (np.full((*SIZE, 3), 10 * n % 250, np.uint8) for n in range(count))
    write_video(folder / "v.avi", frames, 10, "MJPG")
    return CCTVVideo("v", folder / "v.avi", folder / "v.npz")


def test_truth_reads_back_as_it_was_added(tmp_path):
    ids = np.zeros((3, *SIZE), np.uint8)
    ids[0, 5:9, 3:8] = 1
    ids[1, 5:9, 4:9] = 1
    ids[1, 6:12, 7:20] = 2  # Hides a part of the first, and something of four pixels is behind it.
    ids[1, 20:22, 30:32] = 3
    with Truth(tmp_path / "v.npz") as truth:
        truth.add_conditions(weather="rain")
        truth.add(ids[0], [(70, "walk", False)], (1, -2), camera="a")
        truth.add(ids[1], [(70, "walk", False), (71, "left", True), (72, "run", True)], camera="a")
        truth.add(ids[2], [(70, "walk", False), (71, "left", True)], camera="a")
    found = video(tmp_path)
    assert found.frame_labels().tolist() == [False, True, False]
    masks = np.stack(list(found.masks()))
    np.testing.assert_array_equal(masks, (ids >= 2) & (np.arange(3) == 1)[:, None, None])
    assert found.events() == [
        {"kind": "left", "track": 71, "first_frame": 1, "camera": "a", "last_frame": 1}]
    assert [tuple(row)[:4] + (row["box"].tolist(), row["pixels"]) for row in found.tracks()] == [
        (0, 70, "walk", False, [5, 3, 8, 7], 20),
        (1, 70, "walk", False, [5, 4, 8, 8], 14),
        (1, 71, "left", True, [6, 7, 11, 19], 78),
        (1, 72, "run", True, [20, 30, 21, 31], 4),
    ]
    assert found.shake().tolist() == [[1, -2], [0, 0], [0, 0]]
    assert found.conditions() == [{"first_frame": 0, "weather": "rain"}]


def peak(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("what", ["write", "masks"])
def test_the_memory_that_truth_takes_does_not_grow_with_the_video(tmp_path, what):
    rng = np.random.default_rng(0)
    ids = [(rng.random(SIZE) < 0.5).astype(np.uint8) for _ in range(20)]

    def write(count):
        with Truth(tmp_path / f"{count}.npz") as truth:
            for number in range(count):
                truth.add(ids[number % 20], [(7, "run", True)])

    def read(count):
        seen = CCTVVideo("v", known.path, tmp_path / f"{count}.npz")
        assert sum(1 for mask in seen.masks() if mask.any()) == count

    lengths, known = (600, 3000), video(tmp_path)
    for count in lengths:
        write(count)
    short, long = (peak(lambda: (write if what == "write" else read)(count)) for count in lengths)
    # All masks of the long one are 0.9 MB more, as bits.
    assert long - short < 150_000
    assert short > 100_000


def test_a_video_that_cannot_be_opened_for_writing_is_said(tmp_path):
    with pytest.raises(ValueError, match="`codec` MJPG cannot be written here"):
        write_video(tmp_path / "no" / "v.avi", [np.zeros((*SIZE, 3), np.uint8)], 10, "MJPG")
