"""The loss of a run: its batch through its network, compared with the answers; its gradient and its Hessian.

Shapes: R run of the cohort, B batch, S seed, P numbers of one run, N of them without the gaps, H rows of a Hessian.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.func import vmap
from torch.utils._pytree import tree_map

from ravine.engine.aligned import AlignedProducts
from ravine.engine.setting import Setting
from ravine.engine.state import Constants, Data, State
from ravine.nn.functional import batched_kernels
from ravine.tensors import Layout

ROWS = 64  # rows of a Hessian that one backward pass makes


def gradients(
    setting: Setting,
    points_RP: Tensor,
    state: State,
    constants: Constants,
    data: Data,
    rows_SB: Tensor,
    number: Tensor,
    hessians: list[Tensor] | None = None,
) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor]]:
    """Gradients (R, ...) by name, losses and accuracies (R,); the buffers are brought up to date.

    A list of Hessians gets one more, of all runs.
    """
    network = setting.network
    given = {**constants.fixed, **constants.rates, **network.keys(constants.seeds_R, number)}

    def objective(
        params: dict[str, Tensor], given: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        # A module may change its input in place, and a full batch is the data set itself.
        output, buffers = network.pure({**params, **given}, buffers, x.clone() if setting.full_batch else x)
        return *setting.loss(output, y), {name: tensor.detach() for name, tensor in buffers.items()}

    views = {name: view.detach().requires_grad_() for name, view in network.layout.views(points_RP).items()}
    with torch.enable_grad(), batched_kernels(), alike(setting):
        if not setting.fused:
            x, y = data.x, data.y
            if not setting.full_batch:
                x, y = x.index_select(0, rows_SB[0]), y.index_select(0, rows_SB[0])
            if x.dim() == 4:
                x = x.clone(memory_format=torch.channels_last)
            one = objective(channels_last(_first(views)), _first(given), _first(state.buffers), x, y)
            loss_R, accuracy_R, buffers = tree_map(lambda tensor: tensor.unsqueeze(0), one)
        elif setting.full_batch:
            both = vmap(objective, in_dims=(0, 0, 0, None, None))
            loss_R, accuracy_R, buffers = both(views, given, state.buffers, data.x, data.y)
        else:
            rows_RB = rows_SB.index_select(0, constants.seed_index_R)
            rows = rows_RB.flatten()
            x_RB = data.x.index_select(0, rows).unflatten(0, rows_RB.shape)
            y_RB = data.y.index_select(0, rows).unflatten(0, rows_RB.shape)
            loss_R, accuracy_R, buffers = vmap(objective)(views, given, state.buffers, x_RB, y_RB)
        # No run's loss depends on another's parameters: the gradient of the sum holds the gradient of each.
        points = list(views.values())
        with_graph = hessians is not None
        grads = torch.autograd.grad(
            loss_R.sum(), points, create_graph=with_graph, allow_unused=True, materialize_grads=True
        )
        if hessians is not None:
            hessians.append(hessian(grads, points).detach())
            grads = tuple(grad.detach() for grad in grads)
    for name, buffer in state.buffers.items():
        buffer.copy_(buffers[name])
    return dict(zip(views, grads, strict=True)), (loss_R.detach(), accuracy_R.detach())


def channels_last(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """One run's tensors with those of convolutions laid out channels last: the results then are, and are faster."""
    # Not by `contiguous`, which leaves a single channel in strides that convolutions take for channels first.
    last = torch.channels_last
    return {name: t.clone(memory_format=last) if t.dim() == 4 else t for name, t in tensors.items()}


def _first(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor[0] for name, tensor in tensors.items()}


def hessian(grads: Sequence[Tensor], params: Sequence[Tensor]) -> Tensor:
    """The Hessian of every run, (R, N, N), from gradients that have a graph: backward passes under vmap.

    No run's gradient depends on another's parameters, so one pass makes a row for all runs.

    Args:
        grads: (R, ...) each.
        params: what they are gradients of.
    """
    num_runs = len(params[0])
    sizes = [param[0].numel() for param in params]
    total = sum(sizes)
    like = params[0]
    if not any(grad.requires_grad for grad in grads):  # a loss that is linear
        return like.new_zeros((num_runs, total, total))
    eye_NN = torch.eye(total, dtype=like.dtype, device=like.device)
    rows = []
    for basis_HN in eye_NN.split(ROWS):
        pieces = basis_HN[:, None].expand(-1, num_runs, -1).split(sizes, 2)
        outputs = [
            (grad, piece.reshape(len(basis_HN), *grad.shape))
            for grad, piece in zip(grads, pieces, strict=True)
            if grad.requires_grad
        ]
        with AlignedProducts(by_rows=True):
            found = torch.autograd.grad(
                [grad for grad, _ in outputs],
                params,
                [piece for _, piece in outputs],
                retain_graph=True,
                is_grads_batched=True,
                allow_unused=True,
                materialize_grads=True,
            )
        rows.append(torch.cat([each.flatten(2) for each in found], 2))
    whole_RNN = torch.cat(rows).transpose(0, 1)
    return 0.5 * (whole_RNN + whole_RNN.mT)


def alike(setting: Setting) -> AbstractContextManager[object]:
    """Products and sums that come out the same whatever neighbours a run has; a run alone has none."""
    return AlignedProducts() if setting.fused else nullcontext()


def gather(layout: Layout, grads: dict[str, Tensor], grads_RP: Tensor) -> None:
    """Gradients by name into one row for each run."""
    for name, view in layout.views(grads_RP).items():
        view.copy_(grads[name])


def copied(buffers: dict[str, Tensor]) -> dict[str, Tensor]:
    """Buffers for a pass that leaves those of the runs as they are."""
    return {name: buffer.clone() for name, buffer in buffers.items()}
