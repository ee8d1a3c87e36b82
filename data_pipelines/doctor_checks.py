"""What is wrong with footage: checks over a stream of small grey frames and their times.

One pass, frame by frame, with memory that does not grow with the video. Every threshold is a
constant here, with its reason; distances are in grey levels of 0 to 255, at `LONG_SIDE` pixels.
"""

import collections
import dataclasses
import itertools
import math
import statistics

import numpy as np

from data_pipelines.background_checks import CameraMoves, SceneCuts
from data_pipelines.decode_worker import LONGEST_GAP_SEC

# Frames are looked at with so many pixels on their longer side: about what models are fed. A
# blur that is not seen at this size does them no harm.
LONG_SIDE = 192

# As FFmpeg's blackdetect: a pixel is black below a tenth of the range, a picture with 98 % of such.
BLACK_LEVEL, BLACK_SHARE = 25, 0.98

# A sensor that can give no more. Of the real footage tried (street, meadow, film) at most 16 % of
# a picture is that bright, with the sky in it; twice that and more is a wrong exposure.
GLARE_LEVEL, GLARE_SHARE = 250, 0.4

# Share of the differences between neighbouring pixels that is left when the picture is blurred
# once more (Crete et al. 2007): 0.2 to 0.45 in real footage, motion blur included, and 0.62 to 0.77
# in the same footage after a Gaussian of 3 pixels.
BLURRED = 0.55
# Below this spread of grey levels there is nothing whose edges could be judged.
LEAST_SPREAD = 4.0
# Frames with fewer pixels on their shorter side have no room for the kernel.
_BLUR_KERNEL = 11

# Largest change in a block of 8x8 pixels. A sensor's noise alone makes 5 and more, in real footage
# of low rates 2.5; a copy that was encoded again differs by less than this.
BLOCK = 8
FROZEN_CHANGE = 0.5

# A frame repeats the one before it when it changes by less than a tenth of what moving frames
# beside it do, and those clearly move.
REPEAT_SHARE, MOVING_CHANGE = 0.1, 4.0
# Of the last frames, repeats are a pattern from one in eight (24 frames shown as 30 repeat one in
# five) to seven in ten (each shown three times), in runs no longer than three frames.
PATTERN_FRAMES, PATTERN_SHARES, LONGEST_RUN = 24, (1 / 8, 0.7), 3

# Shorter ones are a flash, a fade or a moment without movement, which belong to footage. FFmpeg's
# blackdetect and freezedetect take the same two seconds.
LEAST_SEC = {"black": 1.0, "over-exposed": 2.0, "blurred": 2.0, "frozen": 2.0, "doubled": 2.0}

# Black, glare and blur do not come and go in less; looking at each frame would take twice as long.
LOOK_EVERY_SEC = 0.2

# The longest list that a report holds of one kind; beyond it, the nearest neighbours are joined.
MOST_LISTED = 50

# Steps of the clock whose median is the usual one; and what is taken for it before there is any.
_STEPS, _GUESSED_STEP_SEC = 31, 1 / 25


def small_size(height, width):
    """`(height, width)` at which frames of that size are looked at: never enlarged, at least 1."""
    scale = min(1.0, LONG_SIDE / max(height, width))
    return max(1, round(scale * height)), max(1, round(scale * width))


def is_black(frame):
    """Whether a grey frame, uint8 `(height, width)`, is black."""
    return float((frame <= BLACK_LEVEL).mean()) >= BLACK_SHARE


def is_over_exposed(frame):
    """Whether too much of a grey frame, uint8 `(height, width)`, is as bright as can be."""
    return float((frame >= GLARE_LEVEL).mean()) >= GLARE_SHARE


def blur(frame):
    """How blurred a frame is.

    Args:
        frame: Grey, uint8 `(height, width)`.

    Returns:
        float from 0, sharp, to 1; None where there is too little in the frame to tell.
    """
    import cv2

    if min(frame.shape) < 2 * _BLUR_KERNEL or float(frame.std()) < LEAST_SPREAD:
        return None
    frame, left = frame.astype(np.float32), []
    for axis, kernel in ((0, (1, _BLUR_KERNEL)), (1, (_BLUR_KERNEL, 1))):
        before = np.abs(np.diff(frame, axis=axis))
        after = np.abs(np.diff(cv2.blur(frame, kernel), axis=axis))
        total = float(before.sum())
        left.append(1.0 - float(np.maximum(before - after, 0).sum()) / total if total else 1.0)
    return max(left)


