"""Loss and accuracy of one run's batch.

Shapes: B batch, K class.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def cross_entropy(logits_BK: Tensor, labels_B: Tensor) -> tuple[Tensor, Tensor]:
    """Mean negative log-probability of the label, and the fraction of examples where it has the top logit.

    ``log sum_k exp(z_k) - z_label`` with the largest logit taken off first. Written out, since torch's own
    log_softmax over few classes takes a quarter of a small network's step on a CPU. A tie with the label
    counts as right.
    """
    top_B1 = logits_BK.detach().amax(-1, keepdim=True)
    shifted_BK = logits_BK - top_B1
    label_B = shifted_BK.gather(-1, labels_B.unsqueeze(-1)).squeeze(-1)
    loss_B = shifted_BK.exp().sum(-1).log() - label_B
    return loss_B.mean(), (label_B.detach() >= 0).to(loss_B.dtype).mean()


def squared_error(outputs_B1: Tensor, targets_B: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squared error, and the same again in place of an accuracy."""
    loss = (outputs_B1.squeeze(-1) - targets_B).square().mean()
    return loss, loss.detach()


def loss_of(task: str) -> Loss:
    """The loss of a task: "classification" or "regression"."""
    return cross_entropy if task == "classification" else squared_error


def example_losses(task: str, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and accuracy of each example, for evaluation.

    Args:
        task: "classification" or "regression".
        outputs: (..., N, K).
        targets: (N,).

    Returns:
        Two tensors (..., N); for regression both are the squared error.
    """
    if task == "regression":
        error = (outputs.squeeze(-1) - targets).square()
        return error, error
    label = outputs.gather(-1, targets.expand(outputs.shape[:-1]).unsqueeze(-1)).squeeze(-1)
    # The first of equal outputs, as in a prediction: a network whose outputs are all equal knows nothing.
    right = (outputs.argmax(-1) == targets).to(outputs.dtype)
    return torch.logsumexp(outputs, -1) - label, right
