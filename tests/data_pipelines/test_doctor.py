"""What is said of files, healthy and broken; no file ends the run and every file is reported."""

import json
import os
import shutil
import types
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import data_pipelines
from data_pipelines import doctor, doctor_item, workers


@pytest.fixture(autouse=True)
def _no_process_stays():
    yield
    workers._pool.close()


def examined(path, **arguments):
    return {file.name: file for file in doctor.examine(path, workers=2, **arguments).files}


def kinds(file):
    return {finding.kind: finding.severity for finding in file.findings}


def test_a_healthy_file_is_healthy_and_described(tmp_path, film, street):
    film(tmp_path / "a.mkv", street(60))
    report = doctor.examine(tmp_path)
    (file,) = report.files
    assert report.sound and file.status == "healthy" and file.findings == [] and file.log == []
    assert (file.codec, file.height, file.width, file.frames) == ("ffv1", 96, 144, 60)
    assert file.declared_fps == 10 and file.measured_fps == pytest.approx(10, rel=1e-3)
    assert file.length_sec == pytest.approx(6.0) and file.whole
    json.dumps(report.to_dict(), allow_nan=False)
    assert doctor.examine(tmp_path / "a.mkv").files[0].name == "a.mkv"


def test_faults_are_found_in_files_with_their_seconds(tmp_path, film, street):
    frames = street(150)
    frames[50:100] = frames[50]
    film(tmp_path / "frozen.mkv", frames)
    film(tmp_path / "little.mkv", np.concatenate([street(600, 1), np.repeat(street(1), 25, 0)]))
    found = examined(tmp_path)
    assert kinds(found["frozen.mkv"]) == {"frozen": "unsound"}
    (frozen,) = found["frozen.mkv"].findings
    assert frozen.stretches == [[pytest.approx(5.0, abs=0.2), pytest.approx(9.9, abs=0.2)]]
    # Less than a tenth of the time is to be looked at, and costs nothing.
    assert kinds(found["little.mkv"])["frozen"] == "warning"
    assert found["little.mkv"].status == "warning"


def test_times_of_files_are_followed(tmp_path, film, street):
    frames = street(60)
    times = np.arange(60) / 10 + 7.0 * (np.arange(60) >= 30)
    film(tmp_path / "gap.mkv", frames, times=times)
    half = film(tmp_path / "half.ts", frames, codec="mpeg2video", pixels="yuv420p", rate=25)
    (tmp_path / "back.ts").write_bytes(2 * half.read_bytes())
    half.unlink()
    found = examined(tmp_path)
    (gap,) = [finding for finding in found["gap.mkv"].findings if finding.kind == "gap"]
    assert gap.severity == found["gap.mkv"].status == "warning"
    assert gap.stretches == [[pytest.approx(2.9), pytest.approx(10.0)]]
    assert kinds(found["back.ts"])["clock"] == "unsound"


def test_what_is_no_video_is_told_by_what_it_is(tmp_path, film, street):
    film(tmp_path / "good.mkv", street(20))
    (tmp_path / "text.mp4").write_text("not a video\n" * 50)
    (tmp_path / "empty.avi").touch()
    (tmp_path / "noise.avi").write_bytes(b"\0\1\2\3" * 500)
    (tmp_path / "zip.mkv").write_bytes(b"PK\3\4" + bytes(100))
    cv2.imwrite(str(tmp_path / "x.png"), street(1)[0])
    (tmp_path / "x.png").rename(tmp_path / "image.mov")
    (tmp_path / "notes.txt").write_text("x")
    shutil.copy(tmp_path / "good.mkv", tmp_path / "video.bin")
    report = doctor.examine(tmp_path)
    found = {file.name: file for file in report.files}
    assert {name: [f.text for f in file.findings][:1] for name, file in found.items()} == {
        "good.mkv": [], "notes.txt": [],
        "text.mp4": ["it is text, not a video"], "empty.avi": ["it is empty, not a video"],
        "noise.avi": ["it cannot be opened as a video: Invalid data found when processing input"],
        "zip.mkv": ["it is a zip archive, not a video"],
        "image.mov": ["it cannot be opened as a video: it is an image"],
        "video.bin": ["it is a video by its content and not by its name: it will not be read"],
    }  # fmt: skip
    assert found["notes.txt"].status == "ignored" and found["video.bin"].status == "warning"
    assert not report.sound and len(report.reasons) == 5


