import gc
import shutil
import time
import weakref

import numpy as np
import pytest
import tensorflow as tf

from exports import served_models

config_pb2 = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
CLIP = np.full((1, 2, 8, 8, 1), 51, np.uint8)


@pytest.fixture
def door(brightness, tmp_path):
    brightness(tmp_path / "door")
    return tmp_path / "door"


def serve(folder, count=1, **options):
    config = config_pb2.ModelConfig(name="door", base_path=str(folder))
    config.model_version_policy.latest.num_versions = count
    return served_models.ServedModels([config], **{"poll_seconds": 0.05} | options)


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_request_keeps_its_version_which_goes_with_the_last_of_them(door):
    with serve(door) as served:
        held = served.find("door")
        gone = weakref.ref(held)
        shutil.copytree(door / "1", door / ".2")
        (door / ".2").rename(door / "2")
        until(lambda: served.states("door").get(1) == (served_models.END, None))
        assert served.find("door").number == 2
        answer = held.run("", {"clip": tf.constant(CLIP)})
        np.testing.assert_allclose(answer["embedding"], [[0.2]], rtol=1e-6)
        del held
        # Who looks for new versions may be at it just now.
        until(lambda: gc.collect() >= 0 and gone() is None)


def test_a_version_whose_warm_up_fails_is_not_taken(door, monkeypatch):
    run = served_models._Version.run

    def fail(self, signature, inputs, outputs=()):
        if self.number == 2:
            raise tf.errors.InternalError(None, None, "as asked")
        return run(self, signature, inputs, outputs)

    monkeypatch.setattr(served_models._Version, "run", fail)
    shutil.copytree(door / "1", door / "2")
    with serve(door) as served:
        assert served.find("door").number == 1
        state, error = served.states("door")[2]
        assert state == served_models.END and error.message == "as asked"


def test_a_message_that_stands_for_too_much_memory_is_refused_before_it_is_taken(door):
    with serve(door, max_bytes=2000) as served:
        proto = tf.make_tensor_proto(CLIP)
        proto.ClearField("tensor_content")
        proto.int_val[:] = [51]
        # One value stands for all.
        answer = served.find("door").run("", {"clip": proto})
        np.testing.assert_allclose(answer["embedding"], [[0.2]], rtol=1e-6)
        proto.tensor_shape.dim[1].size = 100
        with pytest.raises(tf.errors.InvalidArgumentError, match="6400 bytes, where 2000 are"):
            served.find("door").run("", {"clip": proto})
