"""Layers that are random in training and averaged at test, in studies and in any PyTorch program.

Behind them: models, what a study file may ask for, and how it is built.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ravine.nn.alpha import AlphaDropout
    from ravine.nn.depth import StochasticDepth
    from ravine.nn.dropconnect import DropConnectConv2d, DropConnectLinear
    from ravine.nn.dropout import Dropout
    from ravine.nn.fractional import FractionalMaxPool2d
    from ravine.nn.frozen import freeze_norms
    from ravine.nn.pooling import StochasticPool2d
    from ravine.nn.replacing import keyed
    from ravine.nn.stochastic import Stochastic, mode

_HOMES = {
    "AlphaDropout": "alpha",
    "DropConnectConv2d": "dropconnect",
    "DropConnectLinear": "dropconnect",
    "Dropout": "dropout",
    "FractionalMaxPool2d": "fractional",
    "Stochastic": "stochastic",
    "StochasticDepth": "depth",
    "StochasticPool2d": "pooling",
    "freeze_norms": "frozen",
    "keyed": "replacing",
    "mode": "stochastic",
}

__all__ = [
    "AlphaDropout",
    "DropConnectConv2d",
    "DropConnectLinear",
    "Dropout",
    "FractionalMaxPool2d",
    "Stochastic",
    "StochasticDepth",
    "StochasticPool2d",
    "freeze_norms",
    "keyed",
    "mode",
]


def __getattr__(name: str) -> Any:
    """Import a layer when it is first used: a study is read without PyTorch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ravine.nn' has no attribute {name!r}")
    return getattr(import_module(f"ravine.nn.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
