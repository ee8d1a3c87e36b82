"""A server of exports for a desk or a small site, in the protocols of TensorFlow Serving.

Over gRPC `PredictionService` (`Predict`, `GetModelMetadata`) and `ModelService` (`GetModelStatus`,
`HandleReloadConfigRequest`), over HTTP `/v1/models/...`: what is a client of this is one of
TensorFlow Serving, and gets the same status codes. HTTP is served by aiohttp, which is server and
framework in one and needs no other package to run.
"""

import asyncio
import concurrent.futures
import functools
import inspect
import logging
import re
import threading
import urllib.parse
from pathlib import Path

import tensorflow as tf

from exports import rest_forms, served_models, serving

_LOG = logging.getLogger(__name__)

HOST = "127.0.0.1"
MAX_BODY_BYTES = 2**27
BODY_SECONDS = 60.0
END_SECONDS = 5.0

# `ToHTTPStatusCode` of `model_servers/http_server.cc`; 500 for the rest.
HTTP_STATUS = {
    tf.errors.CANCELLED: 499, tf.errors.INVALID_ARGUMENT: 400, tf.errors.DEADLINE_EXCEEDED: 504,
    tf.errors.NOT_FOUND: 404, tf.errors.ALREADY_EXISTS: 409, tf.errors.PERMISSION_DENIED: 403,
    tf.errors.RESOURCE_EXHAUSTED: 429, tf.errors.FAILED_PRECONDITION: 400, tf.errors.ABORTED: 409,
    tf.errors.OUT_OF_RANGE: 400, tf.errors.UNIMPLEMENTED: 501, tf.errors.UNAVAILABLE: 503,
    tf.errors.UNAUTHENTICATED: 401,
}  # fmt: skip
_MODEL = r"(?i)/v1/models/(?P<name>[^/:]+)"
_CHOICE = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_CALL = re.compile(_MODEL + _CHOICE + r":(?P<method>classify|regress|predict)")
_LOOK = re.compile(_MODEL + _CHOICE + r"(?P<metadata>/metadata)?")


