"""How serious each measure is taken, at and beside its threshold."""

import numpy as np
import pytest

from data_pipelines.doctor_checks import Checks
from data_pipelines.doctor_findings import NOTE, UNSOUND, WARNING, of_checks, of_decoding
from data_pipelines.doctor_report import FileReport, reasons_of, status_of


def report(**about):
    values = {"frames": 1000, "declared_frames": 1000, "declared_fps": 10.0, "measured_fps": 10.0,
              "length_sec": 100.0}  # fmt: skip
    return FileReport("a.avi", "video", **{**values, **about})


def told(findings):
    return {finding.kind: finding.severity for finding in findings}


@pytest.mark.parametrize(
    ("about", "decoded", "expected"),
    [
        ({}, {}, {}),
        ({"frames": 998, "length_sec": 99.8}, {}, {"count": NOTE}),
        ({"frames": 990, "length_sec": 90.0}, {}, {"breaks off": UNSOUND}),
        ({"frames": 995, "length_sec": 90.0}, {}, {"breaks off": WARNING}),
        ({"frames": 900, "length_sec": 99.9}, {}, {"empty places": NOTE}),
        ({"frames": 990, "length_sec": 99.0, "lost": 10}, {}, {"lost": WARNING}),
        ({"frames": 989, "length_sec": 98.9, "lost": 11}, {}, {"lost": UNSOUND}),
        ({"damaged": 10}, {}, {"damaged": WARNING}),
        ({"damaged": 11}, {}, {"damaged": UNSOUND}),
        ({"damaged": 6, "lost": 6}, {}, {"damaged": UNSOUND, "lost": UNSOUND}),
        ({"log": ["[h264] bad"]}, {}, {"reported": WARNING}),
        ({"log": ["[h264] bad"], "damaged": 1}, {}, {"damaged": WARNING}),
        ({}, {"failure": "its decoder crashed"}, {"breaks off": UNSOUND}),
        ({"frames": 400, "whole": False}, {}, {"not whole": NOTE}),
        ({}, {"other_sizes": 2}, {"sizes": WARNING}),
        ({"frames": 1, "declared_frames": 1}, {}, {"one frame": WARNING}),
        ({"declared_frames": None, "frames": 3}, {}, {}),
    ],
)
def test_what_decoding_tells(about, decoded, expected):
    assert told(of_decoding(report(**about), decoded)) == expected


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({"measured_fps": 10.2}, {}),
        ({"measured_fps": 10.3}, {"rate": NOTE}),
        ({"measured_fps": 11.0, "length_sec": 91.0}, {"rate": NOTE}),
        ({"measured_fps": 11.2, "length_sec": 89.0}, {"rate": UNSOUND}),
        ({"measured_fps": 8.8, "length_sec": 113.0}, {"rate": NOTE}),
        ({"declared_fps": None}, {"rate": WARNING}),
        ({"measured_fps": None}, {}),
    ],
)
def test_how_far_the_clock_may_be_off(about, expected):
    assert told(of_checks(report(**about), Checks())) == expected


def test_faults_are_added_up():
    checks = Checks()
    for kind, begin in (("black", 0.0), ("frozen", 50.0)):
        checks.stretches[kind].add(begin, begin + 5.0, True)
        checks.stretches[kind].end()
    assert told(of_checks(report(), checks)) == {"black": WARNING, "frozen": WARNING}
    checks.stretches["blurred"].add(70.0, 72.0, True)
    checks.stretches["blurred"].end()
    found = of_checks(report(), checks)
    assert told(found) == dict.fromkeys(("black", "frozen", "blurred"), UNSOUND)
    assert found[0].text == "black for 5.0 seconds, 5% of it"
    assert found[0].stretches == [[0.0, 5.0]]


def test_gaps_moves_and_cuts_are_counted():
    checks = Checks()
    for time_sec in (0.0, 0.1, 0.2, 9.0, 9.1, 9.1):
        checks.clock.add(time_sec)
    checks.moves.found.add(3.0)
    checks.cuts.found.add(np.float64(4.00049))
    found = {finding.kind: finding for finding in of_checks(report(), checks)}
    assert {kind: finding.severity for kind, finding in found.items()} == {
        "gap": WARNING, "clock": UNSOUND, "camera moved": WARNING, "scene cut": NOTE,
    }  # fmt: skip
    assert found["gap"].text == "1 gap in time" and found["gap"].stretches == [[0.2, 9.0]]
    assert found["scene cut"].stretches == [[4.0, 4.0]]


def test_the_status_is_that_of_the_worst_finding():
    file = report()
    assert status_of(file) == "healthy"
    for severity, status in ((NOTE, "healthy"), (WARNING, "warning"), (UNSOUND, "unsound"),
                             (NOTE, "unsound")):  # fmt: skip
        file.findings += of_decoding(report(damaged={NOTE: 0, WARNING: 1, UNSOUND: 99}[severity],
                                            whole=severity != NOTE), {})  # fmt: skip
        assert status_of(file) == status
    assert reasons_of([file], []) == ["a.avi: 99 frames are damaged"]
    assert status_of(FileReport("notes.txt", "other: text")) == "ignored"
    assert reasons_of([file], [["a", "b"]])[-1] == "training and test show the same: a, b"
    assert reasons_of([FileReport("notes.txt", "other: text")], []) == [
        "there is no video that can be read"
    ]
