"""Changes of a clip that training draws anew each time: pure functions `(clip, seed) -> clip`.

Each gives a clip of the same shape, draws once per clip from a stateless seed, and runs eagerly and
inside `tf.data` or any other graph. How strongly it changes a clip is set by arguments:

    load("footage/", augment=("flip", functools.partial(random_noise, sigma=4.0)))

Truth follows: in the place of a clip each takes a dict of the clip with its masks and boxes, as of
`transforms.move`, and gives such a dict. What moves pixels or frames (flip, reverse, speed, and the
crops of `transforms`) moves them by the one draw; of the others they are left as they are.
"""

import functools
import math
import numbers

import numpy as np
import tensorflow as tf

from data_pipelines import transforms

# Rows: luma, then two axes of colour, of equal length for colours that look equally strong (NTSC).
_YIQ = np.array(
    [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], np.float32
)

# A Gaussian is cut off at this many sigma, where it has fallen below a thousandth.
_SIGMAS = 4

# Cycles of a smooth flicker in one clip, at least and at most.
_CYCLES = (0.5, 3.0)


def random_flip(clip, seed, probability=0.5):
    """Mirrors the whole clip left to right.

    Not for a scene in which the direction of movement carries the meaning.

    Args:
        clip: `(time, height, width, channels)`, or a dict with its truth.
        seed: int32 `(2,)`, stateless.
        probability: Share of the draws that mirror.

    Returns:
        The clip or its mirror image, same shape and dtype.

    Raises:
        ValueError: `probability` is not from 0 to 1.
    """
    _check("probability", probability, most=1)
    mirrored = tf.random.stateless_uniform([], seed) < probability
    width = tf.cast(transforms.frame_size(clip)[1], tf.float32)

    def flip(boxes):
        top, left, bottom, right = tf.unstack(boxes, axis=-1)
        return tf.stack([top, width - right, bottom, width - left], -1)

    return transforms.move(
        clip,
        lambda frames: tf.cond(mirrored, lambda: tf.reverse(frames, [2]), lambda: frames),
        lambda boxes: tf.where(mirrored, flip(boxes), boxes),
    )


def random_reverse(clip, seed, probability=0.5):
    """Plays the whole clip backwards.

    Not where the order of what happens carries the meaning: who falls, who gets up.

    Args:
        clip: `(time, height, width, channels)`, or a dict with its truth.
        seed: int32 `(2,)`, stateless.
        probability: Share of the draws that reverse.

    Returns:
        The clip or its frames from last to first, same shape and dtype.

    Raises:
        ValueError: `probability` is not from 0 to 1.
    """
    _check("probability", probability, most=1)
    reversed_ = tf.random.stateless_uniform([], seed) < probability

    def frames_of(part):
        return tf.cond(reversed_, lambda: tf.reverse(part, [0]), lambda: part)

    return transforms.move(clip, frames_of, frames_of)


def random_speed(clip, seed, slowest=0.5, fastest=2.0):
    """Plays the clip slower or faster, from its first frame on, by the frame nearest in time.

    Played faster a clip ends before its frames do; the last frame then stands still to the end.
    So that none does, `load` and `apply` supply a longer clip, of as many frames as `frames_needed`
    says, and cut it back.

    Args:
        clip: `(time, height, width, channels)`, or a dict with its truth.
        seed: int32 `(2,)`, stateless.
        slowest: Smallest factor of the speed, above 0; 0.5 shows each frame twice.
        fastest: Largest factor, not below `slowest`; 2 leaves every other frame out. Between the
            two it is drawn log-uniformly: half and double speed are equally likely.

    Returns:
        The frames at the new speed, same shape and dtype.

    Raises:
        ValueError: `slowest` is not above 0, or `fastest` is below it.

    Example:
        >>> clip = tf.reshape(tf.range(6), [6, 1, 1, 1])
        >>> tf.reshape(random_speed(clip, [0, 1], slowest=2, fastest=2), [-1]).numpy().tolist()
        [0, 2, 4, 5, 5, 5]
    """
    _check_speeds(slowest, fastest)
    draw = tf.random.stateless_uniform([], seed)
    factor = slowest * tf.exp(draw * math.log(fastest / slowest))

    def play(part):
        time = part.shape[0] or tf.shape(part)[0]
        numbers_ = tf.floor(tf.cast(tf.range(time), tf.float32) * factor + 0.5)
        numbers_ = tf.minimum(tf.cast(numbers_, tf.int32), time - 1)
        return tf.ensure_shape(tf.gather(part, numbers_), part.shape)

    return transforms.move(clip, play, play)


