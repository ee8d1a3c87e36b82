"""A run of a model that is fitted in one pass: what it leaves, and what an interrupt leaves."""

import json
import signal

import numpy as np
import pytest
import tensorflow as tf

from zoo.models.pca import PCA
from zoo.training.closed_form import fit_in_one_pass
from zoo.training.fit import fit
from zoo.training.interrupts import Interrupted

CLIPS = np.random.default_rng(0).uniform(size=(10, 4, 16, 24, 1)).astype("float32")


def make_model():
    model = PCA(window=2, components=5)
    model.ensure_built()
    return model


def batches(skip=0):
    return tf.data.Dataset.from_tensor_slices((CLIPS, CLIPS)).batch(2).skip(skip)


def signalling(number):
    """The same batches; a signal comes as the third is asked for."""

    def generate():
        for index in range(0, 10, 2):
            if index == 4:
                signal.raise_signal(number)
            yield CLIPS[index : index + 2], CLIPS[index : index + 2]

    spec = tf.TensorSpec((2, *CLIPS.shape[1:]), tf.float32)
    return tf.data.Dataset.from_generator(generate, output_signature=(spec, spec))


def test_a_run_leaves_weights_its_record_and_a_log(open_run):
    model, alone = make_model(), make_model()
    held_out = tf.data.Dataset.from_tensors((CLIPS[:3], CLIPS[:3]))
    run = fit(
        model, batches, open_run(), 100, batch=2, config={"preset": "small"}, validation=held_out,
        preview=(CLIPS[:2], CLIPS[:2]),
    )  # fmt: skip
    alone.fit(CLIPS, batch_size=2, verbose=0)
    loaded = make_model()
    loaded.load_weights(run.path / "model.weights.h5")
    for ours, theirs in zip(loaded.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    record = json.loads((run.path / "run.json").read_text())
    # The footage ended before the hundred steps.
    assert (record["status"], record["step"]) == ("finished", 5)
    error = float(np.square(alone(CLIPS[:3]) - CLIPS[:3]).mean())
    assert record["best"]["value"] == pytest.approx(error, rel=1e-5)
    assert json.loads((run.path / "config.json").read_text()) == {"preset": "small"}
    values = {
        value.tag
        for file in (run.path / "tensorboard").iterdir()
        for event in tf.data.TFRecordDataset([str(file)])
        for value in tf.compat.v1.Event.FromString(event.numpy()).summary.value
    }
    assert values >= {"train/loss", "held_out/loss", "context_truth_prediction"}


def test_steps_are_the_most_that_is_looked_at(open_run):
    model, alone = make_model(), make_model()
    run = fit_in_one_pass(model, batches(), open_run(), 2, batch=2)
    alone.fit(CLIPS[:4], verbose=0)
    assert run.record["step"] == 2 and run.record["best"] is None
    np.testing.assert_allclose(model.encoder.mean, alone.encoder.mean, atol=1e-6)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_nothing_and_begins_again(open_run, number):
    with pytest.raises(Interrupted, match="after step [1-5]; nothing is kept of its one pass"):
        fit_in_one_pass(make_model(), signalling(number), open_run(), 100, batch=2)
    run = open_run()
    assert run.record["status"] == "interrupted"
    assert not (run.path / "model.weights.h5").exists()
    again, alone = make_model(), make_model()
    assert fit(again, batches, run, 100, batch=2).finished
    alone.fit(CLIPS, batch_size=2, verbose=0)
    np.testing.assert_array_equal(again.encoder.components, alone.encoder.components)
