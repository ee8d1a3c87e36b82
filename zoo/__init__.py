"""A model zoo for unsupervised video.

>>> import zoo
>>> model = zoo.load("convlstm_vae", weights=None)  # without `weights`, trained ones
>>> "score" in model.verbs
True
"""

from zoo.models.base import VideoModel
from zoo.models.convlstm_predictor import ConvLSTMPredictor
from zoo.models.convlstm_vae import ConvLSTMVAE
from zoo.registry import info, load, names

__version__ = "0.1.0"
__all__ = ["ConvLSTMPredictor", "ConvLSTMVAE", "VideoModel", "info", "load", "names"]
