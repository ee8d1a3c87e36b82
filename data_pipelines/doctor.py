"""Examines footage before anything is trained on it: what is broken, faulty or there twice.

Video files and images are decoded in processes of their own, with limits of time and memory, so no
file ends the run; each file below the folder is in the report. Memory does not grow with the length
of a video.

Training is called unsound, in plain words, where

- a file that is to be a video cannot be read, is something else, is still being written, or a
  folder or file is closed to the reader: it would be missing, and nobody would notice;
- more than one frame in a hundred is lost or damaged;
- its clock runs backwards, or differs by more than a tenth from the rate that it declares: clips
  would not last as long as they are believed to;
- more than a tenth of its time is black, over-exposed, blurred, frozen or doubled, added up;
- videos of the training and of the test side show the same: the test would measure memory;
- no video is left that can be read.

All else that is found is a warning (look at it) or a note (good to know).
"""

import concurrent.futures
import hashlib
import os
import threading
from pathlib import Path

from data_pipelines import near_duplicates
from data_pipelines.doctor_files import items
from data_pipelines.doctor_findings import UNSOUND, WARNING, Finding
from data_pipelines.doctor_item import examine_item
from data_pipelines.doctor_report import Report, reasons_of, status_of

SECONDS_PER_FILE = 120.0
MOST_WORKERS = 4


def examine(path, *, seconds_per_file=SECONDS_PER_FILE, workers=None, thumbnails=False,
            progress=None):
    """Examines a file, or all files below a folder.

    Args:
        path: Path of a video file or of a folder of any layout that `open_source` reads.
        seconds_per_file: Longest time for one video, in seconds; of a longer one the part that
            was reached is judged, and that is said.
        workers: Videos that are examined at a time; None for as many as there are cores, four
            at most.
        thumbnails: Whether to keep small pictures.
        progress: None or a function of `(number, count, name)`, called after each.

    Returns:
        `doctor_report.Report`.

    Raises:
        ValueError: There is nothing at `path`, or an argument breaks its rule.

    Example:
        >>> report = examine("footage/")  # doctest: +SKIP
        >>> [file.name for file in report.files if file.status == "unsound"]  # doctest: +SKIP
        ['gate/2024-05-01.mp4']
    """
    if not seconds_per_file > 0:
        raise ValueError(
            "`seconds_per_file` must be above 0. "
            f"Received: seconds_per_file={seconds_per_file!r}"
        )
    if workers is None:
        workers = min(MOST_WORKERS, os.cpu_count() or 1)
    elif workers < 1:
        raise ValueError(f"`workers` must be at least 1 or None. Received: workers={workers!r}")
    kind, found = items(Path(path))
    lock, done = threading.Lock(), 0

    def one(item):
        nonlocal done
        examined = examine_item(item, seconds_per_file, thumbnails)
        with lock:
            done += 1
            if progress:
                progress(done, len(found), item.name)
        return examined

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        examined = list(pool.map(one, found))
    files = [file for file, _ in examined]
    signatures = {file.name: signature for file, signature in examined if signature is not None}
    same = _same_bytes([item for item in found if item.name in signatures])
    duplicates = near_duplicates.find(signatures, same)
    sides = {item.name: item.split for item in found}
    leaks = [
        group for group in duplicates if {"train", "test"} <= {sides[name] for name in group}
    ]
    _say_duplicates(files, duplicates, leaks)
    for file in files:
        file.status = status_of(file)
    return Report(str(path), kind, files, duplicates, leaks, reasons_of(files, leaks))


def _same_bytes(found):
    """Lists of the names of items whose files are equal; only those of one size are read."""
    by_size, by_digest = {}, {}
    for item in found:
        by_size.setdefault(tuple(_size(path) for path in item.paths), []).append(item)
    for alike in by_size.values():
        for item in alike if len(alike) > 1 else ():
            digest = hashlib.sha256()
            try:
                for path in item.paths:
                    with open(path, "rb") as file:
                        digest.update(hashlib.file_digest(file, "sha256").digest())
            except OSError:
                continue  # It went away since it was decoded; its own report says so.
            by_digest.setdefault(digest.digest(), []).append(item.name)
    return [names for names in by_digest.values() if len(names) > 1]


def _size(path):
    try:
        return path.stat().st_size
    except OSError:
        return None


def _say_duplicates(files, duplicates, leaks):
    by_name = {file.name: file for file in files}
    for group in duplicates:
        is_leak = group in leaks
        for name in group:
            text = f"shows the same as {', '.join(other for other in group if other != name)}"
            if is_leak:
                text += ", on both sides of the split"
            by_name[name].findings.append(
                Finding("near-duplicate", UNSOUND if is_leak else WARNING, text)
            )
