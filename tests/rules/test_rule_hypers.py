"""Hyperparameters: ranges, defaults, presets, and what is said when they are wrong."""

from __future__ import annotations

import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ravine.errors import StudyError
from ravine.rules import REGULARIZERS, RULES, Hyper, fill, hyper_names, hypers, preset, rule

LR, RHO = RULES["momentum"].hypers["lr"], RULES["momentum"].hypers["rho"]


@pytest.mark.parametrize("kind", sorted(RULES))
def test_every_rule_is_complete(kind: str) -> None:
    named = rule(kind)
    assert named.name == kind
    assert named.source
    assert "lr" in named.hypers
    assert all(hyper.about and "\n" not in hyper.about for hyper in named.hypers.values())
    for name, hyper in {**named.hypers, **REGULARIZERS}.items():
        if hyper.default is not None:
            assert hyper.check(name, hyper.default, kind) == hyper.default
    assert set(named.torch.hypers) <= set(named.hypers)


@pytest.mark.parametrize(
    ("hyper", "name", "value", "message"),
    [
        (LR, "lr", 0, "rules[0] (adam): lr = 0: must be a finite number above 0"),
        (LR, "lr", -0.1, "rules[0] (adam): lr = -0.1: must be a finite number above 0"),
        (LR, "lr", math.nan, "rules[0] (adam): lr = nan: must be a finite number above 0"),
        (LR, "lr", math.inf, "rules[0] (adam): lr = inf: must be a finite number above 0"),
        (LR, "lr", "fast", "rules[0] (adam): lr = 'fast': must be a finite number above 0"),
        (LR, "lr", True, "rules[0] (adam): lr = True: must be a finite number above 0"),
        (LR, "lr", None, "rules[0] (adam): lr = None: must be a finite number above 0"),
        (RHO, "rho", 1.0, "rules[0] (adam): rho = 1.0: must be a number of at least 0 and below 1"),
        (RHO, "rho", -0.5, "rules[0] (adam): rho = -0.5: must be a number of at least 0 and below 1"),
    ],
)
def test_refused(hyper: Hyper, name: str, value: object, message: str) -> None:
    with pytest.raises(StudyError) as raised:
        hyper.check(name, value, "rules[0] (adam)")
    assert str(raised.value) == message


def test_a_number_too_large_for_a_float_is_refused() -> None:
    with pytest.raises(StudyError, match="lr = 1000"):
        LR.check("lr", 10**400, "adam")


@pytest.mark.parametrize("value", [1, 0.5, np.float32(0.5), np.float64(0.25), np.int64(2), Fraction(1, 4)])
def test_any_real_number_is_taken_as_a_float(value: object) -> None:
    checked = LR.check("lr", value, "adam")
    assert type(checked) is float
    assert checked == value


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    low=st.floats(-10.0, 10.0),
    width=st.floats(0.0, 10.0),
    opened=st.tuples(st.booleans(), st.booleans()),
    value=st.floats(-30.0, 30.0)
    | st.floats(-1e-37, 1e-37)
    | st.sampled_from([math.nan, math.inf, -math.inf]),
)
def test_a_range_holds_what_lies_in_it(
    low: float, width: float, opened: tuple[bool, bool], value: float
) -> None:
    high = low + width
    hyper = Hyper(about="any", low=low, high=high, low_open=opened[0], high_open=opened[1])
    fits_below = value > low or (value == low and not opened[0])
    fits_above = value < high or (value == high and not opened[1])
    held = value == 0.0 or abs(value) >= float(np.finfo(np.float32).smallest_normal)
    if fits_below and fits_above and held:
        assert hyper.check("x", value, "here") == value
    else:
        with pytest.raises(StudyError, match=r"^here: x = "):
            hyper.check("x", value, "here")


def test_fill() -> None:
    assert fill(rule("adam").hypers, {"lr": 1}, "adam") == {
        "lr": 1.0,
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-7,
        "bias_correction": 1.0,
    }
    with pytest.raises(StudyError) as raised:
        fill(rule("sgd").hypers, {}, "rules[2] (sgd)")
    assert str(raised.value) == "rules[2] (sgd): lr is missing: learning rate, a finite number above 0"
    with pytest.raises(StudyError) as raised:
        fill(rule("momentum").hypers, {"lr": 0.1, "roh": 0.9}, "rules[2] (momentum)")
    assert (
        str(raised.value)
        == "rules[2] (momentum): unknown hyperparameter 'roh': did you mean 'rho'? Allowed: lr, rho"
    )


def test_unknown_rule() -> None:
    with pytest.raises(StudyError) as raised:
        rule("adma")
    assert str(raised.value) == (
        "unknown rule 'adma': did you mean 'adam'? Allowed: adagrad, adam, adamw, bfgs, lbfgs, lion, momentum, muon, "
        "nadam, nesterov, nesterov_lookahead, nesterov_torch, newton, rmsprop, schedule_free_adamw, sgd"
    )


def test_presets() -> None:
    assert preset("adam") == (
        "adam",
        {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-7, "bias_correction": 1.0},
    )
    assert preset("adam", "torch")[1]["eps"] == 1e-8
    assert preset("nesterov", "torch") == ("nesterov_torch", {"rho": 0.9})
    assert preset("nesterov") == ("nesterov", {"rho": 0.9})
    with pytest.raises(StudyError) as raised:
        preset("adam", "pytorch")  # type: ignore[arg-type]
    assert (
        str(raised.value) == "adam: unknown preset 'pytorch': did you mean 'torch'? Allowed: lecture, torch"
    )


def test_names() -> None:
    penalties, clips = (
        ("weight_decay", "decoupled_weight_decay", "l1", "max_norm"),
        ("clip_value", "clip_norm"),
    )
    around = (*penalties, *clips, "sam_radius", "noise", "layer_decay", "anchor")
    assert hyper_names("momentum") == ("lr", "rho", *around)
    assert hyper_names("adamw").count("weight_decay") == 1
    assert hypers("adamw")["weight_decay"].default == 0.01
    assert hypers("adam")["weight_decay"].default == 0.0


def test_rules_and_schedules_import_without_torch() -> None:
    code = "import sys, ravine.rules, ravine.schedules; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
