"""Writes a model as a SavedModel that TensorFlow Serving takes, whole or not at all.

A version is written into a folder beside its final place whose name TensorFlow Serving passes
over (it looks for integers), brought to disk, and renamed. A process that is killed on the way
leaves such a folder and nothing else; the next export into the same directory removes it.
"""

import contextlib
import fcntl
import json
import os
import shutil
from pathlib import Path

import tensorflow as tf

from exports import manifest, signatures, warm_up

PARTIAL = ".partial-"
INTERFACE = f"{manifest.EXTRA}/interface.json"
CALIBRATION = f"{manifest.EXTRA}/calibration.json"
CARD = f"{manifest.EXTRA}/card.json"


def export(
    model, directory, version=None, rollout_steps=8, card=None, name=None, check=None,
    calibration=None,
):  # fmt: skip
    """Exports a model as `DIRECTORY/VERSION/`.

    Beside the SavedModel lies `assets.extra/` with `manifest.json`, with `interface.json`, by which
    clients of TensorFlow's C API find tensors in the graph, with the warm-up requests that
    TensorFlow Serving runs before it serves, and, where there are such, the model's card as
    `card.json` and its calibration as `calibration.json`.

    Args:
        model: A built `zoo` model.
        directory: Path of the folder of versions; made if it is not there.
        version: int, above the largest version in `directory`: a server takes up no other.
            Default: one above it.
        rollout_steps: int, at least 1: the frames that the signature `rollout` predicts.
        card: Path of the model's card, copied into the export. Default: none.
        name: str, the preset or run that the model comes from, for the manifest. Default: none.
        check: Function of the unfinished folder's path that raises if the export must not
            appear, such as `lambda folder: exports.verify(folder, model)`. Default: none.
        calibration: Dict, the content of the model's `calibration.json`; `score` and `step` then
            give `above_threshold` too, as `signatures.add_threshold` has it. It must be of the
            model's weights. Default: none.

    Returns:
        pathlib.Path of the version's folder.

    Raises:
        ValueError: If an argument is out of range, the version is not above those there,
            `directory` is no folder of versions, another export into it is under way, or the
            calibration is of other weights.
        OSError: If the disk is full or not writable. Nothing of the version is left.

    Example:

    ```python
    import exports, zoo

    model = zoo.load("convlstm_vae", weights=None)
    folder = exports.export(model, "served/convlstm_vae")  # served/convlstm_vae/1
    ```
    """
    if card is not None and not Path(card).is_file():
        raise ValueError(f"`card` must be a file. Received: {card}")
    directory = check_directory(directory, version)
    if calibration is not None:
        from zoo.evaluation.calibration import check_weights
        from zoo.models.weights_digest import weights_digest

        check_weights(calibration, weights_digest(model), name or type(model).__name__)
    module, functions = signatures.build(model, rollout_steps)
    if calibration is not None:
        pooling = getattr(model, "score_pooling", "max")
        functions = signatures.add_threshold(module, functions, calibration, pooling)

    def write(partial):
        write_parts(partial, module, functions, card, calibration)
        write_description(partial, manifest.describe(model, functions, rollout_steps, name))

    return write_version(directory, write, version, check)


def check_directory(directory, version=None):
    """Checks that a version can be written into a folder, as far as can be told before.

    Args:
        directory: Path of the folder of versions, which need not be there.
        version: int, or None for one above the largest there.

    Returns:
        pathlib.Path of the folder.

    Raises:
        ValueError: If `version` is below 1, or `directory` is no folder of versions.

    Example:

    ```python
    check_directory("served/convlstm_vae")
    ```
    """
    directory = Path(directory)
    if version is not None and version < 1:
        raise ValueError(f"`version` must be at least 1. Received: version={version}")
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"`directory` must be a folder. Received a file: {directory}")
    if (directory / "saved_model.pb").exists():
        raise ValueError(
            "`directory` must be a folder of versions, not one version of a SavedModel. "
            f"Received: {directory}"
        )
    if foreign := _foreign(directory):
        raise ValueError(
            "`directory` must be new, empty or a folder of versions, whose names are numbers. "
            f"{directory} holds: {', '.join(foreign[:3])}{', ...' if foreign[3:] else ''}"
        )
    return directory


