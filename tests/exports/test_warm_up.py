import numpy as np
import pytest
import tensorflow as tf

from exports import manifest, warm_up

# What clients and servers rely on: none of these names may change.
INPUTS = {
    "serving_default": {"clip": ("uint8", [1, 12, 32, 48, 1])},
    "encode_jpeg": {"frames": ("string", [1, 12])},
    "features": {"clip": ("uint8", [1, 12, 32, 48, 1])},
    "score": {"clip": ("uint8", [1, 12, 32, 48, 1])},
    "rollout": {"clip": ("uint8", [1, 12, 32, 48, 1])},
    "step": {
        "frame": ("uint8", [1, 32, 48, 1]),
        "state_cell_4": ("float32", [1, 8, 12, 4]),
        "state_cell_8": ("float32", [1, 4, 6, 6]),
        "state_frames_seen": ("int32", [1]),
        "state_hidden_4": ("float32", [1, 8, 12, 4]),
        "state_hidden_8": ("float32", [1, 4, 6, 6]),
        "state_previous_frame": ("float32", [1, 32, 48, 1]),
        "state_pending": ("float32", [1, 4, 32, 48, 1]),
    },
}


@pytest.fixture(scope="module")
def logs(exported):
    """The records, parsed by the published protocol classes."""
    prediction_log = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    records = tf.data.TFRecordDataset(str(exported / warm_up.NAME)).as_numpy_iterator()
    return [prediction_log.PredictionLog.FromString(record) for record in records]


def test_there_is_one_record_for_each_signature_in_names_and_shapes_that_stay(logs):
    found = {}
    for log in logs:
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.name == ""
        found[request.model_spec.signature_name] = {
            name: (tf.dtypes.as_dtype(tensor.dtype).name, [d.size for d in tensor.tensor_shape.dim])
            for name, tensor in request.inputs.items()
        }
    assert found == INPUTS and len(logs) == len(INPUTS)


def test_no_field_is_unknown_to_the_published_definitions(logs):
    for log in logs:
        size = log.ByteSize()
        log.DiscardUnknownFields()
        assert log.ByteSize() == size


def test_every_record_runs_and_gives_finite_numbers(logs, exported):
    served = tf.saved_model.load(str(exported))
    for log in logs:
        request = log.predict_log.request
        inputs = {n: tf.constant(tf.make_ndarray(t)) for n, t in request.inputs.items()}
        answers = served.signatures[request.model_spec.signature_name](**inputs)
        assert answers
        for tensor in answers.values():
            assert np.isfinite(tensor.numpy().astype(np.float64)).all()


def test_the_file_is_in_the_manifest_and_the_same_for_the_same_model(exported, tmp_path):
    assert warm_up.NAME in manifest.read(exported)["files"]
    (tmp_path / manifest.EXTRA).mkdir()
    warm_up.write(tmp_path, manifest.read(exported))
    assert (tmp_path / warm_up.NAME).read_bytes() == (exported / warm_up.NAME).read_bytes()


def test_a_model_without_a_size_of_its_own_is_warmed_up_at_what_it_takes(exported):
    description = manifest.read(exported) | {"clip_shape": None, "channels": 3, "warm_up": 20}
    made = warm_up.requests(description)
    assert made["score"]["clip"].shape == (1, 21, 48, 64, 3)
    assert made["encode_jpeg"]["frames"].shape == (1, 21)
