"""An interrupt as a wish to stop after the step at hand, with a checkpoint."""

import contextlib
import signal
import threading


class Interrupted(KeyboardInterrupt):
    """A training was interrupted after `step` steps; `is_kept`: and its checkpoint is written."""

    def __init__(self, step, is_kept=True):
        kept = "the checkpoint is kept" if is_kept else "nothing is kept of its one pass"
        super().__init__(f"interrupted after step {step}; {kept}")
        self.step = step


class StopRequest:
    """Says whether an interrupt has come: `requested`, bool."""

    def __init__(self):
        self.requested = False


@contextlib.contextmanager
def stop_on_signals():
    """Turns the first SIGINT or SIGTERM into a request; a second one has its usual effect at once.

    That is what the handler does which stood there before: Python's own raises KeyboardInterrupt,
    `zoo train` ends the process. Where none was set from Python, KeyboardInterrupt is raised.

    Outside the main thread, where Python takes no signals, the request is never set.

    Yields:
        `StopRequest`.
    """
    request = StopRequest()

    def handle(number, frame):
        if not request.requested:
            request.requested = True
        elif callable(before[number]):
            before[number](number, frame)
        else:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
