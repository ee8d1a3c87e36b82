"""`zoo list` and `zoo info NAME`: what the zoo has, and what each model is and reached."""

from typing import Annotated

import typer

from zoo.commands.console import emit_json

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def list_presets(as_json: Json = False):
    """List the models of the zoo.

    Says of each whether trained weights come with it, the clip (time x height x width x channels)
    and the frames per second it is made for.
    """
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
    """Show the card of a model.

    What it is, its arguments, how it was trained and what it reached.
    """
    import zoo

    entry = _plain(zoo.info(name))
    if as_json:
        emit_json(entry)
        return
    trained = entry.pop("trained")
    entry["weights"] = "trained" if trained else "none yet: zoo.load needs weights=None"
    for line in _lines(entry):
        typer.echo(line)


def _lines(entry, indent=""):
    for key, value in entry.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{key}:"
            yield from _lines(value, indent + "  ")
        elif value not in (None, {}, [], ""):
            text = ", ".join(str(part) for part in value) if isinstance(value, list) else value
            yield f"{indent}{key}: {text}"


def _plain(value):
    """`value` in what JSON has: dict, list, str, numbers, None."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
