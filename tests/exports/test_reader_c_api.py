"""TensorFlow's C API by itself: arrays and strings in and out, and its errors in its own words."""

import json

import numpy as np
import pytest
import tensorflow as tf

from exports import isolated_reader, signatures

pytestmark = pytest.mark.slow

INTERFACE = {
    "tensors": {
        "serving_default": {
            "inputs": {"text": "serving_default_text:0", "number": "serving_default_number:0"},
            "outputs": {"length": "PartitionedCall:0", "twice": "PartitionedCall:1"},
        },
        "lost": {"inputs": {}, "outputs": {"x": "nowhere:0"}},
    }
}


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graph")

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.string, name="text"),
                                  tf.TensorSpec([None], tf.float16, name="number")])  # fmt: skip
    def graph(text, number):
        checked = tf.debugging.Assert(tf.size(number) > 0, ["a number is wanted"])
        with tf.control_dependencies([checked]):
            doubled = {"twice": 2 * number, "text": text + text}
        return {"length": tf.strings.length(text), **doubled}

    module = tf.Module()
    tf.saved_model.save(module, str(folder), signatures=graph)
    interface = INTERFACE | {"tensors": INTERFACE["tensors"] | signatures.tensors(folder)}
    reader = isolated_reader.reader_module("c_api")
    return reader.open_export(folder, json.loads(json.dumps(interface)))


def test_strings_and_halves_go_in_and_numbers_come_out(call):
    # With zeros in it, and longer than what a TF_TString holds itself.
    text = np.array([[b"a\0b", b""], [b"x" * 1000, b"\0"]], object)
    number = np.array([1.5, -2.0], np.float16)
    answer = call("serving_default", None)(text=text, number=number)
    np.testing.assert_array_equal(answer["length"], [[3, 0], [1000, 1]])
    np.testing.assert_array_equal(answer["text"], text + text)
    assert answer["length"].dtype == np.int32 and answer["twice"].dtype == np.float16
    np.testing.assert_array_equal(answer["twice"], [3.0, -4.0])


def test_what_the_graph_objects_to_is_told_in_its_words(call):
    text, none = np.array([[b""]], object), np.zeros(0, np.float16)
    with pytest.raises(RuntimeError, match="a number is wanted"):
        call("serving_default", None)(text=text, number=none)
    with pytest.raises(RuntimeError, match="the graph has no operation nowhere"):
        call("lost", None)()


def test_a_folder_without_a_graph_is_told(tmp_path):
    with pytest.raises(RuntimeError, match="SavedModel"):
        isolated_reader.reader_module("c_api").open_export(tmp_path, INTERFACE)
