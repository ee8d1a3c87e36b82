"""Cameras, against a local server that does what cameras do, and against captures made up."""

import base64
import itertools
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import Camera, ClipSpec, chunks, clips, load, open_source
from data_pipelines.sources import camera as camera_lib
from data_pipelines.sources import camera_session, camera_streams

# Pauses of 0.02 to 0.1 s, so that a test takes moments. A machine that does something else for
# seconds is no camera that stalls: only tests of a stall are this impatient.
QUICK = dict(stall_seconds=60.0, connect_seconds=60.0, first_pause_seconds=0.02,
             longest_pause_seconds=0.1)
STALL = dict(stall_seconds=0.3)
# Closing promises less than a second. A busy machine takes longer, and less than what is waited
# for in these tests: a minute, or for ever.
PROMPT = 20.0
SIZE = (32, 48)


def jpeg(level, size=SIZE, channels=3):
    return cv2.imencode(".jpg", np.full((*size, channels), level, np.uint8))[1].tobytes()


def level(frame):
    return round(float(frame.mean()))


class Served:
    """One connection to the server, as the function that plays the camera sees it.

    Attributes:
        number: Number of the connection, from 0.
        headers: Headers of the request.
    """

    def __init__(self, handler, number):
        self._handler = handler
        self.number = number
        self.headers = handler.headers

    def answer(self, status, **headers):
        self._handler.send_response(status, "made-up words")
        for name, value in headers.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.end_headers()

    def begin(self, boundary="x"):
        self.answer(200, Content_Type=f"multipart/x-mixed-replace; boundary={boundary}")

    def send(self, data):
        self._handler.wfile.write(data)

    def part(self, content, separator=b"--x", length=True, **headers):
        lines = [b"Content-Type: image/jpeg"]
        lines += [b"Content-Length: %d" % len(content)] if length else []
        lines += [f"{k.replace('_', '-')}: {v}".encode() for k, v in headers.items()]
        self.send(b"\r\n".join([separator, *lines, b"", content, b""]))

    def wait(self, seconds):
        """Waits, and says whether the server goes on; the client may be gone."""
        return not self._handler.server.ended.wait(seconds)

    def forever(self, interval=0.01, levels=itertools.repeat(100)):
        for value in levels:
            self.part(jpeg(value))
            if not self.wait(interval):
                return

    def hang(self):
        """Sends nothing more, until the client goes away."""
        while self.wait(0.02):
            if self._handler.connection.recv(1 << 16) == b"":
                self._handler.server.left.set()
                return


@pytest.fixture
def serve():
    """A function that starts a server whose connections a function plays; gives its address."""
    servers = []

    def start(play):
        count = itertools.count()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                try:
                    play(Served(self, next(count)))
                except (OSError, ValueError):
                    self.server.left.set()  # The client went away.

            def log_message(self, *words):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.ended, server.left, server.daemon_threads = (
            threading.Event(), threading.Event(), True)
        server.handle_error = lambda *about: None
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        servers.append((server, thread))
        start.server = server
        return f"mjpeg+http://127.0.0.1:{server.server_port}/video"

    yield start
    for server, thread in servers:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 60
    while left := [t for t in threading.enumerate() if t not in before and "camera" in t.name]:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.005)


def quick(address, **options):
    return Camera(address, **{**QUICK, **options})


def balanced(statistics):
    return statistics.received == statistics.given + statistics.dropped + statistics.queued


def closed_in(camera):
    begin = time.monotonic()
    camera.close()
    return time.monotonic() - begin


# What a camera gives.


def test_frames_come_in_order_with_their_times(serve):
    def play(served):
        served.begin()
        for number in range(6):
            served.part(jpeg(40 * number), X_Timestamp=100 + number / 4)
            served.wait(0.03)
        served.hang()

    with quick(serve(play), queue_frames=10) as camera:
        began = time.monotonic()
        found = list(itertools.islice(camera.timed_frames(), 6))
        ended = time.monotonic()
        assert [level(timed.frame) for timed in found] == pytest.approx(
            [0, 40, 80, 120, 160, 200], abs=2)
        assert [timed.stream_sec for timed in found] == [100 + n / 4 for n in range(6)]
        times = [timed.time_sec for timed in found]
        assert began < times[0] and times == sorted(times) and times[-1] < ended
        assert {timed.state for timed in found} == {"live"}
        assert found[0].frame.shape == (*SIZE, 3) and found[0].frame.dtype == np.uint8
        found = camera.statistics()
        assert (found.state, found.received, found.given, found.dropped, found.queued) == (
            "live", 6, 6, 0, 0)
        assert found.size == SIZE and found.last_error is None and found.reconnections == 0
        assert ended - times[-1] <= found.seconds_since_frame <= time.monotonic() - times[-1]
        assert found.fps == pytest.approx(5 / (times[-1] - times[0]))
    assert camera.statistics().state == "closed" and camera.statistics().fps is None


