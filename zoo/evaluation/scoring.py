"""Scores of a video fed chunk by chunk: a model, and two baselines which learn nothing.

A scorer has `warm_up`, `begin()` which forgets the last video, and `advance(clip)` which takes the
next frames and returns one `score` and one `frame_error` for each. Memory does not grow with the
length of the video, apart from two numbers a frame.
"""

import numpy as np
import tensorflow as tf

BLOCK_PIXELS = 8


class ModelScorer:
    """Scores videos with a model of the zoo through its streaming verb `advance`.

    The graph is traced once for each size of frame, not again for the shorter last chunk.

    Args:
        model: A model with `initial_state`, `advance` and `warm_up`.
    """

    def __init__(self, model):
        self.model = model
        self.warm_up = int(model.warm_up)
        self._traced = {}
        self._state = self._prediction = None

    def begin(self):
        """Forgets the video before."""
        self._state = self._prediction = None

    def advance(self, clip):
        """Scores the next frames of the video.

        Args:
            clip: float32 `(frames, height, width, channels)` in [0, 1].

        Returns:
            Dict of float32 arrays: `score` `(frames,)`; `frame_error` `(frames,)`, the mean
            squared error of the frame against what was predicted one frame before, as papers
            have it, whatever the horizon that scores, or, of a model that does not predict,
            against what was drawn of it; and `score_map` `(frames, height / 8, width / 8)`.
        """
        size = tuple(int(n) for n in clip.shape[1:3])
        clip = tf.convert_to_tensor(clip)[None]
        if self._state is None:
            self._state = self.model.initial_state(1, *size)
            self._prediction = tf.zeros_like(clip[:, 0])
        outputs = self._graph(clip.shape[2:])(clip, self._prediction, self._state)
        self._state, self._prediction = outputs["state"], outputs["prediction"]
        return {
            name: outputs[name][0].numpy() for name in ("score", "frame_error", "score_map")
        }

    def _graph(self, frame_shape):
        frame_shape = tuple(int(n) for n in frame_shape)
        if frame_shape not in self._traced:
            # The signature leaves the number of frames free: a last chunk of another length would
            # otherwise cost a second trace, which takes longer than scoring a short video.
            clip_spec = tf.TensorSpec((1, None, *frame_shape), tf.float32)
            state_spec = tf.nest.map_structure(
                lambda t: tf.TensorSpec(t.shape, t.dtype), self._state
            )

            frame_spec = tf.TensorSpec((1, *frame_shape), tf.float32)

            def advance(clip, prediction, state):
                outputs = self.model.advance(clip, state)
                kept = {name: outputs[name] for name in ("score", "score_map", "state")}
                if "prediction" not in outputs:
                    error = tf.reduce_mean(outputs["score_map"], axis=[2, 3])
                    return {**kept, "frame_error": error, "prediction": prediction}
                ahead = outputs["prediction"]
                predicted = tf.concat([prediction[:, None], ahead[:, :-1]], axis=1)
                error = tf.reduce_mean(tf.square(clip - predicted), axis=[2, 3, 4])
                return {**kept, "frame_error": error, "prediction": ahead[:, -1]}

            self._traced[frame_shape] = tf.function(
                advance, input_signature=[clip_spec, frame_spec, state_spec], jit_compile=False
            )
        return self._traced[frame_shape]


class CopyLastFrame:
    """Baseline: the squared difference to the frame before, pooled as the model pools its error.

    Args:
        pooling: "max" for the largest average over `window` x `window` pixels, "mean" for all.
        window: Side of that window in pixels, a multiple of 8; windows start every 8 pixels.
    """

    warm_up = 1

    def __init__(self, pooling="max", window=16):
        self.pooling = pooling
        self.window = window
        self.begin()

    def begin(self):
        """Forgets the video before."""
        self._last = None

    def advance(self, clip):
        """Scores the next frames; takes and returns what `ModelScorer.advance` does."""
        clip = np.asarray(clip, np.float32)
        last = clip[:1] if self._last is None else self._last
        predicted = np.concatenate([last, clip[:-1]])
        self._last = clip[-1:].copy()
        return _scored(clip, predicted, self.pooling, self.window)


class MeanFrame:
    """Baseline: the squared difference to the mean of the frames of this video seen so far.

    The mean is causal: frame t is compared with the mean of frames 0 to t-1 of the same video, not
    with the mean of the training footage and not with frames still to come.

    Args:
        pooling: "max" for the largest average over `window` x `window` pixels, "mean" for all.
        window: Side of that window in pixels, a multiple of 8; windows start every 8 pixels.
    """

    warm_up = 1

    def __init__(self, pooling="max", window=16):
        self.pooling = pooling
        self.window = window
        self.begin()

    def begin(self):
        """Forgets the video before."""
        self._sum = None
        self._frames = 0

    def advance(self, clip):
        """Scores the next frames; takes and returns what `ModelScorer.advance` does."""
        clip = np.asarray(clip, np.float32)
        if self._sum is None:
            # float64: a day of frames summed in float32 would lose the small differences.
            self._sum = np.zeros(clip.shape[1:], np.float64)
        predicted = np.empty_like(clip)
        for index, frame in enumerate(clip):
            predicted[index] = self._sum / self._frames if self._frames else frame
            self._sum += frame
            self._frames += 1
        return _scored(clip, predicted, self.pooling, self.window)


