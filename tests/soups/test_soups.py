"""Soups: ways against a plain network in float64, what is refused, and what a soup is made of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from soup_studies import mixed, nll, outputs, study
from torch import Tensor, nn

import ravine
from ravine.cli import main
from ravine.data import load
from ravine.report.draw_barriers import draw_barriers
from ravine.store import Store
from ravine.verdict.barrier import barrier


def ids(store: Path, name: str, **wanted: object) -> list[str]:
    runs = Store(store, create=False).runs(name)
    return [
        run.id
        for run in runs
        if run.status == "done"
        and all(wanted[key] in (run.hypers.get(key), getattr(run, key, None)) for key in wanted)
    ]


def weights(store: Path, run: str) -> dict[str, np.ndarray]:
    return dict(Store(store, create=False).tensors("weights", run))


@pytest.mark.slow
def test_the_figure_shows_the_ways_and_how_far_they_are_above_their_lines(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = ids(store, "plain", lr=0.02)
    found = ravine.soup("plain", store=store, runs=runs)
    (way,) = found.ways
    (view,) = draw_barriers(found, "command").views
    losses, above = view.panels
    assert losses["data"][1]["y"] == pytest.approx(way.losses, rel=1e-4)
    line = next(trace for trace in above["data"] if trace["meta"] == "line")
    mean = (way.losses[0] + way.losses[-1]) / 2
    assert max(line["y"]) == pytest.approx(100 * way.barrier / mean, rel=1e-4)
    band = next(trace for trace in above["data"] if trace["meta"] == "band")
    assert max(band["y"]) == pytest.approx(100 * way.upper / mean, rel=1e-4)
    page = tmp_path / "barrier.html"
    assert main(["soup", "plain", "--store", str(store), "--runs", ",".join(runs), "--out", str(page)]) == 0
    assert capsys.readouterr().out.endswith(f"barriers: {page}\n")
    html = page.read_text()
    assert 'id="figure-barriers"' in html
    assert f'--out</span> <span class="word">{page}' in html
    assert main(["soup", "plain", "--store", str(store), "--out", "x.txt"]) == 2
    assert "--out x.txt: a page must end in .html" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["plain", "normed"])
def test_a_way_is_what_a_plain_network_finds(store: Path, name: str) -> None:
    """Row 10 of two seeds: weights mixed in float64, statistics of all training examples, eleven points."""
    first, second = ids(store, name, lr=0.02)
    found = ravine.soup(name, store=store, runs=[first, second])
    (way,) = found.ways
    data = load(study().data)
    assert [way.first, way.second] == sorted([first, second])
    ends = [weights(store, way.first), weights(store, way.second)]
    losses = [
        nll(outputs(mixed(*ends, share), data.validation.x, data.train.x), data.validation.y).mean()
        for share in np.linspace(0.0, 1.0, 11)
    ]
    assert way.losses == pytest.approx(losses, rel=2e-5)
    height, at = barrier(np.linspace(0.0, 1.0, 11), np.array(losses))
    assert (way.barrier, way.at) == pytest.approx((height, at), rel=1e-4)
    assert height > 0.01
    assert not found.accepted
    assert found.weights is None


def test_a_barrier_is_a_result_and_the_ensemble_is_offered(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = ids(store, "plain", lr=0.02)
    assert main(["soup", "plain", "--store", str(store), "--runs", ",".join(runs)]) == 0
    printed = capsys.readouterr().out
    assert "not averaged, there is a barrier between" in printed
    assert "Use their ensemble instead" in printed
    assert main(["soup", "plain", "--store", str(store), "--runs", ",".join(runs), "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read["accepted"] is False
    assert read["id"] is None
    (tried,) = read["tried"]
    assert len(tried["ways"][0]["losses"]) == len(tried["ways"][0]["x"]) == 11
    pooled = ravine.ensemble("plain", store=store, members=runs).judged[-1].raw["validation"]
    assert tried["ensemble"]["loss"] == pytest.approx(pooled["nll"], rel=1e-9)
    assert tried["ensemble"]["accuracy"] == pooled["accuracy"]


def test_of_a_regression_with_norms_two_seeds_are_refused(store: Path) -> None:
    """Row 9: statistics estimated again do not make a mean of two seeds' weights a good network."""
    first, second = ids(store, "values")
    found = ravine.soup("values", store=store, runs=[first, second])
    (way,) = found.ways
    data = load(study(data="diabetes").data)
    ends = [weights(store, way.first), weights(store, way.second)]
    errors = [
        np.square(
            outputs(mixed(*ends, share), data.validation.x, data.train.x)[:, 0] - data.validation.y
        ).mean()
        for share in np.linspace(0.0, 1.0, 11)
    ]
    assert way.losses == pytest.approx(np.array(errors) * data.loss_unit, rel=2e-5)
    assert not found.accepted
    opened = Store(store, create=False)
    labels = opened.labels.of(opened.study("values").data_fingerprint)
    stored = [opened.tensors("predictions", run)["validation"].astype(np.float64) for run in (first, second)]
    assert found.chosen.ensemble.loss == pytest.approx(
        np.square(np.mean(stored, axis=0) - labels.validation).mean()
    )
    assert "validation MSE" in found.sentences[1]


