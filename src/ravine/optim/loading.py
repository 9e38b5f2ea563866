"""A state that comes from a file, a copy or torch.optim, made one of a class here or refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from ravine.optim.options import EMA, Words, check_group

_NEWER = ("decoupled_weight_decay",)  # keys that older versions of torch.optim did not have


def adopt_group(name: str, words: Words, group: dict[str, Any], defaults: Mapping[str, Any]) -> None:
    """Complete a group that was loaded, and check it.

    A group without our keys is torch.optim's: what it does not say is as torch.optim does it, so that training goes on
    with the same numbers. That also holds for decay, which torch.optim does not keep from biases, unless the class was
    given a pattern of its own.

    Raises:
        ValueError: it is of another rule, or has a value that is not allowed.
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


def check_state(name: str, words: Words, group: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Check that a parameter's state belongs to a rule.

    Raises:
        ValueError: it is of another rule.
    """
    slots = set(words.slots(group).values())
    has = {key for key, value in own.items() if value is not None} - {"step", EMA}
    if has - slots - set(words.counts.values()) or (has and slots - has):
        raise ValueError(
            f"{name}: a state of another rule: it has {', '.join(sorted(has))}; "
            f"must be {', '.join(sorted(slots)) or 'empty'}"
        )


def check_slots(name: str, param: Tensor, own: Mapping[str, Any], keys: Iterable[str]) -> None:
    """Check that the tensors of a parameter's state are as it is.

    Raises:
        RuntimeError: one has another shape, dtype or device.
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
    """Give numbers back the digits that torch.optim's loading took from them: it casts all to the parameter's dtype.

    Args:
        state: after loading; is changed.
        groups: after loading.
        loaded: the state that was loaded.
        names: of the numbers that are float64 on a processor, whatever the parameter is.
    """
    wanted = list(names)
    ids = chain.from_iterable(group["params"] for group in loaded["param_groups"])
    params = chain.from_iterable(group["params"] for group in groups)
    for number, param in zip(ids, params, strict=True):
        before = loaded["state"].get(number, {})
        for name in wanted:
            exact, now = before.get(name), state.get(param, {}).get(name)
            # A hook may have loaded something else than what was given.
            if isinstance(exact, Tensor) and isinstance(now, Tensor) and torch.equal(exact.to(now), now):
                state[param][name] = exact.detach().to("cpu", torch.float64, copy=True)
