"""How long transfer takes: all heads at once on features, beside what else one would do, in one process.

    python benchmarks/transfer.py                                # all parts
    python benchmarks/transfer.py --parts heads --repeats 3
    python benchmarks/transfer.py --parts heads --batches 64 --epochs 2   # a quick look

heads: 100 heads (4 rules x 5 learning rates x 5 seeds), 20 epochs on 10,000 made-up features of 1,280 numbers, beside
scikit-learn's LogisticRegression for three values of C, a PyTorch loop for each head on the same features, the same
loop with the frozen network in it (both extrapolated), and 100 heads in one ModuleDict that see one batch together.
What ravine takes is a whole `ravine.run`: planning, training, evaluations, scores and storing.

features: EfficientNet-Lite0 without its last layer on 512 pictures of 96 x 96 in batches of 64, as `ravine features`
carries them through it once it is folded, beside PyTorch in eval mode with channels last, and timm's
tf_efficientnet_lite0 where timm is installed, on the same threads. Weights don't matter for the time; norms are as if
trained. Beside it, which share of the float32 rate of a large matrix product that is.

step: a fine-tuning step (norms frozen, Adam) of EfficientNet-Lite0 on pictures of 96 x 96, and of a small depthwise
network, in studies of one run and of four, beside eager PyTorch with channels last on as many threads.

denormals: a step of a small backbone whose weights are 1e-38 times as large, CPU time.

Every repetition measures each contender once, in turn. Notes and results: transfer.md.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transfer_steps import Denormal, FineTuning

PARTS = ("heads", "features", "step", "denormals")
PICTURES, SIDE, BATCH = 512, 96, 64
FLOPS = 2 * 71.8e6  # of a picture of 96 x 96
NUM, WIDTH, CLASSES, HELD_OUT = 10_000, 1280, 10, 1000
SEEDS, HEADS = 5, 100
CS = (0.01, 0.1, 1.0)
RULES = (
    ("sgd", (0.003, 0.01, 0.03, 0.1, 0.3)),
    ("momentum", (0.0003, 0.001, 0.003, 0.01, 0.03)),
    ("adam", (1e-5, 1e-4, 3e-4, 1e-3, 3e-3)),
    ("adamw", (1e-5, 1e-4, 3e-4, 1e-3, 3e-3)),
)

Times = dict[str, list[float]]


def features() -> dict[str, np.ndarray]:
    """Features as a network's last layer gives them, standardized: ten clusters in 64 dimensions, mixed, rectified."""
    draw = np.random.default_rng(0)
    centers, mix = 0.45 * draw.normal(size=(CLASSES, 64)), draw.normal(size=(64, WIDTH)) / 8
    found: dict[str, np.ndarray] = {}
    for name, num in (("train", NUM), ("validation", HELD_OUT), ("test", HELD_OUT)):
        y = draw.integers(0, CLASSES, num)
        hidden = (centers[y] + draw.normal(size=(num, 64))) @ mix + 0.5 * draw.normal(size=(num, WIDTH))
        found[name], found[f"{name}_y"] = np.maximum(hidden, 0), y
    mean, scale = found["train"].mean(0), found["train"].std(0)
    for name in ("train", "validation", "test"):
        found[name] = ((found[name] - mean) / scale).astype(np.float32)
    return found


