"""Chooses weights, branch, horizon and pooling of a run's score on its held-out training videos.

    python benchmarks/select_scoring.py --run runs/ped2 --data footage/ucsd_ped2

Synthetic anomalies are put into the videos that the run held out; the test videos are never read.
Prints a table, best first, writes `selection.json` into the run and makes the choice its own: the
arguments go into its `config.json`, the weights into its `model.weights.h5`. Two held-out videos
of UCSD Ped2 with four draws of each anomaly, two weight files and four horizons take about five
minutes on two cores.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shlex
import sys

# Before TensorFlow is imported: its start is noise here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import data_pipelines  # noqa: E402
import zoo  # noqa: E402
from zoo.evaluation import selection  # noqa: E402
from zoo.evaluation.card import portable  # noqa: E402
from zoo.training.whole_files import write_json, write_whole  # noqa: E402

PIECE = 200  # frames
HEADER = "weights            branch         horizon  pooling  window  AUC    speed  back   place"
WEIGHT_FILES = ("best.weights.h5", "model.weights.h5")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run", type=pathlib.Path, required=True, help="run folder of `zoo train`")
    parser.add_argument("--data", required=True, help="the footage it was trained on")
    parser.add_argument("--seeds", type=int, default=4, help="draws of each anomaly per video")
    parser.add_argument(
        "--weights", type=pathlib.Path, nargs="*", help="weight files; by default those of the run"
    )
    parser.add_argument(
        "--keep-pooling",
        action="store_true",
        help="choose all but pooling and window, which stay those of the run",
    )
    arguments = parser.parse_args()
    record = json.loads((arguments.run / "run.json").read_text("utf-8"))
    held_out = record["held_out_videos"]
    if not held_out:
        parser.error(f"{arguments.run} held nothing out, so there is nothing to choose on")
    files = arguments.weights or [
        arguments.run / name for name in WEIGHT_FILES if (arguments.run / name).is_file()
    ]
    models = ((file.name, zoo.load(str(arguments.run), weights=str(file))) for file in files)
    first = zoo.load(str(arguments.run), weights=None)
    trials = selection.make_trials(
        held_out_clips(arguments.data, held_out, first), range(arguments.seeds)
    )
    say = lambda candidate: print(row(candidate), file=sys.stderr, flush=True)  # noqa: E731
    poolings = selection.POOLINGS
    if arguments.keep_pooling:
        poolings = ((first.score_pooling, first.score_window),)
    ranked = selection.select(models, trials, poolings, report=say)
    baseline = selection.copy_last_frame(trials, poolings)
    print(HEADER)
    for candidate in [*ranked[:20], baseline[0]]:
        print(row(candidate))
    write_json(
        arguments.run / "selection.json",
        {
            "command": portable(shlex.join(["python", *sys.argv])),
            "held_out_videos": held_out,
            "draws_per_video_and_kind": arguments.seeds,
            "poolings_tried": [list(pooling) for pooling in poolings],
            "chosen": dataclasses.asdict(ranked[0]),
            "arguments": ranked[0].arguments,
            "copy_last_frame": dataclasses.asdict(baseline[0]),
            "candidates": [dataclasses.asdict(candidate) for candidate in ranked],
        },
    )
    adopt(arguments.run, ranked[0], {file.name: file for file in files})


def adopt(run, chosen, files):
    """Makes the chosen scoring and weights those that the run is loaded with."""
    config = json.loads((run / "config.json").read_text("utf-8"))
    config["overrides"] |= chosen.arguments
    config["arguments"] |= chosen.arguments
    write_json(run / "config.json", config)
    if chosen.weights != "model.weights.h5":
        content = files[chosen.weights].read_bytes()
        write_whole(run / "model.weights.h5", lambda aside: aside.write_bytes(content))


def held_out_clips(data, names, model):
    """Reads the held-out videos at the model's rate, size and colour, in pieces, uint8."""
    # Of footage that is split, the training part alone: a test video must not be read here even
    # if it were called like a held-out one.
    source = data_pipelines.open_source(data)
    if "train" in source.splits:
        source = data_pipelines.open_source(source, split="train")
    clip = data_pipelines.ClipSpec(
        fps=model.fps, size=tuple(model.clip_shape[1:3]), channels=model.channels
    )
    videos = [video for video in source.videos if video.name in names]
    if len(videos) != len(names):
        raise ValueError(f"`data` must hold the held-out videos {names}. Received: {data}")
    # In pieces, so that an hour held out needs no more memory than twenty seconds.
    return [piece for video in videos for piece in data_pipelines.chunks(video, clip, PIECE)]


def row(candidate):
    """One line of the table."""
    kinds = candidate.auc_by_kind
    return (
        f"{candidate.weights:18s} {candidate.score_branch or '-':14s} "
        f"{candidate.score_horizon or '-':>7}  {candidate.score_pooling:7s}  "
        f"{candidate.score_window or '-':>6}  {candidate.auc_live:.3f}  {kinds['speed']:.3f}  "
        f"{kinds['backwards']:.3f}  {kinds['place']:.3f}"
    )


if __name__ == "__main__":
    main()
