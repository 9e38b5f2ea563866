"""What an expert writes by hand: JAX, vmap over runs, scan over steps.

Shapes: C config, S seed, B batch, N example, D feature, T step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sweeps.child import Clock
from sweeps.task import BETAS, DECAY, EPS, MOMENTUM, Arrays, Job, Outcome, Score

Tree = Any
Slots = tuple[jax.Array, ...]
Update = Callable[[jax.Array, Slots, jax.Array, jax.Array], tuple[jax.Array, Slots]]
"""(gradient, slots, lr, t) -> (what to add to the parameters, new slots)"""


def sgd(g: jax.Array, slots: Slots, lr: jax.Array, t: jax.Array) -> tuple[jax.Array, Slots]:
    return -lr * g, ()


def momentum(g: jax.Array, slots: Slots, lr: jax.Array, t: jax.Array) -> tuple[jax.Array, Slots]:
    v = MOMENTUM * slots[0] + g
    return -lr * v, (v,)


def nesterov(g: jax.Array, slots: Slots, lr: jax.Array, t: jax.Array) -> tuple[jax.Array, Slots]:
    v = MOMENTUM * slots[0] + g
    return -lr * (g + MOMENTUM * v), (v,)


def adagrad(g: jax.Array, slots: Slots, lr: jax.Array, t: jax.Array) -> tuple[jax.Array, Slots]:
    s = slots[0] + g * g
    return -lr * g / (jnp.sqrt(s) + EPS), (s,)


def rmsprop(g: jax.Array, slots: Slots, lr: jax.Array, t: jax.Array) -> tuple[jax.Array, Slots]:
    s = DECAY * slots[0] + (1 - DECAY) * g * g
    return -lr * g / (jnp.sqrt(s) + EPS), (s,)


def adam(g: jax.Array, slots: Slots, lr: jax.Array, t: jax.Array) -> tuple[jax.Array, Slots]:
    m = BETAS[0] * slots[0] + (1 - BETAS[0]) * g
    s = BETAS[1] * slots[1] + (1 - BETAS[1]) * g * g
    update = -lr * (m / (1 - BETAS[0] ** t)) / (jnp.sqrt(s / (1 - BETAS[1] ** t)) + EPS)
    return update, (m, s)


UPDATES: dict[str, tuple[Update, int]] = {  # with the number of slots
    "sgd": (sgd, 0),
    "momentum": (momentum, 1),
    "nesterov": (nesterov, 1),
    "adagrad": (adagrad, 1),
    "rmsprop": (rmsprop, 1),
    "adam": (adam, 2),
}


def initial(seed: int, widths: list[int]) -> Tree:
    """Weights and biases of one run, uniform as PyTorch draws them; by NumPy: XLA compiles draws for seconds."""
    rng = np.random.default_rng([seed, 0])
    params = []
    for before, after in pairwise(widths):
        bound = 1 / math.sqrt(before)
        w, b = rng.uniform(-bound, bound, (before, after)), rng.uniform(-bound, bound, (after,))
        params.append((w.astype(np.float32), b.astype(np.float32)))
    return params


def batches(seed: int, num_examples: int, batch_size: int, steps: int) -> np.ndarray:
    """The examples of every step, (steps, B): a permutation for each epoch, its rest left out; by NumPy."""
    rng = np.random.default_rng([seed, 1])
    per_epoch = num_examples // batch_size
    epochs = [rng.permutation(num_examples)[: per_epoch * batch_size] for _ in range(-(-steps // per_epoch))]
    return np.concatenate(epochs).reshape(-1, batch_size)[:steps].astype(np.int32)


def forward(params: Tree, x: jax.Array) -> jax.Array:
    """Outputs of one run."""
    for w, b in params[:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = params[-1]
    outputs: jax.Array = x @ w + b
    return outputs


def loss_of(params: Tree, x: jax.Array, y: jax.Array) -> jax.Array:
    """Mean cross-entropy of one run on a batch."""
    return cross_entropy(forward(params, x), y)


def cross_entropy(logits: jax.Array, y: jax.Array) -> jax.Array:
    """Mean over examples."""
    picked = jnp.take_along_axis(logits, y[:, None], 1)[:, 0]
    return (jax.nn.logsumexp(logits, 1) - picked).mean()


def study(job: Job, clock: Clock) -> Outcome:
    """All runs in one program: of Adam alone, or of all rules in segments of the config axis.

    Option "rules": "adam" (as many runs, all of them Adam) or "all". Option "layout": "flat", one vmap over
    runs, each with a batch gathered for it; "shared", a vmap over configs around one over seeds, so that the
    configs of a seed share its batch.
    """
    task, arrays = job.task, Arrays.load(job.arrays)
    num_configs = task.num_runs // task.seeds
    only_adam = job.options["rules"] == "adam"
    if only_adam:  # the rule's own lrs, as many times as give the same number of runs
        lrs = [task.rules["adam"][i % len(task.rules["adam"])] for i in range(num_configs)]
        segments = [("adam", 0, num_configs)]
    else:
        lrs = [lr for rates in task.rules.values() for lr in rates]
        stops = np.cumsum([len(rates) for rates in task.rules.values()]).tolist()
        ends = dict(zip(task.rules, stops, strict=True))
        segments = [(rule, end - len(task.rules[rule]), end) for rule, end in ends.items()]
    widths = [arrays.num_features, *task.model["hidden"], arrays.num_classes]
    shape = Shape(
        segments=segments,
        every=task.every,
        shared=job.options["layout"] == "shared",
    )
    splits = (arrays.train, arrays.validation, arrays.test)
    flat = [jnp.asarray(part) for x, y in splits for part in (x.reshape(len(y), -1), y.astype(np.int32))]

    def inputs() -> list[Any]:
        params = [initial(seed, widths) for seed in range(task.seeds)]
        rows = [batches(seed, len(arrays.train[1]), task.batch_size, job.steps) for seed in range(task.seeds)]
        stacked = jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *params)
        return [stacked, jnp.asarray(np.stack(rows, 1)), jnp.asarray(lrs, jnp.float32), *flat[:5]]

    with clock.phase("train"):
        given = inputs()
    with clock.phase("make"):
        compiled = jax.jit(partial(train, shape)).lower(*given).compile()
    with clock.phase("train"):
        result = jax.block_until_ready(compiled(*given))  # type: ignore[no-untyped-call]
    loss_CS, accuracy_CS, _ = (np.asarray(curve)[-1] for curve in result[0])
    scores = [
        Score(
            rule=rule,
            lr=lrs[c],
            seed=s,
            accuracy=float(accuracy_CS[c, s]) if np.isfinite(loss_CS[c, s]) else None,
        )
        for rule, start, stop in segments
        for c in range(start, min(stop, start + len(task.rules[rule])))
        for s in range(task.seeds)
    ]
    return Outcome(
        run_steps=task.num_runs * job.steps,
        scores=tuple(scores),
        scale=task.steps / job.steps,
        notes=("all runs are Adam's",) if only_adam else (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the program is compiled for: segments are (rule, first config, end)."""

    segments: list[tuple[str, int, int]]
    every: int
    shared: bool

    @property
    def num_configs(self) -> int:
        return self.segments[-1][2]


