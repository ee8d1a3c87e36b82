"""Whether everything that the other commands need works here, and the remedy if not.

Packages are loaded in processes of their own: one that crashes while it is loaded, as TensorFlow
does on a processor without its instructions, is reported like any other fault.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "tensorflow", "keras", "tensorflow-probability", "tf-keras", "numpy", "scikit-learn",
    "matplotlib", "tensorboard", "av", "jinja2", "google-crc32c",
)  # fmt: skip
OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python")
# Tried together; newer ones may work and are not promised.
TRIED_TENSORFLOW = ((2, 17), (2, 21))
TRIED_PYTHON = (3, 11)
# The last TensorFlow whose symbols the plugins of tensorflow-io 0.37.1 find.
PLUGINS_WORK_UP_TO = (2, 17)
PROJECT = "unsupervised-video-zoo"
MIN_FREE_GIB = 1.0
PROBE_SECONDS = 300

PROBE_TENSORFLOW = """
import json, sys
import tensorflow as tf
import keras, tensorflow_probability
from zoo.training.precision import choose_precision
devices = []
for device in tf.config.list_physical_devices():
    details = tf.config.experimental.get_device_details(device)
    devices.append(details.get("device_name") or device.device_type)
print(json.dumps({"backend": keras.backend.backend(), "devices": devices,
                  "precision": choose_precision("auto")}))
"""

# OpenCV finds no encoder, and PyAV no decoder, without an error: only a round trip tells.
PROBE_OPENCV = """
import json, sys
import av, cv2, numpy as np
works = {}
for name, fourcc, suffix in (("motion JPEG", "MJPG", ".avi"), ("MPEG-4", "mp4v", ".mp4")):
    path = sys.argv[1] + "/probe" + suffix
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*fourcc), 10, (64, 48))
    for level in (50, 200):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    with av.open(path) as reader:
        levels = [frame.to_ndarray(format="gray").mean() for frame in reader.decode(video=0)]
    works[name] = bool(np.shape(levels) == (2,) and np.allclose(levels, (50, 200), atol=20))
print(json.dumps(works))
"""

PROBE_TENSORFLOW_IO = """
import json, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import tensorflow_io
print(json.dumps({"plugins": not any("unable to load" in str(w.message) for w in caught)}))
"""

PROBE_REMOTE = """
import json
from data_pipelines import remote, remote_ways
ways = {}
for scheme in remote.SCHEMES:
    try:
        ways[scheme] = remote_ways.way_of(scheme).name
    except ImportError:
        ways[scheme] = None
    except OSError as error:
        ways[scheme] = str(error).partition(":// ")[2]
print(json.dumps(ways))
"""


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Attributes:
        name: What was looked at.
        status: `"ok"`, `"warning"` (works, with a limit) or `"failed"`.
        found: What is there.
        remedy: What to do about it; None where nothing needs doing.
    """

    name: str
    status: str
    found: str
    remedy: str | None = None


def run_checks():
    """Looks at everything.

    Returns:
        list of `Check`.
    """
    versions = installed_versions((*PACKAGES, *OPENCV, "tensorflow-io"))
    return [
        check_python(sys.version_info[:3]),
        *check_packages(versions),
        check_tensorflow(probe(PROBE_TENSORFLOW)),
        check_opencv(versions, _probe_opencv),
        check_tensorflow_io(versions, lambda: probe(PROBE_TENSORFLOW_IO)),
        check_remote(probe(PROBE_REMOTE)),
        *(check_disk(folder) for folder in dict.fromkeys((Path.cwd(), _temporary_folder()))),
    ]


