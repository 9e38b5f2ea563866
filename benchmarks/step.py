"""How long an optimizer's step takes, per byte: `ravine.optim` beside torch.optim, pytorch-optimizer (where it is
installed: pip install pytorch_optimizer) and a plain copy, in one process.

    python benchmarks/step.py                          # all lists of parameters, all rules
    python benchmarks/step.py --lists 1M,resnet50 --rules adam --repeats 7 --json step.json
    python benchmarks/step.py --device cuda            # the same on a GPU

Every repetition measures each contender once, in turn, for at least a fifth of a second; the tables show medians. A
step's bytes are the least that it can move: parameter, gradient and state read once, parameter and state written once.
Notes and results: step.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ravine import optim
from ravine.engine.plan import synchronize
from ravine.optim.members import Members

Shapes = Sequence[tuple[int, ...]]
Make = Callable[[list[Tensor]], Any]

SLOTS = {
    "sgd": 0, "momentum": 1, "nesterov": 1, "adagrad": 1, "rmsprop": 1, "adam": 2, "adamw": 2, "nadam": 2, "lion": 1,
    "schedule_free_adamw": 2, "muon": 1,
}  # fmt: skip
BASE = dict.fromkeys(
    ("lion", "schedule_free_adamw"), "pytorch-optimizer"
)  # what the others are compared with, where torch.optim has no such rule
LEAST_SECONDS = 0.2
AT_ONCE = 20  # steps of a GPU between two looks at the clock


def resnet50() -> list[tuple[int, ...]]:
    """The parameters of ResNet-50 (He et al., 2016): 161 tensors, 25.6 million numbers."""
    shapes: list[tuple[int, ...]] = [(64, 3, 7, 7), (64,), (64,)]
    inner_in = 64
    for blocks, width in ((3, 64), (4, 128), (6, 256), (3, 512)):
        for block in range(blocks):
            convs = [(width, inner_in, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1)]
            if block == 0:
                convs.append((4 * width, inner_in, 1, 1))
            for shape in convs:
                shapes += [shape, (shape[0],), (shape[0],)]
            inner_in = 4 * width
    return [*shapes, (1000, 2048), (1000,)]


def transformer() -> list[tuple[int, ...]]:
    """A small GPT-like model: 8 blocks of width 512, 16,000 tokens: 33 million numbers in 100 tensors."""
    width = 512
    block = [(width,), (width,), (3 * width, width), (3 * width,), (width, width), (width,)]
    block += [(width,), (width,), (4 * width, width), (4 * width,), (width, 4 * width), (width,)]
    return [(16_000, width), (512, width), *(block * 8), (width,), (width,)]


LISTS: dict[str, Callable[[], Shapes]] = {
    "1M": lambda: [(1_000_000,)],
    "10M": lambda: [(10_000_000,)],
    "50M": lambda: [(50_000_000,)],
    "resnet50": resnet50,
    "transformer": transformer,
}


def contenders(rule: str) -> dict[str, Make]:
    """What is compared for one rule."""
    ours: dict[str, Make] = {
        "sgd": lambda p: optim.SGD(p, 1e-6),
        "momentum": lambda p: optim.Momentum(p, 1e-6),
        "nesterov": lambda p: optim.Nesterov(p, 1e-6),
        "adagrad": lambda p: optim.AdaGrad(p, 1e-6),
        "rmsprop": lambda p: optim.RMSProp(p, 1e-6),
        "adam": lambda p: optim.Adam(p, 1e-6),
        "adamw": lambda p: optim.AdamW(p, 1e-6),
        "nadam": lambda p: optim.NAdam(p, 1e-6),
        "lion": lambda p: optim.Lion(p, 1e-6),
        "schedule_free_adamw": lambda p: optim.ScheduleFreeAdamW(p, 1e-6),
        "muon": lambda p: optim.Muon(p, 1e-6),
    }
    if rule == "muon":
        return {"ravine": ours[rule], "torch": lambda p: torch.optim.Muon(p, lr=1e-6)}
    if rule in BASE:
        return {"ravine": ours[rule], **others(rule)}
    theirs: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
        "sgd": (torch.optim.SGD, {}),
        "momentum": (torch.optim.SGD, {"momentum": 0.9}),
        "nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
        "adagrad": (torch.optim.Adagrad, {}),
        "rmsprop": (torch.optim.RMSprop, {}),
        "adam": (torch.optim.Adam, {}),
        "adamw": (torch.optim.AdamW, {}),
        "nadam": (torch.optim.NAdam, {}),
    }
    kind, options = theirs[rule]

    def torch_with(**more: Any) -> Make:
        return lambda p: kind(p, lr=1e-6, **options, **more)  # type: ignore[call-arg]

    found: dict[str, Make] = {
        "ravine": ours[rule],
        "torch": torch_with(),
        "torch foreach": torch_with(foreach=True),
    }
    if rule not in ("rmsprop", "nadam"):
        found["torch fused"] = torch_with(fused=True)
    found["ravine, without machine code"] = lambda p: Eager(ours[rule](p))  # on a GPU there is none anyway
    if rule == "adam":
        found["ravine, with EMA"] = lambda p: optim.Adam(p, 1e-6, ema=0.999)
    return {**found, **others(rule)}


class Eager:
    """An optimizer of ours whose step is PyTorch's kernels over lists, as on a device that has no machine code."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer

    def step(self) -> None:
        """As the optimizer's."""
        kept = Members.plain
        Members.plain = lambda *_: False  # type: ignore[method-assign]
        try:
            self._optimizer.step()
        finally:
            Members.plain = kept  # type: ignore[method-assign]


