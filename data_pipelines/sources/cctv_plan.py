"""The plan of an archive of `synthetic_cctv`: what was asked for, minute by minute, file by file.

Whatever happens in a minute of a camera is drawn at random from the seed, the camera and the
minute alone. So files can be made in any order, by any number of processes, and go on where the
one before ends.
"""

import dataclasses
import math

import numpy as np

from data_pipelines.sources.cctv_files import SUFFIXES

CONDITIONS = ("night", "weather", "shake", "empty")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What an archive is made of; the arguments are those of `make_archive`.

    Raises:
        ValueError: An argument breaks its rule.
    """

    seed: int
    cameras: int
    train_hours: float
    test_hours: float
    events_per_hour: float
    start_hour: float
    size: tuple
    fps: float
    minutes_per_file: int
    conditions: tuple
    codec: str

    def __post_init__(self):
        check_size(self.size)
        check_codec(self.codec)
        for name in ("seed", "cameras", "minutes_per_file"):
            least, value = 0 if name == "seed" else 1, getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(
                    f"`{name}` must be a whole number, at least {least}. Received: {name}={value!r}"
                )
        for name in ("train_hours", "test_hours"):
            minutes = 60 * getattr(self, name)
            if not (math.isfinite(minutes) and minutes >= 0) or abs(minutes % 1 - 0.5) < 0.499:
                raise ValueError(
                    f"`{name}` must be whole minutes, not negative, for one 0.5 or 1 / 60. "
                    f"Received: {name}={getattr(self, name)!r}"
                )
        if not self.minutes("train") + self.minutes("test"):
            raise ValueError(
                "`train_hours` and `test_hours` must be a minute or more together. Received: "
                f"train_hours={self.train_hours!r}, test_hours={self.test_hours!r}"
            )
        if not 0 <= self.start_hour < 24:
            raise ValueError(
                "`start_hour` must be at least 0 and below 24. Received: "
                f"start_hour={self.start_hour!r}"
            )
        if not 0 <= self.events_per_hour <= 360:
            raise ValueError(
                "`events_per_hour` must be between 0 and 360. Received: "
                f"events_per_hour={self.events_per_hour!r}"
            )
        if not 0 < self.fps <= 1000 or round(60 * self.fps) != 60 * self.fps:
            raise ValueError(
                "`fps` must be above 0, at most 1000, and give whole frames per minute. Received: "
                f"fps={self.fps!r}"
            )
        unknown = [name for name in self.conditions if name not in CONDITIONS]
        if isinstance(self.conditions, str) or unknown:
            raise ValueError(
                f"`conditions` must be some of {list(CONDITIONS)}. Received: "
                f"conditions={self.conditions!r}"
            )

    @property
    def frames_per_minute(self):
        """Frames of each minute."""
        return round(60 * self.fps)

    def minutes(self, split):
        """Minutes of one camera in `"train"` or in `"test"`, which follows it."""
        return round(60 * (self.train_hours if split == "train" else self.test_hours))

    def hour(self, minute):
        """Hour of the clock, in [0, 24), at a minute of the archive or a fraction of one."""
        return (self.start_hour + minute / 60) % 24

    def files(self):
        """Lists the videos of the archive.

        Returns:
            List of `(name, camera, first minute, first minute behind it)`; a name is for one
            `train/camera0/003`, numbered through both splits.
        """
        found = []
        for camera in range(self.cameras):
            first, number = 0, 0
            for split in ("train", "test"):
                end = first + self.minutes(split)
                for begin in range(first, end, self.minutes_per_file):
                    behind = min(begin + self.minutes_per_file, end)
                    found.append((f"{split}/camera{camera}/{number:03d}", camera, begin, behind))
                    number += 1
                first = end
        return found

    def draws(self, what, *place):
        """Gives the random numbers of one thing at one place, for one `"crowd"` of a minute.

        Returns:
            `numpy.random.Generator`.
        """
        return np.random.default_rng([self.seed, *what.encode(), *place])


def check_size(size):
    """Raises a `ValueError` unless `size` is one that a street can be drawn in."""
    if len(size) != 2 or min(size) < 48:
        raise ValueError(f"`size` must be (height, width), at least (48, 48). Received: {size!r}")


def check_codec(codec):
    """Raises a `ValueError` unless `codec` is known."""
    if codec not in SUFFIXES:
        raise ValueError(f"`codec` must be one of {sorted(SUFFIXES)}. Received: codec={codec!r}")
