"""Loss and accuracy of one run's batch.

Answers of a classification are classes, (B,) whole numbers, or soft targets: (B, K) probabilities of each class, as
mixed or smoothed answers are.

Shapes: B batch, K class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ravine.tensors import one_hot

LABEL_SMOOTHING = "label_smoothing"
OF_LOSS = (LABEL_SMOOTHING,)
"""Hypers that the loss of training takes: 0 for off."""

Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


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


def squared_error(outputs_B1: Tensor, targets_B: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squared error, and the same again in place of an accuracy."""
    loss = (outputs_B1.squeeze(-1) - targets_B).square().mean()
    return loss, loss.detach()


def loss_of(task: str) -> Loss:
    """The loss of a task: "classification" or "regression"."""
    return cross_entropy if task == "classification" else squared_error


def training_loss(
    task: str, outputs: Tensor, answers: Tensor, of_loss: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Loss and accuracy of a batch in training.

    Args:
        task: "classification" or "regression".
        outputs: of the network, (B, K).
        answers: as the loss takes them.
        of_loss: numbers out of `OF_LOSS`.
    """
    if LABEL_SMOOTHING in of_loss:
        return cross_entropy(outputs, answers, of_loss[LABEL_SMOOTHING])
    return loss_of(task)(outputs, answers)


def example_losses(task: str, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and accuracy of each example, for evaluation.

    Args:
        task: "classification" or "regression".
        outputs: (..., N, K).
        targets: (N,), or soft targets (N, K).

    Returns:
        Two tensors (..., N); for regression both are the squared error.
    """
    if task == "regression":
        error = (outputs.squeeze(-1) - targets).square()
        return error, error
    if targets.is_floating_point():
        labels, answer = targets.argmax(-1), _weighted(outputs, targets)
    else:
        labels = targets
        answer = outputs.gather(-1, targets.expand(outputs.shape[:-1]).unsqueeze(-1)).squeeze(-1)
    # The first of equal outputs, as in a prediction: a network whose outputs are all equal knows nothing.
    right = (outputs.argmax(-1) == labels).to(outputs.dtype)
    return torch.logsumexp(outputs, -1) - answer, right


def _weighted(logits: Tensor, weights: Tensor) -> Tensor:
    return (torch.where(weights > 0.0, logits, 0.0) * weights).sum(-1)
