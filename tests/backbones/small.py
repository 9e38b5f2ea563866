"""A small network of the user's, as a study's folder has it, and its weights in a file."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

SOURCE = """
from torch import nn

class Small(nn.Module):
    def __init__(self, width=4, classes=5, rate=0.3):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(2 * width)
        self.drop = nn.Dropout(rate)
        self.fc = nn.Linear(2 * width, classes)

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        x = self.bn2(self.conv2(self.drop(x))).relu()
        return self.fc(x.mean((-2, -1)))
"""


def study_folder(folder: Path) -> Path:
    """A folder with the module `net`."""
    forget()
    (folder / "net.py").write_text(SOURCE)
    return folder


def forget() -> None:
    """Let another folder have a module of that name."""
    sys.modules.pop("net", None)


def small(seed: int = 0) -> nn.Module:
    """The network, with statistics and scales as after training."""
    space: dict[str, type[nn.Module]] = {}
    exec(SOURCE, space)
    torch.manual_seed(seed)
    net = space["Small"]()
    with torch.no_grad():
        for each in net.modules():
            if isinstance(each, nn.BatchNorm2d):
                each.weight.uniform_(0.5, 1.5)
                each.bias.uniform_(-0.5, 0.5)
                each.running_mean.uniform_(-0.2, 0.2)
                each.running_var.uniform_(0.5, 1.5)
    return net


def saved(folder: Path, tensors: dict[str, Tensor], name: str = "w.safetensors", **metadata: str) -> Path:
    """A file with these tensors."""
    file = folder / name
    save_file({key: each.contiguous() for key, each in tensors.items()}, file, metadata=metadata or None)
    return file
