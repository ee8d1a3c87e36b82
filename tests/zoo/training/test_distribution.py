import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from zoo.training.distribution import choose_strategy

# Logical devices can only be configured before TensorFlow starts, hence a process of its own.
SCRIPT = """
import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

[device] = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)

from zoo.training.distribution import choose_strategy
from zoo.training.fit import fit
from zoo.training.run_folder import RunFolder

assert choose_strategy("one_device").num_replicas_in_sync == 1
strategy = choose_strategy("auto")
assert isinstance(strategy, tf.distribute.MirroredStrategy), strategy
assert strategy.num_replicas_in_sync == 2

frames = np.random.default_rng(0).random((64, 8, 8, 1), dtype=np.float32)
pairs = tf.data.Dataset.from_tensor_slices((frames, 1 - frames)).repeat().batch(4)

class Killed(BaseException):
    pass

class KillAfter(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 2:
            raise Killed

def train(strategy, folder, steps, **arguments):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = keras.Sequential(
            [
                keras.layers.Input((8, 8, 1), name="frames"),
                keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="first"),
                keras.layers.Conv2D(1, 3, padding="same", name="last"),
            ],
            name="small",
        )
    run = RunFolder.open(folder, command="", arguments={})
    try:
        fit(model, lambda skip: pairs.skip(skip), run, steps, batch=4, loss="mse",
            learning_rate=1e-2, clip_norm=None, checkpoint_every_sec=0, **arguments)
    finally:
        run.close()
    return model.get_weights()

one = train(choose_strategy("one_device"), sys.argv[1] + "/one", 6)
# The mirrored run is killed on the way, and goes on from its checkpoint.
try:
    train(strategy, sys.argv[1] + "/two", 6, callbacks=[KillAfter()])
    raise SystemExit("was not killed")
except Killed:
    assert json.loads(Path(sys.argv[1], "two", "run.json").read_text())["step"] == 2
two = train(strategy, sys.argv[1] + "/two", 6, validation=pairs.take(2))
for a, b in zip(one, two):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
print("mirrored equals one device")
"""


def test_two_logical_cpu_devices_train_as_one_device_does(tmp_path):
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=root,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "mirrored equals one device" in done.stdout


def test_one_device_is_not_mirrored():
    assert not isinstance(choose_strategy("one_device"), tf.distribute.MirroredStrategy)


def test_auto_mirrors_over_several_gpus(monkeypatch):
    devices = [tf.config.list_logical_devices("CPU")[0]]
    seen = []
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda names: seen.append(names))
    monkeypatch.setattr(
        tf.config, "list_logical_devices", lambda kind: devices * 2 if kind == "GPU" else devices
    )
    choose_strategy("auto")
    assert seen == [[devices[0].name] * 2]


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="`distribution` must be one of auto.*distribution=tpu"):
        choose_strategy("tpu")
