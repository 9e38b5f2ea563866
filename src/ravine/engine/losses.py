"""The loss of each example by kind, as tensor code for a batch of one run.

Outputs of a regression and its answers are standardized, so that numbers in the target's own units come divided by its
scale. Every formula has the slope that the loss has: a number that is taken off for accuracy's sake is a constant to
the gradient, and nothing is clipped where a network can be.

Shapes: B batch, K class or label, T target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ravine.study.loss import BCE, MSE
from ravine.tensors import one_hot

Numbers = Mapping[str, Tensor]
Formula = Callable[[Tensor, Tensor, Numbers], Tensor]

_LEAST = 1e-12  # of 1 - p in the focal loss, whose power has no slope at 0


def class_losses(logits_BK: Tensor, answers: Tensor) -> Tensor:
    """Cross-entropy of each example, (B,): ``log sum_k exp(z_k) - sum_k y_k z_k``, the largest logit taken off first.

    Args:
        logits_BK: outputs.
        answers: classes (B,), or soft targets (B, K), whose rows may add up to anything.
    """
    shifted_BK = logits_BK - logits_BK.detach().amax(-1, keepdim=True)
    log_sum_B = shifted_BK.exp().sum(-1).log()
    if not answers.is_floating_point():
        return log_sum_B - shifted_BK.gather(-1, answers.unsqueeze(-1)).squeeze(-1)
    return log_sum_B * answers.sum(-1) - weighted(shifted_BK, answers)


def smoothed(answers: Tensor, smoothing: Tensor, num_classes: int) -> Tensor:
    """Answers with some of their weight on all classes alike: ``(1 - eps) y + eps / K``, (B, K).

    Mixing answers first or smoothing them first comes to the same. With 0 they keep their bits.

    Example:
        >>> smoothed(torch.tensor([2]), torch.tensor(0.1), 7)[0, 2].item()  # doctest: +ELLIPSIS
        0.9142...
    """
    soft_BK = answers if answers.is_floating_point() else one_hot(answers, num_classes, smoothing.dtype)
    return soft_BK * (1.0 - smoothing) + smoothing / num_classes


def weighted(logits: Tensor, weights: Tensor) -> Tensor:
    """``sum_k w_k z_k``; where a weight is 0 the logit may be infinite."""
    return (torch.where(weights > 0.0, logits, 0.0) * weights).sum(-1)


def label_losses(logits: Tensor, answers: Tensor) -> Tensor:
    """Of each label ``log(1 + exp(z)) - y z``, (..., K), with the larger of 0 and z taken off first.

    Example:
        >>> label_losses(torch.tensor([0.0, -200.0]), torch.tensor([1.0, 0.0]))
        tensor([0.6931, 0.0000])
    """
    top = logits.detach().clamp(min=0.0)
    return ((-top).exp() + (logits - top).exp()).log() + top - answers * logits


def binary(logits_BK: Tensor, answers_BK: Tensor, numbers: Numbers) -> Tensor:  # noqa: ARG001 (as every formula)
    """Mean over the labels of their cross-entropies, (B,)."""
    return label_losses(logits_BK, answers_BK).mean(-1)


def focal(logits_BK: Tensor, answers: Tensor, numbers: Numbers) -> Tensor:
    """``-(1 - p)^gamma log p`` of the right answer's probability p, (B,); of labels the mean. Lin et al., 2017.

    Args:
        logits_BK: outputs.
        answers: classes (B,), or labels (B, K).
        numbers: "gamma", at least 0; 0 is the cross-entropy.
    """
    labels = answers.is_floating_point()
    loss = label_losses(logits_BK, answers) if labels else class_losses(logits_BK, answers)
    doubt = -torch.expm1(-loss)  # 1 - p
    found = (numbers["gamma"] * doubt.clamp(min=_LEAST).log()).exp() * loss
    return found.mean(-1) if labels else found


def squared(outputs: Tensor, answers: Tensor, numbers: Numbers) -> Tensor:  # noqa: ARG001
    """``e^2`` of the error e, (B,)."""
    return _over_targets(_error(outputs, answers).square())


def absolute(outputs: Tensor, answers: Tensor, numbers: Numbers) -> Tensor:  # noqa: ARG001
    """``|e|``, (B,), whose slope at 0 is 0."""
    return _over_targets(_error(outputs, answers).abs())


def huber(outputs: Tensor, answers: Tensor, numbers: Numbers) -> Tensor:
    """``e^2 / 2`` up to ``|e| = delta``, from there on ``delta (|e| - delta / 2)``, (B,). Huber, 1964.

    Args:
        outputs: (B, T).
        answers: (B,) or (B, T).
        numbers: "delta", above 0.
    """
    away, delta = _error(outputs, answers).abs(), numbers["delta"]
    near = away <= delta
    return _over_targets(torch.where(near, 0.5 * away * away, delta * (away - 0.5 * delta)))


def quantile(outputs: Tensor, answers: Tensor, numbers: Numbers) -> Tensor:
    """``q d`` where the answer is d above the output, ``(q - 1) d`` where it is below, (B,). Koenker and Bassett, 1978.

    Args:
        outputs: (B, T).
        answers: (B,) or (B, T).
        numbers: "q", between 0 and 1: the share of answers below what is learned.
    """
    above, q = -_error(outputs, answers), numbers["q"]
    return _over_targets(torch.where(above >= 0.0, q * above, (q - 1.0) * above))


def poisson(outputs: Tensor, answers: Tensor, numbers: Numbers) -> Tensor:  # noqa: ARG001
    """Half the deviance of counts y from rates ``exp(f)``: ``exp(f) - y f - y + y log y``, (B,).

    Its slope is that of the negative log likelihood; but it is 0 where every rate is the count.
    """
    log_rate = outputs.squeeze(-1) if answers.dim() == 1 else outputs
    best = answers - torch.where(answers > 0.0, answers * answers.clamp(min=1e-30).log(), 0.0)
    return _over_targets(log_rate.exp() - answers * log_rate - best)


def _error(outputs: Tensor, answers: Tensor) -> Tensor:
    return (outputs.squeeze(-1) if answers.dim() == 1 else outputs) - answers


def _over_targets(found: Tensor) -> Tensor:
    return found if found.dim() == 1 else found.mean(-1)


FORMULAS: Mapping[str, Formula] = {
    "focal": focal,
    BCE: binary,
    MSE: squared,
    "mae": absolute,
    "huber": huber,
    "quantile": quantile,
    "poisson": poisson,
}
"""Those of a kind beside cross-entropy, which has class weights and smoothed answers."""
POWERS: Mapping[str, int] = {MSE: 2, "mae": 1, "huber": 2, "quantile": 1, "poisson": 1}
"""By which power of the target's scale a loss is in the target's own units."""
IN_UNITS = ("delta",)
"""Numbers that are given in the target's own units."""
