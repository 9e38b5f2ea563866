"""What the outputs of one run come to beside the answers: the loss that training makes small, and scores.

Answers of a classification are classes, (B,) whole numbers, or soft targets: (B, K) probabilities of each class, as
mixed or smoothed answers are. Those of several labels are 0 or 1, (B, K); those of a regression numbers, (B,), or of
several targets (B, T).

Shapes: B batch, N example, K class or label, T target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ravine.tensors import one_hot

LABEL_SMOOTHING = "label_smoothing"
OF_LOSS = (LABEL_SMOOTHING,)
"""Hypers that the loss of training takes: 0 for off."""

_OfBatch = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """The loss of runs of one structure; what differs between them are numbers that it is handed.

    Args:
        task: "classification", "regression" or "multilabel".

    Example:
        >>> loss = Loss(task="classification")
        >>> loss.mean(torch.zeros(1, 4), torch.tensor([2])).item()  # doctest: +ELLIPSIS
        1.386...
    """

    task: str

    def training(
        self, outputs: Tensor, answers: Tensor, numbers: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """What training makes small on a batch, and its accuracy.

        Args:
            outputs: of the network, (B, K).
            answers: (B,) or (B, K).
            numbers: out of `OF_LOSS`.
        """
        if LABEL_SMOOTHING in numbers:
            return cross_entropy(outputs, answers, numbers[LABEL_SMOOTHING])
        return _OF_TASK[self.task](outputs, answers)

    def mean(self, outputs: Tensor, answers: Tensor) -> Tensor:
        """The mean of `scores` over a batch, without what only training adds."""
        return _OF_TASK[self.task](outputs, answers)[0]

    def scores(self, outputs: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and accuracy of each example, for evaluation.

        Args:
            outputs: (..., N, K).
            answers: (N,) or (N, K).

        Returns:
            Two tensors (..., N); for regression both are the squared error, of several targets its mean.
        """
        if self.task == "regression":
            error = (outputs.squeeze(-1) - answers).square()
            error = error if answers.dim() == 1 else error.mean(-1)
            return error, error
        if self.task == "multilabel":
            return label_losses(outputs, answers).mean(-1), _right_labels(outputs, answers)
        return _class_scores(outputs, answers)

    def no_answers(self, num: int, num_outputs: int, device: torch.device) -> Tensor:
        """Answers of examples that have none, for outputs that nobody scores."""
        if self.task == "classification":
            return torch.zeros(num, dtype=torch.int64, device=device)
        several = self.task == "multilabel" or num_outputs > 1
        return torch.zeros((num, num_outputs) if several else (num,), device=device)

    @property
    def has_accuracy(self) -> bool:
        """Whether an accuracy is a share; else a loss is in its place."""
        return self.task != "regression"

    @property
    def key(self) -> str:
        """What the machine code of a step depends on beside its tensors."""
        return self.task


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
        answer_B = _weighted(shifted_BK, smoothed(answers, smoothing, logits_BK.shape[-1]))
    elif soft:
        answer_B = _weighted(shifted_BK, answers)
    loss_B = shifted_BK.exp().sum(-1).log() - answer_B
    return loss_B.mean(), (label_B.detach() >= 0).to(loss_B.dtype).mean()


def smoothed(answers: Tensor, smoothing: Tensor, num_classes: int) -> Tensor:
    """Answers with some of their weight on all classes alike: ``(1 - eps) y + eps / K``, (B, K).

    Mixing answers first or smoothing them first comes to the same. With 0 they keep their bits.

    Example:
        >>> smoothed(torch.tensor([2]), torch.tensor(0.1), 7)[0, 2].item()  # doctest: +ELLIPSIS
        0.9142...
    """
    soft_BK = answers if answers.is_floating_point() else one_hot(answers, num_classes, smoothing.dtype)
    return soft_BK * (1.0 - smoothing) + smoothing / num_classes


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


def label_losses(logits: Tensor, answers: Tensor) -> Tensor:
    """Of each label ``log(1 + exp(z)) - y z``, (..., K), with the larger of 0 and z taken off first.

    That number is a constant to the gradient, which so is ``sigmoid(z) - y`` at 0 too, where a network may begin.

    Example:
        >>> label_losses(torch.tensor([0.0, -200.0]), torch.tensor([1.0, 0.0]))
        tensor([0.6931, 0.0000])
    """
    top = logits.detach().clamp(min=0.0)
    return ((-top).exp() + (logits - top).exp()).log() + top - answers * logits


_OF_TASK: Mapping[str, _OfBatch] = {
    "classification": cross_entropy,
    "regression": squared_error,
    "multilabel": binary_cross_entropy,
}


def _class_scores(outputs: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
    if answers.is_floating_point():
        labels, answer = answers.argmax(-1), _weighted(outputs, answers)
    else:
        labels = answers
        answer = outputs.gather(-1, answers.expand(outputs.shape[:-1]).unsqueeze(-1)).squeeze(-1)
    # The first of equal outputs, as in a prediction: a network whose outputs are all equal knows nothing.
    right = (outputs.argmax(-1) == labels).to(outputs.dtype)
    return torch.logsumexp(outputs, -1) - answer, right


def _right_labels(logits: Tensor, answers: Tensor) -> Tensor:
    return ((logits > 0.0) == (answers > 0.5)).to(logits.dtype).mean(-1)


def _weighted(logits: Tensor, weights: Tensor) -> Tensor:
    return (torch.where(weights > 0.0, logits, 0.0) * weights).sum(-1)
