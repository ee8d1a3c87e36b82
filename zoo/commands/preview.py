"""`zoo preview`: what a model would be fed of one's own footage, as pictures.

    zoo preview footage/ --out runs/preview --preset convlstm_vae

takes seconds: of a few videos it decodes some hundred frames each.
"""

from pathlib import Path
from typing import Annotated

import typer

from zoo import registry
from zoo.commands.arguments import check_above_0, check_folder, check_there
from zoo.commands.console import columns, emit_json, load_tensorflow, log, printable

PRESET = "convlstm_vae"


def preview(
    path: Annotated[Path, typer.Argument(help="Footage: a folder or a file.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures; new or empty.")],
    preset: Annotated[
        str | None, typer.Option(help=f"Model to be fed, as it is trained; by default {PRESET}.")
    ] = None,
    size: Annotated[
        tuple[int, int] | None,
        typer.Option(help="Instead: height and width in pixels.", metavar="HEIGHT WIDTH"),
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Instead: frames per second.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Instead: frames per clip.")] = None,
    augment: Annotated[
        list[str] | None, typer.Option(help="Augmentation to show, maybe several; by default all.")
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help="Clips to show.")] = 4,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of all draws.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
):
    """Show what a model would be fed of one's own footage.

    Writes contact_sheet.png (a row per clip: rate, size, colour and crop as in training),
    clips.gif (the same clips moving, at their rate) and augmentations.png (one clip under each
    augmentation, of eight draws the one that changes it most). Without a preset, by --size, --fps
    or --frames, clips are in colour and what is not given is the footage's own.
    """
    log()
    check_folder(out, is_new=True)
    if path.is_dir() and path.resolve() in (out.resolve(), *out.resolve().parents):
        raise ValueError(f"`out` must not be in the footage. Received: out={out}")
    check_there(path, "path")
    if preset is not None:
        registry.resolve(preset, "preset")
    check_above_0(fps=fps)
    load_tensorflow()
    from zoo.commands import preview_setup

    clip = preview_setup.clip_of(preset, size=size, fps=fps, frames=frames, default=PRESET)
    names = preview_setup.check_names(augment)
    found = preview_setup.make(path, out, clip, names, clips=clips, seed=seed)
    if as_json:
        emit_json(found)
        return
    for line in lines(found):
        typer.echo(line)


def lines(found):
    """Lays out what the videos are fed as, and what was written.

    Args:
        found: Dict, what `preview_setup.make` returns.

    Returns:
        List of str.
    """
    table = [("VIDEO", "FPS", "FED AT", "FRAMES", "FED", "CLIPS", "SIZE", "FED AS")]
    for video in found["videos"]:
        crop = f", crops {_by(found['crop'])}" if found["crop"] else ""
        table.append((
            printable(video["video"]),
            *(_number(video[key]) for key in ("fps", "fed_fps", "frames", "fed_frames", "clips")),
            _by(video["size"]),
            _by(video["fed_size"]) + crop,
        ))  # fmt: skip
    declared = any(video["declared"] for video in found["videos"])
    note = ["FRAMES are those that files declare; `zoo doctor` counts them."] if declared else []
    return [*columns(table), *note, "", *found["files"]]


def _number(value):
    return "unknown" if value is None else f"{value:.6g}"


def _by(size):
    return "x".join(str(length) for length in size)
