"""Predictions of several passes as one: the mean of their probabilities, and of a regression that of their values.

Shapes: N example, S sample, V view of a picture, K output.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


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
    log_p = logits_NSVK.double().log_softmax(-1)
    num_passes = log_p.shape[1] * log_p.shape[2]
    mean_NK = log_p.logsumexp((1, 2)) - math.log(num_passes)
    # A probability of 0 has no entropy.
    within_N = -(log_p.exp() * log_p.clamp(min=-1e300)).sum((1, 2, 3)) / num_passes
    sums = {}
    if answers_N is not None:
        views_NSK = log_p.logsumexp(2)
        rows = torch.arange(len(answers_N))
        number_S = torch.arange(1, log_p.shape[1] + 1, dtype=torch.float64) * log_p.shape[2]
        of_right_NS = views_NSK[rows, :, answers_N]
        nll_NS = number_S.log() - of_right_NS.logcumsumexp(1)
        chosen_NS = views_NSK.exp().cumsum(1).argmax(-1)
        sums = {"nll": nll_NS.sum(0), "right": (chosen_NS == answers_N[:, None]).double().sum(0)}
    return Mixture(predicted_NK=mean_NK, within_N=within_N, sums=sums)


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
