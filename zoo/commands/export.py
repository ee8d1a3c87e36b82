"""`zoo export`: a preset or a run becomes a SavedModel, verified in a clean process.

    zoo export convlstm_vae served/convlstm_vae

leaves `served/convlstm_vae/1`, which TensorFlow Serving takes as it is, in about a minute. A
version that fails the verification never appears.
"""

from pathlib import Path
from typing import Annotated

import typer

from zoo.commands.arguments import check_folder, check_model, check_there
from zoo.commands.console import emit_json, load_tensorflow, say

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
# Those of `exports.verify` beside TensorFlow's Python, by which every export is verified.
RUNTIMES = ("c_api", "openvino", "litert")
FRAMES = 16


def export(
    name_or_run: Annotated[str, typer.Argument(help="Preset, or run folder of `zoo train`.")],
    directory: Annotated[Path, typer.Argument(help="Folder of versions; made if it is not there.")],
    version: Annotated[
        int | None, typer.Option(min=1, help="By default one above the largest there.")
    ] = None,
    rollout_steps: Annotated[int, typer.Option(min=1, help="Frames that `rollout` predicts.")] = 8,
    clip: Annotated[
        Path | None,
        typer.Option(help="Footage to verify on; by default that of the run, or a made-up clip."),
    ] = None,
    through: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Verify by this runtime too, maybe several: {', '.join(RUNTIMES)}.",
            metavar="RUNTIME",
        ),
    ] = None,
    precision: Annotated[str, typer.Option(help=f"One of {', '.join(PRECISIONS)}.")] = "float32",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
):
    """Export a model as a SavedModel for TensorFlow Serving and for classifiers.

    Every signature is run in a process of its own that cannot import this project, and compared
    with the model, before the version appears in the folder. Of a run with a calibration.json, as
    `zoo calibrate` writes it, `score` and `step` say which frames are above its threshold.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"`precision` must be one of {PRECISIONS}. Received: {precision}")
    for runtime in through or ():
        if runtime not in RUNTIMES:
            raise ValueError(f"`through` must be one of {RUNTIMES}. Received: {runtime}")
    check_folder(directory, argument="directory")
    check_there(clip, "clip")
    check_model(name_or_run)
    load_tensorflow()
    import zoo
    from exports import verification

    for runtime in through or ():
        verification.check_runtime(runtime, precision)
    model = zoo.load(name_or_run, dtype=precision)
    footage, frames = clip or _footage_of_run(name_or_run), None
    if footage is not None:
        try:
            frames = read_clip(footage, model)
            say(f"verifying on {footage}")
        except ValueError as error:
            if clip is not None:
                raise
            say(f"the footage of the run is not used: {error}")
    if frames is None:
        say("verifying on a made-up clip; --clip FOOTAGE takes a real one")
    folder, report = export_verified(
        model,
        directory,
        version=version,
        rollout_steps=rollout_steps,
        card=_card(name_or_run),
        calibration=_calibration(name_or_run, model),
        # Of a run folder its own name: an export tells nothing of the machine that wrote it.
        name=Path(name_or_run).name if Path(name_or_run).is_dir() else name_or_run,
        clip=frames,
        through=through or (),
    )
    report["clip"] = "made up" if frames is None else str(footage)
    if as_json:
        emit_json(report)
        return
    largest = max(report["differences"].values())
    typer.echo(f"exported {folder}")
    typer.echo(f"signatures: {', '.join(report['signatures'])}")
    typer.echo(f"largest difference from the model in a clean process: {largest:.1e}")
    for runtime, found in report["elsewhere"].items():
        largest = max(found["differences"].values(), default=None)
        typer.echo(f"through {runtime}: {'nothing' if largest is None else f'{largest:.1e}'}")
        for signature, reason in found["refused"].items():
            typer.echo(f"  not {signature}: {reason}")


def export_verified(model, directory, clip=None, through=(), **arguments):
    """Exports a model, and lets the version appear only after it is verified.

    Args:
        model: A built `zoo` model.
        directory: Path of the folder of versions.
        clip: uint8 array to verify on, as `exports.verify` takes it.
        through: Runtimes beside TensorFlow's Python to verify by, as `exports.verify` takes them.
        **arguments: Others of `exports.export`.

    Returns:
        `(folder, report)`: the path of the version, and what `exports.verify` found with
        `version`, `signatures` and `elsewhere` (a dict of the same by runtime) beside it.

    Raises:
        ValueError: As `exports.export` and `exports.verify`.
        OSError: If it cannot be written.

    Example:

    ```python
    export_verified(zoo.load("convlstm_vae"), "served/convlstm_vae")
    ```
    """
    import exports

    reports = {}

    def check(folder):
        say("written; reading it back in a process without this project")
        for runtime in ("tensorflow", *through):
            reports[runtime] = exports.verify(folder, model, clip, through=runtime)

    folder = exports.export(model, directory, check=check, **arguments)
    signatures = exports.manifest.read(folder)["signatures"]
    about = {"folder": str(folder), "version": int(folder.name), "signatures": signatures}
    return folder, reports.pop("tensorflow") | about | {"elsewhere": reports}


def read_clip(path, model):
    """Reads the first frames of a video, as a model takes them, for a verification.

    Args:
        path: Path of a video, or of footage of any kind; the first video of it that is long enough
            is taken.
        model: `zoo` model; it gives size and channels.

    Returns:
        uint8 array (1, time, height, width, channels).

    Raises:
        ValueError: If there is no video there, or each is too short.

    Example:

    ```python
    read_clip("footage/entrance.mp4", model).shape  # (1, 16, 128, 192, 1)
    ```
    """
    import itertools

    import numpy as np

    import data_pipelines
    from data_pipelines import transforms
    from zoo.layers.sizes import nearest_size

    wanted = max(FRAMES, model.min_frames + 4, model.warm_up + 6)
    fewest = max(model.min_frames, model.warm_up + 1)
    longest = 0
    for video in data_pipelines.open_source(path).videos:
        frames = list(itertools.islice(video.frames(), wanted))
        longest = max(longest, len(frames))
        if len(frames) > fewest:
            break
    else:
        raise ValueError(
            f"`clip` must have more than {fewest} frames to verify on. Received: {longest} in "
            f"{path}, in the longest of its videos"
        )
    stride = model.stride
    size = (
        model.clip_shape[1:3]
        if model.clip_shape
        else [max(2 * stride, nearest_size(side, stride)) for side in frames[0].shape[:2]]
    )
    return np.asarray(transforms.prepare(np.stack(frames), size, model.channels))[None]


def _footage_of_run(name_or_run):
    from zoo.training.whole_files import read_json

    record = Path(name_or_run) / "run.json"
    if not record.is_file():
        return None
    data = read_json(record).get("arguments", {}).get("data")
    return Path(data) if data and Path(data).exists() else None


def _calibration(name_or_run, model):
    from zoo.commands.calibrate import FILE
    from zoo.evaluation.calibration import check_weights
    from zoo.models.weights_digest import weights_digest
    from zoo.training.whole_files import read_json

    path = Path(name_or_run) / FILE
    if not path.is_file():
        return None
    found = read_json(path)
    if "weights_sha256" in found:  # Of one that does not say, `exports.export` warns.
        check_weights(found, weights_digest(model), name_or_run, path)
    return found


def _card(name_or_run):
    from zoo import registry

    if Path(name_or_run).is_dir():
        card = Path(name_or_run) / "card.json"
    else:
        card = registry.card_path(registry.resolve(name_or_run))
    return card if card.is_file() else None
