"""Classifiers of clips as SavedModels: bytes in, labels with their probabilities out.

Encoder and head are one graph. A video is cut into windows, each window becomes descriptors, the
head gives log-probabilities, a temperature makes them as sure as they are right, and what is less
probable than a limit is called none of the classes. A served classifier has the signatures

- `serving_default`: `clip` uint8 (batch, time, height, width, channels) to `label` (batch,),
  `probability` (batch,), and `labels` and `probabilities` (batch, classes), the most probable
  first;
- `classify_jpeg`: `frames` string (batch, time), JPEG or PNG bytes, to the same;
- `encode` and `features`: `clip` to the descriptors of the encoder.
"""

import collections

import numpy as np
import tensorflow as tf

from exports import heads, manifest, saved_model, signatures, verification
from exports.reading import Export
from zoo.evaluation.classification import temper

NONE = "none of these"
OUTPUTS = ("label", "probability", "labels", "probabilities")


def windows(clip, frames=16, stride=8, min_frames=1):
    """Cuts a clip into overlapping windows; the last one ends with the clip.

    Args:
        clip: iterable of arrays (height, width, channels), or one array of them; read as it
            goes, and never more than a window of it kept.
        frames: int, the length of a window. A clip that is shorter is one window as it is.
        stride: int, frames between the starts of two windows.
        min_frames: int, the shortest clip that the encoder takes.

    Yields:
        Arrays (frames or fewer, height, width, channels).

    Raises:
        ValueError: If `stride` is below 1, `frames` below `min_frames`, or the clip shorter than
            `min_frames`.

    Example:

    ```python
    [len(window) for window in windows(np.zeros((37, 8, 8, 1)))]  # [16, 16, 16, 16]
    ```
    """
    for _, window in numbered_windows(clip, frames, stride, min_frames):
        yield window


def numbered_windows(clip, frames=16, stride=8, min_frames=1):
    """Cuts a clip as `windows` does, and says where each window ends.

    Args and Raises: As of `windows`.

    Yields:
        `(end, window)`: the number of frames up to the end of the window, and the array.

    Example:

    ```python
    [end for end, _ in numbered_windows(np.zeros((37, 8, 8, 1)))]  # [16, 24, 32, 37]
    ```
    """
    if frames < max(min_frames, 1):
        raise ValueError(f"`frames` must be at least {min_frames}. Received: frames={frames}")
    if stride < 1:
        raise ValueError(f"`stride` must be at least 1. Received: stride={stride}")
    held = collections.deque(maxlen=frames)
    length = given = 0
    for length, frame in enumerate(clip, start=1):
        held.append(frame)
        if length >= frames and (length - frames) % stride == 0:
            yield length, np.stack(held)
            given = length
    if length < max(min_frames, 1):
        raise ValueError(f"`clip` must have at least {min_frames} frames. Received: {length}")
    if given < length:
        yield length, np.stack(held)


def padded(window, frames):
    """A window as classifiers are fitted on it: the last frame of a short clip stands still.

    Args:
        window: array (time, height, width, channels), of at most `frames` frames.
        frames: int.

    Returns:
        Array (frames, height, width, channels).

    Example:

    ```python
    padded(np.zeros((12, 64, 64, 1)), 16).shape  # (16, 64, 64, 1)
    ```
    """
    return np.concatenate([window, window[-1:].repeat(frames - len(window), axis=0)])


def save(directory, encoder, head, *, temperature, limit, about):
    """Writes a classifier as `DIRECTORY/VERSION/`, whole or not at all.

    It is read back in a process that cannot import this project before it appears.

    Args:
        directory: Path of the folder of versions; made if it is not there.
        encoder: `exports.Export`, the encoder.
        head: A fitted head, of `exports.heads.fitter`.
        temperature: float above 0 that log-probabilities are divided by.
        limit: float in [0, 1]; the label of what is less probable is `NONE`.
        about: Dict of JSON values for the manifest: `head`, `window` and `window_stride` (frames),
            `clip_fps` (frames per second of the labelled clips, or None), and what else is told.

    Returns:
        pathlib.Path of the version's folder.

    Raises:
        ValueError: As `saved_model.export`; if an argument is out of range, or a clean process
            gives other probabilities.
        OSError: If it cannot be written. Nothing of the version is left.

    Example:

    ```python
    save("served/actions", exports.load("served/mine"), head, temperature=1.2, limit=0.5,
         about={"head": "logistic", "window": 16, "window_stride": 8, "clip_fps": 25.0})
    ```
    """
    if not temperature > 0:
        raise ValueError(f"`temperature` must be above 0. Received: temperature={temperature}")
    if not 0 <= limit <= 1:
        raise ValueError(f"`limit` must be from 0 to 1. Received: limit={limit}")
    directory = saved_model.check_directory(directory)
    module, functions = _build(encoder, head, about["head"], temperature, limit)
    kept = {key: value for key, value in encoder.manifest.items() if key != "files"}
    description = kept | {
        "rollout_steps": None,
        "state": None,
        "signatures": list(functions),
        "classifier": {
            **about,
            "classes": list(head.classes),
            "temperature": float(temperature),
            "limit": float(limit),
            "encoder_sha256": encoder.manifest["files"]["saved_model.pb"]["sha256"],
        },
    }

    def write(folder):
        tf.saved_model.save(module, str(folder), signatures=functions)
        saved_model.write_description(folder, description)

    def check(folder):
        clips = {"whole": verification.made_up_clip(description)}
        answers, _ = verification.run_isolated(folder, clips)
        own = functions["serving_default"](tf.constant(clips["whole"]))["probabilities"].numpy()
        for signature in ("serving_default", "classify_jpeg"):
            found = answers[f"whole/{signature}/probabilities"]
            difference = np.abs(found - own).max()
            if not difference <= verification.HALF_TOLERANCE:
                raise ValueError(
                    f"{folder}: `{signature}` gives other probabilities in a clean process, by "
                    f"{difference:.1e}"
                )

    return saved_model.write_version(directory, write, check=check)


