"""What the README and the help tell the reader to type must exist."""

import ast
import logging
import re
import shlex
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer

from zoo.commands.app import EXAMPLES, app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
CODE = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands():
    """Command lines of `zoo` in code blocks and in `code` of the README, and in the help."""
    lines = [line for language, block in CODE if language != "python" for line in block.split("\n")]
    lines += re.findall(r"`([^`\n]+)`", README) + list(EXAMPLES.values())
    found = {line.partition("#")[0].strip() for line in lines}
    return sorted(line for line in found if re.match(r"zoo \w", line))


def parse(line):
    """Parses a command line without running it; raises a usage error where it is wrong."""
    words = shlex.split(line)[1:]
    command = typer.main.get_command(app)
    context = command.make_context("zoo", [], resilient_parsing=True)
    while hasattr(command, "commands"):
        name, *words = words
        assert name in command.commands, f"there is no command {name!r} in {line!r}"
        command = command.commands[name]
        if not words and hasattr(command, "commands"):
            return  # a group, named without one of its commands
    command.make_context(name, words, parent=context)


def test_there_are_commands_to_check():
    assert len(commands()) > 8


@pytest.mark.parametrize("line", commands())
def test_a_command_is_one_that_the_command_line_takes(line):
    parse(line)


@pytest.mark.parametrize(
    "line", ["zoo trian convlstm_vae", "zoo info", "zoo list --no-such-option", "zoo list extra"]
)
def test_a_wrong_command_is_seen(line):
    with pytest.raises((AssertionError, typer.BadParameter.__mro__[1])):
        parse(line)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z][a-z0-9-]*)", README))))
def test_a_make_target_exists(target):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("block", [block for language, block in CODE if language == "python"])
def test_python_is_python(block):
    assert ast.parse(block).body


@pytest.fixture
def in_a_folder_of_footage(tmp_path, monkeypatch):
    """The working folder holds `footage/` and `clips_by_class/`, each of three video files."""
    monkeypatch.chdir(tmp_path)
    names = ("footage/a", "footage/b", "footage/c", "clips_by_class/run/ann",
             "clips_by_class/run/bob", "clips_by_class/walk/ann")  # fmt: skip
    for place, name in enumerate(names):
        path = tmp_path / f"{name}.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (192, 128))
        for number in range(40):
            frame = np.full((128, 192, 3), 60, np.uint8)
            # Else all would show the same, and there were nothing to split.
            frame[16 * place : 16 * place + 40, 3 * number : 3 * number + 30] = 200
            writer.write(frame)
        writer.release()


@pytest.fixture
def camera():
    """The address of a camera on this machine."""
    frame = cv2.imencode(".jpg", np.zeros((128, 192, 3), np.uint8))[1].tobytes()
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=x")
            self.end_headers()
            try:
                while not ended.wait(0.01):
                    self.wfile.write(b"--x\r\nContent-Length: %d\r\n\r\n" % len(frame))
                    self.wfile.write(frame + b"\r\n")
            except OSError:
                pass  # The client has gone.

        def log_message(self, *words):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"mjpeg+http://127.0.0.1:{server.server_port}/"
        ended.set()
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_python_runs_without_a_warning_but_for_what_needs_an_export(
    in_a_folder_of_footage, camera, caplog
):
    blocks = [block for language, block in CODE if language == "python" and "exported" not in block]
    # An epoch in the middle of a pass over the footage, and one that goes on into the next.
    shorter = re.sub(r"\b(steps_per_epoch|epochs)=\d+", r"\1=2", "\n".join(blocks))
    assert shorter.count("model.fit(") == 1
    shorter, archives = re.subn(r"\b(train_hours|test_hours)=\d+", r"\1=1 / 60", shorter)
    assert archives == 2
    # A machine that does something else for seconds is no camera that stalls.
    patient = f'"{camera}", stall_seconds=60, connect_seconds=60'
    shorter, cameras = re.subn(r'"rtsp://[^"]*"', patient, shorter)
    assert cameras == 1
    with caplog.at_level(logging.WARNING):
        exec(shorter, {})  # Warnings are errors, as pytest is set up.
    assert caplog.messages == []
