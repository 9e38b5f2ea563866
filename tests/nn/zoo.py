"""Small modules as users write them, for whatever must hold for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.nn.dropout import Dropout


@dataclass(frozen=True, slots=True, kw_only=True)
class Animal:
    name: str
    factory: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    num_outputs: int = 3
    cannot_fuse: str = ""  # a part of the exception that vmap raises; empty if it can be fused


class Tied(nn.Module):
    """One weight under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(6, 6, bias=False)
        self.decode = nn.Linear(6, 6, bias=False)
        self.decode.weight = self.encode.weight
        self.output = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.decode(torch.tanh(self.encode(x))))


class TiedLayer(nn.Module):
    """One module under two names, with a buffer in it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6))
        self.second = self.first
        self.output = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.second(torch.tanh(self.first(x))))


class Attention(nn.Module):
    def __init__(self, num_heads: int = 2) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, num_heads, batch_first=True)
        self.output = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.attention(x, x, x, need_weights=False)
        return self.output(y.mean(1))


class DotAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)
        self.output = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return self.output(F.scaled_dot_product_attention(q, k, v, is_causal=True).mean(1))


class Transformer(nn.Module):
    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, dropout=dropout, batch_first=True)
        self.output = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.layer(x).mean(1))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.layer = kind(8, 6, batch_first=True)
        self.output = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.layer(x)
        return self.output(y[:, -1])


class Cell(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(8, 6)
        self.output = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.shape[0], 6)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
        return self.output(h)


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.output = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.embedding((x.abs() * 5).long().clamp(max=10)).mean(1))


class Frozen(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(6, 5).requires_grad_(False)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.body(x)))


class RunningMean(nn.Module):
    """A buffer that the user assigns anew, and one that is changed in place."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.output = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
            self.count += 1
        return self.output(x - self.mean)


class Branch(nn.Module):
    """Control flow that depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.output(x)
        return -y if y.sum() > 0 else y


class Item(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.output(x)
        return y / (1 + y.abs().max().item())


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.output = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv1(x), inplace=True)
        z = self.conv2(y)
        z += y
        return self.output(F.adaptive_avg_pool2d(z, 1).flatten(1))


def _conv(norm: nn.Module) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), norm, nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    )


ZOO = (
    Animal(name="linear", factory=lambda: nn.Linear(6, 3), input_shape=(6,)),
    Animal(
        name="batchnorm1d",
        factory=lambda: nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)),
        input_shape=(6,),
    ),
    Animal(
        name="batchnorm-momentum-none",
        factory=lambda: nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5, momentum=None), nn.Linear(5, 3)),
        input_shape=(6,),
        cannot_fuse="data-dependent control flow",
    ),
    Animal(name="batchnorm2d", factory=lambda: _conv(nn.BatchNorm2d(4)), input_shape=(2, 6, 6)),
    Animal(name="groupnorm", factory=lambda: _conv(nn.GroupNorm(2, 4)), input_shape=(2, 6, 6)),
    Animal(
        name="instancenorm", factory=lambda: _conv(nn.InstanceNorm2d(4, affine=True)), input_shape=(2, 6, 6)
    ),
    Animal(
        name="layernorm",
        factory=lambda: nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.GELU(), nn.Linear(5, 3)),
        input_shape=(6,),
    ),
    Animal(
        name="rmsnorm",
        factory=lambda: nn.Sequential(nn.Linear(6, 5), nn.RMSNorm(5), nn.SiLU(), nn.Linear(5, 3)),
        input_shape=(6,),
    ),
    Animal(
        name="prelu",
        factory=lambda: nn.Sequential(nn.Linear(6, 5), nn.PReLU(), nn.Linear(5, 3)),
        input_shape=(6,),
    ),
    Animal(name="inplace-residual", factory=Residual, input_shape=(2, 6, 6)),
    Animal(name="tied", factory=Tied, input_shape=(6,)),
    Animal(name="tied-layer", factory=TiedLayer, input_shape=(6,)),
    Animal(name="frozen", factory=Frozen, input_shape=(6,)),
    Animal(name="running-mean", factory=RunningMean, input_shape=(6,)),
    Animal(name="attention", factory=Attention, input_shape=(5, 8)),
    Animal(name="dot-attention", factory=DotAttention, input_shape=(5, 8)),
    Animal(name="transformer", factory=Transformer, input_shape=(5, 8)),
    Animal(name="lstm", factory=lambda: Recurrent(nn.LSTM), input_shape=(5, 8)),
    Animal(name="gru", factory=lambda: Recurrent(nn.GRU), input_shape=(5, 8)),
    Animal(name="gru-cell", factory=Cell, input_shape=(5, 8)),
    Animal(name="embedding", factory=Words, input_shape=(5,)),
    Animal(
        name="weight-norm",
        factory=lambda: nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.Linear(6, 5)), nn.Linear(5, 3)
        ),
        input_shape=(6,),
    ),
    Animal(
        name="dropout",
        factory=lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), Dropout(0.4), nn.Linear(5, 3)),
        input_shape=(6,),
    ),
    Animal(name="branch", factory=Branch, input_shape=(6,), cannot_fuse="data-dependent control flow"),
    Animal(name="item", factory=Item, input_shape=(6,), cannot_fuse=".item()"),
)
