"""One small model, exported once for all tests that only read it, and one of no size at all."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import exports
import zoo


class Brightness(keras.Model):
    """Answers every verb by the mean of frames, plus a number that tells two of it apart.

    It is exported in a second, where a network takes a minute.
    """

    verbs = ("encode", "score", "score_map", "rollout", "step")
    stride, min_frames, warm_up, channels, fps = 8, 2, 0, 1, 10
    clip_shape, embedding_dim = (4, 16, 16, 1), 1

    def __init__(self, added=0.0):
        super().__init__()
        self.added = self.add_weight(shape=(), initializer=keras.initializers.Constant(added))

    def encode(self, clip):
        return tf.reduce_mean(clip, axis=[1, 2, 3]) + self.added

    def score_with_map(self, clip):
        score = tf.reduce_mean(clip, axis=[2, 3, 4]) + self.added
        return {"score": score, "score_map": score[:, :, None, None]}

    def rollout(self, context, steps):
        return tf.repeat(context[:, -1:], steps, axis=1)

    def initial_state(self, batch, height, width):
        return {"total": tf.zeros((batch,))}

    def step(self, frame, state):
        score = tf.reduce_mean(frame, axis=[1, 2, 3]) + state["total"]
        return {"score": score, "score_map": score[:, None, None], "state": {"total": score}}


@pytest.fixture(scope="session")
def brightness():
    """A function of a folder and a number that exports the next version of `Brightness` there."""

    def export(folder, added=0.0):
        return exports.export(Brightness(added), folder, rollout_steps=2)

    export.model = Brightness
    return export


@pytest.fixture(scope="session")
def model():
    return zoo.load(
        "convlstm_vae",
        weights=None,
        filters=(4, 6, 8),
        state_filters=(4, 6),
        decoder_filters=(6, 6, 6),
        latent_dim=2,
        score_horizon=4,
        clip_shape=(12, 32, 48, 1),
    )


@pytest.fixture(scope="session")
def exported(model, tmp_path_factory):
    """Folder of version 1 of `model`, whose `rollout` predicts 3 frames."""
    return exports.export(model, tmp_path_factory.mktemp("served"), rollout_steps=3)


@pytest.fixture(scope="session")
def clip():
    """uint8 (2, 12, 32, 48, 1): a square that goes right, and one that goes down faster."""
    frames = np.full((2, 12, 32, 48, 1), 60, np.uint8)
    for time in range(12):
        frames[0, time, 8:20, 2 * time : 2 * time + 12] = 220
        frames[1, time, time : time + 8, 20:30] = 140
    return frames
