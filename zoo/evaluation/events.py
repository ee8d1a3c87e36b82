"""From score maps to events: what `zoo evaluate detection` counts, and what raises alarms.

An event is a connected region of space and time: cells of the score maps at or above the low
threshold that touch each other, within a frame or from one frame to the next, of which one is at
or above the high threshold at least. So one thing that happens is one event however its score
flickers, and one event is one alarm. Frames come one at a time and what is remembered of them
does not grow with the length of the video.
"""

import dataclasses
import math

import numpy as np

from zoo.evaluation.scoring import window_means

# A cell touches all eight around it; in the frame before, these and its own place.
_TOUCHING = np.ones((3, 3), bool)

BEGUN, GOING, ENDED = "begun", "going", "ended"

# Of what went on in a longer time without a frame nothing is known.
OUTAGE_SECONDS = 10.0

_TICK = 1e-6  # seconds: times are sums, and 1.2 - 0.9 is less than 0.3


@dataclasses.dataclass(frozen=True)
class EventSettings:
    """What makes score maps into events.

    Args:
        high: Threshold, above 0: no event without a cell whose smoothed score reaches it.
        low_share: The low threshold as a share of the high one, above 0 and at most 1: an event
            goes on, and reaches, as far as cells are at or above it (hysteresis).
        min_seconds: How long an event must have gone on before it is told, from its first frame to
            the present one.
        max_gap_seconds: How long an event may be out of sight and still go on, from the first
            frame that does not show it to the first that does again; 0 for not a frame.
        min_cells: Cells of the smallest region of a frame that counts.
        window: Cells on a side of the window whose mean is thresholded. 2, windows of 16 pixels,
            is what the models' `score` takes the largest of.
        smoothing_seconds: Time constant of a causal average over time, before all else; 0 for
            none.

    Raises:
        ValueError: If a value breaks its rule.

    Example:
        >>> settings = EventSettings(high=0.02)
        >>> EventSettings.from_dict(settings.to_dict()) == settings
        True
    """

    high: float
    low_share: float = 0.5
    min_seconds: float = 0.3
    max_gap_seconds: float = 0.5
    min_cells: int = 1
    window: int = 2
    smoothing_seconds: float = 0.0

    def __post_init__(self):
        for name in ("min_cells", "window"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"`{name}` must be a whole number of at least 1. Received: {name}={value!r}"
                )
        for name in ("min_seconds", "max_gap_seconds", "smoothing_seconds"):
            value = getattr(self, name)
            if not (_is_number(value) and value >= 0):
                raise ValueError(
                    f"`{name}` must be at least 0 seconds. Received: {name}={value!r}"
                )
        if not (_is_number(self.high) and self.high > 0):
            raise ValueError(f"`high` must be above 0. Received: high={self.high!r}")
        if not (_is_number(self.low_share) and 0 < self.low_share <= 1):
            raise ValueError(
                "`low_share` must be above 0 and at most 1: the low threshold keeps an event going "
                f"that the high one began. Received: low_share={self.low_share!r}"
            )

    @property
    def low(self):
        """The low threshold."""
        return self.high * self.low_share

    def to_dict(self):
        """Returns a dict of JSON values, which `from_dict` takes."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values):
        """Makes settings of what `to_dict` gave.

        Raises:
            ValueError: If a name is unknown or missing, or a value breaks its rule.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if set(values) != names:
            raise ValueError(
                f"`values` must name {', '.join(sorted(names))}. Received: "
                f"{', '.join(sorted(values)) or 'nothing'}"
            )
        return cls(**values)


@dataclasses.dataclass(frozen=True)
class Event:
    """What is told of an event in one frame.

    Args:
        track: Its number, from 1 in the order in which events are told first.
        state: "begun" once, which is the alarm; "going" in every later frame that shows it;
            "ended" once, some frames after the last that showed it.
        start_sec: Time of the first frame that showed it, before it was told.
        time_sec: Time of the last frame that showed it.
        score: Its largest smoothed score so far.
        score_sec: Time of the frame with that score.
        box: `(top, left, bottom, right)` of it in the frame of `time_sec`, edges in pixels of the
            source: the pixels are `frame[top:bottom, left:right]`.
        regions: Tuple of such boxes, one for each connected region, of which `box` is the hull.
    """

    track: int
    state: str
    start_sec: float
    time_sec: float
    score: float
    score_sec: float
    box: tuple[int, int, int, int]
    regions: tuple[tuple[int, int, int, int], ...]


