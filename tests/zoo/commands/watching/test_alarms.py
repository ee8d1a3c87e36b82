import io
import json
import os
import shutil
import sys

import cv2
import numpy as np
import pytest

from zoo.commands.watching import alarms
from zoo.commands.watching.alarms import AlarmLog, alarm_of, to_jpeg
from zoo.evaluation.events import ENDED, Event


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_alarm_says_what_where_and_when(scored):
    frame = scored(threshold=np.float32(0.25))
    alarm = alarm_of(frame, frame.events[0], still="stills/a.jpg")
    assert len(alarm.pop("id")) == 32
    assert alarm == {
        "time": "2023-11-14T22:13:20.000Z",
        "camera": "gate",
        "track": 3,
        "state": "begun",
        "score": 0.3,
        "threshold": 0.25,
        "box": [8, 16, 24, 40],
        "start": "2023-11-14T22:13:19.500Z",
        "still": "stills/a.jpg",
    }


def test_every_alarm_has_an_id_of_its_own(scored):
    frame = scored()
    assert len({alarm_of(frame, frame.events[0])["id"] for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("time_sec", "start", "end"),
    [
        # The frame that tells it comes later than the last one that showed it.
        (10.75, "2023-11-14T22:13:18.750Z", "2023-11-14T22:13:19.250Z"),
        # The clock of the source was put back to 0.
        (0.0, "2023-11-14T22:13:20.000Z", "2023-11-14T22:13:20.000Z"),
    ],
)
def test_an_event_that_ended_did_so_at_the_last_frame_that_showed_it(scored, time_sec, start, end):
    event = Event(3, ENDED, 9.5, 10.0, 0.3, 10.0, (8, 16, 24, 40), ())
    alarm = alarm_of(scored(time_sec=time_sec), event)
    assert (alarm["state"], alarm["start"], alarm["time"]) == ("ended", start, end)


def test_any_name_of_a_camera_makes_one_line(scored, tmp_path):
    frame = scored(camera="gate\n\x1b[2J\udcff")
    log = AlarmLog(tmp_path / "alarms.jsonl")
    log.tell(alarm_of(frame, frame.events[0]))
    (alarm,) = lines_of(tmp_path / "alarms.jsonl")
    assert alarm["camera"] == r"gate\n\x1b[2J\xff"


def test_alarms_are_in_the_file_when_tell_returns_also_of_a_run_before(tmp_path):
    path = tmp_path / "alarms.jsonl"
    for number in range(3):
        log = AlarmLog(path)
        log.tell({"number": number})
        assert lines_of(path) == [{"number": n} for n in range(number + 1)]
        log.close()


def test_when_a_full_disk_has_room_again_alarms_are_written_by_themselves(
    tmp_path, full_disk, eventually, monkeypatch
):
    monkeypatch.setattr(alarms, "RETRY_SECONDS", 0.01)
    path = tmp_path / "alarms.jsonl"
    log = AlarmLog(path)
    with full_disk():
        log.tell({"number": 1})
        log.tell({"number": 2})
        assert "File too large" in log.trouble and lines_of(path) == []
    eventually(lambda: log.trouble is None)
    assert lines_of(path) == [{"number": 1}, {"number": 2}]
    log.tell({"number": 3})
    log.close()
    assert [alarm["number"] for alarm in lines_of(path)] == [1, 2, 3]


def test_closing_writes_what_waited(tmp_path, full_disk):
    log = AlarmLog(tmp_path / "alarms.jsonl")
    with full_disk():
        log.tell({"number": 1})
    log.close()
    assert lines_of(tmp_path / "alarms.jsonl") == [{"number": 1}] and log.trouble is None


def test_without_a_file_they_go_to_standard_output(capsys):
    log = AlarmLog(None)
    log.tell({"number": 1})
    assert capsys.readouterr() == ('{"number": 1}\n', "")
    log.close()
    assert log.trouble is None


def test_a_standard_output_without_room_is_trouble_that_passes(monkeypatch, tmp_path):
    class Output(io.RawIOBase):
        is_full, written = True, b""

        def writable(self):
            return True

        def write(self, data):
            if self.is_full:
                raise OSError(28, "No space left on device")
            self.written += bytes(data)
            return len(data)

    raw = Output()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(raw)))
    log = AlarmLog(None)
    log.tell({"number": 1})
    assert log.trouble.startswith("standard output cannot be written: No space left on device;")
    assert log.close() == ([b'{"number": 1}\n'], 0)
    raw.is_full = False
    log.tell({"number": 2})
    assert log.trouble is None and raw.written == b'{"number": 1}\n{"number": 2}\n'
    assert log.close() == ([], 0)


