"""Wiring of an evaluation of tracking, on a made-up street and on videos drawn by hand."""

import json

import numpy as np
import pytest
import tensorflow as tf

import zoo
from data_pipelines import Source, Video
from data_pipelines.clips import ClipSpec
from data_pipelines.sources.cctv_files import TRACK
from zoo.commands import anomaly_setup, tables, tracking_setup

HEIGHT, WIDTH = 32, 96


@pytest.fixture(scope="module")
def model():
    small = zoo.registry.resolve("convlstm_vae").small
    shape = {"clip_shape": (16, HEIGHT, WIDTH, 1)}
    return zoo.load("convlstm_vae", weights=None, **{**small, **shape})


class Walk(Video):
    """A patch of 16 x 16 pixels walks 8 to the right every fourth frame, over still noise."""

    def __init__(self, name="walk", frames=38, length=None):
        super().__init__(name, fps=10.0, num_frames=frames, split="test")
        draw = np.random.default_rng(0)
        self.pixels = np.repeat(draw.integers(0, 256, (1, HEIGHT, WIDTH, 1)), frames, axis=0)
        self.pixels = self.pixels.astype(np.uint8)
        patch, rows = draw.integers(0, 256, (16, 16, 1)), []
        for number in range(frames):
            left = number // 4 * 8
            self.pixels[number, 8:24, left : left + 16] = patch
            # At first it touches the border, and so is not given.
            if length is None or number < length:
                rows.append((number, 4, "walk", False, (8, left, 23, left + 15), 256))
        self.rows = np.array(rows, TRACK)

    def frames(self, start=0):
        yield from self.pixels[start:]

    def frame_labels(self):
        return np.zeros(self.num_frames, bool)

    def tracks(self):
        return self.rows


def source(*videos):
    return Source("synthetic_cctv", "street", list(videos))


def test_raw_pixels_follow_what_does_not_change_and_a_box_left_behind_does_not(model):
    figures = tracking_setup.evaluate_model(model, source(Walk()))
    json.dumps(figures, allow_nan=False)
    assert (figures["tracks"], figures["reason"], figures["grid"]) == (1, None, [4, 12])
    baselines = figures["baselines"]
    # Given in frame 4. Of the frames 5 to 37 three are as it is, four 8 pixels further on.
    assert baselines["left_in_place"]["mean_overlap"] == pytest.approx((3 + 4 / 3) / 33)
    assert baselines["raw_pixels"]["mean_overlap"] > 0.9
    assert set(baselines) == {"random_weights", "raw_pixels", "left_in_place"}
    random = baselines["random_weights"]
    assert len(set(random["by_seed"])) == len(random["seeds"]) == 3
    assert random["mean_overlap"] == pytest.approx(np.mean(random["by_seed"]))
    again = tracking_setup.evaluate_model(model, source(Walk()))
    assert {**again, "seconds": 0} == {**figures, "seconds": 0}
    lines = tables.tracking({"model": "mine", **figures})
    assert lines[1].startswith("mine") and "1 tracks" in lines


def test_without_a_track_that_is_long_enough_there_is_a_reason(model):
    figures = tracking_setup.evaluate_model(model, source(Walk(length=8)))
    assert figures["mean_overlap"] is figures["baselines"]["raw_pixels"]["mean_overlap"] is None
    assert figures["tracks"] == 0 and figures["reason"].startswith("no track is seen for more")


def test_pieces_are_joined_with_the_frames_before_them():
    pieces = []

    def graph(clip):
        pieces.append(clip.shape[1])
        # A descriptor of each second frame: the number of its first pixel.
        return tf.constant(clip[:, ::2, ::8, ::8].astype(np.float32))

    video = Walk()
    video.pixels[:, 0, 0, 0] = np.arange(38)
    clip = ClipSpec(fps=10, size=(HEIGHT, WIDTH), channels=1)
    grids = tracking_setup._grids(video, clip, {"model": graph})
    found = [grid["model"][0, 0, 0] for grid in grids]
    assert pieces == [32, 22]
    np.testing.assert_array_equal(found, np.arange(38) // 2 * 2)


def test_footage_without_tracks_is_named(monkeypatch):
    bare = Video("bare", fps=10.0, num_frames=3)
    monkeypatch.setattr(
        anomaly_setup.data_pipelines, "open_source", lambda path, split=None: source(Walk(), bare)
    )
    with pytest.raises(ValueError, match="`data` must come with tracks, .* bare among them"):
        tracking_setup.open_tracked("street")
