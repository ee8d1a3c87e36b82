"""A made-up surveillance camera: video files of a street with truth, for trials without data.

Normal people walk along the street in one direction, at distances and speeds of their own, and
hide one another. In the test videos, one at a time, somebody cycles, runs or walks against the
flow. Sensor noise, slowly drifting light and the codec's losses lie over it. Whoever walks is
dressed in contrasts, whoever runs or cycles in one tone, and whoever walks against the flow walks
like all others: how much the picture changes does not tell what is abnormal.

`make_archive` makes hours of it, of several cameras, by day and at night.
"""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np

from data_pipelines.sources.base import Source, files_below
from data_pipelines.sources.cctv_archive import make_archive
from data_pipelines.sources.cctv_drawing import Camera, Figure, draw_background, draw_people
from data_pipelines.sources.cctv_files import SCENE_FILE, SUFFIXES, CCTVVideo, Truth, write_video
from data_pipelines.sources.cctv_people import FAR, KINDS, NEAR, draw_crowd, draw_mover
from data_pipelines.sources.cctv_plan import check_codec, check_size

# People who enter the view per second.
_ARRIVALS = 0.5

_ABNORMAL = KINDS[1:]

# Standard deviation of the sensor's noise in grey levels.
_NOISE = 3.0


def make(directory, seed=0, train_videos=6, test_videos=4, frames=300, size=(96, 144), fps=10,
         codec="MJPG"):
    """Makes the footage of one camera.

    Writes `train/NNN.avi` (normal only), `test/NNN.avi`, `truth/test_NNN.npz`, which `CCTVVideo`
    reads, and `scene.json`. The same arguments give the same pixels and the same truth.

    Args:
        directory: Folder to write; must be empty or not there.
        seed: Seed of the scene and of all that happens in it.
        train_videos: Number of videos of normal movement.
        test_videos: Number of videos with something abnormal in them.
        frames: Frames per video.
        size: `(height, width)` in pixels, at least `(48, 48)`.
        fps: Frames per second.
        codec: `"MJPG"` (always there, `.avi`) or `"mp4v"` (`.mp4`).

    Returns:
        Path of the folder, which `open_source` reads.

    Raises:
        ValueError: An argument breaks its rule, the folder is not empty, or the codec is missing.
        OSError: A video cannot be written whole, for one on a full disk.

    Example:
        >>> folder = make("street", train_videos=2, test_videos=1, frames=60)  # doctest: +SKIP
    """
    directory = _prepared(directory, size, fps, codec, frames=frames)
    camera = Camera(*size)
    background = draw_background(np.random.default_rng([seed, 0]), camera)
    for split, count in (("train", train_videos), ("test", test_videos)):
        (directory / split).mkdir()
        for number in range(count):
            rng = np.random.default_rng([seed, 1 + (split == "test"), number])
            crowd = _crowd(rng, camera, frames / fps)
            abnormal = _abnormal(rng, camera, frames / fps, number) if split == "test" else []
            about = (rng, camera, background, crowd, abnormal, frames, fps, codec)
            path = directory / split / f"{number:03d}{SUFFIXES[codec]}"
            if split == "train":
                _write(path, *about)
                continue
            (directory / "truth").mkdir(exist_ok=True)
            with Truth(directory / "truth" / f"test_{number:03d}.npz") as truth:
                _write(path, *about, truth)
    scene = {"kind": "synthetic_cctv", "seed": seed, "size": list(size), "fps": fps,
             "frames": frames, "codec": codec}
    # Last of all: a folder that was not finished is not taken for one.
    (directory / SCENE_FILE).write_text(json.dumps(scene, indent=2) + "\n")
    return directory


def make_kinds(directory, seed=0, clips_per_kind=12, frames=24, size=(96, 144), fps=10,
               codec="MJPG"):
    """Makes short clips of one person each, for a classifier of the kinds of movement.

    The camera and the street are those of `make` with the same seed and size. Writes
    `KIND/NNN.avi` for the kinds walk, cycle, run and against (the flow), which
    `open_source(directory, kind="labelled_folders")` reads.

    Args:
        directory: Folder to write; must be empty or not there.
        seed: Seed of the scene and of the people.
        clips_per_kind: Number of clips of each kind.
        frames: Frames per clip; the person passes the middle of the view about halfway.
        size: `(height, width)` in pixels, at least `(48, 48)`.
        fps: Frames per second.
        codec: As of `make`.

    Returns:
        Path of the folder.

    Raises:
        ValueError, OSError: As of `make`.
    """
    directory = _prepared(directory, size, fps, codec, frames=frames)
    camera = Camera(*size)
    background = draw_background(np.random.default_rng([seed, 0]), camera)
    for kind in KINDS:
        (directory / kind).mkdir()
        for number in range(clips_per_kind):
            rng = np.random.default_rng([seed, 3 + KINDS.index(kind), number])
            mover = draw_mover(rng, camera, kind, 0.0)
            middle_sec = rng.uniform(0.3, 0.7) * frames / fps
            mover = dataclasses.replace(
                mover, start_sec=middle_sec - mover.half_view / abs(mover.speed)
            )
            path = directory / kind / f"{number:03d}{SUFFIXES[codec]}"
            _write(path, rng, camera, background, [mover], [], frames, fps, codec)
    return directory


