import cv2
import numpy as np
import pytest
import tensorflow as tf

import zoo
from data_pipelines import transforms
from exports import signatures


@pytest.fixture(scope="module")
def served(exported):
    return tf.saved_model.load(str(exported))


def test_signatures_follow_the_verbs_and_leave_the_sizes_free(served):
    assert set(served.signatures) == {
        "serving_default", "encode_jpeg", "features", "score", "rollout", "step",
    }  # fmt: skip
    for name in ("serving_default", "features", "score", "rollout"):
        (spec,) = served.signatures[name].structured_input_signature[1].values()
        assert spec.dtype == tf.uint8 and spec.name == "clip"
        assert spec.shape.as_list() == [None, None, None, None, 1]
    assert set(served.signatures["score"].structured_outputs) == {"score", "score_map"}
    assert served.signatures["rollout"].structured_outputs["future"].dtype == tf.uint8


def test_a_verb_that_the_model_lacks_has_no_signature(model, monkeypatch):
    monkeypatch.setattr(type(model), "verbs", ("encode", "score"))
    _, functions = signatures.build(model)
    assert list(functions) == ["serving_default", "encode_jpeg", "score"]
    assert "score_map" not in functions["score"].get_concrete_function().structured_outputs


def test_only_the_weights_that_are_read_are_kept(model):
    module, _ = signatures.build(model)
    kept = {variable.name for variable in module.weights}
    assert kept and len(kept) < len(model.variables)
    assert not any("posterior" in variable.path and variable.value is kept_one
                   for variable in model.variables for kept_one in module.weights)  # fmt: skip


@pytest.mark.parametrize("name", ["serving_default", "features", "score", "rollout"])
def test_a_size_that_does_not_fit_is_named_in_the_graph(served, name, clip):
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        served.signatures[name](clip=tf.constant(clip[:, :, :30, :45]))
    message = caught.value.message
    assert "height and width of `clip` must be divisible by 8. Received:] [30 45]" in message
    assert "[The nearest that fits:] [32 48]" in message


def test_a_clip_that_is_too_short_is_named_in_the_graph(served, clip, model):
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        served.signatures["serving_default"](clip=tf.constant(clip[:, : model.min_frames - 1]))
    rule = f"`clip` must have at least {model.min_frames} frames. Received:] [1]"
    assert rule in caught.value.message
    assert served.signatures["score"](clip=tf.constant(clip[:, :1]))["score"].shape == (2, 1)


def test_png_frames_embed_as_the_same_bytes_do(served, clip):
    frames = [[tf.io.encode_png(frame).numpy() for frame in part] for part in clip]
    from_files = served.signatures["encode_jpeg"](frames=tf.constant(frames))["embedding"]
    from_bytes = served.signatures["serving_default"](clip=tf.constant(clip))["embedding"]
    np.testing.assert_allclose(from_files, from_bytes, rtol=1e-5, atol=1e-6)


def test_colour_jpegs_are_decoded_as_opencv_does_and_made_grey_as_in_training():
    ramp = np.linspace(0, 255, 32 * 48).reshape(32, 48)
    image = np.stack([ramp, ramp[::-1], ramp[:, ::-1]], axis=-1).astype(np.uint8)
    jpeg = cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    expected = transforms.to_grey(decoded.copy())
    clip = signatures.decode_frames(tf.constant([[jpeg, jpeg], [jpeg, jpeg]]), channels=1)
    assert clip.shape == (2, 2, 32, 48, 1) and clip.dtype == tf.uint8
    # Two JPEG libraries may round the colour conversion differently by one level.
    assert np.abs(clip[1, 1].numpy().astype(int) - expected.numpy().astype(int)).max() <= 1


def test_step_gives_what_score_gives(served, clip, model):
    layout = signatures.state_layout(model)
    sizes = {"batch": 2, "height": 32, "width": 48}
    sizes |= {f"{axis}/{n}": sizes[axis] // n for axis in ("height", "width") for n in (4, 8)}
    state = {
        f"state_{name}": tf.zeros([sizes.get(size, size) for size in part["shape"]], part["dtype"])
        for name, part in layout.items()
    }
    scores = []
    for time in range(clip.shape[1]):
        out = served.signatures["step"](frame=tf.constant(clip[:, time]), **state)
        scores.append(out["score"])
        state = {name: out[name] for name in state}
    whole = served.signatures["score"](clip=tf.constant(clip))["score"]
    assert out["prediction"].dtype == tf.uint8 and out["prediction"].shape == (2, 32, 48, 1)
    assert np.max(whole) > 0
    np.testing.assert_allclose(np.stack(scores, axis=1), whole, atol=1e-4 * np.max(whole))


def test_step_names_a_frame_that_does_not_fit(served, model):
    state = {f"state_{name}": part for name, part in model.initial_state(1, 32, 48).items()}
    with pytest.raises(tf.errors.InvalidArgumentError, match="height and width of `frame` must be"):
        served.signatures["step"](frame=tf.zeros((1, 33, 48, 1), tf.uint8), **state)


def test_the_state_layout_makes_the_state_that_the_model_makes(model):
    layout = signatures.state_layout(model)
    assert layout["frames_seen"] == {"dtype": "int32", "shape": ["batch"]}
    assert layout["cell_8"]["shape"] == ["batch", "height/8", "width/8", 6]
    assert layout["pending"]["shape"] == ["batch", model.score_horizon, "height", "width", 1]


def test_a_state_that_follows_neither_batch_nor_size_is_refused(model, monkeypatch):
    def odd(self, batch, height, width):
        return {"odd": tf.zeros((batch, height + 3))}

    monkeypatch.setattr(type(model), "initial_state", odd)
    with pytest.raises(ValueError, match="state `odd` must follow batch, height and width"):
        signatures.state_layout(model)


def test_rgb_models_take_three_channels(monkeypatch):
    monkeypatch.setattr(zoo.ConvLSTMPredictor, "verbs", ("encode",))
    model = zoo.load("convlstm_predictor", weights=None, channels=3, clip_shape=(12, 32, 48, 3))
    _, functions = signatures.build(model)
    rgb = tf.constant(np.random.default_rng(0).integers(0, 256, (1, 4, 16, 24, 3)), tf.uint8)
    expected = model.encode(transforms.to_float(rgb))
    np.testing.assert_allclose(
        functions["serving_default"](rgb)["embedding"], expected, rtol=1e-4, atol=1e-5
    )
