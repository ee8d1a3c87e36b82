"""Tracking by descriptors: a box given once is carried through a video by what looks alike.

Every cell of the grid of a frame is given a label, how much of the box lies in it, by the cells
most like it near by in the frames just before and in the frame of the given box. The box goes
where the labels are; its size stays as it was given. Nothing is learnt: what counts is how well
descriptors tell one place from the next.

Reference:
    Jabri, Owens and Efros, Space-time correspondence as a contrastive random walk, NeurIPS 2020
    (https://arxiv.org/abs/2006.14613), which carries masks and poses so.
"""

import collections

import numpy as np

from zoo.evaluation.detection import overlaps

RECENT = 4  # frames before, beside the given one
NEAREST = 5  # cells that give a cell its label
REACH = 3  # cells: how far around the box it is looked for in the next frame
TEMPERATURE = 0.07  # of the cosine of two descriptors
_LIKE_NOTHING = np.exp((0.5 - 1) / TEMPERATURE)  # a cosine of less than half
MIN_FRAMES = 10  # of a track after the given box


class Carrier:
    """Carries boxes through the descriptor grids of one video, with constant memory.

    Args:
        frame_size: `(height, width)` in pixels of the source, in which boxes are given.

    Example:
        >>> grid = np.zeros((4, 6, 2), np.float32)
        >>> grid[..., 0], grid[1, 1] = 1, (0, 1)
        >>> carrier = Carrier((40, 60))
        >>> carrier.update(grid, given={7: (10, 10, 20, 20)})
        {7: (10.0, 10.0, 20.0, 20.0)}
        >>> {track: [round(edge) for edge in box]
        ...  for track, box in carrier.update(np.roll(grid, 1, axis=1)).items()}
        {7: [10, 20, 20, 30]}
    """

    def __init__(self, frame_size):
        self.frame_size = np.array(frame_size, np.float64)
        self._recent = collections.deque(maxlen=RECENT)
        self._boxes = {}

    def update(self, grid, given=None):
        """Takes in the next frame.

        Args:
            grid: float32 `(height', width', depth)`, its descriptors.
            given: Dict from the number of a track to its `(top, left, bottom, right)`, edges in
                pixels: what is to be carried from this frame on.

        Returns:
            Dict from the number of every track that is carried to its box in this frame, floats.
        """
        grid = unit(grid)
        for track, box in self._boxes.items():
            box.move(grid, [(past, labels[track]) for past, labels in self._recent
                            if track in labels])  # fmt: skip
        for track, edges in (given or {}).items():
            self._boxes[track] = _Box(edges, grid, self.frame_size)
        labels = {track: box.labels for track, box in self._boxes.items()}
        self._recent.append((grid, {t: found for t, found in labels.items() if found is not None}))
        return {track: box.edges for track, box in self._boxes.items()}

    def drop(self, track):
        """Carries a track no further."""
        self._boxes.pop(track, None)


