"""Specs: what is taken, and the exact line for what is not."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ravine.data import parse_data
from ravine.errors import StudyError

KINDS = "breast_cancer, csv, diabetes, digits, fashion-mnist, images, iris, npz, parquet, wine"


def test_a_name_is_short_for_a_kind():
    assert parse_data("digits") == parse_data({"kind": "digits"})
    spec = parse_data({"kind": "csv", "path": "x.csv", "target": "y", "drop": ["id"]})
    assert spec.drop == ("id",)
    assert parse_data(spec) is spec
    with pytest.raises(AttributeError):
        spec.path = "other"


def test_a_spec_survives_being_written_and_read():
    spec = parse_data({"kind": "images", "path": "p", "size": [32, 24], "limit": 5})
    assert parse_data(spec.plain()) == spec


SIDES = "must be one side, such as 32, or [height, width], such as [32, 48]"
TABLE = [
    ("digts", f"data.kind = 'digts': did you mean 'digits'? Allowed: {KINDS}"),
    ("zzz", f"data.kind = 'zzz': allowed: {KINDS}"),
    (3, 'data: must be the name of a data set or a table with kind = "...", not int'),
    ({}, "data.kind: missing, it must be given"),
    ({"kind": "csv", "path": "x.csv"}, "data.target: missing, it must be given"),
    (
        {"kind": "digits", "valdation": 0.1},
        "data.valdation: unknown key; did you mean 'validation'? "
        "Allowed: kind, limit, normalize, split, split_seed, test, validation",
    ),
    ({"kind": "digits", "validation": 0.0}, "data.validation = 0.0: must be greater than 0.0"),
    ({"kind": "digits", "test": 1.0}, "data.test = 1.0: must be less than 1.0"),
    ({"kind": "digits", "validation": "0.2"}, "data.validation = '0.2': must be a number"),
    ({"kind": "digits", "validation": True}, "data.validation = True: must be a number"),
    (
        {"kind": "digits", "validation": 0.6, "test": 0.5},
        "data: validation + test = 1.1 leaves nothing to train on",
    ),
    ({"kind": "digits", "split_seed": -1}, "data.split_seed = -1: must be at least 0"),
    ({"kind": "digits", "limit": 1.5}, "data.limit = 1.5: must be a whole number"),
    ({"kind": "digits", "limit": 0}, "data.limit = 0: must be at least 1"),
    (
        {"kind": "digits", "normalize": "standrad"},
        "data.normalize = 'standrad': did you mean 'standard'? Allowed: channel, none, standard",
    ),
    (
        {"kind": "csv", "path": "x", "target": "y", "missing": "dorp"},
        "data.missing = 'dorp': did you mean 'drop'? Allowed: drop, impute, refuse",
    ),
    ({"kind": "csv", "path": "x", "target": "y", "drop": "id"}, "data.drop = 'id': must be a list"),
    ({"kind": "csv", "path": "x", "target": "y", "drop": [1]}, "data.drop.0 = 1: must be text"),
    (
        {"kind": "csv", "path": "x", "target": "y", "delimiter": ";;"},
        "data.delimiter = ';;': must have at most 1 character(s)",
    ),
    ({"kind": "csv", "path": "", "target": "y"}, "data.path = '': must not be empty"),
    (
        {"kind": "npz", "path": "x", "task": "regresion"},
        "data.task = 'regresion': did you mean 'regression'? Allowed: classification, multilabel, regression",
    ),
    ({"kind": "images", "path": "x", "size": "big"}, f"data.size = 'big': {SIDES}"),
    ({"kind": "images", "path": "x", "size": [32]}, f"data.size = [32]: {SIDES}"),
    ({"kind": "images", "path": "x", "size": [3, 32, 32]}, f"data.size = [3, 32, 32]: {SIDES}"),
    (
        {"kind": "iris", "task": "regression"},
        "data.task: unknown key; the task of this data set is classification; "
        "allowed: kind, limit, normalize, split, split_seed, test, validation",
    ),
    (
        {"kind": "iris", "limit": 10**5000},
        f"data.limit = an int too large to show: must be less than {2**63}",
    ),
    ({"kind": "images", "path": "x", "size": 0}, "data.size = 0: must be at least 1"),
    ({"kind": "images", "path": "x", "size": [8, 0]}, "data.size.1 = 0: must be at least 1"),
]


@pytest.mark.parametrize(("value", "message"), TABLE)
def test_the_exact_line(value, message):
    with pytest.raises(StudyError) as error:
        parse_data(value)
    assert str(error.value) == message


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["kind", "path", "size", "drop", "x", "target"]), inner, max_size=4
            )
        ),
        max_leaves=6,
    ),
    st.sampled_from(["digits", "csv", "images", "npz", None]),
)
def test_anything_at_all_is_a_spec_or_one_line(value, kind):
    if kind and isinstance(value, dict):
        value = {**value, "kind": kind}
    line = "data"
    try:
        parse_data(value, "data")
    except StudyError as error:
        line = str(error)
    assert line.startswith("data")
    assert "\n" not in line
