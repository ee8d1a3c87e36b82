import hashlib
import json
import re
import resource

import numpy as np
import pytest

from data_pipelines import ClipSpec, chunks, load, open_source
from data_pipelines.sources import synthetic_cctv
from data_pipelines.sources.synthetic_cctv import make, make_kinds


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return make(tmp_path_factory.mktemp("scenes") / "street", seed=3, train_videos=1,
                test_videos=3, frames=220)


def pixels(video):
    return np.stack(list(video.frames()))


def test_the_scene_reads_back(scene):
    source = open_source(scene)
    assert source.kind == "synthetic_cctv" and source.fps == 10.0
    assert [(v.name, v.split, v.num_frames) for v in source.videos] == [
        ("train/000", "train", 220)] + [(f"test/{n:03d}", "test", 220) for n in range(3)]
    assert pixels(source.videos[0]).shape == (220, 96, 144, 3)
    batch = next(iter(load(scene, ClipSpec(frames=8, crop=(32, 32)), split="train", batch=4)))
    assert batch.shape == (4, 8, 32, 32, 1)


def test_training_footage_is_normal(scene):
    (video,) = open_source(scene, split="train").videos
    assert not video.frame_labels().any() and len(video.frame_labels()) == 220
    assert video.masks() is None and video.events() == []


def test_truth_of_frames_pixels_and_events_agree(scene):
    kinds = set()
    for video in open_source(scene, split="test").videos:
        labels, masks, events = video.frame_labels(), np.stack(list(video.masks())), video.events()
        assert labels.dtype == masks.dtype == bool and masks.shape == (220, 96, 144)
        np.testing.assert_array_equal(labels, masks.any((1, 2)))
        assert 0 < labels.mean() < 0.7 and not labels[:20].any()
        inside = np.zeros(220, bool)
        for event in events:
            kinds.add(event["kind"])
            assert not inside[event["first_frame"] : event["last_frame"] + 1].any()
            inside[event["first_frame"] : event["last_frame"] + 1] = True
        assert not labels[~inside].any() and labels[inside].mean() > 0.9
    assert kinds == {"cycle", "run", "against"}


def test_masks_lie_on_what_moves_as_the_event_says(scene):
    checked = 0
    for video in open_source(scene, split="test").videos:
        masks = np.stack(list(video.masks()))
        for event in video.events():
            shown = [n for n in range(event["first_frame"], event["last_frame"]) if masks[n].any()]
            columns = np.array([np.nonzero(masks[n])[1].mean() for n in shown])
            if len(shown) < 15:
                continue
            pace = np.polyfit(shown, columns, 1)[0]
            assert (pace < 0) == (event["kind"] == "against")
            assert abs(pace) < 3.6 if event["kind"] == "against" else pace > 2.5
            checked += 1
    assert checked >= 3


def test_what_is_marked_stands_out_from_the_empty_street(scene):
    video = open_source(scene, split="test").videos[0]
    frames, masks = pixels(video).astype(float), np.stack(list(video.masks()))
    street = np.median(frames, axis=0)
    change = np.abs(frames - street).max(-1)
    assert change[masks].mean() > 3 * change[~masks].mean()


def test_noise_and_light_lie_over_it(scene):
    frames = pixels(open_source(scene, split="train").videos[0]).astype(float)
    # The upper wall, where nobody walks.
    wall = frames[:, :20].mean(-1)
    assert 1.0 < np.diff(wall, axis=0).std() / np.sqrt(2) < 6.0
    assert np.ptp(wall.mean((1, 2))) > 3.0


def test_normal_people_walk_one_way_and_nearer_ones_move_faster(scene):
    frames = np.concatenate(list(chunks(open_source(scene, split="train").videos[0], ClipSpec())))
    frames = frames[..., 0].astype(float)
    moving = np.abs(frames - np.median(frames, axis=0))

    def shift(rows):
        # The shift over three frames that explains the columns' sums best, in pixels.
        profile = moving[:, rows].mean(1)
        before, after = profile[:-3, 15:-15].ravel(), profile[3:]
        fits = [np.corrcoef(before, np.roll(after, -s, 1)[:, 15:-15].ravel())[0, 1]
                for s in range(-12, 13)]
        return int(np.argmax(fits)) - 12

    far, near = shift(slice(36, 46)), shift(slice(62, 80))
    assert far >= 2
    assert near >= far + 2


def test_the_change_of_the_picture_does_not_tell_what_is_abnormal(scene):
    changes, labels = [], []
    for video in open_source(scene, split="test").videos:
        grey = np.concatenate(list(chunks(video, ClipSpec())))[..., 0].astype(float)
        squares = np.square(np.diff(grey, axis=0)).reshape(-1, 12, 8, 18, 8).mean((2, 4))
        changes.append(squares.max((1, 2)))
        labels.append(video.frame_labels()[1:])
    changes, labels = np.concatenate(changes), np.concatenate(labels)
    wins = (changes[labels][:, None] > changes[~labels][None]).mean()
    assert 0.3 < wins < 0.75


@pytest.mark.parametrize("codec,suffix", [("MJPG", ".avi"), ("mp4v", ".mp4")])
def test_the_same_seed_makes_the_same_footage(tmp_path, codec, suffix):
    options = dict(train_videos=1, test_videos=1, frames=25, size=(48, 64), codec=codec)
    first, again = (open_source(make(tmp_path / n, seed=5, **options)) for n in ("a", "b"))
    other = open_source(make(tmp_path / "c", seed=6, **options))
    for one, two, three in zip(first.videos, again.videos, other.videos, strict=True):
        assert one.path.suffix == suffix
        np.testing.assert_array_equal(pixels(one), pixels(two))
        np.testing.assert_array_equal(one.frame_labels(), two.frame_labels())
        assert not np.array_equal(pixels(one), pixels(three))
    assert not np.array_equal(pixels(first.videos[0]), pixels(first.videos[1]))


