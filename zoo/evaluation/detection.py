"""Detection of what is abnormal, in place and time: score maps and true regions in, figures out.

- `pixel_auc`: area under the ROC curve over all pixels of all frames, each with the value of the
  cell of the score map that it lies in, against the mask. It is not the "pixel level" of
  Mahadevan et al. 2010, which counts frames of which 40 % of the abnormal pixels are found.
- `rbdc` and `tbdc`: the region- and the track-based detection criterion of Ramachandra and Jones
  2020. At a threshold the detected regions of a frame are the connected regions of cells at or
  above it. A true region is detected where a detected one overlaps it with an intersection over
  union of at least 0.1, and a true track where at least a tenth of its regions are; a detected
  region that overlaps no true one so is a false positive. Given is the area under the detection
  rate over false positives per frame from 0 to 1. Regions are compared by their boxes.
- events: what `zoo.evaluation.events` tells, against true tracks. An event is right where one of
  its regions overlaps a true one as above in at least a tenth of the frames in which it is told; a
  track is found where events overlap at least a tenth of its regions.

Everything is added up frame by frame; memory does not grow with the length of the footage.

Reference:
    Ramachandra and Jones, Street Scene: A new dataset and evaluation protocol for video anomaly
    detection, WACV 2020 (https://arxiv.org/abs/1902.05872).
"""

import dataclasses

import numpy as np

from zoo.evaluation.events import ENDED, EventTracker, MapSmoother, cells_to_pixels

MIN_OVERLAP = 0.1  # intersection over union
MIN_SHARE = 0.1  # of a track's regions, or of an event's frames

# A region of fewer is noise of the mask, or somebody almost hidden.
MIN_PIXELS = 10

# Score maps are mean squared errors of pixels in [0, 1].
REGION_THRESHOLDS = 2.0 ** (np.arange(-20 * 4, 2 * 4) / 4)
EVENT_THRESHOLDS = 2.0 ** (np.arange(-12 * 2, -2) / 2)

NO_REGION = "no abnormal region is in the masks"

_TOUCHING = np.ones((3, 3), bool)
_DROPPED_BITS = 12  # of a float32: values within 0.05 % of each other are taken for equal


@dataclasses.dataclass(frozen=True)
class DetectionFigures:
    """Figures of one scorer; None where a figure does not exist, and `reason` says why.

    Args:
        pixel_auc, rbdc, tbdc: In [0, 1].
        event_precision: Share of the events that are right; None too where no event was told.
        event_recall: Share of the true tracks that were found.
        event_threshold: The high threshold of these two.
        frames, regions, tracks: What was counted: frames, true regions in them, true tracks.
        reason: Why figures are None, or None.
    """

    pixel_auc: float | None
    rbdc: float | None
    tbdc: float | None
    event_precision: float | None
    event_recall: float | None
    event_threshold: float | None
    frames: int
    regions: int
    tracks: int
    reason: str | None = None


class MaskTracks:
    """Makes tracks of the masks of one video by joining regions that overlap.

    A region of a mask belongs to the track of the region of the frame before with which it shares
    most pixels. Of several with such a claim the one that shares most has it, and the others
    begin new tracks, as does a region that shares no pixel.

    Example:
        >>> tracks, mask = MaskTracks(), np.zeros((8, 8), bool)
        >>> mask[2:6, 1:5] = True
        >>> tracks.update(mask)
        {1: (2, 1, 6, 5)}
    """

    def __init__(self):
        self._before, self._count = None, 0

    def update(self, mask):
        """Takes in the mask of the next frame.

        Args:
            mask: bool `(height, width)`, always of one size.

        Returns:
            Dict from the number of a track to the box `(top, left, bottom, right)` of its region
            in this frame, edges; regions of fewer than `MIN_PIXELS` pixels are left out.
        """
        from scipy import ndimage

        regions, count = ndimage.label(mask, _TOUCHING)
        before = np.zeros_like(regions) if self._before is None else self._before
        pairs = before.astype(np.int64) * (count + 1) + regions
        shared, pixels = np.unique(pairs[(before > 0) & (regions > 0)], return_counts=True)
        tracks = {}
        for pair in shared[np.argsort(-pixels, kind="stable")].tolist():
            track, number = divmod(pair, count + 1)
            if number not in tracks and track not in tracks.values():
                tracks[number] = track
        boxes, lookup = {}, np.zeros(count + 1, np.int64)
        sizes = np.bincount(regions.ravel(), minlength=count + 1)
        for number, (rows, columns) in enumerate(ndimage.find_objects(regions), 1):
            if sizes[number] < MIN_PIXELS:
                continue
            if number not in tracks:
                self._count += 1
            track = lookup[number] = tracks.get(number, self._count)
            boxes[int(track)] = (rows.start, columns.start, rows.stop, columns.stop)
        self._before = lookup[regions]
        return boxes