def installed_versions(names):
    """The versions of those packages of `names` that are installed: dict of name to str."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def probe(code, *arguments):
    """Runs Python code in a process of its own.

    Returns:
        (dict, None) with what it printed as JSON in its last line, or (None, str) with the last
        line of its complaint.
    """
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    try:
        ended = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True, text=True, errors="replace", env=environment,
            timeout=PROBE_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None, f"no answer within {PROBE_SECONDS} seconds"
    if ended.returncode == 0:
        return json.loads(ended.stdout.strip().splitlines()[-1]), None
    complaint = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
    if ended.returncode < 0:
        complaint.append(f"ended by signal {-ended.returncode}: {' '.join(complaint[-1:])}")
    return None, complaint[-1] if complaint else f"exit code {ended.returncode}"


def check_python(version):
    """Python's own version, (major, minor, micro)."""
    found = ".".join(str(part) for part in version)
    if version[:2] < TRIED_PYTHON:
        return Check("python", "failed", found, "install Python 3.11 and run `make install` again")
    if version[:2] > TRIED_PYTHON:
        return Check("python", "warning", f"{found}; tried with 3.11 only")
    return Check("python", "ok", found)


def check_packages(versions):
    """Whether the packages are there, and go together. `versions`: dict of name to str."""
    missing = [name for name in PACKAGES if name not in versions]
    if missing:
        remedy = f"pip install -c constraints.txt {' '.join(missing)}"
        return [Check("packages", "failed", f"missing: {', '.join(missing)}", remedy)]
    checks = [Check("packages", "ok", ", ".join(f"{name} {versions[name]}" for name in PACKAGES))]
    flow = _numbers(versions["tensorflow"])
    flow_text = f"tensorflow {versions['tensorflow']}"
    if flow < TRIED_TENSORFLOW[0]:
        checks.append(Check(
            "tensorflow", "failed", f"{flow_text}; this project needs 2.17 or newer",
            "pip install -c constraints.txt tensorflow",
        ))  # fmt: skip
    elif flow not in TRIED_TENSORFLOW:
        checks.append(Check("tensorflow", "warning", f"{flow_text}; tried with 2.17 and 2.21"))
    # Each pair fails when it is imported, with a message that names neither cause nor cure.
    if _numbers(versions["tf-keras"]) != flow:
        needed = f"tf-keras=={flow[0]}.{flow[1]}.*"
        checks.append(Check(
            "tf-keras", "failed",
            f"tf-keras {versions['tf-keras']} does not go with {flow_text}",
            f"pip install '{needed}'",
        ))  # fmt: skip
    probability = _numbers(versions["tensorflow-probability"])
    needed = "0.25.*" if flow >= (2, 18) else "0.24.*"
    if (probability >= (0, 25)) != (flow >= (2, 18)):
        checks.append(Check(
            "tensorflow-probability", "failed",
            f"{versions['tensorflow-probability']} does not go with {flow_text}",
            f"pip install 'tensorflow-probability=={needed}'",
        ))  # fmt: skip
    if _numbers(versions["keras"]) < (3, 0):
        checks.append(Check(
            "keras", "failed", f"keras {versions['keras']}; Keras 3 is needed",
            "pip install -c constraints.txt keras",
        ))  # fmt: skip
    return checks


def check_tensorflow(answer):
    """What TensorFlow works on. `answer`: as `probe(PROBE_TENSORFLOW)` returns it."""
    result, complaint = answer
    if complaint:
        return Check(
            "devices", "failed", f"TensorFlow and TensorFlow Probability do not load: {complaint}",
            "pip install --force-reinstall -c constraints.txt tensorflow tensorflow-probability "
            "tf-keras; the wheels need a processor with AVX",
        )  # fmt: skip
    if result["backend"] != "tensorflow":
        return Check(
            "keras backend", "failed", result["backend"],
            "set KERAS_BACKEND=tensorflow, or `backend` in ~/.keras/keras.json",
        )  # fmt: skip
    devices = ", ".join(result["devices"])
    return Check(
        "devices", "ok", f"{devices} ({os.cpu_count()} cores, {platform.machine()}); "
        f"precision auto = {result['precision']}",
    )  # fmt: skip


