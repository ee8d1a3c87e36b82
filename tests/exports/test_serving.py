import json

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from exports import manifest, serving

# The fields of `BatchingParameters`, `session_bundle_config.proto`, and of `MonitoringConfig`,
# `monitoring_config.proto`, by number and kind, for which no protocol classes are published.
INT64, BOOL, STRING = (f"google.protobuf.{name}Value" for name in ("Int64", "Bool", "String"))
PUBLISHED = {
    "BatchingParameters": {
        "max_batch_size": (1, INT64), "batch_timeout_micros": (2, INT64),
        "max_enqueued_batches": (3, INT64), "num_batch_threads": (4, INT64),
        "thread_pool_name": (5, STRING), "enable_large_batch_splitting": (8, BOOL),
        "max_execution_batch_size": (9, INT64),
    },
    "PrometheusConfig": {"enable": (1, bool), "path": (2, str)},
    "MonitoringConfig": {"prometheus_config": (1, "published.PrometheusConfig")},
}  # fmt: skip
# Of `model_servers/main.cc`.
FLAGS = {
    "port", "rest_api_port", "model_config_file", "model_config_file_poll_wait_seconds",
    "allow_version_labels_for_unavailable_models", "enable_batching", "batching_parameters_file",
    "monitoring_config_file", "enable_model_warmup",
}  # fmt: skip


@pytest.fixture
def exported(tmp_path):
    """`exports/door` with versions 3, 7 and 12, and `exports/gate` with version 1."""
    for place in ("door/3", "door/7", "door/12", "gate/1"):
        folder = tmp_path / "exports" / place
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(b"graph")
        release = "2.17.1" if place == "gate/1" else "2.21.0"
        manifest.write(folder, {"format": 1, "packages": {"tensorflow": release}})
    (tmp_path / "exports" / "notes").mkdir()
    return tmp_path / "exports"


def published(name, text):
    """Parses the text of a message by its published definition."""
    file = descriptor_pb2.FileDescriptorProto(
        name="published.proto", package="published", syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )  # fmt: skip
    plain = {bool: "TYPE_BOOL", str: "TYPE_STRING"}
    for message, fields in PUBLISHED.items():
        added = file.message_type.add(name=message)
        for field, (number, kind) in fields.items():
            one = added.field.add(name=field, number=number, label="LABEL_OPTIONAL")
            one.type = plain.get(kind, "TYPE_MESSAGE")
            if kind not in plain:
                one.type_name = f".{kind}"
    pool = descriptor_pool.DescriptorPool()
    from google.protobuf import wrappers_pb2

    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"published.{name}"))()
    return text_format.Parse(text, made)


def model_server(text):
    config = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    parsed = text_format.Parse(text, config.ModelServerConfig())
    return {one.name: one for one in parsed.model_config_list.config}


def test_the_configuration_parses_and_names_every_model(exported, tmp_path):
    files = serving.write_config(exported, tmp_path / "out", max_batch=6, cpus=3)
    assert [path.name for path in files] == [
        "batching.config", "compose.yaml", "kubernetes.yaml", "models.config", "monitoring.config",
    ]  # fmt: skip
    configs = model_server((tmp_path / "out" / "models.config").read_text())
    assert set(configs) == {"door", "gate"}
    door = configs["door"]
    assert door.base_path == "/models/door" and door.model_platform == "tensorflow"
    assert door.model_version_policy.latest.num_versions == 2
    assert dict(door.version_labels) == {"stable": 12, "previous": 7}
    assert dict(configs["gate"].version_labels) == {"stable": 1}
    batching = published("BatchingParameters", (tmp_path / "out" / "batching.config").read_text())
    assert batching.max_batch_size.value == 6 and batching.num_batch_threads.value == 3
    assert batching.max_enqueued_batches.value > 0
    monitoring = published("MonitoringConfig", (tmp_path / "out" / "monitoring.config").read_text())
    assert monitoring.prometheus_config.enable
    assert monitoring.prometheus_config.path.startswith("/monitoring/")


def test_the_published_definitions_refuse_a_field_that_there_is_not():
    with pytest.raises(text_format.ParseError):
        published("BatchingParameters", "max_batches { value: 1 }")


