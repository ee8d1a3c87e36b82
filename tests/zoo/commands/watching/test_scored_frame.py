import dataclasses

import pytest

from zoo.commands.watching.scored_frame import ScoredFrame


def test_no_output_can_change_what_the_others_are_given(scored):
    frame = scored()
    assert isinstance(frame, ScoredFrame)
    with pytest.raises(dataclasses.FrozenInstanceError):
        frame.camera = "another"
