"""Runs the signatures of an export without this project, through one of the ways to load it.

`exports.verify` runs this file as a program of its own, `python -I isolated_reader.py READER FOLDER
INPUTS.npz OUTPUTS.npz ABOUT.json`: it must import nothing of this project, and refuses to. Beside
NumPy it imports what `READER` needs alone: a module beside this file that it loads by its path.
"""

import functools
import importlib.util
import json
import pathlib
import struct
import sys
import time
import zlib

FORBIDDEN = ("zoo", "data_pipelines", "exports")
INTERFACE = "assets.extra/interface.json"
# Frames that `step` takes after those that have no score yet.
SCORED_FRAMES = 4
READERS = ("tensorflow", "c_api", "openvino", "litert")


class ProjectBlocker:
    """Makes this project unimportable, though it may be installed in the same environment."""

    def find_spec(self, name, path=None, target=None):
        """Refuses the project's packages; leaves all others to the finders behind it.

        Args:
            name: str, the module's full name.
            path: Unused.
            target: Unused.

        Returns:
            `None`.

        Raises:
            ModuleNotFoundError: If the module belongs to this project.

        Example:

        ```python
        sys.meta_path.insert(0, ProjectBlocker())
        ```
        """
        if name.partition(".")[0] in FORBIDDEN:
            raise ModuleNotFoundError(f"an export is read without {name}", name=name)
        return None


def run(reader, folder, inputs_path, outputs_path, about_path):
    """Calls every signature, and saves what they answer and how long that took.

    Those that take a clip are called on every clip given; `encode_jpeg` and `step` on the smallest
    alone, the one on its frames as PNG, the other on frame after frame from a state of zeros.

    Args:
        reader: One of `READERS`.
        folder: Path of the version's folder.
        inputs_path: Path of an `.npz` with uint8 clips (batch, time, height, width, channels).
        outputs_path: Path of the `.npz` to write; its keys are `CLIP/SIGNATURE/OUTPUT`. Of `step`
            they are `score`, `score_map` and, where it gives that, `above_threshold`, for each of
            the frames it was given.
        about_path: Path of the JSON file to write: `refused`, by signature why the reader cannot
            run it, and `seconds`, by signature of the last call, when all is warm.

    Raises:
        ValueError: If a signature takes what this program cannot give.

    Example:

    ```python
    run("tensorflow", "served/1", "clips.npz", "numbers.npz", "about.json")
    ```
    """
    import numpy as np

    interface = json.loads(pathlib.Path(folder, INTERFACE).read_text("utf-8"))
    opened = reader_module(reader).open_export(folder, interface)
    with np.load(inputs_path) as file:
        clips = {name: file[name] for name in file.files}
    # From the largest on: what is timed last is the smallest.
    clips = dict(sorted(clips.items(), key=lambda named: -named[1].size))
    smallest = list(clips)[-1]
    outputs, refused, seconds = {}, {}, {}
    for signature, tensors in interface["tensors"].items():
        takes = set(tensors["inputs"])
        try:
            took = functools.partial(seconds.__setitem__, signature)
            call = timed(opened(signature, clips), took)
            if takes == {"clip"}:
                answers = {name: call(clip=clip) for name, clip in clips.items()}
            elif takes == {"frames"}:
                answers = {smallest: call(frames=as_png(clips[smallest]))}
            elif "frame" in takes:
                clip = clips[smallest][:, : interface["warm_up"] + SCORED_FRAMES]
                answers = {smallest: stream(call, clip, interface["state"])}
            else:
                raise ValueError(f"{signature} takes {sorted(takes)}, which is unknown")
        except NotImplementedError as error:
            refused[signature] = str(error)
            continue
        for name, answer in answers.items():
            for output, array in answer.items():
                # An array of Python's strings would be pickled.
                array = array.astype(bytes) if array.dtype == object else array
                outputs[f"{name}/{signature}/{output}"] = array
    imported = sorted({module.partition(".")[0] for module in sys.modules} & set(FORBIDDEN))
    if imported:
        raise RuntimeError(f"the clean process imported {', '.join(imported)}")
    np.savez(outputs_path, **outputs)
    about = {"refused": refused, "seconds": seconds}
    pathlib.Path(about_path).write_text(json.dumps(about), "utf-8")


def timed(call, report):
    """The same function, which reports the seconds of each call.

    Args:
        call: Function of arrays by name.
        report: Function of float, the seconds.

    Example:

    ```python
    timed(step, print)(frame=frame)
    ```
    """

    def timed_call(**inputs):
        began = time.perf_counter()
        answer = call(**inputs)
        report(time.perf_counter() - began)
        return answer

    return timed_call


def reader_module(reader):
    """Loads `reader_NAME.py`, which lies beside this file, without its package.

    It has `open_export(folder, interface)`, which gives a function of the name of a signature and
    the clips that it will be given, and that a function of arrays by the names of its inputs, which
    gives a dict of arrays. What the reader cannot run raises `NotImplementedError` with the reason.

    Args:
        reader: One of `READERS`.

    Returns:
        The module.

    Example:

    ```python
    reader_module("tensorflow").open_export("served/1", interface)
    ```
    """
    path = pathlib.Path(__file__).with_name(f"reader_{reader}.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def as_png(clip):
    """Encodes every frame of clips as PNG.

    Args:
        clip: uint8 array (batch, time, height, width, 1 or 3).

    Returns:
        Array of bytes objects (batch, time).

    Example:

    ```python
    as_png(np.zeros((1, 4, 32, 48, 1), "uint8")).shape  # (1, 4)
    ```
    """
    import numpy as np

    images = np.empty(clip.shape[:2], object)
    for place in np.ndindex(images.shape):
        images[place] = _png(clip[place])
    return images


def _png(frame):
    def chunk(name, content):
        checked = name + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    height, width, channels = frame.shape
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    # Before each row stands how it is filtered: not at all.
    rows = b"".join(b"\0" + row.tobytes() for row in frame)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def stream(step, clip, layout):
    """Gives the frames of clips to `step`, one after the other, from a state of zeros.

    Args:
        step: The signature, a function of arrays.
        clip: uint8 array (batch, time, height, width, channels).
        layout: dict, the `state` of `interface.json`.

    Returns:
        Dict of `score`, `score_map` and `above_threshold`, those that it gives: arrays with an
        axis of time after the batch.

    Example:

    ```python
    stream(step, clip, interface["state"])["score"]  # (batch, time)
    ```
    """
    import numpy as np

    sizes = dict(zip(("batch", "height", "width"), (len(clip), *clip.shape[2:4])))

    def resolve(size):
        if isinstance(size, int):
            return size
        axis, _, divisor = size.partition("/")
        return sizes[axis] // int(divisor or 1)

    state = {
        f"state_{name}": np.zeros([resolve(size) for size in part["shape"]], part["dtype"])
        for name, part in layout.items()
    }
    found = {"score": [], "score_map": [], "above_threshold": []}
    for number in range(clip.shape[1]):
        answer = step(frame=clip[:, number], **state)
        state = {name: answer[name] for name in state}
        for output in found.keys() & answer.keys():
            found[output].append(answer[output])
    return {output: np.stack(held, axis=1) for output, held in found.items() if held}


if __name__ == "__main__":
    sys.meta_path.insert(0, ProjectBlocker())
    try:
        run(*sys.argv[1:])
    except Exception as error:
        # One line for the process that waits; TensorFlow adds the place in the graph below it.
        message = str(getattr(error, "message", error)).partition("\n")[0]
        sys.exit(f"{type(error).__name__}: {message}")
