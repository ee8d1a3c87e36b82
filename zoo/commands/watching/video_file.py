"""Pictures of a camera as a video file."""

import os
import shutil
from pathlib import Path

from zoo.training.whole_files import sync_folder

_CODECS = {".avi": "MJPG", ".mkv": "mp4v", ".mp4": "mp4v"}

# What is left of a disk to others, alarms above all, and to the end of the file itself.
SPARED_BYTES = 64 << 20

# After how long a disk is tried again that took no more.
RETRY_SECONDS = 30.0

# How far the video may be from the time of its pictures before one is repeated or left out, so that
# what comes unevenly is kept as it is.
_UNEVEN_SECONDS = 0.5

# A longer time without a picture is cut out.
_GAP_SECONDS = 2.0


class VideoFile:
    """Writes pictures into a video that takes as long as they did.

    While it is written it is called `NAME.unfinished.mp4`, as it stays where the process is killed.
    No file of before is written over: the next are `NAME-2.mp4`, `NAME-3.mp4` and so on, also where
    the size of the pictures changes. Before the disk is full the file is finished, and another one
    begins when there is room again.

    Args:
        path: File that ends in `.mp4`, `.mkv` or `.avi`; of these, what is left of a kill can be
            played of the latter two. Its folder is made where it is not there.
        fps: Frames per second.

    Attributes:
        trouble: None, or a sentence on why nothing is written.

    Raises:
        ValueError: If `path` ends otherwise or `fps` is not above 0.

    Example:
        >>> import tempfile, numpy as np
        >>> folder = Path(tempfile.mkdtemp())
        >>> video = VideoFile(folder / "gate.mp4", fps=10)
        >>> for number in range(10):
        ...     video.show(np.zeros((240, 360, 3), np.uint8), wall_sec=number / 10)
        >>> video.close()
        >>> [path.name for path in folder.iterdir()]
        ['gate.mp4']
    """

    def __init__(self, path, fps):
        self._path = Path(path)
        if self._path.suffix not in _CODECS:
            raise ValueError(
                f"`path` must end in {', '.join(_CODECS)}. Received: path={self._path}"
            )
        if not fps > 0:
            raise ValueError(f"`fps` must be above 0. Received: fps={fps}")
        self._fps = fps
        self.trouble = None
        self._writer = self._failed_sec = None

    def show(self, image, wall_sec):
        """Writes a picture, more than once or not at all where the time asks for it.

        Args:
            image: uint8 `(height, width, 1 or 3)`, grey or RGB.
            wall_sec: When it was, in seconds.
        """
        import cv2

        if self._writer is not None and image.shape[:2] != self._size:
            self._finish()
        if self._has_no_room() or (self._writer is None and not self._begin(image, wall_sec)):
            return
        if not 0 <= wall_sec - self._last_sec <= _GAP_SECONDS:
            self._start_sec = wall_sec - self._count / self._fps
        self._last_sec = wall_sec
        late = (wall_sec - self._start_sec) * self._fps - self._count
        uneven = max(1, _UNEVEN_SECONDS * self._fps)
        code = cv2.COLOR_GRAY2BGR if image.shape[2] == 1 else cv2.COLOR_RGB2BGR
        picture = cv2.cvtColor(image, code)
        for _ in range(0 if late < -uneven else 1 + int(late) if late > uneven else 1):
            # OpenCV 5 says whether it could.
            if self._writer.write(picture) is False:
                return self._fail("the disk takes no more")
            self._count += 1

    def close(self):
        """Finishes the file."""
        if self._writer is not None:
            self._finish()

    def _begin(self, image, wall_sec):
        import cv2

        if self._failed_sec is not None and 0 <= wall_sec - self._failed_sec < RETRY_SECONDS:
            return False
        number = 1
        while any(path.exists() for path in self._names(number)):
            number += 1
        self._aside, self._whole = self._names(number)
        self._size = image.shape[:2]
        self._start_sec = self._last_sec = wall_sec
        self._count = 0
        codec = cv2.VideoWriter.fourcc(*_CODECS[self._path.suffix])
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            writer = cv2.VideoWriter(str(self._aside), codec, self._fps, self._size[::-1])
            problem = "" if writer.isOpened() else "OpenCV cannot begin it"
        except (OSError, cv2.error) as error:
            problem = getattr(error, "strerror", None) or str(error)
        if problem:
            self._fail(problem)
            return False
        self._writer, self.trouble, self._failed_sec = writer, None, None
        return True

    def _has_no_room(self):
        """Whether the disk is too full; the file is finished then."""
        try:
            free = shutil.disk_usage(self._path.parent).free
        except OSError:
            return False  # Its folder is yet to be made, or beginning the file tells why not.
        # A file that ended for it leaves room before the next begins.
        if free >= (SPARED_BYTES if self._writer is not None else 2 * SPARED_BYTES):
            return False
        self.close()
        self.trouble = self.trouble or (
            f"{self._path.parent} has less than {2 * SPARED_BYTES >> 20} MiB left: no video is "
            "written until it has more"
        )
        return True

    def _finish(self):
        import cv2

        self._writer.release()
        self._writer = None
        reader = cv2.VideoCapture(str(self._aside))
        count = int(reader.get(cv2.CAP_PROP_FRAME_COUNT))
        reader.release()
        # Of some containers it is what the duration says.
        if count < 0.99 * self._count - 1:
            return self._fail(f"{count} of {self._count} frames can be found again")
        try:
            with open(self._aside, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(self._aside, self._whole)
            sync_folder(self._whole.parent)
        except OSError as error:
            self._fail(error.strerror)

    def _fail(self, reason):
        """Leaves the file as what it is, unfinished, or not even begun."""
        if self._writer is not None:
            self._writer.release()
        self._writer, self._failed_sec = None, self._last_sec
        self.trouble = f"{self._whole} cannot be written: {reason}"

    def _names(self, number):
        stem = self._path.stem if number == 1 else f"{self._path.stem}-{number}"
        return [
            self._path.with_name(f"{stem}{state}{self._path.suffix}")
            for state in (".unfinished", "")
        ]
