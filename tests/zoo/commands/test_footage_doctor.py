"""`zoo doctor PATH`: text, JSON, page and exit code."""

import json
import re

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from data_pipelines import doctor as library
from data_pipelines.doctor_findings import Finding
from data_pipelines.doctor_report import FileReport, Report
from zoo.commands import doctor
from zoo.commands.app import app
from zoo.commands.footage_doctor import as_text, clock, printable, write_page


@pytest.fixture
def footage(tmp_path):
    """A folder with one healthy video; the function writes another."""

    def write(name, frames):
        path = tmp_path / "footage" / name
        path.parent.mkdir(exist_ok=True)
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 64))
        for frame in frames:
            writer.write(np.repeat(frame[..., None], 3, axis=2))
        writer.release()

    rng = np.random.default_rng(0)
    write("good.avi", rng.integers(30, 220, (30, 64, 96), dtype=np.uint8))
    write.folder = tmp_path / "footage"
    return write


def run(*arguments):
    return CliRunner().invoke(app, ["doctor", *map(str, arguments)])


def test_healthy_footage_exits_with_0(footage):
    result = run(footage.folder)
    assert result.exit_code == 0, result.output
    assert re.search(r"good\.avi +healthy +mjpeg +64x96 +10 +10 +30 +3\.0", result.stdout)
    assert "Training on it would be sound." in result.stdout


def test_unsound_footage_exits_with_1_and_says_why(footage):
    footage("dark.avi", np.full((40, 64, 96), 9, np.uint8))
    (footage.folder / "text [bold].avi").write_text("no video")
    result = run(footage.folder, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["sound"] is False and report["counts"]["unsound"] == 2
    found = {file["name"]: file["findings"] for file in report["files"]}
    assert found["dark.avi"][0]["stretches"] == [[0.0, 4.0]]
    text = run(footage.folder)
    assert text.exit_code == 1
    assert "unsound black for 4.0 seconds, 100% of it at 0:00.0-0:04.0" in text.stdout
    # Brackets are no markup.
    assert "text [bold].avi: it is text, not a video" in text.stdout


def test_the_page_has_pictures_and_everything_that_was_found(footage, tmp_path):
    footage("dark.avi", np.full((40, 64, 96), 9, np.uint8))
    (footage.folder / "<script>.avi").write_text("no video")
    page = tmp_path / "out" / "page.html"
    assert run(footage.folder, "--html", page).exit_code == 1
    text = page.read_text()
    for words in ("good.avi", "dark.avi", "&lt;script&gt;.avi", "black for 4.0 seconds", "64x96",
                  "would be unsound", "it is text, not a video"):  # fmt: skip
        assert words in text
    assert "<script>" not in text and text.count("data:image/jpeg;base64,") >= 2
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "`PATH` nowhere does not exist"),
        (("--html", "x.html"), "`--html` must come with footage to examine"),
        ((".", "--seconds-per-file", "0"), "`--seconds-per-file` must be above 0"),
        ((".", "--html", "."), "`--html` must be a file"),
    ],
)
def test_wrong_usage_exits_with_2(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2 and message in result.stderr


def test_the_limit_of_time_is_that_of_the_library():
    assert doctor.SECONDS_PER_FILE == library.SECONDS_PER_FILE


def test_odd_names_are_written_in_one_line(tmp_path):
    file = FileReport("a\nb\udcff[red].avi", "video", status="unsound")
    file.findings = [Finding("gap", "warning", "2 gaps", [[n, n + 1.5] for n in range(9)])]
    file.log = ["[h264] \x1b[31mbad"]
    report = Report("x", "video_files", [file], [["a\nb\udcff[red].avi", "c"]], [], ["why\n"])
    text = as_text(report)
    assert r"a\nb\xff[red].avi" in text and "\x1b" not in text
    assert "0:05.0-0:06.5, ..." in text
    write_page(tmp_path / "page.html", report)
    assert r"a\nb\xff[red].avi" in (tmp_path / "page.html").read_text("utf-8")


def test_times_read_as_on_a_player():
    assert [clock(s) for s in (0, 59.96, 61.04, 3725.5)] == ["0:00.0", "1:00.0", "1:01.0",
                                                             "1:02:05.5"]  # fmt: skip
    assert printable("Überfall-監視") == "Überfall-監視"
