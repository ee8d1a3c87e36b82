"""How shards are laid out: a folder of TFRecord files, one frame a record, and what tells of them.

    SHARDS/shard-00000-00000.tfrecord   frames of one or several videos, each a JPEG or PNG file
    SHARDS/index.npz                    of each record its length and a check; times, where uneven
    SHARDS/index.json                   videos, arguments, and of each shard what it holds

`tf.data.TFRecordDataset` reads the shards. Lengths tell where a record begins, so that a window is
read by one range; the check (CRC-32 of the record with its frame) tells damage without reading the
rest. `index.json` is written last and holds the check of `index.npz`: where it is, all is.

Nothing in these files depends on the time, the machine or the number of workers; on the versions of
FFmpeg, OpenCV and NumPy it does.
"""

import dataclasses
import hashlib
import io
import json
import re
import struct
import zlib

import numpy as np

from data_pipelines.sources.base import decoded_image

FORMAT = 1
INDEX, ARRAYS = "index.json", "index.npz"
SHARD = re.compile(r"shard-\d{5,}-\d{5,}\.tfrecord")

# A record: length, its check, content, its check. Checks are masked CRC-32C.
_HEADER, _FOOTER = struct.Struct("<QI"), struct.Struct("<I")
FRAMING = _HEADER.size + _FOOTER.size


@dataclasses.dataclass(frozen=True)
class Span:
    """A row of frames of one video in one shard.

    Attributes:
        video: Number of the video in the index.
        first: Number of its first frame here, of the video as it was prepared.
        count: How many frames.
    """

    video: int
    first: int
    count: int


@dataclasses.dataclass(frozen=True)
class Shard:
    """What is known of one shard.

    Attributes:
        name: File name.
        size: Bytes of the file.
        sha256: Check of the file, 64 hexadecimal digits.
        spans: List of `Span`, in the order of the records.
        lengths: uint32 `(records,)`: bytes of each record with its frame.
        checks: uint32 `(records,)`: CRC-32 of each record with its frame.
        times: float64 `(records,)` in seconds from the first frame of the video; NaN where frame
            `k` is of the time `k / fps`.
    """

    name: str
    size: int
    sha256: str
    spans: list
    lengths: np.ndarray
    checks: np.ndarray
    times: np.ndarray

    def to_dict(self):
        """Returns all but the arrays as values of JSON."""
        return {
            "name": self.name, "bytes": self.size, "sha256": self.sha256,
            "spans": [dataclasses.astuple(span) for span in self.spans],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, known, lengths, checks, times):
        """Returns the shard of what `to_dict` gave and of its arrays."""
        spans = [Span(*span) for span in known["spans"]]
        return cls(known["name"], known["bytes"], known["sha256"], spans, lengths, checks, times)


@dataclasses.dataclass(frozen=True)
class Index:
    """What a folder of shards holds.

    Attributes:
        arguments: Dict of how frames were prepared: `fps`, `size`, `channels`, `quality` and what
            limits a shard.
        videos: List of dicts: `name`, `label`, `group`, `split`, `fps`, `frames`, `declared` (how
            many frames the file says that it has, at this rate, or None), `start_hour` (of the
            clock, or None), and `source`, what its files were: the name of the first, their number,
            their bytes, and a check of names, sizes and times of change.
        shards: List of `Shard`, in the order of the videos.
    """

    arguments: dict
    videos: list
    shards: list

    def files(self):
        """Returns the files of the index: a dict from name to bytes, the last to be written last.

        They are the same for the same index.
        """
        arrays = io.BytesIO()
        np.savez_compressed(arrays, **{
            name: np.concatenate([getattr(shard, name) for shard in self.shards])
            for name in ("lengths", "checks", "times")
        })  # fmt: skip
        told = {
            "format": FORMAT, "arguments": self.arguments, "videos": self.videos,
            "shards": [shard.to_dict() for shard in self.shards],
            "arrays_sha256": hashlib.sha256(arrays.getvalue()).hexdigest(),
        }  # fmt: skip
        return {ARRAYS: arrays.getvalue(), INDEX: json.dumps(told, indent=1).encode() + b"\n"}

    @classmethod
    def read(cls, read):
        """Reads what `files` gave.

        Args:
            read: Function from the name of a file to its bytes.

        Raises:
            ValueError: A file is damaged, or of a later format; the text goes on after the folder.
        """
        content, shards, at = read(ARRAYS), [], 0
        try:
            told = json.loads(read(INDEX))
            later = told["format"] > FORMAT
            if not later and hashlib.sha256(content).hexdigest() == told["arrays_sha256"]:
                with np.load(io.BytesIO(content), allow_pickle=False) as found:
                    arrays = [found[name] for name in ("lengths", "checks", "times")]
                for known in told["shards"]:
                    end = at + sum(span[2] for span in known["spans"])
                    shards.append(Shard.from_dict(known, *(array[at:end] for array in arrays)))
                    at = end
                return cls(told["arguments"], told["videos"], shards)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise ValueError(f"has an {INDEX} that is damaged ({error})") from None
        if later:
            raise ValueError(f"is of format {told['format']}; this version reads {FORMAT}")
        raise ValueError(f"has an {ARRAYS} that is damaged: its check is another")


def encoded(frame, quality):
    """Encodes a frame.

    Args:
        frame: uint8 `(height, width, 1 or 3)`.
        quality: Of JPEG, from 1 to 100; or `"lossless"` for PNG.

    Returns:
        Bytes of an image file.
    """
    import cv2

    pixels = frame if frame.shape[-1] == 1 else frame[..., ::-1]
    if quality == "lossless":
        done, content = cv2.imencode(".png", pixels)
    else:
        done, content = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"a frame of {frame.shape} cannot be encoded with quality {quality}")
    return content.tobytes()


def record(content):
    """Frames bytes as a record of TFRecord.

    Example:
        >>> record(b"123456789")[-4:].hex()
        'e5b08ac7'
    """
    import google_crc32c

    length = struct.pack("<Q", len(content))
    return (
        length + _FOOTER.pack(_masked(google_crc32c.value(length))) + content
        + _FOOTER.pack(_masked(google_crc32c.value(content)))
    )  # fmt: skip


def frame_of(framed, check):
    """Decodes the frame of a record.

    Args:
        framed: Bytes of the record with its frame.
        check: CRC-32 that they must have.

    Returns:
        uint8 `(height, width, 1 or 3)`; `None` where the bytes are not those that were written.
    """
    if is_damaged(framed, check):
        return None
    return decoded_image(framed[_HEADER.size : -_FOOTER.size])


def is_damaged(framed, check):
    """Says whether the bytes of a record with its frame are others than those of the check."""
    return not len(framed) or zlib.crc32(framed) != check


def _masked(check):
    return ((check >> 15 | check << 17) + 0xA282EAD8) & 0xFFFFFFFF
