"""Colour spaces and filters of tensorflow-io as pure functions on one clip.

They run eagerly and inside `tf.data` or any other graph, frame by frame, and need tensorflow-io,
whose operations for these are Python and work beside every TensorFlow; there is none for Python
3.13. Not what training, scoring and export share: that is `data_pipelines.transforms`.
"""

import functools
import math
import warnings

import tensorflow as tf

from data_pipelines import transforms


def luminance(clip):
    """Turns RGB into luminance: 0.2125 R + 0.7154 G + 0.0721 B (ITU-R BT.709), of values as stored.

    Args:
        clip: uint8, or float32 in [0, 1], `(time, height, width, 3)`.

    Returns:
        float32 `(time, height, width, 1)` in [0, 1].

    Raises:
        ValueError: `clip` has no three channels, or another dtype.
        ImportError: tensorflow-io is not installed.

    Example:
        >>> round(luminance(tf.constant([[[[0, 255, 0]]]], tf.uint8)).numpy().item(), 4)
        0.7154
    """
    return _kept(_color().rgb_to_grayscale(_coloured(clip)), clip, 1)


def lab(clip):
    """Turns RGB (sRGB, D65) into CIE L*a*b*.

    Args:
        clip: As of `luminance`.

    Returns:
        float32 `(time, height, width, 3)`: L* from 0 to 100, a* and b* about -128 to 127.

    Raises:
        ValueError, ImportError: As of `luminance`.

    Example:
        >>> lab(tf.constant([[[[255, 255, 255]]]], tf.uint8)).numpy().round().astype(int).tolist()
        [[[[100, 0, 0]]]]
    """
    return _kept(_color().rgb_to_lab(_coloured(clip)), clip, 3)


def hsv(clip):
    """Turns RGB into hue, saturation and value.

    Args:
        clip: As of `luminance`.

    Returns:
        float32 `(time, height, width, 3)`, each in [0, 1]; hue 1/3 is green, 2/3 blue.

    Raises:
        ValueError, ImportError: As of `luminance`.

    Example:
        >>> hsv(tf.constant([[[[0, 0, 255]]]], tf.uint8)).numpy().round(3).tolist()
        [[[[0.6669999957084656, 1.0, 1.0]]]]
    """
    return _kept(_color().rgb_to_hsv(_coloured(clip)), clip, 3)


def gaussian(clip, sigma):
    """Blurs each frame with a Gaussian, cut off at three standard deviations.

    Args:
        clip: uint8, or float32, `(time, height, width, channels)`; larger than the kernel.
        sigma: Standard deviation in pixels, above 0.

    Returns:
        float32 of the same shape; of a uint8 clip in [0, 1]. Edges are mirrored, without
        the outermost pixel twice.

    Raises:
        ValueError: `sigma` is not above 0, or `clip` is of another dtype.
        ImportError: tensorflow-io is not installed.

    Example:
        >>> gaussian(tf.ones([4, 16, 16, 1]), sigma=1.5).shape.as_list()
        [4, 16, 16, 1]
    """
    if not (sigma > 0 and math.isfinite(sigma)):
        raise ValueError(f"`sigma` must be above 0. Received: sigma={sigma!r}")
    size = 2 * math.ceil(3 * sigma) + 1
    return _kept(_filter().gaussian(_levels(clip), size, sigma, mode="REFLECT"), clip)


def sobel(clip):
    """Measures how steep each frame is: the length of its 3x3 Sobel gradient.

    Args:
        clip: uint8, or float32, `(time, height, width, channels)`.

    Returns:
        float32 of the same shape, not negative: levels per 1/8 pixel, so 8 times the slope of a
        ramp. Edges as of `gaussian`.

    Raises:
        ValueError, ImportError: As of `gaussian`.

    Example:
        >>> ramp = tf.tile(tf.reshape(tf.range(5.0), [1, 1, 5, 1]), [1, 5, 1, 1])
        >>> sobel(ramp)[0, 2, 2, 0].numpy().item()
        8.0
    """
    return _kept(_filter().sobel(_levels(clip), mode="REFLECT"), clip)


def laplacian(clip, size=3):
    """Sums the differences of all pixels of a square to the one in its middle.

    Args:
        clip: uint8, or float32, `(time, height, width, channels)`.
        size: Pixels of a side of the square, odd, at least 3.

    Returns:
        float32 of the same shape, negative where a place is brighter than those around. Edges as
        of `gaussian`.

    Raises:
        ValueError: `size` is even or below 3, or `clip` is of another dtype.
        ImportError: tensorflow-io is not installed.

    Example:
        >>> laplacian(tf.ones([1, 8, 8, 1]))[0, 4, 4, 0].numpy().item()
        0.0
    """
    if size < 3 or size % 2 != 1:
        raise ValueError(f"`size` must be odd and at least 3. Received: size={size!r}")
    return _kept(_filter().laplacian(_levels(clip), size, mode="REFLECT"), clip)


def _levels(clip):
    clip = tf.convert_to_tensor(clip)
    if clip.dtype not in (tf.uint8, tf.float32):
        raise ValueError(f"`clip` must be uint8 or float32. Received: dtype {clip.dtype.name}")
    return transforms.to_float(clip) if clip.dtype == tf.uint8 else clip


def _coloured(clip):
    clip = _levels(clip)
    if clip.shape[-1] != 3:
        raise ValueError(f"`clip` must have 3 channels (RGB). Received: shape {clip.shape}")
    return clip


def _kept(found, clip, channels=None):
    # The operations lose what is known of the shape inside a graph.
    shape = tf.convert_to_tensor(clip).shape
    return tf.ensure_shape(found, shape if channels is None else shape[:-1] + [channels])


def _color():
    return _tensorflow_io().experimental.color


def _filter():
    return _tensorflow_io().experimental.filter


@functools.cache
def _tensorflow_io():
    with warnings.catch_warnings():
        # That its plugins do not load beside the newer TensorFlow is told by `zoo doctor`; what is
        # used here are none.
        warnings.filterwarnings("ignore", message="(?s).*unable to load")
        warnings.filterwarnings("ignore", message="(?s).*file system plugins are not loaded")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        try:
            import tensorflow_io
        except ImportError as error:
            raise ImportError(
                "colour spaces and filters need tensorflow-io, of which there is none for Python "
                "3.13 or newer and for Windows; elsewhere: pip install tensorflow-io==0.37.1 "
                f"({error})"
            ) from error
    return tensorflow_io
