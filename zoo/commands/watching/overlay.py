"""Frames with what was found in them drawn on them."""

import collections

import numpy as np

from zoo.commands.console import printable
from zoo.commands.watching.alarms import utc
from zoo.evaluation.events import ENDED
from zoo.evaluation.pictures import heat_colours

_BOX = (255, 40, 40)
_LINE = (255, 220, 60)
_TEXT = (255, 255, 255)

# Of the heat, just above half the threshold and at its hottest, twice the threshold.
_OPACITY = (0.25, 0.6)

# Below this height or width in pixels no text could be read.
_SMALLEST_WITH_TEXT = 96

# Of a source whose clock stands still.
_MOST_POINTS = 4096


class Overlay:
    """Draws the frames of one camera.

    On a frame: the score map as heat where it is above half the threshold; the score over time with
    the threshold, at the bottom; camera, time and score; and boxes with the number of their track.

    Args:
        history_seconds: How far back the score over time goes.

    Example:
        >>> from zoo.commands.watching.scored_frame import ScoredFrame
        >>> frame = np.zeros((240, 360, 1), np.uint8)
        >>> scored = ScoredFrame("gate", 0, 0.0, 1.7e9, frame, 0.1, None, 0.2, ())
        >>> Overlay().draw(scored).shape
        (240, 360, 3)
    """

    def __init__(self, history_seconds=10):
        self._history_seconds = history_seconds
        self._points = collections.deque(maxlen=_MOST_POINTS)  # Pairs of time and score.

    def draw(self, scored):
        """Draws the next frame.

        Args:
            scored: `ScoredFrame`.

        Returns:
            uint8 RGB `(height, width, 3)`, a new array.
        """
        image = np.repeat(scored.image, 3, axis=2) if scored.image.shape[2] == 1 else (
            scored.image.copy()
        )  # fmt: skip
        self._remember(scored)
        if scored.score_map is not None and scored.threshold is not None:
            _draw_heat(image, scored.score_map, scored.threshold)
        if min(image.shape[:2]) >= _SMALLEST_WITH_TEXT:
            self._draw_graph(image, scored)
            _draw_words(image, scored)
        # Boxes at last, so that nothing covers them.
        for event in scored.events:
            if event.state != ENDED:
                _draw_box(image, event.box)
        return image

    def _remember(self, scored):
        now = scored.time_sec
        if self._points and now < self._points[-1][0]:
            self._points.clear()  # The clock was put back.
        while self._points and self._points[0][0] < now - self._history_seconds:
            self._points.popleft()
        if scored.score is not None:
            self._points.append((now, scored.score))

    def _draw_graph(self, image, scored):
        import cv2

        height, width = image.shape[:2]
        strip = image[height - height // 6 :]
        strip //= 2
        if not self._points:
            return
        times, scores = np.array(self._points).T
        largest = max(scores.max(), 2 * (scored.threshold or 0), 1e-12)

        def row(score):
            return (len(strip) - 1) * (1 - np.clip(score / largest, 0, 1))

        if scored.threshold is not None:
            place = round(row(scored.threshold))
            strip[place : place + _thickness(image)] = _BOX
        columns = (width - 1) * (1 - (scored.time_sec - times) / self._history_seconds)
        line = np.stack([columns, row(scores)], axis=1).round().astype(np.int32)
        cv2.polylines(strip, [line], False, _LINE, _thickness(image))


def _draw_heat(image, score_map, threshold):
    import cv2

    heat = np.clip((score_map / threshold - 0.5) / 1.5, 0, 1)
    hot = heat > 0
    if not hot.any():
        return
    low, high = _OPACITY
    weight = np.where(hot, low + (high - low) * heat, 0)[..., None]
    kept = np.repeat(255 * (1 - weight), 3, axis=2).round().astype(np.uint8)
    added = (weight * heat_colours(heat)).round().astype(np.uint8)
    # The cells of the rows and columns of pixels that have some heat; those are all that is drawn.
    rows, columns = (
        np.arange(pixels) * cells // pixels
        for pixels, cells in zip(image.shape[:2], heat.shape, strict=True)
    )
    top, bottom = _ends(hot.any(axis=1)[rows])
    left, right = _ends(hot.any(axis=0)[columns])
    part = image[top:bottom, left:right]
    kept, added = (
        cells.take(columns[left:right], axis=1).take(rows[top:bottom], axis=0)
        for cells in (kept, added)
    )
    part[:] = cv2.add(cv2.multiply(part, kept, scale=1 / 255), added)


def _ends(flags):
    found = np.flatnonzero(flags)
    return found[0], found[-1] + 1


def _draw_words(image, scored):
    width = image.shape[1]
    score = "warming up" if scored.score is None else f"score {scored.score:.3g}"
    if scored.threshold is not None and scored.score is not None:
        score += f" of {scored.threshold:.3g}"
    margin = text_height = _text_size(image, "A")[1]
    for number, words in enumerate([scored.camera, utc(scored.wall_sec), score]):
        words = printable(words).encode("ascii", "replace").decode()
        wide = _text_size(image, words)[0]
        if wide > width - 2 * margin:
            # Of an address the end tells more.
            words = "..." + words[-max(1, int(len(words) * (width - 2 * margin) / wide) - 3) :]
        _write(image, words, margin, margin + (2 * number + 1) * text_height)
    for event in scored.events:
        if event.state != ENDED:
            top, left = event.box[:2]
            above = top > 2 * text_height
            place = top - text_height // 2 if above else top + 2 * text_height
            _write(image, f"#{event.track}", left + _thickness(image) + 1, place)


def _draw_box(image, box):
    top, left, bottom, right = box
    thick = _thickness(image)
    inside = image[top:bottom, left:right]
    inside[:thick] = inside[-thick:] = inside[:, :thick] = inside[:, -thick:] = _BOX


def _thickness(image):
    return max(1, round(min(image.shape[:2]) / 400))


def _font(image):
    import cv2

    return cv2.FONT_HERSHEY_SIMPLEX, max(0.35, min(image.shape[:2]) / 600)


def _text_size(image, words):
    import cv2

    return cv2.getTextSize(words, *_font(image), _thickness(image))[0]


def _write(image, words, column, row):
    import cv2

    width, height = _text_size(image, words)
    ground = image[max(0, row - height * 3 // 2) : row + height // 2, column : column + width]
    ground //= 3  # To be read on any ground.
    cv2.putText(
        image, words, (column, row), *_font(image), _TEXT, _thickness(image), cv2.LINE_AA
    )
