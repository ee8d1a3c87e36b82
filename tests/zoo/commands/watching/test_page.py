import contextlib
import http.client
import itertools
import json
import socket
import threading
import urllib.parse
import weakref

import numpy as np
import pytest

from data_pipelines.sources.mjpeg import decode_jpeg, parts
from zoo.commands.watching import page as page_module
from zoo.commands.watching.page import Page

PATIENCE_SECONDS = 20


@pytest.fixture
def page():
    page = Page(port=0)
    yield page
    page.close()


def answer(page, path, host=None):
    address = urllib.parse.urlsplit(page.url)
    asked = http.client.HTTPConnection(address.hostname, address.port, timeout=PATIENCE_SECONDS)
    with contextlib.closing(asked):
        asked.request("GET", path, headers={"Host": host} if host else {})
        response = asked.getresponse()
        return response.status, response.read(), response.headers


@contextlib.contextmanager
def viewer(page, number=0):
    """A connection that has asked for a stream, and a function that reads from it."""
    address = urllib.parse.urlsplit(page.url)
    with socket.create_connection((address.hostname, address.port), PATIENCE_SECONDS) as asked:
        asked.sendall(b"GET /camera/%d HTTP/1.0\r\nHost: localhost\r\n\r\n" % number)
        yield asked


def pictures(asked):
    return (decode_jpeg(content) for _, content in parts(asked.recv, "frame", 1 << 24))


def level(number, channels=3):
    return np.full((48, 64, channels), number, np.uint8)


def threads():
    return {thread for thread in threading.enumerate() if thread.is_alive()}


def test_the_page_lists_the_cameras_as_they_come(page):
    assert json.loads(answer(page, "/cameras")[1]) == {}
    page.show("gate\n", level(1))
    page.show("<script>", level(1))
    status, body, headers = answer(page, "/cameras?x=1")
    assert (status, json.loads(body)) == (200, {"0": "gate\\n", "1": "<script>"})
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    status, body, headers = answer(page, "/")
    assert status == 200 and b"camera/${number}" in body and b"textContent" in body
    assert headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", ["/camera/1", "/camera/-1", "/camera/0/..", "/camera/x", "/etc"])
def test_what_is_not_there_is_not_found(page, path):
    page.show("gate", level(1))
    assert answer(page, path)[0] == 404


@pytest.mark.parametrize("channels", [1, 3])
def test_each_camera_has_a_stream_with_its_colours(page, channels):
    page.show("door", level(10))
    picture = level(10, channels)
    picture[..., 0] = 220  # Red, or all there is.
    page.show("gate", picture)
    with viewer(page, 1) as asked:
        found = next(pictures(asked))
    assert found.shape == (48, 64, channels)
    assert np.abs(found.astype(int) - picture).max() < 25


def test_a_picture_is_seen_as_soon_as_it_is_there(page):
    """Not when the next one comes: the boundary that ends it is sent with it."""
    page.show("gate", level(0))
    with viewer(page) as asked:
        found = pictures(asked)
        assert next(found).mean() < 5
        for number in (50, 100, 150):
            page.show("gate", level(number))
            assert abs(next(p for p in found if p.mean() > number - 25).mean() - number) < 5
        page.show("gate", level(200))
        received = b""
        while not received.endswith(b"\r\n--frame\r\n"):
            received += asked.recv(1 << 16)


def test_nothing_is_encoded_where_nobody_looks_and_once_for_all_who_do(page, monkeypatch):
    encoded = []

    def to_jpeg(image, quality, to_jpeg=page_module.to_jpeg):
        encoded.append(int(image[0, 0, 0]))
        return to_jpeg(image, quality)

    monkeypatch.setattr(page_module, "to_jpeg", to_jpeg)
    for number in range(50):
        page.show("gate", level(number))
    assert encoded == []
    with viewer(page) as one, viewer(page) as other:
        streams = pictures(one), pictures(other)
        assert [next(stream).mean() for stream in streams] == [49.0, 49.0]
        page.show("gate", level(100))
        for stream in streams:
            assert next(p for p in stream if p.mean() > 90).mean() == 100.0
    assert encoded == [49, 100]


def test_a_viewer_that_takes_nothing_holds_nobody_up_and_misses_pictures(page, monkeypatch):
    # Not cut off before it looks again, however long the rest takes.
    monkeypatch.setattr(page_module._Handler, "timeout", 600.0)
    encoded = []

    def to_jpeg(image, quality, to_jpeg=page_module.to_jpeg):
        encoded.append(1)
        return to_jpeg(image, quality)

    monkeypatch.setattr(page_module, "to_jpeg", to_jpeg)
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    page.show("gate", noise)
    with viewer(page) as stuck, viewer(page) as quick:
        found = pictures(quick)
        for number in range(200):
            page.show("gate", noise[:, : 640 - number])
            # So wide, or newer.
            next(p for p in found if p.shape[1] <= 640 - number)
        # Of more than 40 MB few are on their way; then comes the newest.
        taken = [p.shape[1] for p in itertools.takewhile(
            lambda p: p.shape[1] > 441, pictures(stuck))]
        assert len(taken) < 100 and taken == sorted(taken, reverse=True)
    assert len(encoded) >= 200


