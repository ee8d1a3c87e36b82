"""Reads an export back: NumPy arrays in, NumPy arrays out, without the model's own code."""

import numpy as np
import tensorflow as tf

from exports import manifest, saved_model, signatures


def load(directory, version=None):
    """Loads an export.

    Args:
        directory: Path of a folder of versions, or of one version itself.
        version: int. Default: the largest there.

    Returns:
        An `Export`.

    Raises:
        ValueError: If there is no such version, or it has no manifest.

    Example:

    ```python
    import exports
    import numpy as np

    encoder = exports.load("served/convlstm_vae")
    embedding = encoder.encode(np.zeros((1, 16, 128, 192, 1), "uint8"))  # (1, embedding_dim)
    ```
    """
    folder = saved_model.locate(directory, version)
    description = manifest.read(folder)
    if "classifier" in description:
        raise ValueError(
            f"`directory` must be an exported model. Received: {folder}, a classifier; "
            "`exports.classifier.load` takes it"
        )
    return Export(folder, description)


class Export:
    """One version of an exported model. `load` makes it.

    Clips are uint8 `(batch, time, height, width, channels)`, or one clip without the batch axis,
    whose outputs then have none either.

    Attributes:
        folder: pathlib.Path of the version.
        manifest: dict, as `exports.manifest.describe` gives it, with the hashes of the files.
        verbs: tuple of the signatures' names, `encode` for `serving_default`.
        calibration: dict, the content of its `calibration.json`; None of one not calibrated.

    Example:

    ```python
    export = load("served/convlstm_vae")
    scores = export.score(clip)  # (batch, time) float32
    ```
    """

    def __init__(self, folder, description):
        self.folder = folder
        self.manifest = description
        self.calibration = saved_model.read_calibration(folder)
        # The signatures hold their weights weakly: the loaded object must live as long.
        self._loaded = tf.saved_model.load(str(folder))
        names = ["encode" if n == "serving_default" else n for n in description["signatures"]]
        self.verbs = tuple(names)

    def encode(self, clip):
        """Embeds clips.

        Args:
            clip: uint8 array (batch, time, height, width, channels).

        Returns:
            float32 array (batch, embedding_dim).

        Raises:
            ValueError: If the clip's type, channels, length or size does not fit.

        Example:

        ```python
        export.encode(np.zeros((2, 16, 64, 64, 1), "uint8")).shape  # (2, embedding_dim)
        ```
        """
        return self._run("serving_default", "embedding", clip)

    def features(self, clip):
        """Gives the grid of local descriptors.

        Args:
            clip: uint8 array (batch, time, height, width, channels).

        Returns:
            float32 array (batch, time', height', width', depth).

        Raises:
            ValueError: As `encode`.

        Example:

        ```python
        export.features(clip).shape
        ```
        """
        return self._run("features", "features", clip)

    def score(self, clip):
        """Scores each frame; higher is less usual.

        Args:
            clip: uint8 array (batch, time, height, width, channels).

        Returns:
            float32 array (batch, time).

        Raises:
            ValueError: As `encode`.

        Example:

        ```python
        export.score(clip).shape  # (batch, time)
        ```
        """
        return self._run("score", "score", clip)

    def score_map(self, clip):
        """Scores each place of each frame.

        Args:
            clip: uint8 array (batch, time, height, width, channels).

        Returns:
            float32 array (batch, time, height', width').

        Raises:
            ValueError: As `encode`.

        Example:

        ```python
        export.score_map(clip).shape
        ```
        """
        return self._run("score", "score_map", clip)

    def above_threshold(self, clip):
        """Says which frames reach the threshold of a calibrated export.

        That is no event yet: `signatures.add_threshold` says what it is.

        Args:
            clip: uint8 array (batch, time, height, width, channels).

        Returns:
            bool array (batch, time).

        Raises:
            ValueError: As `encode`, or if the export is not calibrated.

        Example:

        ```python
        export.above_threshold(clip).any()
        ```
        """
        if self.calibration is None:
            raise ValueError(
                f"{self.folder} must be calibrated to have a threshold, by `zoo calibrate`"
            )
        return self._run("score", signatures.ABOVE, clip)

    def rollout(self, context):
        """Predicts the frames that follow, as many as the export fixes (`rollout_steps`).

        Args:
            context: uint8 array (batch, time, height, width, channels).

        Returns:
            uint8 array (batch, rollout_steps, height, width, channels).

        Raises:
            ValueError: As `encode`.

        Example:

        ```python
        export.rollout(clip).shape
        ```
        """
        return self._run("rollout", "future", context)

    def initial_state(self, batch, height, width):
        """Gives the zeros that a stream starts from.

        Args:
            batch: int, the number of streams.
            height: int, pixels.
            width: int, pixels.

        Returns:
            Dict from name to array.

        Raises:
            ValueError: If the export has no `step`, or the size does not fit.

        Example:

        ```python
        state = export.initial_state(1, 128, 192)
        ```
        """
        self.signature("step")
        self._check_size(height, width)
        return signatures.zero_state(self.manifest["state"], batch, height, width)

    def step(self, frame, state):
        """Takes one frame of each stream.

        Args:
            frame: uint8 array (batch, height, width, channels).
            state: dict of arrays, as `initial_state` or the last `step` gave it.

        Returns:
            Dict: `score` (batch,), `score_map` (batch, height', width'), `prediction` uint8, of a
            calibrated export `above_threshold` bool (batch,), and `state`, a dict for the next
            call.

        Raises:
            ValueError: If the export has no `step`, or the frame does not fit.

        Example:

        ```python
        result = export.step(frame, export.initial_state(1, 128, 192))
        result = export.step(next_frame, result["state"])
        ```
        """
        frame = self._bytes("frame", frame, rank=4)
        inputs = {f"state_{name}": tf.constant(array) for name, array in state.items()}
        outputs = self.signature("step")(frame=tf.constant(frame), **inputs)
        outputs = {name: tensor.numpy() for name, tensor in outputs.items()}
        following = {name: outputs.pop(f"state_{name}") for name in state}
        return outputs | {"state": following}

    @property
    def weights(self):
        """List of the `tf.Variable`s that the signatures read."""
        return list(self._loaded.weights)

    def without_threshold(self):
        """The signatures as they were before a calibration: dict from name to function."""
        return signatures.before_threshold(self._loaded, self.manifest["signatures"])

    def signature(self, name):
        """Gives a signature as TensorFlow has it, to lay into another graph.

        Args:
            name: str, such as `"serving_default"`.

        Returns:
            Function of keyword tensors to a dict of tensors.

        Raises:
            ValueError: If the export has no such signature.

        Example:

        ```python
        export.signature("features")(clip=tf.constant(clip))["features"]
        ```
        """
        if name not in self._loaded.signatures:
            raise ValueError(f"{self.folder} has no signature `{name}`. It has: {self.verbs}")
        return self._loaded.signatures[name]

    def _run(self, signature, output, clip):
        clip = np.asarray(clip)
        single = clip.ndim == 4
        result = self._answer(signature, clip[None] if single else clip)[output].numpy()
        return result[0] if single else result

    def _answer(self, signature, clip):
        """Everything that a signature answers to clips: dict of tensors."""
        function = self.signature(signature)
        clip = self._bytes("clip", clip, rank=5)
        whole = signature in ("serving_default", "encode", "features")
        fewest = self.manifest["min_frames"] if whole else 1
        if clip.shape[1] < fewest:
            raise ValueError(
                f"`clip` must have at least {fewest} frames. Received: {clip.shape[1]}"
            )
        return function(clip=tf.constant(clip))

    def _bytes(self, name, array, rank):
        array = np.asarray(array)
        channels = self.manifest["channels"]
        if array.dtype != np.uint8:
            raise ValueError(f"`{name}` must be uint8. Received: {array.dtype}")
        if array.ndim != rank or array.shape[-1] != channels:
            raise ValueError(
                f"`{name}` must have {rank} axes, the last of {channels} channels. "
                f"Received the shape: {array.shape}"
            )
        self._check_size(*array.shape[-3:-1])
        return array

    def _check_size(self, height, width):
        stride = self.manifest["stride"]
        if height % stride or width % stride or not height or not width:
            # As the graph says it; of the zoo nothing is needed to read an export.
            nearest = [max(1, (size + stride // 2) // stride) * stride for size in (height, width)]
            raise ValueError(
                f"height and width must be divisible by {stride}. Received: {height}x{width}. "
                f"The nearest that fits: {nearest[0]}x{nearest[1]}"
            )
