"""Rules of a user's, one for each scope, and their formulas in float64."""

from __future__ import annotations

import torch

from ravine import Hyper, Rule

_LR = Hyper(about="learning rate", low_open=True, log=True)
SMALL = 1e-3


def mean_of_gradients(param):
    """A comment or a docstring is no part of a rule."""
    return {"mean": param.new_zeros(param.shape), "sum": param.new_zeros(())}


def soft_sign(grad, state, param, hypers, t):
    mean = state["mean"] + (1.0 - hypers["beta"]) * (grad - state["mean"])
    step = bounded(mean) + hypers["pull"] * param
    return -hypers["lr"] * step, {"mean": mean, "sum": state["sum"] + hypers["lr"]}


def bounded(x):
    return x / (x.abs() + SMALL).where(x.abs() > 0.0, 1.0)


def shrunk(param, state, hypers):
    return param * (1.0 - hypers["shrink"]) + 0.0 * state["mean"]


SOFT_SIGN = Rule(
    name="soft_sign",
    hypers={
        "lr": _LR,
        "beta": Hyper(about="decay of the mean", default=0.9, high=1.0, high_open=True),
        "pull": Hyper(about="decay beside the gradient", default=0.1),
        "shrink": Hyper(about="how much smaller the deployed weights are", default=0.25, high=1.0),
    },
    init=mean_of_gradients,
    update=soft_sign,
    points={"deployed": shrunk},
    decays=("pull",),
)


def no_longer(grad, state, param, hypers, t):
    length = grad.square().sum().sqrt()
    longest = state["longest"].maximum(length)
    return -hypers["lr"] * grad / (longest + SMALL), {"longest": longest}


NORMALIZED = Rule(
    name="normalized",
    hypers={"lr": _LR},
    init=lambda param: {"longest": param.new_zeros(())},
    update=no_longer,
    scope="run",
)


def each_normalized(grad, state, param, hypers, t):
    return -hypers["lr"] * grad / (grad.square().sum().sqrt() + SMALL), state


LAYERWISE = Rule(name="layerwise", hypers={"lr": _LR}, update=each_normalized, scope="tensor")

OWN = (SOFT_SIGN, NORMALIZED, LAYERWISE)


def formula(name, h, shapes):
    """One step for lists of float64 tensors, and the point to deploy."""
    means, longest = [torch.zeros_like(shape) for shape in shapes], [0.0]

    def update(x, g, lr, t):
        if name == "layerwise":
            return [a - lr * b / (b.norm() + SMALL) for a, b in zip(x, g, strict=True)]
        if name == "normalized":
            longest[0] = max(longest[0], float(torch.cat([b.flatten() for b in g]).norm()))
            return [a - lr * b / (longest[0] + SMALL) for a, b in zip(x, g, strict=True)]
        new = []
        for i, (a, b) in enumerate(zip(x, g, strict=True)):
            means[i] = h["beta"] * means[i] + (1 - h["beta"]) * b
            size = means[i].abs()
            sign = torch.where(size > 0, means[i] / (size + SMALL), means[i])
            new.append(a - lr * (sign + h["pull"] * a * (a.dim() >= 2)))
        return new

    def deployed(x, g):
        return [a * (1 - h["shrink"]) for a in x] if name == "soft_sign" else x

    update.ahead = None
    return update, deployed
