"""The built-in networks, as plain `nn.Sequential`s and one block.

Shapes: B batch, C channels, H W space, K outputs. Neither names nor initial values of parameters depend on which
stochastic layers there are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from math import gcd, prod

from torch import Tensor, nn
from torch.nn import functional as F

from ravine.errors import ModelError
from ravine.nn.depth import StochasticDepth
from ravine.nn.dropconnect import DropConnectLinear
from ravine.nn.dropout import Dropout
from ravine.nn.fractional import FractionalMaxPool2d
from ravine.nn.pooling import StochasticPool2d
from ravine.nn.spec import MLP, ConvNet, ResNet

_ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


def mlp(spec: MLP, input_shape: tuple[int, ...], num_outputs: int, rates: Collection[str]) -> nn.Sequential:
    """The network that `ravine.nn.spec.MLP` describes.

    Args:
        spec: what to build.
        input_shape: of one example; flattened.
        num_outputs: K.
        rates: the rates that get a layer, even at 0.

    Returns:
        (B, *input_shape) -> (B, K).

    Example:
        >>> [name for name, _ in mlp(MLP(hidden=(8,)), (4,), 3, ()).named_parameters()]
        ['linear1.weight', 'linear1.bias', 'output.weight', 'output.bias']
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if len(input_shape) != 1:
        layers["flatten"] = nn.Flatten()
    before = prod(input_shape)
    for i, width in enumerate(spec.hidden, start=1):
        knows = "dropconnect" in rates and spec.norm == "none"  # a layer that contains its activation
        if "dropconnect" in rates:
            layers[f"linear{i}"] = DropConnectLinear(
                before, width, spec.dropconnect, activation=spec.activation if knows else "none"
            )
        else:
            layers[f"linear{i}"] = nn.Linear(before, width)
        if spec.norm == "batch":
            layers[f"norm{i}"] = nn.BatchNorm1d(width)
        elif spec.norm == "layer":
            layers[f"norm{i}"] = nn.LayerNorm(width)
        if not knows:
            layers[f"activation{i}"] = _ACTIVATIONS[spec.activation]()
        # Behind a BatchNorm that follows, what is dropped would change its statistics (Li et al. 2019).
        if "dropout" in rates and (spec.norm != "batch" or i == len(spec.hidden)):
            layers[f"dropout{i}"] = Dropout(spec.dropout)
        before = width
    layers["output"] = nn.Linear(before, num_outputs)
    return nn.Sequential(layers)


