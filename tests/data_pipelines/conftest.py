"""Small footage, and servers of it, that the tests of the pipelines share."""

import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines.sources.base import Source, Video


class ArrayVideo(Video):
    """A video kept as an array, which counts how many frames were decoded."""

    def __init__(self, name, pixels, certain=True, **about):
        super().__init__(name, num_frames=len(pixels), **about)
        self.pixels = pixels
        self.certain = certain
        self.decoded = 0

    @property
    def length_is_certain(self):
        return self.certain

    def frames(self, start=0):
        for frame in self.pixels[start:]:
            self.decoded += 1
            yield frame


@pytest.fixture
def array_video():
    """The class `ArrayVideo(name, pixels, **about)`."""
    return ArrayVideo


@pytest.fixture
def numbered():
    """A function that makes a source of videos of given lengths, each frame one grey level.

    Frame f of video v has the value 50 v + f everywhere, so that a clip tells where it is from.
    """

    def make(*lengths, size=(16, 24), **about):
        videos = [
            ArrayVideo(
                f"video{v}",
                np.stack([np.full((*size, 1), 50 * v + f, np.uint8) for f in range(n)]),
                **about,
            )
            for v, n in enumerate(lengths)
        ]
        return Source("frame_folders", None, videos)

    return make


@pytest.fixture
def write_images():
    """A function that writes one grey image per name into a folder, of the value given."""
    import cv2

    def write(folder, names, values, size=(16, 24)):
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in zip(names, values, strict=True):
            assert cv2.imwrite(str(folder / name), np.full(size, value, np.uint8))

    return write


@pytest.fixture
def write_video():
    """A function that writes a video file whose frame f is grey of level 5 f, and returns it."""
    import cv2

    def write(path, frames=20, fps=10.0, size=(48, 64), codec="MJPG"):
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, size[::-1])
        for number in range(frames):
            writer.write(np.full((*size, 3), min(255, 5 * number), np.uint8))
        writer.release()
        return path

    return write


@pytest.fixture
def film():
    """A function that writes grey frames into a video file, at times of their own if given."""
    from fractions import Fraction

    import av

    def write(path, frames, rate=10, codec="ffv1", pixels="gray", times=None, metadata=()):
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            container.metadata.update(metadata)
            stream = container.add_stream(codec, rate=rate)
            stream.height, stream.width = frames[0].shape
            stream.pix_fmt, stream.bit_rate = pixels, 2_000_000
            if times is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
            for number, frame in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="gray")
                if times is not None:
                    frame.pts, frame.time_base = round(1000 * times[number]), Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture
