"""A backbone with its new head: one network, whose tensors are named `body.*` and `head.*`.

Shapes: B batch, C channels, H W space, D features, K outputs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ravine import rng
from ravine.backbones.architecture import Architecture, architecture, keyed_body, stored_tensors
from ravine.backbones.cut import Cut, Reached, find_cut
from ravine.backbones.files import digest_of
from ravine.backbones.kept_cut import kept_cut
from ravine.backbones.kinds import hub_config, is_timm, weights_file
from ravine.backbones.loading import Weights, fill, read_builtin, read_safetensors, read_with
from ravine.nn.dropout import Dropout
from ravine.nn.frozen import freeze_norms
from ravine.nn.rates import Rates
from ravine.nn.spec import RANDOM, Backbone, Head
from ravine.nn.standard import Standard


class Assembled(nn.Module):
    """A body, which ends where it was cut, and a head.

    Attributes:
        body: the network up to the cut.
        head: what was drawn anew.
        order: the names of the body's modules in the order in which a pass calls them, where it is known.
        held: parts of the body that stay in eval mode whatever `train` says; see `hold`.
        numbered: the blocks of the whole body, where this is a part of it; see `ravine.backbones.split`.
    """

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.order: tuple[str, ...] = ()
        self.held: tuple[str, ...] = ()
        self.numbered: tuple[tuple[str, ...], ...] = ()

    def features(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, D): what the head is given; of a map or of tokens the mean over its places."""
        try:
            found = self.body(x)
        except Reached as reached:
            found = reached.x
        return flat(found)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, K)."""
        logits_BK: Tensor = self.head(self.features(x))
        return logits_BK

    def train(self, mode: bool = True) -> Assembled:
        """As of any module, but parts that are held stay in eval mode."""
        super().train(mode)
        for name in self.held:
            self.get_submodule(name).eval()
        return self


class HeadAlone(nn.Module):
    """The head of a network, whose tensors are named as in the whole; what it is given is brought to its scale already.

    Args:
        head: from `head_of`.
    """

    def __init__(self, head: nn.Sequential) -> None:
        super().__init__()
        self.head = head

    def forward(self, x_BD: Tensor) -> Tensor:
        """(B, D) -> (B, K)."""
        logits_BK: Tensor = self.head(x_BD)
        return logits_BK


def flat(found: Tensor) -> Tensor:
    """What a body returned as (B, D): a map (B, C, H, W) or tokens (B, T, D) as the mean over their places."""
    if found.dim() == 4:
        return found.mean((-2, -1))
    return found.mean(1) if found.dim() == 3 else found


def assembled(
    spec: Backbone,
    input_shape: tuple[int, ...],
    num_outputs: int,
    *,
    search: Path | None = None,
    rates: Collection[str] | None = None,
) -> Assembled:
    """The network of a backbone, with initial weights from torch's generator (use it inside `rng.keyed_init`).

    The head is drawn first, so that it is the same with any body that has as many features.

    Args:
        spec: the backbone.
        input_shape: of one example.
        num_outputs: K.
        search: the study's folder, where relative paths start from and `target` is looked for.
        rates: the rates whose layers the head is to have; None: those above 0.

    Returns:
        (B, *input_shape) -> (B, K), in training mode.

    Raises:
        ModelError: weights or network are not there, don't fit each other or the examples, or `cut` is no module.
    """
    facts = facts_of(spec, input_shape, search)
    if rates is None:
        rates = ("dropout",) if spec.head.dropout > 0 else ()
    head = head_of(spec.head, facts.width, num_outputs, rates)
    found = Assembled(_body(spec, facts.cut, search), head)
    found.order = facts.cut.order
    return found.train()


def head_of(spec: Head, width: int, num_outputs: int, rates: Collection[str]) -> nn.Sequential:
    """The head alone: (B, D) -> (B, K); at first features are as they are, see `Standard`.

    Args:
        spec: of the head.
        width: D.
        num_outputs: K.
        rates: the rates that get a layer, even at 0.

    Example:
        >>> [name for name, _ in head_of(Head(hidden=[8]), 4, 3, ()).named_parameters()]
        ['linear1.weight', 'linear1.bias', 'output.weight', 'output.bias']
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(standard=Standard(width))
    for i, after in enumerate(spec.hidden, start=1):
        if "dropout" in rates:
            layers[f"dropout{i}"] = Dropout(spec.dropout)
        layers[f"linear{i}"] = nn.Linear(width, after)
        layers[f"activation{i}"] = nn.ReLU()
        width = after
    if "dropout" in rates:
        layers["dropout"] = Dropout(spec.dropout)
    layers["output"] = nn.Linear(width, num_outputs)
    return nn.Sequential(layers)