def convnet(
    spec: ConvNet, input_shape: tuple[int, ...], num_outputs: int, rates: Collection[str]
) -> nn.Sequential:
    """The network that `ravine.nn.spec.ConvNet` describes.

    Args:
        spec: what to build.
        input_shape: (C, H, W).
        num_outputs: K.
        rates: the rates that get a layer, even at 0.

    Returns:
        (B, C, H, W) -> (B, K).

    Raises:
        ModelError: the examples are not pictures.

    Example:
        >>> import torch
        >>> convnet(ConvNet(channels=(4,)), (1, 8, 8), 10, ())(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    before, height, width = _picture("convnet", input_shape)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i, channels in enumerate(spec.channels, start=1):
        layers[f"conv{i}"] = nn.Conv2d(before, channels, 3, padding=1, bias=spec.norm == "none")
        if spec.norm != "none":
            layers[f"norm{i}"] = _norm(spec.norm, channels)
        layers[f"activation{i}"] = nn.ReLU()
        if min(height, width) > 1:
            layers[f"pool{i}"] = pool = _pool(spec.pool)
            if isinstance(pool, FractionalMaxPool2d):
                height, width = pool.output_size(height, width)
            else:
                height, width = height // 2, width // 2
        before = channels
    if spec.hidden:
        layers["flatten"] = nn.Flatten()
        before *= height * width
        if "dropconnect" in rates:
            layers["linear"] = DropConnectLinear(before, spec.hidden, spec.dropconnect, activation="relu")
        else:
            layers["linear"] = nn.Linear(before, spec.hidden)
            layers["activation"] = nn.ReLU()
        before = spec.hidden
    else:
        layers["mean"] = _SpatialMean()
    if "dropout" in rates:
        layers["dropout"] = Dropout(spec.dropout)
    connected = "dropconnect" in rates and not spec.hidden
    layers["output"] = _output(before, num_outputs, spec.dropconnect if connected else None)
    return nn.Sequential(layers)


def resnet(
    spec: ResNet, input_shape: tuple[int, ...], num_outputs: int, rates: Collection[str]
) -> nn.Sequential:
    """The network that `ravine.nn.spec.ResNet` describes; convolutions start from He et al.'s normal, by fan-out.

    Args:
        spec: what to build.
        input_shape: (C, H, W).
        num_outputs: K.
        rates: the rates that get a layer, even at 0.

    Returns:
        (B, C, H, W) -> (B, K).

    Raises:
        ModelError: the examples are not pictures.

    References:
        He et al. 2015, "Deep residual learning for image recognition", section 4.2.

    Example:
        >>> net = resnet(ResNet(depth=20), (3, 32, 32), 10, ())
        >>> sum(p.numel() for p in net.parameters())  # 0.27 M in the paper
        269722
    """
    channels, _, _ = _picture("resnet", input_shape)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv"] = _conv3(channels, spec.width, 1)
    layers["norm"] = _norm(spec.norm, spec.width)
    layers["activation"] = nn.ReLU()
    before = spec.width
    each = (spec.depth - 2) // 6
    for stage in range(3):
        width = spec.width * 2**stage
        for block in range(each):
            stride = 2 if stage > 0 and block == 0 else 1
            layers[f"block{stage + 1}_{block + 1}"] = new = _Block(before, width, stride, spec.norm)
            if "depth_drop" in rates:
                new.depth = StochasticDepth(spec.depth_drop, share=(stage * each + block + 1) / (3 * each))
            before = width
    layers["mean"] = _SpatialMean()
    if "dropout" in rates:
        layers["dropout"] = Dropout(spec.dropout)
    connected = "dropconnect" in rates
    layers["output"] = _output(before, num_outputs, spec.dropconnect if connected else None)
    return nn.Sequential(layers)


class _Block(nn.Module):
    """relu(x' + norm(conv(relu(norm(conv(x)))))), with x' = x or the shortcut of option A.

    Attributes:
        depth: the gate of what is added to x'; None: there is none.
    """

    depth: StochasticDepth | None

    def __init__(self, before: int, after: int, stride: int, norm: str) -> None:
        super().__init__()
        self.conv1 = _conv3(before, after, stride)
        self.norm1 = _norm(norm, after)
        self.conv2 = _conv3(after, after, 1)
        self.norm2 = _norm(norm, after)
        self.stride = stride
        self.num_new = after - before
        self.depth = None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        if self.depth is None:
            y_BCHW = self._branch(x_BCHW)
            return F.relu(self._shortcut(x_BCHW) + y_BCHW)
        norms = (self.norm1, self.norm2)
        return F.relu(self.depth.add(self._shortcut(x_BCHW), self._branch, x_BCHW, norms))

    def _branch(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW: Tensor = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x_BCHW)))))
        return y_BCHW

    def _shortcut(self, x_BCHW: Tensor) -> Tensor:
        if self.stride > 1:
            x_BCHW = x_BCHW[:, :, :: self.stride, :: self.stride]
        if self.num_new:
            x_BCHW = F.pad(x_BCHW, (0, 0, 0, 0, 0, self.num_new))
        return x_BCHW


class _SpatialMean(nn.Module):
    def forward(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW.mean((-2, -1))


def _pool(kind: str) -> nn.MaxPool2d | StochasticPool2d | FractionalMaxPool2d:
    if kind == "stochastic":
        return StochasticPool2d(2)
    return FractionalMaxPool2d() if kind == "fractional" else nn.MaxPool2d(2)


def _output(before: int, num_outputs: int, dropconnect: float | None) -> nn.Module:
    if dropconnect is None:
        return nn.Linear(before, num_outputs)
    return DropConnectLinear(before, num_outputs, dropconnect)


def _conv3(before: int, after: int, stride: int) -> nn.Conv2d:
    conv = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def _norm(kind: str, channels: int) -> nn.Module:
    return (
        nn.BatchNorm2d(channels) if kind == "batch" else nn.GroupNorm(channels // gcd(channels, 8), channels)
    )


def _picture(kind: str, input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    if len(input_shape) != 3:
        shape = "x".join(map(str, input_shape))
        raise ModelError(
            f"model.kind = {kind!r} needs pictures (channels, height, width); one example has shape {shape}. "
            "Use kind = 'mlp' or data with pictures"
        )
    channels, height, width = input_shape
    return channels, height, width
