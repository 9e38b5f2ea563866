"""A torch.optim.Optimizer made of one of ravine's rules.

A class only says which rule it is, and what PyTorch calls the rule's hypers and its state. Groups and state have the
names and the form that torch.optim gives them, so that a program can switch between the two, in both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, TypeAlias, overload

import torch
from torch import Tensor

from ravine.errors import choices
from ravine.optim.apply import Stepper, share_of
from ravine.optim.loading import adopt_group, adopt_state, check_slots, restore_exact
from ravine.optim.members import Members, apart, as_real
from ravine.optim.options import (
    OWN,
    Preset,
    Words,
    adapt_averages,
    averages_of,
    check_group,
    count_of,
    fixed_of,
    hypers_of,
    is_average,
)
from ravine.rules import REGULARIZERS, decays, regularize
from ravine.rules.averages import ema_share

Params: TypeAlias = "Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]"

_OF_DECAY = ("weight_decay", "decoupled_weight_decay", "l1")
_MOST_LISTS = 8  # sets of parameters with a gradient that are remembered, where they change from step to step

__all__ = ["Params", "Preset", "RuleOptimizer"]


class RuleOptimizer(torch.optim.Optimizer):
    """Base of the optimizers with one gradient per step; not used by itself."""

    words: ClassVar[Words]

    def __init__(self, params: Params, given: Mapping[str, Any]) -> None:
        defaults = {**self.words.fixed, **given}
        check_group(self.words, defaults)
        self._start()
        super().__init__(params, defaults)

    def _start(self) -> None:
        self._steppers: dict[tuple[Any, ...], Stepper] = {}
        self._members: dict[tuple[Any, ...], list[Members]] = {}
        self._checked: dict[int, tuple[Any, ...]] = {}

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
                f"{self.words.rule(group).name}: exclude = {group['exclude']!r}: is looked for in names, and "
                "there are none: give named_parameters()"
            )

    def __setstate__(self, state: dict[str, Any]) -> None:
        defaults = state.get("defaults") or self.defaults  # a copy has its own; `load_state_dict` passes none
        name = type(self).__name__
        for group in state["param_groups"]:
            adopt_group(name, self.words, group, defaults)
            for param in group["params"]:
                adopt_state(name, self.words, group, state["state"].get(param, {}))
        super().__setstate__(state)
        self._start()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state of this class, or of its counterpart in torch.optim; see torch.optim.Optimizer.load_state_dict.

        Training that was saved goes on with the same bits. A group of torch.optim's goes on as it would there, with
        decay of biases.

        Raises:
            ValueError: it is the state of another rule, or of an option that this class does not have.
        """
        super().load_state_dict(state_dict)
        counts = [count_of(name) for group in self.param_groups for name in averages_of(group)]
        restore_exact(self.state, self.param_groups, state_dict, [*self.words.counts.values(), *counts])

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step of the rule, for all parameters with a gradient.

        Args:
            closure: evaluates the model, calls ``backward()`` and returns the loss; None: the gradients are there.

        Returns:
            The closure's loss; None without a closure.

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
        numbers = self._numbers_of(group)
        averages = averages_of(group)
        keys = [*self.words.slots(group).values(), *averages]
        key = (id(group), tuple(map(id, params)), tuple(keys), group["exclude"])
        found = self._members.get(key)
        if found is None or not all(members.still(self.state, keys) for members in found):
            if len(self._members) >= _MOST_LISTS:
                self._members.clear()
            found = self._members[key] = self._gather(group, params, keys, list(averages))
        for members in found:
            grads = members.gradients
            if members.inference and not torch.is_inference_mode_enabled():
                raise RuntimeError(
                    f"{type(self).__name__}: a parameter or its state was made in torch.inference_mode(), and may be "
                    "changed only there"
                )
            stepper = self._stepper(group, numbers, members.decayed, len(averages))
            totals = stepper(members, grads, self._numbers(group, numbers, members, averages))
            seen = {count_of(name): float(members.totals[count_of(name)][0]) + 1.0 for name in averages}
            members.stepped({**{self.words.counts[slot]: value for slot, value in totals.items()}, **seen})

    def _numbers_of(self, group: dict[str, Any]) -> dict[str, float]:
        """A group's numbers. Those that a user or a scheduler has changed are checked, except for lr."""
        try:
            numbers = hypers_of(self.words, group)
        except (TypeError, ValueError, LookupError):
            check_group(self.words, group)  # names the fault
            raise
        values = (
            *(value for name, value in numbers.items() if name != "lr"),
            *fixed_of(self.words, group),
            *(tuple(averages_of(group)), group["exclude"], group.get("differentiable")),
        )
        if self._checked.get(id(group)) != values:
            check_group(self.words, {**group, "lr": 0.0})
            self._checked[id(group)] = values
        return numbers

    @torch.no_grad()
    def _gather(
        self, group: dict[str, Any], params: Sequence[Tensor], keys: Sequence[str], averages: Sequence[str]
    ) -> list[Members]:
        """Parameters grouped by which can take the same step; missing states are made."""
        numbers = [*self.words.counts.values(), *map(count_of, averages)]
        names = dict(zip(map(id, group["params"]), group.get("param_names") or (), strict=False))
        alike: dict[tuple[Any, ...], list[Tensor]] = {}
        for param, layer in zip(params, apart(params), strict=True):
            own: dict[str, Any] = self.state[param]
            adapt_averages(own, averages)
            if any(own.get(key) is None for key in ("step", *keys, *numbers)):
                self._begin(group, param, own)
            check_slots(type(self).__name__, param, own, keys)
            decayed = decays(names.get(id(param), ""), param.shape, group["exclude"])
            totals = tuple(float(own[name]) for name in ("step", *numbers))
            alike.setdefault((layer, decayed, totals, param.dtype, param.device), []).append(param)
        return [
            Members.of(some, [self.state[param] for param in some], keys, numbers, decayed)
            for (_, decayed, *_), some in sorted(alike.items(), key=lambda each: each[0][0])
        ]

    def _begin(self, group: dict[str, Any], param: Tensor, own: dict[str, Any]) -> None:
        """Make what a parameter's state lacks."""
        start = param.detach()
        slots = self.words.rule(group).init(as_real(start))
        own.setdefault("step", torch.tensor(0.0, dtype=torch.float32, device="cpu"))
        for slot, name in self.words.counts.items():
            own.setdefault(name, slots[slot].to("cpu", torch.float64))
        for slot, name in self.words.slots(group).items():
            if own.get(name) is None:
                own[name] = torch.empty_like(start)
                as_real(own[name]).copy_(slots[slot])
        for name in averages_of(group):
            if own.get(name) is None or own.get(count_of(name)) is None:
                own[name] = torch.zeros_like(start)
                own[count_of(name)] = torch.tensor(0.0, dtype=torch.float64, device="cpu")

    def _stepper(
        self, group: dict[str, Any], numbers: Mapping[str, float], decayed: bool, num_averages: int
    ) -> Stepper:
        """The rule with the regularizers that are on."""
        named = self.words.rule(group)
        active = frozenset(
            name
            for name in REGULARIZERS
            if numbers.get(name) and name not in named.hypers and (decayed or name not in _OF_DECAY)
        )
        key = (id(named), active, bool(group["maximize"]), num_averages)
        if key not in self._steppers:
            self._steppers[key] = Stepper(
                regularize(named, active),
                maximize=key[2],
                num_averages=num_averages,
                about=type(self).__name__,
            )
        return self._steppers[key]

    def _numbers(
        self,
        group: dict[str, Any],
        numbers: Mapping[str, float],
        members: Members,
        averages: Mapping[str, float],
    ) -> dict[str, float]:
        """What changes from step to step."""
        found = {**numbers, "t": float(members.counts[0]) + 1.0}
        for i, (name, decay) in enumerate(averages.items()):
            found[share_of(i)] = float(ema_share(decay, float(members.totals[count_of(name)][0]) + 1.0))
        for slot, name in self.words.counts.items():
            found[slot] = float(members.totals[name][0])
        if not members.decayed:
            found.update(dict.fromkeys(self.words.rule(group).decays, 0.0))  # a decay that is the rule's own
        return found

    @contextmanager
    def deployed(self, name: str | None = None) -> Iterator[None]:
        """Within it, the parameters are those to evaluate and to save.

        They are the moving average where ``ema`` is on; else the rule's own point, where that is not the one at which
        gradients are taken (`Nesterov`); else the parameters themselves. BatchNorm's statistics stay as they are:
        estimate them again for averaged weights.

        Args:
            name: of an average, such as "ema 0.999"; "own": without an average; None: the first one in ``ema``.

        Raises:
            ValueError: there is no such average.

        Example:
            >>> import torch
            >>> from ravine.optim import SGD
            >>> weight = torch.zeros(1, requires_grad=True)
            >>> optimizer = SGD([weight], lr=1.0, ema=0.5)
            >>> weight.grad = torch.ones(1)
            >>> optimizer.step()
            >>> with optimizer.deployed():
            ...     print(weight.item())
            -1.0
            >>> optimizer.step()
            >>> with optimizer.deployed("ema 0.5"):
            ...     print(round(weight.item(), 4))
            -1.6667
            >>> weight.item()
            -2.0
        """
        known = [*dict.fromkeys(each for group in self.param_groups for each in averages_of(group)), OWN]
        if name is not None and name not in known:
            raise ValueError(f"{type(self).__name__}: deployed: no average {name!r}: {choices(name, known)}")
        kept: list[tuple[Tensor, Tensor]] = []
        try:
            with torch.no_grad():
                points = [
                    (p, self._point(p, group, name)) for group in self.param_groups for p in group["params"]
                ]
                points = [(param, point) for param, point in points if point is not None]
                # Parameters may share memory: all are kept before the first is changed.
                kept += [(param, param.detach().clone()) for param, _ in points]
                for param, point in points:
                    param.copy_(point)
            yield
        finally:
            with torch.no_grad():
                for param, value in kept:
                    param.copy_(value)

    def _point(self, param: Tensor, group: dict[str, Any], name: str | None) -> Tensor | None:
        own = self.state.get(param, {})
        average = next(iter(averages_of(group)), OWN) if name is None else name
        if own.get(average) is not None and is_average(average):
            return own[average]  # type: ignore[no-any-return]
        named, slots = self.words.rule(group), self.words.slots(group)
        if named.deployed is None or not all(
            own.get(name) is not None for name in (*slots.values(), *self.words.counts.values())
        ):
            return None
        both = {**slots, **self.words.counts}
        state = {slot: as_real(own[name]) for slot, name in both.items()}
        numbers = {
            name: torch.tensor(value, dtype=torch.float64, device="cpu")
            for name, value in hypers_of(self.words, group).items()
        }
        point = named.deployed(as_real(param.detach()), state, numbers)
        return torch.view_as_complex(point) if param.is_complex() else point
