import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorflow as tf
from typer.testing import CliRunner

from zoo.commands.app import app

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def started():
    """A function of further words that starts the command; gives the process and its address."""
    running = []

    def start(*words):
        process = subprocess.Popen(
            [sys.executable, "-m", "zoo", "data-service", "--port", "0", *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        running.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in running:
        process.kill()
        process.communicate()


def children(pid):
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition):
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_serves_restarts_a_dead_worker_and_ends_with_an_interrupt(started):
    process, address = started()
    assert re.fullmatch(r"grpc://localhost:\d+", address)
    (worker,) = children(process.pid)
    numbers = tf.data.Dataset.range(10).map(lambda n: n * n).apply(
        tf.data.experimental.service.distribute("parallel_epochs", address)
    )
    assert sorted(int(n) for n in numbers) == [n * n for n in range(10)]
    os.kill(worker, signal.SIGKILL)
    until(lambda: children(process.pid) not in ([], [worker]))
    (another,) = children(process.pid)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130
    assert re.search(r"worker at port \d+ was ended by signal 9; it is started again", said)
    assert "Traceback" not in said
    until(lambda: not lives(another))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_it(started, number):
    process, _ = started()
    (worker,) = children(process.pid)
    process.send_signal(number)
    process.wait(300)
    until(lambda: not lives(worker))


def test_what_is_wrong_is_named_by_its_option():
    result = CliRunner().invoke(app, ["data-service", "--port", "0", "--join", "here"])
    assert result.exit_code == 1 or result.exit_code == 2
    assert "must be grpc://HOST:PORT" in result.stderr
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["data-service", "--port", str(port)])
    assert result.exit_code == 1 and f"port {port} is taken; give another" in result.stderr
