"""Actions of a person whom neither the encoder nor the classifier has seen: nine encoders.

    python benchmarks/weizmann.py convlstm_vae/weizmann --data footage/weizmann --out runs/people

For each person of Weizmann an encoder is trained, without labels, on the clips of the others; its
probe is fitted on clips of the others too, and tested on that person. Where one encoder learns
from everybody it has seen the very clips that it is tested on, if not what they are called. Beside
it stand random weights, and the encoder that comes with the zoo under `--beside`, which has seen
other footage. Each is measured with all labels, and with the clips of one and of two of the other
people labelled.

Each encoder is a run of `zoo train` in `--out` and is gone on with where it was stopped. With the
steps of the preset nine of them take nine times its minutes; `--steps` makes them fewer.
"""

import argparse
import dataclasses
import itertools
import json
import os
import pathlib
import shlex
import sys

# Before TensorFlow is imported: its start is noise here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import card_section  # noqa: E402
import numpy as np  # noqa: E402

import zoo  # noqa: E402
from zoo.commands import representation_setup, training_setup  # noqa: E402
from zoo.commands.labelled_setup import RANDOM_SEEDS, open_labelled  # noqa: E402
from zoo.evaluation.representation import PROBES  # noqa: E402
from zoo.registry import resolve  # noqa: E402
from zoo.training.run_folder import machine  # noqa: E402

FEW, DRAWS = (1, 2), 8


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", help="preset to train, such as convlstm_vae/weizmann")
    parser.add_argument("--data", required=True, help="the Weizmann strips")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the runs")
    parser.add_argument("--steps", type=int, help="of each training; by default the preset's")
    parser.add_argument("--set", dest="settings", action="append", default=[],
                        help="KEY=VALUE, as of `zoo train`")  # fmt: skip
    parser.add_argument("--beside", nargs="*", default=[], help="presets or run folders")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    card_section.add_option(parser)
    arguments = parser.parse_args()
    card_section.check(parser, arguments.card)
    source = open_labelled(arguments.data)
    videos = source.videos
    labels = np.array([str(video.label) for video in videos])
    people = np.array([str(video.group) for video in videos])
    own, minutes = {}, 0.0
    for person in sorted(set(people)):
        run = train_without(person, source, arguments)
        minutes += run.record["minutes"]
        own[person] = rows_of(zoo.load(str(run.path)), videos)
    model = zoo.load(str(run.path))
    random = [rows_of(representation_setup.fresh(model, seed), videos) for seed in RANDOM_SEEDS]
    ways = {"nine encoders": [own]}
    ways["random weights"] = [dict.fromkeys(own, rows) for rows in random]
    for name in arguments.beside:
        ways[name] = [dict.fromkeys(own, rows_of(zoo.load(name), videos))]
    report = {
        "name": arguments.name,
        "minutes_of_all_trainings": round(minutes, 1),
        "machine": machine(),
        "accuracy": {
            way: average([accuracies(rows, labels, people) for rows in alternatives])
            for way, alternatives in ways.items()
        },
    }
    card_section.put(arguments.card, "people", report)
    print(json.dumps(report, indent=2) if arguments.json else table(report))


def train_without(person, source, arguments):
    """The finished run of an encoder that has not seen a person."""
    training = resolve(arguments.name).training
    settings = list(arguments.settings)
    if arguments.steps and "kl_warm_up_steps" in training:
        # The same share of the run as in the preset.
        warm_up = training["kl_warm_up_steps"] * arguments.steps // training["steps"]
        settings.insert(0, f"kl_warm_up_steps={warm_up}")
    setup = training_setup.prepare(
        arguments.name,
        arguments.data,
        given={"steps": arguments.steps},
        settings=settings,
        seed=arguments.seed,
        # Nobody is held out of the eight: there is nothing to choose by them.
        validation_videos=0,
    )
    others = source.subset([video for video in source.videos if str(video.group) != person])
    setup = dataclasses.replace(setup, train=others, held_out=None)
    print(f"training without {person}", file=sys.stderr, flush=True)
    out = arguments.out / f"{arguments.name.replace('/', '.')}.without_{person}"
    return training_setup.run(setup, out, shlex.join(["python", *sys.argv]))


def rows_of(model, videos):
    """`encode` of every clip: float array `(clips, embedding_dim)`."""
    return representation_setup.describe(videos, {"model": model}, {})["model"]["encode"]


def accuracies(rows, labels, people, few=FEW, draws=DRAWS, seed=0):
    """Accuracy of a linear probe over the clips of all people, each with rows of their own.

    Args:
        rows: Dict from person to float array (clips, dim): all clips as the encoder that has not
            seen that person describes them.
        labels, people: str arrays (clips,).
        few: Numbers of other people whose clips are labelled.
        draws: Most sets of labelled people for each person tested.
        seed: Of the draws.

    Returns:
        Dict from "all" and from each of `few` to the share of clips named rightly.
    """
    fit = PROBES["linear_probe"]
    right = {way: [] for way in ("all", *few)}
    for person, own in rows.items():
        test = people == person
        others = sorted(set(people) - {person})
        labelled = {"all": [others], **{n: some(others, n, draws, seed) for n in few}}
        for way, sets in labelled.items():
            for known in sets:
                train = np.isin(people, known)
                # Somebody who does not do all the actions cannot teach them.
                if set(labels[train]) != set(labels):
                    continue
                probe = fit(own[train], labels[train], people[train])
                right[way].extend(probe.predict(own[test]) == labels[test])
    return {str(way): float(np.mean(found)) for way, found in right.items()}


def some(people, count, most, seed):
    """At most `most` sets of `count` people, drawn without one twice."""
    sets = list(itertools.combinations(people, count))
    chosen = np.random.default_rng([seed, count]).permutation(len(sets))[:most]
    return [list(sets[number]) for number in sorted(chosen)]


def average(found):
    return {way: float(np.mean([one[way] for one in found])) for way in found[0]}


def table(report):
    """The report as text."""
    ways = next(iter(report["accuracy"].values()))
    head = " ".join(f"{way if way == 'all' else f'{way} people':>9s}" for way in ways)
    lines = [f"{'':28s} {head}"]
    for name, found in report["accuracy"].items():
        lines.append(f"{name:28s} {' '.join(f'{found[way]:9.3f}' for way in ways)}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
