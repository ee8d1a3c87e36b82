"""Colour spaces and filters against OpenCV, eagerly and inside `tf.data`."""

import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import ClipSpec, filters, load


@pytest.fixture
def clip():
    return np.random.default_rng(0).integers(0, 256, (3, 20, 28, 3), np.uint8)


def of_each_frame(function, clip):
    return np.stack([
        np.reshape(function(frame.astype(np.float32) / 255), (*clip.shape[1:3], -1))
        for frame in clip
    ])  # fmt: skip


def kernel_of_ones(size):
    kernel = np.ones((size, size), np.float32)
    kernel[size // 2, size // 2] = 1 - size * size
    return kernel


def opencv_sobel(frame):
    x, y = (cv2.Sobel(frame, cv2.CV_32F, *order, ksize=3, borderType=cv2.BORDER_REFLECT_101)
            for order in ((1, 0), (0, 1)))  # fmt: skip
    return np.hypot(x, y)


@pytest.mark.parametrize("function,reference,tolerance", [
    # OpenCV knows the luminance of BT.709 as the Y of its XYZ, with one digit more.
    (filters.luminance, lambda f: cv2.cvtColor(f, cv2.COLOR_RGB2XYZ)[..., 1], 5e-4),
    # OpenCV interpolates in a table.
    (filters.lab, lambda f: cv2.cvtColor(f, cv2.COLOR_RGB2LAB), 0.3),
    (filters.hsv, lambda f: cv2.cvtColor(f, cv2.COLOR_RGB2HSV) / [360, 1, 1], 1e-5),
    (lambda c: filters.gaussian(c, 1.5),
     lambda f: cv2.GaussianBlur(f, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT_101), 1e-5),
    (filters.sobel, opencv_sobel, 1e-5),
    (filters.laplacian, lambda f: cv2.filter2D(f, cv2.CV_32F, kernel_of_ones(3)), 1e-5),
    (lambda c: filters.laplacian(c, size=5),
     lambda f: cv2.filter2D(f, cv2.CV_32F, kernel_of_ones(5)), 3e-5),
], ids=["luminance", "lab", "hsv", "gaussian", "sobel", "laplacian", "laplacian5"])  # fmt: skip
def test_it_is_what_opencv_gives(clip, twice, function, reference, tolerance):
    found = twice(function, clip)
    expected = of_each_frame(reference, clip)
    assert found.dtype == np.float32 and found.shape == expected.shape
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(found, expected, atol=tolerance, rtol=0)
    # Bytes and what they stand for are one.
    np.testing.assert_array_equal(function(tf.constant(clip, tf.float32) / 255), found)


@pytest.mark.parametrize("function", [filters.sobel, lambda c: filters.gaussian(c, 1)])
def test_filters_take_grey_and_keep_the_shape_that_is_known(clip, function):
    grey = clip[..., :1]
    dataset = tf.data.Dataset.from_tensors(grey).map(function)
    assert dataset.element_spec.shape == grey.shape
    np.testing.assert_allclose(next(iter(dataset)), function(clip)[..., :1], atol=1e-5)


def test_a_stream_of_clips_is_filtered_in_its_graph(numbered):
    stream = load(numbered(8), ClipSpec(frames=4, channels=3)).map(filters.lab)
    assert stream.element_spec.shape == (4, 16, 24, 3)
    levels = [clip[:, 0, 0, 0].numpy() for clip in stream]
    # L* of the dark greys 0 to 7: 903.3 times the linear value.
    expected = 903.3 * np.arange(8).reshape(2, 4) / 255 / 12.92
    np.testing.assert_allclose(levels, expected, atol=2e-3)


@pytest.mark.parametrize("call,message", [
    (lambda c: filters.lab(c[..., :1]), r"`clip` must have 3 channels .*\(3, 20, 28, 1\)"),
    (lambda c: filters.hsv(c.astype(np.int32)), "`clip` must be uint8 or float32. .*int32"),
    (lambda c: filters.gaussian(c, 0), "`sigma` must be above 0. Received: sigma=0"),
    (lambda c: filters.laplacian(c, 4), "`size` must be odd and at least 3. Received: size=4"),
    (lambda c: filters.laplacian(c, 1), "`size` must be odd and at least 3. Received: size=1"),
])  # fmt: skip
def test_what_breaks_a_rule_is_named(clip, call, message):
    with pytest.raises(ValueError, match=message):
        call(clip)


def test_without_tensorflow_io_it_is_named(clip, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    filters._tensorflow_io.cache_clear()
    with pytest.raises(ImportError, match=r"need tensorflow-io, .*pip install tensorflow-io=="):
        filters.sobel(clip)
    filters._tensorflow_io.cache_clear()
