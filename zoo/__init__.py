"""A model zoo for unsupervised video.

>>> import zoo
>>> model = zoo.load("convlstm_vae", weights=None)  # without `weights`, trained ones
>>> "score" in model.verbs
True
"""

import importlib

__version__ = "0.1.0"

# Looked up when first asked for, so that `zoo --help` need not wait for TensorFlow and the command
# line can still set what TensorFlow reads when it is imported.
_PUBLIC = {
    "CompositeLSTM": "zoo.models.composite_lstm",
    "Conv3DAutoencoder": "zoo.models.conv3d_autoencoder",
    "ConvLSTMPredictor": "zoo.models.convlstm_predictor",
    "ConvLSTMVAE": "zoo.models.convlstm_vae",
    "Foresight": "zoo.models.foresight",
    "MultiscaleGAN": "zoo.models.multiscale_gan",
    "PCA": "zoo.models.pca",
    "VideoGAN": "zoo.models.video_gan",
    "VideoModel": "zoo.models.base",
    "VideoVAE": "zoo.models.video_vae",
    "info": "zoo.registry",
    "load": "zoo.registry",
    "names": "zoo.registry",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__():
    return sorted({*globals(), *__all__})
