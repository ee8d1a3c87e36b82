"""Each file below a folder is in one item, whatever it is."""

import os

import pytest

from data_pipelines.doctor_files import content, items
from data_pipelines.sources import synthetic_cctv


def kinds(path):
    kind, found = items(path)
    return kind, {item.name: item.kind for item in found}


def test_every_file_is_in_one_item(tmp_path, write_video, write_images):
    write_video(tmp_path / "a.avi")
    write_video(tmp_path / "train" / "b.avi")
    write_images(tmp_path / "stills", ["1.png", "2.png"], [1, 2])
    write_images(tmp_path / "cover", ["one.png"], [1])
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "x.mp4").write_text("text")
    (tmp_path / ".hidden.avi").write_text("x")
    kind, found = items(tmp_path)
    assert kind == "video_files"
    assert {item.name: (item.kind, item.split) for item in found} == {
        "a.avi": ("video", None), "train/b.avi": ("video", "train"), "x.mp4": ("video", None),
        "notes.txt": ("other", None), "stills": ("images", None), "cover": ("pictures", None),
    }  # fmt: skip
    there = {p for p in tmp_path.rglob("*") if p.is_file() and p.name[0] != "."}
    assert sorted(p for item in found for p in item.paths) == sorted(there)


def test_layouts_of_images_are_told(tmp_path, write_images):
    for side, count in (("training", 2), ("testing", 1)):
        for clip in range(count):
            folder = tmp_path / "u" / side / "frames" / f"{clip:02d}"
            write_images(folder, ["0.jpg", "1.jpg"], [1, 2])
    write_images(tmp_path / "u" / "masks" / "Test001_gt", ["0.png", "1.png"], [0, 1])
    kind, found = items(tmp_path / "u")
    assert kind == "ucsd"
    assert {item.name: (item.kind, item.split, item.fps) for item in found} == {
        "train/00": ("images", "train", 10.0), "train/01": ("images", "train", 10.0),
        "test/00": ("images", "test", 10.0), "masks/Test001_gt": ("pictures", None, None),
    }  # fmt: skip
    # Truth that does not fit costs nothing but itself.
    (tmp_path / "u" / "UCSDped2.m").write_text("gt_frame = [1:2];\ngt_frame = [1:2];")
    assert kinds(tmp_path / "u")[1]["training/frames/00"] == "images"
    write_images(tmp_path / "w" / "walk", ["ann_walk.jpg"], [9], size=(64, 128))
    assert kinds(tmp_path / "w") == ("weizmann", {"walk/ann_walk": "strip"})
    write_images(tmp_path / "f" / "x", ["1.png", "2.png"], [1, 2])
    assert kinds(tmp_path / "f") == ("frame_folders", {"x": "images"})


def test_names_of_the_made_up_camera_are_those_of_its_source(tmp_path):
    from data_pipelines import open_source

    folder = synthetic_cctv.make(tmp_path / "s", train_videos=1, test_videos=1, frames=3)
    kind, found = items(folder)
    assert kind == "synthetic_cctv"
    videos = {item.name: item.split for item in found if item.kind == "video"}
    assert videos == {video.name: video.split for video in open_source(folder).videos}


def test_what_is_no_ordinary_file_is_not_opened(tmp_path, write_video):
    write_video(tmp_path / "a.avi")
    os.mkfifo(tmp_path / "pipe.avi")
    (tmp_path / "gone.avi").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop").symlink_to(tmp_path)
    found = {item.name: (item.kind, item.reason) for item in items(tmp_path)[1]}
    assert found == {
        "a.avi": ("video", None), "pipe.avi": ("unreadable", "it is no ordinary file"),
        "gone.avi": ("unreadable", "it is a link to nothing"),
    }  # fmt: skip


def test_a_folder_that_may_not_be_read_is_named(tmp_path, write_video, monkeypatch):
    """Whoever runs the tests may be allowed everything: the system's answer is made up."""
    write_video(tmp_path / "a.avi")
    write_video(tmp_path / "closed" / "b.avi")
    scandir = os.scandir

    def refuse(path="."):
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = {item.name: (item.kind, item.reason) for item in items(tmp_path)[1]}
    assert found == {
        "a.avi": ("video", None),
        "closed": ("unreadable", "the folder cannot be read: Permission denied"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("begin", "kind"),
    [
        (b"", "empty"), (b"hello\n", "text"), (b"\xff\xd8\xff\xe0", "image"),
        (b"%PDF-1.7", "PDF document"), (b"PK\3\4..", "zip archive"), (b"RIFF....AVI LIST", "video"),
        (b"\0\0\0\x18ftypisom", "video"), (b"\0\1\2\3", "unknown"), (b"RIFF....WAVEfmt", "sound"),
    ],
)  # fmt: skip
def test_content_is_told_by_the_first_bytes(tmp_path, begin, kind):
    path = tmp_path / "x"
    path.write_bytes(begin)
    assert content(path) == kind


def test_nothing_at_the_path_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="`source` .*none does not exist"):
        items(tmp_path / "none")
