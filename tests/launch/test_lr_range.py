"""The learning-rate range test: against a quadratic, whose limit is known, and as a user sees it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import ravine
from command_line import ravine as command
from ravine.errors import InputError, StudyError
from ravine.launch.lr_range import fallen, smoothed
from ravine.schedules import parse_schedule, table
from ravine.study import Study

KINDS = ("sgd", "momentum", "adam")


def digits(**fields: object) -> Study:
    given = {"model": {"kind": "mlp", "hidden": [32]}, "seeds": 2, "epochs": 5, "batch_size": 64, **fields}
    return Study(name="range", data="digits", rules=[{"kind": kind, "lr": 0.1} for kind in KINDS], **given)


class Line(nn.Linear):
    def __init__(self) -> None:
        super().__init__(4, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)


def test_gradient_descent_on_a_quadratic_is_lost_beyond_its_limit() -> None:
    """Full batch, loss |Xw - y|^2 / n: gradient descent diverges beyond lr = 2 / lambda_max of 2 X'X / n."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 4))
    y = x @ np.array([1.0, -2.0, 0.5, 0.0]) + 0.5 * rng.standard_normal(400)
    data = ravine.from_arrays(x.astype(np.float32), y.astype(np.float32), task="regression")
    study = Study(
        name="line",
        data=data,
        model=Line,
        seeds=2,
        steps=5,
        batch_size="full",
        rules=[{"kind": "sgd", "lr": 0.1}],
    )
    (found,) = ravine.lr_range(study, low=1e-4, high=100.0, num_steps=400, quiet=True)
    train = data.train.x.reshape(len(data.train), -1).astype(np.float64)
    limit = 2.0 / np.linalg.eigvalsh(2.0 * train.T @ train / len(train)).max()
    assert found.diverged is not None
    # At the limit itself the loss only ceases to fall; to grow by half of it in some steps takes a little more.
    assert limit < found.diverged < 2.0 * limit
    assert found.lowest is not None
    assert 0.1 * limit < found.lowest < 1.2 * limit


def test_what_it_says_of_digits() -> None:
    sgd, momentum, adam = ravine.lr_range(digits(), quiet=True)
    for each in (sgd, momentum, adam):
        assert each.loss.shape == (2, 300)
        assert each.lr[0] == pytest.approx(1e-6)
        assert each.lr[-1] == pytest.approx(10.0)
        assert each.suggested < each.lowest
        assert each.suggested < each.diverged / 5  # at most a tenth, seed by seed
        assert each.low <= each.suggested <= each.high
        assert each.diverged > each.lowest
        assert not each.why_not
    assert 1.5 < sgd.suggested / momentum.suggested < 30  # a velocity of 0.9 is ten gradients long
    assert 3e-4 < adam.suggested < 3e-2


