"""A built-in network written out as plain PyTorch, for people: ravine never imports it."""

from __future__ import annotations

from torch import nn

_MEAN = '''

class SpatialMean(nn.Module):
    """The mean over height and width."""

    def forward(self, x):
        return x.mean((-2, -1))
'''

_BLOCK = '''

class Block(nn.Module):
    """A residual block; shortcuts where the shape changes take every second pixel and new channels of zeros."""

    def __init__(self, conv1, norm1, conv2, norm2, stride, new):
        super().__init__()
        self.conv1, self.norm1, self.conv2, self.norm2 = conv1, norm1, conv2, norm2
        self.stride, self.new = stride, new

    def forward(self, x):
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if self.new:
            x = F.pad(x, (0, 0, 0, 0, 0, self.new))
        return F.relu(x + y)
'''

_HEAD = '''"""The network of this model in plain PyTorch. It takes prepared inputs and returns {returns}.

    from safetensors.torch import load_file

    net = network()
    net.load_state_dict(load_file("{file}"))
    net.eval()
"""

from collections import OrderedDict

from torch import nn
{functional}'''


def source_of(module: nn.Module, file: str, returns: str) -> str:
    """The text of a Python file with a function ``network()`` that builds the module.

    Args:
        module: a built-in network, without stochastic layers.
        file: with the weights, for its docstring.
        returns: what it returns, in words.

    Raises:
        AssertionError: it has a layer that is none of the built-in networks'.
    """
    lines = [f'            ("{name}", {_layer(layer)}),' for name, layer in module.named_children()]
    kinds = {type(layer).__name__ for layer in module.children()}
    functional = "from torch.nn import functional as F\n" if "_Block" in kinds else ""
    classes = (_BLOCK if "_Block" in kinds else "") + (_MEAN if "_SpatialMean" in kinds else "")
    head = _HEAD.format(file=file, returns=returns, functional=functional)
    body = "\n".join(lines)
    return (
        f"{head}{classes}\n\ndef network():\n    return nn.Sequential(\n        OrderedDict(\n            [\n"
        + body.replace("            (", "                (")
        + "\n            ]\n        )\n    )\n"
    )


def _layer(layer: nn.Module) -> str:
    kind = type(layer).__name__
    if kind == "_SpatialMean":
        return "SpatialMean()"
    if kind == "_Block":
        inside = dict(layer.named_children())
        parts = ", ".join(f"{name}={_layer(inside[name])}" for name in ("conv1", "norm1", "conv2", "norm2"))
        return f"Block({parts}, stride={layer.stride}, new={layer.num_new})"
    assert type(layer).__module__.startswith("torch.nn."), f"{kind} is no layer of a built-in network"
    return f"nn.{layer!r}"