def _frames_to_play(frames, slowest=0.5, fastest=2.0):
    _check_speeds(slowest, fastest)
    # Halves go up, as in the frames taken; one frame alone needs no other.
    return math.floor((frames - 1) * fastest + 0.5) + 1


random_speed.frames_needed = _frames_to_play


def _leaves_truth(function):
    """Lets an augmentation that moves nothing take a dict as well, and leave the truth in it."""

    @functools.wraps(function)
    def augment(clip, seed, *strengths, **named):
        pixels = transforms.check_bytes(transforms.pixels_of(clip))
        changed = tf.ensure_shape(function(pixels, seed, *strengths, **named), pixels.shape)
        return {**clip, "clip": changed} if isinstance(clip, dict) else changed

    return augment


@_leaves_truth
def random_brightness(clip, seed, gain=0.15, offset=0.08):
    """Changes contrast and brightness as a camera's exposure does, once for the whole clip.

    Args:
        clip: uint8 `(time, height, width, channels)`, or a dict with its truth.
        seed: int32 `(2,)`, stateless.
        gain: Values are multiplied by 1 plus a number drawn from [-gain, gain]; at most 1.
        offset: Then a number drawn from [-offset, offset] of full white is added; at most 1.

    Returns:
        uint8 of the same shape, rounded and clipped.

    Raises:
        ValueError: `gain` or `offset` is not from 0 to 1.
    """
    _check("gain", gain, most=1)
    _check("offset", offset, most=1)
    draw = tf.random.stateless_uniform([2], seed, -1.0, 1.0)
    values = tf.cast(clip, tf.float32)
    return transforms.rounded(values * (1.0 + gain * draw[0]) + 255.0 * offset * draw[1])


@_leaves_truth
def random_colour(clip, seed, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05):
    """Jitters brightness, contrast, saturation and hue, once for the whole clip.

    A grey clip has neither saturation nor hue: only its brightness and contrast change.

    With `y` the luma of a pixel and `m` the mean luma of the clip, colours are turned about grey
    and stretched (`c = y + saturation * turned(pixel - y)`, in the plane of colours of YIQ, which
    leaves `y`), then `brightness * (m + contrast * (c - m))`.

    Args:
        clip: uint8 `(time, height, width, 1 or 3)`, or a dict with its truth.
        seed: int32 `(2,)`, stateless.
        brightness: The factor is drawn from [1 - brightness, 1 + brightness]; at most 1.
        contrast: The same.
        saturation: The same.
        hue: Colours turn by a part of the whole circle drawn from [-hue, hue]; at most 0.5.

    Returns:
        uint8 of the same shape, rounded and clipped.

    Raises:
        ValueError: A strength is out of its range; the channels are neither 1 nor 3.
    """
    for name, value in (("brightness", brightness), ("contrast", contrast),
                        ("saturation", saturation)):  # fmt: skip
        _check(name, value, most=1)
    _check("hue", hue, most=0.5)
    if clip.shape[-1] not in (1, 3):
        raise ValueError(f"`clip` must have 1 or 3 channels. Received: shape {clip.shape}")
    draw = tf.random.stateless_uniform([4], seed, -1.0, 1.0)
    gain, stretch = 1.0 + brightness * draw[0], 1.0 + contrast * draw[1]
    values, mean = tf.cast(clip, tf.float32), tf.cast(_mean(clip), tf.float32)
    if clip.shape[-1] == 3:
        turn = _turning(1.0 + saturation * draw[2], 2.0 * math.pi * hue * draw[3])
        pixels = tf.linalg.matmul(tf.reshape(values, [-1, 3]), turn, transpose_b=True)
        values = tf.reshape(pixels, tf.shape(clip))
        mean = tf.reduce_sum(mean * _YIQ[0])
    return transforms.rounded(gain * (mean + stretch * (values - mean)))