def test_compose_serves_this_machine_alone_with_limits_and_a_probe(exported, tmp_path):
    serving.write_config(exported, tmp_path / "out", cpus=3, memory_gb=5)
    (service,) = yaml.safe_load((tmp_path / "out" / "compose.yaml").read_text())[
        "services"
    ].values()
    assert service["image"] == "tensorflow/serving:2.21.0"
    assert {word[2:].partition("=")[0] for word in service["command"]} == FLAGS
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    mounted = {volume["target"]: volume for volume in service["volumes"]}
    assert mounted["/models/door"]["source"] == str(exported / "door")
    assert all(volume["read_only"] for volume in mounted.values())
    probe = service["healthcheck"]["test"][-1]
    assert "/v1/models/door " in probe and "/v1/models/gate " in probe
    assert service["deploy"]["resources"]["limits"] == {"cpus": "3", "memory": "5G"}


def test_kubernetes_has_probes_limits_and_the_same_configuration(exported, tmp_path):
    serving.write_config(exported, tmp_path / "out", cpus=3, memory_gb=5)
    documents = yaml.safe_load_all((tmp_path / "out" / "kubernetes.yaml").read_text())
    kinds = {document["kind"]: document for document in documents}
    assert set(kinds) == {"ConfigMap", "Deployment", "Service"}
    for name, text in kinds["ConfigMap"]["data"].items():
        assert text == (tmp_path / "out" / name).read_text()
    template = kinds["Deployment"]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert {word[2:].partition("=")[0] for word in container["args"]} == FLAGS
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": serving.GRPC_PORT, "rest": serving.REST_PORT}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        (action,) = set(container[probe]) & {"httpGet", "tcpSocket"}
        assert container[probe][action]["port"] in ports
    assert container["resources"]["limits"] == {"cpu": "3", "memory": "5Gi"}
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in template["spec"]["volumes"]}
    assert kinds["Service"]["spec"]["selector"] == template["metadata"]["labels"]


def test_one_model_is_named_by_its_folder(exported):
    assert serving.models(exported / "door") == {"door": exported / "door"}
    assert list(serving.models(exported)) == ["door", "gate"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nowhere", "must be a folder with exports"),
        ("door/3", "must be a folder of versions, not one version"),
        ("notes", "or a folder of such folders"),
    ],
)
def test_what_is_no_folder_of_exports_is_refused(exported, place, message):
    with pytest.raises(ValueError, match=f"`exports` .*{message}"):
        serving.models(exported / place)


def test_a_name_that_an_address_does_not_take_is_refused(exported):
    (exported / "door").rename(exported / "the door")
    with pytest.raises(ValueError, match="letters, digits, .* Received: the door"):
        serving.models(exported)


@pytest.mark.parametrize(
    ("broken", "labels", "kept"),
    [
        ((12,), {"stable": 7}, 2),
        ((7,), {"stable": 12}, 2),
        ((3,), {"stable": 12, "previous": 7}, 2),
        ((7, 12), {"stable": 3}, 3),
    ],
)
def test_the_newest_whole_version_is_labelled_and_the_rest_told(
    exported, tmp_path, caplog, broken, labels, kept
):
    for number in broken:
        (exported / "door" / str(number) / "saved_model.pb").write_bytes(b"other")
    serving.write_config(exported, tmp_path / "out")
    door = model_server((tmp_path / "out" / "models.config").read_text())["door"]
    assert dict(door.version_labels) == labels
    # What is labelled is among those that the server takes up.
    assert door.model_version_policy.latest.num_versions == kept
    for number in set(broken) - {3}:
        assert f"version {number} of door gets no label" in caplog.text
    assert "unlike its manifest's: saved_model.pb" in caplog.text or broken == (3,)


def test_a_model_without_a_whole_version_is_not_configured(exported, tmp_path):
    (exported / "gate" / "1" / "saved_model.pb").write_bytes(b"other")
    said = "a whole version of each model. Received: gate without one.*saved_model.pb"
    with pytest.raises(ValueError, match=said):
        serving.write_config(exported, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["max_batch", "cpus", "memory_gb"])
def test_numbers_below_one_are_refused(exported, tmp_path, name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1. Received: {name}=0"):
        serving.write_config(exported, tmp_path / "out", **{name: 0})


def test_an_out_that_is_a_file_is_refused(exported, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(ValueError, match="`out` must be a folder. Received a file"):
        serving.write_config(exported, tmp_path / "out")


def test_odd_characters_of_a_path_stay_in_their_string(exported, tmp_path):
    odd = exported.rename(tmp_path / 'a "b" $HOME: c')
    serving.write_config(odd, tmp_path / "out")
    (service,) = yaml.safe_load((tmp_path / "out" / "compose.yaml").read_text())[
        "services"
    ].values()
    # Compose puts one `$` in the place of two.
    sources = [volume["source"].replace("$$", "$") for volume in service["volumes"]]
    assert str(odd / "door") in sources
    assert json.dumps(service).count("$$HOME") == 2