def train(
    shape: Shape,
    params_S: Tree,
    rows_TSB: jax.Array,
    lr_C: jax.Array,
    x_ND: jax.Array,
    y_N: jax.Array,
    validation_x: jax.Array,
    validation_y: jax.Array,
    test_x: jax.Array,
) -> tuple[tuple[jax.Array, ...], jax.Array]:
    """Validation losses, accuracies and training losses, (evaluations, C, S) each; outputs for the test set."""
    params = jax.tree.map(lambda p: jnp.tile(p[None], (shape.num_configs, *[1] * p.ndim)), params_S)
    slots = [
        [tuple(jnp.zeros_like(p[a:b]) for _ in range(UPDATES[rule][1])) for p in jax.tree.leaves(params)]
        for rule, a, b in shape.segments
    ]

    def evaluate(params: Tree) -> tuple[jax.Array, jax.Array]:
        logits = forward(params, validation_x)
        return cross_entropy(logits, validation_y), (logits.argmax(-1) == validation_y).mean()

    def step(carry: tuple[Tree, list[Any], jax.Array], rows_SB: jax.Array) -> tuple[Any, jax.Array]:
        params, slots, t = carry
        loss_CS, found = gradients(shape, params, x_ND[rows_SB], y_N[rows_SB])
        grads, spec = jax.tree.flatten(found)
        new_params, new_slots = [], [[] for _ in shape.segments]  # type: ignore[var-annotated]
        for i, (p, g) in enumerate(zip(jax.tree.leaves(params), grads, strict=True)):
            parts = []
            for k, (rule, a, b) in enumerate(shape.segments):
                lr = lr_C[a:b].reshape(-1, *[1] * (g.ndim - 1))
                update, new = UPDATES[rule][0](g[a:b], slots[k][i], lr, t)
                parts.append(p[a:b] + update)
                new_slots[k].append(new)
            new_params.append(parts[0] if len(parts) == 1 else jnp.concatenate(parts))
        return (jax.tree.unflatten(spec, new_params), new_slots, t + 1), loss_CS

    def stretch(carry: Any, rows: jax.Array) -> tuple[Any, tuple[jax.Array, ...]]:
        carry, loss_TCS = jax.lax.scan(step, carry, rows)
        return carry, (*jax.vmap(jax.vmap(evaluate))(carry[0]), loss_TCS.mean(0))

    rows = rows_TSB.reshape(-1, shape.every, *rows_TSB.shape[1:])
    (params, _, _), curves = jax.lax.scan(stretch, (params, slots, jnp.float32(1)), rows)
    return curves, jax.vmap(jax.vmap(lambda p: forward(p, test_x)))(params)


def gradients(shape: Shape, params: Tree, x_SBD: jax.Array, y_SB: jax.Array) -> tuple[jax.Array, Tree]:
    """Every run's loss on its seed's batch, (C, S), and its gradient, laid out as the parameters."""
    if shape.shared:
        over_seeds = jax.vmap(jax.value_and_grad(loss_of))
        return jax.vmap(over_seeds, (0, None, None))(params, x_SBD, y_SB)
    flat = jax.tree.map(lambda p: p.reshape(-1, *p.shape[2:]), params)
    x, y = jnp.tile(x_SBD, (shape.num_configs, 1, 1)), jnp.tile(y_SB, (shape.num_configs, 1))
    loss_R, grads = jax.vmap(jax.value_and_grad(loss_of))(flat, x, y)
    return loss_R.reshape(shape.num_configs, -1), jax.tree.map(lambda g, p: g.reshape(p.shape), grads, params)
