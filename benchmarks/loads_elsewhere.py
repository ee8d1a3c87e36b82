"""Whether exports give the model's numbers wherever they are loaded, and how fast.

    python benchmarks/loads_elsewhere.py --out runs/elsewhere

Every preset with weights is exported in float32 and in mixed precision and run, every signature of
it, through TensorFlow's Python, through its C API as a C++ server loads it and, in float32, through
OpenVINO (`pip install 'unsupervised-video-zoo[openvino]'`) and LiteRT, each in a process of its own
without this project. The numbers are compared with the model's (`exports.verify`); the seconds are
those of one run, when all is warm, of a clip of three quarters of the frames that the model was
trained on, or of one frame for `step`. What was measured is kept in `--out` at once: after an
interruption the same command measures what is missing, and what failed.

The table says how many of its signatures each preset passes through each, then why not all of
them. Ends with 1 where Python or the C API fails.
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile

# Before TensorFlow is imported: its start is noise here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402

import exports  # noqa: E402
import zoo  # noqa: E402
from exports import isolated_reader, verification  # noqa: E402
from zoo.training.run_folder import machine  # noqa: E402
from zoo.training.whole_files import read_json, write_json  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    trained = [name for name in zoo.names() if zoo.info(name)["trained"]]
    parser.add_argument("--presets", nargs="*", choices=sorted(trained), default=trained)
    parser.add_argument("--precisions", nargs="*", default=["float32", "mixed_bfloat16"])
    parser.add_argument("--through", nargs="*", choices=isolated_reader.READERS,
                        default=list(isolated_reader.READERS))  # fmt: skip
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of what is known")
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in arguments.presets:
        for precision in arguments.precisions:
            file = arguments.out / f"{name.replace('/', '.')}.{precision}.json"
            known = read_json(file) if file.is_file() else {}
            wanted = [
                runtime for runtime in arguments.through
                if precision == "float32" or runtime in verification.WHOLE
            ]  # fmt: skip
            missing = [one for one in wanted if "error" in known.get(one, {"error": "missing"})]
            if missing:
                print(f"{name} in {precision}: {', '.join(missing)}", file=sys.stderr, flush=True)
                for runtime, found in measure(name, precision, missing):
                    known[runtime] = found
                    write_json(file, known)
            rows += [{"preset": name, "precision": precision, "runtime": runtime, **known[runtime]}
                     for runtime in wanted]  # fmt: skip
    report = {"machine": machine(), "rows": rows}
    print(json.dumps(report, indent=2) if arguments.json else table(rows))
    sys.exit(any("error" in row for row in rows if row["runtime"] in verification.WHOLE))


def measure(name, precision, runtimes):
    """Exports a preset and runs it through some runtimes; yields each and what was found."""
    model = zoo.load(name, dtype=precision)
    with tempfile.TemporaryDirectory() as workplace:
        folder = exports.export(model, workplace)
        for runtime in runtimes:
            try:
                report = exports.verify(folder, model, clip_for(model), through=runtime)
            except (ValueError, ImportError) as error:
                yield runtime, {"error": str(error).replace(str(folder), name)}
                continue
            kept = ("differences", "refused", "seconds", "tolerance")
            yield runtime, {key: report[key] for key in kept}
    keras.backend.clear_session()


def clip_for(model):
    """Blobs that move, at the size of the model's clips; long enough to be cut."""
    time, height, width, channels = model.clip_shape
    time = max(time, model.warm_up + 6, model.min_frames + 4)
    rows, columns = np.mgrid[:height, :width]
    frames = [
        np.exp(-((rows - height / 2) ** 2 + (columns - width / 4 - 2 * t) ** 2) / 150)
        for t in range(time)
    ]
    clip = 60 + 20 * np.sin(rows / 9) * np.cos(columns / 11) + 150 * np.stack(frames)
    return np.repeat(clip[None, ..., None], channels, -1).clip(0, 255).astype(np.uint8)


def table(rows):
    """What passes, a line for each preset and precision; below it why the rest does not."""
    runtimes = list(dict.fromkeys(row["runtime"] for row in rows))
    cells, reasons, times = {}, {}, []
    for row in rows:
        place = f"{row['preset']:32s} {row['precision']:15s}"
        refused = row.get("refused", {"everything": row.get("error")})
        passed = len(row.get("seconds", ()))
        cells.setdefault(place, {})[row["runtime"]] = f"{passed} of {passed + len(refused)}"
        if "error" in row:
            cells[place][row["runtime"]] = "no"
        for signature, why in refused.items():
            said = f"{row['runtime']}, {signature}: {why[:200]}"
            reasons.setdefault(said, []).append(f"{row['preset']} in {row['precision']}")
        if "error" not in row:
            seconds = ", ".join(f"{name} {took:.3f}" for name, took in row["seconds"].items())
            apart = max(row["differences"].values(), default=0.0)
            times.append(f"{place} {row['runtime']:11s} {apart:10.1e}  {seconds}")

    def line(place, words):
        return place + "".join(f" {words.get(runtime, '-'):>11s}" for runtime in runtimes)

    heads = f"{'preset':32s} {'precision':15s}"
    lines = [line(heads, {name: name for name in runtimes})]
    lines += [line(place, words) for place, words in cells.items()]
    for said, of in reasons.items():
        lines += ["", f"not {said}", f"    {', '.join(of)}"]
    return "\n".join([*lines, "", f"{heads} {'runtime':11s} {'difference':>10s}  seconds", *times])


if __name__ == "__main__":
    main()
