"""Motion JPEG: images out of a stream of parts (`multipart/x-mixed-replace`).

Reads what cameras send, not only what the standards allow, and holds no more than one image.
"""

import re

import numpy as np

# Read from the connection at once.
_CHUNK_BYTES = 1 << 16

# Of one part, all lines together. Cameras send three lines.
_MAX_HEADER_BYTES = 1 << 14

# A JPEG of some kilobytes may declare gigabytes of pixels; the largest sensors have 2^26.
_MAX_PIXELS = 1 << 26

# In the coded pixels 0xFF stands before 0x00 (a pixel byte), 0xD0-0xD7 (a restart) or a marker.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


class BrokenStream(ValueError):
    """What comes cannot be read on as a stream of parts."""


class BrokenImage(ValueError):
    """One image is broken; those after it may be whole."""


def parts(read, boundary, max_bytes):
    """Takes a stream of parts apart until it ends.

    A part ends after its `Content-Length`, or without one where its JPEG ends: then the next part
    need not have begun before this one is given.

    Args:
        read: Function `(n) -> bytes`, up to `n` of them, at least one until the stream ends.
        boundary: What separates parts, as the `Content-Type` tells it (whether with the leading
            dashes or without is all one), or `None` for any line that begins with `--`.
        max_bytes: The largest part, in bytes; no more than about this is held.

    Yields:
        Pairs: headers, dict of str with keys in lower case, and the content, bytes; `None` for
        the content of a part without `Content-Length` that holds no whole JPEG.

    Raises:
        BrokenStream: A part or its headers are too large, or no boundary comes.

    Example:
        >>> import io
        >>> stream = io.BytesIO(b"--x\\r\\nContent-Length: 2\\r\\n\\r\\nab\\r\\n--x--\\r\\n")
        >>> list(parts(stream.read, "x", max_bytes=100))
        [({'content-length': '2'}, b'ab')]
    """
    buffer = _Buffer(read)
    separator = (boundary or "").strip().strip("-").encode("latin-1", "replace")
    try:
        while True:
            _skip_separator(buffer, separator, max_bytes)
            headers = _headers(buffer)
            length = headers.get("content-length", "")
            if re.fullmatch("[0-9]{1,12}", length):
                if int(length) > max_bytes:
                    raise BrokenStream(f"a part of {length} bytes, more than {max_bytes}")
                yield headers, buffer.take(int(length))
            else:
                yield headers, _whole_jpeg(buffer, max_bytes)
    except EOFError:
        return


class JPEGScan:
    """Walks over the markers of a JPEG to its end, also while it is still coming.

    Attributes:
        end: Number of bytes up to and including the end marker; `None` before it was met.
        size: `(height, width)` in pixels; `None` before it was met.
    """

    def __init__(self):
        self.end = None
        self.size = None
        self._at = 0
        self._in_pixels = False

    def advance(self, data):
        """Walks on as far as the bytes go.

        Args:
            data: Bytes of the image from its start, longer with each call.

        Returns:
            Whether the end was met.

        Raises:
            BrokenImage: These are not the bytes of a JPEG.
        """
        while self.end is None:
            if self._in_pixels:
                found = _MARKER.search(data, self._at)
                if found is None:
                    self._at = max(self._at, len(data) - 1)
                    return False
                self._at, self._in_pixels = found.start(), False
            head = bytes(data[self._at : self._at + 9])
            if len(head) < 2:
                return False
            if head[0] != 0xFF or (head[1] != 0xD8 and self._at == 0):
                raise BrokenImage("no JPEG")
            if head[1] == 0xD9:
                self.end = self._at + 2
            elif head[1] == 0xD8 and self._at > 0:
                raise BrokenImage("a JPEG begins within another")
            elif head[1] == 0xFF:
                self._at += 1  # Filling before a marker.
            elif head[1] in (0xD8, 0x01) or 0xD0 <= head[1] <= 0xD7:
                self._at += 2  # Markers without content.
            elif not self._skip_segment(head):
                return False
        return True

    def _skip_segment(self, head):
        if len(head) < 9:
            return False  # Even the shortest JPEG goes on for as long.
        length = int.from_bytes(head[2:4], "big")
        if length < 2:
            raise BrokenImage("a JPEG segment without length")
        if 0xC0 <= head[1] <= 0xCF and head[1] not in (0xC4, 0xC8, 0xCC):
            self.size = int.from_bytes(head[5:7], "big"), int.from_bytes(head[7:9], "big")
        self._in_pixels = head[1] == 0xDA
        self._at += 2 + length
        return True


def decode_jpeg(data):
    """Decodes one JPEG that is there to its end.

    Args:
        data: Bytes of it; what follows its end is left alone.

    Returns:
        uint8 `(height, width, channels)`, grey (1) or RGB (3).

    Raises:
        BrokenImage: It is no JPEG, ends early (a decoder would fill the rest with grey), is larger
            than any camera's, or cannot be decoded.
    """
    import cv2

    scan = JPEGScan()
    if not scan.advance(data):
        raise BrokenImage("a JPEG ends before its end")
    if scan.size is None or scan.size[0] * scan.size[1] > _MAX_PIXELS:
        raise BrokenImage(f"a JPEG of the size {scan.size}")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR)
    except cv2.error:
        image = None
    if image is None:
        raise BrokenImage("a JPEG that cannot be decoded")
    return image[..., None] if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


class _Buffer:
    """Bytes that have come and were not taken yet."""

    def __init__(self, read):
        self.data = bytearray()
        self._read = read

    def more(self):
        chunk = self._read(_CHUNK_BYTES)
        if not chunk:
            raise EOFError
        self.data += chunk

    def take(self, count):
        while len(self.data) < count:
            self.more()
        taken = bytes(self.data[:count])
        del self.data[:count]
        return taken

    def line(self, longest):
        """Takes a line with its end, or `longest` bytes where none ends before."""
        looked_at = 0
        while True:
            end = self.data.find(b"\n", looked_at, longest)
            if end >= 0 or len(self.data) >= longest:
                return self.take(end + 1 if end >= 0 else longest)
            looked_at = len(self.data)
            self.more()


def _skip_separator(buffer, separator, max_bytes):
    skipped = 0
    while skipped <= max_bytes + _CHUNK_BYTES:
        line = buffer.line(1024)
        found = line.strip()
        # Cameras differ in how many dashes stand before and after it.
        if found.strip(b"-") == separator if separator else found.startswith(b"--"):
            return
        skipped += len(line)
    raise BrokenStream(f"no boundary between parts within {skipped} bytes")


def _headers(buffer):
    headers, size = {}, 0
    while True:
        line = buffer.line(_MAX_HEADER_BYTES)
        size += len(line)
        if size >= _MAX_HEADER_BYTES:
            raise BrokenStream(f"headers of a part of {size} bytes and more")
        if not line.strip():
            return headers
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()


def _whole_jpeg(buffer, max_bytes):
    scan = JPEGScan()
    try:
        while not scan.advance(buffer.data):
            # A JPEG cut short is met by the separator or the next image; bytes that go on and on
            # are met by the limit.
            if len(buffer.data) > max_bytes:
                raise BrokenStream(f"a part of more than {max_bytes} bytes")
            buffer.more()
    except BrokenImage:
        return None  # Nothing was taken, so the next separator is found.
    return buffer.take(scan.end)
