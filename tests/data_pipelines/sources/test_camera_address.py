from pathlib import Path

import pytest

from data_pipelines.sources.camera_address import is_camera, parse, redacted


@pytest.mark.parametrize(
    "source,transport,target,name",
    [
        (0, "device", 0, "camera:0"),
        ("2", "device", 2, "camera:2"),
        ("camera:1", "device", 1, "camera:1"),
        ("/dev/video3", "device", 3, "camera:3"),
        ("/dev/v4l/by-id/gate", "device", "/dev/v4l/by-id/gate", "/dev/v4l/by-id/gate"),
        ("rtsp://h/1", "ffmpeg", "rtsp://h/1", "rtsp://h/1"),
        (Path("rtsp://h/1"), "ffmpeg", "rtsp://h/1", "rtsp://h/1"),
        ("RTSP://u:p@h:554/1", "ffmpeg", "rtsp://u:p@h:554/1", "rtsp://***@h:554/1"),
        ("ffmpeg+http://u:p@h/a.m3u8", "ffmpeg", "http://u:p@h/a.m3u8", "http://***@h/a.m3u8"),
        ("http://h:81/v#top", "mjpeg", "http://h:81/v", "http://h:81/v"),
        ("mjpeg+https://[::1]:8/v", "mjpeg", "https://[::1]:8/v", "https://[::1]:8/v"),
    ],
)
def test_an_address_is_taken_apart(source, transport, target, name):
    address = parse(source)
    assert (address.transport, address.target, address.name) == (transport, target, name)


def test_user_and_password_are_sent_but_not_in_the_address():
    address = parse("mjpeg+http://ad%40min:p%40s%2Fs@h/v?resolution=640x480&pwd=12")
    assert (address.user, address.password) == ("ad@min", "p@s/s")
    assert address.target == "http://h/v?resolution=640x480&pwd=12"
    assert address.name == "http://***@h/v?resolution=640x480&pwd=***"
    assert parse("http://admin@h/").password == "" and parse("http://h/").user is None


@pytest.mark.parametrize(
    "source,shown",
    [
        ("rtsp://u:se@cr/et?#x@h/1", "rtsp://***@h/1"),
        ("rtsp://h/user=admin&password=se/cr?et&channel=1&stream=0.sdp",
         "rtsp://h/user=***&password=***&channel=1&stream=0.sdp"),
        ("http://h/v?secret", "http://h/v?***"),
        ("http://h/v?secret&fps=5&ch=secret/more", "http://h/v?***&fps=5&ch=***"),
        ("http://h/v#secret", "http://h/v"),
        (Path("rtsp://u:secret@h/1"), "rtsp://***@h/1"),
        ("footage/a@b.avi", "footage/a@b.avi"),
    ],
)
def test_secrets_are_not_shown(source, shown):
    assert redacted(source) == shown


def test_a_text_is_scrubbed_of_the_secrets():
    address = parse("rtsp://bob:p%40ss@h/live?token=abc1&channel=7")
    text = address.scrub("rtsp://bob:p%40ss@h/live?token=abc1&channel=7: p@ss, p%40ss, abc1, 7")
    assert text == "***: ***, ***, ***, 7"
    for shown in (repr(address), str(address)):
        assert "bob" not in shown and "abc1" not in shown and "ss" not in shown.split("rtsp")[1][3:]


@pytest.mark.parametrize(
    "source,why",
    [
        ("footage/gate.avi", "is none of these"),
        ("mjpeg+rtsp://h/1", "has a prefix"),
        ("x+http://h/1", "has a prefix"),
        ("http:///video", "has no host"),
        ("http://u:secret@h:99999/v", "a wrong port"),
        ("http://u:secret@h:x/v", "a wrong port"),
        ("http://u:secr/et@h/v", "write @ as %40"),
        ("http://u:secret@h/a b", "holds blanks"),
    ],
)
def test_a_wrong_address_is_told_without_its_secrets(source, why):
    with pytest.raises(ValueError, match="`source` must be a device number .* Received: ") as error:
        parse(source)
    assert why in str(error.value) and "secr" not in str(error.value)
    assert error.value.__suppress_context__ or error.value.__context__ is None


@pytest.mark.parametrize("source", ["rtsp://h", "udp://@239.0.0.1:5000", "mjpeg+http://h", "7", 7,
                                    "camera:7", "/dev/video0", "ffmpeg+file:///a.avi"])
def test_what_can_only_be_a_camera_is_told(source):
    assert is_camera(source)


@pytest.mark.parametrize("source", ["http://h/v", "https://h/v", "s3://b/k", "gs://b/k", "a/7",
                                    "camera:x", "footage", "/dev/null", "²"])
def test_what_may_be_a_file_is_no_camera_by_itself(source):
    assert not is_camera(source)
