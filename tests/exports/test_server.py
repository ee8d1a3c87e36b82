import json
import shutil
import socket
import threading
import time

import numpy as np
import pytest
import requests
import tensorflow as tf

from exports import manifest, saved_model
from exports.server import Server

grpc = pytest.importorskip("grpc")
apis = pytest.importorskip("tensorflow_serving.apis")

from tensorflow_serving.apis import (  # noqa: E402
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

CLIP = np.full((1, 2, 8, 8, 1), 51, np.uint8)


class Asking:
    """What asks a server: the published stubs, and HTTP."""

    def __init__(self, server):
        self.server = server
        self.channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)
        self.address = f"http://127.0.0.1:{server.rest_port}/v1/models/"

    def request(self, model="door", signature="", version=None, **inputs):
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = model, signature
        if version is not None:
            request.model_spec.version.value = version
        for name, array in (inputs or {"clip": CLIP}).items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
        return request

    def embedding(self, **spec):
        answer = self.prediction.Predict(self.request(**spec), timeout=300)
        return tf.make_ndarray(answer.outputs["embedding"]).item(), answer.model_spec.version.value

    def states(self, model="door"):
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        answer = self.model.GetModelStatus(request, timeout=300)
        return {one.version: one for one in answer.model_version_status}


@pytest.fixture
def serve():
    """A function of a folder that serves it and gives an `Asking`; all end with the test."""
    running = []

    def start(folder, **options):
        server = Server(folder, **{"grpc_port": 0, "rest_port": 0, "poll_seconds": 0.1} | options)
        running.append(server.__enter__())
        return Asking(server)

    yield start
    for server in running:
        server.__exit__()


@pytest.fixture(scope="module")
def folder(brightness, tmp_path_factory):
    """A folder with the model `door` of versions 1 and 2, whose numbers differ by one."""
    folder = tmp_path_factory.mktemp("exports")
    brightness(folder / "door", 0.0)
    brightness(folder / "door", 1.0)
    return folder


@pytest.fixture(scope="module")
def asking(folder):
    with Server(folder, grpc_port=0, rest_port=0) as server:
        yield Asking(server)


@pytest.fixture
def growing(folder, tmp_path):
    """The model `door` with version 1 alone."""
    shutil.copytree(folder / "door" / "1", tmp_path / "exports" / "door" / "1")
    return tmp_path / "exports" / "door"


def until(condition):
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_predict_runs_the_newest_and_the_version_that_is_named(asking):
    assert asking.embedding() == (pytest.approx(1.2), 2)
    assert asking.embedding(version=1) == (pytest.approx(0.2), 1)
    request = asking.request()
    request.model_spec.version_label = "previous"
    answer = asking.prediction.Predict(request)
    assert answer.model_spec.version.value == 1
    assert answer.model_spec.signature_name == "serving_default"


def test_predict_gives_the_outputs_asked_for(asking):
    request = asking.request(signature="score")
    assert set(asking.prediction.Predict(request).outputs) == {"score", "score_map"}
    request.output_filter.append("score")
    (output,) = asking.prediction.Predict(request).outputs.values()
    np.testing.assert_allclose(tf.make_ndarray(output), [[1.2, 1.2]], rtol=1e-6)


def test_metadata_has_the_signatures_over_both_ways(asking):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "door"
    answer = asking.prediction.GetModelMetadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(signatures)
    clip = signatures.signature_def["score"].inputs["clip"]
    assert clip.dtype == tf.uint8.as_datatype_enum
    assert [dim.size for dim in clip.tensor_shape.dim] == [-1, -1, -1, -1, 1]
    found = requests.get(asking.address + "door/metadata").json()
    assert found["model_spec"] == {"name": "door", "version": "2", "signature_name": ""}
    described = found["metadata"]["signature_def"]["signature_def"]
    assert described["score"]["inputs"]["clip"]["dtype"] == "DT_UINT8"
    assert set(described) >= {"serving_default", "encode_jpeg", "score", "rollout", "step"}


def test_status_tells_every_version_over_both_ways(asking):
    states = asking.states()
    assert {v: one.state for v, one in states.items()} == {1: 30, 2: 30}
    assert requests.get(asking.address + "door/versions/1").json() == {
        "model_version_status": [
            {"version": "1", "state": "AVAILABLE",
             "status": {"error_code": "OK", "error_message": ""}}
        ]
    }  # fmt: skip


