"""What the outputs of one run come to beside the answers: the loss that training makes small, and scores.

Answers of a classification are classes, (B,) whole numbers, or soft targets: (B, K) probabilities of each class, as
mixed or smoothed answers are. Those of several labels are 0 or 1, (B, K); those of a regression numbers, (B,), or of
several targets (B, T).

Scores are those of the task, whatever a run was trained by: cross-entropy and accuracy, or the squared error of what is
predicted. So runs of different losses, and of different numbers in one loss, are judged alike.

Shapes: R run, B batch, N example, K class or label, T target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch
from torch import Tensor

from ravine.data import Dataset
from ravine.engine.losses import (
    FORMULAS,
    IN_UNITS,
    POWERS,
    class_losses,
    label_losses,
    smoothed,
    weighted,
)
from ravine.study.loss import CROSS_ENTROPY, DEFAULTS, NUMBERS, OWN, find_own
from ravine.tensors import one_hot

LABEL_SMOOTHING = "label_smoothing"
OWN_LOSS = "validation_own_loss"
"""The curve of what runs are trained by on validation, without weights, where that is not their score."""
OF_LOSS = (LABEL_SMOOTHING,)
"""Hypers that any loss of training may take: 0 for off."""
_CLASS_WEIGHTS = "class_weights"

OwnLoss = Callable[..., Tensor]
_OfBatch = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """The loss of runs of one structure; what differs between them are numbers that it is handed.

    Args:
        task: "classification", "regression" or "multilabel".
        kind: a word of `ravine.study.loss.KINDS`, or "own"; "": that of the task.
        class_weights: of the classes, in their order; (): none.
        scale: of the target, by which numbers in its own units are divided; of several targets theirs.
        own: of the user's, ``(outputs, answers, **numbers) -> (B,)``.
        source: what tells it from others of the user's.
        names: of the numbers that it takes.

    Example:
        >>> loss = Loss(task="classification")
        >>> loss.mean(torch.zeros(1, 4), torch.tensor([2])).item()  # doctest: +ELLIPSIS
        1.386...
    """

    task: str
    kind: str = ""
    class_weights: tuple[float, ...] = ()
    scale: float | tuple[float, ...] = 1.0
    own: OwnLoss | None = field(default=None, compare=False)
    source: str = ""
    names: tuple[str, ...] = ()

    @staticmethod
    def of(content: Mapping[str, object] | None, data: Dataset) -> Loss:
        """The loss of a recipe.

        Args:
            content: what the recipe says of it; None: the default of the task.
            data: what its runs learn from.
        """
        if content is None:
            return Loss(task=data.task, scale=data.target_scale)
        kind, weights = str(content["kind"]), content.get(_CLASS_WEIGHTS)
        source = str(content.get("source", ""))
        names = content.get("numbers", ())
        assert isinstance(names, list | tuple), "a recipe's loss names its numbers"
        if weights == "balanced":
            weights = balanced(data)
        assert weights is None or isinstance(weights, list | tuple), "a weight for each class"
        return Loss(
            task=data.task,
            kind=kind,
            class_weights=tuple(float(each) for each in weights or ()),
            scale=data.target_scale,
            own=find_own(source) if kind == OWN else None,
            source=source,
            names=NUMBERS.get(kind, tuple(map(str, names))),
        )

    def numbers(
        self,
        hypers: Sequence[Mapping[str, float]],
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> dict[str, Tensor]:
        """What the loss of each run takes beside outputs and answers, (R, ...) by name.

        Args:
            hypers: of the recipes.
            device: where they are trained.
            dtype: what training computes in.
        """
        found = {
            name: torch.tensor([each.get(name, 0.0) for each in hypers], dtype=dtype, device=device)
            for name in OF_LOSS
            if any(each.get(name) for each in hypers)
        }
        for name in self.names:
            own = torch.tensor([each.get(f"loss.{name}", 0.0) for each in hypers], dtype=torch.float64)
            if self.own is None and name in IN_UNITS:
                scale = torch.tensor(self.scale, dtype=torch.float64)
                own = own / scale if scale.dim() == 0 else own[:, None] / scale
            found[name] = own.to(device, dtype)
        if self.class_weights:
            found[_CLASS_WEIGHTS] = torch.tensor(
                [self.class_weights] * len(hypers), dtype=dtype, device=device
            )
        return found

    def training(
        self,
        outputs: Tensor,
        answers: Tensor,
        numbers: Mapping[str, Tensor],
        weights_B: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """What training makes small on a batch, and its accuracy.

        It is ``sum_i w_i l_i / sum_i w_i``, 0 where all weights are; the accuracy knows nothing of them.

        Args:
            outputs: of the network, (B, K).
            answers: (B,) or (B, K).
            numbers: of the run, as `numbers` has them.
            weights_B: of the examples; None: all count alike.
        """
        if self.is_plain and weights_B is None:
            if LABEL_SMOOTHING in numbers:
                return cross_entropy(outputs, answers, numbers[LABEL_SMOOTHING])
            return _OF_TASK[self.task](outputs, answers)
        answers = _beside(outputs, answers)
        loss_B, weight_B = self._each(outputs, answers, numbers)
        accuracy = self._accuracy(outputs.detach(), answers)
        if weights_B is None and weight_B is None:
            loss = loss_B.mean()
        else:
            if weights_B is not None:
                weights_B = _beside(outputs, weights_B)
                loss_B = loss_B * weights_B
                weight_B = weights_B if weight_B is None else weight_B * weights_B
            assert weight_B is not None, "one of the two is there"
            total = weight_B.sum()
            loss = loss_B.sum() / torch.where(total > 0.0, total, 1.0)
        return loss, loss.detach() if accuracy is None else accuracy

    def each(self, outputs: Tensor, answers: Tensor, numbers: Mapping[str, Tensor]) -> Tensor:
        """The loss of each example in training without any weights, (B,)."""
        own = {name: number for name, number in numbers.items() if name in self.names}
        return self._each(outputs, _beside(outputs, answers), own)[0]

    def of_runs(self, outputs_RNK: Tensor, answers: Tensor, numbers: Mapping[str, Tensor]) -> Tensor:
        """The mean of `each` of every run, (R,).

        Args:
            outputs_RNK: of some examples.
            answers: theirs.
            numbers: (R, ...) by name.
        """
        rows = range(len(outputs_RNK))
        of_run = [{name: each[row] for name, each in numbers.items()} for row in rows]
        with torch.no_grad():
            found = [self.each(outputs_RNK[row], answers, of_run[row]).mean() for row in rows]
        return torch.stack(found)

    def _each(
        self, outputs: Tensor, answers: Tensor, numbers: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """The loss of each example times the weight of its class, and that weight; None: 1."""
        kind = self.kind or DEFAULTS[self.task]
        if self.own is not None:
            given = {name: numbers[name] for name in self.names}
            # With one target: else (B, 1) beside (B,) would be (B, B) without a word.
            seen = outputs.squeeze(-1) if self.task == "regression" and answers.dim() == 1 else outputs
            loss_B = self.own(seen, answers, **given)
        elif kind == CROSS_ENTROPY:
            return _cross_entropies(outputs, answers, numbers)
        else:
            loss_B = FORMULAS[kind](outputs, answers, numbers)
        if _CLASS_WEIGHTS not in numbers:
            return loss_B, None
        weight_B = numbers[_CLASS_WEIGHTS].gather(0, answers)
        return loss_B * weight_B, weight_B

    def _accuracy(self, outputs: Tensor, answers: Tensor) -> Tensor | None:
        """Of a batch in training; None where it has none."""
        if self.task == "multilabel":
            return _right_labels(outputs, answers).mean()
        if self.task != "classification":
            return None
        labels_B = answers.argmax(-1) if answers.is_floating_point() else answers
        label_B = outputs.gather(-1, labels_B.unsqueeze(-1)).squeeze(-1)
        return (label_B >= outputs.amax(-1)).to(outputs.dtype).mean()

    def mean(self, outputs: Tensor, answers: Tensor) -> Tensor:
        """The mean of `scores` over a batch, without what only training adds."""
        return _OF_TASK[self.task](self.predicted(outputs), answers)[0]

    def scores(self, outputs: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and accuracy of each example, for evaluation.

        Args:
            outputs: (..., N, K).
            answers: (N,) or (N, K).

        Returns:
            Two tensors (..., N); for regression both are the squared error, of several targets its mean.
        """
        if self.task == "regression":
            error = (self.predicted(outputs).squeeze(-1) - answers).square()
            error = error if answers.dim() == 1 else error.mean(-1)
            return error, error
        if self.task == "multilabel":
            return label_losses(outputs, answers).mean(-1), _right_labels(outputs, answers)
        return _class_scores(outputs, answers)

    def predicted(self, outputs: Tensor) -> Tensor:
        """What outputs predict, on the scale of the answers: of rates the outputs are logarithms."""
        return outputs.exp() if self.kind == "poisson" else outputs

    def no_answers(self, num: int, num_outputs: int, device: torch.device) -> Tensor:
        """Answers of examples that have none, for outputs that nobody scores."""
        if self.task == "classification":
            return torch.zeros(num, dtype=torch.int64, device=device)
        several = self.task == "multilabel" or num_outputs > 1
        return torch.zeros((num, num_outputs) if several else (num,), device=device)

    @property
    def is_plain(self) -> bool:
        """Whether it is the default of its task."""
        return self.scores_itself and not self.class_weights

    @property
    def scores_itself(self) -> bool:
        """Whether `scores` are of what training makes small, but for weights and smoothed answers."""
        return self.kind in ("", DEFAULTS[self.task])

    @property
    def has_accuracy(self) -> bool:
        """Whether an accuracy is a share; else a loss is in its place."""
        return self.task != "regression"

    @property
    def unit(self) -> float:
        """What the loss of training is multiplied by to be in the target's own units; a user's own stays as it is.

        Several targets have no unit in common: their loss stays standardized.
        """
        if self.task != "regression" or isinstance(self.scale, tuple):
            return 1.0
        return float(self.scale ** POWERS.get(self.kind or DEFAULTS[self.task], 0))

    @property
    def key(self) -> str:
        """What the machine code of a step depends on beside its tensors."""
        kinds = (self.kind, self.source, "weights" if self.class_weights else "")
        return self.task if self.is_plain else " ".join((self.task, *kinds))


