"""`zoo prepare`: footage to TFRecord shards at the size and rate of a training.

    zoo prepare footage/ --out shards/ --preset convlstm_vae

takes as long as decoding does. Broken off at any moment, the same command goes on. On a cluster:

    zoo prepare s3://footage/ --out s3://shards/ --beam "--runner=FlinkRunner --flink_master=HOST"
"""

import contextlib
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from zoo import registry
from zoo.commands.arguments import check_above_0, check_folder, check_there
from zoo.commands.console import emit_json, load_tensorflow, log, printable, progress, say


def prepare(
    path: Annotated[Path, typer.Argument(help="Footage: a folder, a file or an address.")],
    out: Annotated[str, typer.Option(help="Folder for the shards; new, or of this command.")],
    preset: Annotated[
        str | None, typer.Option(help="Rate, size and colour that this model is trained at.")
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Instead: frames per second.")] = None,
    size: Annotated[
        tuple[int, int] | None,
        typer.Option(help="Instead: height and width in pixels.", metavar="HEIGHT WIDTH"),
    ] = None,
    channels: Annotated[int, typer.Option(help="Instead: 1 for grey, 3 for RGB.")] = 1,
    kind: Annotated[str | None, typer.Option(help="Layout; by default told by looking.")] = None,
    quality: Annotated[str, typer.Option(help="Of JPEG, 1 to 100; or lossless.")] = "95",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Decoded at a time; by default as many as cores.")
    ] = None,
    beam: Annotated[
        str | None,
        typer.Option(help="Pipeline options: let Apache Beam do it.", metavar="OPTIONS"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
):
    """Turn footage into TFRecord shards, to train from here or elsewhere.

    Given again after it was broken off, at any moment, it goes on, and ends with the same bytes.
    Shards do not depend on --workers. They keep classes, groups and splits, but no truth per frame.
    Without --preset, --size and --fps frames keep their size and rate.

    With --beam, which takes what Apache Beam takes ("" runs it in this process), a pipeline writes
    the same bytes, and --out is any address that Beam writes to.
    """
    log()
    if beam is not None and workers is not None:
        raise ValueError(
            "`workers` must be left out with `beam`, whose options say how many there are. "
            f"Received: workers={workers}"
        )
    if preset is not None:
        registry.resolve(preset, "preset")
    check_above_0(fps=fps)
    check_there(path, "path")
    if "://" not in out:
        check_folder(Path(out))
    load_tensorflow()
    import data_pipelines

    form = {"size": size, "fps": fps, "channels": channels}
    if preset is not None:
        form = form_of(preset, form)
    form |= {"kind": kind, "quality": int(quality) if quality.isdigit() else quality}
    if beam is not None:
        from data_pipelines import beam as pipeline

        found = pipeline.prepare(path, out, options=shlex.split(beam), **form)
    else:
        with shown(sys.stderr) as report:
            found = data_pipelines.prepare(path, out, workers=workers, progress=report, **form)
    if as_json:
        emit_json({"out": str(out), **found})
    else:
        # Of what the decoder warned of only the run that read it has told.
        for video in found["incomplete"]:
            frames, declared = video["frames"], video["declared"]
            say(printable(f"{video['name']}: {frames} frames, {declared} declared"))
        typer.echo(
            f"{found['videos']} videos, {found['frames']} frames in {found['shards']} shards of "
            f"{found['bytes'] / 1e6:.1f} MB, {found['kept']} of which were there: {out}"
        )


def form_of(preset, given):
    """Rate, size and colour that a preset is trained at.

    Args:
        preset: Name.
        given: Dict of `size`, `fps` and `channels` as they were typed.

    Returns:
        Dict of the same keys.

    Raises:
        ValueError: If both a preset and another option are given, or there is no such preset.
    """
    from zoo.commands import preview_setup

    if given["channels"] != 1:
        raise ValueError(
            f"`preset` must be left out where `channels` is given. Received: preset={preset}"
        )
    clip = preview_setup.clip_of(
        preset, size=given["size"], fps=given["fps"], frames=None, default=preset
    )
    return {name: getattr(clip, name) for name in given}


@contextlib.contextmanager
def shown(stream):
    """Gives a function of (done, total, name) that shows it: as a bar on a terminal, else as lines.

    Args:
        stream: Text stream; lines go to standard error.
    """
    if not stream.isatty():
        report = progress()
        yield lambda done, total, name: report(done, total or "?", printable(name))
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}", markup=False), bars.BarColumn(bar_width=20),
        bars.MofNCompleteColumn(), bars.TextColumn("frames"), bars.TimeRemainingColumn(),
    )  # fmt: skip
    with bars.Progress(*columns, console=Console(file=stream)) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, name: bar.update(
            task, completed=done, total=total, description=printable(name)[-40:]
        )
