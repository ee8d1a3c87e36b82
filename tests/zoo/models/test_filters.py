"""Lists of channels, which every model checks by one rule before it makes a layer of them."""

import re

import pytest

from zoo.models.patch_predictor import PatchPredictor
from zoo.presets import PRESETS
from zoo.registry import model_arguments

CASES = [
    pytest.param(model_class, name, default, id=f"{model_class.__name__}-{name}")
    for model_class in dict.fromkeys(preset.model_class for preset in PRESETS.values())
    for name, default in model_arguments(model_class).items()
    if name.endswith("filters") and isinstance(default, tuple)
]


def small(model_class):
    return next(
        preset.small for preset in PRESETS.values() if preset.model_class is model_class
    )


def wrong_ones(model_class, default):
    """Values that break the rule."""
    if isinstance(default[0], tuple):  # numbers for each of several scales
        yield default[:-1]
        yield from ((counts, *default[1:]) for counts in wrong_ones(None, default[0]))
        return
    if model_class is None or not issubclass(model_class, PatchPredictor):
        yield default[:-1]
        yield (*default, 8)
    yield from ((), 8, (0, *default[1:]), (*default[:-1], -8), (4.0, *default[1:]))


@pytest.mark.parametrize(("model_class", "argument", "default"), CASES)
def test_channels_that_do_not_fit_are_named(model_class, argument, default):
    for wrong in wrong_ones(model_class, default):
        message = rf"^`{argument}(\[0\])?` must hold .* Received: {argument}(\[0\])?="
        with pytest.raises(ValueError, match=message):
            model_class(**{**small(model_class), argument: wrong})


@pytest.mark.parametrize(("model_class", "argument", "default"), CASES)
def test_lists_do_as_well_as_tuples(model_class, argument, default):
    value = small(model_class).get(argument, default)
    model = model_class(**{**small(model_class), argument: list(value)})
    assert getattr(model, argument) == value


def test_there_is_something_to_check():
    assert len(CASES) >= 14


@pytest.mark.parametrize(
    ("model", "argument"),
    [
        ("VideoGAN", "filters"),
        ("ConvLSTMVAE", "decoder_filters"),
        ("VideoVAE", "decoder_filters"),
        ("Foresight", "decoder_filters"),
    ],
)
def test_the_finest_channels_of_a_decoder_are_even(model, argument):
    model_class = next(c.values[0] for c in CASES if c.values[0].__name__ == model)
    message = re.escape(f"The first of `{argument}` must be even, since half of it")
    with pytest.raises(ValueError, match=f"{message}.* Received: {argument}="):
        model_class(**{**small(model_class), argument: (5, 6, 8)})
