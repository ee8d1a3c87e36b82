import dataclasses
import re
import resource
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import data_pipelines
from data_pipelines.sources import cctv_archive, cctv_day
from data_pipelines.sources.cctv_plan import CONDITIONS, Plan
from data_pipelines.sources.cctv_scene import Scene
from data_pipelines.sources.synthetic_cctv import make_archive

SMALL = dict(train_hours=1 / 60, test_hours=2 / 60, events_per_hour=90, size=(48, 64), fps=5,
             minutes_per_file=1)
PLAN = Plan(seed=0, cameras=1, train_hours=1, test_hours=1, events_per_hour=0, start_hour=12.0,
            size=(96, 144), fps=10, minutes_per_file=10, conditions=CONDITIONS, codec="MJPG")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return make_archive(tmp_path_factory.mktemp("archives") / "two", seed=4, **SMALL, workers=2)


def by_camera(source, camera):
    """Frames, masks and rows of tracks of one camera, whatever its files."""
    videos = [video for video in source.videos if video.group == camera]
    frames = np.concatenate([np.stack(list(video.frames())) for video in videos])
    masks = np.concatenate([np.stack(list(video.masks())) for video in videos])
    rows, first = [], 0
    for video in videos:
        rows.append(video.tracks())
        rows[-1]["frame"] += first
        first += video.num_frames
    return frames, masks, np.concatenate(rows)


def test_an_archive_is_read_as_one_source_of_several_cameras(archive):
    source = data_pipelines.open_source(archive)
    assert source.kind == "synthetic_cctv" and source.fps == 5.0
    assert [(v.name, v.split, v.group, v.num_frames) for v in source.videos] == [
        (f"{split}/camera{camera}/{number:03d}", split, f"camera{camera}", 300)
        for split, numbers in (("train", [0]), ("test", [1, 2]))
        for camera in range(2) for number in numbers]  # fmt: skip
    hours = [video.start_hour() for video in source.videos if video.group == "camera1"]
    assert hours == pytest.approx([8.0, 8 + 1 / 60, 8 + 2 / 60])
    sides = data_pipelines.split(source, by="camera", test=0.5)
    assert sorted(tuple({video.group for video in side.videos}) for side in sides) == [
        ("camera0",), ("camera1",)]
    for video in data_pipelines.open_source(archive, split="train").videos:
        assert not video.frame_labels().any() and video.events() == []
        assert set(video.tracks()["kind"]) == {"walk"}
    clip = next(iter(data_pipelines.load(archive, data_pipelines.ClipSpec(frames=4), batch=2)))
    assert clip.shape == (2, 4, 48, 64, 1)


def test_events_masks_labels_and_tracks_agree(archive):
    kinds = set()
    for video in data_pipelines.open_source(archive, split="test").videos:
        rows, labels, masks = video.tracks(), video.frame_labels(), list(video.masks())
        np.testing.assert_array_equal(labels, [mask.any() for mask in masks])
        for event in video.events():
            kinds.add(event["kind"])
            assert event["camera"] == video.group
            own = rows[(rows["track"] == event["track"]) & rows["abnormal"]]
            own = own[own["pixels"] >= 10]
            assert set(own["kind"]) == {event["kind"]}
            assert own["frame"][[0, -1]].tolist() == [event["first_frame"], event["last_frame"]]
            assert labels[own["frame"]].all()
            for row in own:
                top, left, bottom, right = row["box"]
                inside = masks[row["frame"]][top : bottom + 1, left : right + 1]
                assert inside.sum() >= row["pixels"]
        marked = rows[rows["abnormal"]]
        for number in np.flatnonzero(labels):
            assert masks[number].sum() == marked["pixels"][marked["frame"] == number].sum()
    assert len(kinds) >= 3


def test_neither_workers_nor_the_length_of_files_change_anything(archive, tmp_path):
    other = make_archive(tmp_path / "other", seed=4, **SMALL | {"minutes_per_file": 2}, workers=1)
    sources = [data_pipelines.open_source(folder) for folder in (archive, other)]
    assert [len(source.videos) for source in sources] == [6, 4]
    for camera in ("camera0", "camera1"):
        for one, two in zip(*(by_camera(source, camera) for source in sources), strict=True):
            np.testing.assert_array_equal(one, two)
    first, second = (by_camera(sources[0], camera)[0] for camera in ("camera0", "camera1"))
    assert np.abs(first.mean(0) - second.mean(0)).mean() > 5


def test_who_is_in_view_at_the_end_of_a_file_is_there_when_the_next_begins(archive):
    source, checked = data_pipelines.open_source(archive), 0
    for camera in ("camera0", "camera1"):
        videos = [video for video in source.videos if video.group == camera]
        for before, after in zip(videos, videos[1:], strict=False):
            last, first = before.tracks(), after.tracks()
            last, first = last[last["frame"] == 299], first[first["frame"] == 0]
            # Whoever is not at the edge of the view, about to leave it.
            for row in last[(last["box"][:, 1] > 4) & (last["box"][:, 3] < 60)]:
                (same,) = first[first["track"] == row["track"]]
                assert same["kind"] == row["kind"]
                assert np.abs(same["box"] - row["box"]).max() <= 6
                checked += 1
    assert checked >= 3


