import functools
import itertools
import logging

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import ClipSpec, augmentations, decoding, load, tasks
from data_pipelines.clips import windows

CACHES = [None, "memory"]


def arrays(dataset, count=None):
    return [np.asarray(x) for x in itertools.islice(iter(dataset), count)]


def same(first, second):
    return len(first) == len(second) and all(map(np.array_equal, first, second))


@pytest.mark.parametrize("cache", CACHES)
def test_clips_in_order_are_the_windows_of_each_video(numbered, cache):
    source, clip = numbered(9, 4, 12), ClipSpec(frames=4, stride=3)
    expected = [w for v in source.videos for w in windows(v.pixels, clip)]
    found = arrays(load(source, clip, cache=cache))
    assert same(found, [np.float32(w) / np.float32(255) for w in expected])
    assert len(load(source, clip, cache=cache)) == len(expected) == 6


@pytest.mark.parametrize("cache", CACHES)
def test_overlapping_windows_decode_each_frame_once(numbered, cache):
    source = numbered(20)
    arrays(load(source, ClipSpec(frames=8, stride=1), cache=cache))
    # Streaming looks at one frame first, for its size.
    assert source.videos[0].decoded == (20 if cache else 21)


def test_memory_decodes_nothing_in_later_epochs(numbered):
    source = numbered(20, 20)
    stream = load(source, ClipSpec(frames=4, crop=(8, 8)), cache="memory", repeat=True)
    arrays(stream, 50)
    assert sum(v.decoded for v in source.videos) == 40


def test_streaming_holds_little_of_a_long_video(numbered, monkeypatch):
    monkeypatch.setattr(decoding, "_LOTS", 2)
    monkeypatch.setattr(decoding, "_LOT_FRAMES", 10)
    source = numbered(250)
    iterator = iter(load(source, ClipSpec(frames=4)))
    next(iterator)
    # What is read ahead, prepared at once, and prefetched.
    assert source.videos[0].decoded <= 150


@pytest.mark.parametrize("cache", CACHES)
def test_a_shuffled_epoch_holds_every_window_once(numbered, cache):
    source, clip = numbered(30, 30, 30), ClipSpec(frames=3)
    ordered = sorted(float(c.flat[0]) for c in arrays(load(source, clip)))
    stream = load(source, clip, cache=cache, shuffle=10, seed=4, repeat=True)
    epochs = np.array([float(c.flat[0]) for c in arrays(stream, 60)]).reshape(2, 30)
    for epoch in epochs:
        assert sorted(epoch) == ordered
        assert list(epoch) != ordered
    assert list(epochs[0]) != list(epochs[1])


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("certain", [True, False])
def test_a_stream_goes_on_where_it_was_left(numbered, cache, certain):
    clip = ClipSpec(frames=3, crop=(8, 8), crop_mode="random")
    source = numbered(20, 13, certain=certain)
    # Noise, so that a crop at another place is another clip.
    for number, video in enumerate(source.videos):
        video.pixels = np.random.default_rng(number).integers(0, 255, video.pixels.shape, np.uint8)
    options = dict(cache=cache, shuffle=5, seed=7, repeat=True, batch=4,
                   augment=("flip", "brightness"))
    whole = arrays(load(source, clip, **options), 12)
    # TensorFlow's own seed is no part of what an element depends on.
    tf.random.set_seed(99)
    assert same(whole, arrays(load(source, clip, **options), 12))
    for skip in (1, 2, 5, 8):
        assert same(whole[skip:], arrays(load(source, clip, skip=skip, **options), 12 - skip))
    other = arrays(load(source, clip, **{**options, "seed": 8}), 12)
    assert not any(map(np.array_equal, whole, other))


@pytest.mark.parametrize("cache", CACHES)
def test_first_epoch_begins_at_that_epoch(numbered, cache):
    source, clip = numbered(12, 12), ClipSpec(frames=3, crop=(4, 4))
    options = dict(cache=cache, shuffle=4, seed=1, augment=("brightness",))
    stream = arrays(load(source, clip, repeat=True, **options), 24)
    assert same(stream[8:16], arrays(load(source, clip, first_epoch=1, **options)))
    assert same(stream[16:], arrays(load(source, clip, first_epoch=2, repeat=True, **options), 8))


