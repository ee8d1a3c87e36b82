"""Hands what was found to its outputs, in stages of their own that do not hold up scoring."""

import collections
import contextlib
import dataclasses
import re
import threading

# Alarms that wait: more than there are in a burst. They are never dropped; were the disk to hang
# for longer, scoring would wait for it.
_MOST_ALARMS = 64
# Of their pictures so many bytes wait, or one picture; alarms are told without their still then.
_MOST_STILL_BYTES = 64 << 20
_MOST_PICTURES = 8

# How long the end waits for a web server to take the alarms that are left; they are kept anyway.
_DELIVERY_SECONDS = 5.0


class Stage:
    """A bounded queue, and a function that is called with each item of it, in order.

    Args:
        function: Function of an item.
        limit: Items that wait at most.

    Attributes:
        dropped: Items that were dropped.
    """

    def __init__(self, function, limit):
        self._function, self._limit = function, limit
        self._queue, self._changed = collections.deque(), threading.Condition()
        self._ended, self._error = False, None
        self.dropped = 0

    def put(self, item, wait):
        """Adds an item.

        Args:
            item: What the function takes.
            wait: Whether to wait while the queue is full; else the item is dropped.

        Raises:
            Exception: What the function has raised.
        """
        with self._changed:
            if wait:
                self._changed.wait_for(
                    lambda: len(self._queue) < self._limit or self._error or self._ended
                )
            if self._error is not None:
                raise self._error
            if len(self._queue) >= self._limit or self._ended:
                self.dropped += 1
                return
            self._queue.append(item)
            self._changed.notify_all()

    def end(self):
        """Says that no more items are wanted: what comes now is dropped."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def run(self, seconds=None):
        """Calls the function with what is there and what comes.

        Args:
            seconds: How long to wait for an item, and then to return; None to go on to the end.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._ended, seconds)
                if not self._queue:
                    return
                item = self._queue.popleft()
                self._changed.notify_all()
            try:
                self._function(item)
            except BaseException as error:
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                raise
            if seconds is not None:
                return


class Outputs:
    """All outputs of a watch.

    Args:
        log: `zoo.commands.watching.alarms.AlarmLog`.
        say: Function of a line for people, who are told what is in trouble.
        webhook: `zoo.commands.watching.webhook.Webhook`, or None.
        pictures: `Pictures`, or None where nothing is drawn.
        keep_all: Whether scoring waits for pictures that are not drawn yet; they are dropped else.

    Attributes:
        alarms_lost: Alarms that, when all was closed, neither file nor standard output had taken.
        webhook_waiting: Alarms that, then, were not delivered, and that the next watch goes on
            with.
        webhook_lost: Alarms that, then, were neither delivered nor kept for that.
    """

    def __init__(self, log, say, webhook=None, pictures=None, keep_all=False):
        self._log, self._webhook, self._pictures = log, webhook, pictures
        self._say, self._said, self._keep_all = say, {}, keep_all
        self.alarms_lost = self.webhook_waiting = self.webhook_lost = 0
        # Of the pictures of alarms that wait.
        self._still_bytes, self._stills_left, self._counting = 0, 0, threading.Lock()
        # Events of one frame share it: how many wait, by its id.
        self._sharing = collections.Counter()
        self._drawing = Stage(self._draw, _MOST_PICTURES)
        self._telling = Stage(self._tell, _MOST_ALARMS)
        # What it raises is raised by the next `tell`.
        self._teller = threading.Thread(target=self._run_teller, name="alarms", daemon=True)
        self._teller.start()

    @property
    def pictures_dropped(self):
        """Pictures that were not drawn, as drawing was too slow."""
        return self._drawing.dropped

    @property
    def stills_missed(self):
        """Stills that were asked for and not written: no room on the disk, or too many waited."""
        return self._stills_left + self._log.stills_missed

    @property
    def is_closed(self):
        """Whether whoever looks on has closed the window."""
        return self._pictures is not None and self._pictures.is_closed

    def tell(self, scored, event):
        """Takes in an event that began or ended; see `Watcher`."""
        image = scored.image if self._log.wants_stills else None
        if image is not None:
            with self._counting:
                more = 0 if self._sharing[id(image)] else image.nbytes
                if more and self._still_bytes and self._still_bytes + more > _MOST_STILL_BYTES:
                    self._stills_left += 1
                    image = None
                else:
                    self._sharing[id(image)] += 1
                    self._still_bytes += more
        # All else of the frame is not told.
        scored = dataclasses.replace(scored, image=image, score_map=None)
        self._telling.put((scored, event), wait=True)

    def show(self, stream, scored):
        """Takes in a scored frame, or None at the end of a stream; see `Watcher`."""
        if self._pictures is not None:
            self._drawing.put((stream, scored), wait=self._keep_all or scored is None)

    def draw(self, seconds):
        """Draws a picture if there is one within some seconds, and says what is in trouble.

        Args:
            seconds: float.
        """
        self._drawing.run(seconds)
        self._say_troubles()

    def stop_drawing(self):
        """Says that `draw` is not called any more: nothing may wait for it."""
        self._drawing.end()

    def close(self):
        """Tells and draws what is left, and closes the files."""
        with contextlib.ExitStack() as after:
            # All of it, whatever fails; from the last to the first.
            after.callback(self._say_troubles)
            after.callback(self._close_log)
            after.callback(self._close_webhook)
            if self._pictures is not None:
                after.callback(self._pictures.close)
            after.callback(self._teller.join)
            after.callback(self._telling.end)
            self.stop_drawing()
            self._drawing.run()

    def _close_log(self):
        lines, lost = self._log.close()
        self.alarms_lost = len(lines) + lost
        if lines:
            self._say(f"{len(lines)} alarms could not be written, and are here alone:")
        for line in lines:
            self._say(line.decode().rstrip())
        if lost:
            self._say(f"{lost} more alarms could not be written, and are gone")

    def _close_webhook(self):
        if self._webhook is None:
            return
        left = self.webhook_waiting = self._webhook.close(_DELIVERY_SECONDS)
        self.webhook_lost = self._webhook.lost
        if left:
            self._say(f"{left} alarms are not delivered yet; the next watch goes on with them")
        if self.webhook_lost:
            self._say(
                f"{self.webhook_lost} alarms were not delivered, and could not be kept for the "
                "next watch"
            )

    def _draw(self, item):
        self._pictures.show(*item)
        self._say_troubles()

    def _run_teller(self):
        with contextlib.suppress(Exception):
            self._telling.run()

    def _tell(self, item):
        from zoo.commands.watching.alarms import alarm_of

        scored, event = item
        still = None
        if scored.image is not None:
            still = self._log.still(scored.image, scored, event)
            with self._counting:
                self._sharing[id(scored.image)] -= 1
                if not self._sharing[id(scored.image)]:
                    del self._sharing[id(scored.image)]
                    self._still_bytes -= scored.image.nbytes
        alarm = alarm_of(scored, event, still)
        self._log.tell(alarm)
        if self._webhook is not None:
            self._webhook.tell(alarm)

    def _say_troubles(self):
        outputs = {"alarms": self._log, "webhook": self._webhook}
        outputs |= self._pictures.outputs if self._pictures is not None else {}
        before, self._said = self._said, {}
        for name, output in outputs.items():
            trouble = self._said[name] = getattr(output, "trouble", None)
            if trouble != before.get(name):
                self._say(trouble or f"{name}: the trouble is over")


