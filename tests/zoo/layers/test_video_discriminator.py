"""Verdicts on frames and videos, and how the class enters them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.layers.video_discriminator import ClipEncoder, VideoDiscriminator

RNG = np.random.default_rng(0)
CLIP = RNG.uniform(size=(3, 7, 16, 24, 1)).astype("float32")


@pytest.fixture(scope="module")
def discriminator():
    keras.utils.set_random_seed(0)
    discriminator = VideoDiscriminator(
        1, 2, (4, 5, 6), (3, 4, 5), spectral_norm=True, names_class=True
    )
    discriminator.build()
    return discriminator


def judged(discriminator, labels=(0, 1, 2), clip=CLIP, frames=CLIP[:, [1, 4]]):
    videos = {"clip": clip, "frames": frames, "label": tf.constant(labels)}
    return [np.asarray(verdict) for verdict in discriminator(videos)["verdicts"]]


def test_frames_and_videos_are_judged_apart(discriminator):
    of_frames, of_video = judged(discriminator)
    # Places at 1/8 of two frames; of seven frames two steps, at 1/16.
    assert of_frames.shape == (3, 2 * 2 * 3) and of_video.shape == (3, 2 * 1 * 2)
    other_frames, same_video = judged(discriminator, frames=CLIP[:, [2, 4]])
    np.testing.assert_array_equal(same_video, of_video)
    assert np.all(other_frames[:, :6] != of_frames[:, :6])
    np.testing.assert_allclose(other_frames[:, 6:], of_frames[:, 6:], rtol=1e-4)
    still, moved = judged(discriminator, clip=CLIP[:, ::-1].copy())
    np.testing.assert_array_equal(still, of_frames)
    assert np.all(moved != of_video)


def test_a_place_is_judged_by_what_is_about_it(discriminator):
    frames = np.repeat(CLIP[:, :1], 2, axis=1)
    altered = frames.copy()
    altered[:, 1, :4, :4] = 1 - altered[:, 1, :4, :4]
    (before, _), (after, _) = (judged(discriminator, frames=each) for each in (frames, altered))
    changed = (before != after).reshape(3, 2, 2, 3).any(axis=0)
    assert not changed[0].any() and changed[1, 0, 0] and not changed[1, :, 2].any()


def test_the_class_is_read_off_the_whole_video(discriminator):
    videos = {"clip": CLIP, "frames": CLIP[:, :2], "label": tf.constant([0, 1, 2])}
    found = discriminator(videos)["classes"]
    assert found.shape == (3, 2) and found.dtype == tf.float32
    # By what is seen: not by what is told.
    other = discriminator({**videos, "label": tf.constant([2, 2, 2])})["classes"]
    np.testing.assert_array_equal(found, other)
    for frame in (0, 6):
        altered = CLIP.copy()
        altered[:, frame] = 1 - altered[:, frame]
        assert np.all(discriminator({**videos, "clip": altered})["classes"] != found)
    plain = VideoDiscriminator(1, 2, (4, 5, 6), (3, 4, 5), spectral_norm=True)
    plain.build()
    assert set(plain(videos)) == {"verdicts"}
    assert len(discriminator.weights) == len(plain.weights) + 2


def test_the_class_enters_by_projection(discriminator):
    """Miyato and Koyama: verdicts of two classes differ by (e_y - e_z)'f."""
    for head, place in ((discriminator.frame_head, 0), (discriminator.video_head, 1)):
        features = RNG.normal(size=(3, head.class_vectors.shape[1])).astype("float32")
        vectors = np.asarray(head.class_vectors)
        kernel = np.asarray(head.verdict.kernel)[:, 0]
        for label in range(3):
            expected = features @ (kernel + vectors[label])
            verdict = head(features[:, None], tf.fill((3,), label))[:, 0]
            np.testing.assert_allclose(verdict, expected, rtol=1e-4, atol=1e-5)
        first, second = judged(discriminator, (0, 0, 0))[place], judged(discriminator, (1, 1, 1))
        assert np.all(first != second[place])


def test_norms_are_kept_in_training_alone(discriminator):
    videos = {"clip": CLIP, "frames": CLIP[:, :2], "label": tf.constant([0, 1, 2])}
    vectors = [w for w in discriminator.weights if "left_vector" in w.path]
    # Three convolutions and one over time, the last, and three of the discriminator of frames.
    assert len(vectors) == 8
    before = [np.asarray(vector) for vector in vectors]
    discriminator(videos)
    assert all(np.array_equal(a, b) for a, b in zip(before, vectors, strict=True))
    discriminator(videos, training=True)
    assert all(np.any(a != np.asarray(b)) for a, b in zip(before, vectors, strict=True))


def test_the_trunk_gives_half_the_frames_each_of_what_is_about_it():
    encoder = ClipEncoder(1, (4, 5, 6), spectral_norm=False)
    encoder.build()
    grid = np.asarray(encoder(CLIP))
    assert grid.shape == (3, 4, 2, 3, 6) and grid.dtype == np.float32
    assert encoder.compute_output_shape(CLIP.shape) == grid.shape
    altered = CLIP.copy()
    altered[:, 5] = 1 - altered[:, 5]
    changed = np.any(np.asarray(encoder(altered)) != grid, axis=(0, 2, 3, 4))
    # Frame 5 enters at frame 4 as the one after, at frame 6 as the one before.
    np.testing.assert_array_equal(changed, [False, False, True, True])
    with pytest.raises(ValueError, match="height of `clip` must be a multiple of 8"):
        encoder(CLIP[:, :, :9])
