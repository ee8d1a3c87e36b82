"""Footage of `synthetic_cctv` on the disk: a video file, and a file of the truth beside it.

The truth is an `.npz` whose arrays are written, and read, a few hundred frames at a time: how long
a video is does not show in the memory that it takes.
"""

import json
import zipfile

import numpy as np

from data_pipelines.sources.video_files import VideoFile, check_written

# Written last; tells `open_source` what the folder is.
SCENE_FILE = "scene.json"

SUFFIXES = {"MJPG": ".avi", "mp4v": ".mp4"}

# Pixels of what is abnormal that must be seen for a frame to count as abnormal.
SEEN = 10

# One row for each mover in each frame where a pixel of it is seen.
TRACK = np.dtype([("frame", "<i4"), ("track", "<i8"), ("kind", "<U7"), ("abnormal", "?"),
                  ("box", "<i2", (4,)), ("pixels", "<i4")])  # fmt: skip

# Frames whose truth is held in memory at once.
_HELD = 256


class CCTVVideo(VideoFile):
    """A video of the scene with its truth.

    Args:
        name: Name within the source.
        path: Video file.
        truth_path: File of the truth, or `None` where all frames are normal.
        **about: As of `Video`.
    """

    def __init__(self, name, path, truth_path, **about):
        super().__init__(name, path, **about)
        self.truth_path = truth_path

    def start_hour(self):
        minutes = self.conditions()
        return minutes[0].get("hour") if minutes else None

    def frame_labels(self):
        if self.truth_path is None:
            return np.zeros(self.num_frames, bool)
        return self._read("frame_labels")

    def masks(self):
        """Returns what is seen of all that is abnormal, hidden pixels left out.

        Returns:
            Iterator of bool `(height, width)`, one per frame, with the memory of a few hundred
            packed masks; `None` of a normal video without a truth.
        """
        return None if self.truth_path is None else self._masks()

    def _masks(self):
        with np.load(self.truth_path, allow_pickle=False) as truth:
            height, width = truth["size"]
            for packed in _packed_masks(truth):
                mask = np.unpackbits(packed, count=height * width) if packed is not None else (
                    np.zeros(height * width, np.uint8)
                )
                yield mask.reshape(height, width).astype(bool)

    def events(self):
        """Returns what happens, in order.

        Returns:
            List of dicts `kind`, `track` (its `track` in `tracks()`), `first_frame`, `last_frame`,
            counted from 0, both inclusive; of an archive also `camera`.
        """
        return [] if self.truth_path is None else json.loads(str(self._read("events")))

    def tracks(self):
        """Returns where everybody is seen, normal or not.

        Returns:
            NumPy array of dtype `TRACK`, one row for each mover in each frame where a pixel of it
            is seen, ordered by frame: `frame`, from 0; `track`, its own number in the video, and in
            all videos of an archive's camera; `kind`; `abnormal`, in this frame; `box`, `(top,
            left, bottom, right)` of the pixels that are seen, all four inclusive, so inside the
            frame and without what others hide; `pixels`, how many are seen. `None` where there is
            no such truth.

        Example:

        ```python
        rows = video.tracks()
        boxes = rows["box"][rows["frame"] == 7]     # int16 (n, 4)
        edges = boxes + [0, 0, 1, 1]                # as `data_pipelines.transforms` has them
        ```
        """
        if self.truth_path is None:
            return None
        with np.load(self.truth_path, allow_pickle=False) as truth:
            parts = [truth[name] for name in truth.files if name.startswith("tracks")]
        return np.concatenate(parts) if parts else None

    def shake(self):
        """Returns by how much the picture is shifted against the camera's usual place.

        Returns:
            int8 `(frames, 2)`, pixels down and to the right; `None` of a video without a truth.
        """
        return None if self.truth_path is None else self._read("shake")

    def conditions(self):
        """Returns what each minute is like, of a video of an archive.

        Returns:
            List of dicts `first_frame`, `hour` (of the clock), `daylight` (0 to 1), `weather`,
            `strength` (of the weather, 0 to 1), `empty` (nobody comes, events aside).
        """
        return [] if self.truth_path is None else json.loads(str(self._read("conditions")))

    def _read(self, name):
        with np.load(self.truth_path, allow_pickle=False) as truth:
            return truth[name]


