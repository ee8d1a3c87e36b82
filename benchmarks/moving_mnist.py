"""Predictors of the zoo beside a plain stack of ConvLSTM2D on Moving MNIST, for equal minutes.

    python benchmarks/moving_mnist.py convlstm_predictor/moving_mnist composite_lstm/moving_mnist \
        composite_lstm/moving_mnist:decoders=prediction --data mnist/ --minutes 12 --out runs/mnist

trains each model named, and the stack, one after another from random weights on sequences made
of training digits, then predicts the last ten frames of test sequences from their first ten, and
prints the squared error summed over the pixels of a frame, averaged over frames and sequences, with
the standard error of that mean. Lower is better. The frame of zeros, the last frame of the context
and its mean stand beside. `NAME:KEY=VALUE` is a preset with another constructor argument: in the
command above, the prediction decoder of the composite model trained alone.

The speed of every model is measured first (`equal_minutes.py`), while nothing else should run;
each is then trained for the steps that it makes in `--minutes`. What is found is kept in `--out`,
and the same command again trains what is missing.

The stack is that of the Keras example "Next-Frame Video Prediction with Convolutional LSTMs":
three `keras.layers.ConvLSTM2D` of 64 channels, kernels 5, 3 and 1, at the full 64x64, and a
convolution with a logistic function, trained by cross-entropy. It is trained ten to ten: it is
given ten frames and ten of zeros, so that each frame it draws comes after the whole context. Its
batch normalisation is left out, whose running means would be nothing yet after so few steps.

A model of the zoo is judged by its `rollout`: at least a quarter under the stack. A step of the
stack takes about a quarter of a minute on two cores.
"""

import argparse
import functools
import json
import os
import pathlib
import re
import sys
import time

# Before TensorFlow is imported: its start is noise here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import card_section  # noqa: E402
import equal_minutes  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

import data_pipelines  # noqa: E402
import zoo  # noqa: E402
from zoo.commands.prediction_setup import window_batches  # noqa: E402
from zoo.commands.training_setup import parse_setting, task_of  # noqa: E402
from zoo.registry import model_arguments, resolve  # noqa: E402
from zoo.training.precision import choose_precision  # noqa: E402
from zoo.training.run_folder import machine  # noqa: E402
from zoo.training.whole_files import read_json, write_json  # noqa: E402

