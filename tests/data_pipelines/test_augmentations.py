import functools

import cv2
import numpy as np
import pytest
import scipy.ndimage
import scipy.optimize
import tensorflow as tf

from data_pipelines import augmentations
from data_pipelines.augmentations import AUGMENTATIONS

NAMES = sorted(AUGMENTATIONS)
MOVING = ["flip", "reverse", "speed"]
STRENGTHS = {
    "flip": ["probability"],
    "reverse": ["probability"],
    "brightness": ["gain", "offset"],
    "colour": ["brightness", "contrast", "saturation", "hue"],
    "blur": ["sigma"],
    "noise": ["sigma"],
    "cutout": ["size", "duration"],
    "flicker": ["gain"],
}


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def augmented(name, clip, seed, **strengths):
    return AUGMENTATIONS[name](clip, tf.constant([3, seed]), **strengths)


def rounded(levels):
    """Bytes, halves up."""
    return np.floor(np.clip(levels, 0, 255) + 0.5).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_eager_and_streamed_are_the_same_of_the_same_shape(twice, name, channels):
    clip, function = noise(6, 18, 23, channels), AUGMENTATIONS[name]
    drawn = set()
    for seed in range(4):
        found = twice(function, clip, np.array([7, seed], np.int32))
        assert found.shape == clip.shape and found.dtype == np.uint8
        np.testing.assert_array_equal(function(clip, tf.constant([7, seed])), found)
        drawn.add(found.tobytes())
    assert len(drawn) == (2 if name in ("flip", "reverse") else 4)


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_knows_the_shape(name):
    seed = tf.TensorSpec([2], tf.int32)
    traced = tf.function(AUGMENTATIONS[name]).get_concrete_function(
        tf.TensorSpec([5, 12, 14, 3], tf.uint8), seed
    )
    assert traced.structured_outputs.shape == (5, 12, 14, 3)
    traced = tf.function(AUGMENTATIONS[name]).get_concrete_function(
        tf.TensorSpec([None, None, None, 1], tf.uint8), seed
    )
    assert traced.structured_outputs.shape[1:].as_list()[-1] == 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_without_strength_a_clip_stays_as_it_is(name, channels):
    clip = noise(4, 9, 11, channels)
    strengths = {"slowest": 1, "fastest": 1} if name == "speed" else dict.fromkeys(
        STRENGTHS[name], 0
    )
    for seed in range(5):
        np.testing.assert_array_equal(augmented(name, clip, seed, **strengths), clip)


@pytest.mark.parametrize("name", NAMES)
def test_one_draw_serves_all_frames(name):
    """A clip of one frame over and over: what is left of it is the same in all frames."""
    clip = np.repeat(noise(1, 12, 16, 3), 5, axis=0)
    for seed in range(6):
        found = augmented(name, clip, seed).numpy().astype(int)
        if name == "noise":
            assert (found[0] != found[1]).mean() > 0.1  # another number for each frame
        elif name == "flicker":
            continue  # a gain for each frame: see below
        elif name == "cutout":
            hidden = (found != clip).any((1, 2, 3))
            changed = found[hidden]
            assert (changed == changed[:1]).all() and np.abs(np.diff(hidden)).sum() <= 2
        else:
            assert (found == found[:1]).all()


@pytest.mark.parametrize("name", NAMES)
def test_truth_follows_what_moves_and_stays_under_what_does_not(painted, check_truth, name):
    stream = tf.data.Dataset.from_tensors(painted).repeat(8).enumerate()
    stream = stream.map(
        lambda n, known: AUGMENTATIONS[name](known, tf.stack([3, tf.cast(n, tf.int32)]))
    )
    assert stream.element_spec["masks"].shape == (8, 20, 32)
    changed = 0
    for number, found in enumerate(stream):
        np.testing.assert_array_equal(found["clip"], augmented(name, painted["clip"], number))
        if name in MOVING:
            check_truth(found)
            changed += not np.array_equal(found["boxes"], painted["boxes"])
        else:
            np.testing.assert_array_equal(found["masks"], painted["masks"])
            np.testing.assert_array_equal(found["boxes"], painted["boxes"])
    assert changed >= (2 if name in MOVING else 0)


