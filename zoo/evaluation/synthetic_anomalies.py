"""Made-up anomalies in normal footage, to choose by where no real anomaly may be looked at.

A model's epoch, horizon and pooling must not be chosen on the test videos. Held-out normal clips
with something strange put in stand in for them. Three things are made strange, each with pixels
that were filmed: a patch whose contents move at another speed, one that plays backwards, and one
that shows what moves in another place of the frame.

Nothing but what moves may give a patch away. Its border is blended over a few pixels, and it
fades over time where its contents would otherwise jump. What comes from another place is moved
as the difference to the still background there and put on the background here, so that the
lighting and texture of the other place do not come along.
"""

import dataclasses

import numpy as np

KINDS = ("speed", "backwards", "place")
FADE_FRAMES = 3
# Blending averages the noise of two frames away, which is a cue of its own, so it must be narrow.
EDGE_PIXELS = 4
MIN_FRAMES = 24
TRIES = 50
_CELL = 8  # pixels: the grid on which motion is measured and patches are placed


@dataclasses.dataclass(frozen=True)
class AlteredClip:
    """A clip with one anomaly, and the truth about it.

    Args:
        clip: `(frames, height, width, channels)`, dtype of the clip that it was made from.
        labels: bool `(frames,)`, True where the frame was altered.
        mask: bool `(frames, height, width)`, True where a pixel may have been altered.
        kind: One of `KINDS`.
        box: `(top, left, height, width)` of the patch in pixels.
    """

    clip: np.ndarray
    labels: np.ndarray
    mask: np.ndarray
    kind: str
    box: tuple[int, int, int, int]


