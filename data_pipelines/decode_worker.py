"""Decodes video files in a process of its own: FFmpeg's libraries through PyAV, and nothing else.

Decoders are C: a damaged file can end the process that reads it, or keep it for ever. So this file
is run as a program, by `data_pipelines.workers`, which sees both happen, and it imports neither
TensorFlow nor this package: it starts in a fifth of a second and holds no lock of the caller.

It is told what to do by lines of JSON on its standard input and answers on its standard output:
of every message first the header of `HEADER`, then as many bytes as that says. What FFmpeg has to
say about a file goes to standard error, line by line.

A file that is not on this machine it does not read itself: it asks for a range with a message and
is given it on its standard input, first the number of bytes as `LENGTH`, then these. So it needs
neither packages for the network nor keys.
"""

import collections
import contextlib
import itertools
import json
import math
import os
import re
import statistics
import struct
import sys

# Kind of the message, bytes that follow, then of a frame its time in seconds, height, width and
# channels; zeros otherwise.
HEADER = struct.Struct("<cQdIIB")
FRAME, TEXT, RANGE = b"F", b"J", b"R"
LENGTH = struct.Struct("<Q")

# What FFmpeg reads at once of a file that is given to this process by ranges.
_BUFFER_BYTES = 1 << 18

# What an FFmpeg must be built with for codecs that it does not decode by itself.
CODEC_LIBRARIES = {
    "av1": "libdav1d", "avs2": "libdavs2", "avs3": "libuavs3d", "evc": "libxevd",
    "jpegxl": "libjxl", "jpegxl_anim": "libjxl", "lcevc": "liblcevc-dec", "vvc": "libvvdec",
}  # fmt: skip

# Containers that do not know the rate write a clock's (90000, say) or nothing.
_FASTEST = 1000.0

# Packets whose times tell whether the rate varies.
_PACKETS = 300

# Images that cannot be read are named, so many of them.
MOST_NAMED = 20

# A pause in a recording: longer ones are not filled with copies of the frame before them.
LONGEST_GAP_SEC = 1.0

# Files that stay open for the next window of them.
_MOST_OPEN = 4


class Sampler:
    """Brings frames to a rate by their times: for each moment wanted, the frame nearest to it.

    Moments are `1 / fps` apart from the first frame on. Halfway between two frames the later one
    is taken. A frame that is the nearest to several moments is given for each of them, unless
    it stands for more than `LONGEST_GAP_SEC`: then the moments begin again at the next frame.

    Args:
        fps: Frames per second wanted.
        source_fps: Those of the video, on average.
        begin_sec: The first moment, or None for the time of the first frame.

    Example:
        >>> sampler = Sampler(fps=10, source_fps=25)
        >>> given = [sampler.add(n / 25, n) for n in range(6)] + [sampler.end()]
        >>> sum(given, [])
        [(0.0, 0), (0.1, 3), (0.2, 5)]
    """

    def __init__(self, fps, source_fps, begin_sec=None):
        self.period, self.frame_sec = 1 / fps, 1 / source_fps
        self.begin_sec, self.wanted, self.held = begin_sec, 0, None

    def add(self, time_sec, frame):
        """Takes a frame in; returns `(time_sec, frame)` of all moments that are decided now."""
        given = []
        if self.held is not None:
            before_sec = self.held[0]
            if 0 <= time_sec - before_sec <= LONGEST_GAP_SEC:
                given = self._until((before_sec + time_sec) / 2)
            else:
                given = self.end()
                # A first moment that is still to come stays.
                if self.begin_sec <= max(before_sec, time_sec - self.frame_sec / 2):
                    self.begin_sec = None
        if self.begin_sec is None:
            self.begin_sec, self.wanted = time_sec, 0
        self.held = (time_sec, frame)
        return given

    def end(self):
        """Returns what is left to give when there are no more frames."""
        return [] if self.held is None else self._until(self.held[0] + self.frame_sec / 2)

    def _until(self, end_sec):
        # Halfway is not hit exactly by sums of decimal fractions.
        end_sec -= 1e-3 * self.frame_sec
        given = []
        while (moment := self.begin_sec + self.wanted * self.period) < end_sec:
            given.append((moment, self.held[1]))
            self.wanted += 1
        return given


