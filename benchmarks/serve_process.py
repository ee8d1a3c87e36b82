"""`zoo serve` as a process of its own, for as long as something is asked of it."""

import contextlib
import subprocess
import sys


@contextlib.contextmanager
def serving(folder):
    """Serves exports on free ports of this machine.

    Args:
        folder: Path of a folder of versions, or of a folder of those.

    Yields:
        `(process, grpc_port, rest_port)`.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo", "serve", str(folder), "--port", "0", "--rest-port", "0"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        lines = [process.stdout.readline() for _ in range(2)]
        if not lines[1]:
            raise RuntimeError(f"zoo serve {folder} ended with {process.wait()}")
        yield process, *(int(line.rpartition(":")[2]) for line in lines)
    finally:
        process.terminate()
        process.wait()
