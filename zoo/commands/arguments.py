"""What can be told of a command's arguments before TensorFlow is loaded, which takes seconds.

Each command calls what fits its arguments before `console.load_tensorflow`, so that a slip is told
at once. What is inside of files and folders is looked at later, by whoever reads them.
"""

import os
import re
from pathlib import Path

from zoo import registry


def check_out(path, is_new=False, argument="out", suffixes=()):
    """Checks, before the work that takes long, that a file can be written; nothing is made yet.

    Args:
        path: `Path` of the file, or None where none is asked for.
        is_new: Whether it must not be there yet.
        argument: What to call it in an error.
        suffixes: What its name must end in, one of them; () where that is free.

    Raises:
        ValueError: if it ends otherwise, is a folder, is there although it must be new, or its
            folder is not there and cannot be made, or cannot be written to.
    """
    if path is None:
        return
    path = Path(path)
    if suffixes and path.suffix not in suffixes:
        raise ValueError(f"`{argument}` must end in {' or '.join(suffixes)}. Received: {path}")
    if path.is_dir():
        raise ValueError(f"`{argument}` must be a file. Received: {path}, which is a folder")
    if is_new and path.exists():
        raise ValueError(f"`{argument}` must be a new file. Received: {path}, which exists")
    _check_place(path, path.absolute().parent, argument)


def _check_place(path, folder, argument):
    # Of folders that are not there yet it depends on the first above them that is.
    there = next(above for above in (folder, *folder.parents) if above.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        what = "cannot be written to" if there.is_dir() else "is a file"
        raise ValueError(
            f"`{argument}` must be in a folder that can be written to. Received: {path}, but "
            f"{there} {what}"
        )


def check_folder(path, is_new=False, argument="out"):
    """Checks, before the work that takes long, that files can be written into a folder.

    Args:
        path: `Path` of the folder, which need not be there.
        is_new: Whether nothing may be in it yet.
        argument: What to call it in an error.

    Raises:
        ValueError: if it is a file, holds something although it must be new, or cannot be made, or
            cannot be written to.
    """
    if is_new and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(
            f"`{argument}` must be a new or an empty folder. Received: {argument}={path}"
        )
    if path.exists() and not path.is_dir():
        raise ValueError(f"`{argument}` must be a folder. Received: {path}, which is a file")
    _check_place(path, path.absolute(), argument)


def check_there(path, argument="data"):
    """Says, before TensorFlow is loaded, that nothing is at a path; what is there is seen later.

    Args:
        path: Path of a file or folder; an address, of which nothing is asked; or None.
        argument: What to call it in an error.

    Raises:
        ValueError: if it is a path, and nothing is there.
    """
    # A number, `camera:0` and `/dev/video0` are cameras, and `s3:/footage` is what `Path` makes of
    # an address. `C:/footage` is a path.
    is_address = re.match(r"\d+$|camera:\d|/dev/|[A-Za-z][\w.+-]+:/", str(path))
    if path is not None and not is_address and not Path(path).exists():
        raise ValueError(f"`{argument}` {path} does not exist")


def check_model(name, argument="name"):
    """Says, before TensorFlow is loaded, that a name is no preset with weights and no folder.

    Args:
        name: Of a preset, or path of a run folder or an export, which is looked into later.
        argument: What to call it in an error.

    Raises:
        ValueError: if it is none; near names are offered.
    """
    if not Path(name).is_dir():
        registry.find(name, argument, is_trained=True)


def check_above_0(**numbers):
    """Checks numbers, each by its name; None is one that was not given.

    Raises:
        ValueError: if one is not above 0.
    """
    for name, number in numbers.items():
        # NaN is not above anything.
        if number is not None and not number > 0:
            raise ValueError(f"`{name}` must be above 0. Received: {name}={number}")
