"""What is measured of a run, and how: plain data, without PyTorch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ravine.messages import positive, whole_number


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How sharpness is measured.

    Args:
        rho: radius of the ball in which the loss is raised, in weight space.
        examples: training examples that are looked at, at most: the first ones.
        probes: random vectors for the trace.
    """

    rho: float = 0.05
    examples: int = 10_000
    probes: int = 16

    def check(self) -> None:
        """See that they can be used.

        Raises:
            InputError: they cannot.
        """
        positive("rho", self.rho)
        whole_number("examples", self.examples, 1)
        whole_number("probes", self.probes, 2, 10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharpness:
    """Of one run, on training data, in eval mode and without penalties on weights; losses in the target's own units.

    Args:
        run: its id.
        num_examples: training examples that were looked at.
        loss: mean over them.
        gradient_norm: Euclidean norm of its gradient; far from 0 the run has not come to a minimum.
        top: the largest eigenvalues of the Hessian, falling. The first is exact to a thousandth, where Lanczos' method
            came to its end.
        top_error: an eigenvalue is no farther from each of them.
        lowest: the smallest eigenvalue; clearly below 0 it is a saddle.
        lowest_error: likewise.
        trace: of the Hessian, estimated (Hutchinson, 1990).
        trace_error: its standard error.
        rho: radius of the ball below.
        rise: by how much the loss rises at ``w + rho g / |g|``, g the gradient (Foret et al., 2021).
        adaptive_rise: likewise where each weight moves in proportion to its size, at
            ``w + 0.5 w^2 g / |w g|`` (Kwon et al., 2021): blind to a rescaling that leaves the function alone.
        test_loss: over the test data.
        test_accuracy: likewise; None for regression.
    """

    run: str
    num_examples: int
    loss: float
    gradient_norm: float
    top: tuple[float, ...]
    top_error: tuple[float, ...]
    lowest: float
    lowest_error: float
    trace: float
    trace_error: float
    rho: float
    rise: float
    adaptive_rise: float
    test_loss: float
    test_accuracy: float | None

    def json(self) -> dict[str, Any]:
        """As plain data; numbers that are not finite as None."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @staticmethod
    def of(found: Mapping[str, Any]) -> Sharpness:
        """From plain data."""
        numbers: dict[str, Any] = {name: math.nan if v is None else v for name, v in found.items()}
        for several in ("top", "top_error"):
            numbers[several] = tuple(math.nan if value is None else value for value in found[several])
        numbers["test_accuracy"] = found["test_accuracy"]
        return Sharpness(**numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """How far a measurement is: runs done, of so many."""

    done: int
    all: int


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
