"""Alarms as JSON lines, to a file or to standard output, and stills beside them."""

import datetime
import json
import re
import shutil
import threading
import uuid
from pathlib import Path

from zoo.commands.console import printable
from zoo.commands.watching.durable_lines import DurableLines, PrintedLines
from zoo.training.whole_files import write_whole

# Between attempts to write what a full disk has not taken.
RETRY_SECONDS = 5.0

_JPEG_QUALITY = 90

# What stills leave of a disk, so that alarms have room on it for long.
SPARED_BYTES = 64 << 20

_LAST_SEC = 253_402_300_799.0  # The last second of the year 9999.


def alarm_of(scored, event, still=None):
    """What is told of an event that began or ended.

    Args:
        scored: `ScoredFrame` in which it is told.
        event: `zoo.evaluation.events.Event` of it, "begun" or "ended".
        still: Path of a picture, or None.

    Returns:
        Dict of JSON values: `id`, another for each alarm; `time` and `start`, of the last and the
        first frame that showed it, in ISO 8601, UTC; `camera`; `track` and `state`; `score`, the
        largest so far, and `threshold`; `box`, `[top, left, bottom, right]` in pixels of the
        source; `still`.

    Example:
        >>> from zoo.commands.watching.scored_frame import ScoredFrame
        >>> from zoo.evaluation.events import Event
        >>> event = Event(1, "begun", 9.5, 10.0, 0.3, 10.0, (0, 0, 8, 8), ((0, 0, 8, 8),))
        >>> scored = ScoredFrame("gate", 100, 10.0, 1.7e9, None, 0.3, None, 0.2, (event,))
        >>> alarm_of(scored, event)["start"]
        '2023-11-14T22:13:19.500Z'
    """

    def time_of(sec):
        # Where the clock of the source was put back, what was before still is not in the future.
        return utc(min(scored.wall_sec, scored.wall_sec + sec - scored.time_sec))

    return {
        "id": uuid.uuid4().hex,
        "time": time_of(event.time_sec),
        "camera": printable(scored.camera),
        "track": event.track,
        "state": event.state,
        "score": float(event.score),
        "threshold": None if scored.threshold is None else float(scored.threshold),
        "box": [int(edge) for edge in event.box],
        "start": time_of(event.start_sec),
        "still": None if still is None else str(still),
    }


def utc(wall_sec):
    """Seconds since 1970 in ISO 8601; what a broken clock makes of them is brought into its years.

    Example:
        >>> utc(0.25)
        '1970-01-01T00:00:00.250Z'
    """
    wall_sec = min(max(wall_sec, 0.0), _LAST_SEC)
    time = datetime.datetime.fromtimestamp(wall_sec, datetime.UTC)
    return time.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def json_line(alarm):
    """An alarm as a line of JSON: bytes, ASCII, with the line break at its end."""
    return json.dumps(alarm, allow_nan=False).encode() + b"\n"


class AlarmLog:
    """A file of alarms, a line of JSON each, which are on the disk before `tell` returns.

    On a full disk they wait in memory and are written in their order once there is room; so they do
    where standard output takes none. A disk that is nearly full gets no more stills.

    Args:
        path: File, which is appended to; None for standard output.
        stills: Folder of JPEG files, made where it is not there; None for no stills.

    Attributes:
        wants_stills: Whether there is a folder for them.
        stills_missed: Stills that could not be written.
        trouble: None, or a sentence on what cannot be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "alarms.jsonl")
        >>> log = AlarmLog(path)
        >>> log.tell({"camera": "gate", "score": 0.3})
        >>> path.read_text(), log.trouble
        ('{"camera": "gate", "score": 0.3}\\n', None)
        >>> log.close()
    """

    def __init__(self, path, stills=None):
        self._lines = PrintedLines() if path is None else DurableLines(path)
        self._stills = None if stills is None else Path(stills)
        self.wants_stills, self.stills_missed = stills is not None, 0
        self._lock = threading.Lock()
        self._timer = self._still_trouble = None

    @property
    def trouble(self):
        return "; ".join(filter(None, [self._lines.trouble, self._still_trouble])) or None

    def still(self, image, scored, event):
        """Writes a picture of an alarm.

        Args:
            image: uint8 `(height, width, 1 or 3)`, grey or RGB.
            scored: `ScoredFrame` in which it is told.
            event: `zoo.evaluation.events.Event` of it.

        Returns:
            str, path of the file; None where stills are not asked for or it cannot be written.
        """
        if self._stills is None:
            return None
        time = re.sub("[-:]", "", utc(scored.wall_sec))
        camera = re.sub(r"[^\w.-]+", "_", scored.camera, flags=re.ASCII)[-60:]
        # Names of two cameras may differ in what no file name should hold.
        name = f"{time}-{camera}-{event.track}-{uuid.uuid4().hex[:8]}.jpg"
        path = self._stills / name
        try:
            self._stills.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self._stills).free < SPARED_BYTES:
                raise OSError(f"less than {SPARED_BYTES >> 20} MiB are left there")
            write_whole(path, lambda aside: aside.write_bytes(to_jpeg(image, _JPEG_QUALITY)))
        except Exception as error:  # Whatever a picture does, the alarm is told.
            reason = getattr(error, "strerror", None) or error
            self.stills_missed += 1
            self._still_trouble = f"no stills can be written to {self._stills}: {reason}"
            return None
        self._still_trouble = None
        return str(path)

    def tell(self, alarm):
        """Writes an alarm.

        Args:
            alarm: Dict of `alarm_of`.
        """
        with self._lock:
            self._lines.add(json_line(alarm))
            self._try_again_later()

    def close(self):
        """Tries for the last time to write what is held.

        Returns:
            `(lines, lost)`: list of bytes, the lines of alarms that nothing has taken; and how many
            more there were, when too many waited already.
        """
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._lines.write()
            return list(self._lines.held), self._lines.lost

    def _try_again_later(self):
        if self._lines.held and self._timer is None:
            self._timer = threading.Timer(RETRY_SECONDS, self._try_again)
            self._timer.daemon = True
            self._timer.start()

    def _try_again(self):
        with self._lock:
            if self._timer is not None:  # Not closed meanwhile.
                self._timer = None
                self._lines.write()
                self._try_again_later()


def to_jpeg(image, quality):
    """Encodes a picture.

    Args:
        image: uint8 `(height, width, 1 or 3)`, grey or RGB.
        quality: Of the JPEG, up to 100.

    Returns:
        Bytes.
    """
    import cv2

    if image.shape[2] == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
