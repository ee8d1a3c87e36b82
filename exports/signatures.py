"""The served signatures: a model's verbs as graphs that take bytes.

Every signature takes `uint8` frames, runs the same conversion as training
(`data_pipelines.transforms`) inside the graph, and leaves batch, time, height and width free.
Sizes that do not fit stop the graph with an assertion that names the rule and what came.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from data_pipelines import transforms

ABOVE = "above_threshold"
# What a module keeps the signatures under that know no threshold, to be calibrated again.
_ALONE = "alone_"


def build(model, rollout_steps=8):
    """Lays the verbs of a model as served signatures.

    Args:
        model: A built `zoo` model (its weights exist). Its `verbs` say which signatures it gets:
            `encode` gives `serving_default` and `encode_jpeg`; `features`, `score`, `rollout`
            and `step` give the signature of their name.
        rollout_steps: int, at least 1: the frames that `rollout` predicts, fixed in the export.

    Returns:
        `(module, functions)`: a `tf.Module` that owns the weights which the signatures read, and
        a dict from signature name to `tf.function`, `serving_default` first.

    Raises:
        ValueError: If `rollout_steps` is below 1.

    Example:

    ```python
    import zoo
    from exports import signatures

    model = zoo.load("convlstm_vae", weights=None)
    module, functions = signatures.build(model)
    sorted(functions)  # ["encode_jpeg", "features", "rollout", ...]
    ```
    """
    if rollout_steps < 1:
        raise ValueError(f"`rollout_steps` must be at least 1. Received: {rollout_steps}")
    clip_spec = tf.TensorSpec((None, None, None, None, model.channels), tf.uint8, name="clip")
    served = {
        "serving_default": ("encode", lambda clip: _encode(model, clip), [clip_spec]),
        "encode_jpeg": (
            "encode",
            lambda frames: _encode(model, decode_frames(frames, model.channels)),
            [tf.TensorSpec((None, None), tf.string, name="frames")],
        ),
        "features": ("features", lambda clip: _features(model, clip), [clip_spec]),
        "score": ("score", lambda clip: _score(model, clip), [clip_spec]),
        "rollout": ("rollout", lambda clip: _rollout(model, clip, rollout_steps), [clip_spec]),
    }
    functions = {
        name: tf.function(function, input_signature=inputs, autograph=False)
        for name, (verb, function, inputs) in served.items()
        if verb in model.verbs
    }
    if "step" in model.verbs:
        functions["step"] = _step_function(model)
    module = tf.Module(name="served")
    # Not the Keras model itself: tracking it would save its layers' Python objects as well. The
    # variables that the graphs read are all that serving needs.
    module.weights = _captured_variables(functions.values())
    return module, functions


def add_threshold(module, functions, calibration, pooling="max"):
    """Lets `score` and `step` give `above_threshold`: bool (batch, time) and (batch,).

    A frame is above the threshold where the largest mean over the windows of its score map is at
    or above `high` of the calibration's `events`, the threshold of all cameras. With the pooling
    "max" that mean is its `score`. It is no event yet: events last for a time, go on down to a
    lower threshold, and may have thresholds of their own by camera and hour, all of which stands in
    `calibration.json`. So a frame above the threshold may be too short for one, and a frame within
    one be below it.

    Args:
        module: `tf.Module` to save; it keeps the signatures as they were beside these.
        functions: Dict from the name of a signature to a `tf.function` with one input signature, or
            a concrete one: as of `build`, or `before_threshold` of a loaded export.
        calibration: Dict, the content of `calibration.json`.
        pooling: str, what the model makes of the windows' means to have its score.

    Returns:
        Dict like `functions`.

    Raises:
        ValueError: If there is no `score` or `step`, or the calibration breaks a rule.

    Example:

    ```python
    module, functions = build(model)
    functions = add_threshold(module, functions, {"events": EventSettings(high=0.02).to_dict()})
    ```
    """
    # Here, since reading an export back needs nothing of the zoo.
    from zoo.evaluation.calibration import settings_for
    from zoo.models.error_scorer import largest_window

    settings = settings_for(calibration)
    if missing := [name for name in ("score", "step") if name not in functions]:
        raise ValueError(
            "`calibration` must be of a model that scores frame by frame. Received: one without "
            f"`{missing[0]}`"
        )
    functions = {name: _concrete(function) for name, function in functions.items()}
    for name, function in functions.items():
        setattr(module, _ALONE + name, function)

    def with_threshold(name):
        given, named = functions[name].structured_input_signature

        def answer(**inputs):
            outputs = functions[name](**inputs)
            reached = outputs["score"]
            if pooling != "max":
                shape = tf.shape(outputs["score_map"])
                maps = tf.reshape(outputs["score_map"], [1, -1, shape[-2], shape[-1]])
                reached = tf.reshape(largest_window(maps, settings.window), shape[:-2])
            return {**outputs, ABOVE: reached >= settings.high}

        specs = {spec.name: spec for spec in given} | named
        return tf.function(answer, autograph=False).get_concrete_function(**specs)

    return functions | {name: with_threshold(name) for name in ("score", "step")}


def before_threshold(loaded, names):
    """The signatures of a loaded export as they are without a threshold.

    Args:
        loaded: What `tf.saved_model.load` gave.
        names: Iterable of str, the names of signatures.

    Returns:
        Dict from name to concrete function.

    Example:

    ```python
    before_threshold(tf.saved_model.load("served/1"), ["score", "step"])
    ```
    """
    return {name: getattr(loaded, _ALONE + name, loaded.signatures[name]) for name in names}


def state_layout(model):
    """Says what the streaming state of a model is made of, for clients that start it at zero.

    Args:
        model: A `zoo` model that answers `initial_state`.

    Returns:
        Dict from the state's name to `{"dtype": str, "shape": list}`. An entry of the shape is
        an int, or `"batch"`, `"height"`, `"height/8"`, `"width/4"` and so on.

    Raises:
        ValueError: If a dimension follows the batch or the size in another way.

    Example:

    ```python
    state_layout(model)["frame"]  # {"dtype": "float32", "shape": ["batch", "height", "width", 1]}
    ```
    """
    # Three primes of the stride, so that no two dimensions can be taken for one another.
    batches, heights, widths = (2, 3), (5, 11), (7, 13)
    small, large = (
        model.initial_state(batches[i], heights[i] * model.stride, widths[i] * model.stride)
        for i in (0, 1)
    )
    layout = {}
    for name, tensor in small.items():
        shape = []
        for first, second in zip(tensor.shape, large[name].shape):
            if first == second:
                shape.append(int(first))
            elif (first, second) == batches:
                shape.append("batch")
            else:
                shape.append(_ratio(name, first, second, heights, widths, model.stride))
        layout[name] = {"dtype": tensor.dtype.name, "shape": shape}
    return layout


def zero_state(layout, batch, height, width):
    """Makes the state that a stream starts from.

    Args:
        layout: dict, as `state_layout` gives it.
        batch: int, the number of streams.
        height: int, pixels.
        width: int, pixels.

    Returns:
        Dict from the state's name to an array of zeros.

    Example:

    ```python
    zero_state({"seen": {"dtype": "int32", "shape": ["batch"]}}, 1, 128, 192)["seen"]  # [0]
    ```
    """
    sizes = {"batch": batch, "height": height, "width": width}

    def resolve(size):
        if isinstance(size, int):
            return size
        axis, _, divisor = size.partition("/")
        return sizes[axis] // int(divisor or 1)

    return {
        name: np.zeros([resolve(size) for size in part["shape"]], part["dtype"])
        for name, part in layout.items()
    }


def tensors(folder):
    """Says which tensors of the graph the signatures of an export take and give.

    That is what a client of TensorFlow's C API asks by; it need not read protocol buffers then.

    Args:
        folder: Path of the folder that holds `saved_model.pb`.

    Returns:
        Dict from the name of a signature to `{"inputs": ..., "outputs": ...}`, each a dict from
        names of the signature to names in the graph.

    Example:

    ```python
    tensors("served/1")["score"]["inputs"]  # {"clip": "score_clip:0"}
    ```
    """
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString(Path(folder, "saved_model.pb").read_bytes())
    (graph,) = saved.meta_graphs
    return {
        name: {
            part: {key: tensor.name for key, tensor in sorted(getattr(signature, part).items())}
            for part in ("inputs", "outputs")
        }
        for name, signature in sorted(graph.signature_def.items())
        # Of those that TensorFlow adds for itself there is one that runs the restoring.
        if not name.startswith("__")
    }


def decode_frames(frames, channels):
    """Decodes JPEG or PNG frames of clips.

    Args:
        frames: string tensor (batch, time), each the bytes of one image; all of one size.
        channels: int, 1 (grey) or 3 (RGB).

    Returns:
        uint8 tensor (batch, time, height, width, channels).

    Raises:
        tf.errors.InvalidArgumentError: If an image does not decode, or sizes differ.

    Example:

    ```python
    jpeg = tf.io.encode_jpeg(tf.zeros((32, 48, 3), tf.uint8))
    decode_frames(tf.stack([[jpeg, jpeg]]), channels=1).shape  # (1, 2, 32, 48, 1)
    ```
    """
    shape = tf.shape(frames)
    flat = tf.reshape(frames, (-1,))

    def decode(image):
        # Grey is made from RGB by the transform that training used, not by the decoder; the
        # accurate inverse DCT is the one that OpenCV uses for the frames trained on. The op also
        # reads PNG, whatever its name.
        decoded = tf.io.decode_jpeg(image, channels=3, dct_method="INTEGER_ACCURATE")
        return transforms.to_channels(decoded[None], channels)[0]

    decoded = tf.map_fn(
        decode, flat, fn_output_signature=tf.TensorSpec((None, None, channels), tf.uint8)
    )
    size = tf.shape(decoded)
    clip = tf.reshape(decoded, tf.concat([shape, size[1:3], [channels]], axis=0))
    return tf.ensure_shape(clip, (None, None, None, None, channels))


def _encode(model, clip):
    return {"embedding": model.encode(_to_model(model, clip, model.min_frames))}


def _features(model, clip):
    return {"features": model.features(_to_model(model, clip, model.min_frames))}


def _score(model, clip):
    clip = _to_model(model, clip)
    if "score_map" in model.verbs:
        return model.score_with_map(clip)
    return {"score": model.score(clip)}


def _rollout(model, clip, steps):
    future = model.rollout(_to_model(model, clip), steps)
    return {"future": transforms.to_bytes(future)}


def _step_function(model):
    """`step` with one input per state tensor, `state_NAME`, and the next state under the same."""
    layout = state_layout(model)
    specs = {
        "frame": tf.TensorSpec((None, None, None, model.channels), tf.uint8, name="frame"),
    }
    for name, part in layout.items():
        shape = [size if isinstance(size, int) else None for size in part["shape"]]
        specs[f"state_{name}"] = tf.TensorSpec(shape, part["dtype"], name=f"state_{name}")

    def step(**inputs):
        frame = inputs["frame"]
        with tf.control_dependencies(_size_checks(model, "frame", tf.shape(frame)[1:3])):
            frame = transforms.to_float(frame)
        result = model.step(frame, {name: inputs[f"state_{name}"] for name in layout})
        outputs = {"score": result["score"], "score_map": result["score_map"]}
        if "prediction" in result:
            outputs["prediction"] = transforms.to_bytes(result["prediction"])
        return outputs | {f"state_{name}": result["state"][name] for name in layout}

    function = tf.function(step, autograph=False)
    return function.get_concrete_function(**specs)


def _to_model(model, clip, min_frames=1):
    """Bytes to what the model was trained on, or an assertion that says why not."""
    shape = tf.shape(clip)
    checks = _size_checks(model, "clip", shape[2:4])
    checks.append(
        tf.debugging.Assert(
            shape[1] >= min_frames,
            [f"`clip` must have at least {min_frames} frames. Received:", shape[1]],
        )
    )
    with tf.control_dependencies(checks):
        return transforms.to_float(clip)


def _size_checks(model, name, size):
    stride = model.stride
    nearest = tf.maximum((size + stride // 2) // stride, 1) * stride
    fits = tf.reduce_all((size % stride == 0) & (size > 0))
    rule = f"height and width of `{name}` must be divisible by {stride}. Received:"
    return [tf.debugging.Assert(fits, [rule, size, "The nearest that fits:", nearest])]


def _captured_variables(functions):
    variables = {}
    for function in functions:
        variables.update((id(variable), variable) for variable in _concrete(function).variables)
    return list(variables.values())


def _concrete(function):
    return getattr(function, "get_concrete_function", lambda: function)()


def _ratio(name, first, second, heights, widths, stride):
    for axis, sizes in (("height", heights), ("width", widths)):
        if first * sizes[1] == second * sizes[0]:
            divided, rest = divmod(sizes[0] * stride, first)
            if rest == 0:
                return axis if divided == 1 else f"{axis}/{divided}"
    raise ValueError(
        f"the state `{name}` must follow batch, height and width. Received sizes {first} and "
        f"{second} for heights {heights} and widths {widths} times {stride}"
    )
