"""Decoding in another process: what is given, and what happens when that process does not go on."""

import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from data_pipelines import workers


@pytest.fixture(autouse=True)
def _no_process_stays():
    workers._pool.close()  # nor from a test before
    yield
    workers._pool.close()


def test_a_file_is_given_with_its_times_and_the_process_is_kept(tmp_path, write_video):
    path = write_video(tmp_path / "a.avi", frames=20, fps=10)
    pids = []
    for _ in range(2):
        decoding = workers.Decoding(path, size=(24, 32), channels=1)
        pids.append(decoding._worker.process.pid)
        times, frames = zip(*decoding, strict=True)
        assert decoding.report["read"] == 20 and decoding.report["failure"] is None
        assert frames[0].shape == (24, 32, 1) and frames[0].dtype == np.uint8
        np.testing.assert_allclose(times, np.arange(20) / 10)
        assert next(decoding, None) is None
    assert pids[0] == pids[1]
    assert workers.probe(path)["num_frames"] == 20


def test_a_transport_stream_is_read_from_its_first_key_frame(tmp_path, film, street):
    path = film(tmp_path / "a.ts", street(30), codec="libx264", pixels="yuv420p")
    assert workers.probe(path)["log"] == []
    assert sum(1 for _ in workers.Decoding(path)) == 30


def test_motion_jpeg_without_a_container_is_no_image(tmp_path, street):
    path = tmp_path / "a.mjpeg"
    path.write_bytes(b"".join(cv2.imencode(".jpg", f)[1].tobytes() for f in street(9)))
    assert workers.probe(path)["codec"] == "mjpeg"
    assert sum(1 for _ in workers.Decoding(path)) == 9


def test_who_stops_early_leaves_no_process_that_decodes(tmp_path, write_video):
    decoding = workers.Decoding(write_video(tmp_path / "a.avi", frames=50), channels=1)
    process = decoding._worker.process
    next(decoding)
    decoding.close()
    decoding.close()
    assert process.poll() is not None and not workers._pool._idle
    assert next(decoding, None) is None


@pytest.mark.parametrize("kill", [signal.SIGABRT, signal.SIGSEGV, signal.SIGKILL])
def test_a_decoder_that_crashes_costs_what_comes_after(tmp_path, write_video, kill):
    path = write_video(tmp_path / "a.avi", frames=200, size=(240, 320))
    decoding = workers.Decoding(path)
    first = next(decoding)
    decoding._worker.process.send_signal(kill)
    found = [first, *decoding]
    # What was in the pipe when it died is given too.
    assert 1 <= len(found) < 200
    assert decoding.report["failure"] == f"its decoder crashed ({kill.name})"
    assert decoding.report["read"] == len(found)
    assert sum(1 for _ in workers.Decoding(path)) == 200


def test_a_decoder_that_hangs_is_ended(tmp_path, write_video):
    path = write_video(tmp_path / "a.avi", frames=200, size=(240, 320))
    workers.probe(path)  # starts the process, which may take longer
    decoding = workers.Decoding(path, stall_sec=5)
    next(decoding)
    process = decoding._worker.process
    process.send_signal(signal.SIGSTOP)
    for _ in decoding:
        pass
    assert decoding.report["failure"] == (
        "its decoder gave nothing for 5 seconds and was ended"
    )
    assert process.poll() == -signal.SIGKILL


def test_a_process_that_died_while_it_waited_is_replaced(tmp_path, write_video):
    path = write_video(tmp_path / "a.avi", frames=5)
    workers.probe(path)
    (idle,) = workers._pool._idle
    os.kill(idle.process.pid, signal.SIGKILL)
    idle.process.wait()
    assert sum(1 for _ in workers.Decoding(path)) == 5


def test_no_more_processes_wait_than_said(tmp_path, write_video, monkeypatch):
    monkeypatch.setattr(workers, "MOST_IDLE", 2)
    path = write_video(tmp_path / "a.avi", frames=5)
    at_once = [workers.Decoding(path) for _ in range(4)]
    assert [sum(1 for _ in decoding) for decoding in at_once] == [5] * 4
    assert len(workers._pool._idle) == 2


