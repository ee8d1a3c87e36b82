"""Live videos in `tf.data`, which cannot break off a generator that waits for a frame.

So a generator of a live video never waits for long: it gives `None` now and then, and ends with
the process.
"""

import atexit
import threading
import time
import weakref

# After how long without a frame a generator gives `None`.
IDLE_SECONDS = 0.5

# How long the end of the process waits at most; on a machine that is not busy it takes moments.
_END_SECONDS = 30.0

_at_work = weakref.WeakSet()
_lock = threading.RLock()
_ending = threading.Event()


class LiveIterator:
    """An iterator that TensorFlow's threads may be in while the process ends.

    A thread of TensorFlow that comes back into Python while Python is being taken down never
    returns, and the process waits for it for ever. This iterator ends when the process is about
    to, and the process waits until TensorFlow has let go of it.

    Args:
        elements: Iterator that gives something at least every `IDLE_SECONDS` while no frame comes.
        close: Function that ends it, from another thread.
    """

    def __init__(self, elements, close):
        self._elements = elements
        self.close = close

    def __iter__(self):
        return self

    def __next__(self):
        with _lock:
            if _ending.is_set():
                raise StopIteration
            _at_work.add(self)
        element = next(self._elements)
        with _lock:
            if not _ending.is_set():
                _at_work.discard(self)
                return element
        # Stays at work until it is let go of.
        raise StopIteration


@atexit.register
def end_all():
    """Ends all iterators for good, and waits until those at work were let go of."""
    with _lock:
        _ending.set()
        at_work = list(_at_work)
    while at_work:
        at_work.pop().close()
    deadline = time.monotonic() + _END_SECONDS
    while len(_at_work) and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.02)  # For the way out of Python.
