import io
import os
import signal
import subprocess
import sys
import threading

import pytest

from zoo.commands.watching import durable_lines
from zoo.commands.watching.durable_lines import DurableLines, PrintedLines


def test_lines_are_there_when_add_returns_and_after_those_of_before(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"before\n")
    lines = DurableLines(path)
    for line in (b"a\n", b"b\n"):
        lines.add(line)
        assert path.read_bytes().endswith(line)
    assert path.read_bytes() == b"before\na\nb\n" and lines.trouble is None


def test_what_a_full_disk_did_not_take_comes_in_order_when_there_is_room(tmp_path, full_disk):
    path = tmp_path / "lines"
    lines = DurableLines(path)
    lines.add(b"first\n")
    with full_disk(most_bytes=9):
        lines.add(b"second\n")
        # Of it three bytes found room, and are taken back.
        assert path.read_bytes() == b"first\n"
        assert lines.trouble.startswith(f"{path} cannot be written: File too large")
        lines.add(b"third\n")
        assert list(lines.held) == [b"second\n", b"third\n"]
    lines.add(b"fourth\n")
    assert path.read_bytes() == b"first\nsecond\nthird\nfourth\n"
    assert not lines.held and lines.trouble is None


def test_a_device_without_room_says_so():
    lines = DurableLines("/dev/full")
    lines.add(b"a\n")
    assert "/dev/full cannot be written: No space left on device" in lines.trouble
    assert list(lines.held) == [b"a\n"]


def test_a_torn_line_of_a_killed_run_is_ended(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"whole\nto")
    DurableLines(path).add(b"new\n")
    assert path.read_bytes() == b"whole\nto\nnew\n"


def test_a_file_that_was_moved_away_begins_anew(tmp_path):
    path = tmp_path / "lines"
    lines = DurableLines(path)
    lines.add(b"a\n")
    path.rename(tmp_path / "lines.1")
    lines.add(b"b\n")
    assert path.read_bytes() == b"b\n"


def test_a_folder_that_comes_back_gets_what_was_held(tmp_path):
    lines = DurableLines(tmp_path / "disk" / "lines")
    lines.add(b"a\n")
    assert "No such file or directory" in lines.trouble
    (tmp_path / "disk").mkdir()
    lines.write()
    assert lines.path.read_bytes() == b"a\n" and lines.trouble is None


def test_memory_is_bounded_and_a_loss_stays_said(tmp_path, monkeypatch):
    monkeypatch.setattr(durable_lines, "MOST_HELD", 2)
    lines = DurableLines(tmp_path / "disk" / "lines")
    for line in (b"a\n", b"b\n", b"c\n"):
        lines.add(line)
    assert len(lines.held) == 2 and "later ones are lost" in lines.trouble
    (tmp_path / "disk").mkdir()
    # Now there is room again.
    lines.add(b"d\n")
    assert lines.path.read_bytes() == b"a\nb\nd\n" and "later ones are lost" in lines.trouble
    assert lines.lost == 1


class Output(io.RawIOBase):
    """A standard output that has so much room left, in bytes."""

    room, written = 0, b""

    def writable(self):
        return True

    def write(self, data):
        if not self.room:
            raise OSError(28, "No space left on device")
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.written += taken
        return len(taken)


def test_what_standard_output_took_in_part_goes_on_where_it_was(monkeypatch):
    output = Output()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(output)))
    lines = PrintedLines()
    output.room = 7
    for line in (b"first\n", b"second\n", b"third\n"):
        lines.add(line)
    assert list(lines.held) == [b"second\n", b"third\n"] and output.written == b"first\ns"
    assert lines.trouble.startswith("standard output cannot be written: No space left on device;")
    output.room = 8
    lines.write()
    assert list(lines.held) == [b"third\n"]
    output.room = 100
    lines.add(b"fourth\n")
    assert output.written == b"first\nsecond\nthird\nfourth\n"
    assert not lines.held and lines.trouble is None and lines.lost == 0


@pytest.mark.parametrize("output", [None, io.TextIOWrapper(io.BytesIO())])
def test_a_standard_output_that_is_closed_takes_nothing(monkeypatch, output):
    if output is not None:
        output.close()
    monkeypatch.setattr(sys, "stdout", output)
    lines = PrintedLines()
    lines.add(b"a\n")
    assert list(lines.held) == [b"a\n"]
    assert lines.trouble.startswith("standard output cannot be written: it is closed;")


def test_a_pipe_that_is_full_for_now_is_tried_again(monkeypatch):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with open(reader, "rb") as other, open(writer, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        lines = PrintedLines()
        long = b"x" * 999_999 + b"\n"
        lines.add(long)
        assert "it takes no more now" in lines.trouble
        found = b""
        while lines.held:
            found += os.read(reader, 1 << 16)
            lines.write()
        while len(found) < len(long):
            found += other.read1()
        assert found == long and lines.trouble is None


def test_what_was_added_outlives_a_kill(tmp_path):
    path = tmp_path / "lines"
    program = (
        "import sys\n"
        "from zoo.commands.watching.durable_lines import DurableLines\n"
        "lines = DurableLines(sys.argv[1])\n"
        "for number in range(10**6):\n"
        "    lines.add(b'%d\\n' % number)\n"
        "    print(number, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE) as child:
        for _ in range(20):
            said = int(child.stdout.readline())
        os.kill(child.pid, signal.SIGKILL)
        said = max([said, *map(int, child.stdout.read().split(b"\n")[:-1])])
    found = path.read_bytes().split(b"\n")
    assert [int(line) for line in found[: said + 1]] == list(range(said + 1))


def test_it_is_brought_to_the_disk(tmp_path, monkeypatch):
    """A power cut cannot be had in a test: what is asked of the system can be seen."""
    synced = []
    path = tmp_path / "lines"

    def fsync(descriptor, fsync=os.fsync):
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    lines = DurableLines(path)
    lines.add(b"a\n")
    lines.add(b"b\n")
    assert synced == [str(tmp_path), str(path), str(path)]



def test_what_could_not_be_brought_to_the_disk_is_taken_back(tmp_path, monkeypatch):
    path = tmp_path / "lines"
    lines = DurableLines(path)
    lines.add(b"a\n")

    def fsync(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        lines.add(b"b\n")
    assert path.read_bytes() == b"a\n" and list(lines.held) == [b"b\n"]
    lines.write()
    assert path.read_bytes() == b"a\nb\n"


def test_what_is_taken_back_is_not_what_another_process_added_meanwhile(tmp_path, monkeypatch):
    path = tmp_path / "lines"
    mine, other = DurableLines(path), DurableLines(path)
    adding = threading.Thread(target=other.add, args=(b"other\n",))

    def fsync(descriptor, fsync=os.fsync):
        if threading.current_thread() is adding or os.path.isdir(f"/proc/self/fd/{descriptor}"):
            return fsync(descriptor)
        adding.start()
        adding.join(0.5)  # It waits for its turn; else it would have added its line by now.
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    mine.add(b"mine\n")
    adding.join(20)
    assert path.read_bytes() == b"other\n" and list(mine.held) == [b"mine\n"]
