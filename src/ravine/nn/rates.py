"""Which rate each stochastic layer of a module has in a run."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import nn

from ravine.errors import ModelError
from ravine.nn.spec import MATCH
from ravine.nn.stochastic import Stochastic, kinds_of

_MOST = 8  # layers that an error lists


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """The names of the rates that runs give: of kinds of layers, and of layers whose names match a pattern.

    A pattern goes before a kind, and a later pattern before an earlier one.

    Args:
        kinds: of layers.
        patterns: regular expressions, which are searched for in the layers' names.
    """

    kinds: frozenset[str]
    patterns: tuple[str, ...]

    @staticmethod
    def of(names: Collection[str]) -> Rates:
        """From names as in a study: ``"dropout"``, or ``"match:REGEX"``, in their order."""
        return Rates(
            kinds=frozenset(name for name in names if not name.startswith(MATCH)),
            patterns=tuple(name.removeprefix(MATCH) for name in names if name.startswith(MATCH)),
        )

    def matching(self, name: str) -> list[str]:
        """The patterns that are found in a layer's name."""
        return [pattern for pattern in self.patterns if re.search(pattern, name)]

    def of_layer(self, name: str, layer: Stochastic, hypers: Mapping[str, float]) -> float:
        """The rate of a layer in a run; one for which no rate is given keeps its own.

        Args:
            name: of the layer in its module.
            layer: with its own rate, and its share of a rate that its kind is given.
            hypers: of the run; one that is 0 may be missing.

        Example:
            >>> from ravine.nn.dropout import Dropout
            >>> rates = Rates.of(["dropout", "match:^late"])
            >>> hypers = {"model.dropout": 0.2, "model.match:^late": 0.5}
            >>> [rates.of_layer(name, Dropout(0.1), hypers) for name in ("early", "later")]
            [0.2, 0.5]
        """
        matching = self.matching(name)
        if matching:
            return hypers.get(f"model.{MATCH}{matching[-1]}", 0.0)
        if layer.kind in self.kinds and not layer.own_rate:
            return layer.share * hypers.get(f"model.{layer.kind}", 0.0)
        return float(layer.rate)

    def check(self, module: nn.Module, about: str) -> None:
        """Refuse a rate that is for no layer.

        Args:
            module: whose layers.
            about: what errors call it.

        Raises:
            ModelError: names the first such rate, and the layers that there are.
        """
        layers = kinds_of(module)
        unused = [kind for kind in sorted(self.kinds) if kind not in layers.values()]
        unused += [
            f"{MATCH}{pattern}"
            for pattern in self.patterns
            if not any(re.search(pattern, name) for name in layers)
        ]
        if unused:
            listed = ", ".join(f"{name!r} ({kind})" for name, kind in list(layers.items())[:_MOST])
            more = f" and {len(layers) - _MOST} more" if len(layers) > _MOST else ""
            has = f"those of {about} are {listed}{more}" if layers else f"{about} has none"
            raise ModelError(f"model.rates: {unused[0]!r} is for no stochastic layer; {has}")
