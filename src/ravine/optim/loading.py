"""Loading a state from a file, a copy or torch.optim: it is completed and checked, or refused."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from ravine.optim.options import EMA, Words, averages_of, check_group, count_of, is_average

_NEWER = ("decoupled_weight_decay",)  # keys that older versions of torch.optim did not have


def adopt_group(name: str, words: Words, group: dict[str, Any], defaults: Mapping[str, Any]) -> None:
    """Complete a loaded group, and check it.

    A group without our keys is torch.optim's. Its missing values are torch.optim's behaviour, so that training goes on
    with the same numbers: biases decay, for example, unless the optimizer was given an `exclude` of its own.

    Args:
        name: the class's, for errors.
        words: the class's.
        group: is changed.
        defaults: the optimizer's.

    Raises:
        ValueError: it is a group of another rule, or has a value that is not allowed.
    """
    if "exclude" not in group:
        lacking = [key for key in words.torch_keys if key not in group and key not in _NEWER]
        if lacking:
            raise ValueError(
                f"{name}: a state of another rule: its group has no {', '.join(map(repr, lacking))}"
            )
        for key, value in words.as_torch.items():
            group.setdefault(key, value)
        group["exclude"] = "" if defaults["exclude"] is None else defaults["exclude"]
    for key, value in defaults.items():
        group.setdefault(key, value)
    check_group(words, group)


def adopt_state(name: str, words: Words, group: Mapping[str, Any], own: dict[str, Any]) -> None:
    """Check that a parameter's loaded state is one of this rule.

    An average of version 0.1, which began where training began and was not debiased, goes on as it is.

    Args:
        name: the class's, for errors.
        words: the class's.
        group: the parameter's.
        own: its state; is changed.

    Raises:
        ValueError: it is the state of another rule.
    """
    older, names = own.pop(EMA, None), list(averages_of(group))
    if older is not None and names:
        own[names[0]] = older
        own[count_of(names[0])] = torch.tensor(math.inf, dtype=torch.float64, device="cpu")
    slots = set(words.slots(group).values())
    has = {key for key, value in own.items() if value is not None and not is_average(key)} - {"step"}
    if has - slots - set(words.counts.values()) or (has and slots - has):
        raise ValueError(
            f"{name}: a state of another rule: it has {', '.join(sorted(has))}; "
            f"must be {', '.join(sorted(slots)) or 'empty'}"
        )


def check_slots(name: str, param: Tensor, own: Mapping[str, Any], keys: Iterable[str]) -> None:
    """Check that the tensors of a parameter's state have its shape, dtype, device and layout.

    Args:
        name: the class's, for errors.
        param: the parameter.
        own: its state.
        keys: of the tensors.

    Raises:
        RuntimeError: one differs.
    """
    for key in keys:
        slot = own[key]
        if not isinstance(slot, Tensor):
            raise RuntimeError(f"{name}: state {key!r} is of type {type(slot).__name__}: must be a tensor")
        for what, has, must in (
            ("shape", tuple(slot.shape), tuple(param.shape)),
            ("dtype", slot.dtype, param.dtype),
            ("device", slot.device, param.device),
            ("layout", slot.layout, param.layout),
        ):
            if has != must:
                raise RuntimeError(
                    f"{name}: state {key!r} has {what} {has}: must be {must}, as its parameter has"
                )


def restore_exact(
    state: Mapping[Any, dict[str, Any]],
    groups: Sequence[Mapping[str, Any]],
    loaded: Mapping[str, Any],
    names: Iterable[str],
) -> None:
    """Restore the digits that loading took from some numbers: torch.optim casts a state to its parameter's dtype.

    Args:
        state: of the optimizer, after loading; is changed.
        groups: of the optimizer, after loading.
        loaded: the state that was loaded.
        names: of the numbers that are float64 on the CPU, whatever the parameter is.
    """
    wanted = list(names)
    ids = chain.from_iterable(group["params"] for group in loaded["param_groups"])
    params = chain.from_iterable(group["params"] for group in groups)
    for number, param in zip(ids, params, strict=True):
        before = loaded["state"].get(number, {})
        for name in wanted:
            exact, now = before.get(name), state.get(param, {}).get(name)
            # A hook may have replaced what was given.
            if isinstance(exact, Tensor) and isinstance(now, Tensor) and torch.equal(exact.to(now), now):
                state[param][name] = exact.detach().to("cpu", torch.float64, copy=True)
