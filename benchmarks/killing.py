"""Commands of `zoo` killed with signal 9 at moments of choice: what the scripts for it share."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENDED = "ended before the kill"


@dataclasses.dataclass
class Row:
    """What one kill did, and what the same command did then."""

    command: str
    moment: str
    left: str
    again: str
    is_good: bool


def start(words, log, out=None):
    """Starts `zoo` in a session of its own, so that the processes it starts die with it.

    Args:
        words: list of str, the arguments.
        log: `Path` of a file that what it says is added to.
        out: open file for its standard output, or None for the log.
    """
    with open(log, "ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "zoo", *words],
            cwd=ROOT,
            stdout=out or file,
            stderr=file,
            start_new_session=True,
        )


def kill_when(process, is_due):
    """Kills with signal 9 as soon as `is_due()`; False if the process ended before."""
    while process.poll() is None:
        if is_due():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.0005)
    return False


def in_time(kill, words, folder, moment, share, seconds):
    """A row of `kill`, earlier and in another folder where the command was done before it came.

    How long a command takes differs from one time to the next, most on a busy machine.
    """
    for attempt in range(4):
        there = folder if attempt == 0 else folder.with_name(f"{folder.name}_{attempt}")
        row = kill(words(there), there, moment, 0.95 * share * 0.7**attempt, seconds)
        if row.left != ENDED:
            break
    return row


def show(row, number):
    """Prints one row of the table."""
    verdict = "good" if row.is_good else "FAILED"
    print(f"{row.command:7}{number:3}  {row.moment:28} {row.left:34} {row.again:74} {verdict}",
          flush=True)


def shares(count, draw):
    """Moments, in parts of the time: one in each of `count` equal parts of it, so that none is
    left out by chance.

    Args:
        count: int.
        draw: `random.Random`.
    """
    return [(number + draw.random()) / count for number in range(count)]
