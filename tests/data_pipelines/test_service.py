"""Clips made by two workers: which come, how often, and what a worker's death costs."""

import collections
import os
import re
import signal
import socket
import threading

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import ClipSpec, load, open_source, service_worker
from data_pipelines import service as service_lib

CLIP = ClipSpec(frames=2, stride=1)
FRAMES = 121  # so 120 clips


@pytest.fixture(scope="module")
def service():
    with service_lib.Service(workers=2) as service:
        ended = threading.Event()

        def watch():
            while not ended.wait(0.05):
                service.restart_dead()

        thread = threading.Thread(target=watch)
        thread.start()
        yield service
        ended.set()
        thread.join()


@pytest.fixture
def footage(tmp_path, write_images):
    """A folder of images; the first pixel of a clip tells its number."""
    write_images(tmp_path / "a", [f"{n}.png" for n in range(FRAMES)], range(FRAMES))
    return tmp_path / "a"


def numbers(stream):
    return [int(round(255 * float(n))) for clip in stream for n in clip.numpy()[:, 0, 0, 0, 0]]


def slowly(clip, seed):
    """An augmentation that takes some milliseconds of a worker."""
    pixels = tf.random.stateless_uniform([500, 500], seed)
    for _ in range(3):
        pixels = pixels @ pixels / 500
    return clip + tf.cast(tf.minimum(0.0, tf.reduce_min(pixels)), tf.uint8)


@pytest.mark.parametrize("sharding,times", [("dynamic", 1), ("exact", 1), ("off", 2)])
def test_each_clip_comes_as_often_as_the_sharding_says(
    tmp_path, footage, service, sharding, times
):
    stream = load(footage, CLIP, cache=tmp_path / "cache", service=service.address,
                  sharding=sharding, batch=7, shuffle=True)  # fmt: skip
    for _ in range(2):  # epochs
        found = numbers(stream)
        assert collections.Counter(found) == {n: times for n in range(FRAMES - 1)}


def test_clips_are_those_of_a_stream_without_a_service(tmp_path, footage, service):
    source = open_source(tmp_path, kind="labelled_folders")
    options = {"cache": tmp_path / "cache", "seed": 5, "shuffle": True, "first_epoch": 3,
               "augment": ("flip", "noise"), "labels": ("a",)}  # fmt: skip
    clip = ClipSpec(frames=2, stride=1, crop=(8, 8), crop_mode="random")
    expected = [(c.numpy(), int(n)) for c, n in load(source, clip, **options)]
    found = [(c.numpy(), int(n)) for c, n in load(source, clip, service=service.address, **options)]
    assert len(found) == len(expected) == FRAMES - 1
    for listed in (found, expected):
        listed.sort(key=lambda pair: pair[0].tobytes())
    for (clip, label), (other, number) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(clip, other)
        assert label == number == 0


def test_a_stream_that_repeats_goes_on(tmp_path, footage, service):
    stream = load(footage, CLIP, cache=tmp_path / "cache", service=service.address, repeat=True,
                  batch=10).take(40)  # fmt: skip
    found = collections.Counter(numbers(stream))
    # Of 400 clips; at the borders of epochs some come before others of the epoch before.
    assert set(found) == set(range(FRAMES - 1)) and max(found.values()) <= 5


@pytest.mark.parametrize("sharding", ["dynamic", "exact", "off"])
def test_a_worker_killed_in_mid_epoch_costs_what_the_sharding_says(
    tmp_path, footage, service, sharding
):
    killed, _ = service.processes
    stream = load(footage, CLIP, cache=tmp_path / "cache", service=service.address, batch=1,
                  sharding=sharding, augment=(slowly,))  # fmt: skip
    found = []
    for number, clip in enumerate(stream):
        found += numbers([clip])
        if number == 20:
            os.kill(killed, signal.SIGKILL)
    counted = collections.Counter(found)
    lost = set(range(FRAMES - 1)) - set(counted)
    if sharding == "off":
        # The one that lives gives all; the other began anew.
        assert not lost and set(counted.values()) <= {1, 2, 3}
    else:
        assert max(counted.values()) == 1
        assert not lost if sharding == "exact" else len(lost) <= 2 * service_lib._OUTSTANDING
    assert killed not in service.processes and len(service.processes) == 2


