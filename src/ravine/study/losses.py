"""Whether data have the loss that a study asks for."""

from __future__ import annotations

from ravine.augment.spec import MIXING
from ravine.data import Dataset
from ravine.data.counts import check_counts
from ravine.messages import lacking
from ravine.study.augment import Augmentation
from ravine.study.loss import DEFAULTS, LossSpec


def check_loss(loss: LossSpec | None, augment: Augmentation | None, data: Dataset) -> None:
    """See that data have such a loss, and that mixed examples have answers for it.

    Args:
        loss: of a study; None: the default.
        augment: how its examples are changed.
        data: its data.

    Raises:
        StudyError: one line with the key, the value and what is allowed.
    """
    names = () if augment is None else augment.factors
    mixing = next((name for name in MIXING if any(key.endswith(f".{name}") for key in names)), None)
    if mixing is not None and data.train.weights is not None:
        raise lacking(
            f"augment.{mixing}",
            f"not with weights of examples, as {data.name} has them: a mixed example would have two",
        )
    if loss is None:
        return
    loss.check(data.task, data.classes, data.name)
    usual = DEFAULTS[data.task]
    if mixing is not None and data.task != "regression" and loss.kind != usual:
        raise lacking(
            f"augment.{mixing}", f"mixes answers, which the loss {usual} takes, but not {loss.name}"
        )
    if loss.kind == "poisson":
        check_counts(data)
