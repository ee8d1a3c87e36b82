"""Kills `zoo train` and `zoo export` with signal 9 at ten moments each, and gives them again.

    python benchmarks/kill_train.py --out runs/kills

prints a row per kill: when it came, what it left, and whether the same command finished, went on
rather than began again, and left no broken file. The trainings are `--deterministic`, in float32,
and must end with the weights of an undisturbed one, bit for bit: what the kill took is seen again,
the same clips with the same draws. Every third kill of `zoo train` comes while a
checkpoint is being written, every third of `zoo export` while the version is. About half an hour
on two cores; exits 1 if one row fails.
"""

import argparse
import json
import os
import random
import re
import sys
import time
from pathlib import Path

import h5py
import numpy as np
from killing import ENDED, ROOT, Row, in_time, kill_when, shares, show, start

sys.path.insert(0, str(ROOT))
# Before TensorFlow is imported: its start is noise here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from data_pipelines.sources import synthetic_cctv  # noqa: E402
from exports import manifest  # noqa: E402

UNDISTURBED = "undisturbed"
MODEL = (
    "filters=4,8,8", "state_filters=4,8", "decoder_filters=4,8,8", "size=96,144", "crop=64,64",
)  # fmt: skip


def steps_of(run):
    """Steps of the checkpoints that have their name."""
    return sorted(int(path.name[5:]) for path in run.glob("checkpoints/step-*"))


def kill_train(words, run, moment, share, seconds):
    """One kill of `zoo train` and the command again.

    Args:
        words: list of str, the command's arguments.
        run: `Path` of its run folder, beside that of the undisturbed run.
        moment: "at random" or "in a checkpoint".
        share: float in [0, 1], when, of the time between the first checkpoint and the end.
        seconds: float, that time, measured on an undisturbed run.

    Returns:
        `Row`.
    """
    log = run.with_suffix(".log")
    process = start(words, log)
    began = []

    def is_due():
        if not began:
            if steps_of(run):
                began.append(time.monotonic())
            return False
        if moment == "in a checkpoint":
            return any(run.glob("checkpoints/.tmp-*"))
        return time.monotonic() - began[0] >= share * seconds

    was_killed = kill_when(process, is_due)
    # On its way out a run is finished already: there is nothing to go on with.
    if not was_killed or json.loads((run / "run.json").read_text())["status"] == "finished":
        return Row("train", moment, ENDED, "", False)
    left = steps_of(run)
    halves = [path.name for path in run.glob("checkpoints/.tmp-*")]
    done = start(words, log).wait()
    record = json.loads((run / "run.json").read_text())
    began_at = re.findall(r"go on after step (\d+)", log.read_text(errors="replace"))
    went_on = bool(began_at) and int(began_at[-1]) == left[-1]
    is_whole = record["status"] == "finished" and are_whole(run)
    ours, theirs = (
        arrays_of(folder / "model.weights.h5") if is_whole else None
        for folder in (run, run.with_name(UNDISTURBED))
    )
    is_equal = is_whole and ours == theirs
    return Row(
        "train",
        moment + (f", {share:.0%} of the way" if moment == "at random" else ""),
        f"step {left[-1]}" + (f" and {', '.join(halves)}" if halves else ""),
        f"exit {done}, went on after step {began_at[-1] if began_at else 0}, "
        f"files {'whole' if is_whole else 'BROKEN'}, weights {'equal' if is_equal else 'OTHERS'}",
        done == 0 and went_on and is_equal,
    )


def are_whole(run):
    """Whether every file of a finished run can be read and nothing half-written is left."""
    for path in run.glob("*.weights.h5"):
        arrays_of(path)
    for folder in run.glob("checkpoints/step-*"):
        json.loads((folder / "state.json").read_text())
        with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
            for key in arrays.files:
                arrays[key].sum()
    json.loads((run / "config.json").read_text())
    return not list(run.rglob(".tmp-*"))