def test_what_never_came_is_made_here(tmp_path, footage, service, monkeypatch):
    """As if a worker had lost them: the workers leave some out, and give some twice."""
    apply = tf.data.Dataset.apply

    def losing(stream, function):
        lossy = stream.filter(lambda place, clip: place % 5 != 2)
        return apply(lossy.concatenate(lossy.take(9)), function)

    monkeypatch.setattr(tf.data.Dataset, "apply", losing)
    for sharding, expected in (("exact", 120), ("dynamic", 96)):
        found = numbers(load(footage, CLIP, cache=tmp_path / "cache", batch=4,
                             service=service.address, sharding=sharding))  # fmt: skip
        assert len(set(found)) == expected
        assert (len(found) > expected) == (sharding == "dynamic")


def test_a_dispatcher_that_is_not_there_is_named_in_bounded_time(tmp_path, footage, monkeypatch):
    monkeypatch.setattr(service_lib, "DISPATCHER_SEC", 0.5)
    # One port where nobody listens, and one where what listens is no dispatcher and says nothing.
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (nobody, silent.getsockname()[1]):
            message = f"`service` grpc://127.0.0.1:{port}: no dispatcher .* within 0.5 seconds"
            with pytest.raises(OSError, match=message):
                load(footage, CLIP, cache=tmp_path / "cache", service=f"grpc://127.0.0.1:{port}")
    assert not (tmp_path / "cache").exists()  # nothing was decoded before


@pytest.mark.parametrize("options,message", [
    ({"service": "localhost:5050"}, "`service` must be grpc://HOST:PORT. .*'localhost:5050'"),
    ({"service": "grpc://host:99999"}, "`service` must be grpc://HOST:PORT"),
    ({"sharding": "static"}, r"`sharding` must be one of \('dynamic', .* sharding='static'"),
    ({"cache": "memory"}, "`cache` must be 'disk' or a folder with `service`"),
    ({"cache": None}, "`cache` must be 'disk' or a folder with `service`"),
    ({"sharding": "exact", "repeat": True}, "`sharding` must be 'dynamic' or 'off' .* repeats"),
    ({"skip": 3}, "`skip` must be 0 with `service`.* skip=3"),
    ({"windows_per_epoch": 9}, "`service` must be None where `windows_per_epoch` .*h:1', .*=9"),
    ({"windows_per_epoch": 9, "cache": None}, "`service` must be None where `windows_per_epoch`"),
])  # fmt: skip
def test_what_breaks_a_rule_is_named(tmp_path, footage, options, message):
    with pytest.raises(ValueError, match=message):
        load(footage, CLIP, **{"service": "grpc://h:1", "cache": tmp_path / "cache", **options})


@pytest.mark.parametrize("options,error,message", [
    ({"workers": 0}, ValueError, "`workers` must be at least 1. Received: workers=0"),
    ({"port": 65_535}, ValueError, "`port` must be from 0 to 65534"),
    ({"join": "nowhere"}, ValueError, "`service` must be grpc://HOST:PORT"),
])  # fmt: skip
def test_a_service_says_what_is_wrong(options, error, message):
    with pytest.raises(error, match=message):
        service_lib.Service(**options)


def test_a_worker_serves_until_it_is_told_to_end(capsys):
    ended = threading.Event()
    dispatcher = tf.data.experimental.service.DispatchServer()
    place = dispatcher.target.removeprefix("grpc://")
    arguments = (place, "localhost", 0, ended)
    thread = threading.Thread(target=service_worker.main, args=arguments)
    thread.start()
    stream = tf.data.Dataset.range(5).apply(
        tf.data.experimental.service.distribute("parallel_epochs", dispatcher.target)
    )
    assert sorted(int(n) for n in stream) == [0, 1, 2, 3, 4]
    ended.set()
    thread.join(120)
    assert not thread.is_alive() and re.fullmatch(r"ready [1-9]\d+\n", capsys.readouterr().out)


def test_a_port_that_is_taken_is_said():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} is taken"):
            service_lib.Service(port=port)
