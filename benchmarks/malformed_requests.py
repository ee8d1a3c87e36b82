"""Sends hundreds of malformed requests to `zoo serve` and compares the status code of each.

    python benchmarks/malformed_requests.py exported/mine --count 500 --seed 0

Kinds of wrong types, shapes, ranges, fields, images, names and connections go to the server as they
are and through `exports.client`, over gRPC and REST. The bars:

- each gets the status code that TensorFlow Serving gives (`tests/exports/test_server.py` cites it);
- none ends the server, and a good request after each tenth is answered as before all of them;
- its memory at the end is within a twentieth of that after the first half.

Ends with 1 if one of them fails.
"""

import argparse
import base64
import collections
import dataclasses
import json
import os
import pathlib
import random
import re
import socket
import sys

# Before TensorFlow is imported: its start is noise here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import grpc  # noqa: E402
import numpy as np  # noqa: E402
import requests  # noqa: E402
import serve_process  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow_serving.apis import (  # noqa: E402
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    predict_pb2,
)

from exports import manifest, saved_model, serving, warm_up  # noqa: E402
from exports.client import Client, ServingError  # noqa: E402

HUGE = 100 * 2**20
BETWEEN_GOOD = 10


@dataclasses.dataclass
class Ask:
    """A request that a client can word.

    Attributes:
        model: str.
        signature: str.
        inputs: dict from name to array.
        version: int or `None`.
        label: str or `None`.
    """

    model: str
    signature: str
    inputs: dict
    version: int | None = None
    label: str | None = None

    def but(self, **changed):
        return dataclasses.replace(self, **changed)

    def clip(self, change):
        return self.but(inputs={"clip": change(self.inputs["clip"])})

    def frames(self, change):
        """`encode_jpeg` with some of its images changed."""
        images = [[tf.io.encode_jpeg(frame).numpy() for frame in self.inputs["clip"][0]]]
        frames = np.array(images, object)
        frames[0, 0] = change(images[0][0])
        return self.but(signature="encode_jpeg", inputs={"frames": frames})


def step(change):
    """Changes the inputs of `step`."""
    return lambda rng, good, facts: good.but(
        signature="step", inputs=change(dict(warm_up.requests(facts)["step"]))
    )


def without_state(inputs):
    return {"frame": inputs["frame"]}


def flat_state(inputs):
    name = next(name for name in inputs if name != "frame")
    return inputs | {name: np.zeros((2, 3, 4, 5, 6, 7), inputs[name].dtype)}


def clip(change):
    return lambda rng, good, facts: good.clip(lambda pixels: change(rng, pixels))


def frames(change):
    return lambda rng, good, facts: good.frames(lambda image: change(rng, image))


def other(**changed):
    return lambda rng, good, facts: good.but(**changed)


