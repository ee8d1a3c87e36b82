"""The command `zoo`; `python -m zoo` is the same.

    zoo quickstart --out runs/quickstart    # three minutes: the whole road on a made-up camera
    zoo --help                              # every command
"""

import os

from zoo.commands.app import app


def main():
    """Runs the command line and ends the process with its exit code."""
    # Here and nowhere else: a library does not choose how much its caller's process logs.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    app(prog_name="zoo")


if __name__ == "__main__":
    main()