def test_colours_are_rgb_and_grey_stays_grey(serve):
    red = np.zeros((*SIZE, 3), np.uint8)
    red[..., 2] = 200

    def play(served):
        served.begin()
        served.part(cv2.imencode(".jpg", red)[1].tobytes())
        served.part(jpeg(90, channels=1))
        served.hang()

    first, second = quick(serve(play), max_frames=2).frames()
    assert first[..., 0].mean() > 180 and first[..., 2].mean() < 20
    assert second.shape == (*SIZE, 1)


@pytest.mark.parametrize(
    "boundary,separator",
    [("x", b"--x"), ('"x"', b"--x"), ("--x", b"--x"), ('"--x"', b"----x"),
     ("--video boundary--", b"--video boundary--")],
)
@pytest.mark.parametrize("length", [True, False])
def test_boundaries_and_lengths_of_any_kind(serve, boundary, separator, length):
    def play(served):
        served.begin(boundary)
        for value in (50, 100, 150):
            served.part(jpeg(value), separator=separator, length=length)
        served.hang()

    found = [level(f) for f in quick(serve(play), max_frames=3, queue_frames=3).frames()]
    assert found == pytest.approx([50, 100, 150], abs=2)


def test_broken_images_are_counted_and_left_out(serve):
    def play(served):
        served.begin()
        for data in (jpeg(50), jpeg(60)[:-30], b"no image", jpeg(70)):
            served.part(data)
        served.part(jpeg(80)[:300], length=False)
        served.part(jpeg(90), length=False)
        served.hang()

    camera = quick(serve(play), queue_frames=10)
    with camera:
        found = [level(frame) for frame in itertools.islice(camera.frames(), 3)]
        assert found == pytest.approx([50, 70, 90], abs=2)
        found = camera.statistics()
    assert (found.received, found.broken, found.reconnections) == (3, 3, 0)
    assert found.last_error == "a part without a whole JPEG"


def test_an_endless_part_is_given_up(serve):
    def play(served):
        served.begin()
        if served.number:
            served.forever()
        served.send(b"--x\r\n\r\n" + jpeg(1)[:-2])
        while served.wait(0):
            served.send(bytes(1 << 16))

    with quick(serve(play), max_frame_bytes=1 << 20) as camera:
        assert level(next(camera.frames())) == pytest.approx(100, abs=2)
        found = camera.statistics()
    assert "a part of more than 1048576 bytes" in found.last_error and found.reconnections == 1


def test_a_frame_of_another_size_is_given_as_it_is(serve):
    def play(served):
        served.begin()
        for size in (SIZE, SIZE, (40, 40), (40, 40), SIZE):
            served.part(jpeg(100, size))
        served.hang()

    address = serve(play)
    with quick(address, queue_frames=5) as camera:
        found = [frame.shape[:2] for frame in itertools.islice(camera.frames(), 5)]
        assert found == [SIZE, SIZE, (40, 40), (40, 40), SIZE]
        assert camera.statistics().size_changes == 2
    (chunk,) = chunks(quick(address, queue_frames=5, max_frames=5), ClipSpec(size=(16, 24)), 5)
    assert chunk.shape == (5, 16, 24, 1)
    with pytest.raises(ValueError, match=r"change from \(32, 48\) to \(40, 40\); give `size`"):
        list(chunks(quick(address, queue_frames=5, max_frames=5), ClipSpec()))


def test_a_clock_that_jumps_back_is_counted_and_goes_on(serve):
    clocks = iter([[10.0, 10.5, 3.0, 3.5, 3.5, 9.0, "nan", "soon"], [0.5, 1.0]])

    def play(served):
        served.begin()
        for clock in next(clocks):
            served.part(jpeg(100), X_Timestamp=clock)
            served.wait(0.01)
        if served.number:
            served.hang()

    with quick(serve(play), queue_frames=10) as camera:
        found = list(itertools.islice(camera.timed_frames(), 10))
        assert camera.statistics().clock_jumps == 1  # A new connection is none.
    shown = [timed.stream_sec for timed in found]
    assert shown[:2] == [10.0, 10.5] and shown[6:8] == [None, None]
    told = [s for s in shown if s is not None]
    times = [timed.time_sec for timed in found]
    assert told == sorted(told) and times == sorted(times)
    assert shown[2] - shown[1] == pytest.approx(times[2] - times[1])
    assert np.diff(shown[2:6]) == pytest.approx([0.5, 0, 5.5])
    assert shown[9] - shown[8] == pytest.approx(0.5)


