"""What the decoder makes of files, against frames that were written and against OpenCV."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from data_pipelines import decode_worker, transforms
from data_pipelines.clips import ClipSpec, frame_indices
from data_pipelines.decode_worker import (
    LONGEST_GAP_SEC,
    Sampler,
    converted,
    decode,
    probe,
    window,
)


@pytest.fixture
def encode(tmp_path):
    """Function that writes frames with FFmpeg, at any times, and gives the path."""

    def write(frames, name="a.mp4", codec="mpeg4", rate=10, times=None, pixels="yuv420p", turned=0,
              interlaced=False):  # fmt: skip
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=rate)
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = pixels
            stream.bit_rate = 4_000_000
            if times is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
            if interlaced:
                stream.options = {"flags": "+ildct+ilme", "top": "1"}
            if turned:
                stream.set_display_rotation(turned)
            for number, pixels_ in enumerate(frames):
                kind = "gray" if pixels_.ndim == 2 else "rgb24"
                frame = av.VideoFrame.from_ndarray(pixels_, format=kind)
                if times is not None:
                    frame.pts, frame.time_base = round(1000 * times[number]), Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return str(path)

    return write


def numbered(count, shape=(48, 64)):
    """Frames that are as bright as their number tells: 5 levels a frame."""
    return [np.full((*shape, 3), 20 + 5 * number, np.uint8) for number in range(count)]


def numbers(found):
    return [round((float(frame.mean()) - 20) / 5) for frame in found]


def split(items):
    *frames, report = items
    return [time for time, _ in frames], [frame for _, frame in frames], report


@pytest.mark.parametrize("source_fps", [12, 25, Fraction(30000, 1001), 30, 60])
@pytest.mark.parametrize("fps", [5, 10, 11.5])
def test_evenly_spaced_frames_are_taken_as_their_numbers_tell(source_fps, fps):
    """Time and number agree where a video is even: truth per frame goes by numbers."""
    sampler = Sampler(fps, float(source_fps))
    given = [item for n in range(200) for item in sampler.add(float(n / source_fps), n)]
    given += sampler.end()
    expected = frame_indices(200, float(source_fps), ClipSpec(fps=fps))
    assert [frame for _, frame in given] == expected.tolist()
    np.testing.assert_allclose([time for time, _ in given], np.arange(len(given)) / fps)


def test_times_rounded_to_milliseconds_change_nothing():
    sampler = Sampler(10, 25)
    given = [item for n in range(50) for item in sampler.add(round(n / 25, 3), n)]
    assert [n for _, n in given + sampler.end()] == [0, 3, 5, 8, 10, 13, 15, 18, 20, 23, 25, 28, 30,
                                                     33, 35, 38, 40, 43, 45, 48]  # fmt: skip


def test_a_varying_rate_gives_even_moments_and_fills_short_gaps():
    times = [0.0, 0.02, 0.04, 0.5, 0.52, 0.61]
    sampler = Sampler(10, 20)
    given = [item for n, time in enumerate(times) for item in sampler.add(time, n)]
    given += sampler.end()
    nearest = [int(np.abs(np.array(times) - moment).argmin()) for moment in np.arange(7) / 10]
    assert [n for _, n in given] == nearest == [0, 2, 2, 3, 3, 3, 5]


def test_after_a_pause_the_moments_begin_again():
    times = [0.0, 0.1, 0.2, 0.2 + LONGEST_GAP_SEC + 5.03, 5.33 + LONGEST_GAP_SEC]
    sampler = Sampler(10, 10)
    given = [item for n, time in enumerate(times) for item in sampler.add(time, n)] + sampler.end()
    assert [n for _, n in given] == [0, 1, 2, 3, 4]
    assert [time for time, _ in given][3] == times[3]
    # A clock that jumps back begins anew too.
    sampler = Sampler(10, 10)
    given = [item for n, time in enumerate([5.0, 5.1, 0.0, 0.1]) for item in sampler.add(time, n)]
    assert [n for _, n in given + sampler.end()] == [0, 1, 2, 3]


@pytest.mark.parametrize("rate", [12, 25, Fraction(30000, 1001)])
def test_files_of_any_rate_give_clips_of_the_same_duration(encode, rate):
    path = encode(numbered(40), rate=rate)
    times, found, report = split(decode(path, fps=10, channels=1))
    expected = [round(float(time * rate) + 1e-6) for time in np.arange(len(found)) / 10]
    assert np.abs(np.subtract(numbers(found), expected)).max() <= 1
    # Those before the middle of the last frame's time.
    assert len(found) == np.ceil(39.5 / float(rate) * 10) and report["read"] == 40
    np.testing.assert_allclose(times, np.arange(len(found)) / 10)


def test_a_variable_rate_is_seen_and_followed(encode):
    times = np.cumsum([0] + [0.04] * 10 + [0.2] * 5 + [0.04] * 10)
    path = encode(numbered(len(times)), name="a.mkv", rate=25, times=times)
    assert probe(path)["varies"] and not probe(encode(numbered(30)))["varies"]
    moments, found, _ = split(decode(path, fps=10, channels=1))
    nearest = [int(np.abs(times - moment).argmin()) for moment in moments]
    assert np.abs(np.subtract(numbers(found), nearest)).max() <= 1
    assert moments[-1] == pytest.approx(times[-1], abs=0.1)


def test_frames_left_out_at_the_start_are_those_that_would_be_given(encode):
    path = encode(numbered(20), rate=20)
    for fps in (None, 10):
        times, found, _ = split(decode(path, fps=fps, channels=1))
        later_times, later, _ = split(decode(path, fps=fps, channels=1, start=4))
        assert later_times == times[4:] and numbers(later) == numbers(found)[4:]


@pytest.mark.parametrize("turned", [90, 180, -90])
def test_a_turned_recording_is_given_as_it_is_to_be_shown(encode, turned):
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:24, :32, 0] = 250  # red, above on the left
    path = encode([frame] * 3, turned=turned)
    shown = np.rot90(frame, turned // 90)
    _, (found, *_), _ = split(decode(path))
    assert found.shape == shown.shape == ((64, 48, 3) if turned % 180 else (48, 64, 3))
    assert np.abs(found.astype(int) - shown).mean() < 3
    facts = probe(path)
    assert (facts["height"], facts["width"]) == found.shape[:2]
    assert (facts["rotation"] - turned) % 360 == 0
    _, (small, *_), _ = split(decode(path, size=(32, 24), channels=1))
    assert small.shape == (32, 24, 1)


def test_colour_size_and_grey_are_those_of_the_transforms(encode):
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (12, 16, 3), np.uint8)
    frames = [cv2.resize(small, (320, 240), interpolation=cv2.INTER_CUBIC)] * 2
    path = encode(frames, codec="ffv1", name="a.mkv", pixels="yuv444p")
    _, (rgb, *_), _ = split(decode(path))
    assert np.abs(rgb.astype(int) - frames[0]).mean() < 3
    _, (found, *_), _ = split(decode(path, size=(96, 144), channels=3))
    expected = transforms.prepare(rgb, (96, 144), 3).numpy().astype(int)
    assert np.abs(found - expected).max() <= 2
    _, (grey, *_), _ = split(decode(path, size=(96, 144), channels=1))
    expected = transforms.prepare(frames[0], (96, 144), 1).numpy().astype(int)
    assert np.abs(grey - expected).mean() < 1.5


def test_ten_bits_and_odd_sizes_are_read(encode):
    frames = [np.full((49, 63), 20 + 5 * number, np.uint8) for number in range(5)]
    path = encode(frames, codec="ffv1", name="a.mkv", pixels="yuv420p10le")
    _, found, _ = split(decode(path, channels=1))
    assert found[0].shape == (49, 63, 1) and numbers(found) == list(range(5))
    assert probe(path)["pixel_format"] == "yuv420p10le"


def test_a_grey_file_is_grey_unless_colour_is_asked_for(encode):
    path = encode([np.full((16, 16), 90, np.uint8)] * 2, codec="ffv1", name="a.mkv", pixels="gray")
    assert [frame.shape for _, frame in list(decode(path))[:-1]] == [(16, 16, 1)] * 2
    assert [frame.shape for _, frame in list(decode(path, channels=3))[:-1]] == [(16, 16, 3)] * 2


def test_interlaced_frames_are_woven_apart(encode):
    """A bar that moves between the two fields of a frame leaves a comb, unless it is taken out."""
    frames = []
    for number in range(6):
        frame = np.full((64, 96, 3), 16, np.uint8)
        for field in range(2):
            left = 8 + 12 * number + 6 * field
            frame[field::2, left : left + 10] = 235
        frames.append(frame)
    path = encode(frames, codec="mpeg2video", name="a.mpg", rate=25, interlaced=True)
    *items, report = decode(path, channels=1)
    assert report["interlaced"] and len(items) == 6
    combs = [np.abs(np.diff(frame[..., 0].astype(int), axis=0)).mean() for _, frame in items]
    assert max(combs) < 0.3 * np.abs(np.diff(frames[2][..., 0].astype(int), axis=0)).mean()


def test_a_packet_that_cannot_be_decoded_costs_no_more_than_itself(encode):
    path = encode(numbered(30), codec="mjpeg", name="a.avi", pixels="yuvj420p")
    content = bytearray(Path(path).read_bytes())
    begin = content.find(b"\xff\xd8", len(content) // 2)
    end = content.find(b"\xff\xd9", begin)
    content[begin:end] = bytes(end - begin)
    Path(path).write_bytes(content)
    _, found, report = split(decode(path, channels=1))
    assert 27 <= len(found) < 30 and report["errors"] + report["corrupt"] >= 1
    assert numbers(found)[0] == 0 and numbers(found)[-1] == 29


def test_what_holds_no_picture_is_refused(tmp_path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(LookupError, match="no video stream"):
        probe(str(path))


def test_a_frame_is_converted_without_a_size(encode):
    with av.open(encode(numbered(2))) as container:
        frame = next(container.decode(video=0))
        assert converted(frame, None, None).shape == (48, 64, 3)
        assert converted(frame, (8, 10), 1).shape == (8, 10, 1)


def speckled(count, shape=(48, 64)):
    """Frames that an encoder cannot guess from one another."""
    rng = np.random.default_rng(count)
    noise = rng.integers(0, 255, (count, shape[0] // 8, shape[1] // 8), np.uint8)
    return [np.repeat(np.kron(frame, np.ones((8, 8), np.uint8))[..., None], 3, -1)
            for frame in noise]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [("a.mp4", "mpeg4", 25), ("a.mkv", "libx264", Fraction(30000, 1001)), ("a.avi", "mjpeg", 12),
     ("a.ts", "mpeg2video", 25), ("a.mp4", "libx265", 10)],
)  # fmt: skip
@pytest.mark.parametrize("fps", [None, 8])
def test_a_window_is_what_the_whole_file_gives_there(encode, name, codec, rate, fps):
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = encode(speckled(150), name, codec, rate, pixels=pixels)
    _, whole, report = split(decode(path, fps=fps, channels=1))
    assert report["errors"] == 0
    per_sec = fps or float(rate)
    for start in (0, 1, 7, 19, 30, len(whole) - 4, 2):
        times, frames, report = split(window(path, start / per_sec, 4, fps=fps, channels=1))
        np.testing.assert_array_equal(frames, whole[start : start + 4])
        np.testing.assert_allclose(times, start / per_sec + np.arange(4) / per_sec, atol=2e-3)
        assert report == {"read": 4, "errors": 0, "corrupt": 0}


def test_a_window_reads_from_the_key_frame_before_it(encode):
    """`mpeg4` sets one every twelve frames."""
    path = encode(speckled(400), "a.mp4", "mpeg4", 25)
    list(window(path, 1.0, 2))
    decoder = decode_worker._opened(path)
    read, decoded = [], decoder._decoded
    decoder._decoded = lambda: (read.append(frame) or frame for frame in decoded())
    assert len(list(window(path, 12.0, 2))) == 3
    assert 4 <= len(read) < 30
    assert decode_worker._opened(path) is decoder


def test_a_window_of_an_interlaced_file_is_that_of_the_whole(encode):
    frames = speckled(60)
    path = encode(frames, "a.ts", "mpeg2video", 25, interlaced=True)
    _, whole, report = split(decode(path, channels=1))
    assert report["interlaced"]
    for start in (30, 41):
        _, found, _ = split(window(path, start / 25, 3, channels=1))
        np.testing.assert_array_equal(found, whole[start : start + 3])


def test_a_window_ends_with_the_file_and_before_a_pause(encode):
    times = [*np.arange(20) / 10, *(30 + np.arange(20) / 10)]
    path = encode(numbered(40), "a.mkv", "libx264", 10, times)
    assert numbers(split(window(path, 1.5, 4))[1]) == [15, 16, 17, 18]
    assert numbers(split(window(path, 1.7, 6))[1]) == [17, 18, 19]
    assert numbers(split(window(path, 1.7, 6, fps=10))[1]) == [17, 18, 19]
    assert numbers(split(window(path, 31.7, 6, fps=10))[1]) == [37, 38, 39]
    assert split(window(path, 40.0, 2))[1] == []
    # In the pause there is nothing to give.
    assert split(window(path, 10.0, 2, fps=10))[1] == []
    assert split(window(path, 10.0, 2))[1] == []


def test_a_file_that_was_replaced_is_opened_anew(encode, tmp_path):
    path = encode(numbered(20), "a.mp4")
    assert numbers(split(window(path, 1.0, 1))[1]) == [10]
    other = encode(numbered(20)[::-1], "b.mp4")
    Path(other).replace(path)
    assert numbers(split(window(path, 1.0, 1))[1]) == [9]


def test_few_files_stay_open(encode):
    paths = [encode(numbered(20), f"{number}.mp4") for number in range(6)]
    for path in paths:
        assert numbers(split(window(path, 0.5, 1))[1]) == [5]
    assert list(decode_worker._open) == paths[-4:]
