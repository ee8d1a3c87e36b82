"""Runs the signatures of an export with TensorFlow and NumPy alone.

`exports.verify` runs this file as a program of its own, `python -I isolated_reader.py FOLDER
INPUTS.npz OUTPUTS.npz`: it must import nothing of this project, and refuses to.
"""

import json
import pathlib
import sys

FORBIDDEN = ("zoo", "data_pipelines", "exports")
MANIFEST = "assets.extra/manifest.json"
# Frames that `step` takes after those that have no score yet.
SCORED_FRAMES = 4


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


def run(folder, inputs_path, outputs_path):
    """Calls every signature, and saves what they answer.

    Those that take a clip are called on every clip given; `encode_jpeg` and `step` on the smallest
    alone, the one on its frames as PNG, the other on frame after frame from a state of zeros.

    Args:
        folder: Path of the version's folder.
        inputs_path: Path of an `.npz` with uint8 clips (batch, time, height, width, channels).
        outputs_path: Path of the `.npz` to write; its keys are `CLIP/SIGNATURE/OUTPUT`. Of `step`
            they are `score` and `score_map`, for each of the frames it was given.

    Raises:
        ValueError: If a signature takes what this reader cannot give.

    Example:

    ```python
    run("served/1", "clips.npz", "numbers.npz")
    ```
    """
    import numpy as np
    import tensorflow as tf

    description = json.loads(pathlib.Path(folder, MANIFEST).read_text("utf-8"))
    loaded = tf.saved_model.load(str(folder))
    outputs = {}
    with np.load(inputs_path) as file:
        clips = {name: file[name] for name in file.files}
    smallest = min(clips, key=lambda name: clips[name].size)
    for signature, function in loaded.signatures.items():
        takes = set(function.structured_input_signature[1])
        if takes == {"clip"}:
            answers = {n: function(clip=tf.constant(clip)) for n, clip in clips.items()}
        elif takes == {"frames"}:
            answers = {smallest: function(frames=as_png(clips[smallest]))}
        elif "frame" in takes:
            clip = clips[smallest][:, : description["warm_up"] + SCORED_FRAMES]
            answers = {smallest: stream(function, clip, description["state"])}
        else:
            raise ValueError(f"the signature {signature} takes {sorted(takes)}, which is unknown")
        for name, answer in answers.items():
            for output, tensor in answer.items():
                array = tensor.numpy()
                # An array of Python's strings would be pickled.
                array = array.astype(bytes) if array.dtype == object else array
                outputs[f"{name}/{signature}/{output}"] = array
    imported = sorted({module.partition(".")[0] for module in sys.modules} & set(FORBIDDEN))
    if imported:
        raise RuntimeError(f"the clean process imported {', '.join(imported)}")
    np.savez(outputs_path, **outputs)


def as_png(clip):
    """Encodes every frame of clips without loss.

    Args:
        clip: uint8 array (batch, time, height, width, channels).

    Returns:
        string tensor (batch, time).

    Example:

    ```python
    as_png(np.zeros((1, 4, 32, 48, 1), "uint8")).shape  # (1, 4)
    ```
    """
    import tensorflow as tf

    return tf.stack([tf.stack([tf.io.encode_png(frame) for frame in one]) for one in clip])


def stream(step, clip, layout):
    """Gives the frames of clips to `step`, one after the other, from a state of zeros.

    Args:
        step: The signature.
        clip: uint8 array (batch, time, height, width, channels).
        layout: dict, the manifest's `state`.

    Returns:
        Dict of `score` and `score_map`: tensors with an axis of time after the batch.

    Example:

    ```python
    stream(loaded.signatures["step"], clip, description["state"])["score"]  # (batch, time)
    ```
    """
    import tensorflow as tf

    sizes = dict(zip(("batch", "height", "width"), (len(clip), *clip.shape[2:4])))

    def resolve(size):
        if isinstance(size, int):
            return size
        axis, _, divisor = size.partition("/")
        return sizes[axis] // int(divisor or 1)

    state = {
        f"state_{name}": tf.zeros([resolve(size) for size in part["shape"]], part["dtype"])
        for name, part in layout.items()
    }
    found = {"score": [], "score_map": []}
    for time in range(clip.shape[1]):
        answer = step(frame=tf.constant(clip[:, time]), **state)
        state = {name: answer[name] for name in state}
        for output, held in found.items():
            held.append(answer[output])
    return {output: tf.stack(held, axis=1) for output, held in found.items()}


if __name__ == "__main__":
    sys.meta_path.insert(0, ProjectBlocker())
    try:
        run(*sys.argv[1:])
    except Exception as error:
        # One line for the process that waits; TensorFlow adds the place in the graph below it.
        message = str(getattr(error, "message", error)).partition("\n")[0]
        sys.exit(f"{type(error).__name__}: {message}")
