"""The manifest of an export: what it holds, what made it, and the hashes of its files."""

import hashlib
import json
from pathlib import Path

import keras
import numpy as np

from exports import signatures

EXTRA = "assets.extra"
NAME = f"{EXTRA}/manifest.json"
FORMAT = 1


def describe(model, functions, rollout_steps, name=None):
    """Describes a model and its signatures in plain values.

    Args:
        model: The exported `zoo` model.
        functions: iterable of str, the names of its signatures.
        rollout_steps: int, the frames that the signature `rollout` predicts.
        name: str, the preset or run that the model comes from. Default: not known.

    Returns:
        A dict that `json.dump` takes: `model` (`class`, `name`, `arguments`), `clip_shape`,
        `fps` (frames per second), `stride` (pixels), `channels`, `min_frames`, `warm_up`
        (frames), `rollout_steps`, `dtype`, `embedding_dim`, `signatures`, `state`,
        `weights_sha256` (`zoo.models.weights_digest` of the model), `source_commit` and `packages`.

    Example:

    ```python
    describe(model, ["serving_default"], rollout_steps=8)["stride"]  # 8
    ```
    """
    # Here, since reading an export back needs nothing of the zoo.
    from zoo.models.weights_digest import weights_digest
    from zoo.training import run_folder

    functions = list(functions)
    return {
        "format": FORMAT,
        "model": {
            "class": type(model).__name__,
            "name": name,
            "arguments": json.loads(json.dumps(model.get_config(), default=_plain)),
        },
        "clip_shape": [int(size) for size in model.clip_shape] if model.clip_shape else None,
        "fps": model.fps,
        "stride": int(model.stride),
        "channels": int(model.channels),
        "min_frames": int(model.min_frames),
        "warm_up": int(model.warm_up),
        "rollout_steps": int(rollout_steps) if "rollout" in functions else None,
        "embedding_dim": int(model.embedding_dim),
        "dtype": model.dtype_policy.name,
        "signatures": functions,
        "state": signatures.state_layout(model) if "step" in functions else None,
        "weights_sha256": weights_digest(model),
        "source_commit": run_folder.commit(),
        "packages": run_folder.versions(),
    }


def write(folder, description):
    """Writes the manifest of an export folder: the description and the hash of every file.

    Args:
        folder: Path of the version's folder; all other files must be in it by now.
        description: dict, as `describe` gives it.

    Returns:
        The manifest, a dict: the description and `files`, from the path inside the folder to
        `bytes` and `sha256`.

    Example:

    ```python
    write(Path("served/1"), describe(model, ["serving_default"], rollout_steps=8))
    ```
    """
    folder = Path(folder)
    files = {name: _fingerprint(folder / name) for name in _files(folder)}
    content = description | {"files": files}
    path = folder / NAME
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return content


def read(folder):
    """Reads the manifest of an export folder.

    Args:
        folder: Path of the version's folder.

    Returns:
        The manifest, a dict.

    Raises:
        ValueError: If there is no manifest in the folder, it is not JSON, or another version of
            this project wrote it, with another layout.

    Example:

    ```python
    read("served/1")["fps"]
    ```
    """
    path = Path(folder) / NAME
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"`folder` must be an export with {NAME}. Received: {folder}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    layout = found.get("format") if isinstance(found, dict) else None
    if layout != FORMAT:
        raise ValueError(
            f"{folder} must be an export of the layout {FORMAT}, which this version of the project "
            f"reads; export the model anew. Received: the layout {layout!r}"
        )
    return found


def check_files(folder):
    """Compares the files of an export with the sizes and hashes in its manifest.

    Args:
        folder: Path of the version's folder.

    Returns:
        int, the number of files that agree.

    Raises:
        ValueError: If a file is missing, has changed, or is not in the manifest.

    Example:

    ```python
    check_files("served/1")
    ```
    """
    folder = Path(folder)
    expected = read(folder)["files"]
    found = _files(folder)
    if missing := sorted(set(expected) - set(found)):
        raise ValueError(f"{folder} lacks files that its manifest names: {', '.join(missing)}")
    if unknown := sorted(set(found) - set(expected)):
        raise ValueError(f"{folder} holds files that its manifest lacks: {', '.join(unknown)}")
    changed = [name for name in found if _fingerprint(folder / name) != expected[name]]
    if changed:
        raise ValueError(f"{folder} has files unlike its manifest's: {', '.join(changed)}")
    return len(found)


def _files(folder):
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if name != NAME)


def _fingerprint(path):
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    return keras.saving.serialize_keras_object(value)
