"""Studies as a launch would leave them in a store, with curves and predictions that behave like training."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ravine.outcomes.results import Results
from ravine.store import Labels, NewRun, RunResult, Store

SIX = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")
# log10 of the lr that suits each rule best; runs diverge from about two decades above.
SUITS = {"sgd": -0.9, "momentum": -1.6, "nesterov": -1.6, "adagrad": -1.7, "rmsprop": -2.9, "adam": -2.7}
CLASSES = 10


def digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def fill(
    store: Store,
    *,
    name: str = "digits-rules",
    rules: Sequence[str] = SIX,
    lrs: Sequence[float] = tuple(10 ** (k / 2) for k in range(-8, 1)),
    seeds: int = 3,
    others: Mapping[str, Sequence[float | str]] | None = None,
    draws: Sequence[Mapping[str, float | str]] | Mapping[str, Sequence[Mapping[str, float]]] | None = None,
    task: str = "classification",
    num_steps: int = 440,
    sizes: tuple[int, int, int] = (1257, 270, 270),
    fate: Callable[[str, float, int], bool] | None = None,
    unfinished: int = 0,
    command: str = "ravine run digits.toml",
    notes: Sequence[str] = (),
) -> None:
    """One study in one cohort: every rule at every lr, every combination of the other hypers and every seed.

    ``draws`` are the hypers of a random search, instead of lrs and others; or such a list for each rule.
    ``fate(rule, lr, seed)`` decides which runs diverge; by default those far above what suits their rule.
    """
    rng = np.random.default_rng(7)
    product = [
        {"lr": float(f"{lr:.4g}"), **dict(zip(others or {}, values, strict=True))}
        for lr in lrs
        for values in itertools.product(*(others or {}).values())
    ]
    chosen = draws if isinstance(draws, Mapping) else dict.fromkeys(rules, draws or product)
    grid = [(rule, dict(hypers), seed) for rule in rules for hypers in chosen[rule] for seed in range(seeds)]
    steps = np.unique(np.linspace(0, num_steps, 21).round().astype(np.int64))
    if task == "classification":
        labels = [rng.integers(0, CLASSES, size).astype(np.int64) for size in sizes[1:]]
    else:
        labels = [rng.normal(150, 70, size) for size in sizes[1:]]
    new, results, columns, predictions = [], [], [], {"validation": [], "test": []}
    for index, (rule, hypers, seed) in enumerate(grid):
        config = digest(name, rule, hypers)
        run = digest(config, seed)
        new.append(
            NewRun(
                id=run,
                config=config,
                rule=rule,
                hypers=hypers,
                seed=seed,
                recipe={"rule": rule},
                num_steps=num_steps,
            )
        )
        excess = np.log10(hypers["lr"]) - SUITS.get(rule, -2.0 - 0.15 * (len(rule) % 5))
        lost = fate(rule, hypers["lr"], seed) if fate else excess > 1.55 + 0.25 * (seed % 3)
        curve, skill = _learn(rng, steps / num_steps, excess, hypers, task)
        if lost:
            at = int(steps[2 + index % 4])
            curve = {key: np.where(steps <= at, value, np.nan) for key, value in curve.items()}
            curve["train_loss"][steps <= at] *= 3.0 ** np.arange((steps <= at).sum())
        columns.append(curve)
        finals = {} if lost else {key: float(value[-1]) for key, value in curve.items()}
        for part, target in zip(("validation", "test"), labels, strict=True):
            predictions[part].append(_predict(rng, target, skill, task))
        if not lost and task == "classification":
            right = (predictions["validation"][-1].argmax(1) == labels[0]).mean()
            finals["validation_accuracy"] = float(right)
        results.append(
            RunResult(
                id=run,
                diverged_at=at if lost else None,
                step=at if lost else num_steps,
                seconds=0.021 + 0.001 * (index % 7),
                backend="fused compiled",
                metrics=finals,
            )
        )
    store.save_study(
        name,
        definition=definition(name, rules, lrs, seeds),
        base="base",
        data_fingerprint="d" * 64,
        notes=notes,
    )
    store.labels.put(
        "d" * 64,
        Labels(
            name="digits" if task == "classification" else "diabetes",
            task=task,
            classes=tuple("0123456789") if task == "classification" else (),
            sizes=sizes,
            validation=labels[0],
            test=labels[1],
        ),
    )
    launch = store.launches.begin(
        name,
        command=command,
        versions={"ravine": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6", "python": "3.11.2"},
        hardware={"processor": "AMD EPYC 7R13", "cores": 2, "memory": "8 GiB", "system": "Linux 6.1"},
        plan=f"fused compiled, 1 cohort of {len(grid)} runs, expected 5 s",
    )
    store.add_runs(name, new)
    done = len(new) - unfinished
    if done:
        ids = [run.id for run in new[:done]]
        store.open_cohort("cohort", ids, {})
        metrics = {key: np.stack([curve[key] for curve in columns[:done]], axis=1) for key in columns[0]}
        store.append_curves(ids, steps, metrics)
        arrays = {part: np.stack(rows[:done]).astype(np.float32) for part, rows in predictions.items()}
        store.finish_cohort("cohort", results[:done], {"w": np.zeros((done, 1), np.float32)}, arrays)
    store.launches.end(launch, 4.93)


def _learn(
    rng: np.random.Generator, time: np.ndarray, excess: float, hypers: Mapping[str, Any], task: str
) -> tuple[dict[str, np.ndarray], float]:
    """Curves of one run, and the share of the task that it has learned in the end."""
    speed = 14 * 10.0 ** min(excess, 0.4)
    top = 0.975 - 0.06 * max(0.0, excess) ** 2 - 0.01 * float(hypers.get("dropout", 0.0) or 0.0)
    learned = top * (1 - np.exp(-speed * time)) + 0.004 * rng.standard_normal(len(time)).cumsum() * time / 4
    learned = np.clip(learned + 0.006 * rng.standard_normal(), 0, 0.995)
    learned[0] = 0.0
    jitter = np.exp(0.05 * rng.standard_normal(len(time)) * (1 + 3 * max(0.0, excess)))
    if task == "regression":
        scale = 5000.0
        return {
            "train_loss": scale * (1.02 - learned) * 0.9 * jitter,
            "validation_loss": scale * (1.05 - 0.9 * learned) * jitter,
        }, float(learned[-1])
    chance = 1 / CLASSES
    known = chance + (1 - chance) * learned
    seen = np.minimum(1.0, known * (1 + 0.02 * learned))
    return {
        "train_loss": 2.303 * (1.003 - learned) ** 1.2 * jitter,
        "train_accuracy": seen,
        "validation_loss": 2.303 * (1.03 - learned) * jitter,
        "validation_accuracy": known,
    }, float(learned[-1])


def _predict(rng: np.random.Generator, target: np.ndarray, skill: float, task: str) -> np.ndarray:
    if task == "regression":
        return skill * target + (1 - skill) * 150 + 30 * rng.standard_normal(len(target))
    logits = rng.standard_normal((len(target), CLASSES))
    # Some examples are hard for every run, as in real data: the easiest first, by their place.
    hard = np.arange(len(target)) / len(target)
    logits[np.arange(len(target)), target] += np.where(hard < skill, 9.0, 0.0)
    return logits


def definition(name: str, rules: Sequence[str], lrs: Sequence[float], seeds: int) -> str:
    """The study as a TOML text."""
    head = f'name = "{name}"\ndata = "digits"\nmodel = {{ kind = "mlp", hidden = [32, 32] }}\n'
    head += f"epochs = 20\nbatch_size = 64\nseeds = {seeds}\n"
    grid = f"lr = {{ log = [{min(lrs):.3g}, {max(lrs):.3g}], num = {len(lrs)} }}\n"
    return head + "".join(f'\n[[rules]]\nkind = "{rule}"\n{grid}' for rule in rules)


Make = Callable[..., Results]