def write_version(directory, write, version=None, check=None):
    """Writes `DIRECTORY/VERSION/` whole or not at all.

    Args:
        directory: pathlib.Path of the folder of versions; made if it is not there.
        write: Function of the unfinished folder's path that writes the SavedModel and its manifest.
        version, check: As of `export`.

    Returns:
        pathlib.Path of the version's folder.

    Raises:
        ValueError: If the version exists, or another export into `directory` is under way.
        OSError: If the disk is full or not writable. Nothing of the version is left.

    Example:

    ```python
    write_version(Path("served/actions"), lambda folder: tf.saved_model.save(module, str(folder)))
    ```
    """
    directory.mkdir(parents=True, exist_ok=True)
    with _sole_writer(directory):
        largest = max(versions(directory), default=0)
        version = largest + 1 if version is None else version
        if version <= largest:
            raise ValueError(
                f"`version` must be above {largest}, the largest in {directory}. "
                f"Received: version={version}"
            )
        target = directory / str(version)
        partial = directory / f"{PARTIAL}{version}"
        try:
            write(partial)
            if check is not None:
                check(partial)
            _to_disk(partial)
            os.rename(partial, target)
        except BaseException as error:
            shutil.rmtree(partial, ignore_errors=True)
            if isinstance(error, tf.errors.OpError) and not isinstance(error, OSError):
                raise OSError(f"{target} could not be written: {error.message}") from error
            raise
        _to_disk(directory, files=False)
    return target


def _foreign(directory):
    """Names in a folder that are no versions, hidden files aside."""
    if not directory.is_dir():
        return []
    return sorted(
        path.name
        for path in directory.iterdir()
        if not path.name.startswith(".") and not (path.is_dir() and path.name.isdecimal())
    )


def versions(directory):
    """Lists the versions in a folder of exports.

    Args:
        directory: Path of the folder.

    Returns:
        Sorted list of int.

    Example:

    ```python
    versions("served/convlstm_vae")  # [1, 2]
    ```
    """
    names = (path.name for path in Path(directory).iterdir() if path.is_dir())
    return sorted(int(name) for name in names if name.isdecimal())


def locate(directory, version=None):
    """Finds the folder of one version.

    Args:
        directory: Path of a folder of versions, or of one version itself.
        version: int. Default: the largest there.

    Returns:
        pathlib.Path of the folder that holds `saved_model.pb`.

    Raises:
        ValueError: If there is no such folder or version.

    Example:

    ```python
    locate("served/convlstm_vae")  # served/convlstm_vae/2
    ```
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise ValueError(f"`directory` must be a folder with an export. Received: {directory}")
    if version is None and (directory / "saved_model.pb").is_file():
        return directory
    known = versions(directory)
    if not known or (version is not None and version not in known):
        wanted = "a version" if version is None else f"version {version}"
        raise ValueError(f"`directory` must hold {wanted}. {directory} holds: {known or 'none'}")
    return directory / str(known[-1] if version is None else version)


def with_default(folder, signature, target):
    """Writes an export that has one signature alone, as its default.

    OpenVINO, LiteRT and others read nothing but the default signature of a SavedModel.

    Args:
        folder: Path of a version's folder.
        signature: str, the name of one of its signatures.
        target: Path of the folder to make. Its weights are a link to those of `folder`; copied
            with what they link to (`cp -rL`), it stands alone.

    Returns:
        pathlib.Path of `target`.

    Raises:
        ValueError: If there is no such signature, or `target` exists.

    Example:

    ```python
    with_default("served/convlstm_vae/1", "score", "score_alone")
    ```
    """
    from tensorflow.core.protobuf import saved_model_pb2

    folder, target = Path(folder), Path(target)
    description = manifest.read(folder)
    if signature not in description["signatures"]:
        raise ValueError(
            f"`signature` must be one of {', '.join(description['signatures'])}. "
            f"Received: signature={signature!r}"
        )
    if target.exists():
        raise ValueError(f"`target` must be a new folder. Received: {target}, which exists")
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    (graph,) = saved.meta_graphs
    wanted = graph.signature_def[signature].SerializeToString()
    for name in description["signatures"]:
        del graph.signature_def[name]
    graph.signature_def["serving_default"].ParseFromString(wanted)
    (target / manifest.EXTRA).mkdir(parents=True)
    (target / "variables").symlink_to((folder / "variables").resolve())
    (target / "saved_model.pb").write_bytes(saved.SerializeToString())
    tensors = json.loads((folder / INTERFACE).read_text(encoding="utf-8"))["tensors"]
    _write_interface(target, description, {"serving_default": tensors[signature]})
    manifest.write(target, description | {"signatures": ["serving_default"]})
    return target


@contextlib.contextmanager
def _sole_writer(directory):
    """Locks the folder for the time of an export, and clears what killed exports left in it.

    The lock goes with the process, so whatever partial folder is found under it belongs to none.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another export into {directory} is under way") from None
        for leftover in directory.glob(f"{PARTIAL}*"):
            shutil.rmtree(leftover)
        yield
    finally:
        os.close(descriptor)


