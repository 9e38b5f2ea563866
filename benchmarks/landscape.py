"""How long a grid of losses takes: `ravine.landscape`'s evaluation beside a plain loop over a torch module.

    python benchmarks/landscape.py                     # 51 x 51 points, MLP 128-128 on digits
    python benchmarks/landscape.py --points 25 --hidden 512 512 --repeats 3 --json landscape.json

The plain loop writes each point's weights into one module, runs all training examples through it in eval mode without
gradients, and takes the cross-entropy. It is timed with one thread and with all. Ours is timed as it is used: with the
making of its machine code, and once more under vmap in PyTorch, which is what a model without machine code gets.
Repetitions take turns, so that a busy machine slows all alike; the numbers are medians. Reading data and importing are
left out of all. Losses are compared before anything is timed. Notes: landscape.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ravine.data import Dataset, load, parse_data
from ravine.engine.loss import Loss
from ravine.engine.network import Network
from ravine.engine.points import Points
from ravine.engine.state import Data
from ravine.study import Study

CPU = torch.device("cpu")
REACH = 1.0  # of the grid, in lengths of the weights along random directions


def study_of(hidden: list[int]) -> Study:
    model = {"kind": "mlp", "hidden": hidden}
    return Study(name="grid", data="digits", model=model, steps=1, rules=[{"kind": "sgd", "lr": 0.1}])


def module_of(network: Network, weights_P: Tensor, hidden: list[int], num_inputs: int) -> nn.Sequential:
    """The same network as a plain module."""
    layers: list[nn.Module] = [nn.Flatten()]
    before = num_inputs
    for width in hidden:
        layers += [nn.Linear(before, width), nn.ReLU()]
        before = width
    module = nn.Sequential(*layers, nn.Linear(before, network.num_outputs)).eval()
    write(module, network, weights_P)
    return module


def write(module: nn.Sequential, network: Network, weights_P: Tensor) -> None:
    """Put a point's weights into a module."""
    with torch.no_grad():
        for param, view in zip(module.parameters(), network.layout.view_one(weights_P).values(), strict=True):
            param.copy_(view)


def plain(
    module: nn.Sequential, network: Network, points: Callable[[int], Tensor], num: int, data: Data
) -> np.ndarray:
    """The loss at each point, one after another."""
    losses = np.empty(num)
    with torch.no_grad():
        for i in range(num):
            write(module, network, points(i))
            losses[i] = nn.functional.cross_entropy(module(data.x), data.y).item()
    return losses


def ours(network: Network, data: Data, fill: Callable[..., object], num: int, how: str) -> np.ndarray:
    """The loss at each point, as ravine evaluates it."""
    points = Points(network, Loss(task="classification"), data, backend=how)
    return torch.cat([losses for losses, _ in points.parts(num, fill, {})]).numpy()


def cpu() -> str:
    names = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return names[0] if names else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=51, help="along each axis")
    parser.add_argument("--hidden", type=int, nargs="+", default=[128, 128])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    study = study_of(options.hidden)
    data: Dataset = load(parse_data("digits", "data"))
    network = Network.of(study.model, data.input_shape, data.num_outputs, device=CPU)
    train = Data(x=torch.from_numpy(data.train.x), y=torch.from_numpy(data.train.y))
    center_P = network.layout.pack(network.initial(0))
    draw = torch.Generator().manual_seed(0)
    axes_2P = network.layout.pack(network.layout.views(torch.randn(2, network.layout.size, generator=draw)))
    axes_2P *= center_P.norm() / axes_2P.norm(dim=1, keepdim=True)
    line = torch.linspace(-REACH, REACH, options.points)
    at_M2 = torch.cartesian_prod(line, line)
    num = len(at_M2)

    def point(i: int) -> Tensor:
        return center_P + at_M2[i] @ axes_2P

    def fill(first: int, last: int, rows_GP: Tensor) -> None:
        torch.addmm(center_P.expand(last - first, -1), at_M2[first:last], axes_2P, out=rows_GP)

    module = module_of(network, center_P, options.hidden, data.train.x[0].size)
    threads = os.cpu_count() or 1
    ways: dict[str, tuple[int, Callable[[], np.ndarray]]] = {
        "native": (threads, lambda: ours(network, train, fill, num, "native")),
        "native, 1 thread": (1, lambda: ours(network, train, fill, num, "native")),
        "fused": (threads, lambda: ours(network, train, fill, num, "fused")),
        "plain loop, 1 thread": (1, lambda: plain(module, network, point, num, train)),
        f"plain loop, {threads} threads": (threads, lambda: plain(module, network, point, num, train)),
    }
    expected = ways["plain loop, 1 thread"][1]()
    for name in ("native", "fused"):
        torch.set_num_threads(threads)
        off = float(np.abs(ways[name][1]() / expected - 1).max())
        assert off < 1e-4, f"{name} is {off:.1g} off"
        print(f"{name}: losses agree with the plain loop's to {off:.1g}")
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.repeats):
        for name, (count, way) in ways.items():
            torch.set_num_threads(count)
            began = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - began)
    base = statistics.median(seconds["native"])
    print(f"\n{num:,} points, {len(train.y):,} examples, MLP {'-'.join(map(str, options.hidden))}, "
          f"{sum(p.numel() for p in module.parameters()):,} weights; {cpu()}, {threads} cores; "
          f"PyTorch {torch.__version__}, Python {platform.python_version()}; n = {options.repeats}")  # fmt: skip
    for name, times in seconds.items():
        middle = statistics.median(times)
        print(f"{name:24} {middle:7.2f} s ({min(times):.2f} to {max(times):.2f}), "
              f"{num / middle:7,.0f} points a second, {middle / base:5.2f} x native")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps({"points": num, "seconds": seconds}, indent=2))


if __name__ == "__main__":
    main()