class Decoder:
    """One video file, opened.

    Args:
        path: File, or a file object as `ServedFile`.

    Raises:
        av.error.FFmpegError: It cannot be opened.
        LookupError: It holds no video stream, or one whose codec is not there.
    """

    def __init__(self, path):
        self.path = path
        self.errors, self.corrupt, self.interlaced = 0, 0, False
        self._first_sec = None
        self._open()

    def _open(self):
        import av

        if isinstance(self.path, ServedFile):
            self.path.seek(0)  # FFmpeg takes where it is for the beginning.
        self.container = av.open(
            self.path, metadata_errors="replace", buffer_size=_BUFFER_BYTES
        )
        streams = [
            stream for stream in self.container.streams.video
            # The picture of a cover is a stream of video too.
            if not stream.disposition & av.stream.Disposition.attached_pic
        ]
        if not streams:
            raise LookupError("it holds no video stream")
        # A stream without a decoder does not even tell its size.
        streams = [stream for stream in streams if stream.codec_context is not None]
        if not streams:
            what = unknown_codec(self.container)
            self.container.close()
            raise LookupError(what)
        self.stream = max(streams, key=lambda stream: stream.width * stream.height)
        self.stream.thread_type = "AUTO"
        self._filter = None

    def close(self):
        self.container.close()

    @property
    def fps(self):
        """Frames per second, or None where nothing tells."""
        for rate in (self.stream.average_rate, self.stream.guessed_rate):
            if rate and 0 < rate < _FASTEST:
                return float(rate)
        return None

    @property
    def frame_sec(self):
        """Time of a frame on average; a guess where nothing tells the rate."""
        return 1 / (self.fps or 25.0)

    @property
    def duration_sec(self):
        """Length that the container declares, or None."""
        if self.stream.duration:
            return float(self.stream.duration * self.stream.time_base)
        return self.container.duration / 1e6 if self.container.duration else None

    @property
    def num_frames(self):
        """Frames that the container declares, or None."""
        if self.stream.frames:
            return self.stream.frames
        if self.duration_sec and self.fps:
            return max(0, math.floor(self.duration_sec * self.fps + 0.5)) or None
        return None

    @property
    def creation_time(self):
        """When it was recorded, as the container has it written, or None."""
        for metadata in (self.container.metadata, self.stream.metadata):
            if metadata.get("creation_time"):
                return metadata["creation_time"]
        return None

    def varies(self):
        """Whether the times of the first packets are uneven. To be asked before any frame."""
        times = [
            packet.pts for packet in itertools.islice(self.container.demux(self.stream), _PACKETS)
            if packet.pts is not None
        ]
        times.sort()
        steps = [later - before for before, later in itertools.pairwise(times)]
        # Not sought: in a transport stream that leads behind the first key frame.
        self.close()
        self._open()
        if len(steps) < 2:
            return False
        usual = statistics.median(steps)
        # One tick of a coarse clock up or down is no change of rate.
        uneven = sum(abs(step - usual) > max(0.2 * usual, 1) for step in steps)
        return uneven > 0.01 * len(steps)

    def frames(self):
        """Yields `(time_sec, av.VideoFrame)` in the order of display, from where the file is.

        A packet that cannot be decoded is counted in `errors` and passed over.
        """
        last, period = -1.0, self.frame_sec
        for frame in self._deinterlaced(self._decoded()):
            time_sec = frame.time
            if time_sec is None:
                time_sec = last + period if last >= 0 else 0.0
            else:
                if self._first_sec is None:
                    self._first_sec = time_sec
                time_sec -= self._first_sec
            last = time_sec
            yield time_sec, frame

    def frames_from(self, time_sec):
        """Yields what `frames` does, from two frames or more before a time on.

        Those two are for what draws a frame from its neighbours. It begins at the last key frame
        from which that can be decoded, or at the start of a file that cannot be entered elsewhere.
        """
        import av

        needed, back = time_sec - 2 * self.frame_sec, 0.0
        if self._first_sec is None:
            # Times count from the first frame.
            next(self.frames(), None)
        while needed - back > 0 and self._first_sec is not None:
            at = round((needed - back + self._first_sec) / self.stream.time_base)
            try:
                self.container.seek(at, stream=self.stream)
            except av.error.FFmpegError:
                break
            self._filter = None
            frames = self.frames()
            first = next(frames, None)
            if first is not None and first[1].time is None:
                break  # Without times nobody knows where this is.
            if first is not None and first[0] <= needed:
                yield first
                yield from frames
                return
            # Frames that lean on what lies before the key frame are not given after it.
            back = 2 * back + 1
        self.close()
        self._open()
        yield from self.frames()

    def _decoded(self):
        import av

        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                # The container is broken here; what the decoder still holds is given.
                self.errors += 1
                packet = None
            try:
                for frame in packet.decode() if packet is not None else self.stream.decode(None):
                    self.corrupt += bool(frame.is_corrupt)
                    yield frame
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self.errors += 1
            if packet is None:
                return

    def _deinterlaced(self, frames):

        for frame in frames:
            if frame.interlaced_frame and self._filter is None:
                self.interlaced = True
                self._filter = self._deinterlacer()
            if self._filter is None:
                yield frame
                continue
            self._filter.push(frame)
            yield from self._pulled()
        if self._filter is not None:
            self._filter.push(None)
            yield from self._pulled()

    def _pulled(self):
        import av

        while True:
            try:
                yield self._filter.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return

    def _deinterlacer(self):
        import av

        graph = av.filter.Graph()
        graph.link_nodes(
            graph.add_buffer(template=self.stream),
            graph.add("yadif", "deint=interlaced"),
            graph.add("buffersink"),
        ).configure()
        return graph