def others(rule: str) -> dict[str, Make]:
    """pytorch-optimizer's: Lion, and two kin of Adam with Adam's state; its plain ones are torch.optim's."""
    try:
        import pytorch_optimizer as them
    except ImportError:
        return {}
    made: dict[str, dict[str, Make]] = {
        "lion": {
            "pytorch-optimizer": lambda p: them.Lion(p, lr=1e-6),
            "pytorch-optimizer foreach": lambda p: them.Lion(p, lr=1e-6, foreach=True),
        },
        "schedule_free_adamw": {"pytorch-optimizer": lambda p: them.ScheduleFreeAdamW(p, lr=1e-6)},
        "adam": {
            "pytorch-optimizer (AdaBelief)": lambda p: them.AdaBelief(p, lr=1e-6),
            "pytorch-optimizer (AdamP)": lambda p: them.AdamP(p, lr=1e-6),
        },
    }
    return made.get(rule, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One contender on one list."""

    parameters: str
    rule: str
    contender: str
    first_step: float
    seconds: list[float]
    bytes: float

    @property
    def rate(self) -> float:
        """GB/s of the least traffic."""
        return self.bytes / statistics.median(self.seconds) / 1e9


def parameters(shapes: Shapes, device: torch.device) -> list[Tensor]:
    draws = torch.Generator(device).manual_seed(0)
    params = [
        torch.empty(shape, device=device).normal_(0.0, 0.02, generator=draws).requires_grad_()
        for shape in shapes
    ]
    for param in params:
        param.grad = torch.empty_like(param).normal_(0.0, 0.01, generator=draws)
    return params


def timed(call: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call, as the mean over a fifth of a second."""
    at_once = 1 if device.type == "cpu" else AT_ONCE
    count, began = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - began < LEAST_SECONDS:
        for _ in range(at_once):
            call()
        synchronize(device)
        count += at_once
    return (time.perf_counter() - began) / count


def measure(name: str, rule: str, repeats: int, device: torch.device) -> list[Timed]:
    """All contenders of one rule on one list, in turn."""
    shapes = LISTS[name]()
    if rule == "muon":  # torch.optim's takes nothing else
        shapes = [shape for shape in shapes if len(shape) == 2]
    numbers = sum(torch.Size(shape).numel() for shape in shapes)
    params = parameters(shapes, device)
    made: dict[str, tuple[Any, float]] = {}
    for contender, make in contenders(rule).items():
        optimizer = make(params)
        began = time.perf_counter()
        optimizer.step()
        synchronize(device)
        made[contender] = optimizer, time.perf_counter() - began
    seconds: dict[str, list[float]] = {contender: [] for contender in made}
    for repeat in range(repeats):
        order = list(made)
        for contender in order[repeat % len(order) :] + order[: repeat % len(order)]:
            seconds[contender].append(timed(made[contender][0].step, device))
    slots = SLOTS[rule]
    return [
        Timed(
            parameters=name,
            rule=rule,
            contender=contender,
            first_step=first,
            seconds=seconds[contender],
            bytes=4.0 * numbers * (3 + 2 * (slots + ("EMA" in contender))),
        )
        for contender, (_, first) in made.items()
    ]


def copy_rate(repeats: int, device: torch.device) -> float:
    """GB/s of a copy of 50 million numbers, read and written: the best that memory gives a plain program."""
    source, target = torch.ones(50_000_000, device=device), torch.zeros(50_000_000, device=device)
    return statistics.median(
        8.0 * len(source) / timed(lambda: target.copy_(source), device) / 1e9 for _ in range(repeats)
    )


def table(found: Sequence[Timed], copy: float) -> str:
    lines = [
        "| parameters | rule | contender | ms a step (least to greatest) | GB/s | of a copy | base / this "
        "| first step [ms] |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        named = BASE.get(one.rule, "torch")
        base = [t for t in found if (t.parameters, t.rule, t.contender) == (one.parameters, one.rule, named)]
        ratios = [a / b for t in base for a, b in zip(t.seconds, one.seconds, strict=True)]
        ratio = f"{statistics.median(ratios):.2f}" if ratios else ""
        middle = 1e3 * statistics.median(one.seconds)
        lines.append(
            f"| {one.parameters} | {one.rule} | {one.contender} | {middle:.3g} ({1e3 * min(one.seconds):.3g} to "
            f"{1e3 * max(one.seconds):.3g}) | {one.rate:.1f} | {one.rate / copy:.0%} | {ratio} "
            f"| {1e3 * one.first_step:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lists", default=",".join(LISTS), help=f"of {', '.join(LISTS)}")
    parser.add_argument("--rules", default=",".join(SLOTS), help=f"of {', '.join(SLOTS)}")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    command = shlex.join(["python", *sys.argv])
    where = platform.processor() or platform.machine()
    if args.device.type == "cuda":
        where += f", {torch.cuda.get_device_name(args.device)}"
    machine = f"{where}, {args.threads} threads, torch {torch.__version__}"
    print(f"`{command}`, {time.strftime('%Y-%m-%d')}, {machine}, load {os.getloadavg()[0]:.1f}\n")
    before = copy_rate(args.repeats, args.device)
    found = [
        timed_one
        for name in args.lists.split(",")
        for rule in args.rules.split(",")
        if rule != "muon" or name == "transformer"
        for timed_one in measure(name, rule, args.repeats, args.device)
    ]
    after = copy_rate(args.repeats, args.device)
    copy = (before + after) / 2
    print(f"A copy of 50 million numbers: {before:.1f} GB/s before, {after:.1f} after.\n")
    print(table(found, copy))
    if args.json:
        args.json.write_text(json.dumps({"copy": [before, after], "timed": [asdict(t) for t in found]}))


if __name__ == "__main__":
    main()