def test_what_cannot_be_opened_is_an_error_and_the_process_goes_on(tmp_path, write_video):
    bad = tmp_path / "bad.avi"
    bad.write_bytes(b"\0\1garbage" * 500)
    for ask in (workers.probe, lambda path: next(workers.Decoding(path))):
        with pytest.raises(ValueError, match="bad.avi cannot be opened as a video: Invalid data"):
            ask(bad)
        assert len(workers._pool._idle) == 1
    image = tmp_path / "image.avi"
    for suffix in (".png", ".jpg", ".bmp"):
        cv2.imwrite(str(tmp_path / f"image{suffix}"), np.full((20, 30), 90, np.uint8))
        (tmp_path / f"image{suffix}").rename(image)
        with pytest.raises(ValueError, match="cannot be opened as a video: it is an image"):
            workers.probe(image)
    missing = tmp_path / "none.avi"
    with pytest.raises(ValueError, match="none.avi cannot be opened as a video: No such file"):
        workers.probe(missing)
    assert workers.probe(write_video(tmp_path / "a.avi", frames=5))["num_frames"] == 5


def test_names_of_any_letters_are_taken(tmp_path, write_video):
    path = write_video(tmp_path / "a.avi", frames=5)
    for name in ("with space.avi", "new\nline.avi", "Überfall-監視.avi", "-i.avi", "pipe:0.avi"):
        odd = path.rename(tmp_path / name)
        assert workers.probe(odd)["num_frames"] == 5, name
        path = odd


def test_what_the_decoder_says_is_reported(tmp_path, write_video):
    path = write_video(tmp_path / "a.avi", frames=40, codec="MJPG")
    content = bytearray(path.read_bytes())
    begin = content.find(b"\xff\xd8", len(content) // 2)
    end = content.find(b"\xff\xd9", begin)
    content[begin:end] = bytes(end - begin)
    path.write_bytes(content)
    decoding = workers.Decoding(path)
    assert sum(1 for _ in decoding) < 40
    assert decoding.report["errors"] + decoding.report["corrupt"] > 0
    assert any("mjpeg" in line for line in decoding.report["log"])
    # Of one file alone.
    assert workers.probe(write_video(tmp_path / "b.avi", frames=5))["log"] == []


def test_of_a_long_log_the_end_is_kept_and_the_rest_counted(tmp_path, write_video, monkeypatch):
    monkeypatch.setattr(workers, "LOG_LINES", 3)
    path = write_video(tmp_path / "a.avi", frames=40, codec="MJPG")
    content = path.read_bytes()
    head, *images = content.split(b"\xff\xd8\xff")
    # In another image each time: FFmpeg itself counts a line that comes again at once.
    hurt = [bytes(len(i) - 8) + i[-8:] if n % 2 else i for n, i in enumerate(images)]
    path.write_bytes(b"\xff\xd8\xff".join([head, *hurt]))
    decoding = workers.Decoding(path)
    assert sum(1 for _ in decoding) < 40
    first, *last = decoding.report["log"]
    assert len(last) == 3 and first.endswith(" lines before these are not kept")
    assert int(first.split()[0]) > 3
    assert workers.probe(write_video(tmp_path / "b.avi", frames=5))["log"] == []


def test_memory_is_limited(tmp_path, write_video, monkeypatch):
    monkeypatch.setattr(workers, "MEMORY_BYTES", 100 << 20)
    path = write_video(tmp_path / "a.avi", frames=3, size=(2160, 3840))
    with pytest.raises(ValueError, match="Cannot allocate memory|ended with status"):
        list(workers.Decoding(path))


def test_a_relative_path_is_of_the_folder_worked_in_now(tmp_path, write_video, monkeypatch):
    for number, folder in enumerate(("one", "two"), 1):
        write_video(tmp_path / folder / "a.avi", frames=5 * number)
        monkeypatch.chdir(tmp_path / folder)
        # The process of the first folder is the one that is asked in the second.
        assert workers.probe(Path("a.avi"))["num_frames"] == 5 * number
        assert sum(1 for _ in workers.Decoding(Path("a.avi"))) == 5 * number
    assert len(workers._pool._idle) == 1
