"""What carries the runs of a cohort forward: machine code, operations traced once, or plain PyTorch.

A backend is a word:

- "native": a run's step is machine code, and each thread trains one run after another; of rules that search, its
  evaluation alone.
- "fused": all runs in one traced program. "compiled": the same, by torch's compiler.
- "serial": one run after another, each traced.
- "eager": one run after another in plain PyTorch, for what cannot be traced.

Shapes: R run, T step, S seed, B batch, K output, P numbers of one run, N example; in scheduled_TNR, N number: the
learning rate, and the shares of the averages.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, final

import torch
from torch import Tensor

from ravine.engine.native.scores import Deployed, NativeScores
from ravine.engine.native.search import NativeSearch
from ravine.engine.native.steps import NativeSteps
from ravine.engine.scoring import Others, Scores, fewest_runs, some_scores
from ravine.engine.search import augment_held, batch_numbers, hold
from ravine.engine.setting import Setting
from ravine.engine.state import Data, point_of
from ravine.engine.step import Step, step
from ravine.engine.traced.threads import Pace, Threads
from ravine.engine.traced.tracing import inductor, traced_step
from ravine.native.denormals import flushed
from ravine.native.tensors import Unsupported
from ravine.rng import keyed_draws
from ravine.trace import Untraceable

BACKENDS = ("native", "fused", "compiled", "serial", "eager")
TOGETHER = frozenset({"native", "fused", "compiled"})
"""Backends that train the runs of a cohort side by side; others have cohorts of one run."""

Drive = Callable[[Callable[[int], int], int], None]
"""(advance, most): calls ``advance`` once, with how many steps are due at once, ``most`` of them or fewer."""

# A smaller program is made when it saves the time of so many steps: about twice what its making takes. A number
# and not a clock decides, so that a run that was interrupted goes the same way as one that was not.
_TRACED_STEPS, _COMPILED_STEPS = 40, 20_000


class Program(ABC):
    """The training of the runs of a cohort, and their evaluation.

    Attributes:
        repay_steps: a smaller program is made where it saves the time of so many steps; None: runs that are over cost
            nothing.
    """

    repay_steps: int | None

    @abstractmethod
    def advance(
        self, rows_TSB: Tensor, scheduled_TNR: Tensor, number: int, alive: list[int]
    ) -> tuple[Tensor, Tensor]:
        """Some steps of the runs: T of them, or fewer, at least one.

        Args:
            rows_TSB: examples of the batches of each seed.
            scheduled_TNR: learning rates, and the shares of each average.
            number: of the first step, from 0.
            alive: the runs that go on: they have neither diverged nor stopped.

        Returns:
            Losses and accuracies of the steps, (T, R).
        """

    @abstractmethod
    def scores(
        self,
        split: Data,
        points_RP: Tensor | None = None,
        others: Others | None = None,
        rows: Sequence[int] | None = None,
    ) -> Scores:
        """Outputs and scores of runs on some examples, in eval mode.

        Args:
            split: the examples.
            points_RP: weights of each run; None: what its rule would deploy.
            others: with points, every other tensor of the model, (R, ...) by name; None: those of the runs.
            rows: the runs, of which alone something is returned; None: all.
        """

    @abstractmethod
    def running(self) -> AbstractContextManager[Drive]:
        """Within it, PyTorch has the number of threads that suits the program. Yields what calls the steps."""


@final
class NativeProgram(Program):
    """Machine code: each thread takes one run after another through some steps.

    Args:
        setting: what a step is made of.

    Raises:
        Unsupported: no machine code is made for some operation of the model or of a rule.
    """

    def __init__(self, setting: Setting) -> None:
        self.repay_steps = None
        self._steps = NativeSteps(setting)
        self._going: list[int] | None = None  # as of the last steps: all, before the first
        deployed = [
            Deployed(
                start=segment.start,
                stop=segment.stop,
                point=partial(point_of, setting.network.sections, segment.rule.deployed),
                slots=setting.state.slots[i],
                hypers=setting.constants.hypers[i].rule,
            )
            for i, segment in enumerate(setting.cohort.segments)
            if segment.rule.deployed is not None
        ]
        self._scores = NativeScores(setting.objective, setting.state.params_RP, setting.others, deployed)

    def advance(
        self, rows_TSB: Tensor, scheduled_TNR: Tensor, number: int, alive: list[int]
    ) -> tuple[Tensor, Tensor]:
        """T steps; not a number where a run was not trained, or not any more."""
        self._going = alive
        return self._steps.run(rows_TSB, scheduled_TNR, number, alive)

    def scores(
        self,
        split: Data,
        points_RP: Tensor | None = None,
        others: Others | None = None,
        rows: Sequence[int] | None = None,
    ) -> Scores:
        """By machine code; not a number for runs that were not among those of the last steps."""
        return self._scores(split, points_RP, others, self._going, rows)

    def running(self) -> AbstractContextManager[Drive]:
        """One thread: PyTorch's wait by spinning, and would be in the workers' way."""
        return _paced()


@final
class NativeSearchProgram(Program):
    """Rules that search: evaluations by machine code, and where each run goes from there as traced.

    Args:
        setting: what a step is made of.

    Raises:
        Unsupported: no machine code is made for some operation of the model.
    """

    def __init__(self, setting: Setting) -> None:
        self.repay_steps = _TRACED_STEPS
        self._setting, self._step = setting, NativeSearch(setting)
        self._scores = NativeScores(setting.objective, setting.state.params_RP, setting.others)

    def advance(
        self,
        rows_TSB: Tensor,
        scheduled_TNR: Tensor,
        number: int,
        alive: list[int],  # noqa: ARG002 (all runs are one program)
    ) -> tuple[Tensor, Tensor]:
        """One step."""
        return _one_step(self._setting, self._step, rows_TSB, scheduled_TNR, number)

    def scores(
        self,
        split: Data,
        points_RP: Tensor | None = None,
        others: Others | None = None,
        rows: Sequence[int] | None = None,
    ) -> Scores:
        """By machine code. What such a rule deploys depends on numbers in float64, and is found in PyTorch."""
        points_RP = self._setting.point() if points_RP is None else points_RP
        return self._scores(split, points_RP, others, None, rows)

    def running(self) -> AbstractContextManager[Drive]:
        """One thread where the kernels of PyTorch's part would share out the work within a run."""
        return _adapting(self._setting, adapt=True) if _are_many(self._setting) else _paced()


