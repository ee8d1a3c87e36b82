import numpy as np
import pytest

import data_pipelines
from data_pipelines import ClipSpec, load, tasks


@pytest.mark.parametrize(
    "options,message",
    [
        ({"seed": -1}, "`seed` must be at least 0. Received: seed=-1"),
        ({"first_epoch": -1}, "`first_epoch` must be at least 0"),
        ({"skip": -2}, "`skip` must be at least 0"),
        ({"shuffle": -2}, "`shuffle` must be at least 0"),
        ({"batch": 0}, "`batch` must be at least 1 or None. Received: batch=0"),
        ({"cache": "disk"}, "`cache` must be None or 'memory'. Received: cache='disk'"),
        ({"augment": ("turn",)}, "`augment` must hold .*brightness.* Received: 'turn'"),
        ({"split": "train"}, "has no splits. Received: split='train'"),
        ({"task": tasks.predict_ahead(9)}, "more than the 9 frames to predict ahead"),
    ],
)
def test_what_breaks_a_rule_is_named(numbered, options, message):
    with pytest.raises(ValueError, match=message):
        load(numbered(20), ClipSpec(frames=4), **options)


def test_footage_is_loaded_from_its_path(tmp_path, write_video):
    write_video(tmp_path / "a" / "one.avi", frames=20)
    clips = list(load(tmp_path, ClipSpec(frames=8, size=(24, 32)), batch=2))
    assert len(clips) == 1 and clips[0].shape == (2, 8, 24, 32, 1)
    levels = clips[0].numpy().mean((2, 3, 4)).ravel() * 255
    assert np.abs(levels - 5 * np.arange(16)).max() < 4


def test_frames_are_equal_streamed_and_from_memory(tmp_path, write_video):
    write_video(tmp_path / "one.avi", frames=20, fps=20.0)
    clip = ClipSpec(frames=4, fps=10, size=(16, 16), channels=3)
    for a, b in zip(load(tmp_path, clip), load(tmp_path, clip, cache="memory"), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_example_of_the_documentation_trains_plain_keras(numbered):
    import keras

    stream = load(numbered(30), ClipSpec(frames=5, crop=(8, 8)), task=tasks.reconstruct(), batch=4,
                  repeat=True, shuffle=True, cache="memory")
    model = keras.Sequential([keras.layers.Conv3D(1, 1)])
    model.compile("sgd", "mse")
    history = model.fit(stream, steps_per_epoch=3, epochs=2, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_public_names_are_there():
    for name in data_pipelines.__all__:
        assert getattr(data_pipelines, name) is not None


@pytest.mark.real_data
def test_ped2_feeds_crops_of_moving_people(real_data):
    source = data_pipelines.open_source(real_data / "ucsd_ped2", split="train")
    source = source.subset(source.videos[:1])
    clip = ClipSpec(frames=10, size=(128, 192), crop=(64, 64))
    motion = {}
    for mode in ("motion", "random"):
        stream = load(source, ClipSpec(**{**clip.__dict__, "crop_mode": mode}), batch=16,
                      shuffle=True, repeat=True, cache="memory", split="train")
        pixels = np.concatenate([x.numpy() for x in stream.take(4)])
        assert pixels.shape == (64, 10, 64, 64, 1)
        motion[mode] = np.square(np.diff(pixels, axis=1)).mean()
    assert motion["motion"] > 1.2 * motion["random"]
