"""How well autoencoders draw held-out clips again, beside a mean frame and PCA of patches."""

import numpy as np

from zoo.layers.moments import Moments

PATCHES = ((4, 8), (4, 16), (8, 8))  # frames, and pixels of a side


def reconstruction_errors(model, train, held_out, patches=PATCHES):
    """Squared error of a model's reconstructions, and of what learns no features.

    The baselines are fitted on the training clips alone: the mean frame, and PCA of patches with
    as many numbers in the code of a clip as the model has (rounded up, to its advantage).

    Args:
        model: An autoencoder with `reconstruct` and `code_size`.
        train: Iterable of batches of clips, float32 `(batch, time, height, width, channels)` in
            [0, 1], all of one size and length; gone through once.
        held_out: The same of other videos.
        patches: `(frames, side)` of the patches of PCA; those that do not fit the clips, or would
            need more components than they have values, are left out.

    Returns:
        Dict of JSON values: `mse` of the model, `mean_frame_mse`, `pca_mse` (dict from
        `"FRAMESxSIDExSIDE, N components"`), `numbers_per_frame` of the code, and
        `beats_baselines`: whether `mse` is the smallest.

    Raises:
        ValueError: If a dataset is empty.
        NotImplementedError: If the model draws from more than a code.

    Example:

    >>> clips = [np.random.default_rng(0).uniform(size=(4, 8, 16, 24, 1)).astype("float32")]
    >>> model = zoo.load("video_vae", weights=None)
    >>> reconstruction_errors(model, clips, clips)["numbers_per_frame"]
    24.0
    """
    mean, baselines, size = MeanFrame(), {}, None
    for clip in train:
        clip = np.asarray(clip)
        if size is None:
            size = clip.shape[1:]
            baselines = _fitting(model.code_size(*size[:3]), size, patches)
        mean.add(clip)
        for baseline in baselines.values():
            baseline.add(clip)
    if size is None:
        raise ValueError("`train` must hold clips. Received: an empty one")
    drawers = {
        "model": lambda clip: np.asarray(model.reconstruct(clip)),
        "mean": mean.reconstruct,
        **{name: baseline.reconstruct for name, baseline in baselines.items()},
    }
    squared, values = dict.fromkeys(drawers, 0.0), 0
    for clip in held_out:
        clip = np.asarray(clip)
        values += clip.size
        for name, draw in drawers.items():
            squared[name] += float(np.square(draw(clip).astype("float64") - clip).sum())
    if not values:
        raise ValueError("`held_out` must hold clips. Received: an empty one")
    errors = {name: total / values for name, total in squared.items()}
    return {
        "mse": errors["model"],
        "mean_frame_mse": errors["mean"],
        "pca_mse": {name: errors[name] for name in baselines},
        "numbers_per_frame": model.code_size(*size[:3]) / size[0],
        "beats_baselines": min(errors, key=errors.get) == "model",
    }


class MeanFrame:
    """The mean of all frames added, place by place."""

    def __init__(self):
        self._sum, self._frames = 0.0, 0

    def add(self, clip):
        """Takes in a batch of clips, `(batch, time, height, width, channels)`."""
        self._sum = self._sum + clip.sum(axis=(0, 1), dtype="float64")
        self._frames += clip.shape[0] * clip.shape[1]

    def reconstruct(self, clip):
        """The mean frame for each frame of a batch of clips, in its shape."""
        return np.broadcast_to((self._sum / self._frames).astype("float32"), clip.shape)


class PatchPCA:
    """PCA of patches of a clip that do not overlap, by their covariance: memory stays the same.

    Args:
        frames: Of a patch.
        side: Of a patch in pixels.
        components: Numbers in the code of a patch.
    """

    def __init__(self, frames, side, components):
        self.frames, self.side, self.components = frames, side, components
        self._moments = Moments(joint=True)
        self._basis = None

    def add(self, clip):
        """Takes in a batch of clips; time and size are multiples of those of a patch."""
        self._moments.add(self._cut(clip))
        self._basis = None

    def reconstruct(self, clip):
        """A batch of clips drawn from the codes of its patches, float32, clipped to [0, 1]."""
        if self._basis is None:
            _, vectors = np.linalg.eigh(self._moments.scatter)
            self._basis = vectors[:, ::-1][:, : self.components]
        patches = self._cut(clip) - self._moments.mean
        drawn = patches @ self._basis @ self._basis.T + self._moments.mean
        return np.clip(self._join(drawn, clip.shape), 0, 1).astype("float32")

    def _grid(self, shape):
        batch, time, height, width, channels = shape
        frames, side = self.frames, self.side
        return batch, time // frames, frames, height // side, side, width // side, side, channels

    def _cut(self, clip):
        grid = clip.reshape(self._grid(clip.shape)).transpose(0, 1, 3, 5, 2, 4, 6, 7)
        return grid.reshape(-1, self.frames * self.side**2 * clip.shape[-1]).astype("float64")

    def _join(self, patches, shape):
        b, t, frames, h, side, w, _, channels = self._grid(shape)
        grid = patches.reshape(b, t, h, w, frames, side, side, channels)
        return grid.transpose(0, 1, 4, 2, 5, 3, 6, 7).reshape(shape)


def _fitting(code_size, size, patches):
    """PCA of each patch that fits, with as many numbers in the code of a clip, or a few more."""
    time, height, width, channels = size
    found = {}
    for frames, side in patches:
        if time % frames or height % side or width % side:
            continue
        count = (time // frames) * (height // side) * (width // side)
        components = -(-code_size // count)
        if components <= frames * side**2 * channels:
            name = f"{frames}x{side}x{side}, {components} components"
            found[name] = PatchPCA(frames, side, components)
    return found
