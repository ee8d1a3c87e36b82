"""Kills `zoo prepare` with signal 9 at twenty moments, and gives the same command again.

    python benchmarks/kill_prepare.py --out runs/kills

prints a row per kill: when it came, what it left, and whether the same command finished and left
the very files of an undisturbed run, byte by byte, and no others. Every third kill comes while a
shard is being written. About a quarter of an hour on two cores; exits 1 if one row fails.
"""

import argparse
import functools
import json
import random
import time
from pathlib import Path

import mutations
from killing import ENDED, Row, in_time, kill_when, shares, show, start

# Short videos share shards; the long ones have several each.
FRAMES = (300, 500, 200, 6000, 300, 6000, 40)


def kill_prepare(whole, words, shards, moment, share, seconds):
    """One kill of `zoo prepare` and the command again.

    Args:
        whole: dict, `files_of` the undisturbed run.
        words: list of str, the command's arguments.
        shards: `Path` of its folder.
        moment: "at random" or "in a shard".
        share: float in [0, 1], when, of the time from the first file to the end; in a shard, the
            first that is being written from then on.
        seconds: float, that time, measured on an undisturbed run.

    Returns:
        `Row`.
    """
    log, began = shards.with_suffix(".log"), []

    def is_due():
        if not began:
            if shards.is_dir():
                began.append(time.monotonic())
            return False
        if time.monotonic() - began[0] < share * seconds:
            return False
        return moment == "at random" or any(shards.glob("*.part"))

    if not kill_when(start(words, log), is_due) or (shards / "index.json").exists():
        return Row("prepare", moment, ENDED, "", False)
    there = len(list(shards.glob("*.tfrecord")))
    halves = len(list(shards.glob("*.part")))
    with open(log.with_suffix(".json"), "w+") as out:
        done = start([*words, "--json"], log, out).wait()
        out.seek(0)
        kept = json.load(out)["kept"] if done == 0 else 0
    is_same = files_of(shards) == whole
    return Row(
        "prepare",
        f"{moment}, {share:.0%} of the way",
        f"{there} shards" + (f" and {halves} half-written" if halves else ""),
        f"exit {done}, {kept} shards kept, bytes {'the same' if is_same else 'DIFFER'}",
        # One may have been renamed and not yet noted down when the kill came.
        done == 0 and is_same and kept >= there - 2,
    )


def files_of(folder):
    """Dict from the name of each file in a folder, hidden ones too, to its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*") if path.is_file()
    }  # fmt: skip


def main():
    """Makes footage, then kills and starts again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="New folder for all of it.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="Of the moments.")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    footage = out / "footage"
    footage.mkdir(parents=True)
    for number, frames in enumerate(FRAMES):
        pictures = mutations.place(frames, (96, 144), 10, seed=number)
        mutations.encode(footage / f"{number}.mp4", pictures, 10, "mpeg4", "yuv420p")

    def words(shards):
        return ["prepare", str(footage), "--out", str(shards), "--workers", "2"]

    print("an undisturbed run, for its time and its bytes", flush=True)
    process, first = start(words(out / "undisturbed"), out / "undisturbed.log"), None
    while process.poll() is None:
        if first is None and (out / "undisturbed").is_dir():
            first = time.monotonic()
        time.sleep(0.01)
    if process.returncode:
        raise SystemExit(f"`zoo prepare` failed: see {out / 'undisturbed.log'}")
    seconds = time.monotonic() - first
    whole = files_of(out / "undisturbed")
    print(f"{seconds:.0f} s from the first file to the end, {len(whole)} files", flush=True)
    kill, rows = functools.partial(kill_prepare, whole), []
    for number, share in enumerate(shares(arguments.kills, random.Random(arguments.seed))):
        moment = "in a shard" if number % 3 == 2 else "at random"
        rows.append(in_time(kill, words, out / f"killed_{number}", moment, share, seconds))
        show(rows[-1], len(rows))
    failed = sum(not row.is_good for row in rows)
    print(f"{len(rows) - failed} of {len(rows)} kills: finished, with the bytes of a whole run")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
