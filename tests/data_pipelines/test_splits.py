"""Nothing of one camera, recording, day or group is on both sides of a split."""

import logging

import pytest

import data_pipelines
from data_pipelines import Source, Video


def source(*names, kind="video_files", **about):
    return Source(kind, "footage", [Video(name, **about) for name in names])


def names(sides):
    return [[video.name for video in side.videos] for side in sides]


@pytest.mark.parametrize(
    ("by", "belongs"),
    [
        ("camera", {"gate": ["gate/1.mp4", "2024-05-01/gate/2.mp4", "train/gate/3.mp4",
                             "gate_0001.mp4", "gate-20240501T0830.mp4"],
                    "cam1": ["cam1_0001.mp4", "cam1-2024-05-02.mp4", "cam1.mp4"],
                    "cam2": ["cam2_0001.mp4", "cam2/7.mp4"]}),
        ("source", {"a": ["street_001.mp4", "street_002.mp4", "street (3).mp4",
                          "street-part4.mp4"],
                    "b": ["x/1.mp4", "x/2.mp4"], "c": ["x/street_1.mp4", "x/street_2.mp4"]}),
        ("day", {"1": ["a_2024-05-01.mp4", "b/20240501.mp4", "2024_05_01/c.mp4",
                       "20240501083000.mp4"],
                 "2": ["a_2024-05-02.mp4", "120240501/20240502.mp4"],
                 "3": ["2024-05-02/x_20240503_235959.mp4"]}),
    ],
)  # fmt: skip
def test_what_belongs_together_stays_together_for_every_seed(by, belongs):
    units = {name: unit for unit, members in belongs.items() for name in members}
    seen = set()
    for seed in range(12):
        train, test = data_pipelines.split(source(*units), by, 0.3, seed)
        sides = [{units[video.name] for video in side.videos} for side in (train, test)]
        assert not sides[0] & sides[1] and sides[0] and sides[1]
        assert sides[0] | sides[1] == set(belongs)
        assert len(train.videos) + len(test.videos) == len(units)
        seen.add(frozenset(sides[1]))
    assert len(seen) > 1  # The seed chooses.


def test_the_same_seed_gives_the_same_split_and_videos_that_tell_their_side():
    whole = source(*(f"c{n}/{k}.mp4" for n in "abcdefghij" for k in range(2)))
    train, test = data_pipelines.split(whole, seed=3)
    assert names((train, test)) == names(data_pipelines.split(whole, seed=3))
    assert len(test.videos) == 4 and train.splits == ("train",) and test.splits == ("test",)
    assert whole.splits == ()
    assert data_pipelines.open_source(test, split="test").videos == test.videos


@pytest.mark.parametrize(("share", "count"), [(0.1, 1), (0.2, 2), (0.5, 5), (0.9, 9), (0.99, 9)])
def test_the_share_is_reached_as_nearly_as_can_be(share, count):
    whole = source(*(f"{camera}/1.mp4" for camera in "abcdefghij"))
    assert len(data_pipelines.split(whole, test=share)[1].videos) == count


def test_near_duplicates_and_what_belongs_to_them_stay_on_one_side():
    whole = source(*(f"{camera}/{n}.mp4" for camera in "abcd" for n in range(2)))
    for seed in range(10):
        sides = names(data_pipelines.split(
            whole, test=0.4, seed=seed, near_duplicates=[("a/0.mp4", "c/1.mp4")]
        ))  # fmt: skip
        together = {"a/0.mp4", "a/1.mp4", "c/0.mp4", "c/1.mp4"}
        assert any(together <= set(side) for side in sides)
    with pytest.raises(ValueError, match="`near_duplicates` must name videos .* e.mp4, which is"):
        data_pipelines.split(whole, near_duplicates=[("a/0.mp4", "e.mp4")])


def test_groups_are_kept_and_a_video_without_one_is_its_own():
    whole = Source("video_files", "footage", [Video(n, group=n[0]) for n in ("a1", "a2", "b1")]
                   + [Video("x"), Video("y")])  # fmt: skip
    for seed in range(10):
        sides = names(data_pipelines.split(whole, by="group", test=0.4, seed=seed))
        assert any({"a1", "a2"} <= set(side) for side in sides)


def created(name, moment, seconds=10.0):
    video = Video(name)
    video.facts = {"creation_time": moment, "duration_sec": seconds}
    return video


def test_days_come_from_the_container_where_names_have_none():
    videos = [
        created("a.mp4", "2024-05-01T08:00:00.000000Z"), created("b.mp4", "2024-05-01T09:00:00Z"),
        created("c.mp4", "2024-05-02T08:00:00.000000Z"),
    ]  # fmt: skip
    sides = names(data_pipelines.split(Source("video_files", "x", videos), "day", 0.4))
    assert sorted(map(sorted, sides)) == [["a.mp4", "b.mp4"], ["c.mp4"]]


def test_a_recording_over_midnight_keeps_both_days_on_its_side():
    videos = [
        created("a.mp4", "2024-05-01T23:59:55Z"), created("b.mp4", "2024-05-02T12:00:00Z"),
        created("c.mp4", "2024-05-03T12:00:00Z"),
    ]  # fmt: skip
    for seed in range(6):
        sides = names(data_pipelines.split(Source("video_files", "x", videos), "day", 0.4, seed))
        assert sorted(map(sorted, sides)) == [["a.mp4", "b.mp4"], ["c.mp4"]]


@pytest.mark.parametrize("moment", [None, "soon", "1970-01-01T00:00:00Z", "1904-01-01T00:00:00Z"])
def test_videos_of_no_known_day_are_named(moment):
    videos = [created("a 20241350.mp4", moment), created("2024-05-01.mp4", None)]
    with pytest.raises(ValueError, match="tell the day of each .* 1 it is not known: a 20241350"):
        data_pipelines.split(Source("video_files", "x", videos), by="day")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"by": "weather"}, "`by` must be one of .* Received: by='weather'"),
        ({"test": 0}, "`test` must be above 0 and below 1. Received: test=0"),
        ({"test": 1.0}, "`test` must be above 0 and below 1. Received: test=1.0"),
        ({"by": "source"}, "`source` must tell the source of each .* 1 it is not known: 1.mp4"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        data_pipelines.split(source("a/1.mp4", "b/2.mp4", "1.mp4"), **arguments)


@pytest.mark.parametrize("kind", ["ucsd", "synthetic_cctv", "weizmann", "video_files"])
def test_one_camera_cannot_be_split_by_camera(kind):
    videos = source("train/gate/01.avi", "train/gate/02.avi", kind=kind)
    with pytest.raises(ValueError, match="at least two cameras that share nothing"):
        data_pipelines.split(videos)


def test_a_class_is_no_camera():
    videos = [Video(f"{label}/{camera}/1.mp4", label=label)
              for label in ("walk", "run") for camera in ("north", "south")]  # fmt: skip
    sides = names(data_pipelines.split(Source("labelled_folders", "x", videos), test=0.5))
    assert all(len({name.split("/")[1] for name in side}) == 1 for side in sides)


def test_splits_of_its_own_are_not_dropped_in_silence(caplog):
    whole = Source("video_files", "x", [Video("a/1", split="train"), Video("b/1", split="test")])
    with caplog.at_level(logging.WARNING):
        data_pipelines.split(whole)
    assert "has the splits ('test', 'train') of its own" in caplog.text