def converted(frame, size, channels):
    """Brings a frame to bytes: turned as it is to be shown, scaled, grey or RGB.

    Grey is the luma that the file itself holds, at full range. Scaling is libswscale's bilinear
    one, whose kernel widens where frames shrink, as that of `transforms.resize` does.

    Args:
        frame: `av.VideoFrame`.
        size: `(height, width)`, or None for its own.
        channels: 1, 3, or None for 1 where the file is grey and 3 otherwise.

    Returns:
        uint8 array `(height, width, channels)`.
    """
    import numpy as np

    if channels is None:
        channels = 1 if frame.format.name.startswith("gray") else 3
    quarters = round(frame.rotation / 90) % 4
    height, width = size or (None, None)
    if quarters % 2:
        height, width = width, height
    frame = frame.reformat(
        width=width, height=height, format="gray" if channels == 1 else "rgb24",
        interpolation="BILINEAR", threads=1,
    )  # fmt: skip
    pixels = frame.to_ndarray()
    pixels = pixels[..., None] if channels == 1 else pixels
    return np.ascontiguousarray(np.rot90(pixels, quarters)) if quarters else pixels


def unknown_codec(container):
    """What is said of a file for whose codec there is no decoder: the codec, and what brings it.

    Args:
        container: `av.container.InputContainer` whose streams of video have no decoder.

    Returns:
        A text.
    """
    import av

    # PyAV does not tell the name of a codec that it cannot decode; what FFmpeg logs does.
    av.logging.set_level(av.logging.INFO)
    av.logging.set_libav_level(av.logging.INFO)
    try:
        listed = container.dumps_format()
    finally:
        av.logging.set_level(None)
    said = re.search(r"Video: (\w+)(?:.*?\((\S+) / 0x[0-9A-Fa-f]+\))?", listed)
    name, tag = said.groups() if said else ("none", None)
    if name in ("none", "unknown"):
        return (
            f"its codec, {tag or 'without a name'}, is unknown to FFmpeg: convert the file with "
            "the program that wrote it"
        )
    library = CODEC_LIBRARIES.get(name)
    brings = "no library of FFmpeg is known to bring it"
    if library:
        brings = (
            f"{library} brings it: FFmpeg built with --enable-{library}, and PyAV built on that "
            "(pip install --no-binary av av)"
        )
    return f"its codec is {name}, which the FFmpeg that PyAV carries does not decode; {brings}"