def _packed_masks(truth):
    """Yields the packed mask of each frame, `None` where it is empty."""
    if "masks" in truth:  # As it was written before there were tracks.
        yield from truth["masks"]
        return
    count = len(truth["frame_labels"])
    for first in range(0, count, _HELD):
        name = f"masks_{first:08d}"
        masks = iter(truth[name] if name in truth else ())
        for is_marked in truth[f"marked_{first:08d}"]:
            yield next(masks) if is_marked else None


class Truth:
    """Writes the truth of a video, frame by frame.

    Args:
        path: File to write.

    Example:

    ```python
    with Truth("truth/test_000.npz") as truth:
        for ids, shown in drawn:
            truth.add(ids, shown)
    ```
    """

    def __init__(self, path):
        self._file = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=4)
        self._labels, self._shakes, self._size = bytearray(), bytearray(), (0, 0)
        self._events, self._conditions = {}, []
        self._begin()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self._flush()
            self._write("frame_labels", np.frombuffer(self._labels, bool))
            self._write("shake", np.frombuffer(self._shakes, np.int8).reshape(-1, 2))
            self._write("size", np.array(self._size))
            events = sorted(self._events.values(), key=lambda event: event["first_frame"])
            self._write("events", np.array(json.dumps(events)))
            self._write("conditions", np.array(json.dumps(self._conditions)))
        self._file.close()

    def add_conditions(self, **conditions):
        """Says what the frames from the next one on are like."""
        self._conditions.append({"first_frame": len(self._labels), **conditions})

    def add(self, ids, shown, shake=(0, 0), **about):
        """Adds the truth of the next frame.

        Args:
            ids: uint8 `(height, width)`, which of `shown` is seen at each pixel, from 1; 0 nobody.
            shown: List of `(track, kind, abnormal)`.
            shake: Pixels that the picture is shifted, down and to the right.
            **about: What events are said to have besides.
        """
        import cv2

        number, abnormal = len(self._labels), np.zeros(ids.shape, bool)
        for place, (track, kind, is_abnormal) in enumerate(shown, 1):
            own = ids == place
            left, top, width, height = cv2.boundingRect(own.view(np.uint8))
            if not width:
                continue
            pixels = cv2.countNonZero(own.view(np.uint8))
            self._rows.append((number, track, kind, is_abnormal,
                               (top, left, top + height - 1, left + width - 1), pixels))
            if is_abnormal:
                abnormal |= own
                if pixels >= SEEN:
                    event = {"kind": kind, "track": track, **about, "first_frame": number}
                    self._events.setdefault(track, event)["last_frame"] = number
        is_marked = cv2.countNonZero(abnormal.view(np.uint8)) >= SEEN
        if is_marked:
            self._masks.append(np.packbits(abnormal))
        self._marked.append(is_marked)
        self._labels.append(is_marked)
        self._shakes += np.array(shake, np.int8).tobytes()
        self._size = ids.shape
        if len(self._marked) == _HELD:
            self._flush()

    def _begin(self):
        self._first, self._rows, self._masks, self._marked = len(self._labels), [], [], []

    def _flush(self):
        name = f"{self._first:08d}"
        self._write(f"marked_{name}", np.array(self._marked, bool))
        self._write(f"tracks_{name}", np.array(self._rows, TRACK))
        if self._masks:
            self._write(f"masks_{name}", np.stack(self._masks))
        self._begin()

    def _write(self, name, array):
        # A time of its own would make the same truth other bytes.
        with self._file.open(zipfile.ZipInfo(f"{name}.npy"), "w") as file:
            np.lib.format.write_array(file, array, allow_pickle=False)


def write_video(path, frames, fps, codec):
    """Writes a video file and reads it back.

    Args:
        path: File to write.
        frames: Iterable of uint8 `(height, width, 3)`, BGR.
        fps: Frames per second.
        codec: One of `SUFFIXES`.

    Raises:
        ValueError: The codec is missing.
        OSError: The file cannot be written whole.
    """
    import cv2

    writer, count = None, 0
    try:
        for frame in frames:
            if writer is None:
                fourcc = cv2.VideoWriter_fourcc(*codec)
                writer = cv2.VideoWriter(str(path), fourcc, float(fps), frame.shape[1::-1])
                if not writer.isOpened():
                    raise ValueError(f"`codec` {codec} cannot be written here ({path})")
            writer.write(frame)
            count += 1
    finally:
        if writer is not None:
            writer.release()
    check_written(path, count)
