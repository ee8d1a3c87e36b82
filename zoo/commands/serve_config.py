"""`zoo serve-config`: what TensorFlow Serving is started with, for one export or a folder of them.

    zoo serve-config exported/ --out serving/

checks the newest versions against their manifests first, which takes seconds.
"""

from pathlib import Path
from typing import Annotated

import typer

from zoo.commands.arguments import check_folder, check_there
from zoo.commands.console import emit_json, load_tensorflow, log


def serve_config(
    exports: Annotated[
        Path, typer.Argument(help="Folder of versions, which is one model, or of such folders.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the files; made if it is not there.")],
    max_batch: Annotated[
        int, typer.Option(min=1, help="Windows that are computed at once, at most.")
    ] = 8,
    cpus: Annotated[int, typer.Option(min=1, help="Processors that the server may take.")] = 2,
    memory_gb: Annotated[int, typer.Option(min=1, help="GiB of memory that it may take.")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
):
    """Write TensorFlow Serving's configuration, a compose file and Kubernetes manifests.

    The two newest versions of each model are served; `stable` labels the newest of now whose files
    are whole. After a new version the same command labels that.
    """
    log()
    check_there(exports, "exports")
    check_folder(out)
    load_tensorflow()
    from exports import serving

    files = serving.write_config(exports, out, max_batch, cpus, memory_gb)
    if as_json:
        emit_json({"models": list(serving.models(exports)), "files": [str(path) for path in files]})
        return
    for path in files:
        typer.echo(path)
