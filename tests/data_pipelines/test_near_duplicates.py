"""Copies are found whatever was done to them; other goings-on in the same place are not."""

import pickle

import cv2
import numpy as np
import pytest

from data_pipelines.near_duplicates import (
    LEAST_SHARE,
    MOST_MOMENTS,
    Moments,
    agreement,
    find,
    groups,
    perceptual_hash,
)


def signature(frames, fps=10.0):
    moments = Moments()
    for number, frame in enumerate(frames):
        moments.add(number / fps, frame)
    return moments.signature()


def compressed(frames, quality=30):
    return [
        cv2.imdecode(cv2.imencode(".jpg", f, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 0)
        for f in frames
    ]


@pytest.mark.parametrize(
    "copied",
    [
        lambda frames: frames,
        compressed,
        lambda frames: [cv2.resize(f, (90, 60), interpolation=cv2.INTER_AREA) for f in frames],
        lambda frames: np.clip(frames * 0.8 + 30, 0, 255).astype(np.uint8),
        lambda frames: frames[53:171],
        lambda frames: compressed(frames[37:]),
    ],
)
def test_a_copy_agrees(street, copied):
    frames = street(200)
    assert agreement(signature(frames), signature(copied(frames))) >= LEAST_SHARE


def test_a_copy_at_another_rate_agrees(street):
    frames = street(500, per_second=25)
    assert agreement(signature(frames, 25), signature(frames[::2], 12.5)) >= LEAST_SHARE


def test_videos_of_one_place_do_not_agree(street):
    signatures = {seed: signature(street(200, seed)) for seed in range(6)}
    found = [agreement(signatures[a], signatures[b]) for a in range(6) for b in range(a)]
    assert max(found) < LEAST_SHARE / 2
    assert find(signatures) == []


def test_places_where_nothing_moves_do_not_agree(street):
    still = np.repeat(street(1), 100, axis=0)
    assert len(signature(still).times) == 0
    assert agreement(signature(still), signature(still)) == 0.0


def test_groups_are_found_in_order(street):
    first, second = signature(street(150, 0)), signature(street(150, 1))
    copy = signature(compressed(street(150, 0)))
    found = find({"b": first, "a": second, "c": copy}, same_bytes=[["x", "y"]])
    assert found == [["x", "y"], ["b", "c"]]
    assert groups([("a", "b"), ("c", "d"), ("d", "b"), ("e", "f")]) == [
        ["a", "b", "c", "d"], ["e", "f"],
    ]  # fmt: skip


def test_a_hash_says_what_looks_alike(street):
    picture = cv2.resize(street(1)[0], (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    other = cv2.resize(street(1, place=1)[0], (32, 32)).astype(np.float32)
    brighter = perceptual_hash(picture * 1.2 + 9)
    assert (perceptual_hash(picture) ^ brighter).bit_count() <= 2
    assert (perceptual_hash(picture) ^ perceptual_hash(other)).bit_count() > 16


def test_moments_are_bounded_and_the_liveliest_are_kept():
    rng, moments = np.random.default_rng(0), Moments()
    frames = rng.integers(0, 255, (50, 32, 32), dtype=np.uint8)
    for number in range(8000):
        frame = frames[rng.integers(50)] // (1 if number % 40 < 20 else 4)
        moments.add(number / 5, frame)
    found = moments.signature()
    assert MOST_MOMENTS // 2 <= len(found.times) <= MOST_MOMENTS
    lively = (np.round(found.times * 5).astype(int) % 40) <= 20
    assert lively.mean() > 0.95


@pytest.mark.parametrize("step_sec", [0.0, 1e-6])
def test_a_broken_clock_does_not_fill_the_memory(step_sec):
    rng, moments, sizes = np.random.default_rng(0), Moments(), []
    frames = rng.integers(0, 255, (9, 32, 32), dtype=np.uint8)
    for number in range(1200):
        moments.add(number * step_sec, frames[number % 9])
        if number in (400, 1199):
            sizes.append(len(pickle.dumps(moments)))
    assert sizes[1] <= 1.02 * sizes[0]
