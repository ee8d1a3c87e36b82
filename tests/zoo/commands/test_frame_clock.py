"""Frames are timed by the clock of the recording, as far as it has one that goes."""

import numpy as np
import pytest

from zoo.commands.frame_clock import FrameClock


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([None] * 4, [0.0, 0.1, 0.2, 0.3]),
        # Uneven times and gaps are as they are, also where the rate that is said is not true.
        ([0.0, 0.104, 0.196, 7.5, 7.55, 7.6], [0.0, 0.104, 0.196, 7.5, 7.55, 7.6]),
        (np.arange(100) / 25, np.arange(100) / 25),
        # A clock of whole seconds; one that stands still, and goes on.
        ([0, 0, 0, 1, 1, 1], [0.0, 0.1, 0.2, 1.0, 1.1, 1.2]),
        ([0.0] * 30, np.arange(30) / 10),
        ([0.0, 0.0, 0.0, 0.05, 0.10, 9.0], [0.0, 0.1, 0.2, 0.25, 0.3, 9.0]),
        # Put back, and in disorder.
        ([0.0, 5.0, 5.1, 3.0, 3.1], [0.0, 5.0, 5.1, 3.0, 3.1]),
        ([0.0, 0.1, 0.099, 0.2, 0.4], [0.0, 0.1, 0.2, 0.3, 0.4]),
    ],
)
def test_times_go_by_the_clock_of_the_recording_while_it_goes(said, expected):
    clock = FrameClock(rate=10.0)
    np.testing.assert_allclose([clock.seconds(sec) for sec in said], expected)
