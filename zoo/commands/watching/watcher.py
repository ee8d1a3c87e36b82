"""Scores what arrives, makes events of it, and hands both on."""

import contextlib
import dataclasses
import time

from zoo.commands.watching.scored_frame import ScoredFrame
from zoo.evaluation.events import BEGUN, ENDED, OUTAGE_SECONDS, EventTracker


class Watcher:
    """Scores the frames of all sources, those that are there at a time in one batch.

    Args:
        scorer: `zoo.evaluation.live_scoring.LiveScorer`.
        arrivals: `Arrivals`.
        thresholds: `zoo.commands.watching.watched.Thresholds`.
        show: Function that is given every `ScoredFrame`, and None with the name of a stream that
            has ended: `show(stream, scored)`. It must not wait for long.
        tell: Function of `ScoredFrame` and `Event` that is told of each that began or ended.
        say: Function of a line for people.
        max_frames: Frames after which a source is left, or None.

    Attributes:
        sources: Dict from the name of a source to `Counts`.
    """

    def __init__(self, scorer, arrivals, thresholds, show, tell, say, max_frames=None):
        self._scorer, self._arrivals, self._thresholds = scorer, arrivals, thresholds
        self._show, self._tell, self._say, self._max_frames = show, tell, say, max_frames
        self.sources, self._watches, self._unwatched = {}, {}, set()

    def run(self):
        """Goes on until all sources have ended or nothing is wanted; then ends all events."""
        try:
            while taken := self._arrivals.take():
                self._take(taken)
        finally:
            with contextlib.ExitStack() as after:  # Of all of them, whatever fails.
                for source in self._watches:
                    after.callback(self._leave, source)

    def _take(self, taken):
        frames = {}
        for source, arrived in taken.items():
            if arrived is None:
                self._leave(source)
                continue
            watch = self._watch(source, arrived)
            if arrived.frame is None:
                self._break_off(watch)
                continue
            self._check_going_on(watch, arrived)
            frames[source] = arrived.frame
        if not frames:
            return
        scored = self._scorer.advance(frames)
        for source, of in scored.items():
            self._note(source, self._watches[source], taken[source], of)

    def _watch(self, source, arrived):
        watch = self._watches.get(source)
        if watch is None or watch.stream != arrived.stream:
            before = watch
            if watch is not None:
                self._leave(source)
            watch = self._watches[source] = self._begin(source, arrived.stream, before)
            self.sources.setdefault(source, Counts())
        return watch

    def _begin(self, source, stream, before):
        if before is not None and self._of(before.stream) == self._of(stream):
            # What is ordinary goes on from one video of a camera to the next.
            return _Watch(source, stream, before.drift, before.rolling, before.end_sec)
        drift = None
        try:
            drift = self._thresholds.drift(stream.known_as)
        except ValueError as error:
            # Of a folder of many files once, not of each.
            reason = str(error).partition("Received: ")[2] or str(error)
            if (source, reason) not in self._unwatched:
                self._unwatched.add((source, reason))
                self._say(f"{stream.name}: drift is not watched: {reason}")
        return _Watch(source, stream, drift, self._thresholds.rolling(stream.known_as))

    def _of(self, stream):
        return stream.known_as[0], self._thresholds.camera(stream.known_as)

    def _settings(self, stream, arrived):
        wall_sec = arrived.wall_sec if stream.tells_hour else None
        return self._thresholds.of(stream.known_as, wall_sec)

    def _check_going_on(self, watch, arrived):
        """Begins a stream anew where its state says nothing about the frame that comes."""
        last = watch.last
        if watch.tracker is None:
            settings = self._settings(watch.stream, arrived)
            watch.tracker = EventTracker(settings, arrived.size)
            if watch.rolling is not None:
                watch.tracker.set_threshold(watch.rolling.settings.high)
        elif watch.tracker.frame_size != arrived.size:
            self._say(
                f"{watch.stream.name}: its frames change from {_shown(watch.tracker.frame_size)} "
                f"to {_shown(arrived.size)}; it begins anew"
            )
            self._break_off(watch)
            watch.tracker.frame_size = arrived.size
        elif last is not None and arrived.time_sec < last.time_sec:
            self._say(f"{watch.stream.name}: its clock jumps back; it begins anew")
            self._break_off(watch)
        elif last is not None and arrived.time_sec - last.time_sec > OUTAGE_SECONDS:
            self._break_off(watch)

    def _note(self, source, watch, arrived, of):
        if watch.rolling is None:  # That of the hour of the day, where it has its own.
            watch.tracker.set_threshold(self._settings(watch.stream, arrived).high)
        threshold, events = watch.tracker.settings.high, ()
        if of.score_map is not None:
            events = tuple(watch.tracker.update(of.score_map, arrived.time_sec))
            self._look_ahead(watch, arrived.time_sec, of.score_map, events)
        watch.last = ScoredFrame(
            watch.stream.name, watch.frames, arrived.time_sec, arrived.wall_sec, arrived.image,
            of.score, of.score_map, threshold, events,
        )  # fmt: skip
        watch.frames += 1
        counts = self.sources[source]
        counts.frame()
        self._tell_all(watch, watch.last)
        self._show(watch.stream.name, watch.last)
        if counts.frames == self._max_frames:
            self._arrivals.close(source)

    def _look_ahead(self, watch, time_sec, score_map, events):
        """Says whether scores drift, and moves the threshold for the frames to come."""
        begin_sec = watch.begin_sec
        time_sec += begin_sec
        events = tuple(
            dataclasses.replace(
                event, start_sec=event.start_sec + begin_sec, time_sec=event.time_sec + begin_sec,
                score_sec=event.score_sec + begin_sec,
            )
            for event in events
        )  # fmt: skip
        if watch.drift and (drift := watch.drift.update(time_sec, score_map, events)):
            self.sources[watch.source].drifts += drift.state == BEGUN
            self._say(f"{watch.stream.name}: {drift}")
        if watch.rolling and (settings := watch.rolling.update(time_sec, score_map, events)):
            watch.tracker.set_threshold(settings.high)
            self._say(f"{watch.stream.name}: the threshold is {settings.high:.4g} from now on")

    def _break_off(self, watch):
        """Ends all events of a stream; what comes next is taken as its beginning."""
        self._scorer.forget(watch.source)
        told = watch.tracker.finish() if watch.tracker is not None else ()
        if told:
            self._tell_all(watch, dataclasses.replace(watch.last, events=tuple(told)))

    def _tell_all(self, watch, scored):
        for event in scored.events:
            self.sources[watch.source].events += event.state == BEGUN
            if event.state in (BEGUN, ENDED):
                self._tell(scored, event)

    def _leave(self, source):
        watch = self._watches.pop(source, None)
        if watch is not None:
            self._break_off(watch)
            self._show(watch.stream.name, None)


