"""`zoo data-service`: processes that make clips for trainings, on this machine and others.

    zoo data-service --workers 2 --port 5050

prints the address that `data_pipelines.load(..., service=...)` takes, in a few seconds.
"""

import signal
import time
from typing import Annotated

import typer

from zoo.commands.console import load_tensorflow, say

SECONDS_BETWEEN_LOOKS = 0.2


def data_service(
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    port: Annotated[
        int, typer.Option(min=0, max=65534, help="Of the dispatcher; workers take those after it.")
    ] = 5050,
    host: Annotated[
        str, typer.Option(help="Name of this machine as clients and other machines reach it.")
    ] = "localhost",
    join: Annotated[
        str | None,
        typer.Option(help="Work for the dispatcher at this address, grpc://HOST:PORT, instead."),
    ] = None,
):
    """Make clips for trainings that ask for them, until interrupted.

    For load(..., cache=FOLDER, service=ADDRESS); workers must see FOLDER under the same path.
    A worker that dies is started again. Whoever reaches the ports can have anything computed and
    any file read: for trusted networks only.
    """
    load_tensorflow()
    from data_pipelines.service import Service

    # A service manager ends it by SIGTERM: as an interrupt it ends the workers as well. And a shell
    # starts its background jobs with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    with Service(workers, port, host, join) as service:
        typer.echo(service.address)
        while True:
            for line in service.restart_dead():
                say(line)
            time.sleep(SECONDS_BETWEEN_LOOKS)


def _interrupt(number, frame):
    raise KeyboardInterrupt("ended")
