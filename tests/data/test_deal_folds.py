"""Folds: each example is tested once in each repeat, no group is in two splits, and each fold is scaled by itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold, StratifiedKFold

from ravine.data import from_arrays, load, parse_data
from ravine.data.deal_folds import FoldOf, folds_of
from ravine.errors import DataError, InputError, StudyError


def dealt(labels, groups=None, *, folds=5, repeat=0, seed=0):
    labels = np.asarray(labels, dtype=np.int64)
    classes = [str(number) for number in range(int(labels.max()) + 1)] if labels.any() else []
    return folds_of(labels, classes, groups, folds=folds, repeat=repeat, split_seed=seed, name="t")


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(7, 60), min_size=2, max_size=6),
    folds=st.integers(2, 7),
    seed=st.integers(0, 2**63 - 1),
)
def test_classes_and_sizes_are_even_to_within_one_example(sizes, folds, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    number = dealt(labels, folds=folds, seed=seed)
    counts = np.array([np.bincount(labels[number == fold], minlength=len(sizes)) for fold in range(folds)])
    assert np.ptp(counts, axis=0).max() <= 1
    assert np.ptp(counts.sum(axis=1)) <= 1
    assert counts.sum() == len(labels)


def test_as_even_as_scikit_learns_stratified_folds():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(4), [400, 251, 103, 32]))
    ours = np.array([np.bincount(labels[dealt(labels) == fold]) for fold in range(5)])
    theirs = np.array([np.bincount(labels[test]) for _, test in StratifiedKFold(5).split(labels, labels)])
    assert np.array_equal(np.sort(ours, axis=0), np.sort(theirs, axis=0))


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 20), min_size=8, max_size=30),
    folds=st.integers(2, 6),
    seed=st.integers(0, 99),
)
def test_groups_are_whole_and_no_less_even_than_scikit_learns(sizes, folds, seed):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    number = dealt(np.zeros(len(groups)), groups, folds=folds, seed=seed)
    assert all(len(set(number[groups == group])) == 1 for group in range(len(sizes)))
    assert len(set(number)) == folds
    theirs = [len(test) for _, test in GroupKFold(folds).split(groups, groups=groups)]
    # Both deal the largest group first to the part that has least.
    assert np.ptp(np.bincount(number)) <= max(np.ptp(theirs), 1)


def test_repeats_and_seeds_are_deals_of_their_own():
    labels = np.arange(100) % 2
    assert np.array_equal(dealt(labels), dealt(labels))
    assert not np.array_equal(dealt(labels), dealt(labels, repeat=1))
    assert not np.array_equal(dealt(labels), dealt(labels, seed=1))


X = np.random.default_rng(0).normal(size=(90, 3)) * [1.0, 10.0, 100.0] + 5.0
Y = np.arange(90) % 3


def rows_of(examples):
    """Which rows of X they are: by the second number of a data set that is not scaled."""
    return {int(np.flatnonzero(np.isclose(X[:, 1], value))[0]) for value in examples.some(slice(None))[:, 1]}


@pytest.mark.parametrize("groups", [None, np.arange(90) // 3])
def test_each_example_is_tested_once_in_each_repeat(groups):
    y = Y if groups is None else (np.arange(90) // 9) % 2
    data = from_arrays(X, y, split={"folds": 5, "repeats": 2}, groups=groups, normalize="none")
    assert (data.folds.num, data.folds.repeats) == (5, 2)
    for repeat in range(2):
        tested = []
        for fold in range(5):
            own = data.folds.of(FoldOf(fold=fold, repeat=repeat))
            train, validation, test = map(rows_of, (own.train, own.validation, own.test))
            assert data.folds.sizes[FoldOf(fold=fold, repeat=repeat)] == (
                len(train),
                len(validation),
                len(test),
            )
            assert sorted([*train, *validation, *test]) == list(range(90))
            if groups is not None:
                of = [{groups[row] for row in rows} for rows in (train, validation, test)]
                assert not (of[0] & of[1]) | (of[0] & of[2]) | (of[1] & of[2])
            tested += test
        assert sorted(tested) == list(range(90))


def test_validation_is_any_share_of_what_a_fold_does_not_test():
    data = from_arrays(np.arange(100.0)[:, None], np.arange(100) % 2, validation=0.9, split={"folds": 5})
    assert set(data.folds.sizes.values()) == {(8, 72, 20)}


def test_each_fold_is_scaled_by_its_own_training_part():
    raw = from_arrays(X, Y, split={"folds": 5}, normalize="none")
    data = from_arrays(X, Y, split={"folds": 5})
    for part in data.folds.sizes:
        scaled, plain = data.folds.of(part), raw.folds.of(part)
        known = plain.train.some(slice(None)).astype(np.float64)
        expected = (plain.test.some(slice(None)) - known.mean(axis=0)) / known.std(axis=0)
        np.testing.assert_allclose(scaled.test.some(slice(None)), expected, atol=2e-5)
    means = {data.folds.of(part).preparation.inputs.scaling.mean for part in data.folds.sizes}
    assert len(means) == 5


def test_a_regression_has_its_targets_scale_fold_by_fold():
    data = from_arrays(X, X[:, 0] * 3.0 + 1.0, split={"folds": 3})
    assert len({data.folds.of(part).target_mean for part in data.folds.sizes}) == 3


def test_folds_of_a_table_have_one_shape_and_unseen_levels_are_zeros(tmp_path):
    path = tmp_path / "t.csv"
    rng = np.random.default_rng(0)
    rows = [
        f"{'rare' if i == 7 else 'ab'[i % 2]},{'' if i == 3 else i},{rng.normal():.3f}" for i in range(60)
    ]
    path.write_text("name,age,y\n" + "\n".join(rows) + "\n")
    data = load(
        parse_data(
            {"kind": "csv", "path": str(path), "target": "y", "missing": "impute", "split": {"folds": 4}}
        )
    )
    assert data.features == ("name=a", "name=b", "name=rare", "age")
    unseen = 0
    for part in data.folds.sizes:
        own = data.folds.of(part)
        assert own.input_shape == (4,)
        train = own.train.some(slice(None))
        if not train[:, 2].any():
            unseen += 1
            assert not own.test.some(slice(None))[:, 2].any()
            assert not own.validation.some(slice(None))[:, 2].any()
    assert unseen  # where it is held out


def test_the_fingerprint_says_what_folds_are_made_of_and_more_repeats_change_nothing():
    def of(x=X, **split):
        return from_arrays(x, Y, split={"folds": 5, **split}).fingerprint

    assert of() == of(repeats=3)
    assert of() != from_arrays(X, Y).fingerprint
    assert of() != from_arrays(X, Y, split={"folds": 4}).fingerprint
    assert of() != from_arrays(X, Y, split={"folds": 5}, split_seed=1).fingerprint
    assert of() != from_arrays(X, Y, split={"folds": 5}, validation=0.3).fingerprint
    assert of() != from_arrays(X, Y, split={"folds": 5}, groups=np.arange(90) // 3).fingerprint
    changed = X.copy()
    changed[3, 2] += 1.0
    assert of() != of(changed)


def test_the_fingerprint_does_not_say_where_a_file_lies(tmp_path):
    def of(name, **more):
        path = tmp_path / name
        path.write_text("a,b,y\n" + "\n".join(f"{i},{i % 7},{i % 3}" for i in range(60)) + "\n")
        spec = {"kind": "csv", "path": str(path), "target": "y", "split": {"folds": 3}, **more}
        return load(parse_data(spec)).fingerprint

    assert of("one.csv") == of("other.csv")
    assert of("one.csv") != of("one.csv", drop=["b"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"y": np.repeat([0, 1], [4, 86])},
            "split.folds = 5: there are only 4 examples of class '0', and each",
        ),
        ({"groups": np.arange(90) % 4}, "split.folds = 5: there are only 4 groups"),
        ({"groups": np.zeros(90)}, "split.folds = 5: there is only 1 group"),
        (
            {"y": (np.arange(90) >= 81).astype(int), "groups": np.arange(90) // 9},
            "class '1' is in one group alone, so it is missing in training when that is tested",
        ),
        ({"split": {"folds": 1}}, "split.folds = 1: must be at least 2"),
        ({"split": {"folds": 5, "repeats": 0}}, "split.repeats = 0: must be at least 1"),
        ({"split": {"repeats": 2}}, "repeats is how many times folds are dealt anew: give folds too"),
        ({"test": 0.3}, "test, split.folds: only one of them"),
        ({"times": np.arange(90)}, "time, folds: only one of them; a fold would learn from what comes after"),
        ({"x_test": X, "y_test": Y}, "split.folds cannot be had beside a given validation or test split"),
    ],
)
def test_what_has_no_folds_is_refused_in_one_line(given, words):
    arguments = {"x": X, "y": Y, "split": {"folds": 5}, **given}
    with pytest.raises(InputError, match=words) as caught:
        from_arrays(**arguments)
    assert "\n" not in str(caught.value)


def test_files_that_have_a_test_split_have_no_folds():
    with pytest.raises(StudyError, match="the test split of Fashion-MNIST is given"):
        parse_data({"kind": "fashion-mnist", "split": {"folds": 5}})
    with pytest.raises(StudyError, match=r"test_path, split\.folds: only one of them"):
        parse_data(
            {"kind": "csv", "path": "a.csv", "target": "y", "test_path": "b.csv", "split": {"folds": 5}}
        )
    with pytest.raises(DataError, match=r"split\.folds = 51: there are only 50 examples of class .setosa."):
        load(parse_data({"kind": "iris", "split": {"folds": 51}}))
