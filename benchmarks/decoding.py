"""Overlapping windows of video files per second, beside PyAV, decord, torchcodec and OpenCV.

    python benchmarks/decoding.py --clips footage/clips

Windows of 16 frames that begin every 4 frames, at 128x192 grey, of all files of a folder. Each peer
that is installed (`pip install av decord torchcodec torch`) does it in two ways: it is asked for
each window by itself, as a data set of windows does, and its frames are decoded once and cut into
windows by NumPy. The calls are those that its own documentation gives for it:

    PyAV         container.seek(pts), container.decode(); frame.reformat(192, 128, "gray")
    decord       VideoReader(path, width=192, height=128).get_batch(indices)
    torchcodec   VideoDecoder(path).get_frames_at(indices), get_frames_in_range(first, end)

Beside them stands the bare loop of OpenCV, `while capture.read()[0]`, which scales nothing: its
frames per second on the longest file, beside the frames of the windows of that file. All are
measured in turn, round after round, and the fastest round counts.
"""

import argparse
import json
import os
import pathlib
import sys
import time

# Before TensorFlow is imported: its start is noise here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402

import data_pipelines  # noqa: E402

FRAMES, STRIDE, HEIGHT, WIDTH = 16, 4, 128, 192
ROUNDS = 3
LUMA = np.float32([0.299, 0.587, 0.114])
# At least: windows as against each peer's windows one by one, and decoded once; frames as
# against the bare loop.
BARS = {"one by one": 3.0, "decoded once": 1.0, "bare loop": 0.8}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=pathlib.Path, required=True, help="folder of video files")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    arguments = parser.parse_args()
    source = data_pipelines.open_source(arguments.clips)
    longest = source.subset([max(source.videos, key=lambda video: video.num_frames or 0)])
    windows = measured(source, {"zoo": zoo_windows} | peers(), arguments.rounds)
    loop = {"zoo": zoo_windows, "OpenCV, bare loop": bare_loop}
    frames = measured(longest, loop, arguments.rounds)
    # A window begins every few frames: so many were decoded for it.
    frames["zoo"] *= STRIDE
    report = {
        "cores": os.cpu_count(),
        "files": len(source.videos),
        "windows_per_second": windows,
        "longest": longest.videos[0].name,
        "frames_per_second_of_longest": frames,
        "passes": verdicts(windows, frames),
    }
    print(json.dumps(report, indent=2) if arguments.json else "\n".join(table(report)))


def measured(source, ways, rounds):
    """Dict from way to what it gives per second."""
    fastest = {}
    for number in range(rounds):
        for name, read in list(ways.items()):
            began = time.monotonic()
            try:
                count = read(source)
            except Exception as error:
                say(f"{name} is left out: {error}")
                del ways[name]
                continue
            rate = count / (time.monotonic() - began)
            fastest[name] = max(fastest.get(name, 0.0), rate)
        say(f"round {number + 1}: " + ", ".join(f"{n} {v:.0f}" for n, v in fastest.items()))
    return fastest


def every_file(read):
    """The way of one video as that of a source."""
    return lambda source: sum(read(video) for video in source.videos)


def zoo_windows(source):
    """Windows of `data_pipelines.load`, as bytes that came out of the pipeline."""
    clip = data_pipelines.ClipSpec(
        frames=FRAMES, stride=STRIDE, size=(HEIGHT, WIDTH), channels=1
    )
    return sum(1 for _ in data_pipelines.load(source, clip))


def bare_loop(source):
    import cv2

    capture, count = cv2.VideoCapture(str(source.videos[0].path)), 0
    while capture.read()[0]:
        count += 1
    capture.release()
    return count


def starts(count):
    return range(0, count - FRAMES + 1, STRIDE)


def cut(frames):
    """Windows of frames that are all there, each an array of its own."""
    frames = np.stack(frames)
    return sum(1 for start in starts(len(frames)) if frames[start : start + FRAMES].copy().size)


