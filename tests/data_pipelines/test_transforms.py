import cv2
import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import transforms


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def triangle_weights(old, new):
    """Antialiased bilinear weights, one row per new pixel, as the definition says."""
    scale = old / new
    width = max(scale, 1.0)
    weights = np.zeros((new, old))
    for row in range(new):
        centre = (row + 0.5) * scale
        for column in range(old):
            weights[row, column] = max(0.0, 1 - abs(column + 0.5 - centre) / width)
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("size", [(16, 24), (30, 40), (47, 21)])
@pytest.mark.parametrize("channels", [1, 3])
def test_resize_is_antialiased_bilinear(twice, size, channels):
    frames = noise(2, 30, 40, channels)
    found = twice(lambda f: transforms.resize(f, size), frames)
    rows, columns = triangle_weights(30, size[0]), triangle_weights(40, size[1])
    expected = np.einsum("ij,tjkc,lk->tilc", rows, frames.astype(float), columns)
    assert found.dtype == np.uint8
    assert np.abs(found - expected).max() <= 0.51


def test_resize_enlarges_as_opencv():
    frames = noise(1, 12, 10, 1)
    found = transforms.resize(frames, (24, 30)).numpy()[0, ..., 0]
    expected = cv2.resize(frames[0, ..., 0], (30, 24), interpolation=cv2.INTER_LINEAR)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_resize_keeps_leading_axes_and_static_shape():
    assert transforms.resize(noise(2, 3, 12, 10, 3), (6, 5)).shape == (2, 3, 6, 5, 3)
    assert transforms.resize(noise(12, 10, 1), (6, 5)).shape == (6, 5, 1)


def test_grey_is_opencvs_to_one_level(twice):
    frames = noise(3, 9, 8, 3)
    found = twice(transforms.to_grey, frames)
    expected = np.stack([cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in frames])[..., None]
    assert np.abs(found.astype(int) - expected).max() <= 1
    exact = np.floor(frames @ np.array([0.299, 0.587, 0.114]) + 0.5)[..., None]
    # float32 may fall on the other side of a half.
    assert (found != exact).mean() < 0.01


def test_equal_channels_are_their_own_grey():
    frames = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), 3, axis=-1)
    np.testing.assert_array_equal(transforms.to_grey(frames), frames[..., :1])


def test_grey_becomes_colour_by_repeating(twice):
    frames = noise(2, 4, 4, 1)
    np.testing.assert_array_equal(
        twice(lambda f: transforms.to_channels(f, 3), frames), np.repeat(frames, 3, -1)
    )


def test_prepare_is_grey_then_resize(twice):
    frames = noise(2, 20, 30, 3)
    expected = transforms.resize(transforms.to_grey(frames), (10, 12))
    np.testing.assert_array_equal(
        twice(lambda f: transforms.prepare(f, (10, 12), 1), frames), expected
    )


def test_bytes_and_floats_are_each_others_inverse(twice):
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    floats = twice(transforms.to_float, levels)
    np.testing.assert_allclose(floats, levels / 255.0, rtol=1e-6)
    assert floats.dtype == np.float32
    np.testing.assert_array_equal(twice(transforms.to_bytes, floats), levels)
    assert transforms.to_bytes([-0.3, 1.7, 0.5]).numpy().tolist() == [0, 255, 128]


def test_levels_are_rounded_halves_up_and_clipped(twice):
    levels = np.array([0.5, 1.5, 2.5, 2.49, -3.0, 254.5, 300.0], np.float32)
    assert twice(transforms.rounded, levels).tolist() == [1, 2, 3, 2, 0, 255, 255]


def test_center_crop_is_slicing(twice):
    clip = noise(3, 20, 30, 1)
    found = twice(lambda c: transforms.center_crop(c, (8, 10)), clip)
    np.testing.assert_array_equal(found, clip[:, 6:14, 10:20])


def place_of(cut, clip):
    """Top and left of a crop of a clip whose pixels are all different."""
    height, width = clip.shape[1:3]
    for top in range(height - cut.shape[1] + 1):
        for left in range(width - cut.shape[2] + 1):
            if np.array_equal(clip[:, top : top + cut.shape[1], left : left + cut.shape[2]], cut):
                return top, left
    raise AssertionError("the crop is no part of the clip")


@pytest.mark.parametrize("name", ["random_crop", "motion_crop"])
def test_crops_are_one_rectangle_of_all_frames(twice, name):
    function, clip = getattr(transforms, name), noise(4, 16, 24, 1)
    places = set()
    twice(lambda c, s: function(c, (8, 8), s), clip, np.array([3, 0], np.int32))
    for seed in range(12):
        places.add(place_of(function(clip, (8, 8), tf.constant([3, seed])).numpy(), clip))
    assert len(places) > 6


def test_random_crops_reach_every_place_alike(drawn):
    clip = np.arange(5 * 4, dtype=np.uint8).reshape(1, 5, 4, 1)
    cuts = drawn(lambda seed: transforms.random_crop(clip, (3, 3), seed), 1500)
    _, counts = np.unique(cuts[:, 0, 0, 0, 0], return_counts=True)
    assert len(counts) == 3 * 2
    assert np.abs(counts / 1500 - 1 / 6).max() < 0.04


