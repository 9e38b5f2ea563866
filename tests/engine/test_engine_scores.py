"""Curves, metrics and predictions against numbers computed another way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_runs import CPU, FUSED, PLAIN, all_runs, dataset, made, network_of, study, train, training_of
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error
from torch.nn import functional as F

from ravine.engine.loss import Loss, cross_entropy
from ravine.engine.objective import Objective
from ravine.engine.programs import TOGETHER
from ravine.engine.state import Data
from ravine.study import Run, Study


def forward(study_: Study, run: Run, weights: dict[str, np.ndarray], split: str) -> np.ndarray:
    """Outputs of an ordinary nn.Module that has these weights."""
    module = network_of(study_, [run]).make().eval()
    module.load_state_dict({name: torch.from_numpy(np.asarray(array)) for name, array in weights.items()})
    with torch.no_grad():
        return module(torch.from_numpy(getattr(study_.data, split).x)).double().numpy()


@pytest.mark.parametrize("backend", [FUSED, PLAIN], ids=str)
def test_final_metrics_and_predictions_are_those_of_the_stored_weights(backend: str) -> None:
    study_ = study(model={"kind": "mlp", "hidden": [8], "norm": "batch"}, dropout=[0.0, 0.4])
    runs = all_runs(study_)[: 8 if backend in TOGETHER else 1]
    trained = train(study_, runs, backend)
    for run in runs:
        metrics = trained.metrics(run)
        for split in ("train", "validation", "test"):
            logits = forward(study_, run, trained.weights(run), split)
            y = getattr(study_.data, split).y
            if split != "train":
                np.testing.assert_allclose(trained.predictions(run, split), logits, rtol=1e-4, atol=1e-5)
            if split != "test":
                p = torch.softmax(torch.from_numpy(logits), -1).numpy()
                assert metrics[f"{split}_loss"] == pytest.approx(log_loss(y, p, labels=[0, 1, 2]), rel=1e-4)
                assert metrics[f"{split}_accuracy"] == pytest.approx(accuracy_score(y, logits.argmax(-1)))
        assert set(metrics) == {"train_loss", "train_accuracy", "validation_loss", "validation_accuracy"}
        assert trained.curve(run, "validation_loss")[-1] == (20, np.float32(metrics["validation_loss"]))


def test_curves_are_means_over_the_interval_and_validation_at_its_end() -> None:
    """Step by step beside it: a second training of the same runs, looked at after every step."""
    study_ = study(steps=11, evaluations=3)
    runs = all_runs(study_)
    trained = train(study_, runs)
    assert [e.step for e in trained.evaluations] == [4, 8, 11]
    every = train(study(steps=11, evaluations=11), all_runs(study(steps=11, evaluations=11)))
    assert [e.step for e in every.evaluations] == list(range(1, 12))
    by_key = {
        (run.seed, run.label, run.chosen["lr"]): run for run in all_runs(study(steps=11, evaluations=11))
    }
    for run in runs:
        twin = by_key[run.seed, run.label, run.chosen["lr"]]
        for metric in ("train_loss", "train_accuracy"):
            steps = [value for _, value in every.curve(twin, metric)]
            means = [np.mean(steps[:4]), np.mean(steps[4:8]), np.mean(steps[8:])]
            np.testing.assert_allclose([v for _, v in trained.curve(run, metric)], means, rtol=1e-6)
        ends = [value for step, value in every.curve(twin, "validation_loss") if step in (4, 8, 11)]
        assert [v for _, v in trained.curve(run, "validation_loss")] == ends


@pytest.mark.parametrize(
    ("steps", "evaluations", "expected"), [(7, 1, [7]), (5, 20, [1, 2, 3, 4, 5]), (6, 4, [2, 4, 6])]
)
def test_when_runs_are_looked_at(steps: int, evaluations: int, expected: list[int]) -> None:
    trained = train(study(steps=steps, evaluations=evaluations, seeds=1))
    assert [e.step for e in trained.evaluations] == expected


@pytest.mark.parametrize("backend", [FUSED, PLAIN], ids=str)
def test_regression_is_told_in_the_targets_own_units(backend: str) -> None:
    data = dataset("diabetes")
    study_ = study(data=data, rules=[{"kind": "adam", "lr": 0.01}], steps=30, seeds=1)
    (run,) = all_runs(study_)
    trained = train(study_, backend=backend)
    assert data.target_scale > 10
    for split in ("validation", "test"):
        outputs = (
            forward(study_, run, trained.weights(run), split)[:, 0] * data.target_scale + data.target_mean
        )
        np.testing.assert_allclose(trained.predictions(run, split), outputs, rtol=1e-4)
    raw = data.validation.y.astype(np.float64) * data.target_scale + data.target_mean
    error = mean_squared_error(raw, trained.predictions(run, "validation").astype(np.float64))
    assert trained.metrics(run)["validation_loss"] == pytest.approx(error, rel=1e-4)
    assert set(trained.metrics(run)) == {"train_loss", "validation_loss"}
    assert set(trained.evaluations[0].scores) == {"train_loss", "validation_loss"}


def test_of_nesterov_the_true_point_is_looked_at_and_kept() -> None:
    """The shifted form and the definition differ in what they train, not in what comes out of it."""
    rules = [{"kind": kind, "lr": 0.05} for kind in ("nesterov", "nesterov_lookahead")]
    study_ = study(rules=rules, seeds=1, steps=20)
    trained = train(study_)
    shifted, ahead = all_runs(study_)
    for name, weights in trained.weights(shifted).items():
        np.testing.assert_allclose(weights, trained.weights(ahead)[name], rtol=1e-4, atol=1e-5)
    for metric in ("validation_loss", "train_loss"):
        pairs = zip(trained.curve(shifted, metric), trained.curve(ahead, metric), strict=True)
        for (_, one), (_, other) in pairs:
            assert one == pytest.approx(other, rel=1e-4)
    training = training_of(study_, [shifted])
    for _ in range(20):
        training.advance()
    trained_point = training.snapshot()["params"]
    first = next(iter(trained.weights(shifted).values())).ravel()
    assert not np.allclose(trained_point[0, : first.size], first, atol=1e-4)


@pytest.mark.parametrize("chunk", [1, 500, 1 << 16])
def test_looking_in_chunks_changes_no_bit(chunk: int) -> None:
    study_ = study(data=dataset("digits"), model={"kind": "mlp", "hidden": [13]}, steps=3, seeds=3)
    network = network_of(study_, all_runs(study_))
    params = torch.stack([network.layout.pack(network.initial(seed)) for seed in range(3)])
    split = Data.of(study_.data.train, CPU)
    objective = Objective(network=network, loss=Loss(task="classification"), fused=True)
    cut = max(chunk // 3 // 16 * 16, 64)  # between rows at which kernels begin anew
    found = zip(
        objective.scores(params, {}, split, chunk=cut), objective.scores(params, {}, split), strict=True
    )
    for chunked, whole in found:
        assert torch.equal(chunked, whole)


def test_a_network_that_tells_nothing_is_right_as_often_as_its_first_class() -> None:
    y = torch.tensor([0, 1, 2, 2])
    _, right = Loss(task="classification").scores(torch.zeros(5, 4, 3), y)
    assert right.tolist() == [[1.0, 0.0, 0.0, 0.0]] * 5


def test_the_loss_is_torchs() -> None:
    logits = torch.randn(50, 7, generator=torch.Generator().manual_seed(0)) * 30
    y = torch.arange(50) % 7
    logits.requires_grad_()
    loss, accuracy = cross_entropy(logits, y)
    expected = F.cross_entropy(logits.double(), y)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert accuracy.item() == pytest.approx((logits.argmax(-1) == y).float().mean().item())
    (ours,) = torch.autograd.grad(loss, logits)
    (theirs,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-8)


def test_splits_are_not_mixed_up() -> None:
    """Three parts whose classes can be told apart, each with other labels: only the training part is learned."""
    x = np.tile(np.eye(3), (30, 1))
    y = x.argmax(1)
    y[30:60], y[60:] = (y[30:60] + 1) % 3, (y[60:] + 2) % 3
    data = made(x, y.astype(np.int64), 3, counts=(30, 30, 30))
    study_ = study(
        data=data, model={"kind": "mlp", "hidden": []}, rules=[{"kind": "adam", "lr": 0.3}], steps=40, seeds=1
    )
    trained = train(study_)
    metrics = trained.metrics(all_runs(study_)[0])
    assert (metrics["train_accuracy"], metrics["validation_accuracy"]) == (1.0, 0.0)
    predicted = trained.finished.predictions["test"][0].argmax(-1)
    assert (predicted == (data.test.y + 1) % 3).all()
