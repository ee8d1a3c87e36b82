"""What models share whose generator is trained against discriminators: two optimisers, one `fit`.

After Goodfellow et al. 2014 (https://arxiv.org/abs/1406.2661). Both sides take one step on each
batch, from the weights that they had before it.
"""

import typing

import keras
import tensorflow as tf

from zoo.layers import follow
from zoo.losses import ADVERSARIAL_LOSSES, discriminator_loss, generator_loss, gradient_penalty
from zoo.models.base import VideoModel


class Drawn(typing.NamedTuple):
    """What a generator made of a batch.

    Attributes:
        targets: What `predictions` are compared with by the compiled loss.
        predictions: float32 tensor.
        real: What the discriminator is shown of the batch: a tensor or a nest of such, batch
            first.
        fake: The same of what was drawn.
        extra: Scalar added to the generator's loss.
    """

    targets: typing.Any
    predictions: typing.Any
    real: typing.Any
    fake: typing.Any
    extra: typing.Any = 0.0


class AdversarialModel(VideoModel):
    """A model whose generator is trained against discriminators.

    `fit`, `evaluate`, callbacks, mixed precision and saving are those of Keras; `compile` takes a
    second optimiser. Reported are `loss` (what the generator minimises), `reconstruction` (its
    part from the compiled loss), `generator` (its adversarial part before the weight),
    `discriminator`, and with `r1_weight` the `gradient_penalty`. In evaluation `loss` is
    `reconstruction` alone: verdicts of a discriminator that changes cannot be compared. Clips are
    not weighted: `sample_weight` and `class_weight` are refused.

    A subclass makes its parts by `_adopt`, which `build` here builds, and defines `_draw`.

    Args:
        adversarial_weight: Weight of the adversarial loss, not negative; with 0 there is no
            discriminator.
        adversarial_loss: `"non_saturating"` (binary cross-entropy) or `"hinge"`.
        spectral_norm: Whether the kernels of the discriminator are kept at spectral norm one
            (Miyato et al. 2018).
        r1_weight: Weight of the R1 penalty (Mescheder et al. 2018); with 0 it is not computed.
        average_decay: Of the moving average of the generator's weights, from 0 (none) to below
            1. Where there is one, everything but training uses it.
        **kwargs: Arguments of `VideoModel`.

    Attributes:
        generator: `keras.Model` that is trained.
        average: Its moving average, or `None`.
        discriminator: `keras.Model` from what `Drawn` holds to a list of verdicts, each
            `(batch,)` or `(batch, n)`, or to a nest in which `_verdicts` finds it; or `None`.
    """

    def __init__(
        self,
        adversarial_weight=0.05,
        adversarial_loss="non_saturating",
        spectral_norm=True,
        r1_weight=0.0,
        average_decay=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value in (("adversarial_weight", adversarial_weight), ("r1_weight", r1_weight)):
            if value < 0:
                raise ValueError(f"`{name}` must not be negative. Received: {name}={value}")
        if adversarial_loss not in ADVERSARIAL_LOSSES:
            raise ValueError(
                f"`adversarial_loss` must be one of {', '.join(ADVERSARIAL_LOSSES)}. "
                f"Received: adversarial_loss={adversarial_loss}"
            )
        if not 0 <= average_decay < 1:
            raise ValueError(
                "`average_decay` must be from 0 to below 1. "
                f"Received: average_decay={average_decay}"
            )
        self.adversarial_weight = adversarial_weight
        self.adversarial_loss = adversarial_loss
        self.spectral_norm = spectral_norm
        self.r1_weight = r1_weight
        self.average_decay = average_decay
        self.discriminator_optimizer = None
        if adversarial_weight:
            self.generator_metric = keras.metrics.Mean(name="generator")
            self.discriminator_metric = keras.metrics.Mean(name="discriminator")
            if r1_weight:
                self.penalty_metric = keras.metrics.Mean(name="gradient_penalty")

    def _adopt(self, make_generator, make_discriminator):
        """Makes the parts by functions of a name: the discriminator only where it has weight."""
        self.generator = make_generator("generator")
        self.average = self.discriminator = None
        if self.average_decay:
            self.average = make_generator("average")
            self.average.trainable = False
        if self.adversarial_weight:
            self.discriminator = make_discriminator("discriminator")

    def build(self, input_shape=None):
        self.generator.build()
        if self.average is not None:
            self.average.build()
            self.average.set_weights(self.generator.get_weights())
        if self.discriminator is not None:
            self.discriminator.build()
        self.built = True

    # What a subclass defines.

    def _draw(self, x, y, training):
        """A batch of the stream -> `Drawn`."""
        raise NotImplementedError

    def _verdicts(self, judged):
        """The list of verdicts in what the discriminator gives."""
        return judged

    def _beside_verdicts(self, judged, videos, x, is_drawn):
        """Scalar added to the loss of a side, of what it is told beside the verdicts.

        `judged` is what the discriminator says of `videos`: of the drawn ones the scalar is added
        to the generator's loss, of the real ones to the discriminator's.
        """
        return 0.0

    # Keras' configuration, with a second optimiser.

    def compile(self, optimizer="adam", discriminator_optimizer=None, **kwargs):
        """Keras' `compile` with a second optimiser.

        Args:
            optimizer: Of the generator; a Keras optimiser or its name.
            discriminator_optimizer: The same for the discriminator; `None` takes one with the
                settings of `optimizer`.
            **kwargs: As for `keras.Model.compile`.
        """
        optimizer = keras.optimizers.get(optimizer)
        super().compile(optimizer, **kwargs)
        self.ensure_built()
        # Keras would build it on first use, and for the discriminator's weights too.
        self.optimizer.build(self.generator.trainable_variables)
        if self.discriminator is None:
            return
        if discriminator_optimizer is None:
            discriminator_optimizer = type(optimizer).from_config(optimizer.get_config())
        other = keras.optimizers.get(discriminator_optimizer)
        # As Keras has done with the first: half precision needs its gradients scaled.
        scaled = keras.optimizers.LossScaleOptimizer
        if isinstance(self.optimizer, scaled) and not isinstance(other, scaled):
            other = scaled(other, name="loss_scale_discriminator_optimizer")
        other.build(self.discriminator.trainable_variables)
        self.discriminator_optimizer = other

    def get_compile_config(self):
        config = super().get_compile_config()
        if config and self.discriminator_optimizer is not None:
            other = keras.saving.serialize_keras_object(self.discriminator_optimizer)
            config["discriminator_optimizer"] = other
        return config

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def optimized_variables(self):
        """Dict from the attribute that holds an optimiser to the weights that it trains."""
        found = {"optimizer": self.generator.trainable_variables}
        if self.discriminator is not None:
            found["discriminator_optimizer"] = self.discriminator.trainable_variables
        return found

    # The step.

    def objectives(self, x, y):
        """What each optimiser minimises on a batch, by the attribute that holds it.

        Args:
            x, y: A batch of the training stream.

        Returns:
            `(losses, drawn)`: a dict with the keys of `optimized_variables` to float32 scalars,
            divided by the number of replicas, whose gradients are summed; and the `Drawn`.
        """
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        drawn = self._draw(x, y, training=True)
        loss = self.compute_loss(x, drawn.targets, drawn.predictions, training=True)
        loss = loss + drawn.extra / replicas
        losses = {"optimizer": loss}
        if self.discriminator is not None:
            losses["optimizer"] += self._generator_loss(drawn, x) / replicas
            discriminator = self._discriminator_loss(drawn, x, training=True)
            if self.r1_weight:
                penalty = gradient_penalty(
                    lambda videos: self._verdicts(self.discriminator(videos, training=False)),
                    drawn.real,
                )
                self._note(self.penalty_metric, penalty, x)
                discriminator = discriminator + self.r1_weight * penalty
            losses["discriminator_optimizer"] = discriminator / replicas
        return losses, drawn

    def _generator_loss(self, drawn, x):
        """What the generator is told by the discriminator, weighed."""
        judged = self.discriminator(drawn.fake, training=False)
        loss = _summed(generator_loss, self._verdicts(judged), kind=self.adversarial_loss)
        self._note(self.generator_metric, loss, x)
        return self.adversarial_weight * loss + self._beside_verdicts(judged, drawn.fake, x, True)

    def _discriminator_loss(self, drawn, x, training):
        """Judges real and drawn videos in one pass, so that both see the same kernels."""
        fake = tf.nest.map_structure(tf.stop_gradient, drawn.fake)
        both = tf.nest.map_structure(lambda *pair: tf.concat(pair, axis=0), drawn.real, fake)
        judged = self.discriminator(both, training=training)
        count = tf.shape(tf.nest.flatten(fake)[0])[0]
        of_real = tf.nest.map_structure(lambda part: part[:count], judged)
        of_fake = tf.nest.map_structure(lambda part: part[count:], judged)
        verdicts = (self._verdicts(half) for half in (of_real, of_fake))
        loss = _summed(discriminator_loss, *verdicts, kind=self.adversarial_loss)
        self._note(self.discriminator_metric, loss, x)
        return loss + self._beside_verdicts(of_real, drawn.real, x, False)

    def train_step(self, data):
        x, y = _unweighted(data)
        variables = self.optimized_variables
        with tf.GradientTape(persistent=True) as tape:
            losses, drawn = self.objectives(x, y)
            scaled = {name: getattr(self, name).scale_loss(loss) for name, loss in losses.items()}
        # All before the first step is taken: they are gradients at the same weights.
        gradients = {name: tape.gradient(loss, variables[name]) for name, loss in scaled.items()}
        for name, values in gradients.items():
            getattr(self, name).apply(values, variables[name])
        self._update_average()
        return self._report(losses["optimizer"], x, drawn)

    def test_step(self, data):
        x, y = _unweighted(data)
        drawn = self._draw(x, y, training=False)
        loss = self.compute_loss(x, drawn.targets, drawn.predictions, training=False)
        if self.discriminator is not None:
            # What they report; neither loss is that of the evaluation.
            self._generator_loss(drawn, x)
            self._discriminator_loss(drawn, x, training=False)
        return self._report(loss, x, drawn)

    def _report(self, loss, x, drawn):
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        for metric in self.metrics:
            if metric.name == "loss":
                self._note(metric, loss * replicas, x)
        return self.compute_metrics(x, drawn.targets, drawn.predictions)

    def _update_average(self):
        if self.average is None:
            return
        follow(
            self.average.weights,
            self.generator.weights,
            self.average_decay,
            self.optimizer.iterations,
        )

    def _generator_for(self, training):
        """The generator that is trained, or outside training its average where there is one."""
        return self.generator if training or self.average is None else self.average

    def get_config(self):
        return {
            **super().get_config(),
            "adversarial_weight": self.adversarial_weight,
            "adversarial_loss": self.adversarial_loss,
            "spectral_norm": self.spectral_norm,
            "r1_weight": self.r1_weight,
            "average_decay": self.average_decay,
        }


def _summed(loss, *verdicts, kind):
    """Sums a loss over the discriminators, as the papers do."""
    return sum(loss(*each, kind=kind) for each in zip(*verdicts, strict=True))


def _unweighted(data):
    """Inputs and targets of a batch that Keras hands to a step."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        raise ValueError(
            "`sample_weight` and `class_weight` of `fit` must be None: a discriminator judges all "
            "clips of a batch alike, and what is compared with targets is not one prediction a "
            f"clip. Received: weights of the shape {tuple(sample_weight.shape)}"
        )
    return x, y