def probe(path):
    """What a file says of itself, and whether a frame of it can be decoded.

    Args:
        path: File.

    Returns:
        Dict of `codec`, `pixel_format`, `height` and `width` as shown, `fps`, `num_frames`,
        `duration_sec`, `rotation` in degrees, `varies`, `creation_time` as the container has it
        written (ISO 8601, in UTC); values are None where nothing tells.
    """
    decoder = Decoder(path)
    try:
        varies = decoder.varies()
        frames = decoder.frames()
        _, frame = next(frames, (None, None))
        if frame is None:
            raise LookupError("it holds no frame that can be decoded as video")
        # FFmpeg gives an image as a video of one frame, whatever its name; JPEG after JPEG is one.
        reader = decoder.container.format.name
        if (reader == "image2" or reader.endswith("_pipe")) and next(frames, None) is None:
            raise LookupError("it is an image")
        turned = round(frame.rotation / 90) % 2
        height, width = (frame.width, frame.height) if turned else (frame.height, frame.width)
        context = decoder.stream.codec_context
        return {
            "codec": context.name,
            "pixel_format": frame.format.name,
            "height": height,
            "width": width,
            "fps": decoder.fps,
            "num_frames": decoder.num_frames,
            "duration_sec": decoder.duration_sec,
            "rotation": int(frame.rotation),
            "varies": varies,
            "creation_time": decoder.creation_time,
        }
    finally:
        decoder.close()


def decode(path, fps=None, size=None, channels=None, start=0):
    """Yields `(time_sec, frame)` of a file, as it is asked for; then a dict of what was lost.

    Args:
        path: File.
        fps: Frames per second that it is brought to by its clock, or None for all of its frames.
        size, channels: As of `converted`.
        start: Frames, of those that would be given, to leave out at the beginning.
    """
    decoder, number = Decoder(path), 0
    try:
        sampler = Sampler(fps, decoder.fps) if fps and decoder.fps else None
        read, time_sec = 0, 0.0
        kept, pixels = None, None

        def given(moments):
            nonlocal number, kept, pixels
            for moment, frame in moments:
                number += 1
                if number <= start:
                    continue
                if frame is not kept:
                    kept, pixels = frame, converted(frame, size, channels)
                yield moment, pixels

        for time_sec, frame in decoder.frames():
            read += 1
            yield from given(sampler.add(time_sec, frame) if sampler else [(time_sec, frame)])
        if sampler:
            yield from given(sampler.end())
        yield {
            "read": read, "end_sec": time_sec, "errors": decoder.errors,
            "corrupt": decoder.corrupt, "interlaced": decoder.interlaced,
        }  # fmt: skip
    finally:
        decoder.close()


def window(path, time_sec, count, fps=None, size=None, channels=None):
    """Yields `(time_sec, frame)` of frames from a time on; then a dict of what was lost.

    Args:
        path: File, or a `ServedFile`; it stays open for the next window.
        time_sec: When the window begins, counted from the first frame of the file.
        count: Frames wanted. Fewer are given where the file ends, and where it pauses for longer
            than `LONGEST_GAP_SEC`: a pause is not filled, and not passed over.
        fps: As of `decode`: for each moment wanted the frame nearest to it, or all frames.
        size, channels: As of `converted`.
    """
    decoder = _opened(path)
    errors, corrupt = decoder.errors, decoder.corrupt
    sampler = Sampler(fps, decoder.fps, time_sec) if fps and decoder.fps else None
    period = 1 / fps if sampler else None
    given, last_sec = 0, None
    # Half a frame early: sums of decimal fractions do not hit a time exactly.
    begin_sec = time_sec - decoder.frame_sec / 2

    def decided():
        for at_sec, frame in decoder.frames_from(time_sec):
            if sampler:
                yield from sampler.add(at_sec, frame)
            elif at_sec >= begin_sec:
                yield at_sec, frame
        if sampler:
            yield from sampler.end()

    for at_sec, frame in decided():
        expected = time_sec + given * period if sampler else last_sec or time_sec
        if abs(at_sec - expected) > (1e-3 if sampler else LONGEST_GAP_SEC):
            break
        yield at_sec, converted(frame, size, channels)
        given, last_sec = given + 1, at_sec
        if given == count:
            break
    yield {"read": given, "errors": decoder.errors - errors, "corrupt": decoder.corrupt - corrupt}


_open = collections.OrderedDict()


