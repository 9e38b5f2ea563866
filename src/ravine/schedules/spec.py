"""The kinds of schedule: each is frozen data with its formula, named by its ``kind``.

A schedule gives the factor that multiplies lr at step s = 0, 1, ..., N - 1. A length is a number of steps where it is
an integer, and a fraction of the whole run where it is a float. A decay to ``final`` runs over ``u = s / N``: it would
arrive at step N, one after the last step, so that the last step still moves the weights.
"""

# ruff: noqa: ARG002 (every schedule has one signature)

from __future__ import annotations

from numbers import Integral
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ravine.forms import Form, Limits
from ravine.messages import as_float

Factors: TypeAlias = NDArray[np.float64]
Steps: TypeAlias = NDArray[np.int64]


def _length(value: Any) -> int | float:
    """A whole number of steps or a fraction of the run; 0.0 becomes 0, so that both have one id."""
    number = as_float(value)
    if number is not None and isinstance(value, Integral) and 0 <= number < 2**31:
        return int(value)
    if number is not None and 0.0 <= number < 1.0:
        return number or 0
    raise ValueError("must be a whole number of steps, or a fraction of the run below 1")


def _positive_length(value: Any) -> int | float:
    length = _length(value)
    if not length:
        raise ValueError(
            "must be a whole number of steps above 0, or a fraction of the run above 0 and below 1"
        )
    return length


Length: TypeAlias = Annotated[int | float, _length]
PositiveLength: TypeAlias = Annotated[int | float, _positive_length]
Fraction: TypeAlias = Annotated[float, Limits(least=0.0, most=1.0)]
PositiveFraction: TypeAlias = Annotated[float, Limits(above=0.0, most=1.0)]


def in_steps(length: int | float, num_steps: int) -> int:
    """A length in steps: a whole number as it is, a fraction of the run rounded.

    Example:
        >>> in_steps(7, 200), in_steps(0.05, 200)
        (7, 10)
    """
    return length if isinstance(length, int) else round(length * num_steps)


class Schedule(Form):
    """Base of the schedules.

    Args:
        warmup: how long lr first climbs, by the same amount each step, to where the schedule starts.
    """

    warmup: Length = 0


class Constant(Schedule):
    """Always 1."""

    kind: Literal["constant"] = "constant"

    def factors(self, steps: Steps, num_steps: int, run_steps: int) -> Factors:
        """The factor at each of ``steps``.

        Args:
            steps: numbers of steps, counted from the end of the warm-up; int64 (T,).
            num_steps: N, the steps of the run after the warm-up.
            run_steps: steps of the whole run, warm-up included; fractions of a run refer to it.

        Returns:
            float64 (T,).
        """
        return np.ones(len(steps))