@pytest.mark.parametrize(("name", "axis"), [("flip", 2), ("reverse", 0)])
def test_half_of_the_draws_turn_the_whole_clip_round(name, axis):
    clip, turned = noise(3, 4, 5, 1), 0
    for seed in range(60):
        found = augmented(name, clip, seed).numpy()
        if np.array_equal(found, np.flip(clip, axis)):
            turned += 1
        else:
            np.testing.assert_array_equal(found, clip)
    assert 18 <= turned <= 42
    np.testing.assert_array_equal(
        augmented(name, clip, 0, probability=1), np.flip(clip, axis)
    )


@pytest.mark.parametrize("factor", [0.5, 0.7, 1.3, 2.0, 3.0])
def test_speed_takes_the_frame_nearest_in_time(factor):
    clip = np.arange(31, dtype=np.uint8).reshape(31, 1, 1, 1)
    found = augmented("speed", clip, 1, slowest=factor, fastest=factor).numpy().ravel()
    assert found.tolist() == [min(int(np.floor(n * factor + 0.5)), 30) for n in range(31)]


def test_speeds_are_drawn_log_uniformly(drawn):
    clip = np.repeat(np.arange(200, dtype=np.uint8), 4).reshape(200, 2, 2, 1)
    last = drawn(lambda seed: augmentations.random_speed(clip, seed)[100, 0, 0, 0], 600)
    octaves = np.log2(last / 100)
    assert octaves.min() >= -1 and octaves.max() <= 1
    shares, _ = np.histogram(octaves, [-1, -0.5, 0, 0.5, 1])
    assert np.abs(shares / 600 - 0.25).max() < 0.06


def test_brightness_is_one_line_for_the_whole_clip():
    levels = np.arange(60, 180, dtype=np.uint8).reshape(2, 6, 10, 1)
    gains, offsets = [], []
    for seed in range(40):
        found = augmented("brightness", levels, seed).numpy()
        gain, offset = np.polyfit(levels.ravel().astype(float), found.ravel().astype(float), 1)
        assert np.abs(found.ravel() - (gain * levels.ravel() + offset)).max() < 0.7
        gains.append(gain - 1)
        offsets.append(offset / 255)
    assert 0.10 < max(np.abs(gains)) <= 0.151
    assert 0.05 < max(np.abs(offsets)) <= 0.085


