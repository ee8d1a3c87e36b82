"""A day of one camera through `zoo doctor`, `zoo prepare` and one epoch, and what more would cost.

    python benchmarks/archive.py --out runs/archive

makes 24 hours of `synthetic_cctv` at a low size, then runs each step in a process of its own and
prints its minutes, processor minutes, peak memory, frames per second and what it leaves on the
disk; then what a thousand such cameras would take each day at these rates. Steps that are done are
not done again, so the same command goes on with what was broken off. About an hour on two cores.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

CAMERAS = 1000

MAKE = """
import json, sys
from data_pipelines.sources import synthetic_cctv
out, asked = sys.argv[1], json.loads(sys.argv[2])
synthetic_cctv.make_archive(out, cameras=1, **asked)
"""

EPOCH = """
import sys
import data_pipelines
clip = data_pipelines.ClipSpec(frames=16, stride=16)
clips = data_pipelines.load(sys.argv[1], clip, shuffle=True, batch=16)
print(sum(int(batch.shape[0]) for batch in clips), "clips")
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="Folder for all of it.")
    parser.add_argument("--hours", type=float, default=24.0, help="Of the camera.")
    parser.add_argument("--size", type=int, nargs=2, default=(64, 96), help="Height and width.")
    parser.add_argument("--fps", type=float, default=10.0, help="Frames per second.")
    parser.add_argument("--seed", type=int, default=0, help="Of the footage.")
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    footage, shards = out / "footage", out / "shards"
    # All of it normal: what is asked here is how long it takes.
    asked = {
        "seed": arguments.seed, "train_hours": arguments.hours, "test_hours": 0,
        "size": list(arguments.size), "fps": arguments.fps, "minutes_per_file": 60,
    }  # fmt: skip
    zoo = ["-m", "zoo"]
    steps = {
        "make": (["-c", MAKE, str(footage), json.dumps(asked)], footage),
        "doctor": ([*zoo, "doctor", str(footage), "--json", "--seconds-per-file", "3600"], None),
        "prepare": ([*zoo, "prepare", str(footage), "--out", str(shards)], shards),
        "epoch": (["-c", EPOCH, str(shards)], None),
    }
    frames = round(arguments.hours * 3600 * arguments.fps)
    rows = []
    for name, (words, leaves) in steps.items():
        file = out / f"{name}.json"
        if not file.is_file():
            print(f"{name}: {' '.join(words[:3])} ...", file=sys.stderr, flush=True)
            file.write_text(json.dumps(measured(words, leaves, out / f"{name}.log"), indent=2))
        rows.append({"step": name, **json.loads(file.read_text())})
    report = {
        "asked": asked, "frames": frames, "rows": rows, "cores": os.cpu_count(),
        "a day of a thousand cameras": at_scale(rows, arguments.hours),
    }  # fmt: skip
    print(json.dumps(report, indent=2) if arguments.json else table(report))


def measured(words, leaves, log):
    """Runs Python with some words and tells what that took; ends where it fails."""
    began = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    with open(log, "wb") as file:
        process = subprocess.Popen(
            [sys.executable, *words], stdout=file, stderr=file, env=environment, cwd=ROOT
        )
        # With what it and the processes that it waited for took.
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"`{' '.join(words[:3])}` ended with {process.returncode}: see {log}")
    return {
        "minutes": (time.monotonic() - began) / 60,
        "processor_minutes": (usage.ru_utime + usage.ru_stime) / 60,
        "peak_mib": usage.ru_maxrss / 1024,  # of the largest process
        "bytes": sum(p.stat().st_size for p in leaves.rglob("*") if p.is_file()) if leaves else 0,
    }


def at_scale(rows, hours):
    """What each step takes of a day of `CAMERAS` cameras, at the rates that were measured."""
    factor = CAMERAS * 24 / hours
    return {
        row["step"]: {
            "processor_hours": row["processor_minutes"] / 60 * factor,
            "processors": row["processor_minutes"] / 60 * factor / 24,
            "terabytes": row["bytes"] * factor / 1e12,
        }
        for row in rows
    }


def table(report):
    """The report as text."""
    lines = [
        f"{report['frames']:,} frames of {report['asked']['size']}, {report['cores']} cores",
        f"{'':8s} {'minutes':>8s} {'processor':>10s} {'frames/s':>9s} {'peak MiB':>9s} {'MB':>8s}",
    ]
    for row in report["rows"]:
        lines.append(
            f"{row['step']:8s} {row['minutes']:8.1f} {row['processor_minutes']:10.1f} "
            f"{report['frames'] / row['minutes'] / 60:9.0f} {row['peak_mib']:9.0f} "
            f"{row['bytes'] / 1e6:8.0f}"
        )
    lines.append(f"a day of {CAMERAS} such cameras:")
    for name, cost in report["a day of a thousand cameras"].items():
        lines.append(
            f"{name:8s} {cost['processor_hours']:8.0f} processor hours, {cost['processors']:.1f} "
            f"processors kept busy, {cost['terabytes']:.2f} TB"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
