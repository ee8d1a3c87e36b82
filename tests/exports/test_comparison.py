import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import accuracy_score, confusion_matrix
from sklearn.model_selection import LeaveOneGroupOut

from exports import comparison
from exports.classifier import Classifier


@pytest.fixture
def windows():
    """Five people who each do three actions, twice, two windows a clip; rows tell the action."""
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(3, 8))
    rows, labels, groups, clips = [], [], [], []
    for clip in range(30):
        action, person = clip % 3, clip // 6
        rows.append(centres[action] + 0.9 * draw.normal(size=(2, 8)))
        labels += ["bend jump walk".split()[action]] * 2
        groups += [f"p{person}"] * 2
        clips += [clip] * 2
    return np.concatenate(rows), np.array(labels), np.array(groups), np.array(clips)


def test_it_is_leave_one_group_out_with_one_decision_a_clip(windows):
    rows, labels, groups, clips = windows
    result = comparison.cross_validate(rows, labels, groups, clips)
    truth, decisions = [], []
    for train, test in LeaveOneGroupOut().split(rows, labels, groups):
        fitted = Classifier.fit(rows[train], labels[train], groups[train], clips[train])
        decisions += fitted.predict(rows[test], clips[test]).tolist()
        truth += labels[test][::2].tolist()
    assert 0.4 < result["accuracy"] < 1
    assert result["accuracy"] == accuracy_score(truth, decisions)
    expected = confusion_matrix(truth, decisions, labels=result["classes"])
    assert result["confusion"] == expected.tolist()
    shares = expected.diagonal() / expected.sum(axis=1)
    assert list(result["per_class"].values()) == pytest.approx(shares.tolist())
    assert (result["split"], result["folds"], result["clips"]) == ("leave one group out", 5, 30)


def test_a_group_is_never_in_training_and_test(windows):
    _, labels, groups, clips = windows
    seen = []

    def transform(train, test):
        seen.append((set(train[:, 0]), set(test[:, 0])))
        return train + np.arange(len(train))[:, None] % 7, test

    people = np.array([float(name[1:]) for name in groups])[:, None]
    comparison.cross_validate(people, labels, groups, clips, transform=transform)
    assert all(not train & test for train, test in seen)
    assert sorted(person for _, test in seen for person in test) == [0, 1, 2, 3, 4]


def test_given_groups_are_the_test_part(windows):
    rows, labels, groups, clips = windows
    result = comparison.cross_validate(rows, labels, groups, clips, test_groups=["p4", "p1"])
    assert (result["split"], result["folds"], result["clips"]) == ("given groups: p1, p4", 1, 12)
    (fold,), _ = comparison.split_groups(labels, groups, ["p4", "p1"])
    assert set(groups[fold[1]]) == {"p1", "p4"} and set(groups[fold[0]]) == {"p0", "p2", "p3"}


def test_a_class_without_test_clips_has_no_accuracy(windows):
    rows, labels, groups, clips = windows
    kept = ~((labels == "walk") & (groups == "p4"))
    result = comparison.cross_validate(
        rows[kept], labels[kept], groups[kept], clips[kept], test_groups=["p4"]
    )
    assert result["per_class"]["walk"] is None


def test_many_groups_share_folds():
    labels = np.array(["a", "b"] * 20)
    groups = np.array([f"file{i}" for i in range(40)])
    folds, split = comparison.split_groups(labels, groups)
    assert (len(folds), split) == (12, "12 folds of groups")


@pytest.mark.parametrize(
    ("labels", "groups", "test_groups", "message"),
    [
        ("aaaa", "xxyy", None, "`labels` must name at least 2 classes"),
        ("abab", "xxxx", None, "`groups` must name at least 2 groups"),
        ("abaa", "xxyz", None, "Received one group for: b"),
        ("abab", "xxyy", ["q"], r"Received: \['q'\]; the groups are: \['x', 'y'\]"),
        ("abab", "xxyy", ["x", "y"], "some of the groups, not all"),
        ("abaa", "xxyy", ["x"], r"to train on. None of: \['b'\]"),
    ],
)
def test_what_cannot_be_split_is_named(labels, groups, test_groups, message):
    with pytest.raises(ValueError, match=message):
        comparison.split_groups(np.array(list(labels)), np.array(list(groups)), test_groups)


def test_pixels_lie_as_rows_whatever_the_size_and_length():
    ramp = np.linspace(0, 255, 20 * 64 * 64).astype(np.uint8).reshape(20, 64, 64, 1)
    rows = comparison.pixel_rows([ramp[:16], ramp[:5], ramp[:16, :32, :48]])
    assert rows.shape == (3, 16 * 64 * 64) and rows.dtype == np.float32
    np.testing.assert_allclose(rows[0], ramp[:16].reshape(-1) / 255, rtol=1e-6)
    # Five frames are spread over sixteen places: the first and the last stay where they are.
    np.testing.assert_allclose(rows[1].reshape(16, 4096)[-1], ramp[4].reshape(-1) / 255, rtol=1e-6)


def test_the_space_of_the_rows_keeps_their_distances_and_components():
    rows = np.random.default_rng(0).random((12, 500), dtype=np.float32)
    small = comparison.same_distances(rows)
    assert small.shape == (12, 12)

    def distances(x):
        return np.linalg.norm(x[:, None] - x[None], axis=-1)

    np.testing.assert_allclose(distances(small), distances(rows), atol=1e-3)
    train, test = comparison.pixel_pca(small[:9], small[9:], components=3)
    expected = PCA(3).fit(rows[:9])
    np.testing.assert_allclose(np.abs(train), np.abs(expected.transform(rows[:9])), atol=1e-2)
    np.testing.assert_allclose(np.abs(test), np.abs(expected.transform(rows[9:])), atol=1e-2)
    many = np.zeros((40, 8), np.float32)
    assert comparison.same_distances(many) is many


def test_pca_takes_no_more_components_than_there_are_windows():
    train, test = comparison.pixel_pca(np.random.rand(100, 200), np.random.rand(7, 200))
    assert train.shape == (100, 64) and test.shape == (7, 64)
    assert comparison.pixel_pca(np.random.rand(6, 200), np.random.rand(2, 200))[1].shape == (2, 6)


@pytest.mark.parametrize("size", [(64, 64), (48, 72), (16, 16)])
def test_motion_energy_is_the_mean_difference_in_each_cell(size):
    window = np.random.default_rng(0).integers(0, 256, (5, *size, 3), np.uint8)
    change = np.abs(np.diff(window.astype(float), axis=0)).mean(axis=(0, 3)) / 255
    expected = np.zeros((16, 16))
    for row in range(16):
        for column in range(16):
            rows = slice(row * size[0] // 16, (row + 1) * size[0] // 16)
            columns = slice(column * size[1] // 16, (column + 1) * size[1] // 16)
            expected[row, column] = change[rows, columns].mean()
    energy = comparison.motion_energy([window, window[:, ::-1]])
    assert energy.shape == (2, 256) and energy.dtype == np.float32
    np.testing.assert_allclose(energy[0].reshape(16, 16), expected, rtol=1e-5)
    assert np.abs(energy[0] - energy[1]).max() > 1e-3


@pytest.mark.parametrize("shape", [(1, 64, 64, 1), (4, 8, 64, 1)])
def test_motion_energy_names_windows_that_are_too_small(shape):
    with pytest.raises(ValueError, match="windows of 2 frames and 16x16 pixels or more"):
        comparison.motion_energy([np.zeros(shape, np.uint8)])
