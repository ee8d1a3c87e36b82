"""Alarms to a web server: each at least once and in order, over outages, kills and full disks."""

import base64
import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import re
import threading
import urllib.error
import urllib.parse
import urllib.request

from zoo.commands.console import printable
from zoo.commands.watching.alarms import json_line
from zoo.commands.watching.durable_lines import DurableLines

# Between attempts: the first pause, doubled with each failure, and the longest.
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0

# A spool of which all was delivered is emptied when it is longer.
LONG_SPOOL_BYTES = 1 << 20

# Bytes of the spool that were delivered, and the SHA-256 of the last line in them: where that does
# not stand there, the spool is another one.
_PLACE = "{:020d} {:64}\n"
_LONGEST_LINE_BYTES = 1 << 16

_PLAIN = re.compile(r"[!-~]+")


class Webhook:
    """Sends alarms by `POST` as JSON, from a thread of its own.

    An alarm is in the file `spool` before `tell` returns, and is sent until the server answers 2xx;
    the next one is not sent before. The place reached is in a file beside it, `SPOOL.place`: after
    a restart, also by a kill, what was not delivered yet is sent first. Where a kill came between
    the answer and the place, an alarm is sent again: its `id` tells. On a full disk, alarms wait in
    memory, and are delivered from there.

    Redirections are not followed, as they may lose what is posted. Proxies are those of the
    environment (`https_proxy`).

    Args:
        url: Address, `http://` or `https://`, with `USER:PASSWORD@` where the server asks for it.
        spool: File of what was told. A spool of an earlier run goes on.
        timeout_seconds: How long the server may be silent before it is tried again.

    Attributes:
        trouble: None, or a sentence on what keeps alarms from being delivered, or safe.
        lost: Of one that is closed, alarms that were not delivered and that no disk has taken.

    Raises:
        ValueError: `url` is no such address, or another process has the spool.
        OSError: `spool` cannot be read or made.

    Example:
        >>> webhook = Webhook("https://desk.example/alarms", "runs/alarms.spool")  # doctest: +SKIP
        >>> webhook.tell({"id": "7d4e", "camera": "gate", "score": 0.3})  # doctest: +SKIP
        >>> webhook.close(5)  # alarms that were not delivered  # doctest: +SKIP
        0
    """

    def __init__(self, url, spool, timeout_seconds=10):
        self._server, self._url, self._headers = _parsed(url)
        self._opener = urllib.request.build_opener(_NotRedirected)
        self._timeout_seconds = timeout_seconds
        self._lines = DurableLines(spool)
        self._place_file = _open_locked(f"{spool}.place", spool)
        self._place = _read_place(self._place_file, self._lines.path)
        self._condition = threading.Condition()
        self._is_closing = self._is_closed = False
        self._send_trouble = None
        self._thread = threading.Thread(target=self._send_all, name="webhook", daemon=True)
        self._thread.start()

    @property
    def trouble(self):
        return "; ".join(filter(None, [self._send_trouble, self._lines.trouble])) or None

    @property
    def lost(self):
        return len(self._lines.held) + self._lines.lost

    def tell(self, alarm):
        """Sees that an alarm is delivered; does not wait for it.

        Args:
            alarm: Dict of `zoo.commands.watching.alarms.alarm_of`.
        """
        line = json_line(alarm)
        with self._condition:
            self._check_place()
            self._lines.add(line)
            self._condition.notify_all()

    def close(self, seconds):
        """Waits for what is left, and ends.

        Args:
            seconds: How long at most.

        Returns:
            Number of alarms that were not delivered and are in `spool`: they are sent when it is
            opened next.
        """
        with self._condition:
            self._is_closing = True
            self._condition.notify_all()
            self._condition.wait_for(lambda: not self._has_more(), seconds)
            self._lines.write()
            left = 0
            with contextlib.suppress(OSError):
                left += sum(1 for _ in self._spooled())
            self._is_closed = True
            self._condition.notify_all()
            self._place_file.close()
        return left

    def _send_all(self):
        """What the thread does."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._is_closed or self._has_more())
                if self._is_closed:
                    return
                try:
                    line, problem = self._next(), None
                except OSError as error:
                    line, problem = None, f"{self._lines.path} cannot be read: {error.strerror}"
            if line is not None:
                problem = self._post(line)
            with self._condition:
                if self._is_closed:
                    return  # The spool may be another's by now.
                self._send_trouble = problem and f"{self._server} gets no alarms: {problem}"
                if problem is None:
                    if line is not None:
                        self._delivered(line)
                    pause = FIRST_PAUSE_SECONDS
                    self._condition.notify_all()
                    continue
                before = self._is_closing
                hurried = self._condition.wait_for(
                    lambda: self._is_closed or self._is_closing != before, pause
                )
                pause = FIRST_PAUSE_SECONDS if hurried else min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _has_more(self):
        return bool(self._lines.held) or _size(self._lines.path) > self._place

    def _next(self):
        """The line that is sent next: of the spool, else one that the disk did not take."""
        self._check_place()
        self._lines.write()
        held = self._lines.held
        for self._place, line in self._spooled():
            return line
        self._place = _size(self._lines.path)  # What was passed over is done with.
        return held[0] if held else None

    def _check_place(self):
        if _size(self._lines.path) < self._place:
            self._place = 0  # Somebody has emptied it.

    def _spooled(self):
        """Yields what was not delivered: pairs of where in the spool it begins, and the line."""
        if not self._lines.path.exists():
            return
        with open(self._lines.path, "rb") as file:
            file.seek(self._place)
            place = self._place
            for line in file:
                if _is_alarm(line):  # Else it was torn by a kill or by a power cut.
                    yield place, line
                place += len(line)

    def _delivered(self, line):
        held = self._lines.held
        if held and held[0] is line:
            held.popleft()
            self._lines.write()
            return
        # Where it was held, the disk has taken it meanwhile.
        place, first = next(self._spooled(), (0, None))
        if first == line:
            self._place = place + len(line)
        if self._place == _size(self._lines.path) > LONG_SPOOL_BYTES:
            os.truncate(self._lines.path, 0)
            self._place = 0
        # Written over in place, which a full disk allows. Where it fails, a restart sends again.
        place = _PLACE.format(self._place, hashlib.sha256(line).hexdigest())
        with contextlib.suppress(OSError):
            os.pwrite(self._place_file.fileno(), place.encode(), 0)

    def _post(self, line):
        """Sends a line; returns None, or what is wrong."""
        request = urllib.request.Request(self._url, line.rstrip(), self._headers, method="POST")
        try:
            with self._opener.open(request, timeout=self._timeout_seconds):
                return None
        except urllib.error.HTTPError as error:
            with error:
                said = f"it answers {error.code} {printable(str(error.reason))}"
            # Of a wrong address or a wrong password: somebody has to do something.
            stays = 400 <= error.code < 500 and error.code not in (408, 429)
            return f"{said}, which hardly passes by itself" if stays else said
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            return printable(str(getattr(reason, "strerror", None) or reason or type(error)))


class _NotRedirected(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def _parsed(url):
    """The server for people, without what may be secret; the address to ask; headers."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:  # Of the port, whose place may hold a secret.
        parts, port = urllib.parse.urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not parts.hostname or not _PLAIN.fullmatch(url):
        # Here, since it brings TensorFlow along.
        from data_pipelines.sources.camera_address import redacted

        shown = re.match(r"([a-z+.-]+://)?[^/?#]*", redacted(url))[0]
        raise ValueError(
            "`url` must be http:// or https:// with a host and a port below 65536, in ASCII and "
            f"without blanks (%20). Received: {shown}"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    headers = {"Content-Type": "application/json"}
    if parts.username is not None:
        user = urllib.parse.unquote(f"{parts.username}:{parts.password or ''}")
        headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    target = parts._replace(netloc=host + port, fragment="").geturl()
    return f"{parts.scheme}://{host}{port}", target, headers


def _open_locked(path, spool):
    file = open(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "rb+", buffering=0)
    try:
        # The kernel lets go of it when the process ends, however that ends.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ValueError(
            f"`spool` must be a file that no other process sends from. Received: {spool}"
        ) from None
    return file


def _read_place(place_file, spool):
    found = re.fullmatch(rb"(\d{20}) ([0-9a-f]{64})\n", os.pread(place_file.fileno(), 100, 0))
    if not found or not spool.exists():
        return 0
    place = int(found[1])
    with open(spool, "rb") as file:
        file.seek(max(0, place - _LONGEST_LINE_BYTES))
        before = file.read(min(place, _LONGEST_LINE_BYTES))
    last = before[before.rfind(b"\n", 0, -1) + 1 :]
    return place if hashlib.sha256(last).hexdigest().encode() == found[2] else 0


def _is_alarm(line):
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _size(path):
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
