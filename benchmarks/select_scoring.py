"""Chooses weights, branch, horizon and pooling of a run's score on its held-out training videos.

    python benchmarks/select_scoring.py --run runs/ped2 --data footage/ucsd_ped2

Synthetic anomalies are put into the videos that the run held out; the test videos are never read.
Prints a table, best first, writes `selection.json` into the run and makes the choice its own: the
arguments go into its `config.json`, the weights into its `model.weights.h5`, of which a copy is
kept as `final.weights.h5`. With `--only-show` the run stays as it is. Two held-out videos
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
from zoo.commands.held_out import recorded_split, spread  # noqa: E402
from zoo.evaluation import selection  # noqa: E402
from zoo.evaluation.card import portable  # noqa: E402
from zoo.training.whole_files import write_json, write_whole  # noqa: E402

PIECE = 200  # frames
# A piece of 128x192 with its 12 altered copies of four draws, and their masks, takes 123 MB.
MOST_PIECES = 8
HEADER = "weights            branch         horizon  pooling  window  AUC    speed  back   place"
BEST, FINAL, CHOSEN = (f"{name}.weights.h5" for name in ("best", "final", "model"))


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
    parser.add_argument("--only-show", action="store_true", help="change nothing in the run")
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        parser.error(f"--seeds must be at least 1. Received: {arguments.seeds}")
    _, held_out = recorded_split([arguments.run], arguments.data)
    files = arguments.weights or weight_files(arguments.run)
    models = ((file.name, zoo.load(str(arguments.run), weights=str(file))) for file in files)
    first = zoo.load(str(arguments.run), weights=None)
    trials = selection.make_trials(pieces(held_out, first), range(arguments.seeds))
    say = lambda candidate: print(row(candidate), file=sys.stderr, flush=True)  # noqa: E731
    poolings = selection.POOLINGS
    if arguments.keep_pooling:
        poolings = ((first.score_pooling, first.score_window),)
    ranked = selection.select(models, trials, poolings, report=say)
    baseline = selection.copy_last_frame(trials, poolings)
    print(HEADER)
    for candidate in [*ranked[:20], baseline[0]]:
        print(row(candidate))
    if arguments.only_show:
        return
    write_json(
        arguments.run / "selection.json",
        {
            "command": portable(shlex.join(["python", *sys.argv])),
            "held_out_videos": [video.name for video in held_out.videos],
            "pieces": len(trials),
            "draws_per_video_and_kind": arguments.seeds,
            "poolings_tried": [list(pooling) for pooling in poolings],
            "chosen": dataclasses.asdict(ranked[0]),
            "arguments": ranked[0].arguments,
            "copy_last_frame": dataclasses.asdict(baseline[0]),
            "candidates": [dataclasses.asdict(candidate) for candidate in ranked],
        },
    )
    adopt(arguments.run, ranked[0], {file.name: file for file in files})


def weight_files(run):
    """The weights that a run may be loaded with: the best ones held out, and those at its end."""
    # The second time `model.weights.h5` is what was chosen the first time.
    last = FINAL if (run / FINAL).is_file() else CHOSEN
    return [run / name for name in (BEST, last) if (run / name).is_file()]


def adopt(run, chosen, files):
    """Makes the chosen scoring and weights those that the run is loaded with."""
    config = json.loads((run / "config.json").read_text("utf-8"))
    config["overrides"] |= chosen.arguments
    config["arguments"] |= chosen.arguments
    if not (run / FINAL).is_file():
        copy(run / CHOSEN, run / FINAL)
    write_json(run / "config.json", config)
    copy(files[chosen.weights], run / CHOSEN)


def copy(origin, path):
    content = origin.read_bytes()
    write_whole(path, lambda aside: aside.write_bytes(content))


def pieces(source, model):
    """Reads videos at the model's rate, size and colour: a list of uint8 clips.

    In pieces, and at most `MOST_PIECES` of them, spread over all, so that an hour held out needs
    no more memory than a few minutes.
    """
    clip = data_pipelines.ClipSpec(
        fps=model.fps, size=tuple(model.clip_shape[1:3]), channels=model.channels
    )

    def stream():
        for video in source.videos:
            yield from data_pipelines.chunks(video, clip, PIECE)

    return spread(stream, MOST_PIECES)


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