def arrays_of(path):
    """The bytes of each array of an HDF5 file, by name; fails where one cannot be read."""
    found = {}

    def keep(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[()].tobytes()

    with h5py.File(path) as file:
        file.visititems(keep)
    return found


def kill_export(words, directory, moment, share, seconds):
    """One kill of `zoo export` and the command again; arguments as of `kill_train`."""
    log = directory.with_suffix(".log")
    started = time.monotonic()

    def is_due():
        if moment == "in a version":
            return any(directory.glob(".*/saved_model.pb"))
        return time.monotonic() - started >= share * seconds

    if not kill_when(start(words, log), is_due):
        return Row("export", moment, ENDED, "", False)
    left = sorted(path.name for path in directory.glob("*")) if directory.is_dir() else []
    versions = [name for name in left if name.isdigit()]
    is_good = all(is_version(directory / name) for name in versions)
    done = start(words, log).wait()
    after = sorted(path.name for path in directory.glob("*") if not path.name.startswith("."))
    partial = [path.name for path in directory.glob(".partial*")]
    is_good &= done == 0 and len(after) == len(versions) + 1 and not partial
    is_good &= all(is_version(directory / name) for name in after)
    return Row(
        "export",
        moment + (f", {share:.0%} of the way" if moment == "at random" else ""),
        ", ".join(left) or "nothing",
        f"exit {done}, versions {', '.join(after)}{' and ' if partial else ''}{''.join(partial)}",
        is_good,
    )


def is_version(folder):
    """Whether an export's own manifest finds each of its files whole."""
    try:
        return manifest.check_files(folder) > 0
    except (ValueError, OSError):
        return False


def main():
    """Makes footage, then kills and starts again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="New folder for all of it.")
    parser.add_argument("--kills", type=int, default=10, help="Of each command.")
    parser.add_argument("--steps", type=int, default=600, help="Of a training.")
    parser.add_argument("--seed", type=int, default=0, help="Of the moments.")
    parser.add_argument("--command", choices=("both", "train", "export"), default="both")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True)
    draw = random.Random(arguments.seed)
    footage = out / "footage"
    synthetic_cctv.make(footage, train_videos=4, test_videos=1, frames=100)

    def train_words(run):
        settings = [word for text in MODEL for word in ("--set", text)]
        return ["train", "convlstm_vae", "--data", str(footage), "--out", str(run),
                "--steps", str(arguments.steps), "--batch", "4", "--deterministic",
                "--precision", "float32", *settings]

    print("an undisturbed run, for its time", flush=True)
    undisturbed = out / UNDISTURBED
    process, first = start(train_words(undisturbed), undisturbed.with_suffix(".log")), None
    while process.poll() is None:
        if first is None and steps_of(undisturbed):
            first = time.monotonic()
        time.sleep(0.01)
    if process.returncode:
        raise SystemExit(f"`zoo train` failed: see {undisturbed.with_suffix('.log')}")
    train_seconds = time.monotonic() - first
    rows = []

    def add(row):
        rows.append(row)
        show(row, sum(other.command == row.command for other in rows))

    moments = shares(arguments.kills, draw)
    if arguments.command != "export":
        print(f"{train_seconds:.0f} s from the first checkpoint to the end", flush=True)
        for number, share in enumerate(moments):
            moment = "in a checkpoint" if number % 3 == 2 else "at random"
            add(in_time(kill_train, train_words, out / f"train_{number}", moment, share,
                        train_seconds))
    if arguments.command != "train":
        def words(directory):
            return ["export", str(undisturbed), str(directory)]

        started = time.monotonic()
        if start(words(out / "exported"), out / "exported.log").wait():
            raise SystemExit(f"`zoo export` failed: see {out / 'exported.log'}")
        seconds = time.monotonic() - started
        print(f"{seconds:.0f} s for an export", flush=True)
        for number, share in enumerate(moments):
            moment = "in a version" if number % 3 == 2 else "at random"
            add(in_time(kill_export, words, out / f"export_{number}", moment, share, seconds))
    failed = sum(not row.is_good for row in rows)
    print(f"{len(rows) - failed} of {len(rows)} kills: finished, gone on with, nothing broken, "
          "equal weights")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