# Too slow and too fast.


def test_late_frames_are_dropped_oldest_first(serve):
    def play(served):
        served.begin()
        for number in range(30):
            served.part(jpeg(8 * number))
        served.hang()

    with quick(serve(play), queue_frames=3) as camera:
        until(lambda: camera.statistics().received == 30)
        found = camera.statistics()
        assert (found.given, found.dropped, found.queued) == (0, 27, 3)
        found = [level(frame) for frame in itertools.islice(camera.frames(), 2)]
        assert found == pytest.approx([8 * 27, 8 * 28], abs=2)
    found = camera.statistics()
    assert (found.given, found.dropped, found.queued) == (2, 28, 0)


def test_whoever_is_slow_is_given_recent_frames(serve):
    def play(served):
        served.begin()
        for number in itertools.count():
            served.part(jpeg(100), X_Timestamp=number)
            if not served.wait(0.005):
                return

    with quick(serve(play), queue_frames=2) as camera:
        frames = camera.timed_frames()
        for _ in range(10):
            # Ten times slower than the camera, and never further behind.
            received = camera.statistics().received
            assert next(frames).stream_sec >= received - 2
            until(lambda: camera.statistics().received >= received + 10)
            found = camera.statistics()
            assert found.queued <= 2 and balanced(found)
        assert found.dropped > 80 and found.given == 10
    assert balanced(camera.statistics()) and camera.statistics().queued == 0


def test_whoever_is_fast_waits_and_misses_nothing(serve):
    taken = threading.Semaphore()

    def play(served):
        served.begin()
        for number in range(8):
            taken.acquire(timeout=60)
            served.part(jpeg(30 * number))
        served.hang()

    found = []
    with quick(serve(play)) as camera:
        for frame in itertools.islice(camera.frames(), 8):
            found.append(level(frame))
            taken.release()
        assert found == pytest.approx([30 * n for n in range(8)], abs=2)
        assert camera.statistics().dropped == 0


def test_the_rate_of_the_clip_is_kept_by_arrival(captures, monkeypatch):
    # As if a frame arrived every 23 ms.
    arrivals = itertools.count(time.monotonic(), 0.023)
    monkeypatch.setattr(camera_streams, "time", types.SimpleNamespace(monotonic=arrivals.__next__))
    captures(Capture([frame for number in range(40) for frame in bgr(5 * number)]))
    camera = quick("rtsp://h/1", max_frames=40, queue_frames=50)
    found = [int(c[0, 0, 0, 2]) for c in chunks(camera, ClipSpec(fps=10, channels=3), 1)]
    assert found == list(clips.resample_live([(5 * n, 0.023 * n) for n in range(40)], 10))
    assert 8 <= len(found) <= 10


# Away, and back.


def test_a_stall_within_a_frame_is_got_over(serve):
    noticed = threading.Event()

    def play(served):
        served.begin()
        served.part(jpeg(50))
        # A busy machine may not see the first of them.
        if not noticed.is_set():
            served.send(b"--x\r\nContent-Length: 5000\r\n\r\n" + jpeg(1)[:200])
            served.hang()
        served.forever()

    states = []
    with quick(serve(play), **STALL) as camera:
        frames = camera.timed_frames(timeout_seconds=0.01)
        for timed in frames:
            states.append(timed.state)
            if timed.state == "stalled":
                noticed.set()
            if timed.frame is not None and level(timed.frame) > 60:
                break
        found = camera.statistics()
    assert "stalled" in states and states[-1] == "live"
    # Whichever of the two notices first: who waits for frames, or who reads from the socket.
    assert found.last_error in ("no frame for 0.3 s", "TimeoutError: timed out")
    assert found.reconnections >= 1


