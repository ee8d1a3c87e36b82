"""Frames on their way from the threads that read sources to the one that scores them."""

import collections
import dataclasses
import threading

# Of each source: how many frames late a live one can be, and what is decoded ahead of a file.
QUEUE_FRAMES = 8


@dataclasses.dataclass(frozen=True)
class Stream:
    """What belongs together in time: a camera, or one video of a source that has several.

    Args:
        name: Shown to people; one of a kind.
        known_as: Tuple of names that a calibration may have it under; the first is that of its
            camera, of which the next video may be, too.
        tells_hour: Whether its frames are known to be of the hour of the day of their `wall_sec`,
            as calibrations take it.
    """

    name: str
    known_as: tuple
    tells_hour: bool = True


@dataclasses.dataclass(frozen=True)
class Arrived:
    """A frame that is to be scored, or the news that none comes for now.

    Args:
        stream: `Stream` that it is of.
        time_sec: Seconds since the stream began, by its own clock.
        wall_sec: Seconds since 1970.
        frame: uint8 `(height, width, channels)` as the model takes it; None of a camera from which
            nothing has come for so long that what goes on has to be taken to have ended.
        image: uint8 as the source gave it, or None where nothing shows it.
        size: `(height, width)` of the frame in the source.
    """

    stream: Stream
    time_sec: float
    wall_sec: float
    frame: object = None
    image: object = None
    size: tuple | None = None


class Arrivals:
    """A bounded queue for each of some sources, which are emptied together.

    Args:
        sources: Names of the sources.
        limit: Frames that wait of each, at most.
    """

    def __init__(self, sources, limit=QUEUE_FRAMES):
        self._queues = {source: collections.deque() for source in sources}
        self._limit = limit
        self._changed = threading.Condition()
        self._ended, self._closed, self._stopped, self._error = set(), set(), False, None
        self.dropped = dict.fromkeys(sources, 0)

    def put(self, source, arrived, wait):
        """Adds a frame.

        Args:
            source: Name of the source.
            arrived: `Arrived`.
            wait: Whether to wait while the queue is full; else the oldest in it is dropped.

        Returns:
            bool: whether more is wanted of this source.
        """
        with self._changed:
            if not self._is_wanted(source):
                return False
            queue = self._queues[source]
            if wait:
                self._changed.wait_for(
                    lambda: len(queue) < self._limit or not self._is_wanted(source)
                )
            if not self._is_wanted(source):
                return False
            if len(queue) == self._limit:
                queue.popleft()
                self.dropped[source] += 1
            queue.append(arrived)
            self._changed.notify_all()
            return True

    def end(self, source, error=None):
        """Says that no more comes from a source.

        Args:
            source: Name of the source.
            error: Exception that `take` is to raise, or None.
        """
        with self._changed:
            self._ended.add(source)
            self._error = self._error or error
            self._changed.notify_all()

    def close(self, source):
        """Says that no more is wanted of a source; what waits of it is left."""
        with self._changed:
            self._closed.add(source)
            self._queues[source].clear()
            self._changed.notify_all()

    def stop(self):
        """Says that nothing is wanted any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def is_wanted(self, source):
        """Whether more is wanted of a source."""
        with self._changed:
            return self._is_wanted(source)

    def take(self):
        """Waits for frames.

        Returns:
            Dict from names of sources to their oldest `Arrived`, or to None of those that have
            ended, each of which is told once. Empty when all have ended or nothing is wanted.

        Raises:
            Exception: What was given to `end`.
        """
        with self._changed:
            while True:
                if self._error is not None:
                    raise self._error
                if self._stopped:
                    return {}
                taken = {}
                for source, queue in list(self._queues.items()):
                    if queue:
                        taken[source] = queue.popleft()
                    elif source in self._ended | self._closed:
                        taken[source] = None
                        del self._queues[source]
                if taken or not self._queues:
                    self._changed.notify_all()
                    return taken
                self._changed.wait()

    def _is_wanted(self, source):
        return not self._stopped and source not in self._closed
