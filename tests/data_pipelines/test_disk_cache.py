"""Frames kept on disk: the stream of those in memory, whole or not at all, for many processes."""

import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from data_pipelines import ClipSpec, disk_cache, load, open_source, remote_ways

CLIP = ClipSpec(frames=4, stride=2, fps=10, size=(24, 32), crop=(16, 16))


@pytest.fixture
def footage(tmp_path, write_video):
    """A folder of three videos, the second too short for a clip."""
    for number, frames in enumerate((20, 3, 25)):
        write_video(tmp_path / "footage" / f"{number}.avi", frames=frames, fps=10 + 10 * number)
    return tmp_path / "footage"


def pixels(stream):
    return [[np.asarray(part) for part in (e if isinstance(e, tuple) else (e,))] for e in stream]


def keys(folder):
    return sorted(path for path in folder.iterdir() if path.is_dir())


@pytest.mark.parametrize("options", [
    {}, {"shuffle": True, "seed": 3, "batch": 3, "augment": ("flip", "noise")},
    {"batch": 4, "drop_remainder": True, "skip": 1}, {"first_epoch": 2, "shuffle": True},
], ids=str)  # fmt: skip
def test_the_stream_is_that_of_memory(tmp_path, footage, options):
    memory = pixels(load(footage, CLIP, cache="memory", **options))
    for _ in range(2):  # decoded, and read
        disk = pixels(load(footage, CLIP, cache=tmp_path / "cache", **options))
        assert len(disk) == len(memory) > 1
        for a, b in zip(disk, memory, strict=True):
            np.testing.assert_array_equal(a, b)
    assert len(keys(tmp_path / "cache")) == 1


def test_epochs_and_videos_of_unlike_sizes_with_classes_are_too(tmp_path, write_video):
    write_video(tmp_path / "clips" / "run" / "a.avi", frames=20, size=(48, 64))
    write_video(tmp_path / "clips" / "walk" / "b.avi", frames=20, size=(64, 80))
    source = open_source(tmp_path / "clips", kind="labelled_folders")
    clip = ClipSpec(frames=4, crop=(40, 40), crop_mode="random")
    streams = [
        pixels(load(source, clip, labels=source.labels, cache=cache, repeat=True, shuffle=True,
                    batch=4).take(6)) for cache in ("memory", tmp_path / "cache")
    ]  # fmt: skip
    for a, b in zip(*streams, strict=True):
        for part, other in zip(a, b, strict=True):
            np.testing.assert_array_equal(part, other)


def test_frames_are_decoded_once_for_clips_of_any_length(tmp_path, footage, monkeypatch):
    load(footage, CLIP, cache=tmp_path / "cache")
    monkeypatch.setattr(disk_cache, "prepared_frames", None)  # not called
    longer = ClipSpec(frames=9, fps=10, size=(24, 32))
    found = pixels(load(footage, longer, cache=tmp_path / "cache"))
    for a, b in zip(found, pixels(load(footage, longer, cache="memory")), strict=True):
        np.testing.assert_array_equal(a, b)
    # The short video is one of three now.
    short = ClipSpec(frames=2, fps=10, size=(24, 32), stride=50)
    assert len(pixels(load(footage, short, cache=tmp_path / "cache"))) == 3
    assert len(keys(tmp_path / "cache")) == 1


@pytest.mark.parametrize("change", ["size", "channels", "fps", "content", "time", "more"])
def test_what_changes_the_frames_changes_the_key(tmp_path, footage, write_video, change):
    videos = open_source(footage).videos
    before = disk_cache.key_of(videos, CLIP)
    assert disk_cache.key_of(open_source(footage).videos, ClipSpec(
        frames=9, frame_step=2, fps=10, size=(24, 32))) == before  # fmt: skip
    other = {"size": {"size": (24, 30)}, "channels": {"channels": 3}, "fps": {"fps": 5}}
    clip = ClipSpec(**{**CLIP.__dict__, **other.get(change, {})})
    state = os.stat(footage / "0.avi")
    if change == "content":
        with open(footage / "0.avi", "ab") as file:
            file.write(b"\0" * 9)
        os.utime(footage / "0.avi", ns=(state.st_atime_ns, state.st_mtime_ns))
    if change == "time":
        os.utime(footage / "0.avi", ns=(state.st_atime_ns, state.st_mtime_ns + 10**6))
    if change == "more":
        write_video(footage / "9.avi", frames=5)
    assert disk_cache.key_of(open_source(footage).videos, clip) != before


