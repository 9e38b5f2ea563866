"""From the members' outputs to what a person asks for, as nodes: the formulas of `ensembles.pooling`, in float64.

Shapes: M member, N example, K class or label, T target, C cell: a label of an example, two classes each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ValueInfoProto

from ravine.data.answers import ClassTarget, NumberTarget
from ravine.data.preparation import AnyTarget
from ravine.data.several import LabelsTarget, NumbersTarget
from ravine.ensembles.pooling import Combine
from ravine.predictors.graph.nodes import Nodes, tensor

_TIE = 1e-12  # shares of a vote that differ by less are equal


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Of the graph's outputs.

    Args:
        probabilities, label: of a classification; of labels ``labels``, 1 or 0 for each; else "".
        prediction: of a regression; else "".
        members: what each member says; "" where it is not wanted.
        unseen: how many names of an example training has not seen; of a table.
    """

    probabilities: str = ""
    label: str = ""
    prediction: str = ""
    members: str = ""
    unseen: str = "unseen"

    @staticmethod
    def of(target: AnyTarget, taken: Sequence[str], *, members: bool) -> Names:
        """Names that no input has.

        Example:
            >>> Names.of(NumberTarget(mean=0.0, scale=1.0), ["prediction"], members=False).prediction
            'prediction_'
        """

        def free(name: str) -> str:
            while name in taken:
                name += "_"
            return name

        last = free("members") if members else ""
        if isinstance(target, NumberTarget | NumbersTarget):
            return Names(prediction=free("prediction"), members=last, unseen=free("unseen"))
        label = "labels" if isinstance(target, LabelsTarget) else "label"
        return Names(
            probabilities=free("probabilities"), label=free(label), members=last, unseen=free("unseen")
        )


def answer_classes(
    nodes: Nodes,
    outputs: Sequence[str],
    shares: Sequence[float],
    target: ClassTarget,
    names: Names,
    *,
    usable: str,
    combine: Combine,
    temperature: float,
) -> list[ValueInfoProto]:
    """The outputs of a graph that classifies.

    Args:
        nodes: of the graph.
        outputs: of each member, (N, K) logits.
        shares: of each member.
        target: its classes.
        names: of the outputs.
        usable: (N, 1), or "".
        combine, temperature: of the pool.
    """
    num_members, num_classes = len(outputs), len(target.names)
    log_p_MNK, log_p, order = _pooled(
        nodes, _stacked(nodes, outputs), shares, num_classes, combine=combine, temperature=temperature
    )
    fine = _fine(nodes, log_p, usable)
    _where(nodes, fine, nodes.add("Exp", log_p), np.float32, names.probabilities)
    index = nodes.add("ArgMax", order, axis=1, keepdims=0)
    label = nodes.add("Gather", nodes.constant(target.names, str), index)
    alone = nodes.add("Squeeze", fine, nodes.constant([1], np.int64))
    nodes.add("Where", alone, label, nodes.constant("", str), into=names.label)
    found = [tensor(names.probabilities, np.float32, num_classes), tensor(names.label, str)]
    if names.members:
        _where(nodes, fine, nodes.add("Exp", log_p_MNK), np.float32, names.members)
        found.append(tensor(names.members, np.float32, num_classes, ahead=(num_members,)))
    return found


