import os
import subprocess

import cv2
import numpy as np
import pytest

from zoo.commands.watching import window as window_module
from zoo.commands.watching.window import Window

PICTURE = np.zeros((48, 64, 3), np.uint8)
PICTURE[..., 0] = 255  # Red.


class Screen:
    """What OpenCV is asked to show, for machines without a screen.

    Attributes:
        shown: Dict from name to the last picture, as OpenCV was given it.
        gone: Names of the windows that the user has closed.
        key: What is pressed.
        error: Raised by the next picture, or None.
    """

    def __init__(self):
        self.shown, self.gone, self.key, self.error = {}, set(), -1, None

    def imshow(self, name, picture):
        assert picture.dtype == np.uint8 and name.isprintable()
        if self.error:
            raise self.error
        self.shown[name] = picture

    def destroy(self, name):
        if name in self.gone or self.error:
            raise cv2.error("no such window")
        del self.shown[name]


@pytest.fixture
def screen(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(window_module, "_TRIAL", "")
    monkeypatch.setattr(cv2, "namedWindow", lambda name, flags: None)
    monkeypatch.setattr(cv2, "resizeWindow", lambda name, width, height: None)
    monkeypatch.setattr(cv2, "imshow", screen.imshow)
    monkeypatch.setattr(cv2, "waitKey", lambda milliseconds: screen.key)
    monkeypatch.setattr(cv2, "destroyAllWindows", screen.shown.clear)
    monkeypatch.setattr(cv2, "destroyWindow", screen.destroy)
    monkeypatch.setattr(
        cv2, "getWindowProperty", lambda name, which: 0.0 if name in screen.gone else 1.0
    )
    return screen


def test_without_a_screen_it_says_so_at_once(monkeypatch):
    """OpenCV itself would end the process."""
    monkeypatch.setenv("DISPLAY", ":nowhere")
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(ValueError, match="`window` must be left out where there is no screen"):
        Window()


def test_a_trial_that_hangs_is_no_screen(monkeypatch):
    def run(command, timeout, **_):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(ValueError, match="no screen"):
        Window()


def test_each_camera_has_a_window_with_its_colours(screen):
    window = Window()
    window.show("gate\n", PICTURE)
    window.show("door", PICTURE[..., :1])
    assert list(screen.shown) == ["gate\\n", "door"]
    assert (screen.shown["gate\\n"] == [0, 0, 255]).all() and (screen.shown["door"] == 255).all()
    assert not window.closed and window.trouble is None
    window.close()
    assert not screen.shown


@pytest.mark.parametrize("key", [ord("q"), 27, ord("q") | 0x100000])
def test_a_key_closes_it(screen, key):
    window = Window()
    window.show("gate", PICTURE)
    assert not window.closed
    screen.key = key
    window.show("gate", PICTURE)
    assert window.closed
    screen.shown.clear()
    window.show("gate", PICTURE)
    assert not screen.shown


def test_a_closed_window_stays_closed_and_the_last_one_ends_it(screen):
    window = Window()
    for camera in ("gate", "door"):
        window.show(camera, PICTURE)
    screen.gone.add("gate")
    window.show("gate", PICTURE)
    screen.shown.clear()
    for camera in ("gate", "door"):
        window.show(camera, PICTURE)
    assert list(screen.shown) == ["door"] and not window.closed
    screen.gone.add("door")
    window.show("door", PICTURE)
    assert window.closed


def test_the_window_of_a_camera_that_has_ended_goes(screen):
    window = Window()
    for camera in ("gate\n", "door", "hall"):
        window.show(camera, PICTURE)
    window.end("gate\n")
    window.end("nowhere")
    assert list(screen.shown) == ["door", "hall"] and not window.closed
    # That its user has closed it just now is no error, nor is it the last one that they closed.
    screen.gone.add("door")
    window.end("door")
    window.show("hall", PICTURE)
    assert not window.closed and window.trouble is None
    window.show("gate\n", PICTURE)
    assert "gate\\n" in screen.shown


@pytest.mark.parametrize(("key", "is_gone", "closed"), [
    (-1, False, False), (ord("q"), False, True), (-1, True, True),
])  # fmt: skip
def test_what_the_user_does_as_a_camera_ends_is_not_missed(screen, key, is_gone, closed):
    """They have closed the window of the gate; that of the door, too, only where it is gone."""
    window = Window()
    for camera in ("gate", "door"):
        window.show(camera, PICTURE)
    screen.gone.add("gate")
    window.show("gate", PICTURE)
    screen.key = key
    if is_gone:
        screen.gone.add("door")
    window.end("door")
    assert window.closed == closed
    screen.key = -1
    window.show("another", PICTURE)
    assert ("another" in screen.shown) == (not closed)


def test_a_screen_that_is_gone_is_trouble_and_ends_it(screen):
    window = Window()
    window.show("gate", PICTURE)
    screen.error = cv2.error("display\nlost")
    window.show("gate", PICTURE)
    assert window.closed and window.trouble == r"no window can be shown any more: display\nlost"
    window.close()


@pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="there is no screen: DISPLAY is not set")
def test_on_a_screen_a_window_is_shown():
    window = Window()
    for _ in range(3):
        window.show("gate", PICTURE)
    assert not window.closed and window.trouble is None
    window.close()
