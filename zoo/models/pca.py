"""Principal components of local space-time patches, the linear baseline of Kiran et al. 2018
(https://arxiv.org/abs/1801.03149).

A video is cut into patches of 8x8 pixels and `window` frames. The few directions in which normal
patches vary most are their code; what lies across them is the error of drawing a patch again.
What differs: the survey takes the components of whole frames of one size, patches take any size;
and the last frame may be drawn from the code that the frames before it give, which is prediction
by the same Gaussian (probabilistic PCA, Tipping and Bishop 1999).
"""

import keras
import numpy as np
import tensorflow as tf

from zoo.layers import fold_time, pad_start, recent_windows, unfold_time
from zoo.layers.moments import Moments
from zoo.layers.sizes import check_size
from zoo.models.error_scorer import ErrorScorer

PATCH = 8  # pixels


@keras.saving.register_keras_serializable(package="zoo")
class PatchProjection(keras.Model):
    """Patches of space and time onto their principal components.

    Weights, float32 whatever the precision, none of them trained by gradients: `mean` `(d,)`,
    `components` `(d, depth)` with orthonormal columns, `explained_variance`
    `(depth,)`, and `noise_variance`, the mean variance along each direction left out. The d
    values of a patch are in the order (frame, row, column, channel).

    Args:
        channels: Channels of a frame, 1 or 3.
        window: Frames of a patch.
        depth: Numbers in the code of a patch: the components kept.

    Call arguments:
        clip: float32 `(batch, time, height, width, channels)` in [0, 1].

    Returns:
        float32 descriptor grid `(batch, time, height / 8, width / 8, depth)`: the codes of
        the patches that end at each frame; before the first frame it is taken to have stood.
    """

    def __init__(self, channels=1, window=4, depth=32, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.channels = channels
        self.window = window
        self.depth = depth

    @property
    def values(self):
        """Values of one patch."""
        return self.window * PATCH * PATCH * self.channels

    def build(self, input_shape=None):
        def weight(name, shape, initializer):
            return self.add_weight(
                shape, initializer, "float32", trainable=False, autocast=False, name=name
            )

        self.mean = weight("mean", (self.values,), "zeros")
        self.components = weight("components", (self.values, self.depth), "orthogonal")
        self.explained_variance = weight("explained_variance", (self.depth,), "ones")
        self.noise_variance = weight("noise_variance", (), "zeros")
        self.built = True

    def to_patches(self, windows):
        """`(n, window, height, width, channels)` -> `(n, height / 8, width / 8, d)`."""
        blocks = unfold_time(tf.nn.space_to_depth(fold_time(windows), PATCH), self.window)
        blocks = tf.transpose(blocks, [0, 2, 3, 1, 4])
        shape = tf.concat([tf.shape(blocks)[:3], [self.values]], axis=0)
        return tf.reshape(blocks, shape)

    def to_windows(self, patches):
        """The inverse of `to_patches`."""
        shape = tf.concat([tf.shape(patches)[:3], [self.window, -1]], axis=0)
        blocks = tf.transpose(tf.reshape(patches, shape), [0, 3, 1, 2, 4])
        blocks = tf.ensure_shape(blocks, [None] * 4 + [self.values // self.window])
        return unfold_time(tf.nn.depth_to_space(fold_time(blocks), PATCH), self.window)

    def project(self, patches):
        """Patches `(..., d)` -> their codes `(..., depth)`."""
        return tf.matmul(patches - self.mean, self.components)

    def project_start(self, values):
        """The mean code of patches of which the first values `(..., m)` alone are known.

        With V the first m rows of the components, s the noise variance and v the explained
        variances, it is (V'V + diag(s / (v - s)))^-1 V' (values - mean).
        """
        count = values.shape[-1]
        # float64, as it is a matter of a few small numbers: the ridge spans many magnitudes.
        basis = tf.cast(self.components[:count], tf.float64)
        noise = tf.maximum(tf.cast(self.noise_variance, tf.float64), 1e-12)
        signal = tf.maximum(tf.cast(self.explained_variance, tf.float64) - noise, 1e-12)
        precision = tf.matmul(basis, basis, transpose_a=True) + tf.linalg.diag(noise / signal)
        gain = tf.linalg.solve(precision, tf.transpose(basis))  # (depth, m)
        gain = tf.cast(tf.transpose(gain), tf.float32)
        return tf.matmul(values - self.mean[:count], gain)

    def draw(self, codes, start=0):
        """Codes `(..., depth)` -> the values of their patches from `start` on."""
        basis = self.components[start:]
        return tf.matmul(codes, basis, transpose_b=True) + self.mean[start:]

    def call(self, clip):
        check_size(*clip.shape[2:4], PATCH)
        count = clip.shape[1] or tf.shape(clip)[1]
        shape = tf.shape(clip)
        before = tf.zeros((shape[0], self.window - 1, shape[2], shape[3], self.channels))
        windows, _ = recent_windows(clip, before, tf.zeros((shape[0],), tf.int32), self.window)
        return unfold_time(self.project(self.to_patches(fold_time(windows))), count)

    def compute_output_shape(self, input_shape):
        batch, time, height, width, _ = input_shape
        reduced = (size and size // PATCH for size in (height, width))
        return (batch, time, *reduced, self.depth)

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "window": self.window,
            "depth": self.depth,
        }


@keras.saving.register_keras_serializable(package="zoo")
class PCA(ErrorScorer):
    """Principal components of patches of 8x8 pixels and `window` frames.

    The error of a frame is that of the last frame of the `window` frames that end there: causal,
    and the same live as in a whole video.

    Args:
        components: Numbers in the code of a patch, fewer than it has values.
        score_branch: What the last frame of a window is compared with: `"reconstruction"`, itself
            drawn again from the code of the whole window, or `"prediction"`, drawn from the code
            that the frames up to `score_horizon` before it give.
        score_horizon: Frames ahead of that prediction, from 1 to window - 1.
        window: Frames of a patch, and of the window up to each frame; at least 2.
        **kwargs: Arguments of `ErrorScorer` and `VideoModel`.

    Call arguments:
        clip: float32 `(batch, time, height, width, channels)` in [0, 1], at least two frames;
            height and width multiples of 8.

    Returns:
        float32 of the same shape: the clip drawn again, window by window.

    Raises:
        ValueError: If an argument or a clip breaks a rule; the message names it.

    Example:

    >>> model = PCA(window=3, components=8)
    >>> history = model.fit(np.random.uniform(size=(4, 6, 16, 24, 1)), verbose=0)
    >>> model.reconstruct(np.zeros((1, 7, 16, 24, 1), "float32")).shape
    TensorShape([1, 7, 16, 24, 1])

    Reference:
        Kiran, Thomas and Parakkal, "An overview of deep learning based methods for unsupervised
        and semi-supervised anomaly detection in videos", 2018, https://arxiv.org/abs/1801.03149;
        Tipping and Bishop, "Probabilistic Principal Component Analysis", 1999
    """

    verbs = ("encode", "features", "reconstruct", "score", "score_map", "step")
    stride = PATCH
    is_fitted_in_closed_form = True

    def __init__(
        self,
        components=32,
        score_branch="reconstruction",
        score_horizon=1,
        window=8,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if window < 2:
            raise ValueError(f"`window` must be at least 2. Received: window={window}")
        self.window = window
        values = self.window * PATCH * PATCH * self.channels
        if not 1 <= components < values:
            raise ValueError(
                f"`components` must be from 1 to {values - 1}, as a patch has {values} values. "
                f"Received: components={components}"
            )
        if score_branch not in ("reconstruction", "prediction"):
            raise ValueError(
                "`score_branch` must be 'reconstruction' or 'prediction'. "
                f"Received: score_branch={score_branch}"
            )
        if not 1 <= score_horizon < self.window:
            raise ValueError(
                f"`score_horizon` must be from 1 to {self.window - 1}, as a window has "
                f"{self.window} frames. Received: score_horizon={score_horizon}"
            )
        self.components = components
        self.score_branch = score_branch
        self.score_horizon = score_horizon
        self.encoder = PatchProjection(
            self.channels, self.window, components, name="encoder", dtype=self.dtype_policy
        )

    @property
    def warm_up(self):
        """Frames that score 0: those without a whole window."""
        return self.window - 1

    @property
    def score_choices(self):
        ahead = ({"score_branch": "prediction", "score_horizon": h} for h in range(1, self.window))
        return ({"score_branch": "reconstruction"}, *ahead)

    def code_size(self, time, height, width):
        windows = -(-time // self.window)
        return windows * (height // PATCH) * (width // PATCH) * self.components

    def default_loss(self):
        return keras.losses.MeanSquaredError(dtype="float32")

    def build(self, input_shape=None):
        self.encoder.build()
        self.built = True

    def call(self, clip, training=False):
        clip = self.check_clip(clip)
        time = clip.shape[1] or tf.shape(clip)[1]
        padded = pad_start(clip, self.window)
        windows = self._windows(padded)
        drawn = self.encoder.draw(self.encoder.project(self.encoder.to_patches(windows)))
        length = padded.shape[1] or tf.shape(padded)[1]
        drawn = unfold_time(fold_time(self.encoder.to_windows(drawn)), length)
        return tf.ensure_shape(drawn[:, -time:], clip.shape)

    def _windows(self, clip):
        """Cuts a clip into windows that do not overlap, batch and all in one."""
        return unfold_time(fold_time(clip), self.window)

    def _reconstruct(self, clip):
        return tf.clip_by_value(self(clip), 0.0, 1.0)

    # Scoring.

    def _initial_state(self, batch, height, width):
        recent = tf.zeros((batch, self.window - 1, height, width, self.channels), tf.float32)
        return {"recent_frames": recent, "frames_seen": tf.zeros((batch,), tf.int32)}

    def _advance(self, frames, state):
        count = frames.shape[1] or tf.shape(frames)[1]
        windows, recent = recent_windows(
            frames, state["recent_frames"], state["frames_seen"], self.window
        )
        drawn = unfold_time(self._last_frames(fold_time(windows)), count)
        score, score_map = self._scored(tf.square(frames - drawn), state["frames_seen"])
        return {
            "score": score,
            "score_map": score_map,
            "state": {
                "recent_frames": recent,
                "frames_seen": state["frames_seen"] + count,
            },
        }

    def _last_frames(self, windows):
        """`(n, window, height, width, channels)` -> what their last frames are compared with."""
        if self.score_branch == "reconstruction":
            return self._reconstruct(windows)[:, -1]
        patches = self.encoder.to_patches(windows)
        frame = self.encoder.values // self.window
        codes = self.encoder.project_start(patches[..., : -self.score_horizon * frame])
        blocks = self.encoder.draw(codes, start=self.encoder.values - frame)
        return tf.clip_by_value(tf.nn.depth_to_space(blocks, PATCH), 0.0, 1.0)

    # Fitting.

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        steps_per_epoch=None,
    ):
        """Computes the components in one pass over the footage, whatever the weights before.

        Mean and scatter matrix of the patches are summed up batch by batch in float64; memory
        does not grow with the footage. Of a clip the windows count that do not overlap, from its
        first frame; frames left over at its end do not.

        Args:
            x: `tf.data.Dataset` of batches of clips or of pairs `(clip, target)`, or an array of
                clips `(batch, time, height, width, channels)`, float in [0, 1].
            y: Not looked at: the target is the clip.
            batch_size: Of an array, by default 32.
            epochs: 1, as a second pass would give the same.
            verbose: As Keras has it.
            callbacks: Keras callbacks. A batch has the log `patches`, the count so far; the epoch
                `loss`, the mean squared error of drawing what was seen again, and
                `explained_variance_ratio`. A callback that sets `stop_training` ends the pass.
            steps_per_epoch: Batches to look at, at most; `None` takes all there are.

        Returns:
            `keras.callbacks.History`.

        Raises:
            ValueError: If `epochs` is not 1, a clip is shorter than a window, or there are no
                more patches than components.
        """
        if epochs != 1:
            raise ValueError(
                "`epochs` must be 1: the fit is in closed form, and a second pass would give the "
                f"same. Received: epochs={epochs}"
            )
        self.ensure_built()
        if not isinstance(x, tf.data.Dataset):
            x = tf.data.Dataset.from_tensor_slices(np.asarray(x, "float32"))
            x = x.batch(batch_size or 32)
        if steps_per_epoch is not None:
            x = x.take(steps_per_epoch)
        steps = int(x.cardinality())
        told = keras.callbacks.CallbackList(
            callbacks,
            add_history=True,
            add_progbar=verbose != 0,
            model=self,
            verbose=1 if verbose == "auto" else verbose,
            epochs=1,
            steps=steps if steps >= 0 else steps_per_epoch,
        )
        moments = Moments(joint=True)
        self.stop_training = False
        told.on_train_begin()
        told.on_epoch_begin(0)
        for index, batch in enumerate(x):
            told.on_train_batch_begin(index)
            moments.add(self._training_patches(batch[0] if isinstance(batch, tuple) else batch))
            told.on_train_batch_end(index, {"patches": moments.count})
            if self.stop_training:
                break
        logs = self._take_components(moments)
        told.on_epoch_end(0, logs)
        told.on_train_end(logs)
        return self.history

    def _training_patches(self, clip):
        clip = self.check_clip(clip, min_frames=self.window)
        whole = clip.shape[1] // self.window * self.window
        patches = self.encoder.to_patches(self._windows(clip[:, :whole]))
        return patches.numpy().reshape(-1, self.encoder.values)

    def _take_components(self, moments):
        if moments.count <= self.components:
            raise ValueError(
                f"`x` must hold more patches of 8x8 pixels and {self.window} frames than there "
                f"are components={self.components}. Received: {moments.count} patches"
            )
        variances, directions = np.linalg.eigh(moments.scatter / (moments.count - 1))
        variances, directions = variances[::-1].clip(min=0), directions[:, ::-1]
        kept = directions[:, : self.components]
        # The sign of a direction is nobody's: its largest entry is made positive.
        kept = kept * np.sign(kept[np.abs(kept).argmax(axis=0), np.arange(self.components)])
        self.encoder.mean.assign(moments.mean)
        self.encoder.components.assign(kept)
        self.encoder.explained_variance.assign(variances[: self.components])
        self.encoder.noise_variance.assign(variances[self.components :].mean())
        left_out = variances[self.components :].sum()
        share = (moments.count - 1) / moments.count
        return {
            "loss": float(left_out * share / self.encoder.values),
            "explained_variance_ratio": float(1 - left_out / max(variances.sum(), 1e-300)),
        }

    def get_config(self):
        return {
            **super().get_config(),
            "window": self.window,
            "components": self.components,
            "score_branch": self.score_branch,
            "score_horizon": self.score_horizon,
        }
