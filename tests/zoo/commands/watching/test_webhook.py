import json
import os
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from zoo.commands.watching import durable_lines, webhook
from zoo.commands.watching.webhook import Webhook

LONG = 60  # Seconds, which no test waits unless it fails.


class Receiver:
    """A web server that keeps what is posted to it.

    Attributes:
        answers: List of the status codes of the next posts; then 200. None for a connection that
            breaks off without an answer.
        bodies: List of what came in posts that were answered 2xx, read as JSON.
        headers: List of the headers of all posts.
        release: `threading.Event` that is not set while posts hang.
    """

    def __init__(self, port=0):
        self.answers, self.bodies, self.headers = [], [], []
        self.release = threading.Event()
        self.release.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.headers.append({**self.headers, "path": self.path})
                receiver.release.wait(LONG)
                answer = receiver.answers.pop(0) if receiver.answers else 200
                if answer is None:
                    return
                if 200 <= answer < 300:
                    receiver.bodies.append(json.loads(body))
                self.send_response(answer)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.handle_error = lambda *_: None  # Clients are killed here.
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/alarms"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def ids(self):
        return [body["id"] for body in self.bodies]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(webhook, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(webhook, "LONGEST_PAUSE_SECONDS", 0.05)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "alarms.spool"


def tell(sender, *ids):
    for number in ids:
        sender.tell({"id": number})


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_alarms_are_posted_as_json_in_their_order(receiver, spool):
    sender = Webhook(receiver.url + "?token=1", spool)
    tell(sender, *range(20))
    assert sender.close(LONG) == 0
    assert receiver.ids == list(range(20)) and sender.trouble is None
    assert receiver.headers[0]["Content-Type"] == "application/json"
    assert receiver.headers[0]["path"] == "/alarms?token=1"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (500, "it answers 500 Internal Server Error"),
        (503, "it answers 503 Service Unavailable"),
        (408, "it answers 408 Request Timeout"),
        (429, "it answers 429 Too Many Requests"),
        (400, "it answers 400 Bad Request, which hardly passes by itself"),
        (404, "it answers 404 Not Found, which hardly passes by itself"),
        (302, "it answers 302 Found"),
        (None, "Remote end closed connection without response"),
    ],
)
def test_what_fails_is_tried_until_it_does_not(receiver, spool, eventually, answer, said):
    receiver.answers += [200] + [answer] * 5
    sender = Webhook(receiver.url, spool)
    tell(sender, 1, 2, 3)
    troubles = set()
    eventually(lambda: troubles.add(sender.trouble) or len(receiver.ids) == 3)
    assert sender.close(LONG) == 0 and sender.trouble is None
    assert receiver.ids == [1, 2, 3] and not receiver.answers
    assert troubles - {None} <= {f"http://127.0.0.1:{receiver.port} gets no alarms: {said}"}


def test_trouble_is_said_while_it_lasts(receiver, spool, eventually):
    receiver.answers += [404] * 10**6
    sender = Webhook(receiver.url, spool)
    tell(sender, 1)
    eventually(lambda: sender.trouble)
    assert "404 Not Found" in sender.trouble
    receiver.answers.clear()
    eventually(lambda: sender.trouble is None)
    assert receiver.ids == [1] and sender.close(LONG) == 0


def test_pauses_grow_to_the_longest_and_begin_anew_after_a_delivery(
    receiver, spool, eventually, monkeypatch
):
    receiver.answers += [500] * 5 + [200] + [500] * 2
    sender = Webhook(receiver.url, spool)
    pauses = []

    def wait_for(condition, seconds=None, wait_for=sender._condition.wait_for):
        if seconds is not None:
            pauses.append(seconds)
        return wait_for(condition, seconds)

    monkeypatch.setattr(sender._condition, "wait_for", wait_for)
    tell(sender, 1, 2)
    eventually(lambda: receiver.ids == [1, 2])
    assert pauses == [0.01, 0.02, 0.04, 0.05, 0.05, 0.01, 0.02]
    assert sender.close(LONG) == 0


def test_a_server_that_is_not_there_yet_gets_them_when_it_comes(spool, eventually):
    port = free_port()
    sender = Webhook(f"http://127.0.0.1:{port}/alarms", spool)
    tell(sender, 1, 2)
    eventually(lambda: "Connection refused" in (sender.trouble or ""))
    with Receiver(port) as receiver:
        tell(sender, 3)
        assert sender.close(LONG) == 0 and receiver.ids == [1, 2, 3]


def test_a_server_that_hangs_is_given_up_and_tried_again(receiver, spool, eventually):
    receiver.release.clear()
    sender = Webhook(receiver.url, spool, timeout_seconds=0.2)
    tell(sender, 1, 2)
    eventually(lambda: "timed out" in (sender.trouble or ""))
    tell(sender, 3)  # Does not hang.
    sender._timeout_seconds = LONG
    receiver.release.set()
    eventually(lambda: sender.trouble is None and not sender._has_more())
    # The first was answered after all, to nobody: it comes again.
    assert list(dict.fromkeys(receiver.ids)) == [1, 2, 3] and sender.close(LONG) == 0


