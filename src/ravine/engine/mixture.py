"""Predictions of several passes as one: the mean of their probabilities, and of a regression that of their values.

Shapes: N example, S sample, V view of a picture, K output. Inside, classes come first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_TINY = 1e-290  # below it a mean of probabilities is computed from logarithms


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """What passes predict together.

    Args:
        predicted_NK: logarithms of the mean probabilities; of a regression the mean values, (N,).
        within_N: the mean entropy of the passes, in nats; of a regression the standard deviation of their values.
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


def of_values(values_NSV: Tensor, answers_N: Tensor | None = None) -> Mixture:
    """Passes of a regression.

    Args:
        values_NSV: of each pass, in the target's own units.
        answers_N: the right values; None: nothing is scored.
    """
    values = values_NSV.double()
    mean_N = values.mean((1, 2))
    spread_N = (values - mean_N[:, None, None]).square().mean((1, 2)).sqrt()
    sums = {}
    if answers_N is not None:
        number_S = torch.arange(1, values.shape[1] + 1, dtype=torch.float64)
        sums["squares"] = (values.mean(2).cumsum(1) / number_S - answers_N[:, None]).square().sum(0)
    return Mixture(predicted_NK=mean_N, within_N=spread_N, sums=sums)