class Counts:
    """What came of a source.

    Attributes:
        frames: Frames scored.
        events: Events that began.
        drifts: Drifts of the scores that began.
    """

    def __init__(self):
        self.frames = self.events = self.drifts = 0
        self._began = self._ended = None

    def frame(self):
        """Counts a frame that was scored just now."""
        self.frames += 1
        self._ended = time.monotonic()
        self._began = self._ended if self._began is None else self._began

    @property
    def seconds(self):
        """Seconds from the first frame scored to the last."""
        return 0.0 if self._began is None else self._ended - self._began

    @property
    def fps(self):
        """Frames scored per second, or None of fewer than two."""
        return (self.frames - 1) / self.seconds if self.seconds else None


class _Watch:
    """A stream that is being scored.

    Attributes:
        begin_sec: Where its time begins in that of the camera, of which `drift` and `rolling` are.
    """

    def __init__(self, source, stream, drift, rolling, begin_sec=0.0):
        self.source, self.stream, self.drift, self.rolling = source, stream, drift, rolling
        self.begin_sec = begin_sec
        self.tracker = self.last = None
        self.frames = 0

    @property
    def end_sec(self):
        """Where the next video of the camera begins: its last frame is as long as the others."""
        if self.frames < 2:
            return self.begin_sec
        return self.begin_sec + self.last.time_sec * self.frames / (self.frames - 1)


def _shown(size):
    return "x".join(map(str, size))
