import numpy as np
import pytest
import tensorflow as tf

from exports import heads
from exports.attention_head import AttentionHead


@pytest.fixture
def labelled():
    rng = np.random.default_rng(0)
    labels = np.array(list("abc") * 8)
    rows = rng.normal(size=(24, 6)) + 2 * np.eye(3, 6)[np.arange(24) % 3]
    return rows.astype(np.float32), labels, np.repeat(["ann", "bob", "cy", "dan"], 6), np.arange(24)


@pytest.mark.parametrize("head", ["logistic", "neighbours"])
def test_the_graph_says_what_scikit_learn_does(labelled, head):
    fitted = heads.fitter(head)(*labelled)
    asked = np.random.default_rng(1).normal(size=(30, 6)).astype(np.float32)
    # Also rows that it was fitted on, at a distance of nothing.
    asked = np.concatenate([asked, labelled[0][:3]])
    graph = heads.as_graph(fitted)
    found = tf.function(graph)(tf.constant(asked)).numpy()
    assert np.allclose(np.exp(found), np.exp(fitted.log_probabilities(asked)), atol=2e-4)
    assert np.allclose(np.exp(found).sum(axis=1), 1, atol=1e-5)
    assert graph.variables and not graph.trainable_variables


def test_the_attention_head_is_a_graph_itself(labelled):
    grids = np.empty(24, object)
    for number, row in enumerate(labelled[0]):
        grids[number] = np.tile(row, (3, 2, 2, 1))
    fitted = heads.fitter("attention")(grids, *labelled[1:])
    assert isinstance(fitted, AttentionHead) and heads.as_graph(fitted) is fitted


def test_a_head_taught_mirrored_learns_from_both_and_decides_by_the_first(labelled):
    rows, *about = labelled
    images = rows[:, ::-1].copy()
    taught = heads.taught_mirrored(heads.fitter("logistic"))(np.stack([rows, images], 1), *about)
    both = heads.fitter("logistic")(
        np.concatenate([rows, images]), *(np.concatenate([given, given]) for given in about)
    )
    np.testing.assert_array_equal(taught.head.coefficients, both.coefficients)
    asked = np.stack([rows, np.full_like(rows, np.nan)], 1)
    np.testing.assert_array_equal(taught.log_probabilities(asked), both.log_probabilities(rows))
    assert taught.predict(asked, about[2]).tolist() == both.predict(rows, about[2]).tolist()
    assert taught.classes == both.classes == ["a", "b", "c"]


def test_grids_are_taught_mirrored_too(labelled):
    rows, *about = labelled
    pairs = np.empty(24, object)
    for number, row in enumerate(rows):
        pairs[number] = np.stack([np.tile(row, (3, 2, 2, 1)), np.tile(row[::-1], (3, 2, 2, 1))])
    head = heads.taught_mirrored(heads.fitter("attention"))(pairs, *about)
    grids = np.stack([pair[0] for pair in pairs])
    np.testing.assert_allclose(head.log_probabilities(pairs), head.head(grids), atol=1e-4)


def test_a_head_that_is_unknown_is_named():
    with pytest.raises(ValueError, match="`head` must be one of logistic, .* Received: forest"):
        heads.fitter("forest")
