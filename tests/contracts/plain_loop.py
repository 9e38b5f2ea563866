"""The slow, obvious loop: one nn.Module in float64, autograd, and each rule's formula written out once more."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from engine_runs import CPU, network_of
from torch import Tensor, nn
from torch.nn import functional as F

from ravine import rng, schedules
from ravine.data import Dataset
from ravine.nn.stochastic import layer_keys, stochastic_modules
from ravine.study import Run, Study

Params = list[Tensor]
Update = Callable[[Params, Params, float, int], Params]  # (x, g, lr, t) -> x


def batches(seed: int, num: int, size: int, steps: int) -> Iterator[Tensor]:
    """What the documentation says of the order: a keyed permutation for each epoch, its tail left out."""
    per_epoch = num // size
    for step in range(steps):
        epoch, batch = divmod(step, per_epoch)
        yield rng.permutation(rng.key(seed, "order", epoch), num)[batch * size : (batch + 1) * size]


def update_of(
    kind: str, h: dict[str, float], shapes: list[Tensor]
) -> tuple[Update, Callable[[Params, Params], Params]]:
    """One step of a rule, and from (point, gradient-free state) the point to deploy."""
    v = [torch.zeros_like(s) for s in shapes]
    s2 = [torch.zeros_like(s) for s in shapes]

    def sgd(x: Params, g: Params, lr: float, t: int) -> Params:
        return [a - lr * b for a, b in zip(x, g, strict=True)]

    def momentum(x: Params, g: Params, lr: float, t: int) -> Params:
        for i, b in enumerate(g):
            v[i] = h["rho"] * v[i] + b
        return [a - lr * b for a, b in zip(x, v, strict=True)]

    def nesterov(x: Params, g: Params, lr: float, t: int) -> Params:
        new = []
        for i, (a, b) in enumerate(zip(x, g, strict=True)):
            old, v[i] = v[i], h["rho"] * v[i] - lr * b
            new.append(a - h["rho"] * old + (1 + h["rho"]) * v[i])
        return new

    def nesterov_lookahead(x: Params, g: Params, lr: float, t: int) -> Params:
        for i, b in enumerate(g):
            v[i] = h["rho"] * v[i] - lr * b
        return [a + b for a, b in zip(x, v, strict=True)]

    def nesterov_torch(x: Params, g: Params, lr: float, t: int) -> Params:
        for i, b in enumerate(g):
            v[i] = h["rho"] * v[i] + b
        return [a - lr * (b + h["rho"] * c) for a, b, c in zip(x, g, v, strict=True)]

    def adagrad(x: Params, g: Params, lr: float, t: int) -> Params:
        for i, b in enumerate(g):
            s2[i] = s2[i] + b * b
        return [a - lr * b / (c.sqrt() + h["eps"]) for a, b, c in zip(x, g, s2, strict=True)]

    def rmsprop(x: Params, g: Params, lr: float, t: int) -> Params:
        for i, b in enumerate(g):
            s2[i] = h["decay"] * s2[i] + (1 - h["decay"]) * b * b
        return [a - lr * b / (c.sqrt() + h["eps"]) for a, b, c in zip(x, g, s2, strict=True)]

    def adam(x: Params, g: Params, lr: float, t: int) -> Params:
        for i, b in enumerate(g):
            v[i] = h["beta1"] * v[i] + (1 - h["beta1"]) * b
            s2[i] = h["beta2"] * s2[i] + (1 - h["beta2"]) * b * b
        c1, c2 = (1 - h["beta1"] ** t, 1 - h["beta2"] ** t) if h["bias_correction"] else (1.0, 1.0)
        new = [a - lr * (m / c1) / ((s / c2).sqrt() + h["eps"]) for a, m, s in zip(x, v, s2, strict=True)]
        if kind == "adamw":
            decayed = [a.dim() >= 2 for a in x]
            new = [n - lr * h["weight_decay"] * a * d for n, a, d in zip(new, x, decayed, strict=True)]
        return new

    product = [1.0]

    def nadam(x: Params, g: Params, lr: float, t: int) -> Params:
        for i, b in enumerate(g):
            v[i] = h["beta1"] * v[i] + (1 - h["beta1"]) * b
            s2[i] = h["beta2"] * s2[i] + (1 - h["beta2"]) * b * b
        mu, following = (h["beta1"] * (1 - 0.5 * 0.96 ** (n * h["momentum_decay"])) for n in (t, t + 1))
        product[0] *= mu
        one, two = (1 - mu) / (1 - product[0]), following / (1 - product[0] * following)
        roots = [(s / (1 - h["beta2"] ** t)).sqrt() + h["eps"] for s in s2]
        return [a - lr * (one * b + two * m) / r for a, b, m, r in zip(x, g, v, roots, strict=True)]

    fast: Params = []
    squared_lrs = [0.0]

    def schedule_free_adamw(x: Params, g: Params, lr: float, t: int) -> Params:
        """Of the three points x here is y; v holds the average."""
        if t == 1:
            v[:], fast[:] = x, x
        squared_lrs.append(max(lr * lr, squared_lrs[-1]))
        c, new = squared_lrs[-1] / sum(squared_lrs), []
        for i, (y, b) in enumerate(zip(x, g, strict=True)):
            s2[i] = h["beta2"] * s2[i] + (1 - h["beta2"]) * b * b
            d = b / ((s2[i] / (1 - h["beta2"] ** t)).sqrt() + h["eps"])
            fast[i] = fast[i] - lr * (d + h["weight_decay"] * y * (y.dim() >= 2))
            v[i] = (1 - c) * v[i] + c * fast[i]
            new.append((1 - h["beta1"]) * fast[i] + h["beta1"] * v[i])
        return new

    def lion(x: Params, g: Params, lr: float, t: int) -> Params:
        new = []
        for i, (a, b) in enumerate(zip(x, g, strict=True)):
            direction = (h["beta1"] * v[i] + (1 - h["beta1"]) * b).sign()
            new.append(a - lr * (direction + h["weight_decay"] * a * (a.dim() >= 2)))
            v[i] = h["beta2"] * v[i] + (1 - h["beta2"]) * b
        return new

    def muon(x: Params, g: Params, lr: float, t: int) -> Params:
        """By singular values: the iteration is a polynomial of each. The last matrix and the vectors: AdamW."""
        matrices = [i for i, a in enumerate(x) if a.dim() >= 2][:-1]
        others = [i for i in range(len(x)) if i not in matrices]
        new = adam(x, g, lr, t)
        for i in others:
            new[i] = new[i] - lr * h["weight_decay"] * x[i] * (x[i].dim() >= 2)
        for i in matrices:
            momenta[i] = h["momentum"] * momenta[i] + (1 - h["momentum"]) * g[i]
            ahead = h["momentum"] * momenta[i] + (1 - h["momentum"]) * g[i]
            u, values, vt = torch.linalg.svd(ahead.flatten(1), full_matrices=False)
            values = values / values.square().sum().sqrt()
            for _ in range(5):
                values = 3.4445 * values - 4.775 * values**3 + 2.0315 * values**5
            length = 0.2 * max(ahead.flatten(1).shape) ** 0.5
            step = length * (u * values) @ vt
            new[i] = x[i] - lr * (step.reshape(x[i].shape) + h["weight_decay"] * x[i])
        return new

    momenta = [torch.zeros_like(s) for s in shapes]
    updates = {
        "sgd": sgd, "momentum": momentum, "nesterov": nesterov, "nesterov_lookahead": nesterov_lookahead,
        "nesterov_torch": nesterov_torch, "adagrad": adagrad, "rmsprop": rmsprop, "adam": adam, "adamw": adam,
        "lion": lion, "nadam": nadam, "muon": muon, "schedule_free_adamw": schedule_free_adamw,
    }  # fmt: skip

    def deployed(x: Params, _: Params) -> Params:
        if kind == "schedule_free_adamw":
            return v
        return [a - h["rho"] * b for a, b in zip(x, v, strict=True)] if kind == "nesterov" else x

    def ahead(x: Params, _: Params) -> Params:
        return [a + h["rho"] * b for a, b in zip(x, v, strict=True)]

    updates[kind].__dict__["ahead"] = ahead if kind == "nesterov_lookahead" else None
    return updates[kind], deployed


def penalized(x: Params, g: Params, h: dict[str, float], names: list[str], all_decay: bool) -> Params:
    """L2 and L1 in the gradient, on weights with two dimensions unless everything decays."""
    on = [
        float(all_decay or (a.dim() >= 2 and not n.endswith("bias"))) for a, n in zip(x, names, strict=True)
    ]
    l2, l1 = h.get("weight_decay", 0.0), h.get("l1", 0.0)
    return [b + d * (l2 * a + l1 * a.sign()) for a, b, d in zip(x, g, on, strict=True)]


def loss_of(task: str, output: Tensor, y: Tensor) -> Tensor:
    return (
        F.cross_entropy(output, y)
        if task == "classification"
        else F.mse_loss(output.squeeze(-1), y.to(output.dtype))
    )


def train_plainly(
    study: Study,
    run: Run,
    dtype: torch.dtype = torch.float64,
    augmented: Callable[[Tensor, int], tuple[Tensor, Tensor]] | None = None,
    loss: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
) -> tuple[nn.Module, list[float]]:
    """The module after its training, at the point to deploy, and the loss of each step's batch.

    Args:
        augmented: the rows and the step of a batch -> its examples and answers; None: they are as in the data.
        loss: rows, outputs and answers of a batch -> its loss; None: the default of the task.
    """
    data, recipe, h = study.data, run.recipe, dict(run.recipe.hypers)
    assert isinstance(data, Dataset), "tests load their data first"
    network = network_of(study, [run])
    with rng.keyed_init(run.seed):
        module = network.make().to(dtype).train()
    layers = dict(stochastic_modules(module))
    rates = network.rates([h], CPU)
    for name, layer in layers.items():
        layer.keyed, layer.rate = True, rates[f"{name}.rate"][0]
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    names, params = [name for name, _ in named], [p for _, p in named]
    update, deployed = update_of(recipe.rule, h, [p.detach() for p in params])
    ahead = update.__dict__["ahead"]
    table = schedules.table(schedules.parse_schedule(dict(recipe.schedule), "schedule"), recipe.steps)
    x_all, y_all = torch.from_numpy(data.train.x).to(dtype), torch.from_numpy(data.train.y)
    losses = []
    x = [p.detach().clone() for p in params]
    for step, rows in enumerate(batches(run.seed, len(data.train), recipe.batch_size, recipe.steps)):
        batch = (x_all, y_all) if recipe.full_batch else (x_all[rows], y_all[rows])
        if augmented is not None:
            batch = tuple(
                each.to(dtype) if each.is_floating_point() else each for each in augmented(rows, step)
            )
        for name, key in layer_keys(network.layers, run.seed, step).items():
            layers[name.removesuffix(".key")].key = key
        at = ahead(x, x) if ahead else x
        with torch.no_grad():
            for p, a in zip(params, at, strict=True):
                p.copy_(a)
        every = torch.arange(len(data.train)) if recipe.full_batch else rows
        output = module(batch[0])
        found = loss_of(data.task, output, batch[1]) if loss is None else loss(every, output, batch[1])
        losses.append(found.item())
        g = [b.detach() for b in torch.autograd.grad(found, params)]
        if h.get("sam_radius"):
            length = sum(float(b.square().sum()) for b in g) ** 0.5
            buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
            with torch.no_grad():
                for p, a, b in zip(params, at, g, strict=True):
                    p.copy_(a + h["sam_radius"] / length * b)
            above = loss_of(data.task, module(batch[0]), batch[1])
            g = [b.detach() for b in torch.autograd.grad(above, params)]
            with torch.no_grad():
                for name, buffer in module.named_buffers():
                    buffer.copy_(buffers[name])
        decayed_by_rule = recipe.rule in ("adamw", "muon")
        if not decayed_by_rule or h.get("l1"):
            g = penalized(
                at, g, {**h, "weight_decay": 0.0} if decayed_by_rule else h, names, recipe.exclude == ""
            )
        lr = h["lr"] * table[step]
        new = update(x, g, lr, step + 1)
        x = _after_step(x, new, lr, h, names, recipe.exclude == "")
    with torch.no_grad():
        for p, a in zip(params, deployed(x, x), strict=True):
            p.copy_(a)
    assert all(math.isfinite(loss) for loss in losses), "the tests' runs do not diverge"
    return module.to(CPU).eval(), losses


def _after_step(
    old: Params, new: Params, lr: float, h: dict[str, float], names: list[str], all_decay: bool
) -> Params:
    """Decoupled decay, then the projection to max_norm."""
    out = []
    for a, b, name in zip(old, new, names, strict=True):
        on = all_decay or (a.dim() >= 2 and not name.endswith("bias"))
        c = b - lr * h.get("decoupled_weight_decay", 0.0) * a * float(on)
        if h.get("max_norm", 0.0) > 0 and c.dim() >= 2:
            length = c.flatten(1).norm(dim=1).reshape(-1, *[1] * (c.dim() - 1))
            c = c * (h["max_norm"] / length).clamp(max=1.0)
        out.append(c)
    return out


def weights_of(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}
