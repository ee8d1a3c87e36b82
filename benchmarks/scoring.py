"""Frames scored per second, one 240x360 stream from JPEG files, decoding included.

    python benchmarks/scoring.py --frames footage/ucsd_ped2/testing/frames/01

Each way goes through the same JPEG files: decode, grey, bring to the model's size, score.

- `step`: the verb `step` of the model, float32, one frame at a time as a camera gives them;
- `pytorch`: the same network with the same weights, in both memory layouts, the faster counted;
- `mog2`: OpenCV's background subtraction, the cheap way to find what moves.

Without `--frames` a moving pattern is written to JPEG files first. The ways take turns, round by
round, so that a machine whose speed drifts is fair to all; medians are printed, and the ratio of
`step` to `pytorch` round by round. PyTorch is left out, and that is said, where it is not
installed.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

import zoo
from data_pipelines import transforms
from zoo.evaluation.card import multiply_adds_per_frame


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="convlstm_vae", help="preset or run folder")
    parser.add_argument("--frames", type=Path, help="folder of JPEG files, one video")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--random", action="store_true", help="weights at random: speed alone")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.frames or write_pattern(Path(scratch))
        files = sorted(folder.glob("*.jpg"))
        if not files:
            parser.error(f"no .jpg file in {folder}")
        model = zoo.load(arguments.model, weights=None if arguments.random else "pretrained")
        report = measure(model, files, arguments.rounds)
    report["model"] = arguments.model
    if arguments.json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        for name, value in report.items():
            sys.stdout.write(f"{name.replace('_', ' ')}: {value}\n")


def measure(model, files, rounds):
    """Times every way in turn; returns medians in frames per second."""
    height, width = model.clip_shape[1:3]
    ways = {"step": with_step(model), "mog2": with_mog2}
    try:
        import torch
    except ImportError:
        sys.stderr.write("PyTorch is not installed: its rows are left out\n")
    else:
        for layout in ("contiguous_format", "channels_last"):
            ways[f"pytorch_{layout}"] = with_pytorch(model, getattr(torch, layout))
    speeds, last = {name: [] for name in ways}, {}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            last[name] = way(files, height, width)
            speed = len(files) / (time.perf_counter() - began)
            if turn:  # the first round traces graphs and warms caches
                speeds[name].append(speed)
    rates = {name: round(statistics.median(values), 1) for name, values in speeds.items()}
    operations = multiply_adds_per_frame(model, height, width)
    peak = matrix_product_peak()
    report = {
        "frames": len(files),
        "frames_per_second": rates,
        "million_multiply_adds_per_frame": round(operations / 1e6, 1),
        "matrix_product_peak_gflops": round(peak / 1e9, 1),
        "share_of_peak_with_decoding": round(2 * operations * rates["step"] / peak, 3),
    }
    peers = [name for name in ways if name.startswith("pytorch")]
    if peers:
        ratios = [
            step / max(others)
            for step, *others in zip(speeds["step"], *(speeds[p] for p in peers), strict=True)
        ]
        report["step_to_faster_pytorch"] = round(statistics.median(ratios), 2)
        difference = np.abs(np.subtract(last["step"], last[peers[0]])).max()
        largest = max(np.max(last["step"]), 1e-12)
        report["largest_difference_of_scores"] = float(difference / largest)
    return report


def read(path, height, width):
    """One frame, uint8 `(height, width, 1)`: the same decoding and resize for every way."""
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    return transforms.resize(grey[None, :, :, None], (height, width))[0].numpy()


def with_step(model):
    def way(files, height, width):
        state, scores = model.initial_state(1, height, width), []
        for path in files:
            frame = read(path, height, width).astype(np.float32) / 255
            out = model.step(frame[None], state)
            state = out["state"]
            scores.append(out["score"].numpy()[0])
        return scores

    return way


def with_pytorch(model, layout):
    import torch
    from torch_convlstm_vae import TorchConvLSTMVAE

    peer = TorchConvLSTMVAE(model).eval().to(memory_format=layout)

    def way(files, height, width):
        state, scores = peer.initial_state(height, width), []
        for path in files:
            frame = read(path, height, width).astype(np.float32) / 255
            tensor = torch.from_numpy(frame).permute(2, 0, 1)[None].contiguous(memory_format=layout)
            score, state = peer.step(tensor, state)
            scores.append(score)
        return scores

    return way


def with_mog2(files, height, width):
    subtractor = cv2.createBackgroundSubtractorMOG2()
    return [float(subtractor.apply(read(path, height, width)).mean()) for path in files]


def matrix_product_peak(size=1024, repeats=20):
    """Floating point operations per second of the best of some float32 matrix products."""
    left, right = (tf.random.stateless_normal((size, size), (0, s)) for s in (1, 2))
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        tf.linalg.matmul(left, right).numpy()
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def write_pattern(folder, count=180, height=240, width=360):
    """Writes a moving pattern as JPEG files of a camera's size."""
    down, across = np.mgrid[:height, :width]
    for index in range(count):
        wave = np.sin((across + 3 * index) / 17) + np.sin((down - index) / 23)
        frame = np.uint8(127 + 60 * wave)
        cv2.imwrite(str(folder / f"{index:04d}.jpg"), frame)
    return folder


if __name__ == "__main__":
    main()
