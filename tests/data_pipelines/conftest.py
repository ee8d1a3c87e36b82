"""Small footage that the tests of the pipelines share."""

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines.sources.base import Source, Video


class ArrayVideo(Video):
    """A video kept as an array, which counts how many frames were decoded."""

    def __init__(self, name, pixels, certain=True, **about):
        super().__init__(name, num_frames=len(pixels), **about)
        self.pixels = pixels
        self.certain = certain
        self.decoded = 0

    @property
    def length_is_certain(self):
        return self.certain

    def frames(self, start=0):
        for frame in self.pixels[start:]:
            self.decoded += 1
            yield frame


@pytest.fixture
def array_video():
    """The class `ArrayVideo(name, pixels, **about)`."""
    return ArrayVideo


@pytest.fixture
def numbered():
    """A function that makes a source of videos of given lengths, each frame one grey level.

    Frame f of video v has the value 50 v + f everywhere, so that a clip tells where it is from.
    """

    def make(*lengths, size=(16, 24), **about):
        videos = [
            ArrayVideo(
                f"video{v}",
                np.stack([np.full((*size, 1), 50 * v + f, np.uint8) for f in range(n)]),
                **about,
            )
            for v, n in enumerate(lengths)
        ]
        return Source("frame_folders", None, videos)

    return make


@pytest.fixture
def write_images():
    """A function that writes one grey image per name into a folder, of the value given."""
    import cv2

    def write(folder, names, values, size=(16, 24)):
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in zip(names, values, strict=True):
            assert cv2.imwrite(str(folder / name), np.full(size, value, np.uint8))

    return write


@pytest.fixture
def write_video():
    """A function that writes a video file whose frame f is grey of level 5 f, and returns it."""
    import cv2

    def write(path, frames=20, fps=10.0, size=(48, 64), codec="MJPG"):
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, size[::-1])
        for number in range(frames):
            writer.write(np.full((*size, 3), min(255, 5 * number), np.uint8))
        writer.release()
        return path

    return write


@pytest.fixture
def twice():
    """A function that runs another eagerly and inside `tf.data`; both must agree.

    Inside `tf.data` shapes are unknown. To the last bit where they are bytes; a graph may sum
    floats in another order.
    """

    def run(function, *inputs):
        eager = np.asarray(function(*[tf.constant(i) for i in inputs]))
        specs = [
            tf.TensorSpec([None] * (i.ndim - 1) + [i.shape[-1]] if i.ndim > 1 else i.shape, i.dtype)
            for i in map(np.asarray, inputs)
        ]
        dataset = tf.data.Dataset.from_generator(
            lambda: iter([tuple(inputs)]), output_signature=tuple(specs)
        )
        streamed = next(iter(dataset.map(lambda *parts: function(*parts)))).numpy()
        assert eager.dtype == streamed.dtype
        rounding = 1e-6 if eager.dtype.kind == "f" else 0
        np.testing.assert_allclose(streamed, eager, rtol=rounding, atol=rounding)
        return eager

    return run


@pytest.fixture
def drawn():
    """A function that stacks what another, of a seed, gives for `count` seeds."""

    def run(function, count):
        seeds = tf.stack([tf.zeros(count, tf.int32), tf.range(count)], 1)
        stream = tf.data.Dataset.from_tensor_slices(seeds).map(function).batch(count)
        return next(iter(stream)).numpy()

    return run


@pytest.fixture
def painted():
    """A clip with a bright rectangle that goes right and grows, its masks and its boxes.

    The first box is around the rectangle; the second one is empty in all frames. In the first
    frame there is no rectangle.
    """
    clip = np.full((8, 20, 32, 1), 20, np.uint8)
    boxes = np.zeros((8, 2, 4), np.float32)
    for number in range(1, 8):
        top, left, bottom, right = 3, 2 + 2 * number, 8 + number, 7 + 3 * number
        clip[number, top:bottom, left:right] = 200
        boxes[number, 0] = top, left, bottom, right
    return {"clip": clip, "masks": clip[..., 0] == 200, "boxes": boxes}


@pytest.fixture
def check_truth():
    """A function that fails unless masks and boxes fit the rectangle of a clip once `painted`."""

    def check(found):
        clip, masks, boxes = (np.asarray(found[name]) for name in ("clip", "masks", "boxes"))
        assert (clip.dtype, masks.dtype, boxes.dtype) == (np.uint8, bool, np.float32)
        assert masks.shape == clip.shape[:3] and boxes.shape == (len(clip), 2, 4)
        np.testing.assert_array_equal(masks, clip[..., 0] > 110)
        for mask, box in zip(masks, boxes, strict=True):
            rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
            around = (
                [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1] if len(rows) else [0, 0, 0, 0]
            )
            np.testing.assert_array_equal(box, [around, [0, 0, 0, 0]])

    return check
