"""A web page of all cameras, live, as motion JPEG."""

import contextlib
import http.server
import ipaddress
import itertools
import json
import socket
import threading

from zoo.commands.console import printable
from zoo.commands.watching.alarms import to_jpeg

_JPEG_QUALITY = 80
_MOST_VIEWERS = 64

# A viewer that takes nothing for so long is gone.
_STUCK_SECONDS = 20.0

# A picture is sent again when none comes: so who is gone is noticed.
_REPEAT_SECONDS = 5.0

# What waits to be sent to a viewer: less than a second of pictures, not many of them.
_SEND_BYTES = 1 << 16

_HEADERS = {
    "Cache-Control": "no-store",
    # No page of others may hold the pictures of the cameras.
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}

_HTML = b"""<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>zoo watch</title>
<style>
body { background: #111; color: #ddd; font-family: sans-serif; margin: 1em }
figure { display: inline-block; margin: 0 1em 1em 0 }
img { max-width: 100%; display: block }
</style>
<body>
<script>
const figures = new Map();
async function look() {
  try {
    const cameras = await (await fetch("cameras")).json();
    for (const [number, figure] of figures) {
      if (!(number in cameras)) {
        figure.remove();
        figures.delete(number);
      }
    }
    for (const number in cameras) {
      if (!figures.has(number)) {
        const figure = document.createElement("figure"), image = new Image();
        const address = `camera/${number}`;
        image.src = address;
        image.onerror = () => setTimeout(() => {
          if (figures.has(number)) image.src = `${address}?${Date.now()}`;
        }, 2000);
        figure.append(document.createElement("figcaption"), image);
        document.body.append(figure);
        figures.set(number, figure);
      }
      figures.get(number).firstChild.textContent = cameras[number];
    }
  } catch {}
  setTimeout(look, 2000);
}
look();
</script>
"""


