"""Splits that follow groups, times or a column: no group in two parts, no example before what is learned from."""

from datetime import date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from ravine.data import from_arrays, load, parse_data
from ravine.data.cut import cut
from ravine.data.deal import OPEN, TEST, VALIDATION
from ravine.data.deal_groups import counts_of, deal_groups
from ravine.data.division import Division
from ravine.data.spec import Options
from ravine.errors import DataError, InputError, StudyError
from ravine.study import Study
from ravine.study.definition import definition_of
from ravine.study.stored import parse_definition

GROUPS = st.lists(st.integers(1, 12), min_size=12, max_size=40)  # sizes


def cut_by(labels, *, marks=None, division=None, **options):
    labels = np.asarray(labels, dtype=np.int64)
    marks = np.zeros(len(labels), np.int8) if marks is None else np.asarray(marks, np.int8)
    classes = tuple(str(number) for number in range(int(labels.max()) + 1)) if labels.any() else ()
    return cut(labels, classes, marks, division or Division(), Options.of(options), name="t")


def division(groups=None, times=None):
    groups = None if groups is None else np.asarray(groups, dtype=np.int64)
    names = () if groups is None else tuple(f"g{number}" for number in range(int(groups.max()) + 1))
    return Division(groups=groups, names=names, times=None if times is None else np.asarray(times))


@settings(max_examples=60, deadline=None)
@given(sizes=GROUPS, seed=st.integers(0, 2**63 - 1))
def test_no_group_is_in_two_splits_and_nothing_is_lost(sizes, seed):
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    splits = cut_by(np.zeros(len(groups)), division=division(groups), split_seed=seed)
    parts = [splits.train, splits.validation, splits.test]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(groups)))
    assert all(len(part) for part in parts)
    known = [set(groups[part]) for part in parts]
    assert sum(map(len, known)) == len(sizes)
    for part, share in zip(parts, (0.6, 0.2, 0.2), strict=True):  # to within the largest group
        assert abs(len(part) - share * len(groups)) <= max(sizes)


def test_groups_are_as_even_as_scikit_learns():
    rng = np.random.default_rng(0)
    ours, theirs = [], []
    for seed in range(20):
        groups = rng.integers(0, 40, 600)
        labels = (rng.random(600) < (0.2 + 0.5 * (groups % 3 == 0))).astype(np.int64)
        counts = counts_of(groups, labels, 2)[1]
        parts = deal_groups(counts, [1.0] * 5, np.random.SeedSequence(seed))
        per_fold = np.array([counts[parts == part].sum(axis=0) for part in range(5)])
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(groups, labels, groups)
        other = np.array([np.bincount(labels[test], minlength=2) for _, test in folds])
        wanted = counts.sum(axis=0) / 5
        ours.append((((per_fold - wanted) ** 2) / wanted).sum())
        theirs.append((((other - wanted) ** 2) / wanted).sum())
    assert np.mean(ours) <= np.mean(theirs)


def test_the_deal_of_groups_goes_by_names_and_seed_and_not_by_the_order_of_rows():
    rng = np.random.default_rng(1)
    names = np.array([f"p{number}" for number in rng.integers(0, 25, 300)])
    y = rng.integers(0, 2, 300)
    x = np.column_stack([np.arange(300.0), rng.normal(size=300)])

    def tested(order, seed=0):
        data = from_arrays(x[order], y[order], groups=names[order], normalize="none", split_seed=seed)
        return set(names[data.test.some(slice(None))[:, 0].astype(int)])

    shuffled = rng.permutation(300)
    assert tested(np.arange(300)) == tested(shuffled)
    assert tested(shuffled) != tested(shuffled, seed=1)


def test_groups_beside_a_given_test_split():
    groups = np.arange(60) // 3
    marks = np.where(groups >= 15, TEST, OPEN)
    splits = cut_by(np.arange(60) % 2, marks=marks, division=division(groups))
    assert np.array_equal(splits.test, np.arange(45, 60))
    assert not set(groups[splits.train]) & set(groups[splits.validation])
    marks[0] = TEST
    with pytest.raises(
        DataError, match="group 'g0' is in the test split and in another too; a group must be in one"
    ):
        cut_by(np.arange(60) % 2, marks=marks, division=division(groups))


