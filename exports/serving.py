"""What TensorFlow Serving is started with: its configuration, a compose file, Kubernetes manifests.

The messages are those of `model_server_config.proto`, `session_bundle_config.proto` (batching) and
`monitoring_config.proto`, as text.
"""

import json
import logging
import re
from pathlib import Path

from exports import manifest, saved_model, served_models

TEMPLATES = Path(__file__).with_name("templates")
GRPC_PORT, REST_PORT = 8500, 8501
METRICS = "/monitoring/prometheus/metrics"
ARGUMENTS = {
    "port": GRPC_PORT,
    "rest_api_port": REST_PORT,
    "model_config_file": "/config/models.config",
    "model_config_file_poll_wait_seconds": 60,
    # Else a label whose version has gone keeps the server from starting.
    "allow_version_labels_for_unavailable_models": "true",
    "enable_batching": "true",
    "batching_parameters_file": "/config/batching.config",
    "monitoring_config_file": "/config/monitoring.config",
    "enable_model_warmup": "true",
}
# The newest, and the one before it to go back to.
KEPT_VERSIONS = 2
_LOG = logging.getLogger(__name__)
# Kubernetes' rule for what is put into labels, which are names of models here.
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


def models(exports):
    """Finds the exported models in a folder.

    Args:
        exports: Path of a folder of versions, which is one model, or of a folder of those.

    Returns:
        Dict from the model's name, that of its folder, to its folder of versions (absolute
        pathlib.Path), sorted by name.

    Raises:
        ValueError: If there is no export, or a name is not made of letters, digits, `_`, `.`, `-`.

    Example:

    ```python
    models("exported")  # {"mine": PosixPath("/.../exported/mine")}
    ```
    """
    folder = Path(exports).resolve()
    if not folder.is_dir():
        raise ValueError(f"`exports` must be a folder with exports. Received: {exports}")
    if (folder / "saved_model.pb").exists():
        raise ValueError(
            f"`exports` must be a folder of versions, not one version. Received: {exports}; "
            f"give the folder above it"
        )
    candidates = [folder] if saved_model.versions(folder) else sorted(folder.iterdir())
    found = {
        path.name: path for path in candidates if path.is_dir() and saved_model.versions(path)
    }
    if not found:
        raise ValueError(
            "`exports` must be a folder of versions, whose names are numbers, or a folder of such "
            f"folders. Received: {exports}"
        )
    if unfit := [name for name in found if not _NAME.fullmatch(name)]:
        raise ValueError(
            "`exports` must have folders named by letters, digits, `_`, `.` and `-`, which are "
            f"the names of the models. Received: {', '.join(unfit)}"
        )
    return found


def write_config(exports, out, max_batch=8, cpus=2, memory_gb=4):
    """Writes what TensorFlow Serving needs to serve one exported model or a folder of them.

    The files: `models.config` (the two newest versions of each model; `stable` labels the newest
    whole version there now, `previous` the one before it), `batching.config`,
    `monitoring.config`, `compose.yaml` (which listens on this machine only) and `kubernetes.yaml`
    (configuration, deployment with probes and limits, service). A version whose files do not agree
    with its manifest, as one that is still copied, gets no label, and a warning of the log; where
    neither of the two newest is whole, as many are served as there are down to one that is.

    Args:
        exports: As of `models`.
        out: Path of a folder; made if it is not there, and files of these names replaced.
        max_batch: int, the most windows that the server computes at once.
        cpus: int, processors that it may take; as many batches are computed side by side.
        memory_gb: int, GiB of memory that it may take.

    Returns:
        List of pathlib.Path of the files.

    Raises:
        ValueError: As `models`; if a number is below 1, or a model has no whole version.
        OSError: If a file cannot be written.

    Example:

    ```python
    write_config("exported", "serving")
    ```
    """
    import jinja2

    from zoo.training.whole_files import write_whole

    for name, value in (("max_batch", max_batch), ("cpus", cpus), ("memory_gb", memory_gb)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
    found = models(exports)
    known = {name: _served(folder) for name, folder in found.items()}
    release = max(
        _release(manifest.read(found[name] / str(labels["stable"])))
        for name, (labels, _) in known.items()
    )
    values = {
        "models": known,
        "folders": found,
        "image": f"tensorflow/serving:{release[0]}.{release[1]}.0",
        "grpc": GRPC_PORT, "rest": REST_PORT, "metrics": METRICS,
        "arguments": "\n".join(f"- --{name}={value}" for name, value in ARGUMENTS.items()),
        "max_batch": max_batch, "cpus": cpus, "memory_gb": memory_gb,
    }  # fmt: skip
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    # A JSON string is also one of YAML and of the text form of messages.
    environment.filters["quoted"] = lambda value: json.dumps(str(value))
    for name in ("models.config", "batching.config", "monitoring.config"):
        text = environment.get_template(f"{name}.jinja").render(values)
        values[name.replace(".", "_")] = text.rstrip()
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"`out` must be a folder. Received a file: {out}")
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for template in sorted(TEMPLATES.glob("*.jinja")):
        text = environment.get_template(template.name).render(values)
        written.append(out / template.stem)
        write_whole(written[-1], lambda aside: aside.write_text(text, encoding="utf-8"))
    return written


def _served(folder):
    """The labels of a folder's whole versions, and how many of its newest hold those."""
    whole, looked_at = [], 0
    for number in reversed(saved_model.versions(folder)):
        if whole and looked_at >= KEPT_VERSIONS:
            break
        looked_at += 1
        try:
            manifest.check_files(folder / str(number))
            whole.append(number)
        except ValueError as error:
            reason = error
            _LOG.warning("version %s of %s gets no label: %s", number, folder.name, error)
    if not whole:
        raise ValueError(
            f"`exports` must have a whole version of each model. Received: {folder.name} without "
            f"one: {reason}"
        )
    return dict(zip(served_models.LABELS, whole)), max(looked_at, KEPT_VERSIONS)


def _release(description):
    """`(2, 21)` of the TensorFlow that wrote an export: no older server need read it."""
    return tuple(int(part) for part in description["packages"]["tensorflow"].split(".")[:2])
