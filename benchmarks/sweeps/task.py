"""What every contender trains: the same runs on the same arrays. Imports neither torch nor ravine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The hypers that all contenders share; lr is what the studies vary.
MOMENTUM = 0.9
DECAY = 0.9  # of RMSProp's mean of squares
BETAS = (0.9, 0.999)
EPS = 1e-7

# Ranges of lr that hold each rule's best on digits well inside.
SPANS: Mapping[str, tuple[float, float]] = {
    "sgd": (1e-3, 1.0),
    "momentum": (1e-4, 1.0),
    "nesterov": (1e-4, 1.0),
    "adagrad": (1e-4, 1.0),
    "rmsprop": (1e-5, 1e-1),
    "adam": (1e-5, 1e-1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Runs of one model on one data set: every rule at every one of its lrs with every seed.

    Args:
        name: letters and dashes.
        data: as in a study file.
        model: as in a study file: an mlp, or the convnet as it is by default.
        rules: the lrs of each rule.
        seeds: how many.
        steps: of a run.
        batch_size: examples; an incomplete last batch of an epoch is left out.
        evaluations: how many times along a run the validation set is looked at; it divides the steps.
    """

    name: str
    data: Mapping[str, Any]
    model: Mapping[str, Any]
    rules: Mapping[str, tuple[float, ...]]
    seeds: int
    steps: int
    batch_size: int = 64
    evaluations: int = 20

    @property
    def every(self) -> int:
        """Steps between two evaluations."""
        return self.steps // self.evaluations

    @property
    def num_runs(self) -> int:
        """How many runs it is."""
        return sum(len(lrs) for lrs in self.rules.values()) * self.seeds

    def runs(self) -> Iterator[tuple[str, float, int]]:
        """Every (rule, lr, seed), rule by rule."""
        for rule, lrs in self.rules.items():
            for lr in lrs:
                for seed in range(self.seeds):
                    yield rule, lr, seed

    def toml(self) -> str:
        """The same as a study file."""
        lines = [
            f"name = {json.dumps(self.name)}",
            f"data = {_inline(self.data)}",
            f"model = {_inline(self.model)}",
            f"steps = {self.steps}",
            f"batch_size = {self.batch_size}",
            f"seeds = {self.seeds}",
            f"evaluations = {self.evaluations}",
        ]
        for rule, lrs in self.rules.items():
            lines += ["[[rules]]", f"kind = {json.dumps(rule)}", f"lr = {list(lrs)}"]
        return "\n".join(lines) + "\n"


def _inline(table: Mapping[str, Any]) -> str:
    """A table on one line; JSON's strings, numbers and lists are TOML's too."""
    return "{ " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in table.items()) + " }"


def lr_grid(rule: str, num: int, span: tuple[float, float] | None = None) -> tuple[float, ...]:
    """Values of lr at equal ratios."""
    low, high = span or SPANS[rule]
    return tuple(float(f"{lr:.6g}") for lr in np.geomspace(low, high, num))


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One execution of one contender, as its process is told.

    Args:
        task: what to train.
        arrays: an npz file with x and y of the three splits.
        threads: for PyTorch, BLAS and XLA.
        device: "cpu" or "cuda".
        fraction: of the steps that a slow contender takes of each run; 1 elsewhere.
        folder: an empty folder for what it writes.
        options: what tells variants of a contender apart.
    """

    task: Task
    arrays: str
    threads: int
    device: str
    fraction: float
    folder: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Steps of each run: all of them, or a whole number of stretches between evaluations."""
        every = self.task.every
        return max(1, round(self.task.evaluations * self.fraction)) * every

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @staticmethod
    def load(path: Path) -> Job:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Job(**{**content, "task": Task(**content["task"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What became of a run: its accuracy on the validation set, None if its loss ceased to be finite."""

    rule: str
    lr: float
    seed: int
    accuracy: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a contender's process reports.

    Args:
        run_steps: training steps carried out, summed over runs.
        scores: of every run; of few steps where there was a fraction.
        scale: what its training time is multiplied by, to be that of the whole task.
        notes: what a reader must know.
        facts: further numbers.
    """

    run_steps: int
    scores: tuple[Score, ...] = ()
    scale: float = 1.0
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrays:
    """The three splits: x float32 (N, C, H, W), y int64 (N,)."""

    train: tuple[NDArray[np.float32], NDArray[np.int64]]
    validation: tuple[NDArray[np.float32], NDArray[np.int64]]
    test: tuple[NDArray[np.float32], NDArray[np.int64]]

    @property
    def num_features(self) -> int:
        return prod(self.train[0].shape[1:])

    @property
    def num_classes(self) -> int:
        return int(self.train[1].max()) + 1

    @staticmethod
    def load(path: str) -> Arrays:
        with np.load(path) as found:
            names = ("train", "validation", "test")
            return Arrays(**{name: (found[f"{name}_x"], found[f"{name}_y"]) for name in names})


def save_arrays(task: Task, path: Path) -> dict[str, Any]:
    """Write the arrays that ravine itself trains on, for all the others; return what they are."""
    from ravine.data import load, parse_data

    data = load(parse_data(dict(task.data)))
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    np.savez(
        path,
        **{f"{name}_x": split.x for name, split in splits.items()},  # type: ignore[arg-type]
        **{f"{name}_y": split.y for name, split in splits.items()},  # type: ignore[arg-type]
    )
    sizes = {name: len(split) for name, split in splits.items()}
    return {**sizes, "input_shape": list(data.input_shape), "classes": len(data.classes)}


def flops_per_example(model: Mapping[str, Any], num_features: int, num_classes: int) -> tuple[int, int]:
    """Floating-point operations of a training step of an MLP, per example.

    Returns:
        By the customary count, 6 for each weight; and without the gradient of the input, which nobody needs.
    """
    widths = [num_features, *model["hidden"], num_classes]
    weights = [a * b for a, b in pairwise(widths)]
    return 6 * sum(weights), 6 * sum(weights) - 2 * weights[0]