def write_parts(folder, module, functions, card=None, calibration=None):
    """Writes a SavedModel, and beside it what is known of the model.

    Args:
        folder: pathlib.Path of the unfinished version.
        module, functions: As of `signatures.build`.
        card: Path of the model's card. Default: none.
        calibration: Dict of JSON values. Default: none.

    Example:

    ```python
    write_parts(folder, *signatures.build(model))
    ```
    """
    # `experimental_debug_stripper` would take the size assertions out of the graph.
    tf.saved_model.save(module, str(folder), signatures=functions)
    (folder / manifest.EXTRA).mkdir()
    if card is not None:
        shutil.copyfile(card, folder / CARD)
    if calibration is not None:
        text = json.dumps(calibration, indent=2) + "\n"
        (folder / CALIBRATION).write_text(text, encoding="utf-8")


def read_calibration(folder):
    """Reads the calibration of an export.

    Args:
        folder: pathlib.Path of the version's folder.

    Returns:
        Dict, the content of its `calibration.json`; None where there is none.

    Raises:
        ValueError: If it is not JSON.

    Example:

    ```python
    read_calibration(Path("served/2"))["events"]["high"]
    ```
    """
    path = folder / CALIBRATION
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def write_description(folder, description):
    """Writes what lies beside a SavedModel: interface, warm-up requests and, last, the manifest.

    Args:
        folder: pathlib.Path of the unfinished version.
        description: dict, the manifest without the hashes.

    Example:

    ```python
    write_description(folder, manifest.describe(model, functions, rollout_steps=8))
    ```
    """
    (folder / manifest.EXTRA).mkdir(exist_ok=True)
    _write_interface(folder, description, signatures.tensors(folder))
    warm_up.write(folder, description)
    manifest.write(folder, description)


def _write_interface(folder, description, tensors):
    """Writes what a client must know that asks for tensors of the graph.

    Of the manifest it has a part: OpenCV, by which a client in C++ may read it, knows no null.
    """
    known = {name: description[name] for name in ("fps", "stride", "channels", "warm_up", "state")}
    content = {name: value for name, value in known.items() if value is not None}
    text = json.dumps(content | {"tensors": tensors}, indent=2) + "\n"
    (folder / INTERFACE).write_text(text, encoding="utf-8")


def _to_disk(folder, files=True):
    """Waits until the files and the entries of a folder are on the disk."""
    paths = [*folder.rglob("*")] if files else []
    for path in [*paths, folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