@pytest.mark.parametrize("cache", CACHES)
def test_skipping_an_epoch_that_does_not_repeat_leaves_nothing(numbered, cache):
    assert arrays(load(numbered(12), ClipSpec(frames=3), cache=cache, skip=9)) == []


def test_a_clip_has_one_crop_for_all_frames(array_video):
    plane = np.random.default_rng(0).integers(0, 255, (1, 32, 32, 1), np.uint8)
    video = array_video("still", np.repeat(plane, 8, axis=0))
    clip = ClipSpec(frames=4, crop=(8, 8))
    for cut in arrays(load(_source(video), clip, cache="memory", augment=("flip", "brightness"))):
        assert np.ptp(cut, axis=0).max() == 0


@pytest.mark.parametrize("cache", CACHES)
def test_videos_of_any_size_are_cropped(array_video, cache):
    rng = np.random.default_rng(0)
    videos = [array_video(f"v{h}", rng.integers(0, 255, (6, h, 24, 3), np.uint8)) for h in (16, 40)]
    stream = load(_source(*videos), ClipSpec(frames=3, channels=3, crop=(16, 16),
                                             crop_mode="center"), cache=cache, batch=4)
    (batch,) = arrays(stream)
    expected = [v.pixels[s : s + 3, t : t + 16, 4:20] for v, t in zip(videos, (0, 12), strict=True)
                for s in (0, 3)]
    np.testing.assert_allclose(batch, np.stack(expected) / 255, atol=1e-6)


@pytest.mark.parametrize("cache", CACHES)
def test_shapes_are_known_and_targets_come_with_a_task(numbered, cache):
    stream = load(numbered(40), ClipSpec(frames=8, crop=(8, 8)), cache=cache, batch=2,
                  drop_remainder=True, task=tasks.predict_ahead(3))
    inputs, targets = stream.element_spec
    assert inputs.shape == (2, 8, 8, 8, 1) and targets.shape == (2, 5, 3, 8, 8, 1)
    assert inputs.dtype == targets.dtype == tf.float32
    clip, ahead = next(iter(stream))
    np.testing.assert_array_equal(ahead[:, 2, 1], clip[:, 4])
    assert 0 < float(tf.reduce_max(clip)) <= 1


@pytest.fixture
def labelled(numbered):
    """Videos of the classes b, a, none (too short to be a clip), a, b."""
    source = numbered(9, 12, 2, 6, 9)
    for video, label in zip(source.videos, "bacab", strict=True):
        video.label = label
    return source


@pytest.mark.parametrize("cache", CACHES)
def test_a_clip_comes_with_the_class_of_its_video(labelled, cache):
    assert labelled.labels == ("a", "b", "c")
    stream = load(labelled, ClipSpec(frames=3), labels=("c", "b", "a"), cache=cache)
    assert stream.element_spec[1] == tf.TensorSpec([], tf.int32)
    numbers = [int(label) for _, label in stream]
    assert numbers == [1] * 3 + [2] * 4 + [2] * 2 + [1] * 3
    clips = load(labelled, ClipSpec(frames=3), cache=cache)
    for (clip, _), alone in zip(stream, clips, strict=True):
        np.testing.assert_array_equal(clip, alone)


