"""Tensors as JSON, in the forms of TensorFlow Serving's REST interface.

Rows (`instances`, `predictions`) hold one element of the batch each, columns (`inputs`, `outputs`)
one tensor each; bytes stand as `{"b64": "..."}`. What is refused, and as what, follows
`util/json_tensor.cc` of TensorFlow Serving.
"""

import base64
import itertools
import json
import re

import numpy as np
import tensorflow as tf

# Numbers as JSON has them, and the least and the most that the form takes of each kind. Of whole
# numbers of 8 and 16 bits it takes those of 32, and keeps the lowest bits.
_INT32, _INT64 = (-(2**31), 2**31 - 1), (-(2**63), 2**63 - 1)
_WHOLE = {
    "uint8": _INT32, "int8": _INT32, "int16": _INT32, "int32": _INT32, "int64": _INT64,
    "uint32": (0, 2**32 - 1), "uint64": (0, 2**64 - 1),
}  # fmt: skip
_TYPES = {"float32": {int, float}, "float64": {int, float}, "bool": {bool}, "string": {str, dict}}
_TYPES |= dict.fromkeys(_WHOLE, {int})


def document(body):
    """Reads the body of a request.

    Args:
        body: bytes.

    Returns:
        dict.

    Raises:
        tf.errors.InvalidArgumentError: If it does not begin with a JSON object.
    """
    try:
        # What follows the object is passed over, and strings may hold any bytes.
        text = body.decode("utf-8", "surrogateescape").lstrip(" \t\r\n")
        found, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise _refused(f"JSON Parse error: {error}") from error
    if not isinstance(found, dict):
        raise _refused(f"JSON Value: {_short(found)} Is not object")
    return found


def tensors(content, specs):
    """Makes the tensors of a request.

    Args:
        content: dict, with `instances` or `inputs`.
        specs: dict from input name to `TensorSpec`.

    Returns:
        `(tensors, is_rows)`: dict from input name to array, and whether the request was in rows,
        as the answer then must be.

    Raises:
        tf.errors.InvalidArgumentError: If the form is not one of the two, or a value does not fit.
        tf.errors.UnimplementedError: If an input is of a kind that JSON numbers do not make.
    """
    if ("instances" in content) == ("inputs" in content):
        raise _refused("expecting one of the keys 'inputs' and 'instances', and only one")
    if "inputs" in content:
        return _columns(content["inputs"], specs), False
    rows = content["instances"]
    if not isinstance(rows, list) or not rows:
        raise _refused("Expecting 'instances' to be a list/array with values")
    return _rows(rows, specs), True


def answer(outputs, is_rows):
    """Writes the answer to a request.

    Args:
        outputs: dict from output name to array.
        is_rows: bool, as `tensors` gives it.

    Returns:
        str, a JSON object.

    Raises:
        tf.errors.InvalidArgumentError: If rows are asked for and the outputs have none in common,
            or a kind of number has no form in JSON.
    """
    values = {name: _plain(name, array) for name, array in outputs.items()}
    if not is_rows:
        return json.dumps({"outputs": values if len(values) > 1 else next(iter(values.values()))})
    batches = {np.shape(array)[:1] for array in outputs.values()}
    if len(batches) != 1 or batches == {()}:
        raise _refused(f"outputs have inconsistent batch sizes: {sorted(batches)}")
    if len(values) == 1:
        return json.dumps({"predictions": next(iter(values.values()))})
    rows = [dict(zip(values, row)) for row in zip(*values.values())]
    return json.dumps({"predictions": rows})


def _rows(rows, specs):
    is_named = isinstance(rows[0], dict) and not _is_base64(rows[0])
    if not is_named:
        if len(specs) > 1:
            raise _refused("instances is a plain list, but expecting list of objects")
        if any(isinstance(row, dict) and not _is_base64(row) for row in rows):
            raise _refused("Expecting value/list but got object in 'instances'")
        (name,) = specs
        return {name: _array(name, rows, specs[name].dtype)}
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or set(row) != set(specs):
            raise _refused(
                f"Failed to process element: {number} of 'instances' list: keys must be equal to: "
                f"{','.join(specs)}"
            )
    return {
        name: _array(name, [row[name] for row in rows], spec.dtype) for name, spec in specs.items()
    }


def _columns(value, specs):
    if not isinstance(value, dict) or _is_base64(value):
        if len(specs) > 1:
            raise _refused("inputs is a plain value/list, but expecting an object")
        (name,) = specs
        return {name: _array(name, value, specs[name].dtype)}
    if missing := [name for name in specs if name not in value]:
        raise _refused(f"Missing named input: {missing[0]} in 'inputs' object.")
    return {name: _array(name, value[name], spec.dtype) for name, spec in specs.items()}


def _array(name, value, dtype):
    if dtype.name not in _TYPES:
        raise tf.errors.UnimplementedError(
            None, None, f"Conversion of JSON Value: {_short(value)} to type: {dtype.name}"
        )
    # Level by level: lists of one length each, until what is left are values.
    shape, level = [], [value]
    while level and isinstance(level[0], list):
        sizes = {len(part) if isinstance(part, list) else None for part in level}
        if len(sizes) > 1:
            raise _refused(f"{name}: encountered lists of different sizes: {_short(level)}")
        shape += sizes
        level = list(itertools.chain.from_iterable(level))
    wrong = set(map(type, level)) - _TYPES[dtype.name]
    if dtype.name in _WHOLE and not wrong and level:
        least, most = _WHOLE[dtype.name]
        wrong = not least <= min(level) <= max(level) <= most
    if wrong:
        raise _refused(f"{name}: JSON Value: {_short(level)} is not of expected type: {dtype.name}")
    if dtype == tf.string:
        level = [_bytes(part) for part in level]
    kept = np.int32 if dtype.name in ("uint8", "int8", "int16") else dtype.as_numpy_dtype
    try:
        with np.errstate(over="ignore"):
            return np.array(level, kept).astype(dtype.as_numpy_dtype).reshape(shape)
    except OverflowError as error:
        raise _refused(f"{name}: Number too big to be stored: {error}") from error


def _bytes(value):
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if not _is_base64(value):
        raise _refused(f"JSON Value: {_short(value)} not formatted correctly for base64 data")
    # Line breaks are passed over, and padding may be left out.
    text = re.sub(r"\s|=+\s*$", "", value["b64"])
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as error:
        raise _refused("Unable to base64 decode") from error


def _is_base64(value):
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _plain(name, array):
    array = np.asarray(array)
    if array.dtype != object:
        if array.dtype.name not in _TYPES:
            raise _refused(f"Failed to write JSON value for tensor type: {array.dtype.name}")
        return array.tolist()
    if name.endswith("_bytes"):
        encoded = [{"b64": base64.b64encode(value).decode()} for value in array.ravel()]
    else:
        encoded = [value.decode("utf-8", "replace") for value in array.ravel()]
    filled = np.empty(array.size, object)
    filled[:] = encoded
    return filled.reshape(array.shape).tolist()


def _short(value):
    return str(value)[:256] if not isinstance(value, list) else str(value[:8])[:256]


def _refused(message):
    return tf.errors.InvalidArgumentError(None, None, message)
