"""Files behind addresses: what is read of them, and what happens when they cannot be read."""

import io
import os
import resource
import time
import types

import cv2
import numpy as np
import pytest

from data_pipelines import ClipSpec, load, open_source, remote, remote_ways, workers
from data_pipelines.remote import RemotePath, is_remote, open_binary
from data_pipelines.sources.video_files import VideoFile


@pytest.fixture
def served(request, tmp_path, web):
    """A function that serves a local folder by `http` or `s3` and gives its address."""

    def serve(scheme, folder):
        if scheme == "s3":
            return request.getfixturevalue("bucket")(folder)
        if folder != tmp_path / "web":
            folder.rename(tmp_path / "web" / folder.name)
            return f"{web.url}/{folder.name}"
        return web.url

    return serve


def test_addresses_are_told_from_paths():
    for source in ("s3://b/k", "gs://b/k", "http://h/v", "HTTPS://h/v.avi", RemotePath("s3://b")):
        assert is_remote(source)
    for source in ("footage", "/a/http", "rtsp://h", "mjpeg+http://h", "file:///a", "s3:", "7"):
        assert not is_remote(source)
    # A `Path` swallows a slash.
    import pathlib

    assert remote.as_path(pathlib.Path("s3://b/k")).url == "s3://b/k"
    assert isinstance(remote.as_path("footage"), pathlib.Path)
    with pytest.raises(ValueError, match=r"with a host or a bucket. Received: s3:///k"):
        RemotePath("s3:///k")


@pytest.mark.parametrize("url,name,suffix,shown", [
    ("s3://b/day=3/clip 1.MP4", "clip 1.MP4", ".MP4", "s3://b/day=3/clip 1.MP4"),
    ("s3://b/odd?key#1.avi", "odd?key#1.avi", ".avi", "s3://b/odd?key#1.avi"),
    ("https://u:p@h/a%20b.avi?X-Sig=12#t", "a b.avi", ".avi", "https://***@h/a%20b.avi?X-Sig=***"),
    ("http://h/footage/", "footage", "", "http://h/footage/"),
])  # fmt: skip
def test_a_path_has_a_name_and_shows_no_secret(url, name, suffix, shown):
    path = RemotePath(url)
    assert (path.name, path.suffix, str(path)) == (name, suffix, shown)
    assert path.url == url and "p@" not in repr(path)


def test_paths_are_relative_to_folders_above():
    path = RemotePath("http://h/a/b%20c/1.avi?x=1")
    assert path.relative_to(RemotePath("http://h/a")).as_posix() == "b c/1.avi"
    with pytest.raises(ValueError, match="not below"):
        path.relative_to(RemotePath("http://h/a/b"))


@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_bytes_are_those_of_the_file_wherever_one_seeks(tmp_path, served, monkeypatch, scheme):
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1000)
    content = np.random.default_rng(0).integers(0, 256, 10_500, np.uint8).tobytes()
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a b.bin").write_bytes(content)
    (tmp_path / "disk" / "empty.bin").write_bytes(b"")
    address = served(scheme, tmp_path / "disk")
    name = "a b.bin" if scheme == "s3" else "a%20b.bin"
    with open_binary(f"{address}/{name}") as file:
        for offset, length in ((0, 10), (990, 20), (9_990, 600), (0, 10_500), (5_000, 1)):
            file.seek(offset)
            assert file.read(length) == content[offset : offset + length]
        assert file.seek(-3, io.SEEK_END) == 10_497 and file.read() == content[-3:]
        assert file.read() == b""
    assert remote.size_of(f"{address}/{name}") == 10_500
    with open_binary(f"{address}/empty.bin") as file:
        assert file.read() == b""


def test_no_more_than_a_few_blocks_are_held_and_none_is_fetched_twice_in_a_row(
    tmp_path, web, hasty, monkeypatch
):
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1000)
    (tmp_path / "web" / "a.bin").write_bytes(bytes(50_000))
    file = remote.RemoteFile(RemotePath(f"{web.url}/a.bin"))
    for offset in range(0, 20_000, 100):
        file.read_at(offset, 100)
        assert len(file._blocks) <= remote.BLOCKS
    assert web.sent == 20_000 + 1  # the one tells the size
    file.read_at(19_000, 1)
    assert web.sent == 20_001