def dying_decoder(monkeypatch, tmp_path_factory):
    """Decoders that end, or hang, of a file that ends with `ABORT` or `HANG`, after ten frames.

    Of real decoders none is known that does so on demand. The process that decodes is another
    program here, which runs the same code until then.
    """
    import importlib.util
    from pathlib import Path

    from data_pipelines import workers

    path = Path(__file__).parents[2] / "benchmarks" / "dying_decoder.py"
    spec = importlib.util.spec_from_file_location("dying_decoder", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(workers, "_PROGRAM", path)
    workers._pool.close()
    yield module
    workers._pool.close()


@pytest.fixture(scope="session")
def street():
    """A function that draws `count` grey frames of a sharp, noisy place where squares go by.

    Other seeds are other goings-on in the same place; another `place` is another place.
    """

    def draw(count, seed=0, place=0, size=(96, 144), noise=3.0, per_second=10):
        rng = np.random.default_rng([place, 7])
        ground = np.kron(rng.integers(40, 200, (size[0] // 6, size[1] // 6)), np.ones((6, 6)))
        rng = np.random.default_rng(seed)
        walkers = [
            (rng.uniform(0, count / per_second), rng.uniform(20, 50),
             rng.integers(0, max(1, size[0] - 24)), rng.integers(8, 24), rng.choice([10, 245]))
            for _ in range(3 + count // 8)
        ]  # fmt: skip
        frames = np.repeat(ground[None], count, axis=0)
        for number, frame in enumerate(frames):
            for start, speed, top, side, level in walkers:
                left = round(speed * (number / per_second - start) + size[1] / 2)
                if -side < left < size[1]:
                    frame[top : top + side, max(0, left) : left + side] = level
        frames = frames + rng.normal(0, noise, frames.shape)
        return np.clip(frames, 0, 255).astype(np.uint8)

    return draw


@pytest.fixture
def twice():
    """A function that runs another eagerly and inside `tf.data`; both must agree.

    Inside `tf.data` shapes are unknown. To the last bit where they are bytes; a graph may sum
    floats in another order.
    """

    def run(function, *inputs):
        eager = np.asarray(function(*[tf.constant(i) for i in inputs]))
        specs = [
            tf.TensorSpec([None] * (i.ndim - 1) + [i.shape[-1]] if i.ndim > 1 else i.shape, i.dtype)
            for i in map(np.asarray, inputs)
        ]
        dataset = tf.data.Dataset.from_generator(
            lambda: iter([tuple(inputs)]), output_signature=tuple(specs)
        )
        streamed = next(iter(dataset.map(lambda *parts: function(*parts)))).numpy()
        assert eager.dtype == streamed.dtype
        rounding = 1e-6 if eager.dtype.kind == "f" else 0
        np.testing.assert_allclose(streamed, eager, rtol=rounding, atol=rounding)
        return eager

    return run


@pytest.fixture
def drawn():
    """A function that stacks what another, of a seed, gives for `count` seeds."""

    def run(function, count):
        seeds = tf.stack([tf.zeros(count, tf.int32), tf.range(count)], 1)
        stream = tf.data.Dataset.from_tensor_slices(seeds).map(function).batch(count)
        return next(iter(stream)).numpy()

    return run


@pytest.fixture
def painted():
    """A clip with a bright rectangle that goes right and grows, its masks and its boxes.

    The first box is around the rectangle; the second one is empty in all frames. In the first
    frame there is no rectangle.
    """
    clip = np.full((8, 20, 32, 1), 20, np.uint8)
    boxes = np.zeros((8, 2, 4), np.float32)
    for number in range(1, 8):
        top, left, bottom, right = 3, 2 + 2 * number, 8 + number, 7 + 3 * number
        clip[number, top:bottom, left:right] = 200
        boxes[number, 0] = top, left, bottom, right
    return {"clip": clip, "masks": clip[..., 0] == 200, "boxes": boxes}


@pytest.fixture
def check_truth():
    """A function that fails unless masks and boxes fit the rectangle of a clip once `painted`."""

    def check(found):
        clip, masks, boxes = (np.asarray(found[name]) for name in ("clip", "masks", "boxes"))
        assert (clip.dtype, masks.dtype, boxes.dtype) == (np.uint8, bool, np.float32)
        assert masks.shape == clip.shape[:3] and boxes.shape == (len(clip), 2, 4)
        np.testing.assert_array_equal(masks, clip[..., 0] > 110)
        for mask, box in zip(masks, boxes, strict=True):
            rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
            around = (
                [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1] if len(rows) else [0, 0, 0, 0]
            )
            np.testing.assert_array_equal(box, [around, [0, 0, 0, 0]])

    return check


class WebServer:
    """Serves a folder over HTTP, with ranges, and can be told to fail.

    Attributes:
        url: Its address, without a slash at the end.
        ranges: Whether it gives ranges.
        dated: Whether it says when a file was changed.
        answers: Dict from a path to a list of what the next requests for it get: a status,
            `"hang"`, `"cut"` (half of the content, then the connection ends) or `"other"` (the
            range one byte further on); after these it is served. A path `""` stands for all.
        types: Dict from a path to a content type.
        pages: Dict from the begin of a path to the HTML that stands for all that begins so.
        charset: Of these pages.
        asked: List of `(path, range)` of all requests.
        sent: Bytes of content sent.
    """

    def __init__(self, folder):
        self.ranges, self.dated = True, True
        self.answers, self.types, self.asked, self.sent = {}, {}, [], 0
        self.pages, self.charset = {}, "utf-8"
        self._ended = threading.Event()
        owner = self

        class Handler(SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __init__(self, *arguments):
                super().__init__(*arguments, directory=str(folder))

            def do_HEAD(self):
                self.send_error(405)  # as many servers of signed addresses do

            def do_GET(self):
                path = self.path.partition("?")[0]
                wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
                owner.asked.append((self.path, wanted and wanted[0]))
                queue = owner.answers.get(path) or owner.answers.get("") or [None]
                answer = queue.pop(0)
                if answer == "hang":
                    owner._ended.wait()
                    self.close_connection = True
                    return
                if isinstance(answer, int):
                    self.send_error(answer)
                    return
                page = next((p for begin, p in owner.pages.items() if path.startswith(begin)), None)
                if page is not None:
                    self.send_response(200)
                    self.send_header("Content-Type", f"text/html; charset={owner.charset}")
                    self.send_header("Content-Length", str(len(page)))
                    self.end_headers()
                    self.wfile.write(page.encode())
                    return
                file = folder / path.strip("/").replace("%20", " ")
                if not file.is_file():
                    super().do_GET()
                    return
                length = file.stat().st_size
                begin, end = 0, length
                if wanted and owner.ranges:
                    further = answer == "other"
                    begin = int(wanted[1]) + further
                    end = min(end, int(wanted[2] or end) + 1 + further)
                    if begin >= length:
                        self.send_response(416)
                        self.send_header("Content-Range", f"bytes */{length}")
                        self.send_header("Content-Length", "0")
                        self.end_headers()
                        return
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{length}")
                else:
                    self.send_response(200)
                self.send_header("Content-Type", owner.types.get(path, self.guess_type(path)))
                self.send_header("Content-Length", str(end - begin))
                if owner.dated:
                    self.send_header(
                        "Last-Modified", self.date_time_string(file.stat().st_mtime)
                    )
                self.end_headers()
                if answer == "cut":
                    end, self.close_connection = (begin + end) // 2, True
                # Before it is: whoever has read it all may look at once.
                owner.sent += end - begin
                try:
                    with open(file, "rb") as opened:
                        opened.seek(begin)
                        self.wfile.write(opened.read(end - begin))
                except OSError:
                    pass  # The client has what it wanted.

            def log_message(self, *words):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._ended.set()
        self._server.shutdown()
        self._thread.join()
        # Not server_close: it would wait for connections that clients keep.
        self._server.socket.close()


@pytest.fixture
def web(tmp_path):
    """A `WebServer` of the folder `web` in the temporary one."""
    (tmp_path / "web").mkdir()
    server = WebServer(tmp_path / "web")
    yield server
    server.close()


@pytest.fixture
def hasty(monkeypatch):
    """Pauses between tries are cut short."""
    from data_pipelines import remote, remote_ways

    monkeypatch.setattr(remote, "FIRST_PAUSE_SEC", 0.02)
    remote_ways.way_of.cache_clear()
    yield
    remote_ways.way_of.cache_clear()


@pytest.fixture(scope="session")
def s3_server():
    """The address of a server of S3 on this machine (moto), with keys in the environment."""
    import logging

    from moto.server import ThreadedMotoServer

    from data_pipelines import remote_ways

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_settings(f"{host}:{port}").items():
            patch.setenv(name, value)
        remote_ways.way_of.cache_clear()
        yield f"http://{host}:{port}"
    remote_ways.way_of.cache_clear()
    server.stop()


def s3_settings(server):
    """The variables that send boto and tensorflow-io to a server, `HOST:PORT`."""
    return {
        "AWS_ENDPOINT_URL": f"http://{server}", "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1", "S3_ENDPOINT": f"http://{server}",
    }  # fmt: skip


@pytest.fixture
def bucket(s3_server):
    """A function that puts a local folder into a new bucket, and gives its address."""
    import uuid

    import requests

    def put(folder):
        name = f"footage-{uuid.uuid4().hex[:8]}"
        assert requests.put(f"{s3_server}/{name}", timeout=60).ok
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                key = file.relative_to(folder).as_posix()
                address = f"{s3_server}/{name}/{requests.utils.quote(key)}"
                assert requests.put(address, data=file.read_bytes(), timeout=60).ok
        return f"s3://{name}"

    return put
