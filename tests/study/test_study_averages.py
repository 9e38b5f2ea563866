"""`averages` in a study: what is read, what is refused, and that it is no part of a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ravine.data import load, parse_data
from ravine.errors import StudyError
from ravine.schedules import parse_schedule
from ravine.study import Study, base_of, definition_of, parse_definition, runs_of
from ravine.study.averages import Averages, Swa, parse_averages

CYCLES = {"kind": "cosine_restarts", "cycles": 4}
ALL = {
    "ema": [0.9, 0.999],
    "polyak": {"from": 0.5},
    "swa": {"from": 0.25, "every": "cycle"},
    "bank": {"steps": 40},
    "batchnorm": "last",
}


def made(**changes: Any) -> Study:
    fields = {"name": "s", "data": "iris", "model": "mlp", "epochs": 8, "rules": ["adam"], "schedule": CYCLES}
    return Study(**{**fields, **changes})


def test_everything_is_read_and_written_again() -> None:
    study = made(averages=ALL)
    assert study.averages == Averages(
        ema=(0.9, 0.999), polyak=0.5, swa=Swa(start=0.25, every="cycle"), bank=40, batchnorm="last"
    )
    assert study.averages.content() == ALL
    assert parse_definition(definition_of(study)).averages == study.averages
    assert replace(study, name="t").averages == study.averages
    assert "averages" not in definition_of(made())


def test_a_bank_alone_is_enough() -> None:
    study = made(averages={"bank": True})
    assert study.averages == Averages(bank=20)
    assert study.averages.names == ()
    assert study.averages.tracked == ("bank 0.05", "bank 0.1", "bank mean")
    assert study.averages.content() == {"bank": True}
    assert parse_averages({"ema": 0.9, "bank": False}) == Averages(ema=(0.9,))


def test_one_decay_and_the_defaults() -> None:
    found = parse_averages({"ema": 0.5, "polyak": {}, "swa": {"every": 2}})
    assert found == Averages(ema=(0.5,), polyak=0.0, swa=Swa(start=0.0, every=2))
    assert found.names == ("ema 0.5", "polyak", "swa")


def test_averages_are_no_part_of_a_run_nor_of_what_must_not_change() -> None:
    data = load(parse_data("iris", "data"))
    with_, without = made(averages=ALL), made()
    assert [run.id for run in runs_of(with_, data)] == [run.id for run in runs_of(without, data)]
    assert base_of(with_, data) == base_of(without, data)


@pytest.mark.parametrize(
    ("averages", "message"),
    [
        ([], "averages = []: must be a table such as"),
        ({}, "averages: no average is named"),
        ({"batchnorm": "again"}, "averages: no average is named"),
        ({"bank": False}, "averages: no average is named"),
        ({"bank": 20}, "averages.bank = 20: must be true, or a table such as { steps = 20 }"),
        ({"bank": {}}, "averages.bank.steps: missing"),
        ({"bank": {"steps": 1}}, "averages.bank.steps = 1: must be a whole number from 2 to 1,000"),
        ({"bank": {"every": 1}}, "averages.bank.every: unknown key"),
        ({"emma": 0.9}, "averages.emma: unknown key; did you mean 'ema'?"),
        ({"ema": 1.0}, "averages.ema = 1.0: must be a number above 0 and below 1"),
        ({"ema": [0.9, True]}, "averages.ema = True: must be a number"),
        ({"ema": [0.9, 0.9]}, "averages.ema = [0.9, 0.9]: has the same decay twice"),
        ({"ema": float("nan")}, "averages.ema = nan: must be a number"),
        ({"ema": [i / 20 for i in range(1, 20)]}, "averages: 19 averages; at most 16 are allowed"),
        ({"polyak": 0.5}, "averages.polyak = 0.5: must be a table such as { from = 0.5 }"),
        ({"polyak": {"from": 1.0}}, "averages.polyak.from = 1.0: must be a part of the run"),
        ({"polyak": {"start": 0.5}}, "averages.polyak.start: unknown key"),
        ({"swa": {"from": 0.5}}, 'averages.swa.every: missing: "cycle", or a number of epochs'),
        ({"swa": {"every": "epoch"}}, "averages.swa.every = 'epoch': must be a whole number"),
        ({"swa": {"every": 0}}, "averages.swa.every = 0: must be a whole number"),
        (
            {"ema": 0.9, "batchnorm": "never"},
            "averages.batchnorm = 'never': must be 'again', 'average' or 'last'",
        ),
    ],
)
def test_what_is_refused(averages: Any, message: str) -> None:
    with pytest.raises(StudyError) as caught:
        made(averages=averages)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_cycles_that_no_schedule_has_are_refused() -> None:
    swa = {"swa": {"every": "cycle"}}
    assert made(averages=swa, schedule=["constant", CYCLES]).averages is not None
    with pytest.raises(
        StudyError, match=r"averages\.swa\.every = 'cycle': only schedule = \"cosine_restarts\""
    ):
        made(averages=swa, schedule=["constant", "cosine"])


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 10, 100])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.999999])
def test_at_least_one_step_is_averaged_and_none_of_the_part_that_is_left_out(steps: int, part: float) -> None:
    [average] = Averages(polyak=part).along(steps, 1, parse_schedule("constant"))
    assert average is not None
    counted = np.flatnonzero(average.share(np.arange(1, steps + 1))) + 1
    assert counted[0] == average.first <= steps
    assert part * steps < counted[0] <= part * steps + 1