def test_a_server_that_accepts_and_says_nothing_is_given_up(serve):
    noticed = threading.Event()

    def play(served):
        if served.number == 0:
            served.hang()
        served.begin()
        if served.number == 1 or not noticed.is_set():
            served.hang()
        served.forever()

    with quick(serve(play), connect_seconds=0.3) as camera:
        frames = camera.timed_frames(0.01)
        states = {next(frames).state for _ in range(20)}
        until(lambda: next(frames).state == "connecting")
        assert "live" not in states and "stalled" not in states
        noticed.set()
        next(camera.frames())
        found = camera.statistics()
    assert found.last_error in ("no first frame for 0.3 s", "timed out")
    assert found.reconnections >= 2


def test_a_dropped_connection_comes_back(serve, caplog):
    def play(served):
        served.begin()
        for _ in range(3):
            served.part(jpeg(50 * (served.number + 1)))

    with caplog.at_level(logging.INFO):
        with quick(serve(play), queue_frames=30) as camera:
            found = [level(f) for f in itertools.islice(camera.frames(), 9)]
            statistics = camera.statistics()
    assert found == pytest.approx([50] * 3 + [100] * 3 + [150] * 3, abs=2)
    assert statistics.reconnections >= 2 and statistics.last_error == "the stream ended"
    assert balanced(statistics)
    assert re.search(r"127.0.0.1:\d+/video: the stream ended; a new try in 0.0 s", caplog.text)
    assert "frames come again" in caplog.text


def test_a_camera_that_refuses_for_a_while_is_asked_with_growing_pauses(serve, caplog):
    def play(served):
        if served.number < 5:
            return served.answer(503)
        served.begin()
        served.forever()

    began = time.monotonic()
    with caplog.at_level(logging.DEBUG, camera_session.__name__):
        with quick(serve(play), first_pause_seconds=0.02, longest_pause_seconds=0.16) as camera:
            next(camera.frames())
            found = camera.statistics()
    assert found.reconnections == 5 and found.state == "live" and found.http_status is None
    assert found.last_error == "HTTP 503 Service Unavailable"
    pauses = [record.args[-1] for record in caplog.records if "a new try" in record.message]
    for pause, longest in zip(pauses, (0.02, 0.04, 0.08, 0.16, 0.16), strict=True):
        assert 0.75 * longest <= pause <= longest
    assert time.monotonic() - began > sum(pauses)


def test_pauses_grow_until_a_healthy_stretch(serve, caplog, monkeypatch):
    passed = [0.0]
    clock = types.SimpleNamespace(monotonic=lambda: time.monotonic() + sum(passed))
    monkeypatch.setattr(camera_streams, "time", clock)

    def play(served):
        if served.number in (3, 4):
            return served.answer(200, Content_Type="text/html")
        served.begin()
        served.part(jpeg(100))
        if served.number == 2:
            # Its second frame comes as if a minute later.
            until(lambda: camera.statistics().received == 3)
            passed.append(61.0)
            served.part(jpeg(100))

    def tries():
        return [record for record in caplog.records if "a new try" in record.message]

    with caplog.at_level(logging.DEBUG, camera_session.__name__):
        camera = quick(serve(play), first_pause_seconds=0.05, longest_pause_seconds=9)
        with camera:
            until(lambda: len(tries()) > 4)
    # Two short connections, one that was healthy, then none.
    for line, longest in zip(tries(), (0.05, 0.1, 0.05, 0.1, 0.2), strict=False):
        assert 0.75 * longest <= line.args[-1] <= longest
    assert "text/html, not multipart/x-mixed-replace" in tries()[3].message
    # The same reason once more is said no louder than that.
    assert [line.levelname for line in tries()[3:5]] == ["WARNING", "DEBUG"]


def test_pauses_are_drawn_from_the_seed_and_the_address():
    def draws(address, seed):
        session = Camera(address, seed=seed)._new_session()
        return session._rng.uniform(size=3).tolist()

    found = [draws("camera:0", 0), draws("camera:1", 0), draws("camera:0", 1)]
    assert found[0] == draws("camera:0", 0)
    assert found[0] != found[1] and found[0] != found[2]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_told_and_asked_again_slowly(serve, status):
    asked = []

    def play(served):
        asked.append(served.number)
        served.answer(status)

    with quick(serve(play), first_pause_seconds=0.01, longest_pause_seconds=60) as camera:
        until(lambda: camera.statistics().state == "waiting")
        timed = next(camera.timed_frames(timeout_seconds=0.05))
        found = camera.statistics()
        assert (timed.frame, timed.state, found.http_status) == (None, "waiting", status)
        assert re.fullmatch(f"HTTP {status} (Unauthorized|Forbidden|Not Found)", found.last_error)
        time.sleep(0.1)
        assert asked == [0]
        assert closed_in(camera) < PROMPT


