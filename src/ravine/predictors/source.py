"""A built-in network written out as plain PyTorch, for people: ravine never imports it."""

from __future__ import annotations

import torch
from torch import nn

from ravine.nn import DropConnectLinear, FractionalMaxPool2d, StochasticPool2d

_MEAN = '''

class SpatialMean(nn.Module):
    """The mean over height and width."""

    def forward(self, x):
        return x.mean((-2, -1))
'''

_BLOCK = '''

class Block(nn.Module):
    """A residual block; shortcuts where the shape changes take every second pixel and new channels of zeros."""

    def __init__(self, conv1, norm1, conv2, norm2, stride, new, depth=None):
        super().__init__()
        self.conv1, self.norm1, self.conv2, self.norm2 = conv1, norm1, conv2, norm2
        self.stride, self.new, self.depth = stride, new, depth

    def forward(self, x):
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if self.new:
            x = F.pad(x, (0, 0, 0, 0, 0, self.new))
        return F.relu(x + (y if self.depth is None else self.depth(y)))
'''

_GATE = '''

class Gate(nn.Module):
    """The share of a branch that was dropped with probability `rate` in training."""

    def __init__(self):
        super().__init__()
        self.register_buffer("rate", torch.zeros(()))

    def forward(self, x):
        return x * (1 - self.rate)
'''

_DROPCONNECT = '''

class DropConnectLinear(nn.Linear):
    """A linear layer and its activation a: the mean of a(u), u normal, over weights that are dropped with `rate`."""

    def __init__(self, inputs, outputs, activation):
        super().__init__(inputs, outputs)
        self.activation = activation
        self.register_buffer("rate", torch.zeros(()))

    def forward(self, x):
        keep = 1 - self.rate
        mean = super().forward(x) * keep
        if self.activation == "none":
            return mean
        variance = F.linear(x * x, self.weight**2, self.bias**2) * (self.rate * keep)
        a = getattr(F if self.activation != "tanh" else torch, self.activation)
        deviation = variance.clamp_min(1e-30).sqrt()
        if self.activation == "relu":
            normal = torch.distributions.Normal(0.0, 1.0)
            z = mean / deviation
            found = F.relu(mean * normal.cdf(z) + deviation * normal.log_prob(z).exp())
        else:
            nodes, weights = (torch.tensor(each) for each in np.polynomial.hermite_e.hermegauss(32))
            values = a(mean[..., None] + deviation[..., None] * nodes.to(x))
            found = (values * (weights / weights.sum()).to(x)).sum(-1)
        return torch.where(variance > 0, found, a(mean))
'''

_STOCHASTIC = '''

class StochasticPool2d(nn.Module):
    """The mean of each region by size, sum(a^2) / sum(a) with a = relu(x), and with 1 - `rate` its maximum."""

    def __init__(self, side):
        super().__init__()
        self.side = side
        self.register_buffer("rate", torch.ones(()))

    def forward(self, x):
        a = F.relu(x)
        mean = F.avg_pool2d(a * a, self.side) / F.avg_pool2d(a, self.side).clamp_min(1e-30)
        return self.rate * mean + (1 - self.rate) * F.max_pool2d(a, self.side)
'''

_FRACTIONAL = '''

class FractionalMaxPool2d(nn.Module):
    """The maximum of boxes whose sides are regions of 1 or 2 places, each with the first of the next."""

    def __init__(self, ratio):
        super().__init__()
        self.ratio = ratio

    def forward(self, x):
        for dim in (-1, -2):
            size = x.shape[dim]
            n = max(int(size / self.ratio + 1e-9), (size + 1) // 2)
            starts = [0, *(-(-size * (2 * i + 1) // (2 * n)) - 1 for i in range(1, n)), size]
            parts = [x.narrow(dim, a, min(b + 1, size) - a).amax(dim, True) for a, b in zip(starts, starts[1:])]
            x = torch.cat(parts, dim)
        return x
'''

# The classes of layers that PyTorch has not, by their names here.
_CLASSES = {
    "StochasticDepth": _GATE,
    "_Block": _BLOCK,
    "_SpatialMean": _MEAN,
    "DropConnectLinear": _DROPCONNECT,
    "StochasticPool2d": _STOCHASTIC,
    "FractionalMaxPool2d": _FRACTIONAL,
}

_HEAD = '''"""The network of this model in plain PyTorch. It takes prepared inputs{double} and returns {returns}.

    from safetensors.torch import load_file

    net = network()
    net.load_state_dict(load_file("{file}"))
    net.eval()
"""

from collections import OrderedDict

{imports}from torch import nn
{functional}'''


def source_of(module: nn.Module, file: str, returns: str) -> str:
    """The text of a Python file with a function ``network()`` that builds the module.

    Args:
        module: a built-in network; of its stochastic layers, those whose mean pass does something.
        file: with the weights, for its docstring.
        returns: what it returns, in words.

    Raises:
        AssertionError: it has a layer that is none of the built-in networks'.
    """
    lines = [f'            ("{name}", {_layer(layer)}),' for name, layer in module.named_children()]
    kinds = {type(layer).__name__ for layer in module.modules()}
    classes = "".join(text for kind, text in _CLASSES.items() if kind in kinds)
    functional = "from torch.nn import functional as F\n" if " F." in classes or "(F" in classes else ""
    imports = "import numpy as np\n" if "np." in classes else ""
    imports += "import torch\n" if "torch." in classes else ""
    double = any(param.dtype == torch.float64 for param in module.parameters())
    head = _HEAD.format(
        double=" in float64" * double, file=file, returns=returns, functional=functional, imports=imports
    )
    body = "\n".join(lines)
    return (
        f"{head}{classes}\n\ndef network():\n    return nn.Sequential(\n        OrderedDict(\n            [\n"
        + body.replace("            (", "                (")
        + f"\n            ]\n        )\n    ){'.double()' * double}\n"
    )


def _layer(layer: nn.Module) -> str:
    kind = type(layer).__name__
    if kind == "_SpatialMean":
        return "SpatialMean()"
    if kind == "_Block":
        inside = dict(layer.named_children())
        parts = ", ".join(f"{name}={_layer(inside[name])}" for name in ("conv1", "norm1", "conv2", "norm2"))
        gate = ", depth=Gate()" if layer.depth is not None else ""
        return f"Block({parts}, stride={layer.stride}, new={layer.num_new}{gate})"
    if isinstance(layer, DropConnectLinear):
        outputs, inputs = layer.weight.shape
        return f"DropConnectLinear({inputs}, {outputs}, {layer.activation!r})"
    if isinstance(layer, StochasticPool2d):
        return f"StochasticPool2d({layer.kernel_size})"
    if isinstance(layer, FractionalMaxPool2d):
        return f"FractionalMaxPool2d({layer.ratio[0]!r})"
    assert type(layer).__module__.startswith("torch.nn."), f"{kind} is no layer of a built-in network"
    return f"nn.{layer!r}"
