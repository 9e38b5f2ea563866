"""Symmetric Beta numbers without rejection: a fixed number of words makes each, so that a draw can be keyed."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_ROUNDS = 12
BETA_WORDS = 2 + 2 * _ROUNDS
"""Random words that `beta` makes a number of."""


def beta(words: Tensor, alpha: Tensor) -> Tensor:
    """A number distributed as Beta(alpha, alpha).

    For alpha > 1/2 by Ulrich's formula, 1/2 + sqrt(1 - U^(2 / (2 alpha - 1))) cos(2 pi V) / 2. For smaller ones by
    Joehnk's, X / (X + Y) for the first X = U^(1 / alpha), Y = V^(1 / alpha) with X + Y <= 1, in logarithms: one of 12
    pairs is accepted except once in 10^8, where the number is 0.

    Args:
        words: int64 (..., 26), from `ravine.rng.bits` or `bits_at`.
        alpha: float32, above 0; broadcasts against the words without their last dimension.

    Returns:
        float32 tensor in [0, 1], (...).

    References:
        Ulrich 1984, "Computer generation of distributions on the m-sphere"; Joehnk 1964, "Erzeugung von betaverteilten
        und gammaverteilten Zufallszahlen"; both in Devroye 1986, "Non-uniform random variate generation".

    Example:
        >>> from ravine import rng
        >>> words = rng.bits(rng.key(0, "lambda"), 1000 * BETA_WORDS).reshape(1000, BETA_WORDS)
        >>> lam = beta(words, torch.tensor(0.2))
        >>> bool(abs(lam.mean() - 0.5) < 0.05 and abs(lam.var() - 0.25 / 1.4) < 0.02)
        True
    """
    u = (((words >> 9) << 1) + 1).to(torch.float32) * 2.0**-24  # odd multiples: never 0, never 1
    logs = u.log()
    large = alpha > 0.5
    exponent = 2.0 / torch.where(large, 2.0 * alpha - 1.0, 1.0)
    radius = (-torch.expm1(logs[..., 0] * exponent)).sqrt()
    of_large = 0.5 + 0.5 * radius * (u[..., 1] * (2 * math.pi)).cos()
    share = 1.0 / torch.where(large, 0.5, alpha)
    of_small = torch.zeros_like(of_large)
    for i in (0, *reversed(range(_ROUNDS))):
        log_x, log_y = logs[..., 2 + 2 * i] * share, logs[..., 3 + 2 * i] * share
        top = torch.maximum(log_x, log_y)
        accepted = top + torch.exp(-(log_x - log_y).abs()).log1p() <= 0.0
        found = 1.0 / (1.0 + torch.exp(log_y - log_x))  # torch.sigmoid rounds by the place in memory
        # The last accepted one that is looked at is the first of all.
        of_small = torch.where(accepted, found, of_small)
    return torch.where(large, of_large, of_small)