@final
class TracedProgram(Program):
    """Operations that were traced once, over all runs under vmap or over one.

    Args:
        setting: what a step is made of.
        compiles: whether torch's compiler makes of them what it can.

    Raises:
        Untraceable: the model's operations depend on the numbers that flow through it.
    """

    def __init__(self, setting: Setting, *, compiles: bool = False) -> None:
        self.repay_steps = _COMPILED_STEPS if compiles else _TRACED_STEPS
        self._setting = setting
        updates = _native_updates(setting)
        run = traced_step(setting, inductor if compiles else None, updates=updates is None)
        if updates is None:
            self._step = run
            return

        def both(rows_SB: Tensor, scheduled_NR: Tensor, t: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
            found = run(rows_SB, scheduled_NR, t, number)
            updates.update(scheduled_NR, t, number)
            return found

        self._step = both

    def advance(
        self,
        rows_TSB: Tensor,
        scheduled_TNR: Tensor,
        number: int,
        alive: list[int],  # noqa: ARG002 (all runs are one program)
    ) -> tuple[Tensor, Tensor]:
        """One step."""
        return _one_step(self._setting, self._step, rows_TSB, scheduled_TNR, number)

    def scores(
        self,
        split: Data,
        points_RP: Tensor | None = None,
        others: Others | None = None,
        rows: Sequence[int] | None = None,
    ) -> Scores:
        """In PyTorch."""
        return _scores_in_torch(self._setting, split, points_RP, others, rows)

    def running(self) -> AbstractContextManager[Drive]:
        """All threads or one, whichever is faster: the bits of runs side by side do not depend on it."""
        together = self._setting.objective.fused and _are_many(self._setting)
        return _adapting(self._setting, adapt=together)


@final
class EagerProgram(Program):
    """One run in plain PyTorch, for what cannot be traced.

    A module that draws random numbers itself draws the same ones at the same step of the same seed.

    Args:
        setting: what a step is made of.
    """

    def __init__(self, setting: Setting) -> None:
        self.repay_steps = _TRACED_STEPS
        self._setting = setting
        (self._seed,) = {run.seed for run in setting.cohort.runs}

    def advance(
        self,
        rows_TSB: Tensor,
        scheduled_TNR: Tensor,
        number: int,
        alive: list[int],  # noqa: ARG002 (there is one run)
    ) -> tuple[Tensor, Tensor]:
        """One step."""
        return _one_step(self._setting, self._one, rows_TSB, scheduled_TNR, number)

    def scores(
        self,
        split: Data,
        points_RP: Tensor | None = None,
        others: Others | None = None,
        rows: Sequence[int] | None = None,
    ) -> Scores:
        """In PyTorch."""
        return _scores_in_torch(self._setting, split, points_RP, others, rows)

    def running(self) -> AbstractContextManager[Drive]:
        """All threads: a single run's kernels share its work out among them."""
        return _adapting(self._setting, adapt=False)

    def _one(self, rows_SB: Tensor, scheduled_NR: Tensor, t: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        setting = self._setting
        drawn_at = batch_numbers(setting.state.slots[0], number) if setting.cohort.searches else number
        with keyed_draws(self._seed, "forward", int(drawn_at)) as drawing:
            own = replace(setting, drew=lambda: drawing.num_draws > 0)
            return step(own, setting.state, setting.constants, setting.data, rows_SB, scheduled_NR, t, number)


def program_of(backend: str, setting: Setting) -> Program:
    """The program of a backend.

    Raises:
        Unsupported: no machine code is made for some operation.
        Untraceable: the model's operations depend on the numbers that flow through it.
    """
    assert backend in BACKENDS, f"{backend} is no backend"
    if backend == "native":
        return NativeSearchProgram(setting) if setting.cohort.searches else NativeProgram(setting)
    if backend == "eager":
        return EagerProgram(setting)
    return TracedProgram(setting, compiles=backend == "compiled")


def backend_of(plan: Mapping[str, Any]) -> str:
    """The backend of a cohort under way, as the store has it.

    Args:
        plan: what the store has: the word, or four switches where the cohort was begun by an older version.

    Example:
        >>> backend_of({"backend": "serial"})
        'serial'
        >>> backend_of({"fused": False, "traced": False, "compiled": False, "native": False})
        'eager'
    """
    if "backend" in plan:
        return str(plan["backend"])
    if plan["native"] or plan["compiled"]:
        return "native" if plan["native"] else "compiled"
    return "fused" if plan["fused"] else "serial" if plan["traced"] else "eager"


def _one_step(
    setting: Setting, run: Step, rows_TSB: Tensor, scheduled_TNR: Tensor, number: int
) -> tuple[Tensor, Tensor]:
    device = rows_TSB.device
    t = torch.tensor(number + 1.0, dtype=setting.network.dtype, device=device)
    at = torch.tensor(number, device=device)
    if setting.augmenting is not None and setting.cohort.searches:
        # The step does it once more, to no effect.
        hold(setting, setting.state, setting.constants, rows_TSB[0], at)
        augment_held(setting)
    elif setting.augmenting is not None:
        setting.augmenting.for_steps(rows_TSB[:1], number)
    with _flushed(setting):
        loss_R, accuracy_R = run(rows_TSB[0], scheduled_TNR[0], t, at)
    return loss_R[None], accuracy_R[None]


def _scores_in_torch(
    setting: Setting,
    split: Data,
    points_RP: Tensor | None,
    others: Others | None,
    rows: Sequence[int] | None,
) -> Scores:
    points_RP = setting.point() if points_RP is None else points_RP
    others = setting.others if others is None else others
    with _flushed(setting):
        return some_scores(setting.objective, points_RP, others, split, rows)


def _native_updates(setting: Setting) -> NativeSteps | None:
    """Machine code for the rules of one backbone: operation by operation, they were a tenth of its step.

    Other models keep the bits that they have had.
    """
    alone = not setting.objective.fused and setting.data.x.device.type == "cpu"
    if not alone or not setting.network.flushes or setting.cohort.searches or not setting.network.native:
        return None
    try:
        return NativeSteps(setting, updates_only=True)
    except (Unsupported, Untraceable):
        return None


def _flushed(setting: Setting) -> AbstractContextManager[None]:
    return flushed(setting.network.flushes and setting.data.x.device.type == "cpu")


def _are_many(setting: Setting) -> bool:
    """With fewer runs than threads, kernels share out the work within a run: its bits depend on their number."""
    return len(setting.cohort.runs) >= fewest_runs()


@contextmanager
def _paced() -> Iterator[Drive]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield Pace().run
    finally:
        torch.set_num_threads(before)


@contextmanager
def _adapting(setting: Setting, *, adapt: bool) -> Iterator[Drive]:
    threads = Threads(setting.data.x.device, adapt=adapt)
    try:
        yield lambda advance, most: threads.run(lambda: advance(most))
    finally:
        threads.close()
