"""Predictors out of a store: which runs, and the same outputs as those stored when the runs were trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

import ravine
from ravine.api.studies import study_named
from ravine.data import Dataset, load
from ravine.errors import InputError
from ravine.predictors.choice import chosen
from ravine.predictors.predictor import Predictor
from ravine.predictors.stored import of_store
from ravine.store import Store

WHATS = ("winner", "ensemble", "greedy", "average")


def a_study(name: str, **changes: object) -> ravine.Study:
    given = {
        "name": name,
        "data": name,
        "model": {"kind": "mlp", "hidden": [8], "norm": "batch", "dropout": 0.1},
        "epochs": 5,
        "seeds": 3,
        "rules": [{"kind": "adam", "lr": [0.01, 0.03]}, {"kind": "sgd", "lr": [0.05, 1e30]}],
        "averages": {"ema": [0.9, 0.99]},
    }
    return ravine.Study(**given | changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("stored") / "runs"
    for name in ("iris", "diabetes"):
        ravine.run(a_study(name), store=folder, quiet=True, device="cpu")
    return Store(folder, create=False)


@pytest.fixture(scope="module")
def data() -> dict[str, Dataset]:
    return {name: load(a_study(name).data) for name in ("iris", "diabetes")}


def predictor(store: Store, name: str, what: str) -> Predictor:
    return of_store(store, name, what, find=lambda: study_named(store, name), device="cpu")


@pytest.mark.parametrize("name", ["iris", "diabetes"])
@pytest.mark.parametrize("what", WHATS)
def test_outputs_are_those_that_were_stored(
    store: Store, data: dict[str, Dataset], name: str, what: str
) -> None:
    found = predictor(store, name, what)
    for split in ("validation", "test"):
        outputs = found.outputs(getattr(data[name], split).x)
        for member, own in outputs.items():
            run, _, average = member.partition("#")
            stored = store.tensors(f"{average}/predictions" if average else "predictions", run)[split]
            # Float32 sums in another order: a few units in the last place.
            np.testing.assert_allclose(own, stored, rtol=2e-5, atol=2e-6 * np.abs(stored).max())


def test_the_pool_is_the_mean_of_probabilities_at_its_temperature(
    store: Store, data: dict[str, Dataset]
) -> None:
    found = predictor(store, "iris", "ensemble")
    said = found.predict_prepared(data["iris"].test.x)
    each = np.stack([log_softmax(own.astype(np.float64), axis=1) for own in said.outputs.values()])
    pooled = logsumexp(each, axis=0) - np.log(3)
    hot = log_softmax(pooled / found.temperature, axis=1)
    np.testing.assert_allclose(said.p, np.exp(hot), atol=1e-12)
    classes = each.argmax(axis=2)
    np.testing.assert_allclose(said.disagreement, (classes != said.predicted).mean(axis=0), atol=1e-12)
    assert said.names == tuple(found.classes[index] for index in said.predicted)


def test_a_regression_predicts_the_mean_in_the_targets_own_units(
    store: Store, data: dict[str, Dataset]
) -> None:
    found = predictor(store, "diabetes", "ensemble")
    said = found.predict_prepared(data["diabetes"].test.x)
    values = np.stack([store.tensors("predictions", each.name)["test"] for each in found.members])
    np.testing.assert_allclose(said.predicted, values.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(said.disagreement, values.std(axis=0), rtol=1e-3)
    assert said.log_p is None
    assert 20.0 < said.predicted.min() < said.predicted.max() < 400.0


@pytest.mark.parametrize("name", ["iris", "diabetes"])
def test_the_winner_is_the_seed_that_is_best_on_validation(store: Store, name: str) -> None:
    metric, sign = ("validation_accuracy", 1.0) if name == "iris" else ("validation_loss", -1.0)
    runs = [run for run in store.runs(name) if run.status == "done"]
    means = {
        config: np.mean([sign * run.metrics[metric] for run in runs if run.config == config])
        for config in {run.config for run in runs}
    }
    best = max(means.values())
    seeds = [run for run in runs if means[run.config] == best]
    config = min(seeds, key=lambda run: float(run.hypers["lr"])).config
    winner = [run for run in seeds if run.config == config]
    top = max(sign * run.metrics[metric] for run in winner)
    (own,) = chosen(store, name, "winner").members
    assert store.run(own.run).config == config
    assert sign * store.run(own.run).metrics[metric] == top
    assert {each.run for each in chosen(store, name, "ensemble").members} == {run.id for run in winner}
    (average,) = chosen(store, name, "average").members
    scores = {
        (run.id, average): sign * run.metrics[f"{average}/{metric}"]
        for run in winner
        for average in ("ema 0.9", "ema 0.99")
    }
    assert scores[average.run, average.average] == max(scores.values())


def test_a_run_by_the_beginning_of_its_id(store: Store, data: dict[str, Dataset]) -> None:
    run = next(run for run in store.runs("iris") if run.rule == "sgd" and run.status == "done")
    found = predictor(store, "iris", run.id[:8])
    assert [(each.name, each.share) for each in found.members] == [(run.id, 1.0)]


def test_a_stored_average_of_a_run(store: Store, data: dict[str, Dataset]) -> None:
    run = chosen(store, "iris", "winner").members[0].run
    found = predictor(store, "iris", f"{run[:8]}#ema 0.99")
    ((name, own),) = found.outputs(data["iris"].validation.x).items()
    stored = store.tensors("ema 0.99/predictions", run)["validation"]
    assert name == f"{run}#ema 0.99"
    np.testing.assert_allclose(own, stored, rtol=2e-5, atol=2e-6 * np.abs(stored).max())


@pytest.mark.slow
def test_a_soup_is_one_network_with_the_mean_of_the_weights(tmp_path: Path, data: dict[str, Dataset]) -> None:
    rules = [{"kind": "adam", "lr": [0.1, 0.12]}]
    model = {"kind": "mlp", "hidden": []}
    linear = a_study("iris", model=model, rules=rules, seeds=1, averages=None, epochs=10, batch_size=4)
    ravine.run(linear, store=tmp_path, quiet=True, device="cpu")
    more = Store(tmp_path, create=False)
    found = predictor(more, "iris", "soup")
    ((_, own),) = found.outputs(data["iris"].validation.x).items()
    soup = ravine.soup("iris", store=tmp_path)
    used = [more.tensors("weights", member.run) for member in soup.members]
    mean = {name: np.mean([each[name] for each in used], axis=0) for name in used[0]}
    wanted = data["iris"].validation.x @ mean["output.weight"].T + mean["output.bias"]
    np.testing.assert_allclose(own, wanted, atol=1e-5)


def test_what_cannot_predict_is_refused_in_one_line(store: Store, tmp_path: Path) -> None:
    lost = next(run for run in store.runs("iris") if run.status == "diverged")
    for what, words in {
        "winer": "did you mean 'winner'",
        "0000": "0000",
        lost.id: "diverged at step",
        "winner,ensemble": "allowed",
    }.items():
        with pytest.raises(InputError, match=words) as error:
            chosen(store, "iris", what)
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="no study"):
        chosen(store, "irs")
    # Begun and not finished: no winner yet, but its finished runs can be used.
    apart = tmp_path / "apart"
    ravine.run(a_study("iris", seeds=1, averages=None), store=apart, quiet=True, device="cpu")
    more = Store(apart, create=False)
    first = more.runs("iris")[0]
    from ravine.launch.enter import _new_run
    from ravine.study import runs_of

    again = [
        _new_run(run) for run in runs_of(a_study("iris", seeds=2, averages=None), load(a_study("iris").data))
    ]
    more.add_runs("iris", again)
    with pytest.raises(InputError, match="4 runs of 8 have not finished"):
        chosen(more, "iris")
    with pytest.raises(InputError, match="not finished"):
        chosen(more, "iris", "average")
    assert chosen(more, "iris", first.id).members[0].run == first.id
