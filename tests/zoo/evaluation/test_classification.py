import numpy as np
import pytest

from zoo.evaluation import classification
from zoo.evaluation.probes import LinearProbe

CLASSES = ["run", "walk"]


@pytest.fixture
def rows():
    """Windows of 12 clips of two classes by six people, two windows each, far apart but for one."""
    draw = np.random.default_rng(0)
    clips = np.repeat(np.arange(12), 2)
    labels = np.array(CLASSES)[clips % 2]
    groups = np.array(list("abcdef"))[clips // 2]
    found = draw.normal(size=(24, 5)) + 3 * (labels == "run")[:, None] * np.eye(5)[0]
    return found, labels, groups, clips


def test_who_is_tested_is_not_trained_on(rows):
    seen = []

    class Recorder:
        classes = CLASSES

        def log_probabilities(self, rows):
            return np.log(np.full((len(rows), 2), 0.5))

    def fit(embeddings, labels, groups, clips):
        seen.append(set(groups))
        return Recorder()

    found, folds, split = classification.held_out(*rows, fit)
    assert split == "leave one group out" and len(folds) == 6
    assert [len(known) for known in seen] == [5] * 6
    assert np.allclose(np.exp(found), 0.5)
    found, folds, _ = classification.held_out(*rows, fit, test_groups=["b"])
    assert seen[-1] == set("acdef")
    assert np.array_equal(np.isnan(found[:, 0]), rows[2] != "b")


def test_clips_are_decided_by_the_mean_of_their_windows():
    sure = np.log([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.4, 0.6]])
    report = classification.measure(sure, ["run", "run", "run", "walk"], [0, 0, 1, 2], CLASSES)
    # The first clip is run by its first window, the second is taken for walk.
    assert report["confusion"] == [[1, 1], [0, 1]] and report["accuracy"] == pytest.approx(2 / 3)
    assert report["per_class"] == {"run": 0.5, "walk": 1.0}
    assert (report["clips"], report["windows"]) == (3, 4)
    # Right at .9 and .6, wrong at .6 and .7: bins of .9, .6 (two) and .7.
    assert report["calibration_error"] == pytest.approx((0.1 + abs(1.2 - 1) + 0.7) / 4)


def test_the_calibration_error_of_cases_known_by_hand():
    error = classification.calibration_error
    assert error([1.0, 1.0], [True, True]) == 0
    assert error([0.75, 0.75, 0.75, 0.75], [True, True, True, False]) == pytest.approx(0)
    assert error([0.95, 0.95, 0.55, 0.55], [False, False, True, True]) == pytest.approx(0.7)


def test_the_temperature_undoes_what_made_probabilities_too_sure():
    draw = np.random.default_rng(0)
    honest = np.log(draw.dirichlet((1.0, 1.0, 1.0), 4000))
    truth = [np.searchsorted(np.cumsum(np.exp(row)), draw.random()) for row in honest]
    labels = np.array(list("abc"))[np.minimum(truth, 2)]
    for factor in (3.0, 0.5):
        found = classification.fit_temperature(
            classification.temper(honest, 1 / factor), labels, list("abc")
        )
        assert found == pytest.approx(factor, rel=0.1)
    assert np.exp(classification.temper(honest, 2.0)).sum(axis=1) == pytest.approx(1)


def test_a_test_part_is_calibrated_by_the_others():
    right = np.log([[0.9, 0.1]])
    # Two parts: of the first all are right, of the second none is.
    sure = np.repeat(right, 8, axis=0)
    labels = np.array(["run"] * 4 + ["walk"] * 4)
    folds = [(np.arange(4, 8), np.arange(4)), (np.arange(4), np.arange(4, 8))]
    found = np.exp(classification.tempered_by_others(sure, labels, CLASSES, folds))
    assert np.allclose(found[:4, 0], 0.5, atol=0.05) and np.all(found[4:, 0] > 0.99)


def test_few_labels_are_of_the_count_asked_for_and_equal_for_all(rows):
    embeddings, labels, groups, clips = rows
    seen = {"one": [], "two": []}

    def recording(name):
        def fit(rows, labels, groups, clips):
            seen[name].append(sorted(set(clips.tolist())))
            return LinearProbe.fit(rows, labels, groups, clips)
        return fit

    transformed = []

    def transform(known, unknown):
        transformed.append((len(known), len(unknown)))
        return known, unknown

    curves = classification.few_labels(
        {"one": ([embeddings], recording("one"), None),
         "two": ([embeddings], recording("two"), transform)},
        labels, groups, clips, counts=(1, 2, 9), draws=2,
    )  # fmt: skip
    assert set(curves["one"]) == {"1", "2"} and curves["one"] == curves["two"]
    assert seen["one"] == seen["two"] and len(seen["one"]) == 2 * 2 * 6
    assert [len(known) for known in seen["one"]] == [2] * 12 + [4] * 12
    assert set(transformed) == {(20, 4)}
    assert curves["one"]["2"]["draws"] == 2 and curves["one"]["2"]["accuracy"] > 0.7
    again = classification.few_labels(
        {"one": ([embeddings], recording("one"), None)}, labels, groups, clips, (1, 2), 2
    )
    assert again["one"] == curves["one"]
