"""The folder of one training run: what was asked for, how far it is, and what came of it.

    run.json             command, arguments, versions, commit, machine, status, step, minutes,
                         and once `status` is "failed" the reason
    config.json          the model: preset, overrides, class, arguments
    checkpoints/         the last two, and one from before a loss of a GAN stood still; see
                         `zoo.training.checkpoint`
    tensorboard/         scalars and pictures
    model.weights.h5     the weights; of the last step once `status` is "finished"
    best.weights.h5      those with the smallest held-out loss, where there is held-out footage
"""

import contextlib
import json
import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

from zoo.training.whole_files import write_json

_PACKAGES = ("tensorflow", "keras", "tensorflow-probability", "numpy", "opencv-python")


class RunFolder:
    """A run folder, made or gone on with by `RunFolder.open`.

    Attributes:
        path: `Path` of the folder.
        record: dict, what `run.json` holds.
    """

    def __init__(self, path, record):
        self.path = path
        self.record = record
        self._lock = None

    @classmethod
    def open(cls, path, *, command, arguments, seed=0, **facts):
        """Makes a new run folder, or opens the one that the same command made before.

        Args:
            path: path of the folder; parents are made.
            command: str, the command line, kept for the reader.
            arguments: dict of JSON values that decide what is trained, `name` the model; a run
                goes on only with the same.
            seed: int, the run's seed.
            **facts: more JSON values for `run.json`; those of the first start are kept.

        Returns:
            `RunFolder`, locked against a second process until it ends or `close()`.

        Raises:
            ValueError: if the folder holds something else, a run of another model or of other
                arguments (named), or a run that another process is training.
            OSError: if the folder cannot be made or written.
        """
        path = Path(path)
        cls.recorded(path, arguments)
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path, {})
        run._take_lock()
        try:
            return run._begin_or_go_on(command, arguments, seed, facts)
        except BaseException:
            run.close()
            raise

    @staticmethod
    def recorded(path, arguments):
        """Looks whether a run of these arguments is in a folder, and touches nothing.

        Args:
            path: path of the folder, which need not be there.
            arguments: as of `open`.

        Returns:
            dict, what `run.json` holds; None where there is none yet.

        Raises:
            ValueError: if the folder holds something else, or a run of another model or of other
                arguments (named).
        """
        record = RunFolder.found(path)
        # A run that never trained, for one since an argument was wrong, may be given others.
        if record and ((Path(path) / "checkpoints").exists() or record["status"] == "finished"):
            now = json.loads(json.dumps(arguments))
            _check_same_arguments(path, record.get("arguments", {}), now)
        return record

    @staticmethod
    def found(path):
        """Looks whether a run may be in a folder, of whichever arguments, and touches nothing.

        Args:
            path: path of the folder, which need not be there.

        Returns:
            As `recorded`.

        Raises:
            ValueError: if it is no folder, or the folder holds something else.
        """
        path = Path(path)
        if path.exists() and not path.is_dir():
            raise ValueError(f"`out` must be a folder. Received: out={path}, which is a file")
        if not (path / "run.json").exists():
            if path.exists() and any(not item.name.startswith(".") for item in path.iterdir()):
                raise ValueError(
                    f"`out` must be a new or empty folder, or one of a run to go on with. "
                    f"Received: out={path}, which holds other files and no run.json"
                )
            return None
        return _read_record(path / "run.json")

    def _begin_or_go_on(self, command, arguments, seed, facts):
        path = self.path
        for left in path.glob(".tmp-*"):
            # Of a process killed while it wrote; nobody else writes here now.
            left.unlink()
        arguments = json.loads(json.dumps(arguments))
        # Once more, now that no other process writes here.
        before = self.recorded(path, arguments)
        if before is not None and before.get("arguments") == arguments:
            self.record = before
            return self
        self.record = {
            "command": command,
            "arguments": arguments,
            "seed": seed,
            **facts,
            "versions": versions(),
            "commit": commit(),
            "machine": machine(),
            "status": "started",
            "step": 0,
            "minutes": 0.0,
        }
        write_json(path / "run.json", self.record)
        return self

    @property
    def finished(self):
        """Whether the run reached its last step and its weights are written."""
        return self.record["status"] == "finished"

    def update(self, **facts):
        """Sets facts of `run.json` (`status`, `step`, `minutes`, ...) and writes it whole."""
        self.record.update(facts)
        write_json(self.path / "run.json", self.record)

    def close(self):
        """Lets another process open the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take_lock(self):
        try:
            import fcntl
        except ImportError:  # Windows has no flock; there the run is not guarded.
            return
        self._lock = os.open(self.path / ".lock", os.O_CREAT | os.O_RDWR)
        try:
            # The system drops the lock with the process, so a killed run never blocks the next.
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise ValueError(
                f"`out` must not be in use. Received: out={self.path}, which another process is "
                "training in"
            ) from None


def versions():
    """Gives the versions of Python and of the packages a model's numbers hang on, as a dict."""
    found = {"python": platform.python_version()}
    for package in (*_PACKAGES, "opencv-python-headless"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def commit():
    """Gives the commit of this source, `+changes` behind it where files differ, or None."""
    git = shutil.which("git")
    folder = Path(__file__).resolve().parents[2]
    if git is None or not (folder / ".git").exists():
        return None
    outputs = []
    for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]):
        done = subprocess.run(
            [git, "-C", str(folder), *words], capture_output=True, text=True, check=False
        )
        if done.returncode:
            return None
        outputs.append(done.stdout.strip())
    return outputs[0] + ("+changes" if outputs[1] else "")


def machine():
    """Gives the machine in words: a dict of `system`, `processor` and `cores`."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    return {"system": platform.system(), "processor": processor, "cores": os.cpu_count()}


def _read_record(path):
    try:
        record = json.loads(path.read_text())
        if not isinstance(record["status"], str):
            raise ValueError("`status` is not a string")
        return record
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} must be the run.json of a training run. Received: a file that cannot be "
            f"read as one ({error})"
        ) from error


def _check_same_arguments(path, before, now):
    trained, asked = before.get("name"), now.get("name")
    if trained and trained != asked:
        # Another model has other settings, most of which nobody typed.
        raise ValueError(
            f"`out` holds a run of another model, {trained}, and {asked} was asked for. Give "
            f"{trained} to go on with it, or another folder. Received: out={path}"
        )
    differing = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if differing:
        said = "; ".join(f"`{key}` was {before.get(key)}, now {now.get(key)}" for key in differing)
        raise ValueError(
            f"`out` holds a run of other arguments: {said}. Give the same arguments to go on "
            f"with it, or another folder. Received: out={path}"
        )
