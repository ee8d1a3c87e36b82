"""Who goes to the network, and that tensorflow-io does where its plugins load."""

import json
import os
import subprocess
import sys
from importlib import util

import pytest
import tensorflow as tf

from data_pipelines import remote_ways

HAS_PLUGINS = util.find_spec("tensorflow_io") is not None and tf.__version__ < "2.18"

# In a process of its own: the plugin for S3 aborts the one that it was used in as that ends.
READ_BY_PLUGIN = """
import json, os, sys
from data_pipelines import remote, remote_ways
remote_ways.importlib.util.find_spec = lambda name: None
way = remote_ways.way_of("s3")
found = {"way": type(way).__name__}
folder = remote.RemotePath(sys.argv[1])
found["files"] = {
    below.relative_to(folder).as_posix(): below.stat().st_size
    for path in folder.iterdir() for below in path.iterdir()
}
with remote.open_binary(sys.argv[1] + "/day 1/a.bin") as file:
    file.seek(2_000_000)
    found["bytes"] = list(file.read(3))
for address in (sys.argv[1] + "/none", "s3://no-such-bucket/a"):
    try:
        remote.size_of(address)
    except OSError as error:
        found[address] = f"{type(error).__name__}: {error}"
print(json.dumps(found), flush=True)
os._exit(0)
"""


@pytest.fixture(autouse=True)
def _looked_up_again():
    remote_ways.way_of.cache_clear()
    yield
    remote_ways.way_of.cache_clear()


def test_the_plugins_are_used_where_they_load():
    assert ("s3" in remote_ways.tensorflow_schemes()) == HAS_PLUGINS
    assert type(remote_ways.way_of("http")) is type(remote_ways.way_of("https")) is remote_ways.Web


@pytest.mark.parametrize("schemes,installed,way", [
    ({"s3"}, True, remote_ways.FileSystem), ({"s3"}, False, remote_ways.TensorFlow),
    ((), True, remote_ways.FileSystem),
])  # fmt: skip
def test_of_s3_the_package_goes_before_the_plugin(monkeypatch, schemes, installed, way):
    monkeypatch.setattr(remote_ways, "tensorflow_schemes", lambda: frozenset(schemes))
    spec = util.find_spec("json") if installed else None
    monkeypatch.setattr(remote_ways.importlib.util, "find_spec", lambda name: spec)
    assert type(remote_ways.way_of("s3")) is way


def test_looking_for_the_plugins_warns_of_nothing():
    """Where they do not load tensorflow-io warns on its import; `zoo doctor` says it instead."""
    code = "from data_pipelines import remote_ways; print(len(remote_ways.tensorflow_schemes()))"
    ended = subprocess.run(
        [sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}, timeout=300,
    )  # fmt: skip
    assert "unable to load" not in ended.stderr


@pytest.mark.skipif(not HAS_PLUGINS, reason="the plugins of tensorflow-io do not load here")
def test_the_plugin_for_s3_reads_lists_and_says_what_is_not_there(tmp_path, bucket):
    (tmp_path / "disk" / "day 1").mkdir(parents=True)
    content = bytes(range(256)) * 10_000
    (tmp_path / "disk" / "day 1" / "a.bin").write_bytes(content)
    address = bucket(tmp_path / "disk")
    ended = subprocess.run(
        [sys.executable, "-c", READ_BY_PLUGIN, address], capture_output=True, text=True,
        check=True, timeout=300,
    )  # fmt: skip
    assert json.loads(ended.stdout.splitlines()[-1]) == {
        "way": "TensorFlow",
        "files": {"day 1/a.bin": len(content)},
        "bytes": list(content[2_000_000:2_000_003]),
        f"{address}/none": f"FileNotFoundError: {address}/none does not exist",
        "s3://no-such-bucket/a": "FileNotFoundError: s3://no-such-bucket/a does not exist",
    }


@pytest.mark.parametrize("status,raised", [
    (401, remote_ways.Refused), (403, remote_ways.Refused), (404, remote_ways.Refused),
    (410, remote_ways.Refused), (400, remote_ways.Refused), (408, remote_ways.Failed),
    (429, remote_ways.Failed), (500, remote_ways.Failed), (503, remote_ways.Failed),
])  # fmt: skip
def test_a_status_says_whether_to_try_again(status, raised):
    with pytest.raises(raised, match=str(status)):
        remote_ways.check_status(status)
    for fine in (200, 206, 304):
        remote_ways.check_status(fine)


def test_a_profile_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setattr(remote_ways, "tensorflow_schemes", frozenset)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(OSError, match=r"s3:// cannot be read by fsspec with s3fs: .*\(nobody\)"):
        remote_ways.way_of("s3")


def test_a_forked_process_makes_connections_of_its_own():
    way, session = remote_ways.way_of("http"), remote_ways._session()
    assert remote_ways.way_of("http") is way and remote_ways._session() is session
    child = os.fork()
    if child == 0:
        has_own = remote_ways.way_of("http") is not way and remote_ways._session() is not session
        os._exit(0 if has_own else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert remote_ways.way_of("http") is way and remote_ways._session() is session


def test_an_address_that_a_plugin_quotes_is_not_shown(monkeypatch):
    said = "cannot open https://me:word@host/a?sig=1: no route"

    def stat(url):
        raise tf.errors.UnavailableError(None, None, said)

    monkeypatch.setattr(tf.io.gfile, "stat", stat)
    with pytest.raises(remote_ways.Failed, match=r"^cannot open \*\*\* no route$"):
        remote_ways.TensorFlow().stat("https://me:word@host/a?sig=1")


def test_a_plugin_that_never_returns_is_left_behind(monkeypatch):
    import threading

    monkeypatch.setattr(remote_ways, "ANSWER_SEC", 0.1)
    ended = threading.Event()
    monkeypatch.setattr(tf.io.gfile, "stat", lambda url: ended.wait(30))
    with pytest.raises(remote_ways.Failed, match="no answer within 0.1 seconds"):
        remote_ways.TensorFlow().stat("gs://bucket/a")
    ended.set()
