"""Drift of the scores of a camera: whether what is ordinary now is still what was calibrated on.

Scores of neighbouring frames are all but one and the same, and busy minutes come in a row, so that
thousands of frames are few independent ones. The scores are taken minute by minute: of each the
logarithms of three quantiles, the low one moved by noise and light, the high one by what moves.
How much these differ between the minutes of normal footage, and how like its neighbour a minute is,
says how far the mean of some minutes may be off by chance (a process of first order). Several
lengths of time are looked at, so that a large drift is found in minutes and a small one in an hour.
"""

import collections
import dataclasses
import math

import numpy as np

from zoo.evaluation.events import BEGUN, ENDED, OUTAGE_SECONDS, MapSmoother

QUANTILES = (0.1, 0.5, 0.9)
BLOCK_SECONDS = 60.0
# Of fewer frames there are no quantiles.
_FEWEST_FRAMES = 10
# Fewer minutes than these do not say how minutes differ.
FEWEST_BLOCKS = 20
# What is far below the threshold for events counts as nothing: a share of that threshold.
_NOTHING = 0.01

# Minutes whose mean is compared: of those behind the present.
WINDOWS = (5, 15, 60)
# A drift is by a factor of this at least: less changes no number of events that matters.
_LEAST_RATIO = 1.3
# Chance of a mean beyond the limit on one side. Minutes, windows and quantiles are some two
# thousand comparisons in ten hours, most of them of the same frames.
_CHANCE = 1e-6


class ScoreBlocks:
    """Quantiles of the scores of frames, minute by minute.

    Example:
        >>> blocks = ScoreBlocks()
        >>> told = [blocks.add(second, score=float(second)) for second in range(61)]
        >>> told[60]  # of the seconds 0 to 59
        array([ 5.9, 29.5, 53.1])
    """

    def __init__(self):
        self._begin()

    def add(self, time_sec, score):
        """Takes in the score of a frame.

        Args:
            time_sec: Time of the frame in seconds.
            score: float, at least 0.

        Returns:
            float64 `(3,)`, the `QUANTILES` of the minute that this frame has ended; else None. A
            minute in which the clock jumped or no frame came for a while is left out.
        """
        if self._scores and not 0 <= time_sec - self._last_sec <= OUTAGE_SECONDS:
            self._begin()
        row = None
        if self._scores and time_sec - self._first_sec >= BLOCK_SECONDS:
            if len(self._scores) >= _FEWEST_FRAMES:
                row = np.quantile(self._scores, QUANTILES)
            self._begin()
        if not self._scores:
            self._first_sec = time_sec
        self._last_sec = time_sec
        self._scores.append(score)
        return row

    def _begin(self):
        self._scores = []


def reference(rows, high):
    """What stands in `calibration.json` of the scores of normal footage.

    Args:
        rows: Iterable of float `(3,)`, as `ScoreBlocks.add` gives them, in the order of time.
        high: The threshold for events.

    Returns:
        Dict of JSON values: `quantiles` and their `values`, means over the minutes; `spread` and
        `correlation` of their logarithms from one minute to the next; `blocks`, how many;
        or of `refused`, why there is none.
    """
    rows = np.array(list(rows), float).reshape(-1, len(QUANTILES))
    if len(rows) < FEWEST_BLOCKS:
        return {
            "refused": f"drift is told by {FEWEST_BLOCKS} minutes of footage at least, not "
            f"by {len(rows)}"
        }
    levels = _levels(rows, high)
    mean = levels.mean(0)
    off = levels - mean
    total = np.maximum((off**2).sum(0), 1e-12)
    correlation = (off[1:] * off[:-1]).sum(0) / total
    # Of a short row it comes out too small (Kendall 1954).
    correlation = np.clip(correlation + (1 + 4 * correlation) / len(rows), 0.0, 0.98)
    return {
        "quantiles": list(QUANTILES),
        "values": (np.exp(mean) - _NOTHING * high).tolist(),
        "spread": levels.std(0, ddof=1).tolist(),
        "correlation": correlation.tolist(),
        "blocks": len(rows),
    }


@dataclasses.dataclass(frozen=True)
class Drift:
    """What is told of a drift, when it begins and when it has ended.

    Attributes:
        state: "begun" or "ended".
        time_sec: Time of the frame with which it was found.
        direction: "up" or "down".
        quantile: Of the scores of a minute, the one of `QUANTILES` by which it was found.
        ratio: Median of the scores of the minutes by which it was found to that of normal footage.
        minutes: How many these are.
        events_per_hour: Events that began in the last hour; of less, in what there is of it.
        calibrated_per_hour: Those that the threshold was calibrated for.
    """

    state: str
    time_sec: float
    direction: str
    quantile: float
    ratio: float
    minutes: int
    events_per_hour: float
    calibrated_per_hour: float

    def __str__(self):
        if self.state == ENDED:
            return f"scores are again as they were calibrated (drift {self.direction} has ended)"
        return (
            f"scores drift {self.direction}: their median over {self.minutes} minutes is "
            f"{self.ratio:.2g} times that of the calibration; {self.events_per_hour:.2g} events "
            f"per hour, {self.calibrated_per_hour:g} were calibrated for"
        )


