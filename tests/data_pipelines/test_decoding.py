import logging

import numpy as np
import pytest

from data_pipelines import ClipSpec, Video, chunks, frame_indices, transforms
from data_pipelines.decoding import prepared_frames, resampled_length


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
        assert resampled_length(video, clip) == sum(1 for _ in prepared_frames(video, clip))


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
