"""What randomness costs in a step: dropout, DropConnect and stochastic depth beside a net without them.

    python benchmarks/stochastic.py                       # all
    python benchmarks/stochastic.py --parts digits depth --repeats 9
    python benchmarks/stochastic.py --steps 200 --repeats 3
    python benchmarks/stochastic.py --parts depth --backend serial

One run is trained on one thread. A repetition trains every contender for the same number of steps, one after another,
in one process; a ratio is that of two times of one repetition, and the tables show its median with the smallest and the
largest. Compiling is left out. Notes and results: stochastic.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ravine import Study, from_arrays
from ravine.data import load, parse_data
from ravine.engine.cohort import Cohort
from ravine.engine.network import Network
from ravine.engine.training import Training
from ravine.launch.subject import rates_of
from ravine.nn.dropconnect import DropConnectLinear
from ravine.study import runs_of

CPU = torch.device("cpu")
HIDDEN = (128, 128)  # as in examples/digits.toml
PARTS = ("digits", "depth")


class Connected(nn.Module):
    """The MLP with DropConnect, drawn in a given way."""

    def __init__(self, draw: str) -> None:
        super().__init__()
        sizes = (64, *HIDDEN)
        self.layers = nn.Sequential(
            *(
                DropConnectLinear(before, after, 0.3, activation="relu", draw=draw)  # type: ignore[arg-type]
                for before, after in zip(sizes, HIDDEN, strict=False)
            )
        )
        self.output = nn.Linear(HIDDEN[-1], 10)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.output(self.layers(x.flatten(1)))
        return found


class Step:
    """The training of one run, over and over.

    Args:
        model: of a study.
        data: of a study.
        batch_size: examples of a step.
        steps: of a repetition.
        backend: what trains the run.
    """

    def __init__(self, model: Any, data: Any, batch_size: int, steps: int, backend: str) -> None:
        made = Study(
            name="step", data=data, model=model, rules=[{"kind": "adam", "lr": 1e-3}], steps=steps,
            batch_size=batch_size, seeds=1, evaluations=1,
        )  # fmt: skip
        self.data, self.steps, self.backend = made.data, steps, backend
        self.runs = list(runs_of(made, made.data))
        self.network = Network.of(
            made.model, self.data.input_shape, self.data.num_outputs, device=CPU, rates=rates_of(self.runs)
        )

    def seconds(self) -> float:
        """Of one step, after a first one."""
        training = Training(Cohort.of(self.runs), self.network, self.data, self.backend, CPU)
        training.advance()
        began, first = time.perf_counter(), training.step
        for _ in training.losses():
            pass
        return (time.perf_counter() - began) / (training.step - first)


def digits(steps: int, backend: str) -> dict[str, Step]:
    """The MLP on digits; the first one is what the others are compared with."""
    mlp = {"kind": "mlp", "hidden": list(HIDDEN)}
    models: dict[str, Any] = {
        "no randomness": mlp,
        "dropout": {**mlp, "dropout": 0.2},
        "DropConnect, a mask per batch": {**mlp, "dropconnect": 0.3},
        "DropConnect, Gaussian": lambda: Connected("gaussian"),
        "DropConnect, a mask per example": lambda: Connected("example"),
    }
    data = load(parse_data("digits", "data"))
    return {name: Step(model, data, 64, steps, backend) for name, model in models.items()}


def depth(steps: int, backend: str) -> dict[str, Step]:
    """ResNet-20 on pictures of 32 x 32, whose last branch is dropped with a probability."""
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(384, 3, 32, 32)).astype(np.float32), draw.integers(0, 10, 384)
    data = from_arrays(x, y, normalize="none")
    resnet = {"kind": "resnet", "depth": 20, "width": 16}
    models = {
        "no gates": resnet,
        **{f"p = {p:g}": {**resnet, "depth_drop": p} for p in (1e-6, 0.3, 0.5, 0.9)},
    }
    return {name: Step(model, data, 32, max(4, steps // 50), backend) for name, model in models.items()}


def survival(name: str) -> str:
    """The share of ResNet-20's nine branches that take part in a step, on average."""
    if not name.startswith("p = "):
        return "1"
    return f"{1 - float(name.removeprefix('p = ')) * 10 / 18:.2f}"


def measure(
    made: Callable[[int, str], dict[str, Step]], steps: int, repeats: int, backend: str
) -> dict[str, list[float]]:
    """Seconds of a step by contender, in turn."""
    contenders = made(steps, backend)
    for each in contenders.values():
        each.seconds()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, each in contenders.items():
            times[name].append(each.seconds())
    return times


def table(title: str, times: dict[str, list[float]]) -> list[str]:
    """Of one part, as Markdown."""
    base = next(iter(times.values()))
    with_gates = "p = " in " ".join(times)
    head = f"| {title} | ms a step | beside the first |" + (
        " branches that take part |" if with_gates else ""
    )
    lines = [head, "|---|---|---|" + ("---|" if with_gates else "")]
    for name, own in times.items():
        ratios = [mine / other for mine, other in zip(own, base, strict=True)]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        more = f" {survival(name)} |" if with_gates else ""
        lines.append(f"| {name} | {1e3 * statistics.median(own):.3g} | {ratio} |{more}")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument(
        "--steps", type=int, default=2000, help="of the MLP in a repetition; of ResNet-20 a fiftieth"
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--backend", choices=("native", "serial"), default="native")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, PyTorch {torch.__version__}, "
        f"one thread, {given.backend}, n = {given.repeats}\n"
    )
    for part in given.parts:
        title = {
            "digits": f"MLP 64-{'-'.join(map(str, HIDDEN))}-10, batch 64",
            "depth": "ResNet-20, width 16, batch 32",
        }
        print(
            "\n".join(table(title[part], measure(globals()[part], given.steps, given.repeats, given.backend)))
            + "\n",
            flush=True,
        )


if __name__ == "__main__":
    main()
