"""Losses with soft and smoothed answers, against torch's own in float64, on every backend."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_runs import (
    FUSED,
    NATIVE,
    PLAIN,
    SERIAL,
    Trained,
    all_runs,
    compiling,
    dataset,
    network_of,
    same,
    study,
    train,
)
from torch import Tensor
from torch.nn import functional as F

from ravine.data import Dataset
from ravine.data.examples import Examples
from ravine.engine.loss import Loss, cross_entropy, smoothed
from ravine.study import Run, Study

WAYS = [NATIVE, *(pytest.param(way, marks=pytest.mark.slow) for way in (FUSED, SERIAL, PLAIN))]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_answers(y: np.ndarray) -> Dataset:
    data = dataset()
    return replace(data, train=Examples(x=data.train.x, y=y))


def smoothing(run: Run, eps: float) -> Run:
    return replace(run, recipe=replace(run.recipe, hypers={**run.recipe.hypers, "label_smoothing": eps}))


def trained(study_: Study, runs: list[Run], backend: str) -> list[Trained]:
    groups = [runs] if backend in (NATIVE, FUSED) else [[run] for run in runs]
    return [train(study_, group, backend) for group in groups]


@pytest.mark.parametrize("eps", [None, 0.0, 0.1, 0.9])
@pytest.mark.parametrize("soft", [False, True])
def test_loss_and_gradient_are_those_of_torch(soft: bool, eps: float | None) -> None:
    logits = (3 * normal(37, 7)).requires_grad_()
    y = torch.softmax(normal(37, 7, seed=1), -1) if soft else torch.arange(37) % 7
    loss, accuracy = cross_entropy(logits, y, None if eps is None else torch.tensor(eps).double())
    wanted = F.cross_entropy(logits, y, label_smoothing=eps or 0.0)
    torch.testing.assert_close(loss, wanted)
    torch.testing.assert_close(*(torch.autograd.grad(each, logits)[0] for each in (loss, wanted)))
    heaviest = y.argmax(-1) if soft else y
    assert accuracy == (logits.argmax(-1) == heaviest).double().mean()
    losses, right = Loss(task="classification").scores(logits, y)
    torch.testing.assert_close(losses, F.cross_entropy(logits, y, reduction="none"))
    torch.testing.assert_close(right, (logits.argmax(-1) == heaviest).double())


def test_several_labels_have_the_loss_of_torch() -> None:
    """Also where exp would overflow; a label counts as found where its logit is above 0."""
    logits = torch.cat([3 * normal(37, 7), torch.tensor([[-2e3, 2e3, 0.0, 1e-9, -1e-9, 90.0, -90.0]])])
    logits = logits.double().requires_grad_()
    y = (normal(38, 7, seed=1) > 0).double()
    loss = Loss(task="multilabel")
    found, accuracy = loss.training(logits, y, {})
    wanted = F.binary_cross_entropy_with_logits(logits, y)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(*(torch.autograd.grad(each, logits)[0] for each in (found, wanted)))
    losses, right = loss.scores(logits.detach()[None], y)
    each = F.binary_cross_entropy_with_logits(logits.detach(), y, reduction="none")
    torch.testing.assert_close(losses, each.mean(-1)[None])
    torch.testing.assert_close(right, ((logits > 0) == (y > 0)).double().mean(-1)[None])
    assert accuracy == pytest.approx(float(right.mean()))


def test_of_seven_classes_a_smoothed_answer_has_weight_9143() -> None:
    """As torch, Keras and timm have it; https://github.com/ildoonet/pytorch-randaugment/issues/30 left 1.0."""
    found = smoothed(torch.tensor([2]), torch.tensor(0.1).double(), 7)
    assert found[0, 2] == pytest.approx(0.9 + 0.1 / 7)
    assert round(float(found[0, 2]), 4) == 0.9143
    assert found.sum() == pytest.approx(1.0)


