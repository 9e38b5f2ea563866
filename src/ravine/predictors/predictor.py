"""A predictor: from raw values to probabilities, or to values in the target's own units.

Shapes: N example, B batch, K class or label, T target, C cell (see `ravine.ensembles.cells`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ravine.backbones.assembled import Assembled
from ravine.data.answers import ClassTarget
from ravine.data.preparation import AnyTarget, Preparation
from ravine.data.scale import Floats
from ravine.data.several import LabelsTarget
from ravine.data.spec import Task
from ravine.ensembles.cells import Cells
from ravine.ensembles.pool import Pool
from ravine.ensembles.pooling import Combine
from ravine.ensembles.scoring import entropy_of, heated
from ravine.errors import ModelError, in_a_line
from ravine.metrics import Metric
from ravine.predictors.bodies import features_of
from ravine.predictors.passes import Drawing, Passed, passed
from ravine.study.modes import Mode
from ravine.tensors import writable

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
        drawing: draws its Monte Carlo passes, where the predictor's mode has some.
    """

    name: str
    share: float
    model: Model
    drawing: Drawing | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """What a predictor says about some examples.

    Args:
        target: what is predicted.
        log_p: (N, K) logarithms of probabilities; None for a regression.
        predicted: (N,) indices of classes, or values in the target's own units; of labels (N, K), 1 where the
            probability is above one half, else 0; of several targets (N, T).
        disagreement: (N,) the weight of the members that choose another class than the pool, of labels the mean over
            these; of a regression the standard deviation between members, in the target's own units, (N,) or (N, T).
        outputs: of each member by name: logits (N, K), or values, (N,) or (N, T).
        log_q: of labels (N, K) the logarithms of the probabilities that an example does not have them; else None.
        entropy: (N,) of the predicted distribution, in nats, of labels their mean; None for the mean pass, and for a
            regression.
        information: (N,) mutual information between the answer and what was drawn: the pass, the view, the member
            (BALD): the entropy less the mean entropy of the passes. None likewise, and for a pool that is no mean.
        spread: of a regression the standard deviation over passes and members, in the target's own units, (N,) or
            (N, T); None for the mean pass.
    """

    target: AnyTarget
    log_p: Array | None
    predicted: NDArray[np.number]
    disagreement: Array
    outputs: Mapping[str, np.ndarray]
    log_q: Array | None = None
    entropy: Array | None = None
    information: Array | None = None
    spread: Array | None = None

    def __len__(self) -> int:
        return len(self.predicted)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes or labels by index; empty for a regression."""
        return self.target.names if isinstance(self.target, ClassTarget | LabelsTarget) else ()

    @property
    def p(self) -> Array:
        """(N, K) probabilities."""
        assert self.log_p is not None, "a regression has no probabilities"
        return np.exp(self.log_p)

    @property
    def names(self) -> tuple[str, ...]:
        """The predicted class of each example by its name; of labels all of them as one text."""
        if isinstance(self.target, LabelsTarget):
            return self.target.undo(self.predicted)
        return tuple(self.classes[int(index)] for index in self.predicted)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictor:
    """Members, and all that lies between them and raw values.

    Args:
        preparation: what was done to the raw values of the data set.
        members: sorted by run; at least one.
        combine: how their predictions become one.
        temperature: what the logarithms of pooled probabilities are divided by; 1 with a mode.
        mode: by which passes the members predict; None: the mean pass.
        metric: what its study is judged by, by which predictions are scored too; None: what is usual, or unknown.
    """

    preparation: Preparation
    members: tuple[Part, ...]
    combine: Combine = "mean"
    temperature: float = 1.0
    mode: Mode | None = None
    metric: Metric | None = None

    @property
    def task(self) -> Task:
        """Classification, regression or multilabel."""
        return self.preparation.task

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes or labels by index; empty for a regression."""
        return self.preparation.classes

    @property
    def pool(self) -> Pool:
        """Members and shares, as an ensemble has them."""
        return Pool(weights={each.name: each.share for each in self.members}, combine=self.combine)

    def outputs(self, x: Floats) -> dict[str, np.ndarray]:
        """Of each member by name, by the mean pass: logits (N, K), or values in the target's own units, (N,) or (N, T).

        Args:
            x: prepared examples, (N, ...).

        Raises:
            ModelError: a member fails, or gives something else.
        """
        target = self.preparation.target
        found = self._outputs(self.members, x)
        return {name: target.predictions(outputs) for name, outputs in found.items()}

    def predict(self, raw: Any) -> Predictions:
        """What the pool says of raw examples.

        Args:
            raw: as `Preparation.inputs` takes them: a frame or a mapping of columns, an array, or paths of images.

        Raises:
            DataError: they are not what the data set was made of.
        """
        return self.predict_prepared(self.preparation.inputs.apply(raw))

    def predict_prepared(self, x: Floats, numbers: NDArray[np.int64] | None = None) -> Predictions:
        """The same of examples as a model takes them, (N, ...).

        Args:
            x: the examples.
            numbers: by which the passes of each are drawn; None: 0, 1, ...
        """
        within: dict[str, Array] = {}
        if self.mode is None:
            outputs = self.outputs(x)
        else:
            numbers = np.arange(len(x)) if numbers is None else numbers
            both = {each.name: self._passed(self.mode, each, x, numbers) for each in self.members}
            outputs = {name: each.outputs for name, each in both.items()}
            within = {name: each.within for name, each in both.items()}
        cells = Cells.of_target(self.preparation.target)
        pooled = self.pool.predict(cells, outputs)
        entropy = information = spread = log_q = None
        if pooled.log_p is None:
            assert pooled.spread is not None, "a regression's pool knows how far its members are apart"
            log_p, disagreement = None, cells.apart(pooled.spread)
            if within:
                variance = sum(each.share * np.square(within[each.name]) for each in self.members)
                spread = np.sqrt(np.square(disagreement) + variance)
        else:
            log_p = heated(pooled.log_p, self.temperature)
            off = np.zeros(len(pooled.predicted))
            for each in self.members:
                off += each.share * (cells.outputs(outputs[each.name]).argmax(axis=1) != pooled.predicted)
            disagreement = cells.by_example(off)
            if within:
                entropy = cells.by_example(entropy_of(log_p))
                if self.combine == "mean":
                    mean = sum(each.share * within[each.name] for each in self.members)
                    information = np.maximum(entropy - mean, 0.0)  # rounding may leave less
            if cells.labels:
                log_q, log_p = cells.apart(log_p[:, 0]), cells.apart(log_p[:, 1])
        return Predictions(
            target=self.preparation.target,
            log_p=log_p,
            log_q=log_q,
            predicted=cells.apart(pooled.predicted),
            disagreement=disagreement,
            outputs=outputs,
            entropy=entropy,
            information=information,
            spread=spread,
        )

    def _passed(self, mode: Mode, member: Part, x: Floats, numbers: NDArray[np.int64]) -> Passed:
        return passed(
            mode,
            lambda x: self._outputs([member], x)[member.name],
            member.drawing,
            x,
            numbers,
            self.preparation.target,
        )

    def _outputs(self, members: Sequence[Part], x: Floats) -> dict[str, np.ndarray]:
        """Of each member (N, K), before anything is undone."""
        num_outputs = self.preparation.num_outputs
        parts = {each.name: [np.zeros((0, num_outputs), dtype=np.float32)] for each in members}
        for batch in _batches(x):
            features: dict[int, torch.Tensor] = {}
            for each in members:
                found = _evaluated(each, batch, features)
                if found.shape != (len(batch), num_outputs):
                    raise ModelError(
                        f"member {each.name}: outputs of shape {found.shape} for {len(batch)} examples; "
                        f"{(len(batch), num_outputs)} is needed"
                    )
                parts[each.name].append(found)
        return {name: np.concatenate(each) for name, each in parts.items()}


def _batches(x: Floats) -> Iterator[Floats]:
    size = max(1, min(_MOST, _NUMBERS // max(1, x[:1].size)))
    for start in range(0, len(x), size):
        yield x[start : start + size]


def _evaluated(member: Part, x: Floats, features: dict[int, torch.Tensor]) -> np.ndarray:
    """Outputs of a member; `features` are what bodies have made of the batch."""
    if not isinstance(member.model, nn.Module):
        return member.model.run(x)
    first = next(member.model.parameters(), torch.zeros(()))
    try:
        with torch.inference_mode():
            given = torch.from_numpy(writable(np.ascontiguousarray(x))).to(first.device)
            if first.dtype == torch.float64:
                given = given.double()
            model = member.model
            if isinstance(model, Assembled):
                found = model.head(features_of(model, given, features))
            else:
                found = model(given)
            return np.asarray((found if first.dtype == torch.float64 else found.float()).cpu().numpy())
    except Exception as error:
        raise ModelError(f"member {member.name}: its model fails: {in_a_line(error)}") from error
