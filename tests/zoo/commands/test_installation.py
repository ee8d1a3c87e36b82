import json
import shutil
from collections import namedtuple

import pytest
from typer.testing import CliRunner

from zoo.commands import installation
from zoo.commands.app import app

GOOD = {
    "tensorflow": "2.21.0", "keras": "3.15.1", "tensorflow-probability": "0.25.0",
    "tf-keras": "2.21.0", "numpy": "2.4.6", "scikit-learn": "1.9.1", "matplotlib": "3.11.2",
    "tensorboard": "2.21.0", "av": "18.1.0", "jinja2": "3.1.6", "google-crc32c": "1.9.0",
    "opencv-python": "5.0.0.93",
}  # fmt: skip
READS_AND_WRITES = ({"motion JPEG": True, "MPEG-4": True}, None)


def statuses(checks):
    return {check.name: check.status for check in checks}


def test_this_installation_is_healthy():
    """Probes the real packages, so it fails where `make install` made something broken."""
    result = CliRunner().invoke(app, ["doctor", "--json"])
    report = json.loads(result.stdout)
    failed = [check for check in report["checks"] if check["status"] == "failed"]
    assert failed == []
    assert report["healthy"] is True
    assert result.exit_code == 0
    names = [check["name"] for check in report["checks"]]
    assert names[:6] == [
        "python", "packages", "devices", "opencv", "tensorflow-io", "remote paths"
    ]
    assert "http:// requests" in report["checks"][5]["found"]
    devices = report["checks"][2]["found"]
    assert "CPU" in devices
    assert "precision auto = " in devices


def test_a_failed_check_gives_the_remedy_and_exit_code_1(monkeypatch):
    checks = [
        installation.Check("python", "ok", "3.11.7"),
        installation.Check(
            "opencv", "failed", "missing: opencv-python", "pip install opencv-python"
        ),
    ]
    monkeypatch.setattr(installation, "run_checks", lambda: checks)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "failed  opencv: missing: opencv-python" in result.stdout
    assert "-> pip install opencv-python" in result.stdout
    assert result.stderr == "zoo: will not work until mended: opencv\n"
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["healthy"] is False


@pytest.mark.parametrize(
    ("version", "status"), [((3, 10, 9), "failed"), ((3, 11, 0), "ok"), ((3, 13, 0), "warning")]
)
def test_python_is_promised_for_3_11_only(version, status):
    assert installation.check_python(version).status == status


def test_versions_that_go_together_pass():
    assert statuses(installation.check_packages(GOOD)) == {"packages": "ok"}
    older = {"tensorflow": "2.17.1", "tf-keras": "2.17.0", "tensorflow-probability": "0.24.0"}
    assert statuses(installation.check_packages({**GOOD, **older})) == {"packages": "ok"}


@pytest.mark.parametrize(
    ("changed", "name", "status", "remedy"),
    [
        ({"tf-keras": "2.20.1"}, "tf-keras", "failed", "tf-keras==2.21.*"),
        ({"tensorflow-probability": "0.24.0"}, "tensorflow-probability", "failed", "0.25.*"),
        ({"tensorflow": "2.17.1", "tf-keras": "2.17.0"}, "tensorflow-probability", "failed",
         "tensorflow-probability==0.24.*"),
        ({"tensorflow": "2.16.2", "tf-keras": "2.16.0"}, "tensorflow", "failed", "tensorflow"),
        ({"tensorflow": "2.20.0", "tf-keras": "2.20.1"}, "tensorflow", "warning", None),
        ({"tensorflow": "2.22.0", "tf-keras": "2.22.0"}, "tensorflow", "warning", None),
        ({"keras": "2.15.0"}, "keras", "failed", "keras"),
    ],
)  # fmt: skip
def test_versions_that_do_not_go_together_are_named(changed, name, status, remedy):
    found = {check.name: check for check in installation.check_packages({**GOOD, **changed})}
    assert found[name].status == status
    if remedy:
        assert remedy in found[name].remedy


def test_missing_packages_are_named_together():
    versions = {name: version for name, version in GOOD.items() if name[:2] != "tf"}
    del versions["scikit-learn"]
    (check,) = installation.check_packages(versions)
    assert check.status == "failed"
    assert check.found == "missing: tf-keras, scikit-learn"
    assert check.remedy.endswith("tf-keras scikit-learn")


