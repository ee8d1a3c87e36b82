"""A made-up surveillance camera: video files of a street with truth, for trials without data.

Normal people walk along the street in one direction, at distances and speeds of their own, and
hide one another. In the test videos, one at a time, somebody cycles, runs or walks against the
flow. Sensor noise, slowly drifting light and the codec's losses lie over it. Whoever walks is
dressed in contrasts, whoever runs or cycles in one tone, and whoever walks against the flow walks
like all others: how much the picture changes does not tell what is abnormal.
"""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np

from data_pipelines.sources.base import Source, files_below
from data_pipelines.sources.cctv_drawing import Camera, draw_background, draw_people
from data_pipelines.sources.cctv_people import FAR, KINDS, NEAR, draw_mover
from data_pipelines.sources.video_files import VideoFile, check_written

# Written by `make`; tells `open_source` what the folder is.
_SCENE_FILE = "scene.json"

_SUFFIXES = {"MJPG": ".avi", "mp4v": ".mp4"}

# People who enter the view per second.
_ARRIVALS = 0.5

# Pixels of somebody abnormal that must be seen for a frame to count as abnormal.
_SEEN = 10

_ABNORMAL = KINDS[1:]

# Standard deviation of the sensor's noise in grey levels.
_NOISE = 3.0


class CCTVVideo(VideoFile):
    """A video of the scene with its truth.

    Args:
        name: Name within the source.
        path: Video file.
        truth_path: File of the truth, or `None` where all frames are normal.
        **about: As of `Video`.
    """

    def __init__(self, name, path, truth_path, **about):
        super().__init__(name, path, **about)
        self.truth_path = truth_path

    def frame_labels(self):
        if self.truth_path is None:
            return np.zeros(self.num_frames, bool)
        with np.load(self.truth_path, allow_pickle=False) as truth:
            return truth["frame_labels"]

    def masks(self):
        if self.truth_path is None:
            return None
        with np.load(self.truth_path, allow_pickle=False) as truth:
            packed, (height, width) = truth["masks"], truth["size"]
        return (
            np.unpackbits(row, count=height * width).reshape(height, width).astype(bool)
            for row in packed
        )

    def events(self):
        """Returns what happens, in order.

        Returns:
            List of dicts `kind`, `first_frame`, `last_frame`, counted from 0, both inclusive.
        """
        if self.truth_path is None:
            return []
        with np.load(self.truth_path, allow_pickle=False) as truth:
            return json.loads(str(truth["events"]))