def score_video(scorer, chunks):
    """Scores one video.

    Args:
        scorer: A scorer of this module, or a model (which is traced anew: pass a `ModelScorer`
            when there are several videos).
        chunks: Iterable of consecutive parts, uint8 or float32 in [0, 1], each
            `(frames, height, width, channels)`.

    Returns:
        Dict of float32 arrays `score` and `frame_error`, each `(frames of the video,)`; the first
        `scorer.warm_up` values are 0.

    Raises:
        ValueError: If there is no frame, or a chunk is no clip.

    Example:
        >>> import numpy as np
        >>> video = np.zeros((20, 16, 16, 1), np.uint8)
        >>> score_video(CopyLastFrame(), [video[:16], video[16:]])["score"].shape
        (20,)
    """
    if not hasattr(scorer, "begin"):
        scorer = ModelScorer(scorer)
    return score_together({"scorer": scorer}, chunks)["scorer"]


def score_together(scorers, chunks):
    """Scores one video with several scorers in one pass over its frames.

    Args:
        scorers: Dict from name to scorer.
        chunks: As for `score_video`.

    Returns:
        Dict from the name of the scorer to what `score_video` returns.
    """
    parts = {name: {"score": [], "frame_error": []} for name in scorers}
    for scorer in scorers.values():
        scorer.begin()
    frames = 0
    for chunk in chunks:
        clip = to_unit_range(chunk)
        frames += len(clip)
        for name, scorer in scorers.items():
            scored = scorer.advance(clip)
            for kind, values in parts[name].items():
                values.append(scored[kind])
    if not frames:
        raise ValueError("`chunks` must hold at least one frame. Received: none")
    together = {
        name: {kind: np.concatenate(values) for kind, values in kinds.items()}
        for name, kinds in parts.items()
    }
    for name, scorer in scorers.items():
        for values in together[name].values():
            values[: scorer.warm_up] = 0
    return together


def to_unit_range(clip):
    """Returns `clip` `(frames, height, width, channels)`, uint8 or float, as float32 in [0, 1]."""
    clip = np.asarray(clip)
    if clip.ndim != 4:
        raise ValueError(
            "`clip` must have shape (frames, height, width, channels). Received: "
            f"shape {clip.shape}"
        )
    if clip.dtype == np.uint8:
        return clip.astype(np.float32) / np.float32(255)
    return clip.astype(np.float32)


def block_error(clip, predicted):
    """Mean squared error of each block of 8x8 pixels, over the channels too.

    Args:
        clip, predicted: float32 `(frames, height, width, channels)`, sides divisible by 8.

    Returns:
        float32 `(frames, height / 8, width / 8)`.

    Raises:
        ValueError: If a side is not divisible by 8.
    """
    frames, height, width, channels = clip.shape
    if height % BLOCK_PIXELS or width % BLOCK_PIXELS:
        raise ValueError(
            f"`clip` must have a height and width divisible by {BLOCK_PIXELS}. Received: "
            f"{height}x{width}"
        )
    blocks = np.square(clip - predicted).reshape(
        frames, height // BLOCK_PIXELS, BLOCK_PIXELS, width // BLOCK_PIXELS, BLOCK_PIXELS, channels
    )
    return blocks.mean(axis=(2, 4, 5), dtype=np.float32)


def pool_score_map(score_map, pooling="max", window=16):
    """One score per frame from the errors of its blocks.

    Args:
        score_map: float32 `(frames, height / 8, width / 8)`.
        pooling: "max": the largest average over `window` x `window` pixels; "mean": over all.
        window: Pixels, a multiple of 8, unused by "mean". A frame smaller than the window is one
            window.

    Returns:
        float32 `(frames,)`.

    Raises:
        ValueError: If `pooling` is unknown or `window` is no multiple of 8.
    """
    if pooling == "mean":
        return score_map.mean(axis=(1, 2), dtype=np.float32)
    if pooling != "max":
        raise ValueError(f"`pooling` must be 'max' or 'mean'. Received: pooling={pooling!r}")
    if window < BLOCK_PIXELS or window % BLOCK_PIXELS:
        raise ValueError(
            f"`window` must be a multiple of {BLOCK_PIXELS} pixels. Received: window={window}"
        )
    return window_means(score_map, window // BLOCK_PIXELS).max(axis=(1, 2))


def window_means(score_map, side):
    """Means over windows of `side` x `side` cells, one starting at every cell where it fits.

    Args:
        score_map: float32 `(frames, height', width')`.
        side: Cells, at least 1. A map smaller than that is one window.

    Returns:
        float32 `(frames, height' - side + 1, width' - side + 1)`, a side at least 1.
    """
    shape = (min(side, score_map.shape[1]), min(side, score_map.shape[2]))
    windows = np.lib.stride_tricks.sliding_window_view(score_map, shape, axis=(1, 2))
    return windows.mean(axis=(3, 4), dtype=np.float32)


def _scored(clip, predicted, pooling, window):
    score_map = block_error(clip, predicted)
    return {
        "score": pool_score_map(score_map, pooling, window),
        "frame_error": score_map.mean(axis=(1, 2), dtype=np.float32),
        "score_map": score_map,
    }