class Page:
    """Serves a page of all cameras, and a stream of each, to this machine's browsers.

    `/` is the page, `/cameras` a JSON object of the names by number, `/camera/NUMBER` the stream of
    one of them (`multipart/x-mixed-replace`), which `zoo watch` takes as a source, too. Numbers go
    up from 0 as cameras come; that of one that has ended is not used again. A viewer gets the
    newest picture whenever it has taken the one before; encoding and sending is done in threads of
    the viewers, and nothing is encoded where nobody looks. Nobody is asked who they are: another
    `host` than the default is for networks that are trusted.

    Args:
        port: Port to listen on, 0 for a free one.
        host: Address to listen on; by default this machine alone reaches it.

    Attributes:
        url: Address of the page.
        trouble: None: what happens to a viewer is no trouble.

    Raises:
        ValueError: If it cannot listen there.

    Example:
        >>> import numpy as np
        >>> page = Page(port=0)
        >>> page.show("gate", np.zeros((240, 360, 3), np.uint8))
        >>> page.url
        'http://127.0.0.1:...'
        >>> page.close()
    """

    trouble = None

    def __init__(self, port, host="127.0.0.1"):
        self._streams, self._numbers = {}, itertools.count()
        self._changed = threading.Condition()
        try:
            self._server = _Server(host, port, self)
        except (OSError, OverflowError) as error:
            raise ValueError(
                f"`port` must be one that can be listened on at {host}. Received: port={port}: "
                f"{getattr(error, 'strerror', None) or error}"
            ) from error
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_address[1]}/"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="page", daemon=True
        )
        self._thread.start()

    def show(self, camera, image):
        """Shows the next picture of a camera; waits for nobody.

        Args:
            camera: Its name.
            image: uint8 `(height, width, 1 or 3)`, grey or RGB. It is kept, not copied.
        """
        with self._changed:
            if camera not in self._streams:
                self._streams[camera] = _Stream(next(self._numbers))
            stream = self._streams[camera]
            stream.image, stream.count = image, stream.count + 1
            self._changed.notify_all()

    def end(self, camera):
        """Ends the stream of a camera, whose last picture goes; `show` of it begins another.

        Args:
            camera: Its name, which need not be there.
        """
        with self._changed:
            stream = self._streams.pop(camera, None)
            if stream is not None:
                stream.is_ended = True
            self._changed.notify_all()

    def close(self):
        """Ends all streams and stops listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        with self._changed:
            self._changed.notify_all()
        self._server.end_all()

    def names(self):
        """The names of the cameras that there are, by number, in the order in which they came."""
        with self._changed:
            return {stream.number: name for name, stream in self._streams.items()}

    def pictures(self, number):
        """Yields the pictures of a camera, JPEG, the newest ones alone, until it ends.

        Args:
            number: Of the camera; of one that has ended there are none.
        """
        with self._changed:
            streams = self._streams.values()
            stream = next((stream for stream in streams if stream.number == number), None)
        seen = 0
        while stream is not None:
            with self._changed:
                self._changed.wait_for(
                    lambda: stream.count > seen or stream.is_ended or self._server.is_ending,
                    _REPEAT_SECONDS,
                )
                seen = stream.count
                if stream.is_ended or self._server.is_ending:
                    return
            yield stream.jpeg()


class _Stream:
    """The newest picture of a camera; encoded once for all who look."""

    def __init__(self, number):
        self.number, self.image, self.count, self.is_ended = number, None, 0, False
        self._encoding = threading.Lock()
        self._encoded, self._jpeg = None, None

    def jpeg(self):
        with self._encoding:
            image = self.image
            if image is not self._encoded:
                self._encoded, self._jpeg = image, to_jpeg(image, _JPEG_QUALITY)
            return self._jpeg


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True  # Those of viewers who are stuck would keep the process.
    is_ending = False

    def __init__(self, host, port, page):
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.page = page
        self.is_private = _is_loopback(host)
        self._lock = threading.Lock()
        self._viewers = set()
        super().__init__((host, port), _Handler)

    def server_bind(self):
        # That of `HTTPServer` asks for the name of the machine, which may take long.
        super(http.server.HTTPServer, self).server_bind()

    def process_request(self, request, client_address):
        with self._lock:
            has_room = len(self._viewers) < _MOST_VIEWERS
            if has_room:
                self._viewers.add(request)
        if has_room:
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def shutdown_request(self, request):
        with self._lock:
            self._viewers.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        """Viewers come and go."""

    def shutdown(self):
        self.is_ending = True
        super().shutdown()

    def end_all(self):
        with self._lock:
            for viewer in self._viewers:
                with contextlib.suppress(OSError):
                    viewer.shutdown(socket.SHUT_RDWR)


class _Handler(http.server.BaseHTTPRequestHandler):
    timeout = _STUCK_SECONDS
    server_version, sys_version = "zoo", ""

    def do_GET(self):
        path = self.path.partition("?")[0]
        names = self.server.page.names()
        number = path.removeprefix("/camera/")
        # Else a page of elsewhere could have its name lead here, and look.
        if self.server.is_private and not _is_loopback(_host_of(self.headers.get("Host", ""))):
            self.send_error(403, "Ask for localhost")
        elif path == "/":
            self._answer("text/html; charset=utf-8", _HTML)
        elif path == "/cameras":
            listed = json.dumps({of: printable(name) for of, name in names.items()})
            self._answer("application/json", listed.encode())
        elif number in map(str, names):
            self._stream(int(number))
        else:
            self.send_error(404)

    def _answer(self, kind, body=None):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        if body is not None:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body or b"")

    def _stream(self, number):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        self._answer("multipart/x-mixed-replace; boundary=frame")
        self.wfile.write(b"--frame\r\n")
        for jpeg in self.server.page.pictures(number):
            head = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
            # Browsers show a picture when the next boundary has come.
            self.wfile.write(head + jpeg + b"\r\n--frame\r\n")

    def log_message(self, *_):
        pass


def _host_of(header):
    """The host in `HOST:PORT`, where the host may be `[IPv6]`."""
    host = header if header.endswith("]") else header.rpartition(":")[0] or header
    return host.strip("[]")


def _is_loopback(host):
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
