"""Every rule again: slow, obvious, float64 NumPy, one textbook line after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from ravine.rules import REGULARIZERS, RULES, Rule

Array = np.ndarray
Gradient = Callable[[Array], Array]


def sgd(x: Array, gradient: Gradient, lrs: Array, h: Mapping[str, float]) -> list[Array]:
    path = []
    for lr in lrs:
        x = x - lr * gradient(x)
        path.append(x)
    return path


def momentum(x: Array, gradient: Gradient, lrs: Array, h: Mapping[str, float]) -> list[Array]:
    path, v = [], np.zeros_like(x)
    for lr in lrs:
        v = h["rho"] * v + gradient(x)
        x = x - lr * v
        path.append(x)
    return path


def nesterov_lookahead(x: Array, gradient: Gradient, lrs: Array, h: Mapping[str, float]) -> list[Array]:
    path, v = [], np.zeros_like(x)
    for lr in lrs:
        v = h["rho"] * v - lr * gradient(x + h["rho"] * v)
        x = x + v
        path.append(x)
    return path


def nesterov(x: Array, gradient: Gradient, lrs: Array, h: Mapping[str, float]) -> list[Array]:
    path, v, shifted, rho = [], np.zeros_like(x), x, h["rho"]
    for lr in lrs:
        old = v
        v = rho * v - lr * gradient(shifted)
        shifted = shifted + (-rho * old + (1.0 + rho) * v)
        path.append(shifted)
    return path


def nesterov_torch(x: Array, gradient: Gradient, lrs: Array, h: Mapping[str, float]) -> list[Array]:
    path, v = [], np.zeros_like(x)
    for lr in lrs:
        g = gradient(x)
        v = h["rho"] * v + g
        x = x - lr * (g + h["rho"] * v)
        path.append(x)
    return path


def adagrad(x: Array, gradient: Gradient, lrs: Array, h: Mapping[str, float]) -> list[Array]:
    path, s = [], np.zeros_like(x)
    for lr in lrs:
        g = gradient(x)
        s = s + g**2
        x = x - lr * g / (np.sqrt(s) + h["eps"])
        path.append(x)
    return path


def rmsprop(x: Array, gradient: Gradient, lrs: Array, h: Mapping[str, float]) -> list[Array]:
    path, s = [], np.zeros_like(x)
    for lr in lrs:
        g = gradient(x)
        s = h["decay"] * s + (1.0 - h["decay"]) * g**2
        x = x - lr * g / (np.sqrt(s) + h["eps"])
        path.append(x)
    return path


def adam(x: Array, gradient: Gradient, lrs: Array, h: Mapping[str, float]) -> list[Array]:
    path, m, s = [], np.zeros_like(x), np.zeros_like(x)
    for t, lr in enumerate(lrs, start=1):
        g = gradient(x)
        m = h["beta1"] * m + (1.0 - h["beta1"]) * g
        s = h["beta2"] * s + (1.0 - h["beta2"]) * g**2
        corrected = h["bias_correction"] == 1.0
        m_hat = m / (1.0 - h["beta1"] ** t) if corrected else m
        s_hat = s / (1.0 - h["beta2"] ** t) if corrected else s
        x = x - lr * m_hat / (np.sqrt(s_hat) + h["eps"]) - lr * h.get("weight_decay", 0.0) * x
        path.append(x)
    return path


def lion(x: Array, gradient: Gradient, lrs: Array, h: Mapping[str, float]) -> list[Array]:
    path, m = [], np.zeros_like(x)
    for lr in lrs:
        g = gradient(x)
        direction = np.sign(h["beta1"] * m + (1.0 - h["beta1"]) * g)
        x = x - lr * (direction + h["weight_decay"] * x)
        m = h["beta2"] * m + (1.0 - h["beta2"]) * g
        path.append(x)
    return path


def nadam(x: Array, gradient: Gradient, lrs: Array, h: Mapping[str, float]) -> list[Array]:
    path, m, s, product = [], np.zeros_like(x), np.zeros_like(x), 1.0
    for t, lr in enumerate(lrs, start=1):
        g = gradient(x)
        m = h["beta1"] * m + (1.0 - h["beta1"]) * g
        s = h["beta2"] * s + (1.0 - h["beta2"]) * g**2
        mu, mu_next = (h["beta1"] * (1.0 - 0.5 * 0.96 ** (n * h["momentum_decay"])) for n in (t, t + 1))
        product *= mu
        ahead = mu_next * m / (1.0 - product * mu_next) + (1.0 - mu) * g / (1.0 - product)
        x = x - lr * ahead / (np.sqrt(s / (1.0 - h["beta2"] ** t)) + h["eps"])
        path.append(x)
    return path


def schedule_free_adamw(x: Array, gradient: Gradient, lrs: Array, h: Mapping[str, float]) -> list[Array]:
    """The paper's three points; the path is that of y."""
    path, z, s, y, total, beta1 = [], x, np.zeros_like(x), x, 0.0, h["beta1"]
    for t, lr in enumerate(lrs, start=1):
        g = gradient(y)
        s = h["beta2"] * s + (1.0 - h["beta2"]) * g**2
        z = z - lr * (g / (np.sqrt(s / (1.0 - h["beta2"] ** t)) + h["eps"]) + h["weight_decay"] * y)
        weight = max(lrs[:t]) ** 2
        total += weight
        c = weight / total if total else 0.0
        x = (1.0 - c) * x + c * z
        y = (1.0 - beta1) * z + beta1 * x
        path.append(y)
    return path


REFERENCE = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "nesterov_lookahead": nesterov_lookahead,
    "nesterov_torch": nesterov_torch,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adam,
    "nadam": nadam,
    "lion": lion,
    "schedule_free_adamw": schedule_free_adamw,
}


def quadratic(seed: int, size: int) -> tuple[Array, Array, Gradient]:
    """A convex quadratic with curvatures 0.01 to 1: start, diagonal, gradient with a touch of a cubic's."""
    rng = np.random.default_rng(seed)
    curvature = np.geomspace(0.01, 1.0, size)
    return rng.normal(size=size), curvature, lambda x: curvature * x + 0.1 * np.sin(3.0 * x)


def walk(
    rule: Rule,
    x: torch.Tensor,
    gradient: Callable[[torch.Tensor], torch.Tensor],
    lrs: Array,
    hypers: Mapping[str, float],
    mask: torch.Tensor | None = None,
) -> list[torch.Tensor]:
    """The points that a rule visits, driven as the contract says."""
    state = rule.init(x)
    path = []
    for step, lr in enumerate(lrs):
        given = {
            name: torch.as_tensor(value, dtype=x.dtype) for name, value in {**hypers, "lr": float(lr)}.items()
        }
        given = rule.masked(given, mask)
        at = x if rule.gradient_at is None else rule.gradient_at(x, state, given)
        update, state = rule.update(gradient(at), state, x, given, torch.tensor(step + 1.0, dtype=x.dtype))
        x = x + update
        path.append(x)
    return path


ON_VECTORS = sorted(kind for kind, rule in RULES.items() if rule.others is None)
"""All but those of matrices."""


def penalties(kind: str) -> list[str]:
    """The regularizers that a rule allows."""
    return [name for name in REGULARIZERS if name not in RULES[kind].refuses]


def defaults(rule: Rule) -> dict[str, float]:
    """The lecture's hypers, without lr."""
    return {n: h.default for n, h in rule.hypers.items() if h.default is not None and n != "lr"}
