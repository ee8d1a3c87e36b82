"""A threshold that follows what is ordinary in front of a camera, from its live footage alone.

Live footage is not known to be normal, and an alarm may be what the camera is there for. So the
half minutes in which an event was told are left out, time and all, and of the rest the threshold
itself says nothing, since all above it is gone. What moves it is the level that eight times as many
events reach, below it: as far as that level is from where it was in the normal footage, so far the
threshold is moved, and how the numbers fall between the two stays as it was calibrated. Of eight
events one is expected to have been an alarm, so the level is asked for that seven reach.
"""

import collections
import dataclasses
import math

import numpy as np

from zoo.evaluation import calibration as calibrations
from zoo.evaluation.calibration import STEP, WIDE, AlarmCounter
from zoo.evaluation.events import OUTAGE_SECONDS, EventSettings

_LEAST_PART_SECONDS = 30.0


class RollingCalibration:
    """Calibrates the threshold of one camera anew, hour by hour, from the last hours.

    Nothing changes before there is as much footage without alarms as the rate needs, nor where too
    little moves in it to say anything. What is remembered does not grow: of each half minute of the
    window the numbers of events.

    Args:
        calibrated: Dict, a calibration or what it holds of one camera (`calibration.entry_for`).
        window_hours: Hours of live footage that are looked at, at least what the rate asked for
            needs.
        every_hours: Hours from one calibration to the next.
        least_share: The threshold is never below this share of the first one, above 0 and at most
            1: whoever makes a camera look at nothing for a day does not make it raise alarms of
            noise, or wear its owner out.

    Raises:
        ValueError: If an argument breaks its rule.

    Example:
        >>> rolling = RollingCalibration(calibration.entry_for(calibrated, "door"))
        >>> for number, score_map in enumerate(score_maps):
        ...     events = tracker.update(score_map, number / 10)
        ...     if settings := rolling.update(number / 10, score_map, events):
        ...         print("the threshold is", settings.high, "from now on")
    """

    def __init__(self, calibrated, window_hours=12.0, every_hours=1.0, least_share=0.5):
        self.settings = EventSettings.from_dict(calibrated["events"])
        rate, slope = calibrated["false_alarms_per_hour"], calibrated["slope"]
        needed = calibrations.FEWEST_EVENTS / rate
        if not (math.isfinite(window_hours) and window_hours >= needed):
            raise ValueError(
                f"`window_hours` must be at least {needed:g} for {rate:g} false alarms per hour. "
                f"Received: window_hours={window_hours}"
            )
        if not 0 < every_hours <= window_hours:
            raise ValueError(
                "`every_hours` must be above 0 and at most `window_hours`. Received: "
                f"every_hours={every_hours}"
            )
        if not 0 < least_share <= 1:
            raise ValueError(
                f"`least_share` must be above 0 and at most 1. Received: least_share={least_share}"
            )
        self._first, self._rate, self._needed = self.settings.high, rate, needed
        self._least = least_share * self._first
        # Where the level was in normal footage that so many events reach.
        self._level = self._first * WIDE ** (-1 / slope)
        self._every_sec, self._window_hours = 3600 * every_hours, window_hours
        self._parts, self._waited_sec = collections.deque(), 0.0
        self._counter = AlarmCounter(self.settings)
        self._begin()

    def update(self, time_sec, score_map, events=()):
        """Takes in the next frame.

        Args:
            time_sec, score_map, events: As of `zoo.evaluation.drift.DriftWatch.update`.

        Returns:
            `EventSettings` with another threshold, from now on; else None. A change by less than
            a twelfth is none.
        """
        settings = None
        if self._frame is not None:
            last_sec, shape = self._frame
            is_broken = not 0 <= time_sec - last_sec <= OUTAGE_SECONDS or score_map.shape != shape
            if is_broken or time_sec - self._since >= self._every_sec:
                settings = self._end_part()
        if self._frame is None:
            self._since = time_sec
        self._frame = time_sec, score_map.shape
        self._counter.update(time_sec, score_map)
        # By their beginning, since other events of another video may have the same numbers.
        self._alarms.update((event.start_sec, time_sec) for event in events)
        return settings

    def _begin(self):
        self._counter = self._counter.following()
        self._counter.begin()
        self._frame, self._alarms = None, {}

    def _end_part(self):
        self._counter.end()
        self._waited_sec += self._counter.seconds
        part = self._counter.without(list(self._alarms.items()))
        self._begin()
        # Of a camera that breaks off all the time there would be more and more short ones.
        if part.seconds >= _LEAST_PART_SECONDS:
            self._parts.append(part)
        while sum(part.hours for part in self._parts) > self._window_hours:
            self._parts.popleft()
        if self._waited_sec < 0.999 * self._every_sec:
            return None
        self._waited_sec = 0.0
        return self._calibrate()

    def _calibrate(self):
        if not self._parts:
            return None
        counter = AlarmCounter.merged(list(self._parts))
        wanted = (WIDE - 1) * self._rate * counter.hours
        if counter.hours < self._needed or counter.thresholds is None:
            return None
        counts = counter.counts.sum(0)
        most = int(np.argmax(counts))
        if counts[most] < wanted:
            return None
        below = most + int(np.argmax(counts[most:] <= wanted))
        levels = np.log(counter.thresholds)
        if below > most:
            # Between the two thresholds counted at, as the logarithm of the number falls.
            steps = np.log(np.maximum(counts[below - 1 : below + 1], 0.5))
            part = (steps[0] - math.log(wanted)) / (steps[0] - steps[1])
            level = levels[below - 1] + part * (levels[below] - levels[below - 1])
        else:
            level = levels[below]
        high = max(self._least, self._first * math.exp(level) / self._level)
        if abs(math.log(high / self.settings.high)) < math.log(STEP):
            return None
        self.settings = dataclasses.replace(self.settings, high=high)
        return self.settings
