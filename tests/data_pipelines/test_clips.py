import numpy as np
import pytest

from data_pipelines.clips import (
    ClipSpec,
    frame_indices,
    given_rate,
    is_too_slow,
    resample,
    resample_live,
    window_starts,
    windows,
)


def slow_windows(video, clip):
    """Every window by plain indexing, as the documentation says it."""
    stride = clip.stride if clip.stride else clip.frames * clip.frame_step
    found, start = [], 0
    while start + (clip.frames - 1) * clip.frame_step < len(video):
        found.append(video[start : start + clip.frames * clip.frame_step : clip.frame_step])
        start += stride
    return [w[: clip.frames] for w in found]


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("frame_step", [1, 2, 3])
@pytest.mark.parametrize("stride", [None, 1, 2, 7])
@pytest.mark.parametrize("length", [1, 5, 14, 23])
def test_windows_are_those_of_plain_indexing(frames, frame_step, stride, length):
    clip = ClipSpec(frames=frames, frame_step=frame_step, stride=stride)
    video = np.random.default_rng(0).integers(0, 255, (length, 2, 3, 1), np.uint8)
    expected = slow_windows(video, clip)
    found = list(windows(iter(video), clip))
    assert len(found) == len(expected) == len(window_starts(length, clip))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_window_is_given_before_the_stream_goes_on():
    taken = []

    def stream():
        for number in range(10):
            taken.append(number)
            yield np.full((1, 1, 1), number, np.uint8)

    next(windows(stream(), ClipSpec(frames=3)))
    assert taken == [0, 1, 2]


def test_where_no_frame_is_there_is_no_window_either():
    frames = [np.full((1, 1, 1), n, np.uint8) for n in range(4)]
    found = list(windows([None, frames[0], None, None, *frames[1:]], ClipSpec(frames=2)))
    assert [w if w is None else w.ravel().tolist() for w in found] == [
        None, None, None, [0, 1], [2, 3]]


@pytest.mark.parametrize("source_fps,fps", [(25.0, 10.0), (30.0, 10.0), (10.05, 10.0), (7.0, 5.0)])
def test_live_frames_are_brought_to_a_rate_by_when_they_arrive(source_fps, fps):
    rng = np.random.default_rng(0)
    arrived = np.arange(500) / source_fps + rng.uniform(0, 0.2 / source_fps, 500)
    kept = [arrived[n] for n in resample_live(enumerate(arrived), fps)]
    assert len(kept) == pytest.approx(500 / source_fps * fps, abs=2)
    assert np.diff(kept).min() > 0.5 / fps


def test_live_frames_that_come_slowly_or_after_a_gap_are_all_given():
    slow = np.arange(20) / 4
    assert list(resample_live(enumerate(slow), 10.0)) == list(range(20))
    assert list(resample_live(enumerate(np.zeros(3)), None)) == [0, 1, 2]
    # Nothing is made up for after a gap.
    gap = [0.0, 0.1, 0.2, 9.0, 9.02, 9.04, 9.06, 9.08, 9.1]
    assert list(resample_live(enumerate(gap), 10.0)) == [0, 1, 2, 3, 7]
    assert list(resample_live([(None, 0.0), (1, 0.1), (None, 0.2), (2, 0.3)], 10)) == [
        None, 1, None, 2]


@pytest.mark.parametrize("source_fps,fps", [(30.0, 10.0), (25.0, 10.0), (29.97, 12.0), (50.0, 7.0)])
def test_resampling_takes_the_frame_nearest_in_time(source_fps, fps):
    kept = list(resample(range(200), source_fps, fps))
    assert kept == frame_indices(200, source_fps, ClipSpec(fps=fps)).tolist()
    assert all(b > a for a, b in zip(kept, kept[1:], strict=False))
    for number, frame in enumerate(kept):
        assert abs(frame / source_fps - number / fps) <= 0.5 / source_fps + 1e-9
    assert len(kept) == pytest.approx(200 * fps / source_fps, abs=1)


@pytest.mark.parametrize("source_fps", [None, 5.0, 10.0, 10.05, 9.97])
def test_no_frame_is_invented_or_lost_when_the_source_is_not_faster(source_fps):
    assert list(resample(range(20), source_fps, 10.0)) == list(range(20))
    assert frame_indices(20, source_fps, ClipSpec(fps=10.0)).tolist() == list(range(20))


@pytest.mark.parametrize(
    ("source_fps", "fps", "rate"),
    [(25.0, 10.0, 10.0), (10.05, 10.0, 10.05), (9.97, 10.0, 9.97), (5.0, 10.0, 5.0),
     (None, 10.0, 10.0), (25.0, None, 25.0), (None, None, None)],
)  # fmt: skip
def test_the_given_rate_is_that_of_the_frames_left(source_fps, fps, rate):
    assert given_rate(source_fps, fps) == rate
    if source_fps:
        left = len(list(resample(range(10_000), source_fps, fps)))
        assert left / 10_000 * source_fps == pytest.approx(rate, rel=1e-3)


def test_only_a_much_slower_source_is_too_slow():
    assert is_too_slow(5.0, 10.0)
    assert not is_too_slow(9.97, 10.0)
    assert not is_too_slow(None, 10.0)
    assert not is_too_slow(5.0, None)


def test_frame_step_counts_resampled_frames():
    assert frame_indices(30, 20.0, ClipSpec(fps=10.0, frame_step=2)).tolist() == list(
        range(0, 30, 4)
    )


def test_span_and_stride():
    clip = ClipSpec(frames=4, frame_step=3)
    assert (clip.span, clip.window_stride) == (10, 12)
    assert ClipSpec(frames=4, stride=2).window_stride == 2


@pytest.mark.parametrize(
    "arguments,message",
    [
        ({"frames": 0}, r"`frames` must be a whole number of at least 1. Received: frames=0"),
        ({"frame_step": 0}, "`frame_step` must be a whole number of at least 1"),
        ({"stride": -1}, r"`stride` must be .* Received: stride=-1"),
        ({"frames": 2.5}, "`frames` must be a whole number"),
        ({"fps": 0}, "`fps` must be above 0. Received: fps=0"),
        ({"fps": float("nan")}, "`fps` must be above 0"),
        ({"channels": 2}, r"`channels` must be 1 \(grey\) or 3 \(RGB\). Received: channels=2"),
        ({"size": 64}, r"`size` must be \(height, width\)"),
        ({"crop": (0, 8)}, r"`crop` must be \(height, width\)"),
        ({"crop_mode": "left"}, "`crop_mode` must be one of .*motion.* Received: crop_mode='left'"),
        ({"size": (32, 48), "crop": (64, 40)}, r"`crop` must .* largest that fits is \(32, 40\)"),
    ],
)
def test_what_breaks_a_rule_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ClipSpec(**arguments)