@settings(max_examples=40, deadline=None)
@given(num_times=st.integers(3, 60), seed=st.integers(0, 2**31))
def test_training_comes_before_validation_and_that_before_test(num_times, seed):
    rng = np.random.default_rng(seed)
    times = np.concatenate([np.arange(num_times), rng.integers(0, num_times, 200)])
    splits = cut_by(np.zeros(len(times)), division=division(times=times))
    assert times[splits.train].max() < times[splits.validation].min()
    assert times[splits.validation].max() < times[splits.test].min()
    assert len(splits.train) + len(splits.validation) + len(splits.test) == len(times)
    most = np.bincount(times).max()
    if num_times > 15:  # as near to the fractions as whole times allow
        assert abs(len(splits.test) - 0.2 * len(times)) <= most
        assert abs(len(splits.validation) - 0.2 * len(times)) <= 2 * most


def test_a_limit_keeps_the_latest_training_examples():
    splits = cut_by(np.zeros(100), division=division(times=np.arange(100)), limit=10)
    assert np.array_equal(splits.train, np.arange(50, 60))


def test_a_limit_takes_training_examples_of_groups_in_proportion():
    labels = np.tile([0, 0, 0, 1], 50)
    splits = cut_by(labels, division=division(np.arange(200) // 4), limit=20)
    assert np.bincount(labels[splits.train]).tolist() == [15, 5]


@pytest.mark.parametrize(
    "times",
    [
        [date(2024, 1, 1) + timedelta(days=day) for day in range(30)],
        [str(date(2024, 1, 1) + timedelta(days=day)) for day in range(30)],
        [f"{datetime(2024, 1, 1) + timedelta(hours=hour)}" for hour in range(30)],
        [f"2024-01-01T00:{minute:02d}:00+02:00" for minute in range(30)],
        np.arange(30).astype("M8[D]"),
        np.linspace(-3, 8, 30),
        [f"{number}" for number in range(30)],  # 10 comes after 9
    ],
)
def test_times_of_any_kind_are_put_in_order(times):
    x = np.arange(30.0)[:, None]
    order = np.random.default_rng(0).permutation(30)
    times = np.asarray(times, dtype=object)[order] if isinstance(times, list) else times[order]
    data = from_arrays(x[order], np.arange(30.0)[order] + 0.5, times=times, normalize="none")
    assert sorted(data.test.some(slice(None))[:, 0]) == list(range(24, 30))
    assert sorted(data.train.some(slice(None))[:, 0]) == list(range(18))


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["a,patient,date,part,y"]
    for row in range(120):
        part = ("train", "Val", "TEST")[0 if row % 6 < 4 else row % 6 - 3]
        when = date(2024, 1, 1) + timedelta(days=row)
        lines.append(f"{rng.normal():.3f},p{row % 20},{when},{part},{'no' if row % 12 < 6 else 'yes'}")
    path = tmp_path / "p.csv"
    path.write_text("\n".join(lines) + "\n")

    def read(**more):
        return load(parse_data({"kind": "csv", "path": str(path), "target": "y", **more}))

    return read


def test_the_columns_of_a_split_are_no_features(table):
    data = table(split={"group": "patient"}, drop=["date", "part", "patient"], categorical=["patient"])
    assert data.features == ("a",)
    data = table(split={"time": "date"}, drop=["patient", "part"], validation=0.25, test=0.25)
    assert data.features == ("a",)
    assert [len(each) for each in (data.train, data.validation, data.test)] == [60, 30, 30]
    data = table(split={"column": "part"}, drop=["date", "patient"])
    assert data.features == ("a",)
    assert [len(each) for each in (data.train, data.validation, data.test)] == [80, 20, 20]
    assert data.notes == ("which example is in which split was given",)


def test_a_dropped_row_takes_its_time_and_group_with_it(tmp_path):
    path = tmp_path / "p.csv"
    rows = [f"{'' if row == 10 else row},{row},{row / 7}" for row in range(40)]
    path.write_text("a,when,y\n" + "\n".join(rows) + "\n")
    data = load(
        parse_data(
            {"kind": "csv", "path": str(path), "target": "y", "split": {"time": "when"}, "missing": "drop"}
        )
    )
    assert len(data.train) + len(data.validation) + len(data.test) == 39
    assert data.test.y.min() > data.validation.y.max() > data.train.y.max()


def test_arrays_of_an_archive(tmp_path):
    path = tmp_path / "p.npz"
    groups = np.arange(90) // 3
    np.savez(path, x=np.arange(90.0)[:, None], y=np.arange(90) % 2, who=groups)
    data = load(
        parse_data({"kind": "npz", "path": str(path), "split": {"group": "who"}, "normalize": "none"})
    )
    assert not set(data.train.some(slice(None))[:, 0] // 3) & set(data.test.some(slice(None))[:, 0] // 3)
    with pytest.raises(DataError, match="split names 'whom', which is not in it; did you mean 'who'"):
        load(parse_data({"kind": "npz", "path": str(path), "split": {"group": "whom"}}))


X, Y = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"groups": np.zeros(60)}, "training, validation and test need a group each.*group '0' alone"),
        ({"groups": np.arange(60) % 2}, "need a group each, and the examples are of 2 groups"),
        ({"groups": [1, 2]}, r"groups has shape \(2,\); one for each of 60 examples"),
        ({"groups": [None, *range(59)]}, "row 0: groups is empty; every example needs a group"),
        ({"groups": Y}, r"class '\d' has no training example"),
        ({"times": ["soon"] * 60}, "row 0: times is 'soon', which is no time; allowed: numbers"),
        ({"times": ["2024-01-31", *["31.12.2024"] * 59]}, "row 1: times is '31.12.2024'"),
        ({"times": np.zeros(60)}, "only 1 different time; training, validation and test need one each"),
        ({"times": np.r_[np.nan, np.arange(59)]}, r"row 0: times is empty \(1 cell in all\)"),
        (
            {"times": ["2024-01-31T00:00+01:00", *["2024-01-30"] * 59]},
            "row 1: times is '2024-01-30': some of its times have a zone and some have none",
        ),
        ({"groups": Y, "times": Y}, "time, group: only one of them"),
        ({"groups": Y, "x_test": X, "y_test": Y}, "groups, x_test: only one of them"),
        ({"split": ["train"] * 60}, "split is 'test' nowhere; some examples must be for test"),
        ({"split": ["tren"] * 60}, "row 0: split is 'tren'; allowed: train, validation, test"),
        ({"split": ["train", "test"] * 30, "test": 0.3}, "test, column: only one of them"),
        ({"split": {"group": "who"}}, "split names the column 'who', and x is an array; give groups="),
        ({"split": {}}, "split: is empty; such as"),
        (
            {"groups": "who"},
            r"arrays: groups = 'who': must be an array with an entry for each example; a column of a frame is"
            r" split=\{'group': 'who'\}$",
        ),
        (
            {"weights": "trust"},
            r"weights = 'trust': must be an array .* a column of a frame is frame\['trust'\]$",
        ),
    ],
)
def test_what_cannot_be_cut_is_refused_in_one_line(given, words):
    with pytest.raises(InputError, match=words) as caught:
        from_arrays(X, Y, **given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"kind": "csv", "split": {"column": "part"}, "test": 0.3}, "test, split.column: only one of them"),
        ({"kind": "csv", "split": {"time": "when"}, "test_path": "t.csv"}, "test_path, split.time: only one"),
        ({"kind": "csv", "split": {"groop": "a"}}, r"data.split.groop: unknown key; did you mean 'group'"),
        ({"kind": "csv", "split": {"group": "a", "column": "a"}}, "two different columns are needed"),
    ],
)
def test_a_split_that_contradicts_itself_is_refused(data, words):
    with pytest.raises(StudyError, match=words):
        parse_data({"path": "p.csv", "target": "y", **data})


