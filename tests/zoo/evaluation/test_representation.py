import itertools

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix
from sklearn.model_selection import LeaveOneGroupOut

from zoo.evaluation import representation
from zoo.evaluation.probes import LinearProbe, NearestNeighbours


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
    result = representation.cross_validate(rows, labels, groups, clips)
    truth, decisions = [], []
    for train, test in LeaveOneGroupOut().split(rows, labels, groups):
        fitted = LinearProbe.fit(rows[train], labels[train], groups[train], clips[train])
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
    representation.cross_validate(people, labels, groups, clips, transform=transform)
    assert all(not train & test for train, test in seen)
    assert sorted(person for _, test in seen for person in test) == [0, 1, 2, 3, 4]


def test_given_groups_are_the_test_part(windows):
    rows, labels, groups, clips = windows
    result = representation.cross_validate(rows, labels, groups, clips, test_groups=["p4", "p1"])
    assert (result["split"], result["folds"], result["clips"]) == ("given groups: p1, p4", 1, 12)
    (fold,), _ = representation.split_groups(labels, groups, ["p4", "p1"])
    assert set(groups[fold[1]]) == {"p1", "p4"} and set(groups[fold[0]]) == {"p0", "p2", "p3"}


def test_a_class_without_test_clips_has_no_accuracy(windows):
    rows, labels, groups, clips = windows
    kept = ~((labels == "walk") & (groups == "p4"))
    result = representation.cross_validate(
        rows[kept], labels[kept], groups[kept], clips[kept], test_groups=["p4"]
    )
    assert result["per_class"]["walk"] is None


def test_many_groups_share_folds():
    labels = np.array(["a", "b"] * 20)
    groups = np.array([f"file{i}" for i in range(40)])
    folds, split = representation.split_groups(labels, groups)
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
        representation.split_groups(np.array(list(labels)), np.array(list(groups)), test_groups)


@pytest.fixture
def clips():
    """Five people who each do three actions, twice: one row a clip, its number in column 0."""
    draw = np.random.default_rng(1)
    labels = np.array(["bend", "jump", "walk"] * 10)
    groups = np.repeat([f"p{number}" for number in range(5)], 6)
    rows = 1.2 * draw.normal(size=(30, 8)) + 2 * np.eye(3, 8)[np.arange(30) % 3]
    return np.concatenate([np.arange(30.0)[:, None], rows], axis=1), labels, groups


class Recorder:
    """A probe that notes which clips it was fitted on and asked of, and always says "bend"."""

    def __init__(self):
        self.calls = []

    def __call__(self, rows, labels, groups, clips=None):
        self.calls.append((rows[:, 0].astype(int), None))
        return self

    def predict(self, rows, clips=None):
        self.calls[-1] = (self.calls[-1][0], rows[:, 0].astype(int))
        return np.full(len(rows), "bend")