@_leaves_truth
def random_blur(clip, seed, sigma=1.5):
    """Blurs all frames by one Gaussian, as a lens out of focus does; edges are reflected.

    Args:
        clip: uint8 `(time, height, width, channels)`, or a dict with its truth.
        seed: int32 `(2,)`, stateless.
        sigma: Standard deviations are drawn from [0, sigma], in pixels.

    Returns:
        uint8 of the same shape, rounded.

    Raises:
        ValueError: `sigma` is below 0.
    """
    _check("sigma", sigma)
    radius = math.ceil(_SIGMAS * sigma)
    # Not 0: nothing over nothing. At a thousandth of a pixel no neighbour has any weight.
    drawn = tf.maximum(sigma * tf.random.stateless_uniform([], seed), 1e-3)
    offsets = tf.range(-radius, radius + 1)
    weights = tf.exp(-tf.square(tf.cast(offsets, tf.float32) / drawn) / 2.0)
    weights = weights / tf.reduce_sum(weights)
    values = tf.cast(clip, tf.float32)
    channels = clip.shape[-1]
    for axis, shape in ((1, [-1, 1, 1, 1]), (2, [1, -1, 1, 1])):
        length = transforms.frame_size(clip)[axis - 1]
        values = tf.gather(values, _reflected(length, radius), axis=axis)
        kernel = tf.tile(tf.reshape(weights, shape), [1, 1, channels, 1])
        values = tf.nn.depthwise_conv2d(values, kernel, [1, 1, 1, 1], "VALID")
    return transforms.rounded(values)


@_leaves_truth
def random_noise(clip, seed, sigma=8.0):
    """Adds Gaussian noise, another number to each pixel and channel of each frame.

    Args:
        clip: uint8 `(time, height, width, channels)`, or a dict with its truth.
        seed: int32 `(2,)`, stateless.
        sigma: The standard deviation of the noise, one for the whole clip, is drawn from
            [0, sigma], in grey levels.

    Returns:
        uint8 of the same shape, rounded and clipped.

    Raises:
        ValueError: `sigma` is below 0.

    Example:
        >>> clip = tf.fill([2, 8, 8, 1], tf.constant(128, tf.uint8))
        >>> int(tf.reduce_max(random_noise(clip, [0, 1], sigma=0.1)))
        128
    """
    _check("sigma", sigma)
    # Two seeds: of one, how strong the noise is would hang on its first number.
    strength, pixels = tf.unstack(tf.random.split(seed, 2))
    drawn = sigma * tf.random.stateless_uniform([], strength)
    noise = tf.random.stateless_normal(tf.shape(clip), pixels)
    return transforms.rounded(tf.cast(clip, tf.float32) + drawn * noise)


