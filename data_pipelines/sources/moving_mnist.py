"""Moving MNIST, made from the idx files of MNIST: two digits that drift and bounce, 20 frames.

Made as the authors' generator makes it, to the detail that a digit which would cross a wall stops
at it for that frame. The sequences are not those of the published test file: those are not drawn
from a seed.

Reference: Srivastava, Mansimov and Salakhutdinov, Unsupervised Learning of Video Representations
using LSTMs, ICML 2015, https://arxiv.org/abs/1502.04681.
"""

import gzip
import math
import re
import zlib
from pathlib import Path

import numpy as np

from data_pipelines.sources.base import Source, Video

# Frames of a sequence, half of which are shown and half predicted in the literature.
FRAMES = 20

# Pixels of a side of a frame, and of a digit.
SIDE, DIGIT = 64, 28

# Way of a digit in one frame, as a part of its free range of 64 - 28 = 36 pixels: 3.6 pixels.
STEP = 0.1

# Nominal: nothing moves at a rate. Scoring and training need one to agree on.
FPS = 10.0

TEST_SEQUENCES = 10_000

# The test split is one fixed set, whatever the seed of the training split.
_TEST_SEED = 0

# Of each split: number in the seeds, its images and its labels.
_SPLITS = {
    "train": (0, "train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": (1, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


class MovingDigits(Video):
    """Two digits moving over black, drawn when frames are asked for.

    Each begins at a place drawn uniformly and moves by `STEP` of its free range per frame in a
    direction drawn uniformly: `(dy, dx) = 3.6 (sin a, cos a)` pixels. At a wall it stops for that
    frame and turns back. Places are rounded down to whole pixels; where digits overlap the
    brighter pixel is seen.

    Args:
        name: Name within the source.
        digits: uint8 `(count, 28, 28)`, the digits to draw two from.
        seed: Sequence of whole numbers that decides everything drawn.
        split: `"train"` or `"test"`.
    """

    def __init__(self, name, digits, seed, split):
        super().__init__(name, group=name, split=split, fps=FPS, num_frames=FRAMES)
        self.digits = digits
        self.seed = seed

    def frames(self, start=0):
        rng = np.random.default_rng(self.seed)
        chosen = self.digits[rng.integers(len(self.digits), size=2)]
        places, angles = rng.random((2, 2)), rng.uniform(0.0, 2.0 * np.pi, 2)
        speeds = STEP * np.stack([np.sin(angles), np.cos(angles)], axis=1)
        # Plain numbers: in NumPy each step of four values costs more than the drawing.
        tracks = [[_track(*axis) for axis in zip(*digit, strict=True)]
                  for digit in zip(places.tolist(), speeds.tolist(), strict=True)]
        corners = ((SIDE - DIGIT) * np.array(tracks)).astype(int)
        first, second = (_drawn(*digit) for digit in zip(chosen, corners, strict=True))
        yield from np.maximum(first, second)[start:, :, :, None]


def is_source(path):
    """Says whether one of the four files lies in `path`."""
    return any(_file(Path(path), name) for names in _SPLITS.values() for name in names[1:])


def open_source(path, seed=0, train_sequences=10_000):
    """Opens a folder of MNIST as Moving MNIST: 64x64 grey, 20 frames, two digits a sequence.

    Sequence `i` of the train split depends on `(seed, i)` alone, and is made of training digits;
    the 10,000 of the test split are always the same, and made of test digits. The digits, 55 MB,
    are read once; frames are drawn when asked for.

    Args:
        path: Folder of the four idx files of MNIST, each gzipped or not.
        seed: Seed of the train split, not negative.
        train_sequences: Number of sequences in the train split, at least 1.

    Returns:
        `Source` of kind `"moving_mnist"`, splits `"train"` and `"test"`, 10 frames per second
        (nominal); videos are named `train/00000` and so on.

    Raises:
        ValueError: An argument breaks its rule; a file is missing, cut off or no idx file.

    Example:
        >>> source = open_source("mnist/", train_sequences=50_000)  # doctest: +SKIP
        >>> next(source.videos[0].frames()).shape  # doctest: +SKIP
        (64, 64, 1)
    """
    for name, value, least in (("seed", seed, 0), ("train_sequences", train_sequences, 1)):
        if value < least:
            raise ValueError(f"`{name}` must be at least {least}. Received: {name}={value!r}")
    path = Path(path)
    names = [name for split in _SPLITS.values() for name in split[1:]]
    files = {name: _file(path, name) for name in names}
    missing = [name for name in names if files[name] is None]
    if missing:
        raise ValueError(
            f"{path} must hold the four files of MNIST, gzipped or not: {', '.join(names)}. "
            f"Missing: {', '.join(missing)}"
        )
    videos = []
    for split, (number, images, labels) in _SPLITS.items():
        digits = _digits(files[images], files[labels])
        split_seed, count = {
            "train": (seed, train_sequences), "test": (_TEST_SEED, TEST_SEQUENCES)
        }[split]
        videos += [
            MovingDigits(f"{split}/{i:05d}", digits, (split_seed, number, i), split)
            for i in range(count)
        ]
    return Source("moving_mnist", path, videos)


def read_idx(path, rank):
    """Reads an idx file of bytes, the format of MNIST, gzipped or not.

    Args:
        path: File: two zero bytes, 8 for bytes, the rank; the sizes as big-endian int32; the data.
        rank: Number of dimensions that it must have.

    Returns:
        uint8 array of that rank, read-only.

    Raises:
        ValueError: The file is no such idx file, or cut off.
    """
    content = Path(path).read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(
                f"{path} must be a whole gzip file. Received: one that is damaged or cut off "
                f"({error})"
            ) from error
    begin, header = bytes([0, 0, 8, rank]), 4 + 4 * rank
    if content[:4] != begin or len(content) < header:
        raise ValueError(
            f"{path} must be an idx file of bytes in {rank} dimensions, which begins with "
            f"{begin.hex()} and the sizes. Received: {len(content)} bytes that begin with "
            f"{content[:4].hex() or 'nothing'}"
        )
    shape = np.frombuffer(content, ">i4", rank, offset=4).tolist()
    if len(content) - header != math.prod(shape):
        raise ValueError(
            f"{path} must hold {' x '.join(map(str, shape))} bytes after its header, as that says. "
            f"Received: {len(content) - header} bytes"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _file(folder, name):
    # Some copies have a dot where the original has the first dash of the ending.
    for ending in ("", ".gz"):
        for spelled in (name, re.sub("-idx", ".idx", name)):
            if (folder / (spelled + ending)).is_file():
                return folder / (spelled + ending)
    return None


def _digits(images, labels):
    digits, count = read_idx(images, 3), len(read_idx(labels, 1))
    if not len(digits) or digits.shape[1:] != (DIGIT, DIGIT):
        raise ValueError(
            f"{images} must hold images of {DIGIT}x{DIGIT}. Received: shape {digits.shape}"
        )
    if count != len(digits):
        raise ValueError(
            f"{labels} must hold a label for each of the {len(digits)} images of {images.name}. "
            f"Received: {count} labels"
        )
    return digits


def _track(place, speed):
    """Returns the place on one axis at each frame, in [0, 1]: a list of `FRAMES` floats."""
    track = []
    for _ in range(FRAMES):
        place += speed
        if not 0.0 < place < 1.0:
            place, speed = min(max(place, 0.0), 1.0), -speed
        track.append(place)
    return track


def _drawn(digit, corners):
    """Draws a digit with its top left corner at `corners` `(2, FRAMES)`: `(FRAMES, 64, 64)`."""
    # A frame is a window on a plane that holds the digit: all frames are one look-up.
    margin = SIDE - DIGIT
    plane = np.pad(digit, margin)
    windows = np.lib.stride_tricks.sliding_window_view(plane, (SIDE, SIDE))
    return windows[margin - corners[0], margin - corners[1]]
