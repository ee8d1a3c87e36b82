"""`foresight` beside `convlstm_vae` and beside itself without each of its parts, for equal minutes.

    python benchmarks/foresight.py --ped2 footage/ucsd_ped2 --weizmann footage/weizmann \\
        --out runs/foresight_parts --minutes 5

The speed of every variant is measured first (`equal_minutes.py`); a variant is then trained for the
steps that it makes in `--minutes`. Each run is one of `zoo train`, and is gone on with where it was
stopped; what is measured of it is kept in `--out` too, so the same command again measures what is
missing and prints the whole table. The minutes that a run took in fact, with whatever else the
machine did, stand beside.

Measured are the frame AUC on UCSD Ped2 under the protocol `live`, at the horizon that the preset
scores by (the furthest, of a variant that has fewer), and the accuracy of a linear probe on
Weizmann: all labels, leaving one person out, and the clips of one and of two people labelled.
Random weights stand beside the variants of `--several-seeds`. `pooled` is the same probe on
descriptors pooled as all models of the zoo can be, whatever a model's own `encode` does.

The variants of `--several-seeds` are trained with `--seeds` of them, the others with one. What is
measured in a folder is of one number of minutes, one precision and one machine.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shlex
import statistics
import sys

# Before TensorFlow is imported: its start is noise here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import card_section  # noqa: E402
import equal_minutes  # noqa: E402
import keras  # noqa: E402

import zoo  # noqa: E402
from zoo.commands import anomaly_setup, representation_setup, training_setup  # noqa: E402
from zoo.commands.labelled_setup import open_labelled  # noqa: E402
from zoo.layers import RecurrentEncoder  # noqa: E402
from zoo.models.foresight import Foresight  # noqa: E402
from zoo.presets import PRESETS  # noqa: E402
from zoo.training.precision import choose_precision  # noqa: E402
from zoo.training.run_folder import machine  # noqa: E402
from zoo.training.whole_files import read_json, write_json  # noqa: E402


@keras.saving.register_keras_serializable(package="benchmarks")
class ConvLSTMForesight(Foresight):
    """`Foresight` on the ConvLSTM layers of `convlstm_vae`: one at 1/4 and one at 1/8."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.encoder = RecurrentEncoder(
            self.channels, self.filters, self.scan_filters, name="memory", dtype=self.dtype_policy
        )

    def _observe(self, frames, state):
        maps, state = super()._observe(frames, state)
        return {**maps, "scan_4": maps["memory_4"], "scan_8": maps["memory_8"]}, state


@dataclasses.dataclass(frozen=True)
class Variant:
    """What is trained: a preset, and settings that differ from it.

    Attributes:
        preset: Name of a preset.
        settings: "KEY=VALUE" each, as of `zoo train --set`.
        model_class: A class in the place of the preset's, or None.
    """

    preset: str = "foresight/ucsd_ped2"
    settings: tuple = ()
    model_class: type | None = None