def test_a_closed_port_is_a_state(serve, caplog):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    camera = quick(f"mjpeg+http://127.0.0.1:{port}/", max_seconds=0.3)
    with caplog.at_level(logging.WARNING), camera:
        until(lambda: camera.statistics().reconnections >= 2)
        assert list(camera.frames()) == []
    found = camera.statistics()
    assert found.state == "closed" and "Connection refused" in found.last_error
    assert found.reconnections >= 2 and found.seconds_since_frame is None
    assert len(caplog.records) == 1  # Once, not at each try.


def test_a_redirect_is_followed_but_to_the_web_alone(serve):
    def play(served):
        if served.number == 0:
            return served.answer(302, Location="/elsewhere")
        if served.number == 1:
            served.begin()
            served.part(jpeg(77))
            return None
        return served.answer(302, Location="ftp://127.0.0.1/x" if served.number == 2 else
                             "file:///etc/passwd")

    with quick(serve(play)) as camera:
        assert level(next(camera.frames())) == pytest.approx(77, abs=2)
        until(lambda: camera.statistics().reconnections > 2)
        assert camera.statistics().received == 1


# Secrets.


def test_user_and_password_are_sent_and_never_shown(serve, caplog, capfd):
    seen = []

    def play(served):
        seen.append(served.headers.get("Authorization"))
        if seen[-1] is None:
            return served.answer(401, WWW_Authenticate='Basic realm="gate"')
        served.begin()
        served.part(jpeg(100))

    address = serve(play).replace("//", "//bob:s%40cret@") + "?pwd=hidden"
    with caplog.at_level(logging.DEBUG):
        source = camera_lib.open_source(address, **QUICK)
        (camera,) = source.videos
        with camera:
            next(camera.frames())
            until(lambda: camera.statistics().last_error)
            names = [thread.name for thread in threading.enumerate()]
            shown = [repr(source), str(source.path), repr(camera), camera.name,
                     repr(camera.statistics()), repr(camera.__dict__), caplog.text, *names]
    assert seen[:2] == [None, "Basic " + base64.b64encode(b"bob:s@cret").decode()]
    shown += capfd.readouterr()
    assert not [text for text in shown if re.search("bob|cret|hidden", text)]
    assert camera.name.startswith("http://***@127.0.0.1:")


@pytest.mark.parametrize("challenge", ['Basic realm="a"', 'Digest realm="a", nonce="b", qop="auth"',
                                       'Bearer realm="a"'])
def test_a_wrong_password_is_tried_once(serve, challenge):
    """Cameras lock out whoever tries it several times."""
    seen = []

    def play(served):
        seen.append(served.headers.get("Authorization"))
        served.answer(401, WWW_Authenticate=challenge)

    with quick(serve(play).replace("//", "//u:wrong@"), longest_pause_seconds=60) as camera:
        until(lambda: camera.statistics().http_status == 401)
    assert len(seen) == (1 if "Bearer" in challenge else 2)
    assert "Digest" not in challenge or 'username="u"' in seen[1]


def test_an_error_of_a_library_is_shown_without_secrets(monkeypatch):
    def fails(*arguments):
        raise RuntimeError("rtsp://u:secret@h/1 and \x1b[31m" + 500 * "long")

    monkeypatch.setattr(camera_streams, "_capture", fails)
    with quick("rtsp://u:secret@h/1") as camera:
        until(lambda: camera.statistics().last_error)
        error = camera.statistics().last_error
    assert error.startswith("RuntimeError: *** and ?[31m") and len(error) == 200


# Closing.