def test_smoothing_commutes_with_mixing() -> None:
    one, other = (torch.eye(5).double()[[i, 2, 3]] for i in (0, 4))
    eps, share = torch.tensor(0.2).double(), 0.3
    mixed = share * one + (1 - share) * other
    torch.testing.assert_close(
        smoothed(mixed, eps, 5), share * smoothed(one, eps, 5) + (1 - share) * smoothed(other, eps, 5)
    )


def test_a_class_without_weight_may_be_impossible() -> None:
    logits = torch.tensor([[0.0, 1.0, -torch.inf]]).requires_grad_()
    loss, _ = cross_entropy(logits, torch.tensor([[0.5, 0.5, 0.0]]))
    wanted, _ = cross_entropy(logits[:, :2], torch.tensor([[0.5, 0.5]]))
    assert loss == wanted
    assert torch.autograd.grad(loss, logits)[0].isfinite().all()


@pytest.mark.parametrize("backend", WAYS)
def test_whole_soft_answers_and_smoothing_by_0_leave_the_bits_of_a_run(backend: str) -> None:
    """Also where a neighbour is smoothed, so that its program is another."""
    y = np.asarray(dataset().train.y)
    hard, soft = (
        study(seeds=1, steps=12),
        study(data=with_answers(np.eye(3, dtype=np.float32)[y]), seeds=1, steps=12),
    )
    runs = all_runs(hard)[1:3]
    neighbours = [smoothing(all_runs(hard)[0], 0.1), smoothing(all_runs(hard)[3], 0.3)]
    plain = trained(hard, runs, backend)
    for others in (trained(soft, runs, backend), trained(hard, runs + neighbours, backend)):
        for run in runs:
            same(
                *(next(each for each in found if run.id in each.finished.runs) for found in (plain, others)),
                run,
            )


@pytest.mark.parametrize("backend", WAYS)
def test_training_on_soft_and_smoothed_answers(backend: str) -> None:
    """One step of SGD by torch in float64; the validation loss is not smoothed."""
    y = np.random.default_rng(0).dirichlet([0.5] * 3, len(dataset().train.y)).astype(np.float32)
    study_ = study(
        data=with_answers(y), rules=[{"kind": "sgd", "lr": 0.1}], steps=1, seeds=2, batch_size="full"
    )
    runs = [smoothing(run, eps) for run, eps in zip(all_runs(study_), (0.0, 0.2), strict=True)]
    for result in trained(study_, runs, backend):
        for run in (each for each in runs if each.id in result.finished.runs):
            module = network_of(study_, [run]).make().double()
            start = network_of(study_, [run]).initial(run.seed)
            module.load_state_dict({name: value.double() for name, value in start.items()})
            x = torch.from_numpy(study_.data.train.x).double()  # type: ignore[union-attr]
            logits = module(x)
            eps = run.recipe.hypers["label_smoothing"]
            loss = F.cross_entropy(logits, torch.from_numpy(y).double(), label_smoothing=eps)
            assert dict(result.curve(run, "train_loss"))[1] == pytest.approx(loss.item(), rel=1e-5)
            right = (logits.argmax(-1).numpy() == y.argmax(-1)).mean()
            assert dict(result.curve(run, "train_accuracy"))[1] == pytest.approx(right)
            loss.backward()
            with torch.no_grad():
                for param in module.parameters():
                    param -= 0.1 * param.grad
            for name, value in module.state_dict().items():
                np.testing.assert_allclose(result.weights(run)[name], value.numpy(), rtol=1e-4, atol=1e-6)
            clean = F.cross_entropy(
                module(torch.from_numpy(study_.data.validation.x).double()),  # type: ignore[union-attr]
                torch.from_numpy(study_.data.validation.y),  # type: ignore[union-attr]
            )
            assert result.metrics(run)["validation_loss"] == pytest.approx(clean.item(), rel=1e-5)


def test_a_new_factor_is_no_new_program() -> None:
    study_ = study(seeds=1, steps=2)
    runs = all_runs(study_)[:2]
    train(study_, [smoothing(run, 0.1) for run in runs], NATIVE)
    with compiling() as texts:
        train(study_, [smoothing(run, 0.37) for run in runs], NATIVE)
    assert not texts
