"""`zoo embed`: one vector per clip of footage, to search, to cluster, to plot.

    zoo embed convlstm_vae --data footage/ --out runs/embeddings.npz

An hour of video at 10 frames per second is 2,250 clips of 16 frames.
"""

import csv
import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from zoo.commands.arguments import check_model, check_out, check_there
from zoo.commands.console import emit_json, load_tensorflow, say

SUFFIXES = (".npz", ".csv")
# Clips that go through the model at once: enough to fill two cores.
BATCH = 8


@dataclasses.dataclass(frozen=True)
class Row:
    """One clip.

    Attributes:
        video: Name of its video.
        label: Class of the video, or "".
        start_sec: Where the clip begins, in seconds.
        embedding: float32 array `(embedding_dim,)`.
    """

    video: str
    label: str
    start_sec: float
    embedding: object


def embed(
    name_or_run: Annotated[str, typer.Argument(help="Preset, or run folder of `zoo train`.")],
    data: Annotated[Path, typer.Option(help="Footage: a folder or a file.")],
    out: Annotated[Path, typer.Option(help="New file to write, .npz or .csv.")],
    split: Annotated[str | None, typer.Option(help="train or test; by default all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
):
    """Write one vector per clip of footage.

    Footage is cut into clips of the model's length that follow one another, at its frame rate and
    size. An .npz holds `video`, `label`, `start_sec` and `embedding`, a row per clip; a .csv has
    the same in columns.
    """
    check_out(out, is_new=True, suffixes=SUFFIXES)
    check_there(data)
    check_model(name_or_run)
    load_tensorflow()
    import data_pipelines
    import zoo
    from zoo.training.whole_files import write_whole

    videos = data_pipelines.open_source(data, split=split).videos
    model = zoo.load(name_or_run)
    rows = []
    for number, video in enumerate(videos, 1):
        found = embed_video(model, video)
        say(f"{number}/{len(videos)} {video.name}: {len(found)} clips")
        rows += found
    if not rows:
        raise ValueError(
            f"`data` must hold a video of at least {model.min_frames} frames. Received: {data}"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, write_csv(rows) if out.suffix == ".csv" else write_npz(rows))
    if as_json:
        emit_json({"out": str(out), "clips": len(rows), "embedding_dim": model.embedding_dim})
    else:
        typer.echo(f"{len(rows)} clips, {model.embedding_dim} numbers each: {out}")


def embed_video(model, video):
    """Embeds the clips of one video; a last one that is too short for the model is left out.

    Args:
        model: A `zoo` model.
        video: `data_pipelines.Video`.

    Returns:
        List of `Row`.
    """
    import numpy as np

    import data_pipelines
    from data_pipelines.clips import given_rate

    frames, height, width, channels = model.clip_shape
    clip = data_pipelines.ClipSpec(
        frames=frames, fps=model.fps, size=(height, width), channels=channels
    )
    rate = given_rate(video.fps, model.fps)
    rows, held = [], []

    def flush():
        if held:
            vectors = model.encode(data_pipelines.transforms.to_float(np.stack(held))).numpy()
            for vector in vectors:
                start_sec = len(rows) * frames / rate
                rows.append(Row(video.name, video.label or "", start_sec, vector))
            held.clear()

    for piece in data_pipelines.chunks(video, clip, frames):
        if len(piece) < frames:
            flush()
        if len(piece) >= model.min_frames:
            held.append(piece)
        if len(held) == BATCH:
            flush()
    flush()
    return rows


def write_npz(rows):
    """A function that writes `rows` to the path it is given, as arrays."""
    import numpy as np

    def write(path):
        with open(path, "wb") as file:
            np.savez_compressed(
                file,
                video=np.array([row.video for row in rows]),
                label=np.array([row.label for row in rows]),
                start_sec=np.array([row.start_sec for row in rows], np.float64),
                embedding=np.stack([row.embedding for row in rows]),
            )

    return write


def write_csv(rows):
    """A function that writes `rows` to the path it is given, a line each under a header."""

    def write(path):
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            columns = [f"embedding_{number}" for number in range(len(rows[0].embedding))]
            writer.writerow(["video", "label", "start_sec", *columns])
            for row in rows:
                # As many digits as a float32 holds, so that reading gives the same numbers.
                numbers = [f"{value:.9g}" for value in row.embedding]
                writer.writerow([row.video, row.label, f"{row.start_sec:.3f}", *numbers])

    return write
