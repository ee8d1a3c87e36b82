"""From the states of a `PatchEncoder` to frames: ConvLSTMs that unroll, a convolution that draws.

Functions on layers that the model owns, so that each model keeps its own layout of weights.
"""

import tensorflow as tf

from zoo.layers.conv_lstm import ConvLSTM
from zoo.layers.convolution import build_chain, convolution
from zoo.layers.time_axis import fold_time, unfold_time

GENERATED = "generated"
# Up to so many steps, as all presets forecast, are laid out in the graph: the operations of a loop
# have no known sizes, so that a card could not count them.
FEW_STEPS = 10


def decoder_layers(filters, outputs, cell_name, draw_name, policy):
    """Makes the layers of a decoder.

    Args:
        filters: Channels of each ConvLSTM: those of the encoder, whose states it starts from.
        outputs: Values of a patch.
        cell_name: What the ConvLSTMs are called, before their number.
        draw_name: Name of the convolution that draws the patches.
        policy: Dtype policy.

    Returns:
        `(cells, draw)`: list of `ConvLSTM`, and the 1x1 convolution from the states of all of
        them to patches; not built.
    """
    cells = [
        ConvLSTM(count, name=f"{cell_name}_{index}", dtype=policy)
        for index, count in enumerate(filters)
    ]
    # Small at first, not zero: a zero branch leaves the layers below it without a gradient.
    return cells, convolution(outputs, 1, draw_name, policy, activation=None, stddev=1e-2)


def build_decoder(cells, draw, inputs, start=0.0):
    """Builds the layers of a decoder.

    Args:
        cells, draw: Of `decoder_layers`.
        inputs: Values of what the first cell is shown at each step, 0 for nothing.
        start: What is drawn before training, about.
    """
    build_chain(cells, (None, None, None, None, inputs))
    draw.build((None, None, None, sum(cell.filters for cell in cells)))
    draw.bias.assign(tf.fill(draw.bias.shape, start))


def unroll(cells, draw, states, steps, patch, shown=None, base=None):
    """Unrolls a decoder from the states of an encoder.

    Args:
        cells: List of built `ConvLSTM`, the first first.
        draw: Built layer from the hidden states of all cells to the values of a patch.
        states: List of pairs `(hidden, cell)`, float32 `(batch, height, width, filters)`.
        steps: Frames to draw, an int or a scalar integer tensor.
        patch: Side of a patch in pixels.
        shown: What the first cell is shown at each step: a float32 tensor of patches `(batch,
            height, width, channels)`, the same at every step; `"generated"`, the patches drawn
            at the step before, zeros at first; or `None`, nothing.
        base: float32 patches `(batch, height, width, channels)` that what is drawn is added to;
            `None` puts it through a logistic function instead.

    Returns:
        Frames, float32 `(batch, steps, patch * height, patch * width, channels)`.

    Example:

    >>> cells, draw = decoder_layers((4,), 16, "cell", "draw", "float32")
    >>> build_decoder(cells, draw, inputs=0)
    >>> zeros = tf.zeros((2, 3, 5, 4))
    >>> unroll(cells, draw, [(zeros, zeros)], steps=7, patch=4).shape
    TensorShape([2, 7, 12, 20, 1])
    """

    def layer_by_layer(sequence, states, count):
        hiddens, new_states = [], []
        for cell, state in zip(cells, states, strict=True):
            sequence, state = cell(sequence, state=state)
            hiddens.append(sequence)
            new_states.append(state)
        patches = draw(fold_time(tf.concat(hiddens, axis=-1)))
        patches = tf.cast(unfold_time(patches, count), tf.float32)
        return (tf.sigmoid(patches) if base is None else base[:, None] + patches), new_states

    is_fed_back = isinstance(shown, str) and shown == GENERATED
    if isinstance(steps, int) and steps <= FEW_STEPS:
        start = _zeros(states, draw.filters) if is_fed_back else _shown(shown, states)
        patches = _laid_out(layer_by_layer, states, steps, start, is_fed_back)
    elif is_fed_back:
        patches = _feed_back(layer_by_layer, states, steps, draw.filters)
    else:
        repeated = tf.repeat(_shown(shown, states)[:, None], steps, axis=1)
        patches, _ = layer_by_layer(repeated, states, steps)
    return unfold_time(tf.nn.depth_to_space(fold_time(patches), patch), steps)


def _shown(shown, states):
    """Patches to show at each step, or patches of no channels."""
    return states[0][0][..., :0] if shown is None else shown


def _zeros(states, channels):
    start = states[0][0]
    zeros = tf.zeros(tf.concat([tf.shape(start)[:3], [channels]], axis=0))
    return tf.ensure_shape(zeros, [*start.shape[:3], channels])


def _laid_out(advance, states, steps, shown, is_fed_back):
    """A few steps, each a part of the graph: no loop to run, and each shows in its cost."""
    frames = []
    for _ in range(steps):
        patches, states = advance(shown[:, None], states, 1)
        shown = patches[:, 0] if is_fed_back else shown
        frames.append(patches)
    return tf.concat(frames, axis=1)


def _feed_back(advance, states, steps, outputs):
    """Step by step, as each is shown what the one before has drawn."""
    shown = _zeros(states, outputs)

    def body(index, shown, states, frames):
        patches, states = advance(shown[:, None], states, 1)
        return index + 1, patches[:, 0], states, frames.write(index, patches[:, 0])

    frames = tf.TensorArray(tf.float32, size=steps, element_shape=shown.shape)
    _, _, _, frames = tf.while_loop(
        lambda index, *_: index < steps, body, (0, shown, states, frames)
    )
    static = steps if isinstance(steps, int) else None
    sequence = tf.transpose(frames.stack(), [1, 0, 2, 3, 4])
    return tf.ensure_shape(sequence, [shown.shape[0], static, *shown.shape[1:]])
