"""The network of a backbone as it is, before it is cut."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ravine.backbones.kinds import architecture_of
from ravine.backbones.lite0 import EfficientNetLite0
from ravine.errors import ModelError
from ravine.messages import shown
from ravine.nn.replacing import keyed
from ravine.nn.spec import Backbone
from ravine.nn.stochastic import stochastic_modules
from ravine.nn.target import call_factory, find_factory


def architecture(spec: Backbone, search: Path | None) -> nn.Module:
    """The whole network, with numbers from torch's generator.

    Raises:
        ModelError: it cannot be found or built.
    """
    source, name = architecture_of(spec)
    if source == "builtin":
        return EfficientNetLite0()
    if source == "target":
        return call_factory(find_factory(name, search, spec.trust), spec.args, search)
    raise ModelError(f"model.weights = {shown(spec.weights)}: not supported yet")


def keyed_body(body: nn.Module) -> nn.Module:
    """A body whose own random layers are keyed, and keep their rates whatever the study gives to their kind."""
    body = keyed(body)
    for _, layer in stochastic_modules(body):
        layer.own_rate = True
    return body
