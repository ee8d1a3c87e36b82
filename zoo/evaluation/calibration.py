"""An alarm threshold from normal footage alone: so many false alarms per hour, of events.

Events are counted at many thresholds at once, each with a tracker of its own, as `zoo watch` would
count them, in one pass with constant memory. How fast their number falls with the threshold is
fitted over the thresholds around the rate asked for, so that the choice does not hang on the last
two or three events; and blocks of time, drawn anew many times, say how sure it is: events come in
bursts, so frames, or events one by one, would make it look surer than it is.

Reference: Hill, A simple general approach to inference about the tail of a distribution, The
Annals of Statistics 3 (1975), 1163-1174.
"""

import collections
import dataclasses
import logging
import math
import time

import numpy as np

from zoo.evaluation import drift
from zoo.evaluation.events import (
    BEGUN,
    OUTAGE_SECONDS,
    EventSettings,
    EventTracker,
    MapSmoother,
)

_LOG = logging.getLogger(__name__)

# Thresholds are powers of this, from where the low one is the largest value of an ordinary frame,
# below which events have no end, to the largest value of all.
STEP = 1.08
# After so many maps it is asked anew what is ordinary.
MAPS_A_LOOK = 300
_LEAST = 1e-9  # of a largest value: footage in which nothing moves at all is 0

# Blocks are of five minutes, and shorter where there would be fewer than twenty.
BLOCK_SECONDS, _PIECE_SECONDS, _FEWEST_BLOCKS = 300.0, 30.0, 20
DRAWS = 1000
CONFIDENCE = 0.95

# Fewer events than these at the threshold say nothing of their rate.
FEWEST_EVENTS = 2.0
# The tail that is fitted has so many times the events asked for, and so many at least.
WIDE, LEAST_EVENTS = 8.0, 10


@dataclasses.dataclass(frozen=True)
class Threshold:
    """A threshold for events, and how sure it is.

    Attributes:
        high: The threshold, `EventSettings.high`.
        interval: `(low, high)`, the thresholds that nineteen of twenty drawings of the footage's
            blocks of time lie between.
        rate: Events per hour that the fit expects at `high`: what was asked for.
        rate_interval: `(low, high)`, of the rates that the drawings expect at `high`.
        counted: Events that the footage has at the nearest of the thresholds counted at.
        hours: Hours of footage.
        slope: The number of events falls with this power of the threshold.
    """

    high: float
    interval: tuple[float, float]
    rate: float
    rate_interval: tuple[float, float]
    counted: int
    hours: float
    slope: float


@dataclasses.dataclass
class _Piece:
    """Half a minute of a video, the last one a little more or less.

    Attributes:
        begin_sec: Time of its first frame.
        hour: Of the clock, 0 to 23, or None.
        counts: Numbers of events that began, by number of the threshold.
        seconds: How long it is; 0 until the video has ended.
    """

    begin_sec: float
    hour: int | None
    counts: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    seconds: float = 0.0


