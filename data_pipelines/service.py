"""Clips made by other processes, on this machine or others: `tf.data.experimental.service`.

What travels to a worker is a graph. A video that is decoded while it streams does not: decoding
is Python. So a stream is spread over workers where its frames are on disk (`cache="disk"` or a
folder): the graph names the file, and the workers, which see it under the same path, cut, crop and
augment. Each worker holds the frames of a stream in memory while it works on it.

How a stream is spread (`sharding`), of which two keep no order:

- `"dynamic"`: each clip comes once; each is given to whichever worker is free. A worker that dies
  takes with it the clips it had in hand, some dozens at most: those are lost for this epoch.
- `"exact"`: as `"dynamic"`, and at the end of the epoch the clips that never came are made here:
  each clip comes once whatever dies. A stream that repeats has no end, so it cannot be had.
- `"off"`: every worker gives the whole stream in its order, and they are mixed: each clip comes as
  often as there are workers. Nothing is lost while one of them lives; one that dies and is started
  again begins anew.

Crop, augmentation and order are drawn from `(seed, epoch, number of the clip)`, so each clip is
the one that a stream without a service has. Batches are made here, of what comes.

A worker that dies is started again at its port by the `Service` that started it: until then an
epoch waits for it, since only that one can say that it has nothing left.
"""

import logging
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import tensorflow as tf

_LOG = logging.getLogger(__name__)

SHARDING = ("dynamic", "exact", "off")

DISPATCHER_SEC = 10.0  # until a dispatcher must have answered
START_SEC = 120.0  # until a worker must have begun
END_SEC = 5.0  # until a worker must have ended

# The pause before a worker is started again; it doubles while it dies within START_SEC.
FIRST_PAUSE_SEC, LONGEST_PAUSE_SEC = 0.5, 30.0

# What waits at the client for each worker: what a worker's death may cost.
_OUTSTANDING = 8

_PROGRAM = Path(__file__).with_name("service_worker.py")


def check(service, sharding, folder, repeat, skip, windows_per_epoch=None):
    """Raises `ValueError` where a stream cannot be spread over a service.

    Args:
        service: As of `load`; with `None` only `sharding` is looked at.
        sharding: One of `SHARDING`.
        folder: Where the frames are kept on disk, or `None` where they are not.
        repeat: As of `load`.
        skip: As of `load`.
        windows_per_epoch: As of `load`.
    """
    if sharding not in SHARDING:
        raise ValueError(f"`sharding` must be one of {SHARDING}. Received: sharding={sharding!r}")
    if service is None:
        return
    if windows_per_epoch is not None:
        raise ValueError(
            "`service` must be None where `windows_per_epoch` is given: its workers cut clips from "
            "decoded frames, and cannot decode windows drawn at random. Received: "
            f"service={service!r}, windows_per_epoch={windows_per_epoch!r}"
        )
    _target(service)
    if folder is None:
        raise ValueError(
            "`cache` must be 'disk' or a folder with `service`: workers are sent a graph, which "
            "can read frames from a file that they see under the same path, but cannot decode "
            "video nor look into the memory of this process"
        )
    if sharding == "exact" and repeat:
        raise ValueError(
            "`sharding` must be 'dynamic' or 'off' for a stream that repeats: what is missing is "
            "known at the end. Received: sharding='exact', repeat=True"
        )
    if skip:
        raise ValueError(
            "`skip` must be 0 with `service`: the order is another each time, so that a number "
            f"does not tell which clips were had. Received: skip={skip!r}"
        )