def test_a_picture_is_sent_again_when_none_comes(page, monkeypatch):
    monkeypatch.setattr(page_module, "_REPEAT_SECONDS", 0.01)
    page.show("gate", level(100))
    with viewer(page) as asked:
        assert [p.mean() for p in itertools.islice(pictures(asked), 5)] == [100.0] * 5


def test_a_camera_that_has_ended_goes_and_its_viewers_are_told(page, monkeypatch):
    monkeypatch.setattr(page_module, "_REPEAT_SECONDS", 600.0)
    for camera, number in (("gate", 50), ("door", 100)):
        page.show(camera, level(number))
    kept = weakref.ref(page._streams["gate"].image)
    with viewer(page, 0) as gate, viewer(page, 1) as door:
        found, others = pictures(gate), pictures(door)
        next(found), next(others)
        page.end("gate")
        assert list(found) == []
        page.show("door", level(200))
        assert next(p for p in others if p.mean() > 190).mean() == 200.0
    assert kept() is None and answer(page, "/camera/0")[0] == 404
    assert json.loads(answer(page, "/cameras")[1]) == {"1": "door"}
    page.end("gate")
    # What comes under its name again is another, which nobody takes for the one before.
    page.show("gate", level(70))
    assert json.loads(answer(page, "/cameras")[1]) == {"1": "door", "2": "gate"}
    with viewer(page, 2) as again:
        assert next(pictures(again)).mean() == 70.0


def test_viewers_who_are_gone_leave_nothing_behind(page, monkeypatch, eventually):
    monkeypatch.setattr(page_module, "_REPEAT_SECONDS", 0.01)
    before = threads()
    page.show("gate", level(100))
    for _ in range(5):
        with viewer(page) as asked:
            next(pictures(asked))
    eventually(lambda: threads() <= before)
    assert not page._server._viewers


def test_closing_ends_all_viewers_also_those_who_are_stuck(monkeypatch, eventually):
    before = threads()
    page = Page(port=0)
    noise = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
    page.show("gate", noise)
    page.show("door", level(1))
    with viewer(page, 0) as stuck, viewer(page, 1) as waiting, viewer(page, 1) as other:
        next(pictures(waiting)), next(pictures(other))
        stuck.recv(1)
        page.close()
        assert list(pictures(waiting)) == []
        eventually(lambda: threads() <= before)
    port = urllib.parse.urlsplit(page.url).port
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 1)
    again = Page(port)
    again.close()


def test_more_viewers_than_a_page_has_room_for_are_turned_away(page, monkeypatch):
    monkeypatch.setattr(page_module, "_MOST_VIEWERS", 2)
    page.show("gate", level(1))
    with viewer(page) as one, viewer(page) as other:
        next(pictures(one)), next(pictures(other))
        with viewer(page) as third:
            with contextlib.suppress(ConnectionError):
                assert third.recv(1) == b""


def test_it_listens_on_this_machine_alone():
    page = Page(port=0)
    assert page._server.socket.getsockname()[0] == "127.0.0.1"
    assert page.url == f"http://127.0.0.1:{page._server.server_address[1]}/"
    page.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("localhost:8000", 200), ("127.0.0.1:8000", 200), ("[::1]:8000", 200),
     ("[::1]", 200), ("desk.example:8000", 403), ("localhost.desk.example", 403)],
)  # fmt: skip
def test_a_name_of_elsewhere_that_leads_here_sees_nothing(page, host, status):
    page.show("gate", level(1))
    assert answer(page, "/cameras", host)[0] == status


def test_on_all_addresses_any_name_will_do():
    page = Page(port=0, host="0.0.0.0")
    page_here = Page(port=0)
    try:
        assert page.url.startswith("http://0.0.0.0:")
        assert answer(page, "/cameras", "desk.example")[0] == 200
    finally:
        page.close()
        page_here.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
def test_an_address_that_is_not_here_is_refused(host):
    with pytest.raises(ValueError, match=f"`port` must be one .* at {host}. Received: port=0: "):
        Page(port=0, host=host)


def test_a_port_that_is_taken_is_refused(page):
    port = urllib.parse.urlsplit(page.url).port
    with pytest.raises(ValueError, match=f"Received: port={port}: Address already in use"):
        Page(port)
