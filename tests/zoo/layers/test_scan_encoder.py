"""What is particular to the encoder of quasi-recurrent layers."""

import numpy as np
import pytest

from zoo.layers import ScanEncoder


def test_later_layers_see_further():
    clip = np.full((1, 3, 16, 160, 1), 0.5, "float32")
    altered = clip.copy()
    altered[:, 1, :, :8] = 1.0
    reached = []
    for layers in (1, 3):
        encoder = ScanEncoder(filters=(3, 4, 5), scan_filters=(2, 5), scan_layers=layers)
        differs = np.any(np.asarray(encoder(clip) != encoder(altered)), axis=(0, 1, 2, 4))
        reached.append(np.flatnonzero(differs).max())
    # A 3x3 convolution each, at 1/8 of the frame.
    assert reached[1] == reached[0] + 2


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="`scan_layers` must be at least 1. Received: scan_lay"):
        ScanEncoder(scan_layers=0)
