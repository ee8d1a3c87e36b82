"""The models that `exports.server` answers with: which versions are there, and what runs them.

A version is taken up whole: its files agree with its manifest, it is loaded and its warm-up
requests have run, and only then requests are given to it. A request holds the version that it
began with, which goes when the last such request has ended.
"""

import gc
import logging
import math
import threading
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from exports import manifest, saved_model, warm_up

_LOG = logging.getLogger(__name__)

DEFAULT_SIGNATURE = "serving_default"
# Of the newest version, and of the one before it.
LABELS = ("stable", "previous")
# As `ModelVersionStatus.State` of `get_model_status.proto`.
LOADING, AVAILABLE, END = 20, 30, 50


class ServedModels:
    """Versions of models, followed on the disk.

    Errors are those of `tf.errors`, whose codes are the status codes that TensorFlow Serving
    answers with.

    Args:
        configs: iterable of `ModelConfig` messages (`model_server_config.proto`): name, folder of
            versions, version policy (default: the newest) and labels. Where it names no labels,
            `stable` is the newest version that is served, and `previous` the one before it.
        poll_seconds: float, the time between two looks at the folders.
        max_bytes: int, the most that the tensor of a request may take.

    Raises:
        ValueError: If a model has no whole version.

    Example:

    ```python
    with ServedModels(configs) as served:
        served.find("mine").run("score", {"clip": tf.make_tensor_proto(clip)})
    ```
    """

    def __init__(self, configs, poll_seconds=1.0, max_bytes=2**27):
        self.max_bytes = max_bytes
        self._poll_seconds = poll_seconds
        self._configs = {config.name: config for config in configs}
        self._available = {}  # (name, number) -> _Version; replaced, never changed
        self._states = {}  # name -> {number: (state, error or None)}
        self._unfit = {}  # folder -> what was in it when it did not fit
        self._changing = threading.Lock()
        self._ended = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="served-models", daemon=True)

    def __enter__(self):
        with self._changing:
            for config in self._configs.values():
                self._follow(config)
        if missing := [name for name in self._configs if not self._numbers(name)]:
            raise ValueError(
                f"`exports` must have a whole version of each model. Received: "
                f"{', '.join(missing)} without one: {self._why(missing[0])}"
            )
        self._poller.start()
        return self

    def __exit__(self, *error):
        self._ended.set()
        self._poller.join()

    def find(self, name, number=None, label=None):
        """Finds a version to run.

        Args:
            name: str, the model.
            number: int, the version. Default: by the label, else the newest.
            label: str. Default: none.

        Returns:
            A `_Version`.

        Raises:
            tf.errors.InvalidArgumentError: If there is no name, or no such label.
            tf.errors.NotFoundError: If there is no such model or version.
        """
        if not name:
            raise _error("InvalidArgument", "ModelSpec has no name specified.")
        available = self._available
        if label is not None:
            labels = dict(self._configs[name].version_labels) if name in self._configs else {}
            if not labels:
                newest = sorted((n for model, n in available if model == name), reverse=True)
                labels = dict(zip(LABELS, newest))
            if label not in labels:
                raise _error("InvalidArgument", f"Unrecognized servable version label: {label}")
            number = labels[label]
        if number is None:
            number = max((n for model, n in available if model == name), default=None)
        if (name, number) not in available:
            wanted = f"{name}, version {number}" if number is not None else name
            raise _error("NotFound", f"Servable not found for request: {wanted}")
        return available[name, number]

    def states(self, name, number=None):
        """Tells the state of the versions of a model, those that have ended included.

        Args:
            name: str, the model.
            number: int. Default: all versions.

        Returns:
            Dict from number to `(state, error)`: an int, and the `tf.errors.OpError` that ended it
            or `None`.

        Raises:
            tf.errors.NotFoundError: If nothing is known of it.
        """
        states = dict(self._states.get(name, {}))
        if number is not None:
            states = {n: state for n, state in states.items() if n == number}
        if not states:
            wanted = "any versions" if number is None else f"version {number}"
            raise _error("NotFound", f"Could not find {wanted} of model {name}")
        return states

    def configure(self, configs):
        """Takes another configuration, and returns when its models are loaded.

        Args:
            configs: iterable of `ModelConfig` messages.

        Raises:
            tf.errors.InvalidArgumentError: If a name is there twice or a path is not absolute.
            tf.errors.FailedPreconditionError: If a label moves to a version that is not loaded.
            tf.errors.NotFoundError: If a model has no whole version. The models are followed
                nevertheless.
        """
        configs = list(configs)
        names = [config.name for config in configs]
        if len(set(names)) < len(names):
            raise _error("InvalidArgument", "Illegal to list a model multiple times")
        if relative := [c.name for c in configs if not Path(c.base_path).is_absolute()]:
            raise _error("InvalidArgument", f"Expected an absolute base_path of {relative[0]}")
        with self._changing:
            for config in configs:
                known = getattr(self._configs.get(config.name), "version_labels", {})
                for label, number in config.version_labels.items():
                    moves = label in known and known[label] != number
                    if moves and (config.name, number) not in self._available:
                        raise _error(
                            "FailedPrecondition",
                            f"Request to assign label to version {number} of model {config.name}, "
                            "which is not currently available for inference",
                        )
            gone = set(self._configs) - set(names)
            self._configs = {config.name: config for config in configs}
            for config in configs:
                self._follow(config)
            for name in gone:
                self._unload(name, self._numbers(name))
        if missing := [name for name in names if not self._numbers(name)]:
            raise _error("NotFound", f"no whole version of {missing[0]}: {self._why(missing[0])}")

    def _poll(self):
        while not self._ended.wait(self._poll_seconds):
            with self._changing:
                for config in self._configs.values():
                    try:
                        self._follow(config)
                    except OSError as error:  # A folder that cannot be read may be back later.
                        _LOG.warning("%s cannot be looked at: %s", config.base_path, error)

    def _follow(self, config):
        """Loads what the policy asks for and is whole, then lets go of the rest."""
        base = Path(config.base_path)
        there = saved_model.versions(base) if base.is_dir() else []
        policy = config.model_version_policy
        choice = policy.WhichOneof("policy_choice")
        if choice == "specific":
            there = [number for number in there if number in policy.specific.versions]
        count = len(there) if choice in ("specific", "all") else policy.latest.num_versions or 1
        wanted = []
        for number in reversed(there):
            if len(wanted) == count:
                break
            if (config.name, number) in self._available or self._load(config.name, base, number):
                wanted.append(number)
        self._unload(config.name, set(self._numbers(config.name)) - set(wanted))

    def _load(self, name, base, number):
        folder = base / str(number)
        content = _content(folder)
        if self._unfit.get(folder) == content:
            return False
        states = self._states.setdefault(name, {})
        try:
            # A copy by hand that is under way lacks files, or has some that are still short.
            manifest.check_files(folder)
            states[number] = (LOADING, None)
            version = _Version(name, number, folder, self.max_bytes)
        except Exception as error:  # Whatever is wrong with a version, the others go on.
            reason = error if isinstance(error, tf.errors.OpError) else _error("Internal", error)
            self._unfit[folder] = content
            states[number] = (END, reason)
            _LOG.warning("version %s of %s is not taken: %s", number, name, reason.message)
            return False
        self._unfit.pop(folder, None)
        self._available = self._available | {(name, number): version}
        states[number] = (AVAILABLE, None)
        _LOG.info("version %s of %s is served", number, name)
        return True

    def _unload(self, name, numbers):
        for number in numbers:
            self._states[name][number] = (END, None)
            _LOG.info("version %s of %s is no longer served", number, name)
        if numbers:
            gone = {(name, number) for number in numbers}
            self._available = {k: v for k, v in self._available.items() if k not in gone}
            # Graphs and their functions hold one another.
            gc.collect()

    def _numbers(self, name):
        return [number for model, number in self._available if model == name]

    def _why(self, name):
        errors = [error for _, error in self._states.get(name, {}).values() if error is not None]
        return errors[-1].message if errors else f"{self._configs[name].base_path} holds none"


