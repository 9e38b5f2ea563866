"""What an update rule is: hyperparameters, a state, and pure functions over tensors.

A rule is written once, for one run, with tensor methods only: no in-place operation, no branch on a value,
no import of torch. That is what lets the same lines serve a `torch.optim.Optimizer`, all runs of a cohort at
once (`torch.func.vmap`, or directly on ``(R, P)`` with hypers of shape ``(R, 1)``), a traced program, and a
point on a 2-D surface.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from ravine.rules.hyper import Hyper

if TYPE_CHECKING:
    from torch import Tensor

State: TypeAlias = "dict[str, Tensor]"
Hypers: TypeAlias = "Mapping[str, Tensor]"
Init: TypeAlias = "Callable[[Tensor], State]"
Update: TypeAlias = "Callable[[Tensor, State, Tensor, Hypers, Tensor], tuple[Tensor, State]]"
Hook: TypeAlias = "Callable[[Tensor, State, Hypers], Tensor]"

DEPLOYED = "deployed"
"""Name of the point that is evaluated and kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchForm:
    """How to get torch.optim's numbers from a rule.

    Args:
        kind: the rule that computes what torch.optim does; None: this one does.
        hypers: the defaults of torch.optim where they differ from that rule's.
    """

    kind: str | None = None
    hypers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What one evaluation found at the points of G runs with P numbers each.

    Args:
        grad: gradient of the loss, (G, P).
        loss: in float64, (G, 1).
        fresh: 1 where the next search will be on another batch or another draw, else 0, (G, 1).
        newton: Newton's direction for the loss with its penalty, (G, P); None for rules without a Hessian.
    """

    grad: Tensor
    loss: Tensor
    fresh: Tensor
    newton: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The part of a rule that evaluates one function several times before it moves on.

    Args:
        advance: ``(evaluation, state, param, hypers) -> (update, state)``, for several runs at once. Among the slots of
            the state are "searching", (G, 1), 1 where the next evaluation must be on the same batch; "arrived",
            (G, 1), 1 where this evaluation was at a point that the run has accepted; and "point", (G, P), where the
            search began.
        hessian: whether `advance` needs ``evaluation.newton``.
        dense: how many P x P matrices a run with P parameters needs in memory.
        structural: the hypers that decide the shape of the state.
        shaped: makes, from a run's hypers, the rule with the state of that shape; None: the shape is always the same.
    """

    advance: Callable[[Evaluation, State, Tensor, Hypers], tuple[Tensor, State]]
    hessian: bool = False
    dense: int = 0
    structural: tuple[str, ...] = ()
    shaped: Callable[[Mapping[str, float]], Rule] | None = None


def by_search(grad: Tensor, state: State, param: Tensor, hypers: Hypers, t: Tensor) -> tuple[Tensor, State]:  # noqa: ARG001
    """Stands in for the update of a rule that searches: `Search.advance` is called instead."""
    raise AssertionError("a rule that searches has no update of a gradient alone")


def no_state(param: Tensor) -> State:  # noqa: ARG001 (every rule has one signature)
    """No slots."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An update rule, as pure functions over the tensors of one run.

    Args:
        name: its kind, as in a study file.
        hypers: hyperparameters by name; ``lr`` is always among them.
        init: makes the state of a parameter, its slots by name. A slot has the parameter's shape, or is 0-d: one
            number that all parameters of a run share. By default there are no slots.
        update: ``(grad, state, param, hypers, t) -> (update, state)``; the caller computes
            ``param + update``. Hypers are 0-d tensors, or anything that broadcasts against ``param``;
            ``lr`` already carries the schedule's factor and may be 0 for a step. t counts from 1.
        source: authors and year.
        scope: what ``param`` may be: "element", any piece of the parameters; "tensor", one parameter
            tensor in its own shape; "run", all parameters of the run in one flat tensor; "runs", those of
            several runs, (G, P), with hypers of shape (G, 1).
        gradient_at: where the gradient is taken; None: at ``param``.
        points: further points that follow from parameters and state, by name. "deployed" is the one to evaluate and
            to keep; without it, ``param`` is.
        decays: the hypers that are 0 for parameters without weight decay (biases, norms).
        refuses: settings around a rule (penalties, say) that have no meaning with this one.
        torch: how to get torch.optim's numbers.
        version: a text that says which version of a rule of one's own this is, in place of the source of its
            functions, from which runs are otherwise known; None: the source counts.
        search: how it evaluates one function several times; None: it needs one gradient per step.
        others: the rule for all parameters but the matrices of hidden layers (`ravine.rules.muon.hidden`), for a rule
            of scope "tensor"; None: this rule is for all of them.
    """

    name: str
    hypers: Mapping[str, Hyper]
    init: Init = no_state
    update: Update = by_search
    source: str = ""
    scope: Literal["element", "tensor", "run", "runs"] = "element"
    gradient_at: Hook | None = None
    points: Mapping[str, Hook] = field(default_factory=dict)
    decays: tuple[str, ...] = ()
    refuses: frozenset[str] = frozenset()
    torch: TorchForm = TorchForm()
    version: str | None = None
    search: Search | None = None
    others: Rule | None = None

    @property
    def deployed(self) -> Hook | None:
        """The point to evaluate and keep; None: the parameters as they are."""
        return self.points.get(DEPLOYED)

    @property
    def all_hypers(self) -> Mapping[str, Hyper]:
        """Its own hypers and those of the rule for other parameters."""
        return {**self.hypers, **self.others.hypers} if self.others else self.hypers

    def masked(self, hypers: Hypers, mask: Tensor | None) -> dict[str, Tensor]:
        """The hypers, with the decays set to 0 where weight decay does not apply.

        Args:
            hypers: of a step.
            mask: 1 where weight decay applies and 0 elsewhere; broadcasts against the parameters. None: it applies
                everywhere.
        """
        if mask is None:
            return dict(hypers)
        return {name: value * mask if name in self.decays else value for name, value in hypers.items()}
