"""The catalogue is sound."""

import dataclasses

import pytest

from zoo.presets import DEFAULTS, PRESETS
from zoo.registry import check_overrides


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_of_a_default_model_and_has_arguments_that_exist(name):
    preset = PRESETS[name]
    assert preset.name == name
    assert name.split("/")[0] in DEFAULTS
    # Beside the defaults of the model alone: a preset's own arguments would be what they are.
    bare = dataclasses.replace(preset, arguments={})
    check_overrides(bare, preset.arguments)
    check_overrides(bare, preset.small)
    assert preset.arguments["clip_shape"][-1] == preset.arguments["channels"]
    needed = {"frames", "crop", "steps"}
    if not preset.model_class.is_fitted_in_closed_form:
        needed |= {"batch", "learning_rate"}
    assert needed <= set(preset.training)


def test_every_default_is_there():
    assert set(DEFAULTS.values()) <= set(PRESETS)
