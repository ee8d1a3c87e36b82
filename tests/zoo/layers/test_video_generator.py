"""The two parts of a drawn video, and the ways in which codes reach them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.layers.video_generator import VideoGenerator, positions

RNG = np.random.default_rng(0)
FRAME = RNG.uniform(size=(3, 16, 24, 1)).astype("float32")


def make(**arguments):
    keras.utils.set_random_seed(0)
    arguments = {
        "channels": 1, "num_classes": 2, "sees_frame": True, "filters": (4, 4, 5),
        "motion_filters": 6, "content_dim": 4, "motion_dim": 3, **arguments,
    }  # fmt: skip
    generator = VideoGenerator(**arguments)
    generator.build()
    # Layers near zero at first would hide what does not reach the video.
    for weight in generator.trainable_variables:
        weight.assign(weight + tf.random.normal(weight.shape, stddev=0.2))
    return generator


@pytest.fixture(scope="module")
def generator():
    return make()


def codes(**changed):
    rng = np.random.default_rng(1)
    return {
        "content": tf.constant(rng.normal(size=(3, 4)).astype("float32")),
        "motion": tf.constant(rng.normal(size=(3, 6, 3)).astype("float32")),
        "label": tf.constant([0, 1, 2]),
        "frame": tf.constant(FRAME),
        "has_frame": tf.ones((3,)),
        **changed,
    }


def test_a_video_is_background_and_moving_part_by_its_mask(generator):
    class_code = generator.class_code(tf.one_hot([0, 1, 2], 3))
    given = codes()
    levels = generator._levels(given["frame"], tf.ones((3, 1, 1, 1)))
    still = generator._still(given, class_code, levels)
    motion = generator._motion(given["motion"], class_code, levels)
    moving, mask = (np.asarray(x) for x in generator._moving(still, motion, levels, 5))
    assert moving.shape == mask.shape == (3, 5, 16, 24, 1)
    assert mask.min() >= 0 and mask.max() <= 1
    ground = FRAME + np.asarray(generator.background([levels[0], levels[1], still]))
    expected = mask * moving + (1 - mask) * ground[:, None]
    np.testing.assert_allclose(generator(given), expected, atol=1e-5)


def test_every_code_reaches_the_video_and_the_future_does_not_reach_the_past(generator):
    base = np.asarray(generator(codes()))
    for name, changed in (
        ("content", codes()["content"] + 1.0),
        ("label", tf.constant([1, 0, 0])),
        ("frame", tf.constant(FRAME[:, ::-1].copy())),
        ("has_frame", tf.zeros((3,))),
        ("motion", codes()["motion"] + 1.0),
    ):
        other = np.asarray(generator(codes(**{name: changed})))
        assert np.all(np.any(other != base, axis=(1, 2, 3, 4))), name
    later = codes()["motion"].numpy()
    later[:, 4:] += 1
    other = np.asarray(generator(codes(motion=tf.constant(later))))
    # The first number of the noise starts the path, so place 4 is that of the fourth frame.
    np.testing.assert_array_equal(other[:, :3], base[:, :3])
    assert np.all(np.any(other[:, 3:] != base[:, 3:], axis=(2, 3, 4)))


def test_a_frame_that_is_to_be_overlooked_changes_nothing(generator):
    absent = tf.zeros((3,))
    one = generator(codes(has_frame=absent))
    other = generator(codes(has_frame=absent, frame=tf.zeros((3, 16, 24, 1))))
    np.testing.assert_array_equal(one, other)


def test_a_generator_that_sees_no_frame_has_no_weights_for_one():
    blind = make(sees_frame=False)
    assert not [w.path for w in blind.weights if "frame_encoder" in w.path or "skip" in w.path]
    assert blind(codes(has_frame=tf.zeros((3,)))).shape == (3, 5, 16, 24, 1)


def test_places_are_waves_from_edge_to_edge():
    waves = positions(4, 6)
    assert waves.shape == (4, 6, 16)
    down = (2 * np.arange(4) + 1) / 4 - 1
    across = (2 * np.arange(6) + 1) / 6 - 1
    np.testing.assert_allclose(waves[:, 0, 0], np.sin(np.pi * 0.5 * down), atol=1e-6)
    np.testing.assert_allclose(waves[0, :, 3], np.cos(np.pi * 0.5 * across), atol=1e-6)
    np.testing.assert_allclose(waves[:, 0, 12], np.sin(np.pi * 4 * down), atol=1e-5)
    # No two places are alike.
    flat = np.reshape(waves, (24, 16))
    apart = np.linalg.norm(flat[:, None] - flat[None], axis=-1) + np.eye(24)
    assert apart.min() > 0.1


def test_the_video_is_float32_in_half_precision():
    generator = make(dtype="mixed_bfloat16")
    assert generator(codes()).dtype == tf.float32
