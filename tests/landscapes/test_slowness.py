"""Why a rate makes training take longer, against an enumeration of all masks and curves read by hand."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import ravine
from ravine import rng
from ravine.errors import InputError
from ravine.landscapes.slowness import Slowness
from ravine.launch.subject import Subject
from ravine.store import Store
from ravine.study import Study


def study_of(**changes: object) -> Study:
    given: dict[str, object] = {
        "name": "s", "data": "iris", "model": {"kind": "mlp", "hidden": [3], "dropout": [0.0, 0.5]}, "steps": 80,
        "batch_size": 1, "seeds": 1, "evaluations": 20, "rules": [{"kind": "sgd", "lr": [0.01, 0.05]}],
    } | changes  # fmt: skip
    return Study(**given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("slowness")
    ravine.run(study_of(), store=found, quiet=True)
    return found


@pytest.fixture(scope="module")
def found(folder: Path) -> Slowness:
    return ravine.slowness("s", store=folder, draws=8, quiet=True)


@pytest.mark.slow
def test_noise_and_units_are_those_of_all_masks(folder: Path) -> None:
    found = ravine.slowness("s", store=folder, draws=2000, quiet=True)
    subject = Subject.of(study_of())
    runs = subject.runs()
    network = subject.network(runs)
    for seed in (0,):
        first = network.initial(seed)
        w1, b1, w2, b2 = (first[name].double() for name in network.layout.names)
        row = rng.permutation(rng.key(seed, "order", 0), len(subject.data.train))[:1].numpy()
        x = torch.from_numpy(subject.data.train.x[row]).double()
        y = torch.from_numpy(subject.data.train.y[row])
        grads, shares = [], []
        for mask in itertools.product([0.0, 2.0], repeat=3):
            params = [each.clone().requires_grad_() for each in (w1, b1, w2, b2)]
            before = x @ params[0].T + params[1]
            hidden = before.relu() * torch.tensor([mask]).double()
            loss = F.cross_entropy(hidden @ params[2].T + params[3], y)
            *own, of_units = torch.autograd.grad(loss, [*params, before])
            grads.append(torch.cat([grad.flatten() for grad in own]))
            shares.append(float((of_units != 0).double().mean()))
        table = torch.stack(grads)
        variance = (table - table.mean(0)).square().sum(1).mean()
        exact = float(variance / table.mean(0).square().sum())
        (start,) = (
            each for each in found.points if (each.point, each.seed, each.rate) == ("start", seed, 0.5)
        )
        assert start.noise == pytest.approx(exact, rel=0.1)  # of 2,000 draws the standard error is 4 %
        assert start.share == pytest.approx(np.mean(shares), abs=0.02)


@pytest.mark.slow
def test_without_masks_there_is_no_noise(found: Slowness) -> None:
    for each in found.points:
        assert (each.noise == 0.0) == (each.rate == 0.0)
        assert each.sampling > 0.0


def test_steps_are_read_from_the_curves_of_the_fastest_config(folder: Path, found: Slowness) -> None:
    with Store(folder, create=False) as store:
        records = store.runs("s")
        curves = store.curves_of([r.id for r in records], ("validation_loss",))["validation_loss"]
    lowest = {
        rate: min(
            max(
                curves[r.id][1].min()
                for r in records
                if (r.hypers["model.dropout"], r.hypers["lr"]) == (rate, lr)
            )
            for lr in (0.01, 0.05)
        )
        for rate in (0.0, 0.5)
    }
    assert found.chosen.loss == pytest.approx(max(lowest.values()))
    for each in found.chosen.rates:
        medians = {}
        for lr in (0.01, 0.05):
            steps = []
            for r in records:
                if (r.hypers["model.dropout"], r.hypers["lr"]) == (each.rate, lr):
                    at, values = curves[r.id]
                    steps.append(
                        next((s for s, v in zip(at, values, strict=True) if v <= found.chosen.loss), np.inf)
                    )
            medians[lr] = np.median(steps)
        assert each.typical == min(medians.values())
        assert medians[each.records[0].hypers["lr"]] == each.typical


def test_page_and_plain_data(folder: Path, found: Slowness, tmp_path: Path) -> None:
    out = tmp_path / "slow.html"
    again = ravine.slowness("s", store=folder, draws=4, loss=1.0, out=out, quiet=True)
    text = out.read_text(encoding="utf-8")
    assert "Why training takes longer with dropout" in text
    assert "Hidden units with a gradient" in text
    assert again.chosen.loss == 1.0
    plain = json.loads(json.dumps(found.json(), allow_nan=False))
    assert [each["rate"] for each in plain["rates"]] == [0.0, 0.5]
    assert plain["rates"][0]["noise_start"] == 0.0
    assert "steps to" in str(found.grid())


def test_a_study_that_compares_the_rate_has_the_same_steps(folder: Path, found: Slowness) -> None:
    ravine.run(study_of(name="levels", compare="dropout"), store=folder, quiet=True)  # the same runs
    levels = ravine.slowness("levels", store=folder, draws=2, quiet=True).chosen
    assert levels.rule == "sgd"
    assert [each.steps for each in levels.rates] == [each.steps for each in found.chosen.rates]


def test_bad_input(folder: Path, tmp_path: Path) -> None:
    for given, words in (
        ({"draws": 1}, "draws = 1: must be"),
        ({"loss": -1.0}, "loss = -1.0: must be"),
        ({"rate": "dropot"}, "rate = 'dropot': does not vary in study 's'"),
        ({"rule": "adam"}, "rule = 'adam': in study 's' no run"),
        ({"out": tmp_path / "x.png"}, "must end in .html"),
    ):
        with pytest.raises(InputError) as error:
            ravine.slowness("s", store=folder, quiet=True, **given)  # type: ignore[arg-type]
        assert words in str(error.value)
        assert "\n" not in str(error.value)
    ravine.run(study_of(name="flat", model={"kind": "mlp", "hidden": [3]}, steps=2), store=folder, quiet=True)
    with pytest.raises(InputError, match="no rate of its model varies"):
        ravine.slowness("flat", store=folder, quiet=True)
