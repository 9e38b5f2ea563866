"""The models of models.py, as a user would write them, and the batches that each is trained with."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

PICTURE = (3, 32, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A model in training.

    Args:
        about: what it is, in a few words.
        make: the module.
        shape: of an example.
        batch: examples in a batch.
        runs: trained by one command.
        steps: of each run in that command.
        words: how many there are, where examples are whole numbers; 0: they are real numbers.
    """

    about: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    batch: int = 64
    runs: int = 4
    steps: int
    words: int = 0


def mlp(*widths: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def convnet() -> nn.Module:
    def stage(before: int, after: int) -> list[nn.Module]:
        return [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(*stage(3, 32), *stage(32, 64), *stage(64, 64), nn.Flatten(), nn.Linear(1024, 10))


def separable() -> nn.Module:
    def stage(before: int, after: int, stride: int) -> list[nn.Module]:
        return [
            nn.Conv2d(before, before, 3, stride, padding=1, groups=before, bias=False),
            nn.Conv2d(before, after, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]

    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        *stage(32, 64, 2), *stage(64, 64, 1), *stage(64, 128, 2), *stage(128, 128, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip


def grouped(groups: int = 8, width: int = 64) -> nn.Module:
    """Convolutions in groups between those of single places (Xie et al., 2017)."""

    def stage(before: int, stride: int) -> list[nn.Module]:
        return [
            nn.Conv2d(before, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, padding=1, groups=groups, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        ]  # fmt: skip

    return nn.Sequential(
        *stage(3, 1),
        *stage(width, 2),
        *stage(width, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, 10),
    )


class Block(nn.Module):
    """Two convolutions beside a way around them (He et al., 2016)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(after), nn.BatchNorm2d(after)
        around = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        self.around = nn.Identity() if before == after and stride == 1 else around

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.first(x)))
        return torch.relu(self.norm2(self.second(y)) + self.around(x))


def resnet(blocks: int, width: int = 16) -> nn.Module:
    layers: list[nn.Module] = [
        nn.Conv2d(3, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]
    before = width
    for stage, after in enumerate((width, 2 * width, 4 * width)):
        for block in range(blocks):
            layers.append(Block(before, after, 2 if stage and not block else 1))
            before = after
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10))


class Transformer(nn.Module):
    """Blocks of attention over tokens, in front of them a linear layer, behind them the tokens' mean."""

    def __init__(self, inputs: int, tokens: int, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, width)
        self.place = nn.Parameter(torch.randn(tokens, width) * 0.02)
        self.blocks = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(
                    width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
                )
                for _ in range(depth)
            )
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.embed(x) + self.place)).mean(1))


class Vit(nn.Module):
    """A vision transformer: patches of 4 x 4 places are the tokens (Dosovitskiy et al., 2021)."""

    def __init__(self, width: int = 64, heads: int = 4, depth: int = 4) -> None:
        super().__init__()
        self.inner = Transformer(48, 64, width, heads, depth)

    def forward(self, x: Tensor) -> Tensor:
        patches = x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5)
        return self.inner(patches.reshape(len(x), 64, 48))


class Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(32, 64, batch_first=True), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


class Words(nn.Module):
    """The mean of some words' vectors, and a hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(10_000, 64)
        self.rest = mlp(64, 128, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.words(x.long()).mean(1))


# As many steps as a plain loop takes in about a quarter of a minute.
CASES = {
    "mlp-1024": Case(about="MLP 3072-1024-1024-10", make=lambda: mlp(3072, 1024, 1024, 10), shape=PICTURE, steps=300),
    "mlp-1024-256": Case(
        about="the same", make=lambda: mlp(3072, 1024, 1024, 10), shape=PICTURE, batch=256, runs=16, steps=50,
    ),
    "separable": Case(about="convnet, depthwise-separable", make=separable, shape=PICTURE, steps=60),
    "grouped": Case(about="convnet, 8 groups of 8 channels", make=grouped, shape=PICTURE, steps=60),
    "convnet": Case(about="convnet 32-64-64", make=convnet, shape=PICTURE, steps=150),
    "resnet-8": Case(about="ResNet-8, width 16", make=lambda: resnet(1), shape=PICTURE, steps=60),
    "resnet-20": Case(about="ResNet-20, width 16", make=lambda: resnet(3), shape=PICTURE, steps=40),
    "vit": Case(about="ViT, 4 blocks, width 64", make=Vit, shape=PICTURE, steps=50),
    "transformer": Case(
        about="transformer block, 512 channels, 32 tokens", make=lambda: Transformer(64, 32, 512, 8, 1),
        shape=(32, 64), batch=32, runs=2, steps=80,
    ),
    "lstm": Case(about="LSTM, width 64, 32 steps", make=Lstm, shape=(32, 32), steps=800),
    "embedding": Case(about="10,000 words of width 64, MLP 128", make=Words, shape=(16,), words=10_000, steps=3000),
    "deep": Case(about="MLP, 20 layers of width 64", make=lambda: mlp(64, *[64] * 20, 10), shape=(64,), steps=2000),
    "logistic": Case(about="logistic regression, 784 inputs", make=lambda: mlp(784, 10), shape=(784,), steps=10_000),
    "digits": Case(about="MLP 64-32-32-10", make=lambda: mlp(64, 32, 32, 10), shape=(64,), runs=16, steps=2000),
}  # fmt: skip