def insert_anomaly(clip, kind, seed):
    """Puts one anomaly into a clip of normal footage from a fixed camera.

    The patch is a rectangle of a fifth to two fifths of the frame's height, for a sixth to a
    third of the frames, placed where something moves all that time. Within it

    - "speed": the contents play on at two or three times the speed,
    - "backwards": they play backwards from where they are,
    - "place": they are those of another place where something moves.

    Args:
        clip: uint8, or float in [0, 1], `(frames, height, width, channels)`, at least 24 frames
            and 32 x 32 pixels. It is not changed.
        kind: One of `KINDS`.
        seed: Integer; equal seeds give equal results.

    Returns:
        `AlteredClip`.

    Raises:
        ValueError: If an argument breaks a rule above, or nothing moves in the clip.

    Example:
        >>> import numpy as np
        >>> clip = np.random.default_rng(0).integers(0, 255, (40, 64, 64, 1), np.uint8)
        >>> altered = insert_anomaly(clip, "backwards", seed=1)
        >>> bool((altered.clip == clip)[~altered.mask].all())
        True
    """
    clip = np.asarray(clip)
    _check(clip, kind)
    frames, height, width, _ = clip.shape
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    side = _CELL * int(rng.integers(_cells(height, 0.2), _cells(height, 0.4) + 1))
    box_size = (side, min(side, width // _CELL * _CELL))
    for _ in range(TRIES):
        length = int(rng.integers(frames // 6, (frames - 1) // 3 + 1))
        # Whole, so that the contents do not stutter.
        pace = {"speed": int(rng.integers(2, 4)), "backwards": -1, "place": 1}[kind]
        # The frames that are played instead must exist, before the patch or after it. A patch is
        # shorter than a third of the clip, so there is always room.
        start = int(rng.integers(max(1, 1 - pace * length), frames - length * max(pace, 1) + 1))
        # Goes on from the frame before the patch, so the contents do not jump when it starts.
        played = start - 1 + pace * np.arange(length + 1)
        shown = _motion_in_boxes(clip[start - 1 : start + length], box_size)
        if kind == "place":
            boxes = _two_boxes(shown, box_size, rng)
        else:
            instead = _motion_in_boxes(
                clip[min(played[0], played[-1]) :][: abs(pace) * length + 1], box_size
            )
            # As busy instead as before: a patch put where most moves would else calm it down.
            boxes = 2 * [_draw_box(np.sqrt(shown * instead), rng)]
        if None not in boxes:
            break
    else:
        raise ValueError(
            "`clip` must show something that moves. Received: a clip in which nothing does for "
            f"the length of a patch, in {TRIES} tries"
        )
    here, there = (np.s_[top : top + box_size[0], left : left + box_size[1]] for top, left in boxes)
    top, left = boxes[0]
    original = clip[start : start + length, *here].astype(np.float64)
    patch = clip[played[1:]][:, *there].astype(np.float64)
    if kind == "place":
        background = np.median(clip, axis=0)
        patch += background[here] - background[there]

    fade_in, fade_out = kind == "place", start + length < frames
    blend = _edge_ramp(box_size)[None] * _time_ramp(length, fade_in, fade_out)
    mixed = original + blend[..., None] * (patch - original)
    altered = clip.copy()
    if clip.dtype == np.uint8:
        altered[start : start + length, *here] = np.clip(np.round(mixed), 0, 255)
    else:
        altered[start : start + length, *here] = np.clip(mixed, 0, 1)
    mask = np.zeros(clip.shape[:3], bool)
    mask[start : start + length, *here] = blend > 0
    return AlteredClip(altered, mask.any(axis=(1, 2)), mask, kind, (top, left, *box_size))


def _check(clip, kind):
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {KINDS}. Received: kind={kind!r}")
    if clip.ndim != 4:
        raise ValueError(
            "`clip` must have shape (frames, height, width, channels). Received: "
            f"shape {clip.shape}"
        )
    if clip.shape[0] < MIN_FRAMES or min(clip.shape[1:3]) < 4 * _CELL:
        raise ValueError(
            f"`clip` must have at least {MIN_FRAMES} frames of {4 * _CELL}x{4 * _CELL} pixels. "
            f"Received: shape {clip.shape}"
        )


def _cells(height, share):
    """`share` of the height in whole cells, at least two: a patch smaller shows next to nothing."""
    return max(2, round(share * height / _CELL))


def _motion_in_boxes(clip, box_size):
    """How much moves at the quietest of a box's moments, for every box on the grid of cells.

    Returns float64 `(boxes down, boxes across)`: over time the lower quartile of the mean absolute
    difference to the frame before, above the noise (the median over the frame).
    """
    difference = np.abs(np.diff(clip.astype(np.float64), axis=0)).mean(axis=-1)
    frames, height, width = difference.shape
    rows, columns = height // _CELL, width // _CELL
    cells = difference[:, : rows * _CELL, : columns * _CELL]
    cells = cells.reshape(frames, rows, _CELL, columns, _CELL).mean(axis=(2, 4))
    cells = np.maximum(cells - np.median(cells, axis=(1, 2), keepdims=True), 0)
    box = (box_size[0] // _CELL, box_size[1] // _CELL)
    boxes = np.lib.stride_tricks.sliding_window_view(cells, box, axis=(1, 2)).mean(axis=(3, 4))
    return np.quantile(boxes, 0.25, axis=0)


def _draw_box(motion, rng):
    """Draws `(top, left)` in pixels in proportion to what moves; None where nothing does."""
    if not motion.sum() > 0:
        return None
    # Squared: a box at the edge of a walker has some motion but shows little of the walker.
    chances = np.square(motion).ravel()
    row, column = np.divmod(rng.choice(chances.size, p=chances / chances.sum()), motion.shape[1])
    return int(row) * _CELL, int(column) * _CELL


def _two_boxes(motion, box_size, rng):
    """Draws two boxes that do not overlap, or None for what is not there."""
    for _ in range(TRIES):
        # Both anew each time: drawing the second after the first would make it the calmer one.
        here, there = _draw_box(motion, rng), _draw_box(motion, rng)
        if here is None or any(
            abs(one - other) >= size for one, other, size in zip(here, there, box_size, strict=True)
        ):
            return here, there
    return None, None


def _edge_ramp(box_size):
    """Weight of the patch, float64 `(height, width)`: rises at the border, 1 within."""

    def ramp(size):
        distance = np.minimum(np.arange(size) + 1, size - np.arange(size))
        return 0.5 - 0.5 * np.cos(np.pi * np.minimum(distance / (EDGE_PIXELS + 1), 1.0))

    return ramp(box_size[0])[:, None] * ramp(box_size[1])[None]


def _time_ramp(length, fade_in, fade_out):
    """Weight of the patch over time, float64 `(length, 1, 1)`."""
    offsets = np.arange(length)
    weight = np.ones(length)
    if fade_in:
        weight = np.minimum(weight, (offsets + 1) / (FADE_FRAMES + 1))
    if fade_out:
        weight = np.minimum(weight, (length - offsets) / (FADE_FRAMES + 1))
    return weight[:, None, None]
