"""A linear transform of overlapping patches of video: pixels to a grid of codes and back."""

import keras
import numpy as np
import tensorflow as tf

PATCH = 8  # pixels between two places of the grid
REACH = 16  # pixels of a side of the patch that a place sees and draws


@keras.saving.register_keras_serializable(package="zoo")
class PatchTransform(keras.layers.Layer):
    """Codes of patches by one linear convolution, and patches of codes by another.

    Both are learned. They start as the lowest frequencies of the cosine transform of blocks of
    `frames` x 8 x 8, which are close to the principal components of natural video, each scaled as
    its spectrum falls, so that codes are about as large as one another. float32 throughout.

    Args:
        frames: Frames of a patch.
        dim: Numbers at each place of the grid, at most `64 * frames`.
        channels: Channels of a frame.

    Raises:
        ValueError: If `dim` is below 1 or above `64 * frames`.

    Example:

    >>> transform = PatchTransform(frames=4, dim=16)
    >>> code = transform.analyse(tf.zeros((2, 4, 32, 48, 1)))
    >>> code.shape, transform.synthesise(code).shape
    (TensorShape([2, 4, 6, 16]), TensorShape([2, 4, 32, 48, 1]))

    Reference:
        Ahmed, Natarajan and Rao, "Discrete Cosine Transform", 1974
    """

    def __init__(self, frames, dim, channels=1, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        if not 1 <= dim <= frames * PATCH**2:
            raise ValueError(
                f"`dim` must be from 1 to {frames * PATCH**2}, the values of a patch. "
                f"Received: dim={dim}"
            )
        self.frames = frames
        self.dim = dim
        self.channels = channels
        shared = {"strides": PATCH, "padding": "same", "use_bias": False, "dtype": "float32"}
        self.analysis = keras.layers.Conv2D(dim, REACH, name="analysis", **shared)
        self.synthesis = keras.layers.Conv2DTranspose(
            frames * channels, REACH, name="synthesis", **shared
        )

    def build(self, input_shape=None):
        self.analysis.build((None, None, None, self.frames * self.channels))
        self.synthesis.build((None, None, None, self.dim))
        basis, scale = _lowest_frequencies(self.frames, self.dim)
        # The same for every channel, in the middle of the patch; the rest starts at zero.
        kernel = np.repeat(basis, self.channels, axis=2) / np.sqrt(self.channels)
        kernel = np.pad(kernel, [((REACH - PATCH) // 2,) * 2] * 2 + [(0, 0)] * 2)
        self.analysis.kernel.assign(kernel / scale)
        self.synthesis.kernel.assign(kernel * scale)
        self.built = True

    def analyse(self, clip):
        """`(batch, frames, height, width, channels)` -> `(batch, height / 8, width / 8, dim)`.

        Zero stays zero: give pixels about mid grey.
        """
        clip = tf.cast(clip, tf.float32)
        return self.analysis(tf.concat(tf.unstack(clip, self.frames, axis=1), axis=-1))

    def synthesise(self, code):
        """`(batch, height', width', dim)` -> `(batch, frames, 8 height', 8 width', channels)`."""
        stacked = self.synthesis(tf.cast(code, tf.float32))
        return tf.stack(tf.split(stacked, self.frames, axis=-1), axis=1)

    def call(self, clip):
        return self.synthesise(self.analyse(clip))

    def get_config(self):
        return {
            **super().get_config(),
            "frames": self.frames,
            "dim": self.dim,
            "channels": self.channels,
        }


def _lowest_frequencies(frames, dim):
    """Orthonormal cosines `(8, 8, frames, dim)` in the order of their frequency, and their scale.

    Things stand still more than they are smooth: a cycle over time counts as three over space.
    """
    time, space = _cosines(frames), _cosines(PATCH)
    basis = np.einsum("ti,yj,xk->yxtijk", time, space, space).reshape(PATCH, PATCH, frames, -1)
    over_time, down, across = np.indices((frames, PATCH, PATCH)).reshape(3, -1)
    frequency = np.sqrt((3.0 * over_time) ** 2 + down**2 + across**2)
    order = np.argsort(frequency, kind="stable")[:dim]
    # Amplitudes of natural scenes fall as one over the frequency; 0.4 at one half-cycle a patch
    # is that of street scenes, and brightness varies about seven times as much.
    return basis[..., order], 0.4 / np.maximum(frequency[order], 0.15)


def _cosines(length):
    """The orthonormal cosine transform `(position, frequency)`."""
    place, frequency = np.indices((length, length))
    cosines = np.cos(np.pi * (place + 0.5) * frequency / length) * np.sqrt(2.0 / length)
    cosines[:, 0] /= np.sqrt(2.0)
    return cosines