def peers():
    """The ways of the packages that are installed."""
    found = {}
    for name, ways in (("av", pyav), ("decord", decord), ("torchcodec", torchcodec)):
        try:
            found |= {way: every_file(read) for way, read in ways().items()}
        except ImportError as error:
            say(f"{name} is left out: {error}")
    return found


def pyav():
    import av

    def grey(frame):
        return frame.reformat(WIDTH, HEIGHT, "gray").to_ndarray()

    def once(video):
        with av.open(str(video.path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            return cut([grey(frame) for frame in container.decode(video=0)])

    def one_by_one(video):
        given = 0
        with av.open(str(video.path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            begin = stream.start_time or 0
            for start in starts(video.num_frames):
                pts = begin + round(start / video.fps / float(stream.time_base))
                container.seek(pts, stream=stream)
                window = []
                for frame in container.decode(stream):
                    if frame.pts is not None and frame.pts >= pts:
                        window.append(grey(frame))
                    if len(window) == FRAMES:
                        break
                given += np.stack(window).shape[0] == FRAMES
        return given

    return {"PyAV, one by one": one_by_one, "PyAV, decoded once": once}


def decord():
    import decord

    def reader(video):
        return decord.VideoReader(str(video.path), width=WIDTH, height=HEIGHT)

    def grey(batch):
        return (batch.asnumpy() @ LUMA + 0.5).astype(np.uint8)

    def one_by_one(video):
        frames = reader(video)
        for start in starts(len(frames)):
            grey(frames.get_batch(range(start, start + FRAMES)))
        return len(starts(len(frames)))

    def once(video):
        frames = reader(video)
        return cut(list(np.concatenate([
            grey(frames.get_batch(range(first, min(first + 32, len(frames)))))
            for first in range(0, len(frames), 32)
        ])))  # fmt: skip

    return {"decord, one by one": one_by_one, "decord, decoded once": once}


def torchcodec():
    import torch
    from torchcodec.decoders import VideoDecoder

    def grey(frames):
        scaled = torch.nn.functional.interpolate(
            frames, (HEIGHT, WIDTH), mode="bilinear", antialias=True
        )
        return (scaled.permute(0, 2, 3, 1).numpy() @ LUMA + 0.5).astype(np.uint8)

    def one_by_one(video):
        decoder = VideoDecoder(str(video.path), num_ffmpeg_threads=0)
        count = len(decoder)
        for start in starts(count):
            grey(decoder.get_frames_at(list(range(start, start + FRAMES))).data)
        return len(starts(count))

    def once(video):
        decoder = VideoDecoder(str(video.path), num_ffmpeg_threads=0)
        count = len(decoder)
        return cut(list(np.concatenate([
            grey(decoder.get_frames_in_range(first, min(first + 32, count)).data)
            for first in range(0, count, 32)
        ])))  # fmt: skip

    return {"torchcodec, one by one": one_by_one, "torchcodec, decoded once": once}


def verdicts(windows, frames):
    """How many times as fast as each peer, and whether that is enough."""
    found = {}
    for rates in (windows, frames):
        for way, rate in rates.items():
            if way != "zoo":
                ratio, bar = rates["zoo"] / rate, BARS[way.rpartition(", ")[2]]
                found[way] = {"ratio": ratio, "bar": bar, "holds": ratio >= bar}
    return found


def table(report):
    """What is printed."""
    yield f"windows per second, {report['files']} files"
    for way, rate in report["windows_per_second"].items():
        yield f"  {way:26} {rate:8.1f}"
    yield f"frames per second, {report['longest']}"
    for way, rate in report["frames_per_second_of_longest"].items():
        yield f"  {way:26} {rate:8.1f}"
    for way, found in report["passes"].items():
        yield (
            f"zoo to {way}: {found['ratio']:.2f}, at least {found['bar']:g}: "
            f"{'holds' if found['holds'] else 'does not hold'}"
        )


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