def _opened(path):
    """The file as it is now, opened, maybe for a window before."""
    if isinstance(path, ServedFile):
        # What asks for its ranges is the one that it was opened with; whoever reads it for this
        # process reads the file of the request that is being answered, so it must be the same.
        place, version = path.identity, None
    else:
        about = os.stat(path)
        place, version = path, (about.st_ino, about.st_size, about.st_mtime_ns)
    known, decoder = _open.pop(place, (None, None))
    if decoder is None or known != version:
        if decoder is not None:
            decoder.close()
        decoder = Decoder(path)
    _open[place] = version, decoder
    while len(_open) > _MOST_OPEN:
        _, (_, oldest) = _open.popitem(last=False)
        oldest.close()
    return decoder


def images(paths, longest=None):
    """Yields `(number, grey pixels)` of image files; then a dict of what was lost.

    Args:
        paths: Image files, in order.
        longest: Pixels that the longer side is brought down to where it has more, or None.
    """
    import cv2

    read, shape, unreadable, other_sizes = 0, None, [], 0
    for number, path in enumerate(paths):
        try:
            image = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
        except cv2.error:  # One larger than OpenCV allows.
            image = None
        if image is None:
            unreadable.append(path)
            continue
        shape = shape or image.shape[:2]
        other_sizes += image.shape[:2] != shape
        read += 1
        if longest and max(image.shape[:2]) > longest:
            scale = longest / max(image.shape[:2])
            wanted = tuple(max(1, round(scale * length)) for length in image.shape[::-1])
            image = cv2.resize(image, wanted, interpolation=cv2.INTER_AREA)
        yield float(number), image[..., None]
    yield {
        "read": read, "errors": len(unreadable), "unreadable": unreadable[:MOST_NAMED],
        "height": shape and shape[0], "width": shape and shape[1], "other_sizes": other_sizes,
    }  # fmt: skip


def main():
    """Answers requests until standard input ends."""
    import av

    # What a library prints must not come between the messages.
    out = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    os.dup2(2, 1)
    # Buffered bytes, since ranges of files come between the lines.
    requests = sys.stdin.buffer
    for line in requests:
        request = json.loads(line)
        limit_memory(request.pop("memory_bytes", None))
        operation, served = request.pop("operation"), request.pop("served", None)
        if served is not None:
            request["path"] = ServedFile(request["path"], requests, out, **served)
        av.logging.restore_default_callback()
        av.logging.set_libav_level(av.logging.ERROR)
        try:
            if operation == "probe":
                say(out, probe(**request))
            else:
                read = {"decode": decode, "window": window, "images": images}[operation]
                with contextlib.closing(read(**request)) as items:
                    for number, item in enumerate(items):
                        if isinstance(item, dict):
                            say(out, item)
                            continue
                        show(out, *item)
                        if number == 0:
                            # Out before a later frame may end this process: that is another fault
                            # than a file of which none can be read.
                            out.flush()
        except BrokenPipeError:
            return
        except Exception as error:
            say(out, {"error": getattr(error, "strerror", None) or str(error)})


class ServedFile:
    """A file that whoever asked reads for this process, range by range.

    Args:
        name: Its name, by whose end FFmpeg guesses what it is.
        source: Binary stream on which the ranges come.
        out: Binary stream on which they are asked for.
        size: Its bytes.
        identity: Text that no other file has, nor this one once it has changed.
    """

    def __init__(self, name, source, out, size, identity):
        self.name, self.identity = name, identity
        self._size, self._source, self._out, self._at = size, source, out, 0

    def read(self, length=-1):
        left = max(0, self._size - self._at)
        length = left if length < 0 else min(left, length)
        if not length:
            return b""
        say(self._out, {"offset": self._at, "length": length}, RANGE)
        (given,) = LENGTH.unpack(self._source.read(LENGTH.size))
        content = self._source.read(given)
        self._at += len(content)
        return content

    def seek(self, offset, whence=os.SEEK_SET):
        before = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, before + offset)
        return self._at

    def tell(self):
        return self._at


def say(out, values, kind=TEXT):
    text = json.dumps(values).encode()
    out.write(HEADER.pack(kind, len(text), 0.0, 0, 0, 0) + text)
    out.flush()


def show(out, time_sec, pixels):
    out.write(HEADER.pack(FRAME, pixels.nbytes, time_sec, *pixels.shape))
    out.write(pixels.data if pixels.flags.c_contiguous else pixels.tobytes())


def limit_memory(limit):
    if limit:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main()