def affine(clip, found):
    """The matrix and the constant that make `found` of the pixels of `clip`, and the residue."""
    pixels = np.concatenate([clip.reshape(-1, clip.shape[-1]), np.ones((clip.size // 3, 1))], 1)
    solved = np.linalg.lstsq(pixels, found.reshape(-1, found.shape[-1]).astype(float), rcond=None)
    return solved[0][:-1].T, solved[0][-1], np.abs(pixels @ solved[0] - found.reshape(-1, 3)).max()


def test_colour_turns_and_stretches_about_grey():
    # Not so colourful that anything would be clipped.
    clip = (noise(2, 12, 12, 3) // 4 + 96).astype(np.uint8)
    rgb_to_yiq = tf.image.rgb_to_yiq(np.eye(3, dtype=np.float32)).numpy().T
    angles, stretches = [], []
    for seed in range(20):
        found = augmented("colour", clip, seed, brightness=0, contrast=0).numpy()
        matrix, constant, residue = affine(clip, found)
        assert residue < 0.8 and np.abs(constant).max() < 1.5
        # In the plane of colours a turn and a stretch, and none of it in the luma.
        yiq = rgb_to_yiq @ matrix @ np.linalg.inv(rgb_to_yiq)
        stretch, angle = np.hypot(yiq[1, 1], yiq[2, 1]), np.arctan2(yiq[2, 1], yiq[1, 1])
        expected = np.eye(3)
        expected[1:, 1:] = stretch * np.array(
            [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        )
        assert np.abs(yiq - expected).max() < 0.03
        angles.append(angle / 2 / np.pi)
        stretches.append(stretch - 1)
    assert 0.03 < np.max(np.abs(angles)) < 0.053 and np.min(angles) < 0 < np.max(angles)
    assert 0.12 < np.max(np.abs(stretches)) < 0.23 and np.min(stretches) < 0 < np.max(stretches)


@pytest.mark.parametrize("channels", [1, 3])
def test_contrast_stretches_about_the_mean_of_the_clip_and_brightness_from_black(channels):
    clip = np.repeat(noise(3, 10, 10, 1) // 3 + 80, channels, -1)
    contrasts, gains = [], []
    for seed in range(20):
        found = augmented("colour", clip, seed, brightness=0).numpy().astype(float)
        slope, constant = np.polyfit(clip.ravel(), found.ravel(), 1)
        assert slope * clip.mean() + constant == pytest.approx(clip.mean(), abs=0.1)
        contrasts.append(slope - 1)
        found = augmented("colour", clip, seed, contrast=0).numpy().astype(float)
        gain = found.sum() / clip.sum()
        assert np.abs(found - gain * clip).max() < 0.7
        gains.append(gain - 1)
        # What is grey stays grey.
        assert np.ptp(found, axis=-1).max() == 0
    for found in (contrasts, gains):
        assert 0.12 < np.max(np.abs(found)) < 0.205 and np.min(found) < 0 < np.max(found)


@pytest.mark.parametrize("channels", [1, 3])
def test_blur_is_that_of_opencv_and_scipy(channels):
    clip = noise(2, 30, 41, channels)
    drawn = []
    for seed in range(8):
        found = augmented("blur", clip, seed, sigma=2.0).numpy()

        def distance(sigma, found=found):
            frame = cv2.GaussianBlur(clip[0].astype(float), (17, 17), sigma).reshape(30, 41, -1)
            return np.square(frame - found[0]).mean()

        # The sigma that was drawn is the one that explains the clip.
        rough = min(np.arange(0.02, 2.1, 0.02), key=distance)
        sigma = scipy.optimize.minimize_scalar(
            distance, bounds=(rough - 0.019, rough + 0.02), method="bounded"
        ).x
        drawn.append(sigma)
        for number in (0, 1):
            frame = clip[number].astype(float)
            blurred = cv2.GaussianBlur(frame, (17, 17), sigma).reshape(30, 41, -1)
            exact = scipy.ndimage.gaussian_filter(
                frame, (sigma, sigma, 0), mode="mirror", radius=(8, 8, 0)
            )
            for expected in (blurred, exact):
                assert np.abs(found[number] - expected).max() < 0.6
    assert min(drawn) < 0.8 and max(drawn) > 1.4 and max(drawn) <= 2.0


def test_blur_reflects_frames_smaller_than_its_reach():
    clip = noise(1, 2, 3, 1)
    found = augmented("blur", clip, 5, sigma=3.0).numpy()
    differences = [
        np.abs(found[0] - scipy.ndimage.gaussian_filter(
            clip[0].astype(float), (sigma, sigma, 0), mode="mirror", radius=(12, 12, 0)
        )).max()
        for sigma in np.arange(0.01, 3, 0.01)
    ]  # fmt: skip
    assert min(differences) < 0.6
    np.testing.assert_array_equal(
        augmented("blur", np.full((2, 1, 1, 3), 77, np.uint8), 5), np.full((2, 1, 1, 3), 77)
    )


def test_noise_is_gaussian_in_grey_levels_and_of_one_strength_a_clip():
    clip, deviations = np.full((8, 60, 70, 1), 128, np.uint8), []
    for seed in range(12):
        added = augmented("noise", clip, seed, sigma=20).numpy().astype(float) - 128
        deviation = added.std()
        assert abs(added.mean()) < 0.5
        # A Gaussian has 68.3 and 95.4 in 100 within one and two deviations, up to the rounding.
        if deviation > 5:
            assert (np.abs(added) <= deviation).mean() == pytest.approx(0.683, abs=0.06)
            assert (np.abs(added) <= 2 * deviation).mean() == pytest.approx(0.954, abs=0.02)
        assert np.ptp([frame.std() for frame in added]) < 0.1 * deviation + 0.05
        assert abs(np.corrcoef(added[0].ravel(), added[1].ravel())[0, 1]) < 0.1
        deviations.append(deviation)
    assert max(deviations) <= 20.3 and max(deviations) > 13 and min(deviations) < 7


def test_cutout_is_one_tube_of_the_mean_colour():
    clip = noise(10, 20, 30, 3)
    clip[..., 1] //= 2
    fill = rounded(clip.astype(float).mean((0, 1, 2)))
    shapes, begins = [], []
    for seed in range(60):
        found = augmented("cutout", clip, seed, size=0.4, duration=0.6).numpy()
        changed = (found != clip).any(-1)
        places = np.argwhere(changed)
        low, high = places.min(0), places.max(0) + 1
        tube = clip.copy()
        tube[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = fill
        np.testing.assert_array_equal(found, tube)
        shapes.append(high - low)
        begins.append((low, 10 - high[0], 20 - high[1], 30 - high[2]))
    assert np.max(shapes, 0).tolist() == [6, 8, 12] and np.min(shapes) == 1
    # It reaches all edges, of space and of time.
    assert np.min([low for low, *_ in begins], 0).tolist() == [0, 0, 0]
    assert np.min([after for _, *after in begins], 0).tolist() == [0, 0, 0]


def test_flicker_is_a_gain_per_frame_smooth_in_half_of_the_draws():
    clip = np.full((16, 3, 4, 1), 120, np.uint8)
    clip[:, 0] = 60
    smooth, widest = 0, 0.0
    for seed in range(40):
        found = augmented("flicker", clip, seed, gain=0.5).numpy().astype(float)
        gains = found[:, 1, 0, 0] / 120
        # One gain for all pixels of a frame.
        assert np.ptp(found[:, 1:], axis=(1, 2, 3)).max() == 0
        assert np.abs(found[:, 0, 0, 0] - 60 * gains).max() <= 0.76
        widest = max(widest, np.abs(gains - 1).max())
        swing = np.ptp(gains)
        # Three cycles in sixteen frames step by half of the swing and a little at most.
        smooth += np.abs(np.diff(gains)).max() < 0.6 * swing and np.abs(np.diff(gains, 2)).max() < (
            0.72 * swing
        )
    assert 0.35 < widest <= 0.505
    assert 12 <= smooth <= 28


@pytest.mark.parametrize("name", ["brightness", "colour", "flicker"])
def test_levels_are_rounded_and_clipped(name):
    clip = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    strengths = {"brightness": {"offset": 0}, "colour": {"contrast": 0}, "flicker": {}}[name]
    upwards = 0
    for seed in range(20):
        found = augmented(name, clip, seed, **strengths).numpy().ravel().astype(int)
        # The gain from the brightest level that is not clipped.
        level = np.flatnonzero(found < 255)[-1]
        gains = np.linspace((found[level] - 0.5) / level, (found[level] + 0.5) / level, 400)
        upwards += any(np.array_equal(rounded(np.arange(256) * gain), found) for gain in gains)
        assert (np.diff(found) >= 0).all() and found[0] == 0
    assert upwards == 20


@pytest.mark.parametrize(
    ("name", "strengths", "message"),
    [
        ("flip", {"probability": 1.5}, "`probability` must be from 0 to 1. Rec.*: probability=1.5"),
        ("reverse", {"probability": -1}, "`probability` must be from 0 to 1"),
        ("speed", {"slowest": 0}, "`slowest` must be above 0. Received: slowest=0"),
        ("speed", {"slowest": 2, "fastest": 1.5}, "`fastest` must be at least `slowest`, 2."),
        ("speed", {"fastest": float("nan")}, "`fastest` must be at least"),
        ("brightness", {"gain": -0.1}, "`gain` must be from 0 to 1. Received: gain=-0.1"),
        ("brightness", {"offset": 30}, "`offset` must be from 0 to 1. Received: offset=30"),
        ("colour", {"saturation": 2}, "`saturation` must be from 0 to 1"),
        ("colour", {"hue": 0.6}, "`hue` must be from 0 to 0.5. Received: hue=0.6"),
        ("blur", {"sigma": -1}, "`sigma` must be at least 0. Received: sigma=-1"),
        ("noise", {"sigma": "loud"}, "`sigma` must be at least 0. Received: sigma='loud'"),
        ("noise", {"sigma": float("inf")}, "`sigma` must be at least 0"),
        ("cutout", {"size": 1.1}, "`size` must be from 0 to 1"),
        ("cutout", {"duration": None}, "`duration` must be from 0 to 1. Received: duration=None"),
        ("flicker", {"gain": 2}, "`gain` must be from 0 to 1. Received: gain=2"),
    ],
)  # fmt: skip
def test_a_strength_that_breaks_its_rule_is_named(name, strengths, message):
    with pytest.raises(ValueError, match=message):
        augmented(name, noise(2, 4, 4, 1), 0, **strengths)


def test_what_is_no_clip_of_bytes_is_named():
    with pytest.raises(ValueError, match="must be uint8. Received: dtype float32"):
        augmented("noise", np.zeros((2, 4, 4, 1), np.float32), 0)
    with pytest.raises(ValueError, match="`clip` must have 1 or 3 channels"):
        augmented("colour", noise(2, 4, 4, 2), 0)
    with pytest.raises(ValueError, match=r"a dict of \['clip', 'label'\]"):
        augmented("noise", {"clip": noise(2, 4, 4, 1), "label": 3}, 0)


def test_find_takes_names_and_functions():
    assert augmentations.find("speed") is augmentations.random_speed
    assert augmentations.find(len) is len
    with pytest.raises(ValueError, match=r"names of \['blur', .*'speed'\]. Received: 'warp'"):
        augmentations.find("warp")


def test_an_augmentation_says_how_many_frames_it_needs():
    speed, needed = augmentations.random_speed, augmentations.frames_needed
    assert needed([augmentations.random_flip, augmentations.random_noise], 16) == 16
    assert needed([augmentations.random_flip, speed], 16) == 31
    assert needed([functools.partial(speed, slowest=0.25, fastest=0.5)], 16) == 16
    assert needed([functools.partial(functools.partial(speed, fastest=3), slowest=1)], 5) == 13
    # The first gives the second what that needs.
    assert needed([speed, speed], 3) == 9
    assert needed([speed], 1) == 1

    def later(clip, seed):
        return tf.roll(clip, -2, 0)

    later.frames_needed = lambda frames: frames + 2
    assert needed([later, speed], 4) == 9
    with pytest.raises(ValueError, match="`fastest` must be at least"):
        needed([functools.partial(speed, fastest=0.1)], 4)


@pytest.mark.parametrize("fastest", [1.0, 1.37, 2.0, 3.5])
def test_of_the_frames_needed_none_stands_still(fastest):
    speed = functools.partial(augmentations.random_speed, slowest=fastest, fastest=fastest)
    for frames in (1, 2, 7, 16):
        longer = augmentations.frames_needed([speed], frames)
        clip = np.arange(longer, dtype=np.uint8).reshape(longer, 1, 1, 1)
        found = augmentations.apply(clip, [speed], tf.constant([[0, 1]]), frames).numpy().ravel()
        assert found.tolist() == [int(np.floor(n * fastest + 0.5)) for n in range(frames)]
        assert found[-1] == longer - 1


def test_apply_cuts_each_time_to_what_the_others_need(painted, check_truth):
    speed = functools.partial(augmentations.random_speed, slowest=2, fastest=2)
    reverse = functools.partial(augmentations.random_reverse, probability=1)
    seeds = tf.constant([[0, 1], [0, 2]])
    found = augmentations.apply(painted, [speed, reverse], seeds, 4)
    # Cut before it is reversed: else it would begin with the last frame, standing still.
    np.testing.assert_array_equal(found["clip"], painted["clip"][[6, 4, 2, 0]])
    check_truth(found)
    found = augmentations.apply(painted, [reverse, speed], seeds, 4)
    np.testing.assert_array_equal(found["clip"], painted["clip"][[6, 4, 2, 0]])
    check_truth(found)
    # What is more than needed is not used.
    found = augmentations.apply(painted, [reverse], seeds, 3)
    np.testing.assert_array_equal(found["clip"], painted["clip"][2::-1])
    with pytest.raises(ValueError, match="`clip` must have 9 frames for 5 to be left of it. Rec"):
        augmentations.apply(painted, [speed, reverse], seeds, 5)
