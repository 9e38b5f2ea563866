"""A predictor: from raw values to probabilities, or to values in the target's own units.

Shapes: N example, B batch, K class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ravine.data.preparation import NumberTarget, Preparation
from ravine.data.scale import Floats
from ravine.data.spec import Task
from ravine.ensembles.pool import Pool
from ravine.ensembles.pooling import Combine
from ravine.ensembles.scoring import heated
from ravine.errors import ModelError, in_a_line

Array = NDArray[np.float64]

_NUMBERS = 1 << 22  # of the inputs of a batch
_MOST = 1024  # examples of a batch


class Session(Protocol):
    """What evaluates a member in place of a module, such as an ONNX graph."""

    def run(self, x: Floats) -> np.ndarray:
        """Outputs (B, K) for prepared examples (B, ...)."""
        ...


Model: TypeAlias = nn.Module | Session


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """A member of a predictor.

    Args:
        name: id of the run, and behind it what of the run is used where that is not its end.
        share: its weight in the pool, above 0; all shares have the sum 1.
        model: a module in evaluation mode with the member's weights, or what stands for one.
    """

    name: str
    share: float
    model: Model


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """What a predictor says about some examples.

    Args:
        classes: names of the classes by index; empty for a regression.
        log_p: (N, K) logarithms of probabilities; None for a regression.
        predicted: (N,) indices of classes, or values in the target's own units.
        disagreement: (N,) the weight of the members that choose another class than the pool; of a regression the
            standard deviation between members, in the target's own units.
        outputs: of each member by name: logits (N, K), or values (N,).
    """

    classes: tuple[str, ...]
    log_p: Array | None
    predicted: NDArray[np.number]
    disagreement: Array
    outputs: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.predicted)

    @property
    def p(self) -> Array:
        """(N, K) probabilities."""
        assert self.log_p is not None, "a regression has no probabilities"
        return np.exp(self.log_p)

    @property
    def names(self) -> tuple[str, ...]:
        """The predicted class of each example by its name."""
        return tuple(self.classes[int(index)] for index in self.predicted)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictor:
    """Members, and all that lies between them and raw values.

    Args:
        preparation: what was done to the raw values of the data set.
        members: sorted by run; at least one.
        combine: how their predictions become one.
        temperature: what the logarithms of pooled probabilities are divided by.
    """

    preparation: Preparation
    members: tuple[Part, ...]
    combine: Combine = "mean"
    temperature: float = 1.0

    @property
    def task(self) -> Task:
        """Classification or regression."""
        return self.preparation.task

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes by index; empty for a regression."""
        return self.preparation.classes

    @property
    def pool(self) -> Pool:
        """Members and shares, as an ensemble has them."""
        return Pool(weights={each.name: each.share for each in self.members}, combine=self.combine)

    def outputs(self, x: Floats) -> dict[str, np.ndarray]:
        """Of each member by name: logits (N, K), or values (N,) in the target's own units.

        Args:
            x: prepared examples, (N, ...).

        Raises:
            ModelError: a member fails, or gives something else.
        """
        return {each.name: self._of(each, x) for each in self.members}

    def predict(self, raw: Any) -> Predictions:
        """What the pool says of raw examples.

        Args:
            raw: as `Preparation.inputs` takes them: a frame or a mapping of columns, an array, or paths of images.

        Raises:
            DataError: they are not what the data set was made of.
        """
        return self.predict_prepared(self.preparation.inputs.apply(raw))

    def predict_prepared(self, x: Floats) -> Predictions:
        """The same of examples as a model takes them, (N, ...)."""
        outputs = self.outputs(x)
        pooled = self.pool.predict(self.task, outputs)
        if pooled.log_p is None:
            assert pooled.spread is not None, "a regression's pool knows how far its members are apart"
            log_p, disagreement = None, pooled.spread
        else:
            log_p = heated(pooled.log_p, self.temperature)
            disagreement = np.zeros(len(x))
            for each in self.members:
                disagreement += each.share * (outputs[each.name].argmax(axis=1) != pooled.predicted)
        return Predictions(
            classes=self.classes,
            log_p=log_p,
            predicted=pooled.predicted,
            disagreement=disagreement,
            outputs=outputs,
        )

    def _of(self, member: Part, x: Floats) -> np.ndarray:
        target = self.preparation.target
        num_outputs = self.preparation.num_outputs
        parts = [np.zeros((0, num_outputs), dtype=np.float32)]
        for batch in _batches(x):
            found = _evaluated(member, batch)
            if found.shape != (len(batch), num_outputs):
                raise ModelError(
                    f"member {member.name}: outputs of shape {found.shape} for {len(batch)} examples; "
                    f"{(len(batch), num_outputs)} is needed"
                )
            parts.append(found)
        outputs = np.concatenate(parts)
        return target.undo(outputs[:, 0]) if isinstance(target, NumberTarget) else outputs


def _batches(x: Floats) -> Iterator[Floats]:
    size = max(1, min(_MOST, _NUMBERS // max(1, x[:1].size)))
    for start in range(0, len(x), size):
        yield x[start : start + size]


def _evaluated(member: Part, x: Floats) -> np.ndarray:
    if not isinstance(member.model, nn.Module):
        return member.model.run(x)
    first = next(member.model.parameters(), torch.zeros(()))
    try:
        with torch.inference_mode():
            found = member.model(torch.from_numpy(np.ascontiguousarray(x)).to(first.device))
            return np.asarray(found.float().cpu().numpy())
    except Exception as error:
        raise ModelError(f"member {member.name}: its model fails: {in_a_line(error)}") from error