@pytest.mark.parametrize("cache", CACHES)
def test_shuffled_and_resumed_a_class_stays_with_its_clip(labelled, cache):
    options = dict(clip=ClipSpec(frames=3, crop=(8, 8)), labels=("a", "b", "c"), cache=cache,
                   shuffle=5, seed=2, repeat=True, batch=5, augment=("flip",))
    whole = list(load(labelled, **options).take(9))
    classes = {0: 1, 1: 0, 3: 0, 4: 1}
    for clip, label in whole:
        assert clip.shape == (5, 3, 8, 8, 1) and label.shape == (5,) and label.dtype == tf.int32
        # Frame f of video v is of level 50 v + f.
        videos = np.round(255 * clip[:, 0, 0, 0, 0].numpy()).astype(int) // 50
        assert [classes[video] for video in videos] == label.numpy().tolist()
    assert len({tuple(label.numpy()) for _, label in whole}) > 3
    # 12 clips in an epoch: batch 3 reaches into the second.
    for skip in (1, 4):
        rest = load(labelled, skip=skip, **options).take(9 - skip)
        for (clip, label), (clip_again, label_again) in zip(whole[skip:], rest, strict=True):
            np.testing.assert_array_equal(clip, clip_again)
            np.testing.assert_array_equal(label, label_again)


def test_a_task_of_two_arguments_is_given_the_class(labelled):
    def brighter(clip, label):
        return label, clip + tf.cast(label, tf.uint8)[:, None, None, None, None]

    options = dict(clip=ClipSpec(frames=3), labels="abc", batch=12)
    label, clip = next(iter(load(labelled, task=brighter, **options)))
    clip_alone, label_alone = next(iter(load(labelled, **options)))
    np.testing.assert_array_equal(label, label_alone)
    assert clip.dtype == tf.float32 and set(label.numpy()) == {0, 1}
    added = (255 * (clip - clip_alone))[:, 1, 2, 3, 0]
    np.testing.assert_allclose(added, tf.cast(label, tf.float32), atol=1e-3)


def test_a_video_without_a_class_is_named(labelled):
    with pytest.raises(ValueError, match=r"`labels` must hold the label of every video. Received: "
                                         r"labels=\['a', 'b'\], and video2 with the label 'c'"):
        load(labelled, ClipSpec(frames=3), labels=("a", "b"))
    labelled.videos[3].label = None
    with pytest.raises(ValueError, match="and video3 with the label None; kind=.labelled_f"):
        load(labelled, ClipSpec(frames=3), labels=labelled.labels)
    with pytest.raises(ValueError, match=r"`labels` must be distinct. .*\['a', 'b', 'a'\]"):
        load(labelled, ClipSpec(frames=3), labels=("a", "b", "a"))


def test_an_augmentation_may_be_a_function(numbered):
    stream = load(numbered(6), ClipSpec(frames=3), augment=(lambda clip, seed: 255 - clip,))
    np.testing.assert_allclose(arrays(stream)[1][0, 0, 0, 0], (255 - 3) / 255)


DOUBLE = functools.partial(augmentations.random_speed, slowest=2, fastest=2)


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("frame_step", [1, 2])
def test_an_augmentation_is_given_the_frames_it_needs(numbered, cache, frame_step):
    source = numbered(30, 11, 24)
    clip = ClipSpec(frames=4, stride=5, frame_step=frame_step)
    stream = load(source, clip, augment=(DOUBLE, "brightness"), cache=cache)
    assert stream.element_spec.shape == (4, 16, 24, 1)
    stream = load(source, clip, augment=("flip", DOUBLE), cache=cache)
    found = [np.round(255 * cut[:, 0, 0, 0]).astype(int).tolist() for cut in arrays(stream)]
    # Windows begin where they do without it, as far as the longer one fits.
    span = 2 * 3 * frame_step + 1
    starts = [(v, s) for v, n in enumerate((30, 11, 24)) for s in range(0, n - span + 1, 5)]
    assert found == [[50 * v + s + 2 * frame_step * f for f in range(4)] for v, s in starts]
    assert len(stream) == len(starts)
    plain = load(source, clip, cache=cache)
    assert {f[0] for f in found} <= {round(255 * float(cut.flat[0])) for cut in arrays(plain)}


