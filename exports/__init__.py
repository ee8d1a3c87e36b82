"""Hands trained models over: SavedModels with byte signatures, and classifiers on top of them.

`export` writes a model, `load` reads it back with NumPy arrays in and out, and `verify` checks it
in a process without this project.
"""

from exports.reading import Export, load
from exports.saved_model import export
from exports.verification import verify

__all__ = ["Export", "export", "load", "verify"]
