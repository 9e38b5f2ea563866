"""How long transfer takes: all heads at once on features, beside what else one would do, in one process.

    python benchmarks/transfer.py                                # all parts
    python benchmarks/transfer.py --parts heads --repeats 3
    python benchmarks/transfer.py --parts heads --batches 64 --epochs 2   # a quick look
    python benchmarks/transfer.py --parts heads --pictures cifar10-subset   # on real features

heads: 100 heads (4 rules x 5 learning rates x 5 seeds), 20 epochs on 10,000 features of 1,280 numbers, made up or
what EfficientNet-Lite0 makes of pictures at 64 px (a folder with train and test, in both one for each class), beside
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

warm: a second `ravine run` of a study that fine-tunes EfficientNet-Lite0, with a new learning rate, in a process of its
own, from its start to its first training step; beside it, from the start of a process to the end of `import torch`.

boundary: an epoch of EfficientNet-Lite0's last blocks on cached activations, beside the same through the whole network,
and one that trains all of it, CPU time.

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
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transfer_boundary import Boundary
from transfer_heads import HEADS, Heads, made_up, of_pictures
from transfer_steps import Denormal, FineTuning
from transfer_warm import CLOCKS, Warm

PARTS = ("heads", "features", "step", "denormals", "warm", "boundary")
PICTURES, SIDE, BATCH = 512, 96, 64
FLOPS = 2 * 71.8e6  # of a picture of 96 x 96
Times = dict[str, list[float]]


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
    parser.add_argument("--pictures", help="folder of pictures, for heads on real features")
    parser.add_argument(
        "--contenders", type=int, default=5, help="for heads: so many of them, the quicker ones first"
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
            arrays = of_pictures(given.pictures) if given.pictures else made_up()
            for batch in given.batches:
                title = f"{HEADS} heads, {given.epochs} epochs, batch {batch}"
                contenders = Heads(batch, given.epochs, arrays).contenders()
                some = dict(list(contenders.items())[: given.contenders])
                print(table(title, measured(some, given.repeats)), "\n", flush=True)
        if part == "step":
            for network in ("lite0", "depthwise"):
                for batch, runs in ((32, 1), (32, 4), (64, 1), (64, 4)):
                    title = f"{network}, batch {batch}, runs: {runs}; a step of one"
                    times = measured(FineTuning(network, batch, runs).contenders(), given.repeats)
                    print(table(title, times), "\n", flush=True)
        if part == "warm":
            warm = Warm()
            for clock in CLOCKS:
                title = f"until training begins, {clock}"
                print(table(title, measured(warm.contenders(clock), given.repeats)), "\n", flush=True)
            print(f"the first run: {warm.cold:.3g} s, with PyTorch's import\n", flush=True)
        if part == "denormals":
            for backend in ("native", "serial"):
                print(
                    table("a step", measured(Denormal(backend).contenders(), given.repeats)), "\n", flush=True
                )
        if part == "boundary":
            for train in ("from:12", "from:16"):
                print(
                    table(f"an epoch, {train}", measured(Boundary(train).contenders(), given.repeats)),
                    "\n",
                    flush=True,
                )


if __name__ == "__main__":
    main()
