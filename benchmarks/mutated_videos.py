"""Damages hundreds of video files and asks `zoo doctor` and `load` to account for each.

    python benchmarks/mutated_videos.py --count 500 --seed 0

Files are cut off, bytes flipped, blocks zeroed, headers cut, other kinds of file renamed, empty;
some make the decoder abort (`dying_decoder.py`); some are left as they are. They come from the
folder of whole videos that is given, else from made-up ones in eight formats. The bars:

- the run ends, and each file is in the report of the doctor once, within its time;
- files left as they are come out as healthy (that they show the same as others may be said);
- empty files, other kinds of file and what aborts the decoder never do;
- whatever FFmpeg says of a file when it is read in a process of its own, outside of this project,
  is not missing in the report: of a file of which it says something, something is reported;
- of a file that gives fewer frames than the whole one, that is said; but of a transport stream,
  which does not tell how many there should be;
- `load`, one stream of all, gives clips of each file or a warning that names it, every clip of the
  healthy ones, and goes on to its end without a pause as long as that time.

Ends with 1 if one of them fails.
"""

import argparse
import collections
import contextlib
import dataclasses
import json
import logging
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import time

# Before TensorFlow is imported: its start is noise here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import mutations  # noqa: E402

import data_pipelines  # noqa: E402
from data_pipelines import doctor, workers  # noqa: E402

# For one file; and what a busy machine may take beside it.
SECONDS_PER_FILE, SLACK_SEC = 30.0, 15.0
CLIP = data_pipelines.ClipSpec(frames=4, size=(48, 64), channels=1)

# Reads files with PyAV alone. What FFmpeg says of one, and what it raises, goes to standard error
# behind a line with the number of the file.
PEER = """
import sys, av
av.logging.restore_default_callback()
av.logging.set_libav_level(av.logging.ERROR)
for number, path in enumerate(sys.argv[1:]):
    print(f"FILE {number}", file=sys.stderr, flush=True)
    try:
        with av.open(path, metadata_errors="replace") as container:
            for packet in container.demux(video=0):
                try:
                    packet.decode()
                except av.error.EOFError:
                    break
                except av.error.FFmpegError as error:
                    print(error, file=sys.stderr, flush=True)
    except Exception as error:
        print(error, file=sys.stderr, flush=True)
"""
# Files that one process of it reads.
PEER_FILES = 50


@dataclasses.dataclass
class Mutated:
    """One file, and what became of it.

    Attributes:
        kind: Of `mutations.MAKERS`.
        path: Path.
        whole_frames: Frames that come from the file it was made of.
        report: `doctor_report.FileReport`, or None where the doctor has none.
        seconds: Time the doctor took for it.
        given: Clips that `load` gave; None where it left the file out.
        load_seconds: The longest time that it was waited for one of them.
        warnings: What `load` said of it, list of str.
        peer: What FFmpeg says of it by itself, str.
    """

    kind: str
    path: pathlib.Path
    whole_frames: int
    report: object = None
    seconds: float = 0.0
    given: int | None = None
    load_seconds: float = 0.0
    warnings: list = dataclasses.field(default_factory=list)
    peer: str = ""

    @property
    def outcome(self):
        """`"healthy"`, `"damaged"`, `"unreadable"` or `"missing"`, as the doctor has it."""
        if self.report is None:
            return "missing"
        if not self.report.frames:
            return "unreadable"
        told = {f.kind for f in self.report.findings if f.severity != "note"} - {"near-duplicate"}
        return "damaged" if told else "healthy"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", type=pathlib.Path, help="folder of whole videos")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=pathlib.Path, help="folder to write the files to, and keep")
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as aside, stand_in():
        aside = pathlib.Path(aside)
        whole = whole_videos(arguments.videos, aside / "whole")
        folder = arguments.keep or aside / "mutated"
        files = write_all(folder, whole, range(arguments.count), arguments.seed)
        say(f"{len(files)} files made of {len(whole)} whole ones")
        began = time.monotonic()
        examine(folder, files)
        say(f"examined in {time.monotonic() - began:.0f} s")
        began = time.monotonic()
        ended = load(folder, files)
        say(f"loaded in {time.monotonic() - began:.0f} s")
        ask_peer(files)
        failures = failed_bars(files)
        if ended:
            failures.append(f"FAILED: `load` ended before its end: {ended}")
    table = by_kind(files)
    if arguments.json:
        print(json.dumps({"kinds": table, "failures": failures}, indent=2))
    else:
        print("\n".join([*lines(table), *(failures or ["every bar is reached"])]))
    sys.exit(1 if failures else 0)


@contextlib.contextmanager
def stand_in():
    """Within it, files that end with `dying_decoder.ABORT` make the decoder abort."""
    program = workers._PROGRAM
    workers._pool.close()
    workers._PROGRAM = pathlib.Path(__file__).with_name("dying_decoder.py")
    try:
        yield
    finally:
        workers._pool.close()
        workers._PROGRAM = program


def whole_videos(given, aside):
    """Dict from Path of a whole video to its frames; made-up ones where no folder is given."""
    folder = given or aside
    if given is None:
        mutations.write_videos(aside)
    files = doctor.examine(folder).files
    ill = [file.name for file in files if file.kind == "video" and file.status == "unsound"]
    if ill:
        raise SystemExit(f"`--videos` must be a folder of healthy videos; these are not: {ill}")
    whole = {folder / file.name: file.frames for file in files if file.status == "healthy"}
    if not whole:
        raise SystemExit(f"`--videos` must be a folder of healthy videos; {folder} has none")
    return whole