def test_seeds_of_a_linear_model_share_the_basin(store: Path) -> None:
    """Its loss is convex, so no point of a way is above the line between its ends."""
    runs = ids(store, "linear")
    found = ravine.soup("linear", store=store, runs=runs)
    assert found.accepted
    assert all(way.barrier == 0.0 for way in found.ways)
    assert len(found.ways) == 3
    assert found.weights is not None
    for name, value in found.weights.items():
        mean = np.mean([weights(store, run)[name].astype(np.float64) for run in runs], axis=0)
        assert np.array_equal(value, mean.astype(np.float32))
    data = load(study().data)
    logits = (
        data.validation.x.astype(np.float64) @ found.weights["output.weight"].T + found.weights["output.bias"]
    )
    assert found.chosen.mean.loss == pytest.approx(nll(logits, data.validation.y).mean(), rel=1e-5)
    assert found.chosen.outputs("validation") == pytest.approx(logits, abs=1e-4)
    assert found.id == ravine.soup("linear", store=store, runs=runs[::-1]).id


@pytest.mark.parametrize("name", ["plain", "normed"])
def test_one_run_is_itself_to_the_last_bit(store: Path, name: str) -> None:
    run = ids(store, name)[0]
    found = ravine.soup(name, store=store, runs=[run])
    assert found.accepted
    assert found.weights is not None
    for key, value in weights(store, run).items():
        assert np.array_equal(found.weights[key], value)
        assert found.weights[key].dtype == value.dtype
    predicted = Store(store, create=False).tensors("predictions", run)
    for split in ("validation", "test"):
        assert np.array_equal(found.chosen.outputs(split), predicted[split])  # type: ignore[arg-type]


def test_norms_are_estimated_again_and_counters_kept(store: Path) -> None:
    run = ids(store, "normed")[0]
    found = ravine.soup("normed", store=store, runs=[f"{run}@60", run])
    assert found.accepted
    assert found.weights is not None
    before = load(study().data).train.x.astype(np.float64) @ found.weights["linear1.weight"].astype(
        np.float64
    ).T + found.weights.get("linear1.bias", 0.0)
    assert found.weights["norm1.running_mean"] == pytest.approx(before.mean(0), abs=1e-5)
    assert found.weights["norm1.running_var"] == pytest.approx(before.var(0), rel=1e-4)
    assert found.weights["norm1.num_batches_tracked"] == 60


def test_an_average_may_be_a_member(store: Path) -> None:
    run = ids(store, "plain")[0]
    found = ravine.soup("plain", store=store, runs=[run, f"{run}#ema 0.9"])
    assert found.accepted
    opened = Store(store, create=False)
    ends = [opened.tensors(kind, run)["output.weight"] for kind in ("weights", "ema 0.9/weights")]
    assert found.weights is not None
    assert np.array_equal(
        found.weights["output.weight"], np.mean(ends, axis=0, dtype=np.float64).astype(np.float32)
    )


def test_greedy_adds_what_is_strictly_better(store: Path) -> None:
    """Against the same walk with a plain network: sorted by loss, added if the mean is better."""
    runs = [f"{ids(store, 'plain', lr=0.04)[0]}{at}" for at in ("@16", "@32", "@40", "")]
    found = ravine.soup("plain", store=store, runs=runs, how="greedy")
    opened, data = Store(store, create=False), load(study().data)

    def read(name: str) -> dict[str, np.ndarray]:
        run, _, step = name.partition("@")
        if not step:
            return weights(store, run)
        steps, along = opened.kept.path(run)
        return {key: value[steps.tolist().index(int(step))] for key, value in along.items()}

    def loss(names: list[str]) -> float:
        each = [read(name) for name in names]
        mean = {key: np.mean([w[key].astype(np.float64) for w in each], axis=0) for key in each[0]}
        return float(nll(outputs(mean, data.validation.x), data.validation.y).mean())

    order = sorted(runs, key=lambda name: loss([name]))
    used = order[:1]
    for name in order[1:]:
        if loss([*used, name]) < loss(used):
            used.append(name)
    assert len(used) > 1
    assert [step.member for step in found.chosen.added] == order[1:]
    assert {step.member for step in found.chosen.added if step.outcome == "added"} == set(used[1:])
    assert all(step.outcome != "barrier" for step in found.chosen.added)
    assert found.chosen.mean.loss == pytest.approx(loss(used), rel=1e-4)