@pytest.mark.parametrize("cache", CACHES)
def test_with_every_augmentation_a_stream_goes_on_where_it_was_left(array_video, cache):
    rng = np.random.default_rng(0)
    videos = [array_video(f"v{n}", rng.integers(0, 256, (n, 16, 24, 3), np.uint8))
              for n in (20, 5, 17)]
    options = dict(
        clip=ClipSpec(frames=4, channels=3, stride=2, crop=(8, 12)), cache=cache, shuffle=5, seed=3,
        augment=sorted(augmentations.AUGMENTATIONS), repeat=True, batch=3,
    )
    whole = arrays(load(_source(*videos), **options), 9)
    assert all(batch.shape == (3, 4, 8, 12, 3) for batch in whole)
    # 7 and 6 windows in an epoch: the last batches are of the second one.
    assert same(whole[6:], arrays(load(_source(*videos), skip=6, **options), 3))
    rest = arrays(load(_source(*videos), skip=2, **options | {"repeat": False}))
    assert same(rest[:2], whole[2:4])


@pytest.mark.parametrize("cache", CACHES)
def test_videos_too_short_for_an_augmentation_are_left_out_and_named(numbered, cache, caplog):
    with caplog.at_level(logging.WARNING):
        clips = arrays(load(numbered(20, 18), ClipSpec(frames=10), cache=cache, augment=("speed",)))
    assert [round(255 * float(clip.flat[0])) for clip in clips] == [0]
    assert "video1 left out: it has 18 frames, a clip needs 19" in caplog.text
    message = (r"no video is as long as a clip of 25 frames \(`frames`=13, 12 more that `augment` "
               r"needs, `frame_step`=1\); the longest of 2 is video0 with 20")
    with pytest.raises(ValueError, match=message):
        load(numbered(20, 18), ClipSpec(frames=13), cache=cache, augment=("speed",))


@pytest.mark.parametrize("cache", CACHES)
def test_a_strength_that_breaks_its_rule_is_named(numbered, cache):
    source = numbered(20)
    for augment, message in (
        (functools.partial(augmentations.random_speed, slowest=0), "`slowest` must be above 0"),
        (functools.partial(augmentations.random_noise, sigma=-1), "`sigma` must be at least 0"),
    ):
        with pytest.raises(ValueError, match=message):
            load(source, ClipSpec(frames=4), cache=cache, augment=(augment,))


@pytest.mark.parametrize("cache", CACHES)
def test_a_video_too_short_is_left_out_and_named(numbered, cache, caplog):
    with caplog.at_level(logging.WARNING):
        clips = arrays(load(numbered(20, 5, 10), ClipSpec(frames=10), cache=cache))
    assert [round(255 * float(clip.flat[0])) for clip in clips] == [0, 10, 100]
    assert "video1 left out: it has 5 frames, a clip needs 10" in caplog.text


@pytest.mark.parametrize("cache", CACHES)
def test_only_short_videos_are_an_error(numbered, cache):
    with pytest.raises(ValueError, match=(
            r"no video is as long as a clip of 19 frames \(`frames`=10, `frame_step`=2\); "
            "the longest of 2 is video0 with 9 frames")):
        load(numbered(9, 5), ClipSpec(frames=10, frame_step=2), cache=cache)
    with pytest.raises(ValueError, match=(
            "clip of 10 frames .* the longest of 1 is video0 with 5 frames at 5 per second")):
        load(numbered(9, fps=10.0), ClipSpec(frames=10, fps=5), cache=cache)


@pytest.mark.parametrize("cache", CACHES)
def test_a_crop_larger_than_the_frames_is_refused(numbered, cache):
    with pytest.raises(ValueError, match=r"`crop` must fit .*\(32, 8\) for video0, whose frames"):
        load(numbered(20), ClipSpec(frames=4, crop=(32, 8)), cache=cache)


def test_videos_of_other_sizes_are_refused_without_size_or_crop(array_video):
    videos = [array_video(f"v{h}", np.zeros((6, h, 24, 1), np.uint8)) for h in (16, 40)]
    message = r"v40: its frames are \(40, 24\), those before it \(16, 24\); give `size` or `crop`"
    with pytest.raises(ValueError, match=message):
        load(_source(*videos), ClipSpec(frames=3), cache="memory")
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        arrays(load(_source(*videos), ClipSpec(frames=3)))


def _source(*videos):
    from data_pipelines.sources.base import Source

    return Source("frame_folders", None, list(videos))