def test_a_reader_of_standard_output_that_is_gone_ends_nothing(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", closefd=False) as output:
        monkeypatch.setattr(sys, "stdout", output)
        log = AlarmLog(None)
        log.tell({"number": 1})
        assert "Broken pipe" in log.trouble
        assert log.close() == ([b'{"number": 1}\n'], 0)
    os.close(writer)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_still_is_the_picture(tmp_path, scored, channels):
    image = np.zeros((48, 64, channels), np.uint8)
    image[:24, :, 0] = 200
    frame = scored(camera="rtsp://***@gate:554/live 1")
    path = AlarmLog(None, tmp_path / "stills").still(image, frame, frame.events[0])
    read = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    assert path.startswith(f"{tmp_path}/stills/20231114T221320.000Z-rtsp_gate_554_live_1-3-")
    expected = image[..., 0] if channels == 1 else image[..., ::-1]
    assert read.shape == expected.shape
    assert np.abs(read.astype(int) - expected)[:, :60].mean() < 4


def test_stills_of_the_same_moment_do_not_overwrite_each_other(tmp_path, scored):
    log = AlarmLog(None, tmp_path)
    paths = {
        log.still(frame.image, frame, frame.events[0])
        for frame in (scored(camera="a b"), scored(camera="a_b"), scored(camera="a b"))
    }
    assert len(paths) == 3 == len(list(tmp_path.iterdir()))


def test_on_a_full_disk_there_is_no_still_and_no_part_of_one(tmp_path, scored, full_disk):
    log = AlarmLog(None, tmp_path)
    frame = scored()
    with full_disk(most_bytes=100):
        assert log.still(frame.image, frame, frame.events[0]) is None
    assert log.trouble == f"no stills can be written to {tmp_path}: File too large"
    assert not list(tmp_path.iterdir())
    assert log.still(frame.image, frame, frame.events[0]) and log.trouble is None


def test_stills_leave_room_on_the_disk_for_alarms(tmp_path, scored, monkeypatch):
    free = alarms.SPARED_BYTES - 1
    usage = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(alarms.shutil, "disk_usage", lambda folder: usage(2 * free, free, free))
    log = AlarmLog(tmp_path / "alarms.jsonl", tmp_path / "stills")
    frame = scored()
    assert log.still(frame.image, frame, frame.events[0]) is None
    assert log.trouble.endswith("stills: less than 64 MiB are left there")
    log.tell(alarm_of(frame, frame.events[0]))
    assert len(lines_of(tmp_path / "alarms.jsonl")) == 1 and log.stills_missed == 1
    free += 1
    assert log.still(frame.image, frame, frame.events[0]) and log.trouble is None
    assert log.stills_missed == 1


def test_without_a_folder_there_is_no_still(scored):
    frame = scored()
    assert AlarmLog(None).still(frame.image, frame, frame.events[0]) is None


def test_a_jpeg_has_its_colours():
    image = np.zeros((16, 16, 3), np.uint8)
    image[..., 0] = 255  # Red.
    decoded = cv2.imdecode(np.frombuffer(to_jpeg(image, 95), np.uint8), cv2.IMREAD_COLOR)
    assert decoded[..., 2].mean() > 240 and decoded[..., 0].mean() < 20


def test_a_clock_that_is_out_of_its_mind_ends_nothing():
    assert alarms.utc(1e12) == "9999-12-31T23:59:59.000Z"
    assert alarms.utc(-1e12) == "1970-01-01T00:00:00.000Z"
