"""Numbers, lists and ranges."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ravine.errors import StudyError
from ravine.rules import RULES, Hyper
from ravine.study import parse_study
from ravine.study.values import Range, parse_values

LR = Hyper(about="learning rate", low_open=True)


def test_a_log_range_has_exact_ends_and_values_as_a_person_writes_them():
    values = Range(log=(1e-4, 1.0), num=9).grid()
    assert (values[0], values[2], values[4], values[6], values[8]) == (0.0001, 0.001, 0.01, 0.1, 1.0)
    assert Range(log=(1e-5, 1e-1), num=9).grid()[::2] == (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
    assert Range(linear=(0.0, 0.5), num=6).grid() == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)


@given(st.floats(1e-12, 1e6), st.floats(1.001, 1e6), st.integers(2, 50))
def test_ranges_agree_with_numpy(low, ratio, num):
    high = low * ratio
    log, linear = Range(log=(low, high), num=num).grid(), Range(linear=(low, high), num=num).grid()
    # twelve digits are kept
    np.testing.assert_allclose(log, np.geomspace(low, high, num), rtol=6e-12)
    np.testing.assert_allclose(linear, np.linspace(low, high, num), rtol=6e-12)
    for values in (log, linear):
        assert (values[0], values[-1]) == (low, high)
        assert all(a < b for a, b in itertools.pairwise(values))


def test_whole_numbers_arrays_and_ranges_are_numbers():
    assert parse_values(1, "lr", LR) == 1.0
    assert isinstance(parse_values(1, "lr", LR), float)
    assert parse_values(np.array([1, 2]), "lr", LR) == (1.0, 2.0)
    assert parse_values(np.float32(0.5), "lr", LR) == 0.5
    assert parse_values(Range(log=(1.0, 2.0)), "lr", LR) == Range(log=(1, 2))


def test_minus_zero_is_zero():
    found = parse_values(-0.0, "weight_decay", Hyper(about="", low=0.0))
    assert math.copysign(1.0, found) == 1.0


def test_a_switch_takes_true_and_false(plain):
    study = parse_study(plain(rules=[{"kind": "adam", "bias_correction": [True, False]}]))
    assert study.rules[0].hypers["bias_correction"] == (1.0, 0.0)
    assert parse_study(plain(rules=[{"kind": "adam", "bias_correction": 0}])).rules[0].hypers == {
        "bias_correction": 0.0
    }


@pytest.mark.parametrize("kind", sorted(RULES))
def test_the_defaults_of_every_rule_are_allowed(plain, kind):
    block = parse_study(plain(rules=[{"kind": kind, "lr": 0.1}])).rules[0]
    run, hypers = block.complete()
    assert run == kind
    assert next(iter(hypers)) == "lr"
    for name, value in hypers.items():
        hyper = RULES[kind].hypers.get(name)
        assert hyper is None or name == "lr" or value == hyper.default


def test_a_preset_may_name_another_rule(plain):
    rule = {"kind": "nesterov", "lr": 0.1, "preset": "torch"}
    assert parse_study(plain(rules=[rule])).rules[0].complete()[0] == "nesterov_torch"
    rule = {"kind": "adam", "preset": "torch"}
    assert parse_study(plain(rules=[rule])).rules[0].complete()[1]["eps"] == 1e-8


def test_a_whole_number_is_one(plain):
    rules = [{"kind": "lbfgs", "history": [3, 10.0]}]
    assert parse_study(plain(rules=rules)).rules[0].hypers["history"] == (3.0, 10.0)
    for value in (2.5, 0, 101, {"log": [2, 20], "num": 3}):
        with pytest.raises(
            StudyError, match=r"^rules\.0\.history.*a whole number from 1 to 100, or a list of them$"
        ):
            parse_study(plain(rules=[{"kind": "lbfgs", "history": value}]))


def test_a_rule_that_searches_takes_no_penalty_that_its_loss_would_not_know(plain):
    with pytest.raises(StudyError, match=r"^rules\.0\.l1: not with newton; allowed: .*weight_decay$"):
        parse_study(plain(rules=[{"kind": "newton", "l1": 0.1}]))
