"""Whether the background changes for good: a camera that was moved, and cuts to another scene."""

import collections

import numpy as np

# Pictures of the background: medians over this long, in which whoever walks by does not show.
WINDOW_SEC, WINDOW_FRAMES = 2.0, 7

# Two pictures of one place, with people in it: not further apart than this, in pixels of 192, ...
STEADY_PIXELS = 1.0
# ... and alike by so much, as the correlation of their edges tells, whatever the light.
STEADY_LIKENESS = 0.6

# A camera that was pushed: about one in a hundred of the width. Wind and a codec move a picture by
# less than one pixel.
MOVED_PIXELS = 2.0
# By so few pixels it is no longer alike: 0.67 after three pixels and 0.2 after seven, in a street
# whose pictures are otherwise alike by 0.8 and more. A van that drives through leaves 0.75,
# whatever phase correlation makes of it. Moved back by that much, the picture is alike again.
MOVED_LIKENESS, BACK_LIKENESS = 0.7, 0.75
# A camera that was turned away shows nothing of what it showed.
OTHER_LIKENESS = 0.2

# Of each side of a picture, this share is left out: clocks and names are written there.
MARGIN = 1 / 16

# A cut: the picture changes by this many grey levels on average and so many times as much as
# it did in the frames before and does in the next one. In real footage people and wind change it by
# up to 19, at 4 times the usual at most.
CUT_CHANGE, CUT_TIMES = 12.0, 5.0
# Light that is switched on leaves the shapes where they were.
CUT_LIKENESS = 0.7
_CUT_FRAMES = 12

# Frames with fewer pixels on their shorter side tell no place.
LEAST_SIDE = 16


class CameraMoves:
    """Finds lasting changes of the background: the camera is moved between two steady views.

    A camera that moves all the time has no steady view, and none are found.

    Args:
        found: What is told of each: `add(begin_sec)`.

    Attributes:
        found: The same.
        shifts: List of `(right, down)` in pixels of the frames looked at, for the first ones; None
            for a view that shares nothing with the one before.
    """

    def __init__(self, found):
        self.found, self.shifts = found, []
        self._window, self._begin_sec, self._next_sec = [], None, 0.0
        # The picture that the camera is known to show, the last one, and the first of a new view.
        self._known, self._last, self._begun = None, None, None

    def add(self, time_sec, frame):
        """Takes the next frame, grey uint8 `(height, width)`."""
        if min(frame.shape) < LEAST_SIDE:
            return
        if self._window and self._window[0].shape != frame.shape:
            self.__init__(self.found)
        if self._begin_sec is None or time_sec - self._begin_sec >= WINDOW_SEC:
            self.end()
            self._begin_sec = self._next_sec = time_sec
        if time_sec >= self._next_sec:
            self._window.append(frame)
            self._next_sec += WINDOW_SEC / WINDOW_FRAMES

    def end(self):
        """Takes what there is as the last picture, if it is enough of one."""
        frames, self._window = self._window, []
        if len(frames) >= 3:
            self._take(self._begin_sec, _edges(np.median(np.stack(frames), axis=0)))

    def _take(self, begin_sec, picture):
        before, self._last = self._last, picture
        if before is None or before.shape != picture.shape or not is_steady(before, picture):
            self._begun = begin_sec
            return
        if self._known is None or self._known.shape != picture.shape:
            self._known = picture
            return
        shift = moved(self._known, picture)
        if shift is False:
            self._begun = None
            return
        self.found.add(begin_sec if self._begun is None else self._begun)
        self.shifts = [*self.shifts, shift][:10]
        self._known, self._begun = picture, None


class SceneCuts:
    """Finds frames from which on another scene is shown.

    Args:
        found: What is told of each: `add(time_sec)`.

    Attributes:
        found: The same.
    """

    def __init__(self, found):
        self.found = found
        self._before, self._changes = None, collections.deque(maxlen=_CUT_FRAMES)
        self._candidate = None

    def add(self, time_sec, frame):
        """Takes the next frame, grey uint8 `(height, width)`."""
        before, self._before = self._before, frame
        if before is None or before.shape != frame.shape:
            self._changes.clear()
            self._candidate = None
            return
        changed = float(np.abs(frame.astype(np.int16) - before).mean())
        if self._candidate is not None:
            cut_sec, cut_change = self._candidate
            self._candidate = None
            # A flash goes as it came; only what stays is another scene.
            if changed * CUT_TIMES <= cut_change:
                self.found.add(cut_sec)
        usual = float(np.median(self._changes)) if len(self._changes) >= 3 else None
        if (
            usual is not None and changed >= max(CUT_CHANGE, CUT_TIMES * usual)
            and likeness(before, frame) < CUT_LIKENESS
        ):  # fmt: skip
            self._candidate = (time_sec, changed)
            # A new scene has changes of its own.
            self._changes.clear()
            return
        self._changes.append(changed)


def likeness(first, second):
    """The correlation of two arrays of one shape, -1 to 1; 0 where one is flat."""
    first = first.astype(np.float32) - float(first.mean())
    second = second.astype(np.float32) - float(second.mean())
    scale = float(np.sqrt((first * first).sum() * (second * second).sum()))
    return float((first * second).sum()) / scale if scale > 1e-3 else 0.0


def is_steady(before, after):
    """Whether two pictures of edges show one place from one point."""
    right, down = _shift(before, after)
    return max(abs(right), abs(down)) <= STEADY_PIXELS and likeness(before, after) > STEADY_LIKENESS


def moved(before, after):
    """How the camera was moved between two pictures of edges, float32 `(height, width)`.

    Returns:
        False where it was not, `(right, down)` in pixels, or None where nothing is as it was.
    """
    alike = likeness(before, after)
    right, down = _shift(before, after)
    if max(abs(right), abs(down)) >= MOVED_PIXELS and alike < MOVED_LIKENESS:
        columns, rows = round(right), round(down)
        again = np.roll(after, (-rows, -columns), axis=(0, 1))
        inside = _inside(before.shape[0], rows), _inside(before.shape[1], columns)
        if (
            min(before[inside].shape) >= LEAST_SIDE
            and likeness(before[inside], again[inside]) >= BACK_LIKENESS
        ):  # fmt: skip
            return right, down
    return None if alike < OTHER_LIKENESS else False


def _inside(length, shift):
    return slice(max(0, -shift), length - max(0, shift))


def _shift(before, after):
    import cv2

    window = cv2.createHanningWindow(before.shape[::-1], cv2.CV_32F)
    (right, down), _ = cv2.phaseCorrelate(before, after, window)
    return right, down


def _edges(picture):
    import cv2

    rows, columns = (round(MARGIN * length) for length in picture.shape)
    picture = picture[rows : picture.shape[0] - rows, columns : picture.shape[1] - columns]
    # Light changes grey levels; where the edges are stays.
    picture = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1.0)
    across = cv2.Sobel(picture, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(picture, cv2.CV_32F, 0, 1)
    return cv2.magnitude(across, down)
