"""Scores of live streams that come and go, a frame of each at a time, in batches.

All streams whose frames have one size go through the model in one step, whose graph is traced once
for that size, however many they are. What is remembered of a stream is its state: constant memory.
"""

import dataclasses

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class LiveScore:
    """What a frame of a stream scores.

    Attributes:
        score: float; None while the model warms up.
        score_map: float32 `(height', width')`; None while the model warms up.
        restarted: Whether the stream had frames of another size before, and so began anew.
    """

    score: float | None
    score_map: np.ndarray | None
    restarted: bool


class LiveScorer:
    """Scores the frames of several streams, one step of the model for all of one size.

    Args:
        model: A model of the zoo with the verb `step`, or an `exports.Export` with that signature.

    Attributes:
        warm_up: Frames at the beginning of a stream that have no score.

    Raises:
        ValueError: If the model does not score.

    Example:
        >>> scorer = LiveScorer(model)
        >>> frame = np.zeros((128, 192, 1), np.uint8)
        >>> scored = scorer.advance({"gate": frame, "door": frame})
        >>> scored["door"].score is None  # the model warms up
        True
    """

    def __init__(self, model):
        manifest = getattr(model, "manifest", None)
        verbs = model.verbs
        if "step" not in verbs:
            raise ValueError(
                f"`model` must answer `step` to score live video. Received: one that answers "
                f"{', '.join(verbs)}"
            )
        if manifest is None:
            model.ensure_built()
        self.model = model
        self.warm_up = int(model.warm_up if manifest is None else manifest["warm_up"])
        self.channels = int(model.channels if manifest is None else manifest["channels"])
        self._step = _step_of_model(model) if manifest is None else _step_of_export(model)
        self._streams, self._zeros, self._graphs = {}, {}, {}

    def advance(self, frames):
        """Scores the next frame of some streams; one that was not there before begins.

        Args:
            frames: Dict from the name of a stream to a frame, uint8 `(height, width, channels)`.

        Returns:
            Dict from the name of a stream to `LiveScore`.

        Raises:
            ValueError: If a frame is not as the model takes it; no stream has moved on then.
        """
        by_size = {}
        for name, frame in frames.items():
            self._check(name, frame)
            by_size.setdefault(frame.shape[:2], []).append(name)
        # First, since a size that does not fit raises here.
        for size in by_size:
            self._begin(size)
        scored = {}
        for size, names in by_size.items():
            scored |= self._advance(size, {name: frames[name] for name in names})
        return scored

    def forget(self, name):
        """Lets go of a stream: its next frame, if one comes, begins it anew.

        Args:
            name: Of a stream, which need not be there.
        """
        self._streams.pop(name, None)

    def prepare(self, height, width):
        """Traces the graph of a size, which takes seconds, before the first frame comes.

        Args:
            height, width: Of the frames in pixels.

        Raises:
            ValueError: If the model does not take this size.
        """
        aside = object()  # No stream has this name.
        self.advance({aside: np.zeros((height, width, self.channels), np.uint8)})
        self.forget(aside)

    def _check(self, name, frame):
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != self.channels:
            raise ValueError(
                f"`frames` must be uint8 (height, width, {self.channels}). Received: "
                f"{frame.dtype} {frame.shape} of {name}"
            )

    def _begin(self, size):
        if size in self._graphs:
            return
        zeros = self.model.initial_state(1, *size)
        self._zeros[size] = {key: tf.convert_to_tensor(value) for key, value in zeros.items()}
        frames = tf.TensorSpec((None, *size, self.channels), tf.uint8)
        state = {
            key: tf.TensorSpec((None, *value.shape[1:]), value.dtype)
            for key, value in self._zeros[size].items()
        }
        # The number of streams is left free: a trace takes longer than scoring many frames.
        self._graphs[size] = tf.function(
            self._step, input_signature=[frames, state], jit_compile=False, autograph=False
        )

    def _advance(self, size, frames):
        restarted, streams = set(), []
        for name in frames:
            stream = self._streams.get(name)
            if stream is None or stream.size != size:
                if stream is not None:
                    restarted.add(name)
                stream = self._streams[name] = _Stream(size, self._zeros[size])
            streams.append(stream)
        batch = np.stack(list(frames.values()))
        outputs = self._graphs[size](batch, _together(streams))
        scores, maps = outputs["score"].numpy(), outputs["score_map"].numpy()
        scored = {}
        for row, (name, stream) in enumerate(zip(frames, streams, strict=True)):
            stream.states, stream.row = outputs["state"], row
            stream.seen += 1
            is_scored = stream.seen > self.warm_up
            scored[name] = LiveScore(
                float(scores[row]) if is_scored else None,
                maps[row] if is_scored else None,
                name in restarted,
            )
        return scored


class _Stream:
    """Where the state of a stream is: a row of the tensors of the batch that it was last in."""

    def __init__(self, size, states):
        self.size, self.states, self.row, self.seen = size, states, 0, 0


def _together(streams):
    """The states of streams as one batch: that of before where they are all of it, in its order."""
    first = streams[0].states
    if (
        all(stream.states is first for stream in streams)
        and [stream.row for stream in streams] == list(range(len(next(iter(first.values())))))
    ):
        return first
    # The arrays share the memory of tensors on the CPU: rows are copied once, into the batch.
    parts = {id(stream.states): stream.states for stream in streams}
    parts = {
        place: {key: value.numpy() for key, value in states.items()}
        for place, states in parts.items()
    }
    return {
        key: np.stack([parts[id(stream.states)][key][stream.row] for stream in streams])
        for key in first
    }


def _step_of_model(model):
    def step(frames, state):
        outputs = model.step(tf.cast(frames, tf.float32) / 255.0, state)
        return {name: outputs[name] for name in ("score", "score_map", "state")}

    return step


def _step_of_export(export):
    signature = export.signature("step")

    def step(frames, state):
        outputs = signature(frame=frames, **{f"state_{key}": state[key] for key in state})
        return {
            "score": outputs["score"],
            "score_map": outputs["score_map"],
            "state": {key: outputs[f"state_{key}"] for key in state},
        }

    return step
