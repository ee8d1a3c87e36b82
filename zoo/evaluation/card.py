"""Model cards: what a trained model is, written by its evaluation and never by hand."""

import datetime
import hashlib
import pathlib
import shlex

import numpy as np
import tensorflow as tf

NOT_FOR = (
    "Deciding anything about a person: the score says that something moves as it did not in the "
    "training footage, not who it is, why, or that it is wrong.",
    "Another camera, viewpoint or frame rate without training on normal footage of it.",
    "Strange things that move normally or not at all: an object left behind, a face, a theft.",
    "A threshold taken over from one camera to another: it is calibrated on normal footage.",
)

# The figures of anomaly detection stand in `evaluation` itself, as they did when there were no
# others; those of every other evaluation in a section of its own below it.
SECTIONS = (
    "detection",
    "prediction",
    "representation",
    "tracking",
    "ablations",
    "seeds",
    "sharpness",
    "generation",
    "latents",
    "reconstruction",
    "moving_mnist",
    "people",
)

MOST_NAMES = 200  # of videos in a card; of more, such as generated ones, it says how many

_TRANSPOSED = {"MatMul": "transpose_b", "BatchMatMulV2": "adj_y"}


def model_card(
    model,
    preset,
    run,
    evaluation,
    *,
    data,
    command,
    versions,
    weights=None,
    selection=None,
    section=None,
    not_for=NOT_FOR,
):
    """Puts together a card that holds one evaluation.

    Args:
        model: The evaluated model, built.
        preset: Object with `name`, `description` and `paper`.
        run: Dict of the training run (`command`, `seed`, `minutes`, `versions`, `machine`, ...).
        evaluation: Dict of figures and of what was evaluated on.
        data: Dict of the training data: `name`, `terms`, `reference`.
        command: str, the command line which gives the figures again.
        versions: Dict from package to version, those of the evaluation.
        weights: Path of the weights file, or None.
        selection: Dict which says how epoch, horizon and pooling were chosen, or None.
        section: As for `with_evaluation`.
        not_for: What the model must not be taken for, sentences.

    Returns:
        Dict of JSON values.

    Raises:
        ValueError: If `run` lacks a fact that a card must state.
    """
    missing = [key for key in ("command", "seed", "minutes", "versions") if key not in run]
    if missing:
        raise ValueError(f"`run` must state {', '.join(missing)}. Received: {sorted(run)}")
    height, width = model.clip_shape[1:3]
    training = {
        key: value for key, value in run.items() if key not in ("status", "best", "arguments")
    }
    for key in ("train_videos", "held_out_videos"):
        if len(names := training.get(key) or []) > MOST_NAMES:
            training[f"{key}_count"] = len(names)
            del training[key]
    training["command"] = portable(run["command"])
    training["arguments"] = {
        key: _portable_path(value) if isinstance(value, str) else value
        for key, value in run.get("arguments", {}).items()
    }
    card = {
        "name": preset.name,
        "model": type(model).__name__,
        "description": preset.description,
        "paper": preset.paper,
        "clip_shape": list(model.clip_shape),
        "frames_per_second": model.fps,
        "score": {
            name: getattr(model, name)
            for name in ("score_horizon", "score_pooling", "score_window")
            if hasattr(model, name)
        },
        # Of a model that is not trained by gradients, all that is fitted.
        "parameters": int(
            sum(np.prod(v.shape) for v in model.trainable_variables or model.weights)
        ),
        "operations_per_frame": {
            "frame": [height, width, model.channels],
            "multiply_adds": multiply_adds_per_frame(model, height, width)
            if "step" in model.verbs
            else None,
        },
        "weights": file_facts(weights),
        "data": data,
        "training": training,
        "selection": selection,
        "evaluation": {},
        "not_for": list(not_for),
    }
    return with_evaluation(card, evaluation, command=command, versions=versions, section=section)


def with_evaluation(card, evaluation, *, command, versions, section=None):
    """The card with one evaluation put in or replaced, the others as they are.

    Args:
        card: Dict, a card.
        evaluation: Dict of figures and of what was evaluated on.
        command: str, the command line which gives the figures again.
        versions: Dict from package to version, those of the evaluation.
        section: One of `SECTIONS`, or None for anomaly detection.

    Returns:
        A new dict.

    Raises:
        ValueError: If there is no such section.

    Example:
        >>> card = {"name": "m/d", "evaluation": {"auc_live": 0.9}}
        >>> both = with_evaluation(card, {"mse": 0.1}, command="zoo", versions={},
        ...                        section="prediction")["evaluation"]
        >>> both["auc_live"], both["prediction"]["mse"]
        (0.9, 0.1)
    """
    if section is not None and section not in SECTIONS:
        raise ValueError(f"`section` must be None or one of {SECTIONS}. Received: {section!r}")
    stated = {
        "command": portable(command),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": versions,
        **evaluation,
        "model": _portable_path(str(evaluation.get("model", card["name"]))),
    }
    before = card["evaluation"]
    if section is None:
        kept = {name: before[name] for name in SECTIONS if name in before}
        return {**card, "evaluation": {**stated, **kept}}
    return {**card, "evaluation": {**before, section: stated}}


