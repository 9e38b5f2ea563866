"""An ensemble in each fold of a study, against pools, scores and a corrected t that are made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error

import ravine
from ravine.cli.main import main
from ravine.data import Dataset, from_arrays
from ravine.ensembles.fold_findings import FoldEnsemble
from ravine.errors import InputError
from ravine.outcomes.trials import Predicted
from ravine.store import Store

FOLDS, SEEDS, N = 4, 3, 160
RNG = np.random.default_rng(5)
X = RNG.standard_normal((N, 4))
Y = (X[:, 0] + 0.7 * RNG.standard_normal(N) > 0).astype(int)


def _study(name: str, data: Dataset, **more: Any) -> ravine.Study:
    return ravine.Study(
        name=name,
        data=data,
        model={"kind": "mlp", "hidden": [6]},
        steps=30,
        batch_size=16,
        seeds=SEEDS,
        rules=[{"kind": "adam", "lr": [3e-3, 0.05]}, {"kind": "sgd", "lr": 0.2}],
        **more,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pools") / "runs"
    ravine.run(
        _study("classes", from_arrays(X, Y, split={"folds": FOLDS, "repeats": 2})), store=folder, quiet=True
    )
    numbers = from_arrays(X, X[:, 0] + RNG.standard_normal(N), task="regression", split={"folds": FOLDS})
    ravine.run(_study("numbers", numbers), store=folder, quiet=True)
    return folder


def _softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    found: np.ndarray = odds / odds.sum(axis=1, keepdims=True)
    return found


def _winner(store: Store, runs: list[Any], metric: str, sign: float) -> list[Any]:
    """The runs of the config with the best mean on validation, the best seed first."""
    configs = {
        config: [run for run in runs if run.config == config] for config in {run.config for run in runs}
    }
    best = max(configs.values(), key=lambda own: np.mean([sign * run.metrics[metric] for run in own]))
    return sorted(best, key=lambda run: (-sign * run.metrics[metric], run.metrics["validation_loss"]))


def test_in_each_fold_the_winners_seeds_are_pooled_and_compared_over_folds(folder: Path) -> None:
    found = ravine.ensemble("classes", store=folder)
    assert isinstance(found, FoldEnsemble)
    assert found.kinds[0].name == "best run"
    assert found.kinds[-1].name == "ensemble"
    assert "winner's seeds" not in {each.name for each in found.kinds}  # they are the ensemble
    store, record = Store(folder), Store(folder).study("classes")
    apart, pooled_scores, alone_scores, ratios = [], [], [], []
    assert len(found.chosen) == 2 * FOLDS
    for fold, ensemble in found.chosen.items():
        labels = store.labels.of(fold.key(record.data_fingerprint))
        own = [run for run in store.runs("classes") if run.recipe["part"] == fold.content()]
        winner = _winner(store, own, "validation_accuracy", 1.0)
        assert set(ensemble.pool.weights) == {run.id for run in winner}
        tested = [_softmax(store.tensors("predictions", run.id)["test"]) for run in winner]
        pooled = np.mean(tested, axis=0)
        assert ensemble.test["accuracy"] == pytest.approx(accuracy_score(labels.test, pooled.argmax(axis=1)))
        if ensemble.temperature == 1.0:
            assert ensemble.test["nll"] == pytest.approx(log_loss(labels.test, pooled), rel=1e-6)
        pooled_scores.append(accuracy_score(labels.test, pooled.argmax(axis=1)))
        alone_scores.append(accuracy_score(labels.test, tested[0].argmax(axis=1)))
        apart.append(pooled_scores[-1] - alone_scores[-1])
        ratios.append(labels.sizes[2] / (labels.sizes[0] + labels.sizes[1]))
    (best, *_, last) = found.kinds
    assert last.test["accuracy"] == pytest.approx(np.mean(pooled_scores))
    assert last.spread["accuracy"] == pytest.approx(np.std(pooled_scores, ddof=1))
    assert best.test["accuracy"] == pytest.approx(np.mean(alone_scores))
    (row,) = (each for each in found.compared if (each.second, each.score) == ("best run", "accuracy"))
    assert row.difference == pytest.approx(np.mean(apart))
    scale = np.sqrt((1 / len(apart) + np.mean(ratios)) * np.var(apart, ddof=1))
    half = stats.t.ppf(1 - 0.05 / len(found.compared) / 2, len(apart) - 1) * scale
    assert (
        row.interval[1] - row.difference >= half * 0.75
    )  # where examples say more, with more degrees of freedom
    assert row.interval[0] < row.difference < row.interval[1]
    assert row.outcome == "not separable"


def test_the_interval_is_the_corrected_t_where_folds_are_apart() -> None:
    """Losses whose mean differs from fold to fold by far more than examples do."""
    from ravine.verdict.fold_errors import error_over_folds
    from ravine.verdict.student import half_width

    rng = np.random.default_rng(0)
    means = np.array([0.3, -0.1, 0.5, 0.2, 0.1])
    differences = {(0, k): mean + 0.01 * rng.standard_normal(400) for k, mean in enumerate(means)}
    exact = np.array([each.mean() for each in differences.values()])
    error = error_over_folds(differences, 0.25, 1, binary=False)
    wanted = stats.t.ppf(0.975, 4) * np.sqrt((1 / 5 + 0.25) * exact.var(ddof=1))
    assert half_width(error, 0.05) == pytest.approx(wanted, rel=1e-6)


def test_of_numbers(folder: Path) -> None:
    found = ravine.ensemble("numbers", store=folder)
    assert isinstance(found, FoldEnsemble)
    store, record = Store(folder), Store(folder).study("numbers")
    for fold, ensemble in found.chosen.items():
        labels = store.labels.of(fold.key(record.data_fingerprint))
        tested = [
            store.tensors("predictions", run)["test"].astype(np.float64) for run in ensemble.pool.weights
        ]
        wanted = mean_squared_error(labels.test, np.mean(tested, axis=0))
        assert ensemble.test["mse"] == pytest.approx(wanted, rel=1e-6)
    assert "RMSE" in str(found)
    assert {each.score for each in found.compared} == {"mse"}


def test_all_is_chosen_before_test_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    own = Predicted.of_members

    def noted(self: Predicted, split: Any, members: Any) -> Any:
        read.append(split)
        return own(self, split, members)

    monkeypatch.setattr(Predicted, "of_members", noted)
    found = ravine.ensemble("classes", store=folder, members="all", size=3)
    assert isinstance(found, FoldEnsemble)
    first = read.index("test")
    folds = len(found.chosen)
    assert first > folds  # of every fold all kinds have been chosen
    assert read[first:].count("test") == folds
    assert set(read[:first]) == {"validation"}
    assert all(len(each.pool.weights) <= 3 for each in found.chosen.values())
    scored = Store(folder).scored.of(Store(folder).study("classes").data_fingerprint)
    assert any(each.words == "classes: ensemble, fold 0 of repeat 0" for each in scored)


def test_for_people_and_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ensemble", "classes", "--store", str(folder), "--members", "configs"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "In each fold, of 4 folds and 2 repeats: the best of configs, each by its best seed" in shown
    assert "over training sets and test examples" in shown
    assert main(["ensemble", "classes", "--store", str(folder), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert len(content["chosen"]) == 2 * FOLDS
    assert content["scores"][-1]["name"] == "ensemble"
    assert sum(content["chosen"][0]["weights"].values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"members": "snapshots"},
            "members = 'snapshots': study 'classes' has folds, each with runs of its own",
        ),
        ({"members": "abcd"}, "members = 'abcd': study 'classes' has folds"),
        ({"members": ["abcd"]}, "members = "),
        ({"soup": True}, "soup: study 'classes' has folds"),
        ({"rival": True}, "rival: study 'classes' has folds"),
        ({"select": "best"}, "select = 'best'"),
        ({"size": 0}, "size = 0"),
    ],
)
def test_bad_input_is_one_line(folder: Path, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        ravine.ensemble("classes", store=folder, **arguments)
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)
