"""A small Keras head that looks at some places of the grid of local descriptors more than others.

Two glances at each moment, each a weighted mean over space (attention pooling, Ilse, Tomczak and
Welling 2018, https://arxiv.org/abs/1802.04712): before training the one is at the upper half of
what moves, the other at the lower, about its centre, as in `zoo.layers.motion_statistics`. Weights
are by how much the descriptors of a place change, where it lies and what is there. What the
glances see is pooled over time into means, variation and change, and a linear layer decides.

What few labels can teach is the linear layer: it is fitted as a logistic regression, its penalty
chosen inside the labelled data. The weights of the glances are trained where the encoder is,
`fine_tune`, under the same penalty.
"""

import keras
import numpy as np
import tensorflow as tf

from data_pipelines import transforms
from zoo.evaluation.probes import LinearProbe, decide
from zoo.layers.pooling import below_centre

GLANCES = 2
STATISTICS = 3
BATCH = 16
LEARNING_RATE = 1e-4


class AttentionHead(keras.Model):
    """Grids of local descriptors to log-probabilities of classes.

    Args:
        depth: int, channels of a descriptor.
        classes: list of str.

    Call arguments:
        grid: float32 tensor (batch, time, height, width, depth), any time and size.

    Returns:
        float32 tensor (batch, classes), log-probabilities.

    Example:

    >>> head = AttentionHead(depth=8, classes=["run", "walk"])
    >>> head(tf.random.normal((3, 6, 4, 4, 8))).shape
    TensorShape([3, 2])
    """

    def __init__(self, depth, classes):
        super().__init__(name="attention_head")
        # Not tracked by Keras, which would wrap the list.
        self._classes, self.depth = tuple(classes), depth
        # Of the squared weights, beside the mean over windows of what is minimised.
        self.penalty = 0.0
        pooled = GLANCES * STATISTICS * depth

        def fixed(name, size, value=0.0):
            return self.add_weight(
                shape=(size,), initializer=keras.initializers.Constant(value), trainable=False,
                name=name,
            )  # fmt: skip

        def learnt(name, value):
            value = np.asarray(value, np.float32)
            return self.add_weight(
                shape=value.shape, initializer=lambda shape, dtype: tf.cast(value, dtype),
                name=name,
            )  # fmt: skip

        self.mean, self.scale = fixed("mean", depth), fixed("scale", depth, 1.0)
        self.pooled_mean = fixed("pooled_mean", pooled)
        self.pooled_scale = fixed("pooled_scale", pooled, 1.0)
        # By how much each glance goes by change, by being above and below the centre, by content.
        self.by_change = learnt("by_change", np.ones(GLANCES))
        self.by_place = learnt("by_place", np.eye(2, GLANCES))
        self.by_content = learnt("by_content", np.zeros((2 * depth, GLANCES)))
        self.kernel = learnt("kernel", np.zeros((pooled, len(self._classes))))
        self.bias = learnt("bias", np.zeros(len(self._classes)))
        self.built = True

    @property
    def classes(self):
        """List of str, in the order of the columns."""
        return list(self._classes)

    def pool(self, grid):
        """What the glances see: float32 `(batch, 6 * depth)`."""
        grid = (tf.cast(grid, tf.float32) - self.mean) / self.scale
        # A single moment is compared with itself.
        count = tf.maximum(tf.shape(grid)[1] - 1, 1)
        now = grid[:, -count:]
        change = tf.abs(now - grid[:, :count])
        seen = tf.concat([now, change], axis=-1)
        motion = tf.reduce_mean(change, axis=-1) + 1e-6
        below = below_centre(motion)[..., None]
        halves = tf.math.log_sigmoid(tf.concat([-below, below], axis=-1))
        logits = (
            tf.math.log(motion)[..., None] * self.by_change
            + tf.einsum("bthwp,pg->bthwg", halves, self.by_place)
            + tf.einsum("bthwd,dg->bthwg", seen, self.by_content)
        )
        shape = tf.shape(logits)
        places = shape[2] * shape[3]
        weights = tf.nn.softmax(tf.reshape(logits, (shape[0], shape[1], places, GLANCES)), axis=2)
        seen = tf.reshape(seen, (shape[0], shape[1], places, 2 * self.depth))
        glances = tf.einsum("btpg,btpd->btgd", weights, seen)
        looks, changes = tf.split(glances, 2, axis=-1)
        variation = tf.sqrt(tf.math.reduce_variance(looks, axis=1) + 1e-12)
        found = [tf.reduce_mean(looks, axis=1), variation, tf.reduce_mean(changes, axis=1)]
        return tf.reshape(tf.concat(found, axis=-1), (shape[0], GLANCES * STATISTICS * self.depth))

    def call(self, grid):
        pooled = (self.pool(grid) - self.pooled_mean) / self.pooled_scale
        return tf.nn.log_softmax(pooled @ self.kernel + self.bias)

    def log_probabilities(self, grids):
        """Gives the log-probability of each class for each window.

        Args:
            grids: object array (windows,) of arrays (time, height, width, depth).

        Returns:
            float64 array (windows, classes).

        Example:

        ```python
        np.exp(head.log_probabilities(grids)).sum(axis=1)  # ones
        ```
        """
        return _in_batches(self, grids).astype(np.float64)

    def predict(self, grids, clips=None):
        """Decides on a class for each clip by the mean log-probability of its windows.

        Args and Returns: As for `LinearProbe.predict`, of grids.
        """
        return decide(self.log_probabilities(grids), clips, self.classes)


