"""Synthetic anomalies: what they change, what they leave, and that they are what they say."""

import numpy as np
import pytest

from zoo.evaluation import synthetic_anomalies
from zoo.evaluation.synthetic_anomalies import KINDS, insert_anomaly


def _walkers(frames=60, height=64, width=96, channels=1, noise=2.0, seed=0):
    """Squares of different shades that walk to the right over a textured floor, uint8."""
    rng = np.random.default_rng(seed)
    floor = rng.integers(60, 120, (height, width, 1)).astype(np.float64)
    clip = np.repeat(floor[None], frames, axis=0)
    for top, left, shade in ((4, 0, 200), (28, 30, 20), (48, 60, 240)):
        for t in range(frames):
            columns = (left + t + np.arange(8)) % width
            clip[t, top : top + 10, columns] = shade
    clip = np.repeat(clip, channels, axis=-1)
    return np.clip(clip + rng.normal(0, noise, clip.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("as_float", [False, True])
def test_nothing_changes_outside_the_mask(kind, as_float):
    clip = _walkers(channels=3)
    clip = (clip / 255).astype(np.float32) if as_float else clip
    before = clip.copy()
    for seed in range(8):
        altered = insert_anomaly(clip, kind, seed)
        np.testing.assert_array_equal(clip, before)
        assert altered.clip.dtype == clip.dtype and altered.clip.shape == clip.shape
        np.testing.assert_array_equal(altered.clip[~altered.mask], clip[~altered.mask])
        changed = (altered.clip != clip).any(axis=-1)
        assert changed.sum() > 0.3 * altered.mask.sum()
        np.testing.assert_array_equal(altered.labels, altered.mask.any(axis=(1, 2)))
        assert 60 // 6 <= altered.labels.sum() <= 60 // 3
        top, left, height, width = altered.box
        assert not altered.mask[:, :top].any() and not altered.mask[:, :, :left].any()
        assert not altered.mask[:, top + height :].any()
        assert not altered.mask[:, :, left + width :].any()
        assert not altered.labels[0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides(kind):
    clip = _walkers()
    one, same, other = (insert_anomaly(clip, kind, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.clip, same.clip)
    np.testing.assert_array_equal(one.mask, same.mask)
    assert (one.clip != other.clip).any()


def _inner(altered):
    """The middle of the patch, where its weight is 1, in the frames where it is 1."""
    top, left, height, width = altered.box
    edge = synthetic_anomalies.EDGE_PIXELS
    frames = np.flatnonzero(altered.labels)
    fade = synthetic_anomalies.FADE_FRAMES
    return frames[fade:-fade], np.s_[
        top + edge : top + height - edge,
        left + edge : left + width - edge,
    ]


def test_backwards_plays_the_frames_before_in_reverse():
    clip = _walkers()
    altered = insert_anomaly(clip, "backwards", 1)
    start = int(np.argmax(altered.labels))
    frames, inner = _inner(altered)
    assert frames.size
    for t in frames:
        np.testing.assert_array_equal(altered.clip[t][inner], clip[2 * (start - 1) - t][inner])


def test_speed_plays_later_frames_two_or_three_times_as_fast():
    clip = _walkers()
    speeds = set()
    for seed in range(8):
        altered = insert_anomaly(clip, "speed", seed)
        start = int(np.argmax(altered.labels))
        frames, inner = _inner(altered)
        matching = [
            speed
            for speed in (1, 2, 3)
            if all(
                (altered.clip[t][inner] == clip[start - 1 + speed * (t - start + 1)][inner]).all()
                for t in frames
            )
        ]
        assert len(matching) == 1
        speeds.update(matching)
    assert speeds == {2, 3}


def test_place_keeps_the_background_of_this_place():
    # The floor differs everywhere and there is no noise, so where no walker comes from the other
    # place the patch must show this floor, not that one.
    clip = _walkers(noise=0.0)
    background = np.median(clip, axis=0)
    for seed in range(5):
        altered = insert_anomaly(clip, "place", seed)
        frames, inner = _inner(altered)
        shown, floor = altered.clip[frames][:, *inner], background[inner]
        on_floor = np.abs(shown - floor) < 1
        assert 0.3 < on_floor.mean() < 1
        assert (np.abs(shown - floor) > 40).any(), "somebody of the other place is seen"


@pytest.mark.parametrize("kind", KINDS)
def test_the_border_is_no_cue(kind):
    # With walkers far from the border of the patch, its border must not show: the floor has noise
    # of two levels, and no step along the border may be larger than noise explains.
    floor = np.full((60, 64, 96, 1), 100.0)
    floor += np.linspace(0, 40, 96)[:, None]
    for t in range(60):
        for left in (24, 72):
            floor[t, 30:34, left + (t // 2) % 4 : left + 4 + (t // 2) % 4] = 200
    clip = np.clip(floor + np.random.default_rng(0).normal(0, 2, floor.shape), 0, 255)
    clip = clip.astype(np.uint8)
    for seed in range(6):
        altered = insert_anomaly(clip, kind, seed)
        top, left, height, width = altered.box
        difference = altered.clip.astype(float) - clip
        frames = np.flatnonzero(altered.labels)
        edge = np.zeros(clip.shape[1:3], bool)
        edge[top : top + height, left : left + width] = True
        edge[top + 2 : top + height - 2, left + 2 : left + width - 2] = False
        assert np.abs(difference[frames][:, edge]).mean() < 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_contents_never_jump(kind):
    # One walker moves one pixel a frame over an even floor. Were there a cut, a whole walker
    # would come or go from one frame to the next; playing up to three times as fast, it moves by
    # three columns of its eight at the most, and a fade takes it away by quarters.
    clip = np.full((60, 64, 96, 1), 0.3, np.float32)
    for t in range(60):
        clip[t, 20:36, 10 + t : 18 + t] = 0.9
    whole = 16 * 8 * 0.6
    largest = []
    for seed in range(20):
        altered = insert_anomaly(clip, kind, seed).clip
        steps = np.abs(np.diff(altered, axis=0)).sum(axis=(1, 2, 3))
        # Three columns leave and three come; a fade beside the walker's own two adds a quarter of
        # the walker here and one of its copy there.
        assert steps.max() <= whole * (6 / 8 + 0.26)
        largest.append(steps.max())
    assert max(largest) > whole * 2 / 8 * 1.2, "something does happen"


def test_a_copy_of_the_last_frame_cannot_tell_which_way_time_runs():
    # Were patches put where most moves and filled with what moves less, this error would sink.
    clip = _walkers(frames=90, height=96, width=144)
    change = []
    for seed in range(40):
        altered = insert_anomaly(clip, "backwards", seed)
        frames = np.flatnonzero(altered.labels)[: -synthetic_anomalies.FADE_FRAMES]
        error = [
            np.square(np.diff(c.astype(float), axis=0)).mean(axis=(1, 2, 3))[frames - 1].mean()
            for c in (altered.clip, clip)
        ]
        change.append(error[0] / error[1])
    assert abs(np.mean(change) - 1) < 3 * np.std(change) / np.sqrt(40) + 0.005


def test_patches_lie_where_something_moves():
    clip = _walkers(noise=1.0)
    clip[:, 32:] = clip[:1, 32:]
    for seed in range(10):
        top, _, height, _ = insert_anomaly(clip, "speed", seed).box
        assert top < 32, "nothing moves in the lower half"


def test_wrong_clips_are_named():
    clip = _walkers()
    with pytest.raises(ValueError, match="`kind` must be one of .*kind='faster'"):
        insert_anomaly(clip, "faster", 0)
    with pytest.raises(ValueError, match=r"at least 24 frames of 32x32.*\(23, 64, 96, 1\)"):
        insert_anomaly(clip[:23], "speed", 0)
    with pytest.raises(ValueError, match="`clip` must have shape"):
        insert_anomaly(clip[..., 0], "speed", 0)
    with pytest.raises(ValueError, match="`clip` must show something that moves"):
        insert_anomaly(np.zeros_like(clip), "speed", 0)