@_leaves_truth
def random_cutout(clip, seed, size=0.5, duration=0.5):
    """Hides one rectangle for some of the time, a tube, under the mean colour of the clip.

    Height, width and duration are drawn from one pixel, or frame, up to the strengths, the place
    uniformly from where the tube fits. Masks and boxes under it stay.

    Args:
        clip: uint8 `(time, height, width, channels)`, or a dict with its truth.
        seed: int32 `(2,)`, stateless.
        size: Largest height and width, as shares of those of the frame, at most 1.
        duration: Largest number of frames, as a share of those of the clip, at most 1.

    Returns:
        uint8 of the same shape.

    Raises:
        ValueError: `size` or `duration` is not from 0 to 1.
    """
    _check("size", size, most=1)
    _check("duration", duration, most=1)
    draw = tf.random.stateless_uniform([3, 2], seed)
    hidden, lengths = True, tf.shape(clip)
    for axis, share in enumerate((duration, size, size)):
        most = _floor(share * tf.cast(lengths[axis], tf.float32) + 0.5)
        # A float32 draw close to 1 may round up to the number itself.
        length = tf.minimum(1 + _floor(draw[axis, 0] * tf.cast(most, tf.float32)), most)
        places = lengths[axis] - length + 1
        begin = tf.minimum(_floor(draw[axis, 1] * tf.cast(places, tf.float32)), places - 1)
        along = tf.range(lengths[axis])
        inside = (along >= begin) & (along < begin + length)
        hidden &= tf.reshape(inside, [-1 if a == axis else 1 for a in range(4)])
    return tf.where(hidden, transforms.rounded(tf.cast(_mean(clip), tf.float32)), clip)


@_leaves_truth
def random_flicker(clip, seed, gain=0.15):
    """Lets the brightness change from frame to frame, as lamps and a camera's own exposure do.

    In half of the draws the gain swings smoothly, a sine of half a cycle to three in the clip; in
    the others each frame has a gain of its own, drawn uniformly.

    Args:
        clip: uint8 `(time, height, width, channels)`, or a dict with its truth.
        seed: int32 `(2,)`, stateless.
        gain: How far the gain goes from 1 is drawn from [0, gain] once for the clip; at most 1.

    Returns:
        uint8 of the same shape, rounded and clipped.

    Raises:
        ValueError: `gain` is not from 0 to 1.
    """
    _check("gain", gain, most=1)
    curve, frames = tf.unstack(tf.random.split(seed, 2))
    draw = tf.random.stateless_uniform([4], curve)
    time = tf.shape(clip)[0]
    cycles = _CYCLES[0] + (_CYCLES[1] - _CYCLES[0]) * draw[2]
    passed = tf.cast(tf.range(time), tf.float32) / tf.cast(time, tf.float32)
    smooth = tf.sin(2.0 * math.pi * (cycles * passed + draw[3]))
    swing = tf.where(draw[1] < 0.5, smooth, tf.random.stateless_uniform([time], frames, -1.0, 1.0))
    gains = 1.0 + gain * draw[0] * swing
    return transforms.rounded(tf.cast(clip, tf.float32) * gains[:, None, None, None])


AUGMENTATIONS = {
    "flip": random_flip,
    "reverse": random_reverse,
    "speed": random_speed,
    "brightness": random_brightness,
    "colour": random_colour,
    "blur": random_blur,
    "noise": random_noise,
    "cutout": random_cutout,
    "flicker": random_flicker,
}


def find(augment):
    """Looks an augmentation up.

    Args:
        augment: A name of `AUGMENTATIONS`, or a function `(clip, seed) -> clip`.

    Returns:
        The function.

    Raises:
        ValueError: There is none of this name.
    """
    if callable(augment):
        return augment
    if augment not in AUGMENTATIONS:
        raise ValueError(
            f"`augment` must hold functions or names of {sorted(AUGMENTATIONS)}. "
            f"Received: {augment!r}"
        )
    return AUGMENTATIONS[augment]


def frames_needed(augments, frames):
    """Says how long a clip must be for `frames` frames to be left of it.

    An augmentation declares what it needs by an attribute `frames_needed`, a function of the frames
    that are wanted of it; of `functools.partial` it is given the keywords too.

    Args:
        augments: Functions `(clip, seed) -> clip`, in the order of their use.
        frames: Frames wanted after the last of them.

    Returns:
        int, not below `frames`.

    Example:
        >>> frames_needed([random_flip, random_speed], 16)
        31
        >>> frames_needed([functools.partial(random_speed, fastest=1.2)], 16)
        19
    """
    for augment in reversed(augments):
        strengths = {}
        if isinstance(augment, functools.partial):
            augment, strengths = augment.func, augment.keywords
        if hasattr(augment, "frames_needed"):
            frames = max(frames, augment.frames_needed(frames, **strengths))
    return frames