class AlarmCounter:
    """Counts the events of normal footage at many thresholds, block of time by block.

    Args:
        settings: `EventSettings` whose `high` is left open: any value.

    Example:
        >>> counter = AlarmCounter(EventSettings(high=1.0))
        >>> maps = np.random.default_rng(0).random((600, 4, 4), np.float32)
        >>> counter.add((number / 10, score_map) for number, score_map in enumerate(maps))
        >>> counter.hours  # a minute
        0.01666...
    """

    def __init__(self, settings):
        self.settings = settings
        self.seconds = 0.0
        # Quantiles of the frames' scores, minute by minute.
        self.score_rows = []
        self._blocks = drift.ScoreBlocks()
        self._pieces = []
        self._maxima = collections.Counter()
        # From which threshold on is counted, and what was ordinary of late.
        self._least = self._ordinary = None
        self._smoother = MapSmoother(settings.window, settings.smoothing_seconds)

    @classmethod
    def merged(cls, counters):
        """One of all that several have counted, of cameras with the same settings.

        Args:
            counters: List of `AlarmCounter`.
        """
        made = cls(counters[0].settings)
        for counter in counters:
            made.seconds += counter.seconds
            made._pieces += counter._pieces
            made._maxima += counter._maxima
            made.score_rows += counter.score_rows
        # What was counted by all; of videos no longer than the warm-up there are no maps.
        made._least = max((c._least for c in counters if c._maxima), default=None)
        return made

    @property
    def thresholds(self):
        """float64 `(thresholds,)`, rising; None where there was no map."""
        return STEP ** self._numbers().astype(float) if self._maxima else None

    @property
    def hours(self):
        """Hours of footage so far."""
        return self.seconds / 3600

    @property
    def counts(self):
        """int `(blocks, thresholds)`: events that began, by block of time."""
        numbers = self._numbers().tolist()
        pieces = np.array([[piece.counts[n] for n in numbers] for piece in self._pieces], int)
        together = round(BLOCK_SECONDS / _PIECE_SECONDS)
        together = min(together, max(1, len(pieces) // _FEWEST_BLOCKS))
        return np.add.reduceat(pieces, np.arange(0, len(pieces), together), axis=0)

    @property
    def hours_of_day(self):
        """The hours of the clock that footage is known to be of: sorted list of int."""
        return sorted({piece.hour for piece in self._pieces} - {None})

    def of_hour(self, hour):
        """One of what was counted in an hour of the clock, to half a minute, on whichever day."""
        return self._of([piece for piece in self._pieces if piece.hour == hour])

    def without(self, spans):
        """One of what was counted but for some times.

        Args:
            spans: List of `(begin, end)`, times of frames in seconds, both inclusive. The half
                minutes that they lie in are left out.
        """
        return self._of([
            piece
            for piece in self._pieces
            if not any(
                begin < piece.begin_sec + piece.seconds and end >= piece.begin_sec
                for begin, end in spans
            )
        ])  # fmt: skip

    def following(self):
        """An empty one for what comes next of the same camera.

        It begins with what was ordinary here, so that it holds no maps back to learn that.
        """
        made = type(self)(self.settings)
        made._least = made._ordinary = self._ordinary
        return made

    def _of(self, pieces):
        made = type(self)(self.settings)
        made.seconds, made._pieces = sum(piece.seconds for piece in pieces), pieces
        made._maxima, made._least = self._maxima, self._least
        return made

    def add(self, timed_maps, warm_up=0, start_hour=None):
        """Counts the events of a video.

        What comes after a gap, of more than `OUTAGE_SECONDS` or back in time, is counted as another
        video, as nobody knows what went on meanwhile; the gap itself is no footage.

        Args:
            timed_maps: Iterable of `(time_sec, score_map)`: the time of a frame in seconds, and
                float32 `(height', width')`.
            warm_up: Frames at the beginning, and after a gap, that have no score.
            start_hour: Hour of the clock at which the video began, in [0, 24); None if not known.
        """
        self.begin(start_hour)
        first_sec = last_sec = None
        for time_sec, score_map in timed_maps:
            first_sec = time_sec if first_sec is None else first_sec
            if last_sec is not None and not 0 <= time_sec - last_sec <= OUTAGE_SECONDS:
                self.end()
                later = (time_sec - first_sec) / 3600
                self.begin(None if start_hour is None else start_hour + later)
            last_sec = time_sec
            self.update(time_sec, score_map if self._frames >= warm_up else None)
        self.end()

    def begin(self, start_hour=None):
        """Begins with a video, which `end` ends; `add` is both and what is between."""
        self._smoother.begin()
        self._trackers, self._held, self._unseen, self._own = {}, [], [], []
        self._start_hour, self._first, self._frames = start_hour, None, 0

    def update(self, time_sec, score_map):
        """Takes in the next frame of a video.

        Args:
            time_sec: Its time in seconds, not before that of the frame before.
            score_map: float32 `(height', width')`, or None of one that has no score.
        """
        self._first = time_sec if self._first is None else self._first
        self._last = time_sec
        self._frames += 1
        if score_map is None:
            return
        smooth = self._smoother.update(np.asarray(score_map, np.float32), time_sec)
        # Clips of seconds make minutes together.
        row = self._blocks.add(self.seconds + time_sec - self._first, float(smooth.max()))
        if row is not None:
            self.score_rows.append(row)
        largest = self._reached(smooth)
        self._held.append((smooth, time_sec, largest))
        self._unseen.append(largest)
        if len(self._unseen) == MAPS_A_LOOK:
            self._look()
        # Maps are held only until the first look, so that live no frame has to wait for many.
        if self._least is not None:
            self._count()

    def end(self):
        """Ends a video."""
        if self._unseen:
            self._look()
            self._count()
        if self._frames < 2:
            return
        # A frame lasts until the next, the last one as long as those before.
        seconds = float(self._last - self._first) * (1 + 1 / (self._frames - 1))
        self.seconds += seconds
        if self._own:
            self._piece(self._last)
            for piece in self._own:
                piece.seconds = _PIECE_SECONDS
            piece.seconds += seconds - _PIECE_SECONDS * len(self._own)

    def _count(self):
        trackers = self._trackers
        for smooth, time_sec, largest in self._held:
            piece = self._piece(time_sec)
            # One that begins late has missed nothing: no frame before reached it.
            begin = max(self._least, max(trackers, default=self._least))
            for number in range(begin, largest + 1):
                if number not in trackers:
                    trackers[number] = self._tracker(number, smooth.shape)
            for number, tracker in trackers.items():
                # Of most thresholds there is nothing to see in most frames.
                if number >= self._least and (tracker.is_busy or number <= largest):
                    told = tracker.update(smooth, time_sec)
                    piece.counts[number] += sum(event.state == BEGUN for event in told)
        self._held.clear()

    def _look(self):
        """Takes in what is ordinary: the median of the largest values of all maps so far."""
        self._maxima.update(self._unseen)
        self._unseen.clear()
        half, seen = self._maxima.total() / 2, 0
        for ordinary in sorted(self._maxima):
            seen += self._maxima[ordinary]
            if seen >= half:
                break
        # A few maps are no measure for those that come after.
        if self._ordinary is None or self._maxima.total() >= MAPS_A_LOOK:
            self._ordinary = ordinary
        # Below an earlier one nothing was counted of what came then.
        self._least = ordinary if self._least is None else max(self._least, ordinary)

    def _reached(self, smooth):
        """The number of the highest threshold whose low one a map reaches."""
        largest = max(float(smooth.max()), _LEAST)
        number = math.floor(math.log(largest / self.settings.low_share) / math.log(STEP))
        # As the tracker compares, in float32.
        low = np.float32(STEP ** float(number + 1) * self.settings.low_share)
        return number + 1 if smooth.max() >= low else number

    def _tracker(self, number, size):
        # The maps are smoothed already, once for all.
        settings = dataclasses.replace(
            self.settings, high=STEP ** float(number), window=1, smoothing_seconds=0.0
        )
        return EventTracker(settings, size)

    def _numbers(self):
        return np.arange(self._least, max(self._maxima) + 2)

    def _piece(self, time_sec):
        """The piece of the video that a time is in; those before it are made too."""
        number = int((time_sec - self._first) // _PIECE_SECONDS)
        while len(self._own) <= number:
            begin = len(self._own) * _PIECE_SECONDS
            hour = None
            if self._start_hour is not None:
                hour = int((self._start_hour + begin / 3600) % 24)
            self._own.append(_Piece(self._first + begin, hour))
            self._pieces.append(self._own[-1])
        return self._own[number]


def check_hours(hours, false_alarms_per_hour):
    """Checks that something can be said of so few alarms by so much footage.

    Args:
        hours: float, of footage.
        false_alarms_per_hour: float above 0.

    Raises:
        ValueError: If the rate is not above 0, or the footage is too short for it; the message says
            how much is needed.
    """
    if not (math.isfinite(false_alarms_per_hour) and false_alarms_per_hour > 0):
        raise ValueError(
            "`false_alarms_per_hour` must be above 0. Received: "
            f"false_alarms_per_hour={false_alarms_per_hour}"
        )
    needed = FEWEST_EVENTS / false_alarms_per_hour
    # Half a percent for a last frame more or less.
    if hours < 0.995 * needed:
        raise ValueError(
            f"`data` must hold at least {_words(needed)} of normal footage for "
            f"{false_alarms_per_hour:g} false alarms per hour: {FEWEST_EVENTS:g} are the fewest "
            f"that say anything of a rate. Received: {_words(hours)}"
        )


def choose(counter, false_alarms_per_hour, seed=0):
    """Chooses the threshold that so many events an hour of normal footage reach.

    Args:
        counter: `AlarmCounter` that has seen the footage.
        false_alarms_per_hour: float above 0.
        seed: int, of the drawings that the intervals are of.

    Returns:
        `Threshold`.

    Raises:
        ValueError: If the rate is not above 0, or the footage is too short or too quiet for it;
            the message says how much is needed.
    """
    check_hours(counter.hours, false_alarms_per_hour)
    wanted = false_alarms_per_hour * counter.hours
    if counter.thresholds is None:
        raise ValueError("`data` must hold frames with a score. Received: none after the warm-up")
    counts = counter.counts
    levels = np.log(counter.thresholds)
    fit = _fit(levels, counts.sum(0), wanted)
    if fit is None:
        raise ValueError(
            "`data` must hold more that moves: it has too few events at every threshold to tell "
            f"how their number falls. Received: {counts.sum(0).max()} at most"
        )
    high = fit.level_of(wanted)
    rng = np.random.default_rng(seed)
    drawn = [
        fitted
        for blocks in rng.integers(len(counts), size=(DRAWS, len(counts)))
        if (fitted := _fit(levels, counts[blocks].sum(0), wanted)) is not None
    ]
    tails = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    highs = np.quantile([tail.level_of(wanted) for tail in drawn], tails)
    rates = np.quantile([tail.events_at(high) / counter.hours for tail in drawn], tails)
    nearest = int(np.argmin(np.abs(levels - high)))
    return Threshold(
        math.exp(high),
        tuple(map(float, np.exp(highs))),
        float(false_alarms_per_hour),
        tuple(map(float, rates)),
        int(counts.sum(0)[nearest]),
        counter.hours,
        fit.slope,
    )


@dataclasses.dataclass(frozen=True)
class _Tail:
    """How the number of events falls with the logarithm of the threshold, from `level` on."""

    level: float
    events: int
    slope: float

    def events_at(self, level):
        return self.events * math.exp(-self.slope * (level - self.level))

    def level_of(self, events):
        return self.level + math.log(self.events / events) / self.slope


def _fit(levels, counts, wanted):
    """The `_Tail` around so many events, by the estimator of Hill; None of too few.

    The excesses of the logarithms of heights over the level from which the tail begins have the
    mean `1 / slope`; their sum is the area below the counts.
    """
    # Further down events merge, and their number rises with the threshold, or all reach it.
    most = len(counts) - 1 - int(np.argmax(counts[::-1]))
    place = most + int(np.argmax(counts[most:] <= max(WIDE * wanted, LEAST_EVENTS)))
    if counts[place] < max(wanted, LEAST_EVENTS) and place > most:
        # A number that falls steeply goes past all that are enough in a single step.
        place -= 1
    events, above = counts[place], counts[place + 1 :].sum()
    if events < max(wanted, LEAST_EVENTS) or not above:
        return None
    area = (events / 2 + above) * math.log(STEP)
    return _Tail(float(levels[place]), int(events), float(events / area))


def to_dict(threshold, settings, score_rows=()):
    """What stands in `calibration.json` of a threshold: JSON values.

    Args:
        threshold: `Threshold`.
        settings: `EventSettings` that the events were counted with.
        score_rows: `AlarmCounter.score_rows` of the footage.

    Returns:
        Dict of `events` (settings with the threshold, as `EventSettings.from_dict` takes them),
        `false_alarms_per_hour`, `threshold_interval`, `rate_interval`, `confidence`, `counted`,
        `footage_hours`, `slope`, and `scores`, as of `drift.reference`.
    """
    return {
        "events": dataclasses.replace(settings, high=threshold.high).to_dict(),
        "false_alarms_per_hour": threshold.rate,
        "threshold_interval": list(threshold.interval),
        "rate_interval": list(threshold.rate_interval),
        "confidence": CONFIDENCE,
        "counted": threshold.counted,
        "footage_hours": threshold.hours,
        "slope": threshold.slope,
        "scores": drift.reference(score_rows, threshold.high),
    }


def entry_for(calibration, camera=None, wall_sec=None):
    """What a calibration holds of a camera at a time.

    That of the camera where it has one, else that of all cameras; and of it that of the hour of
    the clock where there is one, else that of all hours.

    Args:
        calibration: Dict, the content of `calibration.json`.
        camera: str, the group or name that the camera's videos had, or None.
        wall_sec: Seconds since 1970, or None for all hours. Hours are local, as recorders and
            cameras write them.

    Returns:
        Dict, as `to_dict` gives it.

    Raises:
        ValueError: If the calibration is of another layout.

    Example:
        >>> entry_for({"events": {...}, "cameras": {}}, "door")["events"]
    """
    try:
        entry = calibration.get("cameras", {}).get(camera, {})
        entry = entry if "events" in entry else calibration
        if wall_sec is not None:
            hour = entry.get("hours", {}).get(str(time.localtime(wall_sec).tm_hour), {})
            entry = hour if "events" in hour else entry
        entry["events"].keys()
    except (AttributeError, KeyError, TypeError):
        raise ValueError(
            "`calibration` must hold `events`, and by name `cameras` and `hours` where there are "
            "such, as `zoo calibrate` of this version writes it; calibrate anew"
        ) from None
    return entry


def settings_for(calibration, camera=None, wall_sec=None):
    """What makes score maps into events, of a camera at a time.

    Args:
        calibration, camera, wall_sec: As of `entry_for`.

    Returns:
        `EventSettings`.

    Raises:
        ValueError: As of `entry_for`, or if a setting breaks its rule.

    Example:
        >>> settings_for(json.load(open("calibration.json")), "door", time.time())
    """
    return EventSettings.from_dict(entry_for(calibration, camera, wall_sec)["events"])


def check_weights(calibration, weights_sha256, model, place="the calibration given"):
    """Checks that a calibration is of the weights that it is to be used with.

    Where the model does not say, as it was exported before that was noted, or the calibration does
    not, as it was written before, that is logged as a warning. Settings of events alone, which no
    footage chose, are of no weights.

    Args:
        calibration: Dict, the content of `calibration.json`.
        weights_sha256: `zoo.models.weights_digest` of the model, None where it is not known.
        model: What the model is called, for people.
        place: What the calibration is called.

    Raises:
        ValueError: If it is of other weights.

    Example:
        >>> check_weights(json.load(open("calibration.json")), weights_digest(model), "runs/mine")
    """
    noted = calibration.get("weights_sha256")
    if noted is None or weights_sha256 is None:
        if "false_alarms_per_hour" in calibration:
            # Calibrating again says nothing of an export that does not.
            _LOG.warning(
                "whether %s is of the weights of %s cannot be told, as %s of an earlier version "
                "does not say; %s",
                place, model,
                *("an export", "export it again, then calibrate that") if weights_sha256 is None
                else ("a calibration", "`zoo calibrate` again where it may not be"),
            )  # fmt: skip
    elif noted != weights_sha256:
        raise ValueError(
            f"`calibration` must be of the weights of {model}, SHA-256 {weights_sha256[:12]}.... "
            f"Received: {place}, of {calibration.get('model', 'a model')}, SHA-256 {noted[:12]}"
            f"..., which is another model or was trained on since; calibrate {model} again (`zoo "
            "calibrate`)"
        )


def _words(hours):
    minutes = 60 * hours
    return f"{hours:.1f} hours" if hours >= 2 else f"{minutes:.1f} minutes"
