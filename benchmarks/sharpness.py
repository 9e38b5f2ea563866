"""How long products with the Hessian take: `ravine sharpness`'s machine code beside PyTorch.

    python benchmarks/sharpness.py                     # 8 runs of an MLP 128-128 on digits, all training examples
    python benchmarks/sharpness.py --runs 30 --repeats 7 --json sharpness.json

A product is a pass forward, one backward, and one backward through that (Pearlmutter, 1994). The plain loop does it for
one module after another with torch.autograd, as a script would; vmap does it for four runs at once. Every product of a
run costs the same, whatever its weights, so initial weights are taken. Products are compared before anything is timed.
Repetitions take turns; the numbers are medians, by run. Notes: landscape.md.
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

import torch
from torch import Tensor, nn

from ravine.data import load, parse_data
from ravine.engine.loss import Loss
from ravine.engine.native.products import NativeProducts
from ravine.engine.network import Network
from ravine.engine.objective import Objective
from ravine.engine.state import Data
from ravine.landscapes.curvature import Curvature
from ravine.nn.spec import MLP

CPU = torch.device("cpu")


def module_of(network: Network, weights_P: Tensor, hidden: list[int], num_inputs: int) -> nn.Sequential:
    """A run's network as a plain module."""
    layers: list[nn.Module] = [nn.Flatten()]
    before = num_inputs
    for width in hidden:
        layers += [nn.Linear(before, width), nn.ReLU()]
        before = width
    module = nn.Sequential(*layers, nn.Linear(before, network.num_outputs)).eval()
    with torch.no_grad():
        for param, view in zip(module.parameters(), network.layout.view_one(weights_P).values(), strict=True):
            param.copy_(view)
    return module


def plain(module: nn.Sequential, network: Network, vector_P: Tensor, data: Data) -> Tensor:
    """One run's product."""
    params = list(module.parameters())
    loss = nn.functional.cross_entropy(module(data.x), data.y)
    grads = torch.autograd.grad(loss, params, create_graph=True)
    slope = sum((g * v).sum() for g, v in zip(grads, network.layout.view_one(vector_P).values(), strict=True))
    found = torch.autograd.grad(slope, params)
    return network.layout.pack(dict(zip(network.layout.names, found, strict=True)))


def cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--hidden", type=int, nargs="+", default=[128, 128])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    data = load(parse_data("digits", "data"))
    network = Network.of(MLP(hidden=options.hidden), data.input_shape, data.num_outputs, device=CPU)
    train = Data(x=torch.from_numpy(data.train.x), y=torch.from_numpy(data.train.y))
    params_RP = torch.stack([network.layout.pack(network.initial(seed)) for seed in range(options.runs)])
    draw = torch.Generator().manual_seed(0)
    vectors_RP = network.layout.pack(network.layout.views(torch.randn(params_RP.shape, generator=draw)))
    modules = [module_of(network, row, options.hidden, data.train.x[0].size) for row in params_RP]
    objective, together = (
        Objective(network=network, loss=Loss(task="classification"), fused=f) for f in (False, True)
    )
    threads = os.cpu_count() or 1

    torch.set_num_threads(threads)
    began = time.perf_counter()
    product = NativeProducts(objective, train, params_RP, {})
    made = time.perf_counter() - began
    torch.set_num_threads(1)
    alone = NativeProducts(objective, train, params_RP, {})
    groups = [Curvature(together, train, part, {}) for part in params_RP.split(4)]

    def fused() -> Tensor:
        parts = zip(groups, vectors_RP.split(4), strict=True)
        return torch.cat([around.product(part) for around, part in parts])

    def loop() -> Tensor:
        return torch.stack([plain(m, network, v, train) for m, v in zip(modules, vectors_RP, strict=True)])

    ways: dict[str, tuple[int, Callable[[], Tensor]]] = {
        f"machine code, {threads} threads": (
            1,
            lambda: product(vectors_RP),
        ),  # the workers are others than torch's
        "machine code, 1 thread": (1, lambda: alone(vectors_RP)),
        "vmap, 1 thread": (1, fused),
        "plain loop, 1 thread": (1, loop),
        f"plain loop, {threads} threads": (threads, loop),
    }
    expected = loop()
    for name, (_, way) in ways.items():
        off = float((way() - expected).norm() / expected.norm())
        assert off < 1e-5, f"{name} is {off:.1g} off"
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.repeats):
        for name, (count, way) in ways.items():
            torch.set_num_threads(count)
            began = time.perf_counter()
            way()
            seconds[name].append((time.perf_counter() - began) / options.runs)
    base = statistics.median(next(iter(seconds.values())))
    print(f"{options.runs} runs, {len(train.y):,} examples, MLP {'-'.join(map(str, options.hidden))}, "
          f"{sum(p.numel() for p in modules[0].parameters()):,} weights; {cpu()}, {threads} cores; "
          f"PyTorch {torch.__version__}, Python {platform.python_version()}; n = {options.repeats}; "
          f"machine code was made in {made:.2f} s")  # fmt: skip
    for name, times in seconds.items():
        middle = statistics.median(times)
        print(f"{name:26} {1e3 * middle:8.2f} ms a product ({1e3 * min(times):.2f} to {1e3 * max(times):.2f}), "
              f"{middle / base:5.2f} x machine code")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps({"made": made, "seconds": seconds}, indent=2))


if __name__ == "__main__":
    main()
