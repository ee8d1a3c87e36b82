"""What predictors over patches share: where a frame drawn as it is starts, and its loss."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.models.convlstm_predictor import ConvLSTMPredictor
from zoo.models.patch_predictor import PatchPredictor


def test_frames_drawn_as_they_are_start_from_the_mean_of_a_pixel():
    keras.utils.set_random_seed(0)
    model = ConvLSTMPredictor(filters=(4,), horizons=2, score_horizon=2, residual=False,
                              pixel_mean=0.1)  # fmt: skip
    drawn = np.asarray(model(tf.zeros((1, 6, 16, 16, 1))))
    np.testing.assert_allclose(drawn, 0.1, atol=0.02)


def test_the_loss_follows_what_is_drawn():
    change, frame = (ConvLSTMPredictor(filters=(4,), residual=r).default_loss() for r in (1, 0))
    assert isinstance(frame, keras.losses.BinaryCrossentropy)
    assert not isinstance(change, keras.losses.BinaryCrossentropy)


@pytest.mark.parametrize("mean", [0.0, 1.0])
def test_a_mean_that_has_no_logit_is_refused(mean):
    with pytest.raises(ValueError, match=f"`pixel_mean` must be between 0 and 1.*{mean}"):
        PatchPredictor(pixel_mean=mean)
