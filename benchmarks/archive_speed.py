"""Frames per second at which `synthetic_cctv.make_archive` makes footage, and how large it is.

    python benchmarks/archive_speed.py

Two minutes of every other hour of a day and a night of one camera, drawn, encoded and read back as
an archive's files are, in one process on one core. Printed are frames per second of that core's
time and of the clock, megabytes per hour with the truth, and the hours that 24 hours of one camera
take and the gigabytes that they fill.
"""

import argparse
import json
import os
import pathlib
import tempfile
import time

from data_pipelines.sources import cctv_archive
from data_pipelines.sources.cctv_plan import CONDITIONS, Plan

SIZES = ((96, 144), (64, 96))
FILES = 12


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--fps", type=int, default=10)
    parser.add_argument("--minutes", type=int, default=2, help="of each of the twelve files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rows = [
        measured(Plan(
            arguments.seed, 1, 24, 24, 12.0, 0.0, size, arguments.fps, arguments.minutes,
            CONDITIONS, codec,
        ))
        for size in SIZES for codec in ("MJPG", "mp4v")
    ]  # fmt: skip
    if arguments.json:
        print(json.dumps({"rows": rows}, indent=2))
        return
    print(f"{'size':>9}{'codec':>7}{'frames/s of core':>18}{'of clock':>10}{'MB/hour':>9}"
          f"{'hours for 24 h':>16}{'GB for 24 h':>13}")
    for row in rows:
        print(f"{'{}x{}'.format(*row['size']):>9}{row['codec']:>7}{row['core_fps']:>18.0f}"
              f"{row['clock_fps']:>10.0f}{row['mb_per_hour']:>9.0f}{row['day_hours']:>16.2f}"
              f"{row['day_gb']:>13.2f}")


def measured(plan):
    """One row of the table, a dict."""
    files = [name for name, *_ in plan.files()]
    # Of the test part, which has events in it.
    chosen = files[len(files) // 2 :: len(files) // 2 // FILES]
    with tempfile.TemporaryDirectory() as folder:
        core, clock = time.process_time(), time.perf_counter()
        for name in chosen:
            cctv_archive.make_file(pathlib.Path(folder), plan, name)
        core, clock = time.process_time() - core, time.perf_counter() - clock
        size = sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*.*"))
    frames = len(chosen) * plan.minutes_per_file * plan.frames_per_minute
    hours = frames / plan.fps / 3600
    return {
        "size": plan.size, "codec": plan.codec, "frames": frames, "core_fps": frames / core,
        "clock_fps": frames / clock, "mb_per_hour": size / hours / 1e6,
        "day_hours": clock / 3600 * 24 / hours, "day_gb": size / hours * 24 / 1e9,
    }  # fmt: skip


if __name__ == "__main__":
    main()
