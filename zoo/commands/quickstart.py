"""`zoo quickstart`: the whole road, from footage to a classifier on an exported encoder.

    zoo quickstart --out runs/quickstart

makes a small CCTV scene and takes under three minutes on two cores. With `--data FOLDER` it goes
the same road with one's own video: without labels there is no area under a curve, no classifier.
"""

import logging
from pathlib import Path
from typing import Annotated

import typer

from zoo.commands.arguments import check_folder, check_there
from zoo.commands.console import command_line, load_tensorflow, log, say

PRESET = "convlstm_vae/synthetic_cctv"


def quickstart(
    out: Annotated[Path, typer.Option(help="Folder for all that is made; new or empty.")],
    data: Annotated[
        Path | None, typer.Option(help="Your own video files; by default a scene is made up.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps.")] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="Seed of the scene and the training.")
    ] = 0,
):
    """Make footage, train, score, export and classify: the whole road in three minutes.

    Leaves the run folder, the export, the figures, a picture of the score over time and a video
    of where it comes from. With --data the footage is your own; nothing in it is labelled, so
    what is left out is said.
    """
    log(logging.INFO)
    logging.getLogger("absl").setLevel(logging.WARNING)
    check_folder(out, is_new=True)
    check_there(data)
    load_tensorflow()
    from zoo.commands import quickstart_road

    road = quickstart_road.Road(
        out, PRESET, steps=steps, seed=seed, command=command_line(), say=say
    )
    for line in road.made_up() if data is None else road.own(data):
        typer.echo(line)