@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_videos_and_their_windows_are_those_of_the_local_folder(
    tmp_path, write_video, served, scheme
):
    write_video(tmp_path / "disk" / "cam 1" / "a.avi", frames=20)
    write_video(tmp_path / "disk" / "cam 1" / "b.mp4", frames=24, codec="mp4v")
    write_video(tmp_path / "disk" / "cam2" / "c.avi", frames=16)
    clip = ClipSpec(frames=8, stride=4, size=(24, 32))
    expected = [c.numpy() for c in load(tmp_path / "disk", clip)]
    names = [(v.name, v.group, v.num_frames) for v in open_source(tmp_path / "disk").videos]
    address = served(scheme, tmp_path / "disk")
    source = open_source(address)
    assert source.kind == "video_files" and source.path.rstrip("/") == address
    assert [(v.name, v.group, v.num_frames) for v in source.videos] == names
    found = [c.numpy() for c in load(source, clip, workers=2)]
    np.testing.assert_array_equal(found, expected)
    assert len(found) > 8


@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_folders_of_images_and_of_classes_are_read_where_they_are(
    tmp_path, write_images, served, scheme
):
    for action in ("run", "walk"):
        names = [f"{n}.png" for n in range(12)]
        write_images(tmp_path / "disk" / action / "ann", names, range(0, 120, 10))
    clip = ClipSpec(frames=6)
    expected = [c.numpy() for c in load(tmp_path / "disk", clip)]
    address = served(scheme, tmp_path / "disk")
    assert open_source(address).kind == "frame_folders"
    found = [c.numpy() for c in load(address, clip)]
    np.testing.assert_array_equal(found, expected)
    source = open_source(address, kind="labelled_folders")
    assert [(v.name, v.label, v.group) for v in source.videos] == [
        ("run/ann", "run", "run/ann"), ("walk/ann", "walk", "walk/ann")]  # fmt: skip
    with pytest.raises(ValueError, match="`kind` must be one of .* not on this machine.*'ucsd'"):
        open_source(address, kind="ucsd")


def test_of_a_long_video_only_what_is_looked_at_is_fetched(tmp_path, write_video, web):
    path = write_video(tmp_path / "web" / "long.mp4", frames=4, size=(64, 64), codec="mp4v")
    # As long as an hour would be: content that no frame points to, before the index at the end.
    whole = path.read_bytes()
    at = whole.index(b"moov") - 4
    padding = 30 << 20
    free = (padding + 8).to_bytes(4, "big") + b"free" + bytes(padding)
    path.write_bytes(whole[:at] + free + whole[at:])
    facts = workers.probe(RemotePath(f"{web.url}/long.mp4"))
    assert facts["num_frames"] == 4
    (video,) = open_source(f"{web.url}/long.mp4").videos
    assert sum(1 for _ in video.frames()) == 4
    assert web.sent < 12 << 20  # in three openings


def test_a_server_without_ranges_is_read_through_a_file_with_a_bound(
    tmp_path, write_video, web, monkeypatch
):
    path = write_video(tmp_path / "web" / "a.mp4", frames=20, codec="mp4v")
    web.ranges = False
    (video,) = open_source(f"{web.url}/a.mp4").videos
    levels = [frame.mean() for frame in video.frames()]
    assert np.abs(levels - 5 * np.arange(20)).max() < 4
    monkeypatch.setattr(remote, "SPOOL_BYTES", path.stat().st_size - 1)
    with pytest.raises(OSError, match="/a.mp4 must be fetched whole, .* no ranges, and is larger"):
        open_source(f"{web.url}/a.mp4")


@pytest.mark.parametrize("status,error,words", [
    (403, PermissionError, "must not be read: HTTP status 403"),
    (404, FileNotFoundError, "does not exist: HTTP status 404"),
    (400, OSError, "cannot be read: HTTP status 400"),
])  # fmt: skip
def test_what_will_not_get_better_is_said_at_once(web, hasty, status, error, words):
    web.answers[""] = [status] * 9
    with pytest.raises(error, match=rf"^{web.url}/clip.mp4\?key=\*\*\* {words}"):
        open_binary(f"{web.url}/clip.mp4?key=secret")
    assert len(web.asked) == 1


@pytest.mark.parametrize("answer,words", [(500, "HTTP status 500"), (503, "HTTP status 503"),
                                          ("hang", "no answer within 0.5 seconds")])  # fmt: skip
