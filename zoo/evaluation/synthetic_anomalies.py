"""Made-up anomalies in normal footage, to choose by where no real anomaly may be looked at.

A model's epoch, horizon and pooling must not be chosen on the test videos. Held-out normal clips
with something strange put in stand in for them. Three things are made strange, each with pixels
that were filmed: a patch whose contents move at another speed, one that plays backwards, and one
that shows what moves in another place of the frame.

Nothing but what moves may give a patch away. Its border is blended over several pixels and its
first and last frames over time. What comes from another place is moved as the difference to the
still background there and put on the background here, so that the lighting and texture of the
other place do not come along.
"""

import dataclasses

import numpy as np

KINDS = ("speed", "backwards", "place")
FADE_FRAMES = 3
MIN_FRAMES = 24
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
    - "backwards": they play backwards from the first frame of the patch,
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
    length = int(rng.integers(frames // 6, frames // 3 + 1))
    # Whole, so that the contents do not stutter.
    speed = int(rng.integers(2, 4))
    # The frames that are played instead must exist: ahead of the patch for "speed", before it
    # for "backwards". A patch is no longer than a third of the clip, so there is always room.
    first = length if kind == "backwards" else 1
    last = frames - length * (speed if kind == "speed" else 1)
    start = int(rng.integers(first, max(first, last) + 1))

    motion = _motion_in_boxes(clip[start - 1 : start + length], box_size)
    top, left = _draw_box(motion, rng)
    here = np.s_[top : top + box_size[0], left : left + box_size[1]]
    offsets = np.arange(length)
    original = clip[start : start + length, *here].astype(np.float64)
    if kind == "place":
        there = _other_box(motion, (top, left), box_size, rng)
        background = np.median(clip, axis=0)
        moving = clip[start : start + length, *there] - background[there]
        patch = background[here] + moving
    else:
        played = offsets * speed if kind == "speed" else -offsets
        source = np.clip(start + np.round(played).astype(int), 0, frames - 1)
        patch = clip[source][:, *here].astype(np.float64)

    blend = _edge_ramp(box_size)[None] * _time_ramp(length, start + length == frames)
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
    """Draws a box in proportion to what moves in it; returns `(top, left)` in pixels."""
    if not motion.sum() > 0:
        raise ValueError(
            "`clip` must show something that moves. Received: a clip in which "
            "nothing moves through the length of a patch"
        )
    # Squared: a box at the edge of a walker has some motion but shows little of the walker.
    chances = np.square(motion).ravel()
    row, column = np.divmod(rng.choice(chances.size, p=chances / chances.sum()), motion.shape[1])
    return int(row) * _CELL, int(column) * _CELL


def _other_box(motion, place, box_size, rng):
    """Draws the box whose contents are shown instead: where something moves, not the same place."""
    apart = motion.copy()
    rows, columns = np.indices(motion.shape) * _CELL
    overlap = (abs(rows - place[0]) < box_size[0]) & (abs(columns - place[1]) < box_size[1])
    apart[overlap] = 0
    if not apart.sum() > 0:
        # Nothing moves elsewhere: the empty background does, and what was here disappears.
        apart = np.where(overlap, 0.0, 1.0)
    if not apart.sum() > 0:
        apart = np.ones_like(motion)
    top, left = _draw_box(apart, rng)
    return np.s_[top : top + box_size[0], left : left + box_size[1]]


def _edge_ramp(box_size):
    """Weight of the patch, float64 `(height, width)`: 0 outside, a raised cosine, 1 within."""

    def ramp(size):
        distance = np.minimum(np.arange(size) + 1, size - np.arange(size))
        return 0.5 - 0.5 * np.cos(np.pi * np.minimum(distance / (size // 4 + 1), 1.0))

    return ramp(box_size[0])[:, None] * ramp(box_size[1])[None]


def _time_ramp(length, ends_with_clip):
    """Weight over time, `(length, 1, 1)`: fades in and out, unless the clip ends with the patch."""
    offsets = np.arange(length)
    weight = np.minimum((offsets + 1) / (FADE_FRAMES + 1), 1.0)
    if not ends_with_clip:
        weight = np.minimum(weight, (length - offsets) / (FADE_FRAMES + 1))
    return weight[:, None, None]
