"""Whether a video GAN draws what it is asked for, and not copies of what it was trained on.

    python benchmarks/video_gan.py runs/weizmann --data footage/weizmann

`runs/weizmann` is a run of `zoo train video_gan`, whose held-out people the model has not seen; the
preset that comes with the zoo does too.
For every class 100 clips are drawn by the class alone, and 100 of the class from the first frame
of another action's clip of a person not seen. A classifier trained on real clips alone, of the
people trained on, names what it sees in each: a logistic regression on what an encoder that never
saw any of this gives for the 16 frames (of another model: `--encoder`). Its own figure, on real
clips of people not seen, stands beside.

A distance is the root mean square difference of the pixels of two clips of 16 frames. The
distance from a sample to the nearest clip trained on, of all that begin at any frame, mirrored
ones included, and between samples of one class, are set beside that between real clips of the
class from different videos. About six minutes on two cores.
"""

import argparse
import itertools
import json
import os
import pathlib
import sys

# Before TensorFlow is imported: its start is noise here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import card_section  # noqa: E402
import numpy as np  # noqa: E402

import data_pipelines  # noqa: E402
import zoo  # noqa: E402
from zoo.commands.held_out import recorded_split  # noqa: E402
from zoo.evaluation.probes import LinearProbe  # noqa: E402

FRAMES = 16
STRIDE = 4  # frames between the starts of two real clips that are named or compared in pairs
BATCH = 20
BARS = {"by_label": 0.6, "by_label_and_frame": 0.4, "distance": 0.5}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", help="run folder, or preset whose card says who was held out")
    parser.add_argument("--data", required=True, help="the footage it was trained on")
    parser.add_argument("--samples", type=int, default=100, help="clips drawn per class and way")
    parser.add_argument("--encoder", default="convlstm_vae", help="preset or run folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=pathlib.Path, help="folder for strips of samples")
    card_section.add_option(parser)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    card_section.check(parser, arguments.card)
    model = zoo.load(arguments.name)
    train, held_out = recorded_split([arguments.name], arguments.data)
    unseen = {video.group for video in held_out.videos}
    if unseen & {video.group for video in train.videos}:
        parser.error(f"{arguments.name} did not hold out people whole")
    seen, new = real_clips(train.videos, model), real_clips(held_out.videos, model)
    say(f"{len(seen['clips'])} real clips of people trained on, {len(new['clips'])} of others")
    embed = embedder(arguments.encoder)
    classifier = LinearProbe.fit(
        embed(seen["clips"]), seen["labels"], seen["groups"], seen["videos"]
    )
    named = lambda clips: classifier.predict(embed(clips))  # noqa: E731
    drawn = draw(model, new, arguments.samples, arguments.seed)
    report = {
        "people_not_seen": sorted(unseen),
        "classifier_on_real_clips_of_people_not_seen": float(
            np.mean(named(new["clips"]) == new["labels"])
        ),
        "chance": 1 / model.num_classes,
    }
    for way, clips in drawn.items():
        report[way] = naming(model.labels, {label: named(clips[label]) for label in model.labels})
    report["distances"] = distances(
        model.labels, seen, drawn, [frames for _, frames in all_frames(train.videos, model)]
    )
    report["passes"] = verdicts(report)
    if arguments.pictures:
        write_pictures(arguments.pictures, drawn)
    card_section.put(arguments.card, "generation", report)
    if arguments.json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(lines(report)) + "\n")


def real_clips(videos, model):
    """Windows of real videos: dict of `clips`, and of each its `labels`, `groups`, `videos`."""
    found = {"clips": [], "labels": [], "groups": [], "videos": []}
    for number, (video, frames) in enumerate(all_frames(videos, model)):
        for start in range(0, len(frames) - FRAMES + 1, STRIDE):
            found["clips"].append(frames[start : start + FRAMES])
            found["labels"].append(video.label)
            found["groups"].append(video.group)
            found["videos"].append(number)
    return {name: np.stack(values) for name, values in found.items()}


def all_frames(videos, model):
    """Yields each video with its frames, float32 in [0, 1]."""
    clip = data_pipelines.ClipSpec(
        fps=model.fps, size=tuple(model.clip_shape[1:3]), channels=model.channels
    )
    for video in videos:
        frames = np.concatenate(list(data_pipelines.chunks(video, clip, 1000)))
        yield video, frames.astype(np.float32) / 255


def embedder(name):
    encoder = zoo.load(name)

    def embed(clips):
        batches = np.split(clips, range(BATCH, len(clips), BATCH))
        return np.concatenate([encoder.encode(batch).numpy() for batch in batches])

    return embed