class DetectionMeter:
    """Adds up what a scorer says of the frames of one video, or of several.

    Args:
        settings: `EventSettings`. How maps are smoothed counts for all figures, its thresholds
            for those of events alone.
        event_thresholds: The high thresholds to try; the low one keeps its share. Of several the
            one with the best F1 is taken, on the very footage that it is measured on.
        warm_up: First frames of a video that have no score. They are given the map of the first
            that has one; events are not.
    """

    def __init__(self, settings, event_thresholds=tuple(EVENT_THRESHOLDS), warm_up=0):
        self.settings = settings
        # Smoothed once for all of them.
        self._event_settings = [
            dataclasses.replace(settings, high=float(threshold), window=1, smoothing_seconds=0.0)
            for threshold in event_thresholds
        ]
        self.warm_up = warm_up
        self.pixels = PixelHistogram()
        self.regions = RegionCurve()
        self.events = [EventCounts() for _ in self._event_settings]
        self._waiting, self._blank = [], None

    def begin(self, frame_size):
        """Begins a video, whose masks and boxes are of `frame_size` `(height, width)`."""
        self._size = tuple(frame_size)
        self._smoother = MapSmoother(self.settings.window, self.settings.smoothing_seconds)
        self._trackers = [EventTracker(settings, frame_size) for settings in self._event_settings]
        self._waiting, self._frames = [], 0

    def update(self, score_map, mask, boxes, time_sec):
        """Takes in the next frame.

        Args:
            score_map: float32 `(height', width')`, finite, none negative.
            mask: bool `(height, width)`, True where abnormal.
            boxes: Dict from the number of a track to `(top, left, bottom, right)`, the edges of its
                region in this frame.
            time_sec: Time of the frame.

        Raises:
            ValueError: If the map or the mask breaks a rule.
        """
        if mask.shape != self._size:
            raise ValueError(
                f"`mask` must be as large as all of the video. Received: {mask.shape} after "
                f"{self._size}"
            )
        if not (np.isfinite(score_map).all() and score_map.min() >= 0):
            raise ValueError(
                "`score_map` must be finite and not negative. Received: values from "
                f"{score_map.min()} to {score_map.max()}"
            )
        self._frames += 1
        self._blank = np.zeros_like(score_map)
        self._waiting.append((mask, boxes))
        if self._frames <= self.warm_up:
            self._count_events([()] * len(self.events), boxes)
            return
        smooth = self._smoother.update(score_map, time_sec)
        told = [tracker.update(smooth, time_sec) for tracker in self._trackers]
        self._count_events(told, boxes)
        self._count_waiting(smooth)

    def end(self):
        """Ends the video: only now is it known how much of a track was found."""
        # A video that ends in its warm-up keeps its zeros.
        self._count_waiting(self._blank)
        self.regions.end()
        for counts in self.events:
            counts.end()

    def add(self, other):
        """Adds what another meter, of the same settings, has counted."""
        self.pixels.add(other.pixels)
        self.regions.add(other.regions)
        for counts, others in zip(self.events, other.events, strict=True):
            counts.add(others)

    def figures(self):
        """Returns `DetectionFigures` of all videos that have ended."""
        regions = self.regions
        counted = {"frames": regions.frames, "regions": regions.true, "tracks": regions.tracks}
        if not regions.true:
            return DetectionFigures(*[None] * 6, **counted, reason=NO_REGION)
        counts, settings = max(
            zip(self.events, self._event_settings, strict=True), key=lambda pair: pair[0].f1
        )
        return DetectionFigures(
            self.pixels.auc(),
            area(regions.false / regions.frames, regions.found / regions.true),
            area(regions.false / regions.frames, regions.tracks_found / regions.tracks),
            counts.right / counts.events if counts.events else None,
            counts.found / counts.tracks,
            settings.high,
            **counted,
        )

    def _count_waiting(self, smooth):
        for mask, boxes in self._waiting:
            self.pixels.update(smooth, mask)
            self.regions.update(smooth, boxes, mask.shape)
        self._waiting = []

    def _count_events(self, told, boxes):
        for counts, events in zip(self.events, told, strict=True):
            counts.update(events, boxes)