def write_all(folder, whole, numbers, seed):
    """List of `Mutated`, written into a folder of their own. `whole`: as of `whole_videos`."""
    folder.mkdir(parents=True)
    files = []
    for number in numbers:
        kind, path, begun = mutations.write_mutated(folder, list(whole), number, seed)
        files.append(Mutated(kind, path, whole[begun]))
    return files


def examine(folder, files):
    """One run of the doctor, file by file so that each one's time is known."""
    last, taken = time.monotonic(), {}

    def told(number, count, name):
        nonlocal last
        now = time.monotonic()
        taken[name], last = now - last, now

    report = doctor.examine(
        folder, seconds_per_file=SECONDS_PER_FILE, workers=1, progress=told
    )
    reports = collections.defaultdict(list)
    for file in report.files:
        reports[file.name].append(file)
    for file in files:
        found = reports[file.path.name]
        file.report = found[0] if len(found) == 1 else None
        file.seconds = taken.get(file.path.name, 0.0)


def load(folder, files):
    """One stream of the folder, each clip of it with a limit of time.

    Returns:
        What ended the stream before its end, str, or None.
    """
    said, handler = [], logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger = logging.getLogger("data_pipelines")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        source = data_pipelines.open_source(folder, "video_files")
        by_name, names = {file.path.name: file for file in files}, []
        for video in source.videos:
            by_name[video.name].given = 0
            # The class of a clip tells the file that it is from.
            video.label = video.name
            names.append(video.name)
        ended = _stream(source, names, by_name)
    finally:
        logger.removeHandler(handler)
        logger.propagate = True
    for file in files:
        file.warnings = [text for text in said if file.path.name in text]
    return ended


def _stream(source, names, by_name):
    given = queue.Queue()

    def read():
        try:
            for _, number in data_pipelines.load(source, CLIP, labels=names):
                given.put(int(number))
            given.put(None)
        except Exception as error:
            given.put(error)

    threading.Thread(target=read, daemon=True).start()
    last = time.monotonic()
    while True:
        try:
            number = given.get(timeout=SECONDS_PER_FILE + SLACK_SEC)
        except queue.Empty:
            return f"nothing for {SECONDS_PER_FILE + SLACK_SEC:g} seconds"
        if number is None or isinstance(number, Exception):
            return number and f"{type(number).__name__}: {number}"
        file, now = by_name[names[number]], time.monotonic()
        file.given += 1
        file.load_seconds, last = max(file.load_seconds, now - last), now


def ask_peer(files):
    """What FFmpeg says of each file without this project between."""
    for begin in range(0, len(files), PEER_FILES):
        those = files[begin : begin + PEER_FILES]
        ended = subprocess.run(
            [sys.executable, "-I", "-c", PEER, *(str(file.path) for file in those)],
            capture_output=True, text=True, errors="replace", timeout=20 * SECONDS_PER_FILE,
        )  # fmt: skip
        for part in ended.stderr.split("FILE ")[1:]:
            number, _, said = part.partition("\n")
            those[int(number)].peer = said.strip()


def failed_bars(files):
    """What was not reached, one str each."""
    failures = []

    def bar(words, those):
        if those:
            names = ", ".join(file.path.name for file in those[:10])
            failures.append(f"FAILED: {len(those)} files {words}: {names}")

    bar("are not in the report once", [f for f in files if f.report is None])
    files = [file for file in files if file.report is not None]
    limit = SECONDS_PER_FILE + SLACK_SEC
    bar("took the doctor too long", [f for f in files if f.seconds > limit])
    bar("were left as they are and are not healthy",
        [f for f in files if f.kind == "untouched" and (f.outcome != "healthy" or f.report.log)])
    never = ("empty", "renamed", "aborts")
    bar("are called healthy and cannot be",
        [f for f in files if f.kind in never and f.outcome == "healthy"])
    bar("abort the decoder, which is not said",
        [f for f in files if f.kind == "aborts"
         and not any("SIGABRT" in finding.text for finding in f.report.findings)])
    bar("are called healthy though FFmpeg complains",
        [f for f in files if f.peer and f.outcome == "healthy"])
    bar("have lost frames in silence",
        [f for f in files if f.outcome == "healthy" and f.report.declared_frames
         and f.report.frames < f.whole_frames and f.path.suffix != ".ts"
         and not {"count", "empty places"} & {finding.kind for finding in f.report.findings}])
    bar("gave no clip, which is not said", [f for f in files if not f.given and not f.warnings])
    bar("are healthy and gave no clips, or not all",
        [f for f in files if f.outcome == "healthy"
         and f.given != f.report.frames // CLIP.frames])
    bar("kept `load` waiting", [f for f in files if f.load_seconds > limit])
    return failures


def by_kind(files):
    """Rows of the table, one dict per kind, and one for all."""
    rows = []
    for kind in [*mutations.MAKERS, "all"]:
        those = [file for file in files if kind in (file.kind, "all")]
        outcomes = collections.Counter(file.outcome for file in those)
        rows.append({
            "kind": kind, "files": len(those),
            "accounted for": len(those) - outcomes["missing"],
            **{outcome: outcomes[outcome] for outcome in ("unreadable", "damaged", "healthy")},
            "loaded": sum(file.given is not None for file in those),
            "warned": sum(bool(file.warnings) for file in those),
            "seconds max": round(max((file.seconds for file in those), default=0), 2),
            "load max": round(max((file.load_seconds for file in those), default=0), 2),
        })  # fmt: skip
    return rows


def lines(rows):
    yield "  ".join(f"{title:>13}" for title in rows[0])
    for row in rows:
        yield "  ".join(f"{value:>13}" for value in row.values())


def say(message):
    print(message, file=sys.stderr)


if __name__ == "__main__":
    main()
