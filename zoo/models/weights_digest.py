"""What tells the weights of one model from those of another."""

import hashlib

import keras
import numpy as np


def weights_digest(model):
    """SHA-256 of the weights of a model: each with its dtype and shape, in the order of the model.

    It is that of a run as it was loaded, in whichever mixed precision, and stands in the manifest
    of its exports. Whole numbers are left out: they count, such as the draws of a training.

    Args:
        model: A built `keras.Model`.

    Returns:
        str of 64 hexadecimal digits.

    Example:

    >>> import zoo
    >>> len(weights_digest(zoo.load("convlstm_vae", weights=None)))
    64
    """
    digest = hashlib.sha256()
    for weight in model.weights:
        array = np.asarray(weight)
        if keras.backend.is_float_dtype(array.dtype.name):
            digest.update(f"{array.dtype.name}{array.shape}".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()