def test_data_without_columns_has_none_to_name():
    with pytest.raises(StudyError, match="names the column 'when', and this kind of data has none"):
        parse_data({"kind": "digits", "split": {"time": "when"}})
    with pytest.raises(StudyError, match="the test split of Fashion-MNIST is given"):
        parse_data({"kind": "fashion-mnist", "split": {"column": "when"}})


def test_columns_that_are_not_there_or_say_nothing(table):
    with pytest.raises(DataError, match=r"split\.group = 'pat' is not a column"):
        table(split={"group": "pat"})
    with pytest.raises(DataError, match=r"split\.time = 'y' is the target; name another column"):
        table(split={"time": "y"})
    with pytest.raises(DataError, match=r"p.csv, line 2: column 'patient' is 'p0'; allowed: train"):
        table(split={"column": "patient"})
    with pytest.raises(DataError, match="in the test split and in another too"):
        table(split={"column": "part", "group": "patient"}, drop=["date"])


def test_a_held_out_split_may_lack_a_class_that_groups_left_out():
    labels = np.where(np.arange(60) < 30, np.arange(60) % 2, 0)
    data = from_arrays(X, labels, times=np.arange(60))
    assert "the test split has no example of class '1'" in data.notes
    assert "the validation split has no example of class '1'" in data.notes
    assert VALIDATION != OPEN


def test_a_study_keeps_its_split_in_its_text():
    split = {"group": "patient", "column": "part"}
    data = {"kind": "csv", "path": "p.csv", "target": "y", "split": split}
    study = Study(name="s", data=data, model="mlp", epochs=1, rules=["adam"])
    assert parse_definition(definition_of(study)).data == study.data