class Step(Schedule):
    """A drop by a factor at equal distances: ``factor^floor(s / every)``.

    Args:
        every: distance between two drops.
        factor: what each drop multiplies lr by.
    """

    kind: Literal["step"] = "step"
    every: PositiveLength = 0.3
    factor: PositiveFraction = 0.1

    def factors(self, steps: Steps, num_steps: int, run_steps: int) -> Factors:
        """The factor at each step; see `Constant.factors`."""
        return np.power(self.factor, steps // max(in_steps(self.every, run_steps), 1))


class Exponential(Schedule):
    """The same ratio from each step to the next: ``final^u``.

    Args:
        final: the factor at the run's end.
    """

    kind: Literal["exponential"] = "exponential"
    final: PositiveFraction = 0.01

    def factors(self, steps: Steps, num_steps: int, run_steps: int) -> Factors:
        """The factor at each step; see `Constant.factors`."""
        return np.power(self.final, steps / num_steps)


class Inverse(Schedule):
    """One over time: ``1 / (1 + s / half)``.

    Args:
        half: how long it takes until the factor is one half.
    """

    kind: Literal["inverse"] = "inverse"
    half: PositiveLength = 0.1

    def factors(self, steps: Steps, num_steps: int, run_steps: int) -> Factors:
        """The factor at each step; see `Constant.factors`."""
        return 1.0 / (1.0 + steps / max(in_steps(self.half, run_steps), 1))


class Linear(Schedule):
    """A straight line from 1: ``final + (1 - final) (1 - u)``.

    Args:
        final: the factor at the run's end.
    """

    kind: Literal["linear"] = "linear"
    final: Fraction = 0.0

    def factors(self, steps: Steps, num_steps: int, run_steps: int) -> Factors:
        """The factor at each step; see `Constant.factors`."""
        return self.final + (1.0 - self.final) * (1.0 - steps / num_steps)


class Polynomial(Schedule):
    """A power of the time left: ``final + (1 - final) (1 - u)^power``.

    Args:
        power: 1 is `Linear`.
        final: the factor at the run's end.
    """

    kind: Literal["polynomial"] = "polynomial"
    power: Annotated[float, Limits(above=0.0, most=100.0)] = 2.0
    final: Fraction = 0.0

    def factors(self, steps: Steps, num_steps: int, run_steps: int) -> Factors:
        """The factor at each step; see `Constant.factors`."""
        return self.final + (1.0 - self.final) * np.power(1.0 - steps / num_steps, self.power)


class Cosine(Schedule):
    """Half a cosine wave: ``final + (1 - final) (1 + cos(pi u)) / 2`` (Loshchilov and Hutter, 2017).

    Args:
        final: the factor at the run's end.
    """

    kind: Literal["cosine"] = "cosine"
    final: Fraction = 0.0

    def factors(self, steps: Steps, num_steps: int, run_steps: int) -> Factors:
        """The factor at each step; see `Constant.factors`."""
        return between(1.0, self.final, steps / num_steps)


class CosineRestarts(Schedule):
    """`Cosine` several times over, each cycle as long as the others (Loshchilov and Hutter, 2017).

    Args:
        cycles: number of cycles. Unless it divides the number of steps, some cycles are a step longer than others.
        final: the factor at the end of each cycle.
    """

    kind: Literal["cosine_restarts"] = "cosine_restarts"
    cycles: Annotated[int, Limits(least=1, most=10_000)] = 4
    final: Fraction = 0.0

    def factors(self, steps: Steps, num_steps: int, run_steps: int) -> Factors:
        """The factor at each step; see `Constant.factors`."""
        return between(1.0, self.final, steps * self.cycles % num_steps / num_steps)


class OneCycle(Schedule):
    """Up along half a cosine wave, then down along another, much further (Smith and Topin, 2018).

    Unlike in the decays above, the factor of the last step is ``final`` itself. As torch.optim.lr_scheduler.OneCycleLR,
    except that the momentum stays as it is.

    Args:
        peak: when the factor is 1; a peak beyond the end of the run means that lr only climbs.
        start: the factor at step 0.
        final: the factor at the last step.
    """

    kind: Literal["one_cycle"] = "one_cycle"
    peak: PositiveLength = 0.3
    start: Fraction = 0.04
    final: Fraction = 4e-6

    def factors(self, steps: Steps, num_steps: int, run_steps: int) -> Factors:
        """The factor at each step; see `Constant.factors`."""
        top = float(self.peak if isinstance(self.peak, int) else self.peak * run_steps)
        top = min(max(top - 1.0, 0.0), num_steps - 1.0)
        up = between(self.start, 1.0, steps / max(top, 1.0))
        after = np.asarray((steps - top) / max(num_steps - 1.0 - top, 1.0), dtype=np.float64)
        down = between(1.0, self.final, after)
        return np.where(steps < top, up, down)


class Climb(Schedule):
    """The same ratio from each step to the next, upwards: ``start^(1 - s / (N - 1))``, 1 at the last step.

    The schedule of a learning-rate range test (Smith, 2017), whose runs are good for nothing else.

    Args:
        start: the factor at step 0.
    """

    kind: Literal["climb"] = "climb"
    start: PositiveFraction = 1e-6

    def factors(self, steps: Steps, num_steps: int, run_steps: int) -> Factors:
        """The factor at each step; see `Constant.factors`."""
        return np.power(self.start, 1.0 - steps / max(num_steps - 1, 1))


ScheduleSpec: TypeAlias = (
    Constant | Step | Exponential | Inverse | Linear | Polynomial | Cosine | CosineRestarts | OneCycle | Climb
)


def between(first: float, last: float, progress: Factors) -> Factors:
    """From one value to another along half a cosine wave, as progress goes from 0 to 1.

    Example:
        >>> between(1.0, 0.0, np.array([0.0, 0.5, 1.0])).round(3).tolist()
        [1.0, 0.5, 0.0]
    """
    return last + (first - last) * 0.5 * (1.0 + np.cos(np.pi * progress))
