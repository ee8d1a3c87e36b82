"""`zoo serve`: a server of exports for a desk or a small site, in TensorFlow Serving's protocols.

    zoo serve exported/

prints its two addresses when the models are loaded and warmed up.
"""

import gc
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from zoo.commands.arguments import check_there
from zoo.commands.console import load_tensorflow, log


def serve(
    exports: Annotated[
        Path, typer.Argument(help="Folder of versions, which is one model, or of such folders.")
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen on; by default this machine alone reaches it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of gRPC; 0 for a free one.")] = 8500,
    rest_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of REST; 0 for a free one.")
    ] = 8501,
    workers: Annotated[int, typer.Option(min=1, help="Requests computed side by side.")] = 2,
    max_body_mb: Annotated[
        int, typer.Option(min=1, help="The longest request, and the most its tensors take.")
    ] = 128,
):
    """Serve exports over gRPC and REST until interrupted, following new versions.

    Nothing is encrypted and nobody is asked who they are: with another --host than the default,
    for trusted networks only. For more than a desk, TensorFlow Serving: zoo serve-config.
    """
    log()
    check_there(exports, "exports")
    load_tensorflow()
    from exports.server import Server

    # Requests in JSON make many small objects, after which Python looks through all that there are
    # for garbage: what was imported, which never is any, costs most of that, and seconds.
    gc.freeze()
    ended = threading.Event()
    # A service manager ends it by SIGTERM, which is no error here.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with Server(
        exports, host, port, rest_port, workers, max_body_bytes=max_body_mb * 2**20
    ) as server:
        # As `exports.client.Client` takes it.
        typer.echo(f"{host}:{server.grpc_port}")
        typer.echo(f"http://{host}:{server.rest_port}")
        ended.wait()
