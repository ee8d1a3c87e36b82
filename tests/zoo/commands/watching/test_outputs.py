"""Outputs work in stages of their own: alarms are never dropped, pictures are where told to."""

import threading
import weakref

import numpy as np
import pytest

from zoo.commands.watching import outputs as outputs_module
from zoo.commands.watching.outputs import Outputs, Pictures, Stage, file_name
from zoo.commands.watching.scored_frame import ScoredFrame
from zoo.evaluation.events import Event

IMAGE = np.zeros((4, 6, 1), np.uint8)
EVENT = Event(1, "begun", 0.5, 1.0, 2.0, 1.0, (0, 0, 2, 3), ((0, 0, 2, 3),))


def scored(number=0, camera="gate", image=IMAGE):
    return ScoredFrame(camera, number, number / 10, 1e9 + number / 10, image, 0.5, None, 0.2, ())


def test_a_full_stage_drops_what_comes_unless_it_may_wait():
    done, ready = [], threading.Event()
    stage = Stage(done.append, limit=2)
    for number in range(4):
        stage.put(number, wait=False)
    assert stage.dropped == 2

    def put():
        ready.set()
        stage.put(4, wait=True)

    thread = threading.Thread(target=put)
    thread.start()
    assert ready.wait(20)
    stage.run(seconds=0.0)
    thread.join(20)
    assert done == [0] and stage.dropped == 2
    stage.end()
    stage.run()
    assert done == [0, 1, 4]


def test_what_the_function_raises_is_raised_where_items_are_put():
    stage = Stage(lambda item: 1 / item, limit=1)
    stage.put(0, wait=True)
    with pytest.raises(ZeroDivisionError):
        stage.run()
    with pytest.raises(ZeroDivisionError):
        stage.put(1, wait=True)


class Log:
    def __init__(self):
        self.told, self.stills, self.trouble, self.closed = [], 0, None, False
        self.held, self.lost = [], 0
        self.wants_stills, self.stills_missed = True, 0

    def still(self, image, scored, event):
        self.stills += 1
        return f"{self.stills}.jpg"

    def tell(self, alarm):
        self.told.append(alarm)

    def close(self):
        self.closed = True
        return self.held, self.lost


class Webhook(Log):
    lost = 0

    def close(self, seconds):
        return 2


def test_alarms_that_no_file_has_taken_are_said_at_the_end_and_counted():
    log, said = Log(), []
    log.held, log.lost = [b'{"id": 1}\n', b'{"id": 2}\n'], 3
    webhook = Webhook()
    webhook.lost = 4
    outputs = Outputs(log, said.append, webhook)
    outputs.close()
    assert outputs.alarms_lost == 5
    assert (outputs.webhook_waiting, outputs.webhook_lost) == (2, 4)
    assert said == [
        "2 alarms are not delivered yet; the next watch goes on with them",
        "4 alarms were not delivered, and could not be kept for the next watch",
        "2 alarms could not be written, and are here alone:", '{"id": 1}', '{"id": 2}',
        "3 more alarms could not be written, and are gone",
    ]  # fmt: skip


@pytest.fixture
def slow_log():
    """A log that takes nothing but the first alarm in, with its still, until `going` is set."""
    log = Log()
    log.going, log.waits = threading.Event(), threading.Event()

    def tell(alarm, tell=log.tell):
        log.waits.set()
        assert log.going.wait(20)
        tell(alarm)

    log.tell = tell
    return log


@pytest.mark.parametrize("wants_stills", [False, True])
def test_pictures_of_alarms_that_wait_are_bounded_in_bytes_and_no_alarm_is_lost(
    monkeypatch, slow_log, wants_stills
):
    monkeypatch.setattr(outputs_module, "_MOST_STILL_BYTES", 2 * IMAGE.nbytes)
    log = slow_log
    log.wants_stills = wants_stills
    outputs = Outputs(log, print)
    outputs.tell(scored(), EVENT)
    assert log.waits.wait(20)  # Its still is written.
    pictures = [np.zeros_like(IMAGE) for _ in range(5)]
    kept = [weakref.ref(picture) for picture in pictures]
    for picture in pictures:
        outputs.tell(scored(image=picture), EVENT)
    del picture, pictures
    assert sum(of() is not None for of in kept) == (2 if wants_stills else 0)
    log.going.set()
    outputs.close()
    assert len(log.told) == 6
    stills = [f"{number}.jpg" for number in range(1, 4 if wants_stills else 1)]
    assert [alarm["still"] for alarm in log.told if alarm["still"]] == stills
    assert outputs.stills_missed == (3 if wants_stills else 0) and outputs._still_bytes == 0


@pytest.mark.parametrize("limit", [IMAGE.nbytes - 1, 2 * IMAGE.nbytes])
def test_events_of_one_frame_share_its_picture_also_one_larger_than_the_limit(
    monkeypatch, slow_log, limit
):
    monkeypatch.setattr(outputs_module, "_MOST_STILL_BYTES", limit)
    outputs = Outputs(slow_log, print)
    outputs.tell(scored(), EVENT)
    assert slow_log.waits.wait(20)
    for _ in range(3):
        outputs.tell(scored(1), EVENT)
    assert outputs._still_bytes == IMAGE.nbytes
    slow_log.going.set()
    outputs.close()
    assert [alarm["still"] for alarm in slow_log.told] == ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert outputs.stills_missed == outputs._still_bytes == 0 and not outputs._sharing