def draw(model, new, samples, seed):
    """Draws by class alone, and by class from the frame of another action: clips by class."""
    found = {"by_label": {}, "by_label_and_frame": {}}
    rng = np.random.default_rng(seed)
    for number, label in enumerate(model.labels):
        say(f"drawing {label}")
        others = np.flatnonzero(new["labels"] != label)
        frames = new["clips"][rng.choice(others, samples), 0]
        parts = {"by_label": [], "by_label_and_frame": []}
        for index, start in enumerate(range(0, samples, BATCH)):
            count = min(BATCH, samples - start)
            # Of its own for each draw: equal seeds would repeat the noise.
            draw_seed = int(np.random.SeedSequence([seed, number, index]).generate_state(1)[0] >> 1)
            labels = np.full(count, number, np.int32)
            for way, frame in zip(parts, (None, frames[start : start + count]), strict=True):
                conditioning = {"first_frame": frame, "label": labels}
                parts[way].append(model.sample(conditioning, FRAMES, seed=draw_seed).numpy())
        for way, clips in parts.items():
            found[way][label] = np.concatenate(clips)
    return found


def naming(labels, answers):
    """The share of samples named as the class asked for, over all and by class."""
    by_class = {label: float(np.mean(answers[label] == label)) for label in labels}
    most = {
        label: max(set(answers[label].tolist()), key=answers[label].tolist().count)
        for label in labels
    }
    return {
        "named_as_asked": float(np.mean(list(by_class.values()))),
        "by_class": by_class,
        "most_often_named": most,
    }


def distances(labels, seen, drawn, trained_on):
    """Mean distances by class and their ratios to that between real clips."""
    flat = seen["clips"].reshape(len(seen["clips"]), -1)
    found = {}
    for label in labels:
        of_class = np.flatnonzero(seen["labels"] == label)
        real = between(flat[of_class], flat[of_class])
        videos = seen["videos"][of_class]
        apart = real[videos[:, None] != videos[None]].mean()
        row = {"real": float(apart)}
        for way, clips in drawn.items():
            samples = clips[label].reshape(len(clips[label]), -1)
            nearest = to_nearest(samples, trained_on)
            pairs = between(samples, samples)[np.triu_indices(len(samples), 1)]
            row[way] = {
                "to_nearest_trained_on": float(nearest.mean()),
                "between_samples": float(pairs.mean()),
                "ratios": [float(nearest.mean() / apart), float(pairs.mean() / apart)],
            }
        found[label] = row
    return found


def to_nearest(samples, videos):
    """Distance of each row of `samples` to the nearest window of videos, mirrored or not."""
    nearest = np.full(len(samples), np.inf)
    for frames in videos:
        for way in (frames, frames[:, :, ::-1]):
            starts = range(len(way) - FRAMES + 1)
            windows = np.stack([way[start : start + FRAMES].ravel() for start in starts])
            nearest = np.minimum(nearest, between(samples, windows).min(axis=1))
    return nearest


def between(left, right):
    """Root mean square differences `(len(left), len(right))` of the rows of two matrices."""
    squared = (left**2).sum(1)[:, None] + (right**2).sum(1)[None] - 2 * left @ right.T
    return np.sqrt(np.maximum(squared, 0) / left.shape[1])


def verdicts(report):
    ratios = {
        (label, way): row[way]["ratios"]
        for label, row in report["distances"].items()
        for way in ("by_label", "by_label_and_frame")
    }
    nearest, apart = (
        [ratio[index] >= BARS["distance"] for ratio in ratios.values()] for index in (0, 1)
    )
    return {
        "named_by_label": report["by_label"]["named_as_asked"] >= BARS["by_label"],
        "named_by_label_and_frame": (
            report["by_label_and_frame"]["named_as_asked"] >= BARS["by_label_and_frame"]
        ),
        "no_copies": all(nearest),
        "not_all_alike": all(apart),
    }


def lines(report):
    """What is printed."""
    real = report["classifier_on_real_clips_of_people_not_seen"]
    yield f"real clips of people not seen, named rightly: {real:.3f}; chance {report['chance']:.3f}"
    for way in ("by_label", "by_label_and_frame"):
        yield f"{way}: named as asked {report[way]['named_as_asked']:.3f}"
    yield "class     asked   +frame   real dist.  nearest  samples  nearest  samples (+frame)"
    for label, row in report["distances"].items():
        yield (
            f"{label:8}  {report['by_label']['by_class'][label]:5.2f}   "
            f"{report['by_label_and_frame']['by_class'][label]:5.2f}    {row['real']:9.4f}  "
            + "  ".join(
                f"{ratio:7.2f}"
                for way in ("by_label", "by_label_and_frame")
                for ratio in row[way]["ratios"]
            )
        )
    for name, holds in report["passes"].items():
        yield f"{name}: {'yes' if holds else 'no'}"


def write_pictures(folder, drawn):
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    for way, (label, clips) in itertools.chain.from_iterable(
        ((way, item) for item in by_class.items()) for way, by_class in drawn.items()
    ):
        rows = clips[:8, ..., 0].transpose(0, 2, 1, 3).reshape(-1, FRAMES * clips.shape[3])
        cv2.imwrite(str(folder / f"{way}_{label}.png"), np.uint8(np.round(255 * rows)))


def say(words):
    sys.stderr.write(words + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
