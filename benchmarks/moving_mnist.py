"""Predictors of the zoo beside a plain stack of ConvLSTM2D on Moving MNIST, for equal minutes.

    python benchmarks/moving_mnist.py convlstm_predictor/moving_mnist --data mnist/ --minutes 15

trains each model named, and the stack, one after another from random weights on sequences made
of training digits, then predicts the last ten frames of the test sequences from their first ten,
and prints the squared error summed over the pixels of a frame, averaged over frames and sequences.
Lower is better. The frame of zeros, the last frame of the context and its mean stand beside.

The stack is that of the Keras example "Next-Frame Video Prediction with Convolutional LSTMs":
three `keras.layers.ConvLSTM2D` of 64 channels, kernels 5, 3 and 1, at the full 64x64, and a
convolution with a logistic function, trained by cross-entropy. It is trained ten to ten: it is
given ten frames and ten of zeros, so that each frame it draws comes after the whole context. Its
batch normalisation is left out, whose running means would be nothing yet after so few steps.

`direct` is what a model that forecasts ten frames at once says after the last frame of the
context; `rollout` is the verb, fed on its own output one frame at a time. A step of the stack
takes about a quarter of a minute on two cores.
"""

import argparse
import json
import math
import os
import pathlib
import sys
import time

# Before TensorFlow is imported: its start is noise here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

import data_pipelines  # noqa: E402
import zoo  # noqa: E402
from zoo.registry import resolve  # noqa: E402

SIDE, CONTEXT, FUTURE = 64, 10, 10
CLIP = data_pipelines.ClipSpec(
    frames=CONTEXT + FUTURE, stride=CONTEXT + FUTURE, size=(SIDE, SIDE), channels=1
)
STACK = "3 x keras.layers.ConvLSTM2D(64)"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="presets, such as composite_lstm/moving_mnist")
    parser.add_argument("--data", required=True, help="folder of the four idx files of MNIST")
    parser.add_argument("--minutes", type=float, default=15.0, help="of training, for each model")
    parser.add_argument("--sequences", type=int, default=300, help="test sequences, of 10,000")
    parser.add_argument("--seed", type=int, default=0, help="of weights and training sequences")
    parser.add_argument("--stack-batch", type=int, default=5, help="as in the Keras example")
    parser.add_argument("--set", dest="settings", action="append", default=[],
                        help="KEY=VALUE, a constructor argument of every model named")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    arguments = parser.parse_args()
    test = held_out(arguments.data, arguments.sequences)
    rows = baselines(test)
    for name in [*arguments.names, STACK]:
        print(f"training {name}", file=sys.stderr, flush=True)
        keras.utils.set_random_seed(arguments.seed)
        make = plain_stack if name == STACK else zoo_model
        model, stream, predictors, rate = make(name, arguments)
        spent = train(model, stream, 60 * arguments.minutes, rate)
        errors = {kind: error_of(predict, test) for kind, predict in predictors.items()}
        rows.append({"name": name, "parameters": model.count_params(), **spent, **errors})
    report = {
        "unit": "squared error summed over a frame, mean of frames and sequences",
        "minutes": arguments.minutes,
        "sequences": len(test),
        "seed": arguments.seed,
        "settings": arguments.settings,
        "rows": rows,
    }
    print(json.dumps(report, indent=2) if arguments.json else table(rows))


def zoo_model(name, arguments):
    """A model of the catalogue, what it is trained on and the ways in which it predicts."""
    from zoo.commands.training_setup import parse_setting, task_of
    from zoo.registry import model_arguments

    preset = resolve(name)
    known = {**model_arguments(preset.model_class), **preset.arguments}
    model = zoo.load(
        name, weights=None, **dict(parse_setting(text, known) for text in arguments.settings)
    )
    predictors = {"rollout": lambda context: model.rollout(context, FUTURE)}
    if getattr(model, "horizons", 0) >= FUTURE:
        predictors["direct"] = lambda context: forecast(model, context)
    training = preset.training
    stream = training_stream(arguments, task_of(model), training["batch"])
    return model, stream, predictors, training["learning_rate"]


def forecast(model, context):
    """The frames after the context that a model says at once after its last frame."""
    if model.task == "reconstruct_and_predict":
        return model(context)["prediction"][:, :FUTURE]
    # The frames to come are not there yet; what is predicted from the last known is asked for.
    clip = tf.pad(context, [[0, 0], [0, model.horizons], [0, 0], [0, 0], [0, 0]])
    return model(clip)[:, -1, :FUTURE]


