"""False alarms per hour of unseen normal footage where one was calibrated for, and what is found.

    python benchmarks/false_alarms.py --out runs/false_alarms

makes, seed by seed, the footage of a `synthetic_cctv` camera: hours of normal footage, then hours
with events. On some of the normal ones the threshold is calibrated, what raises alarms in the rest
is counted, and of the events the share that an alarm overlaps in time and place, by kind. People
come and go by the hour: with `--take first` the first hours of the day are calibrated on, with
`--take spread` as many minutes of each hour. Every ten minutes that are scored leave a file, so the
same command goes on with what was broken off; the footage of a seed goes when it is scored.

With `--scorer copy`, the error of a copy of the last frame, a seed of 13 hours takes most of an
hour of two cores, nearly all of it for drawing; `--fps 2 --size 48 72` is a fifth of that. A model
of the zoo scores as fast as `benchmarks/scoring.py` says.
"""

import argparse
import collections
import json
import os
import shutil
import sys
from pathlib import Path

# Before TensorFlow is imported: its start is noise here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402

import data_pipelines  # noqa: E402
import zoo  # noqa: E402
from data_pipelines.sources import synthetic_cctv  # noqa: E402
from data_pipelines.sources.cctv_plan import CONDITIONS  # noqa: E402
from zoo.commands import calibrate_setup  # noqa: E402
from zoo.commands.calibrate import FILE  # noqa: E402
from zoo.evaluation import calibration  # noqa: E402
from zoo.evaluation.calibration import AlarmCounter  # noqa: E402
from zoo.evaluation.events import BEGUN, ENDED, EventTracker  # noqa: E402
from zoo.evaluation.scoring import CopyLastFrame  # noqa: E402
from zoo.training.whole_files import read_json, write_json, write_whole  # noqa: E402