SIDE, CONTEXT, FUTURE = 64, 10, 10
CLIP = data_pipelines.ClipSpec(
    frames=CONTEXT + FUTURE, stride=CONTEXT + FUTURE, size=(SIDE, SIDE), channels=1
)
STACK = "3 x keras.layers.ConvLSTM2D(64)"
BAR = 0.75  # of the stack's error
STEPS_A_ROUND = 2  # of a speed: a step of the stack is long


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="presets, or NAME:KEY=VALUE")
    parser.add_argument("--data", required=True, help="folder of the four idx files of MNIST")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the results")
    parser.add_argument("--minutes", type=float, default=15.0, help="of training, for each model")
    parser.add_argument("--sequences", type=int, default=300, help="test sequences, of 10,000")
    parser.add_argument("--seed", type=int, default=0, help="of weights and training sequences")
    parser.add_argument("--stack-batch", type=int, default=5, help="as in the Keras example")
    card_section.add_option(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    arguments = parser.parse_args()
    card_section.check(parser, arguments.card)
    try:
        models = {name: overridden(name) for name in arguments.names}
        test = held_out(arguments.data, arguments.sequences)
    except ValueError as error:
        parser.error(str(error))
    arguments.out.mkdir(parents=True, exist_ok=True)
    setting = {
        "minutes": arguments.minutes,
        "sequences": len(test),
        "seed": arguments.seed,
        "precision": choose_precision("auto"),
        "machine": machine(),
    }
    trained = [*arguments.names, STACK]
    speeds = equal_minutes.recorded_seconds(
        arguments.out / "speeds.json",
        trained,
        lambda name: training_of(models.get(name), arguments),
        say,
        STEPS_A_ROUND,
    )
    rows = baselines(test)
    for name in trained:
        file = arguments.out / f"{re.sub('[^a-z0-9_]+', '.', name.lower())}.json"
        if not file.is_file():
            steps = equal_minutes.steps_in(arguments.minutes, speeds[name])
            row = measure(name, models.get(name), test, steps, arguments)
            write_json(file, {"setting": setting, "row": row})
        found = read_json(file)
        if found["setting"] != setting:
            parser.error(f"{file} was measured with {found['setting']}, not with {setting}")
        rows.append(found["row"])
    report = {
        "unit": "squared error summed over a frame, mean of frames and sequences",
        **setting,
        "rows": judged(rows),
    }
    card_section.put(arguments.card, "moving_mnist", report)
    print(json.dumps(report, indent=2) if arguments.json else table(report["rows"]))


def overridden(text):
    """The preset of "NAME:KEY=VALUE" and the arguments of its model that differ from it."""
    name, *settings = text.split(":")
    preset = resolve(name)
    known = {**model_arguments(preset.model_class), **preset.arguments}
    return preset, dict(parse_setting(setting, known) for setting in settings)


def made(model, arguments):
    """A model, or the stack where there is none, the batches for it, how it predicts and its
    learning rate: all of the same seed."""
    keras.utils.set_random_seed(arguments.seed)
    return plain_stack(arguments) if model is None else zoo_model(*model, arguments)


def training_of(model, arguments):
    """Function that trains for some steps, to be timed; the first, which traces, is taken."""
    model, stream, _, rate = made(model, arguments)
    compiled(model, rate)
    train = functools.partial(model.fit, stream, verbose=0, shuffle=False)
    train(steps_per_epoch=1)
    return lambda steps: train(steps_per_epoch=steps)


def measure(name, model, test, steps, arguments):
    """Trains a model, or the stack where there is none, and gives its row."""
    say(f"{name}: {steps} steps")
    model, stream, predict, rate = made(model, arguments)
    # A linear rise over the first twentieth, then a cosine down to a hundredth.
    rise = max(1, steps // 20)
    compiled(model, keras.optimizers.schedules.CosineDecay(
        rate / rise, max(1, steps - rise), alpha=0.01, warmup_target=rate, warmup_steps=rise
    ))  # fmt: skip
    began = time.monotonic()
    model.fit(stream, steps_per_epoch=steps, verbose=0, shuffle=False)
    error, deviation = error_of(predict, test)
    return {
        "name": name, "parameters": model.count_params(), "steps": steps,
        "minutes_taken": round((time.monotonic() - began) / 60, 1), "error": error,
        "standard_error": deviation,
    }  # fmt: skip


def compiled(model, rate):
    """Sets a model up for its training."""
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=1.0)
    # Never XLA: it makes convolutions on a CPU two to twenty times slower.
    model.compile(optimizer, loss=model.default_loss(), jit_compile=False)


def zoo_model(preset, overrides, arguments):
    """A model of the catalogue, what it is trained on, how it predicts and its learning rate."""
    model = zoo.load(preset.name, weights=None, dtype=choose_precision("auto"), **overrides)
    training = preset.training
    stream = training_stream(arguments, task_of(model), training["batch"])
    rate = training["learning_rate"]
    return model, stream, lambda context: model.rollout(context, FUTURE), rate


def plain_stack(arguments):
    """Three layers of `ConvLSTM2D`, and the same of them."""
    layer = keras.layers.ConvLSTM2D
    model = keras.Sequential(
        [
            keras.layers.Input((CONTEXT + FUTURE, SIDE, SIDE, 1)),
            *(layer(64, size, padding="same", return_sequences=True) for size in (5, 3, 1)),
            keras.layers.Conv3D(1, 3, padding="same", activation="sigmoid"),
            keras.layers.Cropping3D(((CONTEXT, 0), (0, 0), (0, 0))),
        ]
    )
    model.default_loss = keras.losses.BinaryCrossentropy

    def split(clip):
        context, future = clip[..., :CONTEXT, :, :, :], clip[..., CONTEXT:, :, :, :]
        return tf.concat([context, tf.zeros_like(future)], axis=-4), future

    run = tf.function(lambda clip: model(clip, training=False))

    def predict(context):
        return run(tf.concat([context, tf.zeros_like(context)], axis=1))

    return model, training_stream(arguments, split, arguments.stack_batch), predict, 1e-3


def training_stream(arguments, split, batch):
    """Endless batches of sequences of training digits."""
    return data_pipelines.load(
        arguments.data, CLIP, kind="moving_mnist", split="train", task=split, batch=batch,
        shuffle=256, seed=arguments.seed, repeat=True,
    )  # fmt: skip


def held_out(data, count):
    """Sequences spread over the fixed test set, float32 `(count, 20, 64, 64, 1)`."""
    source = data_pipelines.open_source(data, kind="moving_mnist", split="test")
    return np.concatenate(list(window_batches(source, CLIP, count)))


def baselines(test):
    """Rows of what needs no learning."""
    ways = {
        "a frame of zeros": tf.zeros_like,
        "copy of the last frame": lambda context: tf.repeat(context[:, -1:], FUTURE, axis=1),
        "mean of the context": lambda context: tf.repeat(
            tf.reduce_mean(context, axis=1, keepdims=True), FUTURE, axis=1
        ),
    }
    return [{"name": name, "error": error_of(way, test)[0]} for name, way in ways.items()]


def error_of(predict, test, batch=20):
    """Squared error summed over a frame, averaged over the frames to come: mean of the sequences
    and the standard error of that mean."""
    found = []
    for start in range(0, len(test), batch):
        clip = test[start : start + batch]
        predicted = np.clip(predict(tf.constant(clip[:, :CONTEXT])), 0, 1)
        squares = np.square(predicted.astype(np.float64) - clip[:, CONTEXT:])
        found.append(squares.sum(axis=(1, 2, 3, 4)) / FUTURE)
    found = np.concatenate(found)
    return round(float(found.mean()), 2), round(float(found.std() / np.sqrt(len(found))), 2)


def judged(rows):
    """The rows, each with its error as a share of the stack's, the last one."""
    for row in rows:
        row["to_stack"] = row["error"] / rows[-1]["error"]
        if "steps" in row and row is not rows[-1]:
            row["passes"] = row["to_stack"] <= BAR
    return rows


def table(rows):
    """The rows as text."""
    keys, widths = ("parameters", "steps", "error"), (10, 6, 7)
    head = " ".join(f"{key:>{width}s}" for key, width in zip(keys, widths, strict=True))
    lines = [f"{'':48s} {head}  to stack"]
    for row in rows:
        cells = [str(row.get(key, "-")) for key in keys]
        words = " ".join(f"{cell:>{width}s}" for cell, width in zip(cells, widths, strict=True))
        lines.append(f"{row['name']:48s} {words}  {row['to_stack'] - 1:+.1%}")
    return "\n".join(lines)


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
