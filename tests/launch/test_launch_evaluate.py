"""Finished runs evaluated at test: nothing is trained again, and what is stored is what the passes say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ravine
from ravine.data import load, parse_data
from ravine.ensembles.pooling import log_softmax
from ravine.errors import InputError
from ravine.launch.checked import check_test_time
from ravine.launch.evaluate import EvaluatedAll, evaluate
from ravine.launch.subject import Subject
from ravine.store import Store
from ravine.study import Study
from ravine.study.modes import Mode
from ravine.study.views import parse_views

ASKED: dict[str, Any] = {"modes": ["mean", "mc"], "samples": 6, "views": "flips"}
MC, FLIPS, BOTH = (
    Mode(samples=6),
    Mode(views=parse_views("flips")),
    Mode(samples=6, views=parse_views("flips")),
)


def study(**changes: Any) -> Study:
    given: dict[str, Any] = {
        "name": "small", "data": "digits", "model": {"kind": "mlp", "hidden": [16], "dropout": [0.0, 0.5]},
        "steps": 60, "seeds": 2, "evaluations": 1, "rules": [{"kind": "adam", "lr": 0.01}],
    }  # fmt: skip
    return Study(**{**given, **changes})


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ravine.Results]:
    folder = tmp_path_factory.mktemp("evaluated")
    first = ravine.run(study(), store=folder, quiet=True)
    assert Store(folder).evaluated.asked("small") is None
    results = ravine.run(study(test_time=ASKED), store=folder, quiet=True)
    assert [run.id for run in results.runs] == [run.id for run in first.runs]
    assert results.study.launches[-1].plan.endswith("the store had all runs")  # which were trained without
    return folder, results


def by_dropout(results: ravine.Results) -> dict[float, list[str]]:
    found: dict[float, list[str]] = {}
    for run in results.runs:
        found.setdefault(float(run.hypers["model.dropout"]), []).append(run.id)
    return found


def test_all_modes_of_all_runs_are_stored(stored: tuple[Path, ravine.Results]) -> None:
    folder, results = stored
    store = Store(folder)
    ids = [run.id for run in results.runs]
    for mode in (MC, FLIPS, BOTH):
        found = store.evaluated.read(mode.id, ids)
        assert list(found) == ids
        for tensors in found.values():
            assert tensors["validation"].shape == (len(results.labels.validation), 10)
            assert tensors["test_within"].shape == (len(results.labels.test),)
            assert tensors["validation_nll"].shape == (max(1, mode.samples),)
            np.testing.assert_allclose(np.exp(tensors["test"]).sum(1), 1.0, rtol=1e-5)
    assert store.check() == []


def test_scores_by_number_of_samples_end_at_those_of_the_predictions(
    stored: tuple[Path, ravine.Results],
) -> None:
    folder, results = stored
    answers = results.labels.validation
    for tensors in Store(folder).evaluated.read(MC.id, [run.id for run in results.runs]).values():
        log_p = tensors["validation"].astype(np.float64)
        nll = -log_p[np.arange(len(answers)), answers].mean()
        assert tensors["validation_nll"][-1] == pytest.approx(nll, abs=1e-6)
        assert tensors["validation_right"][-1] == pytest.approx((log_p.argmax(1) == answers).mean())


def test_without_dropout_mc_is_the_mean_pass_and_with_it_it_varies(
    stored: tuple[Path, ravine.Results],
) -> None:
    folder, results = stored
    store, groups = Store(folder), by_dropout(results)
    mean = store.tensors_many("predictions", [*groups[0.0], *groups[0.5]])
    mc = store.evaluated.read(MC.id, list(mean))
    for run in groups[0.0]:
        np.testing.assert_allclose(mc[run]["test"], log_softmax(mean[run]["test"]), atol=2e-6)
        assert len(set(mc[run]["validation_nll"].tolist())) == 1
    for run in groups[0.5]:
        total = -(np.exp(mc[run]["test"]) * mc[run]["test"]).sum(1)
        assert (total - mc[run]["test_within"] > -1e-5).all()  # mutual information
        assert (total - mc[run]["test_within"]).mean() > 0.05


def test_views_are_averaged_in_probability(stored: tuple[Path, ravine.Results]) -> None:
    folder, results = stored
    store, run = Store(folder), by_dropout(results)[0.5][0]
    weights = store.tensors("weights", run)
    x = load(parse_data("digits")).test.x
    first, last = (
        next(name for name, array in weights.items() if array.shape == shape).rpartition(".")[0]
        for shape in ((16, 64), (10, 16))
    )
    p = 0.0
    for picture in (x, x[..., ::-1]):
        hidden = np.maximum(
            picture.reshape(len(x), -1) @ weights[f"{first}.weight"].T + weights[f"{first}.bias"], 0
        )
        p = p + 0.5 * np.exp(log_softmax(hidden @ weights[f"{last}.weight"].T + weights[f"{last}.bias"]))
    np.testing.assert_allclose(np.exp(store.evaluated.read(FLIPS.id, [run])[run]["test"]), p, atol=1e-5)


def test_nothing_is_evaluated_twice_and_more_samples_are_a_mode_of_their_own(
    stored: tuple[Path, ravine.Results],
) -> None:
    folder, results = stored
    with Store(folder) as store:
        *_, ended = evaluate(study(test_time=ASKED), store)
        assert isinstance(ended, EvaluatedAll)
        assert ended.lines == ()
        more = {"modes": ["mc"], "samples": 12}
        *_, ended = evaluate(study(test_time=more), store)
        assert isinstance(ended, EvaluatedAll)
        assert ended.lines == ("test time: 4 runs, mc with 12 samples, native on cpu",)
        run = by_dropout(results)[0.5][0]
        few, many = (
            store.evaluated.read(mode.id, [run])[run]["validation_nll"] for mode in (MC, Mode(samples=12))
        )
        np.testing.assert_allclose(many[:6], few, rtol=1e-12)


def test_an_evaluation_that_was_stopped_goes_on(stored: tuple[Path, ravine.Results]) -> None:
    folder, _ = stored
    asked = {"modes": ["mean", "mc"], "samples": 2, "views": "crops"}
    with Store(folder) as store:
        events = evaluate(study(test_time=asked), store)
        while next(events).done < 4:  # type: ignore[union-attr]
            pass
        events.close()  # type: ignore[attr-defined]
        first, *_, ended = evaluate(study(test_time=asked), store)
        assert first.all == 8  # type: ignore[union-attr]
        assert isinstance(ended, EvaluatedAll)
        assert [line.split(", ")[1] for line in ended.lines] == [
            "the mean pass of 5 views",
            "mc with 2 samples of 5 views",
        ]


def test_mc_of_a_model_without_stochastic_layers_is_refused_before_training(tmp_path: Path) -> None:
    made = study(model={"kind": "mlp", "hidden": [4]}, test_time={"modes": ["mc"]})
    with pytest.raises(InputError, match='"mc" needs a stochastic layer, and no run has one'):
        ravine.run(made, store=tmp_path, quiet=True)
    assert Store(tmp_path).studies() == []


def test_views_of_a_table_are_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"test_time\.views: only pictures have views"):
        ravine.run(study(data="iris", test_time={"views": "flips"}), store=tmp_path, quiet=True)


class Own(nn.Module):
    """Draws in a layer that mc draws, and by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.out = nn.Dropout(0.5), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.drop(nn.functional.dropout(x, 0.1, self.training)))


def test_what_mc_leaves_out_is_said() -> None:
    made = study(data="iris", model=Own, test_time={"modes": ["mc"], "samples": 3})
    subject = Subject.of(made, device="cpu")
    [line] = check_test_time(made, subject, subject.runs())
    assert line.startswith("! mc: in training the model also draws random numbers itself")


@pytest.mark.slow
def test_a_regression_has_means_and_their_spread(tmp_path: Path) -> None:
    made = study(
        data="diabetes", model={"kind": "mlp", "hidden": [8], "dropout": 0.5}, steps=30, seeds=1,
        test_time={"modes": ["mc"], "samples": 40},
    )  # fmt: skip
    results = ravine.run(made, store=tmp_path, quiet=True)
    [run] = results.runs
    found = Store(tmp_path).evaluated.read(Mode(samples=40).id, [run.id])[run.id]
    answers = results.labels.validation
    assert found["validation"].shape == answers.shape
    squares = np.square(found["validation"] - answers).mean()
    assert found["validation_squares"][-1] == pytest.approx(squares, rel=1e-4)
    assert bool((found["validation_within"] > 0).all())
    assert bool(torch.tensor(found["validation_squares"]).isfinite().all())