def test_an_outage_over_a_restart_loses_none(spool, eventually):
    """Alarms told by two runs to a server that is down through both."""
    port = free_port()
    for run in range(2):
        sender = Webhook(f"http://127.0.0.1:{port}/", spool)
        tell(sender, *range(100 * run, 100 * run + 100))
        assert sender.close(0) == 100 * run + 100
    with Receiver(port) as receiver:
        sender = Webhook(f"http://127.0.0.1:{port}/", spool)
        assert sender.close(LONG) == 0 and receiver.ids == list(range(200))


def test_what_was_delivered_is_not_sent_again_by_the_next_run(receiver, spool):
    for run in range(3):
        sender = Webhook(receiver.url, spool)
        tell(sender, run)
        assert sender.close(LONG) == 0
    assert receiver.ids == [0, 1, 2]


def test_closing_waits_for_no_pause(receiver, spool, eventually, monkeypatch):
    monkeypatch.setattr(webhook, "FIRST_PAUSE_SECONDS", 1000.0)
    monkeypatch.setattr(webhook, "LONGEST_PAUSE_SECONDS", 1000.0)
    receiver.answers.append(500)
    sender = Webhook(receiver.url, spool)
    tell(sender, 1)
    eventually(lambda: sender.trouble)
    assert sender.close(LONG) == 0 and receiver.ids == [1]
    assert sender.close(0) == 0  # Twice is once.


PROGRAM = """
import sys
from zoo.commands.watching import webhook
webhook.FIRST_PAUSE_SECONDS = webhook.LONGEST_PAUSE_SECONDS = 0.01
sender = webhook.Webhook(*sys.argv[1:3], timeout_seconds=300)
for number in range(int(sys.argv[3]), 10**9):
    sender.tell({"id": number})
    print(number, flush=True)
"""


def test_kills_at_any_moment_lose_none(receiver, spool, eventually):
    """Three runs are killed while they tell and send, a fourth delivers what is left."""
    told = -1
    for _ in range(3):
        command = [sys.executable, "-c", PROGRAM, receiver.url, str(spool), str(told + 1)]
        delivered = len(receiver.ids)
        # Half of the answers are lost on their way.
        receiver.answers += [200, 500] * 20
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            told = int(child.stdout.readline())
            eventually(lambda: len(receiver.ids) > delivered + 10)
            os.kill(child.pid, signal.SIGKILL)
            told = max([told, *map(int, child.stdout.read().split("\n")[:-1])])
        # One may be on the disk and not be printed.
        told = max(told, json.loads(spool.read_bytes().splitlines()[-1])["id"])
    receiver.answers.clear()
    sender = Webhook(receiver.url, spool)
    assert sender.close(LONG) == 0
    assert list(dict.fromkeys(receiver.ids)) == list(range(told + 1))
    # No more than the one on its way came twice by each kill.
    assert len(receiver.ids) <= told + 1 + 3


def test_on_a_full_disk_alarms_are_delivered_from_memory(receiver, spool, full_disk, eventually):
    sender = Webhook(receiver.url, spool)
    receiver.release.clear()
    with full_disk(most_bytes=15):
        tell(sender, 1, 2, 3)
        assert "File too large" in sender.trouble
        receiver.release.set()
        eventually(lambda: receiver.ids == [1, 2, 3] and sender.trouble is None)
    tell(sender, 4)
    assert sender.close(LONG) == 0 and receiver.ids == [1, 2, 3, 4]
    assert spool.read_bytes() == b'{"id": 1}\n{"id": 4}\n'


def test_when_the_disk_has_room_while_one_of_memory_is_sent_none_is_lost(
    receiver, spool, full_disk, eventually
):
    spool.write_bytes(b'{"id": 0')  # Torn, so that the next line begins with a line break.
    sender = Webhook(receiver.url, spool)
    with full_disk():
        receiver.release.clear()
        tell(sender, 1, 2)
        eventually(lambda: receiver.headers)
    tell(sender, 3)
    receiver.release.set()
    assert sender.close(LONG) == 0 and receiver.ids == [1, 2, 3]
    assert spool.read_bytes() == b'{"id": 0\n{"id": 1}\n{"id": 2}\n{"id": 3}\n'
    assert Webhook(receiver.url, spool).close(LONG) == 0 and receiver.ids == [1, 2, 3]


def test_an_outage_on_a_full_disk_loses_none_while_the_process_lives(spool, full_disk, eventually):
    port = free_port()
    sender = Webhook(f"http://127.0.0.1:{port}/", spool)
    with full_disk():
        tell(sender, 1, 2)
        eventually(lambda: "refused" in sender.trouble and "File too large" in sender.trouble)
    with Receiver(port) as receiver:
        assert sender.close(LONG) == 0 and receiver.ids == [1, 2]


