"""The composite model of Srivastava et al. 2015 (https://arxiv.org/abs/1502.04681).

One encoder takes in the context; from its final state one decoder draws the context again, last
frame first, and another the future. What is drawn needs both the look of things and their motion,
and neither decoder can do with what is easy for it alone.

What differs: the states are convolutional, over patches, as in `convlstm_predictor`; a conditional
decoder is shown its own last frame in training too, where the authors' code shows the true one,
so that what is trained is what predicts; and the paper's two losses, cross-entropy for digits and
squared error for natural video, go with `residual`. As in the paper the encoder takes in a context
of fixed length: at every frame of a video it starts anew from the last `context_frames`, since a
state older than those it was trained with predicts far worse (four times the squared error on
UCSD Ped2 after forty frames).
"""

import math

import keras
import tensorflow as tf

from zoo.layers import fold_time, unfold_time
from zoo.layers.patch_decoder import GENERATED
from zoo.models.patch_predictor import PatchPredictor
from zoo.models.windowed_predictor import WindowedPredictor

DECODERS = ("reconstruction", "prediction")
SCORING = ("score", "score_map", "step")


@keras.saving.register_keras_serializable(package="zoo")
class CompositeLSTM(PatchPredictor, WindowedPredictor):
    """One encoder, one decoder into the past and one into the future.

    Args:
        decoders: Which there are, of `"reconstruction"` and `"prediction"`. Without the one the
            model does not answer `reconstruct`, without the other it neither predicts nor scores.
        conditional: Which of them are shown, at each step, the frame that they gave at the step
            before, and zeros at the first. The others are shown nothing.
        context_frames: Frames of a video from which the next are predicted: those of the context
            in training, or nearly.
        **kwargs: Arguments of `PatchPredictor`, `FuturePredictor`, `ErrorScorer` and `VideoModel`.
            `residual` is about the prediction alone: the past is drawn as it is, since the state
            is to hold all of it.

    Call arguments:
        context: float32 `(batch, time, height, width, channels)` in [0, 1], at least 2 frames;
            height and width multiples of 8.

    Returns:
        Dict of float32 tensors, one for each decoder: `reconstruction`, of the shape of `context`
        and in its order, and `prediction`, `(batch, horizons, height, width, channels)`, the
        frames after it.

    Raises:
        ValueError: If an argument or a clip breaks a rule; the message names it.

    Example:

    >>> model = CompositeLSTM(filters=(8, 8), horizons=3, score_horizon=2)
    >>> out = model(tf.zeros((1, 6, 16, 24, 1)))
    >>> out["reconstruction"].shape, out["prediction"].shape
    (TensorShape([1, 6, 16, 24, 1]), TensorShape([1, 3, 16, 24, 1]))

    Reference:
        Srivastava, Mansimov and Salakhutdinov, "Unsupervised Learning of Video Representations
        using LSTMs", 2015, https://arxiv.org/abs/1502.04681
    """

    verbs = ("encode", "features", "reconstruct", "rollout", "score", "score_map", "step")
    task = "reconstruct_and_predict"

    def __init__(
        self, decoders=DECODERS, conditional=("prediction",), context_frames=8, **kwargs
    ):
        super().__init__(context_frames=context_frames, **kwargs)
        for name, chosen in (("decoders", decoders), ("conditional", conditional)):
            if not set(chosen) <= set(DECODERS):
                raise ValueError(
                    f"`{name}` must hold names of {DECODERS}. Received: {name}={chosen}"
                )
        if not decoders:
            raise ValueError("`decoders` must name at least one decoder. Received: decoders=()")
        self.decoders = tuple(name for name in DECODERS if name in decoders)
        self.conditional = tuple(conditional)
        if "reconstruction" in self.decoders:
            self.reconstructor, self.to_past = self._decoder_layers("remember", "to_past")
        if "prediction" in self.decoders:
            self.forecaster, self.to_future = self._decoder_layers("forecast", "to_future")
        self.prediction_metric = keras.metrics.Mean(name="prediction")
        lost = {"reconstruction": ("reconstruct",), "prediction": ("rollout", *SCORING)}
        for name in set(DECODERS) - set(self.decoders):
            self.verbs = tuple(verb for verb in self.verbs if verb not in lost[name])
        self.monitor = self.decoders[-1]

    @property
    def metrics(self):
        # Not the 0 of a decoder that is left out, nor what Keras reports of each part as well.
        hidden = {*DECODERS, "reconstruction_loss", "prediction_loss"} - set(self.decoders)
        return [metric for metric in super().metrics if metric.name not in hidden]

    def build(self, input_shape=None):
        self.encoder.build()
        for name in self.decoders:
            self._build_decoder(
                *self._layers_of(name), name in self.conditional, self._draws_change(name)
            )
        self.built = True

    def call(self, context, training=False):
        context = self.check_clip(context)
        maps, _ = self.encoder.observe(context, self.encoder.nothing_seen(context))
        final = {name: value[:, -1:] for name, value in maps.items()}
        out = {}
        if "reconstruction" in self.decoders:
            steps = context.shape[1] or tf.shape(context)[1]
            past = self._draw("reconstruction", final, steps)
            out["reconstruction"] = tf.reverse(past, axis=[1])
        if "prediction" in self.decoders:
            out["prediction"] = self._draw("prediction", final, self.horizons)
        return out

    def _after_window(self, window):
        """What the encoder gives after the last of `context_frames` frames: maps of one frame."""
        state = self.encoder.nothing_seen(window)
        # Laid out frame by frame: a card cannot count the operations of a loop, and the maps of the
        # frames before are not kept.
        for index in range(self.context_frames):
            maps, state = self.encoder.observe(window[:, index : index + 1], state)
        return maps

    def code_size(self, time, height, width):
        """The state after the last frame, however many there were."""
        shapes = self.encoder.state_shapes(height, width).values()
        return sum(math.prod(shape) for shape in shapes)

    def _reconstruct(self, clip):
        return self(clip)["reconstruction"]

    def _predict(self, maps, frames, seed=None):
        count = frames.shape[1] or tf.shape(frames)[1]
        final = self._after_window(fold_time(maps["window"]))
        return unfold_time(self._draw("prediction", final, self.horizons), count)

    def _draw(self, decoder, maps, steps):
        shown = GENERATED if decoder in self.conditional else None
        is_change = self._draws_change(decoder)
        return self._decode(*self._layers_of(decoder), maps, steps, shown, is_change)

    def _draws_change(self, decoder):
        return self.residual and decoder == "prediction"

    def _layers_of(self, decoder):
        if decoder == "prediction":
            return self.forecaster, self.to_future
        return self.reconstructor, self.to_past

    def get_config(self):
        return {
            **super().get_config(),
            "decoders": self.decoders,
            "conditional": self.conditional,
        }
