"""One worker of the tf.data service, in a process of its own: TensorFlow, and nothing else.

Run as a program by `data_pipelines.service`. It is told by its arguments where the dispatcher is,
by which name and at which port it is reached; it writes `ready` and its port to its standard
output, and ends with its standard input, which whoever started it holds open: also where that one
was killed.
"""

import os
import sys
import threading

# A worker that is not there for so long is missed by the dispatcher.
HEARTBEAT_MS = 500


def main(dispatcher, host, port, ended):
    """Serves until it is told to end.

    Args:
        dispatcher: `HOST:PORT` of the dispatcher.
        host: Name by which clients reach this machine.
        port: Port to listen at, on all interfaces; 0 for one that is free then.
        ended: `threading.Event` that is set then.
    """
    from tensorflow.data.experimental import service

    server = service.WorkerServer(service.WorkerConfig(
        dispatcher_address=dispatcher, worker_address=f"{host}:%port%", port=int(port),
        heartbeat_interval_ms=HEARTBEAT_MS,
        # A dispatcher that is not there is an error and not waited for.
        dispatcher_timeout_ms=30_000,
    ))  # fmt: skip
    sys.stdout.write(f"ready {server._address.rpartition(':')[2]}\n")
    sys.stdout.flush()
    ended.wait()
    del server


def end_with_input():
    """Ends the process with its standard input, whatever it is at.

    A worker whose dispatcher has gone before it came there tries to reach it for an hour, inside
    TensorFlow, where no exception of Python's ends it.
    """
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=end_with_input, daemon=True).start()
    main(*sys.argv[1:], ended=threading.Event())
