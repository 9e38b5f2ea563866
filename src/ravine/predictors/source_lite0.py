"""EfficientNet-Lite0 with its head written out as plain PyTorch, for people: ravine never imports it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from torch import nn

from ravine.backbones import lite0
from ravine.backbones.assembled import Assembled
from ravine.backbones.lite0 import EfficientNetLite0
from ravine.nn import Dropout
from ravine.nn.standard import Standard

_HEAD = '''"""The network of this model in plain PyTorch: EfficientNet-Lite0 and a head.

It takes prepared pictures, (B, 3, H, W), and returns {returns}.

    from safetensors.torch import load_file

    net = network()
    net.load_state_dict({load})
    net.eval()
"""
'''

_NETWORK = '''

class Standard(nn.Module):
    """(x - mean) / deviation, of each feature x of a picture."""

    def __init__(self, width):
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def forward(self, x):
        return (x - self.mean) / self.deviation


class Network(nn.Module):
    """Pictures -> features -> outputs."""

    def __init__(self, body, head):
        super().__init__()
        self.body, self.head = body, head

    def forward(self, x):
        return self.head(self.body(x))


def network():
    body = EfficientNetLite0()
    body.classifier = nn.Identity()  # the head takes its place
    head = nn.Sequential(
        OrderedDict(
            [
LAYERS
            ]
        )
    )
    return Network(body, head)
'''


def lite0_source(module: nn.Module, files: Sequence[str], returns: str) -> str | None:
    """The text of a Python file with a function ``network()`` that builds the module.

    Args:
        module: of a member.
        files: with its weights, for the docstring.
        returns: what it returns, in words.

    Returns:
        None where the body is another network, or is cut elsewhere.
    """
    if not isinstance(module, Assembled) or type(module.body) is not EfficientNetLite0:
        return None
    if not isinstance(module.body.get_submodule("classifier"), nn.Identity):
        return None
    layers = [
        (name, layer)
        for name, layer in module.head.named_children()
        if not isinstance(layer, Dropout)  # at test it passes on what it is given
    ]
    lines = "\n".join(f'                ("{name}", {_layer(layer)}),' for name, layer in layers)
    text = inspect.getsource(lite0)
    about = lite0.__doc__ or ""
    assert text.startswith(f'"""{about}"""'), "a file begins with its docstring"
    code = text.removeprefix(f'"""{about}"""')
    code = code.replace("from torch import Tensor, nn", "import torch\nfrom torch import Tensor, nn")
    loaded = [f'load_file("{file}")' for file in files]
    load = loaded[0] if len(loaded) == 1 else "{" + ", ".join(f"**{each}" for each in loaded) + "}"
    return _HEAD.format(load=load, returns=returns) + code.rstrip() + "\n" + _NETWORK.replace("LAYERS", lines)


def _layer(layer: nn.Module) -> str:
    if isinstance(layer, Standard):
        return f"Standard({len(layer.mean)})"
    assert isinstance(layer, nn.Linear | nn.ReLU), f"{type(layer).__name__} is no layer of a head"
    return f"nn.{layer!r}"