def black_hole():
    """An address that takes connections and never answers, even their first packet."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    port = server.getsockname()[1]
    fillers = []
    for _ in range(3):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
        fillers.append(filler)
    return f"http://127.0.0.1:{port}/", [server, *fillers]


def test_closing_is_prompt_while_connecting():
    assert camera_session._CLOSE_SECONDS < 0.9
    address, sockets = black_hole()
    camera = quick(address).open()
    time.sleep(0.1)
    assert camera.statistics().state == "connecting"
    assert closed_in(camera) < PROMPT
    for each in sockets:
        each.close()


def test_closing_ends_what_waits_and_the_connection(serve):
    def play(served):
        served.begin()
        served.part(jpeg(1))
        served.hang()

    camera = quick(serve(play)).open()
    found = []
    reader = threading.Thread(target=lambda: found.extend(camera.frames()))
    reader.start()
    until(lambda: found)
    assert closed_in(camera) < PROMPT
    reader.join(60)
    assert not reader.is_alive() and len(found) == 1
    assert serve.server.left.wait(60)
    assert closed_in(camera) < PROMPT
    assert list(camera.frames()) == []
    with pytest.raises(ValueError, match=r"127.0.0.1:\d+/video was closed; make another"):
        camera.open()


def test_a_camera_that_nobody_reads_any_longer_is_closed(serve):
    address = serve(lambda served: (served.begin(), served.forever()))
    camera = quick(address)
    frames, others = camera.frames(), camera.frames()
    next(frames), next(others)
    frames.close()
    assert camera.statistics().state == "live"
    others.close()
    assert camera.statistics().state == "closed" and balanced(camera.statistics())
    # Reading again opens it again.
    assert len(list(quick(address, max_frames=2).frames(start=1))) == 1
    assert next(camera.frames()) is not None


def test_a_forgotten_camera_is_closed(serve):
    camera = quick(serve(lambda served: (served.begin(), served.forever()))).open()
    session = camera._session
    del camera
    assert session.stopped


def stalls(served):
    served.begin()
    for _ in range(8):
        served.part(jpeg(100))
        served.wait(0.02)
    served.hang()


SCRIPT = """
import itertools, signal, sys
from data_pipelines import Camera, ClipSpec, load
from data_pipelines.sources import camera

# A shell that starts the tests in the background has them ignore interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
address, patient = sys.argv[1], {"stall_seconds": 600, "queue_frames": 8}
held = Camera(address, **patient).open()
source = camera.open_source(address, **patient)
clips = iter(load(source, ClipSpec(frames=4, size=(16, 24))))
print(next(clips).shape, flush=True)
read = Camera(address, **patient)
try:
    for number, frame in enumerate(read.frames()):
        print(number, flush=True)
except KeyboardInterrupt:
    print(read.statistics().state, held.statistics().state)