def test_what_may_get_better_is_tried_a_few_times_and_said(
    tmp_path, web, hasty, monkeypatch, answer, words
):
    if answer == "hang":
        monkeypatch.setattr(remote_ways, "TIMEOUT_SEC", 0.5)
    web.answers[""] = [answer] * 99
    message = rf"^{web.url}/clip.mp4 could not be found, tried 4 times: {words}$"
    with pytest.raises(OSError, match=message):
        open_source(f"{web.url}/clip.mp4")
    # A server that is slow itself reads the last request after it was given up.
    until = time.monotonic() + 60
    while len(web.asked) < remote.TRIES and time.monotonic() < until:
        time.sleep(0.01)
    assert len(web.asked) == remote.TRIES
    # And when it does get better nobody is told.
    (tmp_path / "web" / "a.bin").write_bytes(b"abc")
    web.answers[""] = [answer] * (remote.TRIES - 1)
    if answer == "hang":
        # A busy machine may not answer within half a second: more time and tries are left to it.
        monkeypatch.setattr(remote_ways, "TIMEOUT_SEC", 2.0)
        web.answers[""] = [answer]
    with open_binary(f"{web.url}/a.bin") as file:
        assert file.read() == b"abc"


def test_pauses_grow(web, monkeypatch):
    pauses = []
    monkeypatch.setattr(remote, "time", types.SimpleNamespace(sleep=pauses.append))
    web.answers[""] = [500] * 9
    with pytest.raises(OSError):
        remote.size_of(f"{web.url}/a.bin")
    assert pauses == [0.5, 1.0, 2.0]


def test_a_server_that_fails_in_the_middle_of_a_video_is_an_error_not_its_end(
    tmp_path, web, hasty, monkeypatch
):
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1 << 17)
    writer = cv2.VideoWriter(
        str(tmp_path / "web" / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (320, 240)
    )
    rng = np.random.default_rng(0)
    for _ in range(30):  # of noise, so that they are much longer than what is read ahead
        writer.write(rng.integers(0, 256, (240, 320, 3), np.uint8))
    writer.release()
    (video,) = open_source(f"{web.url}/a.avi").videos
    frames = video.frames()
    next(frames)
    web.answers["/a.avi"] = [500] * 999
    with pytest.raises(OSError, match="/a.avi could not be read, tried 4 times: HTTP status 500"):
        list(frames)
    web.answers.clear()
    assert sum(1 for _ in video.frames()) == 30


def test_a_file_that_changes_while_it_is_read_is_said(tmp_path, web, monkeypatch):
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1000)
    (tmp_path / "web" / "a.bin").write_bytes(bytes(5000))
    for length in (4500, 6000, 0):
        with open_binary(f"{web.url}/a.bin") as file:
            before = remote.size_of(f"{web.url}/a.bin")
            (tmp_path / "web" / "a.bin").write_bytes(bytes(length))
            message = f"/a.bin has changed while it was read: it had {before} .* has {length} now"
            with pytest.raises(OSError, match=message):
                file.read()


def test_a_file_replaced_by_one_of_its_size_while_it_is_read_is_said(tmp_path, web, hasty):
    file = tmp_path / "web" / "a.bin"
    file.write_bytes(bytes(5000))
    with open_binary(f"{web.url}/a.bin") as opened:
        file.write_bytes(bytes([1]) * 5000)
        os.utime(file, (0, 0))
        with pytest.raises(OSError, match="/a.bin has changed .* its version was .* 1970 "):
            opened.read()


def test_a_server_that_answers_any_address_with_a_folder_does_not_go_on_for_ever(web, hasty):
    web.pages["/deep"] = '<a href="deeper/">deeper</a>'
    message = r"`source` must have at most 32 levels of folders, .* Received: http://.*/deeper/"
    with pytest.raises(ValueError, match=message):
        open_source(f"{web.url}/deep/")


def test_a_page_in_a_charset_that_nobody_knows_is_read(web, hasty):
    web.pages["/day"] = '<a href="1.jpg">1</a>'
    web.charset = "no-such-charset"
    assert [path.name for path in RemotePath(f"{web.url}/day/").iterdir()] == ["1.jpg"]


@pytest.mark.parametrize("answer,words", [
    ("cut", "its server broke off in the middle"),
    ("other", "its server gave another range: bytes 2001-"),
])  # fmt: skip
def test_a_connection_that_breaks_off_is_made_again(
    tmp_path, web, hasty, monkeypatch, answer, words
):
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1000)
    content = np.random.default_rng(0).integers(0, 256, 5000, np.uint8).tobytes()
    (tmp_path / "web" / "a.bin").write_bytes(content)
    with open_binary(f"{web.url}/a.bin") as file:
        web.answers["/a.bin"] = [answer, None, None, answer, answer, answer]
        assert file.read() == content and not web.answers["/a.bin"]
    with open_binary(f"{web.url}/a.bin?token=secret") as file:
        file.seek(2000)
        web.answers["/a.bin"] = [answer] * 9
        with pytest.raises(OSError, match=rf"/a.bin\?token=\*\*\* .*tried 4 times: {words}"):
            file.read(10)


