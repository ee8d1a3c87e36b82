"""What an encoder must be better than: descriptors of a window that nobody had to learn."""

import numpy as np

from data_pipelines import transforms

PCA_COMPONENTS = 64
PCA_SIZE = (64, 64)
# Up to so many windows, all of the distances between them are cheaper than their pixels.
MOST_COMPACT = 2000
GRID = 16


def pixel_rows(window_list, frames=16):
    """Lays windows of pixels as rows, for `pixel_pca`.

    Args:
        window_list: list of uint8 arrays (time, height, width, channels).
        frames: int, the number of frames each is brought to, by the nearest.

    Returns:
        float32 array (windows, frames * 64 * 64 * channels), values in [0, 1].

    Example:

    ```python
    pixel_rows([np.zeros((16, 64, 64, 1), "uint8")]).shape  # (1, 65536)
    ```
    """
    rows = []
    for window in window_list:
        chosen = np.linspace(0, len(window) - 1, frames).round().astype(int)
        sized = transforms.to_float(transforms.resize(window[chosen], PCA_SIZE))
        rows.append(np.asarray(sized).reshape(-1))
    return np.stack(rows)


def same_distances(rows):
    """Rewrites rows in the space that they span, where there are fewer rows than numbers in one.

    Distances and inner products stay, and with them the principal components: folds then cost
    a hundredth.

    Args:
        rows: float array (windows, dim).

    Returns:
        float32 array (windows, windows), or `rows` where that would be no less work.

    Example:

    ```python
    same_distances(np.random.rand(5, 65536)).shape  # (5, 5)
    ```
    """
    if len(rows) > min(MOST_COMPACT, rows.shape[1]):
        return rows
    values, vectors = np.linalg.eigh((rows @ rows.T).astype(np.float64))
    return (vectors * np.sqrt(np.maximum(values, 0))).astype(np.float32)


def pixel_pca(train, test, components=PCA_COMPONENTS, seed=0):
    """Reduces rows of pixels to principal components fitted on the training part.

    Args:
        train: float array (windows, pixels).
        test: float array (windows, pixels).
        components: int; fewer where there are fewer windows, which about their mean span one
            dimension less than they are.
        seed: int, of the randomised decomposition.

    Returns:
        `(train, test)`, float arrays (windows, components).

    Example:

    ```python
    pixel_pca(np.random.rand(100, 640), np.random.rand(10, 640))[1].shape  # (10, 64)
    ```
    """
    from sklearn.decomposition import PCA

    # One more would be rounding noise, which standardisation would blow up.
    components = max(1, min(components, len(train) - 1, train.shape[1]))
    reduce = PCA(components, svd_solver="randomized", random_state=seed).fit(train)
    return reduce.transform(train), reduce.transform(test)


def motion_energy(window_list, grid=GRID):
    """Averages the absolute difference between frames over a grid.

    Args:
        window_list: list of uint8 arrays (time, height, width, channels), at least `grid` pixels
            high and wide, two frames long.
        grid: int, cells along each side.

    Returns:
        float32 array (windows, grid * grid), values in [0, 1].

    Raises:
        ValueError: If a window is smaller than the grid or has one frame.

    Example:

    ```python
    motion_energy([np.zeros((16, 64, 64, 1), "uint8")]).shape  # (1, 256)
    ```
    """
    rows = []
    for window in window_list:
        if len(window) < 2 or min(window.shape[1:3]) < grid:
            raise ValueError(
                f"`window_list` must hold windows of 2 frames and {grid}x{grid} pixels or more. "
                f"Received: {window.shape}"
            )
        change = np.abs(np.diff(window.astype(np.float32), axis=0)).mean(axis=(0, 3)) / 255
        for axis in (0, 1):
            edges = np.arange(grid + 1) * change.shape[axis] // grid
            sums = np.add.reduceat(change, edges[:-1], axis=axis)
            change = sums / np.expand_dims(np.diff(edges), 1 - axis)
        rows.append(change.reshape(-1))
    return np.stack(rows).astype(np.float32)