def test_alarms_go_to_the_log_and_the_webhook_with_their_stills():
    log, webhook, said = Log(), Webhook(), []
    outputs = Outputs(log, said.append, webhook)
    for number in range(200):
        outputs.tell(scored(number), EVENT)
    outputs.tell(scored(image=None), EVENT)
    outputs.show("gate", scored())
    outputs.close()
    assert log.told == webhook.told and len(log.told) == 201 and log.closed
    assert [alarm["still"] for alarm in log.told[:2]] == ["1.jpg", "2.jpg"]
    assert log.told[-1]["still"] is None and log.told[0]["camera"] == "gate"
    assert said == ["2 alarms are not delivered yet; the next watch goes on with them"]
    assert outputs.pictures_dropped == 0 and not outputs.is_closed


def test_trouble_is_said_when_it_changes():
    log, said = Log(), []
    outputs = Outputs(log, said.append)
    for trouble in (None, "the disk is full", "the disk is full", None):
        log.trouble = trouble
        outputs.draw(0.0)
    outputs.close()
    assert said == ["the disk is full", "alarms: the trouble is over"]


def test_trouble_with_the_end_of_a_video_file_is_said(monkeypatch):
    videos, said = [], []

    def new_video(name):
        videos.append(Shown(name))
        videos[-1].close = lambda video=videos[-1]: setattr(video, "trouble", f"{name} is broken")
        return videos[-1]

    outputs = Outputs(Log(), said.append, pictures=Pictures(Overlay, new_video))
    for name in ("a", "b", "c"):
        outputs.show(name, scored())
        outputs.show(name, None)
    for _ in range(2):
        outputs.draw(0.0)
    assert said == ["a is broken"]
    outputs.close()
    assert said == ["a is broken", "b is broken", "c is broken"]
    # What is remembered is not more with each file.
    assert set(outputs._said) == {"alarms", "webhook", "page", "window", "video of c"}


def test_a_fault_in_telling_is_raised_and_holds_nothing_up():
    log = Log()
    log.tell = None
    outputs = Outputs(log, print)
    with pytest.raises(TypeError):
        for _ in range(1000):
            outputs.tell(scored(), EVENT)
    outputs.close()


class Overlay:
    def draw(self, scored):
        return np.full((4, 6, 3), scored.number, np.uint8)


class Shown:
    def __init__(self, name=None):
        self.name, self.given, self.closed, self.trouble = name, [], False, None
        self.ended = []

    def show(self, *given):
        # (camera, image) of a page and a window, (image, wall_sec) of a file.
        self.given.append(given)

    def end(self, camera):
        self.ended.append(camera)

    def close(self):
        self.closed = True


def test_pictures_are_drawn_once_for_all_that_show_them():
    videos, page, window = [], Shown(), Shown()

    def new_video(name):
        videos.append(Shown(name))
        return videos[-1]

    pictures = Pictures(Overlay, new_video, page, window)
    for stream, number in (("gate", 0), ("door", 1), ("gate", 2)):
        pictures.show(stream, scored(number))
    assert [video.name for video in videos] == ["gate", "door"]
    assert [image.max() for image, _ in videos[0].given] == [0, 2]
    assert videos[0].given[1][1] == pytest.approx(1e9 + 0.2)
    assert [(camera, image.max()) for camera, image in page.given] == [
        ("gate", 0), ("door", 1), ("gate", 2),
    ]  # fmt: skip
    assert window.given == page.given and not pictures.is_closed
    assert set(pictures.outputs) == {"page", "window", "video of gate", "video of door"}
    pictures.show("gate", None)
    assert videos[0].closed and not videos[1].closed
    assert page.ended == window.ended == ["gate"]
    pictures.show("gate", scored(3))
    assert [video.name for video in videos] == ["gate", "door", "gate"]
    window.closed = True
    assert pictures.is_closed
    window.closed = False
    pictures.close()
    assert all(video.closed for video in videos) and page.closed and window.closed


@pytest.mark.parametrize("keep_all", [False, True])
def test_slow_drawing_drops_pictures_or_holds_up_where_all_are_wanted(keep_all):
    page = Shown()
    outputs = Outputs(Log(), print, pictures=Pictures(Overlay, page=page), keep_all=keep_all)

    def show():
        for number in range(40):
            outputs.show("gate", scored(number))
        outputs.show("gate", None)

    thread = threading.Thread(target=show)
    thread.start()
    # Of the end of a stream all are told, so that waits in any case.
    while not keep_all and outputs.pictures_dropped < 32:
        thread.join(0.01)
    while thread.is_alive():
        outputs.draw(0.01)
    outputs.close()
    assert outputs.pictures_dropped == (0 if keep_all else 32)
    assert [image.max() for _, image in page.given] == list(range(40 if keep_all else 8))


def test_names_of_files_are_safe():
    assert [file_name(name) for name in ("a/b c.avi", "../x", "ü", "", "x" * 500)] == [
        "a_b_c.avi", "x", "camera", "camera", "x" * 60,
    ]  # fmt: skip