def cut_image(rng, image):
    return image[: rng.randrange(2, len(image) // 2)]


def smaller_image(rng, image):
    return tf.io.encode_jpeg(tf.io.decode_jpeg(image)[:-8]).numpy()


# What makes each of a good request; the codes over gRPC and HTTP.
ASKS = {
    "pixels as floats": (clip(lambda rng, c: c / np.float32(255) + 0.5), "INVALID_ARGUMENT", 400),
    "text for pixels": (clip(lambda rng, c: c.astype("S")), "INVALID_ARGUMENT", 400),
    "an axis too few": (clip(lambda rng, c: c[0]), "INVALID_ARGUMENT", 400),
    "an axis too many": (clip(lambda rng, c: c[None]), "INVALID_ARGUMENT", 400),
    "channels too many": (clip(lambda rng, c: c.repeat(4, axis=-1)), "INVALID_ARGUMENT", 400),
    "a size that does not fit": (clip(lambda rng, c: c[:, :, rng.randrange(1, 7) :]),
                                 "INVALID_ARGUMENT", 400),
    "too few frames": (clip(lambda rng, c: c[:, :1]), "INVALID_ARGUMENT", 400),
    "no frames": (clip(lambda rng, c: c[:, :0]), "INVALID_ARGUMENT", 400),
    "no inputs": (other(inputs={}), "INVALID_ARGUMENT", 400),
    "an input of another name": (lambda rng, good, facts: good.but(
        inputs={f"clip{rng.randrange(9)}": good.inputs["clip"]}), "INVALID_ARGUMENT", 400),
    # Columns of JSON are looked up by the names of the inputs: others are not seen.
    "an input too many": (lambda rng, good, facts: good.but(
        inputs=good.inputs | {f"extra{rng.randrange(9)}": np.zeros(3)}), "INVALID_ARGUMENT", 200),
    "step without its state": (step(without_state), "INVALID_ARGUMENT", 400),
    "a state of another shape": (step(flat_state), "INVALID_ARGUMENT", 400),
    "a JPEG that was cut off": (frames(cut_image), "INVALID_ARGUMENT", 400),
    "noise for a JPEG": (frames(lambda rng, i: b"\xff\xd8\xff" + rng.randbytes(99)),
                         "INVALID_ARGUMENT", 400),
    "text for a JPEG": (frames(lambda rng, i: b"no image"), "INVALID_ARGUMENT", 400),
    "nothing for a JPEG": (frames(lambda rng, i: b""), "INVALID_ARGUMENT", 400),
    "frames of two sizes": (frames(smaller_image), "INVALID_ARGUMENT", 400),
    "another model": (other(model="nobody"), "NOT_FOUND", 404),
    "another version": (other(version=987654), "NOT_FOUND", 404),
    "another label": (other(label="nightly"), "INVALID_ARGUMENT", 400),
    "another signature": (other(signature="classify"), "FAILED_PRECONDITION", 400),
}  # fmt: skip


def predict_request(ask):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = ask.model, ask.signature
    if ask.version is not None:
        request.model_spec.version.value = ask.version
    if ask.label is not None:
        request.model_spec.version_label = ask.label
    for name, array in ask.inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    return request


def message(change):
    """A `Predict` whose message is changed after it was made."""

    def made(rng, good, facts):
        request = predict_request(good)
        change(request)
        return "PredictionService/Predict", request.SerializeToString()

    return made


def short_tensor(request):
    request.inputs["clip"].tensor_content = request.inputs["clip"].tensor_content[:-7]


def negative_size(request):
    request.inputs["clip"].tensor_shape.dim[2].size = -5


def vast_size(request):
    """A few bytes that stand for a terabyte."""
    request.inputs["clip"].ClearField("tensor_content")
    request.inputs["clip"].int_val[:] = [1]
    request.inputs["clip"].tensor_shape.dim[0].size = 2**40


def over_a_byte(request):
    tensor = request.inputs["clip"]
    pixels = tf.make_ndarray(tensor).astype(int) + 256
    tensor.ClearField("tensor_content")
    tensor.int_val[:] = pixels.ravel().tolist()


def calls(method, request):
    content = request if isinstance(request, bytes) else request.SerializeToString()
    return lambda rng, good, facts: (method, content)


METADATA = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["graph"])
METADATA.model_spec.name = "nobody"
STATUS = get_model_status_pb2.GetModelStatusRequest()
STATUS.model_spec.name = "nobody"
# As bytes: what makes the method and the message; the code.
MESSAGES = {
    "no message": (lambda rng, good, facts: ("PredictionService/Predict",
                                             b"\xff" + rng.randbytes(rng.randrange(50))),
                   "INTERNAL"),
    "100 MiB of zeros": (lambda rng, good, facts: ("PredictionService/Predict", bytes(HUGE)),
                         "INTERNAL"),
    "no model": (calls("PredictionService/Predict", b""), "INVALID_ARGUMENT"),
    "no name": (message(lambda request: request.model_spec.ClearField("name")),
                "INVALID_ARGUMENT"),
    "a tensor that is too short": (message(short_tensor), "INVALID_ARGUMENT"),
    "a tensor of a kind that there is not": (message(
        lambda request: setattr(request.inputs["clip"], "dtype", 77)), "INVALID_ARGUMENT"),
    "a negative size": (message(negative_size), "INVALID_ARGUMENT"),
    "a terabyte in a few bytes": (message(vast_size), "INVALID_ARGUMENT"),
    "numbers over a byte": (message(over_a_byte), "OK"),
    "an output that there is not": (message(
        lambda request: request.output_filter.append("colour")), "INVALID_ARGUMENT"),
    "an output twice": (message(
        lambda request: request.output_filter.extend(["embedding"] * 2)), "INVALID_ARGUMENT"),
    "a method that there is not": (calls("PredictionService/Foretell", b""), "UNIMPLEMENTED"),
    "metadata of another kind": (calls("PredictionService/GetModelMetadata", METADATA),
                                 "INVALID_ARGUMENT"),
    "the status of another model": (calls("ModelService/GetModelStatus", STATUS), "NOT_FOUND"),
    "no configuration": (calls("ModelService/HandleReloadConfigRequest",
                               model_management_pb2.ReloadConfigRequest()), "INVALID_ARGUMENT"),
}  # fmt: skip


def as_json(value):
    if isinstance(value, np.ndarray):
        return value.tolist()
    return {"b64": base64.b64encode(value).decode()}


def columns(ask):
    return {"signature_name": ask.signature, "inputs": ask.inputs}


def posts(change, path=":predict", method="POST"):
    """A request over HTTP whose body is made of the good one."""

    def made(rng, good, facts):
        content = change(columns(good), rng)
        body = content if isinstance(content, bytes) else json.dumps(content, default=as_json)
        return method, f"/v1/models/{good.model}{path}", body

    return made


def pixel(value):
    """The last pixel of the good clip is another value."""

    def change(content, rng):
        pixels = content["inputs"]["clip"].tolist()
        pixels[-1][-1][-1][-1][-1] = value
        return {"inputs": pixels}

    return posts(change)


def rows(change):
    return posts(lambda content, rng: {"instances": change(content["inputs"]["clip"].tolist())})


def address(path, method="GET"):
    return lambda rng, good, facts: (method, path.format(good.model), b"")


# Over HTTP: what makes method, path and body; the status.
BODIES = {
    "no JSON": (posts(lambda content, rng: rng.randbytes(200)), 400),
    "JSON that was cut off": (posts(lambda content, rng: json.dumps(
        content, default=as_json).encode()[: rng.randrange(1, 90)]), 400),
    "100 MiB of zeros over HTTP": (posts(lambda content, rng: bytes(HUGE)), 400),
    "an empty body": (posts(lambda content, rng: b""), 400),
    "a list": (posts(lambda content, rng: content["inputs"]["clip"].tolist()), 400),
    "a thousand brackets": (posts(lambda content, rng: b'{"instances": ' + b"[" * 3000), 400),
    "rows and columns": (posts(lambda content, rng: content | {"instances": [1]}), 400),
    "neither rows nor columns": (posts(lambda content, rng: {"signature_name": "score"}), 400),
    "no rows": (rows(lambda pixels: []), 400),
    "rows that are no list": (rows(lambda pixels: {"clip": pixels}), 400),
    "rows of two lengths": (rows(lambda pixels: [pixels[0], pixels[0][1:]]), 400),
    "rows with and without names": (rows(lambda pixels: [{"clip": pixels[0]}, pixels[0]]), 400),
    "a row of another name": (rows(lambda pixels: [{"video": pixels[0]}]), 400),
    "a row with a name too many": (rows(lambda pixels: [{"clip": pixels[0], "more": 1}]), 400),
    "a signature that is no text": (posts(lambda content, rng: content | {
        "signature_name": 7}), 400),
    "half a pixel": (pixel(1.5), 400),
    "true for a pixel": (pixel(True), 400),
    "null for a pixel": (pixel(None), 400),
    "text for a pixel": (pixel("7"), 400),
    "a pixel beyond 32 bits": (pixel(2**31), 400),
    "a pixel beyond a byte": (pixel(300), 200),
    "base64 that is none": (posts(lambda content, rng: {
        "signature_name": "encode_jpeg", "inputs": [[{"b64": "*" * rng.randrange(1, 9)}]]}), 400),
    "an object that is no base64": (posts(lambda content, rng: {
        "signature_name": "encode_jpeg", "inputs": [[{"jpeg": "AAAA"}]]}), 400),
    "a version that is no number": (posts(lambda c, rng: c, "/versions/one:predict"), 400),
    "a version beyond 64 bits": (posts(lambda c, rng: c, f"/versions/{2**63}:predict"), 400),
    "a verb that there is not": (posts(lambda c, rng: c, ":foretell"), 400),
    "classify": (posts(lambda c, rng: {"examples": [{"x": 1}]}, ":classify"), 400),
    "a put": (posts(lambda c, rng: c, method="PUT"), 400),
    "an address within v1": (address("/v1/nothing"), 400),
    "an address outside of v1": (address("/v2/models/{}"), 404),
    "the status of another model over HTTP": (address("/v1/models/nobody"), 404),
    "the metadata of another version": (address("/v1/models/{}/versions/9876/metadata"), 404),
}  # fmt: skip
CUT = ("cut over HTTP", "cut over gRPC")
WAYS = ("grpc", "http", "client over gRPC", "client over HTTP")


class Attack:
    """Sends malformed requests to a server.

    Args:
        folder: Path of a version of the export that it serves.
        grpc_port: int.
        rest_port: int.
        model: str, its name there.
    """

    def __init__(self, folder, grpc_port, rest_port, model):
        self.facts = manifest.read(folder)
        stride, time = self.facts["stride"], max(self.facts["min_frames"], 2)
        shape = (1, time, 2 * stride, 3 * stride, self.facts["channels"])
        pixels = np.random.default_rng(0).integers(0, 200, shape, np.uint8)
        self.good = Ask(model, "serving_default", {"clip": pixels})
        self.grpc, self.rest = f"127.0.0.1:{grpc_port}", f"http://127.0.0.1:{rest_port}"
        self.rest_port, self.grpc_port = rest_port, grpc_port
        self.cases = [(kind, way) for kind in ASKS for way in WAYS]
        self.cases += [(kind, "grpc") for kind in MESSAGES] + [(kind, "http") for kind in BODIES]
        self.cases += [(kind, "socket") for kind in CUT]
        self.expected_answer = self.ask_good()

    def ask_good(self):
        with Client(self.grpc, self.good.model) as client:
            return client.predict(self.good.signature, self.good.inputs)["embedding"]

    def run(self, number, seed=0):
        """Sends one.

        Args:
            number: int; all kinds and ways come, each as often.
            seed: int.

        Returns:
            `(kind, way, expected, got)`: a code of gRPC, a status of HTTP, or `None` for both.
        """
        kind, way = self.cases[number % len(self.cases)]
        rng = random.Random(f"{seed} {number}")
        if kind in CUT:
            self._cut(kind, rng)
            return kind, way, None, None
        if kind in MESSAGES:
            make, expected = MESSAGES[kind]
            return kind, way, expected, self._call(*make(rng, self.good, self.facts))
        if kind in BODIES:
            make, expected = BODIES[kind]
            return kind, way, expected, self._request(*make(rng, self.good, self.facts))
        make, code, status = ASKS[kind]
        ask = make(rng, self.good, self.facts)
        if way == "grpc":
            request = predict_request(ask)
            return kind, way, code, self._call("PredictionService/Predict",
                                               request.SerializeToString())  # fmt: skip
        if way == "http":
            choice = f"/versions/{ask.version}" if ask.version else ""
            choice = f"/labels/{ask.label}" if ask.label else choice
            body = json.dumps(columns(ask), default=as_json)
            got = self._request("POST", f"/v1/models/{ask.model}{choice}:predict", body)
            return kind, way, status, got
        if way == "client over HTTP":
            code = {200: "OK", 400: "INVALID_ARGUMENT", 404: "NOT_FOUND"}[status]
        return kind, way, code, self._client(ask, self.grpc if "gRPC" in way else self.rest)

    def _call(self, method, content):
        options = [("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(self.grpc, options=options) as channel:
            call = channel.unary_unary(f"/tensorflow.serving.{method}")
            try:
                call(content, timeout=60)
            except grpc.RpcError as error:
                return error.code().name
            return "OK"

    def _request(self, method, path, body):
        return requests.request(method, self.rest + path, data=body, timeout=60).status_code

    def _client(self, ask, address):
        with Client(address, ask.model, version=ask.version, label=ask.label) as client:
            try:
                client.predict(ask.signature, ask.inputs)
            except ServingError as error:
                return error.code
            return "OK"

    def _cut(self, kind, rng):
        body = json.dumps(columns(self.good), default=as_json).encode()
        head = f"POST /v1/models/{self.good.model}:predict HTTP/1.1\r\nHost: x\r\n"
        http = head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + rng.randbytes(200)
        port, sent = (self.rest_port, http) if "HTTP" in kind else (self.grpc_port, preface)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(sent[: rng.randrange(len(sent))])


def memory(pid):
    """Resident memory of a process in MB."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("export", help="folder of versions of one model")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    (model,) = serving.models(arguments.export)
    with serve_process.serving(arguments.export) as (process, *ports):
        attack = Attack(saved_model.locate(arguments.export), *ports, model)
        wrong, counts, used = [], collections.Counter(), []
        for number in range(arguments.count):
            kind, way, expected, got = attack.run(number, arguments.seed)
            counts[way] += 1
            if got != expected:
                wrong.append(f"{number}: {kind}, {way}: {got} instead of {expected}")
            if number % BETWEEN_GOOD == 0 and not (
                np.array_equal(attack.ask_good(), attack.expected_answer)
            ):
                wrong.append(f"{number}: the good request after it has another answer")
            used.append(memory(process.pid))
        alive = process.poll() is None
    half, end = used[len(used) // 2], used[-1]
    print(f"{arguments.count} requests: {dict(counts)}; {len(wrong)} wrong")
    print(f"memory in MB: first {used[0]:.0f}, after half {half:.0f}, at the end {end:.0f}")
    for line in wrong:
        print(line)
    return int(bool(wrong) or not alive or end > 1.05 * half)


if __name__ == "__main__":
    sys.exit(main())