def test_a_seed_gives_the_frames_that_it_always_gave(tmp_path, monkeypatch):
    drawn = hashlib.sha256()
    # As it is drawn: what a codec makes of it differs between its versions.
    monkeypatch.setattr(synthetic_cctv, "write_video", lambda path, frames, fps, codec: [
        drawn.update(frame.tobytes()) for frame in frames])  # fmt: skip
    make(tmp_path / "street", seed=3, train_videos=1, test_videos=1, frames=60, size=(48, 64))
    make_kinds(tmp_path / "kinds", seed=3, clips_per_kind=1, frames=10, size=(48, 64))
    assert drawn.hexdigest() == "e03d6c3725fbe959744d5af0168a0858cca9625a8bdbc529f8b57aff7b59ae22"


def test_tracks_agree_with_masks_and_events(scene):
    for video in open_source(scene, split="test").videos:
        rows, masks = video.tracks(), list(video.masks())
        assert (np.diff(rows["frame"]) >= 0).all() and set(rows["kind"]) > {"walk"}
        np.testing.assert_array_equal(rows["abnormal"], rows["kind"] != "walk")
        # One at a time is abnormal here, so its box is that of the mask.
        checked = 0
        for row in rows[rows["abnormal"] & (rows["pixels"] >= 10)]:
            ys, xs = np.nonzero(masks[row["frame"]])
            assert row["box"].tolist() == [ys.min(), xs.min(), ys.max(), xs.max()]
            assert row["pixels"] == len(ys)
            checked += 1
        assert checked == video.frame_labels().sum()
        for event in video.events():
            of_it = rows[(rows["track"] == event["track"]) & (rows["pixels"] >= 10)]
            assert (of_it["kind"] == event["kind"]).all()
            assert of_it["frame"][[0, -1]].tolist() == [event["first_frame"], event["last_frame"]]
        assert not video.shake().any() and video.shake().shape == (220, 2)
    (normal,) = open_source(scene, split="train").videos
    assert normal.tracks() is None and normal.shake() is None and normal.conditions() == []


def test_a_truth_written_before_there_were_tracks_is_read(scene, tmp_path):
    video = open_source(scene, split="test").videos[0]
    masks = np.stack(list(video.masks()))
    np.savez_compressed(
        tmp_path / "old.npz", frame_labels=video.frame_labels(), size=np.array(masks.shape[1:]),
        masks=np.packbits(masks.reshape(len(masks), -1), axis=1),
        events=np.array(json.dumps(video.events())),
    )  # fmt: skip
    old = synthetic_cctv.CCTVVideo("old", video.path, tmp_path / "old.npz")
    np.testing.assert_array_equal(np.stack(list(old.masks())), masks)
    np.testing.assert_array_equal(old.frame_labels(), video.frame_labels())
    assert old.events() == video.events() and old.tracks() is None


def test_kinds_are_labelled_clips_of_one_person(tmp_path):
    make_kinds(tmp_path / "kinds", seed=1, clips_per_kind=2, frames=20)
    source = open_source(tmp_path / "kinds", kind="labelled_folders")
    assert {v.label for v in source.videos} == {"walk", "cycle", "run", "against"}
    assert len(source.videos) == 8 and len({v.group for v in source.videos}) == 8
    paces = {}
    for video in source.videos:
        grey = pixels(video).astype(float).mean(-1)
        moving = np.clip(np.abs(grey - np.median(grey, axis=0)) - 20, 0, None)
        shown = np.flatnonzero(moving.sum((1, 2)) > 300)
        assert len(shown) >= 8
        columns = (moving.sum(1) @ np.arange(144))[shown] / moving.sum((1, 2))[shown]
        paces.setdefault(video.label, []).append(np.polyfit(shown, columns, 1)[0])
    assert max(paces["against"]) < 0 < min(paces["walk"])
    assert min(paces["cycle"] + paces["run"]) > max(paces["walk"])


@pytest.mark.parametrize(
    "options,message",
    [
        ({"size": (20, 64)}, r"`size` must be .*at least \(48, 48\)"),
        ({"frames": 0}, "`frames` must be at least 1. Received: frames=0"),
        ({"fps": 0}, "`fps` must be above 0"),
        ({"codec": "H265"}, r"`codec` must be one of \['MJPG', 'mp4v'\]. Received: codec='H265'"),
    ],
)
def test_what_breaks_a_rule_is_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        make(tmp_path / "street", **options)
    assert not (tmp_path / "street").exists()


def test_nothing_is_overwritten_and_nothing_half_made_is_read(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(ValueError, match="`directory` must be empty or not there"):
        make(tmp_path)
    with pytest.raises(ValueError, match="no finished scene: scene.json is missing"):
        open_source(tmp_path, kind="synthetic_cctv")


@pytest.mark.parametrize("room", [0, 2_000, 20_000])
def test_a_disk_that_fills_up_is_said(tmp_path, room):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file may grow beyond it: every write behind that fails, as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises((OSError, ValueError), match=re.escape(str(tmp_path / "street"))):
            make(tmp_path / "street", train_videos=1, test_videos=0, frames=60)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "street" / "scene.json").exists()