class DriftWatch:
    """Tells of one camera when its scores begin to drift, and when they are as before.

    What it remembers does not grow: the scores of a minute, and sixty minutes of quantiles.
    A drift has ended when the mean of as many minutes as it was found by has come back by half.

    Args:
        calibrated: Dict, a calibration or what it holds of one camera (`calibration.entry_for`):
            `events`, `scores` and `false_alarms_per_hour`.

    Raises:
        ValueError: If it has no `scores`, since the footage was too short.

    Example:
        >>> watch = DriftWatch(calibration.entry_for(json.load(open("calibration.json")), "door"))
        >>> for number, score_map in enumerate(score_maps):
        ...     events = tracker.update(score_map, number / 10)
        ...     if drift := watch.update(number / 10, score_map, events):
        ...         print(drift)
    """

    def __init__(self, calibrated):
        known = calibrated.get("scores", {"refused": "it was written without"})
        if "refused" in known:
            raise ValueError(
                f"`calibrated` must hold `scores` to tell drift by. Received: {known['refused']}"
            )
        from scipy import stats

        events = calibrated["events"]
        self._high = events["high"]
        self._calibrated = calibrated["false_alarms_per_hour"]
        self._smoother = MapSmoother(events["window"], events["smoothing_seconds"])
        self._mean = _levels(np.array(known["values"]), self._high)
        spread, correlation = np.array(known["spread"]), np.array(known["correlation"])
        blocks = known["blocks"]
        alike = (1 + correlation) / (1 - correlation)  # Minutes that say as much as one.
        quantile = stats.t.isf(_CHANCE, np.maximum(blocks / alike - 1, 1))
        self._limits = {}
        for length in WINDOWS:
            errors = spread * np.sqrt(_variance(length, correlation) + alike / blocks)
            limits = np.maximum(quantile * errors, math.log(_LEAST_RATIO))
            # What moves lifts a low quantile as soon as a minute is busier than any before: by as
            # much as it has lifted the next one.
            limits[:-1] = np.maximum(limits[:-1], limits[1:])
            self._limits[length] = limits
        self._blocks, self._levels = ScoreBlocks(), collections.deque(maxlen=max(WINDOWS))
        self._begun, self._counts = 0, collections.deque(maxlen=max(WINDOWS))
        self._found, self._time_sec = None, -math.inf

    def update(self, time_sec, score_map, events=()):
        """Takes in the next frame.

        Args:
            time_sec: Time of the frame in seconds. From one video of a camera to the next it must
                go on, for the two to make minutes together.
            score_map: float32 `(height', width')`.
            events: Iterable of `Event`, what was told of this frame, with times alike.

        Returns:
            `Drift` where one begins or has ended, else None.
        """
        if time_sec < self._time_sec:
            self._smoother.begin()
        self._time_sec = time_sec
        smooth = self._smoother.update(np.asarray(score_map, np.float32), time_sec)
        row = self._blocks.add(time_sec, float(smooth.max()))
        begun, self._begun = self._begun, sum(event.state == BEGUN for event in events)
        if row is None:
            self._begun += begun
            return None
        self._counts.append(begun)
        self._levels.append(_levels(row, self._high))
        if self._found is None:
            return self._beginning(time_sec)
        return self._ending(time_sec)

    def _beginning(self, time_sec):
        for length, limits in self._limits.items():
            if len(self._levels) < length:
                continue
            off = self._off(length)
            share = np.abs(off) / limits
            place = int(np.argmax(share))
            if share[place] > 1:
                self._found = length, place, float(off[place])
                return self._told(BEGUN, time_sec)
        return None

    def _ending(self, time_sec):
        length, place, most = self._found
        off = float(self._off(length)[place])
        if off / most > 0.5:
            self._found = length, place, max(most, off, key=abs)
            return None
        told = self._told(ENDED, time_sec)
        # Half of them are of the drift still, and more of the longer windows.
        self._levels.clear()
        self._found = None
        return told

    def _off(self, length):
        return np.mean(list(self._levels)[-length:], axis=0) - self._mean

    def _told(self, state, time_sec):
        length, place, most = self._found
        nothing = _NOTHING * self._high
        median = QUANTILES.index(0.5)
        now, then = (
            math.exp(level) - nothing
            for level in (self._off(length)[median] + self._mean[median], self._mean[median])
        )
        least = 1e-3 * nothing
        return Drift(
            state,
            time_sec,
            "up" if most > 0 else "down",
            QUANTILES[place],
            max(now, least) / max(then, least),
            length,
            sum(self._counts) / len(self._counts) * 3600 / BLOCK_SECONDS,
            self._calibrated,
        )


def _levels(rows, high):
    return np.log(np.maximum(rows, 0.0) + _NOTHING * high)


def _variance(length, correlation):
    """Of a mean of so many minutes, each with a variance of 1."""
    lags = np.arange(1, length)[:, None]
    return (1 + 2 * ((1 - lags / length) * correlation**lags).sum(0)) / length
