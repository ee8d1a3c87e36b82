"""Training `convlstm_vae` from shards, video files and JPEG folders beside a dataset in memory.

    python benchmarks/training_feed.py

Made-up footage of a camera, as video files, as folders of JPEG files and as shards of `zoo
prepare`, feeds one and the same model in turn, round after round, so that what else the machine
does meets all alike; so does a dataset of the same clips that was decoded before and is cached in
memory. Of each turn the first steps, whose batches were made while others trained, do not count.
Beside steps per second: processor milliseconds per clip, of a pass over each dataset alone, with
the processes that decode for it.

Ends with 1 unless shards reach 0.95 of the steps per second of memory, the median over the rounds,
and video files and JPEG folders 0.85. A quarter of an hour on two cores.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

# Before TensorFlow is imported: its start is noise here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import memory  # noqa: E402
import mutations  # noqa: E402

MEMORY = "memory"
BARS = {"shards": 0.95, "video files": 0.85, "JPEG folders": 0.85}
SIZE, FPS = (240, 360), 10  # of the footage; Ped2's
VIDEOS = 6
# Batches that were made ahead while others trained.
UNCOUNTED = 3


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=600, help="of each of six videos")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8, help="that count, a turn")
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as aside:
        rows = measured(footage(pathlib.Path(aside), arguments.frames), arguments)
    passes = all(row["ratio"] >= BARS[name] for name, row in rows.items() if name in BARS)
    if arguments.json:
        print(json.dumps({"feeds": rows, "passes": passes}, indent=2))
    else:
        for line in table(rows):
            print(line)
        print("the bars are reached" if passes else "FAILED: a bar is not reached")
    sys.exit(not passes)


def footage(folder, frames):
    """Writes the same videos in three layouts; returns a dict from the name of each to its path."""
    import cv2

    import data_pipelines
    from zoo.commands.prepare import form_of

    films, images = folder / "films", folder / "images"
    films.mkdir()
    for number in range(VIDEOS):
        path = films / f"{number}.mp4"
        mutations.encode(path, mutations.place(frames, SIZE, FPS, number), FPS, "mpeg4", "yuv420p")
        (images / str(number)).mkdir(parents=True)
        for place, frame in enumerate(mutations.place(frames, SIZE, FPS, number)):
            cv2.imwrite(str(images / str(number) / f"{place}.jpg"), frame)
    form = form_of("convlstm_vae", {"size": None, "fps": None, "channels": 1})
    data_pipelines.prepare(films, folder / "shards", **form)
    return {MEMORY: films, "shards": folder / "shards", "video files": films,
            "JPEG folders": images}  # fmt: skip


def measured(paths, arguments):
    """Trains from each in turn; returns a dict from the name of a feed to its row."""
    import keras

    import data_pipelines
    import zoo
    from zoo.commands import training_setup

    # As `zoo train` has it, but for what is cached.
    setup = training_setup.prepare("convlstm_vae", paths[MEMORY])
    keras.utils.set_random_seed(0)
    model = zoo.load("convlstm_vae", weights=None)
    model.compile("adam", loss=model.default_loss(), jit_compile=False)
    options = {
        "clip": training_setup.clip_spec(setup.training, model),
        "task": training_setup.task_of(model), "batch": setup.training["batch"],
        "shuffle": training_setup.SHUFFLE_CLIPS, "augment": setup.training["augment"],
    }  # fmt: skip
    streams, clip_ms = {}, {}
    for name, path in paths.items():
        cache = "memory" if name == MEMORY else None
        clip_ms[name] = processor_ms(data_pipelines.load(path, cache=cache, **options))
        streams[name] = iter(data_pipelines.load(path, cache=cache, repeat=True, **options))
    seconds = {name: [] for name in streams}
    for _ in range(arguments.rounds):
        for name, batches in streams.items():
            for _ in range(UNCOUNTED):
                model.train_on_batch(*next(batches))
            began = time.monotonic()
            for _ in range(arguments.steps):
                model.train_on_batch(*next(batches))
            seconds[name].append((time.monotonic() - began) / arguments.steps)
        print({name: round(1 / values[-1], 3) for name, values in seconds.items()}, "steps/s",
              file=sys.stderr, flush=True)  # fmt: skip
    return rows_of(seconds, clip_ms)


def rows_of(seconds, clip_ms):
    """Sums rounds up.

    Args:
        seconds: dict from the name of a feed to its seconds a step, round by round.
        clip_ms: dict from the name of a feed to processor milliseconds per clip.

    Returns:
        dict from the name of a feed to `steps_per_second` and `ratio` to memory, the medians over
        the rounds, and `clip_ms`.
    """
    rows = {}
    for name, values in seconds.items():
        ratios = [base / own for base, own in zip(seconds[MEMORY], values, strict=True)]
        rows[name] = {
            "steps_per_second": 1 / statistics.median(values),
            "ratio": statistics.median(ratios), "clip_ms": clip_ms[name],
        }  # fmt: skip
    return rows


def processor_ms(batches):
    """Processor milliseconds per clip of a pass over batches, decoders' processes included."""
    began, clips = processor_seconds(), 0
    for inputs, _ in batches:
        clips += len(inputs)
    return 1000 * (processor_seconds() - began) / clips


def processor_seconds():
    """What this process and those that decode for it have used until now."""
    used = time.process_time()
    for child in memory.decoders(os.getpid()):
        # After the name, which may hold anything: fields 14 and 15 are ticks of user and system.
        words = pathlib.Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        used += (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return used


def table(rows):
    """Lines of the table."""
    yield f"{'feed':14}{'steps/s':>9}{'of memory':>11}{'bar':>6}{'CPU ms a clip':>15}"
    for name, row in rows.items():
        bar = f"{BARS[name]:.2f}" if name in BARS else ""
        yield (f"{name:14}{row['steps_per_second']:>9.3f}{row['ratio']:>11.3f}{bar:>6}"
               f"{row['clip_ms']:>15.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