class MapSmoother:
    """Averages score maps over a window, and over the time before.

    A cell is given the largest mean of the windows that it lies in, so the largest value of a map
    is what `zoo.evaluation.scoring.pool_score_map` makes of it.

    Args:
        window: Cells on a side of the window.
        seconds: Time constant of the average over time, 0 for none.
    """

    def __init__(self, window=2, seconds=0.0):
        self.window = window
        self.seconds = seconds
        self.begin()

    def begin(self):
        """Forgets the maps before."""
        self._average = self._time_sec = None

    def update(self, score_map, time_sec):
        """Smooths the next map.

        Args:
            score_map: float32 `(height', width')`.
            time_sec: Time of its frame in seconds, not before that of the map before.

        Returns:
            float32 `(height', width')`.
        """
        if self.seconds and self._average is not None:
            weight = -math.expm1((self._time_sec - time_sec) / self.seconds)
            score_map = self._average + np.float32(weight) * (score_map - self._average)
        self._average, self._time_sec = score_map, time_sec
        if self.window == 1:
            return score_map
        means = window_means(score_map[None], self.window)[0]
        height, width = means.shape
        smooth = np.full_like(score_map, -np.inf)
        for top in range(1 + score_map.shape[0] - height):
            for left in range(1 + score_map.shape[1] - width):
                covered = smooth[top : top + height, left : left + width]
                np.maximum(covered, means, out=covered)
        return smooth


class EventTracker:
    """Makes the score maps of one camera into events, frame by frame, with constant memory.

    It goes by time: frames may be skipped. Where the clock jumps back, or no frame came for more
    than `OUTAGE_SECONDS`, all that goes on ends with its last frame, all is forgotten, and the
    clock is taken as it is from there on; `clock_jumps` counts the first.

    Where two events meet, the one told first goes on, and the other is told to have ended. Where
    one comes apart, all parts are still it.

    Args:
        settings: `EventSettings`.
        frame_size: `(height, width)` in pixels of the frames of the source, in which boxes are
            told.

    Example:
        >>> tracker = EventTracker(EventSettings(high=1.0, min_seconds=0.0), (80, 80))
        >>> score_map = np.zeros((10, 10), np.float32)
        >>> score_map[2:4, 5:7] = 2.0
        >>> [(event.state, event.box) for event in tracker.update(score_map, time_sec=0.0)]
        [('begun', (8, 32, 40, 64))]
    """

    def __init__(self, settings, frame_size):
        self.settings = settings
        self.frame_size = tuple(frame_size)
        self.clock_jumps = 0
        self._smoother = MapSmoother(settings.window, settings.smoothing_seconds)
        self.set_threshold(settings.high)
        self._tracks = []
        self._told = 0
        self._grid = self._time_sec = None

    def set_threshold(self, high):
        """Changes the threshold; what goes on is judged by it from the next frame on.

        Args:
            high: float above 0, in the place of that of `settings`.

        Raises:
            ValueError: If it is not above 0.
        """
        self.settings = dataclasses.replace(self.settings, high=high)
        # As the maps are: a cell of float32 0.7 reaches a threshold of 0.7.
        self._low, self._high = np.float32(self.settings.low), np.float32(high)

    def update(self, score_map, time_sec):
        """Takes in the score map of the next frame.

        Args:
            score_map: float32 `(height', width')`, finite, always of one shape.
            time_sec: Time of the frame in seconds.

        Returns:
            List of `Event`, those that ended first, then in the order of their `track`.

        Raises:
            ValueError: If the map is of another shape than those before, or a value is not finite.
        """
        score_map = np.asarray(score_map, np.float32)
        self._check(score_map, time_sec)
        told = []
        since = 0.0 if self._time_sec is None else time_sec - self._time_sec
        if since < 0 or since > OUTAGE_SECONDS:
            self.clock_jumps += since < 0
            told = self.finish()
        self._time_sec, self._grid = time_sec, score_map.shape
        smooth = self._smoother.update(score_map, time_sec)
        gap = self.settings.max_gap_seconds + _TICK
        gone = [track for track in self._tracks if time_sec - track.missing_sec > gap]
        self._tracks = [track for track in self._tracks if track not in gone]
        seen = []
        if smooth.max() >= self._low:
            gone += self._join(smooth, time_sec, seen)
        told += [self._tell(track, ENDED) for track in sorted(gone, key=_seniority) if track.number]
        for track in self._tracks:
            if track not in seen:
                track.missing_sec = min(track.missing_sec, time_sec)
            elif track.number:
                track.state = GOING
            elif (
                track.score >= self._high
                and time_sec - track.start_sec >= self.settings.min_seconds - _TICK
            ):
                self._told += 1
                track.number = self._told
        seen = sorted((track for track in seen if track.number), key=lambda track: track.number)
        return told + [self._tell(track, track.state) for track in seen]

    @property
    def is_busy(self):
        """Whether something goes on; if not, a frame below the low threshold may be skipped."""
        return bool(self._tracks)

    def finish(self):
        """Ends all that goes on, as at the end of a video, and forgets it.

        What comes after it may be of another size, and so may `frame_size` be set to another.

        Returns:
            List of `Event`, all "ended".
        """
        told = [self._tell(track, ENDED) for track in self._tracks if track.number]
        self._tracks, self._time_sec, self._grid = [], None, None
        self._smoother.begin()
        return told

    def _check(self, score_map, time_sec):
        if score_map.ndim != 2 or self._grid not in (None, score_map.shape):
            raise ValueError(
                "`score_map` must be (height', width') and as large as those before. Received: "
                f"shape {score_map.shape} after {self._grid}"
            )
        if not np.isfinite(score_map).all() or not math.isfinite(time_sec):
            raise ValueError(
                "`score_map` and `time_sec` must be finite. Received: "
                f"{np.sum(~np.isfinite(score_map))} values which are not, time_sec={time_sec}"
            )

    def _join(self, smooth, time_sec, seen):
        """Gives the regions of a map to tracks, old or new, which are put into `seen`.

        Returns the tracks that are no more since they met an older one.
        """
        from scipy import ndimage

        regions, count = ndimage.label(smooth >= self._low, _TOUCHING)
        if self.settings.min_cells > 1:
            too_small = np.bincount(regions.ravel()) < self.settings.min_cells
            regions[too_small[regions]] = 0
        # Numbers of regions and the track that each belongs to; tracks that share one are joined.
        owners, met = {}, []
        for track in sorted(self._tracks, key=_seniority):
            near = ndimage.binary_dilation(track.regions > 0, _TOUCHING)
            touched = [number for number in np.unique(regions[near]).tolist() if number]
            elders = [owners[number] for number in touched if number in owners]
            elder = min([*elders, track], key=_seniority)
            for other in dict.fromkeys([*elders, track]):
                if other is elder:
                    continue
                elder.absorb(other)
                met.append(other)
                owners |= {number: elder for number in owners if owners[number] is other}
            owners |= dict.fromkeys(touched, elder)
        self._tracks = [track for track in self._tracks if track not in met]
        for number in np.unique(regions).tolist():
            if number and number not in owners:
                owners[number] = _Track(time_sec)
                self._tracks.append(owners[number])
        for track in dict.fromkeys(owners.values()):
            kept = [n if owners.get(n) is track else 0 for n in range(count + 1)]
            track.extend(np.array(kept)[regions], smooth, time_sec)
            seen.append(track)
        return met

    def _tell(self, track, state):
        from scipy import ndimage

        found = [region for region in ndimage.find_objects(track.regions) if region]
        regions = [cells_to_pixels(region, self._grid, self.frame_size) for region in found]
        tops, lefts, bottoms, rights = zip(*regions, strict=True)
        return Event(
            track.number,
            state,
            track.start_sec,
            track.time_sec,
            track.score,
            track.score_sec,
            (min(tops), min(lefts), max(bottoms), max(rights)),
            tuple(regions),
        )


