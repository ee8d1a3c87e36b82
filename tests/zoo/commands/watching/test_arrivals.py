"""Frames wait in bounded queues, and are taken together."""

import threading

import pytest

from zoo.commands.watching.arrivals import Arrivals, Arrived, Stream

STREAM = Stream("gate", ("gate",))


def arrived(number):
    return Arrived(STREAM, float(number), 0.0)


def times(taken):
    return {source: one and one.time_sec for source, one in taken.items()}


def in_thread(function):
    done = threading.Thread(target=function, daemon=True)
    done.start()
    return done


def test_one_frame_of_each_source_is_taken_and_each_end_told_once():
    arrivals = Arrivals(["gate", "door", "hall"])
    for number in (1, 2):
        assert arrivals.put("gate", arrived(number), wait=False)
    arrivals.put("door", arrived(3), wait=False)
    arrivals.end("door")
    assert times(arrivals.take()) == {"gate": 1.0, "door": 3.0}
    arrivals.end("hall")
    assert times(arrivals.take()) == {"gate": 2.0, "door": None, "hall": None}
    arrivals.end("gate")
    assert times(arrivals.take()) == {"gate": None}
    assert arrivals.take() == {}


def test_late_frames_are_dropped_oldest_first_and_counted():
    arrivals = Arrivals(["gate", "door"], limit=2)
    for number in range(5):
        assert arrivals.put("gate", arrived(number), wait=False)
    assert arrivals.dropped == {"gate": 3, "door": 0}
    assert times(arrivals.take()) == {"gate": 3.0}


def test_whoever_waits_drops_nothing():
    arrivals, given = Arrivals(["gate"], limit=2), []

    def feed():
        for number in range(20):
            arrivals.put("gate", arrived(number), wait=True)
        arrivals.end("gate")

    thread = in_thread(feed)
    while (one := arrivals.take().get("gate")) is not None:
        given.append(one.time_sec)
    thread.join(20)
    assert given == list(map(float, range(20))) and arrivals.dropped == {"gate": 0}


@pytest.mark.parametrize("end", [Arrivals.stop, lambda arrivals: arrivals.close("gate")])
def test_whoever_waits_is_woken_when_nothing_is_wanted_any_more(end):
    arrivals, wanted = Arrivals(["gate"], limit=1), []
    arrivals.put("gate", arrived(0), wait=True)
    thread = in_thread(lambda: wanted.append(arrivals.put("gate", arrived(1), wait=True)))
    end(arrivals)
    thread.join(20)
    assert wanted == [False] and not arrivals.is_wanted("gate")
    assert not (arrivals.take() or {}).get("gate")


def test_one_source_may_be_closed_alone():
    arrivals = Arrivals(["gate", "door"])
    arrivals.put("gate", arrived(0), wait=False)
    arrivals.close("gate")
    assert arrivals.put("door", arrived(1), wait=False)
    assert times(arrivals.take()) == {"gate": None, "door": 1.0}


def test_what_broke_a_thread_is_raised_where_its_frames_are_taken():
    arrivals = Arrivals(["gate"])
    arrivals.end("gate", KeyError("a fault"))
    with pytest.raises(KeyError, match="a fault"):
        arrivals.take()


def test_of_a_source_that_was_left_no_more_is_wanted():
    arrivals = Arrivals(["gate", "door"])
    arrivals.close("gate")
    assert times(arrivals.take()) == {"gate": None}
    for wait in (False, True):
        assert not arrivals.put("gate", arrived(1), wait)
    arrivals.put("door", arrived(2), wait=False)
    assert times(arrivals.take()) == {"door": 2.0}
