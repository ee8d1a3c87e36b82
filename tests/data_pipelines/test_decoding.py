import logging
import threading
import time

import numpy as np
import pytest

from data_pipelines import ClipSpec, Video, chunks, decoding, frame_indices, transforms
from data_pipelines.decoding import prepared_frames, read_ahead


def video_of(array_video, frames, size=(12, 20), channels=3, **about):
    pixels = np.random.default_rng(0).integers(0, 255, (frames, *size, channels), np.uint8)
    return array_video("walk", pixels, **about)


@pytest.mark.parametrize("frames_per_chunk", [1, 7, 40, 100])
@pytest.mark.parametrize("frame_step", [1, 3])
def test_chunks_are_the_video_resized_and_resampled(array_video, frames_per_chunk, frame_step):
    video = video_of(array_video, 80, fps=20.0)
    clip = ClipSpec(fps=10.0, frame_step=frame_step, size=(8, 10))
    found = list(chunks(video, clip, frames_per_chunk))
    expected = transforms.prepare(video.pixels, (8, 10), 1).numpy()[:: 2 * frame_step]
    np.testing.assert_array_equal(np.concatenate(found), expected)
    assert frame_indices(80, 20.0, clip).tolist() == list(range(0, 80, 2 * frame_step))
    assert {len(c) for c in found[:-1]} <= {frames_per_chunk}
    assert all(c.dtype == np.uint8 for c in found)


def test_chunks_decode_no_further_than_needed(array_video):
    video = video_of(array_video, 500)
    next(chunks(video, ClipSpec(), 16))
    assert video.decoded < 100


def test_resampled_length_counts_the_frames_given(array_video):
    for fps in (None, 3.0, 7.0, 30.0):
        video = video_of(array_video, 47, fps=25.0)
        clip = ClipSpec(fps=fps)
        assert video.length_at(clip.fps) == sum(1 for _ in prepared_frames(video, clip))


def test_a_slow_source_is_said_once(array_video, caplog):
    video = video_of(array_video, 10, fps=5.0)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert sum(map(len, chunks(video, ClipSpec(fps=10.0)))) == 10
    assert [r.message for r in caplog.records] == [
        "5 frames per second is less than the 10 asked for; all frames are used, none invented"
    ]


def test_an_unknown_rate_is_said_once(array_video, caplog):
    video = video_of(array_video, 10)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert sum(map(len, chunks(video, ClipSpec(fps=10.0)))) == 10
    assert [r.message for r in caplog.records] == [
        "the frame rate is unknown; it is taken as the 10 asked for"
    ]


class Mixed(Video):
    def __init__(self):
        super().__init__("mixed", num_frames=4)

    def frames(self, start=0):
        for height in (8, 8, 12, 12):
            yield np.zeros((height, 16, 1), np.uint8)


def test_a_video_whose_frames_change_size_needs_a_size():
    with pytest.raises(ValueError, match=r"mixed: its frames change from \(8, 16\) to \(12, 16\)"):
        list(prepared_frames(Mixed(), ClipSpec()))
    assert len(list(prepared_frames(Mixed(), ClipSpec(size=(8, 8))))) == 4


def test_chunks_of_nothing_are_refused(array_video):
    with pytest.raises(ValueError, match="`frames_per_chunk` must be at least 1"):
        list(chunks(video_of(array_video, 3), ClipSpec(), 0))


class Counted(Video):
    """Frames of one level, and how many of them were asked for."""

    def __init__(self, name, frames, level=0, error=None):
        super().__init__(name, num_frames=frames)
        self.level, self.error, self.given = level, error, 0

    def frames(self, start=0):
        for _ in range(self.num_frames):
            self.given += 1
            yield np.full((64, 64, 1), self.level, np.uint8)
        if self.error:
            raise self.error


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_what_is_read_ahead_is_what_would_be_read(workers):
    videos = [Counted(str(number), 30 + number, number) for number in range(7)]
    found = [list(frames) for frames in read_ahead(videos, ClipSpec(size=(8, 12)), workers)]
    assert [len(frames) for frames in found] == [30 + number for number in range(7)]
    assert all((frame == n).all() for n, frames in enumerate(found) for frame in frames)
    assert found[0][0].shape == (8, 12, 1)


def test_videos_are_read_ahead_as_far_as_said_and_no_further(monkeypatch):
    monkeypatch.setattr(decoding, "_LOT_BYTES", 10 * 64 * 64)
    videos = [Counted(str(number), 1000) for number in range(5)]
    before = set(threading.enumerate())
    ahead = read_ahead(videos, ClipSpec(), 2)
    next(next(ahead))
    most = (decoding._LOTS + 2) * 10 + decoding._CHUNK
    until = time.monotonic() + 60
    while videos[1].given < decoding._LOTS * 10 and time.monotonic() < until:
        time.sleep(0.01)
    assert decoding._LOTS * 10 <= videos[1].given <= most
    assert videos[0].given <= most + 10 and videos[2].given == 0
    begun = set(threading.enumerate()) - before
    assert len(begun) == 2
    ahead.close()
    assert not [thread for thread in begun if thread.is_alive()]


def test_an_error_comes_where_its_frame_would(monkeypatch):
    videos = [Counted("good", 5), Counted("bad", 3, error=ValueError("bad breaks")),
              Counted("last", 5)]  # fmt: skip
    ahead = read_ahead(videos, ClipSpec(), 3)
    assert len(list(next(ahead))) == 5
    frames = next(ahead)
    with pytest.raises(ValueError, match="bad breaks"):
        list(frames)
    ahead.close()
    with pytest.raises(ValueError, match="`workers` must be at least 1. Received: workers=0"):
        next(read_ahead([], ClipSpec(), 0))
