"""Peak memory of reading five minutes of video and an hour of it.

    python benchmarks/memory.py doctor
    python benchmarks/memory.py prepare
    python benchmarks/memory.py load

Made-up videos of small frames, each read by a `zoo doctor FILE --html PAGE`, a `zoo prepare FILE
--out SHARDS` or an epoch of shuffled clips, by a process of its own. Measured are the largest
resident memory of that process, and of the process that decodes for it, which is so much smaller
that growth of it would not show in a sum. Ends with 1 unless both are, over the longer video,
within a tenth of what they are over the shorter one. Linux only.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import mutations

WITHIN = 0.1
MINUTES = (5, 60)
LOAD = """
import json, sys
from data_pipelines import ClipSpec, load
clips = load(sys.argv[1], ClipSpec(frames=10, stride=10), shuffle=64, batch=8)
print(json.dumps({"frames": sum(int(batch.shape[0] * batch.shape[1]) for batch in clips)}))
"""
POLL_SEC = 0.1
ROOT = pathlib.Path(__file__).resolve().parents[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("command", choices=("doctor", "prepare", "load"))
    parser.add_argument("--minutes", type=float, nargs=2, default=MINUTES)
    parser.add_argument("--fps", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as aside:
        for number, minutes in enumerate(arguments.minutes):
            path = pathlib.Path(aside) / f"{number}.avi"
            frames = round(60 * minutes * arguments.fps)
            pictures = mutations.place(frames, (48, 64), arguments.fps, seed=number)
            mutations.encode(path, pictures, arguments.fps, "mpeg4", "yuv420p")
            rows.append({"minutes": minutes, **measured(arguments.command, path, frames)})
            print(rows[-1], file=sys.stderr)
    growth = {name: rows[1][name] / rows[0][name] - 1 for name in ("own_mib", "decoder_mib")}
    passes = all(share <= WITHIN for share in growth.values())
    if arguments.json:
        print(json.dumps({"rows": rows, "growth": growth, "passes": passes}, indent=2))
    else:
        print(f"{'minutes':>8}{'frames':>9}{'seconds':>9}{'own MiB':>12}{'decoder MiB':>13}")
        for row in rows:
            print(f"{row['minutes']:>8g}{row['frames']:>9}{row['seconds']:>9.1f}"
                  f"{row['own_mib']:>12.1f}{row['decoder_mib']:>13.1f}")
        print("growth: " + ", ".join(f"{name} {share:+.1%}" for name, share in growth.items()))
        print("the bar is reached" if passes else f"FAILED: more than {WITHIN:.0%}")
    sys.exit(not passes)


def measured(command, path, frames):
    """Peaks of one command in MiB, and the seconds it took; it must have read all frames."""
    zoo = ["-m", "zoo", command, str(path), "--json"]
    words = {
        "doctor": [*zoo, "--html", str(path.with_suffix(".html")), "--seconds-per-file", "7200"],
        "prepare": [*zoo, "--out", str(path.with_suffix(".shards"))],
        "load": ["-c", LOAD, str(path)],
    }[command]
    began = time.monotonic()
    with open(path.with_suffix(".json"), "w+") as out:
        process = subprocess.Popen(
            [sys.executable, *words],
            stdout=out, stderr=subprocess.DEVNULL, cwd=ROOT,
        )  # fmt: skip
        own, decoder = 0.0, 0.0
        while process.poll() is None:
            own = max(own, peak_mib(process.pid))
            decoder = max([decoder, *(peak_mib(child) for child in decoders(process.pid))])
            time.sleep(POLL_SEC)
        out.seek(0)
        found = json.load(out)
    (file,) = found.get("files", [found])
    if file["frames"] != frames or not file.get("whole", True):
        raise SystemExit(f"{file['frames']} of {frames} frames were read")
    return {"frames": frames, "seconds": round(time.monotonic() - began, 1),
            "own_mib": own, "decoder_mib": decoder}  # fmt: skip


def decoders(pid):
    """Ids of the processes that decode for another."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
            # Between fork and exec a child is a copy of its parent.
            found += [child for child in children
                      if b"decode_worker.py" in pathlib.Path(f"/proc/{child}/cmdline").read_bytes()]
        except OSError:
            continue
    return found


def peak_mib(pid):
    """Largest resident memory of a process until now, 0 of one that has ended."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


if __name__ == "__main__":
    main()
