"""Rates of stochastic layers as a study gives them: by kind of layer, or by a pattern of the layers' names."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ravine.errors import choices
from ravine.messages import unknown, wrong
from ravine.nn.spec import MATCH, POOLS, RATES
from ravine.rules import Hyper
from ravine.study.patterns import parse_pattern
from ravine.study.values import Values, parse_values

_RATE = Hyper(about="how random a layer is", default=0.0, low=0.0, high=1.0, high_open=True)
_POOL = Hyper(about="how random a pooling is", default=1.0, low=0.0, high=1.0)


def parse_rate(name: str, value: object, where: str) -> Values:
    """The values of a rate.

    Args:
        name: a kind of layers, or ``"match:REGEX"``.
        value: what the user wrote.
        where: its key, for errors.

    Raises:
        StudyError: one line with the key, the value and what is allowed.
    """
    if name.startswith(MATCH):
        parse_pattern(name.removeprefix(MATCH), where)
    return parse_values(value, where, _POOL if name in POOLS else _RATE, switches=False)


def parse_rates(table: object, where: str, kinds: Collection[str]) -> dict[str, Values]:
    """The values of the rates in a table.

    Args:
        table: what the user wrote.
        where: its key, for errors.
        kinds: the kinds of layers that the model may have.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> parse_rates({"dropout": 0.1, "match:block3_.*": [0.0, 0.2]}, "model.rates", RATES)
        {'dropout': 0.1, 'match:block3_.*': (0.0, 0.2)}
    """
    if not isinstance(table, Mapping):
        raise wrong(where, table, 'must be a table such as { dropout = 0.2, "match:block3_.*" = 0.1 }')
    found = {}
    for name, value in table.items():
        if not isinstance(name, str) or not (name in kinds or name.startswith(MATCH)):
            if name in RATES:
                raise wrong(f"{where}.{name}", value, f"the model has no such layers; {choices('', kinds)}")
            raise unknown(where, name, [*kinds, f"{MATCH}REGEX"])
        found[name] = parse_rate(name, value, f"{where}.{name}")
    return found
