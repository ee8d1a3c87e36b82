"""Labelled clips and encoders on bytes: what `zoo classify` and the representation share."""

from pathlib import Path

import numpy as np

# Of the encoders with random weights that an encoder is held against.
RANDOM_SEEDS = (0, 1, 2)


def open_labelled(data):
    """Opens footage with one class per folder, or a CSV file of clips and labels.

    Args:
        data: Path of the folder or of the file.

    Returns:
        `data_pipelines.Source` whose videos have `label` and `group`.

    Raises:
        ValueError: If there is nothing to read.

    Example:

    ```python
    {video.label for video in open_labelled("footage_by_class").videos}
    ```
    """
    import data_pipelines
    from data_pipelines.sources import weizmann

    if Path(data).suffix.lower() == ".csv":
        return data_pipelines.open_source(data, "labelled_csv")
    strips = Path(data).is_dir() and weizmann.is_source(data)
    return data_pipelines.open_source(data, "weizmann" if strips else "labelled_folders")


def prepared_frames(video, stride, channels, fps=None):
    """The frames of a video in an encoder's channels, at the nearest size that fits the first.

    Args:
        video: `data_pipelines.Video`.
        stride: int, what divides height and width.
        channels: int, 1 or 3.
        fps: Frames per second that it is brought to, or None for its own.

    Yields:
        uint8 arrays (height, width, channels).
    """
    prepare = frame_preparer(stride, channels)
    yield from map(prepare, video.sampled(fps))


def frame_preparer(stride, channels):
    """A function that brings the frames of one stream to an encoder's channels and one size.

    The size is the nearest that fits the first frame, also of frames that come in another.

    Args:
        stride, channels: As of `prepared_frames`.

    Returns:
        Function of a uint8 array (height, width, channels) to another.
    """
    from data_pipelines import transforms
    from zoo.layers.sizes import nearest_size

    size = []

    def prepare(frame):
        if not size:
            size.extend(nearest_size(side, stride) for side in frame.shape[:2])
        return np.asarray(transforms.prepare(frame, size, channels))

    return prepare


def graph_of(model, verb):
    """A verb of a model on bytes, as one graph for all lengths and sizes, as in an export.

    Args:
        model: Built model of the zoo.
        verb: str, `"encode"` or `"features"`.

    Returns:
        Function of a uint8 array (batch, time, height, width, channels) to a tensor.

    Raises:
        NotImplementedError: If the model does not answer the verb; the models that do are named.
    """
    import tensorflow as tf

    from data_pipelines import transforms

    clip = tf.TensorSpec((None, None, None, None, model.channels), tf.uint8)

    @tf.function(input_signature=[clip], autograph=False, jit_compile=False)
    def graph(clip):
        return getattr(model, verb)(transforms.to_float(clip))

    # Called as `tf.function`s, the graphs of several models count as one that is traced too often.
    traced = graph.get_concrete_function()
    return lambda clip: traced(tf.constant(clip))