class _Version:
    """A loaded version; ready when it is made, since its warm-up requests have run.

    Attributes:
        name: str, of the model.
        number: int.
        signature_defs: dict from name to `SignatureDef`.
    """

    def __init__(self, name, number, folder, max_bytes):
        from tensorflow_serving.apis import prediction_log_pb2

        self.name, self.number = name, number
        self._max_bytes = max_bytes
        saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        self.signature_defs = dict(saved.meta_graphs[0].signature_def)
        self._loaded = tf.saved_model.load(str(folder))
        if (folder / warm_up.NAME).exists():
            for record in tf.data.TFRecordDataset(str(folder / warm_up.NAME)):
                log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
                request = log.predict_log.request
                self.run(request.model_spec.signature_name, request.inputs)

    def inputs(self, signature):
        """Gives the inputs that a signature takes, as it is asked over HTTP.

        Args:
            signature: str.

        Returns:
            Dict from name to `TensorSpec`, sorted by name.

        Raises:
            tf.errors.InvalidArgumentError: If there is no such signature.
        """
        if signature not in self._loaded.signatures:
            raise _error(
                "InvalidArgument",
                f'Serving signature name: "{signature}" not found in signature def',
            )
        function = self._loaded.signatures[signature]
        return dict(sorted(function.structured_input_signature[1].items()))

    def run(self, signature, inputs, outputs=()):
        """Runs a signature.

        Args:
            signature: str; empty for `serving_default`.
            inputs: dict from input name to tensor or `TensorProto`.
            outputs: list of str, the outputs wanted. Default: all.

        Returns:
            Dict from output name to array.

        Raises:
            tf.errors.FailedPreconditionError: If there is no such signature.
            tf.errors.InvalidArgumentError: If the inputs do not fit, or would take too much memory.
            tf.errors.OpError: If the graph ends with an error.
        """
        signature = signature or DEFAULT_SIGNATURE
        if signature not in self._loaded.signatures:
            raise _error("FailedPrecondition", f'Serving signature key "{signature}" not found.')
        function = self._loaded.signatures[signature]
        specs, known = self.inputs(signature), function.structured_outputs
        if set(inputs) != set(specs):
            raise _error(
                "InvalidArgument",
                f"input size does not match signature: {len(inputs)}!={len(specs)}. "
                f"Sent extra: {sorted(set(inputs) - set(specs))}. "
                f"Missing but required: {sorted(set(specs) - set(inputs))}.",
            )
        tensors = {name: self._tensor(name, given) for name, given in inputs.items()}
        if unknown := sorted(set(outputs) - set(known)):
            raise _error(
                "InvalidArgument",
                f"output tensor alias not found in signature: {unknown[0]} Outputs expected to be "
                f"in the set {sorted(known)}.",
            )
        if len(set(outputs)) < len(outputs):
            raise _error("InvalidArgument", f"duplicate output tensor alias: {list(outputs)}")
        for name, tensor in tensors.items():
            spec = specs[name]
            if tensor.dtype != spec.dtype or not spec.shape.is_compatible_with(tensor.shape):
                raise _error(
                    "InvalidArgument",
                    f"{name} must be {spec.dtype.name} {spec.shape}. Received: "
                    f"{tensor.dtype.name} {tensor.shape}",
                )
        answers = function(**tensors)
        return {name: answers[name].numpy() for name in outputs or sorted(known)}

    def _tensor(self, name, given):
        """A tensor of its message, made as the server in C++ does: short lists are filled up."""
        if tf.is_tensor(given):
            return given
        try:
            kind = tf.dtypes.as_dtype(given.dtype)
            size = math.prod(dim.size for dim in given.tensor_shape.dim) * kind.size
            # One value may stand for any number of them.
            if size > self._max_bytes:
                raise ValueError(f"{size} bytes, where {self._max_bytes} are allowed")
            return tf.io.parse_tensor(given.SerializeToString(), kind)
        except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
            raise _error("InvalidArgument", f"tensor parsing error: {name}: {error}") from error


def _error(kind, message):
    return getattr(tf.errors, f"{kind}Error")(None, None, str(message))


def _content(folder):
    """Names, sizes and times of the files in a folder: whether it has changed."""
    found = {}
    for path in folder.rglob("*"):
        try:
            status = path.stat()
        except FileNotFoundError:  # Moved between the two calls, as copying programs do.
            continue
        found[str(path)] = (status.st_size, status.st_mtime_ns)
    return found
