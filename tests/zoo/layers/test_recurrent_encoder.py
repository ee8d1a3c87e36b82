"""The encoder in pieces and as a part of somebody's Keras model."""

import keras
import numpy as np
import pytest

from zoo.layers import RecurrentEncoder

CLIP = np.random.default_rng(0).uniform(size=(2, 6, 16, 24, 1)).astype("float32")


@pytest.fixture
def encoder():
    return RecurrentEncoder(filters=(3, 4, 5), state_filters=(2, 6))


def test_goes_into_a_sequential_and_freezes(encoder):
    encoder.build()
    head = keras.layers.Dense(3)
    model = keras.Sequential([encoder, keras.layers.GlobalAveragePooling3D(), head])
    encoder.trainable = False
    model.compile(optimizer=keras.optimizers.Adam(0.1), loss="mse", jit_compile=False)
    before = [np.array(w) for w in encoder.get_weights()]
    model.fit(CLIP, np.ones((2, 3), "float32"), epochs=1, verbose=0)
    assert len(model.trainable_weights) == 2
    for old, new in zip(before, encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    encoder.trainable = True
    model.compile(optimizer=keras.optimizers.Adam(0.1), loss="mse", jit_compile=False)
    model.fit(CLIP, np.ones((2, 3), "float32"), epochs=1, verbose=0)
    assert any(np.any(a != b) for a, b in zip(before, encoder.get_weights(), strict=True))