class Pictures:
    """Draws frames and shows them everywhere they are wanted.

    Args:
        new_overlay: Function that makes a `zoo.commands.watching.overlay.Overlay`.
        new_video: Function of the name of a stream that makes its `VideoFile`, or None.
        page: `zoo.commands.watching.page.Page`, or None.
        window: `zoo.commands.watching.window.Window`, or None.
    """

    def __init__(self, new_overlay, new_video=None, page=None, window=None):
        self._new_overlay, self._new_video = new_overlay, new_video
        self._page, self._window = page, window
        self._overlays, self._videos, self._ended = {}, {}, None

    @property
    def outputs(self):
        """Dict from names of outputs to those that there are, also of what ended last."""
        videos = {f"video of {name}": video for name, video in self._videos.items()}
        return {"page": self._page, "window": self._window, **videos}

    @property
    def is_closed(self):
        """Whether there is a window and it was closed."""
        return self._window is not None and self._window.closed

    def show(self, stream, scored):
        """Draws a frame.

        Args:
            stream: Name of its stream.
            scored: `ScoredFrame`, or None at the end of the stream.
        """
        # The file of a stream that has ended stays for a moment, as it may be in trouble.
        self._videos.pop(self._ended, None)
        self._ended = None
        if scored is None:
            self._overlays.pop(stream, None)
            if stream in self._videos:
                self._videos[stream].close()
                self._ended = stream
            for output in (self._page, self._window):
                if output is not None:
                    output.end(stream)
            return
        if stream not in self._overlays:
            self._overlays[stream] = self._new_overlay()
            if self._new_video is not None:
                self._videos[stream] = self._new_video(stream)
        image = self._overlays[stream].draw(scored)
        if stream in self._videos:
            self._videos[stream].show(image, scored.wall_sec)
        for output in (self._page, self._window):
            if output is not None:
                output.show(stream, image)

    def close(self):
        """Closes what is open."""
        for output in [*self._videos.values(), self._page, self._window]:
            if output is not None:
                output.close()


def file_name(stream):
    """A name for a file of a stream, without what no file name should hold.

    Args:
        stream: Its name.

    Returns:
        str.

    Example:
        >>> file_name("rtsp://***@gate/live")
        'rtsp_gate_live'
    """
    return re.sub(r"[^\w.-]+", "_", stream, flags=re.ASCII)[-60:].strip("._") or "camera"