def with_sections_of(card, other):
    """The card with the evaluations that only `other` holds taken over, and which those are.

    Args:
        card, other: Dicts, cards of the same weights.

    Returns:
        `(card, names)`: a new dict, and the list of the evaluations taken over.
    """
    own, found = card["evaluation"], other.get("evaluation", {})
    taken = {name: found[name] for name in SECTIONS if name in found and name not in own}
    names = list(taken)
    flat = {name: value for name, value in found.items() if name not in SECTIONS}
    if flat and set(own) <= set(SECTIONS):
        taken, names = {**flat, **taken}, ["anomaly", *names]
    # Anomaly detection first, as in a card that holds nothing else.
    merged = {**taken, **own} if "anomaly" in names else {**own, **taken}
    return {**card, "evaluation": merged}, names


def multiply_adds_per_frame(model, height, width):
    """Counts the multiplications, each with its addition, of scoring one frame.

    Those of the convolutions and matrix products in the graph of `step`; what is done value by
    value is left out, as is usual. Loops of the graph count once, which is right for one frame;
    a batch whose size the graph has lost is taken to be the 1 that it is.

    Args:
        model: A model with `step` and `initial_state`, built.
        height, width: Of the frame in pixels.

    Returns:
        int.

    Raises:
        ValueError: If the size of an operation does not show in the graph.
    """
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    state = model.initial_state(1, height, width)
    specs = tf.nest.map_structure(lambda value: tf.TensorSpec(value.shape, value.dtype), state)
    frame = tf.TensorSpec((1, height, width, model.channels), tf.float32)
    step = tf.function(model.step, jit_compile=False).get_concrete_function(frame, specs)
    # Functions and loops become plain operations, one for each time they are called.
    graph = convert_variables_to_constants_v2(step, lower_control_flow=True).graph
    return sum(_multiply_adds(operation) for operation in graph.get_operations())


def _multiply_adds(operation):
    if operation.type in ("Conv2D", "Conv3D"):
        # Kernel: (height, width, in, out); every output value sums over all but the last axis.
        terms = operation.inputs[1].shape[:-1].num_elements()
        values = _per_batch(operation.outputs[0].shape)
    elif operation.type == "DepthwiseConv2dNative":
        terms = operation.inputs[1].shape[:2].num_elements()
        values = operation.outputs[0].shape.num_elements()
    elif operation.type in ("Conv2DBackpropInput", "Conv3DBackpropInputV2"):
        # Transposed: every input value goes into all of the kernel but its input axis.
        terms = operation.inputs[1].shape[:-1].num_elements()
        values = operation.inputs[2].shape.num_elements()
    elif operation.type in ("MatMul", "BatchMatMulV2"):
        # By the right one: of the left one, the state of a loop, there may be no shape.
        axis = -1 if operation.get_attr(_TRANSPOSED[operation.type]) else -2
        terms = operation.inputs[1].shape[axis]
        values = _per_batch(operation.outputs[0].shape)
    else:
        return 0
    if terms is None or values is None:
        raise ValueError(
            "`model` must have a graph of known sizes. Received: operation "
            f"{operation.name} with an output of shape {operation.outputs[0].shape}"
        )
    return terms * values


def _per_batch(shape):
    """Values of a tensor, None where they are not known but for the first axis, which is 1."""
    return shape[1:].num_elements() if shape.rank and shape[0] is None else shape.num_elements()


def portable(command):
    """Leaves of every path that leads out of the working folder its last part.

    Args:
        command: str, a command line.

    Example:
        >>> portable("zoo train convlstm_vae --data /disk/footage/ucsd_ped2 --out runs/one")
        'zoo train convlstm_vae --data ucsd_ped2 --out runs/one'
    """
    return shlex.join(_portable_path(word) for word in shlex.split(command))


def _portable_path(word):
    option, equals, value = word.partition("=")
    if equals and option.startswith("--"):
        return f"{option}={_portable_path(value)}"
    return pathlib.PurePath(word).name if word.startswith(("/", "../", "~")) else word


def file_facts(path):
    """Name, bytes and SHA-256 of a file as a dict, or None of None."""
    if path is None:
        return None
    content = pathlib.Path(path).read_bytes()
    return {
        "file": pathlib.Path(path).name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
