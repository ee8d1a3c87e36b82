import json

import numpy as np
import pytest
import tensorflow as tf

from exports import rest_forms


def spec(**kinds):
    return {name: tf.TensorSpec(None, kind, name=name) for name, kind in kinds.items()}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("uint8", [[1, 300], [-1, 0]], np.array([[1, 44], [255, 0]], np.uint8)),
        ("int64", [2**40], np.array([2**40])),
        ("float32", [1, 2.5, float("nan")], np.array([1, 2.5, np.nan], np.float32)),
        ("float32", 7, np.float32(7)),
        ("bool", [True, False], np.array([True, False])),
        ("string", ["é", {"b64": "/w=="}, {"b64": "/w"}],
         np.array(["é".encode(), b"\xff", b"\xff"], object)),
        ("uint8", [[], []], np.zeros((2, 0), np.uint8)),
    ],
)  # fmt: skip
def test_values_become_arrays_of_their_kind(kind, value, expected):
    arrays, is_rows = rest_forms.tensors({"inputs": value}, spec(x=kind))
    np.testing.assert_array_equal(arrays["x"], expected)
    assert arrays["x"].dtype == expected.dtype and not is_rows


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", [1.0]), ("uint8", [True]), ("uint8", [None]), ("uint8", ["1"]),
        ("uint8", [2**31]), ("uint8", [[1], 2]), ("uint8", [[1], [1, 2]]), ("uint8", [{"a": 1}]),
        ("int64", [2**63]), ("uint32", [-1]), ("float32", ["1"]), ("float32", [10**400]),
        ("bool", [1]), ("string", [1]), ("string", [{"b64": "*"}]), ("string", [{"b64": 1}]),
    ],
)  # fmt: skip
def test_values_of_another_kind_are_refused(kind, value):
    with pytest.raises(tf.errors.InvalidArgumentError):
        rest_forms.tensors({"inputs": {"x": value}}, spec(x=kind))


def test_a_kind_without_a_form_is_unimplemented():
    with pytest.raises(tf.errors.UnimplementedError, match="to type: bfloat16"):
        rest_forms.tensors({"inputs": [1.0]}, spec(x="bfloat16"))


def test_rows_of_several_inputs_are_stacked_by_name():
    rows = [{"x": [1, 2], "y": 5}, {"y": 6, "x": [3, 4]}]
    arrays, is_rows = rest_forms.tensors({"instances": rows}, spec(x="uint8", y="float32"))
    assert is_rows
    np.testing.assert_array_equal(arrays["x"], [[1, 2], [3, 4]])
    np.testing.assert_array_equal(arrays["y"], [5, 6])


def test_answers_have_the_form_of_the_request():
    outputs = {"a": np.array([[1, 2], [3, 4]], np.uint8), "b": np.array([0.5, np.nan], np.float32)}
    columns = json.loads(rest_forms.answer(outputs, is_rows=False))["outputs"]
    assert columns["a"] == [[1, 2], [3, 4]] and columns["b"][0] == 0.5
    rows = json.loads(rest_forms.answer(outputs, is_rows=True))["predictions"]
    assert rows[0] == {"a": [1, 2], "b": 0.5} and np.isnan(rows[1]["b"])
    assert json.loads(rest_forms.answer({"a": outputs["a"]}, True)) == {
        "predictions": [[1, 2], [3, 4]]
    }


def test_bytes_are_text_but_where_their_name_says_that_they_are_none():
    outputs = {"label": np.array([b"run"], object), "image_bytes": np.array([b"\xff"], object)}
    found = json.loads(rest_forms.answer(outputs, is_rows=False))["outputs"]
    assert found == {"label": ["run"], "image_bytes": [{"b64": "/w=="}]}


def test_rows_need_a_batch_in_common():
    for outputs in ({"a": np.zeros(2), "b": np.zeros(3)}, {"a": np.zeros(())}):
        with pytest.raises(tf.errors.InvalidArgumentError, match="inconsistent batch sizes"):
            rest_forms.answer(outputs, is_rows=True)


def test_what_follows_the_object_is_passed_over():
    assert rest_forms.document(b' {"inputs": [1]} and more') == {"inputs": [1]}