def test_a_changed_file_is_decoded_again(tmp_path, footage, write_video):
    load(footage, CLIP, cache=tmp_path / "cache")
    write_video(footage / "0.avi", frames=11, fps=10)
    found = pixels(load(footage, CLIP, cache=tmp_path / "cache"))
    for a, b in zip(found, pixels(load(footage, CLIP, cache="memory")), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(keys(tmp_path / "cache")) == 2


def test_what_changes_while_it_is_decoded_is_not_kept(tmp_path, footage):
    source = open_source(footage)
    first = source.videos[0]
    sampled = first.sampled

    def written_to(*arguments):
        yield from sampled(*arguments)
        with open(first.path, "ab") as file:
            file.write(bytes(9))

    first.sampled = written_to
    with pytest.raises(OSError, match=f"^{first.name} has changed while it was decoded"):
        load(source, CLIP, cache=tmp_path / "cache")
    assert not keys(tmp_path / "cache")
    first.sampled = sampled
    assert len(pixels(load(source, CLIP, cache=tmp_path / "cache"))) > 3


def test_reading_takes_no_memory_of_its_own(tmp_path, write_video):
    write_video(tmp_path / "a.mp4", frames=1500, size=(240, 320), codec="mp4v")
    write_video(tmp_path / "b.mp4", frames=9, size=(240, 320), codec="mp4v")
    clip = ClipSpec(frames=4, size=(240, 320))
    for name in "ab":
        load(tmp_path / f"{name}.mp4", clip, cache=tmp_path / "cache")
    code = f"""
from data_pipelines import ClipSpec, load
def anonymous():
    return int([l for l in open("/proc/self/status") if l.startswith("RssAnon")][0].split()[1])
clip = ClipSpec(frames=4, size=(240, 320))
def read(name):
    stream = load("{tmp_path}/" + name, clip, cache="{tmp_path}/cache", batch=2, shuffle=True)
    return sum(1 for _ in stream)
read("b.mp4")
before = anonymous()
number = read("a.mp4")
print(number, anonymous() - before)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}, timeout=300,
    )  # fmt: skip
    batches, grown_kb = map(int, ended.stdout.split())
    assert batches == 188
    # The frames are 115 MB.
    assert grown_kb < 40_000


def test_a_disk_that_is_full_is_said_and_leaves_nothing(tmp_path, footage):
    size, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match=r"/cache cannot take the decoded frames: .* after 0 MB"):
            load(footage, CLIP, cache=tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    assert [p.suffix for p in (tmp_path / "cache").iterdir()] == [".lock"]
    assert len(pixels(load(footage, CLIP, cache=tmp_path / "cache"))) > 3


def test_a_video_that_fails_leaves_nothing(tmp_path, footage):
    with pytest.raises(ValueError, match="`crop` must fit"):
        load(footage, ClipSpec(frames=4, crop=(100, 100)), cache=tmp_path / "cache")
    assert [p.suffix for p in (tmp_path / "cache").iterdir()] == [".lock"]


@pytest.mark.parametrize("name,words", [
    ("frames.bin", "is damaged: 9 bytes of"), ("index.json", "its index.json cannot be read"),
])  # fmt: skip
def test_what_is_damaged_is_decoded_again(tmp_path, footage, caplog, name, words):
    expected = pixels(load(footage, CLIP, cache=tmp_path / "cache"))
    (key,) = keys(tmp_path / "cache")
    with open(key / name, "r+b") as file:
        file.truncate(9)
    found = pixels(load(footage, CLIP, cache=tmp_path / "cache"))
    assert words in caplog.text
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def _decode(footage, cache, barrier, answers):
    barrier.wait()
    decoded = []
    prepared = disk_cache.prepared_frames
    disk_cache.prepared_frames = lambda video, clip: (
        decoded.append(video.name), time.sleep(0.2), prepared(video, clip))[-1]  # fmt: skip
    videos = open_source(footage).videos
    kept = disk_cache.kept_frames(videos, CLIP, cache, lambda *known: True)
    answers.put((len(decoded), kept.num_bytes, kept.path.read_bytes()))


def test_of_two_processes_at_once_one_decodes_and_both_read(tmp_path, footage):
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(2), context.Queue()
    both = [
        context.Process(target=_decode, args=(footage, tmp_path / "cache", barrier, answers))
        for _ in range(2)
    ]
    for process in both:
        process.start()
    found = [answers.get(timeout=500) for _ in both]
    for process in both:
        process.join(60)
    assert sorted(count for count, _, _ in found) == [0, 3]
    assert found[0][1:] == found[1][1:] and found[0][1] == len(found[0][2]) > 0


def test_a_process_that_was_killed_leaves_nothing_in_the_way(tmp_path, footage):
    code = f"""
import os, sys
from data_pipelines import ClipSpec, disk_cache, load
prepared = disk_cache.prepared_frames
def slow(video, clip):
    for number, frame in enumerate(prepared(video, clip)):
        if number == 2 and video.name == "2.avi":
            print("now", flush=True); sys.stdin.read()
        yield frame
disk_cache.prepared_frames = slow
load({str(footage)!r}, ClipSpec(**{CLIP.__dict__!r}), cache="{tmp_path}/cache")
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
    assert process.stdout.readline() == b"now\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (left,) = keys(tmp_path / "cache")
    assert left.suffix == ".part"
    assert len(pixels(load(footage, CLIP, cache=tmp_path / "cache"))) > 3
    assert [p.suffix for p in keys(tmp_path / "cache")] == [""]


def test_what_is_made_of_no_files_cannot_be_kept(tmp_path, numbered):
    with pytest.raises(ValueError, match="`cache` must be None or 'memory' .* Received: video0"):
        load(numbered(9), ClipSpec(frames=2), cache=tmp_path / "cache")


def test_folders_of_images_and_remote_files_are_kept_by_their_state(
    tmp_path, write_images, web, monkeypatch
):
    remote_ways.way_of.cache_clear()
    write_images(tmp_path / "web" / "a", [f"{n}.png" for n in range(8)], range(8))
    clip = ClipSpec(frames=4)
    found = [pixels(load(source, clip, cache=tmp_path / "cache"))
             for source in (tmp_path / "web", f"{web.url}/")]  # fmt: skip
    np.testing.assert_array_equal(*found)
    assert len(keys(tmp_path / "cache")) == 2
    asked = len(web.asked)
    pixels(load(f"{web.url}/", clip, cache=tmp_path / "cache"))
    assert len(keys(tmp_path / "cache")) == 2 and asked < 40
    shutil.rmtree(tmp_path / "web" / "a")
    write_images(tmp_path / "web" / "a", [f"{n}.png" for n in range(8)], range(10, 18))
    os.utime(tmp_path / "web" / "a" / "1.png", (1, 1))
    changed = pixels(load(f"{web.url}/", clip, cache=tmp_path / "cache"))
    assert changed[0][0].max() * 255 == pytest.approx(13)
    web.dated = False
    with pytest.raises(ValueError, match="neither ETag nor Last-Modified.* Received: .*/a/0.png"):
        load(f"{web.url}/", clip, cache=tmp_path / "cache")


def test_addresses_that_are_shown_alike_are_kept_apart_and_asked_again(
    tmp_path, write_images, web
):
    remote_ways.way_of.cache_clear()
    for day, first in ((1, 0), (2, 100)):
        folder = tmp_path / "web" / f"day={day}"
        # Files of one size, changed in one second.
        write_images(folder, [f"{n}.bmp" for n in range(4)], range(first, first + 4))
        for image in folder.iterdir():
            os.utime(image, (1, 1))
    clip = ClipSpec(frames=4)
    one, other = (
        pixels(load(f"{web.url}/day={day}/", clip, cache=tmp_path / "cache")) for day in (1, 2)
    )
    assert other[0][0].max() > one[0][0].max() + 0.3
    source = open_source(f"{web.url}/day=1/")
    load(source, clip, cache=tmp_path / "cache")
    assert len(keys(tmp_path / "cache")) == 2
    os.utime(tmp_path / "web" / "day=1" / "2.bmp", (9, 9))
    load(source, clip, cache=tmp_path / "cache")
    assert len(keys(tmp_path / "cache")) == 3


def test_what_is_whole_is_read_where_nothing_can_be_written(tmp_path, footage, monkeypatch):
    clip = ClipSpec(frames=4)
    kept = pixels(load(footage, clip, cache=tmp_path / "cache"))

    def locked(path, what):
        raise PermissionError(path)

    monkeypatch.setattr(disk_cache, "locked", locked)
    np.testing.assert_array_equal(pixels(load(footage, clip, cache=tmp_path / "cache")), kept)


def test_the_folder_is_a_path_or_that_of_the_users_caches(tmp_path, monkeypatch):
    assert disk_cache.folder_of("a/b") == disk_cache.folder_of(Path("a/b")) == Path("a/b")
    assert disk_cache.folder_of(Path("a")) == Path("a")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert disk_cache.folder_of("disk") == tmp_path / "unsupervised-video-zoo" / "frames"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert re.search(r"/\.cache/unsuper", str(disk_cache.folder_of("disk")))
