"""Everything that was done to the raw values of a data set, as data: for new examples, for export, for a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from ravine.data.answers import ClassTarget, NumberTarget
from ravine.data.inputs import ArrayInputs, ImageInputs, TableInputs
from ravine.data.several import LabelsTarget, NumbersTarget
from ravine.data.spec import Task
from ravine.errors import DataError
from ravine.forms import Refused, plain, read

AnyTarget: TypeAlias = ClassTarget | NumberTarget | NumbersTarget | LabelsTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What a data set did to raw inputs and to the target.

    Args:
        inputs: raw values to what a model takes.
        target: classes, numbers or labels to what a model learns, and back.

    Example:
        >>> import numpy as np
        >>> from ravine.data import from_arrays
        >>> x = np.arange(40.0).reshape(20, 2)
        >>> data = from_arrays(x, np.where(x[:, 0] % 4 == 0, "a", "b"))
        >>> again = Preparation.of(data.preparation.content())
        >>> again == data.preparation, again.inputs.apply([[19.0, 20.0]]).shape, again.target.apply(["b"])
        (True, (1, 2), array([1]))
    """

    inputs: TableInputs | ArrayInputs | ImageInputs
    target: AnyTarget

    @property
    def task(self) -> Task:
        """What is learned."""
        return self.target.task

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes or labels by index; empty for a regression."""
        return self.target.names if isinstance(self.target, ClassTarget | LabelsTarget) else ()

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets of a regression with several; else empty."""
        return self.target.names if isinstance(self.target, NumbersTarget) else ()

    @property
    def num_outputs(self) -> int:
        """Outputs that a model needs: one per class, label or number."""
        return self.target.num_outputs

    def content(self) -> dict[str, Any]:
        """As JSON has it; every number comes back to the last bit."""
        content: dict[str, Any] = plain(self)
        for target in (content["target"], *content["target"].get("targets", ())):
            if not target.get("counts", True):  # of those that were kept before there were counts
                del target["counts"]
        return content

    @staticmethod
    def of(content: object, where: str = "preparation") -> Preparation:
        """Out of what `content` gave.

        Raises:
            DataError: it is something else.
        """
        try:
            prepared: Preparation = read(Preparation, content)
            return prepared
        except Refused as fault:
            raise DataError(fault.line(where)) from None
