"""Runs the signatures of an export with TensorFlow and NumPy alone.

`exports.verify` runs this file as a program of its own, `python -I isolated_reader.py FOLDER
INPUTS.npz OUTPUTS.npz`: it must import nothing of this project, and refuses to.
"""

import sys

FORBIDDEN = ("zoo", "data_pipelines", "exports")


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
    """Calls every signature that takes a clip on every clip given, and saves what they answer.

    Args:
        folder: Path of the version's folder.
        inputs_path: Path of an `.npz` with uint8 clips (batch, time, height, width, channels).
        outputs_path: Path of the `.npz` to write; its keys are `CLIP/SIGNATURE/OUTPUT`.

    Example:

    ```python
    run("served/1", "clips.npz", "numbers.npz")
    ```
    """
    import numpy as np
    import tensorflow as tf

    loaded = tf.saved_model.load(folder)
    outputs = {}
    with np.load(inputs_path) as clips:
        for name in clips.files:
            for signature, function in loaded.signatures.items():
                if "clip" in function.structured_input_signature[1]:
                    answer = function(clip=tf.constant(clips[name]))
                    for output, tensor in answer.items():
                        outputs[f"{name}/{signature}/{output}"] = tensor.numpy()
    imported = sorted({module.partition(".")[0] for module in sys.modules} & set(FORBIDDEN))
    if imported:
        raise RuntimeError(f"the clean process imported {', '.join(imported)}")
    np.savez(outputs_path, **outputs)


if __name__ == "__main__":
    sys.meta_path.insert(0, ProjectBlocker())
    try:
        run(*sys.argv[1:])
    except Exception as error:
        # One line for the process that waits; TensorFlow adds the place in the graph below it.
        message = str(getattr(error, "message", error)).partition("\n")[0]
        sys.exit(f"{type(error).__name__}: {message}")
