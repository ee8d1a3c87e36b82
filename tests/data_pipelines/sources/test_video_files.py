import logging
import re
import struct

import numpy as np
import pytest

from data_pipelines import ClipSpec, chunks, load, open_source
from data_pipelines.sources import video_files


def levels(video, start=0):
    return np.array([frame.mean() for frame in video.frames(start)])


@pytest.mark.parametrize("suffix,codec", [(".avi", "MJPG"), (".mp4", "mp4v")])
def test_a_file_gives_its_frames_in_order(tmp_path, write_video, suffix, codec):
    path = write_video(tmp_path / f"one{suffix}", frames=30, fps=12.5, codec=codec)
    source = open_source(path)
    (video,) = source.videos
    assert (source.kind, video.name, video.fps, video.num_frames) == (
        "video_files", path.name, 12.5, 30)
    assert np.abs(levels(video) - 5 * np.arange(30)).max() < 4
    assert np.abs(levels(video, start=7) - 5 * np.arange(7, 30)).max() < 4
    assert len(levels(video, start=40)) == 0
    assert next(video.frames()).shape == (48, 64, 3)


def test_colours_are_rgb(tmp_path):
    import cv2

    writer = cv2.VideoWriter(str(tmp_path / "red.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10,
                             (64, 48))
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 2] = 200
    for _ in range(3):
        writer.write(red)
    writer.release()
    frame = next(open_source(tmp_path / "red.avi").videos[0].frames())
    assert frame[..., 0].mean() > 180 and frame[..., 2].mean() < 20


def test_a_folder_is_read_to_its_depth_in_natural_order(tmp_path, write_video):
    for name in ("cam10/1.avi", "cam2/10.avi", "cam2/9.avi"):
        write_video(tmp_path / name, frames=4)
    assert [v.name for v in open_source(tmp_path).videos] == [
        "cam2/9.avi", "cam2/10.avi", "cam10/1.avi"]


@pytest.mark.parametrize("change", ["appended", "replaced", "deleted"])
def test_a_video_that_changes_while_it_is_read_is_said_once(tmp_path, write_video, caplog, change):
    path = write_video(tmp_path / "recording.avi", frames=40)
    (video,) = open_source(tmp_path).videos
    assert len(levels(video)) == 40 and not caplog.records
    for _ in range(2):
        frames = video.frames()
        next(frames)
        if change == "appended":
            with open(path, "ab") as file:
                file.write(bytes(100))
        elif change == "replaced":
            write_video(tmp_path / "other.avi", frames=40).rename(path)
        else:
            path.unlink()
        assert len(list(frames)) == 39
        if change == "deleted":
            break
    assert [r.message for r in caplog.records] == [
        f"{path} has changed while it was read: it is still being written, or was replaced; its "
        "frames may be of before and after"]