@pytest.fixture
def recorder(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(representation, "PROBES", {"recorder": recorder})
    return recorder


def test_with_all_labels_it_is_cross_validation(clips):
    rows, labels, groups = clips
    found = representation.evaluate([rows], labels, groups, labels_per_class=(), people=())
    for name, fit in representation.PROBES.items():
        expected = representation.cross_validate(rows, labels, groups, np.arange(30), fit=fit)
        assert found[name]["accuracy"] == expected["accuracy"] > 0.5
        assert found[name]["confusion"] == expected["confusion"]
        assert found[name]["few_labels"] == found[name]["few_people"] == {}
    assert set(found["linear_probe"]["strengths"]) <= set(representation.CLIP_STRENGTHS)
    assert found["nearest_neighbours"]["strengths"] == [None] * 5


def test_each_draw_labels_few_clips_of_a_class_and_tests_everyone_on_others(clips, recorder):
    rows, labels, groups = clips
    found = representation.evaluate(
        [rows], labels, groups, labels_per_class=(2, 9), people=(), label_draws=3
    )["recorder"]
    # Eight clips of a class are left where a person is held out: nine cannot be labelled.
    assert set(found["few_labels"]) == {"2"}
    calls = recorder.calls[5:]  # the first five are those with all labels
    assert len(calls) == 3 * 5
    for labelled, tested in calls:
        assert [np.sum(labels[labelled] == name) for name in ("bend", "jump", "walk")] == [2, 2, 2]
        assert not set(groups[labelled]) & set(groups[tested])
    for draw in range(3):
        tested = np.concatenate([test for _, test in calls[5 * draw : 5 * draw + 5]])
        assert sorted(tested) == list(range(30))
    assert len({tuple(sorted(labelled)) for labelled, _ in calls}) > 10
    assert found["few_labels"]["2"]["accuracy"] == pytest.approx(1 / 3)


def test_few_people_are_all_sets_of_them_where_they_are_few(clips):
    rows, labels, groups = clips
    found = representation.evaluate([rows], labels, groups, labels_per_class=(), people=(1, 2, 5))
    assert set(found["linear_probe"]["few_people"]) == {"1", "2"}  # of five, five leave nobody
    fits = {
        "linear_probe": lambda *known: LinearProbe.fit(*known, strengths=(0.03, 0.3, 3.0)),
        "nearest_neighbours": NearestNeighbours.fit,
    }
    for name, fit in fits.items():
        for count, sets in ((1, 5), (2, 10)):
            accuracies = []
            for people in itertools.combinations(sorted(set(groups)), count):
                known = np.isin(groups, people)
                fitted = fit(rows[known], labels[known], groups[known])
                accuracies.append((fitted.predict(rows[~known]) == labels[~known]).mean())
            summary = found[name]["few_people"][str(count)]
            assert summary["draws"] == len(accuracies) == sets
            assert summary["accuracy"] == pytest.approx(np.mean(accuracies))
            error = np.std(accuracies, ddof=1) / np.sqrt(sets)
            assert summary["standard_error"] == pytest.approx(error)


def test_a_set_of_people_who_lack_a_class_is_not_drawn(clips, recorder):
    rows, labels, groups = clips
    kept = ~((labels == "walk") & np.isin(groups, ["p0", "p3"]))
    representation.evaluate(
        [rows[kept]], labels[kept], groups[kept], labels_per_class=(), people=(1,), people_draws=9
    )
    drawn = [set(groups[labelled]) for labelled, _ in recorder.calls[5:]]
    assert sorted(drawn, key=sorted) == [{"p1"}, {"p2"}, {"p4"}]


def test_alternatives_are_averaged_and_take_turns_in_the_draws(clips, recorder):
    rows, labels, groups = clips
    shifted = rows + 100  # clip numbers from 100 up tell which alternative was taken
    found = representation.evaluate(
        [rows, shifted], labels, groups, labels_per_class=(), people=(1,), people_draws=4
    )["recorder"]
    assert [labelled[0] >= 100 for labelled, _ in recorder.calls[10:]] == [False, True] * 2
    assert found["accuracies"] == pytest.approx([1 / 3, 1 / 3])
    assert found["accuracy"] == pytest.approx(1 / 3) and "confusion" not in found
    apart = np.eye(3, 9)[np.arange(30) % 3]
    found = representation._with_all_labels(
        [apart, 0 * apart], labels, groups, None, NearestNeighbours.fit
    )
    assert found["accuracies"][0] == 1.0 > found["accuracies"][1]
    assert found["accuracy"] == np.mean(found["accuracies"])


def test_a_transform_is_fitted_on_every_clip_that_is_not_tested(clips, recorder):
    rows, labels, groups = clips
    seen = []

    def transform(known, unknown):
        seen.append((len(known), len(unknown)))
        return -known, -unknown

    representation.evaluate(
        [-rows], labels, groups, transform, labels_per_class=(1,), people=(2,),
        label_draws=1, people_draws=1,
    )  # fmt: skip
    assert seen == [(24, 6)] * 10 + [(12, 18)]
    assert [len(labelled) for labelled, _ in recorder.calls[5:]] == [3] * 5 + [12]
    assert (recorder.calls[-1][0] >= 0).all()


def test_draws_are_those_of_the_seed(clips):
    rows, labels, groups = clips

    def accuracies(rows, seed):
        found = representation.evaluate(
            [rows], labels, groups, labels_per_class=(1,), people=(2,), people_draws=3, seed=seed
        )
        return [found["linear_probe"][kind] for kind in ("few_labels", "few_people")]

    assert accuracies(rows, 0) == accuracies(rows, 0)
    assert accuracies(rows, 0)[0] != accuracies(rows, 1)[0]
