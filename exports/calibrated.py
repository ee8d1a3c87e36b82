"""Calibrates an export: the next version of it, whose `score` and `step` know the threshold.

The graph is given the threshold for a frame alone (`signatures.add_threshold`); what makes frames
into events stands beside it in `assets.extra/calibration.json`.
"""

import numpy as np
import tensorflow as tf

from exports import manifest, saved_model, signatures, verification


def save(export, calibration):
    """Writes the next version of an export: calibrated, and all else as it was.

    It appears whole or not at all, after a process that cannot import this project found every
    output bit for bit that of the version before, and `above_threshold` what it must be.

    Args:
        export: `exports.Export`, calibrated before or not.
        calibration: Dict of JSON values, the content of `calibration.json`.

    Returns:
        pathlib.Path of the new version's folder, beside that of `export`.

    Raises:
        ValueError: As of `check`; if the calibration breaks a rule or is of other weights, or an
            output is another.
        OSError: If it cannot be written. Nothing of the version is left.

    Example:

    ```python
    save(exports.load("served/mine"), json.loads(Path("calibration.json").read_text()))
    ```
    """
    # Here, since reading an export back needs nothing of the zoo.
    from zoo.evaluation.calibration import check_weights

    directory = check(export)
    known = export.manifest.get("weights_sha256")
    # What is of an export that does not say does not say either, and was made of it just now.
    if known is not None or calibration.get("weights_sha256") is not None:
        check_weights(calibration, known, export.folder)
    description = {key: value for key, value in export.manifest.items() if key != "files"}
    module = tf.Module(name="served")
    module.weights = export.weights
    pooling = description["model"]["arguments"].get("score_pooling", "max")
    functions = signatures.add_threshold(module, export.without_threshold(), calibration, pooling)
    card = export.folder / saved_model.CARD

    def write(folder):
        card_there = card if card.is_file() else None
        saved_model.write_parts(folder, module, functions, card_there, calibration)
        saved_model.write_description(folder, description)

    def compare(folder):
        clips = {"whole": verification.made_up_clip(description)}
        before, after = (verification.run_isolated(f, clips)[0] for f in (export.folder, folder))
        outputs = [key for key in before if not key.endswith(f"/{signatures.ABOVE}")]
        unlike = [key for key in outputs if not np.array_equal(before[key], after.get(key))]
        if unlike:
            raise ValueError(
                f"{folder} gives other numbers than {export.folder}: {', '.join(unlike)}"
            )
        verification.check_threshold(folder, description, after)

    return saved_model.write_version(directory, write, check=compare)


def check(export):
    """Checks that an export can be calibrated, before hours of footage are scored.

    Args:
        export: `exports.Export`.

    Returns:
        pathlib.Path of the folder of versions that the next one goes into.

    Raises:
        ValueError: If it has no `score` or `step`, its files do not match its manifest, or it lies
            in no folder of versions.

    Example:

    ```python
    check(exports.load("served/mine"))
    ```
    """
    for name in ("score", "step"):
        export.signature(name)
    manifest.check_files(export.folder)
    return saved_model.check_directory(export.folder.resolve().parent)