def test_without_runs_it_tries_what_shares_a_start(store: Path) -> None:
    found = ravine.soup(study(), store=store, how="uniform")
    near, path = found.tried
    assert len({member.seed for member in near.members}) == 1
    assert len({member.config for member in near.members}) in (2, 3)
    assert len({member.run for member in path.members}) == 1
    assert [member.step for member in path.members][-1] is None
    assert len(path.ways) == len(path.members) * (len(path.members) - 1) // 2
    assert path.accepted  # points along one run
    assert str(found).startswith("plain: soup ")
    assert "<table>" in found._repr_html_()
    assert found.json()["tried"][1]["accepted"] is True


class Odd(nn.Module):
    """A tied weight, a frozen one, and a shuffle of the inputs that is another for each seed."""

    shuffled = True

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(13, 13, bias=False), nn.Linear(13, 13, bias=False)
        self.second.weight = self.first.weight
        self.frozen, self.out = nn.Linear(13, 6), nn.Linear(6, 3)
        self.frozen.weight.requires_grad_(False)
        self.register_buffer("order", torch.randperm(13) if self.shuffled else torch.arange(13))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.frozen(self.second(self.first(x[:, self.order]).relu())))


class Tied(Odd):
    """The same without a shuffle."""

    shuffled = False


def test_tied_frozen_and_whole_numbers(tmp_path: Path) -> None:
    given = [
        study(name=model.__name__, model=model, rules=[{"kind": "sgd", "lr": [0.01, 0.012]}], epochs=3)
        for model in (Tied, Odd)
    ]
    for each in given:
        ravine.run(each, store=tmp_path, quiet=True, device="cpu")
    runs = ids(tmp_path, "Tied", seed=0)
    found = ravine.soup(given[0], store=tmp_path, runs=runs)
    assert found.accepted
    assert found.weights is not None
    assert "second.weight" not in found.weights
    module = Tied()
    state = {key: torch.from_numpy(value) for key, value in found.weights.items()}
    module.load_state_dict({**state, "second.weight": state["first.weight"]})
    assert module.second.weight is module.first.weight
    assert np.array_equal(found.weights["frozen.weight"], weights(tmp_path, runs[0])["frozen.weight"])
    data = load(study().data)
    with torch.no_grad():
        logits = module(torch.from_numpy(data.test.x))
    assert found.chosen.outputs("test") == pytest.approx(logits.numpy(), abs=1e-5)
    with pytest.raises(ravine.InputError, match="differ in 'order', a buffer of whole numbers"):
        ravine.soup(given[1], store=tmp_path, runs=ids(tmp_path, "Odd", lr=0.01))


def test_mistakes_are_one_line(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = ids(store, "plain")[0]
    opened = Store(store, create=False)
    diverged = next(run.id for run in opened.runs("wide") if run.status == "diverged")
    for runs, said in (
        ("xyz", "runs: 'xyz' is no id of a run"),
        ("0000000", "no run in the store begins with '0000000'"),
        (f"{own},{own}", "is named twice"),
        (f"{own}@7", "has no weights after step 7; there are some after 0, 8, 16, ..., 64"),
        (f"{own}#ema 0.5", "has no average 'ema 0.5'; it has ema 0.9"),
        (f"{own},{ids(store, 'split')[0]}", "was trained on other data"),
        (f"{own},{ids(store, 'wide')[0]}", "was trained with another model"),
        (f"{diverged}", "is diverged; only runs that are done have weights"),
    ):
        assert main(["soup", "plain", "--store", str(store), "--runs", runs]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    with pytest.raises(ravine.InputError, match="no runs are likely to lie in one basin"):
        ravine.soup("linear", store=store)
    with pytest.raises(ravine.InputError, match="how = 'all'"):
        ravine.soup("plain", store=store, how="all")
