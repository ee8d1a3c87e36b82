import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import tasks


@pytest.mark.parametrize("shape", [(7, 4, 4, 1), (3, 7, 4, 4, 3)])
@pytest.mark.parametrize("ahead", [1, 4])
def test_targets_are_the_frames_ahead(shape, ahead):
    clip = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    for dataset in (False, True):
        split = tasks.predict_ahead(ahead)
        if dataset:
            stream = tf.data.Dataset.from_generator(
                lambda: iter([clip]),
                output_signature=tf.TensorSpec([None] * (clip.ndim - 1) + [shape[-1]], tf.uint8),
            )
            inputs, targets = next(iter(stream.map(split)))
        else:
            inputs, targets = split(tf.constant(clip))
        np.testing.assert_array_equal(inputs, clip)
        assert targets.shape == (*shape[:-4], 7 - ahead, ahead, *shape[-3:])
        for t in range(7 - ahead):
            for k in range(ahead):
                np.testing.assert_array_equal(
                    targets[..., t, k, :, :, :], clip[..., t + k + 1, :, :, :]
                )


def test_reconstruct_gives_the_clip_back():
    clip = tf.random.stateless_uniform([5, 4, 4, 1], [0, 0])
    inputs, targets = tasks.reconstruct()(clip)
    np.testing.assert_array_equal(inputs, clip)
    np.testing.assert_array_equal(targets, clip)


@pytest.mark.parametrize("shape", [(7, 4, 4, 1), (3, 7, 4, 4, 3)])
def test_the_first_frames_are_given_back_and_the_last_predicted(shape):
    clip = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    context, targets = tasks.reconstruct_and_predict(3)(tf.constant(clip))
    np.testing.assert_array_equal(context, clip[..., :4, :, :, :])
    np.testing.assert_array_equal(targets["reconstruction"], context)
    np.testing.assert_array_equal(targets["prediction"], clip[..., 4:, :, :, :])
    with pytest.raises(ValueError, match="more than the 7 frames .* Received: 7 frames"):
        tasks.reconstruct_and_predict(7)(tf.constant(clip))


def test_what_breaks_a_rule_is_named():
    with pytest.raises(ValueError, match="`frames` must be at least 1. Received: frames=0"):
        tasks.predict_ahead(0)
    with pytest.raises(ValueError, match="more than the 4 frames .* Received: 4 frames"):
        tasks.predict_ahead(4)(tf.zeros([4, 8, 8, 1]))
