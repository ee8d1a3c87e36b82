"""A scikit-learn classifier on top of an exported encoder: arrays in, decisions out.

A clip is cut into windows, each window becomes a vector, a standardised logistic regression gives
each window's log-probabilities, and their mean over the windows decides the clip.
"""

import collections
import dataclasses
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np

from zoo.evaluation.probes import LinearProbe
from zoo.training.whole_files import write_whole

_ARRAYS = ("mean", "scale", "coefficients", "intercepts")


def windows(clip, frames=16, stride=8, min_frames=1):
    """Cuts a clip into overlapping windows; the last one ends with the clip.

    Args:
        clip: iterable of arrays (height, width, channels), or one array of them; read as it
            goes, and never more than a window of it kept.
        frames: int, the length of a window. A clip that is shorter is one window as it is.
        stride: int, frames between the starts of two windows.
        min_frames: int, the shortest clip that the encoder takes.

    Yields:
        Arrays (frames or fewer, height, width, channels).

    Raises:
        ValueError: If `stride` is below 1, `frames` below `min_frames`, or the clip shorter than
            `min_frames`.

    Example:

    ```python
    [len(window) for window in windows(np.zeros((37, 8, 8, 1)))]  # [16, 16, 16, 16]
    ```
    """
    if frames < max(min_frames, 1):
        raise ValueError(f"`frames` must be at least {min_frames}. Received: frames={frames}")
    if stride < 1:
        raise ValueError(f"`stride` must be at least 1. Received: stride={stride}")
    held = collections.deque(maxlen=frames)
    length = given = 0
    for length, frame in enumerate(clip, start=1):
        held.append(frame)
        if length >= frames and (length - frames) % stride == 0:
            yield np.stack(held)
            given = length
    if length < max(min_frames, 1):
        raise ValueError(f"`clip` must have at least {min_frames} frames. Received: {length}")
    if given < length:
        yield np.stack(held)


@dataclasses.dataclass
class Classifier(LinearProbe):
    """A `LinearProbe` over the embeddings of an export, which can be kept in a file.

    Attributes:
        encoder: dict, what says which export and which windows it was fitted on. For the others
            see `LinearProbe`.

    Example:

    ```python
    classifier = Classifier.fit(embeddings, labels, groups)
    classifier.predict(embeddings, clips)
    ```
    """

    encoder: dict = dataclasses.field(default_factory=dict)

    def save(self, path):
        """Writes the classifier as one `.npz`: arrays, and JSON for the rest. No pickle.

        Args:
            path: Path of the file; written whole, then renamed.

        Returns:
            pathlib.Path of the file.

        Example:

        ```python
        classifier.save("actions.npz")
        ```
        """
        path = Path(path)
        plain = {name: getattr(self, name) for name in ("classes", "strength", "encoder")}
        arrays = {name: getattr(self, name) for name in _ARRAYS}

        def write(aside):
            with open(aside, "wb") as file:
                np.savez(file, description=np.array(json.dumps(plain)), **arrays)

        write_whole(path, write)
        return path

    @classmethod
    def load(cls, path):
        """Reads a classifier that `save` wrote.

        Args:
            path: Path of the file.

        Returns:
            A `Classifier`.

        Raises:
            ValueError: If the file is not one.

        Example:

        ```python
        Classifier.load("actions.npz").classes
        ```
        """
        try:
            # Opened here, since NumPy leaves a file that is no archive open.
            with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
                plain = json.loads(str(file["description"]))
                return cls(**plain, **{name: file[name] for name in _ARRAYS})
        except (
            AttributeError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile,
            zlib.error,
        ) as error:  # fmt: skip
            raise ValueError(f"{path} holds no classifier: {error}") from error