def fit(grids, labels, groups, clips=None):
    """Fits the linear layer of an `AttentionHead`.

    Args:
        grids: object array (windows,) of arrays (time, height, width, depth); their sizes may
            differ.
        labels: str array (windows,).
        groups: str array (windows,): the person, or the source video.
        clips: int array (windows,): which clip a window is of. Default: one window each.

    Returns:
        An `AttentionHead`.

    Raises:
        ValueError: If there is one class only, or a descriptor is not finite.

    Example:

    ```python
    head = fit(grids, labels, groups, clips)
    ```
    """
    labels = np.asarray(labels)
    head = AttentionHead(grids[0].shape[-1], sorted(set(labels.tolist())))
    mean, scale = _moments(grids)
    head.mean.assign(mean)
    head.scale.assign(scale)
    probe = LinearProbe.fit(_in_batches(head.pool, grids), labels, groups, clips)
    head.pooled_mean.assign(probe.mean)
    head.pooled_scale.assign(probe.scale)
    head.kernel.assign(probe.coefficients.T)
    head.bias.assign(probe.intercepts)
    # The penalty of the regression, for a mean over windows in place of its sum.
    head.penalty = 0.5 / (probe.strength * len(labels))
    return head


def fine_tune(head, model, clips, labels, steps, seed=0):
    """Trains a head and the encoder below it together, both changed in place.

    Args:
        head: `AttentionHead`, fitted on what the encoder says of the clips.
        model: Model of the zoo; its `encoder` is what is trained.
        clips: object array (windows,) of uint8 arrays (time, height, width, channels).
        labels: str array (windows,).
        steps: int, of at most 16 windows each.
        seed: int, of the order of the windows.

    Raises:
        ValueError: If the model has no `encoder` that can be trained.

    Example:

    ```python
    fine_tune(head, zoo.load("runs/mine"), clips, labels, steps=200)
    ```
    """
    encoder = getattr(model, "encoder", None)
    if encoder is None or not encoder.trainable_variables:
        raise ValueError(f"`fine_tune` must be 0 for {type(model).__name__}: nothing to train")
    targets = np.array([head.classes.index(name) for name in labels])
    variables = [*head.trainable_variables, *encoder.trainable_variables]
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    optimizer.build(variables)

    @tf.function(reduce_retracing=True, autograph=False, jit_compile=False)
    def step(clip, target):
        with tf.GradientTape() as tape:
            found = head(encoder(transforms.to_float(clip)))
            chosen = tf.gather(found, target, batch_dims=1)
            size = tf.reduce_sum(tf.square(head.kernel)) + tf.reduce_sum(tf.square(head.by_content))
            loss = head.penalty * size - tf.reduce_mean(chosen)
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables))

    rng = np.random.default_rng(seed)
    done = 0
    while done < steps:
        for chosen in same_shapes(clips, rng.permutation(len(clips)))[: steps - done]:
            step(tf.constant(np.stack(clips[chosen])), tf.constant(targets[chosen]))
            done += 1


def same_shapes(grids, order, batch=BATCH):
    """Cuts windows into batches of one shape each.

    Args:
        grids: object array (windows,) of arrays.
        order: int array, numbers of windows.
        batch: int, the most in one.

    Returns:
        List of int arrays, whose numbers are those of `order`; within a shape their order too.

    Example:

    ```python
    same_shapes(np.array([np.zeros(2), np.zeros(3)], object), np.array([1, 0]))  # two batches
    ```
    """
    shapes = {}
    for number in order:
        shapes.setdefault(grids[number].shape, []).append(number)
    return [
        np.array(numbers[start : start + batch])
        for numbers in shapes.values()
        for start in range(0, len(numbers), batch)
    ]


def _in_batches(function, grids):
    """One row for each grid: float32 array (windows, n)."""
    found = [None] * len(grids)
    for chosen in same_shapes(grids, np.arange(len(grids))):
        rows = function(tf.constant(np.stack(grids[chosen])))
        for number, row in zip(chosen, np.asarray(rows)):
            found[number] = row
    return np.stack(found)


def _moments(grids):
    """Mean and standard deviation of each channel over all windows."""
    count = total = squares = 0
    for grid in grids:
        rows = grid.reshape(-1, grid.shape[-1]).astype(np.float64)
        count, total = count + len(rows), total + rows.sum(axis=0)
        squares = squares + np.square(rows).sum(axis=0)
    mean = total / count
    scale = np.sqrt(np.maximum(squares / count - np.square(mean), 0))
    return mean, np.where(scale > 1e-6, scale, 1.0)
