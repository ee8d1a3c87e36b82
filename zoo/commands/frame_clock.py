"""The times of the frames of a recording, as `zoo watch` and `zoo calibrate` both count them."""

# A clock that goes back further than that was put back; less is disorder.
_BACK_SECONDS = 1.0


class FrameClock:
    """Tells when each frame of a recording was, in seconds since the first.

    It goes by the clock of the recording, gaps and all. Where that stands still, as coarse ones do,
    it goes on by the number of the frame, until the clock has caught up.

    Args:
        rate: Frames per second where no clock tells.

    Example:
        >>> clock = FrameClock(rate=10)
        >>> [round(clock.seconds(said), 3) for said in (0.0, 0.1, 0.1, 0.3, 60.0)]
        [0.0, 0.1, 0.2, 0.3, 60.0]
    """

    def __init__(self, rate):
        self._rate, self._number = rate, -1
        self._said_sec = self._time_sec = None

    def seconds(self, said_sec):
        """The time of the next frame.

        Args:
            said_sec: What the recording says, as of `data_pipelines.Video.timed`; None where it
                says nothing.

        Returns:
            float, before that of the frame before only where the clock was put back.
        """
        self._number += 1
        if said_sec is None:
            return self._number / self._rate
        if self._said_sec is None or said_sec < self._said_sec - _BACK_SECONDS:
            time_sec = said_sec
        else:
            step_sec = said_sec - self._said_sec
            usual_sec = 1 / self._rate
            due_sec = self._time_sec + (min(step_sec, usual_sec) if step_sec > 0 else usual_sec)
            time_sec = max(said_sec, due_sec)
        self._said_sec, self._time_sec = said_sec, time_sec
        return time_sec
