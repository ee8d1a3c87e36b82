"""How fast an export answers behind `zoo serve`, beside OpenVINO and the model in this process.

    python benchmarks/serving.py
    python benchmarks/serving.py --model runs/mine --clip 16 128 192 --batches 1 8 --streams 1 8

Embeds windows of a moving pattern, in float32:

- `grpc`, `rest`: `serving_default` of the export, asked through `exports.client`; the server is a
  process of its own on this machine;
- `jpeg`: the same frames as JPEG to `encode_jpeg`, over gRPC;
- `openvino`: the same export in OpenVINO, in this process, where that is installed;
- `predict`: the verb `encode` by the `predict` of Keras, in this process.

A stream is a client of its own that asks one request of `batch` windows after the other; what runs
in this process does so for one. Latencies are those of all requests: of fewer than a hundred the
99th percentile is about the slowest. All take turns, round by round, so that a machine whose speed
drifts is fair to all: what to remember is `of predict`, windows per second as a share of those of
`predict` at the same batch, the median of the rounds.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

# Before TensorFlow is imported: its start is noise here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import serve_process  # noqa: E402
import tensorflow as tf  # noqa: E402

import exports  # noqa: E402
import zoo  # noqa: E402
from exports import isolated_reader, saved_model  # noqa: E402
from exports.client import Client  # noqa: E402
from zoo.training.run_folder import machine  # noqa: E402

SERVED = {"grpc": "serving_default", "rest": "serving_default", "jpeg": "encode_jpeg"}
# Of one name, whatever is served.
NAME = "served"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="convlstm_vae", help="preset or run folder")
    parser.add_argument("--clip", type=int, nargs=3, default=(8, 64, 96),
                        metavar=("TIME", "HEIGHT", "WIDTH"), help="of a window")  # fmt: skip
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4], help="windows a request")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each, each round")
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    arguments = parser.parse_args()
    model = zoo.load(arguments.model)
    with contextlib.ExitStack() as stack:
        aside = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = exports.export(model, aside / NAME)
        _, *ports = stack.enter_context(serve_process.serving(folder.parent))
        ways = {way: served(stack, way, ports, max(arguments.streams)) for way in SERVED}
        ways |= {"openvino": in_openvino(folder, aside), "predict": in_keras(model)}
        if ways["openvino"] is None:
            del ways["openvino"]
        rows = measure(ways, arguments, model.channels)
    report = {
        "machine": machine(), "model": arguments.model, "clip": [*arguments.clip, model.channels],
        "rows": rows,
    }  # fmt: skip
    print(json.dumps(report, indent=2) if arguments.json else table(rows))


def measure(ways, arguments, channels):
    """Times every way, batch and number of streams in turn; a list of rows."""
    cases = [
        (way, batch, streams)
        for way in ways
        for batch in arguments.batches
        for streams in (arguments.streams if way in SERVED else (1,))
    ]
    windows = {batch: pattern(batch, *arguments.clip, channels) for batch in arguments.batches}
    timed = {case: [] for case in cases}
    for turn in range(arguments.rounds):
        for way, batch, streams in cases:
            calls = [asking(windows[batch]) for asking in ways[way][:streams]]
            if not turn:  # The first call traces graphs and opens connections.
                for call in calls:
                    call()
            timed[way, batch, streams].append(time_calls(calls, arguments.seconds))
            print(f"round {turn + 1}: {way}, {batch} x {streams}", file=sys.stderr, flush=True)
    return rows_of(timed)


def time_calls(calls, seconds):
    """Calls functions side by side, each again and again for so long.

    Returns:
        `(latencies, elapsed)`: list of the seconds of each call, and those from the first call to
        the end of the last.
    """
    began = time.perf_counter()

    def repeat(call):
        took = []
        while not took or time.perf_counter() - began < seconds:
            start = time.perf_counter()
            call()
            took.append(time.perf_counter() - start)
        return took

    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        latencies = [took for each in pool.map(repeat, calls) for took in each]
    return latencies, time.perf_counter() - began


def rows_of(timed):
    """Lays out what was timed: a dict from (way, batch, streams) to a list, by round."""
    rates = {
        case: [len(latencies) * case[1] / elapsed for latencies, elapsed in rounds]
        for case, rounds in timed.items()
    }
    rows = []
    for (way, batch, streams), rounds in timed.items():
        latencies = np.concatenate([latencies for latencies, _ in rounds])
        rate, beside = rates[way, batch, streams], rates["predict", batch, 1]
        rows.append({
            "way": way, "batch": batch, "streams": streams, "requests": len(latencies),
            "p50_ms": round(1000 * float(np.percentile(latencies, 50)), 1),
            "p99_ms": round(1000 * float(np.percentile(latencies, 99)), 1),
            "windows_per_second": round(statistics.median(rate), 2),
            "of_predict": round(
                statistics.median(one / other for one, other in zip(rate, beside, strict=True)), 3
            ),
        })  # fmt: skip
    return rows


def table(rows):
    """The rows as text."""
    heads = ("way", "batch", "streams", "requests", "p50 ms", "p99 ms", "windows/s", "of predict")
    lines = [heads, *(tuple(row.values()) for row in rows)]
    return "\n".join(
        f"{line[0]:10s}" + "".join(f"{str(value):>12s}" for value in line[1:]) for line in lines
    )


def served(stack, way, ports, streams):
    """For each stream a function from windows to one that asks for them by a client of its own."""
    address = f"http://127.0.0.1:{ports[1]}" if way == "rest" else f"127.0.0.1:{ports[0]}"

    def asking(client, windows):
        inputs = {"clip": windows}
        if way == "jpeg":
            images = [[tf.io.encode_jpeg(frame).numpy() for frame in clip] for clip in windows]
            inputs = {"frames": np.array(images, object)}
        return lambda: client.predict(SERVED[way], inputs)["embedding"]

    made = [stack.enter_context(Client(address, NAME, deadline_sec=600)) for _ in range(streams)]
    return [lambda windows, client=client: asking(client, windows) for client in made]


def in_openvino(folder, aside):
    """The same through OpenVINO, for one stream; `None` where that cannot, which is told."""
    alone = saved_model.with_default(folder, "serving_default", aside / "alone")
    interface = json.loads((alone / isolated_reader.INTERFACE).read_text("utf-8"))
    try:
        opened = isolated_reader.reader_module("openvino").open_export(alone, interface)
        run = opened("serving_default", {})
    except (ImportError, NotImplementedError) as error:
        print(f"OpenVINO is left out: {error}", file=sys.stderr)
        return None
    return [lambda windows: lambda: run(clip=windows)["embedding"]]


def in_keras(model):
    """The same by the `predict` of a Keras model, for one stream."""

    class Encoder(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoded = model

        def call(self, clip):
            return self.encoded.encode(clip)

    encoder = Encoder()
    # XLA is slow for convolutions on a processor, and Keras may choose it.
    encoder.compile(jit_compile=False)

    def asking(windows):
        clip = windows.astype(np.float32) / 255
        return lambda: encoder.predict(clip, batch_size=len(clip), verbose=0)

    return [asking]


def pattern(batch, frames, height, width, channels):
    """Waves that move, uint8 `(batch, frames, height, width, channels)`."""
    clip, time_step, down, across = np.ogrid[:batch, :frames, :height, :width]
    wave = np.sin((across + 3 * time_step + 20 * clip) / 17) + np.sin((down - time_step) / 23)
    return np.repeat(np.uint8(127 + 60 * wave)[..., None], channels, axis=-1)


if __name__ == "__main__":
    main()
