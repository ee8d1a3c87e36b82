"""`zoo list` and `zoo info NAME`: what the zoo has, and what each model is and reached."""

import textwrap
from typing import Annotated

import typer

from zoo import registry
from zoo.commands.console import columns, emit_json, load_tensorflow

WIDTH = 100  # of a page of `zoo info`, in characters
INDENT = 12

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def list_presets(as_json: Json = False):
    """List the models of the zoo.

    Says of each whether trained weights come with it, the clip (time x height x width x channels)
    and the frames per second it is made for.
    """
    load_tensorflow()
    import zoo

    entries = [zoo.info(name) for name in zoo.names()]
    if as_json:
        emit_json({"presets": [_plain(entry) for entry in entries]})
        return
    table = [("NAME", "WEIGHTS", "CLIP", "FPS", "WHAT IT IS")]
    for entry in entries:
        table.append((
            entry["name"],
            "trained" if entry["trained"] else "none",
            "x".join(str(length) for length in entry["clip_shape"]),
            f"{entry['fps']:g}",
            entry["description"],
        ))  # fmt: skip
    # The last column is prose and as wide as it likes.
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]) - 1)]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        typer.echo("  ".join([*cells, row[-1]]))


def info(
    name: Annotated[str, typer.Argument(help="Preset, as `zoo list` names it.")],
    as_json: Json = False,
):
    """Show what a model is and what it reached.

    What it takes and answers, its figures beside the baselines, how it was trained and on which
    terms. --json has the whole card: arguments, versions, figures video by video.
    """
    registry.resolve(name)
    load_tensorflow()
    import zoo

    entry = _plain(zoo.info(name))
    if as_json:
        emit_json(entry)
        return
    for line in page(entry):
        typer.echo(line)


def page(entry):
    """Lays out what a person wants first, in lines of text.

    Args:
        entry: Dict, as `zoo.info` gives it; a card that lacks something is shown without it.

    Returns:
        List of str.
    """
    from zoo.evaluation.card import SECTIONS

    card = entry["card"] or {}
    data = card.get("data") or {}
    trained = "trained" if entry["trained"] else "none yet: zoo.load needs weights=None"
    size = card.get("parameters")
    facts = {
        "what": entry["description"],
        "model": entry["model"] + (f", {size:,} parameters" if size else ""),
        "weights": trained,
        "clip": " x ".join(map(str, entry["clip_shape"]))
        + f" (time x height x width x channels), {entry['fps']:g} frames per second",
        "verbs": ", ".join(entry["verbs"]),
        "paper": entry["paper"],
    }
    origin = {
        **_training(entry, card.get("training")),
        "data": data.get("name"),
        "terms": data.get("terms"),
        "reference": data.get("reference"),
    }
    lines = [entry["name"], "", *_rows(facts)]
    evaluations = card.get("evaluation") or {}
    lines += _figures("anomaly", evaluations)
    for section in SECTIONS:
        # Tables of many models, or of many runs: the JSON has them.
        if section not in ("ablations", "seeds", "sharpness", "moving_mnist", "people"):
            lines += _figures(section, evaluations.get(section) or {})
    lines += ["", *_rows(origin)]
    if card.get("not_for"):
        lines += ["", "not for"]
        for use in card["not_for"]:
            lines += textwrap.wrap(use, WIDTH, initial_indent="  - ", subsequent_indent="    ")
    return [*lines, "", f"All of it: zoo info {entry['name']} --json"]


def _training(entry, training):
    if not training:
        settings = ", ".join(f"{key} {value}" for key, value in entry["training"].items())
        command = f"zoo train {entry['name']} --data FOOTAGE --out RUN"
        return {"training": f"by default {settings}", "command": command}
    facts = {
        "minutes": "{:.0f} minutes", "step": "{} steps", "seed": "seed {}", "precision": "{}",
    }  # fmt: skip
    said = [text.format(training[key]) for key, text in facts.items() if key in training]
    machine = training.get("machine") or {}
    if machine.get("processor"):
        said.append(f"{machine.get('cores')} cores of {machine['processor']}")
    return {"training": ", ".join(said), "command": training.get("command")}


def _figures(title, evaluation):
    """The figures of the model above those of its baselines, and what they were measured on."""
    baselines = evaluation.get("baselines") or {}
    # What the baselines have as well: the evaluation tells seconds and the like beside it.
    keys = [
        key for key in next(iter(baselines.values()), evaluation)
        if isinstance(evaluation.get(key), float)
    ]  # fmt: skip
    if not keys:
        return []
    rows = {evaluation.get("model", "model"): evaluation}
    rows |= {name.replace("_", " "): row for name, row in baselines.items()}
    # What follows `accuracy` is accuracies too.
    heads = [key.removeprefix("accuracy_").replace("_", " ") for key in keys]
    table = [(title, *heads)]
    for name, row in rows.items():
        table.append((f"  {name}", *(_number(row.get(key)) for key in keys)))
    where = evaluation.get("data")
    return ["", *columns(table), *_rows({"measured": where and f"on {where}"})]


def _number(value):
    if value is None:
        return "-"
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.01 else f"{value:.2g}"


def _rows(facts):
    for name, value in facts.items():
        if value:
            yield from textwrap.wrap(
                value, WIDTH, initial_indent=name.ljust(INDENT), subsequent_indent=" " * INDENT,
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip


def _plain(value):
    """`value` in what JSON has: dict, list, str, numbers, None."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