class Heads:
    """100 heads on features that were computed before.

    Args:
        batch: examples of a step.
        epochs: of every head.
    """

    def __init__(self, batch: int, epochs: int) -> None:
        self.batch, self.epochs, self.arrays = batch, epochs, features()
        self.x, self.y = (torch.from_numpy(self.arrays[name]) for name in ("train", "train_y"))
        self.steps = epochs * (NUM // batch)

    def contenders(self) -> dict[str, Callable[[], float]]:
        """Seconds of each for all heads; the first is ours."""
        return {
            "ravine.run": self.ours,
            f"scikit-learn, C = {', '.join(f'{c:g}' for c in CS)}": self.convex,
            "ModuleDict of 100 heads": self.together,
            "PyTorch loop per head": self.alone,
            "the same, frozen network inside": self.with_network,
        }

    def ours(self) -> float:
        import ravine

        arrays = self.arrays
        data = ravine.from_arrays(
            arrays["train"], arrays["train_y"], x_validation=arrays["validation"],
            y_validation=arrays["validation_y"], x_test=arrays["test"], y_test=arrays["test_y"], normalize="none",
        )  # fmt: skip
        made = ravine.Study(
            name="heads", data=data, model={"kind": "mlp", "hidden": []}, epochs=self.epochs, batch_size=self.batch,
            rules=[{"kind": kind, "lr": list(lrs)} for kind, lrs in RULES], seeds=SEEDS, evaluations=4,
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            results = ravine.run(made, store=folder, device="cpu", quiet=True)
            took = time.perf_counter() - began
        assert len(results.runs) == HEADS, "as many heads as the others"
        return took

    def convex(self) -> float:
        from sklearn.linear_model import LogisticRegression

        began = time.perf_counter()
        for c in CS:
            LogisticRegression(C=c, max_iter=1000).fit(self.arrays["train"], self.arrays["train_y"])
        return time.perf_counter() - began

    def together(self) -> float:
        """As DINOv2's linear.py has them: one batch, all losses added up, one optimizer with a group for each head."""
        heads = nn.ModuleDict({f"head{i}": nn.Linear(WIDTH, CLASSES) for i in range(HEADS)})
        lrs = np.geomspace(1e-3, 0.1, HEADS)
        groups = [
            {"params": head.parameters(), "lr": lr} for head, lr in zip(heads.values(), lrs, strict=True)
        ]
        optimizer = torch.optim.SGD(groups, momentum=0.9, weight_decay=0.0)  # type: ignore[arg-type]

        def step(rows: Tensor) -> None:
            x, y = self.x[rows], self.y[rows]
            outputs = {name: head(x) for name, head in heads.items()}
            loss = torch.stack([F.cross_entropy(output, y) for output in outputs.values()]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        return self._extrapolated(step, 40) * self.steps

    def alone(self) -> float:
        """Of one head after the other, with torch's fused kernels."""
        return HEADS * self.steps * statistics.fmean(self._loop(kind, lambda x: x) for kind, _ in RULES)

    def with_network(self) -> float:
        """The same with the network in the loop, on pictures of 96 x 96."""
        from ravine.backbones.lite0 import EfficientNetLite0

        whole = EfficientNetLite0()
        whole.classifier = nn.Identity()
        network = whole.eval().to(memory_format=torch.channels_last)
        pictures = torch.randn(self.batch, 3, 96, 96).contiguous(memory_format=torch.channels_last)

        @torch.no_grad()
        def featured(x: Tensor) -> Tensor:
            found: Tensor = network(pictures)
            return found

        return HEADS * self.steps * self._loop("momentum", featured, 5)

    def _loop(self, kind: str, featured: Callable[[Tensor], Tensor], num: int = 150) -> float:
        head = nn.Linear(WIDTH, CLASSES)
        make: dict[str, Callable[..., torch.optim.Optimizer]] = {
            "sgd": torch.optim.SGD, "momentum": torch.optim.SGD, "adam": torch.optim.Adam,
            "adamw": torch.optim.AdamW,
        }  # fmt: skip
        more = {"momentum": 0.9} if kind == "momentum" else {}
        optimizer = make[kind](head.parameters(), lr=1e-3, fused=True, **more)

        def step(rows: Tensor) -> None:
            x, y = featured(self.x[rows]), self.y[rows]
            loss = F.cross_entropy(head(x), y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

        return self._extrapolated(step, num)

    def _extrapolated(self, step: Callable[[Tensor], None], num: int) -> float:
        """Seconds of a step, the mean of some after two that are not counted."""
        batches = [torch.randperm(NUM)[: self.batch] for _ in range(num + 2)]
        for rows in batches[:2]:
            step(rows)
        began = time.perf_counter()
        for rows in batches[2:]:
            step(rows)
        return (time.perf_counter() - began) / num


class Pass:
    """A pass of pictures through a frozen network."""

    def __init__(self) -> None:
        from ravine.backbones.lite0 import EfficientNetLite0
        from ravine.data import Examples

        torch.manual_seed(0)
        net = EfficientNetLite0()
        net.classifier = nn.Identity()
        net = as_if_trained(net)
        self.laid_out = copy.deepcopy(net).to(memory_format=torch.channels_last)
        self.folding = timed(lambda: self._fold(net))
        x = np.random.default_rng(0).normal(size=(PICTURES, 3, SIDE, SIDE)).astype(np.float32)
        self.x, self.examples = torch.from_numpy(x), Examples(x=x, y=np.zeros(PICTURES, np.int64))
        ours, right = self._ours(), self._eager(self.laid_out)
        print(
            f"largest difference: {(ours - right).abs().max() / right.abs().max():.1e} of the largest feature\n"
        )

    def contenders(self) -> dict[str, Callable[[], float]]:
        """Seconds of each for all pictures; the first is ours."""
        found: dict[str, Callable[[], float]] = {
            "ravine": lambda: timed(self._ours),
            "PyTorch, channels last": lambda: timed(lambda: self._eager(self.laid_out)),
        }
        if find_spec("timm"):
            import timm

            net = as_if_trained(timm.create_model("tf_efficientnet_lite0", num_classes=0))
            net = net.to(memory_format=torch.channels_last)
            found["timm, channels last"] = lambda: timed(lambda: self._eager(net))
        return found

    def _fold(self, net: nn.Module) -> None:
        from ravine.features.fold import folded

        self.network, is_folded = folded(net, (BATCH, 3, SIDE, SIDE))
        assert is_folded, "nothing hinders it"

    def _ours(self) -> Tensor:
        from ravine.features.extract import extract

        parts = [x for _, x in extract(self.network, self.examples, torch.device("cpu"))]
        return torch.from_numpy(np.concatenate(parts))

    @torch.inference_mode()
    def _eager(self, network: nn.Module) -> Tensor:
        return torch.cat(
            [network(x.contiguous(memory_format=torch.channels_last)) for x in self.x.split(BATCH)]
        )


def as_if_trained(net: nn.Module) -> nn.Module:
    """With norms that change what they get, in eval mode."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0.0, 0.1)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2.0)  # type: ignore[arg-type]
    return net.eval()


def timed(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def share_of_peak(seconds: float) -> str:
    """How much of the rate of a large matrix product a pass reaches."""
    a = torch.randn(3072, 3072)
    rate = max(2 * 3072**3 / timed(lambda: a @ a) for _ in range(5))
    own = PICTURES * FLOPS / seconds
    return (
        f"{PICTURES / seconds:,.0f} pictures/s, {own / 1e9:.0f} GFLOP/s: {own / rate:.0%} of the {rate / 1e9:.0f} "
        "GFLOP/s of a matrix product"
    )


def measured(contenders: dict[str, Callable[[], float]], repeats: int) -> Times:
    """Seconds of each contender, in turn."""
    times: Times = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, seconds in contenders.items():
            times[name].append(seconds())
    return times


def table(title: str, times: Times) -> str:
    """Of one part, as Markdown: how many times as long as ours each takes."""
    ours = next(iter(times.values()))
    lines = [f"| {title} | s | times ours |", "|---|---|---|"]
    for name, own in times.items():
        ratios = [other / mine for other, mine in zip(own, ours, strict=True)]
        spread = f"{statistics.median(ratios):.3g} ({min(ratios):.3g} to {max(ratios):.3g})"
        lines.append(f"| {name} | {statistics.median(own):.3g} | {spread if own is not ours else ''} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument(
        "--batches", nargs="+", type=int, default=[64, 256], help="examples of a step, for heads"
    )
    parser.add_argument("--epochs", type=int, default=20, help="for heads")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    given: Any = parser.parse_args()
    threads = given.threads
    torch.set_num_threads(threads)
    print(
        f"`{shlex.join(['python', *sys.argv])}`, {time.strftime('%Y-%m-%d')}, {platform.machine()}, {threads} threads, "
        f"torch {torch.__version__}, n = {given.repeats}, load {os.getloadavg()[0]:.1f}\n"
    )
    for part in given.parts:
        if part == "features":
            times = measured(Pass().contenders(), given.repeats)
            print(table(f"{PICTURES} pictures of {SIDE} x {SIDE}", times), "\n")
            print(share_of_peak(statistics.median(times["ravine"])), "\n", flush=True)
        if part == "heads":
            for batch in given.batches:
                title = f"{HEADS} heads, {given.epochs} epochs, batch {batch}"
                print(
                    table(title, measured(Heads(batch, given.epochs).contenders(), given.repeats)),
                    "\n",
                    flush=True,
                )
        if part == "step":
            for network in ("lite0", "depthwise"):
                for batch, runs in ((32, 1), (32, 4), (64, 1), (64, 4)):
                    title = f"{network}, batch {batch}, runs: {runs}; a step of one"
                    times = measured(FineTuning(network, batch, runs).contenders(), given.repeats)
                    print(table(title, times), "\n", flush=True)
        if part == "denormals":
            for backend in ("native", "serial"):
                print(
                    table("a step", measured(Denormal(backend).contenders(), given.repeats)), "\n", flush=True
                )


if __name__ == "__main__":
    main()
