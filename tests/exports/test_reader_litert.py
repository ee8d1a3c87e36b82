"""LiteRT: what converts gives the numbers, and what it lacks is one line."""

import numpy as np
import pytest
import tensorflow as tf

from exports import isolated_reader

SAID = """<unknown>:0: error: loc(callsite("A:")): failed to legalize operation 'tf.TensorList' that
was explicitly marked illegal
<unknown>:0: note: called from
<unknown>:0: error: Lowering tensor list ops is failed. Please consider using Select TF ops
"""


def test_the_operations_that_it_lacks_are_named():
    lacking = isolated_reader.reader_module("litert")._lacking
    assert lacking(SAID) == "no operation of LiteRT for tf.TensorList"
    assert lacking("<unknown>:0: error: loc(x): it is too large\n") == "it is too large"
    some = "error: failed while converting: 'main': \nSome ops are not supported\nTF Select ops: "
    assert lacking(f"{some}Roll, DecodeJpeg\nDetails") == (
        "no operation of LiteRT for DecodeJpeg, Roll"
    )
    assert lacking("something else") == "something else"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_converts_gives_the_numbers(tmp_path):
    module = tf.Module()
    module.weight = tf.Variable([2.0, 3.0])

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="clip")])
    def graph(clip):
        return {"embedding": clip * module.weight}

    module.graph = graph
    tf.saved_model.save(module, str(tmp_path), signatures=graph)
    reader = isolated_reader.reader_module("litert")
    call = reader.open_export(tmp_path, {})("serving_default", None)
    clip = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.testing.assert_allclose(call(clip=clip)["embedding"], clip * [2, 3])
