"""The formulas of losses and their weights, against torch's and scikit-learn's in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from engine_runs import dataset
from sklearn.metrics import log_loss, mean_pinball_loss, mean_poisson_deviance, mean_squared_error
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn import functional as F

from ravine.engine.loss import Loss, balanced
from ravine.engine.own_loss import check_own_loss
from ravine.errors import ModelError

NUM, K = 37, 5
Numbers = dict[str, Tensor]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def alike(found: Tensor, wanted: Tensor, of: Tensor) -> None:
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(*(torch.autograd.grad(each, of)[0] for each in (found, wanted)))


def pinball(y: Tensor, f: Tensor) -> Tensor:
    return torch.maximum(0.3 * (y - f), -0.7 * (y - f))


REGRESSIONS: dict[str, tuple[Numbers, Callable[[Tensor, Tensor], Tensor]]] = {
    "mse": ({}, lambda f, y: F.mse_loss(f, y, reduction="none")),
    "mae": ({}, lambda f, y: F.l1_loss(f, y, reduction="none")),
    "huber": ({"delta": number(0.7)}, lambda f, y: F.huber_loss(f, y, reduction="none", delta=0.7)),
    "quantile": ({"q": number(0.3)}, lambda f, y: pinball(y, f)),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", REGRESSIONS)
def test_losses_of_numbers_are_those_of_torch(kind: str, weighted: bool) -> None:
    numbers, formula = REGRESSIONS[kind]
    outputs, y = normal(NUM, 1).requires_grad_(), normal(NUM, seed=1)
    w = normal(NUM, seed=2).square() if weighted else None
    found, same = Loss(task="regression", kind=kind).training(outputs, y, numbers, w)
    each = formula(outputs[:, 0], y)
    alike(found, each.mean() if w is None else (w * each).sum() / w.sum(), outputs)
    assert same == found.detach()


def test_a_quantile_is_scikit_learns_pinball_loss() -> None:
    outputs, y, w = normal(NUM, 1), normal(NUM, seed=1), normal(NUM, seed=2).square()
    found, _ = Loss(task="regression", kind="quantile").training(outputs, y, {"q": number(0.3)}, w)
    wanted = mean_pinball_loss(y.numpy(), outputs[:, 0].numpy(), alpha=0.3, sample_weight=w.numpy())
    assert found.item() == pytest.approx(wanted)


def test_poisson_has_torchs_slope_and_half_of_scikit_learns_deviance() -> None:
    log_rates = normal(NUM, 1).requires_grad_()
    counts = torch.poisson(
        normal(NUM, seed=1).exp().float(), generator=torch.Generator().manual_seed(3)
    ).double()
    assert 0.0 in counts
    loss = Loss(task="regression", kind="poisson")
    found, _ = loss.training(log_rates, counts, {})
    theirs = F.poisson_nll_loss(log_rates[:, 0], counts, log_input=True)
    torch.testing.assert_close(*(torch.autograd.grad(each, log_rates)[0] for each in (found, theirs)))
    rates = log_rates.detach()[:, 0].exp()
    assert found.item() == pytest.approx(mean_poisson_deviance(counts.numpy(), rates.numpy()) / 2)
    scores, _ = loss.scores(log_rates.detach()[None], counts)
    assert scores.mean().item() == pytest.approx(mean_squared_error(counts.numpy(), rates.numpy()))


CLASS_WEIGHTS = (0.5, 0.0, 2.0, 1.0, 3.0)


@pytest.mark.parametrize("eps", [0.0, 0.2])
@pytest.mark.parametrize("weights", [(), CLASS_WEIGHTS])
def test_weighted_cross_entropy_is_torchs(weights: tuple[float, ...], eps: float) -> None:
    logits, y = (3 * normal(NUM, K)).requires_grad_(), torch.arange(NUM) % K
    loss = Loss(task="classification", kind="cross_entropy", class_weights=weights)
    numbers = {"class_weights": torch.tensor(weights).double()} if weights else {}
    numbers |= {"label_smoothing": number(eps)} if eps else {}
    of_class = torch.tensor(weights).double() if weights else None
    found, accuracy = loss.training(logits, y, numbers)
    alike(found, F.cross_entropy(logits, y, of_class, label_smoothing=eps), logits)
    assert accuracy == (logits.argmax(-1) == y).double().mean()
    # Examples with weights, which torch does not have: as if each were there so many times.
    times = torch.arange(NUM) % 3
    found, _ = loss.training(logits, y, numbers, times.double())
    several, answers = logits.repeat_interleave(times, 0), y.repeat_interleave(times)
    alike(found, F.cross_entropy(several, answers, of_class, label_smoothing=eps), logits)


def test_weights_of_examples_are_scikit_learns() -> None:
    logits, y, w = 3 * normal(NUM, K), torch.arange(NUM) % K, normal(NUM, seed=2).square()
    found, _ = Loss(task="classification").training(logits, y, {}, w)
    wanted = log_loss(y.numpy(), torch.softmax(logits, -1).numpy(), sample_weight=w.numpy())
    assert found.item() == pytest.approx(wanted)


def test_soft_answers_that_are_whole_have_the_loss_of_classes() -> None:
    logits, y = normal(NUM, K).requires_grad_(), torch.arange(NUM) % K
    loss = Loss(task="classification", kind="cross_entropy", class_weights=CLASS_WEIGHTS)
    numbers = {"class_weights": torch.tensor(CLASS_WEIGHTS).double()}
    soft = F.one_hot(y, K).double()
    alike(loss.training(logits, soft, numbers)[0], loss.training(logits, y, numbers)[0], logits)


def test_no_weight_at_all_is_no_loss_and_no_slope() -> None:
    outputs = normal(NUM, 1).requires_grad_()
    for loss in (Loss(task="regression"), Loss(task="regression", kind="mae")):
        found, _ = loss.training(outputs, normal(NUM, seed=1), {}, torch.zeros(NUM).double())
        assert found.item() == 0.0
        assert not torch.autograd.grad(found, outputs)[0].any()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss(gamma: float) -> None:
    logits, y = (3 * normal(NUM, K)).requires_grad_(), torch.arange(NUM) % K
    p = torch.softmax(logits, -1).gather(1, y[:, None])[:, 0]
    found, _ = Loss(task="classification", kind="focal").training(logits, y, {"gamma": number(gamma)})
    alike(found, (-((1 - p) ** gamma) * p.log()).mean(), logits)
    labels = (normal(NUM, K, seed=1) > 0).double()
    q = torch.where(labels > 0, logits.sigmoid(), 1 - logits.sigmoid())
    found, _ = Loss(task="multilabel", kind="focal").training(logits, labels, {"gamma": number(gamma)})
    alike(found, (-((1 - q) ** gamma) * q.log()).mean(), logits)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_an_example_that_is_known_for_sure_has_no_slope(gamma: float) -> None:
    """A power below 1 would have an infinite one."""
    logits = torch.tensor([[200.0, 0.0], [0.0, -200.0]], requires_grad=True)
    found, _ = Loss(task="classification", kind="focal").training(
        logits, torch.tensor([0, 0]), {"gamma": torch.tensor(gamma)}
    )
    assert found.item() == 0.0
    assert not torch.autograd.grad(found, logits)[0].any()


def test_balanced_weights_are_scikit_learns() -> None:
    data = dataset("wine")
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=data.train.y)
    np.testing.assert_allclose(balanced(data), wanted)


def test_several_targets_count_alike() -> None:
    outputs, y = normal(NUM, 3).requires_grad_(), normal(NUM, 3, seed=1)
    found, _ = Loss(task="regression", kind="mae").training(outputs, y, {})
    alike(found, F.l1_loss(outputs, y), outputs)


def test_numbers_in_the_targets_units_are_standardized_with_it() -> None:
    """Huber's loss of raw numbers is that of standardized ones, times the square of their scale."""
    scale, delta = 40.0, 25.0
    loss = Loss(task="regression", kind="huber", scale=scale, names=("delta",))
    numbers = loss.numbers([{"loss.delta": delta}, {"loss.delta": 2 * delta}], torch.device("cpu"))
    outputs, y = normal(NUM, 1), normal(NUM, seed=1)
    for row, each in enumerate((delta, 2 * delta)):
        found, _ = loss.training(outputs, y, {"delta": numbers["delta"][row].double()})
        wanted = F.huber_loss(scale * outputs[:, 0], scale * y, delta=each)
        assert loss.unit * found.item() == pytest.approx(wanted.item())
    own = Loss(task="regression", kind="own", scale=scale, own=one_number, source="m:own@1", names=("delta",))
    assert own.numbers([{"loss.delta": delta}], torch.device("cpu"))["delta"].tolist() == [delta]