class Server:
    """Serves one exported model or a folder of them until it is left.

    Versions are followed: a new one is taken up whole (see `exports.served_models`), the one
    before it stays for those who name it.

    Args:
        exports: Path of a folder of versions, which is one model, or of a folder of those.
        host: str, the address to listen on. Default: this machine alone can reach it.
        grpc_port: int; 0 takes a free one.
        rest_port: int; 0 takes a free one.
        workers: int, requests that are computed side by side.
        poll_seconds: float, the time between two looks for new versions.
        max_body_bytes: int, the longest request that is read, and the most that its tensors take.

    Attributes:
        grpc_port: int, the one that it listens on.
        rest_port: int, the one that it listens on.
        served: `exports.served_models.ServedModels`.

    Raises:
        ImportError: If the extra `serve` is not installed.
        ValueError: If there is no export, or a model has no whole version.
        OSError: If a port is taken.

    Example:

    ```python
    with Server("exported", grpc_port=0, rest_port=0) as server:
        address = f"http://localhost:{server.rest_port}"
    ```
    """

    def __init__(
        self,
        exports,
        host=HOST,
        grpc_port=serving.GRPC_PORT,
        rest_port=serving.REST_PORT,
        workers=2,
        poll_seconds=1.0,
        max_body_bytes=MAX_BODY_BYTES,
    ):
        check_installed()
        self._roots = serving.models(exports).values()
        self.served = served_models.ServedModels(
            _configs(serving.models(exports)), poll_seconds, max_body_bytes
        )
        self.host, self.grpc_port, self.rest_port = host, grpc_port, rest_port
        self._max_body_bytes = max_body_bytes
        self._pool = concurrent.futures.ThreadPoolExecutor(workers, "serve")
        # Those that wait hold their bodies in memory.
        self._most_at_once, self._reading = 8 * workers, 0
        self._grpc = self._runner = self._loop = None

    def __enter__(self):
        self.served.__enter__()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="http", daemon=True)
        self._thread.start()
        try:
            self._start_grpc()
            asyncio.run_coroutine_threadsafe(self._start_http(), self._loop).result()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error):
        if self._grpc is not None:
            self._grpc.stop(END_SECONDS).wait()
        if self._runner is not None:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._pool.shutdown()
        self.served.__exit__()

    def _start_grpc(self):
        import grpc
        from tensorflow_serving.apis import get_model_metadata_pb2 as metadata
        from tensorflow_serving.apis import get_model_status_pb2 as status
        from tensorflow_serving.apis import model_management_pb2 as management
        from tensorflow_serving.apis import predict_pb2 as predict

        self._grpc = grpc.server(
            self._pool,
            maximum_concurrent_rpcs=self._most_at_once,
            options=[
                ("grpc.max_receive_message_length", self._max_body_bytes),
                ("grpc.max_send_message_length", -1),
                # Else a second server would share the port in silence.
                ("grpc.so_reuseport", 0),
            ],
        )
        services = {
            "PredictionService": {
                "Predict": (self._predict, predict.PredictRequest),
                "GetModelMetadata": (self._metadata, metadata.GetModelMetadataRequest),
            },
            "ModelService": {
                "GetModelStatus": (self._status, status.GetModelStatusRequest),
                "HandleReloadConfigRequest": (self._reload, management.ReloadConfigRequest),
            },
        }
        for service, methods in services.items():
            handlers = {
                name: grpc.unary_unary_rpc_method_handler(_over_grpc(function, request))
                for name, (function, request) in methods.items()
            }
            name = f"tensorflow.serving.{service}"
            handler = grpc.method_handlers_generic_handler(name, handlers)
            self._grpc.add_generic_rpc_handlers((handler,))
        host = f"[{self.host}]" if ":" in self.host else self.host
        try:
            self.grpc_port = self._grpc.add_insecure_port(f"{host}:{self.grpc_port}")
        except RuntimeError as error:
            raise OSError(f"cannot listen on {host}:{self.grpc_port}: {error}") from error
        self._grpc.start()

    async def _start_http(self):
        from aiohttp import web

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._http)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=END_SECONDS)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.rest_port).start()
        self.rest_port = self._runner.addresses[0][1]

    async def _http(self, request):
        from aiohttp import web

        path = request.rel_url.raw_path
        if not re.match(r"(?i)/v1/", path):
            return web.json_response({"error": f"there is nothing at {path}"}, status=404)
        if self._reading >= self._most_at_once:
            return web.json_response({"error": "too many requests at once"}, status=429)
        self._reading += 1
        try:
            call = _CALL.fullmatch(path) if request.method == "POST" else None
            look = _LOOK.fullmatch(path) if request.method == "GET" else None
            if call:
                work = functools.partial(self._rest_call, call, await self._body(request))
            elif look:
                work = functools.partial(self._rest_look, look)
            else:
                raise _error("InvalidArgument", f"Malformed request: {request.method} {path}")
            text = await self._loop.run_in_executor(self._pool, work)
            return web.Response(text=text, content_type="application/json")
        except tf.errors.OpError as error:
            status = HTTP_STATUS.get(error.error_code, 500)
            return web.json_response({"error": error.message}, status=status)
        except ConnectionResetError:
            return web.Response(status=499)  # Nobody is there to get it.
        finally:
            self._reading -= 1

    async def _body(self, request):
        from aiohttp import web

        body, most, begins = bytearray(), self._max_body_bytes, b""
        too_long = web.HTTPRequestEntityTooLarge(most, request.content_length or most + 1)
        if (request.content_length or 0) > 2 * most:
            raise too_long
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in request.content.iter_any():
                    body += chunk
                    # What is no JSON object is not read to its end.
                    begins = begins or chunk.lstrip(b" \t\r\n")[:1]
                    if begins not in (b"{", b""):
                        break
                    if len(body) > most:
                        raise too_long
        except TimeoutError as error:
            raise web.HTTPRequestTimeout from error
        return bytes(body)

    def _rest_call(self, call, body):
        content = rest_forms.document(body)
        spec = _model_spec(call)
        signature = content.get("signature_name", "")
        if not isinstance(signature, str):
            raise _error("InvalidArgument", "'signature_name' key must be a string value.")
        if call["method"].lower() != "predict":
            self._find(spec)
            raise _error("InvalidArgument", f"no signature answers {call['method']}")
        version = self._find(spec)
        specs = version.inputs(signature or served_models.DEFAULT_SIGNATURE)
        arrays, is_rows = rest_forms.tensors(content, specs)
        tensors = {name: tf.constant(array) for name, array in arrays.items()}
        return rest_forms.answer(version.run(signature, tensors), is_rows)

    def _rest_look(self, look):
        import json

        from google.protobuf import json_format
        from tensorflow_serving.apis import get_model_metadata_pb2 as metadata
        from tensorflow_serving.apis import get_model_status_pb2 as status

        # Protobuf 5 has another name for the argument.
        known = inspect.signature(json_format.MessageToDict).parameters
        names = ("always_print_fields_with_no_presence", "including_default_value_fields")
        options = {"preserving_proto_field_name": True}
        options |= {name: True for name in names if name in known}
        spec = _model_spec(look)
        if not look["metadata"]:
            message = self._status(status.GetModelStatusRequest(model_spec=spec))
            return json.dumps(json_format.MessageToDict(message, **options), indent=1)
        request = metadata.GetModelMetadataRequest(
            model_spec=spec, metadata_field=["signature_def"]
        )
        message = self._metadata(request)
        signatures = metadata.SignatureDefMap()
        message.metadata["signature_def"].Unpack(signatures)
        return json.dumps(
            {
                "model_spec": json_format.MessageToDict(message.model_spec, **options),
                "metadata": {"signature_def": json_format.MessageToDict(signatures, **options)},
            },
            indent=1,
        )

    def _find(self, spec):
        choice = spec.WhichOneof("version_choice")
        number = spec.version.value if choice == "version" else None
        label = spec.version_label if choice == "version_label" else None
        return self.served.find(spec.name, number, label)

    def _predict(self, request):
        from tensorflow_serving.apis import predict_pb2

        _check_spec(request)
        version = self._find(request.model_spec)
        signature = request.model_spec.signature_name or served_models.DEFAULT_SIGNATURE
        outputs = version.run(signature, request.inputs, list(request.output_filter))
        answer = predict_pb2.PredictResponse()
        answer.model_spec.name = version.name
        answer.model_spec.signature_name = signature
        answer.model_spec.version.value = version.number
        for name, array in outputs.items():
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(array))
        return answer

    def _metadata(self, request):
        from tensorflow_serving.apis import get_model_metadata_pb2

        _check_spec(request)
        if set(request.metadata_field) != {"signature_def"}:
            raise _error(
                "InvalidArgument",
                f"metadata_field must be signature_def. Received: {list(request.metadata_field)}",
            )
        version = self._find(request.model_spec)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in version.signature_defs.items():
            signatures.signature_def[name].CopyFrom(definition)
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.model_spec.name, answer.model_spec.version.value = version.name, version.number
        answer.metadata["signature_def"].Pack(signatures)
        return answer

    def _status(self, request):
        from tensorflow_serving.apis import get_model_status_pb2

        _check_spec(request)
        has_version = request.model_spec.HasField("version")
        number = request.model_spec.version.value if has_version else None
        states = self.served.states(request.model_spec.name, number)
        answer = get_model_status_pb2.GetModelStatusResponse()
        for found, (state, error) in sorted(states.items(), reverse=True):
            one = answer.model_version_status.add(version=found, state=state)
            one.status.error_code = tf.errors.OK if error is None else error.error_code
            one.status.error_message = "" if error is None else error.message
        return answer

    def _reload(self, request):
        from tensorflow_serving.apis import model_management_pb2

        if request.config.WhichOneof("config") != "model_config_list":
            raise _error("InvalidArgument", "Only ModelConfigList is currently supported")
        configs = request.config.model_config_list.config
        for config in configs:
            # A graph may read any file: whoever reaches the port must not choose which is run.
            if Path(config.base_path).resolve() not in self._roots:
                raise _error(
                    "PermissionDenied",
                    f"base_path must be a folder that the server was started with. "
                    f"Received: {config.base_path}",
                )
        self.served.configure(configs)
        return model_management_pb2.ReloadConfigResponse()


