"""What most people write: plain PyTorch, one run after another; and Optuna around it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from sweeps.child import Clock
from sweeps.task import BETAS, DECAY, EPS, MOMENTUM, Arrays, Job, Outcome, Score

Batches = Iterable[tuple[Tensor, Tensor]]

EVALUATED = (
    256  # examples at once in an evaluation: 64 to 256 are twice as fast as 1,024 for the convnet on a CPU
)


def make_model(job: Job, arrays: Arrays) -> nn.Sequential:
    """The task's model with PyTorch's own initial weights."""
    if job.task.model["kind"] == "convnet":
        channels, height, width = arrays.train[0].shape[1:]
        return nn.Sequential(
            *(nn.Conv2d(channels, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(64 * (height // 4) * (width // 4), 128), nn.ReLU()),
            nn.Linear(128, arrays.num_classes),
        )
    widths = [arrays.num_features, *job.task.model["hidden"]]
    hidden = [m for a, b in pairwise(widths) for m in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(widths[-1], arrays.num_classes))


def optimizer_of(rule: str) -> tuple[Callable[..., torch.optim.Optimizer], dict[str, Any]]:
    """The class and the arguments but lr that a rule has in torch.optim."""
    rules: dict[str, tuple[Callable[..., torch.optim.Optimizer], dict[str, Any]]] = {
        "sgd": (torch.optim.SGD, {}),
        "momentum": (torch.optim.SGD, {"momentum": MOMENTUM}),
        "nesterov": (torch.optim.SGD, {"momentum": MOMENTUM, "nesterov": True}),
        "adagrad": (torch.optim.Adagrad, {"eps": EPS}),
        "rmsprop": (torch.optim.RMSprop, {"alpha": DECAY, "eps": EPS}),
        "adam": (torch.optim.Adam, {"betas": BETAS, "eps": EPS}),
    }
    return rules[rule]


class Loader:
    """Batches by DataLoader over a TensorDataset, moved to the device one by one."""

    def __init__(self, job: Job, arrays: Arrays) -> None:
        x, y = (torch.from_numpy(part) for part in arrays.train)
        self.device = torch.device(job.device)
        self.loader = DataLoader(
            TensorDataset(x, y),
            batch_size=job.task.batch_size,
            shuffle=True,
            drop_last=True,
            pin_memory=job.device == "cuda",
        )

    def epoch(self) -> Batches:
        if self.device.type == "cpu":
            return self.loader
        return ((self._move(x), self._move(y)) for x, y in self.loader)

    def _move(self, part: Tensor) -> Tensor:
        return part.to(self.device, non_blocking=True)


class Indexed:
    """Batches by indexing tensors that lie on the device."""

    def __init__(self, job: Job, arrays: Arrays) -> None:
        self.x, self.y = (torch.from_numpy(part).to(job.device) for part in arrays.train)
        self.batch_size = job.task.batch_size

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.y), device=self.y.device)
        for start in range(0, len(order) - self.batch_size + 1, self.batch_size):
            rows = order[start : start + self.batch_size]
            yield self.x[rows], self.y[rows]


class Loop:
    """Trains runs one after another.

    Every run looks at the validation set as often as ravine does, stops there once its loss is not finite,
    keeps its mean training loss, and computes the outputs for the test set at its end.
    """

    def __init__(self, job: Job, batches: Callable[[Job, Arrays], Loader | Indexed]) -> None:
        self.job, self.arrays = job, Arrays.load(job.arrays)
        self.batches = batches(job, self.arrays)
        x, y = self.arrays.validation
        self.validation_x, self.validation_y = (
            torch.from_numpy(x).to(job.device),
            torch.from_numpy(y).to(job.device),
        )
        self.test_x = torch.from_numpy(self.arrays.test[0]).to(job.device)
        self.run_steps = 0
        self.test_seconds = 0.0

    def train(self, rule: str, lr: float, seed: int) -> Score:
        """One run."""
        torch.manual_seed(seed)
        model = make_model(self.job, self.arrays).to(self.job.device)
        make, hypers = optimizer_of(rule)
        optimizer = make(model.parameters(), lr=lr, **hypers)
        step, accuracy = 0, None
        total, curve = torch.zeros((), device=self.job.device), []
        while step < self.job.steps:
            for x, y in self.batches.epoch():
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                total += loss.detach()
                step += 1
                if step % self.job.task.every == 0:
                    accuracy = self._evaluate(model)
                    curve.append(total.item() / self.job.task.every)
                    total.zero_()
                    if accuracy is None or step == self.job.steps:
                        break
            if accuracy is None and step >= self.job.task.every:
                break
        began = time.perf_counter()
        with torch.no_grad():
            for part in torch.split(self.test_x, EVALUATED):
                model(part).cpu()
        self.test_seconds += time.perf_counter() - began
        self.run_steps += step
        return Score(rule=rule, lr=lr, seed=seed, accuracy=accuracy)

    def _evaluate(self, model: nn.Module) -> float | None:
        model.eval()
        with torch.no_grad():
            outputs = torch.cat([model(part) for part in torch.split(self.validation_x, EVALUATED)])
            loss = F.cross_entropy(outputs, self.validation_y).item()
            accuracy = (outputs.argmax(1) == self.validation_y).float().mean().item()
        model.train()
        return accuracy if loss < float("inf") else None  # NaN is not below infinity


def plain(job: Job, clock: Clock) -> Outcome:
    """A loop over a DataLoader."""
    return _all(job, clock, Loader)


def indexed(job: Job, clock: Clock) -> Outcome:
    """A loop over indices."""
    return _all(job, clock, Indexed)


def _all(job: Job, clock: Clock, batches: Callable[[Job, Arrays], Loader | Indexed]) -> Outcome:
    torch.set_num_threads(job.threads)
    with clock.phase("make"):
        loop = Loop(job, batches)
    with clock.phase("train"):
        scores = tuple(loop.train(*run) for run in job.task.runs())
    return Outcome(run_steps=loop.run_steps, scores=scores, scale=_scale(job, loop, clock))


def _scale(job: Job, loop: Loop, clock: Clock) -> float:
    """What the time of training is multiplied by: steps left out, but not the test set, seen whole in any case."""
    test = loop.test_seconds / clock.seconds["train"]
    return test + (1 - test) * job.task.steps / job.steps


def optuna(job: Job, clock: Clock) -> Outcome:
    """The plain loop as the objective of an Optuna study in memory, over the whole grid."""
    with clock.phase("import"):
        import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(job.threads)
    with clock.phase("make"):
        loop = Loop(job, Loader)
    configs: list[str | float | int | bool | None] = [
        f"{rule} {lr!r}" for rule, lrs in job.task.rules.items() for lr in lrs
    ]
    scores: list[Score] = []

    def objective(trial: optuna.Trial) -> float:
        rule, lr = str(trial.suggest_categorical("config", configs)).split()
        seed = trial.suggest_categorical("seed", range(job.task.seeds))
        scores.append(loop.train(rule, float(lr), seed))
        return scores[-1].accuracy or 0.0

    with clock.phase("train"):
        space: dict[str, list[str | float | int | bool | None]] = {
            "config": configs,
            "seed": list(range(job.task.seeds)),
        }
        sampler = optuna.samplers.GridSampler(space, seed=0)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.optimize(objective, n_trials=job.task.num_runs)
    return Outcome(run_steps=loop.run_steps, scores=tuple(scores), scale=_scale(job, loop, clock))