def answer_labels(
    nodes: Nodes,
    outputs: Sequence[str],
    shares: Sequence[float],
    target: LabelsTarget,
    names: Names,
    *,
    usable: str,
    combine: Combine,
    temperature: float,
) -> list[ValueInfoProto]:
    """The outputs of a graph that finds labels: the probability of each, and 1 where it is predicted, else 0; -1 where
    nothing can be said.

    A label of an example is a cell: a choice between two classes, whose logits are 0 and z.

    Args:
        nodes: of the graph.
        outputs: of each member, (N, K) logits.
        shares: of each member.
        target: its labels.
        names: of the outputs.
        usable: (N, 1), or "".
        combine, temperature: of the pool.
    """
    num_members, num_labels = len(outputs), len(target.names)
    shape = nodes.constant([num_members, -1, 1], np.int64)
    z_MC1 = nodes.add("Reshape", _stacked(nodes, outputs), shape)
    zero = nodes.add("Mul", z_MC1, nodes.constant(0.0, np.float64))  # NaN where z is
    logits_MC2 = nodes.add("Concat", zero, z_MC1, axis=2)
    log_p_MC2, log_p_C2, order_C2 = _pooled(
        nodes, logits_MC2, shares, 2, combine=combine, temperature=temperature
    )
    yes = nodes.constant(1, np.int64)
    apart = nodes.constant([-1, num_labels], np.int64)
    log_p = nodes.add("Reshape", nodes.add("Gather", log_p_C2, yes, axis=1), apart)
    fine = _fine(nodes, log_p, usable)
    _where(nodes, fine, nodes.add("Exp", log_p), np.float32, names.probabilities)
    labels = nodes.add("Reshape", nodes.add("ArgMax", order_C2, axis=1, keepdims=0), apart)
    nodes.add("Where", fine, labels, nodes.constant(-1, np.int64), into=names.label)
    found = [tensor(names.probabilities, np.float32, num_labels), tensor(names.label, np.int64, num_labels)]
    if names.members:
        own = nodes.constant([num_members, -1, num_labels], np.int64)
        each = nodes.add("Reshape", nodes.add("Gather", log_p_MC2, yes, axis=2), own)
        _where(nodes, fine, nodes.add("Exp", each), np.float32, names.members)
        found.append(tensor(names.members, np.float32, num_labels, ahead=(num_members,)))
    return found


def answer_numbers(
    nodes: Nodes,
    outputs: Sequence[str],
    shares: Sequence[float],
    target: NumberTarget | NumbersTarget,
    names: Names,
    *,
    usable: str,
) -> list[ValueInfoProto]:
    """The outputs of a graph that predicts numbers, float64 in the target's own units.

    Args:
        nodes: of the graph.
        outputs: of each member, (N, 1), or (N, T) of several targets.
        shares: of each member.
        target: its scale, or that of each target.
        names: of the outputs.
        usable: (N, 1), or "".
    """
    several = isinstance(target, NumbersTarget)
    mean_T = [each.mean for each in target.targets] if isinstance(target, NumbersTarget) else target.mean
    stacked = _stacked(nodes, outputs)
    if isinstance(target, NumberTarget) and target.counts:
        stacked = nodes.add("Exp", stacked)
    scaled = nodes.add("Mul", stacked, nodes.constant(target.scale, np.float64))
    values_MNT = nodes.add("Add", scaled, nodes.constant(mean_T, np.float64))
    mean = _weighted(nodes, values_MNT, shares)
    fine = _fine(nodes, mean, usable)
    _where(nodes, fine, mean, np.float64, names.prediction)
    width = target.num_outputs
    found = [tensor(names.prediction, np.float64, width)]
    if names.members and several:
        _where(nodes, fine, values_MNT, np.float64, names.members)
        found.append(tensor(names.members, np.float64, width, ahead=(len(outputs),)))
    elif names.members:
        values = _where(nodes, fine, values_MNT, np.float64)
        nodes.add("Squeeze", values, nodes.constant([2], np.int64), into=names.members)
        found.append(tensor(names.members, np.float64, ahead=(len(outputs),)))
    return found


def _pooled(
    nodes: Nodes,
    logits_MNK: str,
    shares: Sequence[float],
    num_classes: int,
    *,
    combine: Combine,
    temperature: float,
) -> tuple[str, str, str]:
    """Logarithms of the probabilities of each member and of the pool, and the order in which classes are chosen."""
    log_p_MNK = nodes.add("LogSoftmax", logits_MNK, axis=-1)
    if combine == "logits" and len(shares) > 1:
        log_p = nodes.add("LogSoftmax", _weighted(nodes, logits_MNK, shares), axis=-1)
    else:
        log_p = _log_mean(nodes, log_p_MNK, shares)
    order = log_p
    if combine == "vote":
        log_p, order = _voted(nodes, logits_MNK, log_p, shares, num_classes)
    if temperature != 1.0:
        heated = nodes.add("Div", log_p, nodes.constant(temperature, np.float64))
        log_p = nodes.add("LogSoftmax", heated, axis=-1)
    return log_p_MNK, log_p, order