class PixelHistogram:
    """How often each value was given to normal and to abnormal pixels.

    Values are told apart by the first 19 bits of a float32 that is not negative.
    """

    def __init__(self):
        self.counts = np.zeros((2, 1 << (31 - _DROPPED_BITS)), np.int64)

    def update(self, score_map, mask):
        """Adds a frame: float32 `(height', width')`, none negative, and bool `(height, width)`."""
        rows, columns = (
            np.arange(pixels) * cells // pixels
            for pixels, cells in zip(mask.shape, score_map.shape, strict=True)
        )
        cells = rows[:, None] * score_map.shape[1] + columns
        for abnormal in (0, 1):
            pixels = np.bincount(cells[mask == abnormal], minlength=score_map.size)
            values = np.ascontiguousarray(score_map, np.float32).view(np.uint32).ravel()
            np.add.at(self.counts[abnormal], values >> _DROPPED_BITS, pixels)

    def add(self, other):
        """Adds what another has counted."""
        self.counts += other.counts

    def auc(self):
        """Area under the ROC curve, None where pixels are of one class; equal values count half."""
        normal, abnormal = self.counts.astype(np.float64)
        if not normal.sum() or not abnormal.sum():
            return None
        below = np.cumsum(normal) - normal / 2
        return float((abnormal * below).sum() / (normal.sum() * abnormal.sum()))