def test_an_archive_that_was_begun_is_gone_on_with(archive, tmp_path, monkeypatch):
    made = []
    make_file = cctv_archive.make_file

    def broken(directory, plan, name):
        if len(made) == 3:
            raise OSError("the power fails")
        made.append(name)
        make_file(directory, plan, name)

    monkeypatch.setattr(cctv_archive, "make_file", broken)
    with pytest.raises(OSError, match="the power fails"):
        make_archive(tmp_path / "a", seed=4, **SMALL, workers=1)
    assert not (tmp_path / "a" / "scene.json").exists()
    (tmp_path / "a" / "train" / ".part.7.000.avi").write_bytes(b"of one that was killed")
    with pytest.raises(ValueError, match="begun with the same arg.*seed=4, not seed=5"):
        make_archive(tmp_path / "a", seed=5, **SMALL, workers=1)
    monkeypatch.setattr(cctv_archive, "make_file", lambda *about: (
        made.append(about[-1]), make_file(*about)))  # fmt: skip
    make_archive(tmp_path / "a", seed=4, **SMALL, workers=1)
    assert len(made) == len(set(made)) == 6
    make_archive(tmp_path / "a", seed=4, **SMALL, workers=1)
    assert len(made) == 6 and not list((tmp_path / "a").rglob(".*"))
    for name in ("scene.json", "train/camera0/000.avi", "truth/test/camera1/002.npz"):
        assert (tmp_path / "a" / name).read_bytes() == (archive / name).read_bytes()
    with pytest.raises(ValueError, match="`directory` must be empty.*size=.*, not size="):
        make_archive(tmp_path / "a", seed=4, **SMALL | {"size": (64, 64)}, workers=1)


def test_a_second_process_waits_and_takes_what_the_first_has_made(archive, tmp_path, monkeypatch):
    made, make_file = [], cctv_archive.make_file

    def slowly(directory, plan, name):
        made.append(name)
        time.sleep(0.1)
        make_file(directory, plan, name)

    monkeypatch.setattr(cctv_archive, "make_file", slowly)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(make_archive, tmp_path / "a", seed=4, **SMALL, workers=1)
                for _ in range(2)]  # fmt: skip
        assert [done.result() for done in both] == [tmp_path / "a"] * 2
    assert len(made) == 6


def test_an_empty_stretch_is_empty_and_the_truth_says_so():
    plan = dataclasses.replace(PLAN, conditions=("empty",))
    minute = next(m for m in range(1, 60) if all(cctv_day.is_empty(plan, 0, m - n) for n in (0, 1)))
    scene = Scene(plan, 0)
    frames = []
    for picture, ids, shown, _ in cctv_archive.drawn(scene, minute):
        assert shown == [] and not ids.any()
        frames.append(picture)
    frames = np.stack(frames[:100]).astype(float)
    # Nothing but noise and slow light: no pixel leaves its own mean by more than these give.
    assert np.abs(frames - frames.mean(0)).max() < 5 * 3.0 + 15


def test_a_gust_moves_picture_and_boxes_by_as_much_as_the_truth_says():
    plan = dataclasses.replace(PLAN, conditions=("shake",))
    still = dataclasses.replace(PLAN, conditions=())
    minute = next(m for m in range(60) if cctv_day.shake(plan, 0, m).any())
    moved, checked = set(), 0
    for shaken, calm in zip(*(cctv_archive.drawn(Scene(p, 0), minute) for p in (plan, still)),
                            strict=True):  # fmt: skip
        down, right = shaken[3]
        assert calm[3] == (0, 0)
        if (down, right) == (0, 0):
            np.testing.assert_array_equal(shaken[0], calm[0])
            continue
        here, there = overlap(down, 96), overlap(right, 144)
        difference = (shaken[0][here[0], there[0]].astype(int) - calm[0][here[1], there[1]])
        assert np.abs(difference).mean() < 5.0  # The noise of two frames, and nothing else.
        np.testing.assert_array_equal(shaken[1][here[0], there[0]], calm[1][here[1], there[1]])
        moved.add((down, right))
        checked += 1
    assert checked > 20 and len(moved) > 3


def overlap(shift, length):
    """Where two pictures show the same, the first of which is shifted."""
    return (slice(max(0, shift), length + min(0, shift)),
            slice(max(0, -shift), length + min(0, -shift)))  # fmt: skip


def test_rain_goes_on_falling_where_the_minute_ends():
    plan = dataclasses.replace(PLAN, conditions=("weather",), fps=1)
    scene = Scene(plan, 0)
    minute = next(m for m in range(20, 400) if cctv_day.weather(plan, m)[0] == "snow"
                  and cctv_day.weather(plan, m + 0.9)[1] > 0.5)
    look = scene.look(60 * minute)
    flakes = look.falling[:96, :144, 0] > 60
    frames = [p for m in (minute, minute + 1) for p, *_ in cctv_archive.drawn(scene, m)]
    calm = np.median(np.stack(frames), axis=0)
    for number in (58, 59, 60, 61):
        fallen = [(minute * 60 + number) * step for step in look.fall]
        where = np.roll(flakes, fallen, (0, 1))
        bright = (frames[number] - calm).mean(-1)
        assert bright[where].mean() > 25 > 10 > bright[~where].mean()


@pytest.mark.parametrize("argument", [{"cameras": 0}, {"workers": 0}])
def test_what_breaks_a_rule_is_named_before_anything_is_written(tmp_path, argument):
    (name,) = argument
    with pytest.raises(ValueError, match=f"`{name}` must be .*at least 1.*Received: {name}=0"):
        make_archive(tmp_path / "a", **argument)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_fills_up_is_said(tmp_path, workers):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file may grow beyond it: every write behind that fails, as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OSError, match=re.escape(str(tmp_path / "a"))):
            make_archive(tmp_path / "a", **SMALL | {"test_hours": 0}, workers=workers)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "a" / "scene.json").exists()
    assert not list((tmp_path / "a").rglob("[!.]*.avi"))