def check_opencv(versions, answer_of):
    """Whether video can be read and written.

    Args:
        versions: dict of installed versions.
        answer_of: function that answers as `probe(PROBE_OPENCV, FOLDER)` does.
    """
    there = [f"{name} {versions[name]}" for name in OPENCV if name in versions]
    if not there:
        return Check(
            "opencv", "failed", "missing: opencv-python",
            "pip install -c constraints.txt opencv-python (without libGL.so.1: "
            "opencv-python-headless)",
        )  # fmt: skip
    found = " and ".join(there)
    result, complaint = answer_of()
    if complaint:
        version = versions.get("opencv-python") or there[0].split()[-1]
        return Check(
            "opencv", "failed", f"{found} does not load: {complaint}",
            "pip uninstall -y opencv-python; pip install --force-reinstall --no-deps "
            f"opencv-python-headless=={version} (the same bindings without libGL.so.1)",
        )  # fmt: skip
    broken = [name for name, works in result.items() if not works]
    if broken:
        return Check(
            "opencv", "failed", f"{found} does not read back what it writes: {', '.join(broken)}",
            "install the wheel from the package index, which carries FFmpeg: "
            "pip install --force-reinstall --no-deps opencv-python",
        )  # fmt: skip
    if len(there) > 1:
        return Check(
            "opencv", "warning", f"{found} fill the same folder; whichever came last is used",
            "uninstall both, then install one of them",
        )  # fmt: skip
    return Check("opencv", "ok", f"{found}; reads and writes {', '.join(result)}")


def check_tensorflow_io(versions, answer_of):
    """What colour spaces and filters need. `answer_of`: as `probe(PROBE_TENSORFLOW_IO)`."""
    if "tensorflow-io" not in versions:
        return Check("tensorflow-io", "ok", "not installed; only the colour spaces and filters of "
                     "data_pipelines.filters need it")  # fmt: skip
    found = f"tensorflow-io {versions['tensorflow-io']}"
    result, complaint = answer_of()
    if complaint:
        return Check("tensorflow-io", "warning", f"{found} does not load: {complaint}",
                     "pip uninstall tensorflow-io: only data_pipelines.filters needs it",
                     )  # fmt: skip
    if not result["plugins"]:
        return Check(
            "tensorflow-io", "warning",
            f"{found}: its native plugins (s3://, http://) do not load beside tensorflow "
            f"{versions.get('tensorflow')}, they work up to "
            f"{'.'.join(str(part) for part in PLUGINS_WORK_UP_TO)}; its colour spaces and filters "
            "work, and remote paths are read without it",
        )  # fmt: skip
    return Check("tensorflow-io", "ok", f"{found}, native plugins too")


def check_remote(answer):
    """By which way remote paths are read. `answer`: as `probe(PROBE_REMOTE)` returns it."""
    ways, complaint = answer
    if complaint:
        return Check("remote paths", "warning", f"data_pipelines does not load: {complaint}")
    found = ", ".join(
        f"{scheme}:// {way or f'none (pip install {PROJECT}[{scheme}])'}"
        for scheme, way in ways.items()
    )
    if any((way or "").startswith("cannot be read") for way in ways.values()):
        return Check("remote paths", "warning", found, "mend the profile or the keys that it names")
    if ways.get("s3") == "tensorflow-io":
        return Check(
            "remote paths", "warning",
            f"{found}; a process that has read s3:// by tensorflow-io aborts as it ends, with exit "
            "code 134", f"pip install '{PROJECT}[s3]'",
        )  # fmt: skip
    return Check("remote paths", "ok", found)


def check_disk(folder):
    """Whether `folder` can be written, and how much room it has."""
    name = f"disk {folder}"
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
            file.flush()
    except OSError as error:
        return Check(name, "failed", f"cannot be written: {error.strerror or error}",
                     "free some room, or work in a folder of your own")  # fmt: skip
    free = shutil.disk_usage(folder).free / 2**30
    if free < MIN_FREE_GIB:
        return Check(name, "warning", f"{free:.1f} GiB free",
                     "free some room: a run with its checkpoints takes some 100 MB")  # fmt: skip
    return Check(name, "ok", f"{free:.1f} GiB free")


def _probe_opencv():
    try:
        with tempfile.TemporaryDirectory() as folder:
            return probe(PROBE_OPENCV, folder)
    except OSError as error:
        return None, f"no temporary folder to try it in: {error}"


def _temporary_folder():
    try:
        return Path(tempfile.gettempdir())
    except OSError:  # Python found none that can be written.
        return Path(os.environ.get("TMPDIR", "/tmp"))


def _numbers(version):
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
