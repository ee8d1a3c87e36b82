"""Files written whole, on a disk that is full too, and a lock that keeps others out."""

import resource
import threading

import pytest

from data_pipelines.whole_files import locked, write_whole


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path):
    for content in (b"one", b"another"):
        write_whole(tmp_path / "a", content)
        assert (tmp_path / "a").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_cannot_be_written_leaves_the_older_file(tmp_path):
    write_whole(tmp_path / "a", b"older")
    size, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="/a cannot be written: File too large"):
            write_whole(tmp_path / "a", bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    assert (tmp_path / "a").read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_lock_is_waited_for(tmp_path, caplog):
    caplog.set_level("INFO")
    order = []

    def second():
        with locked(tmp_path / "lock", "works here"):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(tmp_path / "lock", "works here"):
        thread.start()
        while thread.is_alive() and not caplog.messages:
            thread.join(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert caplog.messages == ["waiting for another process that works here"]