def is_source(path):
    """Says whether `make` or `make_archive` wrote the folder."""
    return (Path(path) / SCENE_FILE).is_file()


def open_source(path):
    """Opens footage that `make` or `make_archive` wrote.

    Args:
        path: Folder.

    Returns:
        `Source` of kind `"synthetic_cctv"`, splits `"train"` and `"test"`; each video is a group
        of its own, those of an archive are one group for each camera.

    Raises:
        ValueError: Neither wrote the folder, or not to its end.
    """
    path = Path(path)
    if not is_source(path):
        raise ValueError(f"{path} is no finished scene: {SCENE_FILE} is missing")
    videos = []
    for split in ("train", "test"):
        for file in files_below(path / split) if (path / split).is_dir() else ():
            name = file.relative_to(path).with_suffix("").as_posix()
            if file.parent == path / split:
                truth = path / "truth" / f"{split}_{file.stem}.npz" if split == "test" else None
                group = file.stem
            else:
                truth, group = path / "truth" / f"{name}.npz", file.parent.name
            videos.append(CCTVVideo(name, file, truth, split=split, group=group))
    return Source("synthetic_cctv", path, videos)


def _prepared(directory, size, fps, codec, frames):
    check_size(size)
    if frames < 1:
        raise ValueError(f"`frames` must be at least 1. Received: frames={frames!r}")
    if fps <= 0:
        raise ValueError(f"`fps` must be above 0. Received: fps={fps!r}")
    check_codec(codec)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise ValueError(f"`directory` must be empty or not there. Received: {directory}")
    return directory


def _crowd(rng, camera, seconds):
    # Those who are in view when the video begins have come in earlier.
    slowest_crossing = 2 * camera.half_view(FAR)
    return draw_crowd(rng, camera, -slowest_crossing, seconds, _ARRIVALS)


def _abnormal(rng, camera, seconds, number):
    # One at a time, with normal frames before and between; the kinds take turns over the videos.
    movers, second, turn = [], rng.uniform(0.15, 0.25) * seconds, number
    while second < 0.85 * seconds:
        kind = _ABNORMAL[turn % len(_ABNORMAL)]
        mover = draw_mover(rng, camera, kind, second, z=rng.uniform(NEAR + 1.0, FAR - 2.0))
        movers.append(mover)
        second, turn = mover.end_sec + rng.uniform(3.0, 6.0), turn + 1
    return movers


def _write(path, rng, camera, background, crowd, abnormal, frames, fps, codec, truth=None):
    import cv2

    # One large field of noise, shifted at random for each frame, costs a tenth of new draws.
    noise = rng.normal(0, _NOISE, (2 * camera.height, 2 * camera.width, 1)).astype(np.int16)
    noise = np.repeat(noise, 3, axis=2)
    shifts = rng.integers(0, (camera.height, camera.width), (frames, 2))
    drift = rng.uniform(0, 2 * math.pi, 2)
    seconds = np.arange(frames) / fps
    figures = [Figure(camera, mover, seconds) for mover in crowd + abnormal]

    def drawn():
        for number, second in enumerate(seconds.tolist()):
            frame = background.copy()
            seen = [track for track, figure in enumerate(figures)
                    if figure.first <= number <= figure.last]
            ids = None if truth is None else np.zeros(frame.shape[:2], np.uint8)
            draw_people(frame, [figures[track] for track in seen], number, ids)
            if truth is not None:
                kinds = [figures[track].mover.kind for track in seen]
                truth.add(ids, [(track, kind, kind in _ABNORMAL)
                                for track, kind in zip(seen, kinds, strict=True)])
            light = 1.0 + 0.06 * math.sin(0.11 * second + drift[0])
            light += 0.03 * math.sin(0.037 * second + drift[1])
            top, left = shifts[number]
            field = noise[top : top + camera.height, left : left + camera.width]
            yield cv2.add(cv2.convertScaleAbs(frame, alpha=light), field, dtype=cv2.CV_8U)

    write_video(path, drawn(), fps, codec)


__all__ = ["CCTVVideo", "is_source", "make", "make_archive", "make_kinds", "open_source"]
