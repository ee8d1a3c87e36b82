"""Metrics against NumPy."""

import numpy as np
import pytest

from zoo.metrics import PeakSignalToNoiseRatio


def test_psnr_averages_the_error_before_the_logarithm():
    metric = PeakSignalToNoiseRatio()
    batches = [np.full((1, 8), 0.1), np.full((3, 8), 0.3)]
    for batch in batches:
        metric.update_state(np.zeros_like(batch), batch)
    expected = -10 * np.log10(np.mean(np.concatenate(batches) ** 2))
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
    metric.reset_state()
    metric.update_state(np.zeros((1, 8)), batches[0])
    assert float(metric.result()) == pytest.approx(20.0, rel=1e-5)


def test_psnr_refuses_weights():
    with pytest.raises(ValueError, match="`sample_weight` must be None"):
        PeakSignalToNoiseRatio().update_state(np.zeros((1, 8)), np.zeros((1, 8)), np.ones(1))
