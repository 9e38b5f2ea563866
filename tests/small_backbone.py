"""Small networks with everything that is folded, and what is not."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F


class Small(nn.Module):
    """Convolutions with norms and activations, one depthwise with uneven padding, one in a residual block."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8, eps=1e-3)
        self.wide, self.wide_norm = nn.Conv2d(8, 8, 3, stride=2, groups=8, bias=False), nn.BatchNorm2d(8)
        self.inner, self.inner_norm = nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8, affine=False)
        self.last = nn.Conv2d(8, 6, 3, padding=(1, 0), dilation=(1, 1))
        self.mixed, self.classifier = nn.Linear(6, 7), nn.Linear(7, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.norm(self.stem(x)))
        x = F.relu(self.wide_norm(self.wide(F.pad(x, (0, 1, 0, 1)))))
        x = x + self.inner_norm(self.inner(x))
        x = F.hardtanh(self.last(x), -0.5, 2.0).mean((-2, -1))
        return self.classifier(self.mixed(x))


def trained(net: nn.Module) -> nn.Module:
    """The network as if it had learned: norms that change what they get."""
    draw = torch.Generator().manual_seed(5)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features, generator=draw) / 3
            module.running_var = torch.rand(module.num_features, generator=draw) + 0.5
            if module.affine:
                module.weight.data = torch.rand(module.num_features, generator=draw) + 0.5
                module.bias.data = torch.randn(module.num_features, generator=draw) / 3
    return net.eval()


def small_body() -> nn.Module:
    """A small network without its head."""
    torch.manual_seed(3)
    net = trained(Small())
    net.classifier = nn.Identity()
    return net


class Wider(Small):
    """Another network with the same weights."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(2 * x)


def placed(folder: Path, module: str) -> None:
    """Write this code as a module, and weights of `Small`, into a folder; one of that name from another is forgotten.

    A worker may come back to a file of tests, and make its folder again.
    """
    sys.modules.pop(module, None)
    (folder / f"{module}.py").write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
    torch.manual_seed(4)
    save_file(trained(Small()).state_dict(), folder / "small.safetensors")