@pytest.mark.parametrize("path", ["door", "door/versions/2", "door/labels/stable"])
def test_rows_and_columns_give_the_same_numbers(asking, path):
    pixels = CLIP.tolist()
    for signature, rows, columns in (
        ("score", {"instances": [{"clip": pixels[0]}]}, {"inputs": {"clip": pixels}}),
        ("score", {"instances": pixels}, {"inputs": pixels}),
    ):
        address = f"{asking.address}{path}:predict"
        name = {"signature_name": signature}
        (row,) = requests.post(address, json=rows | name).json()["predictions"]
        found = requests.post(address, json=columns | name).json()["outputs"]
        np.testing.assert_allclose(row["score"], [1.2, 1.2], rtol=1e-6)
        assert found == {output: [value] for output, value in row.items()}


def test_images_go_as_base64(asking):
    png = tf.io.encode_png(CLIP[0, 0]).numpy()
    import base64

    frames = [[{"b64": base64.b64encode(png).decode()}] * 2]
    content = {"signature_name": "encode_jpeg", "instances": frames}
    answer = requests.post(asking.address + "door:predict", json=content).json()
    np.testing.assert_allclose(answer["predictions"], [[1.2]], rtol=1e-6)


def test_without_an_argument_this_machine_alone_reaches_it(asking):
    ports = {asking.server.grpc_port, asking.server.rest_port}
    listening = set()
    for name in ("tcp", "tcp6"):
        with open(f"/proc/net/{name}") as table:
            for line in table.readlines()[1:]:
                place, port = line.split()[1].split(":")
                if line.split()[3] == "0A" and int(port, 16) in ports:
                    listening.add(place)
    # 127.0.0.1, as IPv4 and as gRPC writes it in IPv6.
    assert listening == {"0100007F", "0000000000000000FFFF00000100007F"}


def test_a_taken_port_is_an_oserror_and_leaves_nothing_running(asking, folder):
    threads = threading.active_count()
    for option in ("grpc_port", "rest_port"):
        ports = {"grpc_port": 0, "rest_port": 0} | {option: getattr(asking.server, option)}
        with pytest.raises(OSError), Server(folder, **ports):
            pass
    until(lambda: threading.active_count() <= threads)


