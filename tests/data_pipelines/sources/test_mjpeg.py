import io

import cv2
import numpy as np
import pytest

from data_pipelines.sources import mjpeg
from data_pipelines.sources.mjpeg import BrokenImage, BrokenStream, JPEGScan, decode_jpeg, parts

PIXELS = np.random.default_rng(0).integers(0, 255, (24, 40, 3), np.uint8)


def jpeg(image=PIXELS, *options):
    return cv2.imencode(".jpg", image, list(options))[1].tobytes()


def stream(*contents, separator=b"--x", length=True, header=b""):
    said = [b"Content-Length: %d\r\n" % len(c) if length else b"" for c in contents]
    begin = separator + b"\r\nContent-Type: image/jpeg\r\n" + header
    return b"".join(begin + s + b"\r\n" + c + b"\r\n"
                    for s, c in zip(said, contents, strict=True))


def contents(data, boundary="x", max_bytes=1 << 20, at_once=1 << 16):
    source = io.BytesIO(data)
    return [c for _, c in parts(lambda n: source.read(min(n, at_once)), boundary, max_bytes)]


@pytest.mark.parametrize("at_once", [1, 7, 1 << 16])
@pytest.mark.parametrize("length", [True, False])
def test_parts_come_apart(length, at_once):
    images = [jpeg(PIXELS[: 8 * n]) for n in (1, 2, 3)]
    assert contents(stream(*images, length=length), at_once=at_once) == images


@pytest.mark.parametrize(
    "boundary,separator",
    [("x", b"--x"), ("--x", b"--x"), ("--x", b"----x"), ("x", b"x"), (None, b"--anything"),
     ("--video boundary--", b"--video boundary--"), ("", b"--x")],
)
def test_dashes_around_the_boundary_may_differ(boundary, separator):
    images = [jpeg(), jpeg()]
    assert contents(b"\r\n" + stream(*images, separator=separator), boundary) == images


def test_headers_are_told_in_lower_case():
    data = stream(b"ab", header=b"X-TimeStamp:  12.5 \r\n")
    ((headers, content),) = parts(io.BytesIO(data).read, "x", 100)
    assert (headers["x-timestamp"], content) == ("12.5", b"ab")


def test_without_a_length_a_part_is_given_when_its_image_ends():
    source = io.BytesIO(stream(jpeg(), length=False).removesuffix(b"\r\n"))
    assert next(parts(source.read, "x", 1 << 20))[1] == jpeg()


@pytest.mark.parametrize("options", [(cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
                                     (cv2.IMWRITE_JPEG_RST_INTERVAL, 1)])
def test_the_end_of_any_jpeg_is_found(options):
    # A preview within the image has an end of its own.
    preview = jpeg(PIXELS[:8, :8])
    whole = jpeg(PIXELS, *options)
    whole = whole[:2] + b"\xff\xe1" + (len(preview) + 2).to_bytes(2, "big") + preview + whole[2:]
    scan = JPEGScan()
    assert scan.advance(whole + b"more") and scan.end == len(whole) and scan.size == (24, 40)
    grown = JPEGScan()
    assert [n for n in range(len(whole) + 1) if grown.advance(whole[:n])] == [len(whole)]


def test_a_broken_image_without_a_length_costs_itself_alone():
    whole = jpeg()
    data = stream(whole, whole[: len(whole) // 2], whole, b"text", whole, whole[:10], whole,
                  length=False)
    assert contents(data) == [whole, None, whole, None, whole, None, whole]


def test_a_wrong_length_is_got_over():
    whole = jpeg()
    short = stream(whole).replace(b"Length: %d" % len(whole), b"Length: 100")
    found = contents(short + stream(whole, whole))
    assert found == [whole[:100], whole, whole]
    odd = stream(whole).replace(b"Length: %d" % len(whole), b"Length: -5")
    assert contents(odd + stream(whole)) == [whole, whole]


def test_memory_is_bounded():
    class Endless:
        given = 0

        def __init__(self, begin, more):
            self.begin, self.more = begin, more

        def read(self, n):
            chunk, self.begin = self.begin or self.more * (n // len(self.more)), b""
            self.given += len(chunk)
            return chunk

    begin = b"--x\r\n\r\n" + jpeg()[:-2]
    for source, message in (
        (Endless(begin, b"\0"), "a part of more than 100000 bytes"),
        (Endless(b"--x\r\n", b"a"), "headers of a part of 16384 bytes"),
        (Endless(b"--x\r\n", b"a: b\r\n"), "headers of a part of"),
        (Endless(b"", b"a"), "no boundary between parts within"),
        (Endless(b"", b"a\n"), "no boundary between parts within"),
        (Endless(b"--x\r\nContent-Length: 100001\r\n\r\n", b"\0"), "a part of 100001 bytes, more"),
    ):
        with pytest.raises(BrokenStream, match=message):
            list(parts(source.read, "x", 100_000))
        assert source.given < 400_000


@pytest.mark.parametrize("cut", [0, 3, 12, 40, 100, 200])
def test_a_stream_may_end_anywhere(cut):
    data = stream(jpeg(), jpeg())
    assert contents(data[: len(data) - cut])[0] == jpeg()


def test_images_are_grey_or_rgb():
    red = np.zeros((16, 24, 3), np.uint8)
    red[..., 2] = 200
    assert np.abs(decode_jpeg(jpeg(red))[0, 0].astype(int) - (200, 0, 0)).max() < 8
    grey = decode_jpeg(jpeg(red[..., 2]) + b"\0\0")
    assert grey.shape == (16, 24, 1) and grey.dtype == np.uint8


def test_a_broken_image_is_refused(monkeypatch):
    whole = jpeg()
    for data, message in (
        (b"", "ends before"),
        (whole[:-40], "ends before"),
        (b"no image", "no JPEG"),
        (whole[:2] + whole, "begins within another"),
        (whole[:2] + b"\xff\xe0\0\1" + whole[2:], "segment without length"),
        (whole[:2] + b"\xff\xd9", "of the size None"),
    ):
        with pytest.raises(BrokenImage, match=message):
            decode_jpeg(data)
    monkeypatch.setattr(mjpeg, "_MAX_PIXELS", 24 * 40 - 1)
    with pytest.raises(BrokenImage, match=r"of the size \(24, 40\)"):
        decode_jpeg(whole)
