"""Wires sources, model, events and outputs into one watch: the work behind `zoo watch`."""

import concurrent.futures
import contextlib
import dataclasses
import logging
import signal
import threading
import time
from pathlib import Path

from data_pipelines import ClipSpec
from zoo.commands.console import printable, say
from zoo.commands.watching.arrivals import Arrivals
from zoo.commands.watching.feeds import Feed, open_feeds
from zoo.commands.watching.outputs import Outputs, Pictures, file_name
from zoo.commands.watching.watched import open_watched, thresholds
from zoo.commands.watching.watcher import Counts, Watcher
from zoo.evaluation.live_scoring import LiveScorer

# How soon an interrupt is noticed.
_LOOK_SECONDS = 0.2

# What the report has of `Outputs`.
_COUNTED = ("pictures_dropped", "stills_missed", "alarms_lost", "webhook_waiting", "webhook_lost")


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Which outputs are wanted, each None or False where it is not.

    Attributes:
        alarms: Path of a file; None for standard output.
        stills: Path of a folder.
        webhook: Address.
        video: Path of a folder.
        page: Port, 0 for a free one.
        window: Whether there is to be one.
    """

    alarms: Path | None = None
    stills: Path | None = None
    webhook: str | None = None
    video: Path | None = None
    page: int | None = None
    window: bool = False

    @property
    def pictures(self):
        """Whether anything is drawn."""
        return self.video is not None or self.page is not None or self.window

    @property
    def images(self):
        """Whether frames are needed as the source gave them."""
        return self.pictures or self.stills is not None


def watch(name, sources, wanted, *, calibration=None, threshold=None, recalibrate=False,
          max_speed=False, max_seconds=None, max_frames=None):
    """Watches until all sources have ended, a limit is reached, or it is interrupted.

    Args:
        name: Preset, run folder or export.
        sources: As of `feeds.open_feeds`.
        wanted: `Wanted`.
        calibration, threshold, recalibrate: As of `watched.thresholds`.
        max_speed: Whether files are read as fast as they are scored.
        max_seconds: Seconds after which it ends, or None.
        max_frames: Frames after which a source is left, or None.

    Returns:
        Dict of JSON values: `sources`, a dict by name of `frames`, `dropped`, `seconds`,
        `frames_per_second`, `events`, `drifts` and `failure`; and what `Outputs` counts:
        `pictures_dropped`, `stills_missed`, `alarms_lost`, `webhook_waiting` and `webhook_lost`.

    Raises:
        ValueError: If an argument breaks its rule, the model does not score, or nothing says what
            an event is.
    """
    opened = open_feeds(sources)
    watched = open_watched(name)
    limits = thresholds(watched, name, calibration, threshold, recalibrate)
    scorer = LiveScorer(watched.model)
    clip = ClipSpec(fps=watched.fps, size=watched.size, channels=watched.channels)
    arrivals = Arrivals(opened)
    feeds = {
        shown: Feed(
            shown, source, clip, arrivals, _say, max_speed=max_speed, images=wanted.images,
            is_named=is_named,
        )
        for shown, (source, is_named) in opened.items()
    }  # fmt: skip
    keep_all = max_speed and not any(feed.live for feed in feeds.values())
    outputs = open_outputs(wanted, watched.fps, keep_all)
    watcher = Watcher(
        scorer, arrivals, limits, outputs.show, outputs.tell, _say, max_frames=max_frames
    )
    with interrupts() as interrupted, cameras_told_here():
        try:
            # Before the first frame, as many would come while it takes its time.
            scorer.prepare(*watched.size)
            _run(watcher, feeds, arrivals, outputs, interrupted, max_seconds)
        finally:
            try:
                for feed in feeds.values():
                    feed.end()
                for feed in feeds.values():
                    feed.join()
            finally:
                outputs.close()
    return report(feeds, watcher.sources, outputs)


def _run(watcher, feeds, arrivals, outputs, interrupted, max_seconds):
    """Scores in a thread, and draws in this one, as windows want it."""
    ends = None if max_seconds is None else time.monotonic() + max_seconds
    for feed in feeds.values():
        feed.start()
    with concurrent.futures.ThreadPoolExecutor(1, "scoring") as pool:
        scoring = pool.submit(watcher.run)
        try:
            while not scoring.done():
                outputs.draw(_LOOK_SECONDS)
                is_late = ends is not None and time.monotonic() > ends
                if interrupted.is_set() or is_late or outputs.is_closed:
                    arrivals.stop()
        finally:
            # Where drawing fails, scoring must not wait for it.
            arrivals.stop()
            outputs.stop_drawing()
    scoring.result()


def open_outputs(wanted, fps, keep_all):
    """Opens outputs.

    Args:
        wanted: `Wanted`.
        fps: Frames per second of videos.
        keep_all: As of `Outputs`.

    Returns:
        `Outputs`.

    Raises:
        ValueError: If an address is none, or there is no screen for a window.
        OSError: If a port is taken, or a folder cannot be made.
    """
    from zoo.commands.watching.alarms import AlarmLog

    webhook = None
    if wanted.alarms is not None:
        wanted.alarms.absolute().parent.mkdir(parents=True, exist_ok=True)
    if wanted.webhook is not None:
        from zoo.commands.watching.webhook import Webhook

        webhook = Webhook(wanted.webhook, f"{wanted.alarms}.spool")
    pictures = _pictures(wanted, fps) if wanted.pictures else None
    return Outputs(AlarmLog(wanted.alarms, wanted.stills), _say, webhook, pictures, keep_all)


def _pictures(wanted, fps):
    from zoo.commands.watching.overlay import Overlay

    new_video = page = window = None
    if wanted.window:
        from zoo.commands.watching.window import Window

        window = Window()
    if wanted.page is not None:
        from zoo.commands.watching.page import Page

        page = Page(wanted.page)
        say(page.url)
    if wanted.video is not None:
        from zoo.commands.watching.video_file import VideoFile

        def new_video(stream):
            # What there is of Matroska is playable where the process was killed.
            return VideoFile(wanted.video / f"{file_name(stream)}.mkv", fps)

    return Pictures(Overlay, new_video, page, window)


def report(feeds, counts, outputs):
    """What was watched, as a dict of JSON values; see `watch`."""
    return {
        "sources": {
            name: {
                "frames": of.frames,
                "dropped": feeds[name].dropped,
                "seconds": round(of.seconds, 3),
                "frames_per_second": of.fps and round(of.fps, 2),
                "events": of.events,
                "drifts": of.drifts,
                "failure": feeds[name].failure,
            }
            for name in feeds
            for of in [counts.get(name, Counts())]
        },
        **{name: getattr(outputs, name) for name in _COUNTED},
    }


@contextlib.contextmanager
def cameras_told_here():
    """Silences the log of cameras: their news is told here, under the names they were given."""
    log = logging.getLogger("data_pipelines.sources.camera_session")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


@contextlib.contextmanager
def interrupts():
    """An event that the first interrupt, or SIGTERM, sets; a second one does what it always did."""
    interrupted, before = threading.Event(), {}

    def note(number, frame):
        interrupted.set()
        signal.signal(number, before[number])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, note)
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(line):
    say(printable(line))
