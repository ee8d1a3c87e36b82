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
@pytest.mark.parametrize("static", [True, False])
def test_the_past_is_given_back_and_the_rest_predicted(shape, static):
    clip = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    spec = shape if static else [None] * (len(shape) - 1) + [shape[-1]]
    stream = tf.data.Dataset.from_generator(
        lambda: iter([clip]), output_signature=tf.TensorSpec(spec, tf.uint8)
    )
    stream = stream.map(tasks.reconstruct_and_predict(frames=2))
    if static:
        shapes = [part.shape[-4] for part in tf.nest.flatten(stream.element_spec)]
        assert shapes == [5, 2, 5]  # context, then by name: prediction, reconstruction
    context, targets = next(iter(stream))
    assert sorted(targets) == ["prediction", "reconstruction"]
    np.testing.assert_array_equal(context, clip[..., :5, :, :, :])
    np.testing.assert_array_equal(targets["reconstruction"], clip[..., :5, :, :, :])
    np.testing.assert_array_equal(targets["prediction"], clip[..., 5:, :, :, :])


def test_to_generate_takes_clips_with_and_without_a_label():
    clip = tf.random.stateless_uniform([2, 5, 4, 4, 1], [0, 0])
    label = tf.constant([3, 1])
    for stream in (tf.data.Dataset.from_tensors((clip, label)), tf.data.Dataset.from_tensors(clip)):
        inputs, targets = next(iter(stream.map(tasks.generate())))
        np.testing.assert_array_equal(inputs.pop("clip"), clip)
        np.testing.assert_array_equal(targets, clip)
        if isinstance(stream.element_spec, tuple):
            np.testing.assert_array_equal(inputs.pop("label"), label)
        assert inputs == {}


def test_what_breaks_a_rule_is_named():
    with pytest.raises(ValueError, match="`frames` must be at least 1. Received: frames=0"):
        tasks.predict_ahead(0)
    with pytest.raises(ValueError, match="`frames` must be at least 1. Received: frames=-1"):
        tasks.reconstruct_and_predict(-1)
    for task in (tasks.predict_ahead(4), tasks.reconstruct_and_predict(4)):
        with pytest.raises(ValueError, match="more than the 4 frames .* Received: 4 frames"):
            task(tf.zeros([4, 8, 8, 1]))