FILE_MINUTES = 10
BAR = (0.3, 3.0)  # times the rate asked for


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for all of it")
    parser.add_argument("--scorer", default="copy", help="copy, or a preset or run folder")
    parser.add_argument("--rate", type=float, default=1.0, help="false alarms per hour asked for")
    parser.add_argument("--seeds", type=int, default=10, help="cameras, from seed 0 on")
    parser.add_argument("--calibration-hours", type=int, default=2)
    parser.add_argument("--take", choices=("first", "spread"), default="first", help="of the day")
    parser.add_argument("--hours", type=int, default=10, help="unseen normal ones of each camera")
    parser.add_argument("--event-hours", type=int, default=1, help="with events")
    parser.add_argument("--size", type=int, nargs=2, default=(96, 144), help="height and width")
    parser.add_argument("--fps", type=float, default=10.0, help="frames per second of the footage")
    parser.add_argument(
        "--conditions", nargs="*", default=(), choices=CONDITIONS, help="weather and the like"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    arguments = parser.parse_args()
    asked = {key: value for key, value in vars(arguments).items() if key not in ("out", "json")}
    asked.pop("seeds")
    begin(arguments.out, asked)
    if arguments.scorer == "copy":
        clip = data_pipelines.ClipSpec(fps=arguments.fps, size=tuple(arguments.size), channels=1)
        scoring = calibrate_setup.Scoring(clip, CopyLastFrame(), window=2)
    else:
        scoring = calibrate_setup.of_model(zoo.load(arguments.scorer))
    found = [
        of_seed(arguments.out / f"seed{seed}", seed, scoring, arguments)
        for seed in range(arguments.seeds)
    ]
    report = {**asked, "seeds": arguments.seeds, **pooled(found, arguments.rate)}
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        for name, value in report.items():
            print(f"{name.replace('_', ' ')}: {value}")


def begin(out, asked):
    """Makes the folder, or goes on with one that was begun with the same arguments."""
    out.mkdir(parents=True, exist_ok=True)
    path, asked = out / "asked.json", json.loads(json.dumps(asked))
    if path.is_file() and read_json(path) != asked:
        raise SystemExit(f"--out must be new, or begun with the same arguments: see {path}")
    write_json(path, asked)


def of_seed(folder, seed, scoring, arguments):
    """What is known of one camera: dict of `threshold`, `normal` and `events`, lists of dicts."""
    hours = arguments.calibration_hours + arguments.hours
    files = hours * 60 // FILE_MINUTES
    taken = taken_of(files, arguments.calibration_hours * 60 // FILE_MINUTES, arguments.take)
    count = files + arguments.event_hours * 60 // FILE_MINUTES
    names = {n: folder / f"part{n:03d}.json" for n in range(count) if n not in taken}
    if not all(name.is_file() for name in names.values()):
        print(f"seed {seed}: footage", file=sys.stderr, flush=True)
        footage = synthetic_cctv.make_archive(
            folder / "footage", seed, cameras=1, train_hours=hours,
            test_hours=arguments.event_hours, size=tuple(arguments.size), fps=arguments.fps,
            minutes_per_file=FILE_MINUTES, conditions=tuple(arguments.conditions),
        )  # fmt: skip
        videos = data_pipelines.open_source(footage).videos
        settings = calibrated(folder, [videos[n] for n in taken], scoring, arguments)
        for number, name in names.items():
            if not name.is_file():
                print(f"seed {seed}: {videos[number].name}", file=sys.stderr, flush=True)
                write_json(name, watched(videos[number], scoring, settings))
        shutil.rmtree(footage)
    threshold = read_json(folder / FILE)
    return {
        "threshold": threshold["events"]["high"], "rate_interval": threshold["rate_interval"],
        "normal": [read_json(name) for n, name in names.items() if n < files],
        "events": [read_json(name) for n, name in names.items() if n >= files],
    }  # fmt: skip


def taken_of(files, wanted, take):
    """Numbers of the files to calibrate on, of so many: the first, or spread over all."""
    every = 1 if take == "first" else files / wanted
    return [int(number * every) for number in range(wanted)]


def calibrated(folder, videos, scoring, arguments):
    """The settings for events; the score maps of each video are kept till they are known."""
    path = folder / FILE
    if not path.is_file():
        counter = AlarmCounter(scoring.settings(0.3, 0.5))
        kept = [folder / f"maps{number:03d}.npy" for number in range(len(videos))]
        for file, video in zip(kept, videos, strict=True):
            if not file.is_file():
                print(f"{folder.name}: scoring {video.name}", file=sys.stderr, flush=True)
                scoring.scorer.begin()
                maps = calibrate_setup.timed_maps(video, scoring.clip, scoring.scorer)
                maps = np.stack([score_map for _, score_map in maps])
                write_whole(file, lambda aside, maps=maps: np.save(aside, maps))
            timed = enumerate(np.load(file, mmap_mode="r"))
            rate = scoring.clip.fps
            counter.add(((n / rate, one) for n, one in timed), scoring.scorer.warm_up)
        threshold = calibration.choose(counter, arguments.rate)
        write_json(path, calibration.to_dict(threshold, counter.settings, counter.score_rows))
        for file in kept:
            file.unlink()
    return calibration.settings_for(read_json(path))


def watched(video, scoring, settings):
    """What raises alarms in a video: dict of `hours`, `alarms`, and the events of the truth.

    Returns:
        Dict of `hours`; `alarms`, events that were told; `false_alarms`, of these those that no
        event of the truth was seen under; and `truth`, a list of dicts `kind` and `found`.
    """
    tracker = EventTracker(settings, next(iter(video.frames())).shape[:2])
    scoring.scorer.begin()
    rows, events = video.tracks(), video.events()
    of = {event["track"] for event in events}
    boxes = collections.defaultdict(list)
    for row in [] if rows is None else rows[rows["abnormal"]]:
        if int(row["track"]) in of:
            boxes[int(row["frame"])].append((int(row["track"]), row["box"].tolist()))
    hit, true, alarms, time_sec = set(), set(), 0, 0.0
    maps = calibrate_setup.timed_maps(video, scoring.clip, scoring.scorer)
    for number, (time_sec, score_map) in enumerate(maps):
        if number < scoring.scorer.warm_up:
            continue
        for event in tracker.update(score_map, time_sec):
            alarms += event.state == BEGUN
            frame = round(time_sec * video.fps)
            for track, box in boxes[frame] if event.state != ENDED else ():
                if overlap(event.box, box):
                    hit.add(track)
                    true.add(event.track)
    return {
        "hours": time_sec / 3600,
        "alarms": alarms,
        "false_alarms": alarms - len(true),
        "truth": [{"kind": e["kind"], "found": e["track"] in hit} for e in events],
    }


def overlap(box, inclusive):
    """Whether two boxes have a pixel in common, of the second all four edges inclusive."""
    top, left, bottom, right = inclusive
    return box[0] <= bottom and top < box[2] and box[1] <= right and left < box[3]


def pooled(found, rate):
    """The figures of all cameras together."""
    normal = [hour for of in found for hour in of["normal"]]
    hours, alarms = (sum(hour[key] for hour in normal) for key in ("hours", "alarms"))
    kinds = collections.defaultdict(list)
    for of in found:
        for hour in of["events"]:
            for event in hour["truth"]:
                kinds[event["kind"]].append(event["found"])
    per_hour = alarms / hours
    return {
        "unseen_normal_hours": round(hours, 2),
        "alarms_per_hour": round(per_hour, 3),
        "alarms_per_hour_by_seed": [
            round(sum(h["alarms"] for h in of["normal"]) / sum(h["hours"] for h in of["normal"]), 2)
            for of in found
        ],
        "bar": f"{BAR[0] * rate:g} to {BAR[1] * rate:g}",
        "holds": BAR[0] * rate <= per_hour <= BAR[1] * rate,
        "share_found": {kind: round(float(np.mean(of)), 3) for kind, of in sorted(kinds.items())},
        "events": {kind: len(of) for kind, of in sorted(kinds.items())},
        "false_alarms_per_hour_with_events": round(
            sum(hour["false_alarms"] for of in found for hour in of["events"])
            / max(1e-9, sum(hour["hours"] for of in found for hour in of["events"])), 3,
        ),
        "thresholds": [of["threshold"] for of in found],
    }  # fmt: skip


if __name__ == "__main__":
    main()