"""


def test_an_interrupt_ends_frames_and_open_cameras_do_not_hold_the_process(serve):
    """At its end one camera is held open, and a stream of tf.data waits for another that stalls."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [
        str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH")]))}
    with subprocess.Popen([sys.executable, "-c", SCRIPT, serve(stalls)], env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        try:
            assert run.stdout.readline() == "(4, 16, 24, 1)\n", run.stderr.read()
            while run.stdout.readline() != "7\n":
                assert run.poll() is None
            time.sleep(0.2)
            run.send_signal(signal.SIGINT)
            out, err = run.communicate(timeout=500)
        finally:
            run.kill()
    assert (run.returncode, out) == (0, "closed live\n"), err
    assert "Traceback" not in err


# Devices and FFmpeg.


class Capture:
    """What `cv2.VideoCapture` is to a camera; each entry of `plays` is one opening of it."""

    made = []

    def __init__(self, frames, opens=True):
        self.frames, self.opens, self.released = iter(frames), opens, False
        self.blocked = threading.Event()
        self.clock_msec = 0.0

    def isOpened(self):
        return self.opens

    def read(self):
        frame = next(self.frames, None)
        if isinstance(frame, threading.Event):
            frame.wait()
            frame = next(self.frames, None)
        self.clock_msec += 40.0
        return frame is not None, frame

    def get(self, what):
        return self.clock_msec if what == cv2.CAP_PROP_POS_MSEC else 0.0

    def release(self):
        self.released = True


@pytest.fixture
def captures(monkeypatch):
    """A function that has each opening of a camera give the next of the captures."""

    def give(*made):
        left = iter(made)
        monkeypatch.setattr(camera_streams, "_capture", lambda *arguments: next(left))

    return give


def bgr(blue, count=1):
    frame = np.zeros((*SIZE, 3), np.uint8)
    frame[..., 0] = blue
    return [frame] * count


def test_a_capture_that_ends_is_opened_again(captures):
    made = [Capture(bgr(1, 3)), Capture([], opens=False), Capture(bgr(2, 2)), Capture([])]
    captures(*made)
    with quick("rtsp://h/1", queue_frames=9) as camera:
        found = list(itertools.islice(camera.timed_frames(), 5))
        until(lambda: camera.statistics().reconnections > 3)
        statistics = camera.statistics()
    assert [int(t.frame[0, 0, 2]) for t in found] == [1, 1, 1, 2, 2]
    assert [t.stream_sec for t in found[:3]] == pytest.approx([0.04, 0.08, 0.12])
    assert found[3].stream_sec >= found[2].stream_sec and statistics.clock_jumps == 0
    assert [capture.released for capture in made] == [True] * 4
    assert statistics.received == 5 and statistics.broken == 0


def test_a_read_that_blocks_is_left_behind_and_its_late_frame_ignored(captures, caplog):
    gate = threading.Event()
    stuck = Capture([*bgr(1), gate, *bgr(99, 50)])
    captures(stuck, *(Capture([*bgr(2, 9), gate]) for _ in range(9)))
    with caplog.at_level(logging.WARNING), quick("rtsp://h/1", queue_frames=99, **STALL) as camera:
        found = [int(f[0, 0, 2]) for f in itertools.islice(camera.frames(), 5)]
        assert found == [1, 2, 2, 2, 2]
        assert "no frame for 0.3 s; a new try" in caplog.messages[0]
        assert not stuck.released
        gate.set()
        until(lambda: stuck.released)
        late = itertools.takewhile(lambda t: t.frame is not None, camera.timed_frames(0.05))
        assert {int(timed.frame[0, 0, 2]) for timed in late} == {2}


def test_a_read_that_blocks_does_not_block_closing(captures):
    gate = threading.Event()
    stuck = Capture([gate])
    captures(stuck)
    camera = quick("0").open()
    until(lambda: camera.statistics().state == "connecting")
    time.sleep(0.05)
    assert closed_in(camera) < PROMPT
    gate.set()
    until(lambda: stuck.released)


def test_reads_that_block_do_not_pile_up(captures):
    gate = threading.Event()
    made = [Capture([gate]) for _ in range(20)]
    captures(*made)
    with quick("rtsp://h/1", connect_seconds=0.02, first_pause_seconds=0.01,
               longest_pause_seconds=0.02) as camera:
        until(lambda: "4 earlier connections hang in a read" == camera.statistics().last_error)
        until(lambda: camera.statistics().reconnections > 8)
        readers = [t for t in threading.enumerate() if t.name.startswith("reader")]
        assert len(readers) == 4
        gate.set()
        until(lambda: "hang" not in camera.statistics().last_error)
    until(lambda: all(capture.released for capture in made[:4]))


def test_a_device_that_is_not_there_is_a_state(capfd):
    camera = quick("camera:977", max_seconds=0.15)
    with camera:
        until(lambda: camera.statistics().last_error)
        assert list(camera.frames()) == []
    assert camera.statistics().last_error == "there is no device /dev/video977"
    assert capfd.readouterr().err == ""


def test_what_ffmpeg_opens_is_read(tmp_path, write_video):
    """A file stands for a stream: it begins again when it ends."""
    path = write_video(tmp_path / "gate.avi", frames=4)
    camera = quick(f"ffmpeg+file://{path}", max_frames=7, queue_frames=50)
    found = np.array([level(frame) for frame in camera.frames()])
    assert np.abs(found - 5 * (np.arange(7) % 4)).max() < 4
    assert camera.statistics().reconnections >= 1


def test_an_rtsp_port_that_is_closed_is_a_state(capfd):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with quick(f"rtsp://u:secret@127.0.0.1:{port}/1") as camera:
        until(lambda: camera.statistics().reconnections)
        assert camera.statistics().last_error == "cannot be opened"
    assert "secret" not in capfd.readouterr().err


# As a source.


def test_a_camera_is_a_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for address in ("0", 0, "camera:0", "/dev/video0", "rtsp://u:p@h/1", "mjpeg+http://h/v"):
        source = open_source(address)
        (video,) = source.videos
        assert isinstance(video, Camera) and source.kind == "camera"
        assert source.path == video.name and "u:p" not in repr(source)
        assert (video.num_frames, video.length_is_certain, source.fps) == (None, False, None)
        assert video.live and video.endless
    assert open_source("http://h/v", kind="camera").videos[0].name == "http://h/v"
    assert not Camera("0", max_frames=1).endless and not Camera("0", max_seconds=1).endless


def test_a_folder_named_by_a_number_goes_before_a_camera(tmp_path, monkeypatch, write_images):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "0", ["1.png"], [1])
    assert open_source("0").kind == "frame_folders"
    assert open_source("0", kind="camera").kind == "camera"


