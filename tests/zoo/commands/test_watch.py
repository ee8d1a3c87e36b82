"""`zoo watch`: footage and cameras in, lines of JSON out, and a clean end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from zoo.commands import watch
from zoo.commands.app import app

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def film(tmp_path):
    """A video file of a square that goes right, a minute of ten frames a second."""
    path = tmp_path / "gate.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 64))
    for number in range(600):
        image = np.full((64, 96, 3), 60, np.uint8)
        image[16:32, number % 80 : number % 80 + 16] = 220
        writer.write(image)
    writer.release()
    return path


def run(*words):
    return CliRunner().invoke(app, ["watch", *map(str, words)])


def test_alarms_go_to_standard_output_and_a_table_to_standard_error(run_folder, film):
    done = run(run_folder, film, "--threshold", 1e-9, "--max-speed", "--max-frames", 30)
    assert done.exit_code == 0, done.output
    states = [json.loads(line)["state"] for line in done.stdout.splitlines()]
    assert states.count("begun") == states.count("ended") >= 1
    head, row = done.stderr.splitlines()[-2:]
    assert head.split() == ["frames", "dropped", "seconds", "per", "second", "events"]
    assert row.split()[:3] == ["gate.avi", "30", "0"] and row.split()[-1] == str(len(states) // 2)


def test_json_is_one_object_beside_a_file_of_alarms(run_folder, film, tmp_path):
    words = [run_folder, f"gate={film}", "--threshold", 1e-9, "--max-speed", "--max-frames", 30]
    refused = run(*words, "--json")
    assert refused.exit_code == 2 and "`--alarms` must be a file with --json" in refused.stderr
    done = run(*words, "--json", "--alarms", tmp_path / "alarms.jsonl")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["sources"]["gate"]
    assert (found["frames"], found["dropped"], found["failure"]) == (30, 0, None)
    assert found["events"] >= 1 and found["frames_per_second"] > 0
    lines = (tmp_path / "alarms.jsonl").read_text().splitlines()
    assert len(lines) == 2 * found["events"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["RUN", "FILM"], "`NAME_OR_RUN_OR_EXPORT` must be calibrated, or a threshold be given"),
        (["RUN", "FILM", "--threshold", "0"], "`--threshold` must be above 0. Received: "),
        (["RUN", "nowhere.avi", "--threshold", "1"], "`SOURCE` nowhere.avi does not exist"),
        (["convlstm_vea", "FILM"], "`NAME_OR_RUN_OR_EXPORT` must be a preset"),
        (["RUN", "NOTES", "--threshold", "1"], "`SOURCE` must be a video file, or a folder of"),
        (["EMPTY", "FILM"], "`NAME_OR_RUN_OR_EXPORT` must hold a version"),
        (["RUN", "FILM", "--webhook", "http://h/"], "`--webhook` must have --alarms FILE"),
        (["RUN", "FILM", "--alarms", "EMPTY"], "`--alarms` must be a file. Received"),
    ],
)
def test_wrong_usage_is_named(run_folder, film, tmp_path, words, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("what I saw\n" * 50)
    known = {"RUN": run_folder, "FILM": film, "EMPTY": tmp_path / "empty",
             "NOTES": tmp_path / "notes.txt"}  # fmt: skip
    done = run(*(known.get(word, word) for word in words))
    assert done.exit_code == 2 and said in done.stderr.splitlines()[-1]


def test_a_source_that_could_not_be_read_to_its_end_is_a_failure(run_folder, film, monkeypatch):
    from zoo.commands.watching import session

    of = {"frames": 3, "dropped": 1, "seconds": 0.25, "frames_per_second": 8.0, "events": 0}
    found = {
        "sources": {"gate": {**of, "failure": "gone"}, "door": {**of, "failure": None}},
        "pictures_dropped": 0, "stills_missed": 0, "alarms_lost": 0, "webhook_waiting": 0,
        "webhook_lost": 0,
    }  # fmt: skip
    monkeypatch.setattr(session, "watch", lambda *words, **options: found)
    done = run(run_folder, film)
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == "zoo: 1 of 2 sources could not be read"
    for lost, said in (
        ("webhook_lost", "2 alarms could not be delivered, or kept to be delivered later"),
        ("alarms_lost", "2 alarms could not be written"),
    ):
        found[lost] = 2
        done = run(run_folder, film)
        assert done.exit_code == 1 and said in done.stderr.splitlines()[-1]
    # All of it at once.
    assert done.stderr.splitlines()[-1] == (
        "zoo: 2 alarms could not be written; 2 alarms could not be delivered, or kept to be "
        "delivered later; 1 of 2 sources could not be read"
    )


def test_rates_of_too_few_frames_are_left_out():
    of = {"frames": 1, "dropped": 0, "seconds": 0.0, "frames_per_second": None, "events": 0}
    report = {"sources": {"a\nb": of}, "pictures_dropped": 3, "stills_missed": 2}
    head, row, late, missed = watch.lines(report)
    assert row.split() == ["a\\nb", "1", "0", "0.0", "-", "0"]
    assert late == "3 pictures were not drawn, as drawing was too slow"
    assert missed == "2 alarms have no still, as it could not be written or too many waited"


def closed_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    return open(writer, "wb")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("output", "reason"),
    [(lambda: open("/dev/full", "wb"), "No space left on device"), (closed_pipe, "Broken pipe")],
)
def test_alarms_that_standard_output_does_not_take_are_told_and_a_failure(
    run_folder, film, output, reason
):
    with output() as nowhere:
        done = subprocess.run(
            [sys.executable, "-m", "zoo", "watch", str(run_folder), str(film), "--threshold",
             "1e-9", "--max-speed", "--max-frames", "30"],
            stdout=nowhere, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
    said = done.stderr.splitlines()
    alarms = [json.loads(line) for line in said if line.startswith("{")]
    states = [alarm["state"] for alarm in alarms]
    assert states.count("begun") == states.count("ended") >= 1
    assert any(line.startswith(f"standard output cannot be written: {reason}") for line in said)
    assert f"{len(alarms)} alarms could not be written, and are here alone:" in said
    assert said[-1] == f"zoo: {len(alarms)} alarms could not be written" and done.returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_events_and_files(run_folder, film, number):
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo", "watch", str(run_folder), str(film), "--threshold", "1e-9"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        first = json.loads(process.stdout.readline())
        process.send_signal(number)
        rest, said = process.communicate(timeout=60)
        assert process.returncode == 0 and "Traceback" not in said
        alarms = [first, *map(json.loads, rest.splitlines())]
        tracks = {state: [one["track"] for one in alarms if one["state"] == state]
                  for state in ("begun", "ended")}  # fmt: skip
        assert sorted(tracks["begun"]) == sorted(tracks["ended"])
        frames = int(said.splitlines()[-1].split()[1])
        assert 0 < frames < 600
    finally:
        process.kill()
        process.communicate()
