"""The warm-up requests of an export: one per signature, which a server runs before it serves.

TensorFlow Serving reads them from `assets.extra/tf_serving_warmup_requests`: a TFRecord file of
`PredictionLog` messages. They are written here by field, as `prediction_log.proto` and
`predict.proto` publish the numbers, so that an export needs nothing beside TensorFlow.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from exports import signatures

NAME = "assets.extra/tf_serving_warmup_requests"

# Numbers of fields in the published messages of TensorFlow Serving.
_LOG_PREDICT, _PREDICT_REQUEST = 6, 1
_REQUEST_MODEL, _REQUEST_INPUTS, _MODEL_SIGNATURE = 1, 2, 3
_ENTRY_NAME, _ENTRY_TENSOR = 1, 2


def requests(description):
    """Makes the inputs of one request for each signature, of the size that the model prefers.

    Args:
        description: dict, as `exports.manifest.describe` gives it.

    Returns:
        Dict from signature name to a dict from input name to array: `clip` uint8 (1, time,
        height, width, channels), `frames` bytes (1, time), `frame` uint8 (1, height, width,
        channels) and the states at zero.

    Example:

    ```python
    requests(manifest.read("served/1"))["score"]["clip"].shape  # (1, 16, 128, 192, 1)
    ```
    """
    stride = description["stride"]
    time, height, width, channels = description["clip_shape"] or (
        0, 6 * stride, 8 * stride, description["channels"]
    )  # fmt: skip
    time = max(time, description["min_frames"], description["warm_up"] + 1)
    axes = np.ogrid[:time, :height, :width]
    ramp = sum(step * axis for step, axis in zip((8, 3, 2), axes)) % 256
    clip = np.repeat(ramp[None, ..., None], channels, axis=-1).astype(np.uint8)
    made = {}
    for name in description["signatures"]:
        if name.endswith("_jpeg"):
            jpegs = [tf.io.encode_jpeg(frame).numpy() for frame in clip[0]]
            made[name] = {"frames": np.array([jpegs], object)}
        elif name == "step":
            state = signatures.zero_state(description["state"], 1, height, width)
            states = {f"state_{part}": array for part, array in state.items()}
            made[name] = {"frame": clip[:, 0], **states}
        else:
            made[name] = {"clip": clip}
    return made


def write(folder, description):
    """Writes the warm-up file of an export.

    Args:
        folder: Path of the version's folder, in which `assets.extra` is.
        description: dict, as `exports.manifest.describe` gives it.

    Example:

    ```python
    write("served/1", manifest.describe(model, ["serving_default"], rollout_steps=8))
    ```
    """
    with tf.io.TFRecordWriter(str(Path(folder) / NAME)) as file:
        for signature, inputs in requests(description).items():
            file.write(_prediction_log(signature, inputs))


def _prediction_log(signature, inputs):
    # No model's name: the folder may be served under any.
    request = _field(_REQUEST_MODEL, _field(_MODEL_SIGNATURE, signature.encode()))
    for name, array in inputs.items():
        tensor = tf.make_tensor_proto(array).SerializeToString()
        entry = _field(_ENTRY_NAME, name.encode()) + _field(_ENTRY_TENSOR, tensor)
        request += _field(_REQUEST_INPUTS, entry)
    return _field(_LOG_PREDICT, _field(_PREDICT_REQUEST, request))


def _field(number, content):
    """A field of bytes on the wire: number and kind, length, content."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value):
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
