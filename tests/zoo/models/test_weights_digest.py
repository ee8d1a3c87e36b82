"""The digest of weights is theirs alone: not of the file, the precision or the process."""

import hashlib

import keras
import numpy as np
import pytest

import zoo
from zoo.models.weights_digest import weights_digest
from zoo.registry import resolve

SMALL = resolve("convlstm_vae").small


@pytest.fixture(scope="module")
def model():
    return zoo.load("convlstm_vae", weights=None, **SMALL)


def test_it_is_over_all_weights_in_their_order(model):
    content = b"".join(
        f"float32{array.shape}".encode() + np.float32(array).tobytes()
        for array in model.get_weights() if array.dtype == np.float32
    )
    assert len(content) > 4 * 1000
    assert weights_digest(model) == hashlib.sha256(content).hexdigest()


def test_what_is_loaded_again_in_any_mixed_precision_has_the_same(model, tmp_path):
    model.save_weights(tmp_path / "one.weights.h5")
    for dtype in ("float32", "mixed_bfloat16"):
        again = zoo.load("convlstm_vae", tmp_path / "one.weights.h5", dtype, **SMALL)
        assert weights_digest(again) == weights_digest(model)


def test_any_weight_or_shape_makes_another():
    def of(*arrays):
        made = keras.Model()
        for array in map(np.asarray, arrays):
            made.add_weight(
                shape=array.shape, dtype=array.dtype.name, trainable=False,
                initializer=lambda *_, array=array, **__: keras.ops.convert_to_tensor(array),
            )  # fmt: skip
        return weights_digest(made)

    one, two = np.float32([1, 2, 3, 4]), np.float32([5, 6])
    others = [
        of(two, one), of(one.reshape(2, 2), two), of(one), of(one[:2], one[2:], two), of(),
        of(one, two + np.float32(1e-6)), of(one.astype(np.float16), two),
    ]  # fmt: skip
    assert len({of(one, two), *others}) == 8
    assert of(one, two) == of(one, two) == of(np.int32(7), one, two)
