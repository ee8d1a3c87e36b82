"""A client of TensorFlow Serving and of `zoo serve`, over gRPC or REST.

Each call has a deadline for all its tries together. What failed for a moment (`RETRIED`) is tried
again after pauses that grow; no call changes anything on the server, so any may be. `stream` and
`submit` put windows of one shape into one request, and hold no more than a bounded number.
"""

import asyncio
import base64
import collections
import concurrent.futures
import io
import json
import math
import queue
import random
import threading
import time
import urllib.parse

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2

# Codes of gRPC: the server is not there (yet), has too much to do, or gave a call up.
RETRIED = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED")
LONGEST_PAUSE_SEC = 5.0
# What a status of HTTP says, where a server answers by one.
HTTP_CODES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    408: "ABORTED", 409: "ABORTED", 413: "OUT_OF_RANGE", 429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED", 500: "INTERNAL", 501: "UNIMPLEMENTED", 502: "UNAVAILABLE",
    503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip


class ServingError(RuntimeError):
    """What a server refused, or that it could not be asked.

    Attributes:
        code: str, as gRPC names it, such as `"INVALID_ARGUMENT"`.
        tries: int, how often it was asked.

    Example:

    ```python
    try:
        client.predict("score", {"clip": clip})
    except ServingError as error:
        print(error.code)
    ```
    """

    def __init__(self, code, message, tries=1):
        super().__init__(f"{code}: {message}")
        self.code, self.tries = code, tries