# Each kind of `benchmarks/malformed_requests.py` with what TensorFlow Serving's source, of 30 July
# 2026, gives for it. Paths are below `tensorflow_serving/`, those that begin with a colon below
# `tensorflow/` of TensorFlow. `REST` is over HTTP where that differs.
SIZE = "servables/tensorflow/predict_util.cc VerifyRequestInputsSize"
PARSE = ":cc/saved_model/util.cc GetInputValues"
FEED = ":core/common_runtime/direct_session.cc Run, :core/framework/function.cc SetArgs"
GRAPH = "servables/tensorflow/predict_util.cc RunPredict, the status of Session::Run"
FIND = "core/basic_manager.cc GetUntypedServableHandle"
LABEL = "model_servers/server_core.cc GetModelVersionForLabel"
JSON = "util/json_tensor.cc"
PATH = "model_servers/http_rest_api_handler.cc ProcessRequest"
GIVEN = {
    "pixels as floats": ("INVALID_ARGUMENT", 400, FEED),
    "text for pixels": ("INVALID_ARGUMENT", 400, FEED),
    "an axis too few": ("INVALID_ARGUMENT", 400, GRAPH),
    "an axis too many": ("INVALID_ARGUMENT", 400, GRAPH),
    "channels too many": ("INVALID_ARGUMENT", 400, GRAPH),
    "a size that does not fit": ("INVALID_ARGUMENT", 400, GRAPH),
    "too few frames": ("INVALID_ARGUMENT", 400, GRAPH),
    "no frames": ("INVALID_ARGUMENT", 400, GRAPH),
    "no inputs": ("INVALID_ARGUMENT", 400, SIZE),
    "an input of another name": ("INVALID_ARGUMENT", 400, PARSE),
    "an input too many": ("INVALID_ARGUMENT", 200, f"{SIZE}; {JSON} FillTensorMapFromInputsMap"),
    "step without its state": ("INVALID_ARGUMENT", 400, SIZE),
    "a state of another shape": ("INVALID_ARGUMENT", 400, GRAPH),
    "a JPEG that was cut off": ("INVALID_ARGUMENT", 400, GRAPH),
    "noise for a JPEG": ("INVALID_ARGUMENT", 400, GRAPH),
    "text for a JPEG": ("INVALID_ARGUMENT", 400, GRAPH),
    "nothing for a JPEG": ("INVALID_ARGUMENT", 400, GRAPH),
    "frames of two sizes": ("INVALID_ARGUMENT", 400, GRAPH),
    "another model": ("NOT_FOUND", 404, FIND),
    "another version": ("NOT_FOUND", 404, FIND),
    "another label": ("INVALID_ARGUMENT", 400, LABEL),
    "another signature": ("FAILED_PRECONDITION", 400, "servables/tensorflow/predict_util.cc "
                          "RunPredict; model_servers/http_rest_api_handler.cc GetInfoMap"),
    "no message": ("INTERNAL", None, "gRPC's RpcMethodHandler::Deserialize"),
    "100 MiB of zeros": ("INTERNAL", None, "the same; model_servers/server.cc BuildAndStart takes "
                         "messages of 2 GiB"),
    "no model": ("INVALID_ARGUMENT", None, "servables/tensorflow/predict_impl.cc Predict"),
    "no name": ("INVALID_ARGUMENT", None,
                "model_servers/server_core.cc ServableRequestFromModelSpec"),
    "a tensor that is too short": ("INVALID_ARGUMENT", None, PARSE),
    "a tensor of a kind that there is not": ("INVALID_ARGUMENT", None, PARSE),
    "a negative size": ("INVALID_ARGUMENT", None, PARSE),
    # The server in C++ asks for the memory, and whether it gets it depends on the machine.
    "a terabyte in a few bytes": ("INVALID_ARGUMENT", None, f"{PARSE}, where memory is short"),
    "numbers over a byte": ("OK", None, ":core/framework/tensor.cc FromProtoField, the low bits"),
    "an output that there is not": ("INVALID_ARGUMENT", None,
                                    "servables/tensorflow/predict_util.cc PreProcessPrediction"),
    "an output twice": ("INVALID_ARGUMENT", None,
                        "servables/tensorflow/predict_util.cc PreProcessPrediction"),
    "a method that there is not": ("UNIMPLEMENTED", None, "gRPC's UnknownMethodHandler"),
    "metadata of another kind": ("INVALID_ARGUMENT", None, "servables/tensorflow/"
                                 "get_model_metadata_impl.cc ValidateGetModelMetadataRequest"),
    "the status of another model": ("NOT_FOUND", None, "model_servers/get_model_status_impl.cc "
                                    "GetModelStatusWithModelSpec"),
    "no configuration": ("INVALID_ARGUMENT", None,
                         "model_servers/model_service_impl.cc HandleReloadConfigRequest"),
    "no JSON": (None, 400, f"{JSON} ParseJson"),
    "JSON that was cut off": (None, 400, f"{JSON} ParseJson"),
    "100 MiB of zeros over HTTP": (None, 400, f"{JSON} ParseJson"),
    "an empty body": (None, 400, f"{JSON} ParseJson"),
    "a list": (None, 400, f"{JSON} ParseJson"),
    "a thousand brackets": (None, 400, f"{JSON} ParseJson"),
    "rows and columns": (None, 400, f"{JSON} FillPredictRequestFromJson"),
    "neither rows nor columns": (None, 400, f"{JSON} FillPredictRequestFromJson"),
    "no rows": (None, 400, f"{JSON} FillPredictRequestFromJson"),
    "rows that are no list": (None, 400, f"{JSON} FillPredictRequestFromJson"),
    "rows of two lengths": (None, 400, f"{JSON} AddInstanceItem"),
    "rows with and without names": (None, 400, f"{JSON} FillTensorMapFromInstancesList"),
    "a row of another name": (None, 400, f"{JSON} AddInstanceItem"),
    "a row with a name too many": (None, 400, f"{JSON} AddInstanceItem"),
    "a signature that is no text": (None, 400, f"{JSON} FillSignature"),
    "half a pixel": (None, 400, f"{JSON} AddValueToTensor"),
    "true for a pixel": (None, 400, f"{JSON} AddValueToTensor"),
    "null for a pixel": (None, 400, f"{JSON} AddValueToTensor"),
    "text for a pixel": (None, 400, f"{JSON} AddValueToTensor"),
    "a pixel beyond 32 bits": (None, 400, f"{JSON} AddValueToTensor"),
    "a pixel beyond a byte": (None, 200, f"{JSON} AddValueToTensor, :core/framework/tensor.cc "
                              "FromProtoField, the low bits"),
    "base64 that is none": (None, 400, f"{JSON} JsonDecodeBase64Object"),
    "an object that is no base64": (None, 400, f"{JSON} JsonDecodeBase64Object"),
    "a version that is no number": (None, 400, PATH),
    "a version beyond 64 bits": (None, 400, "model_servers/http_rest_api_util.cc ParseModelInfo"),
    "a verb that there is not": (None, 400, PATH),
    "classify": (None, 400, "servables/tensorflow/classifier.cc PreProcessClassification"),
    "a put": (None, 400, PATH),
    "an address within v1": (None, 400, PATH),
    "an address outside of v1": (None, 404, "model_servers/http_server.cc Dispatch, "
                                 "util/net_http/server/internal/evhttp_server.cc"),
    "the status of another model over HTTP": (None, 404, "model_servers/get_model_status_impl.cc"),
    "the metadata of another version": (None, 404, FIND),
}  # fmt: skip


