"""Checkpoints of a training: whole or not there, and never those of another model.

A checkpoint is a folder `step-00000120` with `arrays.npz`, every variable of the model (weights,
counters, states of seeds) and of its optimizers, and `state.json`: the step, the seed and the
signature of the model.
"""

import hashlib
import json
import logging
import re
import shutil
import zipfile
import zlib
from pathlib import Path

import keras
import numpy as np

from zoo.training.optimizers import optimized_variables
from zoo.training.whole_files import whole_folder

_BROKEN = (OSError, ValueError, AttributeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def signature(model):
    """Identifies what a checkpoint belongs to.

    Args:
        model: a built `keras.Model`.

    Returns:
        dict of str: `model`, the class name; `config`, a hash of `get_config()` without the
        layer's name and dtype; `shapes`, a hash of the shapes of all variables.
    """
    config = dict(model.get_config())
    for key in ("name", "dtype", "trainable"):
        config.pop(key, None)
    shapes = [list(variable.shape) for variable in model.variables]
    return {
        "model": type(model).__name__,
        "config": _digest(config),
        "shapes": _digest(shapes),
    }


def check_finite(model, step):
    """Checks that every weight of a model is finite.

    Args:
        model: a built `keras.Model`.
        step: int, training steps done.

    Raises:
        FloatingPointError: if one is not; it is named.
    """
    for variable in model.variables:
        _check_finite(keras.ops.convert_to_tensor(variable).numpy(), variable, step)


class Checkpoints:
    """The checkpoints of one run.

    Args:
        directory: path of the folder that holds them; made at the first save.
        keep: int, how many of the newest stay, at least 1.

    Raises:
        ValueError: if `keep` is below 1.

    Example:
        >>> checkpoints = Checkpoints("run/checkpoints")
        >>> checkpoints.save(model, step=120, state={"seed": 0})
        >>> checkpoints.restore(model)["step"]
        120
    """

    def __init__(self, directory, keep=2):
        if keep < 1:
            raise ValueError(f"`keep` must be at least 1. Received: keep={keep}")
        self.directory = Path(directory)
        self.keep = keep

    def steps(self):
        """Lists the steps of the checkpoints there, ascending, whole or broken."""
        if not self.directory.is_dir():
            return []
        names = [re.fullmatch(r"step-(\d+)", path.name) for path in self.directory.iterdir()]
        return sorted(int(name.group(1)) for name in names if name)

    def save(self, model, step, state=None, sound_step=None):
        """Writes a checkpoint, then removes those that are no longer kept.

        Args:
            model: a built and compiled `keras.Model` with built optimizers.
            step: int, training steps done.
            state: dict of JSON values to keep beside (`seed`, `seconds`, `best`, ...).
            sound_step: int, the last step at which all was well, where that is in doubt: the
                newest checkpoint from up to it stays too.

        Raises:
            FloatingPointError: if a value is not finite; nothing is written then.
            OSError: if it cannot be written, for one on a full disk; older ones stay.
        """
        arrays = {}
        for group, variables in _groups(model).items():
            for index, variable in enumerate(variables):
                array = keras.ops.convert_to_tensor(variable).numpy()
                _check_finite(array, variable, step)
                arrays[f"{group}/{index:05d}"] = array
        written = {"step": step, "signature": signature(model), **(state or {})}
        with whole_folder(self.directory / f"step-{step:08d}") as folder:
            np.savez(folder / "arrays.npz", **arrays)
            (folder / "state.json").write_text(json.dumps(written, indent=2) + "\n")
        self._prune(sound_step)

    def drop_after(self, step):
        """Removes the checkpoints of later steps, for a run that goes on from `step` or before."""
        for later in self.steps():
            if later > step:
                shutil.rmtree(self.directory / f"step-{later:08d}", ignore_errors=True)

    def restore(self, model):
        """Loads the newest whole checkpoint into the model and its optimizers.

        Broken ones are put aside, as `.broken-step-...`, with a warning in the log.

        Args:
            model: a built and compiled `keras.Model` with built optimizers.

        Returns:
            dict, what `save` was given as `state`, with `step`; None where there is no
            checkpoint that can be read.

        Raises:
            ValueError: if the checkpoint is one of another model.
        """
        for step in reversed(self.steps()):
            folder = self.directory / f"step-{step:08d}"
            try:
                state = json.loads((folder / "state.json").read_text())
                # Opened here, since NumPy leaves a file that is no archive open.
                with open(folder / "arrays.npz", "rb") as file:
                    stored = np.load(file, allow_pickle=False)
                    arrays = {key: stored[key] for key in stored.files}
                for key, array in arrays.items():
                    if not np.all(np.isfinite(array)):
                        raise ValueError(f"{key} is not finite")
            except _BROKEN as error:
                logging.getLogger(__name__).warning("skip broken checkpoint %s: %s", folder, error)
                # Out of the way: it must neither count as one of those kept nor as the newest.
                aside = folder.with_name(f".broken-{folder.name}")
                shutil.rmtree(aside, ignore_errors=True)
                folder.rename(aside)
                continue
            self._check(model, state, arrays, folder)
            for group, variables in _groups(model).items():
                for index, variable in enumerate(variables):
                    variable.assign(arrays[f"{group}/{index:05d}"])
            return state
        return None

    def _check(self, model, state, arrays, folder):
        theirs, ours = state.get("signature") or {}, signature(model)
        if theirs != ours:
            differ = [key for key in ours if theirs.get(key) != ours[key]]
            raise ValueError(
                f"`model` must be the one the checkpoint {folder} was made of, "
                f"{theirs.get('model')}; its {' and '.join(differ)} differ. Train into another "
                f"folder, or remove this one. Received: model={ours['model']}"
            )
        expected = {
            f"{group}/{index:05d}": tuple(variable.shape)
            for group, variables in _groups(model).items()
            for index, variable in enumerate(variables)
        }
        if expected != {key: array.shape for key, array in arrays.items()}:
            raise ValueError(
                f"the optimizer must be the one the checkpoint {folder} was made with (the "
                f"precision is part of it). Received: optimizer={type(model.optimizer).__name__}, "
                f"dtype={model.dtype_policy.name}"
            )

    def _prune(self, sound_step):
        steps = self.steps()
        sound = [step for step in steps if sound_step is not None and step <= sound_step]
        for step in set(steps[: -self.keep]) - set(sound[-1:]):
            shutil.rmtree(self.directory / f"step-{step:08d}", ignore_errors=True)
        for left in self.directory.glob(".tmp-*"):
            shutil.rmtree(left, ignore_errors=True)


def _check_finite(array, variable, step):
    if not np.all(np.isfinite(array)):
        raise FloatingPointError(
            f"`{variable.path}` is not finite after step {step}: give a smaller learning rate and "
            "train into another folder; the last checkpoint is kept"
        )


def _groups(model):
    optimizers = {name: getattr(model, name).variables for name in optimized_variables(model)}
    return {"model": model.variables, **optimizers}


def _digest(value):
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