def test_it_leaves_no_trace_and_repeats_itself() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second = (ravine.lr_range(digits(), num_steps=60, quiet=True) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(first, second, strict=True):
        assert a.loss.tobytes() == b.loss.tobytes()


@pytest.mark.parametrize("backend", ["fused", "serial"])
def test_every_backend_finds_the_same(backend: str) -> None:
    options = {"num_steps": 100, "high": 0.5, "quiet": True}
    for a, b in zip(
        ravine.lr_range(digits(), **options),
        ravine.lr_range(digits(), backend=backend, **options),
        strict=True,
    ):
        early = slice(0, 60)  # later, rounding has been blown up by training
        np.testing.assert_allclose(a.loss[:, early], b.loss[:, early], rtol=1e-3)


def test_the_suggestion_lies_where_four_fifths_of_the_fall_are_done() -> None:
    """One seed, so no median: on the curve itself, unless a tenth of where the loss is lost is less."""
    (found,) = ravine.lr_range(
        Study(name="r", data="digits", model="mlp", epochs=1, seeds=1, rules=[{"kind": "adam", "lr": 0.1}]),
        quiet=True,
    )
    (loss,) = found.loss
    at = int(np.abs(np.log(found.lr / found.suggested)).argmin())
    target = loss[0] - 0.8 * (loss[0] - np.nanmin(loss))
    assert loss[at] <= target < loss[:at].min()
    assert found.suggested < found.diverged / 10


def test_a_fall_is_measured_from_start_to_lowest() -> None:
    assert fallen(np.array([1.0, 0.5, 0.21, 0.19, 0.0, 0.4])) == 3
    assert fallen(np.array([3.0, 2.0, 1.0])) == 2


def test_small_data_that_are_learned_by_heart_get_a_suggestion_that_trains_well() -> None:
    """At a third of the lr of the lowest loss, 3.3, the validation loss is 5e5 times that of the best lr of a sweep."""
    fields = {"data": "wine", "model": {"kind": "mlp", "hidden": [64, 64]}, "batch_size": 32, "epochs": 60}
    (found,) = ravine.lr_range(Study(name="w", rules=[{"kind": "adam", "lr": 0.1}], **fields), quiet=True)
    assert found.lowest > 1.0
    assert 1e-3 < found.suggested < 0.05
    assert not found.why_not


def test_a_loss_that_still_falls_at_the_end_gives_no_suggestion() -> None:
    (found, *_) = ravine.lr_range(digits(), high=0.05, quiet=True)
    assert found.suggested is None
    assert found.why_not == "the loss was still falling at the highest lr; try a higher limit"


def test_limits_that_are_too_low_are_told_from_those_that_are_too_high() -> None:
    (found, *_) = ravine.lr_range(digits(), high=1e-4, num_steps=40, quiet=True)
    assert found.suggested is None
    assert found.why_not == "with 2 of 2 seeds the loss never fell; try a higher limit"


def test_a_rule_that_never_learns_gets_no_suggestion() -> None:
    found = ravine.lr_range(digits(), low=1e3, high=1e5, num_steps=40, quiet=True)
    assert all(each.suggested is None and "never fell; try a lower limit" in each.why_not for each in found)


def test_smoothing_is_a_median_and_a_mean_without_lag() -> None:
    line = np.linspace(1.0, 0.0, 200)
    np.testing.assert_allclose(smoothed(line)[10:-10], line[10:-10], atol=1e-12)
    spiked = line.copy()
    spiked[50] = 1e6
    np.testing.assert_allclose(smoothed(spiked)[12:-12], line[12:-12], atol=0.02)
    spiked[120] = np.nan
    assert np.isnan(smoothed(spiked)[120:]).all()
    assert np.isfinite(smoothed(spiked)[:120]).all()


def test_the_climb_has_equal_ratios() -> None:
    factors = table(parse_schedule({"kind": "climb", "start": 1e-4}), 5)
    np.testing.assert_allclose(factors, [1e-4, 1e-3, 1e-2, 1e-1, 1.0], rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "told"), [({"low": 0.0}, "low = 0"), ({"low": 2.0, "high": 1.0}, "0 < low < high"),
                          ({"low": 10**5000}, "low = an int too large to show, high = 10.0: must be 0 < low < high"),
                          ({"high": 10**400}, "0 < low < high, both finite"), ({"low": "a"}, "low = 'a'"),
                          ({"num_steps": 5}, r"num_steps \(--steps\) = 5: must be a whole number from 20 to 1,000,000"),
                          ({"num_steps": 10**5000}, r"num_steps \(--steps\) = an int too large to show")]
)  # fmt: skip
def test_wrong_limits_are_refused(options: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        ravine.lr_range(digits(), quiet=True, **options)  # type: ignore[arg-type]


def test_a_rule_that_looks_for_its_steps_is_refused() -> None:
    study = Study(
        name="range", data="iris", model="mlp", steps=5, rules=[{"kind": "sgd", "lr": 0.1}, "lbfgs"]
    )
    with pytest.raises(StudyError, match=r"^rules\.1\.kind = 'lbfgs': it looks for its steps"):
        ravine.lr_range(study, quiet=True)


@pytest.mark.slow
def test_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        'name = "s"\ndata = "digits"\nmodel = { kind = "mlp", hidden = [16] }\nepochs = 1\nseeds = 1\n'
        '[[rules]]\nkind = "sgd"\nlr = 0.1\n[[rules]]\nkind = "adam"\nlr = 0.1\n'
    )

    done = command(tmp_path, "lr", "s.toml", "--json", "--steps", "100", "--out", "page.html")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [each["rule"] for each in found] == ["sgd", "adam"]
    assert found[1]["suggested"] < found[0]["suggested"]
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Usable learning rates" in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "s.toml"]
    shown = command(tmp_path, "lr", "s.toml", "--steps", "100").stdout
    assert "suggested lr" in shown
    both = command(tmp_path, "lr", "s.toml", "--json", "--out", "-")
    assert (both.returncode, both.stdout) == (2, "")
    wrong = command(tmp_path, "lr", "s.toml", "--low", "5", "--high", "1")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "ravine: low = 5.0, high = 1.0: must be 0 < low < high, both finite\n"


def test_losses_too_large_for_float32_in_the_targets_own_units_are_no_fault() -> None:
    rules = [{"kind": "sgd", "lr": 0.1}, {"kind": "rmsprop", "lr": 0.1}]
    model = {"kind": "mlp", "hidden": [32]}
    study = Study(name="d", data="diabetes", model=model, steps=1, batch_size=32, seeds=3, rules=rules)
    for found in ravine.lr_range(study, quiet=True):  # a warning is an error here
        assert found.diverged is not None


def test_a_staged_study_is_tested_like_any_other() -> None:
    staged, plain = digits(tune="staged", schedule=["cosine"]), digits()
    one, other = (ravine.lr_range(study, quiet=True, num_steps=50) for study in (staged, plain))
    assert [found.hypers for found in one] == [found.hypers for found in other]
    for first, second in zip(one, other, strict=True):
        assert np.array_equal(first.loss, second.loss, equal_nan=True)
