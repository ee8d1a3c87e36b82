"""What each loss of multiscale_gan does to the sharpness of its predictions, as one table.

    python benchmarks/sharpness.py --data footage/ucsd_ped2 --minutes 15 --out runs/sharpness \
        --also footage/clips

The same generators are trained on the same footage for the same minutes with L2 alone, with the
gradient difference loss, with the adversarial loss, and with both, each beside L2; weights, data
and order are of one seed, and the steps are those of `equal_minutes.py`. Then the next frame is
predicted from four: on the videos that the training held out, and on any footage given with
`--also`. Printed are PSNR and the sharpness of Mathieu et al. 2016, in decibels, and whether the
claim of the paper holds: both losses raise the sharpness, each at the cost of at most 1 dB of PSNR.
A run that is stopped is gone on with by the same command. Four trainings of fifteen minutes on two
cores are an hour.

Reference: Mathieu, Couprie and LeCun, "Deep multi-scale video prediction beyond mean square
error", 2016, tables 1 and 2, https://arxiv.org/abs/1511.05440
"""

import argparse
import json
import os
import pathlib
import shlex
import sys

# Before TensorFlow is imported: its start is noise here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import card_section  # noqa: E402
import equal_minutes  # noqa: E402
import numpy as np  # noqa: E402

import data_pipelines  # noqa: E402
import zoo  # noqa: E402
from zoo.commands import training_setup  # noqa: E402
from zoo.commands.held_out import recorded_split, spread  # noqa: E402
from zoo.evaluation import prediction  # noqa: E402
from zoo.registry import resolve  # noqa: E402
from zoo.training.precision import choose_precision  # noqa: E402

MODEL = "multiscale_gan/ucsd_ped2"
MOST_WINDOWS = 100  # of one footage
BATCH = 4


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="footage to train on")
    parser.add_argument("--minutes", type=float, default=15.0, help="of training, per variant")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the runs")
    parser.add_argument("--also", nargs="*", default=[], help="more footage to predict")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--variants", nargs="*", default=list(variants()), choices=list(variants())
    )
    card_section.add_option(parser)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    card_section.check(parser, arguments.card)
    arguments.out.mkdir(parents=True, exist_ok=True)
    speeds = equal_minutes.recorded_seconds(
        arguments.out / "speeds.json",
        arguments.variants,
        lambda name: equal_minutes.training_of(set_up(name, arguments)),
        say,
    )
    rows = {}
    for name in arguments.variants:
        run, minutes = train(name, arguments, speeds[name])
        model = zoo.load(str(run))
        _, held_out = recorded_split([run], arguments.data)
        footage = {"held out": held_out}
        footage |= {pathlib.Path(path).name: videos_of(path) for path in arguments.also}
        rows[name] = {"minutes_taken": minutes} | {
            where: measure(model, videos) for where, videos in footage.items()
        }
    report = {
        "minutes": arguments.minutes,
        "precision": choose_precision("auto"),
        "seconds_a_step": speeds,
        "rows": rows,
        "claim": claim(rows),
        "seed": arguments.seed,
    }
    card_section.put(arguments.card, "sharpness", report)
    if arguments.json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(table(report)) + "\n")


def variants():
    """Settings of each variant; all else is the preset's."""
    preset = resolve(MODEL).arguments
    gradient, adversarial = preset["gradient_weight"], preset["adversarial_weight"]
    off = {"lp_weight": 1.0, "exponent": 2, "gradient_weight": 0.0, "adversarial_weight": 0.0}
    return {
        "l2": off,
        "l2+gradient": {**off, "gradient_weight": gradient},
        "l2+adversarial": {**off, "adversarial_weight": adversarial},
        "all": {**off, "gradient_weight": gradient, "adversarial_weight": adversarial},
    }


def set_up(name, arguments, steps=None):
    settings = [f"{key}={value}" for key, value in variants()[name].items()]
    return training_setup.prepare(
        MODEL, arguments.data, given={"steps": steps}, settings=settings, seed=arguments.seed
    )


def train(name, arguments, seconds):
    """Trains a variant, or goes on with it: its run folder and the minutes that it took."""
    steps = equal_minutes.steps_in(arguments.minutes, seconds)
    say(f"{name}: {steps} steps")
    setup = set_up(name, arguments, steps)
    run = training_setup.run(setup, arguments.out / name, shlex.join(["python", *sys.argv]))
    return run.path, run.record["minutes"]


def videos_of(path):
    return data_pipelines.open_source(path)


def measure(model, source):
    """Mean figures of the next frame over windows spread over the footage."""
    clip = data_pipelines.ClipSpec(
        frames=model.context_frames + 1,
        fps=model.fps,
        size=tuple(model.clip_shape[1:3]),
        channels=model.channels,
    )
    stream = data_pipelines.load(source, clip)
    windows = np.stack(spread(stream.as_numpy_iterator, MOST_WINDOWS))
    batches = np.split(windows, range(BATCH, len(windows), BATCH))
    found = prediction.evaluate(
        batches, model.context_frames, lambda context, steps: model.rollout(context, steps).numpy()
    )
    still = found["baselines"]["copy_last_frame"]
    return {
        "windows": found["windows"],
        **{name: found[name] for name in ("psnr", "sharpness", "ssim")},
        "copy_last_frame": {name: still[name] for name in ("psnr", "sharpness", "ssim")},
    }


def claim(rows):
    """Whether each loss raises the sharpness over L2 with a PSNR at most 1 dB lower."""
    if "l2" not in rows:
        return {}
    found = {}
    for name in rows:
        if name == "l2":
            continue
        for where in (key for key in rows[name] if key != "minutes_taken"):
            plain, row = rows["l2"][where], rows[name][where]
            sharper = row["sharpness"] - plain["sharpness"]
            worse = plain["psnr"] - row["psnr"]
            found[f"{name}, {where}"] = {
                "sharpness_gained": sharper,
                "psnr_lost": worse,
                "holds": bool(sharper > 0 and worse <= 1),
            }
    return found


def table(report):
    """The lines that are printed."""
    places = [key for key in next(iter(report["rows"].values())) if key != "minutes_taken"]
    yield "losses           minutes" + "".join(f"  {where:>22}" for where in places)
    yield " " * 24 + "  PSNR dB   sharpness dB" * len(places)
    for name, row in report["rows"].items():
        figures = "".join(
            f"  {row[where]['psnr']:7.2f}  {row[where]['sharpness']:13.2f}" for where in places
        )
        yield f"{name:15}  {row['minutes_taken']:7.1f}{figures}"
    row = next(iter(report["rows"].values()))
    figures = "".join(
        f"  {still['psnr']:7.2f}  {still['sharpness']:13.2f}"
        for still in (row[where]["copy_last_frame"] for where in places)
    )
    yield f"{'last frame':15}  {'-':>7}{figures}"
    for name, found in report["claim"].items():
        yield (
            f"{name}: sharpness {found['sharpness_gained']:+.2f} dB, PSNR "
            f"{-found['psnr_lost']:+.2f} dB: {'holds' if found['holds'] else 'does not hold'}"
        )


def say(words):
    sys.stderr.write(words + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
