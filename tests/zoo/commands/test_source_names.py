"""Each thing has a name of its own, as short as may be."""

import pytest

from zoo.commands.source_names import name_and_place, told_apart


@pytest.mark.parametrize(
    ("names", "taken", "expected"),
    [
        ([], (), []),
        ([("a", "x/a"), ("b", "x/b")], (), ["a", "b"]),
        ([("a", "x/a"), ("b", "x/b"), ("a", "y/a")], (), ["x/a", "b", "y/a"]),
        # The very same twice; and names that are taken, the long one too.
        ([("a", "x/a"), ("a", "x/a"), ("a", "x/a")], (), ["x/a", "x/a (2)", "x/a (3)"]),
        ([("a", "x/a"), ("b", "x/b")], ("a",), ["x/a", "b"]),
        ([("a", "a")], ("a", "a (2)"), ["a (3)"]),
        # What is short for one may be long for another.
        ([("x/a", "y/x/a"), ("a", "x/a"), ("a", "z/a")], (), ["x/a", "x/a (2)", "z/a"]),
    ],
)
def test_names_are_told_apart(names, taken, expected):
    assert told_apart(names, taken) == expected


def test_a_name_before_a_place_is_told_from_what_looks_like_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b.avi").touch()
    assert name_and_place("gate=http://h/?key=1") == ("gate", "http://h/?key=1")
    assert name_and_place("gate=a=b.avi") == ("gate", "a=b.avi")
    for place in ("http://h/?key=1", "x/gate=b.avi", "a=b.avi", "0"):
        assert name_and_place(place) == (None, place)