def balanced(data: Dataset) -> list[float]:
    """A weight for each class: ``N / (K N_k)`` of the training part, so that all classes weigh the same.

    As scikit-learn has it; a class without any training example has the weight of one with one.
    """
    counts = np.bincount(data.train.y, minlength=len(data.classes))
    found: list[float] = (len(data.train) / (len(counts) * np.maximum(counts, 1))).tolist()
    return found


def cross_entropy(
    logits_BK: Tensor, answers: Tensor, smoothing: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy with the answers, and the fraction of examples whose class has the top logit.

    ``log sum_k exp(z_k) - sum_k y_k z_k`` with the largest logit taken off first. Written out, since torch's own
    log_softmax over few classes takes a quarter of a small network's step on a CPU. A tie with the label
    counts as right. Where an answer is 0 its logit does not count, and may be infinite; so soft targets that are
    whole have the same bits as classes.

    Args:
        logits_BK: outputs.
        answers: classes (B,), or soft targets (B, K) whose rows add up to 1; the class of an example then is the
            heaviest, the first of equal ones.
        smoothing: eps in [0, 1): the loss is that of ``(1 - eps) y + eps / K``; None: as 0. The accuracy knows nothing
            of it. Szegedy et al., 2016.
    """
    top_B1 = logits_BK.detach().amax(-1, keepdim=True)
    shifted_BK = logits_BK - top_B1
    soft = answers.is_floating_point()
    labels_B = answers.argmax(-1) if soft else answers
    label_B = shifted_BK.gather(-1, labels_B.unsqueeze(-1)).squeeze(-1)
    answer_B = label_B
    if smoothing is not None:
        answer_B = weighted(shifted_BK, smoothed(answers, smoothing, logits_BK.shape[-1]))
    elif soft:
        answer_B = weighted(shifted_BK, answers)
    loss_B = shifted_BK.exp().sum(-1).log() - answer_B
    return loss_B.mean(), (label_B.detach() >= 0).to(loss_B.dtype).mean()


def squared_error(outputs_BT: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squared error, over several targets too, and the same again in place of an accuracy.

    Args:
        outputs_BT: (B, 1), or (B, T) for several targets.
        targets: (B,), or (B, T).
    """
    loss = (outputs_BT.squeeze(-1) - targets).square().mean()
    return loss, loss.detach()


def binary_cross_entropy(logits_BK: Tensor, answers_BK: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of labels that may be there or not, and the share of them that are right.

    Args:
        logits_BK: outputs: a label is predicted where its logit is above 0.
        answers_BK: 0 or 1, or a probability in between.
    """
    right_B = _right_labels(logits_BK.detach(), answers_BK)
    return label_losses(logits_BK, answers_BK).mean(), right_B.mean()


_OF_TASK: Mapping[str, _OfBatch] = {
    "classification": cross_entropy,
    "regression": squared_error,
    "multilabel": binary_cross_entropy,
}


def _cross_entropies(
    logits_BK: Tensor, answers: Tensor, numbers: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor | None]:
    """Cross-entropy of each example, every class times its weight, and the weight of its answer.

    Smoothed answers are as in torch: the weight of an example is that of its answer before.
    """
    weights_K, smoothing = numbers.get(_CLASS_WEIGHTS), numbers.get(LABEL_SMOOTHING)
    num_classes = logits_BK.shape[-1]
    if weights_K is None and smoothing is None:
        return class_losses(logits_BK, answers), None
    soft = answers.is_floating_point()
    if weights_K is None:
        assert smoothing is not None, "one of the two is there"
        return class_losses(logits_BK, smoothed(answers, smoothing, num_classes)), None
    weight_B = (answers * weights_K).sum(-1) if soft else weights_K.gather(0, answers)
    if smoothing is None and not soft:
        return class_losses(logits_BK, answers) * weight_B, weight_B
    given_BK = answers if soft else one_hot(answers, num_classes, logits_BK.dtype)
    if smoothing is not None:
        given_BK = smoothed(given_BK, smoothing, num_classes)
    return class_losses(logits_BK, given_BK * weights_K), weight_B


def _class_scores(outputs: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
    if answers.is_floating_point():
        labels, answer = answers.argmax(-1), weighted(outputs, answers)
    else:
        labels = answers
        answer = outputs.gather(-1, answers.expand(outputs.shape[:-1]).unsqueeze(-1)).squeeze(-1)
    # The first of equal outputs, as in a prediction: a network whose outputs are all equal knows nothing.
    right = (outputs.argmax(-1) == labels).to(outputs.dtype)
    return torch.logsumexp(outputs, -1) - answer, right


def _right_labels(logits: Tensor, answers: Tensor) -> Tensor:
    return ((logits > 0.0) == (answers > 0.5)).to(logits.dtype).mean(-1)


def _beside(outputs: Tensor, given: Tensor) -> Tensor:
    """Numbers in float64 where outputs are: sums are rounded alike, and a user's function may know no mixture."""
    double = outputs.dtype == torch.float64 and given.is_floating_point()
    return given.double() if double else given
