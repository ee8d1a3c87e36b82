import gzip
import struct

import numpy as np
import pytest

from data_pipelines import ClipSpec, load, open_source
from data_pipelines.sources import moving_mnist

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte",
         "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(array):
    return struct.pack(f">BBBB{array.ndim}i", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def write_mnist(tmp_path):
    """A function that writes the four files of made-up digits: dark for training, else bright."""

    def write(train=None, test=None, pack=False, dotted=False):
        rng = np.random.default_rng(0)
        train = rng.integers(1, 101, (7, 28, 28), np.uint8) if train is None else train
        test = rng.integers(101, 256, (5, 28, 28), np.uint8) if test is None else test
        arrays = (train, np.zeros(len(train), np.uint8), test, np.zeros(len(test), np.uint8))
        for name, array in zip(FILES, arrays, strict=True):
            name = name.replace("-idx", ".idx") if dotted else name
            content = idx(array)
            (tmp_path / (name + ".gz" * pack)).write_bytes(
                gzip.compress(content) if pack else content
            )
        return tmp_path

    return write


def pixels(video):
    return np.stack(list(video.frames()))


def reference(digits, seed):
    """The authors' generator, a pixel at a time, on the draws of `seed`."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(digits), size=2)
    places = rng.random((2, 2))
    angles = rng.uniform(0.0, 2.0 * np.pi, 2)
    frames = np.zeros((20, 64, 64, 1), np.uint8)
    for digit in range(2):
        y, x = places[digit]
        v_y, v_x = np.sin(angles[digit]), np.cos(angles[digit])
        for frame in range(20):
            y, x = y + v_y * 0.1, x + v_x * 0.1
            if x <= 0:
                x, v_x = 0.0, -v_x
            if x >= 1:
                x, v_x = 1.0, -v_x
            if y <= 0:
                y, v_y = 0.0, -v_y
            if y >= 1:
                y, v_y = 1.0, -v_y
            top, left = int(36 * y), int(36 * x)
            for row in range(28):
                for column in range(28):
                    pixel = digits[chosen[digit]][row, column]
                    old = frames[frame, top + row, left + column, 0]
                    frames[frame, top + row, left + column, 0] = max(old, pixel)
    return frames


@pytest.mark.parametrize("pack,dotted", [(False, False), (True, False), (True, True)])
def test_the_files_of_mnist_are_told_and_read(write_mnist, pack, dotted):
    source = open_source(write_mnist(pack=pack, dotted=dotted))
    assert source.kind == "moving_mnist" and source.fps == 10.0
    assert source.splits == ("test", "train")
    assert len({video.name for video in source.videos}) == len(source.videos) == 20_000
    for split in source.splits:
        videos = open_source(source, split=split).videos
        assert len(videos) == 10_000 and videos[12].name == f"{split}/00012"
        assert {video.num_frames for video in videos} == {20}
        assert pixels(videos[0]).shape == (20, 64, 64, 1)


def test_frames_are_those_of_a_slow_reference(write_mnist):
    rng = np.random.default_rng(1)
    train, test = (rng.integers(0, 256, (n, 28, 28), np.uint8) for n in (7, 5))
    source = moving_mnist.open_source(write_mnist(train, test), seed=3, train_sequences=4)
    assert len(source.videos) == 10_004
    for number in range(4):
        expected = reference(train, (3, 0, number))
        np.testing.assert_array_equal(pixels(source.videos[number]), expected)
    for number in (0, 9_999):
        expected = reference(test, (0, 1, number))
        np.testing.assert_array_equal(pixels(source.videos[4 + number]), expected)


def test_a_digit_keeps_its_speed_and_turns_at_the_walls(write_mnist):
    # One lit pixel a digit, of a level of its own, shows where the digit is.
    digits = np.zeros((2, 28, 28), np.uint8)
    digits[0, 0, 0], digits[1, 0, 0] = 100, 200
    videos = moving_mnist.open_source(write_mnist(digits), train_sequences=800).videos
    starts, steps, places, lengths = [], [], [], []
    for video in videos[:800]:
        lit = [np.argwhere(frame[..., 0] == 200) for frame in video.frames()]
        # Twice the same digit, or both at one place: who is who is not seen.
        if any(len(found) != 1 for found in lit):
            continue
        track = np.concatenate(lit)
        starts.append(track[0])
        steps.append(track[1] - track[0])
        places.append(track)
        # Runs of six frames that touch no wall are straight lines of five steps.
        for first in range(14):
            run = track[first : first + 6]
            if run.min() > 0 and run.max() < 35:
                lengths.append(np.hypot(*(run[-1] - run[0])))
                # Rounding down moves each end by less than a pixel on each axis.
                assert np.abs(run - np.linspace(run[0], run[-1], 6)).max() < 2
                assert abs(lengths[-1] - 5 * 3.6) < 2**0.5
    places = np.concatenate(places)
    assert len(starts) > 200 and len(lengths) > 500
    assert places.min() == 0 and places.max() == 36
    assert np.mean(lengths) == pytest.approx(5 * 3.6, abs=0.1)
    # Uniform on 37 places: mean 18 and deviation 10.7; directions: no mean, half the square each.
    assert np.abs(np.mean(starts, 0) - 18).max() < 2.5
    assert np.abs(np.std(starts, 0) - 10.7).max() < 1.5
    assert np.abs(np.mean(steps, 0)).max() < 0.7
    assert np.abs(np.mean(np.square(steps), 0) - 3.6**2 / 2).max() < 1.5


def test_each_split_has_digits_of_its_own(write_mnist):
    source = open_source(write_mnist())
    for split, levels in (("train", (1, 100)), ("test", (101, 255))):
        videos = open_source(source, split=split).videos[:20]
        seen = np.unique(np.stack([pixels(video) for video in videos]))
        assert seen[0] == 0 and levels[0] <= seen[1] and seen[-1] <= levels[1]
        assert len(seen) == levels[1] - levels[0] + 2


def test_a_sequence_depends_on_seed_split_and_number_alone(write_mnist):
    digits = np.random.default_rng(2).integers(1, 256, (6, 28, 28), np.uint8)
    folder = write_mnist(digits, digits)
    few = moving_mnist.open_source(folder, seed=5, train_sequences=3)
    many = moving_mnist.open_source(folder, seed=5, train_sequences=6)
    other = moving_mnist.open_source(folder, seed=6, train_sequences=3)
    # In another order, and twice.
    first = [pixels(video) for video in few.videos[:5]]
    again = [pixels(video) for video in reversed(few.videos[:5])][::-1]
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[:3], [pixels(video) for video in many.videos[:3]])
    # The test split is one set for all; the train split is not.
    np.testing.assert_array_equal(first[3:], [pixels(video) for video in other.videos[3:5]])
    everything = first + [pixels(video) for video in (*other.videos[:3], many.videos[3])]
    assert len({sequence.tobytes() for sequence in everything}) == len(everything)
    # Nor is a test sequence the train sequence of its number, of any seed of both.
    zero = moving_mnist.open_source(folder, seed=0, train_sequences=2).videos[:4]
    assert len({pixels(video).tobytes() for video in zero}) == 4
    np.testing.assert_array_equal(list(few.videos[1].frames(17)), first[1][17:])


def test_sequences_stream_as_they_are_kept(write_mnist):
    source = moving_mnist.open_source(write_mnist(), train_sequences=5)
    source = open_source(source, split="train")
    for cache in (None, "memory"):
        clips = list(load(source, ClipSpec(frames=20, fps=10, size=(64, 64)), cache=cache))
        assert len(clips) == 5
        for video, clip in zip(source.videos, clips, strict=True):
            np.testing.assert_allclose(clip, pixels(video) / 255, atol=1e-6)


def test_what_is_missing_is_named(write_mnist):
    folder = write_mnist(pack=True)
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(ValueError, match="must hold the four files of MNIST, gzipped or not: "
                                         ".* Missing: t10k-labels-idx1-ubyte$"):
        open_source(folder)
    with pytest.raises(ValueError, match="`seed` must be at least 0. Received: seed=-1"):
        moving_mnist.open_source(folder, seed=-1)
    with pytest.raises(ValueError, match="`train_sequences` must be at least 1. Received: .*=0"):
        moving_mnist.open_source(folder, train_sequences=0)


@pytest.mark.parametrize(
    "name,content,message",
    [
        (FILES[0], b"", "must be an idx file of bytes in 3 dimensions, which begins with 00000803 "
                        ".*Received: 0 bytes that begin with nothing"),
        (FILES[0], idx(np.zeros(9, np.uint8)), "begins with 00000803 .* begin with 00000801"),
        (FILES[0], idx(np.zeros((2, 28, 28), np.uint8))[:12],
         "Received: 12 bytes that begin with 00000803"),
        (FILES[2], idx(np.zeros((2, 28, 28), np.uint8))[:-1],
         "must hold 2 x 28 x 28 bytes after its header, as that says. Received: 1567 bytes"),
        (FILES[2], gzip.compress(idx(np.zeros((2, 28, 28), np.uint8)))[:-9],
         "must be a whole gzip file. Received: one that is damaged or cut off"),
        (FILES[2], b"\x1f\x8b" + bytes(30), "must be a whole gzip file"),
        (FILES[0], idx(np.zeros((2, 28, 27), np.uint8)),
         r"must hold images of 28x28. Received: shape \(2, 28, 27\)"),
        (FILES[0], idx(np.zeros((0, 28, 28), np.uint8)), r"Received: shape \(0, 28, 28\)"),
        (FILES[1], idx(np.zeros(6, np.uint8)),
         "must hold a label for each of the 7 images of train-images.*Received: 6 labels"),
    ],
    # A packed file holds the time: as names, the bytes would differ from one process to the next.
    ids=range(9),
)
def test_a_file_that_is_none_of_mnist_is_named(write_mnist, name, content, message):
    folder = write_mnist()
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} .*{message}"):
        open_source(folder)


@pytest.mark.real_data
def test_the_simplest_predictions_score_what_they_are_known_to(real_data):
    videos = open_source(real_data / "mnist", split="test").videos[:300]
    sequences = np.stack([pixels(video) for video in videos]).astype(np.float32) / 255
    context, future = sequences[:, :10], sequences[:, 10:]

    def error(prediction):
        return np.square(future - prediction).sum(axis=(2, 3, 4)).mean()

    assert error(0) == pytest.approx(170, rel=0.06)
    assert error(context[:, -1:]) == pytest.approx(280, rel=0.06)