def test_a_codec_that_is_not_there_is_named_with_what_brings_it(tmp_path, film, street):
    path = film(tmp_path / "a.mkv", street(10), codec="mpeg4", pixels="yuv420p")
    content = path.read_bytes().replace(b"V_MPEG4/ISO/ASP", b"V_AVS3".ljust(15, b"\0"))
    path.write_bytes(content)
    path = film(tmp_path / "b.avi", street(10), codec="mpeg4", pixels="yuv420p")
    path.write_bytes(path.read_bytes().replace(b"FMP4", b"XYZW"))
    found = examined(tmp_path)
    known, unknown = (found[name].findings[0].text for name in ("a.mkv", "b.avi"))
    assert "its codec is avs3" in known and "libuavs3d brings it" in known
    assert "its codec, XYZW, is unknown to FFmpeg" in unknown
    assert found["a.mkv"].status == "unsound"


def test_a_file_that_was_cut_off_or_damaged_says_what_is_lost(tmp_path, film, street):
    whole = film(tmp_path / "cut.mp4", street(60), codec="mpeg4", pixels="yuv420p")
    whole.write_bytes(whole.read_bytes()[:-2000])
    avi = film(tmp_path / "cut.avi", street(60), codec="mjpeg", pixels="yuvj420p")
    avi.write_bytes(avi.read_bytes()[: avi.stat().st_size // 2])
    hurt = film(tmp_path / "hurt.avi", street(60), codec="mjpeg", pixels="yuvj420p")
    content = bytearray(hurt.read_bytes())
    begin = content.find(b"\xff\xd8", len(content) // 2)
    end = content.find(b"\xff\xd9", begin)
    content[begin:end] = bytes(end - begin)
    hurt.write_bytes(content)
    found = examined(tmp_path)
    assert "no whole `moov` box" in found["cut.mp4"].findings[0].text
    assert kinds(found["cut.avi"])["breaks off"] == "unsound"
    assert found["hurt.avi"].lost + found["hurt.avi"].damaged >= 1
    assert {"lost", "damaged"} & set(kinds(found["hurt.avi"]))
    assert any("mjpeg" in line and "0x" not in line for line in found["hurt.avi"].log)
    assert all(file.status == "unsound" for file in found.values())


def test_a_decoder_that_crashes_or_hangs_costs_its_file(tmp_path, film, street, dying_decoder):
    film(tmp_path / "good.mkv", street(30))
    abort = film(tmp_path / "abort.mkv", street(30, 1))
    abort.write_bytes(abort.read_bytes() + dying_decoder.ABORT)
    # With time enough for a process to start on a busy machine.
    found = examined(tmp_path, seconds_per_file=300)
    assert found["good.mkv"].status == "healthy"
    (finding,) = [f for f in found["abort.mkv"].findings if f.kind == "breaks off"]
    assert "its decoder crashed (SIGABRT)" in finding.text and finding.severity == "unsound"
    assert any("made to abort" in line for line in found["abort.mkv"].log)
    hang = film(tmp_path / "other" / "hang.mkv", street(30, 2))
    hang.write_bytes(hang.read_bytes() + dying_decoder.HANG)
    (finding,) = examined(hang.parent, seconds_per_file=6)["hang.mkv"].findings
    assert finding.kind == "breaks off" and "gave nothing for" in finding.text


def test_of_a_long_video_the_part_that_was_reached_is_judged(tmp_path, film, street, monkeypatch):
    film(tmp_path / "long.mkv", street(600))
    add, passed = doctor_item.Checks.add, []

    def slowly(self, *arguments):
        passed.append(0.25)
        return add(self, *arguments)

    monkeypatch.setattr(doctor_item.Checks, "add", slowly)
    clock = types.SimpleNamespace(monotonic=lambda: sum(passed))
    monkeypatch.setattr(doctor_item, "time", clock)
    report = doctor.examine(tmp_path, seconds_per_file=60)
    (file,) = report.files
    assert report.sound and file.status == "healthy" and not file.whole
    assert file.frames == 241 and kinds(file) == {"not whole": "note"}


def test_a_file_that_changes_while_it_is_read_is_said(tmp_path, film, street, monkeypatch):
    path = film(tmp_path / "a.mkv", street(30))
    add = doctor_item.Checks.add

    def growing(self, *arguments):
        with open(path, "ab") as file:
            file.write(b"more")
        return add(self, *arguments)

    monkeypatch.setattr(doctor_item.Checks, "add", growing)
    assert kinds(examined(tmp_path)["a.mkv"]) == {"changed": "unsound"}
    monkeypatch.setattr(doctor_item.Checks, "add", lambda *arguments: path.unlink(missing_ok=True))
    assert kinds(examined(tmp_path)["a.mkv"])["changed"] == "unsound"


def test_names_of_any_letters_and_a_file_that_may_not_be_read(tmp_path, film, street, monkeypatch):
    made = film(tmp_path / "made.mkv", street(12))
    names = ["with space.mkv", "new\nline.mkv", "Überfall-監視.mkv", "-i.mkv",
             os.fsdecode(b"\xff\xfe.mkv")]  # fmt: skip
    for name in names:
        shutil.copy(made, tmp_path / name)
    shutil.copy(made, tmp_path / "closed.mkv")
    real = doctor_item.content

    def refuse(path):
        if path.name == "closed.mkv":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(doctor_item, "content", refuse)
    found = examined(tmp_path)
    assert {name: found[name].frames for name in names} == dict.fromkeys(names, 12)
    assert found["closed.mkv"].findings[0].text == "it cannot be read: Permission denied"
    # Equal byte by byte, which is told of videos too short to have moments.
    assert kinds(found["with space.mkv"]) == {"near-duplicate": "warning"}


@pytest.mark.parametrize(
    ("size", "frames", "findings"),
    [((96, 144), 1, {"one frame": "warning"}), ((1, 1), 12, {}), ((4320, 7680), 2, {})],
)
def test_odd_sizes_and_lengths(tmp_path, film, size, frames, findings):
    rng = np.random.default_rng(0)
    shown = [np.broadcast_to(np.uint8(rng.integers(60, 200)), size) for _ in range(frames)]
    film(tmp_path / "a.mkv", shown, codec="rawvideo" if size == (1, 1) else "ffv1")
    file = examined(tmp_path)["a.mkv"]
    assert (file.height, file.width, file.frames) == (*size, frames)
    assert kinds(file) == findings


@pytest.mark.parametrize(("scale", "rate", "status"), [
    (0, 0, "healthy"), (1, 0, "healthy"), (1, 2**32 - 10, "unsound"),
])  # fmt: skip
def test_rates_of_zero_and_below(tmp_path, film, street, scale, rate, status):
    """FFmpeg reads a rate of zero as 25; one below zero, in an unsigned field, is a huge one."""
    path = film(tmp_path / "a.avi", street(30), codec="mpeg4", pixels="yuv420p")
    content = bytearray(path.read_bytes())
    at = content.find(b"strh") + 8 + 20
    content[at : at + 8] = scale.to_bytes(4, "little") + rate.to_bytes(4, "little")
    path.write_bytes(content)
    file = examined(tmp_path)["a.avi"]
    assert file.frames == 30 and file.status == status
    assert (kinds(file).get("rate") == "unsound") is (status == "unsound")


def test_folders_of_images_are_videos(tmp_path, street):
    for name, seed in (("a", 0), ("b", 1)):
        (tmp_path / name).mkdir()
        for number, frame in enumerate(street(40, seed)):
            cv2.imwrite(str(tmp_path / name / f"{number:03d}.png"), frame)
    (tmp_path / "b" / "007.png").write_bytes(b"\x89PNG broken")
    cv2.imwrite(str(tmp_path / "b" / "009.png"), street(1, size=(48, 72))[0])
    found = examined(tmp_path)
    assert found["a"].status == "healthy"
    assert (found["a"].frames, found["a"].files, found["a"].height) == (40, 40, 96)
    assert found["b"].lost == 1 and found["b"].status == "unsound"
    assert "007.png" in found["b"].findings[0].text and kinds(found["b"])["sizes"] == "warning"


def test_strips_are_cut_into_frames(tmp_path, street):
    (tmp_path / "walk").mkdir()
    frames = street(60, size=(66, 66))[:, :64, :64]
    cv2.imwrite(str(tmp_path / "walk" / "ann_walk.png"), np.concatenate(frames, axis=1))
    cv2.imwrite(str(tmp_path / "walk" / "bob_walk.png"), np.zeros((64, 100), np.uint8))
    found = examined(tmp_path)
    assert (found["walk/ann_walk"].frames, found["walk/ann_walk"].status) == (60, "healthy")
    assert "strip of 64x64" in found["walk/bob_walk"].findings[0].text


def test_a_video_on_both_sides_is_a_leak_and_is_kept_together(tmp_path, film, street):
    film(tmp_path / "train" / "a.mkv", street(200, 0))
    film(tmp_path / "train" / "b.mkv", street(200, 1))
    film(tmp_path / "train" / "c.mkv", street(200, 2))
    # Encoded again, smaller, and without its beginning.
    small = [cv2.resize(f, (120, 80), interpolation=cv2.INTER_AREA) for f in street(200, 1)[30:]]
    film(tmp_path / "test" / "x.avi", small, codec="mpeg4", pixels="yuv420p")
    report = doctor.examine(tmp_path)
    assert report.near_duplicates == report.leaks == [["test/x.avi", "train/b.mkv"]]
    assert not report.sound
    assert report.reasons == ["training and test show the same: test/x.avi, train/b.mkv"]
    source = data_pipelines.open_source(tmp_path)
    for seed in range(5):
        sides = data_pipelines.split(
            source, "group", 0.4, seed, near_duplicates=report.near_duplicates
        )
        names = [{video.name for video in side.videos} for side in sides]
        assert any({"test/x.avi", "train/b.mkv"} <= side for side in names)


def test_pictures_are_kept_when_asked_for(tmp_path, film, street):
    frames = street(90)
    frames[40:] //= 30
    film(tmp_path / "a.mkv", frames)
    (plain,) = doctor.examine(tmp_path).files
    (file,) = doctor.examine(tmp_path, thumbnails=True).files
    assert plain.thumbnails == []
    assert [caption.partition(",")[2] for caption, _ in file.thumbnails] == ["", " black"]
    assert cv2.imdecode(np.frombuffer(file.thumbnails[0][1], np.uint8), 0).shape == (96, 144)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"seconds_per_file": 0}, "`seconds_per_file` must be above 0"),
     ({"workers": 0}, "`workers` must be at least 1 or None. Received: workers=0")],
)  # fmt: skip
def test_a_wrong_argument_is_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        doctor.examine(tmp_path, **arguments)


def test_a_folder_without_a_video_is_unsound(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    report = doctor.examine(tmp_path)
    assert report.reasons == ["there is no video that can be read"]


def test_the_log_is_tidied():
    lines = ["[h264 @ 0x55aa] bad", "    Last message repeated 3 times", "[h264 @ 0x66bb] bad", ""]
    assert doctor_item.tidied(lines) == ["[h264] bad (5 times)"]


@pytest.mark.real_data
def test_real_footage_is_healthy(real_data):
    names = ("vtest.avi", "bikes.mp4", "tree.avi", "carphone_pristine.mp4")
    for name in names:
        (file,) = doctor.examine(real_data / "clips" / name).files
        assert file.status == "healthy", file.findings
    report = doctor.examine(real_data / "weizmann")
    assert report.sound and report.near_duplicates == []
    assert {file.status for file in report.files} == {"healthy"}


@pytest.mark.real_data
def test_the_clock_of_a_real_file_is_measured(real_data):
    path = Path(real_data / "clips" / "carphone_pristine.mp4")
    with av.open(str(path)) as container:
        rate = float(container.streams.video[0].average_rate)
    (file,) = doctor.examine(path).files
    assert file.measured_fps == pytest.approx(rate, rel=0.01)