class _Track:
    """What is remembered of something that may be, or become, an event."""

    def __init__(self, time_sec):
        self.start_sec = time_sec
        self.number, self.state = 0, BEGUN
        self.score = self.score_sec = -math.inf

    def extend(self, regions, smooth, time_sec):
        """Takes in a frame: `regions`, int `(height', width')`, number each of its regions."""
        self.regions, self.time_sec = regions, time_sec
        self.missing_sec = math.inf  # Of the first frame since that does not show it.
        score = float(smooth[regions > 0].max())
        if score > self.score:
            self.score, self.score_sec = score, time_sec

    def absorb(self, other):
        self.start_sec = min(self.start_sec, other.start_sec)
        if other.score > self.score:
            self.score, self.score_sec = other.score, other.score_sec


def find_events(score_maps, times, settings, frame_size):
    """The events of a whole video.

    Args:
        score_maps: Iterable of float32 `(height', width')`; a stream will do.
        times: Iterable of the times of their frames in seconds, as many.
        settings: `EventSettings`.
        frame_size: `(height, width)` in pixels of the source.

    Returns:
        List of `Event`, all of state "ended", in the order in which they ended.

    Raises:
        ValueError: As of `EventTracker.update`, or if there are not as many times as maps.
    """
    tracker, told = EventTracker(settings, frame_size), []
    for score_map, time_sec in zip(score_maps, times, strict=True):
        told += [e for e in tracker.update(score_map, time_sec) if e.state == ENDED]
    return told + tracker.finish()


def cells_to_pixels(region, grid, frame_size):
    """The box of some cells of a score map in pixels of the source.

    Args:
        region: Pair of slices of rows and columns, as `scipy.ndimage.find_objects` gives.
        grid: `(height', width')` of the score map.
        frame_size: `(height, width)` of the source.

    Returns:
        `(top, left, bottom, right)`, ints, the edges.

    Example:
        >>> cells_to_pixels((slice(0, 2), slice(3, 4)), (16, 24), (240, 360))
        (0, 45, 30, 60)
    """
    scale = [pixels / cells for pixels, cells in zip(frame_size, grid, strict=True)]
    (top, bottom), (left, right) = (
        (round(part.start * s), round(part.stop * s)) for part, s in zip(region, scale, strict=True)
    )
    return top, left, bottom, right


def _seniority(track):
    """Who goes on where tracks meet: who was told first, else who began first."""
    return (track.number or math.inf, track.start_sec)


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
