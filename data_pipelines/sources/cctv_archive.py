"""Footage of `synthetic_cctv` by the hour: several cameras, day and night, weather and wind."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from data_pipelines.sources import cctv_day, cctv_schedule
from data_pipelines.sources.cctv_drawing import Figure
from data_pipelines.sources.cctv_files import SCENE_FILE, SUFFIXES, Truth, write_video
from data_pipelines.sources.cctv_plan import CONDITIONS, Plan
from data_pipelines.sources.cctv_scene import Scene
from data_pipelines.whole_files import locked

# What the folder holds until all is made, with the plan.
_UNFINISHED = "scene.unfinished.json"
_LOCK = ".lock"

# What names of files begin with while they are written.
_ASIDE = ".part."

_PROGRAM = Path(__file__).with_name("cctv_worker.py")


def make_archive(directory, seed=0, cameras=2, train_hours=1.0, test_hours=1.0, *,
                 events_per_hour=12.0, start_hour=8.0, size=(96, 144), fps=10,
                 minutes_per_file=10, conditions=CONDITIONS, codec="MJPG", workers=None):
    """Makes hours of footage of several cameras with the truth of every frame.

    Each camera looks at a street of its own and runs through: first the training part, in which
    all is normal, then the test part. Who is in view where one file ends is there where the next
    begins. The same arguments give the same pixels and the same truth, with any number of workers;
    a call that was ended is gone on with by the same call. Writes `train/camera0/000.avi`, ...,
    `test/camera0/006.avi`, ..., numbered through both, `truth/` with a file for each of them, which
    `CCTVVideo` reads, and last `scene.json`.

    Args:
        directory: Folder to write; must be empty, not there, or hold this very archive, begun or
            finished.
        seed: Seed of the streets and of all that happens in them.
        cameras: Number of cameras.
        train_hours: Hours of normal footage of each camera, whole minutes.
        test_hours: Hours of each camera with events in them, whole minutes.
        events_per_hour: Events of the test part: somebody cycles, runs, walks against the flow,
            loiters, or leaves a bag, in turns; 0 for a normal test part.
        start_hour: Hour of the clock at which the archive begins, in [0, 24).
        size: `(height, width)` in pixels, at least `(48, 48)`.
        fps: Frames per second, whole frames per minute.
        minutes_per_file: Minutes of a video file; the last one of a part may be shorter.
        conditions: Which of `"night"` (darkness by the clock, lamps, more noise), `"weather"`
            (spells of rain, fog and snow), `"shake"` (gusts that shift the picture) and `"empty"`
            (minutes in which nobody comes, events aside) there are.
        codec: `"MJPG"` (`.avi`) or `"mp4v"` (`.mp4`), half as large and hardly faster, in which an
            empty street may stand still: its encoder leaves the noise out when it runs short.
        workers: Processes that make files at the same time, `None` for one per processor; 1 makes
            them in this process.

    Returns:
        Path of the folder, which `open_source` reads: splits `"train"` and `"test"`, a group for
        each camera.

    Raises:
        ValueError: An argument breaks its rule, the folder holds anything else, or the codec is
            missing.
        OSError: A file cannot be written whole, for one on a full disk.

    Example:
        >>> folder = make_archive("week", train_hours=24, test_hours=24)  # doctest: +SKIP
    """
    plan = Plan(seed, cameras, train_hours, test_hours, events_per_hour, start_hour, tuple(size),
                fps, minutes_per_file, tuple(conditions), codec)
    if workers is not None and workers < 1:
        raise ValueError(f"`workers` must be at least 1 or None. Received: workers={workers!r}")
    directory = Path(directory)
    about = json.dumps({"kind": "synthetic_cctv", **dataclasses.asdict(plan)}, indent=2) + "\n"
    directory.mkdir(parents=True, exist_ok=True)
    with locked(directory / _LOCK, "makes an archive in this folder"):
        try:
            if not _is_finished(directory, about):
                _make(directory, plan, about, workers)
        finally:
            # Of a folder that holds something else, too: it stays as it was.
            (directory / _LOCK).unlink(missing_ok=True)
    return directory


def _make(directory, plan, about, workers):
    _begin(directory, about)
    waiting = [name for name, *_ in plan.files() if not _video_path(directory, plan, name).exists()]
    workers = min(workers or os.cpu_count() or 1, len(waiting))
    if workers <= 1:
        for name in waiting:
            make_file(directory, plan, name)
    else:
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            try:
                for _ in pool.map(functools.partial(_make_aside, directory), waiting):
                    pass
            finally:
                pool.shutdown(cancel_futures=True)
    # Last of all: a folder that was not finished is not taken for one.
    (directory / _UNFINISHED).rename(directory / SCENE_FILE)


def make_file(directory, plan, name):
    """Makes one video of an archive with its truth.

    Args:
        directory: `Path` of the archive.
        plan: `Plan`.
        name: Of the video, one of `plan.files()`.

    Raises:
        ValueError, OSError: As of `make_archive`.
    """
    camera, first, behind = next(about for file, *about in plan.files() if file == name)
    scene = Scene(plan, camera)
    path, truth_path = _video_path(directory, plan, name), directory / "truth" / f"{name}.npz"
    # Written aside under hidden names of this process: what has its name is whole.
    aside = [found.with_name(f"{_ASIDE}{os.getpid()}.{found.name}") for found in (path, truth_path)]
    for found in aside:
        found.parent.mkdir(parents=True, exist_ok=True)

    def pictures():
        for minute in range(first, behind):
            kind, strength = cctv_day.weather(plan, minute + 0.5)
            truth.add_conditions(
                hour=plan.hour(minute), daylight=cctv_day.daylight(plan, minute + 0.5),
                weather=kind, strength=strength, empty=cctv_day.is_empty(plan, camera, minute),
            )  # fmt: skip
            for picture, ids, shown, shift in drawn(scene, minute):
                truth.add(ids, shown, shift, camera=f"camera{camera}")
                yield picture

    try:
        with Truth(aside[1]) as truth:
            write_video(aside[0], pictures(), plan.fps, plan.codec)
        os.replace(aside[1], truth_path)
        os.replace(aside[0], path)
    except OSError as error:
        raise OSError(f"{path} could not be made: {error}") from error


def drawn(scene, minute):
    """Draws a minute of a camera.

    Args:
        scene: `Scene`.
        minute: Of the archive.

    Yields:
        `(picture, ids, shown, shift)`: uint8 `(height, width, 3)`, BGR; uint8 `(height, width)`,
        which of `shown` is seen, from 1; list of `(track, kind, abnormal)`; pixels that the picture
        is shifted, down and to the right.
    """
    import cv2

    plan, margin = scene.plan, scene.margin
    height, width = plan.size
    count = plan.frames_per_minute
    seconds = 60 * minute + np.arange(count) / plan.fps
    tracks, figures = [], []
    for track, mover in cctv_schedule.movers(plan, scene.number, scene.view, minute):
        figure = Figure(scene.view, mover, seconds)
        if figure.first <= figure.last:
            tracks.append((track, mover.kind, mover.abnormal_sec))
            figures.append(figure)
    shifts = cctv_day.shake(plan, scene.number, minute).tolist()
    corners = plan.draws("noise", scene.number, minute).integers(0, plan.size, (count, 2)).tolist()
    large = np.zeros((scene.view.height, scene.view.width), np.uint8)
    second_looked = None
    for number, second in enumerate(seconds.tolist()):
        if int(second) != second_looked:
            second_looked = int(second)
            look = scene.look(second_looked)
        seen = [place for place, figure in enumerate(figures)
                if figure.first <= number <= figure.last]
        large[...] = 0
        picture = scene.draw([figures[place] for place in seen], number, look, large)
        down, right = shifts[number]
        part = (slice(margin - down, margin - down + height),
                slice(margin - right, margin - right + width))
        picture = picture[part]
        if look.falling is not None:
            # Rain falls in front of the camera, and by the clock, whichever minute this is.
            fallen = minute * count + number
            top, left = (-fallen * look.fall[0]) % height, (-fallen * look.fall[1]) % width
            picture = cv2.add(picture, look.falling[top : top + height, left : left + width])
        top, left = corners[number]
        noise = look.noise[top : top + height, left : left + width]
        shown = [(track, kind, when is not None and when[0] <= second <= when[1])
                 for track, kind, when in (tracks[place] for place in seen)]
        yield cv2.add(picture, noise, dtype=cv2.CV_8U), large[part], shown, (down, right)


def _is_finished(directory, about):
    """Whether the very archive is there; another process may just have made it."""
    scene = directory / SCENE_FILE
    return scene.is_file() and scene.read_text() == about


def _begin(directory, about):
    begun = directory / _UNFINISHED
    if begun.is_file() and begun.read_text() == about:
        for left_over in directory.rglob(f"{_ASIDE}*"):
            left_over.unlink()
        return
    if any(path.name != _LOCK for path in directory.iterdir()):
        raise ValueError(
            "`directory` must be empty, not there, or hold an archive that was begun with the same "
            f"arguments. Received: {directory}{_difference(directory, json.loads(about))}"
        )
    begun.write_text(about)


def _difference(directory, asked):
    """In which argument the archive of a folder is another; nothing where there is none."""
    for name in (_UNFINISHED, SCENE_FILE):
        with contextlib.suppress(OSError, ValueError):
            there = json.loads((directory / name).read_text())
            for key, value in asked.items():
                if key in there and there[key] != value:
                    return f", made with {key}={there[key]!r}, not {key}={value!r}"
    return ""


def _video_path(directory, plan, name):
    return directory / f"{name}{SUFFIXES[plan.codec]}"


def _make_aside(directory, name):
    """Makes a file in a process of its own."""
    done = subprocess.run(
        # Isolated: nothing of the caller's folder or settings comes between.
        [sys.executable, "-I", "-X", "utf8", str(_PROGRAM), str(directory.resolve()), name],
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode:
        kind, _, what = (done.stderr.strip().splitlines() or [""])[-1].partition(": ")
        error = {"ValueError": ValueError, "OSError": OSError}.get(kind, RuntimeError)
        raise error(what or f"{directory / name} could not be made: status {done.returncode}")


def read_plan(directory):
    """Reads the `Plan` of an archive that was begun."""
    about = json.loads((directory / _UNFINISHED).read_text())
    tuples = {name: tuple(about[name]) for name in ("size", "conditions")}
    return Plan(**{key: value for key, value in about.items() if key != "kind"} | tuples)