def test_no_message_about_a_file_that_is_no_video_shows_a_secret(tmp_path, web):
    content = (12).to_bytes(4, "big") + b"ftypisom" + b"\0\0\1\0mdat" + bytes(99)
    (tmp_path / "web" / "cut.mp4").write_bytes(content)
    message = r"^http://[^ ]*/cut.mp4\?sig=\*\*\* cannot be opened .* no whole `moov`"
    with pytest.raises(ValueError, match=message):
        VideoFile("cut", f"{web.url}/cut.mp4?sig=secret")


def test_a_file_that_no_disk_takes_is_said(tmp_path, web):
    (tmp_path / "web" / "a.bin").write_bytes(bytes(200_000))
    web.ranges = False
    size, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match="/a.bin must be fetched whole, .* does not fit into /"):
            open_binary(f"{web.url}/a.bin")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


def test_what_is_not_there_is_the_wrong_source(tmp_path, web, bucket):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "notes.txt").write_text("hello\n" * 99)
    for address in (f"{web.url}/none.mp4", f"{web.url}/none/", f"{bucket(tmp_path / 'disk')}/none",
                    "s3://no-such-bucket/clips"):  # fmt: skip
        with pytest.raises(ValueError, match=f"^`source` {address} does not exist$"):
            open_source(address)
    with pytest.raises(ValueError, match="holds neither videos nor images"):
        open_source(bucket(tmp_path / "disk"))


@pytest.mark.parametrize(
    "status,error", [(403, PermissionError), (500, OSError), ("hang", OSError)]
)
def test_a_server_of_s3_that_fails_is_said(web, s3_server, hasty, monkeypatch, status, error):
    monkeypatch.setenv("AWS_ENDPOINT_URL", web.url)
    monkeypatch.setenv("S3_ENDPOINT", web.url)
    if status == "hang":
        monkeypatch.setattr(remote_ways, "TIMEOUT_SEC", 0.5)
    web.answers[""] = [status] * 99
    with pytest.raises(error, match="^s3://footage/a.mp4 (must not be read|could not be found)"):
        open_source("s3://footage/a.mp4")
    assert len(web.asked) <= 2 * remote.TRIES


def test_a_stream_of_a_camera_is_told_from_a_file_by_its_end_and_its_content_type(
    tmp_path, write_video, write_images, web
):
    write_video(tmp_path / "web" / "clip.avi", frames=3).rename(tmp_path / "web" / "clip")
    (tmp_path / "web" / "live").write_bytes(b"--x\r\n" * 99)
    web.types.update({"/clip": "video/x-msvideo", "/live": "multipart/x-mixed-replace;boundary=x"})
    write_images(tmp_path / "web" / "day", ["1.png"], [7])
    assert open_source(f"{web.url}/live").kind == "camera"
    assert open_source(f"{web.url}/live", kind="camera").kind == "camera"
    assert open_source(f"{web.url}/clip").kind == "video_files"
    # With and without its slash, as a `Path` has none.
    assert open_source(f"{web.url}/day/").kind == "frame_folders"
    assert open_source(f"{web.url}/day").kind == "frame_folders"
    # By its end alone a video is none: what its server calls it is not looked at.
    write_video(tmp_path / "web" / "b.avi", frames=3)
    for kind in ("multipart/x-mixed-replace", "text/html"):
        web.types["/b.avi"] = kind
        assert open_source(f"{web.url}/b.avi").kind == "video_files"


def test_a_name_and_a_password_go_to_the_server_and_into_no_message(web, monkeypatch):
    seen = []
    import requests

    send = requests.Session.send
    monkeypatch.setattr(requests.Session, "send", lambda self, request, **options: (
        seen.append((request.url, request.headers.get("Authorization"))),
        send(self, request, **options))[1])  # fmt: skip
    address = web.url.replace("://", "://me:s%40crt@")
    with pytest.raises(FileNotFoundError) as caught:
        open_binary(f"{address}/a.bin")
    assert "crt" not in str(caught.value) and "***@127" in str(caught.value)
    assert seen == [(f"{web.url}/a.bin", "Basic bWU6c0BjcnQ=")]


def test_a_package_that_is_missing_is_named_with_its_extra(hasty, monkeypatch):
    import sys

    monkeypatch.setattr(remote_ways, "tensorflow_schemes", frozenset)
    for scheme, package in (("s3", "s3fs"), ("gs", "gcsfs")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(ImportError, match=rf"needs the package {package}, .*zoo\[{scheme}\]"):
            open_binary(f"{scheme}://footage/a.avi")
