import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from zoo.evaluation.probes import LinearProbe, NearestNeighbours, clip_labels, group_folds


def blobs(classes="abc", groups=4, windows_each=3, dim=6, spread=0.6, seed=0):
    """Windows of one clip for each class and group, around a centre of the class."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(len(classes), dim))
    rows, labels, names, clips = [], [], [], []
    for group in range(groups):
        for index, label in enumerate(classes):
            rows.append(centres[index] + spread * draw.normal(size=(windows_each, dim)))
            labels += [label] * windows_each
            names += [f"person{group}"] * windows_each
            clips += [group * len(classes) + index] * windows_each
    return np.concatenate(rows), np.array(labels), np.array(names), np.array(clips)


@pytest.mark.parametrize("classes", ["ab", "abcd"])
@pytest.mark.parametrize("dim", [5, 90])
def test_it_is_scikit_learns_standardised_regression(classes, dim):
    rows, labels, groups, clips = blobs(classes, dim=dim, spread=1.5)
    fitted = LinearProbe.fit(rows, labels, groups, clips, strengths=(0.1,))
    pipeline = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.1, tol=1e-8, max_iter=5000)
    ).fit(rows, labels)
    other = np.random.default_rng(1).normal(size=(20, dim))
    assert fitted.classes == sorted(classes) and fitted.coefficients.shape == (len(classes), dim)
    np.testing.assert_allclose(
        fitted.log_probabilities(other), pipeline.predict_log_proba(other), atol=2e-2
    )
    assert fitted.predict(other).tolist() == pipeline.predict(other).tolist()


def test_a_clip_is_decided_by_the_mean_log_probability_of_its_windows():
    probe = LinearProbe(
        classes=["left", "right"],
        mean=np.zeros(1),
        scale=np.ones(1),
        coefficients=np.array([[-1.0], [1.0]]),
        intercepts=np.zeros(2),
        strength=1.0,
    )
    # Two windows lean a little to the left, one far to the right.
    rows = np.array([[-0.1], [-0.1], [3.0], [-2.0]])
    assert probe.predict(rows, np.array([5, 5, 5, 7])).tolist() == ["right", "left"]
    assert probe.predict(rows).tolist() == ["left", "left", "right", "left"]
    odds = np.exp(probe.log_probabilities(rows))
    np.testing.assert_allclose(odds[:, 1], 1 / (1 + np.exp(-2 * rows[:, 0])))


def test_the_strength_is_chosen_on_groups_that_were_held_out():
    """Numbers that tell the person tempt a weak penalty; held-out people reveal it."""
    rows, labels, groups, clips = blobs("ab", groups=6, dim=4, spread=1.2, seed=3)
    draw = np.random.default_rng(0)
    personal = {key: 5 * draw.normal(size=80) for key in zip(groups.tolist(), labels.tolist())}
    leak = np.array([personal[key] for key in zip(groups.tolist(), labels.tolist())])
    chosen = LinearProbe.fit(np.hstack([rows, leak]), labels, groups, clips).strength
    accuracy = {}
    for strength in (0.003, 0.03, 0.3):
        right = 0
        for train, test in group_folds(labels, groups, most=3):
            fitted = LinearProbe.fit(
                np.hstack([rows, leak])[train], labels[train], groups[train], strengths=(strength,)
            )
            truth = clip_labels(labels[test], clips[test])
            right += (fitted.predict(np.hstack([rows, leak])[test], clips[test]) == truth).sum()
        accuracy[strength] = right
    assert accuracy[chosen] == max(accuracy.values())


def test_one_group_leaves_the_middle_strength():
    rows, labels, groups, clips = blobs(groups=1)
    assert LinearProbe.fit(rows, labels, groups, clips, strengths=(0.1, 1.0, 10.0)).strength == 1.0


def test_what_cannot_be_fitted_is_named():
    rows, labels, groups, clips = blobs()
    with pytest.raises(ValueError, match="`labels` must name at least 2 classes"):
        LinearProbe.fit(rows, np.full(len(rows), "a"), groups, clips)
    with pytest.raises(ValueError, match="`embeddings` must be finite"):
        LinearProbe.fit(np.full_like(rows, np.nan), labels, groups, clips)
    fitted = LinearProbe.fit(rows, labels, groups, clips)
    with pytest.raises(ValueError, match=r"must be \(windows, 6\). Received: \(36, 5\)"):
        fitted.predict(rows[:, :5])


@pytest.mark.parametrize(("groups", "folds"), [(5, 5), (40, 12)])
def test_no_group_is_on_both_sides_of_a_fold(groups, folds):
    _, labels, names, _ = blobs(groups=groups)
    split = group_folds(labels, names)
    assert len(split) == folds
    for train, test in split:
        assert not set(names[train]) & set(names[test])
        assert sorted([*train, *test]) == list(range(len(labels)))
    assert sorted(np.concatenate([test for _, test in split])) == list(range(len(labels)))


def test_a_class_of_one_group_has_no_folds():
    labels, groups = np.array(list("aabbb")), np.array(list("xyxxx"))
    assert group_folds(labels, groups) == []


def test_the_nearest_rows_vote_by_their_angle():
    rows = np.array([[1.0, 0.1], [1.0, -0.1], [-1.0, 3.0], [-1.0, 2.9], [-1.0, -6.0]])
    probe = NearestNeighbours.fit(rows, np.array(list("aabbb")))
    # Two neighbours at most, since one class has only two rows. Length does not count.
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    unseen = mean + scale * np.array([[9.0, 0.3], [-0.1, 0.2], [-1.0, -5.0]])
    assert probe.predict(unseen).tolist() == ["a", "b", "b"]
    assert probe.neighbours.n_neighbors == 2
    # One decision for each clip, by the mean vote: a far window is outvoted by two near ones.
    windows = np.concatenate([unseen[:1], unseen[:1], unseen[2:]])
    assert probe.predict(windows, np.array([7, 7, 7])).tolist() == ["a"]


def test_neighbours_are_those_of_scikit_learn_on_standardised_rows():
    rows, labels, _, _ = blobs("abcd", spread=1.5)
    rows = rows * np.array([1, 100, 1, 0.01, 1, 1])
    pipeline = make_pipeline(
        StandardScaler(), KNeighborsClassifier(5, metric="cosine", weights="distance")
    ).fit(rows, labels)
    other = rows[np.random.default_rng(1).permutation(len(rows))[:20]] + 0.3
    probe = NearestNeighbours.fit(rows, labels)
    assert probe.predict(other).tolist() == pipeline.predict(other).tolist()
    with pytest.raises(ValueError, match="`labels` must name at least 2 classes"):
        NearestNeighbours.fit(rows, np.full(len(rows), "a"))
    with pytest.raises(ValueError, match="`embeddings` must be finite"):
        NearestNeighbours.fit(np.full_like(rows, np.nan), labels)