def distributed(positions, remote_clip, own_clip, service, sharding):
    """Spreads the making of clips over the workers of a service.

    Args:
        positions: `(first, last)`: numbers of the clips, the last not among them.
        remote_clip: Function from a number, int64, to a tensor or a structure of tensors; its
            graph is sent to the workers.
        own_clip: The same for this process, where `sharding` needs it.
        service: `grpc://HOST:PORT` of the dispatcher.
        sharding: One of `SHARDING`.

    Returns:
        `tf.data.Dataset` of what the functions give.

    Raises:
        ValueError: `service` is no such address.
        OSError: No dispatcher answers there within `DISPATCHER_SEC`; the address is named.
    """
    check_dispatcher(service)
    first, last = positions
    policy = tf.data.experimental.service.ShardingPolicy
    stream = tf.data.Dataset.range(first, last).map(lambda place: (place, remote_clip(place)))
    stream = stream.apply(tf.data.experimental.service.distribute(
        policy.OFF if sharding == "off" else policy.DYNAMIC, service,
        max_outstanding_requests=_OUTSTANDING,
    ))  # fmt: skip
    if sharding != "exact":
        return stream.map(lambda place, clip: clip)

    # A last element asks what is missing; it has the form of a clip and is not given.
    end = tf.data.Dataset.range(first, first + 1).map(
        lambda place: (tf.constant(last, tf.int64), own_clip(place))
    )

    def note(seen, element):
        place, clip = element
        ends = tf.equal(place, last)
        spot = tf.where(ends, tf.constant(0, tf.int64), place - first)
        is_new = tf.logical_not(seen[spot])
        seen = tf.cond(
            ends, lambda: seen, lambda: tf.tensor_scatter_nd_update(seen, [[spot]], [True])
        )
        missing = tf.cond(
            ends, lambda: first + tf.where(~seen)[:, 0], lambda: tf.zeros([0], tf.int64)
        )
        return seen, (ends, is_new, clip, missing)

    def given(ends, is_new, clip, missing):
        # The one that came, or those that never did.
        came = tf.data.Dataset.from_tensors(clip).filter(lambda *_: is_new & ~ends)
        return came.concatenate(tf.data.Dataset.from_tensor_slices(missing).map(own_clip))

    return stream.concatenate(end).scan(tf.zeros([last - first], tf.bool), note).flat_map(given)


def check_dispatcher(service, timeout_sec=None):
    """Waits until the dispatcher answers.

    Args:
        service: `grpc://HOST:PORT`.
        timeout_sec: How long, or `None` for `DISPATCHER_SEC`.

    Raises:
        ValueError: It is no such address.
        OSError: Nobody answers there in time.
    """
    import grpc

    timeout_sec = DISPATCHER_SEC if timeout_sec is None else timeout_sec
    channel = grpc.insecure_channel(_target(service))
    try:
        grpc.channel_ready_future(channel).result(timeout=timeout_sec)
    except grpc.FutureTimeoutError:
        raise OSError(
            f"`service` {service}: no dispatcher answers there within {timeout_sec:g} seconds; "
            "`zoo data-service` starts one"
        ) from None
    finally:
        channel.close()