def test_a_video_that_breaks_off_is_used_up_to_there_and_said_once(tmp_path, write_video, caplog):
    path = write_video(tmp_path / "cut.avi", frames=40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    (video,) = open_source(tmp_path).videos
    # The index at the end is lost with the rest, so the header's number stands in for it.
    video.num_frames = 40
    with caplog.at_level(logging.WARNING):
        found = [levels(video) for _ in range(2)]
    assert 4 < len(found[0]) < 36 and len(found[0]) == len(found[1])
    assert np.abs(found[0] - 5 * np.arange(len(found[0]))).max() < 4
    assert [r.message for r in caplog.records] == [
        f"{path} breaks off: {len(found[0])} frames read, 40 declared"]


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("kept", [0.2, 0.5])
def test_a_container_cut_before_its_index_is_said_to_be_cut_off(
    tmp_path, write_video, caplog, suffix, kept
):
    write_video(tmp_path / f"whole{suffix}", frames=30, codec="mp4v")
    cut = write_video(tmp_path / f"cut{suffix}", frames=30, codec="mp4v")
    cut.write_bytes(cut.read_bytes()[: int(kept * cut.stat().st_size)])
    reason = f"cut{suffix} cannot be opened as a video: it has no whole `moov` box, .* cut off"
    with pytest.raises(ValueError, match=reason):
        open_source(cut)
    # The others are used, and the loss is said.
    with caplog.at_level(logging.WARNING):
        (video,) = open_source(tmp_path).videos
    assert (video.name, len(levels(video))) == (f"whole{suffix}", 30)
    (said,) = [record.message for record in caplog.records]
    assert re.search(reason + ".*; left out$", said)


def test_what_is_no_mp4_at_all_is_not_said_to_be_cut_off(tmp_path):
    for content in (b"\0\1garbage" * 500, bytes(5000), b"\0\0\0\x10ftypisom" + b"\0" * 5000):
        (tmp_path / "bad.mp4").write_bytes(content)
        with pytest.raises(ValueError, match="cannot be opened as a video: Invalid data found"):
            open_source(tmp_path / "bad.mp4")


def test_large_boxes_are_passed_over(tmp_path):
    def box(kind, content, large=False):
        if large:
            return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content
        return struct.pack(">I4s", 8 + len(content), kind) + content

    head, tail = box(b"ftyp", b"isom"), box(b"moov", bytes(20))
    media = box(b"mdat", bytes(900), large=True)
    endless = struct.pack(">I4s", 0, b"mdat") + bytes(900)
    for content, expected in (
        (head + media + tail, False),
        (head + tail + media[:100], False),
        (head + media, True),
        (head + media + tail[:-1], True),
        (head + endless, True),
        (head + media + tail[:5], True),
    ):
        (tmp_path / "a.mp4").write_bytes(content)
        assert video_files.lost_its_index(tmp_path / "a.mp4") == expected


def test_a_whole_video_says_nothing(tmp_path, write_video, caplog):
    write_video(tmp_path / "whole.avi", frames=12)
    with caplog.at_level(logging.WARNING):
        levels(open_source(tmp_path).videos[0])
        next(open_source(tmp_path).videos[0].frames())
    assert caplog.records == []


def test_what_is_no_video_is_left_out_of_a_folder_and_said(tmp_path, write_video, caplog):
    write_video(tmp_path / "good.avi", frames=4)
    (tmp_path / "bad.avi").write_bytes(b"\0\1garbage" * 500)
    (tmp_path / "text.mp4").write_text("hello\n" * 500)
    (tmp_path / "notes.txt").write_text("hello")
    with caplog.at_level(logging.WARNING):
        source = open_source(tmp_path)
    assert [v.name for v in source.videos] == ["good.avi"]
    said = [r.message for r in caplog.records]
    assert len(said) == 3 and said[:2] == [f"{reason}; left out" for reason in source.left_out]
    assert "bad.avi cannot be opened as a video: Invalid data found" in said[0]
    assert said[0].endswith("; left out")
    assert "text.mp4 is text or empty, not a video; left out" in said[1]
    assert "1 files left out that are no video by their names: notes.txt" in said[2]


@pytest.mark.parametrize(
    "name,content,message",
    [
        ("notes.txt", b"hello\n" * 900, "notes.txt is text or empty, not a video"),
        ("text.mp4", b"hello\n" * 900, "text.mp4 is text or empty, not a video"),
        ("empty.mp4", b"", "empty.mp4 is text or empty, not a video"),
        ("picture.png", b"\x89PNG\0", "picture.png is an image, not a video"),
        ("weights.h5", b"\0\1garbage" * 500, "weights.h5 cannot be opened as a video"),
    ],
)
def test_a_file_that_is_no_video_is_the_wrong_source(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"^`source` must be a video file, .*: /.*{message}"):
        open_source(tmp_path / name)


def test_a_damaged_video_is_the_right_source(tmp_path, write_video):
    (tmp_path / "bad.avi").write_bytes(b"\0\1garbage" * 500)
    with pytest.raises(ValueError, match="^/.*bad.avi cannot be opened as a video: Invalid"):
        open_source(tmp_path / "bad.avi")
    # Known by its content, whatever its name.
    cut = write_video(tmp_path / "whole.mp4", frames=30, codec="mp4v").rename(tmp_path / "cut.part")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    with pytest.raises(ValueError, match="^/.*cut.part cannot be opened as a video: it has no wh"):
        open_source(cut)


def test_a_folder_without_a_readable_video_is_refused(tmp_path):
    (tmp_path / "bad.avi").write_bytes(b"\0\1garbage" * 500)
    with pytest.raises(ValueError, match="holds no video file that can be read"):
        open_source(tmp_path)


def test_resampling_follows_the_containers_rate(tmp_path, write_video):
    write_video(tmp_path / "fast.avi", frames=40, fps=20)
    frames = np.concatenate(list(chunks(open_source(tmp_path).videos[0], ClipSpec(fps=5))))
    assert np.abs(frames.mean((1, 2, 3)) - 5 * np.arange(0, 40, 4)).max() < 4


@pytest.mark.real_data
@pytest.mark.parametrize("name,frames", [("vtest.avi", 795), ("carphone_pristine.mp4", 120)])
def test_real_codecs_are_read_to_the_end(real_data, name, frames, caplog):
    (video,) = open_source(real_data / "clips" / name).videos
    with caplog.at_level(logging.WARNING):
        assert sum(1 for _ in video.frames()) == video.num_frames == frames
    assert caplog.records == []


@pytest.mark.real_data
def test_a_truncated_recording_is_trained_on_up_to_the_break(real_data, tmp_path, caplog):
    whole = (real_data / "clips" / "vtest.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) // 8])
    clip = ClipSpec(frames=16, size=(48, 64))
    with caplog.at_level(logging.WARNING):
        clips = load(tmp_path, clip, cache="memory").reduce(0, lambda n, _: n + 1).numpy()
    assert 2 < clips < 15
    assert "cut.avi breaks off" in caplog.text and "795 declared" in caplog.text


@pytest.mark.real_data
def test_empty_places_in_time_are_not_taken_for_a_break(real_data, caplog):
    (video,) = open_source(real_data / "clips" / "tree.avi").videos
    with caplog.at_level(logging.WARNING):
        assert sum(1 for _ in video.frames()) == 68
    assert "68 frames read, 444 declared; they reach to its end in time" in caplog.text
