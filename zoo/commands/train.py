"""`zoo train`: footage in, a run folder with trained weights out; again, and it goes on.

    zoo train convlstm_vae --data footage/ --out runs/camera_1 --steps 2000

leaves `runs/camera_1/model.weights.h5` and `config.json`, which `zoo evaluate` and `zoo export`
take as a name. The 4,000 steps of the default took 95 minutes on two cores.
"""

import contextlib
import logging
import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from zoo import registry
from zoo.commands.arguments import check_above_0, check_there
from zoo.commands.console import command_line, load_tensorflow, log, say
from zoo.training.distribution import check_distribution
from zoo.training.precision import check_precision
from zoo.training.run_folder import RunFolder


def train(
    name: Annotated[str, typer.Argument(help="Preset to train, as `zoo list` names it.")],
    data: Annotated[Path, typer.Option(help="Footage: a folder or a file.")],
    out: Annotated[Path, typer.Option(help="Run folder; one of the same command is gone on with.")],
    init: Annotated[
        str | None, typer.Option(help="Start from the weights of a preset, a run or a file.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Clips per step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="Seed of weights, data and draws.")
    ] = 0,
    precision: Annotated[
        str, typer.Option(help="auto, float32, mixed_bfloat16 or mixed_float16.")
    ] = "auto",
    distribution: Annotated[str, typer.Option(help="auto, one_device or mirrored.")] = "auto",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="KEY=VALUE, maybe several: an argument of the model's class or of its training, "
            "as `zoo info NAME --json` shows them (frames=12, crop=64,64, ...).",
        ),
    ] = None,
    deterministic: Annotated[
        bool,
        typer.Option("--deterministic", help="Bit for bit the same again, on the same machine."),
    ] = False,
    validation_videos: Annotated[
        int | None, typer.Option(min=0, help="Last videos held out; by default 15 in 100.")
    ] = None,
    hold_out: Annotated[
        list[str] | None,
        typer.Option(help="A group (person, camera) or video to hold out by name; repeatable."),
    ] = None,
):
    """Train a model on unlabelled footage, or go on with a run that was stopped.

    A run killed at any moment goes on from its last checkpoint when the same command is given
    again. Of footage with a train split only that part is used.

    Equal commands see the same clips in the same order and draw the same numbers, yet sums may be
    added up in another order: with --deterministic they are not, and a run that was killed ends
    with the very weights of one that was not.
    """
    log(logging.INFO)
    logging.getLogger("absl").setLevel(logging.WARNING)
    registry.resolve(name)
    check_above_0(learning_rate=learning_rate)
    check_precision(precision)
    check_distribution(distribution)
    if hold_out and validation_videos is not None:
        raise ValueError(
            "`validation_videos` must be left out where `hold_out` says which. Received: "
            f"validation_videos={validation_videos}"
        )
    record = RunFolder.found(out)
    # A run that is finished needs no footage any more, nor the weights that it began from.
    if record is None or record["status"] != "finished":
        if init is not None and not (out / "checkpoints").exists():
            initial_weights(init)
        check_there(data)
    # A third faster in training on processors without AVX-512, where TensorFlow leaves it off.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    load_tensorflow()
    from zoo.commands import training_setup

    given = {"steps": steps, "batch": batch, "learning_rate": learning_rate}
    with _signals_end_it(out):
        try:
            setup = training_setup.prepare(
                name,
                data,
                given=given,
                settings=settings or [],
                seed=seed,
                init=init,
                precision=precision,
                distribution=distribution,
                deterministic=deterministic,
                validation_videos=validation_videos,
                hold_out=hold_out or (),
            )
            training_setup.run(setup, out, command_line())
        except KeyboardInterrupt as error:
            say(f"zoo train: {str(error) or 'interrupted'}; the same command goes on: {out}")
            raise typer.Exit(130) from None
        except OSError as error:
            if Path(out, "checkpoints").is_dir():
                raise OSError(
                    f"{error.strerror or error}: {error.filename or out}. The last checkpoint is "
                    "kept; once this is mended, the same command goes on from it"
                ) from error
            raise


def initial_weights(init):
    """Where the trained weights to start from are.

    Args:
        init: path of a run folder or a weights file, or the name of a preset.

    Returns:
        `Path` of a file.

    Raises:
        ValueError: if there is nothing of that name, or no weights in it.
    """
    path = Path(init)
    if path.is_dir():
        path = path / registry.RUN_WEIGHTS
    elif not path.is_file():
        try:
            path = registry.weights_path(registry.resolve(init, argument="init"))
        except ValueError as error:
            raise ValueError(f"{error}, and no run folder or weights file is there") from error
    if not path.is_file():
        raise ValueError(f"`init` must have trained weights. Received: init={init}, without any")
    return path


@contextlib.contextmanager
def _signals_end_it(out):
    """Ends the process at once on SIGINT and SIGTERM: before the training, and on a second one.

    Not by an exception, which comes at any place of any library and may be lost there, or be
    turned into another one. Files are written so that a kill at any moment does no harm.
    """

    def end(number, frame):
        # The bar of a terminal hides the cursor.
        shown = "\x1b[?25h\n" if os.isatty(2) else ""
        os.write(2, f"{shown}zoo train: interrupted; the same command goes on: {out}\n".encode())
        os._exit(130)

    # SIGINT too: a shell starts its background jobs with it ignored.
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
