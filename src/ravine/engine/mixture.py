"""Predictions of several passes as one: the mean of their probabilities, and of a regression that of their values.

Shapes: N example, S sample, V view of a picture, K class or label, T target. Inside, classes come first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_TINY = 1e-290  # below it a mean of probabilities is computed from logarithms


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """What passes predict together.

    Args:
        predicted_NK: logarithms of the mean probabilities; of labels the logits of these, (N, K); of a regression the
            mean values, (N,) or (N, T).
        within_N: the mean entropy of the passes, in nats, of labels their mean; of a regression the standard deviation
            of their values, (N,) or (N, T).
        sums: by name, (S,): of the first n samples, sums over the examples: ``nll`` and ``right``, or ``squares``.
            Empty without answers.
    """

    predicted_NK: Tensor
    within_N: Tensor
    sums: dict[str, Tensor]


def of_classes(logits_NSVK: Tensor, answers_N: Tensor | None = None) -> Mixture:
    """Passes of a classification.

    A mean of probabilities is computed from logarithms, so that one that is nearly 0 in all passes stays above 0.

    Args:
        logits_NSVK: of each pass.
        answers_N: the right classes; None: nothing is scored.
    """
    # Classes first: then every operation goes along memory.
    z = logits_NSVK.permute(3, 0, 1, 2).contiguous().double()
    z = (z - z.amax(0)).clamp_(min=-1e300)  # a class of probability 0 has no entropy, and no NaN
    p = z.exp()
    total = p.sum(0)
    p /= total
    log_total = total.log()
    num_passes = total.shape[1] * total.shape[2]
    within_N = (log_total - (p * z).sum(0)).mean((1, 2))
    views_KNS = p.sum(3)
    mean_KN = views_KNS.sum(2) / num_passes
    if float(mean_KN.min()) > _TINY:
        log_mean_KN = mean_KN.log()
    else:
        log_mean_KN = (z - log_total).logsumexp((2, 3)) - math.log(num_passes)
    sums = {}
    if answers_N is not None:
        rows = torch.arange(len(answers_N))
        of_right_NS = (z[answers_N, rows] - log_total).logsumexp(2)
        number_S = torch.arange(1, total.shape[1] + 1, dtype=torch.float64) * total.shape[2]
        nll_NS = number_S.log() - of_right_NS.logcumsumexp(1)
        chosen_NS = views_KNS.cumsum(2).argmax(0)
        sums = {"nll": nll_NS.sum(0), "right": (chosen_NS == answers_N[:, None]).double().sum(0)}
    return Mixture(predicted_NK=log_mean_KN.T.contiguous(), within_N=within_N, sums=sums)


def of_labels(logits_NSVK: Tensor, answers_NK: Tensor | None = None) -> Mixture:
    """Passes of a task of labels: each label of an example is a choice between two classes, no and yes.

    Args:
        logits_NSVK: of each pass.
        answers_NK: 1 where a label is right, else 0; None: nothing is scored.
    """
    num, samples, views, num_labels = logits_NSVK.shape
    z = logits_NSVK.permute(0, 3, 1, 2).reshape(num * num_labels, samples, views, 1)
    answers = None if answers_NK is None else answers_NK.long().flatten()
    found = of_classes(torch.cat([torch.zeros_like(z), z], -1), answers)
    log_odds = found.predicted_NK[:, 1] - found.predicted_NK[:, 0]
    return Mixture(
        predicted_NK=log_odds.unflatten(0, (num, num_labels)),
        within_N=found.within_N.unflatten(0, (num, num_labels)).mean(1),
        sums={name: sums / num_labels for name, sums in found.sums.items()},
    )


def of_values(
    values: Tensor, answers: Tensor | None = None, scale: float | Tensor | Sequence[float] = 1.0
) -> Mixture:
    """Passes of a regression.

    Args:
        values: of each pass, in the target's own units: (N, S, V), or (N, S, V, T) of several targets.
        answers: the right values, (N,) or (N, T); None: nothing is scored.
        scale: (T,) what errors of several targets are divided by before their squares are averaged.
    """
    values = values.double()
    mean = values.mean((1, 2))
    spread = (values - mean[:, None, None]).square().mean((1, 2)).sqrt()
    sums = {}
    if answers is not None:
        shape = (-1, *(1,) * (values.dim() - 3))
        number_S = torch.arange(1, values.shape[1] + 1, dtype=torch.float64).reshape(shape)
        off = values.mean(2).cumsum(1) / number_S - answers[:, None]
        if values.dim() == 3:
            sums["squares"] = off.square().sum(0)
        else:
            sums["squares"] = (off / torch.as_tensor(scale, dtype=torch.float64)).square().mean(-1).sum(0)
    return Mixture(predicted_NK=mean, within_N=spread, sums=sums)
