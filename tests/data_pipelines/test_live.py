import threading
import time
import weakref

import pytest

from data_pipelines import live


@pytest.fixture(autouse=True)
def not_for_good(monkeypatch):
    # Streams that other tests have left are none of these.
    monkeypatch.setattr(live, "_at_work", weakref.WeakSet())
    yield
    live._ending.clear()


def test_elements_are_given():
    assert list(live.LiveIterator(iter("abc"), close=None)) == list("abc")
    assert len(live._at_work) == 0


def test_the_end_closes_what_waits_and_waits_until_it_was_let_go():
    waiting, closed, let_go = threading.Event(), threading.Event(), []

    def waits():
        yield "first"
        waiting.set()
        closed.wait()
        yield "late"

    def at_work():
        iterator = live.LiveIterator(waits(), closed.set)
        found = list(iterator)
        time.sleep(0.1)  # On its way out.
        let_go.append(found)

    thread = threading.Thread(target=at_work)
    thread.start()
    waiting.wait()
    live.end_all()
    assert let_go == [["first"]]
    thread.join()
    assert list(live.LiveIterator(iter("abc"), close=None)) == []


def test_the_end_waits_for_nothing_that_is_not_at_work(monkeypatch):
    rests = live.LiveIterator(iter("abc"), close=None)
    next(rests)
    monkeypatch.setattr(live, "_END_SECONDS", 600.0)
    begin = time.monotonic()
    live.end_all()
    assert time.monotonic() - begin < 60