def head_layers(spec: Head, rates: Collection[str]) -> tuple[str, ...]:
    """The rates whose layers a head is to have, so that each rate has its layers.

    Args:
        spec: of the head.
        rates: names of rates, of kinds and patterns.

    Example:
        >>> head_layers(Head(), ["match:^head"]), head_layers(Head(), ["match:^body"])
        (('dropout',), ())
    """
    given = Rates.of(rates)
    names = ["head.dropout", *(f"head.dropout{i + 1}" for i in range(len(spec.hidden)))]
    wanted = "dropout" in given.kinds or any(given.matching(name) for name in names)
    return ("dropout",) if wanted else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a pass through a backbone shows.

    Args:
        cut: where its head goes.
        width: D, how many features the head is given.
        notes: what a reader should know about its weights.
    """

    cut: Cut
    width: int
    notes: tuple[str, ...] = ()


def facts_of(spec: Backbone, input_shape: tuple[int, ...], search: Path | None = None) -> Facts:
    """What a pass of two examples through the network shows; of the same network at the same size found once.

    Raises:
        ModelError: see `assembled`.
    """
    weights = _weights(spec, search)
    file = weights_file(spec, search) if spec.weights is not None else None
    stamp = digest_of(file) if file is not None and file.suffix == ".safetensors" else None
    return _facts(_Key(spec, (spec, tuple(input_shape), search, stamp)), weights)


@dataclass(frozen=True, slots=True)
class _Key:
    """What facts depend on; a specification may have lists in its arguments, which have no hash."""

    spec: Backbone
    parts: tuple[Any, ...]

    def __hash__(self) -> int:
        return hash(repr(self.parts))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and repr(self.parts) == repr(other.parts)


@lru_cache(maxsize=32)
def _facts(key: _Key, weights: Weights | None) -> Facts:
    spec, input_shape, search, _ = key.parts

    @cache
    def whole() -> Architecture:
        return architecture(spec, search, empty=spec.is_built_in)  # whose cut no number decides

    with rng.keyed_init(0), torch.device("cpu"):
        cut = kept_cut(spec, input_shape, lambda: find_cut(whole().net.eval(), spec.cut, input_shape))
        if weights is not None:
            fill(whole(), weights, cut.name)
    notes = [] if weights is None else list(weights.notes)
    if cut.tiny:
        side = min(input_shape[-2:])
        notes.append(
            f"pictures of {input_shape[-2]} x {input_shape[-1]} pixels are too small for this network: from its layer "
            f"{cut.tiny!r} on, maps have 1 x 1 places; bring them to size = {2 * side} or more"
        )
    return Facts(cut=cut, width=cut.width, notes=tuple(notes))


def _weights(spec: Backbone, search: Path | None) -> Weights | None:
    source, _, name = (spec.weights or "").partition(":")
    if source in ("", RANDOM):
        return None
    if source == "builtin":
        return read_builtin(name)
    file = weights_file(spec, search)
    assert file is not None, "a source of weights has a file"
    if source == "hf" and not is_timm(hub_config(spec, search)):
        return read_with(file, lambda: stored_tensors(name, search))
    return read_safetensors(file)


def _body(spec: Backbone, cut: Cut, search: Path | None) -> nn.Module:
    weights = _weights(spec, search)
    source, _, number = (spec.weights or "").partition(":")
    with rng.keyed_init(int(number)) if source == RANDOM else nullcontext():
        whole = architecture(spec, search, empty=weights is not None)
    if weights is not None:
        fill(whole, weights, cut.name)
    body = keyed_body(cut.applied(whole.net))
    if spec.norm != "adapt":
        freeze_norms(body, parameters=spec.norm == "frozen")
    return body