def test_a_body_over_the_limit_is_refused_and_the_next_is_answered(serve, folder):
    asking = serve(folder / "door", max_body_bytes=100_000)
    long = np.zeros((1, 200, 32, 32, 1), np.uint8)
    with pytest.raises(grpc.RpcError) as caught:
        asking.embedding(clip=long)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    body = json.dumps({"instances": long.tolist()})
    assert requests.post(asking.address + "door:predict", data=body).status_code == 413
    chunks = (body[start : start + 5000].encode() for start in range(0, len(body), 5000))
    assert requests.post(asking.address + "door:predict", data=chunks).status_code == 413
    assert asking.embedding()[0] == pytest.approx(1.2)


def test_a_new_version_is_taken_up_whole_while_requests_run_and_none_fails(
    serve, growing, folder
):
    asking = serve(growing)
    found, ended = [], threading.Event()

    def ask(way):
        while not ended.is_set():
            if way == "grpc":
                found.append(asking.embedding())
            else:
                content = {"instances": CLIP.tolist()}
                answer = requests.post(asking.address + "door:predict", json=content)
                assert answer.status_code == 200
                (number,) = answer.json()["predictions"][0]
                found.append((number, 1 if number < 1 else 2))

    failed = []

    def watched(way):
        try:
            ask(way)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=watched, args=(way,)) for way in ("grpc", "grpc", "rest")]
    for thread in threads:
        thread.start()
    until(lambda: len(found) > 20)
    # As `exports.export` does: written aside, renamed into place.
    shutil.copytree(folder / "door" / "2", growing / ".partial-2")
    (growing / ".partial-2").rename(growing / "2")
    until(lambda: failed or sum(version == 2 for _, version in found) > 20)
    ended.set()
    for thread in threads:
        thread.join()
    assert failed == []
    # Each answer is of the version that it says, and there is no way back.
    assert all(number == pytest.approx(0.2 if version == 1 else 1.2) for number, version in found)
    assert asking.embedding(version=1)[0] == pytest.approx(0.2)