def check_installed():
    """Raises `ImportError` where what the server and its client need is not installed."""
    try:
        import aiohttp  # noqa: F401
        import grpc  # noqa: F401
        import tensorflow_serving.apis  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{error.name} is not installed; the extra `serve` brings it: "
            "pip install 'unsupervised-video-zoo[serve]'"
        ) from error


def _configs(models):
    """The models as `ModelConfig`, as `serving.write_config` has them, where they are."""
    from tensorflow_serving.config import model_server_config_pb2

    made = []
    for name, folder in models.items():
        config = model_server_config_pb2.ModelConfig(name=name, base_path=str(folder))
        config.model_version_policy.latest.num_versions = serving.KEPT_VERSIONS
        made.append(config)
    return made


def _over_grpc(function, request_class):
    """A handler of bytes that ends a call with the code of a TensorFlow error."""
    import grpc
    from google.protobuf.message import DecodeError

    codes = {code.value[0]: code for code in grpc.StatusCode}

    def handle(content, context):
        try:
            return function(request_class.FromString(content)).SerializeToString()
        except DecodeError as error:
            # Left to gRPC, each would bring a traceback into the log.
            context.abort(grpc.StatusCode.INTERNAL, f"the request is no message: {error}")
        except tf.errors.OpError as error:
            context.abort(codes[error.error_code], error.message)

    return handle


def _model_spec(found):
    """The model that an address names."""
    from tensorflow_serving.apis import model_pb2

    spec = model_pb2.ModelSpec(name=urllib.parse.unquote(found["name"]))
    if found["version"]:
        number = int(found["version"])
        if number >= 2**63:
            raise _error("InvalidArgument", f"Failed to convert version: {number} to numeric.")
        spec.version.value = number
    if found["label"]:
        spec.version_label = urllib.parse.unquote(found["label"])
    return spec


def _check_spec(request):
    if not request.HasField("model_spec"):
        raise _error("InvalidArgument", "Missing ModelSpec")


def _error(kind, message):
    return getattr(tf.errors, f"{kind}Error")(None, None, message)