class _Box:
    """A carried box: where it is and the labels of its frame, in cells.

    In a frame in which nothing is like it, it stays where it is and there are no labels.
    """

    def __init__(self, edges, grid, frame_size):
        self._cell = frame_size / grid.shape[:2]
        edges = np.array(edges, np.float64).reshape(2, 2) / self._cell
        self._centre, self._size = edges.mean(axis=0), edges[1] - edges[0]
        down, across = (
            np.clip(np.minimum(last, np.arange(n) + 1) - np.maximum(first, np.arange(n)), 0, 1)
            for first, last, n in zip(*edges, grid.shape[:2], strict=True)
        )
        self.labels = (down[:, None] * across).astype(np.float32)
        window = self._window(grid.shape)
        self._given = grid[window], self.labels[window]
        self._offset = self._centre - _centroid(self.labels)

    @property
    def edges(self):
        half = self._size / 2
        corners = np.concatenate([self._centre - half, self._centre + half])
        return tuple((corners * np.tile(self._cell, 2)).tolist())

    def move(self, grid, recent):
        window = self._window(grid.shape)
        references = [self._given, *((past[window], labels[window]) for past, labels in recent)]
        depth = grid.shape[-1]
        known = np.concatenate([part.reshape(-1, depth) for part, _ in references])
        known_labels = np.concatenate([labels.ravel() for _, labels in references])
        alike = grid[window].reshape(-1, depth) @ known.T
        nearest = np.argsort(-alike, axis=1, kind="stable")[:, :NEAREST]
        # Not a share of all weights: what was hidden before is like nothing, and must not count.
        weights = np.exp((np.take_along_axis(alike, nearest, axis=1) - 1) / TEMPERATURE)
        found = (weights * known_labels[nearest]).sum(axis=1)
        self.labels = None
        if found.max() > _LIKE_NOTHING:
            self.labels = np.zeros(grid.shape[:2], np.float32)
            self.labels[window] = (found / found.max()).reshape(self.labels[window].shape)
            self._centre = np.clip(_centroid(self.labels) + self._offset, 0, grid.shape[:2])

    def _window(self, shape):
        """The cells of the box and those in reach of it: two slices."""
        half = self._size / 2 + REACH
        first = np.floor(np.maximum(self._centre - half, 0)).astype(int)
        last = np.ceil(self._centre + half).astype(int)
        return tuple(slice(a, b) for a, b in zip(first, np.minimum(last, shape[:2]), strict=True))


def unit(grid):
    """Descriptors less their mean over the frame, each of length 1; one of none stays 0.

    Args:
        grid: float32 `(height', width', depth)`.

    Returns:
        float32 of the same shape.
    """
    grid = np.asarray(grid, np.float32)
    # What all places share tells none from another.
    grid = grid - grid.mean(axis=(0, 1))
    return grid / np.maximum(np.linalg.norm(grid, axis=-1, keepdims=True), 1e-8)


def pixel_grid(frames, grid):
    """The pixels of each cell of a grid as its descriptor: matching them is template matching.

    Args:
        frames: float32 `(frames, height, width, channels)`.
        grid: `(height', width')`, each a divisor of the side.

    Returns:
        float32 `(frames, height', width', depth)`.

    Raises:
        ValueError: If the frame is no whole number of cells.
    """
    count, height, width, channels = frames.shape
    down, across = height // grid[0], width // grid[1]
    if (down * grid[0], across * grid[1]) != (height, width):
        raise ValueError(
            f"`grid` must divide the frame. Received: {tuple(grid)} for {height}x{width} pixels"
        )
    cells = frames.reshape(count, grid[0], down, grid[1], across, channels)
    return cells.transpose(0, 1, 3, 2, 4, 5).reshape(count, *grid, -1)


def is_inside(box, frame_size):
    """Whether a box touches no border of the frame: then all of what it shows may be seen."""
    top, left, bottom, right = box
    return top > 0 and left > 0 and bottom < frame_size[0] and right < frame_size[1]


class Overlaps:
    """Mean overlap of carried boxes with true ones, added up frame by frame.

    Attributes:
        means: List of the mean overlap of each track of the videos that have ended.
    """

    def __init__(self):
        self.means = []
        self._sums = {}

    def update(self, carried, boxes):
        """Adds a frame: dicts from track to box, of those carried to it and of all true ones."""
        for track, box in boxes.items():
            if track in carried:
                count, total = self._sums.get(track, (0, 0.0))
                overlap = float(overlaps([carried[track]], [box])[0, 0])
                self._sums[track] = (count + 1, total + overlap)

    def end(self):
        """Ends the video: tracks of fewer than `MIN_FRAMES` frames after the given one are none."""
        self.means += [total / n for n, total in self._sums.values() if n >= MIN_FRAMES]
        self._sums = {}

    @property
    def mean(self):
        """Mean over the tracks of the mean over their frames; None where there are none."""
        return float(np.mean(self.means)) if self.means else None


def _centroid(labels):
    """Mean place of the labels in cells, the middle of the first cell at (0.5, 0.5)."""
    rows, columns = (np.arange(n) + 0.5 for n in labels.shape)
    weights = np.array([labels.sum(axis=1) @ rows, labels.sum(axis=0) @ columns], np.float64)
    return weights / max(float(labels.sum()), 1e-8)