class Client:
    """Asks one model of a server. To be left (`with`), or closed.

    Args:
        address: str, `HOST:PORT` of gRPC, or `http://HOST:PORT` of REST.
        model: str, its name.
        version: int. Default: by the label, else the newest.
        label: str, such as `"stable"`. Default: none.
        deadline_sec: float, seconds that a call may take, tries and pauses included.
        first_pause_sec: float, before the second try; it doubles with each, up to 5 seconds.
        batch: int, the most windows that `submit` and `stream` put into one request.
        waiting: int, the most windows that wait; who submits another one waits too.
        gather_sec: float, the longest that a window waits for others to go with it.

    Raises:
        ImportError: If the extra `serve` is not installed.
        ValueError: If `address` is neither, or a number is out of range.

    Example:

    ```python
    with Client("localhost:8500", "mine") as client:
        client.predict("score", {"clip": clip})["score"]  # (batch, time)
        for answer in client.stream("serving_default", windows):
            answer["embedding"]  # (embedding_dim,)
    ```
    """

    def __init__(
        self,
        address,
        model,
        version=None,
        label=None,
        deadline_sec=30.0,
        first_pause_sec=0.1,
        batch=8,
        waiting=64,
        gather_sec=0.01,
    ):
        for name, value, least in (
            ("deadline_sec", deadline_sec, 0.001), ("first_pause_sec", first_pause_sec, 0),
            ("batch", batch, 1), ("waiting", waiting, batch), ("gather_sec", gather_sec, 0),
        ):  # fmt: skip
            if value < least:
                raise ValueError(f"`{name}` must be at least {least}. Received: {name}={value}")
        if version is not None and label is not None:
            raise ValueError("`label` must not be given beside `version`")
        self.deadline_sec, self._pause_sec = deadline_sec, first_pause_sec
        self._batch, self._gather_sec = batch, gather_sec
        scheme = urllib.parse.urlsplit(address).scheme if "//" in address else ""
        if scheme in ("http", "https"):
            self._transport = _Rest(address, model, version, label)
        elif not scheme and address.rpartition(":")[2].isdecimal():
            self._transport = _Grpc(address, model, version, label)
        else:
            raise ValueError(
                f"`address` must be HOST:PORT or http://HOST:PORT. Received: {address!r}"
            )
        self._waiting, self._most = collections.deque(), waiting
        # Told of what is put among those that wait, of what is taken, and of the end.
        self._changed, self._closed = threading.Condition(), False
        self._sender = threading.Thread(target=self._send, name="serving-client", daemon=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        """Sends what waits, and lets the connection go; who waits to submit is refused."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._sender.ident is not None:
            self._sender.join()
        self._transport.close()

    def predict(self, signature, inputs):
        """Runs a signature on a batch.

        Args:
            signature: str, such as `"score"`.
            inputs: dict from name to array, batch first; bytes in arrays of object or `S`.

        Returns:
            Dict from name to array.

        Raises:
            ServingError: If the server refuses it, or the deadline passes.

        Example:

        ```python
        client.predict("serving_default", {"clip": clip})["embedding"]
        ```
        """
        return self._try(lambda left: self._transport.predict(signature, inputs, left))

    def status(self):
        """Asks which versions the server has.

        Returns:
            Dict from version (int) to its state, such as `"AVAILABLE"`.

        Raises:
            ServingError: If it does not know the model, or cannot be asked.

        Example:

        ```python
        client.status()  # {2: "AVAILABLE", 1: "END"}
        ```
        """
        return self._try(self._transport.status)

    def submit(self, signature, inputs, timeout_sec=None):
        """Gives one window to be run with others; waits while too many wait.

        Args:
            signature: str.
            inputs: dict from name to array **without** the batch axis.
            timeout_sec: float, how long to wait for room in the queue. Default: the deadline.

        Returns:
            `concurrent.futures.Future` of a dict from name to array, without the batch axis.

        Raises:
            ServingError: If the queue stays full for that time (`RESOURCE_EXHAUSTED`).
            ValueError: If the client is closed, or is while this waits.

        Example:

        ```python
        client.submit("score", {"clip": window}).result()["score"]  # (time,)
        ```
        """
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        kinds = {n: "bytes" if a.dtype.kind in "SO" else a.dtype.name for n, a in arrays.items()}
        kind = signature, tuple((name, kinds[name], arrays[name].shape) for name in sorted(arrays))
        future = concurrent.futures.Future()
        wait = self.deadline_sec if timeout_sec is None else timeout_sec
        with self._changed:
            has_room = self._changed.wait_for(
                lambda: self._closed or len(self._waiting) < self._most, wait
            )
            if self._closed:
                raise ValueError("the client is closed")
            if not has_room:
                raise ServingError("RESOURCE_EXHAUSTED", f"{self._most} windows wait already")
            self._waiting.append((kind, arrays, future))
            if self._sender.ident is None:
                self._sender.start()
            self._changed.notify_all()
        return future

    def stream(self, signature, windows, name="clip"):
        """Runs windows as they come, in batches, and gives each answer when it is there, in order.

        Args:
            signature: str.
            windows: iterable of arrays without the batch axis. It is read by a thread, at most
                one further than windows may wait ahead of the answers that were taken.
            name: str, of the input.

        Yields:
            Dict from name to array, without the batch axis, for each window.

        Raises:
            ServingError: As `predict`.

        Example:

        ```python
        scores = [answer["score"] for answer in client.stream("score", windows)]
        ```
        """
        asked, room = queue.SimpleQueue(), threading.Semaphore(self._most)
        ended = threading.Event()

        def ask():
            try:
                for window in windows:
                    room.acquire()
                    if ended.is_set():
                        return
                    asked.put(self.submit(signature, {name: window}))
                asked.put(None)
            except BaseException as error:  # Whoever takes the answers is to see it.
                failed = concurrent.futures.Future()
                failed.set_exception(error)
                asked.put(failed)

        threading.Thread(target=ask, name="serving-client-windows", daemon=True).start()
        try:
            while (future := asked.get()) is not None:
                yield future.result()
                room.release()
        finally:
            ended.set()
            room.release()
            # What nobody takes any more is not asked.
            while not asked.empty():
                if (future := asked.get()) is not None:
                    future.cancel()

    def _send(self):
        while together := self._take():
            # Of what nobody waits for any longer nothing is asked.
            if together := [one for one in together if one[2].set_running_or_notify_cancel()]:
                self._answer(together)

    def _take(self):
        """The windows of the next request, all of one kind; none at the end."""
        waiting = self._waiting
        with self._changed:
            self._changed.wait_for(lambda: waiting or self._closed)
            self._changed.wait_for(
                lambda: (
                    self._closed
                    or len(waiting) >= self._batch
                    or any(one[0] != waiting[0][0] for one in waiting)
                ),
                self._gather_sec,
            )
            together, kind = [], waiting[0][0] if waiting else None
            while waiting and waiting[0][0] == kind and len(together) < self._batch:
                together.append(waiting.popleft())
            self._changed.notify_all()
        return together

    def _answer(self, together):
        (signature, _), *_ = together[0]
        try:
            inputs = {
                name: np.stack([arrays[name] for _, arrays, _ in together])
                for name in together[0][1]
            }
            found = self.predict(signature, inputs)
            answers = [
                {name: array[place] for name, array in found.items()}
                for place in range(len(together))
            ]
        except ServingError as error:
            if len(together) > 1 and error.code == "INVALID_ARGUMENT":
                # One may be broken; it must not cost the others.
                for one in together:
                    self._answer([one])
                return
            answers = error
        except Exception as error:  # Whoever waits for the answer is to see it.
            answers = error
        for place, (_, _, future) in enumerate(together):
            if isinstance(answers, Exception):
                future.set_exception(answers)
            else:
                future.set_result(answers[place])

    def _try(self, call):
        ends = time.monotonic() + self.deadline_sec
        pause, tries = self._pause_sec, 0
        while True:
            tries += 1
            try:
                return call(ends - time.monotonic())
            except ServingError as error:
                error.tries = tries
                # Not all at the same moment, where many clients wait for one server.
                wait = pause * random.uniform(0.5, 1)
                if error.code not in RETRIED or time.monotonic() + wait >= ends:
                    raise
            time.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE_SEC)


class _Grpc:
    def __init__(self, address, model, version, label):
        from exports import server

        server.check_installed()
        import grpc
        from tensorflow_serving.apis import model_pb2
        from tensorflow_serving.apis import model_service_pb2_grpc as model_service
        from tensorflow_serving.apis import prediction_service_pb2_grpc as prediction_service

        self._errors = grpc.RpcError
        self._channel = grpc.insecure_channel(
            address,
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                # Else a server that is back is not asked for up to two minutes.
                ("grpc.max_reconnect_backoff_ms", int(1000 * LONGEST_PAUSE_SEC)),
            ],
        )
        self._prediction = prediction_service.PredictionServiceStub(self._channel)
        self._model = model_service.ModelServiceStub(self._channel)
        self._spec = model_pb2.ModelSpec(name=model, version_label=label)
        if version is not None:
            self._spec.version.value = version

    def predict(self, signature, inputs, left):
        from tensorflow_serving.apis import predict_pb2

        ends = time.monotonic() + left
        request = predict_pb2.PredictRequest(model_spec=self._spec)
        request.model_spec.signature_name = signature
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
        answer = self._call(self._prediction.Predict, request, ends - time.monotonic())
        return {name: tf.make_ndarray(tensor) for name, tensor in answer.outputs.items()}

    def status(self, left):
        from tensorflow_serving.apis import get_model_status_pb2 as status

        request = status.GetModelStatusRequest(model_spec=self._spec)
        answer = self._call(self._model.GetModelStatus, request, left)
        state = status.ModelVersionStatus.State
        return {one.version: state.Name(one.state) for one in answer.model_version_status}

    def close(self):
        self._channel.close()

    def _call(self, function, request, left):
        try:
            return function(request, timeout=left)
        except self._errors as error:
            code, details = error.code().name, error.details()
            # Trying again does not make it shorter.
            code = "OUT_OF_RANGE" if "message larger than max" in details else code
            raise ServingError(code, details) from error


class _Rest:
    def __init__(self, address, model, version, label):
        from exports import server

        server.check_installed()
        import aiohttp

        self._aiohttp, self._session = aiohttp, None
        # Of the clients of HTTP it is one whose time limit holds for a whole request.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="serving-client-http", daemon=True
        )
        self._thread.start()
        # Nothing is begun once it is being closed, or its end would come before that of a call.
        self._closing, self._is_closed = threading.Lock(), False
        self._kinds = {}
        choice = f"/versions/{version}" if version is not None else ""
        choice = f"/labels/{urllib.parse.quote(label, '')}" if label is not None else choice
        quoted = urllib.parse.quote(model, "")
        self._address = f"{address.rstrip('/')}/v1/models/{quoted}{choice}"

    def predict(self, signature, inputs, left):
        ends = time.monotonic() + left
        columns = {name: _as_json(array) for name, array in inputs.items()}
        body = json.dumps({"signature_name": signature, "inputs": columns})
        left = ends - time.monotonic()
        # As a file: it warns of long bodies that are given whole.
        outputs = self._call("POST", ":predict", left, data=io.BytesIO(body.encode()))["outputs"]
        if signature not in self._kinds:
            self._kinds[signature] = self._ask_kinds(signature, ends - time.monotonic())
        kinds = self._kinds[signature]
        # A single output stands without its name.
        outputs = outputs if len(kinds) > 1 else {next(iter(kinds)): outputs}
        return {name: _from_json(outputs[name], kind) for name, kind in kinds.items()}

    def status(self, left):
        answer = self._call("GET", "", left)["model_version_status"]
        return {int(one["version"]): one["state"] for one in answer}

    def close(self):
        with self._closing:
            if self._is_closed:
                return
            self._is_closed = True
        # What was begun before is found, as the loop takes up what it is given in its order.
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _ask_kinds(self, signature, left):
        """Names and kinds of the outputs, which an answer in JSON does not tell."""
        known = self._call("GET", "/metadata", left)["metadata"]["signature_def"]["signature_def"]
        enums = {n: one["dtype"] for n, one in known[signature]["outputs"].items()}
        return {
            name: tf.dtypes.as_dtype(types_pb2.DataType.Value(enum)).as_numpy_dtype
            for name, enum in enums.items()
        }

    async def _end(self):
        # Else whoever still waits for an answer would wait for ever.
        asking = asyncio.all_tasks() - {asyncio.current_task()}
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _call(self, method, path, left, **content):
        with self._closing:
            if self._is_closed:
                raise ValueError("the client is closed")
            asked = asyncio.run_coroutine_threadsafe(
                self._ask(method, path, left, **content), self._loop
            )
        try:
            status, reason, body = asked.result()
        except concurrent.futures.CancelledError as error:
            raise ServingError("CANCELLED", "the client was closed") from error
        except TimeoutError as error:
            raise ServingError("DEADLINE_EXCEEDED", f"no whole answer in {left:.3f} s") from error
        except self._aiohttp.ClientError as error:  # refused, reset, or cut off
            raise ServingError("UNAVAILABLE", str(error)) from error
        try:
            found = json.loads(body)
        except ValueError as error:
            if status == 200:
                raise ServingError("INTERNAL", f"the answer is no JSON: {error}") from error
            found = {}
        if status != 200:
            raise ServingError(HTTP_CODES.get(status, "UNKNOWN"), found.get("error", reason))
        return found

    async def _ask(self, method, path, left, **content):
        if self._session is None:
            self._session = self._aiohttp.ClientSession(trust_env=True)
        # Of 0 it would make no limit at all, and of long ones whole seconds.
        limit = self._aiohttp.ClientTimeout(total=max(left, 0.001), ceil_threshold=math.inf)
        address = self._address + path
        async with self._session.request(method, address, timeout=limit, **content) as answer:
            return answer.status, answer.reason, await answer.read()


def _as_json(array):
    array = np.asarray(array)
    if array.dtype.kind not in "SO":
        return array.tolist()
    encoded = np.empty(array.shape, object)
    for place, value in np.ndenumerate(array):
        encoded[place] = {"b64": base64.b64encode(value).decode()}
    return encoded.tolist()


def _from_json(value, kind):
    """An array as gRPC gives it, whose strings are bytes."""
    array = np.array(value, kind)
    if array.dtype == object:
        for place, one in np.ndenumerate(array):
            array[place] = base64.b64decode(one["b64"]) if isinstance(one, dict) else one.encode()
    return array
