import numpy as np
import pytest
import tensorflow as tf

from exports import attention_head
from zoo.layers import motion_statistics

DEPTH = 4


def grids_of(labels, seed=0, size=(5, 4)):
    """Descriptors that flicker above the middle for `up`, below it for `down`."""
    rng = np.random.default_rng(seed)
    found = np.empty(len(labels), object)
    for number, label in enumerate(labels):
        grid = 0.1 * rng.normal(size=(6, *size, DEPTH))
        column = rng.integers(size[1])
        # Something that moves in both halves; what it is differs between them.
        grid[::2, 0, column, 0 if label == "up" else 1] += 3
        grid[::2, -1, column, 1 if label == "up" else 0] += 3
        found[number] = grid.astype(np.float32)
    return found


@pytest.fixture
def labelled():
    labels = np.array(["up", "down"] * 8)
    return grids_of(labels), labels, np.repeat(list("abcd"), 4), np.arange(16)


def test_before_training_it_looks_where_motion_statistics_do():
    rng = np.random.default_rng(0)
    clip = rng.uniform(size=(2, 6, 5, 4, 1)).astype(np.float32)
    # Pixels as descriptors: what changes is the same to both.
    head = attention_head.AttentionHead(1, ["a", "b"])
    assert np.allclose(head.pool(clip), motion_statistics(clip, clip), atol=1e-4)


def test_halves_are_told_apart_that_a_mean_over_space_is_not_able_to(labelled):
    head = attention_head.fit(*labelled)
    assert head.classes == ["down", "up"]
    new = np.array(["down", "up", "up"])
    # Of another size than those it was fitted on, and of two sizes at once.
    asked = np.concatenate([grids_of(new, seed=1, size=(7, 6)), grids_of(new, seed=2)])
    assert head.predict(asked).tolist() == [*new, *new]
    assert head.predict(asked, [0, 0, 1, 1, 0, 1]).shape == (2,)
    sure = np.exp(head.log_probabilities(asked))
    assert sure.shape == (6, 2) and np.allclose(sure.sum(axis=1), 1)
    means = np.stack([grid.mean(axis=(0, 1, 2)) for grid in labelled[0]])
    gap = np.abs(means[::2].mean(axis=0) - means[1::2].mean(axis=0))
    assert gap.max() < 0.1


def test_a_single_moment_has_no_change(labelled):
    head = attention_head.fit(*labelled)
    found = head.pool(tf.random.normal((2, 1, 5, 4, DEPTH))).numpy().reshape(2, 2, 3, DEPTH)
    assert np.abs(found[:, :, 1:]).max() < 1e-5 and np.abs(found[:, :, 0]).max() > 0.1


def test_a_channel_that_never_changes_is_no_fault(labelled):
    grids, *others = labelled
    for grid in grids:
        grid[..., 3] = 7.0
    assert np.isfinite(attention_head.fit(grids, *others).log_probabilities(grids)).all()


def test_encoder_and_head_are_trained_together_and_the_loss_falls(shaken_model):
    model = shaken_model("foresight/ucsd_ped2")
    rng = np.random.default_rng(0)
    clips, grids = np.empty(8, object), np.empty(8, object)
    for number in range(8):
        clips[number] = rng.integers(0, 256, (4, 16, 24, 1), np.uint8)
        grids[number] = model.features(clips[number][None].astype(np.float32) / 255)[0].numpy()
    labels, groups = np.array(list("ab") * 4), np.repeat(list("wxyz"), 2)
    head = attention_head.fit(grids, labels, groups)
    weights = model.get_weights()
    before = [variable.numpy() for variable in (*model.encoder.variables, *head.variables)]

    def loss():
        rows = [head(model.features(clip[None].astype(np.float32) / 255)) for clip in clips]
        truth = [head.classes.index(name) for name in labels]
        return -np.mean([row[0, column] for row, column in zip(rows, truth)])

    first = loss()
    try:
        attention_head.fine_tune(head, model, clips, labels, steps=5)
        assert loss() < first
        after = [variable.numpy() for variable in (*model.encoder.variables, *head.variables)]
        # The encoder's, and of the head both the glances and the linear layer.
        assert sum(not np.array_equal(*pair) for pair in zip(before, after)) > 8
        assert np.abs(head.by_content.numpy()).max() > 0
    finally:
        model.set_weights(weights)


def test_a_model_without_an_encoder_is_not_fine_tuned():
    with pytest.raises(ValueError, match="`fine_tune` must be 0 for object: nothing to train"):
        attention_head.fine_tune(None, object(), [], [], steps=1)


def test_batches_are_of_one_shape():
    items = np.empty(5, object)
    items[:] = [np.zeros(n) for n in (2, 3, 2, 2, 3)]
    parts = attention_head.same_shapes(items, np.array([4, 0, 3, 1, 2]), batch=2)
    assert [part.tolist() for part in parts] == [[4, 1], [0, 3], [2]]
