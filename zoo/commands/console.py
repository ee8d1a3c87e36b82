"""What every command shares: how errors end it, how it talks, how TensorFlow is loaded."""

import json
import os
import re
import sys
import tempfile

import typer

# What a user can put right. Anything else is a fault of this project and shows its traceback.
EXPECTED_ERRORS = (ValueError, OSError, NotImplementedError, ImportError, FloatingPointError)


class Commands(typer.core.TyperGroup):
    """The root group: errors become one line on standard error and exit code 1."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # Typer ends quietly when the reader of a pipe has gone.
        except Exception as error:
            if ctx.params.get("debug") or not is_expected(error):
                raise
            say(f"zoo: {error_line(error)}")
            raise typer.Exit(1) from error
        except KeyboardInterrupt as interrupt:
            say(f"zoo: {str(interrupt) or 'interrupted'}")
            raise typer.Exit(130) from None


class TensorFlowCommand(typer.core.TyperCommand):
    """A command that works with TensorFlow, which it loads without the noise of its start."""

    def invoke(self, ctx):
        if "tensorflow" not in sys.modules:
            import_tensorflow_quietly()
        return super().invoke(ctx)


def say(message):
    """Writes a line for the user to standard error; standard output is for results."""
    typer.echo(message, err=True)


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


def import_tensorflow_quietly():
    """Imports TensorFlow; lines about missing CUDA drivers, which no setting silences, go.

    They are written to the file descriptor itself before TensorFlow's logging starts. Whatever
    else comes meanwhile is shown afterwards.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            for line in caught.read().decode(errors="replace").splitlines():
                if not re.match(r"[IW]\d{4} |WARNING: All log messages before absl::", line):
                    say(line)