def load(directory, version=None):
    """Loads a classifier.

    Args:
        directory: Path of a folder of versions, or of one version itself.
        version: int. Default: the largest there.

    Returns:
        A `Classifier`.

    Raises:
        ValueError: If there is no such version, or it is an export of another kind.

    Example:

    ```python
    label, probabilities = load("served/actions").classify(clips)
    ```
    """
    folder = saved_model.locate(directory, version)
    description = manifest.read(folder)
    if "classifier" not in description:
        raise ValueError(
            f"`model` must be a classifier, as `zoo classify train --out` writes it. "
            f"Received: {folder}, an export of {description['model']['class']}"
        )
    return Classifier(folder, description)


class Classifier(Export):
    """One version of a classifier. `load` makes it.

    Attributes:
        about: dict, what the manifest says of the classifier: `classes`, `head`, `window` and
            `window_stride` (frames), `clip_fps`, `limit`, `temperature`.
        classes: list of str, sorted.

    Example:

    ```python
    classifier.classify(np.zeros((2, 16, 64, 64, 1), "uint8"))
    ```
    """

    def __init__(self, folder, description):
        super().__init__(folder, description)
        self.about = description["classifier"]
        self.classes = self.about["classes"]

    def encode(self, clip):
        """As `Export.encode`."""
        return self._run("encode", "embedding", clip)

    def classify(self, clip):
        """Names windows.

        Args:
            clip: uint8 array (batch, time, height, width, channels).

        Returns:
            `(labels, probabilities)`: a list of str, `NONE` where nothing is as probable as the
            limit; and float32 (batch, classes), in the order of `classes`.

        Raises:
            ValueError: If the clips do not fit.

        Example:

        ```python
        classifier.classify(clip)[0]  # ["walk"]
        ```
        """
        found = self._answer("serving_default", np.asarray(clip))
        # Most probable first; names tell the classes.
        order = np.argsort(found["labels"].numpy(), axis=1)
        probabilities = np.take_along_axis(found["probabilities"].numpy(), order, axis=1)
        return [name.decode() for name in found["label"].numpy()], probabilities

    def log_probabilities(self, clip):
        """As `classify`: float64 log-probabilities (batch, classes) before the temperature."""
        _, probabilities = self.classify(clip)
        found = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
        return temper(found, 1 / self.about["temperature"])


def _build(encoder, head, head_name, temperature, limit):
    """`(module, functions)` as of `signatures.build`."""
    graph = heads.as_graph(head)
    signature = {"encode": "serving_default", "features": "features"}
    describe = {
        verb: encoder.signature(name)
        for verb, name in signature.items()
        if name in encoder.manifest["signatures"]
    }
    verb = heads.TAKES[head_name]
    output = {"encode": "embedding", "features": "features"}
    names = tf.constant(list(head.classes))
    channels = encoder.manifest["channels"]

    def classify(clip):
        log_probabilities = graph(tf.cast(describe[verb](clip=clip)[output[verb]], tf.float32))
        probabilities = tf.nn.softmax(log_probabilities / temperature)
        sorted_, order = tf.math.top_k(probabilities, len(head.classes))
        labels = tf.gather(names, order)
        best = sorted_[:, 0]
        label = tf.where(best < limit, NONE, labels[:, 0])
        return dict(zip(OUTPUTS, (label, best, labels, sorted_)))

    clip_spec = tf.TensorSpec((None, None, None, None, channels), tf.uint8, name="clip")
    frames_spec = tf.TensorSpec((None, None), tf.string, name="frames")
    served = {
        "serving_default": (classify, clip_spec),
        "classify_jpeg": (
            lambda frames: classify(signatures.decode_frames(frames, channels)), frames_spec,
        ),
        **{name: (lambda clip, name=name: describe[name](clip=clip), clip_spec)
           for name in describe},
    }  # fmt: skip
    functions = {
        name: tf.function(function, input_signature=[spec], autograph=False)
        for name, (function, spec) in served.items()
    }
    module = tf.Module(name="served")
    # What the graphs above read of the encoder's weights, and nothing else.
    read = [
        captured
        for function in functions.values()
        for captured in function.get_concrete_function().captured_inputs
    ]
    of_encoder = [v for v in encoder.weights if any(v.handle is found for found in read)]
    # Under the name that the weights of every export have.
    module.weights = [*graph.variables, *of_encoder]
    return module, functions