def apply(clip, augments, seeds, frames):
    """Applies augmentations one after the other, cutting back what each was given to spare.

    Args:
        clip: uint8 `(time, height, width, channels)`, or a dict with its truth; of at least
            `frames_needed(augments, frames)` frames, and no later ones are used.
        augments: Functions `(clip, seed) -> clip`, in the order of their use.
        seeds: int32 `(len(augments), 2)`, stateless, one for each.
        frames: Frames wanted.

    Returns:
        uint8 `(frames, height, width, channels)`, or a dict of such.

    Raises:
        ValueError: The clip is too short.

    Example:
        >>> clip = tf.zeros([31, 8, 8, 1], tf.uint8)
        >>> seeds = tf.random.split([0, 1], 2)
        >>> apply(clip, [random_flip, random_speed], seeds, frames=16).shape.as_list()
        [16, 8, 8, 1]
    """
    needed, given = frames_needed(augments, frames), transforms.pixels_of(clip).shape[0]
    if given is not None and given < needed:
        raise ValueError(
            f"`clip` must have {needed} frames for {frames} to be left of it. Received: {given}"
        )
    clip = _first(clip, needed)
    for number, augment in enumerate(augments):
        shape, clip = transforms.pixels_of(clip).shape, augment(clip, seeds[number])
        if not isinstance(clip, dict):
            clip = tf.ensure_shape(clip, shape)  # a function of one's own may have lost it
        clip = _first(clip, frames_needed(augments[number + 1 :], frames))
    return clip


def _first(clip, frames):
    return transforms.move(clip, lambda part: part[:frames], lambda boxes: boxes[:frames])


def _turning(stretch, angle):
    """The matrix that turns colours about grey by an angle in radians and stretches them."""
    cos, sin = tf.cos(angle), tf.sin(angle)
    rotation = stretch * tf.stack([tf.stack([cos, -sin]), tf.stack([sin, cos])])
    colours = np.linalg.inv(_YIQ)[:, 1:].astype(np.float32)
    grey = np.tile(_YIQ[:1], (3, 1))
    return grey + tf.linalg.matmul(tf.linalg.matmul(colours, rotation), _YIQ[1:])


def _mean(clip):
    # Whole numbers: sums of floats depend on the order, which a graph may choose otherwise.
    count = tf.cast(tf.reduce_prod(tf.shape(clip)[:-1]), tf.int64)
    return tf.reduce_sum(tf.cast(clip, tf.int64), [0, 1, 2]) / count


def _reflected(length, radius):
    # The edge itself is not repeated; frames smaller than the radius are reflected over and over.
    period = tf.maximum(2 * (length - 1), 1)
    places = tf.math.floormod(tf.range(-radius, length + radius), period)
    return tf.minimum(places, period - places)


def _check(name, value, most=math.inf):
    if not isinstance(value, numbers.Real) or not (0 <= value <= most and math.isfinite(value)):
        rule = "at least 0" if most == math.inf else f"from 0 to {most:g}"
        raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")


def _check_speeds(slowest, fastest):
    if not isinstance(slowest, numbers.Real) or not slowest > 0:
        raise ValueError(f"`slowest` must be above 0. Received: slowest={slowest!r}")
    if not isinstance(fastest, numbers.Real) or not slowest <= fastest < math.inf:
        raise ValueError(
            f"`fastest` must be at least `slowest`, {slowest:g}. Received: fastest={fastest!r}"
        )


def _floor(value):
    return tf.cast(tf.floor(value), tf.int32)
