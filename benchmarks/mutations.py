"""Makers of damaged video files, each from a whole one and a generator of random numbers.

    damaged = MAKERS["bytes flipped"](path.read_bytes(), numpy.random.default_rng(seed))

`mutated_videos.py` runs them in hundreds; the tests, some. `videos` draws whole files to begin
with.
"""

import struct
import zlib
from fractions import Fraction

import numpy as np
from dying_decoder import ABORT

# What cameras and recorders write: end of the name, encoder, its format of pixels.
FORMATS = (
    ("avi", "mjpeg", "yuvj420p"), ("mp4", "libx264", "yuv420p"), ("mkv", "mpeg4", "yuv420p"),
    ("ts", "mpeg2video", "yuv420p"), ("mkv", "libx264", "yuv420p"), ("mp4", "mpeg4", "yuv420p"),
    ("avi", "mpeg4", "yuv420p"), ("ts", "libx264", "yuv420p"),
)  # fmt: skip

# So often in each twenty: what happens most, most.
SHARES = {
    "untouched": 3, "cut off": 4, "bytes flipped": 4, "blocks zeroed": 4, "header cut": 2,
    "renamed": 1, "empty": 1, "aborts": 1,
}  # fmt: skip


def untouched(content, rng):
    """The file as it is."""
    return content


def cut_off(content, rng):
    """What is there when the power fails, or a disk is full: at least one byte."""
    return content[: rng.integers(1, len(content))]


def bytes_flipped(content, rng):
    """One to two hundred bytes, anywhere, are others."""
    damaged = np.frombuffer(content, np.uint8).copy()
    places = rng.integers(len(damaged), size=rng.integers(1, 200))
    damaged[places] ^= rng.integers(1, 256, len(places), dtype=np.uint8)
    return damaged.tobytes()


def blocks_zeroed(content, rng):
    """One to four blocks of a disk were never written."""
    damaged = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        size = int(rng.choice([512, 4096]))
        begin = size * int(rng.integers(-(-len(content) // size)))
        end = min(begin + size, len(content))
        damaged[begin:end] = bytes(end - begin)
    return bytes(damaged)


def header_cut(content, rng):
    """The beginning is missing: up to half a kilobyte of it."""
    return content[rng.integers(1, 512) :]


def renamed(content, rng):
    """Another kind of file under the name of a video."""
    others = (
        b"a line of text\n" * 40,
        b"<!doctype html><title>404 Not Found</title>",
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
        b"PK\3\4\x14\0\0\0\x08\0" + zlib.compress(b"x" * 5000),
        b"\x1f\x8b\x08\0" + zlib.compress(b"y" * 5000),
        b"RIFF" + struct.pack("<I", 36 + 8000) + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8) + b"data"
        + struct.pack("<I", 8000) + bytes(8000),
        b"\x7fELF\2\1\1" + bytes(600),
        rng.bytes(3000),
        bytes(3000),
        png(rng.integers(0, 256, (24, 32), dtype=np.uint8)),
    )  # fmt: skip
    return others[rng.integers(len(others))]


def empty(content, rng):
    """Nothing was written."""
    return b""


def aborts(content, rng):
    """Of this one the decoder dies, where `dying_decoder.py` stands in for it."""
    return content + ABORT


MAKERS = {
    "untouched": untouched, "cut off": cut_off, "bytes flipped": bytes_flipped,
    "blocks zeroed": blocks_zeroed, "header cut": header_cut, "renamed": renamed, "empty": empty,
    "aborts": aborts,
}  # fmt: skip
_TURNS = [kind for turn in range(max(SHARES.values())) for kind in SHARES if turn < SHARES[kind]]


def write_mutated(folder, whole, number, seed):
    """Writes one file: which kind, of which whole file and how follow from `(seed, number)`.

    Args:
        folder: Path of a folder that exists.
        whole: List of Path of whole videos.
        number: From 0; each twenty hold every kind, as often as `SHARES` says.
        seed: int.

    Returns:
        `(kind, path, whole_path)`.
    """
    turn, place_in_turn = divmod(number, len(_TURNS))
    kind = _TURNS[place_in_turn]
    # Each kind is to meet each whole file, whatever their numbers have in common.
    begun = whole[(turn + place_in_turn) % len(whole)]
    rng = np.random.default_rng([seed, number])
    path = folder / f"{number:04d} {kind}{begun.suffix}"
    path.write_bytes(MAKERS[kind](begun.read_bytes(), rng))
    return kind, path, begun


def write_videos(folder, count=len(FORMATS), frames=60, size=(96, 144), fps=10, seed=0):
    """Writes whole videos of made-up places where squares go by, in all `FORMATS` in turn.

    Returns:
        List of Path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        suffix, codec, pixels = FORMATS[number % len(FORMATS)]
        path = folder / f"{number:02d}-{codec}.{suffix}"
        encode(path, place(frames, size, fps, seed + number), fps, codec, pixels)
        paths.append(path)
    return paths


def place(frames, size, fps, seed):
    """Yields grey frames, uint8 `(height, width)`, of a sharp, noisy place where squares go by."""
    rng = np.random.default_rng(seed)
    height, width = size
    blocks = rng.integers(40, 200, (-(-height // 6), -(-width // 6)), dtype=np.uint8)
    ground = np.kron(blocks, np.ones((6, 6), np.uint8))[:height, :width]
    noise = rng.normal(0, 3, (16, height, width))
    side, speed = max(4, height // 6), 0.4 * width  # pixels per second
    for number in range(frames):
        frame = ground + noise[rng.integers(16)]
        for lane in range(3):
            # One goes by every two and a half seconds, each lane at times of its own.
            left = int(speed * ((number / fps + 0.8 * lane) % 2.5)) - side
            top = lane * height // 3 + int(rng.integers(2))
            frame[top : top + side, max(0, left) : max(0, left + side)] = (10, 245, 120)[lane]
        yield np.clip(frame, 0, 255).astype(np.uint8)


def encode(path, frames, fps, codec, pixels):
    """Writes grey frames as a video file."""
    import av

    with av.open(str(path), "w") as container:
        stream = None
        for number, frame in enumerate(frames):
            if stream is None:
                stream = container.add_stream(codec, rate=fps)
                stream.height, stream.width = frame.shape
                stream.pix_fmt, stream.bit_rate = pixels, 2_000_000
            frame = av.VideoFrame.from_ndarray(frame, format="gray")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def png(picture):
    """A grey picture, uint8 `(height, width)`, as the bytes of a PNG file."""

    def chunk(name, content):
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    rows = b"".join(b"\0" + row.tobytes() for row in picture)
    header = struct.pack(">IIBBBBB", *picture.shape[::-1], 8, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b""))  # fmt: skip