def test_a_tensorflow_that_does_not_load_shows_its_complaint():
    check = installation.check_tensorflow((None, "ended by signal 4: no AVX"))
    assert check.status == "failed"
    assert "ended by signal 4: no AVX" in check.found


def test_keras_on_another_backend_fails():
    answer = {"backend": "jax", "devices": ["CPU"], "precision": "float32"}
    check = installation.check_tensorflow((answer, None))
    assert (check.name, check.status) == ("keras backend", "failed")
    assert "KERAS_BACKEND=tensorflow" in check.remedy


def test_opencv_without_libgl_names_the_headless_wheel_of_its_version():
    complaint = "ImportError: libGL.so.1: cannot open shared object file"
    check = installation.check_opencv(GOOD, lambda: (None, complaint))
    assert check.status == "failed"
    assert complaint in check.found
    assert "opencv-python-headless==5.0.0.93" in check.remedy


@pytest.mark.parametrize(
    ("versions", "answer", "status"),
    [
        (GOOD, READS_AND_WRITES, "ok"),
        ({"opencv-python-headless": "5.0.0.93"}, READS_AND_WRITES, "ok"),
        ({**GOOD, "opencv-python-headless": "5.0.0.93"}, READS_AND_WRITES, "warning"),
        (GOOD, ({"motion JPEG": True, "MPEG-4": False}, None), "failed"),
        ({}, READS_AND_WRITES, "failed"),
    ],
)
def test_opencv_must_be_there_once_and_read_what_it_writes(versions, answer, status):
    assert installation.check_opencv(versions, lambda: answer).status == status


def test_tensorflow_io_is_optional_and_its_plugins_are_tried():
    there = {**GOOD, "tensorflow-io": "0.37.1"}
    assert installation.check_tensorflow_io(GOOD, None).status == "ok"
    assert installation.check_tensorflow_io(there, lambda: ({"plugins": True}, None)).status == "ok"
    check = installation.check_tensorflow_io(there, lambda: ({"plugins": False}, None))
    assert check.status == "warning"
    assert "do not load beside tensorflow 2.21.0" in check.found
    assert installation.check_tensorflow_io(there, lambda: (None, "broken")).status == "warning"


def test_the_way_of_remote_paths_is_said():
    ways = {"http": "requests", "s3": "fsspec with s3fs", "gs": None}
    check = installation.check_remote((ways, None))
    assert (check.status, check.found) == (
        "ok", "http:// requests, s3:// fsspec with s3fs, "
        "gs:// none (pip install unsupervised-video-zoo[gs])",
    )  # fmt: skip
    check = installation.check_remote(({**ways, "s3": "tensorflow-io"}, None))
    assert check.status == "warning" and "exit code 134" in check.found
    assert check.remedy == "pip install 'unsupervised-video-zoo[s3]'"
    assert installation.check_remote((None, "broken")).status == "warning"
    trouble = "cannot be read by fsspec with s3fs: no profile"
    check = installation.check_remote(({"s3": trouble}, None))
    assert (check.status, check.found) == ("warning", f"s3:// {trouble}")


def test_a_probe_gives_what_it_printed_or_its_last_complaint():
    code = "import sys; print('noise'); print('{\"a\": %s}' % sys.argv[1])"
    assert installation.probe(code, "3") == ({"a": 3}, None)
    code = "raise ImportError('libGL.so.1')"
    assert installation.probe(code) == (None, "ImportError: libGL.so.1")
    answer, complaint = installation.probe("import os; os.kill(os.getpid(), 4)")
    assert answer is None
    assert complaint.startswith("ended by signal 4")


def test_a_probe_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(installation, "PROBE_SECONDS", 0.2)
    answer = installation.probe("import time; time.sleep(60)")
    assert answer == (None, "no answer within 0.2 seconds")


def test_a_folder_that_cannot_be_written_fails(tmp_path):
    check = installation.check_disk(tmp_path / "absent")
    assert check.status == "failed"
    assert "No such file or directory" in check.found


def test_a_disk_that_is_nearly_full_warns(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(2**40, 2**40, 2**29))
    assert installation.check_disk(tmp_path).status == "warning"
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(2**40, 0, 2**40))
    assert installation.check_disk(tmp_path).status == "ok"