def plain_stack(name, arguments):
    """Three layers of `ConvLSTM2D`, what they are trained on and the way in which they predict."""
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
    predictors = {
        "direct": lambda context: run(tf.concat([context, tf.zeros_like(context)], axis=1))
    }
    return model, training_stream(arguments, split, arguments.stack_batch), predictors, 1e-3


def training_stream(arguments, split, batch):
    """Endless batches of sequences of training digits."""
    return data_pipelines.load(
        arguments.data, CLIP, kind="moving_mnist", split="train", task=split, batch=batch,
        shuffle=256, seed=arguments.seed, repeat=True,
    )  # fmt: skip


def held_out(data, count):
    """The first `count` sequences of the fixed test set, float32 `(count, 20, 64, 64, 1)`."""
    source = data_pipelines.open_source(data, kind="moving_mnist", split="test")
    source = source.subset(source.videos[:count])
    return np.concatenate(list(data_pipelines.load(source, CLIP, batch=100).as_numpy_iterator()))


class Clock(keras.callbacks.Callback):
    """Stops a training by the clock, and sets the learning rate by the share of time that is over.

    A linear rise over the first twentieth, then a cosine down to a hundredth. The clock starts
    after the first step, in which the graph is made.

    Args:
        seconds: Of training.
        rate: Peak of the learning rate.
    """

    def __init__(self, seconds, rate):
        super().__init__()
        self.seconds, self.rate = seconds, rate
        self.started = None
        self.spent = {"steps": 0, "seconds": 0.0}

    def on_train_batch_begin(self, batch, logs=None):
        share = min(1.0, self.spent["seconds"] / self.seconds)
        fall = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share))
        self.model.optimizer.learning_rate = self.rate * min(fall, max(share, 0.002) / 0.05)

    def on_train_batch_end(self, batch, logs=None):
        if self.started is None:
            self.started = time.monotonic()
        self.spent = {"steps": batch + 1, "seconds": round(time.monotonic() - self.started, 1)}
        if self.spent["seconds"] >= self.seconds:
            self.model.stop_training = True


def train(model, stream, seconds, rate):
    """Trains for some seconds and says how many steps that were."""
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=1.0)
    # Never XLA: it makes convolutions on a CPU two to twenty times slower.
    model.compile(optimizer, loss=model.default_loss(), jit_compile=False)
    clock = Clock(seconds, rate)
    model.fit(stream, steps_per_epoch=1_000_000, callbacks=[clock], verbose=0, shuffle=False)
    return clock.spent


def baselines(test):
    """Rows of what needs no learning."""
    ways = {
        "a frame of zeros": tf.zeros_like,
        "copy of the last frame": lambda context: tf.repeat(context[:, -1:], FUTURE, axis=1),
        "mean of the context": lambda context: tf.repeat(
            tf.reduce_mean(context, axis=1, keepdims=True), FUTURE, axis=1
        ),
    }
    return [{"name": name, "direct": error_of(way, test)} for name, way in ways.items()]


def error_of(predict, test, batch=20):
    """Squared error summed over a frame, averaged over the frames to come and the sequences."""
    total = 0.0
    for start in range(0, len(test), batch):
        clip = test[start : start + batch]
        predicted = np.clip(predict(tf.constant(clip[:, :CONTEXT])), 0, 1)
        total += np.square(predicted.astype(np.float64) - clip[:, CONTEXT:]).sum()
    return round(total / (len(test) * FUTURE), 2)


def table(rows):
    """The rows as text, beside the stack."""
    stack = rows[-1]["direct"]
    lines = [f"{'':34s} {'parameters':>10s} {'steps':>6s} {'seconds':>7s} {'direct':>7s} "
             f"{'rollout':>7s}  best to stack"]  # fmt: skip
    for row in rows:
        cells = [str(row.get(key, "-")) for key in ("parameters", "steps", "seconds", "direct",
                                                    "rollout")]  # fmt: skip
        widths = (10, 6, 7, 7, 7)
        words = " ".join(f"{cell:>{width}s}" for cell, width in zip(cells, widths, strict=True))
        best = min(row[key] for key in ("direct", "rollout") if key in row)
        lines.append(f"{row['name']:34s} {words}  {best / stack - 1:+.0%}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
