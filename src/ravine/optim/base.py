"""A torch.optim.Optimizer out of one of ravine's rules.

What a class says is words: which rule, and what PyTorch calls its hypers and its state. So that a program can change
over, in both directions, groups and state have the names and the form that torch.optim gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, TypeAlias, overload

import torch
from torch import Tensor

from ravine.optim.apply import EMA, Stepper
from ravine.optim.members import Members, as_real
from ravine.optim.options import Preset, Words, check_group, hypers_of
from ravine.rules import REGULARIZERS, decays, regularize, rule

Params: TypeAlias = "Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]"

_OF_DECAY = ("weight_decay", "decoupled_weight_decay", "l1")
_MOST_LISTS = 8  # of parameters with a gradient, when they change from step to step

__all__ = ["Params", "Preset", "RuleOptimizer"]


class RuleOptimizer(torch.optim.Optimizer):
    """Base of all classes here; not used by itself."""

    words: ClassVar[Words]

    def __init__(self, params: Params, given: Mapping[str, Any]) -> None:
        defaults = {**self.words.fixed, **given}
        check_group(self.words, defaults)
        self._start()
        super().__init__(params, defaults)

    def _start(self) -> None:
        self._steppers: dict[tuple[Any, ...], Stepper] = {}
        self._members: dict[tuple[Any, ...], list[Members]] = {}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with hypers of their own; see torch.optim.Optimizer.add_param_group.

        Raises:
            ValueError: a hyper is out of range, or `exclude` is a pattern and the parameters have no names.
        """
        check_group(self.words, {**self.defaults, **param_group})
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        if group["exclude"] and "param_names" not in group:
            raise ValueError(
                f"{self.words.kind(group)}: exclude = {group['exclude']!r}: is looked for in names, and "
                "there are none: give named_parameters()"
            )

    def __setstate__(self, state: dict[str, Any]) -> None:
        defaults = state.get("defaults") or self.defaults  # of a copy's own; `load_state_dict` gives none
        for group in state["param_groups"]:
            for name, value in defaults.items():
                group.setdefault(name, value)
            check_group(self.words, group)
        for own in state["state"].values():
            self._check_state(own)
        super().__setstate__(state)
        self._start()

    def _check_state(self, own: Mapping[str, Any]) -> None:
        """Raises ValueError for a parameter's state that belongs to another rule."""
        slots = set(self.words.slots.values())
        has = {name for name, value in own.items() if value is not None} - {"step", EMA}
        if has - slots - set(self.words.counts.values()) or (has and slots - has):
            raise ValueError(
                f"{type(self).__name__}: a state of another rule: it has {', '.join(sorted(has))}; "
                f"must be {', '.join(sorted(slots)) or 'empty'}"
            )

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step of the rule, for all parameters that have a gradient.

        Args:
            closure: evaluates the model again and returns the loss.

        Returns:
            The closure's loss.

        Raises:
            RuntimeError: a gradient is sparse.
        """
        if torch.compiler.is_compiling():
            # The rule is compiled already, and torch.compile would guard on every list and number here.
            return torch.compiler.disable(self._step)(closure)  # type: ignore[no-any-return]
        return self._step(closure)

    def _step(self, closure: Callable[[], float] | None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        params = [param for param in group["params"] if param.grad is not None]
        if not params:
            return
        keys = [*self.words.slots.values(), *([EMA] if group[EMA] > 0.0 else [])]
        key = (id(group), tuple(map(id, params)), tuple(keys), group["exclude"])
        found = self._members.get(key)
        if found is None or not all(members.still(self.state, keys) for members in found):
            if len(self._members) >= _MOST_LISTS:
                self._members.clear()
            found = self._members[key] = self._gather(group, params, keys)
        numbers = hypers_of(self.words, group)
        for members in found:
            grads = [as_real(param.grad) for param in members.params]  # type: ignore[arg-type]
            stepper = self._stepper(group, numbers, members.decayed)
            totals = stepper(members, grads, self._numbers(group, numbers, members))
            members.stepped({self.words.counts[slot]: value for slot, value in totals.items()})

    @torch.no_grad()
    def _gather(self, group: dict[str, Any], params: Sequence[Tensor], keys: Sequence[str]) -> list[Members]:
        """Parameters with a gradient, sorted by who can take the same step; states that are missing are made."""
        numbers = list(self.words.counts.values())
        names = dict(zip(map(id, group["params"]), group.get("param_names") or (), strict=False))
        alike: dict[tuple[Any, ...], list[Tensor]] = {}
        for param in params:
            assert param.grad is not None, "only those with a gradient are asked for"
            if param.grad.is_sparse:
                raise RuntimeError(
                    f"{type(self).__name__} does not support sparse gradients; use a dense one "
                    "(nn.Embedding(sparse=False)) or torch.optim.SparseAdam"
                )
            own: dict[str, Any] = self.state[param]
            if any(own.get(key) is None for key in ("step", *keys, *numbers)):
                self._begin(group, param, own)
            decayed = decays(names.get(id(param), ""), param.shape, group["exclude"])
            totals = tuple(float(own[name]) for name in ("step", *numbers))
            alike.setdefault((decayed, totals, param.dtype, param.device), []).append(param)
        return [
            Members.of(some, [self.state[param] for param in some], keys, numbers, decayed)
            for (decayed, *_), some in alike.items()
        ]

    def _begin(self, group: dict[str, Any], param: Tensor, own: dict[str, Any]) -> None:
        """Make what a parameter's state lacks."""
        start = param.detach()
        slots = rule(self.words.kind(group)).init(as_real(start))
        own.setdefault("step", torch.tensor(0.0))
        for slot, name in self.words.counts.items():
            own.setdefault(name, slots[slot].to("cpu", torch.float64))
        for slot, name in self.words.slots.items():
            if own.get(name) is None:
                own[name] = torch.empty_like(start)
                as_real(own[name]).copy_(slots[slot])
        if group[EMA] > 0.0 and own.get(EMA) is None:
            own[EMA] = start.clone()

    def _stepper(self, group: dict[str, Any], numbers: Mapping[str, float], decayed: bool) -> Stepper:
        """The rule with the regularizers that are on."""
        kind, own = self.words.kind(group), self.words.rule_hypers(group)
        active = frozenset(
            name
            for name in REGULARIZERS
            if numbers.get(name) and name not in own and (decayed or name not in _OF_DECAY)
        )
        key = (kind, active, bool(group["maximize"]), group[EMA] > 0.0)
        if key not in self._steppers:
            self._steppers[key] = Stepper(regularize(rule(kind), active), maximize=key[2], ema=key[3])
        return self._steppers[key]

    def _numbers(
        self, group: dict[str, Any], numbers: Mapping[str, float], members: Members
    ) -> dict[str, float]:
        """What changes from step to step."""
        found = {**numbers, EMA: group[EMA], "t": float(members.counts[0]) + 1.0}
        for slot, name in self.words.counts.items():
            found[slot] = float(members.totals[name][0])
        if not members.decayed:
            found["weight_decay"] = 0.0  # where it is the rule's own
        return found

    @contextmanager
    def deployed(self) -> Iterator[None]:
        """Within it, the parameters are those to evaluate and to keep.

        The moving average where ``ema`` is on; else the rule's own point, where that is another than the one at which
        gradients are taken (`Nesterov`); else what they are anyway. BatchNorm's statistics are left alone: estimate
        them anew for averaged weights.

        Example:
            >>> weight = torch.zeros(1, requires_grad=True)
            >>> optimizer = SGD([weight], lr=1.0, ema=0.5)
            >>> weight.grad = torch.ones(1)
            >>> optimizer.step()
            >>> with optimizer.deployed():
            ...     print(weight.item())
            -0.5
            >>> weight.item()
            -1.0
        """
        kept: list[tuple[Tensor, Tensor]] = []
        try:
            with torch.no_grad():
                for group in self.param_groups:
                    for param in group["params"]:
                        point = self._point(param, group)
                        if point is not None:
                            kept.append((param, param.detach().clone()))
                            param.copy_(point)
            yield
        finally:
            with torch.no_grad():
                for param, value in kept:
                    param.copy_(value)

    def _point(self, param: Tensor, group: dict[str, Any]) -> Tensor | None:
        own = self.state.get(param, {})
        if group[EMA] > 0.0 and EMA in own:
            return own[EMA]  # type: ignore[no-any-return]
        named = rule(self.words.kind(group))
        if named.deployed is None or not all(own.get(name) is not None for name in self.words.slots.values()):
            return None
        state = {slot: as_real(own[name]) for slot, name in self.words.slots.items()}
        numbers = {
            name: torch.tensor(value, dtype=torch.float64)
            for name, value in hypers_of(self.words, group).items()
        }
        point = named.deployed(as_real(param.detach()), state, numbers)
        return torch.view_as_complex(point) if param.is_complex() else point
