"""Checks an export in a process that knows a runtime and NumPy and nothing of this project."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from data_pipelines import transforms
from exports import isolated_reader, manifest, saved_model, signatures

# Float32 graphs differ from eager calls by fused operations alone; half precision by rounding.
TOLERANCE = {"float32": 1e-3}
HALF_TOLERANCE = 5e-2

# Those that run whatever is exported; of the others it is told what they refuse.
WHOLE = ("tensorflow", "c_api")


def verify(directory, model=None, clip=None, through="tensorflow"):
    """Reads an export back in a clean process and compares its numbers with the model's.

    The clip is run whole, and cut in time and space, so that two lengths and two sizes go through
    every signature that takes a clip; beside it runs its negative, whose embedding must differ.
    `step` and `encode_jpeg` are given the frames of the cut clip and must say what `score` and
    `encode` of the model say.

    Args:
        directory: Path of a folder of versions (the largest is taken), or of one version.
        model: The `zoo` model that was exported. Default: none; then the numbers are only
            checked to be finite.
        clip: uint8 array (batch, time, height, width, channels) or one clip without the batch.
            Default: a bright square that moves over a textured ground.
        through: How it is loaded: `"tensorflow"`, its Python; `"c_api"`, the way a C++ server
            does; `"openvino"` or `"litert"`, which convert what they can, of float32 exports.

    Returns:
        Dict: `folder`, `files` (that agree with the manifest), `through`, `shapes` of the clips
        run, `differences` (by signature output: the largest difference, as a share of the model's
        largest value; without a model, empty), `tolerance`, `refused` (by signature, why the
        runtime cannot run it), `seconds` (by signature, of one run of the smaller clip, or of one
        frame) and `embedding_distance` (between a clip and its negative, as a share of the larger
        norm; None where the embedding is refused).

    Raises:
        ValueError: If a file is unlike the manifest's, a signature fails, is left out or gives
            other numbers, embeddings of different clips are equal, an argument does not fit, or as
            of `check_threshold`.
        ImportError: As of `check_runtime`, or if a runtime that is installed cannot be imported.

    Example:

    ```python
    import exports, zoo

    model = zoo.load("convlstm_vae", weights=None)
    folder = exports.export(model, "served/convlstm_vae")
    exports.verify(folder, model)["differences"]
    ```
    """
    folder = saved_model.locate(directory)
    description = manifest.read(folder)
    check_runtime(through, description["dtype"])
    files = manifest.check_files(folder)
    clips = _cases(made_up_clip(description) if clip is None else clip, description)
    run = run_isolated if through in WHOLE else run_one_by_one
    answers, about = run(folder, clips, through)
    if refused := [f"{name} ({why})" for name, why in about["refused"].items()]:
        if through in WHOLE:
            raise ValueError(f"{folder} cannot be run through {through}: {'; '.join(refused)}")
    run = {key.split("/")[1] for key in answers} | set(about["refused"])
    if unlike := sorted(run ^ set(description["signatures"])):
        raise ValueError(f"{folder} has signatures unlike its manifest's: {', '.join(unlike)}")
    for key, array in answers.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{folder}: {key} has values that are not finite")
    check_threshold(folder, description, answers)
    tolerance = TOLERANCE.get(description["dtype"], HALF_TOLERANCE)
    with _full_float32():
        differences = _compare(model, clips, answers) if model is not None else {}
    if wrong := {key: value for key, value in differences.items() if not value <= tolerance}:
        raise ValueError(
            f"{folder} gives other numbers than the model: {wrong} of the largest value, where "
            f"{tolerance} is allowed"
        )
    distance = None
    if "serving_default" not in about["refused"]:
        distance = _embedding_distance(answers)
    if distance is not None and not distance > 1e-4:
        raise ValueError(f"{folder} gives different clips the same embedding ({distance:.1e})")
    return {
        "folder": str(folder),
        "files": files,
        "through": through,
        **about,
        "shapes": {name: list(array.shape) for name, array in clips.items()},
        "differences": differences,
        "tolerance": tolerance,
        "embedding_distance": distance,
    }


def check_threshold(folder, description, answers):
    """Checks that a calibrated export says which frames reach its threshold, and no other does.

    Args:
        folder: pathlib.Path of the version's folder.
        description: Dict, its manifest.
        answers: Dict from `CLIP/SIGNATURE/OUTPUT` to array, as `run_isolated` gives it.

    Raises:
        ValueError: If `above_threshold` is given without a `calibration.json` or the other way
            round, or is not what scores and threshold say, but for rounding at the threshold.

    Example:

    ```python
    check_threshold(folder, manifest.read(folder), run_isolated(folder, {"whole": clip})[0])
    ```
    """
    from zoo.evaluation.calibration import settings_for
    from zoo.evaluation.scoring import window_means

    calibration = saved_model.read_calibration(folder)
    for key in [key for key in answers if key.endswith("/score")]:
        output = f"{key.removesuffix('score')}{signatures.ABOVE}"
        if (output in answers) != (calibration is not None):
            raise ValueError(
                f"{folder} must have {saved_model.CALIBRATION} and give {output}, or neither. "
                f"Received: {'the one' if calibration else 'the other'} alone"
            )
        if calibration is None:
            continue
        settings, reached = settings_for(calibration), answers[key]
        if description["model"]["arguments"].get("score_pooling", "max") != "max":
            maps = answers[f"{key}_map"]
            means = window_means(maps.reshape(-1, *maps.shape[-2:]), settings.window)
            reached = means.max(axis=(1, 2)).reshape(reached.shape)
        above, sure = answers[output], np.abs(reached / settings.high - 1) > 1e-5
        if above.shape != reached.shape or (above != (reached >= settings.high))[sure].any():
            raise ValueError(
                f"{folder} gives {output} unlike its score and the threshold {settings.high:g}"
            )


def check_runtime(through, dtype):
    """Checks that exports of a precision can be run through a runtime here.

    Args:
        through: As of `verify`.
        dtype: str, the name of the precision policy.

    Raises:
        ValueError: If there is no such runtime, or it takes float32 alone.
        ImportError: If it is not installed; the extra is named.

    Example:

    ```python
    check_runtime("c_api", "mixed_bfloat16")
    ```
    """
    if through not in isolated_reader.READERS:
        raise ValueError(
            f"`through` must be one of {isolated_reader.READERS}. Received: through={through!r}"
        )
    if through not in WHOLE and dtype != "float32":
        raise ValueError(
            f"`through` {through} must be given a float32 export. Received: one that computes in "
            f"{dtype}"
        )
    if through == "openvino" and importlib.util.find_spec("openvino") is None:
        raise ImportError(
            "`through` openvino needs the package openvino: pip install "
            "'unsupervised-video-zoo[openvino]'"
        )


def run_isolated(folder, clips, through="tensorflow"):
    """Runs the signatures of an export on clips in a process without this project.

    Args:
        folder: Path of the version's folder.
        clips: dict from name to uint8 array (batch, time, height, width, channels).
        through: As of `verify`.

    Returns:
        `(answers, about)`: a dict from `NAME/SIGNATURE/OUTPUT` to array, and one of `refused` and
        `seconds`, as `verify` returns them.

    Raises:
        ValueError: If the process fails; its last line, or the signal, is in the message.

    Example:

    ```python
    run_isolated("served/1", {"whole": clip})[0]["whole/serving_default/embedding"]
    ```
    """
    with tempfile.TemporaryDirectory() as workplace:
        names = ("clips.npz", "numbers.npz", "about.json")
        inputs, outputs, about = (Path(workplace, name) for name in names)
        np.savez(inputs, **clips)
        # -I keeps this folder and the user's settings off the path; the reader itself refuses
        # the packages of this project where they are installed.
        command = [sys.executable, "-I", str(Path(isolated_reader.__file__).resolve())]
        done = subprocess.run(
            [*command, through, str(Path(folder).resolve()), *map(str, (inputs, outputs, about))],
            cwd=workplace,
            # On the processor: this process may hold all the memory of a GPU.
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            if done.returncode < 0:
                name = signal.Signals(-done.returncode).name
                lines.append(f"it crashes by {name}, after: {lines[-1]}")
            raise ValueError(f"{folder} fails in a clean process: {lines[-1]}")
        with np.load(outputs) as numbers:
            answers = {key: numbers[key] for key in numbers.files}
        return answers, json.loads(about.read_text("utf-8"))


def run_one_by_one(folder, clips, through):
    """Runs each signature of an export by itself: one that crashes its process costs no other.

    Args:
        folder, clips, through: As of `run_isolated`.

    Returns:
        As of `run_isolated`; what fails is refused, with the reason.

    Raises:
        ImportError: If the runtime itself cannot be imported, which is no matter of the export.

    Example:

    ```python
    run_one_by_one("served/1", {"whole": clip}, "openvino")[1]["refused"]
    ```
    """
    answers, refused, seconds = {}, {}, {}
    with tempfile.TemporaryDirectory() as workplace:
        for name in manifest.read(folder)["signatures"]:
            alone = saved_model.with_default(folder, name, Path(workplace, name))
            try:
                found, about = run_isolated(alone, clips, through)
            except ValueError as error:
                refused[name] = str(error).partition(" fails in a clean process: ")[2]
                if refused[name].startswith(("ImportError", "ModuleNotFoundError")):
                    raise ImportError(
                        f"{through} cannot be imported: {refused[name]}"
                    ) from error
                continue
            for key, array in found.items():
                clip, _, output = key.split("/")
                answers[f"{clip}/{name}/{output}"] = array
            refused |= {name: why for why in about["refused"].values()}
            seconds |= {name: took for took in about["seconds"].values()}
    return answers, {"refused": refused, "seconds": seconds}


def made_up_clip(description):
    """Makes a clip for an export: a bright square that moves over a textured ground.

    Args:
        description: dict, the manifest.

    Returns:
        uint8 array (1, time, height, width, channels).

    Example:

    ```python
    made_up_clip(manifest.read("served/1")).shape
    ```
    """
    stride, channels = description["stride"], description["channels"]
    frames = max(description["min_frames"], description["warm_up"]) + 6
    height, width = 6 * stride, 8 * stride
    rows, columns = np.mgrid[:height, :width]
    ground = 90 + 40 * np.sin(rows / 5) * np.cos(columns / 7)
    clip = np.repeat(ground[None, :, :, None], frames, axis=0).repeat(channels, axis=3)
    side = 2 * stride
    for index in range(frames):
        top, left = index % (height - side), 3 * index % (width - side)
        clip[index, top : top + side, left : left + side] = 230
    return clip.astype(np.uint8)[None]


@contextlib.contextmanager
def _full_float32():
    """Keeps a GPU from rounding float32 to TF32, which is as coarse as the tolerance."""
    config = tf.config.experimental
    rounded = config.tensor_float_32_execution_enabled()
    config.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        config.enable_tensor_float_32_execution(rounded)


def _cases(clip, description):
    """The clip whole, its negative, and both cut to another length and another size."""
    clip = np.asarray(clip)
    clip = clip[None] if clip.ndim == 4 else clip
    stride, channels = description["stride"], description["channels"]
    # Both lengths must reach frames that score, or nothing of `score` would be compared.
    shortest = max(description["min_frames"], description["warm_up"] + 1)
    if clip.dtype != np.uint8 or clip.ndim != 5 or clip.shape[-1] != channels:
        raise ValueError(
            f"`clip` must be uint8 (batch, time, height, width, {channels}). "
            f"Received: {clip.dtype} {clip.shape}"
        )
    frames, height, width = clip.shape[1:4]
    if frames <= shortest or min(height, width) < 2 * stride or height % stride or width % stride:
        raise ValueError(
            f"`clip` must have more than {shortest} frames, and a height and width of at least "
            f"{2 * stride} pixels, divisible by {stride}. Received: {clip.shape}"
        )
    pair = np.concatenate([clip[:1], 255 - clip[:1]])
    # The far corner and the last frames: where a footage's movement is need not be top left.
    return {"whole": pair, "cut": pair[:1, -max(shortest, frames * 3 // 4) :, stride:, stride:]}


def _compare(model, clips, answers):
    differences = {}
    for name, clip in clips.items():
        tensor = transforms.to_float(clip)
        for key in (key for key in answers if key.startswith(f"{name}/")):
            _, signature, output = key.split("/")
            if output == signatures.ABOVE:
                continue
            if signature == "rollout":
                steps = answers[key].shape[1]
                own = np.clip(model.rollout(tensor, steps), 0, 1).astype(np.float32)
                # Bytes stand for all values that round to them: half a level is no difference.
                gap = np.maximum(np.abs(answers[key] / np.float32(255) - own) - 0.5 / 255, 0)
            else:
                own = np.asarray(_verb(model, output)(tensor), np.float32)
                if signature == "step":
                    # No frame's score depends on those after it.
                    own = own[:, : model.warm_up + isolated_reader.SCORED_FRAMES]
                if own.shape != answers[key].shape:
                    raise ValueError(
                        f"{key} has the shape {answers[key].shape}, the model's is {own.shape}"
                    )
                gap = np.abs(answers[key] - own)
            difference = float(gap.max() / max(np.abs(own).max(), 1e-12))
            name_of = f"{signature}/{output}" if signature in ("step", "encode_jpeg") else output
            differences[name_of] = max(difference, differences.get(name_of, 0.0))
    return differences


def _verb(model, output):
    return model.encode if output == "embedding" else getattr(model, output)


def _embedding_distance(answers):
    first, second = answers["whole/serving_default/embedding"].astype(np.float64)
    largest = max(np.linalg.norm(first), np.linalg.norm(second), 1e-12)
    return float(np.linalg.norm(first - second) / largest)
