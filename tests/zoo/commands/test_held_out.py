"""Held-out footage by the record of a run: what all held out, and what is missing."""

import json

import pytest

from data_pipelines import Source, Video
from zoo import registry
from zoo.commands import held_out


@pytest.fixture
def run(tmp_path):
    """Function that writes a run folder which says what it was trained on and what it held out."""

    def write(name, train, kept):
        (tmp_path / name).mkdir()
        record = {"train_videos": list(train), "held_out_videos": list(kept)}
        (tmp_path / name / "run.json").write_text(json.dumps(record))
        return tmp_path / name

    return write


@pytest.fixture
def footage(monkeypatch):
    """Four training videos, and a test video that is called like one of them."""
    videos = [Video(name, split="train") for name in "abcd"] + [Video("d", split="test")]
    source = Source("ucsd", "/disk/corner", videos)
    monkeypatch.setattr(
        held_out.data_pipelines, "open_source",
        lambda data, split=None: source.subset([v for v in videos if split in (None, v.split)]),
    )  # fmt: skip
    return source


def named(parts):
    return ["".join(video.name for video in part.videos) for part in parts]


def test_the_split_is_that_of_the_record_not_a_new_one(run, footage):
    train, kept = held_out.recorded_split([run("one", "bd", "ac")], footage.path)
    assert named((train, kept)) == ["bd", "ac"]
    train, kept = held_out.recorded_split([run("two", "abc", "d")], footage.path)
    assert [(video.name, video.split) for video in kept.videos] == [("d", "train")]


def test_several_models_share_what_all_of_them_held_out(run, footage):
    runs = [run("one", "ab", "cd"), run("two", "ac", "bd")]
    assert named(held_out.recorded_split(runs, footage.path)) == ["a", "d"]
    runs.append(run("three", "cd", "ab"))
    with pytest.raises(ValueError, match="must have held out videos. .*three, with none in common"):
        held_out.recorded_split(runs, footage.path)


def test_missing_videos_are_named(run, footage):
    with pytest.raises(ValueError, match="/disk/corner, which lacks 2: e, f$"):
        held_out.recorded_split([run("one", "abe", "cf")], footage.path)


def test_a_preset_is_known_by_its_card(footage, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "WEIGHTS_FOLDER", tmp_path)
    with pytest.raises(ValueError, match="preset with a card.* Received: convlstm_vae"):
        held_out.recorded_split(["convlstm_vae"], footage.path)
    card = {"training": {"train_videos": ["a"], "held_out_videos": ["b"]}}
    (tmp_path / "convlstm_vae.ucsd_ped2.card.json").write_text(json.dumps(card))
    assert named(held_out.recorded_split(["convlstm_vae"], footage.path)) == ["a", "b"]
    card = {"training": {"train_videos_count": 900, "held_out_videos": ["b"]}}
    (tmp_path / "convlstm_vae.ucsd_ped2.card.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="says only how many, of 900 and more; give its run fold"):
        held_out.recorded_split(["convlstm_vae"], footage.path)
    with pytest.raises(ValueError, match="must be a run folder .* Received"):
        held_out.recorded_split([tmp_path], footage.path)


@pytest.mark.parametrize(
    ("length", "most", "kept"),
    [(10, 4, [0, 3, 6, 9]), (3, 5, [0, 1, 2]), (5, 1, [0]), (0, 3, [])],
)
def test_what_is_kept_is_spread_and_nothing_else_is_held(length, most, kept):
    alive, largest = set(), 0

    class Item:
        def __init__(self, number):
            nonlocal largest
            self.number = number
            alive.add(number)
            largest = max(largest, len(alive))

        def __del__(self):
            alive.discard(self.number)

    found = held_out.spread(lambda: map(Item, range(length)), most)
    assert [item.number for item in found] == kept
    assert largest <= most + 2