VARIANTS = {
    "foresight": Variant(),
    "convlstm_vae": Variant("convlstm_vae/ucsd_ped2"),
    # Clips shorter by what is not predicted: as many frames of each are predicted from.
    "four horizons": Variant(settings=("horizons=4", "score_horizon=4", "frames=12")),
    "one horizon": Variant(settings=("horizons=1", "score_horizon=1", "frames=9")),
    "one layer at 1/8": Variant(settings=("scan_layers=1",)),
    "one time scale": Variant(settings=("longest=2",)),
    "ConvLSTM": Variant(model_class=ConvLSTMForesight),
    "features ahead": Variant(settings=("feature_weight=0.05",)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ped2", required=True, help="UCSD Ped2")
    parser.add_argument("--weizmann", required=True, help="the Weizmann strips")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the runs")
    parser.add_argument("--minutes", type=float, default=5.0, help="of training, for each run")
    parser.add_argument("--seeds", type=int, default=3, help="of each of --several-seeds")
    parser.add_argument("--several-seeds", nargs="*", choices=list(VARIANTS),
                        default=["foresight", "convlstm_vae"])  # fmt: skip
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    card_section.add_option(parser)
    parser.add_argument("--section", choices=("ablations", "seeds"), default="ablations",
                        help="of the card: every part taken out, or several seeds of two models")
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        parser.error(f"--seeds must be at least 1. Received: {arguments.seeds}")
    card_section.check(parser, arguments.card)
    arguments.out.mkdir(parents=True, exist_ok=True)
    setting = {
        "minutes": arguments.minutes,
        "precision": choose_precision("auto"),
        "machine": machine(),
        "ped2": os.path.abspath(arguments.ped2),
        "weizmann": os.path.abspath(arguments.weizmann),
    }
    known = measured_once(arguments.out / "setting.json", lambda: setting)
    if known != setting:
        parser.error(f"{arguments.out} holds what was measured with {known}, not with {setting}")
    for name, variant in VARIANTS.items():
        register(name, variant)
    speeds = equal_minutes.recorded_seconds(
        arguments.out / "speeds.json",
        arguments.variants,
        lambda name: equal_minutes.training_of(set_up(name, arguments)),
        say,
    )
    rows = []
    for seed in range(arguments.seeds):
        for name in arguments.variants:
            if seed and name not in arguments.several_seeds:
                continue
            steps = equal_minutes.steps_in(arguments.minutes, speeds[name])
            file = arguments.out / f"{slug(name)}.{seed}.json"
            rows.append(
                measured_once(file, lambda n=name, k=steps, s=seed: measure(n, k, s, arguments))
            )
    for row in rows:
        # A run that settings of another day have made would pass for one of today's.
        if row["settings"] != list(VARIANTS[row["name"]].settings):
            parser.error(f"{arguments.out} holds {row['name']} as made with {row['settings']}")
    random = {
        name: measured_once(
            arguments.out / f"{slug(name)}.random.json",
            lambda n=name: measure_random(n, arguments),
        )
        for name in arguments.variants
        if name in arguments.several_seeds
    }
    # A card tells nothing of where footage lies.
    places = {name: os.path.basename(setting[name]) for name in ("ped2", "weizmann")}
    found = [summary(name, rows, random.get(name)) for name in arguments.variants]
    report = {**setting, **places, "rows": found}
    card_section.put(arguments.card, arguments.section, report)
    print(json.dumps(report, indent=2) if arguments.json else table(report["rows"]))


def slug(name):
    return name.replace("/", "_").replace(" ", "_")


def register(name, variant):
    """Makes a variant that has a class of its own a preset, for `zoo.load` and the training."""
    if variant.model_class is not None:
        preset = PRESETS[variant.preset]
        own = f"benchmark/{slug(name)}"
        # Where a preset looks for its class.
        setattr(zoo, variant.model_class.__name__, variant.model_class)
        PRESETS[own] = dataclasses.replace(preset, name=own, model=variant.model_class.__name__)


def preset_name(name):
    variant = VARIANTS[name]
    return f"benchmark/{slug(name)}" if variant.model_class else variant.preset


def measured_once(file, measure):
    """What is in a file, or is measured now and put there."""
    if not file.is_file():
        write_json(file, measure())
    return read_json(file)


def set_up(name, arguments, steps=None, seed=0):
    settings = list(VARIANTS[name].settings)
    if steps and "kl_warm_up_steps" in PRESETS[preset_name(name)].training:
        # A quarter of the run, as in the preset.
        settings.append(f"kl_warm_up_steps={steps // 4}")
    return training_setup.prepare(
        preset_name(name), arguments.ped2, given={"steps": steps}, seed=seed, settings=settings
    )


def measure(name, steps, seed, arguments):
    """Trains a variant and measures it."""
    say(f"{name}, seed {seed}: {steps} steps")
    setup = set_up(name, arguments, steps, seed)
    run = training_setup.run(setup, arguments.out / f"{slug(name)}.{seed}", shlex.join(sys.argv))
    model = zoo.load(str(run.path))
    source = anomaly_setup.open_labelled(arguments.ped2)
    scored = anomaly_setup.score_source(model, source)
    anomaly = anomaly_setup.result(scored, model, source, name)
    representation = evaluate_representation(model, arguments)
    found = {
        "name": name,
        "seed": seed,
        "steps": steps,
        "minutes_taken": run.record["minutes"],
        "settings": list(VARIANTS[name].settings),
        "parameters": int(sum(v.shape.num_elements() for v in model.trainable_variables)),
        "auc_live": anomaly["auc_live"],
        "auc_literature": anomaly["auc_literature"],
        "encode": representation_setup.headline(representation["encode"]),
        "pooled": representation_setup.headline(representation["features"]),
    }
    keras.backend.clear_session()
    return found


def measure_random(name, arguments):
    """What random weights of a variant give."""
    setup = set_up(name, arguments)
    model = zoo.load(setup.preset.name, weights=None, **setup.overrides)
    random = evaluate_representation(model, arguments, with_baselines=True)["baselines"][
        "random_weights"
    ]
    return {
        part: representation_setup.headline(random[name])
        for part, name in (("encode", "encode"), ("pooled", "features"))
    }


def evaluate_representation(model, arguments, with_baselines=False):
    return representation_setup.evaluate_model(
        model, open_labelled(arguments.weizmann), with_baselines=with_baselines
    )


def summary(name, rows, random=None):
    """The seeds of a variant as one row: the mean of each figure, and its least and most."""
    own = [row for row in rows if row["name"] == name]
    figures = {
        "auc_live": [row["auc_live"] for row in own],
        "auc_literature": [row["auc_literature"] for row in own],
        **{
            f"{part}_{figure}": [row[part][figure] for row in own]
            for part in ("encode", "pooled")
            for figure in ("accuracy", "accuracy_1_people", "accuracy_2_people")
        },
    }
    first = own[0]
    return {
        "name": name,
        "seeds": len(own),
        "steps": first["steps"],
        "minutes_taken": [row["minutes_taken"] for row in own],
        "parameters": first["parameters"],
        **{
            figure: {"mean": statistics.fmean(found), "least": min(found), "most": max(found)}
            for figure, found in figures.items()
        },
        "random_weights": random,
    }


def table(rows):
    """The rows as text."""
    heads = ("auc_live", "encode_accuracy", "encode_accuracy_1_people", "encode_accuracy_2_people",
             "pooled_accuracy", "pooled_accuracy_1_people", "pooled_accuracy_2_people")  # fmt: skip
    lines = [
        f"{'':18s} {'steps':>5s} {'param.':>8s}  {'live AUC':20s}  encode: all, 1, 2 people; "
        "random          pooled: all, 1, 2 people; random"
    ]
    for row in rows:
        live, *others = (row[head] for head in heads)
        spread = f"{live['mean']:.3f} ({live['least']:.3f}-{live['most']:.3f})"
        words = [f"{value['mean']:.3f}" for value in others]
        random = row["random_weights"] or {}
        chance = {
            part: " ".join(
                f"{random[part][key]:.3f}"
                for key in ("accuracy", "accuracy_1_people", "accuracy_2_people")
            )  # fmt: skip
            for part in random
        }
        lines.append(
            f"{row['name']:18s} {row['steps']:5d} {row['parameters']:8d}  {spread:20s}  "
            f"{' '.join(words[:3])}; {chance.get('encode', '-'):17s}  "
            f"{' '.join(words[3:])}; {chance.get('pooled', '-')}"
        )
    return "\n".join(lines)


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