def test_a_version_that_is_copied_by_hand_is_taken_when_it_is_whole(serve, growing, folder):
    asking = serve(growing)
    source, target = folder / "door" / "2", growing / "2"
    files = sorted(path for path in source.rglob("*") if path.is_file())
    # The manifest first: the worst order.
    files.sort(key=lambda path: path.name != "manifest.json")
    for path in files:
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
        place.write_bytes(content[: len(content) // 2])
        time.sleep(0.25)
        assert asking.embedding()[1] == 1
        place.write_bytes(content)
    until(lambda: asking.embedding()[1] == 2)
    assert {v: one.state for v, one in asking.states().items()} == {1: 30, 2: 30}


@pytest.mark.parametrize("damage", ["short", "changed", "no manifest", "no graph"])
def test_a_half_copied_version_is_never_taken_and_the_reason_is_told(
    serve, growing, folder, damage
):
    shutil.copytree(folder / "door" / "2", growing / "2")
    data = growing / "2" / "variables" / "variables.data-00000-of-00001"
    content = data.read_bytes()
    if damage == "short":
        data.write_bytes(content[:-1])
    elif damage == "changed":
        data.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "no manifest":
        (growing / "2" / manifest.NAME).unlink()
    else:
        (growing / "2" / "saved_model.pb").unlink()
    asking = serve(growing)
    time.sleep(0.5)
    assert asking.embedding()[1] == 1
    states = asking.states()
    assert states[1].state == 30 and states[2].state == 50
    assert states[2].status.error_message
    with pytest.raises(grpc.RpcError) as caught:
        asking.embedding(version=2)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_version_that_goes_is_let_go_and_the_one_before_answers(serve, growing, folder):
    shutil.copytree(folder / "door" / "2", growing / "2")
    asking = serve(growing)
    assert asking.embedding()[1] == 2
    shutil.rmtree(growing / "2")
    until(lambda: asking.states()[2].state == 50)
    assert asking.embedding() == (pytest.approx(0.2), 1)


def labelled(asking, label):
    """The version that a label names."""
    request = asking.request()
    request.model_spec.version_label = label
    return asking.prediction.Predict(request, timeout=300).model_spec.version.value


def test_two_versions_are_kept_and_the_labels_follow_them(serve, growing, folder):
    asking = serve(growing)
    assert labelled(asking, "stable") == 1
    for number in (2, 3):
        shutil.copytree(folder / "door" / "2", growing / f".{number}")
        (growing / f".{number}").rename(growing / str(number))
        until(lambda: asking.embedding()[1] == number)
    until(lambda: asking.states()[1].state == 50)
    assert asking.embedding(version=2)[1] == 2
    assert labelled(asking, "stable") == 3
    assert labelled(asking, "previous") == 2


def reload(asking, **changes):
    request = model_management_pb2.ReloadConfigRequest()
    config = request.config.model_config_list.config.add(name="door", **changes)
    return request, config


def test_another_configuration_is_taken_and_labels_move(serve, growing, folder):
    shutil.copytree(folder / "door" / "2", growing / "2")
    asking = serve(growing)
    request, config = reload(asking, base_path=str(growing))
    config.model_version_policy.specific.versions.append(1)
    config.version_labels["stable"] = 1
    asking.model.HandleReloadConfigRequest(request)
    assert asking.embedding() == (pytest.approx(0.2), 1)
    answer = requests.post(
        asking.address + "door/labels/stable:predict", json={"instances": CLIP.tolist()}
    )
    np.testing.assert_allclose(answer.json()["predictions"], [[0.2]], rtol=1e-6)
    config.version_labels["stable"] = 9
    with pytest.raises(grpc.RpcError) as caught:
        asking.model.HandleReloadConfigRequest(request)
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("path", "twice", "code"),
    [
        ("/etc", False, grpc.StatusCode.PERMISSION_DENIED),
        ("{}/../other", False, grpc.StatusCode.PERMISSION_DENIED),
        ("{}", True, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_a_configuration_cannot_have_other_folders_served(asking, folder, path, twice, code):
    request, config = reload(asking, base_path=path.format(folder / "door"))
    if twice:
        request.config.model_config_list.config.add().CopyFrom(config)
    with pytest.raises(grpc.RpcError) as caught:
        asking.model.HandleReloadConfigRequest(request)
    assert caught.value.code() == code
    assert asking.embedding()[1] == 2


def test_a_folder_without_a_whole_version_is_not_served(growing):
    (growing / "1" / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ValueError, match="a whole version of each model.* unlike its manifest's"):
        Server(growing, grpc_port=0, rest_port=0).__enter__()
    assert saved_model.versions(growing) == [1]


def test_a_connection_that_is_cut_leaves_the_server_as_it_was(asking):
    for number in range(20):
        with socket.create_connection(("127.0.0.1", asking.server.rest_port)) as connection:
            head = b"POST /v1/models/door:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
            connection.sendall(head[: 4 * number])
    assert asking.embedding()[0] == pytest.approx(1.2)


def test_what_the_extra_brings_is_named_where_it_is_not_there(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "aiohttp", None)
    with pytest.raises(ImportError, match=r"aiohttp is not installed; the extra `serve`"):
        Server(folder)