def test_motion_energy_is_the_mean_square_per_cell(twice):
    clip = noise(7, 20, 27, 3)
    shown = clip[[0, 3, 6]].astype(float)
    squares = np.pad(np.square(np.diff(shown, axis=0)).mean((0, -1)), [(0, 4), (0, 5)])
    expected = squares.reshape(3, 8, 4, 8).mean((1, 3))
    np.testing.assert_allclose(twice(transforms.motion_energy, clip), expected, rtol=1e-4)


def test_motion_crops_are_drawn_in_proportion_to_motion(drawn):
    # Two places move, the squared change of one three times that of the other.
    clip = np.full((3, 64, 96, 1), 100, np.uint8)
    clip[1, 8:16, 16:24] += 60
    clip[1, 40:48, 72:80] += 35
    marked = np.zeros((3, 64, 96, 1), np.uint8)
    marked[0, 8:16, 16:24], marked[0, 40:48, 72:80] = 1, 2
    # A channel that stands still carries the number of the place into the crop.
    coded = np.concatenate([clip, np.broadcast_to(marked[:1], clip.shape), clip], -1)
    energy = transforms.motion_energy(coded).numpy()
    weights = energy + 0.1 * energy.mean() + 1e-6
    cuts = drawn(lambda seed: transforms.motion_crop(coded, (1, 1), seed), 1500)[:, 0, 0, 0, 1]
    share = weights / weights.sum()
    assert (cuts == 1).mean() == pytest.approx(share[1, 2], abs=0.04)
    assert (cuts == 2).mean() == pytest.approx(share[5, 9], abs=0.04)
    assert 0 < (cuts == 0).mean() < 0.2


def test_motion_crops_stay_in_the_frame_where_the_edge_moves():
    clip = np.zeros((2, 20, 20, 1), np.uint8)
    clip[1, :4, 16:] = 200
    cut = transforms.motion_crop(clip, (20, 16), tf.constant([0, 1])).numpy()
    assert cut.shape == (2, 20, 16, 1) and cut[1].max() == 200


def test_motion_crops_of_a_still_clip_go_everywhere():
    clip = np.broadcast_to(np.arange(64, dtype=np.uint8).reshape(1, 1, 64, 1), (2, 8, 64, 1))
    lefts = {int(transforms.motion_crop(clip, (8, 8), tf.constant([1, s]))[0, 0, 0, 0])
             for s in range(40)}
    assert min(lefts) < 10 and max(lefts) > 45


@pytest.mark.parametrize(
    "crop",
    [
        lambda clip, seed: transforms.center_crop(clip, (12, 16)),
        lambda clip, seed: transforms.random_crop(clip, (6, 8), seed),
        lambda clip, seed: transforms.motion_crop(clip, (8, 8), seed),
    ],
)
def test_masks_and_boxes_are_cropped_with_the_clip(painted, check_truth, crop):
    check_truth(painted)
    stream = tf.data.Dataset.from_tensors(painted).repeat(12).enumerate()
    stream = stream.map(lambda n, known: crop(known, tf.stack([1, tf.cast(n, tf.int32)])))
    places = set()
    for number, found in enumerate(stream):
        check_truth(found)
        alone = crop(painted["clip"], tf.constant([1, number]))
        np.testing.assert_array_equal(found["clip"], alone)
        places.add(found["boxes"].numpy().tobytes())
    assert stream.element_spec["masks"].shape == stream.element_spec["clip"].shape[:3]
    # The crop in the middle is always the same one.
    assert len(places) == 1 or len(places) > 5


def test_masks_may_be_bytes_and_a_box_outside_the_crop_is_empty():
    known = {
        "clip": noise(1, 8, 8, 1),
        "masks": noise(1, 8, 8),
        "boxes": np.float32([[[0, 0, 2, 8], [0, 0, 4, 4], [1, 1, 7, 3], [3, 5, 5, 9]]]),
    }
    found = transforms.crop(known, 2, 3, (4, 4))
    np.testing.assert_array_equal(found["clip"], known["clip"][:, 2:6, 3:7])
    np.testing.assert_array_equal(found["masks"], known["masks"][:, 2:6, 3:7])
    expected = [[0, 0, 0, 0], [0, 0, 2, 1], [0, 0, 0, 0], [1, 2, 3, 4]]
    np.testing.assert_array_equal(found["boxes"], [expected])


@pytest.mark.parametrize(
    "function,message",
    [
        (lambda: transforms.to_grey(np.zeros((2, 2, 3), np.float32)), "must be uint8.*float32"),
        (lambda: transforms.to_grey(noise(2, 2, 4)), "must have 1 or 3 channels"),
        (lambda: transforms.to_channels(noise(2, 2, 3), 2), "`channels` must be 1 or 3"),
        (lambda: transforms.to_float(np.zeros(3, np.float32)), "must be uint8"),
        (lambda: transforms.crop({"clip": 0, "labels": 1}, 0, 0, (1, 1)),
         r"`clip` must be .* Received: a dict of \['clip', 'labels'\]"),
        (lambda: transforms.center_crop({"masks": 1}, (1, 1)), r"a dict of \['masks'\]"),
    ],
)
def test_what_breaks_a_rule_is_named(function, message):
    with pytest.raises(ValueError, match=message):
        function()