def change(before, after):
    """The largest mean absolute difference in a block of two grey frames of one size, float."""
    import cv2

    height, width = before.shape
    blocks = max(1, width // BLOCK), max(1, height // BLOCK)
    difference = cv2.absdiff(before, after).astype(np.float32)
    return float(cv2.resize(difference, blocks, interpolation=cv2.INTER_AREA).max())


class Stretches:
    """Collects the stretches of time in which something is so, with bounded memory.

    Args:
        least_sec: How long one must be to count. One as long as the whole video counts too.

    Attributes:
        kept: List of `[begin_sec, end_sec]`, `MOST_LISTED` at most.
        count: How many there were.
        total_sec: How long they are together.

    Example:
        >>> stretches = Stretches(least_sec=1.0)
        >>> for second, is_so in enumerate((False, True, True, False)):
        ...     stretches.add(second, second + 1, is_so)
        >>> stretches.kept
        [[1, 3]]
    """

    def __init__(self, least_sec):
        self.least_sec, self.kept, self.count, self.total_sec = least_sec, [], 0, 0.0
        self._open = None

    def add(self, begin_sec, end_sec, is_so):
        """Says of the time from `begin_sec` to `end_sec`, never before what was said, if it is."""
        if not is_so:
            self.end()
        elif self._open is None:
            self._open = [begin_sec, end_sec]
        else:
            self._open[1] = end_sec

    @property
    def goes_on(self):
        """Whether one goes on now that is long enough to count."""
        return self._open is not None and self._open[1] - self._open[0] >= self.least_sec

    def end(self, whole_sec=math.inf):
        """Closes what is open; `whole_sec` is the length of the video where it has ended."""
        found, self._open = self._open, None
        # Sums of decimal fractions fall short of what they should be.
        length = found[1] - found[0] + 1e-6 if found else 0.0
        if not found or (length < self.least_sec and length < whole_sec):
            return
        self.count, self.total_sec = self.count + 1, self.total_sec + found[1] - found[0]
        self.kept.append(found)
        if len(self.kept) > MOST_LISTED:
            gaps = [later[0] - before[1] for before, later in itertools.pairwise(self.kept)]
            nearest = int(np.argmin(gaps))
            self.kept[nearest : nearest + 2] = [[self.kept[nearest][0], self.kept[nearest + 1][1]]]


class Moments:
    """Collects moments, the first `MOST_LISTED` of them.

    Attributes:
        kept: List of `[begin_sec, end_sec]`.
        count: How many there were.
    """

    def __init__(self):
        self.kept, self.count = [], 0

    def add(self, begin_sec, end_sec=None):
        self.count += 1
        if len(self.kept) < MOST_LISTED:
            self.kept.append([begin_sec, begin_sec if end_sec is None else end_sec])


class Clock:
    """Follows the times of frames: their rate, gaps, and times that run backwards.

    Attributes:
        gaps: `Moments`: steps over `LONGEST_GAP_SEC` and five times the usual one.
        backwards: `Moments`: steps of zero and less.
        now_sec: Time of the last frame since the first one, backward steps taken as usual ones.
        frame_sec: The usual step, in seconds.
    """

    def __init__(self):
        self.gaps, self.backwards = Moments(), Moments()
        self.now_sec, self.frame_sec = 0.0, 0.0
        self._last, self._recent = None, collections.deque(maxlen=_STEPS)
        self._steps, self._steps_sec = 0, 0.0

    def add(self, time_sec):
        """Takes the time of the next frame; returns whether it follows without a break."""
        step, self._last = None if self._last is None else time_sec - self._last, time_sec
        if step is None:
            return False
        if step <= 0:
            self.backwards.add(self.now_sec)
            self.now_sec += self.frame_sec or _GUESSED_STEP_SEC
            return False
        begin, self.now_sec = self.now_sec, self.now_sec + step
        if step > max(LONGEST_GAP_SEC, 5 * self.frame_sec) and self._recent:
            self.gaps.add(begin, self.now_sec)
            return False
        self._recent.append(step)
        self.frame_sec = statistics.median(self._recent)
        self._steps, self._steps_sec = self._steps + 1, self._steps_sec + step
        return True

    @property
    def fps(self):
        """Frames per second outside of gaps, or None of fewer than two frames."""
        return self._steps / self._steps_sec if self._steps else None


@dataclasses.dataclass
class Looks:
    """What a frame was when it was last looked at closely."""

    at_sec: float = -math.inf
    black: bool = False
    over_exposed: bool = False
    blurred: bool = False


class Checks:
    """All checks of one video: `add` each frame, then `end`.

    Attributes:
        clock: `Clock`.
        stretches: Dict from `"black"`, `"over-exposed"`, `"blurred"`, `"frozen"` and `"doubled"`
            to `Stretches`.
        moves: `CameraMoves`.
        cuts: `SceneCuts`.
        frames: Frames added.
    """

    def __init__(self):
        self.clock, self.frames = Clock(), 0
        self.stretches = {kind: Stretches(least) for kind, least in LEAST_SEC.items()}
        self.moves, self.cuts = CameraMoves(Moments()), SceneCuts(Moments())
        self._before, self._before_sec, self._looks = None, 0.0, Looks()
        self._changes = collections.deque(maxlen=PATTERN_FRAMES)

    def add(self, time_sec, frame):
        """Takes the next frame.

        Args:
            time_sec: Its time, by the clock of the container.
            frame: Grey, uint8 `(height, width)`; where the size changes, comparison begins anew.
        """
        follows = self.clock.add(time_sec)
        before, self._before = self._before, frame
        begin_sec, self._before_sec = self._before_sec, self.clock.now_sec
        self.frames += 1
        if before is not None:
            # What a frame shows lasts until the next one, but not through a gap.
            end_sec = self.clock.now_sec if follows else begin_sec + self.clock.frame_sec
            self._say(begin_sec, end_sec)
        looks = self._looks
        if self.clock.now_sec - looks.at_sec >= LOOK_EVERY_SEC or not follows:
            self._looks = looks = Looks(self.clock.now_sec, is_black(frame), is_over_exposed(frame))
            found = None if looks.black else blur(frame)
            looks.blurred = found is not None and found >= BLURRED
        if before is None or before.shape != frame.shape or not follows:
            self._changes.clear()
            self.stretches["frozen"].end()
            self.stretches["doubled"].end()
        else:
            moved = change(before, frame)
            self._changes.append((begin_sec, self.clock.now_sec, moved))
            # A black picture that stands still is said to be black.
            is_frozen = moved < FROZEN_CHANGE and not looks.black
            self.stretches["frozen"].add(begin_sec, self.clock.now_sec, is_frozen)
            self._find_doubled()
        self.moves.add(self.clock.now_sec, frame)
        self.cuts.add(self.clock.now_sec, frame)

    def end(self):
        """Closes what is open at the end of the video."""
        end_sec = self.clock.now_sec + self.clock.frame_sec
        if self.frames:
            self._say(self._before_sec, end_sec)
        for kind, stretches in self.stretches.items():
            # Nothing follows the last frame that it could be compared with. Of one frame alone
            # nothing is said to stand still.
            stretches.end(self.clock.now_sec if kind in ("frozen", "doubled") else end_sec)
        self.moves.end()

    def _say(self, begin_sec, end_sec):
        looks = self._looks
        for kind, is_so in (
            ("black", looks.black), ("over-exposed", looks.over_exposed),
            ("blurred", looks.blurred),
        ):  # fmt: skip
            self.stretches[kind].add(begin_sec, end_sec, is_so)

    def _find_doubled(self):
        repeats = doubled([moved for _, _, moved in self._changes])
        # The pattern shows frames after it has begun, and frames after it has ended.
        first, last = (repeats[0], repeats[-1]) if repeats else (-1, -1)
        self.stretches["doubled"].add(
            self._changes[first][0], self._changes[last][1], bool(repeats)
        )


def doubled(changes):
    """Finds frames that are shown again between frames that move, in a pattern.

    Args:
        changes: List of the last changes from frame to frame, as of `change`.

    Returns:
        Numbers of those in `changes` that are repeats; empty where they are no pattern, and where
        there are fewer than `PATTERN_FRAMES`.

    Example:
        >>> doubled([20.0, 0.0] * 12)[:3]
        [1, 3, 5]
        >>> doubled([20.0] * 12 + [0.0] * 12)
        []
    """
    if len(changes) < PATTERN_FRAMES:
        return []
    moving = float(np.quantile(changes, 0.75))
    if moving < MOVING_CHANGE:
        return []
    repeats = [number for number, moved in enumerate(changes) if moved < REPEAT_SHARE * moving]
    least, most = PATTERN_SHARES
    if not least <= len(repeats) / len(changes) <= most:
        return []
    run, longest, before = 0, 0, None
    for number in repeats:
        run = run + 1 if before == number - 1 else 1
        longest, before = max(longest, run), number
    return repeats if longest <= LONGEST_RUN else []
