"""What tests of several outputs of `zoo watch` share."""

import contextlib
import dataclasses
import resource
import time

import numpy as np
import pytest

from zoo.commands.watching.scored_frame import ScoredFrame
from zoo.evaluation.events import Event

PATIENCE_SECONDS = 20.0


@pytest.fixture(scope="session")
def eventually():
    """Waits until a condition, a function, holds."""

    def wait(condition):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "it did not come true"
            time.sleep(0.01)

    return wait


@pytest.fixture(scope="session")
def full_disk():
    """A context in which no file grows beyond so many bytes, like on a full disk."""

    @contextlib.contextmanager
    def full(most_bytes=0):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return full


@pytest.fixture(scope="session")
def scored():
    """Makes a `ScoredFrame` of 48x64 with an event, some fields as given."""
    box = (8, 16, 24, 40)
    event = Event(3, "begun", 9.5, 10.0, 0.3, 10.0, box, (box,))
    usual = ScoredFrame(
        "gate", 100, 10.0, 1_700_000_000.0, np.full((48, 64, 3), 90, np.uint8), 0.3,
        np.zeros((6, 8), np.float32), 0.2, (event,),
    )  # fmt: skip

    def make(**fields):
        return dataclasses.replace(usual, **fields)

    return make
