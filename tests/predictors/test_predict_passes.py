"""`ravine.predict` by Monte Carlo passes and views: what the study stored, row by row, and how pools are unsure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine
from ravine.api.studies import stored_study
from ravine.data import Dataset, load, parse_data
from ravine.ensembles.pooling import log_softmax
from ravine.errors import InputError
from ravine.predictors.passes import asked_mode
from ravine.predictors.predictor import Predictor
from ravine.predictors.stored import of_store
from ravine.study import Study
from ravine.study.modes import Mode

MC = Mode(samples=20)


def study(**changes: Any) -> Study:
    given: dict[str, Any] = {
        "name": "flowers", "data": "iris", "model": {"kind": "mlp", "hidden": [16], "norm": "batch", "dropout": 0.5},
        "steps": 80, "seeds": 2, "evaluations": 1, "rules": [{"kind": "adam", "lr": 0.02}],
    }  # fmt: skip
    return Study(**{**given, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("passes")
    ravine.run(study(test_time={"modes": ["mc"], "samples": 20}), store=place, quiet=True)
    return place


@pytest.fixture(scope="module")
def iris() -> Dataset:
    return load(parse_data("iris"))


def predictor(folder: Path, what: str, mode: Mode | None) -> Predictor:
    opened, name, find = stored_study("flowers", folder, ())
    return of_store(opened, name, what, find=find, mode=mode)


def test_passes_of_a_run_are_those_that_its_study_stored(folder: Path, iris: Dataset) -> None:
    made = predictor(folder, "winner", MC)
    [member] = made.members
    stored = ravine.results("flowers", store=folder).source.evaluated.read(MC.id, [member.name])[member.name]
    found = made.predict_prepared(iris.test.x)
    assert found.log_p is not None
    np.testing.assert_allclose(found.log_p, stored["test"], atol=1e-5)
    entropy = -(np.exp(stored["test"]) * stored["test"]).sum(1)
    np.testing.assert_allclose(found.information, np.maximum(entropy - stored["test_within"], 0.0), atol=1e-5)
    part = made.predict_prepared(iris.test.x[7:20], np.arange(7, 20))
    assert part.log_p is not None
    np.testing.assert_allclose(part.log_p, found.log_p[7:20], atol=1e-12)


def test_a_pool_of_members_that_draw_is_the_mean_of_all_their_passes(folder: Path, iris: Dataset) -> None:
    x = iris.test.x
    pool = predictor(folder, "ensemble", MC)
    found = pool.predict_prepared(x)
    log_p = [found.outputs[each.name].astype(np.float64) for each in pool.members]
    mean = np.mean([np.exp(each) for each in log_p], axis=0)
    np.testing.assert_allclose(found.p, mean, rtol=1e-9)
    alone = [predictor(folder, each.name, MC).predict_prepared(x) for each in pool.members]
    within = np.mean([a.entropy - a.information for a in alone], axis=0)  # type: ignore[operator]
    total = -(mean * np.log(mean)).sum(1)
    np.testing.assert_allclose(found.entropy, total, rtol=1e-9)
    np.testing.assert_allclose(found.information, total - within, atol=1e-6)


def test_the_mean_pass_says_nothing_of_passes(folder: Path, iris: Dataset) -> None:
    found = predictor(folder, "ensemble", None).predict_prepared(iris.test.x)
    assert (found.entropy, found.information, found.spread) == (None, None, None)
    member = next(iter(found.outputs.values()))
    assert not np.allclose(np.exp(log_softmax(member)).sum(1), np.exp(member).sum(1))  # logits, as ever


def test_columns_have_entropy_and_mutual_information(folder: Path, iris: Dataset) -> None:
    raw = [[5.1, 3.5, 1.4, 0.2], [float("nan")] * 4, [6.0, 2.9, 4.5, 1.5]]
    found = ravine.predict("flowers", raw, mode="mc", samples=30, store=folder)
    assert list(found.columns()) == ["prediction", "entropy", "mutual_information"]
    assert found.columns()["entropy"][1] is None
    assert found.information is not None
    assert found.information[2] > 1e-4
    assert "mc with 30 samples" in str(found)
    again = ravine.predict("flowers", raw, mode="mc", samples=30, store=folder)
    np.testing.assert_array_equal(found.probabilities, again.probabilities)
    assert list(ravine.predict("flowers", raw, store=folder).columns()) == ["prediction"]


def test_an_exported_model_has_the_mean_pass_only(folder: Path, tmp_path: Path) -> None:
    ravine.export("flowers", out=tmp_path / "model", store=folder)
    with pytest.raises(
        InputError, match=r"mode = 'mc': .* is an exported model, which has the mean pass only"
    ):
        ravine.predict(tmp_path / "model", [[5.1, 3.5, 1.4, 0.2]], mode="mc")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mode": "mc", "samples": 0}, "samples = 0: must be a whole number from 1 to 10,000"),
        ({"samples": 5}, "samples = 5: only mode = 'mc' draws samples"),
        ({"mode": "sample"}, "mode = 'sample': allowed: mc, mean"),
        ({"views": "turns"}, "views = 'turns': must be"),
        ({"views": "flips"}, "views: only pictures have views"),
    ],
)
def test_what_is_not_allowed_is_one_line(folder: Path, given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        ravine.predict("flowers", [[5.1, 3.5, 1.4, 0.2]], store=folder, **given)
    assert str(caught.value).startswith(words)


@pytest.mark.slow
def test_a_run_without_stochastic_layers_is_refused(tmp_path: Path) -> None:
    ravine.run(study(model={"kind": "mlp", "hidden": [4]}, steps=2, seeds=1), store=tmp_path, quiet=True)
    with pytest.raises(InputError, match="has no stochastic layer with a rate above 0"):
        ravine.predict("flowers", [[5.1, 3.5, 1.4, 0.2]], mode="mc", store=tmp_path)


@pytest.mark.slow
def test_views_of_pictures_are_averaged(tmp_path: Path) -> None:
    digits = load(parse_data("digits"))
    made = study(name="digits", data="digits", model={"kind": "mlp", "hidden": [16]}, seeds=1)
    ravine.run(made, store=tmp_path, quiet=True)
    opened, name, find = stored_study("digits", tmp_path, ())
    x = digits.test.x[:40]
    mode = asked_mode(views=["identity", {"shift": [1, 0]}])
    found = of_store(opened, name, find=find, mode=mode).predict_prepared(x)
    plain = of_store(opened, name, find=find)
    moved = np.pad(x, ((0, 0), (0, 0), (1, 0), (0, 0)), mode="reflect")[:, :, :-1]
    by_hand = sum(np.exp(log_softmax(next(iter(plain.outputs(each).values())))) for each in (x, moved)) / 2
    np.testing.assert_allclose(found.p, by_hand, atol=1e-6)


@pytest.mark.slow
def test_a_regression_says_how_far_passes_are_apart(tmp_path: Path) -> None:
    diabetes = load(parse_data("diabetes"))
    model = {"kind": "mlp", "hidden": [8], "dropout": 0.5}
    ravine.run(study(name="r", data="diabetes", model=model, steps=20), store=tmp_path, quiet=True)
    opened, name, find = stored_study("r", tmp_path, ())
    pool = of_store(opened, name, "ensemble", find=find, mode=Mode(samples=40))
    found = pool.predict_prepared(diabetes.test.x)
    assert found.spread is not None
    assert (found.spread > found.disagreement).all()
    rows = ravine.predict("r", diabetes.test.x[:3], mode="mc", what="ensemble", store=tmp_path)
    assert list(rows.columns()) == ["prediction", "spread"]
