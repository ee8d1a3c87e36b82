"""Pictures in windows, where there is a screen."""

import contextlib
import subprocess
import sys

from zoo.commands.console import printable

# OpenCV ends the process where it finds no screen, so another one is asked to try.
_TRIAL = "import cv2; cv2.namedWindow('trial'); cv2.waitKey(1); cv2.destroyAllWindows()"
_TRIAL_SECONDS = 60

_ESCAPE = 27


class Window:
    """A window for each camera. All calls must come from one thread, the main one on a Mac.

    Attributes:
        closed: Whether q or Escape was pressed, or the last window was closed.
        trouble: None, or a sentence on why nothing is shown.

    Raises:
        ValueError: If there is no screen.

    Example:
        >>> window = Window()  # doctest: +SKIP
        >>> while not window.closed:  # doctest: +SKIP
        ...     window.show("gate", np.zeros((240, 360, 3), np.uint8))
        >>> window.close()  # doctest: +SKIP
    """

    def __init__(self):
        try:
            trial = subprocess.run(
                [sys.executable, "-c", _TRIAL], capture_output=True, timeout=_TRIAL_SECONDS
            )
            is_shown = trial.returncode == 0
        except subprocess.TimeoutExpired:
            is_shown = False
        if not is_shown:
            raise ValueError(
                "`window` must be left out where there is no screen that OpenCV can open a window "
                "on; there are a page and video files. Received: window=True"
            )
        self.closed, self.trouble = False, None
        self._is_open = {}  # By the name of the window.

    def show(self, camera, image):
        """Shows the next picture of a camera, unless its window was closed.

        Args:
            camera: Its name.
            image: uint8 `(height, width, 1 or 3)`, grey or RGB.
        """
        import cv2

        name = printable(camera)
        if self.closed or not self._is_open.get(name, True):
            return
        try:
            if name not in self._is_open:
                cv2.namedWindow(name, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
                cv2.resizeWindow(name, image.shape[1], image.shape[0])
            elif self._is_gone(name):
                return
            self._is_open[name] = True
            shown = image if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
            cv2.imshow(name, shown)
            self._look()
        except cv2.error as error:  # The screen is gone.
            self.trouble = f"no window can be shown any more: {printable(str(error).strip())}"
            self.closed = True

    def end(self, camera):
        """Takes away the window of a camera that has ended; `show` of it opens another.

        Args:
            camera: Its name, which need not have one.
        """
        import cv2

        name = printable(camera)
        if self._is_open.get(name) and self.trouble is None:
            with contextlib.suppress(cv2.error):  # The screen may be gone.
                if not self._is_gone(name):
                    cv2.destroyWindow(name)
                    self._look()
        # Where the user has closed all others it is not they who closed this one, and another may
        # come: that is no end.
        self._is_open.pop(name, None)

    def _is_gone(self, name):
        """Whether the user has closed a window; if it was the last one, all is closed."""
        import cv2

        if cv2.getWindowProperty(name, cv2.WND_PROP_VISIBLE) >= 1:
            return False
        self._is_open[name] = False
        self.closed = self.closed or not any(self._is_open.values())
        return True

    def _look(self):
        """Has the windows drawn, and takes in what is pressed."""
        import cv2

        self.closed = self.closed or cv2.waitKey(1) & 0xFF in (ord("q"), _ESCAPE)

    def close(self):
        """Closes all windows."""
        import cv2

        if self._is_open and self.trouble is None:
            cv2.destroyAllWindows()