def make(directory, seed=0, train_videos=6, test_videos=4, frames=300, size=(96, 144), fps=10,
         codec="MJPG"):
    """Makes the footage of one camera.

    Writes `train/NNN.avi` (normal only), `test/NNN.avi`, `truth/test_NNN.npz` (bool
    `frame_labels` `(frames,)`, `masks` as packed bits, `size`, `events` as JSON) and
    `scene.json`. The same arguments give the same pixels and the same truth.

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
            path = directory / split / f"{number:03d}{_SUFFIXES[codec]}"
            labels, masks = _write(path, rng, camera, background, crowd, abnormal, frames, fps,
                                   codec)
            if split == "test":
                _write_truth(directory / "truth", f"test_{number:03d}", labels, masks, abnormal,
                             fps)
    scene = {"kind": "synthetic_cctv", "seed": seed, "size": list(size), "fps": fps,
             "frames": frames, "codec": codec}
    # Last of all: a folder that was not finished is not taken for one.
    (directory / _SCENE_FILE).write_text(json.dumps(scene, indent=2) + "\n")
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
            path = directory / kind / f"{number:03d}{_SUFFIXES[codec]}"
            _write(path, rng, camera, background, [mover], [], frames, fps, codec)
    return directory


def is_source(path):
    """Says whether `make` wrote the folder."""
    return (Path(path) / _SCENE_FILE).is_file()


def open_source(path):
    """Opens footage that `make` wrote.

    Args:
        path: Folder.

    Returns:
        `Source` of kind `"synthetic_cctv"`, splits `"train"` and `"test"`.

    Raises:
        ValueError: `make` did not write the folder, or not to its end.
    """
    path = Path(path)
    if not is_source(path):
        raise ValueError(f"{path} is no finished scene: {_SCENE_FILE} is missing")
    videos = []
    for split in ("train", "test"):
        for file in files_below(path / split):
            truth = path / "truth" / f"{split}_{file.stem}.npz" if split == "test" else None
            videos.append(
                CCTVVideo(f"{split}/{file.stem}", file, truth, split=split, group=file.stem)
            )
    return Source("synthetic_cctv", path, videos)


def _prepared(directory, size, fps, codec, frames):
    if len(size) != 2 or min(size) < 48:
        raise ValueError(f"`size` must be (height, width), at least (48, 48). Received: {size!r}")
    if frames < 1:
        raise ValueError(f"`frames` must be at least 1. Received: frames={frames!r}")
    if fps <= 0:
        raise ValueError(f"`fps` must be above 0. Received: fps={fps!r}")
    if codec not in _SUFFIXES:
        raise ValueError(f"`codec` must be one of {sorted(_SUFFIXES)}. Received: codec={codec!r}")
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise ValueError(f"`directory` must be empty or not there. Received: {directory}")
    return directory


def _crowd(rng, camera, seconds):
    # Those who are in view when the video begins have come in earlier.
    slowest_crossing = 2 * camera.half_view(FAR)
    second, crowd = -slowest_crossing, []
    while second < seconds:
        mover = draw_mover(rng, camera, "walk", second)
        crowd.append(mover)
        if rng.random() < 0.3:
            z = float(np.clip(mover.z + rng.uniform(-0.8, 0.8), NEAR, FAR))
            crowd.append(draw_mover(rng, camera, "walk", second + rng.uniform(0.0, 0.6), z))
        second += rng.exponential(1 / _ARRIVALS)
    return crowd


def _abnormal(rng, camera, seconds, number):
    # One at a time, with normal frames before and between; the kinds take turns over the videos.
    movers, second, turn = [], rng.uniform(0.15, 0.25) * seconds, number
    while second < 0.85 * seconds:
        kind = _ABNORMAL[turn % len(_ABNORMAL)]
        mover = draw_mover(rng, camera, kind, second, z=rng.uniform(NEAR + 1.0, FAR - 2.0))
        movers.append(mover)
        second, turn = mover.end_sec + rng.uniform(3.0, 6.0), turn + 1
    return movers


def _write(path, rng, camera, background, crowd, abnormal, frames, fps, codec):
    import cv2

    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*codec), float(fps), (camera.width, camera.height)
    )
    if not writer.isOpened():
        raise ValueError(f"`codec` {codec} cannot be written here ({path})")
    # One large field of noise, shifted at random for each frame, costs a tenth of new draws.
    noise = rng.normal(0, _NOISE, (2 * camera.height, 2 * camera.width, 1)).astype(np.int16)
    noise = np.repeat(noise, 3, axis=2)
    shifts = rng.integers(0, (camera.height, camera.width), (frames, 2))
    drift = rng.uniform(0, 2 * math.pi, 2)
    labels, masks = np.zeros(frames, bool), np.zeros((frames, camera.height, camera.width), bool)
    try:
        for number in range(frames):
            second = number / fps
            frame = background.copy()
            marked = next((m for m in abnormal if m.start_sec <= second <= m.end_sec), None)
            seen = [m for m in crowd if m.start_sec <= second <= m.end_sec]
            mask = None
            if marked:
                seen.append(marked)
                mask = np.zeros(frame.shape[:2], np.uint8)
            draw_people(frame, camera, seen, second, mask, marked)
            if mask is not None and mask.sum() >= _SEEN:
                labels[number], masks[number] = True, mask > 0
            light = 1.0 + 0.06 * math.sin(0.11 * second + drift[0])
            light += 0.03 * math.sin(0.037 * second + drift[1])
            top, left = shifts[number]
            field = noise[top : top + camera.height, left : left + camera.width]
            frame = cv2.add(cv2.convertScaleAbs(frame, alpha=light), field, dtype=cv2.CV_8U)
            writer.write(frame)
    finally:
        writer.release()
    check_written(path, frames)
    return labels, masks


def _write_truth(folder, name, labels, masks, abnormal, fps):
    folder.mkdir(exist_ok=True)
    events = []
    for mover in abnormal:
        inside = np.arange(len(labels)) / fps
        found = np.flatnonzero(
            labels & (inside >= mover.start_sec) & (inside <= mover.end_sec)
        )
        if len(found):
            events.append({"kind": mover.kind, "first_frame": int(found[0]),
                           "last_frame": int(found[-1])})
    np.savez_compressed(
        folder / f"{name}.npz",
        frame_labels=labels,
        masks=np.packbits(masks.reshape(len(masks), -1), axis=1),
        size=np.array(masks.shape[1:]),
        events=np.array(json.dumps(events)),
    )
