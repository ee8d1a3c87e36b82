"""Files and folders that are written whole or not at all."""

import contextlib
import json
import os
import shutil
from pathlib import Path


def write_whole(path, write):
    """Writes a file aside, brings it to the disk and renames it into place.

    A kill or a full disk at any moment leaves the older file, or the new one, never a part.

    Args:
        path: path of the file to write or replace.
        write: function that is given the temporary path and writes it.

    Raises:
        OSError: if it cannot be written, for one on a full disk; the older file is untouched.
    """
    path = Path(path)
    # The ending stays, since Keras chooses the format of a weights file by it.
    aside = path.with_name(f".tmp-{path.name}")
    try:
        write(aside)
        with open(aside, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:  # an interrupt too must leave nothing beside the user's files
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_json(path, value):
    """Writes a value as JSON, whole. See `write_whole`.

    Raises:
        ValueError: if it holds NaN or infinity, which JSON has no word for; nothing is written.
    """
    try:
        text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    except ValueError as error:
        raise ValueError(f"{path} cannot be written as JSON: {error}") from error
    write_whole(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def read_json(path):
    """Reads a file that holds one JSON object.

    Args:
        path: path of the file.

    Returns:
        dict.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: if it is damaged, or holds another value than an object; the file is named.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:  # of JSON, or of bytes that are no UTF-8
        raise ValueError(f"{path} is damaged, it is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold a JSON object. Received: {type(value).__name__}")
    return value


def write_weights(path, model):
    """Writes `model`'s weights as Keras HDF5, whole, without the optimizers'.

    Args:
        path: path of the file, ending in `.weights.h5`.
        model: a built `keras.Model`.

    Raises:
        OSError: if it cannot be written, for one on a full disk; the older file is untouched.
    """

    # Here, as it loads Keras, and who only reads JSON need not wait for that.
    from zoo.training.optimizers import optimized_variables

    def write(aside):
        # Keras would store the state of the optimizers beside the weights, twice their size.
        optimizers = {name: getattr(model, name, None) for name in optimized_variables(model)}
        for name in optimizers:
            setattr(model, name, None)
        try:
            model.save_weights(aside, overwrite=True)
        except RuntimeError as error:
            # h5py reports a failed flush on closing (a full disk) as a RuntimeError.
            raise OSError(f"cannot write {path}: {error}") from error
        finally:
            for name, optimizer in optimizers.items():
                setattr(model, name, optimizer)

    write_whole(path, write)


@contextlib.contextmanager
def whole_folder(path):
    """Gives a temporary folder to fill; on leaving it is synced and renamed to `path`.

    Args:
        path: path of the folder; one that is there already is replaced.

    Yields:
        `Path` of the temporary folder, beside `path`.
    """
    path = Path(path)
    aside = path.with_name(f".tmp-{path.name}")
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir(parents=True)
    try:
        yield aside
        for file in aside.iterdir():
            with open(file, "rb+") as opened:
                os.fsync(opened.fileno())
        sync_folder(aside)
        if path.exists():
            shutil.rmtree(path)
        os.replace(aside, path)
    except OSError:
        # A full disk gets its space back at once; a kill leaves the folder to the next save.
        shutil.rmtree(aside, ignore_errors=True)
        raise
    sync_folder(path.parent)


def sync_folder(path):
    """Brings the names in a folder to the disk: a file that is there may have none yet."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