class Service:
    """A dispatcher in this process and workers in processes of their own; or workers alone.

    As a context manager it ends with its block. Whoever reaches the ports can have any graph run:
    it is for networks whose machines are trusted.

    Args:
        workers: Number of workers.
        port: Port of the dispatcher, 0 for any that is free. Workers take those after it, or free
            ones.
        host: Name by which clients and workers reach this machine.
        join: `None`; or the address of a dispatcher elsewhere that the workers work for.

    Attributes:
        address: `grpc://HOST:PORT` of the dispatcher.

    Raises:
        ValueError: An argument breaks its rule.
        OSError: A port is taken, no dispatcher answers at `join`, or a worker does not begin.

    Example:
        >>> with Service(workers=2) as service:  # doctest: +SKIP
        ...     stream = data_pipelines.load("footage/", cache="disk", service=service.address)
    """

    def __init__(self, workers=1, port=0, host="localhost", join=None):
        if workers < 1:
            raise ValueError(f"`workers` must be at least 1. Received: workers={workers!r}")
        if not 0 <= port <= 65_535 - workers:
            raise ValueError(
                f"`port` must be from 0 to {65_535 - workers}, as workers take those after it. "
                f"Received: port={port!r}"
            )
        self._dispatcher, self._host, self._workers = None, host, []
        if join is not None:
            self.address = join
            check_dispatcher(join)
        else:
            _check_free(port)
            self._dispatcher = tf.data.experimental.service.DispatchServer(
                tf.data.experimental.service.DispatcherConfig(port=port)
            )
            self.address = f"grpc://{host}:{self._dispatcher.target.rpartition(':')[2]}"
        try:
            for number in range(workers):
                own = port + 1 + number if port and _is_free(port + 1 + number) else 0
                self._workers.append(_Worker(_target(self.address), host, own))
            for worker in self._workers:
                worker.wait_until_ready()
        except BaseException:
            self.close()
            raise

    @property
    def processes(self):
        """Process numbers of the workers that live."""
        return [worker.process.pid for worker in self._workers if worker.process.poll() is None]

    def restart_dead(self):
        """Starts those workers again that have ended, if their pause is over; to be called often.

        Returns:
            List of str: what happened, a line each.
        """
        return [line for worker in self._workers for line in worker.restart_if_dead()]

    def close(self):
        """Ends all workers, then the dispatcher."""
        for worker in self._workers:
            worker.process.stdin.close()
        for worker in self._workers:
            worker.end()
        self._workers, self._dispatcher = [], None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


class _Worker:
    def __init__(self, dispatcher, host, port):
        self._arguments, self.port = [dispatcher, host], port
        self._pause_sec, self._again_at = FIRST_PAUSE_SEC, None
        self._start()

    def _start(self):
        self._begun = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-X", "utf8", str(_PROGRAM), *self._arguments, str(self.port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            # An interrupt from the keyboard goes to whoever started it, who ends it.
            start_new_session=True,
        )  # fmt: skip
        self._said = _LastLines(self.process.stderr)

    def wait_until_ready(self):
        import select

        ready, _, _ = select.select([self.process.stdout], [], [], START_SEC)
        told = self.process.stdout.readline().split() if ready else []
        if told[:1] != [b"ready"]:
            self.end()
            raise OSError(f"a worker at port {self.port} did not begin: {self._said.last()}")
        # Chosen as it listened, not before, when another process could still take it.
        self.port = int(told[1])

    def restart_if_dead(self):
        code = self.process.poll()
        if code is None:
            return []
        now = time.monotonic()
        if self._again_at is None:
            if now - self._begun > START_SEC:
                self._pause_sec = FIRST_PAUSE_SEC
            self._again_at = now + self._pause_sec
            self._pause_sec = min(2 * self._pause_sec, LONGEST_PAUSE_SEC)
            how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
            return [f"the worker at port {self.port} {how}; it is started again"]
        if now >= self._again_at:
            self._again_at = None
            self._close_pipes()
            self._start()
        return []

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(END_SEC)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._close_pipes()

    def _close_pipes(self):
        self._said.thread.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()


class _LastLines:
    """Reads a pipe, so that nobody waits to write to it, and keeps the end."""

    def __init__(self, pipe):
        import threading

        self._tail = b""
        self.thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self.thread.start()

    def _read(self, pipe):
        while content := pipe.read1(1 << 16):
            self._tail = (self._tail + content)[-4000:]

    def last(self):
        lines = self._tail.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def _target(service):
    found = re.fullmatch(r"grpc://([^/\s:]+|\[[0-9A-Fa-f:]+\]):(\d{1,5})", str(service))
    if not found or not 0 < int(found[2]) < 65_536:
        raise ValueError(f"`service` must be grpc://HOST:PORT. Received: service={service!r}")
    return f"{found[1]}:{found[2]}"


def _check_free(port):
    if port and not _is_free(port):
        raise OSError(f"port {port} is taken; give another `port`, or 0 for any that is free")


def _is_free(port):
    try:
        # As gRPC listens: on all interfaces.
        with socket.create_server(("", port)):
            return True
    except OSError:
        return False
