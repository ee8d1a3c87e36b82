"""Records against those of TensorFlow; images and the index against what went in."""

import json

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import shard_format
from data_pipelines.shard_format import ARRAYS, INDEX, Index, Shard, Span


def test_records_are_those_of_tensorflow(tmp_path):
    rng = np.random.default_rng(0)
    contents = [rng.bytes(n) for n in (0, 1, 4, 1023, 70_000)]
    with tf.io.TFRecordWriter(str(tmp_path / "a")) as writer:
        for content in contents:
            writer.write(content)
    assert b"".join(map(shard_format.record, contents)) == (tmp_path / "a").read_bytes()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality, error", [("lossless", 0), (95, 4), (5, 40)])
def test_a_frame_comes_back(street, channels, quality, error):
    frame = np.repeat(street(1, noise=0)[0][..., None], channels, axis=-1)
    frame[..., -1] //= 2  # so that red and blue are not alike
    framed = shard_format.record(shard_format.encoded(frame, quality))
    found = shard_format.frame_of(framed, shard_format.zlib.crc32(framed))
    assert found.shape == frame.shape and found.dtype == np.uint8
    off = np.abs(found.astype(int) - frame).mean()
    assert error / 10 <= off <= error


def test_any_byte_that_is_another_is_seen():
    framed = shard_format.record(shard_format.encoded(np.zeros((8, 8, 1), np.uint8), 95))
    check = shard_format.zlib.crc32(framed)
    for place in (0, 9, 20, len(framed) - 1):
        damaged = bytearray(framed)
        damaged[place] ^= 1
        assert shard_format.frame_of(bytes(damaged), check) is None
    assert shard_format.frame_of(framed[:-1], check) is None
    assert shard_format.frame_of(b"", 0) is None


@pytest.fixture
def index():
    shards = [
        Shard(f"shard-0000{n}-00000.tfrecord", 100 + n, 64 * "a",
              [Span(0, 3 * n, 2), Span(1, 0, 1)], np.array([30, 31, 32 + n], np.uint32),
              np.array([1, 2, 2**32 - 1], np.uint32), np.array([np.nan, 0.5 + n, np.nan]))
        for n in range(2)
    ]  # fmt: skip
    return Index({"fps": 10.0}, [{"name": "a\nb \udcff"}, {"name": "ü"}], shards)


def test_an_index_comes_back_and_is_the_same_bytes_each_time(index):
    files = index.files()
    assert list(files) == [ARRAYS, INDEX] and index.files() == files
    found = Index.read(files.get)
    assert (found.arguments, found.videos) == (index.arguments, index.videos)
    for a, b in zip(found.shards, index.shards, strict=True):
        assert (a.to_dict(), a.spans) == (b.to_dict(), b.spans)
        for name in ("lengths", "checks", "times"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_a_damaged_index_is_said_to_be(index):
    files = index.files()
    damaged = bytearray(files[ARRAYS])
    damaged[len(damaged) // 2] ^= 1
    with pytest.raises(ValueError, match="has an index.npz that is damaged"):
        Index.read({**files, ARRAYS: bytes(damaged)}.get)
    with pytest.raises(ValueError, match="has an index.json that is damaged"):
        Index.read({**files, INDEX: files[INDEX][:-20]}.get)
    later = json.dumps({**json.loads(files[INDEX]), "format": 2}).encode()
    with pytest.raises(ValueError, match="is of format 2; this version reads 1"):
        Index.read({**files, INDEX: later}.get)
