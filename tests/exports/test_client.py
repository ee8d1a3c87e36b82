import json
import shutil
import threading
import time
import types
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import tensorflow as tf

import exports
from exports import calibrated, verification
from exports import client as client_lib
from exports.client import Client, ServingError
from exports.server import Server
from zoo.evaluation.events import EventSettings

grpc = pytest.importorskip("grpc")
pytest.importorskip("tensorflow_serving.apis")

from tensorflow_serving.apis import (  # noqa: E402
    predict_pb2,
    prediction_service_pb2_grpc,
)

WAYS = ("grpc", "rest")


def clip_of(value, frames=2):
    return np.full((frames, 8, 8, 1), value, np.uint8)


@pytest.fixture(scope="module")
def folder(brightness, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports") / "door"
    brightness(folder)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with Server(folder, grpc_port=0, rest_port=0) as server:
        yield server


def address(server, way):
    grpc_address = f"127.0.0.1:{server.grpc_port}"
    return grpc_address if way == "grpc" else f"http://127.0.0.1:{server.rest_port}"


@pytest.fixture(params=WAYS)
def client(request, server):
    with Client(address(server, request.param), "door", deadline_sec=60) as client:
        yield client


class Faulty(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Speaks the protocol and answers by the mean of each clip, but as `faults` says at first.

    Attributes:
        faults: list of what to do with the next requests: a `grpc.StatusCode`, or seconds to wait,
            or less once `ended` is set.
        ended: `threading.Event`.
        batches: list of the shapes that came.
    """

    def __init__(self):
        self.faults, self.batches, self.times = [], [], []
        self.ended = threading.Event()

    def Predict(self, request, context):
        clip = tf.make_ndarray(request.inputs["clip"])
        self.batches.append(clip.shape)
        self.times.append(time.monotonic())
        fault = self.faults.pop(0) if self.faults else 0
        if isinstance(fault, grpc.StatusCode):
            context.abort(fault, "as asked")
        self.ended.wait(fault)
        if clip.max() == 255:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a broken window")
        answer = predict_pb2.PredictResponse()
        mean = clip.reshape(len(clip), -1).mean(axis=1).astype(np.float32)
        answer.outputs["mean"].CopyFrom(tf.make_tensor_proto(mean))
        return answer


def start(faulty, port=0):
    server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(faulty, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, port


@pytest.fixture
def faulty():
    """`(servicer, function of options that gives a client of it)`."""
    servicer = Faulty()
    server, port = start(servicer)
    clients = []

    def connect(**options):
        clients.append(Client(f"127.0.0.1:{port}", "door", **options))
        return clients[-1]

    yield servicer, connect
    servicer.ended.set()
    for client in clients:
        client.close()
    server.stop(None).wait()


@pytest.mark.parametrize("way", WAYS)
def test_of_a_calibrated_version_it_gets_which_frames_reach_the_threshold(
    folder, tmp_path, monkeypatch, way
):
    """Its warm-up requests run, or the server would not take it up."""
    shutil.copytree(folder, tmp_path / "door")
    monkeypatch.setattr(verification, "run_isolated", lambda *_: ({}, {}))
    events = EventSettings(high=0.3).to_dict()
    calibrated.save(exports.load(tmp_path / "door"), {"events": events})
    clip = np.stack([clip_of(51), clip_of(102)])
    with Server(tmp_path / "door", grpc_port=0, rest_port=0) as server:
        with Client(address(server, way), "door", deadline_sec=60) as client:
            answer = client.predict("score", {"clip": clip})
            step = client.predict("step", {"frame": clip[:, 0], "state_total": np.zeros(2, "f4")})
    for above in (answer["above_threshold"], step["above_threshold"][:, None]):
        assert above.dtype == bool
        np.testing.assert_array_equal(above, [[False], [True]] * np.ones_like(above))
    np.testing.assert_allclose(answer["score"], [[0.2, 0.2], [0.4, 0.4]], rtol=1e-6)


def test_it_gets_what_the_signatures_give(client):
    clip = np.stack([clip_of(51), clip_of(102)])
    answer = client.predict("score", {"clip": clip})
    assert answer["score"].dtype == np.float32 and answer["score_map"].shape == (2, 2, 1, 1)
    np.testing.assert_allclose(answer["score"], [[0.2, 0.2], [0.4, 0.4]], rtol=1e-6)
    future = client.predict("rollout", {"clip": clip})["future"]
    assert future.dtype == np.uint8
    np.testing.assert_array_equal(future, clip)
    png = tf.io.encode_png(clip_of(51)[0]).numpy()
    frames = np.array([[png, png]], object)
    np.testing.assert_allclose(
        client.predict("encode_jpeg", {"frames": frames})["embedding"], [[0.2]], rtol=1e-6
    )


def test_step_carries_its_state(client):
    state, frame = {"state_total": np.zeros(1, np.float32)}, clip_of(51)[:1]
    for expected in (0.2, 0.4):
        answer = client.predict("step", {"frame": frame, **state})
        state = {"state_total": answer["state_total"]}
        np.testing.assert_allclose(answer["score"], [expected], rtol=1e-6)


def test_it_tells_the_versions(client):
    assert client.status() == {1: "AVAILABLE"}


@pytest.mark.parametrize(
    ("options", "signature", "codes"),
    [
        ({"model": "gate"}, "score", {"NOT_FOUND"}),
        ({"version": 7}, "score", {"NOT_FOUND"}),
        ({"label": "none"}, "score", {"INVALID_ARGUMENT"}),
        ({}, "paint", {"FAILED_PRECONDITION", "INVALID_ARGUMENT"}),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_a_refusal_has_its_code_and_is_not_tried_again(server, way, options, signature, codes):
    options = {"model": "door"} | options
    with Client(address(server, way), **options) as client:
        with pytest.raises(ServingError) as caught:
            client.predict(signature, {"clip": clip_of(5)[None]})
    assert caught.value.code in codes and caught.value.tries == 1


def test_a_version_and_a_label_are_asked_for(server):
    for way in WAYS:
        for options in ({"version": 1}, {"label": "stable"}):
            with Client(address(server, way), "door", **options) as client:
                answer = client.predict("serving_default", {"clip": clip_of(51)[None]})
                np.testing.assert_allclose(answer["embedding"], [[0.2]], rtol=1e-6)


def test_what_fails_for_a_moment_is_tried_again_after_growing_pauses(faulty):
    servicer, connect = faulty
    codes = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
    servicer.faults = [*codes, grpc.StatusCode.ABORTED]
    client = connect(first_pause_sec=0.2)
    assert client.predict("any", {"clip": clip_of(4)[None]})["mean"] == 4
    pauses = np.diff(servicer.times)
    # Up to half of each, 0.2, 0.4 and 0.8 seconds, is drawn.
    assert len(pauses) == 3 and (pauses > [0.1, 0.2, 0.4]).all()
    servicer.faults = [grpc.StatusCode.INTERNAL]
    with pytest.raises(ServingError, match="INTERNAL: as asked"):
        client.predict("any", {"clip": clip_of(4)[None]})


def test_a_server_that_stalls_costs_the_deadline_and_no_more(faulty):
    servicer, connect = faulty
    servicer.faults = [600.0]
    client = connect(deadline_sec=0.5)
    began = time.monotonic()
    with pytest.raises(ServingError) as caught:
        client.predict("any", {"clip": clip_of(4)[None]})
    assert caught.value.code == "DEADLINE_EXCEEDED"
    assert 0.4 < time.monotonic() - began < 60


def test_tries_end_with_the_deadline(faulty, monkeypatch):
    servicer, connect = faulty
    servicer.faults = [grpc.StatusCode.UNAVAILABLE] * 1000
    client = connect(deadline_sec=10.0, first_pause_sec=0.05)
    pauses, left, predict = [0.0], [], client._transport.predict

    def patient(signature, inputs, left_sec):
        left.append(left_sec)
        return predict(signature, inputs, 60)

    # Time passes in the pauses alone.
    monkeypatch.setattr(client_lib, "time", types.SimpleNamespace(
        monotonic=lambda: sum(pauses), sleep=pauses.append))  # fmt: skip
    monkeypatch.setattr(client._transport, "predict", patient)
    with pytest.raises(ServingError) as caught:
        client.predict("any", {"clip": clip_of(4)[None]})
    assert caught.value.code == "UNAVAILABLE"
    assert caught.value.tries == len(servicer.times) == len(left) >= 8
    np.testing.assert_allclose(left, 10 - np.cumsum(pauses))
    # The next pause, of 5 seconds at most, would have gone beyond it.
    assert 5 <= sum(pauses) < 10


def test_a_server_that_starts_again_is_waited_for():
    servicer = Faulty()
    server, port = start(servicer)
    with Client(f"127.0.0.1:{port}", "door", deadline_sec=60) as client:
        assert client.predict("any", {"clip": clip_of(4)[None]})["mean"] == 4
        server.stop(None).wait()
        started = []
        timer = threading.Timer(1.0, lambda: started.append(start(servicer, port)[0]))
        timer.start()
        assert client.predict("any", {"clip": clip_of(7)[None]})["mean"] == 7
        timer.join()
    started[0].stop(None).wait()


def test_windows_go_in_batches_and_come_back_in_their_order(faulty):
    servicer, connect = faulty
    # No batch waits so long: each is full, or followed by a window of another shape.
    client = connect(batch=4, gather_sec=60)
    windows = [clip_of(n) for n in range(10)] + [clip_of(n, frames=3) for n in range(10, 14)]
    answers = client.stream("any", iter(windows))
    assert [answer["mean"] for answer in answers] == list(range(14))
    # Of one shape each, no more than four, and not one by one.
    assert [shape[:2] for shape in servicer.batches] == [(4, 2), (4, 2), (2, 2), (4, 3)]


def test_a_broken_window_does_not_cost_the_others(faulty):
    _, connect = faulty
    client = connect(batch=4, gather_sec=0.5)
    asked = [client.submit("any", {"clip": clip_of(n)}) for n in (1, 255, 3)]
    assert asked[0].result()["mean"] == 1 and asked[2].result()["mean"] == 3
    with pytest.raises(ServingError, match="a broken window"):
        asked[1].result()


def test_no_more_windows_are_read_than_may_wait(faulty):
    servicer, connect = faulty
    servicer.faults = [0.5]
    client = connect(batch=1, waiting=2)
    read = []

    def windows():
        for number in range(50):
            read.append(number)
            yield clip_of(number)

    stream = client.stream("any", windows())
    assert next(stream)["mean"] == 0
    assert len(read) <= 6
    assert [answer["mean"] for answer in stream] == list(range(1, 50))


def test_a_queue_that_stays_full_is_an_error(faulty):
    servicer, connect = faulty
    servicer.faults = [600.0]
    client = connect(batch=1, waiting=1, deadline_sec=60)
    asked = [client.submit("any", {"clip": clip_of(1)})]
    while not servicer.batches:
        time.sleep(0.01)
    asked.append(client.submit("any", {"clip": clip_of(2)}))
    with pytest.raises(ServingError, match="RESOURCE_EXHAUSTED: 1 windows wait already"):
        client.submit("any", {"clip": clip_of(3)}, timeout_sec=0.1)
    servicer.ended.set()
    assert [future.result()["mean"] for future in asked] == [1, 2]


def test_closing_answers_what_waits(faulty):
    _, connect = faulty
    client = connect(batch=2, gather_sec=0.2)
    asked = [client.submit("any", {"clip": clip_of(n)}) for n in range(5)]
    client.close()
    assert [future.result(timeout=0)["mean"] for future in asked] == list(range(5))
    with pytest.raises(ValueError, match="the client is closed"):
        client.submit("any", {"clip": clip_of(1)})


def test_closing_leaves_nobody_waiting_at_a_full_queue(faulty):
    servicer, connect = faulty
    servicer.faults = [600.0]
    client = connect(batch=2, waiting=2, gather_sec=0, deadline_sec=60)
    first = client.submit("any", {"clip": clip_of(0)})
    until(lambda: servicer.batches)
    with futures.ThreadPoolExecutor(9) as pool:
        # Of two shapes, so that one who waits is left over when the others are taken.
        asked = [
            pool.submit(client.submit, "any", {"clip": clip_of(n, frames=2 + n % 2)})
            for n in range(1, 9)
        ]
        until(lambda: len(client._waiting) == 2)
        closing = pool.submit(client.close)
        until(lambda: client._closed)
        servicer.ended.set()
        closing.result(timeout=20)
        assert first.result(timeout=0)["mean"] == 0
        for number, one in enumerate(asked, 1):
            try:
                submitted = one.result(timeout=20)
            except ValueError as error:
                assert "the client is closed" in str(error)
            else:
                assert submitted.result(timeout=0)["mean"] == number


def test_an_answer_comes_before_the_next_window_is_there(faulty):
    _, connect = faulty
    taken, left = threading.Event(), threading.Event()

    def windows():
        try:
            yield clip_of(1)
            if not taken.wait(20):
                raise TimeoutError("nothing was answered")
            for number in range(2, 9):
                yield clip_of(number)
        finally:
            left.set()

    stream = connect(batch=1, waiting=2).stream("any", windows())
    assert next(stream)["mean"] == 1
    taken.set()
    assert next(stream)["mean"] == 2
    # Whoever takes no more answers has no more windows read.
    stream.close()
    assert left.wait(20)


def test_windows_that_cannot_be_read_end_the_stream_with_their_error(faulty):
    _, connect = faulty

    def windows():
        yield clip_of(1)
        raise OSError("the disk is gone")

    stream = connect().stream("any", windows())
    assert next(stream)["mean"] == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(stream)


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def http():
    """`(answers, address)`: what a server over HTTP gives, one after the other: status and body.

    A body that is no bytes is an iterable of them, each of which goes by itself.
    """
    answers = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = answers.pop(0)
            if status is None:
                return  # The connection is closed without an answer.
            self.send_response(status)
            if isinstance(body, bytes):
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for part in [body] if isinstance(body, bytes) else body:
                self.wfile.write(part)

        def do_GET(self):
            content = {"metadata": {"signature_def": {"signature_def": {
                "any": {"outputs": {"mean": {"dtype": "DT_FLOAT"}}},
                "names": {"outputs": dict.fromkeys(
                    ("label", "image_bytes"), {"dtype": "DT_STRING"})}}}}}  # fmt: skip
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield answers, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_over_http_too_what_fails_for_a_moment_is_tried_again(http):
    answers, place = http
    answers += [(503, b"{}"), (None, b""), (429, b"busy"), (200, b'{"outputs": [4.0]}')]
    with Client(place, "door", first_pause_sec=0.01) as client:
        assert client.predict("any", {"clip": clip_of(4)[None]})["mean"] == 4
        answers.append((400, b'{"error": "no"}'))
        with pytest.raises(ServingError, match="INVALID_ARGUMENT: no"):
            client.predict("any", {"clip": clip_of(4)[None]})
        answers.append((200, b"<html>"))
        with pytest.raises(ServingError, match="INTERNAL: the answer is no JSON"):
            client.predict("any", {"clip": clip_of(4)[None]})


def test_over_http_the_deadline_is_of_the_whole_answer_and_not_of_its_parts(http):
    answers, place = http
    ended = threading.Event()

    def dripping():
        while not ended.wait(0.05):
            yield b" "
        yield b'{"outputs": [4.0]}'

    answers.append((200, dripping()))
    timer = threading.Timer(60, ended.set)
    timer.start()
    with Client(place, "door", deadline_sec=1) as client:
        with pytest.raises(ServingError, match="DEADLINE_EXCEEDED: no whole answer in"):
            client.predict("any", {"clip": clip_of(4)[None]})
        # Neither does closing wait for it, nor whoever asks wait for ever.
        client.deadline_sec = 600
        answers.clear()
        answers.append((200, dripping()))
        with futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(client.predict, "any", {"clip": clip_of(4)[None]})
            until(lambda: not answers)
            client.close()
            with pytest.raises(ServingError, match="CANCELLED: the client was closed"):
                asked.result(timeout=20)
        with pytest.raises(ValueError, match="the client is closed"):
            client.predict("any", {"clip": clip_of(4)[None]})
    ended.set()
    timer.cancel()


def test_whoever_asks_while_an_http_client_closes_is_answered_or_told(http):
    answers, place = http
    answers += [(200, b'{"outputs": [4.0]}')] * 200
    with futures.ThreadPoolExecutor(4) as pool:
        client = Client(place, "door", deadline_sec=60)
        client.predict("any", {"clip": clip_of(4)[None]})
        asked = [pool.submit(client.predict, "any", {"clip": clip_of(4)[None]}) for _ in range(40)]
        closing = [pool.submit(client.close) for _ in range(2)]
        for one in asked:
            # The deadline of the client is longer: nobody is left to it.
            error = one.exception(timeout=20)
            assert error is None or "client is closed" in str(error) or "CANCELLED" in str(error)
        assert [one.result(timeout=20) for one in closing] == [None, None]


def test_a_long_clip_goes_over_http_without_a_warning(http, recwarn):
    answers, place = http
    answers.append((200, b'{"outputs": [4.0]}'))
    with Client(place, "door") as client:
        clip = np.zeros((1, 16, 128, 192, 1), np.float32)
        assert client.predict("any", {"clip": clip})["mean"] == 4
    assert not [one for one in recwarn if issubclass(one.category, ResourceWarning)]


def test_strings_are_bytes_over_both_ways(http):
    answers, place = http
    content = {"label": ["gehen", "grün"], "image_bytes": {"b64": "AP8="}}
    answers.append((200, json.dumps({"outputs": content}).encode()))
    with Client(place, "door") as client:
        found = client.predict("names", {"clip": clip_of(4)[None]})
    labels = np.array([b"gehen", "grün".encode()], object)
    over_grpc = tf.make_ndarray(tf.make_tensor_proto(labels))
    assert found["label"].tolist() == over_grpc.tolist() and found["label"].dtype == object
    assert found["image_bytes"].item() == b"\0\xff"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"address": "localhost"}, "`address` must be HOST:PORT or http://HOST:PORT"),
        ({"address": "ftp://h:1"}, "`address` must be HOST:PORT or http://HOST:PORT"),
        ({"batch": 0}, "`batch` must be at least 1. Received: batch=0"),
        ({"batch": 8, "waiting": 4}, "`waiting` must be at least 8. Received: waiting=4"),
        ({"deadline_sec": 0}, "`deadline_sec` must be at least"),
        ({"version": 1, "label": "stable"}, "`label` must not be given beside `version`"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Client(**{"address": "localhost:8500", "model": "door"} | arguments)


@pytest.mark.slow
def test_every_signature_of_a_real_export_gives_the_same_over_both_ways(exported, clip):
    from exports import warm_up
    from exports.manifest import read

    loaded = tf.saved_model.load(str(exported))
    with Server(exported.parent, grpc_port=0, rest_port=0) as server:
        for way in WAYS:
            with Client(address(server, way), exported.parent.name, deadline_sec=120) as client:
                for signature, inputs in warm_up.requests(read(exported)).items():
                    answers = client.predict(signature, inputs)
                    tensors = {name: tf.constant(array) for name, array in inputs.items()}
                    expected = loaded.signatures[signature](**tensors)
                    assert set(answers) == set(expected)
                    for name, array in answers.items():
                        np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=1e-5)
                windows = [clip[0], clip[1], clip[0, :, :16]]
                scores = [answer["score"] for answer in client.stream("score", windows)]
                for window, score in zip(windows, scores):
                    whole = loaded.signatures["score"](clip=tf.constant(window[None]))["score"]
                    np.testing.assert_allclose(score, whole[0], rtol=1e-4, atol=1e-6)
