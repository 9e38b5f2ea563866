"""A study's schedules for a training loop of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ravine.errors import InputError
from ravine.messages import whole_number
from ravine.schedules import ScheduleSpec, parse_schedule, table

MOST_STEPS = 10**9  # as in a study


class Schedule(LRScheduler):
    """Any schedule of a study as a PyTorch scheduler: ``lr_s = lr_0 f(s)``, with f of docs/schedules.md.

    The rate is computed from the step number and each group's first rate, never from the previous rate: so rounding
    does not add up, and a restart changes nothing. After step N - 1 the rate stays. Call `step` once after each update.

    Args:
        optimizer: the optimizer whose rates are set; the factor multiplies each group's current lr.
        schedule: a kind, a table with ``kind``, or a specification, as in a study.
        num_steps: N, the number of updates of the run, from 1 to 1,000,000,000; fractions of a run refer to it.
        last_epoch: the last step that was taken, to continue without a state; -1: start at the beginning.

    Raises:
        ValueError: there is no such schedule or key, a value is not allowed, the warm-up is as long as the run, or the
            optimizer has no lr (because it searches for its steps).

    Example:
        >>> import torch
        >>> from ravine.optim import SGD
        >>> optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.8)
        >>> schedule = Schedule(optimizer, {"kind": "linear", "warmup": 1}, num_steps=5)
        >>> rates = []
        >>> for _ in range(5):
        ...     rates += schedule.get_last_lr()
        ...     optimizer.step()
        ...     schedule.step()
        >>> rates
        [0.4, 0.8, 0.6000000000000001, 0.4, 0.2]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: str | Mapping[str, Any] | ScheduleSpec,
        num_steps: int,
        last_epoch: int = -1,
    ) -> None:
        try:
            num_steps = whole_number("num_steps", num_steps, 1, MOST_STEPS)
            spec = parse_schedule(schedule)
            table(spec, num_steps, 0, 1)  # sees that the warm-up leaves a step
        except InputError as error:
            raise ValueError(f"Schedule: {error}") from None
        if isinstance(optimizer, Optimizer) and any("lr" not in group for group in optimizer.param_groups):
            raise ValueError(f"Schedule: {type(optimizer).__name__} has no lr that a schedule could change")
        self.schedule = spec.plain()  # plain data: it goes into the state
        self.num_steps = num_steps
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """The factor that multiplies lr at a step, counted from 0."""
        step = min(max(step, 0), self.num_steps - 1)
        return float(table(parse_schedule(self.schedule), self.num_steps, step, step + 1)[0])

    def get_lr(self) -> list[float | Tensor]:
        """The rate of each group at the current step."""
        factor = self.factor(self.last_epoch)
        return [base * factor for base in self.base_lrs]
