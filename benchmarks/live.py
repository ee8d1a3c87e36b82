"""What `zoo watch` keeps up with: one stream at full speed, several at their pace, and memory.

    python benchmarks/live.py speed
    python benchmarks/live.py streams
    python benchmarks/live.py memory --frames 100000
    python benchmarks/live.py equal --frames 1000

A moving pattern of 240x360 is written to a video file, and watched without drawing.

- `speed`: frames per second at full speed, decoding included, beside those of the verb `step` alone
  on frames that are in memory; in turn, round by round. The bars: 0.8 of `step` alone, and 50
  frames per second, 100 on a processor with bf16 units.
- `streams`: that many streams of 10 frames per second at once, at their own pace. The bar: 4 of
  them, 8 on a processor with bf16 units, and not a frame dropped.
- `memory`: resident memory, of the processes that decode as well, after the first 1,000 frames and
  at the end of a looped source, and the slope of a line through the second half of it, since memory
  that is taken once is taken bit by bit. The bars: within 5 %, and at most 0.1 MiB per 1,000 frames
  (86 MiB in a day of ten frames per second), which shows over tens of thousands of frames.
- `equal`: the largest difference between `step`, frame by frame, and `score` of all frames, as a
  share of the largest score; of a model also that of the step of its export. The bar: 1e-4.

Ends with 1 unless the bars hold. Linux only.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import cv2
import memory
import numpy as np

import data_pipelines
import exports
from data_pipelines import Source
from data_pipelines.sources.base import TimedVideo
from zoo.commands.watching import session
from zoo.commands.watching.watched import open_watched
from zoo.training.precision import choose_precision

SIZE, FPS = (240, 360), 10
LEAST_SHARE, WITHIN, MOST_SLOPE, MOST_APART = 0.8, 0.05, 0.1, 1e-4
# Of a processor without bf16 units and of one with them, which "auto" looks at.
LEAST_RATE = {"float32": 50.0, "mixed_bfloat16": 100.0}
LEAST_STREAMS = {"float32": 4, "mixed_bfloat16": 8}
WARM_FRAMES = 1000
# High enough that nothing is an event: alarms are not what is measured.
THRESHOLD = 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=("speed", "streams", "memory", "equal"))
    parser.add_argument("--model", default="convlstm_vae", help="preset, run folder or export")
    parser.add_argument("--frames", type=int, default=600, help="frames of all but `streams`")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", type=int, help="default: as many as the bar asks for")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long streams are watched")
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    arguments = parser.parse_args()
    if arguments.part == "memory" and arguments.frames < 2 * WARM_FRAMES:
        parser.error(
            f"--frames must be at least {2 * WARM_FRAMES} for `memory`, which looks at those from "
            f"{WARM_FRAMES} on. Received: {arguments.frames}"
        )
    units = choose_precision(compute_capabilities=[])
    with tempfile.TemporaryDirectory() as aside:
        video = write_pattern(Path(aside) / "pattern.avi", 600)
        if arguments.part == "speed":
            least = LEAST_RATE[units]
            found = speed(arguments.model, video, arguments.frames, arguments.rounds, least)
        elif arguments.part == "streams":
            least = LEAST_STREAMS[units]
            count = least if arguments.streams is None else arguments.streams
            found = streams(arguments.model, video, count, arguments.seconds, least)
        elif arguments.part == "equal":
            found = equal(arguments.model, video, arguments.frames)
        else:
            found = growth(arguments.model, video, arguments.frames)
    found = {"model": arguments.model, **found}
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        for name, value in found.items():
            print(f"{name.replace('_', ' ')}: {value}")
    sys.exit(not found["passes"])


def speed(name, video, frames, rounds, least):
    """Frames per second of a watch and of `step` alone, medians over rounds of both in turn."""
    watched, rates = open_watched(name), {"step": [], "watch": []}
    for _ in range(rounds):
        rates["step"].append(step_alone(watched, frames))
        report = session.watch(
            name, [looped(video, frames)], session.Wanted(), threshold=THRESHOLD, max_speed=True
        )
        (of,) = report["sources"].values()
        rates["watch"].append(of["frames_per_second"])
    shares = [watch / step for watch, step in zip(rates["watch"], rates["step"], strict=True)]
    found = {f"{way}_frames_per_second": round(statistics.median(rates[way]), 1) for way in rates}
    share = round(statistics.median(shares), 3)
    passes = share >= LEAST_SHARE and found["watch_frames_per_second"] >= least
    bars = {"least_frames_per_second": least, "least_share_of_step": LEAST_SHARE}
    return {**found, "share_of_step": share, "rounds": rates, **bars, "passes": passes}


def step_alone(watched, frames):
    """Frames per second of the verb `step`, one frame after the other, all of them in memory."""
    model, shape = watched.model, (16, 1, *watched.size, watched.channels)
    held = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    if not isinstance(model, exports.Export):
        held = held.astype(np.float32) / 255
    state = model.initial_state(1, *watched.size)
    began = None
    for number in range(frames + 1):
        out = model.step(held[number % 16], state)
        state = out["state"]
        float(out["score"][0])
        # The first call traces the graph.
        began = time.perf_counter() if began is None else began
    return frames / (time.perf_counter() - began)


def streams(name, video, count, seconds, least):
    """Frames scored and dropped of several streams at once, each at its own pace."""
    sources = [looped(video, round(seconds * FPS)) for _ in range(count)]
    found = session.watch(name, sources, session.Wanted(), threshold=THRESHOLD)["sources"]
    scored, dropped = ([of[what] for of in found.values()] for what in ("frames", "dropped"))
    return {
        "streams": count,
        "frames": scored,
        "dropped": dropped,
        "least_streams": least,
        "passes": (
            count >= least and not any(dropped) and scored == [round(seconds * FPS)] * count
        ),
    }


def growth(name, video, frames):
    """Memory after the first frames and at the end, and its slope between, over a looped source."""
    samples = []

    def look(number):
        if number % max(1, min(WARM_FRAMES, frames // 20)) == 0 and number >= WARM_FRAMES:
            samples.append((number, resident_mib()))
            print("{} frames: {:.1f} MiB".format(*samples[-1]), file=sys.stderr)

    session.watch(
        name, [looped(video, frames, look)], session.Wanted(), threshold=THRESHOLD, max_speed=True
    )
    return summary(np.array(samples, float), frames)


def summary(samples, frames):
    """Lays out samples of memory, rows of frames and MiB."""
    mib = samples[:, 1]
    slope = float(np.polyfit(*samples[len(samples) // 2 :].T, 1)[0]) * 1000
    return {
        "frames": frames,
        "mib_after_first_frames": round(mib[0], 1),
        "mib_at_the_end": round(mib[-1], 1),
        "growth": round(mib[-1] / mib[0] - 1, 4),
        "mib_per_1000_frames": round(slope, 4),
        "passes": bool(abs(mib[-1] / mib[0] - 1) <= WITHIN and slope <= MOST_SLOPE),
    }


def equal(name, video, frames):
    """How far `step` is from `score`, of a model and of its export."""
    watched = open_watched(name)
    source = looped(video, frames).videos[0]
    shown = source.timed(size=watched.size, channels=watched.channels)
    clip = np.stack([frame for _, frame in shown])
    if isinstance(watched.model, exports.Export):
        apart = {"export": step_from_score(watched.model, clip, watched.model.score(clip))}
    else:
        as_float = clip.astype(np.float32) / 255
        score = watched.model.score(as_float[None])[0].numpy()
        apart = {"model": step_from_score(watched.model, as_float, score)}
        with tempfile.TemporaryDirectory() as aside:
            export = exports.load(exports.export(watched.model, aside))
            apart["export"] = step_from_score(export, clip, score)
    passes = all(share <= MOST_APART for share in apart.values())
    return {"frames": frames, "apart": apart, "most_apart": MOST_APART, "passes": passes}


def step_from_score(model, clip, score):
    """The largest difference of the score of `step` from `score`, as a share of its largest."""
    state, apart = model.initial_state(1, *clip.shape[1:3]), []
    for frame, expected in zip(clip, score, strict=True):
        out = model.step(frame[None], state)
        state = out["state"]
        apart.append(abs(float(out["score"][0]) - float(expected)))
    # Unlike Python's, this largest is NaN where one is.
    return float(np.max(apart) / score.max())


def resident_mib():
    """Resident memory of this process and of those that decode for it."""
    pages = 0
    for process in (os.getpid(), *memory.decoders(os.getpid())):
        try:
            pages += int(Path(f"/proc/{process}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Looped(TimedVideo):
    """A video that begins again at its end, until it has given so many frames."""

    def __init__(self, video, frames, look=None):
        super().__init__(video.name, fps=video.fps)
        self._video, self._count, self._look = video, frames, look

    def timed(self, fps=None, size=None, channels=None, start=0):
        given = 0
        while True:
            for _, frame in self._video.timed(fps, size, channels):
                if given == self._count:
                    return
                given += 1
                if self._look is not None:
                    self._look(given)
                yield None, frame


def looped(path, frames, look=None):
    """A source of `Looped` of a file."""
    (video,) = data_pipelines.open_source(path).videos
    return Source("video_files", path, [Looped(video, frames, look)])


def write_pattern(path, frames):
    """Writes a video file of waves that move, and returns its path."""
    down, across = np.mgrid[: SIZE[0], : SIZE[1]]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), FPS, SIZE[::-1])
    for number in range(frames):
        wave = np.sin((across + 3 * number) / 17) + np.sin((down - number) / 23)
        writer.write(np.repeat(np.uint8(127 + 60 * wave)[..., None], 3, axis=-1))
    writer.release()
    return path


if __name__ == "__main__":
    main()
