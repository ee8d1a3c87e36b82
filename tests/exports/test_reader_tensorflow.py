"""TensorFlow's Python as a reader: arrays in, arrays out."""

import numpy as np
import pytest

import exports
from exports import isolated_reader

pytestmark = pytest.mark.slow


def test_arrays_go_in_and_arrays_come_out(exported, clip):
    call = isolated_reader.reader_module("tensorflow").open_export(exported, {})("score", None)
    answer = call(clip=clip)
    assert {type(value) for value in answer.values()} == {np.ndarray}
    np.testing.assert_array_equal(answer["score"], exports.load(exported).score(clip))
