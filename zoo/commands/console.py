"""What every command shares: how errors end it, how it talks, how TensorFlow is loaded.

The exit code of an error follows from its words, which always begin with what is wrong:

- 2, wrong usage: a `ValueError` that begins with an option or argument of the command, such as
  "`--data` must ...". The command was given wrongly, and another value mends it.
- 1, failed: whatever else a user can put right, such as a full disk, footage that cannot be
  read, weights or a checkpoint of another model.

A library raises errors that begin with its own argument; `named_as_typed` puts the option that
was typed in its place.
"""

import json
import logging
import os
import re
import shlex
import sys
import tempfile
import time
from pathlib import Path

import typer

# What a user can put right. Anything else is a fault of this project and shows its traceback.
EXPECTED_ERRORS = (ValueError, OSError, NotImplementedError, ImportError, FloatingPointError)

SECONDS_BETWEEN_LINES = 10

# What the library calls the value of an option of another name; the first that a command has.
SYNONYMS = {
    "source": ("data", "clip", "path"),
    "name": ("name_or_run", "names", "name_or_run_or_export"),
    "model": ("name_or_run_or_export",),
    "directory": ("encoder", "model", "name_or_run_or_export"),
    "folder": ("encoder", "model", "name_or_run_or_export"),
    "url": ("webhook",),
}


class Command(typer.core.TyperCommand):
    """A command whose errors become one line on standard error and an exit code."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # Typer ends quietly when the reader of a pipe has gone.
        except Exception as error:
            if ctx.find_root().params.get("debug") or not is_expected(error):
                raise
            names = typed_names(self)
            line = named_as_typed(error_line(error), names)
            say(f"zoo: {printable(line)}")
            raise typer.Exit(2 if is_wrong_usage(error, line, names) else 1) from error
        except KeyboardInterrupt as interrupt:
            say(f"zoo: {str(interrupt) or 'interrupted'}")
            raise typer.Exit(130) from None


def command_line():
    """The command as it was typed, for records that are kept: without what is secret in addresses.

    Returns:
        Text that a shell takes as the same words.
    """
    from data_pipelines.sources.camera_address import redacted

    words = []
    for word in sys.argv[1:]:
        option, equals, value = re.fullmatch(r"(?s)(--[\w-]+)?(=)?(.*)", word).groups()
        words.append(f"{option or ''}{equals or ''}{redacted(value)}")
    return shlex.join(["zoo", *words])


def say(message):
    """Writes a line for the user to standard error; standard output is for results."""
    typer.echo(message, err=True)


def log(level=logging.WARNING):
    """Has the warnings of libraries written to standard error, each as one line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(message)s"))
    logging.basicConfig(level=level, handlers=[handler])


class _OneLine(logging.Formatter):
    """Names of files, which messages hold, may hold line breaks and what drives a terminal."""

    def formatMessage(self, record):
        return printable(super().formatMessage(record))


def printable(text):
    """A name as one line of text that can be written: line breaks and stray bytes escaped.

    Example:
        >>> printable("a\\nb")
        'a\\\\nb'
    """
    text = os.fsencode(text).decode("utf-8", "backslashreplace") if _is_odd(text) else text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _is_odd(text):
    return any("\udc80" <= character <= "\udcff" for character in text)


def progress():
    """A function of (number, count, name) that says so, but not more often than is of use."""
    said = time.monotonic()

    def report(number, count, name):
        nonlocal said
        if time.monotonic() - said > SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            say(f"{number}/{count} {name}")

    return report


def emit_json(result):
    """Writes the one JSON object of `--json` to standard output.

    Raises:
        ValueError: if `result` holds NaN or infinity, which JSON has no word for.
    """
    typer.echo(json.dumps(result, indent=2, allow_nan=False))


def columns(rows):
    """Lays rows of words out below one another: the first column to the left, others to the right.

    Args:
        rows: List of tuples of str, all of the same length.

    Returns:
        List of str, a line each.

    Example:
        >>> columns([("", "frames"), ("door", "8")])
        ['      frames', 'door       8']
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]


def is_expected(error):
    """Whether `error` is the user's to put right: bad input, a missing file, a full disk."""
    # Without importing TensorFlow: where it is not loaded, the error is none of its own.
    errors = getattr(sys.modules.get("tensorflow"), "errors", None)
    return isinstance(error, EXPECTED_ERRORS + ((errors.OpError,) if errors else ()))


def error_line(error):
    """One line that says what `error` says.

    TensorFlow wraps an error of a Python generator into its own, as `{{function_node ...}}
    ValueError: text` followed by a traceback: only the text is of use.
    """
    text = str(getattr(error, "message", None) or error).strip()
    text = re.sub(r"\{\{.*?\}\}\s*", "", text)
    text = text.partition("\nTraceback (most recent call last)")[0]
    text = re.sub(r"^(ValueError|FileNotFoundError|OSError|RuntimeError): ", "", text.strip())
    if isinstance(error, OSError) and error.strerror:
        text = ": ".join(str(part) for part in (error.filename, error.strerror) if part)
    line = " ".join(part.strip() for part in text.splitlines() if part.strip())
    return line or type(error).__name__


def typed_names(command):
    """What a user types for each parameter of a command.

    Returns:
        Dict from the name in Python to `--option` or, of an argument, `NAME`; `SYNONYMS` included.
    """
    names = {}
    for parameter in command.params:
        option = parameter.param_type_name == "option"
        names[parameter.name] = max(parameter.opts, key=len) if option else parameter.name.upper()
    for name, others in SYNONYMS.items():
        there = [names[other] for other in others if other in names]
        if there:
            names.setdefault(name, there[0])
    return names


def named_as_typed(line, names):
    """Says `--validation-videos` where an error says `validation_videos`.

    Args:
        line: str, the error.
        names: Dict, of `typed_names`.

    Returns:
        str: names in backticks and the one after "Received: " are replaced.

    Example:
        >>> named_as_typed("`out` must be new. Received: out=a", {"out": "--out"})
        '`--out` must be new. Received: --out=a'
    """
    line = re.sub(r"`(\w+)`", lambda found: f"`{names.get(found[1], found[1])}`", line)
    return re.sub(r"(?<=Received: )\w+(?==)", lambda found: names.get(found[0], found[0]), line)


def is_wrong_usage(error, line, names):
    """Whether the error, told in `line`, is that the command was given wrongly."""
    begins = re.match(r"`([^` ]+)", line)
    return isinstance(error, ValueError) and bool(begins) and begins[1] in names.values()


def load_tensorflow():
    """Loads TensorFlow without the noise of its start.

    It takes seconds. Each command that works with it calls this once, when it has checked all that
    can be checked without it, and before it imports what imports it.
    """
    if "tensorflow" not in sys.modules:
        import_tensorflow_quietly()


def import_tensorflow_quietly():
    """Imports TensorFlow and has it look for GPUs; lines which no setting silences go.

    Those are what it writes to the file descriptor itself before its logging starts and, where
    there is no GPU, that CUDA does not start. Whatever else comes meanwhile is shown afterwards.
    """
    noise = r"[IW]\d{4} |WARNING: All log messages before absl::"
    if not has_gpu():
        noise += r"|E\d{4} .*failed call to cuInit"
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            import tensorflow

            tensorflow.config.list_physical_devices("GPU")
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            for line in caught.read().decode(errors="replace").splitlines():
                if not re.match(noise, line):
                    say(line)


def has_gpu():
    """Whether the system has a GPU that CUDA could use, as far as its device files tell."""
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists()
