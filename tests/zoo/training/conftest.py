"""A small model with states of every kind, and a stream that goes on where it is told to."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.training.run_folder import RunFolder


@keras.saving.register_keras_serializable(package="tests")
class SmallModel(keras.Model):
    """Trainable weights, a non-trainable counter, and a dropout whose seed is in no weights."""

    def __init__(self, filters=4, dtype=None, name="small"):
        super().__init__(dtype=dtype, name=name)
        self.filters = filters
        self.first = keras.layers.Conv2D(filters, 3, padding="same", name="first", dtype=dtype)
        self.drop = keras.layers.Dropout(0.3, seed=7, name="drop", dtype=dtype)
        self.last = keras.layers.Conv2D(1, 3, padding="same", name="last", dtype=dtype)

    def build(self, input_shape):
        self.first.build((None, None, None, 1))
        self.last.build((None, None, None, self.filters))
        self.calls = self.add_weight(
            shape=(),
            dtype="int32",
            initializer="zeros",
            trainable=False,
            name="calls",
            aggregation="only_first_replica",
        )
        self.kl_weight = self.add_weight(
            shape=(), initializer="zeros", trainable=False, name="kl_weight", dtype="float32"
        )
        self.built = True

    def call(self, frames, training=False):
        if training:
            self.calls.assign_add(1)
        return self.last(self.drop(tf.nn.relu(self.first(frames)), training=training))

    def get_config(self):
        return {"filters": self.filters, "name": self.name}


@pytest.fixture
def make_model():
    """Gives a function that makes a built model; equal seeds give equal weights."""

    def make(seed=0, dtype=None, **arguments):
        keras.utils.set_random_seed(seed)
        model = SmallModel(dtype=dtype, **arguments)
        model.build((None, None, None, 1))
        return model

    return make


@pytest.fixture
def batches():
    """Gives a dataset factory of endless batches of 4 frames, no two of them alike."""
    frames = np.random.default_rng(0).random((400, 8, 8, 1), dtype=np.float32)
    pairs = tf.data.Dataset.from_tensor_slices((frames, 1.0 - frames))

    def factory(skip):
        return pairs.repeat().batch(4).skip(skip)

    return factory


@pytest.fixture
def open_run(tmp_path):
    """Gives a function that opens a run folder, new or not, closed when the test ends."""
    opened = []

    def open_run(name="run", steps=6, **facts):
        # A process that is killed loses its lock; within one process it has to be closed.
        for run in opened:
            run.close()
        run = RunFolder.open(
            tmp_path / name, command="test", arguments={"steps": steps}, seed=5, **facts
        )
        opened.append(run)
        return run

    yield open_run
    for run in opened:
        run.close()