def one_number(outputs: Tensor, answers: Tensor) -> Tensor:
    return F.mse_loss(outputs, answers)


def no_number(outputs: Tensor, answers: Tensor) -> Tensor:
    return outputs.log() - answers


def pairs(outputs: Tensor, answers: Tensor) -> Tensor:
    return outputs[:, None] - answers


def constant(outputs: Tensor, answers: Tensor) -> Tensor:
    return (outputs - answers).detach().square()


def whole(outputs: Tensor, answers: Tensor) -> Tensor:
    return (outputs > answers).long()


def plain(outputs: Tensor, answers: Tensor) -> float:
    return float((outputs - answers).detach().square().mean())


def broken(outputs: Tensor, answers: Tensor) -> Tensor:
    return outputs @ answers[:2]


WRONG: list[tuple[Callable[..., object], str]] = [
    (
        one_number,
        r'one_number returned one number for a batch of 5 examples; .* \(5,\): write reduction="none"',
    ),
    (no_number, "no_number returned nan for an example with the outputs"),
    (pairs, r"pairs returned shape \(5, 5\) for a batch of 5 examples"),
    (constant, "constant has no gradient"),
    (whole, "whole returned torch.int64"),
    (plain, "plain returned a float, not a tensor"),
    (broken, "broken failed: RuntimeError"),
]


@pytest.mark.parametrize(("function", "words"), WRONG, ids=lambda each: getattr(each, "__name__", ""))
def test_a_function_without_a_loss_for_each_example_is_refused(
    function: Callable[..., Tensor], words: str
) -> None:
    loss = Loss(task="regression", kind="own", own=function, source=f"here:{function.__name__}@0")
    with pytest.raises(ModelError, match=f"^loss: {words}") as found:
        check_own_loss(loss, dataset("diabetes"), {})
    assert "\n" not in str(found.value)