class RegionCurve:
    """How many true regions and tracks are detected at each of `REGION_THRESHOLDS`.

    Attributes:
        false: int64 `(thresholds,)`, false positive regions.
        found: int64 `(thresholds,)`, true regions that are detected.
        tracks_found: int64 `(thresholds,)`, true tracks that are detected.
        frames, true, tracks: Frames, true regions, true tracks.
    """

    def __init__(self):
        self.false, self.found, self.tracks_found = np.zeros((3, len(REGION_THRESHOLDS)), np.int64)
        self.frames = self.true = self.tracks = 0
        self._open = {}

    def update(self, smooth, boxes, frame_size):
        """Adds a frame; arguments as of `DetectionMeter.update`, the map smoothed."""
        from scipy import ndimage

        self.frames += 1
        self.true += len(boxes)
        true = np.array(list(boxes.values()), np.int64).reshape(-1, 4)
        counts = [
            self._open.setdefault(track, np.zeros(1 + len(REGION_THRESHOLDS), np.int64))
            for track in boxes
        ]
        for count in counts:
            count[-1] += 1
        # Thresholds that a cell reaches: between two such numbers nothing of the map changes.
        reached = np.searchsorted(REGION_THRESHOLDS.astype(np.float32), smooth, side="right")
        steps = np.unique(reached)
        for step, below in zip(steps, [0, *steps[:-1]], strict=True):
            if not step:
                continue
            at = slice(below, step)
            labels, _ = ndimage.label(reached >= step, _TOUCHING)
            regions = ndimage.find_objects(labels)
            if not boxes:
                self.false[at] += len(regions)
                continue
            detected = [cells_to_pixels(region, smooth.shape, frame_size) for region in regions]
            hits = overlaps(detected, true) >= MIN_OVERLAP
            self.false[at] += int((~hits.any(axis=1)).sum())
            self.found[at] += int(hits.any(axis=0).sum())
            for count, is_found in zip(counts, hits.any(axis=0), strict=True):
                count[at] += is_found

    def end(self):
        """Ends the video, and with it its tracks."""
        for count in self._open.values():
            self.tracks += 1
            self.tracks_found += count[:-1] >= MIN_SHARE * count[-1]
        self._open = {}

    def add(self, other):
        """Adds what another has counted of videos that have ended."""
        for name in ("false", "found", "tracks_found", "frames", "true", "tracks"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


class EventCounts:
    """How many events are right, and how many true tracks they find.

    Attributes:
        events, right, tracks, found: Events told, those that are right; true tracks, those found.
    """

    def __init__(self):
        self.events = self.right = self.tracks = self.found = 0
        self._told, self._open = {}, {}

    @property
    def f1(self):
        """Harmonic mean of precision and recall, 0 where nothing was told."""
        precision = self.right / max(self.events, 1)
        recall = self.found / max(self.tracks, 1)
        return 2 * precision * recall / max(precision + recall, 1e-12)

    def update(self, told, boxes):
        """Adds a frame.

        Args:
            told: Sequence of `Event`, what an `EventTracker` tells of it.
            boxes: As of `DetectionMeter.update`.
        """
        told = [event for event in told if event.state != ENDED]
        regions = [region for event in told for region in event.regions]
        hits = overlaps(regions, list(boxes.values())) >= MIN_OVERLAP
        first = 0
        for event in told:
            last = first + len(event.regions)
            _tally(self._told, event.track, hits[first:last].any())
            first = last
        for track, is_hit in zip(boxes, hits.any(axis=0), strict=True):
            _tally(self._open, track, is_hit)

    def end(self):
        """Ends the video, and with it its events and tracks."""
        for name, share, counted in (("events", "right", self._told),
                                     ("tracks", "found", self._open)):  # fmt: skip
            enough = sum(hits >= MIN_SHARE * frames for frames, hits in counted.values())
            setattr(self, name, getattr(self, name) + len(counted))
            setattr(self, share, getattr(self, share) + enough)
        self._told, self._open = {}, {}

    def add(self, other):
        """Adds what another has counted of videos that have ended."""
        for name in ("events", "right", "tracks", "found"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def area(false_per_frame, rates):
    """Area under a detection rate over false positives per frame from 0 to 1.

    The curve goes through the best rate that a threshold reaches with at most so many false
    positives, with straight lines between; without any it begins at that of the highest thresholds.
    Thresholds are gone through from the highest down to the first with more than one false
    positive per frame: far below, regions run together into few, which would make few false
    positives of many.

    Args:
        false_per_frame: float `(thresholds,)`, by rising threshold.
        rates: float `(thresholds,)` in [0, 1].

    Returns:
        float in [0, 1].

    Example:
        >>> round(area([1.5, 0.5, 0.0], [1.0, 0.8, 0.4]), 4)
        0.725
    """
    false = np.asarray(false_per_frame, np.float64)[::-1]
    rates = np.asarray(rates, np.float64)[::-1]
    too_many = np.append(false > 1, True)
    false, rates = (values[: 1 + np.argmax(too_many)] for values in (false, rates))
    order = np.lexsort((rates, false))
    false = np.concatenate([[0.0], false[order]])
    rates = np.concatenate([[0.0], np.maximum.accumulate(rates[order])])
    inside = false < 1
    rates = np.append(rates[inside], np.interp(1.0, false, rates))
    widths = np.diff(false[inside], append=1.0)
    return float((widths * (rates[1:] + rates[:-1]) / 2).sum())


def overlaps(boxes, others):
    """Intersection over union of each pair of boxes.

    Args:
        boxes, others: Sequences of `(top, left, bottom, right)`, edges.

    Returns:
        float64 `(boxes, others)`.

    Example:
        >>> overlaps([(0, 0, 2, 2)], [(0, 1, 2, 3), (5, 5, 6, 6)]).round(3).tolist()
        [[0.333, 0.0]]
    """
    one = np.asarray(boxes, np.float64).reshape(-1, 4)
    other = np.asarray(others, np.float64).reshape(-1, 4)
    top, left, bottom, right = one.T[:, :, None]
    others_top, others_left, others_bottom, others_right = other.T
    down = np.minimum(bottom, others_bottom) - np.maximum(top, others_top)
    across = np.minimum(right, others_right) - np.maximum(left, others_left)
    shared = np.maximum(down, 0) * np.maximum(across, 0)
    others_area = (others_bottom - others_top) * (others_right - others_left)
    return shared / ((bottom - top) * (right - left) + others_area - shared)


def _tally(counted, key, is_hit):
    frames, hits = counted.get(key, (0, 0))
    counted[key] = (frames + 1, hits + int(is_hit))