def _stacked(nodes: Nodes, outputs: Sequence[str]) -> str:
    """(M, N, K), float64."""
    first = nodes.constant([0], np.int64)
    each = [nodes.add("Unsqueeze", output, first) for output in outputs]
    return nodes.cast(nodes.add("Concat", *each, axis=0), np.float64)


def _column(nodes: Nodes, values: np.ndarray) -> str:
    return nodes.constant(np.asarray(values, dtype=np.float64).reshape(-1, 1, 1))


def _weighted(nodes: Nodes, values_MNK: str, shares: Sequence[float]) -> str:
    """The weighted mean over members, (N, K)."""
    weights = np.asarray(shares, dtype=np.float64)
    if (weights == weights[0]).all():
        return nodes.add("ReduceMean", values_MNK, nodes.constant([0], np.int64), keepdims=0)
    terms = nodes.add("Mul", values_MNK, _column(nodes, weights / weights.sum()))
    return nodes.add("ReduceSum", terms, nodes.constant([0], np.int64), keepdims=0)


def _log_mean(nodes: Nodes, log_p_MNK: str, shares: Sequence[float]) -> str:
    """The logarithm of the mean of probabilities, (N, K)."""
    first = nodes.constant([0], np.int64)
    if len(shares) == 1:
        return nodes.add("Squeeze", log_p_MNK, first)
    weights = np.asarray(shares, dtype=np.float64)
    terms = nodes.add("Add", log_p_MNK, _column(nodes, np.log(weights / weights.sum())))
    return nodes.add("ReduceLogSumExp", terms, first, keepdims=0)


def _voted(
    nodes: Nodes, logits_MNK: str, log_p: str, shares: Sequence[float], num_classes: int
) -> tuple[str, str]:
    """Logarithms of the shares of votes, and the same in an order that decides between equal ones."""
    classes_MN1 = nodes.add("ArgMax", logits_MNK, axis=2, keepdims=1)
    chosen = nodes.add("Equal", classes_MN1, nodes.constant([[list(range(num_classes))]], np.int64))
    weights = np.asarray(shares, dtype=np.float64)
    terms = nodes.add("Mul", nodes.cast(chosen, np.float64), _column(nodes, weights / weights.sum()))
    votes = nodes.add("ReduceSum", terms, nodes.constant([0], np.int64), keepdims=0)
    most = nodes.add("ReduceMax", votes, nodes.constant([1], np.int64), keepdims=1)
    least = nodes.add("Sub", most, nodes.constant(_TIE, np.float64))
    first = nodes.add("GreaterOrEqual", votes, least)
    order = nodes.add("Where", first, log_p, nodes.constant(-np.inf, np.float64))
    return nodes.add("Log", votes), order


def _fine(nodes: Nodes, found: str, usable: str) -> str:
    """Which examples have an answer, (N, 1): their raw values are usable, and no NaN came out."""
    bad = nodes.cast(nodes.add("IsNaN", found), np.int32)
    most = nodes.add("ReduceMax", bad, nodes.constant([1], np.int64), keepdims=1)
    fine = nodes.add("Not", nodes.cast(most, np.bool_))
    return nodes.add("And", fine, usable) if usable else fine


def _where(nodes: Nodes, fine: str, values: str, dtype: type, into: str | None = None) -> str:
    """The values of examples that have an answer; NaN for the others."""
    return nodes.add("Where", fine, nodes.cast(values, dtype), nodes.constant(np.nan, dtype), into=into)
