"""A function of the user's chooses the runs that anything is made of: the same by hand, under each way to give it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_wine

import command_line
import ravine
from ravine.errors import InputError, StudyError
from ravine.outcomes import Results
from ravine.outcomes.trials import Predicted

MODULE = """
def wrong(p, y):
    return float((p.argmax(axis=1) != y).mean())
"""
STUDY = """
name = "worst"
data = "wine"
model = { kind = "mlp", hidden = [4] }
steps = 30
seeds = 2
metric = "worst_metric:wrong"

[[rules]]
kind = "sgd"
lr = [0.0001, 0.001, 0.1]
"""


def wrong(p: np.ndarray, y: np.ndarray) -> float:
    return float((p.argmax(axis=1) != y).mean())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worst")
    (folder / "worst_metric.py").write_text(MODULE)
    (folder / "worst.toml").write_text(STUDY)
    return folder


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(place)
    return


@pytest.fixture(scope="module")
def ran(place: Path) -> Results:
    return ravine.run(place / "worst.toml", store=place / "runs", quiet=True)


class ByHand:
    """The share of wrong answers of each run on validation: higher is better here, so no other metric chooses alike."""

    def __init__(self, ran: Results) -> None:
        outputs = Predicted(store=ran.source, labels=ran.labels).outputs(
            "validation", [r.id for r in ran.runs]
        )
        self.wrong = {
            run: float((each.argmax(axis=1) != ran.labels.validation).mean()) for run, each in outputs.items()
        }
        self.config = {run.id: run.config for run in ran.runs}
        means = {
            config: float(np.mean([self.wrong[run] for run in self.of(config)])) for config in self.configs
        }
        self.worst, self.best = (
            max(means, key=lambda each: means[each]),
            min(means, key=lambda each: means[each]),
        )
        assert means[self.worst] > means[self.best] + 0.1
        # Of equal seeds the one with the smaller loss.
        losses = {run.id: run.metrics["validation_loss"] for run in ran.runs}
        self.run = min(self.of(self.worst), key=lambda run: (-self.wrong[run], losses[run]))

    @property
    def configs(self) -> set[str]:
        return set(self.config.values())

    def of(self, config: str) -> list[str]:
        return [run for run, own in self.config.items() if own == config]


def test_ensembles(ran: Results, place: Path) -> None:
    known = ByHand(ran)
    for given in ("worst", place / "worst.toml", ran):
        found = ravine.ensemble(given)
        assert {known.config[each.run] for each in found.members} == {known.worst}
    by_accuracy = ravine.ensemble("worst", metric="accuracy")
    assert {known.config[each.run] for each in by_accuracy.members} == {known.best}
    asked = ravine.results("worst", metric="accuracy")
    assert {known.config[each.run] for each in ravine.ensemble(asked).members} == {known.best}


def test_predictions_exports_and_soups(ran: Results, place: Path) -> None:
    known, x = ByHand(ran), load_wine().data[:20]
    found = ravine.predict("worst", x)
    alone = ravine.predict("worst", x, what=known.run)
    other = ravine.predict("worst", x, metric="accuracy")
    assert np.array_equal(found.probabilities, alone.probabilities)
    assert not np.array_equal(found.probabilities, other.probabilities)
    for what in ("winner", "ensemble"):
        out = place / what
        ravine.export("worst", out=out, what=what)
        wanted = {known.run} if what == "winner" else set(known.of(known.worst))
        assert {each.stem for each in out.glob("*.safetensors")} == wanted
    soup = ravine.soup("worst")
    assert known.run in {each.run for each in soup.tried[0].members}
    with pytest.raises(
        InputError, match=r"metric: .*winner is one exported model, which was chosen; leave it out"
    ):
        ravine.predict(place / "winner", x, metric="accuracy")


def test_a_model_card_names_the_metric_of_its_test_score(place: Path, tmp_path: Path) -> None:
    """Nobody has scored these runs on test, but the verdict has their config."""
    store = tmp_path / "runs"
    results = ravine.run(place / "worst.toml", store=store, quiet=True)
    for metric, title in ((None, "wrong"), ("f1_macro", "macro F1"), ("accuracy", "accuracy")):
        out = tmp_path / title
        ravine.export("worst", out=out, store=store, metric=metric)
        asked = results if metric is None else ravine.results("worst", store=store, metric=metric)
        test = asked.verdict.rules[0].test
        shown = f"{test:.4g}" if metric is None else f"{100 * test:.2f} %"
        assert f"| test | {title} | {shown} | " in (out / "README.md").read_text()


def test_a_function_of_a_program_chooses_where_the_study_or_its_results_are_given(
    place: Path, ran: Results
) -> None:
    known = ByHand(ran)
    study = ravine.Study(
        name="program", data="wine", model={"kind": "mlp", "hidden": [4]}, steps=30, seeds=2, metric=wrong,
        rules=[{"kind": "sgd", "lr": [0.0001, 0.001, 0.1]}],
    )  # fmt: skip
    results = ravine.run(study, quiet=True)
    for given in (study, results):
        assert {known.config[each.run] for each in ravine.ensemble(given).members} == {known.worst}
    with pytest.raises(StudyError, match=r"a function of a Python program .*, which a store does not keep"):
        ravine.ensemble("program")
    found = ravine.ensemble("program", metric=wrong)
    assert {known.config[each.run] for each in found.members} == {known.worst}


def test_in_each_fold(tmp_path: Path) -> None:
    study = ravine.Study(
        name="folded", data={"kind": "wine", "split": {"folds": 3}}, model={"kind": "mlp", "hidden": [4]}, steps=20,
        seeds=2, metric=wrong, rules=[{"kind": "sgd", "lr": [0.0001, 0.1]}],
    )  # fmt: skip
    results = ravine.run(study, store=tmp_path, quiet=True)
    found = ravine.ensemble(results)
    assert len(found.chosen) == 3
    predicted = ravine.predict(study, load_wine().data[:9], what="ensemble", store=tmp_path)
    names = set()
    for fold, kind in found.chosen.items():
        labels = results.source.labels.of(fold.key(results.study.data_fingerprint))
        own = [run for run in results.runs if run.recipe["part"] == fold.content()]
        outputs = Predicted(store=results.source, labels=labels).outputs("validation", [r.id for r in own])
        shares = {run.id: float((outputs[run.id].argmax(axis=1) != labels.validation).mean()) for run in own}
        means = {
            config: np.mean([shares[run.id] for run in own if run.config == config])
            for config in {run.config for run in own}
        }
        worst = max(means, key=lambda each: means[each])
        members = {run.id for run in own if run.config == worst}
        assert set(kind.pool.weights) == members
        names |= members
    assert predicted.num_members == len(names)
    by_accuracy = ravine.predict(
        study, load_wine().data[:9], what="ensemble", metric="accuracy", store=tmp_path
    )
    assert not np.array_equal(predicted.probabilities, by_accuracy.probabilities)


def test_verbs(ran: Results, place: Path) -> None:
    known = ByHand(ran)
    for args, config in (((), known.worst), (("--metric", "accuracy"), known.best)):
        found = command_line.ravine(place, "ensemble", "worst", "--json", *args)
        assert found.returncode == 0
        assert all(run in found.stdout for run in known.of(config))
    refused = command_line.ravine(place, "ensemble", "worst", "--metric", "rmse")
    assert refused.returncode == 2
    assert "metric = 'rmse': is not a metric for classification" in refused.stderr
    assert refused.stderr.count("\n") == 1