def test_an_address_on_the_web_is_no_camera_unless_it_is_said():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    shown = rf"http://\*\*\*@127.0.0.1:{port}/v could not be found, .*refused; .*mjpeg\+"
    with pytest.raises(OSError, match=shown):
        open_source(f"http://u:secret@127.0.0.1:{port}/v")
    with pytest.raises(ValueError, match=r"one of s3://, .*Received: ftp://\*\*\*@h/v"):
        open_source("ftp://u:secret@h/v")
    with pytest.raises(ValueError, match="`source` must be a path, the address of a camera"):
        open_source("rtsp://u:p@h/v", kind="ucsd")
    with pytest.raises(ValueError, match="has no splits"):
        open_source("rtsp://u:p@h/v", split="train")
    with pytest.raises(ValueError, match="`source` must be a device number"):
        open_source("footage", kind="camera")


@pytest.mark.parametrize(
    "options,message",
    [
        ({"queue_frames": 0}, "`queue_frames` must be a whole number of at least 1"),
        ({"max_frames": 0}, "`max_frames` must be a whole number .* max_frames=0"),
        ({"max_frame_bytes": 1.5}, "`max_frame_bytes` must be a whole number"),
        ({"max_seconds": 0}, "`max_seconds` must be a number of seconds above 0"),
        ({"stall_seconds": float("inf")}, "`stall_seconds` must .* stall_seconds=inf"),
        ({"longest_pause_seconds": 0.1}, "`longest_pause_seconds` must be at least `first_"),
        ({"seed": -1}, "`seed` must be at least 0. Received: seed=-1"),
    ],
)
def test_what_breaks_a_rule_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        Camera("0", **options)
    with pytest.raises(ValueError, match="`timeout_seconds` must be above 0 or None"):
        Camera("0").timed_frames(0)


@pytest.mark.parametrize(
    "options,message",
    [
        ({"cache": "memory"}, r"`cache` must be None for a camera without a limit \(`max_frames`"),
        ({"repeat": True}, "`repeat` must be False for a camera.* repeat=True for camera:0"),
        ({"skip": 2, "batch": 4}, "`skip` must be 0 for a camera.* skip=2 for camera:0"),
        ({"clip": ClipSpec()}, "`size` of the clip must be given for a camera"),
        ({"labels": ("a",)}, "camera:0 with the label None"),
        ({"split": "test"}, "has no splits"),
    ],
)
def test_what_a_camera_cannot_do_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        load("camera:0", **{"clip": ClipSpec(size=(8, 8)), **options})


def test_clips_of_a_camera_are_streamed(serve):
    address = serve(lambda served: (served.begin(), served.forever()))
    source = camera_lib.open_source(address, **QUICK, max_frames=9)
    stream = load(source, ClipSpec(frames=3, size=(16, 24), crop=(8, 8)), batch=2)
    assert stream.element_spec == tf.TensorSpec([None, 3, 8, 8, 1], tf.float32)
    for _ in range(2):  # Other frames each time.
        assert [len(batch) for batch in stream] == [2, 1]
    endless = load(address, ClipSpec(frames=3, size=(16, 24)))
    assert [c.shape for c in endless.take(2)] == [(3, 16, 24, 1)] * 2


def test_clips_of_a_camera_with_a_limit_fit_into_memory(serve):
    address = serve(lambda served: (served.begin(), served.forever()))
    source = camera_lib.open_source(address, **QUICK, max_frames=9)
    stream = load(source, ClipSpec(frames=3), cache="memory", repeat=True, skip=1)
    assert [c.shape for c in stream.take(5)] == [(3, *SIZE, 1)] * 5


def test_a_camera_that_is_not_there_holds_up_nothing(caplog):
    source = camera_lib.open_source("camera:977", **QUICK, max_seconds=0.2)
    with caplog.at_level(logging.WARNING):
        assert list(load(source, ClipSpec(frames=3, size=(8, 8)))) == []
    assert "camera:977 gave no clip of 3 frames before its end" in caplog.text
    with pytest.raises(ValueError, match="the longest of 1 is camera:977 with too few frames"):
        load(source, ClipSpec(frames=3), cache="memory")


@pytest.mark.parametrize("shuffle", [False, 1])
def test_a_stream_of_a_camera_that_stalls_can_be_dropped(serve, shuffle):
    source = camera_lib.open_source(serve(stalls), **QUICK, queue_frames=8)
    clips = iter(load(source, ClipSpec(frames=4, size=(16, 24)), shuffle=shuffle))
    assert next(clips).shape == (4, 16, 24, 1)
    begin = time.monotonic()
    del clips
    assert time.monotonic() - begin < PROMPT
    until(lambda: source.videos[0].statistics().state == "closed")
