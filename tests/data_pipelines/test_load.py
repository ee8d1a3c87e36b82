import cv2
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
        ({"workers": 0}, "`workers` must be at least 1 or None. Received: workers=0"),
        ({"cache": "memroy"}, "`cache` must be None, 'memory', 'disk' .* cache='memroy'"),
        ({"sharding": "static"}, r"`sharding` must be one of \(.*\). Received: sharding='static'"),
        ({"cache": True}, "`cache` must be None, 'memory', 'disk' .* cache=True"),
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


@pytest.mark.parametrize("workers", [1, 2, 4, None])
def test_windows_and_their_order_are_those_of_a_slow_reference(tmp_path, write_video, workers):
    rates = {"a.avi": 10, "b.mp4": 20, "c.avi": 25, "d.avi": 12.5}
    expected = []
    for number, (name, rate) in enumerate(rates.items()):
        codec = "mp4v" if name.endswith("mp4") else "MJPG"
        write_video(tmp_path / name, frames=30 + 5 * number, fps=rate, codec=codec)
        capture, frames = cv2.VideoCapture(str(tmp_path / name)), []
        while (image := capture.read()[1]) is not None:
            frames.append(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).mean())
        capture.release()
        times = np.arange(len(frames)) / rate
        # Halfway between two frames the later one.
        moments = np.arange(0, times[-1] + 0.5 / rate - 1e-6, 0.1)
        nearest = [int(np.flatnonzero(times <= moment + 0.5 / rate + 1e-6)[-1])
                   for moment in moments]  # fmt: skip
        expected += [[frames[n] for n in nearest[start : start + 4]]
                     for start in range(0, len(nearest) - 3, 2)]  # fmt: skip
    clip = ClipSpec(frames=4, stride=2, fps=10, size=(24, 32))
    found = [255 * cut.numpy().mean((1, 2, 3)) for cut in load(tmp_path, clip, workers=workers)]
    assert len(found) == len(expected)
    # Less than half of the 5 levels between frames: OpenCV makes grey a level or two too dark.
    np.testing.assert_allclose(found, expected, atol=2.4)


@pytest.mark.parametrize("workers", [2, 4])
def test_a_shuffled_stream_does_not_hang_on_the_workers(tmp_path, write_video, workers):
    for number in range(5):
        write_video(tmp_path / f"{number}.avi", frames=20 + number)
    clip = ClipSpec(frames=4, stride=2, size=(24, 32), crop=(16, 16))
    one, several = (
        load(tmp_path, clip, shuffle=8, seed=3, augment=("flip", "noise"), workers=count)
        for count in (1, workers)
    )
    for a, b in zip(one, several, strict=True):
        np.testing.assert_array_equal(a, b)


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
