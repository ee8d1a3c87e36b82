"""Labelled clips as an encoder takes them, and encoders on bytes."""

import types

import cv2
import numpy as np
import pytest
import tensorflow as tf

from zoo.commands import labelled_setup


@pytest.fixture
def footage(tmp_path):
    """One colour clip of 20x30 of each of two classes."""
    for number, label in enumerate(("run", "walk")):
        folder = tmp_path / label / "ann" / "1"
        folder.mkdir(parents=True)
        for frame in range(3):
            cv2.imwrite(str(folder / f"{frame}.png"), np.full((20, 30, 3), 80 * number, np.uint8))
    return tmp_path


def test_clips_come_with_their_class_and_group(footage):
    videos = labelled_setup.open_labelled(footage).videos
    assert [(video.label, video.group) for video in videos] == [("run", "ann"), ("walk", "ann")]


def test_strips_are_told_by_their_names(tmp_path):
    (tmp_path / "walk").mkdir()
    strip = np.zeros((64, 3 * 64, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "walk" / "ann_walk.png"), strip)
    source = labelled_setup.open_labelled(tmp_path)
    assert source.kind == "weizmann" and source.videos[0].group == "ann"


def test_frames_come_at_the_nearest_size_that_fits_in_the_exports_channels(footage):
    video = labelled_setup.open_labelled(footage).videos[1]
    frames = list(labelled_setup.prepared_frames(video, stride=8, channels=1))
    # Halves go up.
    assert [frame.shape for frame in frames] == 3 * [(24, 32, 1)]
    assert frames[0].dtype == np.uint8 and (frames[0] == 80).all()


def test_one_graph_takes_bytes_of_every_length_and_size():
    traced = []

    def encode(clip):
        traced.append(clip.shape)
        return tf.reduce_mean(clip, axis=[1, 2, 3])

    graph = labelled_setup.graph_of(types.SimpleNamespace(channels=1, encode=encode), "encode")
    for shape in ((1, 3, 8, 8, 1), (2, 5, 16, 24, 1)):
        clip = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        expected = clip.mean(axis=(1, 2, 3)) / 255
        np.testing.assert_allclose(graph(clip), expected, rtol=1e-5)
    assert [shape.as_list() for shape in traced] == [[None, None, None, None, 1]]