def test_what_neither_the_server_nor_the_disk_has_taken_at_the_end_is_counted(
    spool, full_disk, monkeypatch
):
    monkeypatch.setattr(durable_lines, "MOST_HELD", 2)
    sender = Webhook(f"http://127.0.0.1:{free_port()}/", spool)
    tell(sender, 1)
    with full_disk(most_bytes=10):
        tell(sender, 2, 3, 4)
        assert sender.close(0) == 1 and sender.lost == 3
    assert spool.read_bytes() == b'{"id": 1}\n'


def test_lines_that_are_no_alarms_are_passed_over(receiver, spool):
    spool.write_bytes(b'{"id": 1}\n{"id": \n\0\0\0\n[2]\n{"id": 3}\n{"id": 4')
    sender = Webhook(receiver.url, spool)
    tell(sender, 5)
    assert sender.close(LONG) == 0 and receiver.ids == [1, 3, 5]


@pytest.mark.parametrize(
    "place", [b"", b"nonsense", b"%020d " % 10 + b"0" * 64 + b"\n", b"9" * 20 + b" " + b"a" * 64]
)
def test_a_place_that_is_not_of_this_spool_sends_all_of_it(receiver, spool, place):
    spool.write_bytes(b'{"id": 1}\n{"id": 2}\n')
    spool.with_name("alarms.spool.place").write_bytes(place)
    assert Webhook(receiver.url, spool).close(LONG) == 0 and receiver.ids == [1, 2]


def test_a_spool_that_somebody_emptied_goes_on(receiver, spool, eventually):
    sender = Webhook(receiver.url, spool)
    tell(sender, 100)
    eventually(lambda: receiver.ids == [100] and not sender._has_more())
    spool.write_bytes(b"")
    tell(sender, 2)
    eventually(lambda: receiver.ids == [100, 2])
    spool.unlink()
    tell(sender, 3)
    assert sender.close(LONG) == 0 and receiver.ids == [100, 2, 3]


def test_a_long_spool_is_emptied_when_all_was_delivered(receiver, spool, eventually, monkeypatch):
    monkeypatch.setattr(webhook, "LONG_SPOOL_BYTES", 25)
    sender = Webhook(receiver.url, spool)
    receiver.release.clear()
    tell(sender, 1, 2, 3)
    receiver.release.set()
    eventually(lambda: receiver.ids == [1, 2, 3] and not sender._has_more())
    assert spool.read_bytes() == b""
    tell(sender, 4)
    assert sender.close(LONG) == 0
    assert Webhook(receiver.url, spool).close(LONG) == 0 and receiver.ids == [1, 2, 3, 4]


def test_a_spool_that_cannot_be_read_is_trouble_that_passes(receiver, spool, eventually):
    sender = Webhook(receiver.url, spool)
    spool.mkdir()
    tell(sender, 1)  # Goes to memory, and is not sent before what may be in the spool.
    eventually(lambda: "Is a directory" in (sender.trouble or ""))
    spool.rmdir()
    assert sender.close(LONG) == 0 and receiver.ids == [1]


def test_a_spool_has_one_sender(receiver, spool):
    sender = Webhook(receiver.url, spool)
    with pytest.raises(ValueError, match="`spool` must be a file that no other process sends from"):
        Webhook(receiver.url, spool)
    assert sender.close(LONG) == 0
    assert Webhook(receiver.url, spool).close(LONG) == 0


def test_user_and_password_are_sent_and_not_shown(receiver, spool, eventually):
    receiver.answers.append(401)
    address = receiver.url.replace("://", "://us%40er:pass%2Fword@")
    sender = Webhook(address + "?token=hidden", spool)
    tell(sender, 1)
    assert sender.close(LONG) == 0
    assert receiver.headers[-1]["Authorization"] == "Basic dXNAZXI6cGFzcy93b3Jk"
    gone = Webhook(f"http://user:pass@127.0.0.1:{free_port()}/secret?token=hidden", spool)
    tell(gone, 2)
    eventually(lambda: gone.trouble)
    assert not any(word in gone.trouble for word in ("user", "pass", "secret", "hidden"))
    assert gone.close(0) == 1


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("desk.example/alarms", "desk.example"),
        ("ftp://desk.example/secret", "ftp://desk.example"),
        ("http:///secret", "http://"),
        ("https://user:secret@desk.example:99999/x", r"https://\*\*\*@desk.example:99999"),
        ("https://desk.example:port/secret", "https://desk.example:port"),
        ("https://desk.example/a secret", "https://desk.example"),
        ("https://desk.example/sécret", "https://desk.example"),
        ("https://desk.example/\r\nsecret", "https://desk.example"),
    ],
)
def test_what_is_no_address_is_refused_without_showing_secrets(spool, url, shown):
    with pytest.raises(ValueError, match=f"`url` must be .* Received: {shown}$"):
        Webhook(url, spool)
    assert not spool.exists()
